//! Certificates that answer an authority's question whether a name leads here (TLS-ALPN-01,
//! RFC 8737), and the choice of who is shown them.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConnection;
use rustls::crypto::ring;
use rustls::server::{Accepted, AcceptedAlert, Acceptor, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::identity::Identity;
use super::{TlsError, UNSENT};
use crate::config::CertificateConfig;

/// What an authority offers to speak, and nothing else (RFC 8737 section 4).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// The answers that there are, by the name that is asked for.
#[derive(Default)]
pub(crate) struct Challenges {
    answers: HashMap<String, Arc<CertifiedKey>>,
    config: Option<Arc<rustls::ServerConfig>>,
}

impl Challenges {
    /// The answer for a name, or none any more.
    pub(crate) fn set(
        &mut self,
        name: &str,
        certificate: Option<&CertificateConfig>,
        now: SystemTime,
    ) -> Result<(), TlsError> {
        let mut answers = self.answers.clone();
        let name = name.to_ascii_lowercase();
        match certificate {
            Some(certificate) => {
                let provider = ring::default_provider();
                answers.insert(name, Identity::load_answer(certificate, &provider, now)?);
            }
            None => drop(answers.remove(&name)),
        }
        self.config = match answers.is_empty() {
            true => None,
            false => Some(Arc::new(config(answers.clone())?)),
        };
        self.answers = answers;
        Ok(())
    }

    /// For connections that come while there are any.
    pub(crate) fn config(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.config.clone()
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.answers.keys()).finish()
    }
}

/// An authority has no certificate to show, and nothing to come back for.
fn config(answers: HashMap<String, Arc<CertifiedKey>>) -> Result<rustls::ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Other(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Answers(answers)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

struct Answers(HashMap<String, Arc<CertifiedKey>>);

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ResolvesServerCert for Answers {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        self.0.get(&name).cloned()
    }
}

/// A connection that is an authority's or anybody's, as its ClientHello will tell.
pub(crate) struct Choice {
    acceptor: Acceptor,
    usual: Arc<rustls::ServerConfig>,
    challenge: Arc<rustls::ServerConfig>,
}

/// What a ClientHello tells.
pub(crate) struct Chosen {
    pub(crate) connection: rustls::Connection,
    /// It is an authority's: nothing is said on it after the handshake.
    pub(crate) is_challenge: bool,
}

impl Choice {
    pub(super) fn new(
        usual: Arc<rustls::ServerConfig>,
        challenge: Arc<rustls::ServerConfig>,
    ) -> Choice {
        Choice {
            acceptor: Acceptor::default(),
            usual,
            challenge,
        }
    }

    pub(crate) fn read_tls(&mut self, from: &mut dyn Read) -> io::Result<usize> {
        self.acceptor.read_tls(from)
    }

    /// `None` as long as more of the ClientHello has to come.
    pub(crate) fn decide(&mut self) -> Result<Option<Chosen>, (rustls::Error, AcceptedAlert)> {
        let Some(accepted) = self.acceptor.accept()? else {
            return Ok(None);
        };
        let is_challenge = is_challenge(&accepted);
        let config = match is_challenge {
            true => self.challenge.clone(),
            false => self.usual.clone(),
        };
        let mut connection: ServerConnection = accepted.into_connection(config)?;
        connection.set_buffer_limit(Some(UNSENT));
        Ok(Some(Chosen {
            connection: connection.into(),
            is_challenge,
        }))
    }
}

/// True if that protocol is the only one that is offered: whoever offers others as well
/// wants to speak one of them.
fn is_challenge(accepted: &Accepted) -> bool {
    let hello = accepted.client_hello();
    let Some(mut offered) = hello.alpn() else {
        return false;
    };
    offered.next() == Some(PROTOCOL) && offered.next().is_none()
}
