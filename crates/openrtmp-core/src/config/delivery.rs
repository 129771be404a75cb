//! Where streams are delivered over HTTP, and what that may cost.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::document::milliseconds;
use super::tls::text_or_none;

/// What comes before an address where HTTP is spoken as it is; it may be left out.
const PLAIN_SCHEME: &str = "http://";

/// The same where it is spoken over TLS.
const TLS_SCHEME: &str = "https://";

/// The text of [`HttpListen::Auto`].
const AUTO: &str = "auto";

/// Where streams are delivered. In documents it is text: `"http://0.0.0.0:8080"`,
/// `"https://[::]:8443"`, `"127.0.0.1:8080"`, or `"auto"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpListen {
    /// Port 8080 of the addresses of [`Config::listen`](crate::Config::listen), where it can
    /// be had.
    Auto,
    /// This address. Port 0 takes a free port. IPv6 sockets are IPv6 only.
    At {
        /// The address.
        address: SocketAddr,
        /// TLS is spoken, as [`Config::tls`](crate::Config::tls) says.
        tls: bool,
    },
}

impl HttpListen {
    /// The port of [`HttpListen::Auto`].
    pub const DEFAULT_PORT: u16 = 8080;

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, HttpListen::At { tls: true, .. })
    }
}

impl FromStr for HttpListen {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<HttpListen, Self::Err> {
        if text == AUTO {
            return Ok(HttpListen::Auto);
        }
        let (address, tls) = match text.strip_prefix(TLS_SCHEME) {
            Some(address) => (address, true),
            None => (text.strip_prefix(PLAIN_SCHEME).unwrap_or(text), false),
        };
        let address = address.trim_end_matches('/').parse()?;
        Ok(HttpListen::At { address, tls })
    }
}

impl fmt::Display for HttpListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpListen::Auto => f.write_str(AUTO),
            HttpListen::At { address, tls: true } => write!(f, "{TLS_SCHEME}{address}"),
            HttpListen::At { address, .. } => write!(f, "{PLAIN_SCHEME}{address}"),
        }
    }
}

impl Serialize for HttpListen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HttpListen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HttpListen, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = "auto, or an address such as http://0.0.0.0:8080";
        text.parse()
            .map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &expected))
    }
}

/// A library that has no delivery in it was asked to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "http.listen is {at}, but this library delivers nothing over HTTP: it was built without `live`"
)]
#[non_exhaustive]
pub struct NoDelivery {
    /// Where it was to.
    pub at: HttpListen,
}

/// How far behind the publisher players are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HttpPreset {
    /// Parts of 0.2 s, for a network of one's own.
    Lan,
    /// Parts of 0.334 s.
    #[default]
    Balanced,
    /// Parts of 1 s, for networks one knows nothing of.
    Public,
}

/// Who is told which streams there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HttpList {
    /// Everybody, of every stream, also where playing it takes a key.
    All,
    /// Everybody, of the streams that it may play: of all where nobody is asked for anything;
    /// with play keys, of those that the key of the request opens; of none where the host
    /// decides, whom a list does not ask.
    #[default]
    Allowed,
    /// Nobody.
    None,
}

/// How streams are delivered in DASH.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DashConfig {
    /// Manifests tell of segments that are not complete, which are sent as they come, as long
    /// as all are equally long to a frame. A stream has a manifest once three segments are
    /// complete, in place of one.
    pub low_latency: bool,
}

/// How far viewers can go back beyond `http.window`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DvrConfig {
    /// So much of a stream can be gone back in HLS and DASH, 10 s to 6 h, if that is more than
    /// `http.window`; 0: no more than that.
    #[serde(with = "milliseconds")]
    pub duration: Duration,
    /// Folder for what is older than `http.window`, made if missing. None: it is kept in memory,
    /// in what `http.memory` leaves, up to half of what streams have of that.
    #[serde(with = "text_or_none")]
    pub directory: Option<PathBuf>,
    /// Bytes in that folder, 1 MiB or more: with more, the oldest are removed, whichever stream
    /// they are of.
    pub bytes: u64,
}

