use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::time::Duration;

use bytes::Bytes;
use openrtmp_protocol::Time;
use openrtmp_protocol::chunk::ChunkHeaders;

use super::gate::Gate;
use super::packet::{COMMON_MESSAGE_STREAM, Class, SharedPacket};
use crate::config::QueueConfig;

/// Slices of one vectored write. Linux takes 1,024; at two or three a packet
/// this is more than a turn gathers.
const SLICES: usize = 64;

/// What waits to be sent to one connection (or taken by one tap), in order.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    entries: VecDeque<Entry>,
    /// Bytes in `entries`, of the front one what is left.
    bytes: usize,
    /// Of them, bytes of control messages: answers, which the peer causes.
    control_bytes: usize,
    /// Bytes of the front entry that are sent.
    cursor: usize,
    /// When the oldest frame that may be dropped came in.
    oldest_droppable: Option<Time>,
}

/// One thing to send.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A message that the session wrote, chunked already.
    Control(Bytes),
    /// A packet of a stream.
    Media(QueuedPacket),
}

/// A packet in a queue.
#[derive(Debug)]
pub(crate) struct QueuedPacket {
    pub(crate) packet: SharedPacket,
    queued: Time,
    /// Message stream it goes out on.
    stream: u32,
    /// Headers for a message stream id other than the common one.
    headers: Option<Box<ChunkHeaders>>,
}

impl QueuedPacket {
    fn headers(&self) -> &ChunkHeaders {
        self.headers.as_deref().unwrap_or(&self.packet.headers)
    }
}

impl Entry {
    fn wire_len(&self, chunk_size: u32) -> usize {
        match self {
            Entry::Control(bytes) => bytes.len(),
            Entry::Media(m) => m.headers().wire_len(m.packet.payload.len(), chunk_size),
        }
    }

    fn len(&self) -> usize {
        match self {
            Entry::Control(bytes) => bytes.len(),
            Entry::Media(m) => m.packet.len(),
        }
    }

    fn is_of(&self, stream: u32) -> bool {
        matches!(self, Entry::Media(m) if m.stream == stream)
    }

    fn droppable_since(&self) -> Option<Time> {
        match self {
            Entry::Media(m) if m.packet.is_droppable() => Some(m.queued),
            _ => None,
        }
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
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Payload bytes waiting.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of control messages waiting.
    pub(crate) fn control_bytes(&self) -> usize {
        self.control_bytes
    }

    /// Entries waiting.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How long the oldest frame that may be dropped has waited.
    pub(crate) fn delay(&self, now: Time) -> Duration {
        self.oldest_droppable
            .map_or(Duration::ZERO, |since| now.since(since))
    }

    /// True once video is to be dropped (S7).
    pub(crate) fn is_congested(&self, now: Time, config: &QueueConfig) -> bool {
        self.bytes > config.max_bytes || self.delay(now) > config.max_delay
    }

    pub(crate) fn push_control(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.control_bytes += bytes.len();
        self.entries.push_back(Entry::Control(bytes));
    }

    pub(crate) fn push_media(&mut self, packet: SharedPacket, stream: u32, now: Time) {
        self.bytes += packet.len();
        if packet.is_droppable() && self.oldest_droppable.is_none() {
            self.oldest_droppable = Some(now);
        }
        let headers =
            (stream != COMMON_MESSAGE_STREAM).then(|| Box::new(packet.headers.with_stream(stream)));
        self.entries.push_back(Entry::Media(QueuedPacket {
            packet,
            queued: now,
            stream,
            headers,
        }));
    }

    /// Queues a packet for a subscription if its gate lets it pass, after dropping
    /// what has to be dropped (S7). Returns the frames dropped just now.
    pub(crate) fn push_through(
        &mut self,
        gate: &mut Gate,
        packet: &SharedPacket,
        stream: u32,
        now: Time,
        config: &QueueConfig,
    ) -> u64 {
        let mut frames = 0;
        if !gate.is_shedding() && self.is_congested(now, config) {
            let shed = self.shed(stream, now, config);
            frames = shed.frames;
            gate.shed(shed.frames, shed.until_keyframe);
        }
        if gate.admit(packet) {
            self.push_media(packet.clone(), stream, now);
        }
        frames
    }

    /// Takes the front entry; for taps, which do not write.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.len();
        if let Entry::Control(bytes) = &entry {
            self.control_bytes -= bytes.len();
        }
        self.cursor = 0;
        if entry.droppable_since().is_some() {
            self.find_oldest_droppable();
        }
        Some(entry)
    }

