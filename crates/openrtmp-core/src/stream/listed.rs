//! What a host is told of who has something to do with streams.

use std::time::Duration;

use serde::Serialize;

use crate::id::{ConnectionId, StreamId};
use crate::secret::StreamName;

/// A tap that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TapInfo {
    /// The stream that it is on; `None`: several, or all.
    pub stream: Option<StreamName>,
    /// Streams that are live for it: it told their start, or will, and not their end.
    pub live: usize,
    /// A recorder's, not the host's.
    pub recording: bool,
    /// Bytes of messages that wait to be taken.
    pub waiting_bytes: usize,
}

/// A publisher at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PublisherInfo {
    /// The stream.
    pub stream: StreamId,
    /// Its path.
    pub name: StreamName,
    /// Who publishes it; `None`: a [`Publisher`](crate::Publisher) of the host's.
    pub connection: Option<ConnectionId>,
    /// How long nothing has come from it, once that is `streams.publisher_timeout` and
    /// another may have its place; zero until then.
    #[serde(rename = "silence_ms", serialize_with = "milliseconds")]
    pub silence: Duration,
}

fn milliseconds<S: serde::Serializer>(duration: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
