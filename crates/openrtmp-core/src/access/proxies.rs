//! From where a request really comes, behind proxies.

use std::net::{IpAddr, SocketAddr};

use crate::config::{AccessConfig, Network};

/// Proxies on the way that are looked at. What they say is as long as a head may be.
const MOST_HOPS: usize = 32;

/// The proxies that may say for whom they ask (`access.trusted_proxies`).
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<Network>);

impl Proxies {
    /// Those of the settings.
    pub fn new(config: &AccessConfig) -> Proxies {
        let networks = config.trusted_proxies.iter();
        Proxies(networks.filter_map(|text| Network::parse(text)).collect())
    }

    /// Whether this is one of them.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who asks: the peer itself, or the last of the addresses in `X-Forwarded-For` that is
    /// none of these proxies. Everything in front of that may be made up. `fields`: the values
    /// of all such fields, in order.
    pub fn origin<'a>(
        &self,
        peer: IpAddr,
        fields: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> IpAddr {
        let mut address = peer.to_canonical();
        let hops = fields
            .rev()
            .flat_map(|field| field.rsplit(|byte| *byte == b','));
        for hop in hops.take(MOST_HOPS) {
            if !self.trusts(address) {
                break;
            }
            // A proxy that does not say it as it should is who asks.
            match read(hop) {
                Some(before) => address = before,
                None => break,
            }
        }
        address
    }
}

/// An address, with a port or without.
fn read(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop.trim_ascii()).ok()?;
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    let plain = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = plain.unwrap_or(text).parse().ok().or_else(with_port)?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_is_who_asks() {
        let config = AccessConfig {
            trusted_proxies: vec!["10.0.0.0/8".into(), "2001:db8::/32".into()],
            ..AccessConfig::default()
        };
        let proxies = Proxies::new(&config);
        for (peer, fields, expected) in [
            // Nobody else is heard.
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            // What is in front of it may be made up.
            ("10.0.0.1", &["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["127.0.0.1", "198.51.100.7"], "198.51.100.7"),
            (
                "10.0.0.1",
                &["198.51.100.7, 10.0.0.2 ,10.0.0.3"],
                "198.51.100.7",
            ),
            (
                "2001:db8::1",
                &["[2001:db8::2]:80, 10.0.0.9"],
                "2001:db8::2",
            ),
            ("10.0.0.1", &["198.51.100.7:4000"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:4860::1]"], "2001:4860::1"),
            // Who does not say it as it should is who asks.
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["\n"], "10.0.0.1"),
        ] {
            let peer: IpAddr = peer.parse().expect("an address");
            let values = fields.iter().map(|field| field.as_bytes());
            let origin = proxies.origin(peer, values);
            assert_eq!(origin.to_string(), expected, "{peer} {fields:?}");
        }
        let long = "10.0.0.1,".repeat(100_000);
        let origin = proxies.origin(
            "10.0.0.1".parse().expect("one"),
            [long.as_bytes()].into_iter(),
        );
        assert_eq!(origin.to_string(), "10.0.0.1");
        let nobody = Proxies::default();
        let peer: IpAddr = "127.0.0.1".parse().expect("one");
        assert_eq!(nobody.origin(peer, [&b"10.0.0.1"[..]].into_iter()), peer);
    }
}
