use std::path::PathBuf;
use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientConfig, ClientEvent, ClientMode};
use openrtmp_protocol::flv::Tag;
use openrtmp_protocol::text::shown;
use openrtmp_protocol::{RtmpUrl, Time};

use crate::exit::Failure;
use crate::media::{is_frame, is_metadata, live_metadata, message_kind};
use crate::pacing::{Pacer, Timeline};
use crate::progress::{Progress, say};
use crate::signal::Stop;
use crate::source::{Input, Item, Source};
use crate::units::{bit_rate, bits_per_second, clock, size};

/// Flags of `openrtmp publish`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// FLV file, or - for standard input
    file: PathBuf,
    /// Where to: rtmp://host[:port]/app/stream[?query]
    #[arg(value_parser = RtmpUrl::parse)]
    url: RtmpUrl,
    /// Start again when the file ends; timestamps go on
    #[arg(long = "loop")]
    repeat: bool,
    /// As fast as the server takes it, instead of in real time
    #[arg(long)]
    fast: bool,
}

/// Publishes the file.
pub(crate) fn run(arguments: &Arguments, stop: &Stop) -> Result<(), Failure> {
    if arguments.repeat && arguments.file.as_os_str() == "-" {
        return Err(Failure::Usage(
            "--loop needs a file: standard input cannot be repeated".into(),
        ));
    }
    let input = Input::open(&arguments.file)?;
    let length = if arguments.repeat { None } else { input.size() };
    let url = &arguments.url;
    let client = Client::connect(ClientConfig::new(url.clone(), ClientMode::Publish))
        .map_err(|error| Failure::from(error).masked(url))?;
    let waker = client.waker();
    let interrupted = waker.clone();
    stop.handle(vec![Box::new(move || interrupted.wake())]);
    let source = input
        .start(arguments.repeat, move || waker.wake())
        .map_err(|e| Failure::Runtime(format!("cannot start a thread: {e}")))?;
    let mut publisher = Publisher {
        client,
        url,
        pacer: (!arguments.fast).then(Pacer::default),
        timeline: Timeline::default(),
        repeating: false,
        start: Instant::now(),
        progress: Progress::new(length),
        sent: Sent::default(),
    };
    let result = publisher.run(&source, stop);
    let result = result.map_err(|failure| failure.masked(url));
    publisher.progress.clear();
    if publisher.sent.messages > 0 {
        say(&publisher.sent.summary(publisher.start.elapsed()));
    }
    // A file that is damaged further on was still published up to there: say
    // goodbye either way.
    let closed = publisher.client.close();
    let closed = closed.map_err(|error| Failure::from(error).masked(url));
    result.and(closed)
}

struct Publisher<'a> {
    client: Client,
    url: &'a RtmpUrl,
    /// None: as fast as possible.
    pacer: Option<Pacer>,
    timeline: Timeline,
    /// The file was sent before.
    repeating: bool,
    start: Instant,
    progress: Progress,
    sent: Sent,
}

#[derive(Default)]
struct Sent {
    messages: u64,
    bytes: u64,
    /// Milliseconds since the first frame.
    position: u64,
}

impl Publisher<'_> {
    fn run(&mut self, source: &Source, stop: &Stop) -> Result<(), Failure> {
        while !stop.requested() {
            match source.try_next() {
                Some(Item::Tags(tags, offset)) => {
                    for tag in &tags {
                        self.send(tag, stop)?;
                        if stop.requested() {
                            break;
                        }
                    }
                    self.progress.set_position(offset);
                    self.listen(Some(Instant::now()))?;
                }
                Some(Item::NextPass) => {
                    self.timeline.next_pass();
                    self.repeating = true;
                }
                Some(Item::End(result)) => return result,
                // The reading thread wakes the client.
                None => self.listen(None)?,
            }
        }
        Ok(())
    }

    fn send(&mut self, tag: &Tag, stop: &Stop) -> Result<(), Failure> {
        let Some(kind) = message_kind(tag.kind) else {
            log::debug!("skipped a tag of type {}", tag.kind);
            return Ok(());
        };
        if self.repeating && is_metadata(kind, &tag.payload) {
            // The server has it, and some players take it for a new track.
            return Ok(());
        }
        let position = self
            .timeline
            .place(kind, tag.timestamp, is_frame(kind, &tag.payload));
        if let Some(pacer) = &mut self.pacer {
            let due = self.start + pacer.due(position, since(self.start)).since(Time::ZERO);
            while Instant::now() < due && !stop.requested() {
                self.listen(Some(due))?;
            }
        }
        let live;
        let payload = if is_metadata(kind, &tag.payload) {
            live = live_metadata(&tag.payload);
            &live
        } else {
            &tag.payload
        };
        // The wire's clock is this one mod 2^32.
        self.client.send(kind, position as u32, payload)?;
        self.sent.messages += 1;
        self.sent.bytes += tag.payload.len() as u64;
        self.sent.position = self.sent.position.max(position);
        self.progress.show(
            Duration::from_millis(self.sent.position),
            self.sent.bytes,
            "",
        );
        Ok(())
    }

    /// Takes what the server says until the deadline, or until woken.
    fn listen(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        while let Some(event) = self.client.next_event(deadline)? {
            match event {
                ClientEvent::Status(status) => {
                    let text = self.url.masked_in(&status.description);
                    log::info!("server: {} ({})", shown(&status.code), shown(&text));
                }
                ClientEvent::ReconnectRequest(url) => {
                    let text = self.url.masked_in(&url.unwrap_or_default());
                    log::warn!("the server asks to connect again: {}", shown(&text));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Sent {
    fn summary(&self, took: Duration) -> String {
        let length = Duration::from_millis(self.position);
        format!(
            "published {} of media in {}: {} messages, {}, {}",
            clock(length),
            clock(took),
            self.messages,
            size(self.bytes),
            bit_rate(bits_per_second(self.bytes, length)),
        )
    }
}

fn since(start: Instant) -> Time {
    Time::ZERO + start.elapsed()
}
