//! What one stream has for one tap: written by the stream's home worker, read by the
//! tap's owner.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use openrtmp_protocol::Time;

use super::{TapNews, TapStream};
use crate::budget::{Budget, Charge, Holder, Share};
use crate::steps;
use crate::stream::capacity;
use crate::stream::class::Class;
use crate::stream::gate::Gate;
use crate::stream::packet::{Packet, SharedPacket};
use crate::stream::tracks::Track;
use crate::sync::{Mutex, MutexGuard, unpoisoned};

/// Frames that a tap did not get because it was too slow. Handed out where the gap
/// ends: before the frame that goes on behind it, or before the stream's end.
///
/// Of streams that are over a tap keeps 64 that its owner has not begun to take. What those
/// before them had is counted in the first loss of the next that is told of, at that
/// stream's newest time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// Frames; those of several tracks in one message count as one.
    pub frames: u64,
    /// Bytes of their messages.
    pub bytes: u64,
    /// Decoding time of the earliest, in microseconds on the stream's clock.
    pub from_micros: i64,
    /// Decoding time of the latest.
    pub to_micros: i64,
}

impl Loss {
    fn of(packet: &SharedPacket, time: i64) -> Loss {
        Loss {
            frames: 1,
            bytes: packet.len() as u64,
            from_micros: time * 1000,
            to_micros: time * 1000,
        }
    }

    /// From the earliest frame to the latest.
    pub fn span(&self) -> Duration {
        let micros = self.to_micros.saturating_sub(self.from_micros);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    pub(crate) fn add(&mut self, other: &Loss) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.from_micros = self.from_micros.min(other.from_micros);
        self.to_micros = self.to_micros.max(other.to_micros);
    }
}

pub(super) fn merge(sum: &mut Option<Loss>, loss: &Loss) {
    match sum {
        Some(sum) => sum.add(loss),
        None => *sum = Some(*loss),
    }
}

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) bytes: usize,
    pub(crate) delay: Option<Duration>,
}

/// A queue with one writer and one reader.
pub(super) struct StreamQueue {
    pub(super) stream: Arc<TapStream>,
    /// Counts the tap's queues: of two for one stream the lower came first.
    pub(super) serial: usize,
    state: Mutex<State>,
}

struct State {
    entries: VecDeque<Slot>,
    /// Bytes that the entries refer to.
    bytes: usize,
    /// The number of the next entry.
    next: u64,
    /// The number of the newest key frame, which may be taken already.
    newest_key: Option<u64>,
    /// Nothing before this number may be dropped.
    swept: u64,
    gate: Gate,
    /// Stream time of the newest frame in milliseconds: the 32 bits of the next one
    /// are near it.
    clock: i64,
    /// The oldest frame that may be dropped: its number, and when it came in.
    oldest_droppable: Option<(u64, Time)>,
    /// The oldest of all frames.
    oldest_frame: Option<(u64, Time)>,
    /// Lost since the last entry.
    losing: Option<Loss>,
    /// Lost of streams before this one that nobody is told of.
    inherited: Option<Loss>,
    /// Frames lost in all.
    lost: u64,
    /// It is among those that the reader is to look at.
    listed: bool,
    ended: bool,
    /// Nothing more comes out.
    over: bool,
    /// The room for entries.
    charge: Charge,
    share: Share,
}

/// A place in the queue. Numbers grow along it, and none is used twice.
struct Slot {
    number: u64,
    entry: Entry,
}

enum Entry {
    Packet {
        packet: SharedPacket,
        /// Milliseconds, with the bits that the wire does not carry.
        time: i64,
        queued: Time,
    },
    Tracks(Arc<[Track]>),
    Republished,
    Lost(Loss),
}

impl Entry {
    fn len(&self) -> usize {
        match self {
            Entry::Packet { packet, .. } => packet.len(),
            Entry::Tracks(tracks) => size_of_val(&tracks[..]),
            Entry::Republished | Entry::Lost(_) => 0,
        }
    }

    /// Whether what follows may go on from here, whatever is missing before it.
    fn is_key(&self) -> bool {
        matches!(self, Entry::Packet { packet, .. } if packet.is_entry())
    }

    fn droppable_since(&self) -> Option<Time> {
        match self {
            Entry::Packet { packet, queued, .. } if packet.is_droppable() => Some(*queued),
            _ => None,
        }
    }

    fn frame_since(&self) -> Option<Time> {
        match self {
            Entry::Packet { packet, queued, .. } if !is_header(packet) => Some(*queued),
            _ => None,
        }
    }
}

/// What became of a push.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The reader will find it.
    Queued,
    /// The reader has to be told to look.
    First,
    /// Nobody reads here any more.
    Over,
}

