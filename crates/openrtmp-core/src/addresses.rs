//! Connections by the address they come from.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::sync::lock;

/// Who is connected from where, if `limits.connections_per_address` asks.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    connections: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place in the count, given back on drop.
#[derive(Debug)]
pub(crate) struct AddressSlot {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    /// Counts a connection. Also returns how many there were before it.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr) -> (AddressSlot, usize) {
        let address = counted_as(peer);
        let mut connections = self.lock();
        let count = connections.entry(address).or_insert(0);
        let others = *count;
        *count += 1;
        drop(connections);
        let addresses = self.clone();
        (AddressSlot { addresses, address }, others)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        lock(&self.connections)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut connections = self.addresses.lock();
        if let Some(count) = connections.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&self.address);
            }
        }
    }
}

/// What an address counts as where there are limits for each: an IPv6 subscriber has a whole
/// /64 (RFC 6177), and one of IPv4 has the same as an IPv6 address.
pub fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let prefix = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_up_and_down_and_leave_nothing() {
        let addresses = Arc::new(Addresses::default());
        let enter = |text: &str| addresses.enter(text.parse().unwrap());
        let (a, before) = enter("192.0.2.1");
        assert_eq!(before, 0);
        let (b, before) = enter("::ffff:192.0.2.1");
        assert_eq!(before, 1, "the same, mapped");
        let (c, before) = enter("192.0.2.2");
        assert_eq!(before, 0);
        drop(a);
        let (d, before) = enter("192.0.2.1");
        assert_eq!(before, 1);
        drop((b, c, d));
        assert_eq!(addresses.len(), 0);
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let addresses = Arc::new(Addresses::default());
        let enter = |text: &str| addresses.enter(text.parse().unwrap());
        let (_a, _) = enter("2001:db8::1");
        assert_eq!(enter("2001:db8::ffff:1").1, 1);
        assert_eq!(enter("2001:db8:0:1::1").1, 0);
    }
}
