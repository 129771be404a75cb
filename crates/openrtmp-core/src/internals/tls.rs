//! The transport of TLS over a wire in memory.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::config::{TlsClientConfig, TlsConfig};
use crate::tls::{ClientTls, ServerTls, Surroundings};
use crate::transport::TlsStream;

/// One end of a connection.
pub struct TlsEnd {
    stream: TlsStream<Wire>,
}

impl std::fmt::Debug for TlsEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsEnd").finish_non_exhaustive()
    }
}

/// What an end hears and says.
#[derive(Default)]
struct Wire {
    heard: VecDeque<u8>,
    said: Vec<u8>,
    /// Bytes that may still be said.
    room: usize,
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.heard.read(bytes)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.said.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TlsEnd {
    /// A server with a certificate of its own making. `None`: the system has no randomness.
    pub fn server() -> Option<TlsEnd> {
        static TLS: OnceLock<Option<ServerTls>> = OnceLock::new();
        let tls = TLS.get_or_init(|| {
            let config = TlsConfig {
                self_signed: true,
                ..TlsConfig::default()
            };
            let here = Surroundings {
                addresses: Vec::new(),
                now: SystemTime::now(),
            };
            ServerTls::new(&config, &here, None).ok()
        });
        let tls = tls.as_ref()?;
        let work = tls.handshake_work();
        TlsEnd::of(tls.accept().ok()?, work)
    }

    /// A client that believes any certificate.
    pub fn client() -> Option<TlsEnd> {
        static TLS: OnceLock<Option<ClientTls>> = OnceLock::new();
        let tls = TLS.get_or_init(|| {
            let config = TlsClientConfig {
                insecure: true,
                ..TlsClientConfig::default()
            };
            ClientTls::new(&config).ok()
        });
        TlsEnd::of(tls.as_ref()?.connect("localhost").ok()?, 0)
    }

    fn of(connection: rustls::Connection, work: u64) -> Option<TlsEnd> {
        let stream = TlsStream::new(Wire::default(), connection, work);
        Some(TlsEnd { stream })
    }

    /// Bytes come for it.
    pub fn hear(&mut self, bytes: &[u8]) {
        self.stream.socket_mut().heard.extend(bytes);
    }

    /// As a connection's transport is read.
    pub fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes)
    }

    /// As it is written to.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write_vectored(&[IoSlice::new(bytes)])
    }

    /// What it has said, once so many bytes more may be.
    pub fn say(&mut self, room: usize) -> Vec<u8> {
        self.stream.socket_mut().room = room;
        // Blocked, or over.
        let _ = self.stream.flush();
        std::mem::take(&mut self.stream.socket_mut().said)
    }

    /// Says that nothing more follows.
    pub fn say_goodbye(&mut self) {
        let _ = self.stream.say_goodbye();
    }

    /// Bytes that it owns up to.
    pub fn held(&self) -> usize {
        self.stream.buffered_bytes()
    }

    /// Work since this was last asked.
    pub fn take_work(&mut self) -> u64 {
        self.stream.take_work()
    }
}
