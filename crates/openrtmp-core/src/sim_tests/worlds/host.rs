//! The host of a world: its taps, its publishers, its answers.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::MediaKind;

use super::lives::{Class, Feeder, Lives};
use super::plan::{COPY, FETCHED, place};
use super::witness::{Broken, Witness, broken};
use crate::access::AccessRequest;
use crate::id::StreamId;
use crate::publisher::Publisher;
use crate::stream::frame::{Frame, FrameContent};
use crate::tap::{Tap, TapEvent};

/// A tap and what it got.
pub(super) struct HostTap {
    tap: Tap,
    /// Milliseconds from one look to the next; 0: it is never read.
    every: u32,
    pub(super) next: Time,
    lenient: bool,
    live: BTreeMap<StreamId, Followed>,
    /// The last of each relayed stream that ended, by its place.
    ended: BTreeMap<usize, Witness>,
    /// Frames of relayed streams.
    pub(super) relayed: u64,
}

/// A stream that a tap follows.
struct Followed {
    place: usize,
    /// It comes over connections between the servers, which break: what is lost there the
    /// tap's server knows nothing of.
    is_relayed: bool,
    witness: Witness,
}

impl HostTap {
    pub(super) fn new(tap: Tap, every: u32, lenient: bool, now: Time) -> HostTap {
        HostTap {
            tap,
            every,
            next: now,
            lenient,
            live: BTreeMap::new(),
            ended: BTreeMap::new(),
            relayed: 0,
        }
    }

    /// It should be up to date with a life of a relayed stream, after so many frames.
    pub(super) fn assert_current(
        &self,
        lives: &Lives,
        life: usize,
        frames: u64,
    ) -> Result<(), Broken> {
        let place = lives.life(life).stream;
        let live = self
            .live
            .values()
            .filter(|followed| followed.place == place);
        let live = live.filter(|followed| followed.is_relayed);
        let witnesses = live.map(|followed| &followed.witness);
        let mut current = broken("left behind", format!("nothing of life {life}"));
        for witness in witnesses.chain(self.ended.get(&place)) {
            current = witness.assert_current(lives, life);
            if current.is_ok() && witness.frames < frames {
                let got = witness.frames;
                current = broken("left behind", format!("{got} frames of life {life}"));
            }
            if current.is_ok() {
                break;
            }
        }
        current
    }

    pub(super) fn wake(&self) -> Option<Time> {
        (self.every > 0).then_some(self.next)
    }

    /// Reads what there is, if it is time to.
    pub(super) fn act(&mut self, lives: &Lives, now: Time) -> Result<(), Broken> {
        if self.every == 0 || self.next > now {
            return Ok(());
        }
        self.next = now + Duration::from_millis(self.every.into());
        while let Some(event) = self.tap.try_recv() {
            self.take(lives, event)?;
        }
        Ok(())
    }

    fn take(&mut self, lives: &Lives, event: TapEvent) -> Result<(), Broken> {
        match event {
            TapEvent::Started(stream) => {
                let name = stream.name.reveal();
                let mut witness = Witness::lenient(self.lenient);
                witness.may_lose_all = true;
                let is_relayed = name == FETCHED || name.starts_with(COPY);
                witness.is_copy = is_relayed;
                let followed = Followed {
                    place: place(name).unwrap_or_default(),
                    is_relayed,
                    witness,
                };
                match self.live.insert(stream.id, followed) {
                    None => Ok(()),
                    Some(_) => broken("tap events balance", format!("{stream:?} started twice")),
                }
            }
            TapEvent::Ended(stream) => match self.live.remove(&stream.id) {
                Some(followed) => {
                    if followed.is_relayed {
                        self.ended.insert(followed.place, followed.witness);
                    }
                    Ok(())
                }
                None => broken("tap events balance", format!("{stream:?} ended twice")),
            },
            TapEvent::Frame(frame) => self.frame(lives, &frame),
            TapEvent::Message(_) => broken("tap events balance", "a message of a tap for frames"),
            TapEvent::Republished(stream) => match self.live.get_mut(&stream.id) {
                Some(followed) => {
                    if followed.is_relayed {
                        followed.witness.begin_again();
                    }
                    Ok(())
                }
                None => broken("tap events balance", format!("{stream:?} not started")),
            },
            TapEvent::Tracks { stream, .. } | TapEvent::Lost { stream, .. } => {
                match self.live.contains_key(&stream.id) {
                    true => Ok(()),
                    false => broken("tap events balance", format!("{stream:?} not started")),
                }
            }
        }
    }

