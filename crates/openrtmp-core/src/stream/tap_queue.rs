//! The queue between a stream and a tap: one more subscriber, with a drop policy of its
//! own.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use openrtmp_protocol::Time;

use super::class::Class;
use super::gate::Gate;
use super::packet::SharedPacket;
use super::queue::{Entry, SendQueue};
use crate::config::QueueConfig;
use crate::id::StreamId;
use crate::secret::StreamName;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// Streams that are over and of which a tap keeps what its owner did not take.
const ENDED_FEEDS: usize = 64;

/// The stream a frame belongs to.
#[derive(Debug, PartialEq, Eq)]
pub struct TapStream {
    /// Which.
    pub id: StreamId,
    /// Its path.
    pub name: StreamName,
}

/// The queue between the workers and a tap.
pub(crate) struct Tapped {
    feeds: Mutex<Feeds>,
    pub(crate) signal: Arc<Signal>,
    wants: Box<dyn Fn(&StreamName) -> bool + Send + Sync>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Feeds {
    list: Vec<Feed>,
    /// Where to look first: each has its turn.
    next: usize,
}

struct Feed {
    stream: Arc<TapStream>,
    queue: SendQueue,
    /// Stream time of the last frame taken, in milliseconds: the 32 bits of the
    /// next one are near it.
    clock: i64,
    dropped: u64,
    /// The owner was told that it started.
    announced: bool,
    ended: bool,
}

/// What a tap's owner takes.
pub(crate) enum TapItem {
    Started(Arc<TapStream>),
    Packet {
        stream: Arc<TapStream>,
        packet: SharedPacket,
        /// The packet's time with the bits that the wire does not carry.
        time: i64,
        dropped: u64,
    },
    Ended(Arc<TapStream>),
}

impl Tapped {
    pub(crate) fn new(
        signal: Arc<Signal>,
        wants: Box<dyn Fn(&StreamName) -> bool + Send + Sync>,
    ) -> Arc<Tapped> {
        Arc::new(Tapped {
            feeds: Mutex::default(),
            signal,
            wants,
            closed: AtomicBool::new(false),
        })
    }

    pub(crate) fn wants(&self, name: &StreamName) -> bool {
        !self.closed.load(Ordering::Acquire) && (self.wants)(name)
    }

    /// Takes what comes next, of each stream that has something in turn.
    pub(crate) fn take(&self) -> Option<TapItem> {
        let mut feeds = self.lock();
        let (count, first) = (feeds.list.len(), feeds.next);
        for index in (0..count).map(|step| (first + step) % count) {
            let (earlier, rest) = feeds.list.split_at_mut(index);
            let feed = &mut rest[0];
            // A stream that came back: first the end of what it was.
            if earlier.iter().any(|f| f.stream.id == feed.stream.id) {
                continue;
            }
            let Some(item) = feed.take() else { continue };
            feeds.next = index + 1;
            if matches!(item, TapItem::Ended(_)) {
                feeds.list.remove(index);
                feeds.next = index;
            }
            return Some(item);
        }
        None
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Nothing more will come, or be taken.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.signal.notify();
    }

    fn lock(&self) -> MutexGuard<'_, Feeds> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feeds {
    fn of(&mut self, stream: &Arc<TapStream>) -> Option<&mut Feed> {
        let mut list = self.list.iter_mut();
        list.rfind(|feed| Arc::ptr_eq(&feed.stream, stream))
    }
}

impl Feed {
    fn take(&mut self) -> Option<TapItem> {
        if !self.announced {
            self.announced = true;
            return Some(TapItem::Started(self.stream.clone()));
        }
        while let Some(entry) = self.queue.pop() {
            if let Entry::Media(queued) = entry {
                // On the wire onMetaData is always at 0.
                if queued.packet.class != Class::Metadata {
                    self.clock = near(self.clock, queued.packet.timestamp);
                }
                return Some(TapItem::Packet {
                    stream: self.stream.clone(),
                    packet: queued.packet,
                    time: self.clock,
                    dropped: self.dropped,
                });
            }
        }
        self.ended.then(|| TapItem::Ended(self.stream.clone()))
    }
}

/// The time nearest to `clock` of which these are the low 32 bits.
fn near(clock: i64, timestamp: u32) -> i64 {
    clock + i64::from(timestamp.wrapping_sub(clock as u32) as i32)
}

/// A stream's end of a tap, on the stream's home worker.
pub(crate) struct TapSink {
    tapped: Arc<Tapped>,
    stream: Arc<TapStream>,
    gate: Gate,
}

/// What a tap gets at once when it is attached.
pub(crate) struct TapStart<'a> {
    pub(crate) stream: TapStream,
    pub(crate) has_video: bool,
    /// What a joiner gets.
    pub(crate) snapshot: &'a [SharedPacket],
    /// The stream's newest time in milliseconds.
    pub(crate) clock: i64,
}

