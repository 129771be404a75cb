//! A client's end of a connection in a simulated world: plain, or with TLS over it.

use std::io::{self, Read, Write};
#[cfg(feature = "tls")]
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;

use crate::platform::sim::SimSocket;
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
#[cfg(feature = "tls")]
use crate::transport::TlsStream;

/// A socket, or what is over it.
pub(super) enum Line {
    Plain(SimSocket),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<SimSocket>>),
}

impl Line {
    /// TLS, for a server that is called `host`.
    #[cfg(feature = "tls")]
    pub(super) fn secure(socket: SimSocket, tls: &ClientTls, host: &str) -> Line {
        let connection = tls.connect(host).expect("a name");
        Line::Tls(Box::new(TlsStream::new(socket, connection, 0)))
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls(&mut self) -> &mut TlsStream<SimSocket> {
        match self {
            Line::Tls(stream) => stream,
            Line::Plain(_) => panic!("it is plain"),
        }
    }

    fn socket(&self) -> &SimSocket {
        match self {
            Line::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Line::Tls(stream) => stream.socket(),
        }
    }

    fn into_socket(self) -> SimSocket {
        match self {
            Line::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Line::Tls(stream) => stream.into_socket(),
        }
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket().local_address()
    }

    /// A read may give something.
    pub(super) fn readable(&self) -> bool {
        match self {
            Line::Plain(socket) => socket.readable(),
            #[cfg(feature = "tls")]
            Line::Tls(stream) => stream.socket().readable() || stream.has_read(),
        }
    }

    /// Everything that was written is with the network.
    pub(super) fn is_flushed(&self) -> bool {
        match self {
            Line::Plain(_) => true,
            #[cfg(feature = "tls")]
            Line::Tls(stream) => !stream.wants_write(),
        }
    }

    pub(super) fn writable(&self) -> bool {
        self.socket().writable()
    }

    /// Its machine is gone without a word.
    pub(super) fn vanish(self) {
        self.into_socket().vanish();
    }

    pub(super) fn reset(self) {
        self.into_socket().reset();
    }

    /// Says what there is to say at an end, and closes it.
    pub(super) fn leave(self) {
        #[cfg(feature = "tls")]
        if let Line::Tls(mut stream) = self {
            // As far as the network takes it.
            let _ = stream.say_goodbye();
        }
    }
}

impl Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Line::Plain(socket) => socket.read(bytes),
            #[cfg(feature = "tls")]
            Line::Tls(stream) => loop {
                let read = stream.read(bytes);
                // What answers have to be given, in a handshake above all.
                let _ = stream.flush();
                match read {
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    read => return read,
                }
            },
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Line::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "tls")]
            Line::Tls(stream) => stream.write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Line::Plain(_) => Ok(()),
            #[cfg(feature = "tls")]
            Line::Tls(stream) => stream.flush(),
        }
    }
}
