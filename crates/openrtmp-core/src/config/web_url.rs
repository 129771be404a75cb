//! URLs of HTTP servers (RFC 3986, RFC 9110 section 4.2).

use std::net::Ipv6Addr;

/// Characters of the longest URL that a setting takes: RFC 9110 section 4.1 asks others for
/// 8,000.
const LONGEST: usize = 8000;

/// What is wrong with a URL of this scheme, `http` or `https`, as what follows "expected";
/// nothing of it stands there. What is wrong is never read as something else: a port that is
/// none does not become the default one.
pub(super) fn fault(url: &str, schemes: &[&str]) -> Option<&'static str> {
    let scheme_and_rest = url.split_once("://");
    let Some((_, rest)) = scheme_and_rest.filter(|(scheme, _)| schemes.contains(scheme)) else {
        return Some(match schemes {
            ["https"] => "a URL with https://",
            _ => "a URL such as https://host/path",
        });
    };
    // RFC 3986 section 2; what stands behind a `#` is said to no server.
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~:/?[]@!$&'()*+,;=%".contains(c);
    if url.len() > LONGEST || !url.chars().all(fits) {
        return Some("a URL of at most 8000 characters, without spaces and #, others as %20");
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if path.contains(['[', ']']) {
        return Some("a URL with [ and ] in its path as %5B and %5D");
    }
    let host = authority.rsplit_once('@').map_or(authority, |(_, h)| h);
    let (is_host, port) = match host.strip_prefix('[') {
        Some(bracketed) => match bracketed.split_once(']') {
            Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
            None => (false, ""),
        },
        None => {
            let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            (!name.is_empty() && name.chars().all(plain), port)
        }
    };
    if !is_host {
        return Some("a URL with a host: a name, an address, or an IPv6 address in brackets");
    }
    let is_port = |digits: &str| {
        digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse().is_ok_and(|n: u16| n > 0)
    };
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return Some("a URL whose port is a number from 1 to 65535");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Format};

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        for (rest, what) in [
            ("127.0.0.1:99999/x", "port"),
            ("h:abc/x", "port"),
            ("h:0/", "port"),
            ("h:/", "port"),
            ("h:+1/", "port"),
            ("[::1]x/", "port"),
            ("h:1:2/", "port"),
            ("", "host"),
            ("/x", "host"),
            ("?x", "host"),
            ("user:pw@/x", "host"),
            (":80/x", "host"),
            ("[::1/", "host"),
            ("[::g]/", "host"),
            ("::1/", "host"),
            ("h%41/", "host"),
            ("h x/", "spaces"),
            ("h/x y", "spaces"),
            ("h/\r\nX-Evil: 1", "spaces"),
            ("h/x\n", "spaces"),
            ("h/x#y", "spaces"),
            ("h/é", "spaces"),
            ("h/[", "%5B"),
        ] {
            for scheme in ["http", "https"] {
                let url = format!("{scheme}://{rest}");
                let fault = fault(&url, &["http", "https"]);
                assert!(
                    fault.is_some_and(|fault| fault.contains(what)),
                    "{url:?}: {fault:?}"
                );
            }
            let mut config = Config::desktop();
            let url = format!("http://{rest}");
            let error = config.set("access.callback.url", &url).expect_err(&url);
            assert!(
                error.to_string().starts_with("access.callback.url = ***"),
                "{error}"
            );
            let document = serde_json::json!({"tls": {"acme": {
                "domains": ["a.example.org"], "storage": "s", "directory": format!("https://{rest}"),
            }}});
            let error = config
                .merge(&document.to_string(), Format::Json)
                .expect_err(&url);
            assert!(error.to_string().contains("tls.acme.directory"), "{error}");
        }
        assert!(fault(&format!("http://h/{}", "x".repeat(LONGEST)), &["http"]).is_some());
        for url in [
            "",
            "h/x",
            "ftp://h/",
            "HTTP//h",
            "http:/h",
            "file:///etc/passwd",
        ] {
            assert!(fault(url, &["http", "https"]).is_some(), "{url}");
        }
        for rest in [
            "h",
            "h:1",
            "auth_1:65535/a/b?c=d&e",
            "me:p%40ss@auth.example.org/x",
            "192.0.2.1:8080/",
            "[2001:db8::1]:443/x%20y",
            "[::1]",
            "h?x",
        ] {
            assert_eq!(
                fault(&format!("http://{rest}"), &["http", "https"]),
                None,
                "{rest}"
            );
            assert_eq!(
                fault(&format!("https://{rest}"), &["https"]),
                None,
                "{rest}"
            );
            assert!(
                fault(&format!("http://{rest}"), &["https"]).is_some(),
                "{rest}"
            );
        }
    }
}
