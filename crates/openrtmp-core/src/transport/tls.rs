//! TLS over a socket, as a transport.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::HandshakeKind;

use crate::access::PeerCertificate;
use crate::platform::Stream;
use crate::tls::{Certificate, Choice, Failure};

/// Bytes of records that one call of `read` takes from the socket: what is in them may
/// be nothing at all.
const CIPHERTEXT_AT_ONCE: usize = 64 * 1024;

/// What rustls holds for a connection at rest: keys, and the state of the session.
const HELD: usize = 12 * 1024;

/// What it holds of a handshake that is not complete at most (RFC 8446 section 4: its
/// messages may be longer than a record).
const HANDSHAKE_HELD: usize = 64 * 1024;

/// Work of a record, whatever it holds: its keys may be new with it (the unit is that of
/// the workers, about a nanosecond).
const RECORD: u64 = 3_000;

/// Bytes that are decrypted or encrypted for one unit of work.
const BYTES_PER_UNIT: u64 = 2;

/// Work of an exchange of keys, which every handshake has.
const KEY_EXCHANGE: u64 = 200_000;

/// Work of looking at a peer's certificates and its signature.
const PEER_CERTIFICATES: u64 = 500_000;

/// A socket whose bytes are TLS records.
pub(crate) struct TlsStream<S> {
    socket: S,
    /// Until `choice` has made its choice, one that says and hears nothing.
    connection: rustls::Connection,
    /// Whose the connection is tells its ClientHello, which has not come yet.
    choice: Option<Box<Choice>>,
    /// An authority's, which looks at the certificate and leaves (RFC 8737 section 3).
    is_challenge: bool,
    first_byte: Option<u8>,
    records: Records,
    /// Work of the signature of a handshake.
    signature: u64,
    /// Work done since it was last asked for.
    work: u64,
    /// The handshake as far as its work was counted.
    answered: bool,
    shaken: bool,
    /// Bytes of records that wait for the system.
    unsent: usize,
    closed: bool,
    failure: Option<Failure>,
    /// The failure was told: what the peer says from then on is thrown away.
    failed: bool,
    peer: Option<Arc<PeerCertificate>>,
    /// The last read gave as much as was asked for.
    #[cfg(test)]
    filled: bool,
}

/// Follows the records as they are read: each is five bytes, the last two of which are
/// the length of what follows (RFC 8446 section 5.1).
#[derive(Default)]
struct Records {
    /// Of the record being read: bytes of its head so far, and of its body to come.
    head: usize,
    left: usize,
    /// Its length as far as it is known.
    length: usize,
    /// Begun since they were last counted, and all bytes.
    count: u64,
    bytes: u64,
    /// Bytes in all.
    total: u64,
}

impl Records {
    const HEAD: usize = 5;

    fn follow(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.total += bytes.len() as u64;
        while let [first, rest @ ..] = bytes {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head += 1;
            match self.head {
                1 => self.count += 1,
                4 => self.length = usize::from(*first) << 8,
                Self::HEAD => {
                    self.length |= usize::from(*first);
                    self.left = self.length;
                    self.head = 0;
                }
                _ => {}
            }
            bytes = rest;
        }
    }

    /// Bytes of the record that is not complete.
    fn incomplete(&self) -> usize {
        match self.left {
            0 => self.head,
            left => Self::HEAD + self.length - left,
        }
    }

    /// Work of what came since this was last asked.
    fn take_work(&mut self) -> u64 {
        let (count, bytes) = (
            std::mem::take(&mut self.count),
            std::mem::take(&mut self.bytes),
        );
        RECORD * count + bytes / BYTES_PER_UNIT
    }
}

/// Reads a socket and notes what it says of the records.
struct Noting<'a, S> {
    socket: &'a mut S,
    first_byte: &'a mut Option<u8>,
    records: &'a mut Records,
}

impl<S: Read> Read for Noting<'_, S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(bytes)?;
        let bytes = &bytes[..count];
        if self.first_byte.is_none() {
            *self.first_byte = bytes.first().copied();
        }
        self.records.follow(bytes);
        Ok(count)
    }
}

