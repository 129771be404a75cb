//! Why connections end.

use serde::Serialize;

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
    /// The server was suspended ([`Host::suspend`](crate::Host::suspend)).
    Suspended,
    /// The system took its socket while the program was suspended.
    SocketLost,
    /// A panic in the code that served it: a bug of ours.
    Internal,
}
