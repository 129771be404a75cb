//! Under which URLs others reach the server, best first.

use std::net::IpAddr;

use super::terms::{DeviceNetwork, NetworkKind};
use crate::config::Listen;
use crate::platform::Interface;

/// Which URLs are wanted besides those that others on the same network use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reachable {
    /// Those of mobile operators' networks: hardly ever reached from outside, and paid for.
    pub cellular: bool,
    /// Those of tunnels.
    pub vpn: bool,
    /// This device's own.
    pub loopback: bool,
}

impl Reachable {
    /// All there are.
    pub fn everything() -> Reachable {
        Reachable {
            cellular: true,
            vpn: true,
            loopback: true,
        }
    }
}

/// A URL under which the server is reached.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ReachableUrl {
    /// Such as `rtmp://192.168.1.5:1935/live/cam`.
    pub url: String,
    /// The interface that has its address; empty if that is not known.
    pub interface: String,
    /// What carries it.
    pub kind: NetworkKind,
    /// What is sent there costs money, or counts.
    pub metered: bool,
    /// 0 for the one that others are most likely to reach, and so on.
    pub rank: usize,
}

/// An address of this device, and what is known of it.
struct Place<'a> {
    interface: &'a Interface,
    kind: NetworkKind,
    metered: bool,
    is_default: bool,
}

/// All of `listeners`, on all `interfaces`, as far as they are wanted. `stream` is the path
/// behind the slash.
pub(crate) fn reachable(
    listeners: &[Listen],
    interfaces: &[Interface],
    networks: &[DeviceNetwork],
    stream: &str,
    wanted: Reachable,
) -> Vec<ReachableUrl> {
    let mut found = Vec::new();
    // Behind a proxy others use the proxy's address.
    for listen in listeners.iter().filter(|listen| !listen.proxy_protocol) {
        let (ip, port) = (listen.address.ip(), listen.address.port());
        let scheme = if listen.is_tls() { "rtmps" } else { "rtmp" };
        let url = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => format!("{scheme}://{v4}:{port}/{stream}"),
            IpAddr::V6(v6) => format!("{scheme}://[{v6}]:{port}/{stream}"),
        };
        let here = interfaces
            .iter()
            .filter(|interface| match ip.is_unspecified() {
                true => interface.address.is_ipv4() == ip.is_ipv4(),
                false => interface.address == ip,
            });
        let places: Vec<Place<'_>> = here.map(|i| place(i, networks)).collect();
        if places.is_empty() && !ip.is_unspecified() {
            // The address was asked for by name; who has it now is not known.
            let order = (order(NetworkKind::Other, false), ip.is_ipv6());
            found.push((order, told(url(ip), "", NetworkKind::Other, false)));
        }
        for place in places {
            let is_named = !ip.is_unspecified();
            let address = place.interface.address;
            if !is_named && !place.is_wanted(wanted) || needs_zone(address) {
                continue;
            }
            let mut order = (order(place.kind, place.is_default), address.is_ipv6());
            if place.interface.loopback {
                order.0 = u8::MAX;
            }
            let name = &place.interface.name;
            found.push((order, told(url(address), name, place.kind, place.metered)));
        }
    }
    found.sort_by_key(|(order, _)| *order);
    let ranked = found.into_iter().enumerate();
    ranked
        .map(|(rank, (_, url))| ReachableUrl { rank, ..url })
        .collect()
}

/// This device's addresses with what carries them.
pub(crate) fn links(
    interfaces: &[Interface],
    networks: &[DeviceNetwork],
) -> Vec<(IpAddr, NetworkKind)> {
    let known = interfaces
        .iter()
        .map(|i| (i.address, place(i, networks).kind));
    known.collect()
}

fn told(url: String, interface: &str, kind: NetworkKind, metered: bool) -> ReachableUrl {
    ReachableUrl {
        url,
        interface: interface.to_owned(),
        kind,
        metered,
        rank: 0,
    }
}

