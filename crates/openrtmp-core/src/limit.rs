//! Every limit, as a value.

use std::fmt;
use std::time::Duration;

use openrtmp_protocol::amf::AmfErrorKind;
use openrtmp_protocol::chunk::ChunkError;
use openrtmp_protocol::session::{SessionError, SessionLimit, Stage};
use serde::{Serialize, Serializer};

use crate::config::Config;

/// One line for each limit: its setting and where its value is.
macro_rules! limits {
    ($($limit:ident = $path:literal, $value:expr;)*) => {
        /// A limit on what peers may make the server hold or do, or on how long they may
        /// take. Written as its setting's path.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Limit {
            $(#[doc = concat!("`", $path, "`")] $limit,)*
        }

        impl Limit {
            /// Every limit there is.
            pub const ALL: &[Limit] = &[$(Limit::$limit,)*];

            /// The dotted path of its setting, for example `limits.connections`.
            pub fn path(self) -> &'static str {
                match self {
                    $(Limit::$limit => $path,)*
                }
            }

            /// Its value in some settings, in the unit of the setting: durations in
            /// milliseconds.
            pub fn value(self, config: &Config) -> u64 {
                match self {
                    $(Limit::$limit => Amount::amount(&($value as fn(&Config) -> _)(config)),)*
                }
            }
        }
    };
}

limits! {
    Connections = "limits.connections", |c| c.limits.connections;
    ConnectionsPerAddress = "limits.connections_per_address", |c| c.limits.connections_per_address;
    HandshakeGrace = "limits.handshake_grace", |c| c.limits.handshake_grace;
    ConnectionWork = "limits.connection_work", |c| c.limits.connection_work;
    MessageRate = "limits.message_rate", |c| c.limits.message_rate;
    Publishers = "limits.publishers", |c| c.limits.publishers;
    PublishersPerConnection = "limits.publishers_per_connection", |c| c.limits.publishers_per_connection;
    PublishersPerAddress = "limits.publishers_per_address", |c| c.limits.publishers_per_address;
    PublisherBitrate = "limits.publisher_bitrate", |c| c.limits.publisher_bitrate;
    OutgoingBitrate = "limits.outgoing_bitrate", |c| c.limits.outgoing_bitrate;
    Memory = "limits.memory", |c| c.limits.memory;
    AnswerBytes = "limits.answer_bytes", |c| c.limits.answer_bytes;
    HeaderBytes = "limits.header_bytes", |c| c.limits.header_bytes;
    Tracks = "limits.tracks", |c| c.limits.tracks;
    Linger = "limits.linger", |c| c.limits.linger;
    LingerBytes = "limits.linger_bytes", |c| c.limits.linger_bytes;
    AcceptRetry = "limits.accept_retry", |c| c.limits.accept_retry;
    Challenges = "limits.challenges", |c| c.limits.challenges;
    Recordings = "limits.recordings", |c| c.limits.recordings;
    RelayRules = "limits.relay_rules", |c| c.limits.relay_rules;
    RelayHops = "limits.relay_hops", |c| c.limits.relay_hops;
    RelayRedirects = "limits.relay_redirects", |c| c.limits.relay_redirects;
    LogLines = "limits.log_lines", |c| c.limits.log_lines;
    MessageBytes = "limits.session.message_bytes", |c| c.limits.session.message_bytes;
    PartialBytes = "limits.session.partial_bytes", |c| c.limits.session.partial_bytes;
    CommandBytes = "limits.session.command_bytes", |c| c.limits.session.command_bytes;
    ChunkStreams = "limits.session.chunk_streams", |c| c.limits.session.chunk_streams;
    MessageStreams = "limits.session.message_streams", |c| c.limits.session.message_streams;
    PendingRequests = "limits.session.pending_requests", |c| c.limits.session.pending_requests;
    WaitingMessages = "limits.session.waiting_messages", |c| c.limits.session.waiting_messages;
    NameBytes = "limits.session.name_bytes", |c| c.limits.session.name_bytes;
    AmfDepth = "limits.session.amf.depth", |c| c.limits.session.amf.depth;
    AmfStringBytes = "limits.session.amf.string_bytes", |c| c.limits.session.amf.string_bytes;
    AmfElements = "limits.session.amf.elements", |c| c.limits.session.amf.elements;
    AmfDecodedBytes = "limits.session.amf.decoded_bytes", |c| c.limits.session.amf.decoded_bytes;
    AmfValuesPerByte = "limits.session.amf.values_per_byte", |c| c.limits.session.amf.values_per_byte;
    AmfValuesBase = "limits.session.amf.values_base", |c| c.limits.session.amf.values_base;
    HandshakeTimeout = "rtmp.handshake_timeout", |c| c.rtmp.handshake_timeout;
    TlsHandshakeTimeout = "tls.handshake_timeout", |c| c.tls.handshake_timeout;
    ConnectTimeout = "rtmp.connect_timeout", |c| c.rtmp.connect_timeout;
    IdleTimeout = "rtmp.idle_timeout", |c| c.rtmp.idle_timeout;
    MediaTimeout = "streams.media_timeout", |c| c.streams.media_timeout;
    MessageTimeout = "streams.message_timeout", |c| c.streams.message_timeout;
    ChallengeTimeout = "access.challenge_timeout", |c| c.access.challenge_timeout;
    FailedAttempts = "access.failed_attempts.limit", |c| c.access.failed_attempts.limit;
    DecisionTimeout = "access.decision_timeout", |c| c.access.decision_timeout;
    QueueDelay = "queue.max_delay", |c| c.queue.max_delay;
    QueueBytes = "queue.max_bytes", |c| c.queue.max_bytes;
    StallTimeout = "queue.stall_timeout", |c| c.queue.stall_timeout;
    WorkerBytes = "queue.worker_bytes", |c| c.queue.worker_bytes;
    WorkerMessages = "queue.worker_messages", |c| c.queue.worker_messages;
    GopBytes = "gop.max_bytes", |c| c.gop.max_bytes;
    GopFrames = "gop.max_frames", |c| c.gop.max_frames;
    GopDuration = "gop.max_duration", |c| c.gop.max_duration;
    ViewersConnections = "http.viewers.connections", |c| c.http.viewers.connections;
    ViewersConnectionsPerAddress = "http.viewers.connections_per_address", |c| c.http.viewers.connections_per_address;
    ViewersWaiting = "http.viewers.waiting", |c| c.http.viewers.waiting;
    ViewersWaitingPerStream = "http.viewers.waiting_per_stream", |c| c.http.viewers.waiting_per_stream;
    ViewersWanted = "http.viewers.wanted", |c| c.http.viewers.wanted;
}