    /// Drops a subscription's inter frames up to its newest key frame; if that does not bring the
    /// queue below its limits, those after it too. Everything else stays.
    fn shed(&mut self, stream: u32, now: Time, config: &QueueConfig) -> Shed {
        let newest_key = self.entries.iter().rposition(|entry| {
            matches!(entry, Entry::Media(m)
                if m.stream == stream && m.packet.class == Class::Key && m.packet.track == 0)
        });
        let mut frames = self.drop_inter_frames(stream, newest_key.unwrap_or(self.entries.len()));
        let mut until_keyframe = newest_key.is_none();
        if !until_keyframe && self.is_congested(now, config) {
            frames += self.drop_inter_frames(stream, self.entries.len());
            until_keyframe = true;
        }
        Shed {
            frames,
            until_keyframe,
        }
    }

    fn drop_inter_frames(&mut self, stream: u32, end: usize) -> u64 {
        // The front entry may be half sent: its rest has to follow.
        let first = usize::from(self.cursor > 0);
        let (mut index, mut dropped, mut freed) = (0, 0, 0);
        self.entries.retain(|entry| {
            let drop = (first..end).contains(&index)
                && entry.is_of(stream)
                && entry.droppable_since().is_some();
            index += 1;
            if drop {
                dropped += 1;
                freed += entry.len();
            }
            !drop
        });
        self.bytes -= freed;
        self.find_oldest_droppable();
        dropped
    }

    fn find_oldest_droppable(&mut self) {
        self.oldest_droppable = self.entries.iter().find_map(Entry::droppable_since);
    }

    /// Writes until the queue is empty, or the socket takes no more. `sent` is
    /// called for every packet that went out whole.
    ///
    /// Returns the bytes written and whether the socket is blocked.
    pub(crate) fn write_to(
        &mut self,
        socket: &mut impl Write,
        chunk_size: u32,
        mut sent: impl FnMut(&SharedPacket),
    ) -> io::Result<(usize, bool)> {
        let mut total = 0;
        while !self.entries.is_empty() {
            let mut batch = SliceBatch::new();
            let mut skip = self.cursor;
            for entry in &self.entries {
                let room = match entry {
                    Entry::Control(bytes) => batch.push_all(std::iter::once(&bytes[skip..])),
                    Entry::Media(m) => {
                        batch.push_all(m.headers().slices(&m.packet.payload, chunk_size, skip))
                    }
                };
                skip = 0;
                if !room {
                    break;
                }
            }
            let offered = batch.bytes;
            let written = match socket.write_vectored(&batch.slices[..batch.count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok((total, true)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            total += written;
            self.advance(written, chunk_size, &mut sent);
            if written < offered {
                // The kernel's buffer is full: another try would only say WouldBlock.
                return Ok((total, true));
            }
        }
        Ok((total, false))
    }

    fn advance(&mut self, written: usize, chunk_size: u32, sent: &mut impl FnMut(&SharedPacket)) {
        self.cursor += written;
        let mut find = false;
        while let Some(front) = self.entries.front() {
            let length = front.wire_len(chunk_size);
            if self.cursor < length {
                break;
            }
            self.cursor -= length;
            self.bytes -= front.len();
            find |= front.droppable_since().is_some();
            match front {
                Entry::Media(m) => sent(&m.packet),
                Entry::Control(bytes) => self.control_bytes -= bytes.len(),
            }
            self.entries.pop_front();
        }
        if find {
            self.find_oldest_droppable();
        }
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            // A burst is over; an idle player keeps no room for the next one.
            self.entries.shrink_to(8);
        }
    }
}

/// The slices of one vectored write, on the stack.
struct SliceBatch<'a> {
    slices: [IoSlice<'a>; SLICES],
    count: usize,
    bytes: usize,
}

impl<'a> SliceBatch<'a> {
    fn new() -> SliceBatch<'a> {
        SliceBatch {
            slices: [IoSlice::new(&[]); SLICES],
            count: 0,
            bytes: 0,
        }
    }

    /// Takes slices as long as there is room; false once there is none.
    fn push_all(&mut self, slices: impl Iterator<Item = &'a [u8]>) -> bool {
        for slice in slices {
            let Some(free) = self.slices.get_mut(self.count) else {
                return false;
            };
            *free = IoSlice::new(slice);
            self.count += 1;
            self.bytes += slice.len();
        }
        self.count < SLICES
    }
}