impl StreamQueue {
    /// Listed from the start: the reader is to be told that the stream is there.
    pub(super) fn new(
        stream: Arc<TapStream>,
        serial: usize,
        clock: i64,
        budget: &Arc<Budget>,
    ) -> StreamQueue {
        StreamQueue {
            stream,
            serial,
            state: Mutex::new(State {
                entries: VecDeque::new(),
                bytes: 0,
                next: 0,
                newest_key: None,
                swept: 0,
                gate: Gate::joining(),
                clock,
                oldest_droppable: None,
                oldest_frame: None,
                losing: None,
                inherited: None,
                lost: 0,
                listed: true,
                ended: false,
                over: false,
                charge: Charge::new(budget, 0),
                share: Share::new(budget, Holder::Tap),
            }),
        }
    }

    pub(super) fn push(&self, packet: &SharedPacket, now: Time, bound: Bound) -> Pushed {
        let mut state = self.lock();
        if state.over {
            return Pushed::Over;
        }
        // On the wire onMetaData is always at 0.
        if packet.class != Class::Metadata {
            state.clock = near(state.clock, packet.timestamp);
        }
        state.take_in(packet, now, bound);
        state.list()
    }

    pub(super) fn push_tracks(&self, tracks: &Arc<[Track]>) -> Pushed {
        let mut state = self.lock();
        state.append_event(Entry::Tracks(tracks.clone()));
        state.list()
    }

    /// Another publisher's frames follow.
    pub(super) fn push_republished(&self) -> Pushed {
        let mut state = self.lock();
        state.gate.restart();
        state.append_event(Entry::Republished);
        state.list()
    }

    /// The stream is over.
    pub(super) fn end(&self) -> Pushed {
        let mut state = self.lock();
        if state.over {
            return Pushed::Over;
        }
        state.ended = true;
        state.list()
    }

    /// Takes what comes next, and whether there is more after it.
    pub(super) fn take(&self) -> (Option<TapNews>, bool) {
        let mut state = self.lock();
        let news = state.take();
        state.listed = state.has_more();
        (news, state.listed)
    }

    /// Whether nothing more comes out.
    pub(super) fn is_over(&self) -> bool {
        self.lock().over
    }

    pub(super) fn has_ended(&self) -> bool {
        let state = self.lock();
        state.ended && !state.over
    }

    /// What is there is lost, but for the news of that and of the end.
    pub(super) fn drop_content(&self) {
        self.lock().drop_all(false);
    }

    /// What is there is nobody's concern any more. Returns what was lost untold, what is
    /// there included.
    pub(super) fn finish(&self) -> Option<Loss> {
        let mut state = self.lock();
        state.over = true;
        let mut sum = state.inherited.take();
        for slot in std::mem::take(&mut state.entries) {
            match slot.entry {
                Entry::Packet { packet, time, .. } if !is_header(&packet) => {
                    merge(&mut sum, &Loss::of(&packet, time));
                }
                Entry::Lost(loss) => merge(&mut sum, &loss),
                Entry::Packet { .. } | Entry::Tracks(_) | Entry::Republished => {}
            }
        }
        if let Some(loss) = state.losing.take() {
            merge(&mut sum, &loss);
        }
        state.bytes = 0;
        state.account();
        sum
    }

    /// Nobody is told of a stream before this one: what was lost of it is told with this
    /// one, at a time of this one's clock.
    pub(super) fn inherit(&self, loss: &Loss) {
        let mut state = self.lock();
        let now = state.clock * 1000;
        let (from_micros, to_micros) = (now, now);
        let loss = Loss {
            from_micros,
            to_micros,
            ..*loss
        };
        merge(&mut state.inherited, &loss);
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }
}

impl State {
    fn list(&mut self) -> Pushed {
        let is_first = !self.listed && self.has_more();
        self.listed |= is_first;
        match (self.over, is_first) {
            (true, _) => Pushed::Over,
            (false, true) => Pushed::First,
            (false, false) => Pushed::Queued,
        }
    }

    fn has_more(&self) -> bool {
        !self.over && (self.ended || !self.entries.is_empty())
    }

    fn take(&mut self) -> Option<TapNews> {
        if self.over {
            return None;
        }
        if let Some(loss) = self.inherited.take() {
            return Some(TapNews::Lost(loss));
        }
        let Some(Slot { number, entry }) = self.entries.pop_front() else {
            // The gap may go on: it is told once it has ended.
            if !self.ended {
                return None;
            }
            if let Some(loss) = self.losing.take() {
                return Some(TapNews::Lost(loss));
            }
            self.over = true;
            return Some(TapNews::Ended);
        };
        self.bytes -= entry.len();
        self.find_oldest(number + 1);
        self.account();
        Some(match entry {
            Entry::Packet {
                packet,
                time,
                queued,
            } => TapNews::Packet {
                packet,
                time,
                queued,
                dropped: self.lost,
            },
            Entry::Tracks(tracks) => TapNews::Tracks(tracks),
            Entry::Republished => TapNews::Republished,
            Entry::Lost(loss) => TapNews::Lost(loss),
        })
    }

