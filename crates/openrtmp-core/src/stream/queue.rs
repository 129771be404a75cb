use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::time::Duration;

use bytes::Bytes;
use openrtmp_protocol::Time;
use openrtmp_protocol::chunk::ChunkHeaders;

use super::gate::Gate;
use super::packet::{COMMON_MESSAGE_STREAM, SharedPacket};
use crate::config::QueueConfig;
use crate::limit::Limit;
use crate::steps;

/// Slices of one vectored write. Linux takes 1,024; at two or three a packet
/// this is more than a turn gathers.
const SLICES: usize = 64;

/// What waits to be sent to one connection, in order.
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

impl Entry {
    fn wire_len(&self, chunk_size: u32) -> usize {
        match self {
            Entry::Control(bytes) => bytes.len(),
            Entry::Media(m) => m.packet.message.wire_len(chunk_size),
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

/// What writing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: usize,
    pub(crate) end: WriteEnd,
}

/// Why writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteEnd {
    /// Nothing is left.
    Drained,
    /// The socket takes no more.
    Blocked,
    /// There is more, and the socket may take it: it is the turn of others.
    Budget,
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

    /// Bytes waiting, and what the entries that hold them take.
    pub(crate) fn footprint(&self) -> usize {
        self.bytes + self.entries.len() * size_of::<Entry>()
    }

    /// Makes room for one more entry. False if there is no memory for it.
    #[inline]
    pub(crate) fn reserve(&mut self) -> bool {
        self.entries.len() < self.entries.capacity() || self.entries.try_reserve(1).is_ok()
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

    /// How long the oldest packet has waited.
    fn age(&self, now: Time) -> Duration {
        let mut entries = self.entries.iter().inspect(|_| steps::walk(1));
        let oldest = entries.find_map(|entry| match entry {
            Entry::Media(m) => Some(m.queued),
            Entry::Control(_) => None,
        });
        oldest.map_or(Duration::ZERO, |since| now.since(since))
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

    /// True once video is to be dropped.
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
        let headers = (stream != COMMON_MESSAGE_STREAM)
            .then(|| Box::new(packet.message.headers().with_stream(stream)));
        self.entries.push_back(Entry::Media(QueuedPacket {
            packet,
            queued: now,
            stream,
            headers,
        }));
    }

    /// Queues a packet for a subscription if its gate lets it pass, after dropping
    /// what has to be dropped. Returns the frames dropped just now.
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

    /// Drops a subscription's inter frames up to its newest key frame; if that does not bring the
    /// queue below its limits, those after it too. Everything else stays.
    fn shed(&mut self, stream: u32, now: Time, config: &QueueConfig) -> Shed {
        let newest_key = self.entries.iter().rposition(|entry| {
            steps::walk(1);
            matches!(entry, Entry::Media(m) if m.stream == stream && m.packet.is_entry())
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
        steps::walk(self.entries.len());
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
        let mut entries = self.entries.iter().inspect(|_| steps::walk(1));
        self.oldest_droppable = entries.find_map(Entry::droppable_since);
    }

    /// Writes until the queue is empty, the socket takes no more, or `budget`
    /// bytes are written. `sent` is called for every packet that went out whole.
    pub(crate) fn write_to(
        &mut self,
        socket: &mut impl Write,
        chunk_size: u32,
        budget: usize,
        mut sent: impl FnMut(&SharedPacket),
    ) -> io::Result<Written> {
        let mut total = 0;
        let written = |bytes, end| Ok(Written { bytes, end });
        while !self.entries.is_empty() {
            if total >= budget {
                return written(total, WriteEnd::Budget);
            }
            let result = match self.only_slice(chunk_size) {
                Some(slice) => {
                    let length = slice.len();
                    match socket.write(slice) {
                        // The usual frame to a player that keeps up.
                        Ok(count) if count == length && count > 0 => {
                            self.take_only(&mut sent);
                            return written(total + count, WriteEnd::Drained);
                        }
                        result => result,
                    }
                }
                None => socket.write_vectored(self.gather(chunk_size, budget - total).filled()),
            };
            let count = match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return written(total, WriteEnd::Blocked);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            total += count;
            // After a short write another try, though it mostly says WouldBlock: only
            // that makes an edge-triggered poller tell of room again.
            self.advance(count, chunk_size, &mut sent);
        }
        written(total, WriteEnd::Drained)
    }

    /// All that waits, if it is one slice: the usual frame to a player that keeps
    /// up. A plain write of it costs less than a vectored one.
    fn only_slice(&self, chunk_size: u32) -> Option<&[u8]> {
        if self.entries.len() != 1 {
            return None;
        }
        match self.entries.front()? {
            Entry::Control(bytes) => bytes.get(self.cursor..),
            Entry::Media(m) if m.headers.is_none() => {
                m.packet.message.as_one_slice(chunk_size, self.cursor)
            }
            Entry::Media(_) => None,
        }
    }

    /// As much of what waits as one vectored write takes, and not much more than
    /// `budget` bytes of it.
    fn gather(&self, chunk_size: u32, budget: usize) -> SliceBatch<'_> {
        let mut batch = SliceBatch::new(budget);
        let mut skip = self.cursor;
        for entry in &self.entries {
            let room = match entry {
                Entry::Control(bytes) => batch.push_all(std::iter::once(&bytes[skip..])),
                Entry::Media(m) => match &m.headers {
                    None => batch.push_all(m.packet.message.slices(chunk_size, skip)),
                    Some(headers) => {
                        let payload = m.packet.payload();
                        batch.push_all(headers.slices(payload, chunk_size, skip))
                    }
                },
            };
            skip = 0;
            if !room {
                break;
            }
        }
        batch
    }

    /// The only entry went out whole.
    fn take_only(&mut self, sent: &mut impl FnMut(&SharedPacket)) {
        if let Some(Entry::Media(m)) = self.entries.pop_front() {
            sent(&m.packet);
        }
        (self.cursor, self.bytes, self.control_bytes) = (0, 0, 0);
        self.oldest_droppable = None;
        self.begin_again();
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
        if self.entries.is_empty() {
            self.begin_again();
        }
    }

    /// All is sent. The next entry takes the first place again, which is in a cache.
    fn begin_again(&mut self) {
        self.entries.clear();
        if self.entries.capacity() > 64 {
            // A burst is over; an idle player keeps no room for the next one.
            self.entries.shrink_to(8);
        }
    }
}

/// The slices of one vectored write, on the stack.
struct SliceBatch<'a> {
    slices: [IoSlice<'a>; SLICES],
    count: usize,
    /// Bytes it may still take.
    budget: usize,
}

impl<'a> SliceBatch<'a> {
    fn new(budget: usize) -> SliceBatch<'a> {
        SliceBatch {
            slices: [IoSlice::new(&[]); SLICES],
            count: 0,
            budget,
        }
    }

    fn filled(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.count]
    }

    /// Takes slices as long as there is room; false once there is none.
    fn push_all(&mut self, slices: impl Iterator<Item = &'a [u8]>) -> bool {
        for slice in slices {
            let Some(free) = self.slices.get_mut(self.count) else {
                return false;
            };
            *free = IoSlice::new(slice);
            self.count += 1;
            self.budget = self.budget.saturating_sub(slice.len());
            if self.budget == 0 {
                return false;
            }
        }
        self.count < SLICES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::class::Class;
    use crate::stream::test_packet;

    /// Takes a few bytes at a time, then is full until the next round.
    struct Socket {
        taken: Vec<u8>,
        /// Bytes that one write takes at most.
        step: usize,
        /// Writes before it is full.
        writes: usize,
    }

    impl Socket {
        fn new(step: usize, writes: usize) -> Socket {
            Socket {
                taken: Vec::new(),
                step,
                writes,
            }
        }
    }

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            if self.writes == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.writes -= 1;
            let bytes = slices.iter().flat_map(|s| s.iter());
            let before = self.taken.len();
            self.taken.extend(bytes.take(self.step));
            Ok(self.taken.len() - before)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn config(delay_ms: u64, bytes: usize) -> QueueConfig {
        QueueConfig {
            max_delay: Duration::from_millis(delay_ms),
            max_bytes: bytes,
            stall_timeout: Duration::from_secs(1),
            write_coalesce: Duration::ZERO,
            coalesce_bytes: 64 << 10,
            background_coalesce: Duration::ZERO,
            unsent_bytes: 0,
        }
    }

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn packet(class: Class, timestamp: u32) -> SharedPacket {
        test_packet(class, timestamp, 100)
    }

    fn written(bytes: usize, end: WriteEnd) -> Written {
        Written { bytes, end }
    }

    /// Pushes packets of one stream, a millisecond apart.
    fn filled(classes: &[Class]) -> SendQueue {
        let mut queue = SendQueue::default();
        for (n, class) in classes.iter().enumerate() {
            queue.push_media(packet(*class, n as u32), 1, at(n as u64));
        }
        queue
    }

    fn times(queue: &SendQueue) -> Vec<u32> {
        let time = |entry: &Entry| match entry {
            Entry::Media(m) => Some(m.packet.timestamp),
            Entry::Control(_) => None,
        };
        queue.entries.iter().filter_map(time).collect()
    }

    /// What the entries are on the wire, after RTMP 1.0 section 5.3: fmt 0
    /// headers, then fmt 3 before each further 128 bytes.
    fn wire() -> (SendQueue, Vec<u8>) {
        let mut queue = SendQueue::default();
        let mut wire = b"control".to_vec();
        queue.push_control(Bytes::from_static(b"control"));
        queue.push_media(test_packet(Class::Key, 0x010203, 300), 1, at(0));
        wire.extend([6, 1, 2, 3, 0, 1, 44, 9, 1, 0, 0, 0]);
        wire.extend([0; 128]);
        wire.push(0xC6);
        wire.extend([0; 128]);
        wire.push(0xC6);
        wire.extend([0; 44]);
        queue.push_media(test_packet(Class::Audio, 7, 1), 5, at(0));
        wire.extend([4, 0, 0, 7, 0, 0, 1, 8, 5, 0, 0, 0, 0]);
        queue.push_media(test_packet(Class::Data, u32::MAX, 2), 1, at(0));
        wire.extend([5, 255, 255, 255, 0, 0, 2, 18, 1, 0, 0, 0]);
        wire.extend([255, 255, 255, 255, 0, 0]);
        (queue, wire)
    }

    #[test]
    fn what_is_written_is_the_same_wherever_writes_are_cut() {
        for step in 1..400 {
            for writes in [1, 3, usize::MAX] {
                let (mut queue, wire) = wire();
                let (mut taken, mut sent) = (Vec::new(), Vec::new());
                while !queue.is_empty() {
                    let mut socket = Socket::new(step, writes);
                    let written = queue
                        .write_to(&mut socket, 128, usize::MAX, |p| sent.push(p.timestamp))
                        .unwrap();
                    assert_eq!(written.bytes, socket.taken.len());
                    let end = match queue.is_empty() {
                        true => WriteEnd::Drained,
                        false => WriteEnd::Blocked,
                    };
                    assert_eq!(written.end, end);
                    taken.extend(socket.taken);
                }
                assert_eq!(taken, wire, "{step} bytes at a time");
                assert_eq!(sent, [0x010203, 7, u32::MAX]);
                assert_eq!(queue.bytes(), 0);
            }
        }
    }

    #[test]
    fn a_budget_ends_writing_soon_after_it_is_used() {
        let packets: Vec<Class> = vec![Class::Inter; 50];
        let mut queue = filled(&packets);
        let each = 12 + 100;
        for left in [40, 30, 20, 10] {
            let mut socket = Socket::new(usize::MAX, usize::MAX);
            let end = queue.write_to(&mut socket, 128, 10 * each, |_| ());
            assert_eq!(end.unwrap(), written(10 * each, WriteEnd::Budget));
            assert_eq!(queue.len(), left);
        }
        let mut socket = Socket::new(usize::MAX, usize::MAX);
        let end = queue.write_to(&mut socket, 128, 10 * each, |_| ());
        assert_eq!(end.unwrap(), written(10 * each, WriteEnd::Drained));
    }

    #[test]
    fn a_socket_is_blocked_only_when_it_has_said_so() {
        let (mut queue, wire) = wire();
        let mut socket = Socket::new(10, 3);
        assert_eq!(
            queue
                .write_to(&mut socket, 128, usize::MAX, |_| ())
                .unwrap(),
            written(30, WriteEnd::Blocked)
        );
        assert_eq!(socket.writes, 0, "short writes are tried again");
        let mut socket = Socket::new(10_000, 1);
        let rest = wire.len() - 30;
        assert_eq!(
            queue
                .write_to(&mut socket, 128, usize::MAX, |_| ())
                .unwrap(),
            written(rest, WriteEnd::Drained)
        );
    }

    #[test]
    fn more_slices_than_one_write_takes_go_out_in_several() {
        let mut queue = SendQueue::default();
        for n in 0..500 {
            queue.push_media(packet(Class::Inter, n), 1, at(0));
        }
        let mut socket = Socket::new(usize::MAX, usize::MAX);
        let mut sent = 0;
        queue
            .write_to(&mut socket, 128, usize::MAX, |_| sent += 1)
            .unwrap();
        assert_eq!(sent, 500);
        assert_eq!(socket.taken.len(), 500 * (12 + 100));
    }

    #[test]
    fn errors_of_the_socket_are_told_and_interruptions_are_not() {
        struct Broken(Vec<io::ErrorKind>);
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                match self.0.pop() {
                    Some(kind) => Err(kind.into()),
                    None => Ok(0),
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let write = |kinds: Vec<io::ErrorKind>| {
            let result = wire()
                .0
                .write_to(&mut Broken(kinds), 128, usize::MAX, |_| ());
            result.map_err(|e| e.kind())
        };
        use io::ErrorKind::{BrokenPipe, Interrupted, WouldBlock, WriteZero};
        assert_eq!(write(vec![BrokenPipe, Interrupted]), Err(BrokenPipe));
        assert_eq!(
            write(vec![WouldBlock, Interrupted]),
            Ok(written(0, WriteEnd::Blocked))
        );
        assert_eq!(write(vec![]), Err(WriteZero));
    }

    #[test]
    fn delay_is_that_of_the_oldest_frame_that_may_be_dropped() {
        use Class::{Audio, Inter, Key};
        let mut queue = filled(&[Key, Audio, Inter, Audio, Inter]);
        assert_eq!(queue.delay(at(10)), Duration::from_millis(8));
        let send = |queue: &mut SendQueue, packets| {
            let mut socket = Socket::new(12 + 100, packets);
            let sent = queue.write_to(&mut socket, 4096, usize::MAX, |_| {});
            sent.expect("a socket that takes them").end
        };
        assert_eq!(send(&mut queue, 3), WriteEnd::Blocked);
        assert_eq!(queue.delay(at(10)), Duration::from_millis(6));
        assert_eq!(queue.bytes(), 200);
        assert_eq!(send(&mut queue, 2), WriteEnd::Drained);
        assert_eq!(queue.delay(at(10)), Duration::ZERO);
    }

    #[test]
    fn shedding_goes_to_the_newest_keyframe_if_that_is_enough() {
        use Class::{Audio, Inter, Key};
        let mut queue = filled(&[Key, Inter, Audio, Inter, Key, Inter, Audio]);
        let mut gate = Gate::joining();
        gate.admit(&packet(Key, 0));
        // Frames 1 and 3 are too old, frame 5 is not.
        let frames = queue.push_through(
            &mut gate,
            &packet(Inter, 7),
            1,
            at(104),
            &config(100, 1 << 20),
        );
        assert_eq!(frames, 2);
        assert_eq!(times(&queue), [0, 2, 4, 5, 6, 7]);
        assert_eq!(queue.bytes(), 600);
        assert_eq!((gate.dropped(), gate.is_shedding()), (2, false));
    }

    #[test]
    fn shedding_without_a_young_keyframe_waits_for_the_next() {
        use Class::{Audio, Header, Inter, Key};
        let mut queue = filled(&[Key, Inter, Audio, Inter, Header]);
        let mut gate = Gate::joining();
        gate.admit(&packet(Key, 0));
        let config = config(100, 1 << 20);
        let mut push = |queue: &mut SendQueue, class, n: u32| {
            queue.push_through(
                &mut gate,
                &packet(class, n),
                1,
                at(200 + u64::from(n)),
                &config,
            )
        };
        assert_eq!(push(&mut queue, Inter, 5), 2);
        assert_eq!(push(&mut queue, Audio, 6), 0);
        assert_eq!(push(&mut queue, Inter, 7), 0);
        assert_eq!(push(&mut queue, Key, 8), 0);
        assert_eq!(push(&mut queue, Inter, 9), 0);
        assert_eq!(times(&queue), [0, 2, 4, 6, 8, 9]);
        // Two from the queue, two at the gate.
        assert_eq!(gate.dropped(), 4);
    }

    #[test]
    fn too_many_bytes_shed_as_too_much_delay_does() {
        use Class::{Inter, Key};
        let mut queue = filled(&[Key, Inter, Inter, Key, Inter]);
        let mut gate = Gate::joining();
        gate.admit(&packet(Key, 0));
        // 500 bytes: without 1 and 2 it is 300.
        assert_eq!(
            queue.push_through(&mut gate, &packet(Inter, 5), 1, at(5), &config(10_000, 350)),
            2
        );
        assert_eq!(times(&queue), [0, 3, 4, 5]);
        // Nothing helps but to drop all.
        assert_eq!(
            queue.push_through(&mut gate, &packet(Inter, 6), 1, at(6), &config(10_000, 150)),
            2
        );
        assert_eq!(times(&queue), [0, 3]);
        assert!(gate.is_shedding());
    }

    #[test]
    fn a_frame_that_is_half_sent_is_not_dropped() {
        use Class::{Inter, Key};
        let mut queue = filled(&[Inter, Inter, Inter]);
        let mut socket = Socket::new(50, 1);
        queue
            .write_to(&mut socket, 128, usize::MAX, |_| ())
            .unwrap();
        let mut gate = Gate::joining();
        gate.admit(&packet(Key, 0));
        let frames = queue.push_through(
            &mut gate,
            &packet(Inter, 3),
            1,
            at(900),
            &config(100, 1 << 20),
        );
        assert_eq!(frames, 2);
        assert_eq!(times(&queue), [0]);
        let mut rest = Socket::new(usize::MAX, 9);
        queue.write_to(&mut rest, 128, usize::MAX, |_| ()).unwrap();
        assert_eq!(socket.taken.len() + rest.taken.len(), 12 + 100);
    }

    #[test]
    fn one_subscription_does_not_shed_the_frames_of_another() {
        use Class::{Inter, Key};
        let mut queue = filled(&[Key, Inter]);
        queue.push_media(packet(Key, 10), 2, at(2));
        queue.push_media(packet(Inter, 11), 2, at(3));
        let mut gate = Gate::joining();
        gate.admit(&packet(Key, 0));
        queue.push_through(
            &mut gate,
            &packet(Inter, 2),
            1,
            at(900),
            &config(100, 1 << 20),
        );
        assert_eq!(times(&queue), [0, 10, 11]);
    }
}
