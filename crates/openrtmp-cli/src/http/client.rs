//! A client for short questions to HTTP servers: nothing is followed, and every status is an
//! answer.

use std::sync::Arc;
use std::time::Duration;

use openrtmp_core::{Pem, regular_file};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// What a client is made of.
pub(crate) struct Options<'a> {
    /// For one question and its answer.
    pub(crate) timeout: Duration,
    /// Nothing without TLS.
    pub(crate) https_only: bool,
    /// Whether `HTTPS_PROXY` and its like are heeded.
    pub(crate) proxies: bool,
    /// With TLS: whose servers are believed in place of those of the system, and the setting
    /// that says so.
    pub(crate) tls: Option<(Option<&'a Pem>, &'static str)>,
}

/// Makes a client. The error is what is wrong with the authorities.
pub(crate) fn agent(options: &Options<'_>) -> Result<ureq::Agent, String> {
    let roots = match options.tls {
        Some((ca, setting)) => roots(ca, setting)?,
        None => Vec::new(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let mut builder = ureq::Agent::config_builder()
        .https_only(options.https_only)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // A server may close a connection that waits for the next question at the very moment
        // at which that is sent: each question has a connection of its own.
        .max_idle_connections(0)
        .timeout_global(Some(options.timeout))
        .user_agent(concat!("openrtmp/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls);
    if !options.proxies {
        builder = builder.proxy(None);
    }
    Ok(builder.build().into())
}

/// The authorities that servers may have their certificates from.
fn roots(ca: Option<&Pem>, setting: &str) -> Result<Vec<Certificate<'static>>, String> {
    let ders: Vec<CertificateDer<'static>> = match ca {
        Some(pem) => {
            let (read, name) = match pem {
                Pem::File(file) => (
                    regular_file::open(file)
                        .map_err(pem::Error::Io)
                        .and_then(|open| CertificateDer::pem_reader_iter(open).collect()),
                    format!("{}: ", file.display()),
                ),
                Pem::Text(text) => (
                    CertificateDer::pem_slice_iter(text.as_bytes()).collect(),
                    String::new(),
                ),
            };
            read.map_err(|error| format!("{setting}: {name}{error}"))?
        }
        // Some of a system's may be of a kind that cannot be read.
        None => rustls_native_certs::load_native_certs().certs,
    };
    if ders.is_empty() {
        return Err(format!(
            "there is no authority to believe a server by: see {setting}"
        ));
    }
    let certificate = |der: &CertificateDer<'_>| Certificate::from_der(der).to_owned();
    Ok(ders.iter().map(certificate).collect())
}

#[cfg(test)]
mod tests {
    use openrtmp_core::Config;
    use ureq::http::Uri;

    /// Where settings say that somebody is asked is where he is asked.
    #[test]
    fn a_url_of_the_settings_is_one_of_the_client() {
        let special = "http://me:p%40ss@auth_1:8080/a-._~!$&'()*+,;=:@%20/?b=/?!$&'()*+,;=:@";
        let longest = format!("http://h:1/{}", "x".repeat(7989));
        for (url, host, port) in [
            (special, "auth_1", Some(8080)),
            (&longest, "h", Some(1)),
            ("https://h", "h", None),
            ("http://h?x", "h", None),
            (
                "http://[2001:db8::1]:65535/x",
                "[2001:db8::1]",
                Some(65_535),
            ),
            ("https://[::1]", "[::1]", None),
        ] {
            let mut config = Config::desktop();
            config.set("access.callback.url", url).expect(url);
            let uri: Uri = url.parse().expect(url);
            assert_eq!((uri.host(), uri.port_u16()), (Some(host), port), "{url}");
        }
    }
}
