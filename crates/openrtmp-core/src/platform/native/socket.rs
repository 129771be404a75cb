use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::sys;
use crate::platform::errors::not_listening;
use crate::platform::{Listener, Stream};

/// Connections that may wait to be accepted: a burst of reconnecting players
/// fits. The kernel lowers it to its own maximum.
const BACKLOG: i32 = 1024;

/// A peer whose machine or network vanished is found dead after
/// 15 s + 3 * 5 s of silence.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(15))
    .with_interval(Duration::from_secs(5))
    .with_retries(3);

/// Slices in one vectored write; IOV_MAX of every supported system.
const MAX_SLICES: usize = 1024;

/// A listening TCP socket.
#[derive(Debug)]
pub struct NativeListener(pub(super) mio::net::TcpListener);

/// A connected TCP socket.
#[derive(Debug)]
pub struct NativeStream(pub(super) mio::net::TcpStream);

impl NativeListener {
    /// A socket that listens.
    pub(super) fn adopt(socket: std::net::TcpListener) -> io::Result<NativeListener> {
        socket.set_nonblocking(true)?;
        Ok(NativeListener(mio::net::TcpListener::from_std(socket)))
    }

    pub(super) fn bind(address: SocketAddr) -> io::Result<NativeListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        // On Unix this allows a restart while connections of the last run are in
        // TIME_WAIT. On Windows, where that is allowed anyway, the same option
        // would let another program take the port over.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(NativeListener(mio::net::TcpListener::from_std(
            socket.into(),
        )))
    }
}

impl Listener for NativeListener {
    type Stream = NativeStream;

    fn accept(&self) -> io::Result<(NativeStream, SocketAddr)> {
        loop {
            match self.0.accept() {
                Ok((stream, peer)) => {
                    configure(&stream);
                    return Ok((NativeStream(stream), peer));
                }
                // The peer gave up while it waited: the next one may be there.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Linux and Android: SO_ACCEPTCONN, since `listen` again would set a socket
    /// that was aborted (`ss -K`) to listening once more, and hide that everybody
    /// who waited in it was reset. Elsewhere `listen` again, which changes nothing
    /// on a socket that listens: Apple's systems refuse it on one that was made
    /// defunct (EINVAL), which keeps SO_ACCEPTCONN; Windows answers WSAENOTSOCK
    /// or WSAEINVAL.
    fn probe(&self) -> io::Result<()> {
        match sys::listens(&self.0, BACKLOG)? {
            true => Ok(()),
            false => Err(not_listening()),
        }
    }
}

impl NativeStream {
    pub(super) fn connect(address: SocketAddr) -> io::Result<NativeStream> {
        let stream = mio::net::TcpStream::connect(address)?;
        configure(&stream);
        Ok(NativeStream(stream))
    }
}

impl Read for NativeStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }

    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.0.read_vectored(slices)
    }
}

impl Write for NativeStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(sys::write_error)
    }

    // Not the standard library's writev: on Linux that raises SIGPIPE when the
    // peer is gone, which ends a host program that did not ask to ignore it.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices = &slices[..slices.len().min(MAX_SLICES)];
        self.0
            .try_io(|| {
                let socket = SockRef::from(&self.0);
                socket.send_vectored_with_flags(slices, sys::SEND_FLAGS)
            })
            .map_err(sys::write_error)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for NativeStream {
    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn peer_address(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    fn connected(&self) -> io::Result<bool> {
        if let Some(error) = self.0.take_error()? {
            return Err(error);
        }
        match self.0.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    fn set_unsent_limit(&self, bytes: u32) -> io::Result<()> {
        sys::set_unsent_limit(&self.0, bytes)
    }

    fn set_unacknowledged_limit(&self, limit: Duration) -> io::Result<()> {
        sys::set_unacknowledged_limit(&self.0, limit)
    }
}

/// Sets the options of an accepted or connecting socket. They fail only on a
/// connection that is dead already (macOS: EINVAL after a reset), which the first
/// read tells better than an error of `accept`, which would look like the listener's.
fn configure(stream: &mio::net::TcpStream) {
    let socket = SockRef::from(stream);
    let options = [
        socket.set_tcp_nodelay(true),
        socket.set_tcp_keepalive(&KEEPALIVE),
        sys::disable_sigpipe(stream),
    ];
    for error in options.into_iter().filter_map(Result::err) {
        log::debug!(error:%; "could not set an option of a socket");
    }
}
