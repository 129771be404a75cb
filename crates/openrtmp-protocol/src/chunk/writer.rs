use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::{EXTENDED, INITIAL_CHUNK_SIZE, MAX_CHUNK_SIZE, MAX_MESSAGE_LENGTH, Payload};

/// Writes whole messages into a buffer, one after the other.
///
/// Every message starts with a fmt 0 header: it then depends on nothing that
/// was sent before, so that the same bytes serve every subscriber.
#[derive(Debug)]
pub struct ChunkWriter {
    chunk_size: u32,
}

impl ChunkWriter {
    /// A writer at the initial chunk size of 128 bytes.
    pub fn new() -> ChunkWriter {
        ChunkWriter {
            chunk_size: INITIAL_CHUNK_SIZE,
        }
    }

    /// The chunk size from the next message on, clamped to 1 to 0xFFFFFF. The
    /// caller sends the Set Chunk Size message before.
    pub fn set_chunk_size(&mut self, bytes: u32) {
        self.chunk_size = bytes.clamp(1, MAX_CHUNK_SIZE);
    }

    /// The chunk size in force.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Appends one message.
    ///
    /// # Panics
    ///
    /// As [`ChunkHeaders::new`].
    pub fn write(
        &self,
        chunk_stream: u32,
        kind: u8,
        stream: u32,
        timestamp: u32,
        payload: &[u8],
        output: &mut BytesMut,
    ) {
        let headers = ChunkHeaders::new(chunk_stream, kind, stream, timestamp, payload.len());
        output.reserve(headers.wire_len(payload.len(), self.chunk_size));
        let chunk_size = self.chunk_size as usize;
        let (chunk, mut rest) = payload.split_at(payload.len().min(chunk_size));
        output.put_slice(headers.first());
        output.put_slice(chunk);
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(rest.len().min(chunk_size));
            output.put_slice(headers.next());
            output.put_slice(chunk);
            rest = after;
        }
    }
}

impl Default for ChunkWriter {
    fn default() -> ChunkWriter {
        ChunkWriter::new()
    }
}

/// The chunk headers of one message, made once for all who get the message.
///
/// A message is then `first`, `chunk_size` bytes of payload, `next`, more
/// payload, `next`, ... on the wire.
#[derive(Clone, Debug)]
pub struct ChunkHeaders {
    /// Basic header (3), message header (11), extended timestamp (4), at most.
    first: [u8; 18],
    /// Basic header (3), extended timestamp (4), at most.
    next: [u8; 7],
    basic_len: u8,
    extended_len: u8,
}

/// Of a fmt 0 message header (section 5.3.1.2.1).
const MESSAGE_HEADER: usize = 11;

impl ChunkHeaders {
    /// Headers for a message with a payload of `length` bytes.
    ///
    /// # Panics
    ///
    /// If `chunk_stream` is not within 2 to 65599, or `length` is above
    /// [`MAX_MESSAGE_LENGTH`]: neither can be written down.
    pub fn new(
        chunk_stream: u32,
        kind: u8,
        stream: u32,
        timestamp: u32,
        length: usize,
    ) -> ChunkHeaders {
        assert!(
            length <= MAX_MESSAGE_LENGTH,
            "a message of {length} bytes does not fit its 24-bit length"
        );
        let (basic, basic_len) = basic_header(chunk_stream);
        let extended = timestamp >= EXTENDED;
        let time = timestamp.min(EXTENDED).to_be_bytes();
        let length = (length as u32).to_be_bytes();

        let mut first = [0; 18];
        first[..3].copy_from_slice(&basic);
        let header = &mut first[basic_len..];
        header[..3].copy_from_slice(&time[1..]);
        header[3..6].copy_from_slice(&length[1..]);
        header[6] = kind;
        header[7..11].copy_from_slice(&stream.to_le_bytes());
        header[11..15].copy_from_slice(&timestamp.to_be_bytes());

        let mut next = [0; 7];
        next[..3].copy_from_slice(&basic);
        next[0] |= 3 << 6;
        next[basic_len..basic_len + 4].copy_from_slice(&timestamp.to_be_bytes());

        ChunkHeaders {
            first,
            next,
            basic_len: basic_len as u8,
            extended_len: if extended { 4 } else { 0 },
        }
    }

