//! Answers to the authority's questions whether names lead here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use instant_acme::KeyAuthorization;
use openrtmp_core::{AcmeChallenge, CertificateConfig, Pem, Server};
use rcgen::{CertificateParams, CustomExtension, KeyPair};

use super::authority::Failure;
use crate::http::{Answer, Routes, Status};

/// Where an authority looks for answers to HTTP-01 (RFC 8555 section 8.3).
const FOLDER: &str = "/.well-known/acme-challenge/";

/// What they are (the same section).
const CONTENT_TYPE: &str = "application/octet-stream";

/// Texts that are given to whoever asks for their token.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens(Arc<Mutex<HashMap<String, String>>>);

impl Tokens {
    /// What gives them.
    pub(super) fn routes(&self) -> Routes {
        let tokens = self.clone();
        Routes::default().below(FOLDER, move |request| {
            let token = request.path.strip_prefix(FOLDER).unwrap_or_default();
            let text = tokens.lock().get(token).cloned();
            match text {
                Some(text) => Answer::new(Status::OK, CONTENT_TYPE, text),
                None => Answer::status(Status::NOT_FOUND),
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        // It is valid whatever its last holder was doing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers as long as this value lives.
pub(super) struct Answers<'a> {
    server: &'a Server,
    tokens: &'a Tokens,
    challenge: AcmeChallenge,
    /// Tokens, or names, by the kind of challenge.
    given: Vec<String>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(
        server: &'a Server,
        tokens: &'a Tokens,
        challenge: AcmeChallenge,
    ) -> Answers<'a> {
        Answers {
            server,
            tokens,
            challenge,
            given: Vec::new(),
        }
    }

    /// Answers for a name.
    pub(super) fn give(
        &mut self,
        name: &str,
        token: &str,
        text: &KeyAuthorization,
    ) -> Result<(), Failure> {
        match self.challenge {
            AcmeChallenge::TlsAlpn01 => {
                let failed = |error: &dyn std::fmt::Display| {
                    Failure::Here(format!("no answer for {name} can be made: {error}"))
                };
                let answer = certificate(name, text.digest().as_ref()).map_err(|e| failed(&e))?;
                let set = self.server.set_challenge_certificate(name, Some(&answer));
                set.map_err(|e| failed(&e))?;
                self.given.push(name.to_owned());
            }
            _ => {
                let text = text.as_str().to_owned();
                self.tokens.lock().insert(token.to_owned(), text);
                self.given.push(token.to_owned());
            }
        }
        Ok(())
    }
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        for given in &self.given {
            if self.challenge != AcmeChallenge::TlsAlpn01 {
                self.tokens.lock().remove(given);
            } else if let Err(error) = self.server.set_challenge_certificate(given, None) {
                log::warn!("ACME: the answer for {given} stays: {error}");
            }
        }
    }
}

/// The certificate that answers TLS-ALPN-01 (RFC 8737 section 3).
fn certificate(name: &str, digest: &[u8]) -> Result<CertificateConfig, rcgen::Error> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let made = params.self_signed(&key)?;
    let (certificate, key) = (Pem::Text(made.pem()), Pem::Text(key.serialize_pem()));
    Ok(CertificateConfig::new(certificate, key))
}
