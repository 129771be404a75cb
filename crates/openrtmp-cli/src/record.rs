use std::path::PathBuf;
use std::time::Duration;

use openrtmp_protocol::RtmpUrl;

use crate::connection::{Retry, Target, Trust};
use crate::exit::Failure;
use crate::media_file::{Format, MediaFile};
use crate::play::play;
use crate::receive::Bounds;
use crate::signal::Stop;
use crate::units::parse_span;

/// Flags of `openrtmp record`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to record: rtmp://host[:port]/app/stream[?query], or rtmps://
    #[arg(value_parser = RtmpUrl::parse)]
    url: RtmpUrl,
    #[command(flatten)]
    trust: Trust,
    /// File to write, FIFO or device
    file: PathBuf,
    /// What to write [default: by the end of the file's name, else flv]
    #[arg(long)]
    format: Option<Format>,
    /// Stop after this much media, or as much time: 10, 10s, 1m30s [default: until the
    /// stream ends]
    #[arg(long, value_parser = parse_span)]
    duration: Option<Duration>,
    /// Fail if no picture or sound comes for this long
    #[arg(long, value_parser = parse_span, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    retry: Retry,
    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,
}

/// Records the stream.
pub(crate) fn run(arguments: &Arguments, stop: &Stop) -> Result<(), Failure> {
    let file = MediaFile::open(&arguments.file, arguments.format, arguments.force, stop)?;
    let bounds = Bounds {
        retry: arguments.retry,
        ..Bounds::of(arguments.duration, Some(arguments.timeout))
    };
    let target = Target {
        url: &arguments.url,
        trust: &arguments.trust,
    };
    play(target, Some(file), bounds, "recorded", stop)
}
