use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::{Capabilities, Media, SessionError};
use crate::amf::Object;
use crate::command::Status;
use crate::handshake::HandshakeSummary;
use crate::{Limits, StreamName, Time};

/// Settings of a server session; shared by all sessions of a server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Chunk size we write, 128 to 65,536 bytes.
    pub chunk_size: u32,
    /// Window acknowledgement size and peer bandwidth we announce, bytes.
    pub window_ack_size: u32,
    /// A C2 that does not echo S1 closes the connection.
    pub strict_handshake: bool,
    /// From the first byte of the connection to the end of the handshake.
    pub handshake_timeout: Duration,
    /// From there to `connect`.
    pub connect_timeout: Duration,
    /// From there to `publish` or `play`; starts again when the last stream ends.
    pub idle_timeout: Duration,
    /// Limits.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            chunk_size: 60_000,
            window_ack_size: 2_500_000,
            strict_handshake: false,
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }
}

/// How far a connection has come (S2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for C0, C1 or C2.
    Handshake,
    /// Waiting for `connect`.
    Connect,
    /// Connected, nothing published or played.
    Connected,
    /// At least one message stream publishes.
    Publishing,
    /// At least one message stream plays, none publishes.
    Playing,
    /// Over.
    Closed,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Handshake => "handshake",
            Stage::Connect => "waiting for connect",
            Stage::Connected => "waiting for publish or play",
            Stage::Publishing => "publishing",
            Stage::Playing => "playing",
            Stage::Closed => "closed",
        })
    }
}

/// A request that waits for the host's decision. Unique within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u32);

/// What a client said in `connect`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectRequest {
    /// The app without its query, quotes and outer slashes.
    pub app: String,
    /// `tcUrl` (or `tcurl`) as sent, quotes removed.
    pub tc_url: String,
    /// Query parts found in app and tcUrl, without `?`; empty if none.
    pub query: String,
    /// `flashVer`: who the client says it is.
    pub flash_version: String,
    /// Enhanced RTMP capabilities.
    pub capabilities: Capabilities,
    /// The whole command object.
    pub object: Object,
}

/// `publish`'s third argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishKind {
    /// `live`, or anything not known.
    Live,
    /// `record`
    Record,
    /// `append`
    Append,
}

/// What happened. Drain with [`ServerSession::poll_event`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// The handshake is over.
    HandshakeDone(HandshakeSummary),
    /// `connect`: answer with `accept` or `reject`. Commands that arrive before
    /// the answer wait for it, in order.
    Connect {
        /// For the answer.
        request: RequestId,
        /// What it asks.
        connect: Box<ConnectRequest>,
    },
    /// `publish`: answer with `accept` or `reject`.
    Publish {
        /// For the answer.
        request: RequestId,
        /// Message stream id.
        stream: u32,
        /// Which stream.
        name: StreamName,
        /// Query of the stream name, app and tcUrl, joined with `&`.
        query: String,
        /// live, record or append.
        kind: PublishKind,
    },
    /// `play` (or `play2`): answer with `accept` or `reject`.
    Play {
        /// For the answer.
        request: RequestId,
        /// Message stream id.
        stream: u32,
        /// Which stream.
        name: StreamName,
        /// Query of the stream name, app and tcUrl, joined with `&`.
        query: String,
    },
    /// A message of a stream being published. Only between the acceptance of a
    /// publish and its `PublishEnd`.
    Media(Media),
    /// FCUnpublish, deleteStream, closeStream or a new publish on the same message
    /// stream ended a publish that had been accepted.
    PublishEnd {
        /// Message stream id.
        stream: u32,
    },
    /// The same for play.
    PlayEnd {
        /// Message stream id.
        stream: u32,
    },
    /// A player's pause or resume (already answered).
    Pause {
        /// Message stream id.
        stream: u32,
        /// True: no media until false.
        paused: bool,
    },
    /// receiveAudio / receiveVideo of a player.
    Receive {
        /// Message stream id.
        stream: u32,
        /// Audio wanted, if the client said.
        audio: Option<bool>,
        /// Video wanted, if the client said.
        video: Option<bool>,
    },
    /// A request was withdrawn (its message stream was deleted) before it was answered.
    Withdrawn {
        /// Which.
        request: RequestId,
    },
    /// Something tolerated that an operator may want to see: unknown message
    /// type, unknown command, odd data.
    Tolerated(String),
}

