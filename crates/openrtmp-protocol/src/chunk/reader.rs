use super::aggregate::{Aggregate, Step};
use super::payload::HEADROOM;
use super::{EXTENDED, INITIAL_CHUNK_SIZE, MAX_CHUNK_SIZE, Message, Payload};
use crate::Limits;
use crate::message::kind;
use std::fmt;

/// Basic header (3), message header (11), extended timestamp (4).
const MAX_HEADER: usize = 18;

/// Bytes of the message header for fmt 0, 1 and 2 (section 5.3.1.2).
const MESSAGE_HEADER: [usize; 3] = [11, 7, 3];

/// The least a buffer for an unfinished message starts with (unless the message
/// is shorter): saves the first steps of growth, and stays harmless when every
/// chunk stream the limit allows holds one.
const FIRST_BUFFER: usize = 1024;

/// Reads chunks, holds one unfinished message per chunk stream.
///
/// Memory for a message grows as its bytes arrive, never ahead of them: to at
/// most 1 KiB, twice the bytes received for it, or the bytes that lie in the
/// input; and 16 bytes, which stay free in front (see [`Payload`]). A finished
/// message leaves nothing behind.
///
/// An aggregate (type 22) is taken apart as it arrives: its audio, video and data
/// come out as messages of their own, each in a buffer of its own, and what else is
/// in it is left out. If a part reaches beyond its end, a message of type 22 without
/// payload takes the place of the rest.
///
/// What is read, errors included, does not depend on how the input is split.
pub struct ChunkReader {
    /// Searched front to back after `current`: encoders use 3 to 8.
    streams: Vec<ChunkStream>,
    /// The chunk stream of the chunk being read, or of the one before.
    current: usize,
    /// Payload bytes of that chunk still to come; 0: a header is next.
    chunk_left: usize,
    chunk_size: usize,
    /// What the limit counts: [`ChunkStream::reserved`] of all.
    reserved: usize,
    /// Capacity of all unfinished messages: what is reserved, headroom, and room
    /// for what lay ahead in the input when a buffer grew.
    buffered: usize,
    /// Bytes read as header or payload so far (those in `held` are not).
    offset: u64,
    /// Bytes taken from the input that do not make a decision yet.
    held: [u8; MAX_HEADER],
    held_len: u8,
    /// Headers of chunks, and of messages in aggregates, since they were last asked
    /// for.
    headers: u32,
    /// The peer's fmt 3 chunks were last seen without the extended timestamp.
    omits_repeat: bool,
    message_bytes: usize,
    partial_bytes: usize,
    chunk_streams: usize,
}

/// Memory for a message could not be had: its chunk stream still needs so much.
#[cold]
fn out_of_memory(bytes: usize, offset: u64) -> ChunkError {
    ChunkError::OutOfMemory { bytes, offset }
}

/// The header last read on a chunk stream and the message it is in.
struct ChunkStream {
    id: u32,
    length: u32,
    stream: u32,
    timestamp: u32,
    /// What a fmt 3 header that starts a message adds. After fmt 0 that is the
    /// timestamp itself (section 5.3.1.2.4). It is also what an extended
    /// timestamp field said last.
    delta: u32,
    kind: u8,
    extended: bool,
    /// Bytes of payload that the unfinished message may have before it needs more
    /// of the limit: what came, rounded up.
    reserved: usize,
    /// The unfinished message behind its headroom (empty as long as there is no
    /// payload); its capacity never exceeds what `length` asks for. Of an aggregate,
    /// the unfinished part.
    message: Option<Vec<u8>>,
    /// Bytes that the unfinished message still needs.
    left: usize,
    /// The unfinished message is an aggregate.
    aggregate: Option<Box<Aggregate>>,
}

