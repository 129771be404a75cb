//! Where to publish and play: an RTMP server, or the bare fan-out.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use openrtmp_protocol::session::{ClientConfig, ClientMode, ClientSession};
use openrtmp_protocol::{RtmpUrl, Time};

/// The chunk size of what is published and, in the bare fan-out, of everything.
pub(crate) const CHUNK_SIZE: u32 = 60_000;

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A server at this URL.
    Rtmp(RtmpUrl),
    /// The fan-out of [`crate::floor`] at this address.
    Floor(SocketAddr),
}

impl Target {
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Target::Floor(address) => Ok(*address),
            Target::Rtmp(url) => (url.host.as_str(), url.port)
                .to_socket_addrs()?
                .next()
                .ok_or_else(|| io::Error::other("the host has no address")),
        }
    }

    /// This stream, or several of the same server named after it. The floor has only one.
    pub(crate) fn streams(&self, count: usize) -> Vec<Target> {
        match self {
            Target::Rtmp(url) if count > 1 => (0..count)
                .map(|number| self.with_stream(&format!("{}{number}", url.stream)))
                .collect(),
            _ => vec![self.clone()],
        }
    }

    /// The name of the stream.
    pub(crate) fn stream(&self) -> &str {
        match self {
            Target::Floor(_) => "",
            Target::Rtmp(url) => &url.stream,
        }
    }

    /// The same server, another stream.
    pub(crate) fn with_stream(&self, name: &str) -> Target {
        match self {
            Target::Floor(_) => self.clone(),
            Target::Rtmp(url) => Target::Rtmp(RtmpUrl {
                stream: name.to_owned(),
                ..url.clone()
            }),
        }
    }
}

/// Where a server is published to, and where it is played from.
#[derive(Clone)]
pub(crate) struct Ends {
    pub(crate) publish: Target,
    pub(crate) play: Target,
    /// Players speak TLS.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
}

impl Ends {
    /// One for both, without TLS.
    pub(crate) fn plain(target: Target) -> Ends {
        Ends {
            play: target.clone(),
            publish: target,
            tls: None,
        }
    }
}

/// A client session for a URL.
pub(crate) fn session(url: &RtmpUrl, mode: ClientMode) -> ClientSession {
    let mut config = ClientConfig::new(url.clone(), mode);
    config.chunk_size = CHUNK_SIZE;
    // Not a secret: only the handshake's filling is random.
    let mut fill = |bytes: &mut [u8]| bytes.fill(0x5A);
    ClientSession::new(config, Time::ZERO, &mut fill)
}
