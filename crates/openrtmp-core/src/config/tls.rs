//! What is shown and asked for where TLS is spoken.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::acme::AcmeConfig;
use super::document::milliseconds;

/// TLS: for listeners that speak it ([`ListenTransport::Tls`](super::ListenTransport)),
/// and for connections to other servers.
///
/// Whoever names a host in the handshake (SNI, RFC 6066 section 3) is shown the first
/// certificate that is good for it; everybody else, clients that connect to a bare
/// address above all, the first of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The certificate, and behind it those between it and its authority. In documents a
    /// file's name, the PEM text itself, or nothing.
    #[serde(with = "text_or_none")]
    pub certificate: Option<Pem>,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1, as PEM and not encrypted. Without one
    /// it is looked for beside the certificate.
    #[serde(with = "text_or_none")]
    pub key: Option<Pem>,
    /// More certificates, for other names.
    pub certificates: Vec<CertificateConfig>,
    /// Make a certificate at the start if none is named, for every address and name of
    /// this machine. No client trusts it unless it is told to, best by its pin.
    pub self_signed: bool,
    /// Folder in which the key of such a certificate is kept, so that its pin stays the
    /// same however often the certificate is made anew. Without one the key is another
    /// at each start.
    #[serde(with = "text_or_none")]
    pub state_directory: Option<PathBuf>,
    /// The oldest version that is spoken with those who connect.
    pub min_version: TlsVersion,
    /// Names of the cipher suites that may be used with them, as IANA writes them, the
    /// best first; empty: all that are safe.
    pub cipher_suites: Vec<String>,
    /// From accept to the end of the handshake of TLS, 100 ms to 10 min. That of RTMP
    /// has its own time behind it.
    #[serde(with = "milliseconds")]
    pub handshake_timeout: Duration,
    /// A certificate that an authority gives by itself.
    pub acme: AcmeConfig,
    /// Certificates of those who connect.
    pub client_auth: ClientAuthConfig,
    /// Connections to other servers.
    pub client: TlsClientConfig,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CertificateConfig {
    /// The certificate, and behind it those between it and its authority.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
}

impl CertificateConfig {
    /// Of a certificate, with those behind it, and its key.
    pub fn new(certificate: Pem, key: Pem) -> CertificateConfig {
        CertificateConfig { certificate, key }
    }
}

/// What those who connect have to show of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClientAuthConfig {
    /// Whether they are asked for a certificate.
    pub mode: ClientAuth,
    /// The authorities whose certificates are good.
    #[serde(with = "text_or_none")]
    pub ca: Option<Pem>,
    /// Pins of the keys of those that are good, as `sha256//BASE64`: with `ca` both have
    /// to hold, without it the pin is enough. None: whatever `ca` is good for.
    pub pins: Vec<String>,
}

/// Whether those who connect are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientAuth {
    /// They are not.
    #[default]
    Off,
    /// They are, and may have none. One that is not good ends the handshake.
    Optional,
    /// Without a good one there is no connection.
    Required,
}

/// TLS of connections to other servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsClientConfig {
    /// The authorities that are believed.
    pub roots: Roots,
    /// Pins of the keys of servers that are good, as `sha256//BASE64` (SHA-256 of the
    /// certificate's SubjectPublicKeyInfo). A server with another key is refused; one
    /// with a pinned key needs neither an authority nor the right name (as with the
    /// records of RFC 7671 section 5.1).
    pub pins: Vec<String>,
    /// The certificate to show to servers that ask for one, but to none that another one
    /// sends us to (redirects).
    #[serde(with = "text_or_none")]
    pub certificate: Option<Pem>,
    /// Its private key.
    #[serde(with = "text_or_none")]
    pub key: Option<Pem>,
    /// Believe any server, whatever it shows, but for those that another one sends us to:
    /// for development alone. A warning is logged for each connection.
    pub insecure: bool,
}

impl TlsClientConfig {
    /// The same for a server that another one sends us to, which nobody named here: it is
    /// shown no certificate, and `insecure` does not hold for it. Authorities and pins do:
    /// with pins it needs a pinned key as any other.
    pub fn for_redirect(&self) -> TlsClientConfig {
        TlsClientConfig {
            certificate: None,
            key: None,
            insecure: false,
            ..self.clone()
        }
    }
}

/// Where PEM text is. Closed on purpose: whoever reads some has to know every place.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In a file.
    File(PathBuf),
    /// Here.
    Text(String),
}

/// The authorities that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Roots {
    /// Those of the operating system.
    #[default]
    System,
    /// Those of Mozilla, as they were when this library was built with the feature
    /// `bundled-roots`.
    Bundled,
    /// These.
    Pem(Pem),
}

/// A version of TLS. Older ones are not spoken at all (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TlsVersion {
    /// RFC 5246, and what came after.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

impl Default for TlsConfig {
    fn default() -> TlsConfig {
        TlsConfig {
            certificate: None,
            key: None,
            certificates: Vec::new(),
            self_signed: false,
            state_directory: None,
            min_version: TlsVersion::default(),
            cipher_suites: Vec::new(),
            handshake_timeout: Duration::from_secs(10),
            acme: AcmeConfig::default(),
            client_auth: ClientAuthConfig::default(),
            client: TlsClientConfig::default(),
        }
    }
}

/// What stands in front of everything in PEM (RFC 7468 section 2).
const PEM_BEGINS: &str = "-----BEGIN ";

