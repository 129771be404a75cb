//! Certificates of the server: where they come from.

use std::path::{Path, PathBuf};

use openrtmp_core::{AcmeChallenge, AcmeConfig, Config, Listen};

/// Where `rtmps` is spoken if nothing else was said: the port beside that of RTMP.
const TLS_PORT: u16 = 1936;

/// Flags about TLS.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Flags {
    /// Speak TLS with the certificate in this PEM file, on the listeners that say rtmps://
    /// or, if none does, on port 1936 of the same interfaces
    #[arg(long = "tls-certificate", value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    /// The file of its private key [default: beside the certificate]
    #[arg(long = "tls-key", value_name = "FILE", requires = "certificate")]
    pub(super) key: Option<PathBuf>,
    /// The same with a certificate that this server makes; its key is kept, and told as a
    /// pin that clients may be given
    #[arg(long = "tls-self-signed", conflicts_with = "certificate")]
    pub(super) self_signed: bool,
    /// The same with a certificate for this name that an authority gives by itself (ACME;
    /// Let's Encrypt if the settings name no other), which sees it on port 80; may be
    /// repeated. It means that you agree to the authority's terms
    #[arg(long = "acme-domain", value_name = "NAME")]
    pub(super) acme_domains: Vec<String>,
    /// Where the authority writes before a certificate expires
    #[arg(long = "acme-email", value_name = "ADDRESS")]
    pub(super) acme_email: Option<String>,
    /// The authority's directory, a URL with https://
    #[arg(long = "acme-directory", value_name = "URL")]
    pub(super) acme_directory: Option<String>,
    /// How the authority sees that a name leads here: by port 80, or by a listener with TLS
    /// on port 443
    #[arg(long = "acme-challenge", value_name = "KIND", value_parser = ["http-01", "tls-alpn-01"])]
    pub(super) acme_challenge: Option<String>,
}

impl Flags {
    fn speak_tls(&self) -> bool {
        self.self_signed || self.certificate.is_some() || !self.acme_domains.is_empty()
    }

    /// Puts what was said in the settings.
    pub(super) fn apply(&self, config: &mut Config) {
        if let Some(file) = &self.certificate {
            config.tls.certificate = Some(file.clone().into());
            config.tls.key = self.key.clone().map(Into::into);
        }
        if self.self_signed {
            config.tls.certificate = None;
            config.tls.key = None;
            config.tls.certificates.clear();
            config.tls.self_signed = true;
        }
        if config.tls.self_signed && config.tls.state_directory.is_none() {
            config.tls.state_directory = state_directory();
        }
        self.apply_acme(&mut config.tls.acme);
        if self.speak_tls() && !config.listen.iter().any(|l| is_tls(*l)) {
            // Whoever listens on one interface alone means TLS, too.
            let mut own: Vec<Listen> = Vec::new();
            for mut address in config.listen.iter().map(|listen| listen.address) {
                address.set_port(TLS_PORT);
                let listen = Listen::from(address).with_tls();
                if !own.contains(&listen) {
                    own.push(listen);
                }
            }
            config.listen.extend(own);
        }
    }

    fn apply_acme(&self, acme: &mut AcmeConfig) {
        if !self.acme_domains.is_empty() {
            acme.domains.clone_from(&self.acme_domains);
        }
        if let Some(email) = &self.acme_email {
            acme.email.clone_from(email);
        }
        if let Some(directory) = &self.acme_directory {
            acme.directory.clone_from(directory);
        }
        match self.acme_challenge.as_deref() {
            Some("tls-alpn-01") => acme.challenge = AcmeChallenge::TlsAlpn01,
            Some(_) => acme.challenge = AcmeChallenge::Http01,
            None => {}
        }
        if acme.is_on() && acme.storage.is_none() {
            acme.storage = state_directory().map(|state| state.join("acme"));
        }
    }

    /// True for what [`Flags::apply`] adds, unless it was named elsewhere.
    pub(super) fn adds(&self, listen: Listen) -> bool {
        self.speak_tls() && is_tls(listen) && listen.address.port() == TLS_PORT
    }
}

pub(super) fn is_tls(listen: Listen) -> bool {
    listen.transport == openrtmp_core::ListenTransport::Tls
}

/// Where this system keeps what programs have to remember.
fn state_directory() -> Option<PathBuf> {
    let variable = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    // systemd's, for services.
    if let Some(directories) = variable("STATE_DIRECTORY") {
        return Some(first_of(&directories));
    }
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")?
    } else if cfg!(target_os = "macos") {
        variable("HOME")?.join("Library/Application Support")
    } else {
        // XDG Base Directory Specification.
        variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")))?
    };
    Some(base.join("openrtmp"))
}

/// The first of the folders that a service may have, with colons between them
/// (systemd.exec(5), `$STATE_DIRECTORY`).
fn first_of(directories: &Path) -> PathBuf {
    let first = directories.to_str().and_then(|text| text.split(':').next());
    match first.filter(|_| cfg!(unix)) {
        Some(first) => first.into(),
        None => directories.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn of_several_folders_for_state_the_first_is_taken() {
        for (told, first) in [("/var/lib/a:/var/lib/b", "/var/lib/a"), ("/s", "/s")] {
            assert_eq!(first_of(Path::new(told)), Path::new(first));
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_name_for_an_authority_is_enough() {
        let flags = Flags {
            acme_domains: vec!["live.example.org".to_owned()],
            acme_challenge: Some("tls-alpn-01".to_owned()),
            ..Flags::default()
        };
        let mut config = Config::desktop();
        config.tls.acme.storage = Some("state".into());
        flags.apply(&mut config);
        let acme = &config.tls.acme;
        assert_eq!(acme.domains, flags.acme_domains);
        assert_eq!(acme.challenge, AcmeChallenge::TlsAlpn01);
        assert_eq!(acme.storage, Some("state".into()));
        assert!(acme.directory.contains("letsencrypt"), "as it was");
        assert_eq!(config.validate(), Ok(()));
        assert!(config.listen.iter().any(|listen| is_tls(*listen)));
    }

    #[test]
    fn a_port_for_tls_is_opened_unless_there_is_one() {
        let flags = Flags {
            self_signed: true,
            ..Flags::default()
        };
        let mut config = Config::desktop();
        flags.apply(&mut config);
        let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
        let expected = [
            "0.0.0.0:1935",
            "[::]:1935",
            "rtmps://0.0.0.0:1936",
            "rtmps://[::]:1936",
        ];
        assert_eq!(listen, expected);
        assert!(flags.adds(config.listen[3]) && !flags.adds(config.listen[1]));
        let mut config = Config::desktop();
        config.listen = ["127.0.0.1:1935", "127.0.0.1:80"]
            .map(|l| l.parse().unwrap())
            .into();
        flags.apply(&mut config);
        let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
        assert_eq!(
            listen[2..],
            ["rtmps://127.0.0.1:1936"],
            "no other interface"
        );
        let mut config = Config::desktop();
        config.listen = vec!["rtmps://127.0.0.1:443".parse().unwrap()];
        flags.apply(&mut config);
        assert_eq!(config.listen.len(), 1);
        let mut config = Config::desktop();
        Flags::default().apply(&mut config);
        assert_eq!(config.listen, Config::desktop().listen);
    }
}
