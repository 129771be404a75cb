//! What waits to be sent to one connection, in order, and what of it is dropped.
//!
//! No step of it looks through what waits, however long that has become: a place in the
//! queue is a number, found by halving, and each search goes on where the last of its
//! kind ended. So every entry is looked at a few times between coming and going.

mod entries;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openrtmp_protocol::Time;

use super::gate::Gate;
use super::packet::{COMMON_MESSAGE_STREAM, Packet, SharedPacket};
use crate::budget::{Budget, Charge};
use crate::config::QueueConfig;
use crate::limit::Limit;
use crate::steps;
use entries::Entries;
pub(crate) use write::{WriteEnd, Written};

/// What an allocator and the count of who holds it add to the buffer of a control message.
const CONTROL_OVERHEAD: usize = 64;

/// What waits to be sent to one connection, in order.
#[derive(Debug)]
pub(crate) struct SendQueue {
    entries: Entries,
    /// Bytes in `entries`, of the front one what is left.
    bytes: usize,
    /// Of them, bytes of control messages: answers, which the peer causes.
    control_bytes: usize,
    /// Control messages waiting.
    controls: u32,
    /// Bytes of the front entry that are sent.
    cursor: usize,
    /// The number of the next entry.
    next: u64,
    /// The oldest frame that may be dropped: its number, and when it came in.
    oldest_droppable: Option<(u64, Time)>,
    /// Some wait for another message stream than the common one.
    uncommon: bool,
    /// The room for entries.
    charge: Charge,
}

/// One thing to send.
#[derive(Debug)]
struct Entry {
    /// Grows along the queue, and none is used twice: it names a place, whatever was
    /// taken out before it.
    number: u64,
    queued: Time,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// A message that the session wrote, chunked already. Elsewhere, for most are packets,
    /// and a packet needs half the room.
    Control(Box<Bytes>),
    /// A packet of a stream, and the message stream it goes out on.
    Media(SharedPacket, u32),
}

impl Entry {
    fn len(&self) -> usize {
        match &self.content {
            Content::Control(bytes) => bytes.len(),
            Content::Media(packet, _) => packet.len(),
        }
    }

    fn is_droppable(&self) -> bool {
        matches!(&self.content, Content::Media(packet, _) if packet.is_droppable())
    }

    fn is_of(&self, message_stream: u32) -> bool {
        matches!(self.content, Content::Media(_, stream) if stream == message_stream)
    }
}

/// A subscription's part of a queue: what goes out on one message stream.
#[derive(Debug)]
pub(crate) struct Lane {
    message_stream: u32,
    /// The number of its newest key frame, which may be sent already.
    newest_key: Option<u64>,
    /// No frame of it before this number may be dropped.
    swept: u64,
}

impl Lane {
    pub(crate) fn message_stream(&self) -> u32 {
        self.message_stream
    }
}

/// What dropping did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shed {
    /// Frames dropped.
    frames: u64,
    /// No key frame is left in the queue to go on from.
    until_keyframe: bool,
}

impl SendQueue {
    pub(crate) fn new(budget: &Arc<Budget>) -> SendQueue {
        SendQueue {
            entries: Entries::default(),
            bytes: 0,
            control_bytes: 0,
            controls: 0,
            cursor: 0,
            next: 0,
            oldest_droppable: None,
            uncommon: false,
            charge: Charge::new(budget, 0),
        }
    }

