//! The queue between streams and a tap: one more subscriber, with a drop policy of its
//! own.
//!
//! Each stream has a queue in it, which its home worker and the tap's owner share and
//! nobody else. A queue that gets its first entry is put on the list of those that the
//! owner is to look at, a channel, and the owner is woken if it sleeps. That takes a
//! mutex of the tap (see [`signal`]), by one worker between two looks of the owner. So
//! workers do not wait for each other here while frames pass; only when a stream ends
//! and the owner has left many unread do they take the reader's lock.

mod selection;
mod signal;
mod stream_queue;
#[cfg(all(test, not(loom)))]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use openrtmp_protocol::Time;

pub(crate) use selection::Selection;
pub use selection::{StreamSelector, TapStreams, shard_of, without_ending};
use signal::Signal;
pub(crate) use stream_queue::Bound;
pub use stream_queue::Loss;
use stream_queue::{Pushed, StreamQueue, merge, near};

use super::class::Class;
use super::packet::SharedPacket;
use super::tracks::Track;
use crate::budget::Budget;
use crate::id::StreamId;
use crate::secret::StreamName;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, mpsc, unpoisoned};

/// Streams that are over and of which a tap keeps what its owner did not take.
const ENDED_STREAMS: usize = 64;

/// The stream a frame belongs to.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TapStream {
    /// Which.
    pub id: StreamId,
    /// Its path.
    pub name: StreamName,
}

/// The queue between the workers and a tap.
pub(crate) struct TapQueue {
    selection: Selection,
    bound: Bound,
    /// A recorder takes from it.
    is_recorders: bool,
    budget: Arc<Budget>,
    closed: AtomicBool,
    signal: Signal,
    /// Queues for the reader to look at, each once.
    ready: mpsc::Sender<Arc<StreamQueue>>,
    reader: Mutex<Reader>,
    serials: AtomicUsize,
    /// Streams that are over, their end not taken yet.
    ended: AtomicUsize,
    /// Those who wait until what was recorded is on the disk.
    syncs: Mutex<Vec<std::sync::mpsc::Sender<bool>>>,
}

/// What a tap's owner knows.
struct Reader {
    ready: mpsc::Receiver<Arc<StreamQueue>>,
    /// Queues that have something, each in turn.
    turns: VecDeque<Arc<StreamQueue>>,
    /// Streams of which the owner was told that they started, and not yet that they
    /// ended.
    live: BTreeMap<StreamId, Arc<StreamQueue>>,
}

/// What a tap's owner takes.
pub(crate) struct TapItem {
    pub(crate) stream: Arc<TapStream>,
    pub(crate) news: TapNews,
}

/// What became of a stream.
pub(crate) enum TapNews {
    Started,
    Packet {
        packet: SharedPacket,
        /// The packet's time in milliseconds, with the bits that the wire does not carry.
        time: i64,
        /// When it came in.
        queued: Time,
        /// Frames of the stream that this tap lost so far.
        dropped: u64,
    },
    /// What the stream consists of now.
    Tracks(Arc<[Track]>),
    /// It goes on with another publisher.
    Republished,
    Lost(Loss),
    Ended,
}

impl TapQueue {
    /// One that the host takes from.
    pub(crate) fn new(selection: Selection, bound: Bound, budget: &Arc<Budget>) -> Arc<TapQueue> {
        TapQueue::make(selection, bound, false, budget)
    }

    /// One that a recorder takes from.
    pub(crate) fn of_recorder(
        selection: Selection,
        bound: Bound,
        budget: &Arc<Budget>,
    ) -> Arc<TapQueue> {
        TapQueue::make(selection, bound, true, budget)
    }

    fn make(
        selection: Selection,
        bound: Bound,
        is_recorders: bool,
        budget: &Arc<Budget>,
    ) -> Arc<TapQueue> {
        let (sender, receiver) = mpsc::channel();
        Arc::new(TapQueue {
            selection,
            bound,
            is_recorders,
            budget: budget.clone(),
            closed: AtomicBool::new(false),
            signal: Signal::default(),
            ready: sender,
            reader: Mutex::new(Reader {
                ready: receiver,
                turns: VecDeque::new(),
                live: BTreeMap::new(),
            }),
            serials: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            syncs: Mutex::default(),
        })
    }

    /// Another, for the same streams and with the same bound.
    pub(crate) fn renewed(&self) -> Arc<TapQueue> {
        let selection = self.selection.clone();
        TapQueue::make(selection, self.bound, self.is_recorders, &self.budget)
    }

