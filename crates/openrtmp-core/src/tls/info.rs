//! What a host is told of a certificate.

use std::time::{Duration, SystemTime};

use rustls::crypto::ring;

use super::TlsError;
use super::identity::Identity;
use crate::config::CertificateConfig;

/// What is known of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateInfo {
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// From when on it is good.
    pub not_before: SystemTime,
    /// The last moment at which it is.
    pub not_after: SystemTime,
}

impl CertificateInfo {
    /// Reads a certificate with its key, as the server does when it is to show it at `now`.
    ///
    /// # Errors
    /// Everything for which the server would not take it: a file that cannot be read, a
    /// time that is over or has not begun, a key of another certificate.
    pub fn check(
        certificate: &CertificateConfig,
        now: SystemTime,
    ) -> Result<CertificateInfo, TlsError> {
        let identity = Identity::load(certificate, &ring::default_provider(), now)?;
        let read = &identity.certificate;
        Ok(CertificateInfo {
            names: read.names.clone(),
            not_before: read.not_before,
            not_after: read.not_after,
        })
    }

    /// When it should be renewed: when two thirds of its life are over.
    pub fn renewal(&self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before);
        self.not_before + life.unwrap_or(Duration::ZERO) * 2 / 3
    }
}
