//! Message types, protocol control messages, user control events.

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

/// A protocol control message (types 1 to 6). Closed on purpose: the specification has no other
/// (section 5.4).
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

/// A user control event (section 7.1.7). Closed on purpose: one that has no name here is
/// [`UserControl::Other`].
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
        let body = Body { kind, payload };
        Ok(match kind {
            kind::SET_CHUNK_SIZE => Control::SetChunkSize(body.u32(0)?),
            kind::ABORT => Control::Abort(body.u32(0)?),
            kind::ACKNOWLEDGEMENT => Control::Acknowledgement(body.u32(0)?),
            kind::USER_CONTROL => Control::UserControl(UserControl::decode(&body)?),
            kind::WINDOW_ACK_SIZE => Control::WindowAckSize(body.u32(0)?),
            kind::SET_PEER_BANDWIDTH => {
                let [limit] = body.bytes(4)?;
                Control::SetPeerBandwidth(body.u32(0)?, limit)
            }
            kind => return Err(MessageError::NotControl { kind }),
        })
    }

    /// The message type id.
    pub fn kind(&self) -> u8 {
        match self {
            Control::SetChunkSize(_) => kind::SET_CHUNK_SIZE,
            Control::Abort(_) => kind::ABORT,
            Control::Acknowledgement(_) => kind::ACKNOWLEDGEMENT,
            Control::UserControl(_) => kind::USER_CONTROL,
            Control::WindowAckSize(_) => kind::WINDOW_ACK_SIZE,
            Control::SetPeerBandwidth(..) => kind::SET_PEER_BANDWIDTH,
        }
    }

    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        match *self {
            Control::SetChunkSize(value)
            | Control::Abort(value)
            | Control::Acknowledgement(value)
            | Control::WindowAckSize(value) => value.to_be_bytes().to_vec(),
            Control::SetPeerBandwidth(size, limit) => {
                let mut body = size.to_be_bytes().to_vec();
                body.push(limit);
                body
            }
            Control::UserControl(event) => event.encode(),
        }
    }
}

impl UserControl {
    fn decode(body: &Body<'_>) -> Result<UserControl, MessageError> {
        Ok(match u16::from_be_bytes(body.bytes(0)?) {
            0 => UserControl::StreamBegin(body.u32(2)?),
            1 => UserControl::StreamEof(body.u32(2)?),
            2 => UserControl::StreamDry(body.u32(2)?),
            3 => UserControl::SetBufferLength(body.u32(2)?, body.u32(6)?),
            4 => UserControl::StreamIsRecorded(body.u32(2)?),
            6 => UserControl::PingRequest(body.u32(2)?),
            7 => UserControl::PingResponse(body.u32(2)?),
            event => UserControl::Other(event),
        })
    }

    fn encode(self) -> Vec<u8> {
        let (event, value, more) = match self {
            UserControl::StreamBegin(stream) => (0, Some(stream), None),
            UserControl::StreamEof(stream) => (1, Some(stream), None),
            UserControl::StreamDry(stream) => (2, Some(stream), None),
            UserControl::SetBufferLength(stream, length) => (3, Some(stream), Some(length)),
            UserControl::StreamIsRecorded(stream) => (4, Some(stream), None),
            UserControl::PingRequest(timestamp) => (6, Some(timestamp), None),
            UserControl::PingResponse(timestamp) => (7, Some(timestamp), None),
            UserControl::Other(event) => (event, None, None),
        };
        let mut body = event.to_be_bytes().to_vec();
        for value in [value, more].into_iter().flatten() {
            body.extend_from_slice(&value.to_be_bytes());
        }
        body
    }
}

/// A message's body, read by position.
struct Body<'a> {
    kind: u8,
    payload: &'a [u8],
}

impl Body<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], MessageError> {
        self.payload
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .ok_or(MessageError::TooShort {
                kind: self.kind,
                needed: at + N,
                length: self.payload.len(),
            })
    }

    fn u32(&self, at: usize) -> Result<u32, MessageError> {
        self.bytes(at).map(u32::from_be_bytes)
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
    /// The type is not one of 1 to 6.
    #[error("message type {kind} is not a control message")]
    NotControl {
        /// Message type id.
        kind: u8,
    },
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::golden::vector;

    /// In the order of the golden vector.
    const CONTROLS: [Control; 13] = [
        Control::SetChunkSize(4096),
        Control::Abort(5),
        Control::Acknowledgement(2_500_000),
        Control::WindowAckSize(5_000_000),
        Control::SetPeerBandwidth(2_500_000, 2),
        Control::UserControl(UserControl::StreamBegin(1)),
        Control::UserControl(UserControl::StreamEof(1)),
        Control::UserControl(UserControl::StreamDry(1)),
        Control::UserControl(UserControl::SetBufferLength(1, 3000)),
        Control::UserControl(UserControl::StreamIsRecorded(1)),
        Control::UserControl(UserControl::PingRequest(0x0102_0304)),
        Control::UserControl(UserControl::PingResponse(0x0102_0304)),
        Control::UserControl(UserControl::Other(32)),
    ];

    #[test]
    fn control_messages_are_those_of_the_specification() {
        let vector = vector("control", "control");
        assert_eq!(vector.sections().count(), CONTROLS.len());
        for ((name, body), control) in vector.sections().zip(CONTROLS) {
            let kind = name.split(' ').next().and_then(|kind| kind.parse().ok());
            assert_eq!(Some(control.kind()), kind, "{name}");
            assert_eq!(control.encode(), body, "{name}");
            assert_eq!(Control::decode(control.kind(), body), Ok(control), "{name}");
        }
    }

    #[test]
    fn longer_control_message_is_tolerated_and_a_shorter_one_is_not() {
        for control in CONTROLS {
            let mut body = control.encode();
            let needed = body.len();
            for length in 0..needed {
                let result = Control::decode(control.kind(), &body[..length]);
                assert!(
                    matches!(result, Err(MessageError::TooShort { length: found, needed: more, .. })
                        if found == length && length < more && more <= needed),
                    "{control:?} of {length} bytes: {result:?}"
                );
            }
            body.extend([1, 2, 3]);
            assert_eq!(Control::decode(control.kind(), &body), Ok(control));
        }
    }

    #[test]
    fn other_message_types_are_no_control_messages() {
        for kind in [0, 7, 8, 20, 255] {
            let result = Control::decode(kind, &[0; 16]);
            assert_eq!(result, Err(MessageError::NotControl { kind }));
        }
    }

    proptest! {
        #[test]
        fn random_bodies_never_panic(kind in 0..8u8, body in vec(any::<u8>(), 0..200)) {
            let _ = Control::decode(kind, &body);
        }
    }
}
