//! Streams for viewers over HTTP.

use openrtmp_core::{Config, HttpListen};

use super::listen::Listening;

/// Viewing about it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Viewing {
    /// Deliver streams to viewers over HTTP, as HLS and FLV, at this address, written as
    /// with --listen; may be repeated [default: port 8080 of the addresses of --listen, if
    /// it is free]
    #[arg(long, value_name = "ADDR:PORT", value_parser = plain)]
    http: Vec<Listening>,
    /// The same over HTTPS, with the certificate of --tls-certificate and the like
    #[arg(long, value_name = "ADDR:PORT", value_parser = secure)]
    https: Vec<Listening>,
    /// Deliver nothing over HTTP
    #[arg(long, conflicts_with_all = ["http", "https"])]
    no_http: bool,
}

/// Reads an address of `--http`.
fn plain(text: &str) -> Result<Listening, String> {
    at(text, "http://", "--https")
}

/// Reads an address of `--https`.
fn secure(text: &str) -> Result<Listening, String> {
    at(text, "https://", "--http")
}

/// Reads an address. What is spoken there is in the flag's name; it may be said again, but
/// not be something else.
fn at(text: &str, scheme: &str, other: &str) -> Result<Listening, String> {
    let bare = match text.split_once("://") {
        None => text,
        Some(_) if text.starts_with(scheme) => text[scheme.len()..].trim_end_matches('/'),
        Some(("http" | "https", _)) => {
            return Err(format!("here {scheme} is spoken; {other} is for {text}"));
        }
        Some(_) => {
            return Err("streams are delivered at an address such as 127.0.0.1:8080".to_owned());
        }
    };
    Listening::parse(bare)
}

impl Viewing {
    /// Puts what was said in the settings.
    pub(super) fn apply(&self, config: &mut Config) {
        let at = |listening: &[Listening], tls| -> Vec<HttpListen> {
            let addresses = listening.iter().flat_map(|listening| &listening.addresses);
            addresses
                .map(|&address| HttpListen::At { address, tls })
                .collect()
        };
        if self.no_http {
            config.http.listen.clear();
        } else if !self.http.is_empty() || !self.https.is_empty() {
            config.http.listen = at(&self.http, false);
            config.http.listen.extend(at(&self.https, true));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(flags: &Viewing) -> Vec<String> {
        let mut config = Config::desktop();
        flags.apply(&mut config);
        config.http.listen.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn flags_say_where_and_whether() {
        let mut flags = Viewing::default();
        assert_eq!(applied(&flags), ["auto"]);
        flags.http = vec![
            plain("127.0.0.1:8080").unwrap(),
            plain("http://[::1]:80/").unwrap(),
        ];
        flags.https = vec![secure("8443").unwrap()];
        let both = [
            "http://127.0.0.1:8080",
            "http://[::1]:80",
            "https://0.0.0.0:8443",
            "https://[::]:8443",
        ];
        assert_eq!(applied(&flags), both);
        flags = Viewing::default();
        flags.no_http = true;
        assert_eq!(applied(&flags), [""; 0]);
        assert!(plain("rtmp://127.0.0.1:1").is_err() && plain("127.0.0.1").is_err());
        assert_eq!(
            secure("https://127.0.0.1:1").unwrap(),
            secure("127.0.0.1:1").unwrap()
        );
    }

    #[test]
    fn a_flag_is_not_what_its_address_says_it_is_not() {
        let told = secure("http://127.0.0.1:80").unwrap_err();
        assert_eq!(
            told,
            "here https:// is spoken; --http is for http://127.0.0.1:80"
        );
        let told = plain("https://127.0.0.1:80").unwrap_err();
        assert!(
            told.contains("--https is for https://127.0.0.1:80"),
            "{told}"
        );
    }
}