    /// Queues a packet that the gate lets pass, after dropping what has to be.
    fn take_in(&mut self, packet: &SharedPacket, now: Time, bound: Bound) {
        if !self.gate.is_shedding() && self.is_over_bound(now, bound) {
            self.shed(packet, now, bound);
        }
        let dropped = self.gate.dropped();
        if !self.gate.admit(packet) {
            // The gate counts what congestion costs, not what a joiner waits out.
            if self.gate.dropped() > dropped {
                self.lose(&Loss::of(packet, self.clock));
            }
        } else if self.entries.try_reserve(2).is_err() {
            // For want of memory a frame is lost as for want of time.
            self.lose(&Loss::of(packet, self.clock));
        } else {
            if !self.gate.is_shedding() {
                self.append_loss();
            }
            let entry = Entry::Packet {
                packet: packet.clone(),
                time: self.clock,
                queued: now,
            };
            if entry.is_key() {
                self.newest_key = Some(self.next);
            }
            let number = self.next;
            if packet.is_droppable() {
                self.oldest_droppable.get_or_insert((number, now));
            }
            if !is_header(packet) {
                self.oldest_frame.get_or_insert((number, now));
            }
            self.append(entry);
        }
        // What stays when video is dropped is bounded too: audio of a host that never
        // comes back.
        if self.is_far_over_bound(now, bound) || self.share.is_to_give_way(self.footprint()) {
            self.drop_all(true);
        }
        self.account();
    }

    fn append(&mut self, entry: Entry) {
        self.bytes += entry.len();
        self.entries.push_back(Slot {
            number: self.next,
            entry,
        });
        self.next += 1;
    }

    /// What it keeps alive, as if it were the only one.
    fn footprint(&self) -> usize {
        self.bytes + self.entries.len() * (size_of::<Slot>() + Packet::OVERHEAD)
    }

    /// Counts its room, and gives back what a burst left.
    fn account(&mut self) {
        capacity::give_back(&mut self.entries);
        let room = capacity::charged(&self.entries);
        if room != self.charge.bytes() {
            self.charge.set(room);
        }
    }

    fn is_over_bound(&self, now: Time, bound: Bound) -> bool {
        let age = self.oldest_droppable.map(|(_, since)| now.since(since));
        self.bytes > bound.bytes || age.zip(bound.delay).is_some_and(|(age, most)| age > most)
    }

    fn is_far_over_bound(&self, now: Time, bound: Bound) -> bool {
        let bytes = self.bytes + self.entries.len() * size_of::<Slot>();
        bytes > bound.bytes.saturating_mul(2)
            || bound.delay.is_some_and(|most| self.age(now) > most * 2)
    }

    /// How long the oldest frame has waited.
    fn age(&self, now: Time) -> Duration {
        self.oldest_frame
            .map_or(Duration::ZERO, |(_, since)| now.since(since))
    }

    /// Drops inter frames up to the newest key frame of the default track; if that
    /// does not do, those after it too, and those that come until the next.
    fn shed(&mut self, next: &SharedPacket, now: Time, bound: Bound) {
        let front = self.entries.front().map_or(self.next, |slot| slot.number);
        if let Some(key) = self.newest_key.filter(|&key| key >= front) {
            self.drop_inter_frames(key);
            if !self.is_over_bound(now, bound) {
                return;
            }
        }
        let dropped = self.drop_inter_frames(self.next);
        // Without video there is no key frame to wait for.
        if dropped || next.is_droppable() {
            self.gate.shed(0, true);
        }
    }

    /// Drops the inter frames before the number `end`, which is that of a key frame or of
    /// the next entry, and tells of them before each key frame. Those that stay there are
    /// not looked at again. False if there are none.
    fn drop_inter_frames(&mut self, end: u64) -> bool {
        // A loss of nothing stands for what is to go.
        const NOTHING: Loss = Loss {
            frames: 0,
            bytes: 0,
            from_micros: 0,
            to_micros: 0,
        };
        let lost = self.lost;
        let (mut gap, mut place) = (None, 0);
        let first = self.place(self.swept);
        let end_place = self.place(end).max(first);
        self.swept = self.swept.max(end);
        for index in first..end_place {
            match &self.entries[index].entry {
                Entry::Packet { packet, time, .. } if packet.is_droppable() => {
                    self.bytes -= packet.len();
                    self.lost += 1;
                    merge(&mut gap, &Loss::of(packet, *time));
                    self.entries[index].entry = Entry::Lost(NOTHING);
                    place = index;
                }
                entry if entry.is_key() => {
                    if let Some(loss) = gap.take() {
                        self.entries[place].entry = Entry::Lost(loss);
                    }
                }
                _ => {}
            }
        }
        match gap {
            Some(loss) if end_place < self.entries.len() => {
                self.entries[place].entry = Entry::Lost(loss);
            }
            Some(loss) => merge(&mut self.losing, &loss),
            None => {}
        }
        steps::walk(end_place - first);
        if self.lost > lost {
            self.close_up(first);
            self.find_oldest(0);
        }
        self.lost > lost
    }