impl<S: Read + Write> TlsStream<S> {
    /// `signature` is the work of signing a handshake, where that is ours to do.
    pub(crate) fn new(socket: S, connection: rustls::Connection, signature: u64) -> TlsStream<S> {
        TlsStream {
            socket,
            connection,
            choice: None,
            is_challenge: false,
            first_byte: None,
            records: Records::default(),
            signature,
            work: 0,
            answered: false,
            shaken: false,
            unsent: 0,
            closed: false,
            failure: None,
            failed: false,
            peer: None,
            #[cfg(test)]
            filled: false,
        }
    }

    /// The same of a connection that may be an authority's.
    pub(crate) fn with_choice(mut self, choice: Choice) -> TlsStream<S> {
        self.choice = Some(Box::new(choice));
        self
    }

    pub(crate) fn socket(&self) -> &S {
        &self.socket
    }

    pub(crate) fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Bytes may be read that the socket has no more.
    #[cfg(test)]
    pub(crate) fn has_read(&self) -> bool {
        self.filled
    }

    #[cfg(test)]
    pub(crate) fn into_socket(self) -> S {
        self.socket
    }

    /// For tests that say what this would not.
    #[cfg(test)]
    pub(crate) fn connection_mut(&mut self) -> &mut rustls::Connection {
        &mut self.connection
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// True until both sides have said all that has to be said before media.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Of TLS, once the two have agreed on it.
    pub(crate) fn version(&self) -> Option<&'static str> {
        match self.connection.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_2 => Some("1.2"),
            rustls::ProtocolVersion::TLSv1_3 => Some("1.3"),
            other => other.as_str(),
        }
    }

    /// What the peer showed of itself, once the handshake is over.
    pub(crate) fn peer_certificate(&self) -> Option<Arc<PeerCertificate>> {
        self.peer.clone()
    }

    /// Bytes of records that wait for the system.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent
    }

    /// What it holds, as far as rustls lets one know.
    pub(crate) fn buffered_bytes(&self) -> usize {
        let unread = match self.is_handshaking() {
            true => usize::try_from(self.records.total)
                .map_or(HANDSHAKE_HELD, |total| total.min(HANDSHAKE_HELD)),
            false => self.records.incomplete(),
        };
        HELD + unread + self.unsent
    }

    pub(crate) fn take_work(&mut self) -> u64 {
        std::mem::take(&mut self.work)
    }

    /// Says that nothing more follows (RFC 8446 section 6.1).
    pub(crate) fn say_goodbye(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.closed, true) {
            self.connection.send_close_notify();
        }
        self.flush()
    }

    /// Reads what the socket has, some records at a time. `Interrupted`: there may be
    /// more, but these held nothing. `UnexpectedEof`: the peer closed without saying that
    /// nothing more follows, so that somebody on the way may have cut it off.
    pub(crate) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        // What comes behind a failure, or behind our own last word, is thrown away by whoever
        // reads: rustls is not to be asked about it.
        if self.failed || (self.closed && self.failure.is_none()) {
            return self.socket.read(bytes);
        }
        let (mut filled, mut taken) = (0, 0);
        loop {
            let end = match self.connection.reader().read(&mut bytes[filled..]) {
                Ok(0) => Ok(0),
                Ok(_) if self.is_challenge => {
                    self.failure = Some(Failure::after_challenge());
                    Err(io::ErrorKind::InvalidData.into())
                }
                Ok(count) => {
                    filled += count;
                    match filled == bytes.len() {
                        true => Ok(0),
                        false => continue,
                    }
                }
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(self.truncated(e)),
                Err(_) if self.failure.is_some() => Err(io::ErrorKind::InvalidData.into()),
                Err(_) if taken >= CIPHERTEXT_AT_ONCE => Err(io::ErrorKind::Interrupted.into()),
                Err(_) => match self.take_records() {
                    Ok(count) => {
                        taken += count;
                        continue;
                    }
                    Err(e) => Err(e),
                },
            };
            #[cfg(test)]
            {
                self.filled = filled == bytes.len();
            }
            // What was read goes first, whatever comes after it.
            return match end {
                Err(_) if filled > 0 => Ok(filled),
                Err(e) => Err(self.told(e)),
                Ok(_) => Ok(filled),
            };
        }
    }

    /// What an end means that no close_notify announced.
    fn truncated(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof if self.is_handshaking() => Failure::left().into_io(),
            io::ErrorKind::UnexpectedEof => {
                let text = "the peer closed without close_notify: what it said last may be missing";
                io::Error::new(io::ErrorKind::UnexpectedEof, text)
            }
            _ => error,
        }
    }

    /// A failure is told once.
    fn told(&mut self, error: io::Error) -> io::Error {
        match self.failure.take() {
            Some(failure) => {
                self.failed = true;
                failure.into_io()
            }
            None => error,
        }
    }

    /// Takes what the socket has, as far as rustls has room for it, and lets it work on
    /// that.
    fn take_records(&mut self) -> io::Result<usize> {
        let mut noting = Noting {
            socket: &mut self.socket,
            first_byte: &mut self.first_byte,
            records: &mut self.records,
        };
        let read = match &mut self.choice {
            Some(choice) => match choice.read_tls(&mut noting) {
                // The end is told by the connection.
                Ok(0) => self.connection.read_tls(&mut io::empty()),
                read => read,
            },
            None => self.connection.read_tls(&mut noting),
        };
        let count = match read {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            read => read?,
        };
        let outcome = self
            .choose()
            .and_then(|()| self.connection.process_new_packets());
        self.work += self.records.take_work();
        self.count_handshake();
        if let Err(error) = outcome {
            // The peer is told why, if it listens still.
            self.closed = true;
            let _ = self.flush();
            let accepted = matches!(self.connection, rustls::Connection::Server(_));
            self.failure = Some(Failure::new(&error, self.first_byte, accepted));
        }
        Ok(count)
    }

    /// Goes on as what the ClientHello tells, once it is there.
    fn choose(&mut self) -> Result<(), rustls::Error> {
        let Some(choice) = &mut self.choice else {
            return Ok(());
        };
        match choice.decide() {
            Ok(None) => {}
            Ok(Some(chosen)) => {
                self.connection = chosen.connection;
                self.is_challenge = chosen.is_challenge;
                self.choice = None;
            }
            Err((error, mut alert)) => {
                self.choice = None;
                // The peer is told why, if it listens still.
                let _ = alert.write_all(&mut self.socket);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Counts the work of a handshake: by what it was, once it is known.
    fn count_handshake(&mut self) {
        if !self.answered && (self.connection.wants_write() || !self.is_handshaking()) {
            self.answered = true;
            // Who resumes proves itself by its ticket.
            let is_resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
            self.work += KEY_EXCHANGE + if is_resumed { 0 } else { self.signature };
        }
        if !self.shaken && !self.is_handshaking() {
            self.shaken = true;
            if let Some(certificate) = self.connection.peer_certificates().and_then(<[_]>::first) {
                self.work += PEER_CERTIFICATES;
                self.peer = Certificate::read(certificate).map(|read| Arc::new(read.into_peer()));
            }
        }
    }

    /// Takes bytes over, if the system has those that were before.
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.failed || self.failure.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.flush()?;
        let count = self.connection.writer().write_vectored(slices)?;
        self.work += RECORD + count as u64 / BYTES_PER_UNIT;
        match self.flush() {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ if count == 0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(count),
        }
    }

    /// Hands the system the records that wait.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let flushed = self.write_records();
        self.unsent = match flushed.is_ok() {
            true => 0,
            // It does no more than to tell, as nothing new was read.
            false => {
                let state = self.connection.process_new_packets();
                state.map_or(0, |state| state.tls_bytes_to_write())
            }
        };
        flushed
    }

    fn write_records(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

impl<S: Stream> TlsStream<S> {
    /// Says that nothing more follows, then ends the sending direction.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.say_goodbye()?;
        self.socket.shutdown_write()
    }
}

#[cfg(test)]
mod tests;
