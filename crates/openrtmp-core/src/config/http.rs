//! The small HTTP server of the `openrtmp` command.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::document::milliseconds;

/// The HTTP server of the `openrtmp` command, which answers authorities (HTTP-01 of
/// [`AcmeConfig`](super::AcmeConfig)) and those who watch it
/// ([`MetricsConfig`](super::MetricsConfig)): what peers may cost it, at each of the two. The
/// library has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Connections at once, 1 to 65,536. Beyond, the one that is silent longest is closed.
    pub connections: usize,
    /// Requests of one connection, after which it is closed, 1 or more.
    pub requests: u32,
    /// Bytes of the head of a request, 1 KiB to 64 KiB; beyond, 431 (RFC 6585 section 5).
    /// Requests that come before the answer to another wait in the system.
    pub header_bytes: usize,
    /// Header fields of a request, 1 to 1000; beyond, 431.
    pub headers: usize,
    /// For a request to be complete, from its first byte on, 100 ms to 10 min; beyond, 408.
    #[serde(with = "milliseconds")]
    pub request_timeout: Duration,
    /// For a request to begin, 100 ms to 1 day.
    #[serde(with = "milliseconds")]
    pub idle_timeout: Duration,
    /// For the peer to take an answer as a whole, 100 ms to 1 day.
    #[serde(with = "milliseconds")]
    pub answer_timeout: Duration,
    /// Bytes of answers that wait for peers, all together, 64 KiB or more; beyond, 503.
    pub answer_bytes: usize,
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            connections: 256,
            requests: 1000,
            header_bytes: 8 << 10,
            headers: 64,
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            answer_bytes: 16 << 20,
        }
    }
}