impl fmt::Debug for ChunkReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkReader")
            .field("chunk_size", &self.chunk_size)
            .field("buffered", &self.buffered)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl ChunkReader {
    /// A reader at the initial chunk size of 128 bytes.
    pub fn new(limits: &Limits) -> ChunkReader {
        ChunkReader {
            streams: Vec::new(),
            current: 0,
            chunk_left: 0,
            chunk_size: INITIAL_CHUNK_SIZE as usize,
            reserved: 0,
            buffered: 0,
            offset: 0,
            held: [0; MAX_HEADER],
            held_len: 0,
            headers: 0,
            omits_repeat: false,
            message_bytes: limits.message_bytes,
            partial_bytes: limits.partial_bytes,
            chunk_streams: limits.chunk_streams,
        }
    }

    /// Takes bytes from the front of `input` up to the end of one message, or
    /// all of it. Call again while it returns a message.
    ///
    /// An error is final: reading on gives the same error or nonsense.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        loop {
            if self.chunk_left == 0 && !self.read_header(input)? {
                return Ok(None);
            }
            if let Some(message) = self.read_payload(input)? {
                return Ok(Some(message));
            }
            if self.chunk_left > 0 {
                return Ok(None);
            }
        }
    }

    /// The peer's Set Chunk Size, 1 or more. Values above 0xFFFFFF are clamped.
    pub fn set_chunk_size(&mut self, bytes: u32) -> Result<(), ChunkError> {
        if bytes == 0 {
            return Err(ChunkError::ZeroChunkSize);
        }
        self.chunk_size = bytes.min(MAX_CHUNK_SIZE) as usize;
        Ok(())
    }

    /// Changes how many bytes of unfinished messages may be held. What is held
    /// already stays; it may just not grow.
    pub fn set_partial_limit(&mut self, bytes: usize) {
        self.partial_bytes = bytes;
    }

    /// The peer's Abort: forgets the unfinished message of a chunk stream.
    pub fn abort(&mut self, chunk_stream: u32) {
        if let Some(index) = self.find(chunk_stream) {
            self.discard(index);
        }
    }

    /// Forgets the unfinished messages of all chunk streams, for a connection from
    /// which nothing more is read.
    pub fn release(&mut self) {
        self.streams = Vec::new();
        self.chunk_left = 0;
        self.reserved = 0;
        self.buffered = 0;
    }

    /// Bytes held for unfinished messages (their capacity), for memory accounting.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered
    }

    /// Type and message stream of the message that the last bytes read belong to, if it
    /// is not complete.
    pub fn under_way(&self) -> Option<(u8, u32)> {
        let stream = self.streams.get(self.current)?;
        stream.message.as_ref()?;
        Some((stream.kind, stream.stream))
    }

    /// Chunk size of the peer, bytes.
    pub(crate) fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// Headers read since the last call, of chunks and of messages in aggregates:
    /// what reading costs beside bytes and messages.
    pub(crate) fn take_headers(&mut self) -> u32 {
        std::mem::take(&mut self.headers)
    }

    /// Reads one chunk's header. False if the input ended first.
    fn read_header(&mut self, input: &mut &[u8]) -> Result<bool, ChunkError> {
        if self.held_len > 0 {
            return self.read_held_header(input);
        }
        match self.start_chunk(input)? {
            Some(used) => {
                *input = &input[used..];
                self.offset += used as u64;
                Ok(true)
            }
            None => {
                // Shorter than MAX_HEADER: that many bytes always decide.
                self.held[..input.len()].copy_from_slice(input);
                self.held_len = input.len() as u8;
                *input = &[];
                Ok(false)
            }
        }
    }

    /// [`Self::read_header`] when its first bytes came with an earlier input.
    #[cold]
    fn read_held_header(&mut self, input: &mut &[u8]) -> Result<bool, ChunkError> {
        let held = usize::from(self.held_len);
        let added = input.len().min(MAX_HEADER - held);
        let mut bytes = self.held;
        bytes[held..held + added].copy_from_slice(&input[..added]);
        match self.start_chunk(&bytes[..held + added])? {
            Some(used) => {
                *input = &input[used.saturating_sub(held)..];
                self.offset += used as u64;
                self.drop_held(used);
                Ok(true)
            }
            None => {
                *input = &input[added..];
                self.held = bytes;
                self.held_len = (held + added) as u8;
                Ok(false)
            }
        }
    }

    fn drop_held(&mut self, used: usize) {
        let held = usize::from(self.held_len);
        let used = used.min(held);
        self.held.copy_within(used..held, 0);
        self.held_len = (held - used) as u8;
    }

    /// Interprets `bytes` as the start of a chunk, makes its chunk stream the
    /// current one and sets `chunk_left`. Returns the header's length, `None`
    /// (and has changed nothing) if more bytes are needed to tell.
    fn start_chunk(&mut self, bytes: &[u8]) -> Result<Option<usize>, ChunkError> {
        let Some((format, id, basic)) = basic_header(bytes) else {
            return Ok(None);
        };
        let found = self.find(id);
        let used = match MESSAGE_HEADER.get(usize::from(format)) {
            Some(&fields) => {
                let Some(used) = self.start_message(bytes, id, found, basic, fields)? else {
                    return Ok(None);
                };
                used
            }
            None => {
                let Some(used) = self.repeat_header(bytes, id, found, basic)? else {
                    return Ok(None);
                };
                used
            }
        };
        let stream = &self.streams[self.current];
        self.chunk_left = stream.left.min(self.chunk_size);
        self.headers += 1;
        Ok(Some(used))
    }

    /// A header of fmt 0, 1 or 2, with `fields` bytes after the basic header.
    fn start_message(
        &mut self,
        bytes: &[u8],
        id: u32,
        found: Option<usize>,
        basic: usize,
        fields: usize,
    ) -> Result<Option<usize>, ChunkError> {
        let mut used = basic + fields;
        let Some(header) = bytes.get(basic..used) else {
            return Ok(None);
        };
        let mut time = be24(header);
        let extended = time == EXTENDED;
        if extended {
            let Some(value) = bytes.get(used..).and_then(|rest| rest.first_chunk()) else {
                return Ok(None);
            };
            time = u32::from_be_bytes(*value);
            used += 4;
        }
        let length = header.get(3..6).map(be24);
        if let Some(length) = length
            && length as usize > self.message_bytes
        {
            return Err(ChunkError::MessageTooLong {
                length: length as usize,
                limit: self.message_bytes,
                offset: self.offset,
            });
        }

        let index = self.open(id, found)?;
        // Some encoders restart in the middle of a message.
        self.discard(index);
        let stream = &mut self.streams[index];
        if let Some(length) = length {
            stream.length = length;
            stream.kind = header[6];
        }
        match header.get(7..).and_then(|rest| rest.first_chunk()) {
            Some(id) => {
                stream.stream = u32::from_le_bytes(*id);
                stream.timestamp = time;
            }
            None => stream.timestamp = stream.timestamp.wrapping_add(time),
        }
        stream.delta = time;
        stream.extended = extended;
        stream.begin();
        Ok(Some(used))
    }

    /// A header of fmt 3: goes on with a message, or starts one like the last.
    #[inline]
    fn repeat_header(
        &mut self,
        bytes: &[u8],
        id: u32,
        found: Option<usize>,
        basic: usize,
    ) -> Result<Option<usize>, ChunkError> {
        let mut used = basic;
        if let Some(index) = found
            && self.streams[index].extended
        {
            match self.repeats_extended(index, &bytes[basic..]) {
                Some(true) => used += 4,
                Some(false) => {}
                None => return Ok(None),
            }
        }
        let index = self.open(id, found)?;
        let stream = &mut self.streams[index];
        if stream.message.is_none() {
            stream.timestamp = stream.timestamp.wrapping_add(stream.delta);
            stream.begin();
        }
        Ok(Some(used))
    }

    /// Whether a fmt 3 header is followed by the extended timestamp (section
    /// 5.3.1.3 says so, some writers leave it out): only if the bytes are equal.
    /// `None` if more bytes are needed to tell.
    ///
    /// Waiting for four bytes is safe while the chunk itself has as many. A
    /// shorter last chunk may be the last thing the peer sends for a while, and
    /// its payload may look like the start of the timestamp; whether to wait
    /// then is decided by what the peer was last seen to do, at first by the
    /// specification. No answer depends on how the input is split.
    #[cold]
    fn repeats_extended(&mut self, index: usize, bytes: &[u8]) -> Option<bool> {
        let stream = &self.streams[index];
        // Of the message in progress, or of the next one like it.
        let missing = match stream.message {
            Some(_) => stream.left,
            None => stream.length as usize,
        };
        if self.omits_repeat && missing.min(self.chunk_size) < 4 {
            return Some(false);
        }
        let expected = stream.delta.to_be_bytes();
        let seen = bytes.len().min(4);
        let equal = bytes[..seen] == expected[..seen];
        if equal && seen < 4 {
            return None;
        }
        self.omits_repeat = !equal;
        Some(equal)
    }

    /// Moves payload of the current chunk. Returns the message it completes.
    fn read_payload(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        if self.held_len > 0 {
            // What looked like a repeated timestamp was payload, at most 3 bytes.
            let held = self.held;
            let mut bytes = &held[..usize::from(self.held_len)];
            let before = bytes.len();
            let message = self.append(&mut bytes)?;
            self.drop_held(before - bytes.len());
            if message.is_some() || self.held_len > 0 {
                return Ok(message);
            }
        }
        self.append(input)
    }

    fn append(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        if self.streams[self.current].aggregate.is_some() {
            return self.append_aggregate(input);
        }
        let length = self.streams[self.current].length as usize;
        self.append_body(input, self.chunk_left, length)?;
        let stream = &mut self.streams[self.current];
        if stream.left > 0 {
            return Ok(None);
        }
        let (kind, timestamp) = (stream.kind, stream.timestamp);
        Ok(self.finish(kind, timestamp))
    }

    /// Moves bytes of the current chunk to the end of the unfinished message, which
    /// will have `length` bytes: as many as there are, and at most `most`.
    #[inline]
    fn append_body(
        &mut self,
        input: &mut &[u8],
        most: usize,
        length: usize,
    ) -> Result<(), ChunkError> {
        let count = most.min(input.len());
        let (payload, rest) = input.split_at(count);
        let stream = &mut self.streams[self.current];
        if let Some(message) = &mut stream.message {
            let have = message.len().saturating_sub(HEADROOM);
            let received = have + count;
            if received > stream.reserved {
                let others = self.reserved - stream.reserved;
                let allowed = self.partial_bytes.saturating_sub(others);
                if received > allowed {
                    return Err(ChunkError::TooManyPartialBytes {
                        limit: self.partial_bytes,
                        offset: self.offset + allowed.saturating_sub(have) as u64,
                    });
                }
                stream.reserved = received
                    .next_power_of_two()
                    .max(FIRST_BUFFER)
                    .min(length)
                    .min(allowed);
                self.reserved = others + stream.reserved;
            }
            if count > 0 && HEADROOM + received > message.capacity() {
                // The rest of the message may lie in this input. Counting what
                // is already buffered against it keeps many chunk streams from
                // each reserving the same bytes.
                let ahead = input.len().saturating_sub(self.buffered);
                let payload = stream.reserved.max(have + ahead);
                let capacity = HEADROOM + payload.min(length);
                self.buffered -= message.capacity();
                message
                    .try_reserve_exact(capacity - message.len())
                    .map_err(|_| out_of_memory(capacity, self.offset))?;
                self.buffered += message.capacity();
                if message.is_empty() {
                    message.resize(HEADROOM, 0);
                }
            }
            message.extend_from_slice(payload);
            stream.left -= count;
        }
        self.chunk_left -= count;
        self.offset += count as u64;
        *input = rest;
        Ok(())
    }

    /// Takes the unfinished message, if there is one, as whole.
    fn finish(&mut self, kind: u8, timestamp: u32) -> Option<Message> {
        let stream = &mut self.streams[self.current];
        let message = stream.message.take()?;
        self.reserved -= std::mem::take(&mut stream.reserved);
        self.buffered -= message.capacity();
        Some(Message {
            chunk_stream: stream.id,
            kind,
            stream: stream.stream,
            timestamp,
            payload: if message.is_empty() {
                Payload::default()
            } else {
                Payload::with_headroom(message)
            },
        })
    }

    /// [`Self::append`] for an aggregate, up to the end of one of its parts.
    #[cold]
    fn append_aggregate(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        let stream = &mut self.streams[self.current];
        let Some(aggregate) = &mut stream.aggregate else {
            return Ok(None);
        };
        let mut here = &input[..self.chunk_left.min(input.len())];
        let before = here.len();
        let step = aggregate.step(
            &mut here,
            &mut stream.left,
            stream.timestamp,
            &mut self.headers,
        );
        let used = before - here.len();
        *input = &input[used..];
        self.chunk_left -= used;
        self.offset += used as u64;
        let message = match step {
            Step::Ended => None,
            Step::Body(part) => {
                let have = stream.message.as_ref().map_or(0, Vec::len);
                let missing = part.length - have.saturating_sub(HEADROOM);
                let most = missing.min(self.chunk_left);
                let before = input.len();
                self.append_body(input, most, part.length)?;
                if before - input.len() < missing {
                    return Ok(None);
                }
                let message = self.finish(part.kind, part.timestamp);
                if let Some(aggregate) = &mut self.streams[self.current].aggregate {
                    aggregate.end_part();
                }
                message
            }
            Step::Broken => {
                let timestamp = stream.timestamp;
                self.finish(kind::AGGREGATE, timestamp)
            }
        };
        let stream = &mut self.streams[self.current];
        stream.message = (stream.left > 0).then(Vec::new);
        if stream.left == 0 {
            stream.aggregate = None;
        }
        Ok(message)
    }

    #[inline]
    fn find(&self, id: u32) -> Option<usize> {
        match self.streams.get(self.current) {
            Some(stream) if stream.id == id => Some(self.current),
            _ => self.streams.iter().position(|stream| stream.id == id),
        }
    }

    /// Makes a chunk stream the current one; a new one starts with a header of
    /// zeros, because some peers (DJI) begin with fmt 1, 2 or 3.
    #[inline]
    fn open(&mut self, id: u32, found: Option<usize>) -> Result<usize, ChunkError> {
        self.current = match found {
            Some(index) => index,
            None => {
                if self.streams.len() >= self.chunk_streams {
                    return Err(ChunkError::TooManyChunkStreams {
                        limit: self.chunk_streams,
                        offset: self.offset,
                    });
                }
                self.streams.push(ChunkStream::new(id));
                self.streams.len() - 1
            }
        };
        Ok(self.current)
    }

    fn discard(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        stream.aggregate = None;
        if let Some(message) = stream.message.take() {
            self.reserved -= std::mem::take(&mut stream.reserved);
            self.buffered -= message.capacity();
        }
    }
}

