use std::path::PathBuf;
use std::time::Duration;

use openrtmp_protocol::RtmpUrl;

use crate::exit::Failure;
use crate::flv_file::FlvFile;
use crate::play::play;
use crate::receive::Bounds;
use crate::signal::Stop;
use crate::units::parse_duration;

/// Flags of `openrtmp record`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to record: rtmp://host[:port]/app/stream[?query]
    #[arg(value_parser = RtmpUrl::parse)]
    url: RtmpUrl,
    /// FLV file to write
    file: PathBuf,
    /// Stop after this much media: 10, 10s, 1m30s [default: until the stream ends]
    #[arg(long, value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Fail if nothing comes for this long
    #[arg(long, value_parser = parse_duration, default_value = "30s")]
    timeout: Duration,
    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,
}

/// Records the stream.
pub(crate) fn run(arguments: &Arguments, stop: &Stop) -> Result<(), Failure> {
    let file = FlvFile::open(&arguments.file, arguments.force)?;
    let bounds = Bounds {
        duration: arguments.duration,
        timeout: Some(arguments.timeout),
    };
    play(&arguments.url, Some(file), bounds, "recorded", stop)
}
