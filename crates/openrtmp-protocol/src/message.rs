//! Message types, protocol control messages, user control events, aggregates.

use bytes::Bytes;

/// Message type ids (RTMP 1.0, sections 5.4 and 7.1).
pub mod kind {
    /// Set Chunk Size.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Abort.
    pub const ABORT: u8 = 2;
    /// Acknowledgement.
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User Control.
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size.
    pub const WINDOW_ACK_SIZE: u8 = 5;
    /// Set Peer Bandwidth.
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Audio.
    pub const AUDIO: u8 = 8;
    /// Video.
    pub const VIDEO: u8 = 9;
    /// Data, AMF3.
    pub const DATA_AMF3: u8 = 15;
    /// Shared object, AMF3.
    pub const SHARED_OBJECT_AMF3: u8 = 16;
    /// Command, AMF3.
    pub const COMMAND_AMF3: u8 = 17;
    /// Data, AMF0.
    pub const DATA_AMF0: u8 = 18;
    /// Shared object, AMF0.
    pub const SHARED_OBJECT_AMF0: u8 = 19;
    /// Command, AMF0.
    pub const COMMAND_AMF0: u8 = 20;
    /// Aggregate.
    pub const AGGREGATE: u8 = 22;
}

/// A protocol control message (types 1 to 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Type 1: the sender's chunk size from now on.
    SetChunkSize(u32),
    /// Type 2: forget the unfinished message of this chunk stream.
    Abort(u32),
    /// Type 3: bytes received so far, mod 2^32.
    Acknowledgement(u32),
    /// Type 4.
    UserControl(UserControl),
    /// Type 5: acknowledge after this many bytes.
    WindowAckSize(u32),
    /// Type 6: window size and limit type (0 hard, 1 soft, 2 dynamic).
    SetPeerBandwidth(u32, u8),
}

/// A user control event (section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserControl {
    /// 0: this message stream is about to carry data.
    StreamBegin(u32),
    /// 1: playback of this message stream ended.
    StreamEof(u32),
    /// 2: no more data for now.
    StreamDry(u32),
    /// 3: the player's buffer: message stream, milliseconds.
    SetBufferLength(u32, u32),
    /// 4: the stream is recorded.
    StreamIsRecorded(u32),
    /// 6: answer with the same timestamp.
    PingRequest(u32),
    /// 7: the answer.
    PingResponse(u32),
    /// Any other event, to be ignored.
    Other(u16),
}

impl Control {
    /// Reads the body of a message of type 1 to 6. Longer bodies are tolerated.
    pub fn decode(kind: u8, payload: &[u8]) -> Result<Control, MessageError> {
        let _ = (kind, payload);
        todo!()
    }

    /// The message type id.
    pub fn kind(&self) -> u8 {
        todo!()
    }

    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
}

/// A message's body does not have the shape its type asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The body is too short.
    #[error("message type {kind} needs {needed} bytes, has {length}")]
    TooShort {
        /// Message type id.
        kind: u8,
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        length: usize,
    },
}

/// The messages inside an aggregate (type 22): kind, timestamp, payload, their
/// timestamps moved so that the first one carries the aggregate's own.
pub fn split_aggregate(
    timestamp: u32,
    payload: &Bytes,
) -> impl Iterator<Item = Result<(u8, u32, Bytes), MessageError>> + use<> {
    let _ = (timestamp, payload);
    std::iter::from_fn(|| todo!())
}
