//! Certificates that an authority gives by itself (ACME, RFC 8555).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use openrtmp_protocol::text;
use serde::{Deserialize, Serialize};

#[cfg(feature = "tls")]
use super::tls::CertificateConfig;
use super::tls::{Pem, text_or_none};
use super::web_url;

/// The authority that is asked if no other is named: Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Where an authority looks for answers to HTTP-01 (RFC 8555 section 8.3).
const HTTP_PORT: u16 = 80;

/// Characters of the longest name of a host (RFC 1035 section 2.3.4, as text).
const LONGEST_NAME: usize = 253;

/// Characters of the longest label.
const LONGEST_LABEL: usize = 63;

/// Characters of a directory's URL, which is the name of a folder too.
const LONGEST_DIRECTORY: usize = 200;

/// Names of one certificate: what authorities take at most.
const MOST_DOMAINS: usize = 100;

/// A certificate that an authority gives by itself (ACME, RFC 8555), once it has seen that
/// the names in it lead here.
///
/// The `openrtmp` command does that. The library takes the certificate from
/// [`AcmeConfig::certificate_file`], at the start, if it is there, and on
/// [`Server::reload_certificates`](crate::Server::reload_certificates); and it shows the
/// answers to TLS-ALPN-01 that
/// [`Server::set_challenge_certificate`](crate::Server::set_challenge_certificate) is given.
/// A host that obtains certificates itself puts them there. With names in `domains`,
/// listeners with TLS open without a certificate, and refuse handshakes until there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AcmeConfig {
    /// URL of the authority's directory (RFC 8555 section 7.1.1), `https`.
    pub directory: String,
    /// The authority of the certificate that its own HTTPS server shows, as a file's name or
    /// PEM text; none: those of the system.
    #[serde(with = "text_or_none")]
    pub ca: Option<Pem>,
    /// Where the authority writes when a certificate is about to expire; empty: nowhere.
    pub email: String,
    /// Names that the certificate is for, up to 100, without wildcards; none: no certificate
    /// is asked for. Whoever sets them agrees to the authority's terms.
    pub domains: Vec<String>,
    /// How the authority sees that the names lead here.
    pub challenge: AcmeChallenge,
    /// Where answers to HTTP-01 are given. The authority looks at port 80.
    pub http_listen: Vec<SocketAddr>,
    /// Folder for the key of the account and the certificate with its key.
    #[serde(with = "text_or_none")]
    pub storage: Option<PathBuf>,
    /// Ties the account to one that the authority knows already.
    pub eab: EabConfig,
}

/// How an authority sees that a name leads here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AcmeChallenge {
    /// By a text that it fetches from port 80 (RFC 8555 section 8.3).
    #[default]
    #[serde(rename = "http-01")]
    Http01,
    /// By a certificate that a listener with TLS on port 443 shows (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// External account binding (RFC 8555 section 7.3.4): what some authorities hand out for
/// accounts that they know.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EabConfig {
    /// Names the key; empty: none is needed.
    pub kid: String,
    /// The key, as base64url.
    pub key: String,
}

impl Default for AcmeConfig {
    fn default() -> AcmeConfig {
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        AcmeConfig {
            directory: DIRECTORY.to_owned(),
            ca: None,
            email: String::new(),
            domains: Vec::new(),
            challenge: AcmeChallenge::default(),
            http_listen: any.map(|ip| SocketAddr::new(ip, HTTP_PORT)).to_vec(),
            storage: None,
            eab: EabConfig::default(),
        }
    }
}

/// The key is not shown.
impl fmt::Debug for EabConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.key.is_empty() { "" } else { "***" };
        f.debug_struct("EabConfig")
            .field("kid", &self.kid)
            .field("key", &shown)
            .finish()
    }
}

impl AcmeConfig {
    /// True if a certificate is to be obtained.
    pub fn is_on(&self) -> bool {
        !self.domains.is_empty()
    }