/// Why a request is refused; decides the status that the peer sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// Not allowed: Connect.Rejected, Publish.Unauthorized (level error), Play.Failed.
    Unauthorized(String),
    /// The stream has a publisher: Publish.BadName.
    BadName(String),
    /// No such stream: Play.StreamNotFound.
    NotFound(String),
    /// The app does not exist: Connect.InvalidApp.
    InvalidApp(String),
    /// A limit is reached or the server stops: Connect.Rejected, Publish.BadName, Play.Failed.
    Unavailable(String),
}

/// The server's side of a connection. See the [module](super) for the grammar.
pub struct ServerSession {
    _private: (),
}

impl ServerSession {
    /// A session that waits for C0. `random` fills S1.
    pub fn new(
        config: &ServerConfig,
        now: Time,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> ServerSession {
        let _ = (config, now, random);
        todo!()
    }

    /// Feeds bytes; returns how many were used. Stops after the message that
    /// made an event; call again with the rest once the events are drained.
    pub fn handle_input(&mut self, now: Time, input: &[u8]) -> Result<usize, SessionError> {
        let _ = (now, input);
        todo!()
    }

    /// To be called when the deadline of `poll_timeout` has come.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), SessionError> {
        let _ = now;
        todo!()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        todo!()
    }

    /// Bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        todo!()
    }

    /// The deadline of the stage the session is in, if it has one.
    pub fn poll_timeout(&self) -> Option<Time> {
        todo!()
    }

    /// Grants a request. For `connect`: window size, bandwidth, chunk size and
    /// `_result`, then what waited. For `publish`: StreamBegin and Publish.Start.
    /// For `play`: StreamBegin, Play.Reset, Play.Start, sample access, Data.Start.
    /// False if the request is gone.
    pub fn accept(&mut self, now: Time, request: RequestId) -> bool {
        let _ = (now, request);
        todo!()
    }

    /// Refuses a request with the status its kind asks for. After a refused
    /// connect or publish the caller closes the connection once everything is sent.
    /// False if the request is gone.
    pub fn reject(&mut self, now: Time, request: RequestId, reason: &RejectReason) -> bool {
        let _ = (now, request, reason);
        todo!()
    }

    /// Tells a player that its stream (again) has a publisher: StreamBegin and
    /// Play.PublishNotify.
    pub fn notify_published(&mut self, stream: u32) {
        let _ = stream;
        todo!()
    }

    /// Tells a player that the publisher is gone: StreamEOF and Play.UnpublishNotify.
    pub fn notify_unpublished(&mut self, stream: u32) {
        let _ = stream;
        todo!()
    }

    /// Sends `onStatus` on a message stream (0: the connection).
    pub fn send_status(&mut self, stream: u32, status: &Status) {
        let _ = (stream, status);
        todo!()
    }

    /// Ends a publish from our side (revoked key, takeover, host's wish): sends the
    /// status and stops the message stream's media events.
    pub fn end_publish(&mut self, stream: u32, status: &Status) {
        let _ = (stream, status);
        todo!()
    }

    /// Asks the client to connect again, elsewhere if `tc_url` is given. Does
    /// nothing and returns false unless the client announced that it can.
    pub fn request_reconnect(&mut self, tc_url: Option<&str>, description: &str) -> bool {
        let _ = (tc_url, description);
        todo!()
    }

    /// Sends a PingRequest with this timestamp; any answer counts as input.
    pub fn ping(&mut self, timestamp: u32) {
        let _ = timestamp;
        todo!()
    }

    /// How far the connection has come.
    pub fn stage(&self) -> Stage {
        todo!()
    }

    /// What the client said in `connect`, once it did.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        todo!()
    }

    /// The chunk size of what we send from now on; media that the caller frames
    /// itself must use it.
    pub fn chunk_size(&self) -> u32 {
        todo!()
    }

    /// Bytes this session holds for the peer (unfinished messages, waiting
    /// commands), for memory accounting.
    pub fn buffered_bytes(&self) -> usize {
        todo!()
    }
}