    /// A subscription that begins: what waits already is not its.
    pub(crate) fn lane(&self, message_stream: u32) -> Lane {
        Lane {
            message_stream,
            newest_key: None,
            swept: self.next,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Payload bytes waiting.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it keeps alive, as if it were the only one: bytes waiting, their packets,
    /// and the entries.
    #[inline]
    pub(crate) fn footprint(&self) -> usize {
        self.bytes + self.entries.len() * (size_of::<Entry>() + Packet::OVERHEAD)
    }

    /// Makes room for one more entry. False if there is no memory for it.
    #[inline]
    pub(crate) fn reserve(&mut self) -> bool {
        self.entries.has_room() || self.reserve_for(1)
    }

    /// Makes room for so many more, which are there already. False if there is no memory
    /// for it.
    #[cold]
    pub(crate) fn reserve_for(&mut self, more: usize) -> bool {
        let grown = self.entries.try_reserve(more);
        self.account();
        grown
    }

    /// Why a subscriber whose queue this is cannot go on: too much waits, or too
    /// long, though what may be dropped was.
    pub(crate) fn is_hopeless(&self, now: Time, config: &QueueConfig) -> Option<(Limit, String)> {
        if self.footprint() > config.max_bytes.saturating_mul(2) {
            return Some((Limit::QueueBytes, format!("{} bytes behind", self.bytes)));
        }
        // It takes a little now and then. What may be dropped is, after `max_delay`;
        // what is held back to be written together never waits that long.
        let age = self.age(now);
        let patience = config.max_delay + config.stall_timeout;
        (age > patience).then(|| (Limit::StallTimeout, format!("{} s behind", age.as_secs())))
    }

    /// How long the oldest entry has waited.
    fn age(&self, now: Time) -> Duration {
        let oldest = self.entries.front();
        oldest.map_or(Duration::ZERO, |entry| now.since(entry.queued))
    }

    /// Bytes of control messages waiting.
    pub(crate) fn control_bytes(&self) -> usize {
        self.control_bytes
    }

    /// What control messages take: their buffers grew to up to twice their length.
    pub(crate) fn control_footprint(&self) -> usize {
        2 * self.control_bytes + self.controls as usize * CONTROL_OVERHEAD
    }

    /// Entries waiting.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How long the oldest frame that may be dropped has waited.
    pub(crate) fn delay(&self, now: Time) -> Duration {
        self.oldest_droppable
            .map_or(Duration::ZERO, |(_, since)| now.since(since))
    }

    /// True once video is to be dropped.
    pub(crate) fn is_congested(&self, now: Time, config: &QueueConfig) -> bool {
        self.bytes > config.max_bytes || self.delay(now) > config.max_delay
    }

    pub(crate) fn push_control(&mut self, bytes: Bytes, now: Time) {
        self.bytes += bytes.len();
        self.control_bytes += bytes.len();
        self.controls += 1;
        let room = self.entries.capacity();
        self.push(Content::Control(Box::new(bytes)), now);
        if self.entries.capacity() != room {
            self.account();
        }
    }

    #[inline]
    pub(crate) fn push_media(&mut self, packet: SharedPacket, lane: &mut Lane, now: Time) {
        self.bytes += packet.len();
        if packet.is_droppable() && self.oldest_droppable.is_none() {
            self.oldest_droppable = Some((self.next, now));
        }
        if packet.is_entry() {
            lane.newest_key = Some(self.next);
        }
        self.uncommon |= lane.message_stream != COMMON_MESSAGE_STREAM;
        self.push(Content::Media(packet, lane.message_stream), now);
    }

    #[inline]
    fn push(&mut self, content: Content, now: Time) {
        self.entries.push_back(Entry {
            number: self.next,
            queued: now,
            content,
        });
        self.next += 1;
    }

    /// Queues a packet for a subscription if its gate lets it pass, after dropping
    /// what has to be dropped. Returns the frames dropped just now.
    #[inline]
    pub(crate) fn push_through(
        &mut self,
        gate: &mut Gate,
        packet: &SharedPacket,
        lane: &mut Lane,
        now: Time,
        config: &QueueConfig,
    ) -> u64 {
        let mut frames = 0;
        // Nothing waits for a player that keeps up.
        if !self.is_empty() && !gate.is_shedding() && self.is_congested(now, config) {
            let shed = self.shed(lane, now, config);
            frames = shed.frames;
            gate.shed(shed.frames, shed.until_keyframe);
        }
        if gate.admit(packet) {
            self.push_media(packet.clone(), lane, now);
        }
        frames
    }

    /// Drops a subscription's inter frames up to its newest key frame; if that does not bring the
    /// queue below its limits, those after it too. Everything else stays.
    #[cold]
    fn shed(&mut self, lane: &mut Lane, now: Time, config: &QueueConfig) -> Shed {
        let front = self.entries.front().map_or(self.next, |entry| entry.number);
        let newest_key = lane.newest_key.filter(|&key| key >= front);
        let mut frames = self.drop_inter_frames(lane, newest_key.unwrap_or(self.next));
        let mut until_keyframe = newest_key.is_none();
        if !until_keyframe && self.is_congested(now, config) {
            frames += self.drop_inter_frames(lane, self.next);
            until_keyframe = true;
        }
        Shed {
            frames,
            until_keyframe,
        }
    }

    /// Drops a subscription's inter frames before the number `end`. Those that stay
    /// there are not looked at again.
    fn drop_inter_frames(&mut self, lane: &mut Lane, end: u64) -> u64 {
        // The front entry may be half sent: its rest has to follow.
        let sending = usize::from(self.cursor > 0);
        let first = self.place(lane.swept).max(sending);
        let end_place = self.place(end).max(first);
        lane.swept = lane.swept.max(end);
        let (mut kept, mut freed) = (first, 0);
        for place in first..end_place {
            let Some(entry) = self.entries.get(place) else {
                break;
            };
            if entry.is_of(lane.message_stream) && entry.is_droppable() {
                freed += entry.len();
            } else {
                self.entries.swap(kept, place);
                kept += 1;
            }
        }
        steps::walk(end_place - first);
        let dropped = end_place - kept;
        if dropped > 0 {
            let length = self.entries.len();
            for place in end_place..length {
                self.entries.swap(kept, place);
                kept += 1;
            }
            steps::walk(length - end_place);
            self.entries.truncate(kept);
            self.bytes -= freed;
            self.find_oldest_droppable();
            self.give_back_room();
        }
        dropped as u64
    }

    /// The place of the first entry with this number or a greater one.
    fn place(&self, number: u64) -> usize {
        self.entries.partition_point(|entry| {
            steps::walk(1);
            entry.number < number
        })
    }

    /// The oldest frame that may be dropped was, or was sent: the next is behind it.
    fn find_oldest_droppable(&mut self) {
        let Some((number, _)) = self.oldest_droppable else {
            return;
        };
        let from = self.place(number);
        let found = self.entries.find(from, |entry| {
            steps::walk(1);
            entry.is_droppable()
        });
        self.oldest_droppable = found.map(|entry| (entry.number, entry.queued));
    }

    /// After a burst: a queue that stays short keeps no room for the next one.
    #[inline]
    fn give_back_room(&mut self) {
        if self.entries.is_large() {
            self.give_back_much();
        }
    }

    #[cold]
    fn give_back_much(&mut self) {
        if self.entries.give_back() {
            self.account();
        }
    }

    #[cold]
    fn account(&mut self) {
        self.charge.set(self.entries.charged());
    }
}
