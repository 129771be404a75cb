use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::ConfigError;

/// Why a server did not start. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file of keys is not right.
    #[error(transparent)]
    Keys(#[from] crate::access::KeyFileError),
    /// TLS cannot be offered.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// An address could not be listened on.
    #[error(
        "cannot listen on {address}: {}",
        crate::listening::explain_listening(source)
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The recording folder cannot be written.
    #[error("cannot record to {}: {source}", directory.display())]
    RecordDirectory {
        /// The folder.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no thread, poller or random bytes.
    #[error("the system refused a {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// Why the host's recording did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A setting is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The folder cannot be written, or there is no thread to be had.
    #[error("cannot record: {0}")]
    Io(#[from] io::Error),
    /// The stream is being recorded by the host already.
    #[error("the stream is being recorded already")]
    Busy,
    /// As many recordings as `limits.recordings` allows.
    #[error("as many recordings as limits.recordings allows, {0}")]
    Full(usize),
    /// The stream's name is empty.
    #[error("the stream's name is empty")]
    EmptyName,
    /// It was named by an id that no stream has, or has any longer.
    #[error("no stream has this id")]
    NoSuchStream,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}
