//! An encoder whose stream changes when a test says so.

use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientConfig, ClientMode, MediaKind};
use openrtmp_protocol::RtmpUrl;

use crate::flv::{self, Tag};

/// How often the time of a stream goes into that in which it is published, where that is hurried.
pub const HURRIED: u32 = 200;
/// From the last message of a round to the first of the next, in milliseconds.
const FRAME: u32 = 33;

/// Publishes tags round and round, in their time, until it is let go.
#[derive(Debug)]
pub struct Encoder {
    next: Sender<Next>,
}

/// What comes once a round is over.
#[derive(Debug)]
struct Next {
    tags: Vec<Tag>,
    /// Nothing comes for so long before, which the clock shows.
    gap: Duration,
    /// Another encoder sends it, whose clock begins anew: the one before is gone without a word.
    is_another: bool,
}

impl Encoder {
    /// Begins to publish.
    ///
    /// # Panics
    /// If it is not let.
    pub fn start(url: &str, tags: Vec<Tag>) -> Encoder {
        Encoder::start_hurried(url, tags, Duration::ZERO)
    }

    /// The same once so much of it was published, [`HURRIED`] times as fast as it plays.
    ///
    /// # Panics
    /// If it is not let.
    pub fn start_hurried(url: &str, tags: Vec<Tag>, hurried: Duration) -> Encoder {
        let url = RtmpUrl::parse(url).expect("a URL");
        let config = ClientConfig::new(url, ClientMode::Publish);
        let mut publishing = Publishing::begin(&config, hurried);
        let (next, changes) = mpsc::channel::<Next>();
        let (caught_up, in_time) = mpsc::channel();
        thread::spawn(move || {
            let mut tags = tags;
            while publishing.round(&tags).is_some() {
                if Duration::from_millis(publishing.time.into()) >= hurried {
                    // Who waits for it is there once.
                    let _ = caught_up.send(());
                }
                match changes.try_recv() {
                    Ok(next) => {
                        tags = next.tags;
                        publishing.time += next.gap.as_millis() as u32;
                        if next.is_another {
                            drop(publishing);
                            publishing = Publishing::begin(&config, Duration::ZERO);
                        }
                    }
                    Err(mpsc::TryRecvError::Empty) => {}
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
        });
        if hurried > Duration::ZERO {
            in_time.recv().expect("it publishes");
        }
        Encoder { next }
    }

    /// From the end of this round on it publishes other tags, behind a gap.
    ///
    /// # Panics
    /// If the server turned it away.
    pub fn change(&self, tags: Vec<Tag>, gap: Duration) {
        self.tell(tags, gap, false);
    }

    /// At the end of this round it vanishes, and another one goes on with other tags.
    ///
    /// # Panics
    /// If the server turned it away.
    pub fn restart(&self, tags: Vec<Tag>) {
        self.tell(tags, Duration::ZERO, true);
    }

    fn tell(&self, tags: Vec<Tag>, gap: Duration, is_another: bool) {
        let next = Next {
            tags,
            gap,
            is_another,
        };
        self.next.send(next).expect("it publishes");
    }
}

struct Publishing {
    client: Client,
    began: Instant,
    /// So much of the stream is sent faster than it plays.
    hurried: Duration,
    /// Milliseconds of stream up to this round.
    time: u32,
}

impl Publishing {
    fn begin(config: &ClientConfig, hurried: Duration) -> Publishing {
        Publishing {
            hurried,
            client: Client::connect(config.clone()).expect("it may publish"),
            began: Instant::now(),
            time: 0,
        }
    }

    /// `None`: the server is gone.
    fn round(&mut self, tags: &[Tag]) -> Option<()> {
        let mut end = self.time;
        for tag in tags {
            let time = self.time + tag.time;
            let time_of_it = Duration::from_millis(time.into());
            let fast = time_of_it.min(self.hurried);
            let due = self.began + fast / HURRIED + (time_of_it - fast);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let kind = match tag.kind {
                flv::VIDEO => MediaKind::Video,
                flv::AUDIO => MediaKind::Audio,
                // What describes a file does not go round.
                _ if tag.script_name() == Some("onMetaData") => continue,
                _ => MediaKind::Data,
            };
            self.client.send(kind, time, &tag.body).ok()?;
            end = end.max(time);
        }
        self.time = end + FRAME;
        Some(())
    }
}
