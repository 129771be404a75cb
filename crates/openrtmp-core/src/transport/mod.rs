//! How a connection's bytes get to its peer and back.

mod proxy;
#[cfg(feature = "tls")]
mod tls;

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::access::PeerCertificate;
use crate::platform::{Poller, Stream, Token};

pub(crate) use proxy::{ProxyHeader, Told};
#[cfg(feature = "tls")]
pub(crate) use tls::TlsStream;

/// What carries the bytes of a connection.
///
/// A transport may hold bytes of its own in both directions: a layer over the socket,
/// as TLS is, has records that wait to be written or to be whole. So "the send queue is
/// empty" does not mean that everything was said: that is [`Transport::is_flushed`] too.
pub(crate) enum Transport<S> {
    /// TCP as it is. Holds nothing.
    Plain(S),
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<S>>),
}

/// Why a transport other than the plain one cannot go on, in words for the log; `None` for
/// an error of the socket.
pub(crate) fn failure(error: &io::Error) -> Option<String> {
    #[cfg(feature = "tls")]
    if let Some(failure) = crate::tls::Failure::of(error) {
        return Some(failure.to_string());
    }
    let _ = error;
    None
}

impl<S: Stream> Transport<S> {
    fn socket(&self) -> &S {
        match self {
            Transport::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.socket(),
        }
    }

    fn socket_mut(&mut self) -> &mut S {
        match self {
            Transport::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.socket_mut(),
        }
    }

    /// Reads what a proxy says in front of everything else, TLS included.
    pub(crate) fn read_proxy_header(&mut self, header: &mut ProxyHeader) -> io::Result<Told> {
        header.read(self.socket_mut())
    }

    /// The system has its socket still, as far as it tells.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.socket().connected(), Ok(true))
    }

    /// True if bytes that were taken over are not with the system yet: it wants to
    /// write, whether or not the session has something to say.
    pub(crate) fn wants_write(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.wants_write(),
        }
    }

    /// True until its own handshake is over, before which no byte of the session passes.
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.is_handshaking(),
        }
    }

    /// True if it hides what it carries from those on the way.
    pub(crate) fn is_tls(&self) -> bool {
        !matches!(self, Transport::Plain(_))
    }

    /// The version of TLS, once that is known.
    pub(crate) fn tls_version(&self) -> Option<&'static str> {
        match self {
            Transport::Plain(_) => None,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.version(),
        }
    }

    /// What the peer showed of itself.
    pub(crate) fn peer_certificate(&self) -> Option<Arc<PeerCertificate>> {
        match self {
            Transport::Plain(_) => None,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.peer_certificate(),
        }
    }

    /// True once everything that was written to it is with the system.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.wants_write()
    }

    /// Bytes that wait for the system here.
    pub(crate) fn unsent_bytes(&self) -> usize {
        match self {
            Transport::Plain(_) => 0,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.unsent_bytes(),
        }
    }

    /// Bytes it holds in both directions, for the memory budget.
    pub(crate) fn buffered_bytes(&self) -> usize {
        match self {
            Transport::Plain(_) => 0,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.buffered_bytes(),
        }
    }

    /// Work done since it was last asked for, besides that of the system (the unit is that
    /// of the workers).
    pub(crate) fn take_work(&mut self) -> u64 {
        match self {
            Transport::Plain(_) => 0,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.take_work(),
        }
    }

    /// Ends the sending direction: the peer reads what was sent, then the end. To be
    /// called once it is flushed.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(socket) => socket.shutdown_write(),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.close(),
        }
    }

    /// The last word, where the transport has one: who is cut off without it cannot tell
    /// an end from an attack. As far as the system takes it.
    pub(crate) fn say_goodbye(&mut self) {
        match self {
            Transport::Plain(_) => {}
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => {
                // It is over either way.
                let _ = stream.say_goodbye();
            }
        }
    }

    /// Bounds what the system may hold unsent, see [`Stream::set_unsent_limit`].
    pub(crate) fn set_unsent_limit(&self, bytes: u32) -> io::Result<()> {
        self.socket().set_unsent_limit(bytes)
    }

    /// Bounds how long what was sent may stay unacknowledged, see
    /// [`Stream::set_unacknowledged_limit`].
    pub(crate) fn set_unacknowledged_limit(&self, limit: Duration) -> io::Result<()> {
        self.socket().set_unacknowledged_limit(limit)
    }

    /// Watches the socket for reading.
    pub(crate) fn register(
        &mut self,
        poller: &mut impl Poller<Stream = S>,
        token: Token,
    ) -> io::Result<()> {
        poller.add_stream(self.socket_mut(), token)
    }

    /// Watches the socket for writing too, or no longer.
    pub(crate) fn watch_writable(
        &mut self,
        poller: &mut impl Poller<Stream = S>,
        token: Token,
        on: bool,
    ) -> io::Result<()> {
        poller.watch_writable(self.socket_mut(), token, on)
    }

    /// Stops watching the socket.
    pub(crate) fn deregister(&mut self, poller: &mut impl Poller<Stream = S>) -> io::Result<()> {
        poller.remove_stream(self.socket_mut())
    }
}

impl<S: Stream> Read for Transport<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.read(bytes),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.read(bytes),
        }
    }
}

impl<S: Stream> Write for Transport<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.write_vectored(slices),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.write_vectored(slices),
        }
    }

    /// Hands the system what waits here. `WouldBlock` if it takes no more.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(_) => Ok(()),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.flush(),
        }
    }
}
