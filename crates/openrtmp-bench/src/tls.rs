//! TLS on both sides of what is measured: one certificate, nothing but TLS 1.3.

use std::io::{self, IoSlice, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use tempfile::TempDir;

/// A certificate of 127.0.0.1 and its key, of P-256, in files.
pub(crate) struct Identity {
    folder: TempDir,
}

impl Identity {
    pub(crate) fn new() -> io::Result<Identity> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let made = made.map_err(io::Error::other)?;
        let identity = Identity {
            folder: tempfile::tempdir()?,
        };
        std::fs::write(identity.certificate(), made.cert.pem())?;
        std::fs::write(identity.key(), made.signing_key.serialize_pem())?;
        Ok(identity)
    }

    /// The same with a key of RSA, 2048 bits, which is what costs a server most. Made by
    /// `openssl`.
    pub(crate) fn rsa() -> io::Result<Identity> {
        let identity = Identity {
            folder: tempfile::tempdir()?,
        };
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
        ]);
        openssl.args([
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.arg("-out").arg(identity.certificate());
        openssl.arg("-keyout").arg(identity.key());
        match openssl.output()? {
            made if made.status.success() => Ok(identity),
            made => {
                let said = String::from_utf8_lossy(&made.stderr).into_owned();
                Err(io::Error::other(said))
            }
        }
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// For clients that take this certificate and no other.
    pub(crate) fn client(&self, resumes: bool) -> io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(self.certificate());
        roots
            .add(certificate.map_err(io::Error::other)?)
            .map_err(io::Error::other)?;
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&[&TLS13]);
        let mut config = builder
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !resumes {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }
}

/// For the bare fan-out.
pub(crate) fn server(certificate: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let certificate = CertificateDer::from_pem_file(certificate).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_protocol_versions(&[&TLS13]);
    let config = builder
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A client's side of TLS.
pub(crate) fn client_connection(config: &Arc<ClientConfig>) -> io::Result<ClientConnection> {
    let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
    ClientConnection::new(config.clone(), name).map_err(io::Error::other)
}

/// A connection, with TLS or without.
pub(crate) enum Wire {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    /// A client's.
    pub(crate) fn client(stream: TcpStream, tls: Option<&Arc<ClientConfig>>) -> io::Result<Wire> {
        Ok(match tls {
            None => Wire::Plain(stream),
            Some(config) => {
                let connection = client_connection(config)?;
                Wire::Client(Box::new(StreamOwned::new(connection, stream)))
            }
        })
    }

    /// A server's.
    pub(crate) fn server(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Wire> {
        Ok(match tls {
            None => Wire::Plain(stream),
            Some(config) => {
                let connection = ServerConnection::new(config.clone());
                let connection = connection.map_err(io::Error::other)?;
                Wire::Server(Box::new(StreamOwned::new(connection, stream)))
            }
        })
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Wire::Plain(_))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Client(tls) => &tls.sock,
            Wire::Server(tls) => &tls.sock,
        }
    }

    /// Bytes wait here though the socket has not taken what was written.
    pub(crate) fn wants_write(&self) -> bool {
        match self {
            Wire::Plain(_) => false,
            Wire::Client(tls) => tls.conn.wants_write(),
            Wire::Server(tls) => tls.conn.wants_write(),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(buffer),
            Wire::Client(tls) => tls.read(buffer),
            Wire::Server(tls) => tls.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Client(tls) => tls.write(bytes),
            Wire::Server(tls) => tls.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write_vectored(slices),
            Wire::Client(tls) => tls.write_vectored(slices),
            Wire::Server(tls) => tls.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.flush(),
            Wire::Client(tls) => tls.flush(),
            Wire::Server(tls) => tls.flush(),
        }
    }
}
