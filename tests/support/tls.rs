//! Certificates, for tests of TLS.

use std::path::{Path, PathBuf};

use openrtmp_core::{Config, Pem};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
};

/// An authority of one's own.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate of an [`Authority`], with its key, as PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// Makes one.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        Authority { issuer, pem }
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a certificate for names or addresses.
    ///
    /// # Panics
    /// If these are none.
    pub fn sign(&self, names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let common_name = names[0].clone();
        let mut params = CertificateParams::new(names).expect("names");
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let day = std::time::Duration::from_secs(86_400);
        let now = std::time::SystemTime::now();
        (params.not_before, params.not_after) = ((now - day).into(), (now + day * 89).into());
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Certificate {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Certificate {
    /// Makes a server's listeners speak TLS with it.
    pub fn apply(&self, config: &mut Config) {
        let listen = config.listen.iter().map(|listen| listen.with_tls());
        config.listen = listen.collect();
        config.tls.certificate = Some(Pem::Text(self.certificate.clone()));
        config.tls.key = Some(Pem::Text(self.key.clone()));
    }
}

/// Writes a file into a folder; its path.
///
/// # Panics
/// If it cannot be written.
pub fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("it is written");
    path
}
