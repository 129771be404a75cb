//! What happened, told to the host: typed, in order, off the event loop.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::access::action::{AccessAction, Protocol};
pub use crate::close_reason::CloseReason;
use crate::config::BackgroundPolicy;
use crate::id::{ConnectionId, RelayId, StreamId};
use crate::limit::Limit;
use crate::mobile::terms::{
    MemoryLevel, Permission, PermissionState, Power, ResumeReport, ServiceState, SuspendReport,
};
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
    /// The server is gone. Nothing follows.
    ServerStopped {
        /// Connections that were closed by force.
        forced: usize,
        /// Connections accepted since the start.
        accepted: u64,
        /// Bytes read from sockets until the stop began.
        bytes_in: u64,
        /// Bytes written to sockets until the stop began.
        bytes_out: u64,
    },
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
    /// An address made too many failed attempts (`access.failed_attempts`).
    AddressBlocked {
        /// Which; of IPv6 its whole /64 is.
        address: IpAddr,
        /// For how long.
        block: Duration,
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
    /// A certificate of the server comes to its end: told 30, 7 and 1 days before, as far
    /// as it lives more than four times as long, else when a sixth of its life is left; and
    /// when it has expired.
    CertificateExpires {
        /// What it is for: the first of its names.
        certificate: String,
        /// Where it comes from.
        source: String,
        /// From now on; zero if it has expired.
        left: Duration,
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
    /// A stream's picture has stopped while its sound goes on (`streams.video_timeout`).
    VideoStopped {
        /// Which.
        stream: StreamId,
        /// Its path.
        name: StreamName,
        /// How far the sound is beyond the last picture.
        silence: Duration,
    },
    /// A picture is there again after [`Event::VideoStopped`].
    VideoResumed {
        /// Which.
        stream: StreamId,
        /// Its path.
        name: StreamName,
        /// From the last picture to this one, by the stream's clock.
        silence: Duration,
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
    /// An attempt to connect, publish or play was decided: over HTTP once for each viewer.
    Access {
        /// How it came.
        protocol: Protocol,
        /// What was asked for.
        action: AccessAction,
        /// Who asked; `None` if it came without a connection of ours, over HTTP.
        connection: Option<ConnectionId>,
        /// From where.
        peer: SocketAddr,
        /// The app (connect) or the stream's path.
        target: StreamName,
        /// The user that the peer is, or, refused, says it is (`access.users`); `None` if
        /// nobody asked.
        user: Option<String>,
        /// Whether it was granted.
        granted: bool,
        /// Why not.
        reason: String,
    },
    /// A relayed stream runs: the other server granted it, and it is on its way.
    RelayStarted {
        /// The rule.
        relay: RelayId,
        /// The connection to the other server.
        connection: ConnectionId,
        /// The stream's path here.
        name: StreamName,
        /// The other server's URL, without the stream's name there and without queries.
        url: String,
    },
    /// A connection for a relayed stream came to nothing, or broke.
    RelayFailed {
        /// The rule.
        relay: RelayId,
        /// The stream's path here.
        name: StreamName,
        /// As in [`Event::RelayStarted`].
        url: String,
        /// The status that the other server refused with, such as
        /// `NetStream.Publish.BadName`; empty if it did not.
        code: String,
        /// What happened.
        reason: String,
        /// When it is tried again; `None` if it is not, for it would go in a circle.
        retry_in: Option<Duration>,
    },
    /// A stream is relayed no longer: it is over, nobody plays it any more, or the rule is
    /// gone.
    RelayEnded {
        /// The rule.
        relay: RelayId,
        /// The stream's path here.
        name: StreamName,
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
    /// The host's program went to the background.
    Background {
        /// What that means for the server: `mobile.background`, as far as it holds without
        /// a service or sound.
        policy: BackgroundPolicy,
        /// How long the system lets the program run, if it said so.
        remaining: Option<Duration>,
        /// Streams that are live and end or lose their video by that policy; another value
        /// of `mobile.background` keeps them.
        ending: usize,
    },
    /// The host's program came to the front.
    Foreground,
    /// The system lets the program run for so long only: told at 20, 10 and 5 s.
    RemainingTime {
        /// From now on.
        left: Duration,
    },
    /// The server was suspended by its host: nobody can connect.
    Suspended {
        /// What was done.
        #[serde(flatten)]
        report: SuspendReport,
    },
    /// The server is back from a suspension, or was looked after.
    Resumed {
        /// How long the program was away, by the host's clock.
        away: Duration,
        /// What was found and done.
        #[serde(flatten)]
        report: ResumeReport,
    },
    /// The server is reached under other URLs than before.
    UrlsChanged {
        /// All of them without a stream, the best first, as
        /// [`Server::reachable`](crate::Server::reachable) tells them.
        urls: Vec<String>,
    },
    /// There is no network any more.
    NetworkLost {
        /// How long streams are kept whose publishers vanish.
        grace: Duration,
    },
    /// There is a network again.
    NetworkBack,
    /// What goes to the internet goes through a mobile operator's network now, which may
    /// cost money.
    CellularUsed,
    /// The host told what the user says about a permission.
    Permission {
        /// Which.
        permission: Permission,
        /// What.
        state: PermissionState,
    },
    /// The host told how the device is off for power.
    Power {
        /// That.
        #[serde(flatten)]
        power: Power,
    },
    /// The host told how the device is off for memory.
    Memory {
        /// That.
        level: MemoryLevel,
    },
    /// The host told of the service that keeps its program running.
    Service {
        /// What became of it.
        state: ServiceState,
    },
    /// So many events were lost because the callback was too slow.
    Lost {
        /// How many.
        count: u64,
    },
}

/// What one track of [`Event::StreamTracks`] keeps alive, its texts included.
const TRACK_BYTES: usize = size_of::<Track>() + 64;

/// Texts of other servers and of systems are cut to some hundred characters.
const TEXT_BYTES: usize = 512;

impl Event {
    /// What it keeps alive while it waits for the host, bytes: names that peers chose, as if
    /// nobody else held them.
    pub(crate) fn held_bytes(&self) -> usize {
        let held = match self {
            Event::StreamTracks { name, tracks, .. } => {
                name.held_bytes() + tracks.len() * TRACK_BYTES
            }
            Event::Access { target, user, .. } => {
                target.held_bytes() + user.as_ref().map_or(0, String::len) + TEXT_BYTES
            }
            Event::RelayStarted { name, url, .. } | Event::RelayFailed { name, url, .. } => {
                name.held_bytes() + url.len() + TEXT_BYTES
            }
            Event::StreamPublished { name, .. }
            | Event::VideoStopped { name, .. }
            | Event::VideoResumed { name, .. }
            | Event::PublisherLost { name, .. }
            | Event::StreamUnpublished { name, .. }
            | Event::StreamEnded { name, .. }
            | Event::SubscriberJoined { name, .. }
            | Event::SubscriberLeft { name, .. }
            | Event::SubscriberDropping { name, .. }
            | Event::RelayEnded { name, .. }
            | Event::RecordingLost { name, .. } => name.held_bytes(),
            Event::RecordingStarted { name, .. }
            | Event::RecordingFinished { name, .. }
            | Event::RecordingFailed { name, .. } => name.held_bytes() + TEXT_BYTES,
            Event::ConfigChanged { paths, .. } => paths.iter().map(String::len).sum(),
            Event::UrlsChanged { urls, .. } => urls.iter().map(String::len).sum(),
            _ => TEXT_BYTES,
        };
        size_of::<Event>() + held
    }
}

impl CloseReason {
    /// One word for it: what the field `kind` of its JSON holds.
    pub fn kind(&self) -> &'static str {
        match self {
            CloseReason::Peer => "peer",
            CloseReason::Network(_) => "network",
            CloseReason::Protocol(_) => "protocol",
            CloseReason::Refused(_) => "refused",
            CloseReason::TooSlow(_) => "too_slow",
            CloseReason::Limit(_) => "limit",
            CloseReason::Host(_) => "host",
            CloseReason::StreamEnded => "stream_ended",
            CloseReason::ServerStopped => "server_stopped",
            CloseReason::Suspended => "suspended",
            CloseReason::SocketLost => "socket_lost",
            CloseReason::Internal => "internal",
        }
    }

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
            | CloseReason::Suspended
            | CloseReason::SocketLost
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
            CloseReason::Suspended => f.write_str("the server was suspended"),
            CloseReason::SocketLost => f.write_str("the system took the socket"),
            CloseReason::Internal => f.write_str("internal error"),
        }
    }
}
