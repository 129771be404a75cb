//! Received streams as files, or on standard output.

mod flv;
mod mp4;
mod output;

use std::path::Path;
use std::time::Duration;

use openrtmp_core::client::Media;

use self::flv::FlvFile;
use self::mp4::Mp4File;
use self::output::Output;
use crate::console::say;
use crate::exit::Failure;
use crate::signal::Stop;

/// What kind of file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Everything that comes
    Flv,
    /// Fragmented MP4, which more programs play
    Mp4,
}

impl Format {
    /// By the end of the file's name; FLV if that says nothing.
    fn of(path: &Path) -> Format {
        /// Of files with sound only, or mostly with pictures, MP4 all the same.
        const MP4: [&str; 3] = ["mp4", "m4a", "m4v"];
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        match extension {
            Some(extension) if MP4.contains(&extension.as_str()) => Format::Mp4,
            Some(extension) if extension != "flv" => {
                let path = path.display();
                say(&format!(
                    "openrtmp: {path} will be an FLV file: {extension} is not written yet"
                ));
                Format::Flv
            }
            _ => Format::Flv,
        }
    }
}

/// How a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Well.
    Done,
    /// Whoever read our output has gone.
    NoReader,
}

/// A file being written. Nothing of it is there before the first frame.
pub(crate) enum MediaFile {
    Flv(FlvFile),
    Mp4(Mp4File),
}

impl MediaFile {
    /// Opens the file, or standard output for `-` and `/dev/stdout`. An existing file is
    /// an error unless `overwrite`, and stays as it is until the first frame comes; a
    /// FIFO or a device is written to. A signal ends waiting for its reader. Its name tells
    /// what it is to be, unless `format` does.
    pub(crate) fn open(
        path: &Path,
        format: Option<Format>,
        overwrite: bool,
        stop: &Stop,
    ) -> Result<MediaFile, Failure> {
        let output = Output::open(path, overwrite, stop)?;
        let by_name = || match output.is_file() {
            true => Format::of(path),
            false => Format::Flv,
        };
        Ok(match format.unwrap_or_else(by_name) {
            Format::Flv => MediaFile::Flv(FlvFile::new(output)),
            Format::Mp4 => MediaFile::Mp4(Mp4File::new(output)),
        })
    }

    /// Writes a message at `position`, milliseconds since the first frame.
    pub(crate) fn write(
        &mut self,
        media: &Media,
        position: u64,
        frame: bool,
    ) -> Result<Written, Failure> {
        match self {
            MediaFile::Flv(file) => file.write(media, position, frame),
            MediaFile::Mp4(file) => file.write(media, position),
        }
    }

    /// Completes the file, which is so long.
    pub(crate) fn finish(self, duration: Duration) -> Result<(), Failure> {
        match self {
            MediaFile::Flv(file) => file.finish(duration),
            MediaFile::Mp4(file) => file.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_format() {
        for (name, format) in [
            ("a.mp4", Format::Mp4),
            ("A.MP4", Format::Mp4),
            ("sound.m4a", Format::Mp4),
            ("a.flv", Format::Flv),
            ("a.mkv", Format::Flv),
            ("mp4", Format::Flv),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }
}
