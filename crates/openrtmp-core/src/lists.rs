//! What a host lists without asking the workers: taps, publishers, lost listeners.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::id::{ConnectionId, StreamId};
use crate::secret::StreamName;
use crate::server::Server;
use crate::sync::lock;

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

impl Server {
    /// The taps there are, those of recorders included, on one stream first, in the order
    /// of its name.
    pub fn taps(&self) -> Vec<TapInfo> {
        let taps = self.shared.directory.lock().taps();
        let open = taps.into_iter().filter(|(_, tap)| !tap.is_closed());
        open.map(|(stream, tap)| {
            let (live, waiting_bytes) = tap.load();
            TapInfo {
                stream,
                live,
                recording: tap.is_recorders(),
                waiting_bytes,
            }
        })
        .collect()
    }

    /// Addresses whose listening sockets were lost and cannot be had again yet.
    pub fn lost_listeners(&self) -> Vec<SocketAddr> {
        lock(&self.shared.lost_listeners).clone()
    }

    /// Whoever publishes, the host's own included, in the order of their streams' ids.
    pub fn publishers(&self) -> Vec<PublisherInfo> {
        self.shared
            .directory
            .lock()
            .publishers_list(self.shared.now())
    }
}
