use std::path::PathBuf;
use std::time::Duration;

use openrtmp_core::client::MediaKind;
use openrtmp_protocol::RtmpUrl;

use crate::connection::{Retry, Target, Trust};
use crate::console::say;
use crate::exit::Failure;
use crate::media::is_key_frame;
use crate::media_file::{Format, MediaFile, Written};
use crate::progress::Progress;
use crate::receive::{Bounds, Flow, Received, receive};
use crate::signal::Stop;
use crate::units::{bit_rate, bits_per_second, clock, parse_span, size};

/// Flags of `openrtmp play`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to play: rtmp://host[:port]/app/stream[?query], or rtmps://
    #[arg(value_parser = RtmpUrl::parse)]
    url: RtmpUrl,
    #[command(flatten)]
    trust: Trust,
    /// Write to this file, FIFO or device, or to standard output if it is -
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to write [default: by the end of the file's name, else flv]
    #[arg(long, requires = "output")]
    format: Option<Format>,
    /// Overwrite the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
    /// Stop after this much media, or as much time: 10, 10s, 1m30s
    #[arg(long, value_parser = parse_span)]
    duration: Option<Duration>,
    /// Fail if no picture or sound comes for this long [default: wait for ever]
    #[arg(long, value_parser = parse_span)]
    timeout: Option<Duration>,
    #[command(flatten)]
    retry: Retry,
}

/// Plays the stream.
pub(crate) fn run(arguments: &Arguments, stop: &Stop) -> Result<(), Failure> {
    let file = arguments
        .output
        .as_ref()
        .map(|path| MediaFile::open(path, arguments.format, arguments.force, stop))
        .transpose()?;
    let bounds = Bounds {
        retry: arguments.retry,
        ..Bounds::of(arguments.duration, arguments.timeout)
    };
    let target = Target {
        url: &arguments.url,
        trust: &arguments.trust,
    };
    play(target, file, bounds, "played", stop)
}

/// Receives into a file, if there is one, showing how it goes.
pub(crate) fn play(
    target: Target<'_>,
    mut file: Option<MediaFile>,
    bounds: Bounds,
    verb: &str,
    stop: &Stop,
) -> Result<(), Failure> {
    let length = bounds
        .duration
        .map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    let mut progress = Progress::new(length);
    let mut count = Count::default();
    let result = receive(target, bounds, stop, |received| {
        count.add(&received);
        progress.set_position(received.position);
        progress.show(count.length(), count.bytes, || count.frames());
        let Some(file) = &mut file else {
            return Ok(Flow::Continue);
        };
        let written = file.write(received.media, received.position, received.frame)?;
        Ok(match written {
            Written::Done => Flow::Continue,
            Written::NoReader => Flow::Stop,
        })
    });
    drop(progress);
    // A stream that broke off still leaves a whole file.
    let finished = file.map_or(Ok(()), |file| file.finish(count.length()));
    if count.messages > 0 {
        say(&count.summary(verb));
    }
    result.map(|_| ()).and(finished)?;
    if count.messages == 0 && !stop.requested() {
        return Err(Failure::Runtime(
            "the stream ended before any media came".into(),
        ));
    }
    Ok(())
}

#[derive(Default)]
struct Count {
    messages: u64,
    bytes: u64,
    /// Milliseconds since the first frame.
    position: u64,
    audio: u64,
    video: u64,
    key: u64,
}

impl Count {
    fn add(&mut self, received: &Received<'_>) {
        self.messages += 1;
        self.bytes += received.media.payload.len() as u64;
        self.position = self.position.max(received.position);
        if !received.frame {
            return;
        }
        match received.media.kind {
            MediaKind::Audio => self.audio += 1,
            MediaKind::Video => {
                self.video += 1;
                self.key += u64::from(is_key_frame(&received.media.payload));
            }
            MediaKind::Data => {}
        }
    }

    fn length(&self) -> Duration {
        Duration::from_millis(self.position)
    }

    fn frames(&self) -> String {
        format!(
            "video {} ({} key)  audio {}",
            self.video, self.key, self.audio
        )
    }

    fn summary(&self, verb: &str) -> String {
        format!(
            "{verb} {}: {}, {}, {}",
            clock(self.length()),
            size(self.bytes),
            bit_rate(bits_per_second(self.bytes, self.length())),
            self.frames(),
        )
    }
}