impl From<PathBuf> for Pem {
    fn from(file: PathBuf) -> Pem {
        Pem::File(file)
    }
}

impl Pem {
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Pem::Text(_))
    }
}

/// Text with a `-----BEGIN` in it is PEM, everything else the name of a file.
impl From<&str> for Pem {
    fn from(text: &str) -> Pem {
        match text.contains(PEM_BEGINS) {
            true => Pem::Text(text.to_owned()),
            false => Pem::File(text.into()),
        }
    }
}

/// What it holds is not shown: it may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(file) => f.debug_tuple("File").field(file).finish(),
            Pem::Text(_) => f.debug_tuple("Text").field(&"***").finish(),
        }
    }
}

/// A setting that is a text in documents.
pub(super) trait Text: Sized {
    fn read(text: &str) -> Self;
    fn written(&self) -> String;
}

impl Text for Pem {
    fn read(text: &str) -> Pem {
        text.into()
    }

    fn written(&self) -> String {
        match self {
            Pem::File(file) => file.to_string_lossy().into_owned(),
            Pem::Text(text) => text.clone(),
        }
    }
}

impl Text for String {
    fn read(text: &str) -> String {
        text.to_owned()
    }

    fn written(&self) -> String {
        self.clone()
    }
}

impl Text for PathBuf {
    fn read(text: &str) -> PathBuf {
        text.into()
    }

    fn written(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

impl Text for Roots {
    fn read(text: &str) -> Roots {
        match text {
            "system" => Roots::System,
            "bundled" => Roots::Bundled,
            text => Roots::Pem(text.into()),
        }
    }

    fn written(&self) -> String {
        match self {
            Roots::System => "system".to_owned(),
            Roots::Bundled => "bundled".to_owned(),
            Roots::Pem(pem) => pem.written(),
        }
    }
}

impl Serialize for Pem {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.written())
    }
}

impl<'de> Deserialize<'de> for Pem {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Pem, D::Error> {
        String::deserialize(from).map(|text| Pem::read(&text))
    }
}

impl Serialize for Roots {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.written())
    }
}

impl<'de> Deserialize<'de> for Roots {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Roots, D::Error> {
        String::deserialize(from).map(|text| Roots::read(&text))
    }
}

/// The empty text is none, so that every setting is in a dumped document.
pub(super) mod text_or_none {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Text;

    pub(in crate::config) fn serialize<T: Text, S: Serializer>(
        value: &Option<T>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.serialize_str(&value.as_ref().map(T::written).unwrap_or_default())
    }

    pub(in crate::config) fn deserialize<'de, T: Text, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        let text = String::deserialize(from)?;
        Ok((!text.is_empty()).then(|| T::read(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Format};

    #[test]
    fn every_setting_is_read_and_written() {
        let mut config = Config::desktop();
        let document = r#"
tls:
  certificate: server.pem
  key: "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"
  certificates: [{certificate: other.pem, key: other.key}]
  self_signed: true
  state_directory: state
  min_version: "1.3"
  cipher_suites: [TLS_AES_128_GCM_SHA256]
  handshake_timeout: 3s
  client_auth: {mode: required, ca: clients.pem, pins: []}
  client: {roots: bundled, certificate: me.pem, key: me.key, insecure: true}
"#;
        config.merge(document, Format::Yaml).expect("a document");
        let tls = &config.tls;
        assert_eq!(tls.certificate, Some(Pem::from("server.pem")));
        assert!(matches!(&tls.key, Some(Pem::Text(text)) if text.contains("AA==")));
        assert_eq!(tls.certificates[0].key, Pem::from("other.key"));
        assert_eq!(tls.state_directory, Some("state".into()));
        assert_eq!(tls.min_version, TlsVersion::Tls13);
        assert_eq!(tls.handshake_timeout, Duration::from_secs(3));
        assert_eq!(tls.client_auth.mode, ClientAuth::Required);
        assert_eq!(tls.client.roots, Roots::Bundled);
        let mut again = Config::desktop();
        again
            .merge(&config.dump(Format::Json), Format::Json)
            .expect("what was dumped");
        assert_eq!(again, config);
        config.set("tls.client.roots", "ca.pem").expect("a file");
        assert_eq!(config.tls.client.roots, Roots::Pem("ca.pem".into()));
        config.set("tls.certificate", "").expect("none");
        assert_eq!(config.tls.certificate, None);
    }

    #[test]
    fn a_key_that_is_a_setting_is_not_shown() {
        let mut config = Config::desktop();
        config.tls.key = Some("-----BEGIN PRIVATE KEY-----\nSECRET\n".into());
        config.tls.certificates.push(CertificateConfig {
            certificate: "a.pem".into(),
            key: "-----BEGIN PRIVATE KEY-----\nSECRET\n".into(),
        });
        assert!(!format!("{config:?}").contains("SECRET"));
        for (path, value) in [
            (
                "tls.certificates",
                r#"[{"certificate": 1, "key": "SECRET"}]"#,
            ),
            ("tls.key", "{\"a\": \"SECRET\"}"),
        ] {
            // A text that is no JSON of the right kind is taken as it is.
            if let Err(error) = config.set(path, value) {
                assert!(!error.to_string().contains("SECRET"), "{error}");
            }
        }
        let document = r#"{"tls": {"key": {"a": "SECRET"}}}"#;
        let error = config.merge(document, Format::Json).unwrap_err();
        assert!(!error.to_string().contains("SECRET"), "{error}");
    }
}