impl Place<'_> {
    fn is_wanted(&self, wanted: Reachable) -> bool {
        if self.interface.loopback {
            return wanted.loopback;
        }
        match self.kind {
            NetworkKind::Cellular => wanted.cellular,
            NetworkKind::Vpn => wanted.vpn,
            _ => true,
        }
    }
}

/// Those that the device shares with others come first; the system's default way among
/// those of its kind.
fn order(kind: NetworkKind, is_default: bool) -> u8 {
    let kind = match kind {
        NetworkKind::Wifi | NetworkKind::Ethernet if is_default => 0,
        NetworkKind::Wifi => 1,
        NetworkKind::Ethernet => 2,
        NetworkKind::Hotspot => 3,
        NetworkKind::Usb => 4,
        NetworkKind::Other => 5,
        NetworkKind::Vpn => 6,
        NetworkKind::Cellular => 7,
    };
    kind * 2 + u8::from(!is_default)
}

/// What the system told of an interface; else what it can be.
fn place<'a>(interface: &'a Interface, networks: &[DeviceNetwork]) -> Place<'a> {
    let by_address = networks
        .iter()
        .find(|network| network.addresses.contains(&interface.address));
    let told = by_address.or_else(|| networks.iter().find(|n| n.name == interface.name));
    match told {
        Some(network) => Place {
            interface,
            kind: network.kind,
            metered: network.metered,
            is_default: network.is_default,
        },
        None => {
            let kind = guess(interface, !networks.is_empty());
            Place {
                interface,
                kind,
                metered: kind == NetworkKind::Cellular,
                is_default: false,
            }
        }
    }
}

/// Beginnings of interfaces' names. No system promises them.
const NAMES: [(NetworkKind, &[&str]); 6] = [
    (
        NetworkKind::Cellular,
        &["rmnet", "pdp_ip", "ccmni", "wwan", "ww", "v4-rmnet", "clat"],
    ),
    (
        NetworkKind::Vpn,
        &[
            "utun",
            "tun",
            "tap",
            "wg",
            "ipsec",
            "ppp",
            "tailscale",
            "zt",
        ],
    ),
    (NetworkKind::Hotspot, &["bridge1", "swlan", "softap", "ap"]),
    (NetworkKind::Usb, &["rndis", "usb", "ncm"]),
    (NetworkKind::Wifi, &["wl", "wifi"]),
    (NetworkKind::Ethernet, &["eth", "en", "em"]),
];

/// Names of interfaces that other devices do not come by.
const OF_NOBODY: [&str; 8] = [
    "docker", "veth", "virbr", "br-", "p2p", "awdl", "llw", "dummy",
];

/// What an interface is that the system told nothing of.
///
/// A device's own hotspot is among no system's networks: where networks were told, an
/// interface that is none of them, has a private address and others beside it, is one.
fn guess(interface: &Interface, networks_are_known: bool) -> NetworkKind {
    let name = interface.name.to_ascii_lowercase();
    let begins = |names: &[&str]| names.iter().any(|begin| name.starts_with(begin));
    if interface.loopback || begins(&OF_NOBODY) {
        return NetworkKind::Other;
    }
    let by_name = NAMES.iter().find(|(_, names)| begins(names));
    let by_name = by_name.map(|(kind, _)| *kind);
    if interface.point_to_point {
        return match by_name {
            Some(kind @ (NetworkKind::Cellular | NetworkKind::Usb)) => kind,
            _ => NetworkKind::Vpn,
        };
    }
    match by_name {
        Some(kind @ (NetworkKind::Cellular | NetworkKind::Vpn | NetworkKind::Usb)) => kind,
        _ if networks_are_known && is_private(interface.address) => NetworkKind::Hotspot,
        Some(NetworkKind::Wifi) | None if cfg!(target_os = "ios") && name == "en0" => {
            NetworkKind::Wifi
        }
        Some(NetworkKind::Ethernet) if cfg!(target_os = "ios") && name == "en0" => {
            NetworkKind::Wifi
        }
        Some(kind) => kind,
        None => NetworkKind::Other,
    }
}

/// RFC 1918 and RFC 4193.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xFE00 == 0xFC00,
    }
}