impl Limit {
    /// The limit beyond which a session refused something.
    pub(crate) fn of_session(limit: SessionLimit) -> Option<Limit> {
        match limit {
            SessionLimit::MessageStreams => Some(Limit::MessageStreams),
            SessionLimit::NameBytes => Some(Limit::NameBytes),
            SessionLimit::PartialBytes => Some(Limit::PartialBytes),
            SessionLimit::WaitingMessages => Some(Limit::WaitingMessages),
            SessionLimit::PendingRequests => Some(Limit::PendingRequests),
            _ => None,
        }
    }

    /// The limit that a peer ran into, if that is why its session is over.
    pub(crate) fn of_session_error(error: &SessionError, config: &Config) -> Option<Limit> {
        Some(match error {
            SessionError::Chunk(ChunkError::MessageTooLong { .. }) => Limit::MessageBytes,
            SessionError::Chunk(ChunkError::TooManyPartialBytes { limit, .. }) => {
                match *limit == config.limits.session.command_bytes {
                    true => Limit::CommandBytes,
                    false => Limit::PartialBytes,
                }
            }
            SessionError::Chunk(ChunkError::TooManyChunkStreams { .. }) => Limit::ChunkStreams,
            SessionError::Amf(error) => match error.kind {
                AmfErrorKind::TooDeep(_) => Limit::AmfDepth,
                AmfErrorKind::StringTooLong(_) => Limit::AmfStringBytes,
                AmfErrorKind::TooManyElements(_) => Limit::AmfElements,
                AmfErrorKind::TooManyReferences(_) => Limit::AmfValuesPerByte,
                AmfErrorKind::TooLarge(_) => Limit::AmfDecodedBytes,
                _ => return None,
            },
            SessionError::Timeout { stage, .. } => match stage {
                Stage::Handshake => Limit::HandshakeTimeout,
                Stage::Connect => Limit::ConnectTimeout,
                _ => Limit::IdleTimeout,
            },
            SessionError::Limit { .. } => Limit::PendingRequests,
            _ => return None,
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.path())
    }
}

/// What limits are measured in, as a number.
trait Amount {
    fn amount(&self) -> u64;
}

impl Amount for usize {
    fn amount(&self) -> u64 {
        *self as u64
    }
}

impl Amount for u64 {
    fn amount(&self) -> u64 {
        *self
    }
}

impl Amount for u32 {
    fn amount(&self) -> u64 {
        (*self).into()
    }
}

impl Amount for Duration {
    fn amount(&self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }
}
