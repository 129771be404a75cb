use crate::Limits;
use crate::chunk::Message;

/// Reads chunks, holds one unfinished message per chunk stream.
///
/// Memory for a message grows as its bytes arrive, never ahead of them.
pub struct ChunkReader {
    _private: (),
}

impl ChunkReader {
    /// A reader at the initial chunk size of 128 bytes.
    pub fn new(limits: &Limits) -> ChunkReader {
        let _ = limits;
        todo!()
    }

    /// Takes bytes from the front of `input` up to the end of one message, or
    /// all of it. Call again while it returns a message.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        let _ = input;
        todo!()
    }

    /// The peer's Set Chunk Size. Values above 0xFFFFFF are clamped.
    pub fn set_chunk_size(&mut self, bytes: u32) -> Result<(), ChunkError> {
        let _ = bytes;
        todo!()
    }

    /// The peer's Abort: forgets the unfinished message of a chunk stream.
    pub fn abort(&mut self, chunk_stream: u32) {
        let _ = chunk_stream;
        todo!()
    }

    /// Bytes held for unfinished messages (their capacity), for memory accounting.
    pub fn buffered_bytes(&self) -> usize {
        todo!()
    }
}

/// What a peer did wrong at chunk level. `offset` counts the bytes given to
/// [`ChunkReader::read`] from the first.
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
    /// More chunk streams than the limit.
    #[error("more than {limit} chunk streams opened, at byte {offset}")]
    TooManyChunkStreams {
        /// The limit.
        limit: usize,
        /// Where.
        offset: u64,
    },
}