/// Link-local IPv6 is not reached without the name of an interface, which differs from
/// machine to machine.
fn needs_zone(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xFFC0 == 0xFE80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, address: &str) -> Interface {
        let address: IpAddr = address.parse().expect("an address");
        Interface {
            name: name.into(),
            address,
            loopback: address.is_loopback(),
            point_to_point: name.starts_with("rmnet") || name.starts_with("utun"),
        }
    }

    fn phone() -> Vec<Interface> {
        vec![
            interface("lo", "127.0.0.1"),
            interface("rmnet0", "10.9.8.7"),
            interface("utun3", "100.64.0.2"),
            interface("wlan0", "192.168.1.5"),
            interface("wlan0", "fe80::1"),
            interface("wlan0", "2001:db8::5"),
            interface("swlan0", "192.168.43.1"),
        ]
    }

    fn listen(text: &str) -> Vec<Listen> {
        vec![text.parse().expect("an address")]
    }

    fn urls(found: &[ReachableUrl]) -> Vec<(&str, NetworkKind, usize)> {
        let all = found.iter().map(|u| (u.url.as_str(), u.kind, u.rank));
        all.collect()
    }

    #[test]
    fn others_are_told_of_wifi_and_hotspot_and_of_no_more_unless_asked() {
        let listeners = listen("0.0.0.0:1935");
        let found = reachable(&listeners, &phone(), &[], "live/cam", Reachable::default());
        let expected = [
            ("rtmp://192.168.1.5:1935/live/cam", NetworkKind::Wifi, 0),
            ("rtmp://192.168.43.1:1935/live/cam", NetworkKind::Hotspot, 1),
        ];
        assert_eq!(urls(&found), expected);
        let all = reachable(&listeners, &phone(), &[], "", Reachable::everything());
        let rest: Vec<_> = urls(&all).split_off(2);
        let expected = [
            ("rtmp://100.64.0.2:1935/", NetworkKind::Vpn, 2),
            ("rtmp://10.9.8.7:1935/", NetworkKind::Cellular, 3),
            ("rtmp://127.0.0.1:1935/", NetworkKind::Other, 4),
        ];
        assert_eq!(rest, expected);
        assert!(all[3].metered && !all[0].metered);
    }

    #[test]
    fn a_hotspot_is_what_the_system_knows_no_network_of() {
        let mut cellular = DeviceNetwork::new("rmnet0", NetworkKind::Cellular);
        cellular.is_default = true;
        let interfaces = [
            interface("rmnet0", "10.9.8.7"),
            interface("wlan1", "192.168.49.1"),
            interface("docker0", "172.17.0.1"),
        ];
        let listeners = listen("0.0.0.0:1935");
        let found = reachable(
            &listeners,
            &interfaces,
            &[cellular],
            "",
            Reachable::default(),
        );
        let expected = [
            ("rtmp://192.168.49.1:1935/", NetworkKind::Hotspot, 0),
            ("rtmp://172.17.0.1:1935/", NetworkKind::Other, 1),
        ];
        assert_eq!(urls(&found), expected);
    }

    #[test]
    fn what_the_system_tells_counts_more_than_names() {
        let mut usb = DeviceNetwork::new("wlan0", NetworkKind::Usb);
        usb.metered = true;
        let listeners = listen("rtmps://[::]:1936");
        let found = reachable(&listeners, &phone(), &[usb], "a", Reachable::default());
        assert_eq!(
            urls(&found),
            [("rtmps://[2001:db8::5]:1936/a", NetworkKind::Usb, 0)]
        );
        assert!(found[0].metered);
        assert_eq!(found[0].interface, "wlan0");
    }

    #[test]
    fn an_address_that_was_asked_for_is_told_whatever_it_is() {
        for address in ["127.0.0.1:1", "10.9.8.7:1", "203.0.113.9:1"] {
            let found = reachable(&listen(address), &phone(), &[], "", Reachable::default());
            assert_eq!(found.len(), 1, "{address}");
            assert_eq!(found[0].url, format!("rtmp://{address}/"));
        }
    }
}
