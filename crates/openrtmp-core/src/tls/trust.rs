//! Whose certificates are believed: authorities, pins, or anybody's.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::TlsError;
use super::identity::{certificates, shown};
use super::x509::Certificate;
use crate::config::pin::Pin;
use crate::config::{ClientAuth, ClientAuthConfig, Pem, Roots, TlsClientConfig};

/// Reads authorities.
fn authorities(pem: &Pem) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem)? {
        store
            .add(certificate)
            .map_err(|error| TlsError::Roots(format!("{}: no authority: {error}", shown(pem))))?;
    }
    Ok(store)
}

fn roots(roots: &Roots) -> Result<RootCertStore, TlsError> {
    match roots {
        Roots::Pem(pem) => authorities(pem),
        Roots::System => system_roots(),
        Roots::Bundled => bundled_roots(),
    }
}

#[cfg(not(any(target_os = "android", target_os = "ios")))]
fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // Systems have some that nobody can use any more.
    let (good, _) = store.add_parsable_certificates(found.certs);
    match (good, found.errors.first()) {
        (0, error) => {
            let why = error.map_or(String::new(), |error| format!(" ({error})"));
            let text = format!("this system has no certificates of authorities{why}: name a file");
            Err(TlsError::Roots(text))
        }
        _ => Ok(store),
    }
}

/// Systems of phones do not show a program theirs.
#[cfg(any(target_os = "android", target_os = "ios"))]
fn system_roots() -> Result<RootCertStore, TlsError> {
    bundled_roots()
}

#[cfg(feature = "bundled-roots")]
fn bundled_roots() -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(store)
}

#[cfg(not(feature = "bundled-roots"))]
fn bundled_roots() -> Result<RootCertStore, TlsError> {
    let text = "this library was built without the feature bundled-roots: name a file";
    Err(TlsError::Roots(text.to_owned()))
}

/// The pins of a list that was validated.
fn pins(texts: &[String]) -> Vec<Pin> {
    texts.iter().filter_map(|text| Pin::parse(text)).collect()
}

/// Fails unless the key of a certificate is one of those pinned.
fn check_pin(pins: &[Pin], certificate: &CertificateDer<'_>) -> Result<(), Error> {
    let certificate = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
    match pins.contains(&certificate.pin) {
        true => Ok(()),
        false => Err(CertificateError::ApplicationVerificationFailure.into()),
    }
}

/// Which servers are believed.
pub(super) fn servers(
    config: &TlsClientConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let algorithms = provider.signature_verification_algorithms;
    let pins = pins(&config.pins);
    if config.insecure || !pins.is_empty() {
        let pins = (!config.insecure).then_some(pins);
        return Ok(Arc::new(ByKey { pins, algorithms }));
    }
    let roots = Arc::new(roots(&config.roots)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
    verifier
        .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
        .map_err(|error| TlsError::Roots(error.to_string()))
}

/// Believes servers by their key alone: that they have it is checked in the handshake.
#[derive(Debug)]
struct ByKey {
    /// `None`: any will do.
    pins: Option<Vec<Pin>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ByKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(pins) = &self.pins {
            check_pin(pins, end_entity)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Which clients are believed; `None`: they are not asked.
pub(super) fn clients(
    config: &ClientAuthConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let mandatory = match config.mode {
        ClientAuth::Off => return Ok(None),
        ClientAuth::Optional => false,
        ClientAuth::Required => true,
    };
    let authority = match &config.ca {
        Some(pem) => {
            let roots = Arc::new(authorities(pem)?);
            let builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
            let built = builder.build();
            Some(built.map_err(|error| TlsError::Roots(error.to_string()))?)
        }
        None => None,
    };
    Ok(Some(Arc::new(Clients {
        authority,
        pins: pins(&config.pins),
        mandatory,
        algorithms: provider.signature_verification_algorithms,
    })))
}

/// Believes clients by their authority, their key, or both.
#[derive(Debug)]
struct Clients {
    authority: Option<Arc<dyn ClientCertVerifier>>,
    /// None: any.
    pins: Vec<Pin>,
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        match &self.authority {
            Some(authority) => authority.root_hint_subjects(),
            None => &[],
        }
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if !self.pins.is_empty() || self.authority.is_none() {
            check_pin(&self.pins, end_entity)?;
        }
        match &self.authority {
            Some(authority) => authority.verify_client_cert(end_entity, intermediates, now),
            None => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
