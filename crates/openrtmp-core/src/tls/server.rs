//! What the server's listeners speak.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConnection;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};

use super::challenge::Choice;
use super::identity::{self, Identity, Keeper};
use super::suites::cipher_suites;
use super::{ClientTls, TlsError, UNSENT, self_signed, trust};
use crate::config::{CertificateConfig, Config, TlsClientConfig, TlsConfig, TlsVersion};

/// The server's side of TLS, for all its connections. Replaced as a whole when a
/// certificate is: connections keep the one that they began with.
pub(crate) struct ServerTls {
    config: Arc<rustls::ServerConfig>,
    identities: Arc<Identities>,
    handshake_work: u64,
}

/// The certificates, the first of which is shown to who asks for none of them.
struct Identities(Vec<Identity>);

/// What of this machine goes into a certificate of this server's making, or decides
/// whether one is good.
pub(crate) struct Surroundings {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) now: SystemTime,
}

impl ServerTls {
    /// `before` is what this takes the place of: who has a ticket of it resumes.
    pub(crate) fn new(
        config: &TlsConfig,
        here: &Surroundings,
        before: Option<&ServerTls>,
    ) -> Result<ServerTls, TlsError> {
        let provider = Arc::new(provider(config)?);
        let mut identities = Vec::new();
        for named in named(config) {
            identities.push(Identity::load(&named, &provider, here.now)?);
        }
        if let Some(obtained) = config.acme.certificate() {
            let kept = before.map_or(&[][..], |before| &before.identities.0);
            identities.extend(obtained_identity(&obtained, kept, &provider, here.now));
        }
        if identities.is_empty() && config.self_signed {
            let directory = config.state_directory.as_deref();
            let own = before.and_then(|before| {
                before
                    .identities
                    .0
                    .iter()
                    .find(|i| i.keeper == Keeper::Server)
            });
            let made = self_signed::make(&here.addresses, directory, &provider, here.now)?;
            // Without a folder the key lives as long as the server.
            identities.push(match (directory, own) {
                (None, Some(own)) if !own.needs_renewal(here.now) => own.clone(),
                _ => made,
            });
        }
        // One that is on its way may take as long as it wants.
        if identities.is_empty() && !config.acme.is_on() {
            return Err(TlsError::NoCertificate);
        }
        let handshake_work = identities.iter().map(Identity::signature_work).max();
        let identities = Arc::new(Identities(identities));
        let versions: &[_] = match config.min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| TlsError::CipherSuites(error.to_string()))?;
        let builder = match trust::clients(&config.client_auth, &provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut server = builder.with_cert_resolver(identities.clone());
        // Ours is the order of preference: peers are encoders of any age.
        server.ignore_client_order = true;
        // Sessions are in the tickets that peers keep, not in memory here.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        let kept = before.filter(|_| config.client_auth == Default::default());
        server.ticketer = match kept {
            Some(before) => before.config.ticketer.clone(),
            None => ticketer()?,
        };
        Ok(ServerTls {
            config: Arc::new(server),
            identities,
            handshake_work: handshake_work.unwrap_or_default(),
        })
    }

    /// SHA-256 of the certificate that is shown to who asks for none, in hexadecimal.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let first = self.identities.0.first()?.certified.cert.first()?;
        let digest = Sha256::digest(first);
        let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        Some(digits.join(":"))
    }

    /// The pin of its key.
    pub(crate) fn pin(&self) -> Option<String> {
        Some(self.identities.0.first()?.certificate.pin.to_string())
    }

    pub(super) fn identities(&self) -> &[Identity] {
        &self.identities.0
    }

    /// True if these are the same certificates, in the same order.
    pub(super) fn shows_the_same(&self, other: &ServerTls) -> bool {
        let chains = |tls: &ServerTls| -> Vec<_> {
            let identities = tls.identities.0.iter();
            identities.map(|i| i.certified.cert.clone()).collect()
        };
        chains(self) == chains(other)
    }

    /// For a connection that may be an authority's, to which `challenge` answers.
    pub(crate) fn choice(&self, challenge: Arc<rustls::ServerConfig>) -> Choice {
        Choice::new(self.config.clone(), challenge)
    }

    /// For a connection that was accepted.
    pub(crate) fn accept(&self) -> Result<rustls::Connection, TlsError> {
        let mut connection = ServerConnection::new(self.config.clone())
            .map_err(|error| TlsError::Other(error.to_string()))?;
        connection.set_buffer_limit(Some(UNSENT));
        Ok(connection.into())
    }

    /// The same certificates for other protocols than RTMP.
    pub(super) fn for_protocols(&self, protocols: &[&[u8]]) -> Arc<rustls::ServerConfig> {
        let mut config = rustls::ServerConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    /// Work of the signature of one handshake, by the most expensive of the keys (the
    /// unit is that of the workers).
    pub(crate) fn handshake_work(&self) -> u64 {
        self.handshake_work
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("pin", &self.pin())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identities").field(&self.0.len()).finish()
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello
            .server_name()
            .and_then(|n| ServerName::try_from(n).ok());
        let named = name.and_then(|name| self.0.iter().find(|identity| identity.is_for(&name)));
        named.or(self.0.first()).map(|i| i.certified.clone())
    }
}

