//! Places that are given to whoever comes, so that nobody has them all.

use std::collections::HashMap;
use std::net::IpAddr;

use openrtmp_core::counted_as;

/// Who has how many of the places that there are.
#[derive(Debug, Default)]
pub(crate) struct Places {
    all: usize,
    /// By address, of IPv6 by network.
    by_network: HashMap<IpAddr, usize>,
}

impl Places {
    /// Takes one of this many places. False: there is none for who is at this address.
    pub(crate) fn take(&mut self, address: IpAddr, most: usize) -> bool {
        let has_room = has_room(self.of(address), self.all, most);
        if has_room {
            self.give(address);
        }
        has_room
    }

    /// Takes one for who is at this address, however many there are.
    pub(crate) fn give(&mut self, address: IpAddr) {
        self.all += 1;
        *self.by_network.entry(counted_as(address)).or_default() += 1;
    }

    /// Gives back one that was taken.
    pub(crate) fn leave(&mut self, address: IpAddr) {
        let network = counted_as(address);
        self.all -= 1;
        if let Some(own) = self.by_network.get_mut(&network) {
            *own -= 1;
            if *own == 0 {
                self.by_network.remove(&network);
            }
        }
    }

    /// How many are taken.
    pub(crate) fn all(&self) -> usize {
        self.all
    }

    /// How many who is at this address has.
    pub(crate) fn of(&self, address: IpAddr) -> usize {
        let own = self.by_network.get(&counted_as(address));
        own.copied().unwrap_or(0)
    }
}

/// Whether somebody who has `own` of `all` that are taken gets another one, where there are
/// `most`: whoever takes all that he can get leaves as many to the others.
pub(crate) fn has_room(own: usize, all: usize, most: usize) -> bool {
    own < most.saturating_sub(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_all_that_he_can_get_leaves_as_many_to_the_others() {
        let at = |text: &str| -> IpAddr { text.parse().unwrap() };
        let mut places = Places::default();
        let mut taken = |address: &str| {
            let mut count = 0;
            while places.take(at(address), 100) {
                count += 1;
            }
            count
        };
        assert_eq!(taken("2001:db8::1"), 50);
        assert_eq!(taken("2001:db8::2"), 0, "it is the same network");
        assert_eq!(taken("192.0.2.1"), 25);
        assert_eq!(taken("192.0.2.2"), 13);
        assert_eq!(places.all(), 88);
        for _ in 0..50 {
            places.leave(at("2001:db8::3"));
        }
        assert_eq!((places.of(at("2001:db8::1")), places.all()), (0, 38));
        assert!(places.take(at("192.0.2.1"), 100));
    }

    #[test]
    fn one_place_is_for_anybody() {
        assert!(has_room(0, 0, 1) && !has_room(1, 1, 1) && !has_room(0, 1, 1));
        assert!(!has_room(0, 0, 0) && !has_room(0, 9, 3));
    }
}
