//! The chunk stream (RTMP 1.0, section 5.3): messages cut into chunks and put
//! together again.

mod aggregate;
mod payload;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use payload::Payload;
pub use reader::{ChunkError, ChunkReader};
pub use writer::{ChunkHeaders, ChunkWriter, WireMessage};

/// The chunk size both sides start with (section 5.4.1).
pub const INITIAL_CHUNK_SIZE: u32 = 128;

/// The largest chunk size with a meaning: no message is longer (section 5.4.1).
pub const MAX_CHUNK_SIZE: u32 = 0xFF_FFFF;

/// The longest payload of a message, bytes: its length field has 24 bits
/// (section 5.3.1.2.1).
pub const MAX_MESSAGE_LENGTH: usize = 0xFF_FFFF;

/// In a 24-bit timestamp field: the real value follows in 32 bits
/// (section 5.3.1.3).
const EXTENDED: u32 = 0xFF_FFFF;

/// One RTMP message, whole. Closed on purpose: whoever sends one says each part.
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
    pub payload: Payload,
}