impl ChunkStream {
    fn new(id: u32) -> ChunkStream {
        ChunkStream {
            id,
            length: 0,
            stream: 0,
            timestamp: 0,
            delta: 0,
            kind: 0,
            extended: false,
            reserved: 0,
            message: None,
            left: 0,
            aggregate: None,
        }
    }

    /// A message begins, as the header says.
    #[inline]
    fn begin(&mut self) {
        self.message = Some(Vec::new());
        self.left = self.length as usize;
        self.aggregate = (self.kind == kind::AGGREGATE).then(Box::default);
    }
}

/// fmt, chunk stream id, length (section 5.3.1.1). `None` if cut short.
#[inline]
fn basic_header(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    let &first = bytes.first()?;
    let format = first >> 6;
    match first & 0x3F {
        0 => Some((format, 64 + u32::from(*bytes.get(1)?), 2)),
        1 => {
            let id = u16::from_le_bytes([*bytes.get(1)?, *bytes.get(2)?]);
            Some((format, 64 + u32::from(id), 3))
        }
        id => Some((format, u32::from(id), 1)),
    }
}

/// The first three bytes of a slice that has them.
fn be24(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
}

/// What a peer did wrong at chunk level. `offset` counts the bytes given to
/// [`ChunkReader::read`] from the first; it is that of the chunk (for
/// `TooManyPartialBytes`: of the byte) that is too much.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// Set Chunk Size of zero.
    #[error("chunk size 0")]
    ZeroChunkSize,
    /// A message longer than the limit.
    #[error("message of {length} bytes announced at byte {offset}, the limit is {limit}")]
    MessageTooLong {
        /// Length announced.
        length: usize,
        /// The limit.
        limit: usize,
        /// Where.
        offset: u64,
    },
    /// Unfinished messages of this connection take more than the limit.
    #[error("unfinished messages hold more than {limit} bytes at byte {offset}")]
    TooManyPartialBytes {
        /// The limit.
        limit: usize,
        /// Where.
        offset: u64,
    },
    /// The system gives no memory for a message.
    #[error("no memory for {bytes} bytes of a message, at byte {offset}")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
        /// Where.
        offset: u64,
    },
    /// More chunk streams than the limit.
    #[error("more than {limit} chunk streams opened, at byte {offset}")]
    TooManyChunkStreams {
        /// The limit.
        limit: usize,
        /// Where.
        offset: u64,
    },
}
