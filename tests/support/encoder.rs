//! An encoder whose stream changes when a test says so.

use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientConfig, ClientMode, MediaKind};
use openrtmp_protocol::RtmpUrl;

use crate::flv::{self, Tag};

/// From the last message of a round to the first of the next, in milliseconds.
const FRAME: u32 = 33;

/// Publishes tags round and round, in their time, until it is let go.
#[derive(Debug)]
pub struct Encoder {
    next: Sender<(Vec<Tag>, Duration)>,
}

impl Encoder {
    /// Begins to publish.
    ///
    /// # Panics
    /// If it is not let.
    pub fn start(url: &str, tags: Vec<Tag>) -> Encoder {
        let url = RtmpUrl::parse(url).expect("a URL");
        let config = ClientConfig::new(url, ClientMode::Publish);
        let client = Client::connect(config).expect("it may publish");
        let (next, changes) = mpsc::channel::<(Vec<Tag>, Duration)>();
        thread::spawn(move || {
            let mut publishing = Publishing {
                client,
                began: Instant::now(),
                time: 0,
            };
            let mut tags = tags;
            while publishing.round(&tags).is_some() {
                match changes.try_recv() {
                    Ok((others, gap)) => {
                        tags = others;
                        publishing.time += gap.as_millis() as u32;
                    }
                    Err(mpsc::TryRecvError::Empty) => {}
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
        });
        Encoder { next }
    }

    /// From the end of this round on it publishes other tags, behind a gap.
    ///
    /// # Panics
    /// If the server turned it away.
    pub fn change(&self, tags: Vec<Tag>, gap: Duration) {
        self.next.send((tags, gap)).expect("it publishes");
    }
}

struct Publishing {
    client: Client,
    began: Instant,
    /// Milliseconds of stream up to this round.
    time: u32,
}

impl Publishing {
    /// `None`: the server is gone.
    fn round(&mut self, tags: &[Tag]) -> Option<()> {
        let mut end = self.time;
        for tag in tags {
            let time = self.time + tag.time;
            let due = self.began + Duration::from_millis(time.into());
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