    /// The folder below `storage` for what this authority gave: one for each, as what one
    /// gave is worth nothing to the next. `None` if nothing is to be obtained.
    pub fn folder(&self) -> Option<PathBuf> {
        let storage = self.storage.as_ref().filter(|_| self.is_on())?;
        let name = self
            .directory
            .split_once("://")
            .map_or("", |(_, rest)| rest);
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        };
        Some(storage.join(name.chars().map(plain).collect::<String>()))
    }

    /// The file with the certificate, those between it and its authority, and its private
    /// key, all as PEM: one file, so that they change together. `None` if nothing is to be
    /// obtained.
    pub fn certificate_file(&self) -> Option<PathBuf> {
        Some(self.folder()?.join("certificate.pem"))
    }

    #[cfg(feature = "tls")]
    pub(crate) fn certificate(&self) -> Option<CertificateConfig> {
        let file = Pem::File(self.certificate_file()?);
        Some(CertificateConfig {
            certificate: file.clone(),
            key: file,
        })
    }

    /// What is not allowed: the setting below `tls.acme`, its value, what may stand there.
    pub(super) fn faults(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut faults = Vec::new();
        if !self.is_on() {
            return faults;
        }
        if self.domains.len() > MOST_DOMAINS {
            let count = format!("{} names", self.domains.len());
            faults.push(("tls.acme.domains", count, "at most 100 names"));
        }
        if let Some(wrong) = self.domains.iter().find(|name| !is_host(name)) {
            let allowed = "names of hosts such as live.example.org, without wildcards";
            faults.push(("tls.acme.domains", wrong.clone(), allowed));
        }
        let too_long = Some("a URL of at most 200 characters");
        let too_long = too_long.filter(|_| self.directory.len() > LONGEST_DIRECTORY);
        if let Some(allowed) = too_long.or_else(|| web_url::fault(&self.directory, &["https"])) {
            let shown = text::shown(&self.directory).to_string();
            faults.push(("tls.acme.directory", shown, allowed));
        }
        if self.storage.is_none() {
            faults.push(("tls.acme.storage", "\"\"".to_owned(), "a folder"));
        }
        if self.challenge == AcmeChallenge::Http01 && self.http_listen.is_empty() {
            let allowed = "at least one address, for example 0.0.0.0:80";
            faults.push(("tls.acme.http_listen", "[]".to_owned(), allowed));
        }
        if self.email.contains(char::is_whitespace) {
            faults.push(("tls.acme.email", self.email.clone(), "an address of mail"));
        }
        if self.eab.kid.is_empty() != self.eab.key.is_empty() {
            let allowed = "nothing, or tls.acme.eab.kid beside it";
            faults.push(("tls.acme.eab.key", "***".to_owned(), allowed));
        }
        faults
    }
}

/// True for names that an authority can look for.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= LONGEST_NAME
        && name.contains('.')
        && name.split('.').all(label)
        && name.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Format};

    const DOCUMENT: &str = r#"
tls:
  acme:
    directory: https://ca.example.org:14000/dir?x=1
    ca: ca.pem
    email: admin@example.org
    domains: [live.example.org, www.example.org]
    challenge: tls-alpn-01
    http_listen: ["127.0.0.1:5002", "[::1]:5002"]
    storage: state
    eab: {kid: me, key: c2VjcmV0}
"#;

    #[test]
    fn every_setting_is_read_and_written() {
        let mut config = Config::desktop();
        config.merge(DOCUMENT, Format::Yaml).expect("a document");
        let acme = &config.tls.acme;
        assert_eq!(acme.challenge, AcmeChallenge::TlsAlpn01);
        assert_eq!(acme.http_listen[1].port(), 5002);
        assert_eq!(acme.eab.kid, "me");
        let file = PathBuf::from("state/ca.example.org-14000-dir-x-1/certificate.pem");
        assert_eq!(acme.certificate_file(), Some(file));
        let mut again = Config::desktop();
        again
            .merge(&config.dump(Format::Json), Format::Json)
            .expect("what was dumped");
        assert_eq!(again, config);
        config.set("tls.acme.domains", "").expect("none");
        assert_eq!(config.tls.acme.certificate_file(), None);
    }

    #[test]
    fn the_key_of_a_binding_is_not_shown() {
        let mut config = Config::desktop();
        config.merge(DOCUMENT, Format::Yaml).expect("a document");
        assert!(!format!("{config:?}").contains("c2VjcmV0"));
        let document = r#"{"tls": {"acme": {"eab": {"key": {"a": "c2VjcmV0"}}}}}"#;
        let error = config.merge(document, Format::Json).unwrap_err();
        assert!(!error.to_string().contains("c2VjcmV0"), "{error}");
    }

    #[test]
    fn what_no_authority_takes_is_said() {
        for (path, value) in [
            ("tls.acme.domains", "*.example.org"),
            ("tls.acme.domains", "localhost"),
            ("tls.acme.domains", "192.0.2.1"),
            ("tls.acme.domains", "live.example.org/x"),
            ("tls.acme.domains", "-a.example.org"),
            ("tls.acme.directory", "http://ca.example.org/dir"),
            ("tls.acme.storage", ""),
            ("tls.acme.email", "a b"),
            ("tls.acme.eab.key", ""),
            ("tls.acme.http_listen", "localhost:80"),
            ("tls.acme.challenge", "dns-01"),
        ] {
            let mut config = Config::desktop();
            config.merge(DOCUMENT, Format::Yaml).expect("a document");
            let error = config.set(path, value).expect_err(path).to_string();
            assert!(error.starts_with(path), "{path} = {value}: {error}");
        }
        let mut config = Config::desktop();
        config.merge(DOCUMENT, Format::Yaml).expect("a document");
        config.tls.acme.challenge = AcmeChallenge::Http01;
        let error = config.set("tls.acme.http_listen", "").unwrap_err();
        assert!(error.to_string().contains("0.0.0.0:80"), "{error}");
    }
}
