use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use openrtmp_protocol::RtmpUrl;

use super::ClientError;

/// Connects to the first address of the URL's host that answers.
pub(super) fn dial(url: &RtmpUrl, timeout: Duration) -> Result<TcpStream, ClientError> {
    if url.tls {
        return Err(ClientError::Tls);
    }
    let addresses = resolve(url)?;
    let mut failure = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(source) => failure = Some(ClientError::Connect { address, source }),
        }
    }
    Err(failure.unwrap_or_else(|| unresolved(url, io::Error::other("it has no address"))))
}

fn resolve(url: &RtmpUrl) -> Result<Vec<SocketAddr>, ClientError> {
    (url.host.as_str(), url.port)
        .to_socket_addrs()
        .map(Iterator::collect)
        .map_err(|source| unresolved(url, source))
}

fn unresolved(url: &RtmpUrl, source: io::Error) -> ClientError {
    ClientError::Resolve {
        host: url.host.clone(),
        source,
    }
}
