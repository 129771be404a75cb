//! HTTP: the delivery of streams, and the small server of the `openrtmp` command.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::delivery::{
    CorsConfig, DashConfig, DvrConfig, HttpList, HttpListen, HttpPreset, TokensConfig,
    ViewersConfig,
};
use super::document::milliseconds;

/// HTTP, as the `openrtmp` command speaks it. Streams are delivered to viewers
/// ([`HttpConfig::listen`]), by libraries that are built with `live` too. Another server, a small one, answers authorities (HTTP-01
/// of [`AcmeConfig`](super::AcmeConfig)) and those who watch it
/// ([`MetricsConfig`](super::MetricsConfig)): what peers may cost it, at each of the two, is
/// told by `connections`, `requests` and `answer_bytes`; what is told of heads and times holds
/// for viewers too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Where streams are delivered to viewers: HLS, DASH, HTTP-FLV, WebSocket-FLV. None: nowhere.
    pub listen: Vec<HttpListen>,
    /// How far behind the publisher they are to be.
    pub preset: HttpPreset,
    /// So much of a stream can be gone back in HLS and DASH, 10 s to 6 h.
    #[serde(with = "milliseconds")]
    pub window: Duration,
    /// How much of it beyond that.
    pub dvr: DvrConfig,
    /// How DASH tells of it.
    pub dash: DashConfig,
    /// Endings of the names of streams that are the same in other sizes: with `_low` the
    /// stream `cam_low` is delivered as one of `cam`, beside that itself if it is published.
    /// Up to 8, of up to 32 bytes each, without slashes and spaces.
    pub variants: Vec<String>,
    /// Where media playlists and media are fetched, in front of their paths, such as
    /// `https://cdn.example.org`. Empty: where the master playlist was.
    pub base_url: String,
    /// Which pages may use it.
    pub cors: CorsConfig,
    /// Who is told which streams there are, at `/` and `/api/streams`. Streams whose names are
    /// secret are never listed.
    pub list: HttpList,
    /// Bytes that are kept for viewers, all together; 0 is half of `limits.memory`. Streams
    /// have three quarters: with more, less is kept of each, then streams that begin are not
    /// delivered. The rest is for what viewers have not taken of what is listed no longer:
    /// with more, those that wait longest are cut off.
    pub memory: u64,
    /// What viewers may make it hold.
    pub viewers: ViewersConfig,
    /// Tokens of viewers of streams that are not public.
    pub tokens: TokensConfig,
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
            listen: vec![HttpListen::Auto],
            preset: HttpPreset::default(),
            window: Duration::from_secs(30),
            dvr: DvrConfig::default(),
            dash: DashConfig::default(),
            variants: Vec::new(),
            base_url: String::new(),
            cors: CorsConfig::default(),
            list: HttpList::default(),
            memory: 0,
            viewers: ViewersConfig::default(),
            tokens: TokensConfig::default(),
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
