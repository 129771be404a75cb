//! Addresses that cannot be listened on.

use std::io;
use std::net::SocketAddr;

/// Why an address cannot be listened on, as people read it.
pub fn explain_listening(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is taken by another program".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not permitted (ports below 1024 need special rights)".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "no interface here has this address".to_owned(),
        _ => error.to_string(),
    }
}

/// True for an address that can be done without, if it cannot be listened on for this: every
/// interface of IPv6, which not every machine has, where those of IPv4 are asked for too. One
/// that somebody else has is no such.
pub fn goes_without_saying(
    address: SocketAddr,
    error: &io::Error,
    mut asked: impl Iterator<Item = SocketAddr>,
) -> bool {
    let is_taken = matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    );
    address.is_ipv6()
        && address.ip().is_unspecified()
        && !is_taken
        && asked.any(|address| address.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_goes_without_saying_is_given_up() {
        let v4: SocketAddr = "0.0.0.0:80".parse().expect("an address");
        let v6: SocketAddr = "[::]:80".parse().expect("an address");
        let one: SocketAddr = "[::1]:80".parse().expect("an address");
        let given_up = |address, kind: io::ErrorKind, asked: &[SocketAddr]| {
            goes_without_saying(address, &kind.into(), asked.iter().copied())
        };
        let missing = io::ErrorKind::AddrNotAvailable;
        assert!(given_up(v6, missing, &[v4, v6]));
        assert!(!given_up(v6, missing, &[v6]));
        assert!(!given_up(v4, missing, &[v4, v6]));
        assert!(!given_up(v6, io::ErrorKind::AddrInUse, &[v4, v6]));
        assert!(!given_up(one, missing, &[v4, one]));
    }
}
