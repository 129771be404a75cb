//! Where the server listens, and what is spoken there.

use std::fmt;
use std::net::{AddrParseError, SocketAddr};
use std::str::FromStr;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What comes before an address where TLS is spoken.
const TLS_SCHEME: &str = "rtmps://";

/// The same where it is not; it may be left out.
const PLAIN_SCHEME: &str = "rtmp://";

/// An address to listen on. In documents it is text, `"0.0.0.0:1935"`, `"[::]:1935"` or
/// `"rtmps://0.0.0.0:1936"`, or
/// `{"address": "0.0.0.0:1936", "tls": true, "proxy_protocol": true}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Listen {
    /// The address. Port 0 takes a free port. IPv6 sockets are IPv6 only.
    pub address: SocketAddr,
    /// What carries RTMP to those who connect there.
    pub transport: ListenTransport,
    /// Proxies connect there (`access.trusted_proxies`), and say first for whom: with the
    /// PROXY protocol, version 1 or 2, in front of TLS. Nobody else is heard.
    pub proxy_protocol: bool,
}

/// What carries RTMP over an accepted socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenTransport {
    /// TCP as it is.
    #[default]
    Plain,
    /// TLS, as [`Config::tls`](crate::Config::tls) says: RTMPS.
    Tls,
}

impl Listen {
    pub(crate) fn is_tls(&self) -> bool {
        self.transport == ListenTransport::Tls
    }

    /// The same address with TLS.
    pub fn with_tls(self) -> Listen {
        Listen {
            transport: ListenTransport::Tls,
            ..self
        }
    }

    /// The same address for proxies, see [`Listen::proxy_protocol`].
    pub fn with_proxy_protocol(self) -> Listen {
        Listen {
            proxy_protocol: true,
            ..self
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Listen {
        Listen {
            address,
            transport: ListenTransport::Plain,
            proxy_protocol: false,
        }
    }
}

impl FromStr for Listen {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Listen, AddrParseError> {
        if let Some(address) = text.strip_prefix(TLS_SCHEME) {
            return Ok(Listen::from(address.parse::<SocketAddr>()?).with_tls());
        }
        let address = text.strip_prefix(PLAIN_SCHEME).unwrap_or(text);
        Ok(Listen::from(address.parse::<SocketAddr>()?))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            ListenTransport::Plain => self.address.fmt(f)?,
            ListenTransport::Tls => write!(f, "{TLS_SCHEME}{}", self.address)?,
        }
        match self.proxy_protocol {
            true => f.write_str(" (PROXY protocol)"),
            false => Ok(()),
        }
    }
}

/// A text wherever one can tell all there is to tell.
impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.proxy_protocol {
            return serializer.collect_str(self);
        }
        let map = Map {
            address: self.address.to_string(),
            tls: self.is_tls(),
            proxy_protocol: true,
        };
        map.serialize(serializer)
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Map {
    address: String,
    #[serde(default)]
    tls: bool,
    #[serde(default)]
    proxy_protocol: bool,
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Listen, D::Error> {
        deserializer.deserialize_any(TextOrMap)
    }
}

struct TextOrMap;

impl<'de> Visitor<'de> for TextOrMap {
    type Value = Listen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address such as 0.0.0.0:1935 or rtmps://0.0.0.0:1936")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Listen, E> {
        let wrong = |_| E::invalid_value(de::Unexpected::Str(text), &self);
        text.parse().map_err(wrong)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Listen, A::Error> {
        let map = Map::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let mut listen: Listen = self.visit_str(&map.address)?;
        if map.tls {
            listen = listen.with_tls();
        }
        listen.proxy_protocol = map.proxy_protocol;
        Ok(listen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_text_or_a_map() {
        let read = |json: &str| serde_json::from_str::<Listen>(json);
        let plain: Listen = "127.0.0.1:1935".parse().expect("an address");
        let tls = plain.with_tls();
        assert_eq!(read(r#""127.0.0.1:1935""#).expect("text"), plain);
        assert_eq!(read(r#""rtmp://127.0.0.1:1935""#).expect("text"), plain);
        assert_eq!(read(r#""rtmps://127.0.0.1:1935""#).expect("text"), tls);
        let map = r#"{"address": "127.0.0.1:1935", "tls": true}"#;
        assert_eq!(read(map).expect("a map"), tls);
        let map = r#"{"address": "127.0.0.1:1935"}"#;
        assert_eq!(read(map).expect("a map"), plain);
        let proxied = tls.with_proxy_protocol();
        let map = r#"{"address": "127.0.0.1:1935", "tls": true, "proxy_protocol": true}"#;
        assert_eq!(read(map).expect("a map"), proxied);
        for listen in [plain, tls, proxied, plain.with_proxy_protocol()] {
            let text = serde_json::to_string(&listen).expect("text");
            assert_eq!(read(&text).expect("what was written"), listen);
        }
        for wrong in [
            "7",
            r#""somewhere""#,
            r#"{"tls": true}"#,
            r#"{"address": "::1", "x": 1}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