    fn frame(&mut self, lives: &Lives, frame: &Frame) -> Result<(), Broken> {
        let Some(followed) = self.live.get_mut(&frame.stream.id) else {
            return broken(
                "tap events balance",
                format!("{:?} not started", frame.stream),
            );
        };
        let class = match (frame.kind, frame.content) {
            (MediaKind::Video, FrameContent::Header) => Class::VideoHeader,
            (MediaKind::Video, FrameContent::Key) => Class::Key,
            (MediaKind::Video, _) if frame.payload.get(4).is_some_and(|nal| nal & 0x1F == 7) => {
                Class::Prelude
            }
            (MediaKind::Video, _) => Class::Inter,
            (MediaKind::Audio, FrameContent::Header) => Class::AudioHeader,
            (MediaKind::Audio, _) => Class::Audio,
            (MediaKind::Data, _) => match Class::of(frame.kind, &frame.payload) {
                Some(class) => class,
                None => return broken("never sent", "a data frame without a body"),
            },
        };
        // Metadata has no time of its own; a tap tells the stream's.
        let time = (class != Class::Metadata).then_some((frame.dts_micros / 1000) as u32);
        let skipped = class.tag_header();
        let (stream, witness) = (followed.place, &mut followed.witness);
        witness.take(lives, stream, class, time, &frame.payload, skipped)?;
        if followed.is_relayed {
            self.relayed += u64::from(class.is_frame());
            return Ok(());
        }
        if witness.missing > frame.dropped && !witness.lenient {
            let what = format!("{} missing, {} owned up to", witness.missing, frame.dropped);
            return broken("losses are told", what);
        }
        Ok(())
    }
}

/// A publisher of the host.
pub(super) struct HostPublisher {
    pub(super) publisher: Publisher,
    pub(super) feeder: Feeder,
}

impl HostPublisher {
    pub(super) fn act(&mut self, lives: &mut Lives, now: Time) {
        let publisher = &mut self.publisher;
        self.feeder.act(lives, now, &mut |kind, time, payload| {
            publisher.write_message(kind, time, payload.clone()).is_ok()
        });
    }
}

/// What the host decides, and when.
#[derive(Default)]
pub(super) struct Desk {
    asked: u32,
    waiting: VecDeque<(Time, bool, AccessRequest)>,
    /// Never answered, as long as nobody asks for order.
    ignored: Vec<AccessRequest>,
}

impl Desk {
    /// Takes a request, to be answered by a pattern.
    pub(super) fn take(&mut self, request: AccessRequest, pattern: u32, now: Time) {
        self.asked += 1;
        let n = self.asked;
        let later = |ms: u32| now + Duration::from_millis(ms.into());
        let (accept, at) = match pattern {
            0 | 1 => (true, now),
            2 => (true, later(50)),
            3 => (true, later(n * 37 % 400)),
            4 => (!n.is_multiple_of(5), later(n % 20)),
            5 if n.is_multiple_of(4) => return drop(request),
            5 => (true, later(n * 13 % 90)),
            _ if n.is_multiple_of(4) => return self.ignored.push(request),
            _ => (true, later(20)),
        };
        self.waiting.push_back((at, accept, request));
    }

    pub(super) fn wake(&self) -> Option<Time> {
        self.waiting.iter().map(|(at, ..)| *at).min()
    }

    /// Gives the answers that are due. False if there are none.
    pub(super) fn act(&mut self, now: Time) -> bool {
        let before = self.waiting.len();
        for (at, accept, request) in std::mem::take(&mut self.waiting) {
            match accept {
                _ if at > now => self.waiting.push_back((at, accept, request)),
                true => {
                    request.accept();
                }
                false => {
                    request.reject("not today");
                }
            }
        }
        self.waiting.len() < before
    }

    /// Answers everything.
    pub(super) fn clear(&mut self) {
        let ignored = std::mem::take(&mut self.ignored);
        let waiting = std::mem::take(&mut self.waiting);
        for request in ignored.into_iter().chain(waiting.into_iter().map(|w| w.2)) {
            request.accept();
        }
    }
}
