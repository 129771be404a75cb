//! A connection to a server, with TLS or without.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// What is spoken behind a handshake of TLS (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Where a server is, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its address.
    pub address: SocketAddr,
    /// With TLS: whom a client believes.
    roots: Option<Arc<RootCertStore>>,
}

impl Place {
    /// One without TLS.
    pub fn plain(address: SocketAddr) -> Place {
        let roots = None;
        Place { address, roots }
    }

    /// One with TLS, whose certificate is of this authority, as PEM.
    ///
    /// # Panics
    /// If that is none.
    pub fn secure(address: SocketAddr, authority: &str) -> Place {
        let der = CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(der).expect("an authority");
        let roots = Some(Arc::new(roots));
        Place { address, roots }
    }

    /// Connects.
    ///
    /// # Errors
    /// The connection's, or that of its handshake.
    pub fn connect(&self, spoken: Spoken) -> io::Result<Wire> {
        let socket = TcpStream::connect(self.address)?;
        let tls = match self.hello(spoken)? {
            Some(mut tls) => {
                tls.complete_io(&mut &socket)?;
                Some(Arc::new(Mutex::new(tls)))
            }
            None => None,
        };
        Ok(Wire { socket, tls })
    }

    /// A client of TLS that has said nothing yet; `None` where none is spoken.
    ///
    /// # Errors
    /// One of TLS.
    pub fn hello(&self, spoken: Spoken) -> io::Result<Option<ClientConnection>> {
        let Some(roots) = &self.roots else {
            return Ok(None);
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions();
        let config = config.map_err(io::Error::other)?;
        let mut config = config
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![match spoken {
            Spoken::Http1 => b"http/1.1".to_vec(),
            Spoken::Http2 => b"h2".to_vec(),
        }];
        let name = self.address.ip().into();
        let tls = ClientConnection::new(Arc::new(config), name);
        tls.map(Some).map_err(io::Error::other)
    }
}

/// A connection. One may read it while another writes.
#[derive(Debug)]
pub struct Wire {
    socket: TcpStream,
    tls: Option<Arc<Mutex<ClientConnection>>>,
}

impl Wire {
    /// Reading and writing give up after so long.
    ///
    /// # Errors
    /// The socket's.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(patience))?;
        self.socket.set_write_timeout(Some(patience))
    }

    /// The same connection, for who reads it.
    ///
    /// # Errors
    /// The socket's.
    pub fn try_clone(&self) -> io::Result<Wire> {
        Ok(Wire {
            socket: self.socket.try_clone()?,
            tls: self.tls.clone(),
        })
    }

    /// Ends it in both directions.
    pub fn shut_down(&self) {
        // It may be over.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

fn lock(tls: &Mutex<ClientConnection>) -> MutexGuard<'_, ClientConnection> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            return self.socket.read(buffer);
        };
        loop {
            match lock(tls).reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            // What is waited for holds nobody up who writes.
            self.socket.peek(&mut [0])?;
            let mut tls = lock(tls);
            tls.read_tls(&mut self.socket)?;
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            return self.socket.write(bytes);
        };
        let mut records = Vec::new();
        let written = {
            let mut tls = lock(tls);
            let written = tls.writer().write(bytes)?;
            while tls.wants_write() {
                tls.write_tls(&mut records)?;
            }
            written
        };
        self.socket.write_all(&records)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
