//! What is said to the HTTP server, and heard from it.

use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use openrtmp_core::{CallbackConfig, Pem};
use sha2::Sha256;

use super::formats::Body;
use crate::http::client::{self, Options};

/// Bytes of an answer that are read.
const ANSWER_BYTES: u64 = 64 << 10;

/// Carries the signature: `t=UNIX TIME,sha256=HEX`, the HMAC-SHA256 (RFC 2104) of the time, a
/// dot and the body.
const SIGNATURE: &str = "OpenRTMP-Signature";

/// A client, made of some settings.
#[derive(Clone)]
pub(super) struct Http {
    agent: ureq::Agent,
    timeout: Duration,
    ca: Option<Pem>,
    is_tls: bool,
    /// What the file of the authorities looked like.
    seen: Option<Stamp>,
}

/// By what a file is another than before. One that is replaced has a time of its own.
type Stamp = (Option<SystemTime>, u64);

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Why nothing came back.
pub(super) enum Trouble {
    /// It was not reached, whatever it was to be asked.
    Way(String),
    /// It was asked, and gave no answer.
    Answer(&'static str),
}

/// What the system says where a connection ends that there was.
const BROKEN_OFF: [io::ErrorKind; 4] = [
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::UnexpectedEof,
];

impl Http {
    pub(super) fn new(config: &CallbackConfig) -> Result<Http, String> {
        let is_tls = is_tls(config);
        // In this order: what changes in between is read again.
        let seen = stamp_of(config.ca.as_ref());
        let agent = client::agent(&Options {
            timeout: config.timeout,
            https_only: false,
            proxies: false,
            tls: is_tls.then_some((config.ca.as_ref(), "access.callback.ca")),
        })?;
        Ok(Http {
            agent,
            timeout: config.timeout,
            ca: config.ca.clone(),
            is_tls,
            seen,
        })
    }

    /// Whether it was made of what these settings say.
    pub(super) fn is_for(&self, config: &CallbackConfig) -> bool {
        let same = self.timeout == config.timeout && self.ca == config.ca;
        same && self.is_tls == is_tls(config)
    }

    /// Whether the file of the authorities is what it was.
    pub(super) fn is_current(&self) -> bool {
        self.seen == stamp_of(self.ca.as_ref())
    }

    /// The same, for a file of which nothing can be made, until that is another.
    pub(super) fn put_up(&mut self) {
        self.seen = stamp_of(self.ca.as_ref());
    }

    pub(super) fn post(
        &self,
        url: &str,
        config: &CallbackConfig,
        body: &Body,
    ) -> Result<Answer, Trouble> {
        let mut request = self
            .agent
            .post(url)
            .header("Content-Type", body.content_type);
        if let Some(secret) = &config.secret {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let time = since.map_or(0, |since| since.as_secs());
            request = request.header(SIGNATURE, signature(secret, time, &body.text));
        }
        // What it says itself may quote the URL, which may hold a secret.
        let response = request.send(&body.text).map_err(|error| match error {
            ureq::Error::Timeout(_) => Trouble::Answer("no answer in time"),
            // Who breaks off has been reached.
            ureq::Error::Io(error) if BROKEN_OFF.contains(&error.kind()) => {
                Trouble::Answer("an answer that breaks off")
            }
            ureq::Error::Io(error) => Trouble::Way(format!("not reached: {}", error.kind())),
            ureq::Error::HostNotFound => Trouble::Way("its host is not found".to_owned()),
            ureq::Error::ConnectionFailed => Trouble::Way("not reached".to_owned()),
            ureq::Error::Rustls(error) => Trouble::Way(format!("TLS: {error}")),
            _ => Trouble::Answer("an answer that is no HTTP"),
        })?;
        let (parts, answered) = response.into_parts();
        let mut body = Vec::new();
        answered
            .into_reader()
            .take(ANSWER_BYTES)
            .read_to_end(&mut body)
            .map_err(|_| Trouble::Answer("an answer that breaks off"))?;
        let location = parts.headers.get("location");
        Ok(Answer {
            status: parts.status.as_u16(),
            location: location.and_then(|to| Some(to.to_str().ok()?.to_owned())),
            body,
        })
    }
}

fn is_tls(config: &CallbackConfig) -> bool {
    config
        .url
        .as_ref()
        .is_some_and(|url| url.starts_with("https"))
}

fn signature(secret: &str, time: u64, body: &str) -> String {
    // A key of any length is allowed (RFC 2104 section 3).
    let Ok(mut hash) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    hash.update(format!("{time}.{body}").as_bytes());
    let bytes = hash.finalize().into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},sha256={hex}")
}

fn stamp_of(ca: Option<&Pem>) -> Option<Stamp> {
    let Some(Pem::File(file)) = ca else {
        return None;
    };
    let found = std::fs::metadata(file).ok()?;
    Some((found.modified().ok(), found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // As `printf '7.{}' | openssl dgst -sha256 -hmac secret` says.
        assert_eq!(
            signature("secret", 7, "{}"),
            "t=7,sha256=76aad9429f417882918162a1928a38769fff65cc07b6bfa344ac9c5fb1e3448e"
        );
    }
}