    /// The fmt 0 header.
    pub fn first(&self) -> &[u8] {
        &self.first[..self.next_len() + MESSAGE_HEADER]
    }

    /// The fmt 3 header before each further chunk. It repeats an extended
    /// timestamp (section 5.3.1.3).
    pub fn next(&self) -> &[u8] {
        &self.next[..self.next_len()]
    }

    /// The same headers for another message stream id.
    pub fn with_stream(&self, stream: u32) -> ChunkHeaders {
        let mut headers = self.clone();
        let at = usize::from(self.basic_len) + 7;
        headers.first[at..at + 4].copy_from_slice(&stream.to_le_bytes());
        headers
    }

    /// The same headers for another time.
    pub fn with_timestamp(&self, timestamp: u32) -> ChunkHeaders {
        let mut headers = self.clone();
        let basic = usize::from(self.basic_len);
        let time = timestamp.min(EXTENDED).to_be_bytes();
        headers.first[basic..basic + 3].copy_from_slice(&time[1..]);
        let extended = basic + MESSAGE_HEADER;
        headers.first[extended..extended + 4].copy_from_slice(&timestamp.to_be_bytes());
        headers.next[basic..basic + 4].copy_from_slice(&timestamp.to_be_bytes());
        headers.extended_len = if timestamp >= EXTENDED { 4 } else { 0 };
        headers
    }

    /// Bytes the message takes on the wire at this chunk size (at least 1).
    pub fn wire_len(&self, payload: usize, chunk_size: u32) -> usize {
        let chunk_size = chunk_size.max(1) as usize;
        let one = self.next_len() + MESSAGE_HEADER + payload;
        if payload <= chunk_size {
            // Nearly every frame; the division below is dear.
            return one;
        }
        one + (payload - 1) / chunk_size * self.next_len()
    }

    /// The slices of the message, from byte `skip` of its wire form on, none of
    /// them empty.
    ///
    /// `payload` is the one whose length the headers were made for. The cost
    /// does not depend on `skip`.
    pub fn slices<'a>(
        &'a self,
        payload: &'a [u8],
        chunk_size: u32,
        skip: usize,
    ) -> impl Iterator<Item = &'a [u8]> {
        let chunk_size = chunk_size.max(1) as usize;
        self.cut(self.first(), payload, chunk_size, chunk_size, skip)
    }

    /// `head`, `first_chunk` bytes of `body`, then a fmt 3 header before each
    /// further `chunk_size` bytes; without the first `skip` bytes of it all.
    fn cut<'a>(
        &'a self,
        head: &'a [u8],
        body: &'a [u8],
        first_chunk: usize,
        chunk_size: usize,
        skip: usize,
    ) -> impl Iterator<Item = &'a [u8]> {
        let (start, header, mut skip) = match skip.checked_sub(head.len() + first_chunk) {
            None => (0, head, skip),
            Some(beyond) => {
                let each = self.next_len() + chunk_size;
                let start = first_chunk + beyond / each * chunk_size;
                (start, self.next(), beyond % each)
            }
        };
        let mut room = if start == 0 { first_chunk } else { chunk_size };
        let mut rest = body.get(start..).unwrap_or_default();
        // The first chunk is there even when the payload is empty.
        let mut header = (start == 0 || !rest.is_empty()).then_some(header);
        let mut chunk: &[u8] = &[];
        std::iter::from_fn(move || {
            loop {
                let part = match header.take() {
                    Some(part) => {
                        (chunk, rest) = rest.split_at(rest.len().min(room));
                        room = chunk_size;
                        part
                    }
                    None if !chunk.is_empty() => {
                        header = (!rest.is_empty()).then(|| self.next());
                        std::mem::take(&mut chunk)
                    }
                    None => return None,
                };
                let left = part.get(skip..).unwrap_or_default();
                skip = skip.saturating_sub(part.len());
                if !left.is_empty() {
                    return Some(left);
                }
            }
        })
    }

    fn next_len(&self) -> usize {
        usize::from(self.basic_len + self.extended_len)
    }
}

