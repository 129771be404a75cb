//! The chunk stream (RTMP 1.0, section 5.3): messages cut into chunks and put
//! together again.

mod reader;
mod writer;

use bytes::Bytes;

pub use reader::{ChunkError, ChunkReader};
pub use writer::{ChunkHeaders, ChunkWriter};

/// The chunk size both sides start with (section 5.4.1).
pub const INITIAL_CHUNK_SIZE: u32 = 128;

/// One RTMP message, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Chunk stream id, 2 to 65599.
    pub chunk_stream: u32,
    /// Message type id, see [`crate::message::kind`].
    pub kind: u8,
    /// Message stream id.
    pub stream: u32,
    /// Milliseconds, mod 2^32.
    pub timestamp: u32,
    /// The body.
    pub payload: Bytes,
}
