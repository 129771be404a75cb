//! A certificate and its key, read and checked.

use std::io;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::TlsError;
use super::x509::{Certificate, pin_of};
use crate::config::{CertificateConfig, Pem};
use crate::regular_file;

/// Bytes of a file with certificates or a key: all roots of a system are a sixteenth.
const LARGEST_FILE: u64 = 4 << 20;

/// A certificate with its chain and its key.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) certificate: Arc<Certificate>,
    /// Where it comes from, as people are told.
    pub(super) source: String,
    pub(super) keeper: Keeper,
}

/// Who sees to it that a certificate is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// Somebody else, by whatever means.
    Host,
    /// This server: it made it.
    Server,
    /// An authority by itself, when two thirds of its life are over.
    Acme,
}

impl Identity {
    /// Reads and checks a certificate that is to be used at `now`.
    pub(super) fn load(
        config: &CertificateConfig,
        provider: &CryptoProvider,
        now: SystemTime,
    ) -> Result<Identity, TlsError> {
        let (certified, certificate) = read_pair(config, provider, now)?;
        match certified.keys_match() {
            // Nothing is known of the key's other half: it is found out in a handshake.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(other_key(config)),
            Err(error) => {
                let text = format!("cannot be used: {error}");
                return Err(fault(&config.certificate, &text));
            }
        }
        Ok(Identity {
            certified: Arc::new(certified),
            certificate: Arc::new(certificate),
            source: shown(&config.certificate),
            keeper: Keeper::Host,
        })
    }

    /// The same of one that answers a challenge: it has an extension that is critical and
    /// nobody else's (RFC 8737 section 3), so that it is good for nothing else.
    pub(super) fn load_answer(
        config: &CertificateConfig,
        provider: &CryptoProvider,
        now: SystemTime,
    ) -> Result<Arc<CertifiedKey>, TlsError> {
        let (certified, certificate) = read_pair(config, provider, now)?;
        let key = certified.key.public_key();
        match key.is_some_and(|key| pin_of(&key) != certificate.pin) {
            true => Err(other_key(config)),
            false => Ok(Arc::new(certified)),
        }
    }

    /// True if it may be shown to who asks for that name.
    pub(super) fn is_for(&self, name: &ServerName<'_>) -> bool {
        let Some(first) = self.certified.cert.first() else {
            return false;
        };
        ParsedCertificate::try_from(first)
            .is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
    }

    /// Work of a signature with its key (the unit is that of the workers).
    pub(super) fn signature_work(&self) -> u64 {
        /// Bytes of an RSA key of 2048 bits in a certificate.
        const RSA_2048: u64 = 294;
        /// The same of an elliptic curve of 256 bits.
        const CURVE_256: usize = 91;
        let bytes = self.certificate.key_bytes;
        match self.certificate.is_rsa {
            // Its cost grows with the cube of its length.
            true => 1_000_000 * (bytes as u64).pow(3) / RSA_2048.pow(3),
            false if bytes > CURVE_256 => 500_000,
            false => 50_000,
        }
    }
}

/// A certificate with its chain and its key, which may be another's, and what stands in it.
fn read_pair(
    config: &CertificateConfig,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<(CertifiedKey, Certificate), TlsError> {
    let CertificateConfig { certificate, key } = config;
    let chain = certificates(certificate)?;
    let read: Option<Vec<_>> = chain.iter().map(|der| Certificate::read(der)).collect();
    let first = read.and_then(|read| read.into_iter().next());
    let first = first.ok_or_else(|| fault(certificate, "holds what is no certificate"))?;
    check_time(&first, now).map_err(|text| fault(certificate, &text))?;
    let der = private_key(key)?;
    let loaded = provider.key_provider.load_private_key(der);
    let loaded = loaded.map_err(|_| {
        fault(
            key,
            "holds a private key of a kind that is not known, or broken",
        )
    })?;
    Ok((CertifiedKey::new(chain, loaded), first))
}

fn other_key(config: &CertificateConfig) -> TlsError {
    let certificate = shown(&config.certificate);
    let text = format!("is not the key of the certificate in {certificate}");
    fault(&config.key, &text)
}

fn check_time(certificate: &Certificate, now: SystemTime) -> Result<(), String> {
    if let Ok(ago) = now.duration_since(certificate.not_after) {
        return Err(format!(
            "holds a certificate that expired {} ago",
            span(ago)
        ));
    }
    match certificate.not_before.duration_since(now) {
        Ok(ahead) if !ahead.is_zero() => Err(format!(
            "holds a certificate that is not valid before {} from now (is this machine's clock right?)",
            span(ahead)
        )),
        _ => Ok(()),
    }
}

/// A time for people: days, or hours if it is less than two.
pub(super) fn span(time: std::time::Duration) -> String {
    match time.as_secs() / 3600 {
        hours @ 48.. => format!("{} days", hours / 24),
        hours => format!("{hours} h"),
    }
}

/// Reads certificates, at least one.
pub(super) fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(pem)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => {
            Err(fault(pem, "holds no certificate (no BEGIN CERTIFICATE)"))
        }
        Ok(chain) => Ok(chain),
        Err(error) => Err(malformed(pem, &error)),
    }
}

/// Reads a private key.
pub(super) fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(pem)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        PemError::NoItemsFound if contains(&text, b"ENCRYPTED") => fault(
            pem,
            "holds an encrypted private key: store it decrypted, readable by the server alone",
        ),
        PemError::NoItemsFound => fault(pem, "holds no private key (no BEGIN PRIVATE KEY)"),
        error => malformed(pem, &error),
    })
}

/// Text in the settings, or what stands in the file.
pub(super) fn read(pem: &Pem) -> Result<Vec<u8>, TlsError> {
    let path = match pem {
        Pem::Text(text) => return Ok(text.clone().into_bytes()),
        Pem::File(path) => path,
    };
    read_file(path).map_err(|error| TlsError::Read {
        path: path.clone(),
        error: error.to_string(),
    })
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = regular_file::open(path)?;
    file.take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn malformed(pem: &Pem, error: &PemError) -> TlsError {
    fault(pem, &format!("is not well-formed PEM: {error}"))
}

fn fault(pem: &Pem, fault: &str) -> TlsError {
    let fault = fault.to_owned();
    match pem {
        Pem::File(path) => TlsError::File {
            path: path.clone(),
            fault,
        },
        Pem::Text(_) => TlsError::Given(fault),
    }
}

/// Where PEM is, for people.
pub(super) fn shown(pem: &Pem) -> String {
    match pem {
        Pem::File(path) => path.display().to_string(),
        Pem::Text(_) => "the settings".to_owned(),
    }
}

/// The file, if it is one.
pub(super) fn file(pem: &Pem) -> Option<&PathBuf> {
    match pem {
        Pem::File(path) => Some(path),
        Pem::Text(_) => None,
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
