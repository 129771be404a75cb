//! Where to listen, as people write it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use openrtmp_core::Listen;

/// What one `--listen` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) addresses: Vec<SocketAddr>,
    /// The address was written out, so nothing else will do.
    pub(super) literal: bool,
    /// It was written as rtmps://.
    pub(super) tls: bool,
}

impl Listening {
    /// Reads `1935`, `:1935`, `*:1935`, `localhost:1935`, `192.168.1.5:1935`,
    /// `[::1]:1935`, `[fe80::1%eth0]:1935`, and the same behind `rtmp://` or `rtmps://`.
    pub(super) fn parse(text: &str) -> Result<Listening, String> {
        let secure = text.strip_prefix("rtmps://");
        let tls = secure.is_some();
        let plain = text.strip_prefix("rtmp://");
        let bare = secure.or(plain).map_or(text, |t| t.trim_end_matches('/'));
        Listening::parse_address(bare).map(|listening| Listening { tls, ..listening })
    }

    /// What is listened for, in the terms of the settings.
    pub(super) fn listeners(&self) -> impl Iterator<Item = Listen> + use<'_> {
        self.addresses.iter().map(|&address| match self.tls {
            true => Listen::from(address).with_tls(),
            false => address.into(),
        })
    }

    fn parse_address(text: &str) -> Result<Listening, String> {
        let wrong = |what: &str| {
            format!(
                "{what}: an address to listen on is 1935, :1935, localhost:1935, 192.168.1.5:1935 or [::1]:1935"
            )
        };
        if let Ok(address) = text.parse() {
            return Ok(Listening {
                addresses: vec![address],
                literal: true,
                tls: false,
            });
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port: u16 = port.parse().map_err(|_| match port.parse::<u64>() {
            Ok(_) => wrong("no port is above 65535"),
            Err(_) => wrong("the port is missing"),
        })?;
        if matches!(host, "" | "*") {
            let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
            return Ok(Listening {
                addresses: any.map(|ip| SocketAddr::new(ip, port)).to_vec(),
                literal: false,
                tls: false,
            });
        }
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if bare.is_none() && host.contains([':', '[', ']']) {
            return Err(wrong("an IPv6 address stands in brackets"));
        }
        let found = (bare.unwrap_or(host), port).to_socket_addrs();
        let mut addresses: Vec<_> = found.map_err(|e| format!("{host}: {e}"))?.collect();
        addresses.sort_unstable();
        addresses.dedup();
        match addresses.is_empty() {
            true => Err(format!("{host} has no address")),
            false => Ok(Listening {
                addresses,
                literal: bare.is_some(),
                tls: false,
            }),
        }
    }
}

/// The first address that is there twice; port 0 is another one each time.
pub(super) fn twice(addresses: impl Iterator<Item = SocketAddr>) -> Option<SocketAddr> {
    let mut seen = Vec::new();
    for address in addresses.filter(|address| address.port() != 0) {
        if seen.contains(&address) {
            return Some(address);
        }
        seen.push(address);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        let listening = Listening::parse(text).unwrap();
        listening
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for text in ["1936", ":1936", "*:1936"] {
            assert_eq!(addresses(text), ["0.0.0.0:1936", "[::]:1936"], "{text}");
            assert!(!Listening::parse(text).unwrap().literal);
        }
        for text in ["0.0.0.0:1936", "[::1]:0", "[fe80::1%7]:1936"] {
            assert_eq!(addresses(text), [text]);
            assert!(Listening::parse(text).unwrap().literal);
        }
        let local = Listening::parse("localhost:1936").unwrap();
        assert!(!local.literal && !local.addresses.is_empty());
        let loopback = |a: &SocketAddr| a.ip().is_loopback() && a.port() == 1936;
        assert!(local.addresses.iter().all(loopback), "{local:?}");
    }

    #[test]
    fn a_scheme_says_whether_tls_is_spoken() {
        let listeners = |text: &str| -> Vec<String> {
            let listening = Listening::parse(text).unwrap();
            listening.listeners().map(|l| l.to_string()).collect()
        };
        assert_eq!(listeners("rtmp://127.0.0.1:1"), ["127.0.0.1:1"]);
        assert_eq!(listeners("rtmps://127.0.0.1:1/"), ["rtmps://127.0.0.1:1"]);
        assert_eq!(
            listeners("rtmps://443"),
            ["rtmps://0.0.0.0:443", "rtmps://[::]:443"]
        );
        assert!(Listening::parse("https://127.0.0.1:1").is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_scope_may_have_a_name() {
        // The loopback interface is the first of all.
        assert_eq!(addresses("[fe80::1%lo]:1936"), ["[fe80::1%1]:1936"]);
    }

    #[test]
    fn what_is_no_address_is_explained() {
        for (text, word) in [
            ("localhost", "port is missing"),
            ("127.0.0.1", "port is missing"),
            ("127.0.0.1:", "port is missing"),
            ("70000", "65535"),
            ("::1:1936", "brackets"),
            ("[::1", "brackets"),
            ("", "port is missing"),
        ] {
            let error = Listening::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        // No label is that long: no name server is asked.
        let name = "x".repeat(64);
        let error = Listening::parse(&format!("{name}:1936")).unwrap_err();
        assert!(error.starts_with(&name), "{error}");
    }

    #[test]
    fn an_address_that_is_there_twice_is_found() {
        let list = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<_>>();
        let found = twice(list(&["0.0.0.0:1", "[::]:1", "0.0.0.0:1"]).into_iter());
        assert_eq!(found, Some("0.0.0.0:1".parse().unwrap()));
        let different = list(&["0.0.0.0:1", "127.0.0.1:1", "127.0.0.1:0", "127.0.0.1:0"]);
        assert_eq!(twice(different.into_iter()), None);
    }
}
