//! What happened, told to the host: typed, in order, off the event loop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::access::AccessAction;
use crate::id::{ConnectionId, StreamId};
use crate::limit::Limit;
use crate::secret::StreamName;
use crate::stream::tracks::Track;

/// Something that happened. Handed to the host's event callback on a thread of
/// its own; a callback that is too slow loses the newest, and is told how many.
///
/// Names of streams are shown, as text and as JSON, without the keys that are in some of
/// them; [`StreamName::reveal`] gives the whole.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The server listens.
    ServerStarted {
        /// Addresses, with the real ports.
        listen: Vec<SocketAddr>,
    },
    /// The server is going away; connections are being told.
    ServerStopping,
    /// Other settings are in force.
    ConfigChanged {
        /// Which, by their dotted paths.
        paths: Vec<String>,
        /// Addresses it listens on now, with the real ports.
        listen: Vec<SocketAddr>,
    },
    /// A bug of ours, caught in a call that the host made through a layer over this
    /// crate (the C interface): that call failed, everything else goes on.
    InternalError {
        /// What is known of it.
        message: String,
    },
    /// A worker thread panicked and was started again; its connections are gone.
    WorkerRestarted {
        /// Which.
        worker: usize,
    },
    /// Accepting failed (too many open files, ...); it is tried again.
    AcceptFailed {
        /// What the system said.
        error: String,
    },
    /// The system took a listening socket. Another is bound in its place, again and
    /// again until it can be had; [`Event::ListenerRestored`] tells when.
    ListenerLost {
        /// Where it listened.
        address: SocketAddr,
        /// What the system said.
        error: String,
    },
    /// The server listens again where a listening socket was lost.
    ListenerRestored {
        /// Where.
        address: SocketAddr,
    },
    /// A connection was accepted, or made to another server.
    ConnectionOpened {
        /// Which.
        connection: ConnectionId,
        /// From where.
        peer: SocketAddr,
    },
    /// A connection is over.
    ConnectionClosed {
        /// Which.
        connection: ConnectionId,
        /// From where.
        peer: SocketAddr,
        /// Why.
        reason: CloseReason,
    },
    /// No connection to another server came about that the host asked for.
    OutgoingFailed {
        /// Which it would have been.
        connection: ConnectionId,
        /// The other server's host.
        host: String,
        /// Its port.
        port: u16,
        /// Why: for each address that was tried, what became of it.
        error: String,
    },
    /// A stream has a publisher.
    StreamPublished {
        /// Which.
        stream: StreamId,
        /// Its path.
        name: StreamName,
        /// True if it replaced another publisher.
        takeover: bool,
        /// Who publishes it; `None` for the host itself.
        connection: Option<ConnectionId>,
    },
    /// A stream's tracks became known or changed.
    StreamTracks {
        /// Which.
        stream: StreamId,
        /// Its path.
        name: StreamName,
        /// What it consists of.
        tracks: Vec<Track>,
    },
    /// A stream's publisher vanished without a goodbye: its line broke, or nothing came
    /// from it. [`Event::StreamUnpublished`] follows at once; players are told nothing
    /// before the grace is over, and never if a publisher is back by then.
    PublisherLost {
        /// Which.
        stream: StreamId,
        /// Its path.
        name: StreamName,
        /// How long players wait for the next publisher, see
        /// [`StreamConfig::republish_grace`](crate::config::StreamConfig).
        grace: Duration,
    },
    /// A stream's publisher left; within the grace it may come back.
    StreamUnpublished {
        /// Which.
        stream: StreamId,
        /// Its path.
        name: StreamName,
    },
    /// A stream is over and its subscribers were told.
    StreamEnded {
        /// Which.
        stream: StreamId,
        /// Its path.
        name: StreamName,
    },
    /// A player was attached to a stream, live or still to come.
    SubscriberJoined {
        /// Which.
        connection: ConnectionId,
        /// The stream's path.
        name: StreamName,
    },
    /// A player left a stream.
    SubscriberLeft {
        /// Which.
        connection: ConnectionId,
        /// The stream's path.
        name: StreamName,
        /// Frames it did not get because it was too slow.
        dropped: u64,
    },
    /// A player was too slow and lost frames. More may follow, untold, up to the
    /// next key frame; [`Event::SubscriberLeft`] has the sum.
    SubscriberDropping {
        /// Which.
        connection: ConnectionId,
        /// The stream's path.
        name: StreamName,
        /// Frames dropped just now.
        dropped: u64,
    },
    /// An attempt to connect, publish or play was decided.
    Access {
        /// What was asked for.
        action: AccessAction,
        /// Who asked.
        connection: ConnectionId,
        /// From where.
        peer: SocketAddr,
        /// The app (connect) or the stream's path.
        target: StreamName,
        /// Whether it was granted.
        granted: bool,
        /// Why not.
        reason: String,
    },
    /// A limit was reached.
    LimitReached {
        /// Which; written as its setting's path.
        limit: Limit,
        /// Its value, in the unit of the setting.
        value: u64,
        /// Whom it concerns, if one connection.
        connection: Option<ConnectionId>,
    },
    /// A recording was begun.
    RecordingStarted {
        /// The stream's path.
        name: StreamName,
        /// The file.
        path: PathBuf,
    },
    /// A recording is complete.
    RecordingFinished {
        /// The stream's path.
        name: StreamName,
        /// The file.
        path: PathBuf,
        /// Length.
        duration: Duration,
        /// Size.
        bytes: u64,
    },
    /// A recording ended early; the stream goes on.
    RecordingFailed {
        /// The stream's path.
        name: StreamName,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
    /// A recording misses frames because the disk is too slow; it goes on.
    RecordingLost {
        /// The stream's path.
        name: StreamName,
        /// The file; empty if none was begun yet.
        path: PathBuf,
        /// Frames that are missing; those of several tracks in one message count as one.
        frames: u64,
        /// Their bytes.
        bytes: u64,
        /// From the earliest to the latest of them.
        span: Duration,
    },
    /// A bug of ours: a recorder panicked. Its files are completed as they are, and it
    /// goes on after a pause, with new files from the newest key frames on.
    RecorderRestarted {
        /// The pause, 1 to 60 s.
        pause: Duration,
    },
    /// So many events were lost because the callback was too slow.
    Lost {
        /// How many.
        count: u64,
    },
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed it.
    Peer,
    /// The network failed.
    Network(String),
    /// The peer broke the protocol, or did not get on in time.
    Protocol(String),
    /// The peer was refused.
    Refused(String),
    /// The peer took nothing of what it asked for.
    TooSlow(String),
    /// A limit of the server.
    Limit(String),
    /// The host asked for it.
    Host(String),
    /// The stream that it published to another server is over.
    StreamEnded,
    /// The server stopped.
    ServerStopped,
    /// A panic in the code that served it: a bug of ours.
    Internal,
}

impl CloseReason {
    /// What there is to say beside the kind.
    pub(crate) fn detail(&self) -> &str {
        match self {
            CloseReason::Network(text)
            | CloseReason::Protocol(text)
            | CloseReason::Refused(text)
            | CloseReason::TooSlow(text)
            | CloseReason::Limit(text)
            | CloseReason::Host(text) => text,
            CloseReason::Peer
            | CloseReason::StreamEnded
            | CloseReason::ServerStopped
            | CloseReason::Internal => "",
        }
    }
}

impl std::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CloseReason::Peer => f.write_str("closed by the peer"),
            CloseReason::Network(e) => write!(f, "network: {e}"),
            CloseReason::Protocol(e) => write!(f, "protocol: {e}"),
            CloseReason::Refused(e) => write!(f, "refused: {e}"),
            CloseReason::TooSlow(e) => write!(f, "too slow: {e}"),
            CloseReason::Limit(e) => write!(f, "limit: {e}"),
            CloseReason::Host(e) => write!(f, "by the host: {e}"),
            CloseReason::StreamEnded => f.write_str("the stream ended"),
            CloseReason::ServerStopped => f.write_str("the server stopped"),
            CloseReason::Internal => f.write_str("internal error"),
        }
    }
}
