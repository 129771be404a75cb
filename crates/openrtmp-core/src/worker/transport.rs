//! How a connection's bytes get to its peer and back.

use std::io::{self, IoSlice, Read, Write};
use std::time::Duration;

use crate::platform::{Poller, Stream, Token};

/// What carries the bytes of a connection.
///
/// A transport may hold bytes of its own in both directions: a layer over the socket,
/// as TLS is, has records that wait to be written or to be whole. So "the send queue is
/// empty" does not mean that everything was said: that is [`Transport::is_flushed`] too.
pub(super) enum Transport<S> {
    /// TCP as it is. Holds nothing.
    Plain(S),
}

impl<S: Stream> Transport<S> {
    fn socket(&self) -> &S {
        match self {
            Transport::Plain(socket) => socket,
        }
    }

    fn socket_mut(&mut self) -> &mut S {
        match self {
            Transport::Plain(socket) => socket,
        }
    }

    /// True if bytes that were taken over are not with the system yet: it wants to
    /// write, whether or not the session has something to say.
    pub(super) fn wants_write(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
        }
    }

    /// True once everything that was written to it is with the system.
    pub(super) fn is_flushed(&self) -> bool {
        !self.wants_write()
    }

    /// Bytes it holds in both directions, for the memory budget.
    pub(super) fn buffered_bytes(&self) -> usize {
        match self {
            Transport::Plain(_) => 0,
        }
    }

    /// Ends the sending direction: the peer reads what was sent, then the end. To be
    /// called once it is flushed.
    pub(super) fn close(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(socket) => socket.shutdown_write(),
        }
    }

    /// Bounds what the system may hold unsent, see [`Stream::set_unsent_limit`].
    pub(super) fn set_unsent_limit(&self, bytes: u32) -> io::Result<()> {
        self.socket().set_unsent_limit(bytes)
    }

    /// Bounds how long what was sent may stay unacknowledged, see
    /// [`Stream::set_unacknowledged_limit`].
    pub(super) fn set_unacknowledged_limit(&self, limit: Duration) -> io::Result<()> {
        self.socket().set_unacknowledged_limit(limit)
    }

    /// Watches the socket for reading.
    pub(super) fn register(
        &mut self,
        poller: &mut impl Poller<Stream = S>,
        token: Token,
    ) -> io::Result<()> {
        poller.add_stream(self.socket_mut(), token)
    }

    /// Watches the socket for writing too, or no longer.
    pub(super) fn watch_writable(
        &mut self,
        poller: &mut impl Poller<Stream = S>,
        token: Token,
        on: bool,
    ) -> io::Result<()> {
        poller.watch_writable(self.socket_mut(), token, on)
    }

    /// Stops watching the socket.
    pub(super) fn deregister(&mut self, poller: &mut impl Poller<Stream = S>) -> io::Result<()> {
        poller.remove_stream(self.socket_mut())
    }
}

impl<S: Stream> Read for Transport<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.read(bytes),
        }
    }
}

impl<S: Stream> Write for Transport<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.write_vectored(slices),
        }
    }

    /// Hands the system what waits here. `WouldBlock` if it takes no more.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(_) => Ok(()),
        }
    }
}
