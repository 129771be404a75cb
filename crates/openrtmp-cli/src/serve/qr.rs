//! The server's URL for the camera of a phone.

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

/// The picture of the best URL, and the URL itself.
pub(super) fn text(server: &Server, coloured: bool) -> String {
    let path = path(&server.config().access);
    match server.reachable(&path, Reachable::default()).first() {
        Some(best) => {
            let url = &best.url;
            format!("\n{}\nScan {url}\n", picture(url, coloured))
        }
        None => "\nNo network by which others reach this: no QR code\n".to_owned(),
    }
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
