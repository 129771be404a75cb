//! One RTMP connection, as server or as client, without I/O.
//!
//! # Grammar
//!
//! The caller owns the socket and the clock and repeats, in this order:
//!
//! 1. `handle_input(now, bytes)` with what the socket gave. It uses bytes up to
//!    the end of a message that made an event, or until it has done some work without
//!    one, and returns how many; call it again with the rest after draining the events
//!    (before, it uses nothing). `take_work()` says what it cost, `buffered_bytes()`
//!    what it holds. `handle_timeout(now)` when the deadline of `poll_timeout` has come.
//! 2. `poll_event()` until `None`. Decisions (`accept`, `reject`) and other
//!    calls may come at once or any time later.
//! 3. `poll_transmit()` until `None`: bytes to send, in order.
//! 4. `poll_timeout()`: when to call `handle_timeout`, if nothing comes before.
//!
//! An error from `handle_*` is final: what `poll_transmit` still yields may be
//! sent, then the connection is to be closed. Input after it is used up unread,
//! and there are no more events.
//!
//! # Media that the caller frames
//!
//! A server session never sends media, and a publishing client session need not:
//! the caller makes a [`WireMessage`](crate::chunk::WireMessage) once and shares it
//! between all connections that get it. It writes the message with the
//! `chunk_size()` of the session, on the message stream of the play (which its event
//! named) or of the publish ([`ClientSession::media_stream`]), on the chunk stream of
//! [`MediaKind::chunk_stream`]. One rule keeps the order: whatever `poll_transmit`
//! yields after a call into the session goes out before media that is framed later,
//! because a change of the chunk size may be in it. Messages are never interleaved:
//! the next begins when the one before is written whole.
//!
//! Output is bounded by what the peer sends and the host asks for, not by what
//! the peer takes: a caller that cannot get rid of it stops giving input.

mod authmod;
mod capabilities;
mod client;
mod link;
mod payload;
mod route;
mod server;
mod work;

pub use authmod::{AuthAnswer, AuthDemand, AuthError, AuthRequest, ClientLogin, auth_response};
pub use capabilities::{Capabilities, caps_ex};
pub use client::{ClientConfig, ClientEvent, ClientMode, ClientSession};
pub use payload::published;
pub use server::{
    ConnectRequest, PublishKind, RejectReason, RequestId, RequestKind, ServerConfig, ServerEvent,
    ServerSession, SessionLimit, Stage,
};

use self::link::chunk_stream;
use crate::amf::{AmfError, AmfErrorKind};
use crate::chunk::{ChunkError, Payload};
use crate::handshake::HandshakeError;
use crate::message::{MessageError, kind};
use crate::text::shown;

/// Whether a media message is audio, video or data. Closed on purpose: there is no fourth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Message type 8.
    Audio,
    /// Message type 9.
    Video,
    /// Message types 18 and 15 (`amf3`, the format byte removed), `@setDataFrame`
    /// removed.
    Data,
}

impl MediaKind {
    /// The message type that it is sent as.
    pub fn message_kind(self) -> u8 {
        match self {
            MediaKind::Audio => kind::AUDIO,
            MediaKind::Video => kind::VIDEO,
            MediaKind::Data => kind::DATA_AMF0,
        }
    }

    /// The chunk stream that it is sent on. Which number carries what is free
    /// (section 5.3.1.1); players know these from other servers. Sessions write
    /// control messages and commands of the connection on lower ones.
    pub fn chunk_stream(self) -> u32 {
        match self {
            MediaKind::Audio => chunk_stream::AUDIO,
            MediaKind::Video => chunk_stream::VIDEO,
            MediaKind::Data => chunk_stream::STREAM,
        }
    }
}

/// One audio, video or data message of a published or played stream. Closed on purpose: it is
/// what the wire's message is, and hosts make them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Message stream id.
    pub stream: u32,
    /// Kind.
    pub kind: MediaKind,
    /// Milliseconds mod 2^32, as on the wire.
    pub timestamp: u32,
    /// The body as received. Data: AMF0 values, the first one the name
    /// (`onMetaData`, ...).
    pub payload: Payload,
}

/// What the peer did wrong, or did not do in time. The connection is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// In the handshake.
    #[error("handshake: {0}")]
    Handshake(#[from] HandshakeError),
    /// In the chunk stream.
    #[error("chunk stream: {0}")]
    Chunk(#[from] ChunkError),
    /// In a control message.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// In a command.
    #[error("command: {0}")]
    Amf(#[from] AmfError),
    /// The peer did not get past a stage in time.
    #[error("no progress within {seconds} s: {stage}")]
    Timeout {
        /// The stage it is in.
        stage: Stage,
        /// The time allowed.
        seconds: u64,
    },
    /// More of something than [`crate::Limits`] allows.
    #[error("more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The system gives no memory for what waits for an answer of the host.
    #[error("no memory for messages that wait")]
    OutOfMemory,
    /// The server (client session only) refused.
    #[error("{}: {}", shown(.code), shown(.description))]
    Refused {
        /// Status code.
        code: String,
        /// Text.
        description: String,
        /// The `tcUrl` of another server that it sends the client to (`ex.redirect`).
        redirect: Option<String>,
    },
    /// The server (client session only) asks who the client is: the answer belongs into
    /// [`ClientConfig::login`] of the next connection to it, which is to be made at once.
    #[error("the server asks for a user name and a password")]
    Authenticate(ClientLogin),
    /// The server (client session only) asks who the client is, and there is no answer.
    #[error("the server refused: {0}")]
    Unauthenticated(#[from] AuthError),
}

impl SessionError {
    /// True if memory ran out: no fault of the peer, which may try again.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            SessionError::OutOfMemory | SessionError::Chunk(ChunkError::OutOfMemory { .. }) => true,
            SessionError::Amf(error) => matches!(error.kind, AmfErrorKind::OutOfMemory(_)),
            _ => false,
        }
    }
}
