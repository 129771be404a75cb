//! Where the server listens, and what is spoken there.

use std::fmt;
use std::net::{AddrParseError, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address to listen on. In documents it is text: `"0.0.0.0:1935"`,
/// `"[::]:1935"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub struct Listen {
    /// The address. Port 0 takes a free port. IPv6 sockets are IPv6 only.
    pub address: SocketAddr,
    /// What carries RTMP to those who connect there.
    pub transport: ListenTransport,
}

/// What carries RTMP over an accepted socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenTransport {
    /// TCP as it is.
    #[default]
    Plain,
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Listen {
        Listen {
            address,
            transport: ListenTransport::Plain,
        }
    }
}

impl FromStr for Listen {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Listen, AddrParseError> {
        Ok(Listen::from(text.parse::<SocketAddr>()?))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            ListenTransport::Plain => self.address.fmt(f),
        }
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> String {
        listen.to_string()
    }
}

impl TryFrom<String> for Listen {
    type Error = AddrParseError;

    fn try_from(text: String) -> Result<Listen, AddrParseError> {
        text.parse()
    }
}
