//! Under which addresses peers reach this machine.

use std::net::{IpAddr, SocketAddr};

use crate::platform::{Interface, Platform, native::Native};

/// Hosts to put into URLs for a listening address: the address itself, or, for
/// an unspecified one, that of every interface, other machines' view first.
/// IPv6 in brackets; link-local IPv6 left out, since it needs a zone.
pub fn reachable_hosts(listen: SocketAddr) -> Vec<String> {
    let interfaces = Native::new().interfaces().unwrap_or_default();
    hosts(listen, &interfaces)
}

/// The addresses of this machine.
#[cfg(feature = "tls")]
pub(crate) fn local_addresses() -> Vec<IpAddr> {
    let interfaces = Native::new().interfaces().unwrap_or_default();
    interfaces.iter().map(|i| i.address).collect()
}

fn hosts(listen: SocketAddr, interfaces: &[Interface]) -> Vec<String> {
    if !listen.ip().is_unspecified() {
        return vec![show(listen.ip())];
    }
    let mut usable: Vec<&Interface> = interfaces
        .iter()
        .filter(|i| i.address.is_ipv4() == listen.is_ipv4() && !is_link_local(i.address))
        .collect();
    usable.sort_by_key(|i| i.loopback);
    usable.iter().map(|i| show(i.address)).collect()
}

fn show(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xFFC0 == 0xFE80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(address: &str, loopback: bool) -> Interface {
        Interface {
            name: "x".into(),
            address: address.parse().expect("an address"),
            loopback,
            point_to_point: false,
        }
    }

    #[test]
    fn an_unspecified_address_is_every_interface_loopback_last() {
        let all = [
            interface("127.0.0.1", true),
            interface("192.168.1.5", false),
            interface("::1", true),
            interface("fe80::1", false),
            interface("2001:db8::5", false),
        ];
        let v4 = hosts("0.0.0.0:1935".parse().unwrap(), &all);
        assert_eq!(v4, ["192.168.1.5", "127.0.0.1"]);
        let v6 = hosts("[::]:1935".parse().unwrap(), &all);
        assert_eq!(v6, ["[2001:db8::5]", "[::1]"]);
    }

    #[test]
    fn a_given_address_is_itself() {
        assert_eq!(hosts("10.0.0.7:1".parse().unwrap(), &[]), ["10.0.0.7"]);
        assert_eq!(hosts("[::1]:1".parse().unwrap(), &[]), ["[::1]"]);
    }
}
