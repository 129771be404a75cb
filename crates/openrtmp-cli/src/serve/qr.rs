//! The server's URL for the camera of a phone.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use openrtmp_core::{AccessConfig, Reachable, Server};
use qrcodegen::{QrCode, QrCodeEcc};

use super::banner::{APP, STREAM};

/// Light modules around the code, without which cameras do not find it (ISO/IEC 18004
/// asks for 4; 2 of a terminal's cells are as wide).
const QUIET: i32 = 4;

/// Black on white, whatever the terminal's colours are: light on dark, many cameras see
/// nothing.
const COLOURS: &str = "\x1b[30;107m";
const PLAIN: &str = "\x1b[0m";

/// Pixels of a module in a file of pixels.
const PIXELS: i32 = 8;

/// A file that the picture is written to.
#[derive(Clone, Debug)]
pub(super) struct File {
    path: PathBuf,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Png,
    Svg,
}

impl File {
    /// The form is that of its name's ending.
    pub(super) fn parse(path: &str) -> Result<File, String> {
        let path = PathBuf::from(path);
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        let form = match ending.as_deref().and_then(|ending| ending.to_str()) {
            Some("png") => Form::Png,
            Some("svg") => Form::Svg,
            _ => return Err("its name must end with .png or .svg".to_owned()),
        };
        Ok(File { path, form })
    }

    /// Writes the picture of the best URL, as a whole: who reads it meanwhile has the one of
    /// before. `None` and nothing written if there is no URL.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&self, server: &Server) -> io::Result<Option<&Path>> {
        let Some(url) = url(server) else {
            return Ok(None);
        };
        let code = QrCode::encode_text(&url, QrCodeEcc::Medium);
        let code = code.map_err(|_| io::Error::other("the URL is too long for a QR code"))?;
        let bytes = match self.form {
            Form::Png => png(&code)?,
            Form::Svg => svg(&code).into_bytes(),
        };
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        fs::write(&beside, bytes)?;
        fs::rename(&beside, &self.path)?;
        Ok(Some(&self.path))
    }
}

/// The picture of the best URL, and the URL itself.
pub(super) fn text(server: &Server, coloured: bool) -> String {
    match url(server) {
        Some(url) => format!("\n{}\nScan {url}\n", picture(&url, coloured)),
        None => NO_NETWORK.to_owned(),
    }
}

/// Said in place of a picture.
pub(super) const NO_NETWORK: &str = "\nNo network by which others reach this: no QR code\n";

fn url(server: &Server) -> Option<String> {
    let path = path(&server.config().access);
    let urls = server.reachable(&path, Reachable::default());
    urls.into_iter().next().map(|best| best.url)
}

/// A picture of one bit a pixel (W3C PNG, section 11.2).
fn png(code: &QrCode) -> io::Result<Vec<u8>> {
    let size = (code.size() + 2 * QUIET) * PIXELS;
    let mut header = Vec::with_capacity(13);
    header.extend(size.to_be_bytes());
    header.extend(size.to_be_bytes());
    // One bit of grey; the only method of compression and of filters; not interlaced.
    header.extend([1, 0, 0, 0, 0]);
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::best());
    for y in 0..size {
        // No filter. The first pixel is the highest bit, and white is 1.
        let mut row = vec![0];
        for x in (0..size).step_by(8) {
            let byte = (x..x + 8).fold(0, |bits, x| {
                let is_dark = code.get_module(x / PIXELS - QUIET, y / PIXELS - QUIET);
                bits << 1 | u8::from(!is_dark || x >= size)
            });
            row.push(byte);
        }
        pixels.write_all(&row)?;
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [
        (b"IHDR", &header),
        (b"IDAT", &pixels.finish()?),
        (b"IEND", &Vec::new()),
    ] {
        file.extend((data.len() as u32).to_be_bytes());
        let mut sum = Crc::new();
        for part in [&kind[..], data] {
            sum.update(part);
            file.extend(part);
        }
        file.extend(sum.sum().to_be_bytes());
    }
    Ok(file)
}

/// A picture of any size: each module is one square of a grid.
fn svg(code: &QrCode) -> String {
    let size = code.size() + 2 * QUIET;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" \
         width=\"{0}\" height=\"{0}\" shape-rendering=\"crispEdges\">\n\
         <rect width=\"{size}\" height=\"{size}\" fill=\"#fff\"/>\n<path fill=\"#000\" d=\"",
        size * PIXELS
    );
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            // Writing to a String cannot fail.
            let _ = write!(text, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    text + "\"/>\n</svg>\n"
}

/// What a screen may show to everybody: a stream where nobody needs a key, else the app.
fn path(access: &AccessConfig) -> String {
    let is_open = access.publish_keys.is_empty()
        && access.play_keys.is_empty()
        && access.users.is_empty()
        && access.keys_file.is_none()
        && !access.secret_names;
    match is_open {
        true => format!("{APP}/{STREAM}"),
        false => APP.to_owned(),
    }
}

/// Two rows of modules in a line of half blocks, dark ones drawn. Nothing if the text is
/// longer than any code holds.
pub(super) fn picture(text: &str, coloured: bool) -> String {
    let Ok(code) = QrCode::encode_text(text, QrCodeEcc::Low) else {
        return String::new();
    };
    let range = -QUIET..code.size() + QUIET;
    let mut lines = String::new();
    for upper in range.clone().step_by(2) {
        if coloured {
            lines += COLOURS;
        }
        lines.extend(range.clone().map(|x| {
            let both = (code.get_module(x, upper), code.get_module(x, upper + 1));
            match both {
                (false, false) => ' ',
                (true, false) => '\u{2580}',
                (false, true) => '\u{2584}',
                (true, true) => '\u{2588}',
            }
        }));
        if coloured {
            lines += PLAIN;
        }
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_square_and_has_its_corner_and_its_margin() {
        let text = picture("rtmp://192.168.1.5/live/stream", false);
        let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
        let width = lines[0].len();
        assert!(lines.iter().all(|line| line.len() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        assert!(lines[..2].iter().flatten().all(|c| *c == ' '));
        // The frame of the finder pattern: seven dark modules, its second row two.
        let corner: String = lines[2][4..11].iter().collect();
        assert_eq!(
            corner,
            "\u{2588}\u{2580}\u{2580}\u{2580}\u{2580}\u{2580}\u{2588}"
        );
    }

    #[test]
    fn a_file_has_an_ending_that_is_known() {
        for name in ["a.png", "b/c.SVG"] {
            File::parse(name).expect(name);
        }
        for name in ["png", "a.jpg", ".svg/a"] {
            File::parse(name).expect_err(name);
        }
    }

    #[test]
    fn a_drawing_has_each_dark_module_once() {
        let code = QrCode::encode_text("rtmp://192.168.1.5/live", QrCodeEcc::Medium);
        let code = code.expect("it fits");
        let text = svg(&code);
        let all = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
        let dark = all.filter(|(x, y)| code.get_module(*x, *y)).count();
        assert_eq!(text.matches('M').count(), dark);
        assert!(
            text.contains("M4 4h1v1h-1z"),
            "the corner, behind the margin"
        );
    }

    #[test]
    fn no_key_is_shown() {
        let mut access = AccessConfig::default();
        assert_eq!(path(&access), "live/stream");
        access.play_keys.push("s3cret".to_owned());
        assert_eq!(path(&access), "live");
    }

    #[test]
    fn what_fits_no_code_is_none() {
        assert_eq!(picture(&"x".repeat(10_000), true), "");
    }
}