    /// Takes out what stands for nothing, from a place on.
    fn close_up(&mut self, first: usize) {
        let mut kept = first;
        for index in first..self.entries.len() {
            if !matches!(&self.entries[index].entry, Entry::Lost(loss) if loss.frames == 0) {
                self.entries.swap(kept, index);
                kept += 1;
            }
        }
        steps::walk(self.entries.len() - first);
        self.entries.truncate(kept);
    }

    /// The place of the first entry with this number or a greater one.
    fn place(&self, number: u64) -> usize {
        self.entries.partition_point(|slot| {
            steps::walk(1);
            slot.number < number
        })
    }

    /// Drops everything but what frames to come need: the newest metadata and headers,
    /// the newest tracks, that another publisher took over.
    fn drop_all(&mut self, wait_for_keyframe: bool) {
        let mut seen = Vec::new();
        let (mut tracks, mut republished, mut video) = (false, false, false);
        let (mut sum, mut count) = (None, 0);
        for slot in std::mem::take(&mut self.entries).into_iter().rev() {
            let keep = match &slot.entry {
                Entry::Packet { packet, time, .. } => {
                    let place = (packet.class, packet.slot);
                    let is_header = is_header(packet);
                    if !is_header {
                        video |= matches!(packet.class, Class::Key | Class::Inter);
                        count += 1;
                        merge(&mut sum, &Loss::of(packet, *time));
                    }
                    let keep = is_header && !seen.contains(&place);
                    if keep {
                        seen.push(place);
                    }
                    keep
                }
                Entry::Tracks(_) => !std::mem::replace(&mut tracks, true),
                Entry::Republished => !std::mem::replace(&mut republished, true),
                Entry::Lost(loss) => {
                    merge(&mut sum, loss);
                    false
                }
            };
            if keep {
                self.entries.push_front(slot);
            } else {
                self.bytes -= slot.entry.len();
            }
        }
        (self.oldest_droppable, self.oldest_frame) = (None, None);
        self.account();
        if let Some(loss) = &sum {
            merge(&mut self.losing, loss);
        }
        self.lost += count;
        if video && wait_for_keyframe {
            self.gate.shed(0, true);
        }
    }

    fn lose(&mut self, loss: &Loss) {
        self.lost += loss.frames;
        merge(&mut self.losing, loss);
    }

    fn append_loss(&mut self) {
        if let Some(loss) = self.losing.take() {
            self.append(Entry::Lost(loss));
        }
    }

    /// Queues what is no packet. For want of memory it is not told.
    fn append_event(&mut self, entry: Entry) {
        if !self.over && self.entries.try_reserve(2).is_ok() {
            self.append_loss();
            self.append(entry);
            self.account();
        }
    }

    /// Entries are gone, at least those before the number `front`: the oldest frames may
    /// be others now. Each is behind the one before, so no entry is passed twice.
    fn find_oldest(&mut self, front: u64) {
        self.oldest_droppable = self.still(self.oldest_droppable, front, Entry::droppable_since);
        self.oldest_frame = self.still(self.oldest_frame, front, Entry::frame_since);
    }

    fn still(
        &self,
        oldest: Option<(u64, Time)>,
        front: u64,
        since: impl Fn(&Entry) -> Option<Time>,
    ) -> Option<(u64, Time)> {
        let (number, _) = oldest?;
        if front > 0 && number >= front {
            return oldest;
        }
        self.entries.range(self.place(number)..).find_map(|slot| {
            steps::walk(1);
            since(&slot.entry).map(|since| (slot.number, since))
        })
    }
}

/// Whether frames to come may need it.
fn is_header(packet: &SharedPacket) -> bool {
    matches!(packet.class, Class::Metadata | Class::Header)
}

/// The time nearest to `clock` of which these are the low 32 bits.
pub(super) fn near(clock: i64, timestamp: u32) -> i64 {
    clock + i64::from(timestamp.wrapping_sub(clock as u32) as i32)
}
