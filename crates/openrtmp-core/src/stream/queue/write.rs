//! Writing what waits: as much as the socket takes, in as few calls as it can.

use std::io::{self, IoSlice, Write};

use openrtmp_protocol::chunk::ChunkHeaders;

use super::{Content, Entry, SendQueue};
use crate::stream::packet::{COMMON_MESSAGE_STREAM, SharedPacket};

/// Slices of one vectored write. Linux takes 1,024; at two or three a packet
/// this is more than a turn gathers.
const SLICES: usize = 64;

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

impl Entry {
    fn wire_len(&self, chunk_size: u32) -> usize {
        match &self.content {
            Content::Control(bytes) => bytes.len(),
            Content::Media(packet, _) => packet.message.wire_len(chunk_size),
        }
    }

    /// Its headers, if it does not go out on the common message stream.
    fn own_headers(&self) -> Option<ChunkHeaders> {
        match &self.content {
            Content::Media(packet, stream) if *stream != COMMON_MESSAGE_STREAM => {
                Some(packet.message.headers().with_stream(*stream))
            }
            _ => None,
        }
    }
}

impl SendQueue {
    /// Writes until the queue is empty, the socket takes no more, or `budget`
    /// bytes are written. `sent` is called for every packet that went out whole.
    #[inline]
    pub(crate) fn write_to(
        &mut self,
        socket: &mut impl Write,
        chunk_size: u32,
        budget: usize,
        mut sent: impl FnMut(&SharedPacket),
    ) -> io::Result<Written> {
        let mut tried = None;
        if let Some(slice) = self.only_slice(chunk_size) {
            let length = slice.len();
            match socket.write(slice) {
                // The usual frame to a player that keeps up.
                Ok(bytes) if bytes == length && bytes > 0 => {
                    self.take_only(&mut sent);
                    let end = WriteEnd::Drained;
                    return Ok(Written { bytes, end });
                }
                result => tried = Some(result),
            }
        }
        self.write_more(tried, socket, chunk_size, budget, sent)
    }

    /// The same where one write may not be all, after one that was `tried` already.
    #[inline(never)]
    fn write_more(
        &mut self,
        mut tried: Option<io::Result<usize>>,
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
            let result = match (tried.take(), self.only_slice(chunk_size)) {
                (Some(result), _) => result,
                (None, Some(slice)) => socket.write(slice),
                (None, None) => {
                    let headers = self.own_headers();
                    let mut batch = SliceBatch::new(budget - total);
                    self.gather(&headers, chunk_size, &mut batch);
                    socket.write_vectored(batch.filled())
                }
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
    #[inline]
    fn only_slice(&self, chunk_size: u32) -> Option<&[u8]> {
        match &self.entries.only()?.content {
            Content::Control(bytes) => bytes.get(self.cursor..),
            Content::Media(packet, COMMON_MESSAGE_STREAM) => {
                packet.message.as_one_slice(chunk_size, self.cursor)
            }
            Content::Media(..) => None,
        }
    }

    /// Headers for what one write may take and does not go out on the common message
    /// stream, in order. They are made for each write: those of a long queue would be
    /// as large as the queue.
    fn own_headers(&self) -> Vec<ChunkHeaders> {
        match self.uncommon {
            true => {
                let entries = self.entries.iter().take(SLICES);
                entries.filter_map(Entry::own_headers).collect()
            }
            false => Vec::new(),
        }
    }

    /// As much of what waits as a batch takes.
    fn gather<'a>(
        &'a self,
        own_headers: &'a [ChunkHeaders],
        chunk_size: u32,
        batch: &mut SliceBatch<'a>,
    ) {
        let mut skip = self.cursor;
        let mut own_headers = own_headers.iter();
        for entry in self.entries.iter() {
            let room = match &entry.content {
                Content::Control(bytes) => batch.push_all(std::iter::once(&bytes[skip..])),
                Content::Media(packet, COMMON_MESSAGE_STREAM) => {
                    batch.push_all(packet.message.slices(chunk_size, skip))
                }
                Content::Media(packet, _) => match own_headers.next() {
                    Some(headers) => {
                        batch.push_all(headers.slices(packet.payload(), chunk_size, skip))
                    }
                    None => false,
                },
            };
            skip = 0;
            if !room {
                break;
            }
        }
    }

    /// The only entry went out whole.
    #[inline]
    fn take_only(&mut self, sent: &mut impl FnMut(&SharedPacket)) {
        if let Some(entry) = self.entries.pop_front()
            && let Content::Media(packet, _) = &entry.content
        {
            sent(packet);
        }
        (self.cursor, self.bytes) = (0, 0);
        (self.control_bytes, self.controls) = (0, 0);
        self.oldest_droppable = None;
        self.uncommon = false;
        self.give_back_room();
    }

    fn advance(&mut self, written: usize, chunk_size: u32, sent: &mut impl FnMut(&SharedPacket)) {
        self.cursor += written;
        while let Some(front) = self.entries.front() {
            let length = front.wire_len(chunk_size);
            if self.cursor < length {
                break;
            }
            self.cursor -= length;
            self.bytes -= front.len();
            match &front.content {
                Content::Media(packet, _) => sent(packet),
                Content::Control(bytes) => {
                    self.control_bytes -= bytes.len();
                    self.controls -= 1;
                }
            }
            self.entries.pop_front();
        }
        let Some(front) = self.entries.front() else {
            self.oldest_droppable = None;
            self.uncommon = false;
            return self.give_back_room();
        };
        if let Some((oldest, _)) = self.oldest_droppable
            && oldest < front.number
        {
            self.find_oldest_droppable();
        }
        self.give_back_room();
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
