//! Networks, as rules about addresses name them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of an IPv6 address in front of the IPv4 address that is mapped into it (RFC 4291
/// section 2.5.5.2).
const MAPPED: u8 = 96;

/// Addresses that begin with the same bits (RFC 4632).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The first address; IPv4 as it is mapped into IPv6, so that both forms of one
    /// address are the same.
    first: u128,
    /// How many bits count.
    prefix: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address. No bit may be set behind the
    /// prefix: it is one that was mistyped.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => {
                let digits = prefix.bytes().all(|b| b.is_ascii_digit());
                (address, Some(prefix.parse::<u8>().ok().filter(|_| digits)?))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (before, bits) = match address {
            IpAddr::V4(_) => (MAPPED, 32),
            IpAddr::V6(_) => (0, 128),
        };
        let prefix = prefix.unwrap_or(bits);
        if prefix > bits {
            return None;
        }
        let (first, prefix) = (number(address), before + prefix);
        (first & !mask(prefix) == 0).then_some(Network { first, prefix })
    }

    /// Whether an address is among them; IPv4 as it is, or mapped into IPv6.
    pub fn contains(self, address: IpAddr) -> bool {
        number(address) & mask(self.prefix) == self.first
    }
}

/// An address as IPv6 has it.
fn number(address: IpAddr) -> u128 {
    let v6 = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    u128::from(v6)
}

fn mask(prefix: u8) -> u128 {
    u128::MAX
        .checked_shl(128 - u32::from(prefix))
        .unwrap_or_default()
}

/// As [`Network::parse`] reads it.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = Ipv6Addr::from(self.first);
        match (first.to_ipv4_mapped(), self.prefix.checked_sub(MAPPED)) {
            (Some(v4), Some(prefix)) => write!(f, "{}/{prefix}", Ipv4Addr::from(v4.to_bits())),
            _ => write!(f, "{first}/{}", self.prefix),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_in_either_form_and_no_others() {
        for (network, inside, outside) in [
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..],
                &["11.0.0.0", "9.255.255.255", "::a00:1"][..],
            ),
            ("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]),
            ("192.0.2.7/32", &["::ffff:192.0.2.7"], &["192.0.2.6"]),
            (
                "0.0.0.0/0",
                &["0.0.0.0", "255.255.255.255"],
                &["::1", "2001:db8::1"],
            ),
            ("::ffff:0:0/96", &["192.0.2.7"], &["2001:db8::1"]),
            (
                "2001:db8::/32",
                &["2001:db8:ffff::1"],
                &["2001:db9::", "192.0.2.7"],
            ),
            ("::/0", &["::1", "192.0.2.7"], &[]),
            ("::1", &["::1"], &["::2", "0.0.0.1"]),
        ] {
            let parsed = Network::parse(network).expect(network);
            for address in inside {
                assert!(
                    parsed.contains(address.parse().unwrap()),
                    "{network}: {address}"
                );
            }
            for address in outside {
                assert!(
                    !parsed.contains(address.parse().unwrap()),
                    "{network}: {address}"
                );
            }
            assert_eq!(Network::parse(&parsed.to_string()), Some(parsed));
        }
        assert_eq!(
            format!("{:?}", Network::parse("10.0.0.0/8").unwrap()),
            "10.0.0.0/8"
        );
        assert_eq!(format!("{:?}", Network::parse("::/0").unwrap()), "::/0");
    }

    #[test]
    fn what_is_no_network_is_none() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.1/8",
            "2001:db8::1/64",
            "10.0.0.0/",
            "/8",
            "10.0.0.0/+8",
            "10.0.0/8",
            "all",
            "10.0.0.0/8/8",
            "[::1]",
            "fe80::1%eth0",
        ] {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }
}