impl Default for DvrConfig {
    fn default() -> DvrConfig {
        DvrConfig {
            duration: Duration::ZERO,
            directory: None,
            bytes: 16 << 30,
        }
    }
}

/// Which pages of other sites may use what is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CorsConfig {
    /// Their origins, such as `https://www.example.org`; `*` is all of them; none: no page of
    /// another site.
    pub origins: Vec<String>,
}

impl Default for CorsConfig {
    fn default() -> CorsConfig {
        CorsConfig {
            origins: vec!["*".to_owned()],
        }
    }
}

/// What viewers may make the delivery hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ViewersConfig {
    /// Connections at once, 1 to 1,000,000; beyond, they are closed at once.
    pub connections: usize,
    /// Of one address (of IPv6: a /64), 1 to 1,000,000; 0: no more than are free, which is half
    /// of all at most, and so it is with what is waited for and wanted of streams: whoever
    /// takes all that he can get leaves as many to the others. Proxies of
    /// `access.trusted_proxies` have as many connections as there may be.
    pub connections_per_address: usize,
    /// Requests of one HTTP/2 connection at once, 8 to 1024.
    pub requests: u32,
    /// Requests of one connection that wait for what comes, 4 to 1024; beyond, 503.
    pub waiting: usize,
    /// The same of all viewers of one stream, 16 to 10,000,000.
    pub waiting_per_stream: usize,
    /// Streams that are begun because viewers want them, or kept for them, at once, 1 to
    /// 1,000,000; beyond, 503.
    pub wanted: usize,
    /// An answer takes at least so many bytes per second, 0 to 1 GiB: whoever is slower is
    /// cut off after `http.answer_timeout`, or 10 s if that is longer.
    pub least_rate: u64,
}

impl Default for ViewersConfig {
    fn default() -> ViewersConfig {
        ViewersConfig {
            connections: 10_000,
            connections_per_address: 0,
            requests: 256,
            waiting: 64,
            waiting_per_stream: 40_000,
            wanted: 256,
            least_rate: 16 << 10,
        }
    }
}

/// Tokens of viewers of streams that are not public.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokensConfig {
    /// Secrets that they are signed with, 16 bytes or more each: the first signs, all are
    /// believed. None: one that this server makes when it starts.
    pub keys: Vec<String>,
    /// How long one is good, 1 min to 30 days.
    #[serde(with = "milliseconds")]
    pub life: Duration,
    /// One is good from the address alone that it was given to (of IPv6: its /64). Phones that
    /// change from one network to another begin anew.
    pub same_address: bool,
}

impl Default for TokensConfig {
    fn default() -> TokensConfig {
        TokensConfig {
            keys: Vec::new(),
            life: Duration::from_secs(6 * 3600),
            same_address: false,
        }
    }
}

/// Keys are not shown.
impl fmt::Debug for TokensConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokensConfig")
            .field("keys", &vec!["***"; self.keys.len()])
            .field("life", &self.life)
            .field("same_address", &self.same_address)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_deliver_is_a_text_with_or_without_a_scheme() {
        for (text, shown, tls) in [
            ("http://0.0.0.0:8080", "http://0.0.0.0:8080", false),
            ("[::1]:80", "http://[::1]:80", false),
            ("https://127.0.0.1:8443/", "https://127.0.0.1:8443", true),
            ("auto", "auto", false),
        ] {
            let listen: HttpListen = text.parse().expect(text);
            assert_eq!((listen.to_string().as_str(), listen.is_tls()), (shown, tls));
            let json = serde_json::to_string(&listen).expect("text");
            assert_eq!(serde_json::from_str::<HttpListen>(&json).ok(), Some(listen));
        }
        for wrong in ["", "8080", "rtmp://0.0.0.0:1", "http://host:80", "Auto"] {
            assert!(wrong.parse::<HttpListen>().is_err(), "{wrong}");
        }
    }
}