/// The certificates that settings name, the first of all first.
fn named(config: &TlsConfig) -> Vec<CertificateConfig> {
    let first = config
        .certificate
        .as_ref()
        .map(|certificate| CertificateConfig {
            certificate: certificate.clone(),
            // Both may stand in one place.
            key: config.key.as_ref().unwrap_or(certificate).clone(),
        });
    first
        .into_iter()
        .chain(config.certificates.iter().cloned())
        .collect()
}

/// What an authority gave by itself, if it is there and good; else that of before. What is
/// not never keeps a server from starting or from going on: it is obtained anew.
fn obtained_identity(
    obtained: &CertificateConfig,
    before: &[Identity],
    provider: &CryptoProvider,
    now: SystemTime,
) -> Option<Identity> {
    let source = identity::shown(&obtained.certificate);
    let kept = before
        .iter()
        .find(|identity| identity.keeper == Keeper::Acme && identity.source == source);
    if !identity::file(&obtained.certificate)?.exists() {
        return kept.cloned();
    }
    match Identity::load(obtained, provider, now) {
        Ok(identity) => Some(Identity {
            keeper: Keeper::Acme,
            ..identity
        }),
        Err(error) => {
            log::warn!("a certificate that was obtained before is not used: {error}");
            kept.cloned()
        }
    }
}

/// The files that the server's side of TLS is read from.
pub(super) fn files(config: &TlsConfig) -> Vec<PathBuf> {
    let named = named(config);
    let pems = named
        .iter()
        .flat_map(|named| [&named.certificate, &named.key]);
    let pems = pems.chain(&config.client_auth.ca);
    let mut files: Vec<_> = pems.filter_map(identity::file).cloned().collect();
    files.sort();
    files.dedup();
    files
}

/// Reads all files of TLS that a server with these settings begins with, and makes none.
pub(crate) fn check_files(config: &Config) -> Result<(), TlsError> {
    let tls = &config.tls;
    let provider = Arc::new(provider(tls)?);
    let speaks_tls = config.speaks_tls();
    for named in named(tls) {
        Identity::load(&named, &provider, SystemTime::now())?;
    }
    let has_none = named(tls).is_empty() && !tls.self_signed && !tls.acme.is_on();
    if speaks_tls && has_none {
        return Err(TlsError::NoCertificate);
    }
    if speaks_tls {
        trust::clients(&tls.client_auth, &provider)?;
    }
    // Without a word it is the system's, which are not among the files that are named.
    if tls.client != TlsClientConfig::default() {
        ClientTls::new(&tls.client)?;
    }
    let others = [&tls.acme.ca, &config.access.callback.ca];
    for authorities in others.into_iter().flatten() {
        identity::certificates(authorities)?;
    }
    Ok(())
}

fn ticketer() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    ring::Ticketer::new().map_err(|error| TlsError::Other(error.to_string()))
}

/// What can be negotiated.
fn provider(config: &TlsConfig) -> Result<CryptoProvider, TlsError> {
    let cipher_suites = cipher_suites(&config.cipher_suites).map_err(TlsError::CipherSuites)?;
    Ok(CryptoProvider {
        cipher_suites,
        ..ring::default_provider()
    })
}
