use std::fmt;
use std::time::Duration;

use crate::amf::Object;
use crate::handshake::HandshakeSummary;
use crate::session::payload::MediaEvent;
use crate::session::{AuthRequest, Capabilities, Media};
use crate::{Secret, StreamName};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

impl Stage {
    /// Its name in documents: `handshake`, `connect`, `connected`, `publishing`, `playing`,
    /// `closed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Handshake => "handshake",
            Stage::Connect => "connect",
            Stage::Connected => "connected",
            Stage::Publishing => "publishing",
            Stage::Playing => "playing",
            Stage::Closed => "closed",
        }
    }
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
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// The app without its query, quotes and outer slashes.
    pub app: String,
    /// `tcUrl` (or `tcurl`) as sent, without quotes, and without who it says it is.
    pub tc_url: Secret,
    /// Query parts found in app and tcUrl, without `?`; empty if none.
    pub query: Secret,
    /// `flashVer`: who the client says it is.
    pub flash_version: String,
    /// Enhanced RTMP capabilities.
    pub capabilities: Capabilities,
    /// Of a relay: the ids of the servers that the stream, or the wish for it, has come
    /// through.
    pub via: Vec<u64>,
    /// Who it says it is, taken out of the query, if it does.
    pub auth: Option<AuthRequest>,
    /// The whole command object.
    pub object: Object,
}

/// Without what may hold keys: the app's path may end with one, and the command object
/// repeats it.
impl fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("tc_url", &self.tc_url)
            .field("query", &self.query)
            .field("flash_version", &self.flash_version)
            .field("capabilities", &self.capabilities)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// `publish`'s third argument. Closed on purpose: the wire has no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishKind {
    /// `live`, or anything not known.
    Live,
    /// `record`
    Record,
    /// `append`
    Append,
}

/// What happened. Drain with [`ServerSession::poll_event`](super::ServerSession::poll_event).
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
        query: Secret,
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
        query: Secret,
        /// How much of it is wanted, at least a millisecond; `None`: all.
        duration: Option<Duration>,
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
    /// More than a limit was asked for, and refused with a status, or sent, and dropped;
    /// the session goes on.
    LimitReached(SessionLimit),
    /// The session itself refused what was asked for, with a status; nobody is to answer.
    Refused {
        /// What was asked for.
        kind: RequestKind,
        /// The app of a connect, or the stream; empty if it was not named, and cut where
        /// it is longer than allowed.
        name: StreamName,
        /// What stands behind the name's `?`.
        query: Secret,
        /// The code of the status.
        code: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Something tolerated that an operator may want to see: unknown message
    /// type, unknown command, odd data. Told once or a few times of each kind; text
    /// of the peer in it is [fit to be shown](crate::text::shown).
    Tolerated(String),
}

/// A limit of [`Limits`](crate::Limits) beyond which something is refused or dropped, not
/// the session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionLimit {
    /// [`message_streams`](crate::Limits::message_streams)
    MessageStreams,
    /// [`name_bytes`](crate::Limits::name_bytes)
    NameBytes,
    /// [`partial_bytes`](crate::Limits::partial_bytes), of messages that wait
    PartialBytes,
    /// [`pending_requests`](crate::Limits::pending_requests)
    PendingRequests,
    /// [`waiting_messages`](crate::Limits::waiting_messages)
    WaitingMessages,
}

/// What a request asks for. Closed on purpose: the wire has no other request, and whoever
/// decides about them decides about each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// `connect`
    Connect,
    /// `publish`
    Publish,
    /// `play` or `play2`
    Play,
}

/// Why a request is refused; decides the status that the peer sees.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectReason {
    /// Not allowed: Connect.Rejected, Publish.Unauthorized (level error), Play.Failed.
    Unauthorized(String),
    /// The stream has a publisher: Publish.BadName.
    BadName(String),
    /// No such stream: Play.StreamNotFound.
    NotFound(String),
    /// The app does not exist: Connect.InvalidApp.
    InvalidApp(String),
    /// It would go in a circle: Connect.Loop for whatever was asked, which only a relay of
    /// this library gets ([`ClientConfig::via`](crate::session::ClientConfig::via)).
    Loop(String),
    /// A limit is reached or the server stops: Connect.Rejected, Publish.BadName, Play.Failed.
    Unavailable(String),
    /// Not here, but there: as `Unavailable`, and an answer to `connect` leads to the other
    /// server (`ex.redirect` with `ex.code` 302), which this library's client follows.
    Moved {
        /// What people read.
        text: String,
        /// The `tcUrl` of the other server.
        to: String,
    },
}

impl RejectReason {
    /// What people read.
    pub fn text(&self) -> &str {
        match self {
            RejectReason::Unauthorized(text)
            | RejectReason::BadName(text)
            | RejectReason::NotFound(text)
            | RejectReason::InvalidApp(text)
            | RejectReason::Loop(text)
            | RejectReason::Unavailable(text)
            | RejectReason::Moved { text, .. } => text,
        }
    }
}

impl MediaEvent for ServerEvent {
    fn as_media(&self) -> Option<&Media> {
        match self {
            ServerEvent::Media(media) => Some(media),
            _ => None,
        }
    }
}
