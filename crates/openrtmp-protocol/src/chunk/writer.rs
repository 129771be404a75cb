use std::io::IoSlice;

use bytes::BytesMut;

/// Writes whole messages into a buffer, one after the other.
///
/// Every message starts with a fmt 0 header: it then depends on nothing that
/// was sent before, so that the same bytes serve every subscriber.
pub struct ChunkWriter {
    chunk_size: u32,
}

impl ChunkWriter {
    /// A writer at the initial chunk size of 128 bytes.
    pub fn new() -> ChunkWriter {
        ChunkWriter {
            chunk_size: super::INITIAL_CHUNK_SIZE,
        }
    }

    /// The chunk size from the next message on. The caller sends the Set Chunk
    /// Size message before.
    pub fn set_chunk_size(&mut self, bytes: u32) {
        self.chunk_size = bytes;
    }

    /// The chunk size in force.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Appends one message.
    pub fn write(
        &self,
        chunk_stream: u32,
        kind: u8,
        stream: u32,
        timestamp: u32,
        payload: &[u8],
        output: &mut BytesMut,
    ) {
        let _ = (chunk_stream, kind, stream, timestamp, payload, output);
        todo!()
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
    _private: (),
}

impl ChunkHeaders {
    /// Headers for a message with a payload of `length` bytes.
    pub fn new(
        chunk_stream: u32,
        kind: u8,
        stream: u32,
        timestamp: u32,
        length: usize,
    ) -> ChunkHeaders {
        let _ = (chunk_stream, kind, stream, timestamp, length);
        todo!()
    }

    /// The fmt 0 header.
    pub fn first(&self) -> &[u8] {
        todo!()
    }

    /// The fmt 3 header before each further chunk.
    pub fn next(&self) -> &[u8] {
        todo!()
    }

    /// The same headers for another message stream id.
    pub fn with_stream(&self, stream: u32) -> ChunkHeaders {
        let _ = stream;
        todo!()
    }

    /// Bytes the message takes on the wire at this chunk size.
    pub fn wire_len(&self, payload: usize, chunk_size: u32) -> usize {
        let _ = (payload, chunk_size);
        todo!()
    }

    /// Pushes the slices of the message, from byte `skip` of its wire form on,
    /// until all are pushed or `slices` holds `max`. Returns the bytes pushed.
    pub fn push_slices<'a>(
        &'a self,
        payload: &'a [u8],
        chunk_size: u32,
        skip: usize,
        slices: &mut Vec<IoSlice<'a>>,
        max: usize,
    ) -> usize {
        let _ = (payload, chunk_size, skip, slices, max);
        todo!()
    }
}
