//! What goes wrong with TLS, in words that say what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError, Error};

/// Why TLS cannot be offered or used: what names the file and its fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
    /// A file is not what it should be.
    #[error("{} {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// PEM text in the settings is not what it should be.
    #[error("the PEM text in the settings {0}")]
    Given(String),
    /// A listener speaks TLS, and there is no certificate.
    #[error(
        "a listener speaks TLS, but there is no certificate: set tls.certificate and tls.key, or tls.self_signed"
    )]
    NoCertificate,
    /// No listener speaks TLS.
    #[error("no listener speaks TLS")]
    NotSpoken,
    /// What is allowed does not go together.
    #[error("these versions and cipher suites do not go together: {0}")]
    CipherSuites(String),
    /// The certificate could not be made.
    #[error("no certificate could be made: {0}")]
    SelfSigned(String),
    /// There is no authority to believe.
    #[error("tls.client.roots: {0}")]
    Roots(String),
    /// What is connected to is no name of a host.
    #[error("{0:?} is no name that a certificate could be for")]
    HostName(String),
    /// The system gave no random bytes, or something else that rustls needs.
    #[error("TLS: {0}")]
    Other(String),
}

/// Why a connection's TLS is over, in words for the log: what was wrong, and what to do
/// about it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// The failure that an error of a transport is, if it is one.
    pub(crate) fn of(error: &io::Error) -> Option<&Failure> {
        error.get_ref()?.downcast_ref()
    }

    pub(crate) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }

    /// The peer went away in the middle of the handshake. Some say nothing when they do
    /// not like what they were shown.
    pub(crate) fn left() -> Failure {
        Failure(
            "TLS: the peer closed the connection during the handshake, without saying why; \
             it may not trust the certificate"
                .to_owned(),
        )
    }

    /// A connection is used that was made to look at a certificate, which proves nothing.
    pub(crate) fn after_challenge() -> Failure {
        Failure(
            "TLS: a connection for acme-tls/1 ends with its handshake (RFC 8737 section 3)"
                .to_owned(),
        )
    }

    /// What a failed handshake or a broken record means. `first_byte` is the first that
    /// the peer sent; `accepted`: it connected to us.
    pub(crate) fn new(error: &Error, first_byte: Option<u8>, accepted: bool) -> Failure {
        let advice = match (error, first_byte) {
            (Error::InvalidMessage(_), Some(first)) if first != HANDSHAKE => {
                other_protocol(first, accepted)
            }
            (Error::AlertReceived(alert), _) => on_alert(*alert, accepted),
            (Error::InvalidCertificate(fault), _) => on_certificate(fault, accepted),
            (Error::NoCertificatesPresented, _) => {
                Some("tls.client_auth.mode is required: the peer has to be given a certificate")
            }
            (Error::General(text), _) if accepted && text.contains(NO_CERTIFICATE) => {
                Some("there is none for this name yet: tls.acme is about to obtain it, see the log")
            }
            (Error::PeerIncompatible(_), _) => {
                Some("the peer offers no version, cipher suite or signature that is allowed here")
            }
            _ => None,
        };
        Failure(match advice {
            Some(advice) => format!("TLS: {error}; {advice}"),
            None => format!("TLS: {error}"),
        })
    }
}

/// What rustls says of a server without a certificate.
const NO_CERTIFICATE: &str = "no server certificate chain resolved";

/// ContentType of records with a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// What a peer speaks whose first byte begins no record.
fn other_protocol(first: u8, accepted: bool) -> Option<&'static str> {
    match (first, accepted) {
        // The version of RTMP.
        (3, true) => Some(
            "the peer speaks RTMP without TLS: it should say rtmps, or connect to a plain port",
        ),
        // The first letters of the methods of HTTP, and of its answers.
        (b'C' | b'D' | b'G' | b'H' | b'O' | b'P' | b'T', true) => {
            Some("the peer speaks HTTP without TLS: this is a port for rtmps")
        }
        (_, true) => Some("the peer does not speak TLS"),
        (_, false) => Some("the server does not speak TLS on this port: try rtmp"),
    }
}

/// What an alert of the peer means (RFC 8446 section 6.2).
fn on_alert(alert: AlertDescription, accepted: bool) -> Option<&'static str> {
    Some(match (alert, accepted) {
        (AlertDescription::UnknownCA, true) => {
            "the peer does not know the authority of this certificate: install it there, or \
             serve the whole chain"
        }
        (AlertDescription::CertificateExpired, true) => {
            "the peer takes this certificate for expired: renew it, or set the peer's clock"
        }
        (AlertDescription::BadCertificate | AlertDescription::CertificateUnknown, true) => {
            "the peer does not accept this certificate: its names must hold the host that the \
             peer connects to, and its authority must be known there"
        }
        (AlertDescription::UnrecognisedName, _) => "the certificate is for other names",
        (AlertDescription::ProtocolVersion, _) => {
            "the peer does not speak a version of TLS that is allowed here"
        }
        (AlertDescription::HandshakeFailure, _) => {
            "nothing that the peer allows of cipher suites and signatures is allowed here"
        }
        (AlertDescription::CertificateRequired, false) => {
            "the server wants a certificate: set tls.client.certificate and tls.client.key"
        }
        (
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired,
            false,
        ) => "the server does not accept our certificate",
        _ => return None,
    })
}

/// What is wrong with the certificate of the peer.
fn on_certificate(fault: &CertificateError, accepted: bool) -> Option<&'static str> {
    Some(match (fault, accepted) {
        (CertificateError::UnknownIssuer | CertificateError::BadSignature, false) => {
            "its authority is not known here: name it as tls.client.roots (--tls-ca), or pin \
             the server's key (--pin)"
        }
        (CertificateError::UnknownIssuer | CertificateError::BadSignature, true) => {
            "its authority is none of tls.client_auth.ca"
        }
        (
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            false,
        ) => "connect to a name that the certificate is for, or pin the server's key (--pin)",
        (CertificateError::Expired | CertificateError::ExpiredContext { .. }, _) => {
            "the peer has to renew it, unless this machine's clock is wrong"
        }
        (CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }, _) => {
            "is this machine's clock right?"
        }
        (CertificateError::ApplicationVerificationFailure, _) => {
            "its key is none of those that are pinned"
        }
        _ => return None,
    })
}