    pub(crate) fn is_recorders(&self) -> bool {
        self.is_recorders
    }

    /// Streams that have not ended for the owner, and bytes that wait for it.
    pub(crate) fn load(&self) -> (usize, usize) {
        let mut reader = unpoisoned(self.reader.lock());
        reader.gather();
        let reader = &*reader;
        let untold = reader.turns.iter().filter(|queue| !reader.is_live(queue));
        let live = untold.filter(|queue| !queue.is_over()).count() + reader.live.len();
        (live, reader.turns.iter().map(|queue| queue.bytes()).sum())
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// `asked`: the stream's publisher wants it to be recorded.
    pub(crate) fn wants(&self, name: &StreamName, asked: bool) -> bool {
        !self.is_closed() && self.selection.includes(name, asked)
    }

    /// Takes what comes next, of each stream that has something in turn. Once the tap
    /// is closed and what was there is taken, the streams that were live end.
    pub(crate) fn take(&self) -> Option<TapItem> {
        let mut reader = unpoisoned(self.reader.lock());
        reader.gather();
        for _ in 0..reader.turns.len() {
            let Some(queue) = reader.turns.pop_front() else {
                break;
            };
            let stream = queue.stream.clone();
            if !reader.is_live(&queue) {
                if queue.is_over() {
                    continue;
                }
                let may_start = reader.may_start(&queue);
                reader.turns.push_back(queue.clone());
                if !may_start {
                    continue;
                }
                reader.live.insert(stream.id, queue);
                let news = TapNews::Started;
                return Some(TapItem { stream, news });
            }
            let (news, has_more) = queue.take();
            if has_more {
                reader.turns.push_back(queue);
            }
            if let Some(TapNews::Ended) = news {
                reader.live.remove(&stream.id);
                self.ended.fetch_sub(1, Ordering::Relaxed);
            }
            if let Some(news) = news {
                return Some(TapItem { stream, news });
            }
        }
        match self.is_closed() {
            true => reader.end_one(),
            false => None,
        }
    }

    /// Waits until there is something to take, at most `timeout`. It may return early.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        self.signal.wait(timeout);
    }

    /// Has a waker called when there is something to take. True if there may be
    /// something already: then it has to be looked for, and the waker may not be called.
    pub(crate) fn register(&self, waker: &Waker) -> bool {
        self.signal.register(waker)
    }

    /// Asks the recorder to sync its files; the answer is whether all could be.
    pub(crate) fn ask_to_sync(&self, answer: std::sync::mpsc::Sender<bool>) {
        unpoisoned(self.syncs.lock()).push(answer);
        self.signal.raise();
    }

    /// Those who asked.
    pub(crate) fn take_syncs(&self) -> Vec<std::sync::mpsc::Sender<bool>> {
        std::mem::take(&mut *unpoisoned(self.syncs.lock()))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Nothing more comes in.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.signal.raise();
    }

    /// Closes it, and drops what waits: nobody will take it.
    pub(crate) fn abandon(&self) {
        self.close();
        let mut reader = unpoisoned(self.reader.lock());
        reader.gather();
        for queue in std::mem::take(&mut reader.turns) {
            queue.finish();
        }
        for (_, queue) in std::mem::take(&mut reader.live) {
            queue.finish();
        }
    }

    /// Entries that wait, of each queue that has some or its end.
    #[cfg(all(test, not(loom)))]
    fn lengths(&self) -> Vec<usize> {
        let mut reader = unpoisoned(self.reader.lock());
        reader.gather();
        reader.turns.iter().map(|queue| queue.len()).collect()
    }

    fn list(&self, queue: &Arc<StreamQueue>, pushed: Pushed) {
        if pushed == Pushed::First {
            // Never refused: the receiving end is in here too.
            let _ = self.ready.send(queue.clone());
            self.signal.raise();
        }
    }