/// Streams that come and go while the owner takes nothing: of those that are over
/// the newest are kept, so that they cost no more than that.
fn forget_ended(feeds: &mut Vec<Feed>) {
    let ended = feeds.iter().filter(|feed| feed.ended).count();
    let mut surplus = ended.saturating_sub(ENDED_FEEDS);
    feeds.retain_mut(|feed| {
        if surplus == 0 || !feed.ended {
            return true;
        }
        surplus -= 1;
        // Whoever was told of the start is told of the end.
        feed.queue = SendQueue::default();
        feed.announced
    });
}

impl TapSink {
    /// Attaches a tap to a stream.
    pub(crate) fn attach(
        tapped: Arc<Tapped>,
        start: TapStart<'_>,
        now: Time,
        config: &QueueConfig,
    ) -> TapSink {
        let stream = Arc::new(start.stream);
        let first = start.snapshot.iter().find(|p| p.class != Class::Metadata);
        let mut feeds = tapped.lock();
        forget_ended(&mut feeds.list);
        feeds.list.push(Feed {
            stream: stream.clone(),
            queue: SendQueue::default(),
            clock: first.map_or(start.clock, |p| near(start.clock, p.timestamp)),
            dropped: 0,
            announced: false,
            ended: false,
        });
        drop(feeds);
        let mut sink = TapSink {
            tapped,
            stream,
            gate: Gate::joining(start.has_video),
        };
        for packet in start.snapshot {
            sink.push(packet, now, config);
        }
        sink.tapped.signal.notify();
        sink
    }

    /// False once the host closed the tap.
    pub(crate) fn push(&mut self, packet: &SharedPacket, now: Time, config: &QueueConfig) -> bool {
        if self.tapped.closed.load(Ordering::Acquire) {
            return false;
        }
        let mut feeds = self.tapped.lock();
        let Some(feed) = feeds.of(&self.stream) else {
            return false;
        };
        if !feed.queue.reserve() {
            // For want of memory a frame is lost as for want of time.
            feed.dropped += 1;
            return true;
        }
        feed.queue
            .push_through(&mut self.gate, packet, 1, now, config);
        // What stays when video is dropped is bounded too: audio of a host that
        // never comes back.
        if feed.queue.footprint() > config.max_bytes.saturating_mul(2) {
            let frames = feed.queue.drop_frames();
            self.gate.shed(frames, true);
        }
        feed.dropped = self.gate.dropped();
        drop(feeds);
        self.tapped.signal.notify();
        true
    }

    pub(crate) fn is_of(&self, tapped: &Arc<Tapped>) -> bool {
        Arc::ptr_eq(&self.tapped, tapped)
    }

    /// Another publisher's frames follow.
    pub(crate) fn restart(&mut self) {
        self.gate.restart();
    }
}

impl Drop for TapSink {
    fn drop(&mut self) {
        if let Some(feed) = self.tapped.lock().of(&self.stream) {
            feed.ended = true;
        }
        self.tapped.signal.notify();
    }
}

/// Wakes the owner of one or several taps.
#[derive(Default)]
pub(crate) struct Signal {
    raised: Mutex<bool>,
    condition: Condvar,
}

impl Signal {
    pub(crate) fn notify(&self) {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        if !*raised {
            *raised = true;
            self.condition.notify_one();
        }
    }

    /// Waits until notified, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let mut raised = match timeout {
            Some(timeout) => {
                self.condition
                    .wait_timeout_while(raised, timeout, |r| !*r)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
            None => self
                .condition
                .wait_while(raised, |r| !*r)
                .unwrap_or_else(PoisonError::into_inner),
        };
        *raised = false;
    }
}