/// A message ready to be written, made once for all who get it.
///
/// Header and payload lie in one piece: at a chunk size the payload fits in, the
/// message is one slice. That does not hold for what
/// [`with_timestamp`](WireMessage::with_timestamp) makes.
#[derive(Clone, Debug)]
pub struct WireMessage {
    headers: ChunkHeaders,
    /// The fmt 0 header, unless it is apart, and the payload.
    wire: Bytes,
    /// Where in `wire` the payload begins.
    start: u8,
}

impl WireMessage {
    /// The payload is not copied if it has room for the header in front and
    /// nobody else holds it. `None` if there is no memory for a copy.
    ///
    /// # Panics
    ///
    /// As [`ChunkHeaders::new`].
    pub fn new(
        chunk_stream: u32,
        kind: u8,
        stream: u32,
        timestamp: u32,
        payload: Payload,
    ) -> Option<WireMessage> {
        let headers = ChunkHeaders::new(chunk_stream, kind, stream, timestamp, payload.len());
        let start = headers.first().len() as u8;
        let wire = payload.with_header(headers.first())?;
        Some(WireMessage {
            headers,
            wire,
            start,
        })
    }

    /// The same message at another time, with the same payload: nothing is copied.
    pub fn with_timestamp(&self, timestamp: u32) -> WireMessage {
        WireMessage {
            headers: self.headers.with_timestamp(timestamp),
            wire: self.wire.slice(usize::from(self.start)..),
            start: 0,
        }
    }

    /// Its chunk headers.
    pub fn headers(&self) -> &ChunkHeaders {
        &self.headers
    }

    /// Its payload.
    pub fn payload(&self) -> &[u8] {
        &self.wire[usize::from(self.start)..]
    }

    /// Part of its payload, by reference.
    ///
    /// # Panics
    ///
    /// If the range is not within the payload.
    pub fn payload_slice(&self, range: Range<usize>) -> Bytes {
        let start = usize::from(self.start);
        self.wire.slice(start + range.start..start + range.end)
    }

    /// Bytes it takes on the wire at this chunk size (at least 1).
    pub fn wire_len(&self, chunk_size: u32) -> usize {
        self.headers.wire_len(self.payload().len(), chunk_size)
    }

    /// All of it but the first `skip` bytes, if it is one chunk and lies in one piece.
    pub fn as_one_slice(&self, chunk_size: u32, skip: usize) -> Option<&[u8]> {
        let one = self.start > 0 && self.payload().len() <= chunk_size as usize;
        one.then(|| self.wire.get(skip..)).flatten()
    }

    /// Its slices, as [`ChunkHeaders::slices`] gives them, but the first header
    /// and the first chunk are one.
    pub fn slices(&self, chunk_size: u32, skip: usize) -> impl Iterator<Item = &[u8]> {
        let chunk_size = chunk_size.max(1) as usize;
        let headers = &self.headers;
        let (apart, first_chunk) = match self.start {
            0 => (headers.first(), chunk_size),
            start => (&[][..], usize::from(start) + chunk_size),
        };
        headers.cut(apart, &self.wire, first_chunk, chunk_size, skip)
    }
}

/// The basic header of fmt 0 and its length (section 5.3.1.1).
fn basic_header(chunk_stream: u32) -> ([u8; 3], usize) {
    match chunk_stream {
        2..=63 => ([chunk_stream as u8, 0, 0], 1),
        64..=319 => ([0, (chunk_stream - 64) as u8, 0], 2),
        320..=65599 => {
            let [low, high, ..] = (chunk_stream - 64).to_le_bytes();
            ([1, low, high], 3)
        }
        _ => panic!("chunk stream {chunk_stream} is not within 2 to 65599"),
    }
}