    /// Streams that come and go while the owner takes nothing: of those that are over
    /// the newest are kept, so that they cost no more than that. What the others had is told
    /// as lost with the oldest that is kept.
    fn forget_ended(&self) {
        let mut reader = unpoisoned(self.reader.lock());
        reader.gather();
        let ended = reader.turns.iter().filter(|queue| queue.has_ended());
        let mut ended: Vec<Arc<StreamQueue>> = ended.cloned().collect();
        ended.sort_unstable_by_key(|queue| queue.serial);
        let surplus = ended.len().saturating_sub(ENDED_STREAMS);
        let (forgotten, kept) = ended.split_at(surplus);
        let mut untold = None;
        for queue in forgotten {
            if reader.is_live(queue) {
                // Whoever was told of the start is told of the end.
                queue.drop_content();
            } else {
                if let Some(loss) = queue.finish() {
                    merge(&mut untold, &loss);
                }
                reader.turns.retain(|q| !Arc::ptr_eq(q, queue));
                self.ended.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if let (Some(loss), Some(heir)) = (untold, kept.first()) {
            heir.inherit(&loss);
        }
    }
}

impl Reader {
    fn gather(&mut self) {
        while let Ok(queue) = self.ready.try_recv() {
            self.turns.push_back(queue);
        }
    }

    /// Whether the owner was told that this one started.
    fn is_live(&self, queue: &Arc<StreamQueue>) -> bool {
        let live = self.live.get(&queue.stream.id);
        live.is_some_and(|live| Arc::ptr_eq(live, queue))
    }

    /// A stream that came back: first the end of what it was.
    fn may_start(&self, queue: &StreamQueue) -> bool {
        let id = queue.stream.id;
        let is_earlier = |q: &Arc<StreamQueue>| q.stream.id == id && q.serial < queue.serial;
        !self.live.contains_key(&id) && !self.turns.iter().any(is_earlier)
    }

    /// Ends a stream for the owner that has not ended by itself.
    fn end_one(&mut self) -> Option<TapItem> {
        let (_, queue) = self.live.first_key_value()?;
        let queue = queue.clone();
        let stream = queue.stream.clone();
        if let Some(loss) = queue.finish() {
            let news = TapNews::Lost(loss);
            return Some(TapItem { stream, news });
        }
        self.live.remove(&stream.id);
        let news = TapNews::Ended;
        Some(TapItem { stream, news })
    }
}

/// A stream's end of a tap, on the stream's home worker.
pub(crate) struct TapSink {
    tap: Arc<TapQueue>,
    queue: Arc<StreamQueue>,
}

/// What a tap gets at once when it is attached.
pub(crate) struct TapStart<'a> {
    pub(crate) stream: TapStream,
    /// What the stream consists of, if that is known.
    pub(crate) tracks: &'a [Track],
    /// What a joiner gets.
    pub(crate) snapshot: &'a [SharedPacket],
    /// The stream's newest time in milliseconds.
    pub(crate) clock: i64,
}

impl TapSink {
    /// Attaches a tap to a stream.
    pub(crate) fn attach(tap: Arc<TapQueue>, start: TapStart<'_>, now: Time) -> TapSink {
        let first = start.snapshot.iter().find(|p| p.class != Class::Metadata);
        let clock = first.map_or(start.clock, |p| near(start.clock, p.timestamp));
        let serial = tap.serials.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(start.stream);
        let queue = StreamQueue::new(stream, serial, clock, &tap.budget);
        let mut sink = TapSink {
            queue: Arc::new(queue),
            tap,
        };
        if !start.tracks.is_empty() {
            sink.push_tracks(&start.tracks.into());
        }
        for packet in start.snapshot {
            sink.push(packet, now);
        }
        sink.tap.list(&sink.queue, Pushed::First);
        sink
    }

    /// False once the host closed the tap.
    pub(crate) fn push(&mut self, packet: &SharedPacket, now: Time) -> bool {
        if self.tap.is_closed() {
            return false;
        }
        let pushed = self.queue.push(packet, now, self.tap.bound);
        self.tap.list(&self.queue, pushed);
        pushed != Pushed::Over
    }

    /// The stream consists of other tracks from here on.
    pub(crate) fn push_tracks(&mut self, tracks: &Arc<[Track]>) {
        self.tap.list(&self.queue, self.queue.push_tracks(tracks));
    }

    /// Another publisher's frames follow.
    pub(crate) fn push_republished(&mut self) {
        self.tap.list(&self.queue, self.queue.push_republished());
    }

    /// Whether its tap still wants the stream.
    pub(crate) fn is_wanted(&self, wants: impl Fn(&TapQueue) -> bool) -> bool {
        wants(&self.tap)
    }

    pub(crate) fn is_of(&self, tap: &Arc<TapQueue>) -> bool {
        Arc::ptr_eq(&self.tap, tap)
    }
}

impl Drop for TapSink {
    fn drop(&mut self) {
        let pushed = self.queue.end();
        if pushed == Pushed::Over {
            return;
        }
        let ended = self.tap.ended.fetch_add(1, Ordering::Relaxed);
        self.tap.list(&self.queue, pushed);
        if ended >= ENDED_STREAMS {
            self.tap.forget_ended();
        }
    }
}
