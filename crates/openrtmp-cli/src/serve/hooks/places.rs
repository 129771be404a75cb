//! Who has the places that there are for programs (`hooks.processes`), and who waits for one.

use std::collections::VecDeque;
use std::net::IpAddr;

use openrtmp_core::{StreamName, counted_as};

use super::super::lives::Notice;

/// Programs that wait for a place. Beyond them one is lost.
pub(super) const WAITING: usize = 1024;

/// For whom a program runs: an address (of IPv6: a /64), or, if nobody from elsewhere is
/// known for it, a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Holder {
    Network(IpAddr),
    Stream(StreamName),
}

impl Holder {
    pub(super) fn of(about: &Notice) -> Holder {
        match about.address {
            Some(address) => Holder::Network(counted_as(address.ip())),
            None => Holder::Stream(about.name.clone()),
        }
    }
}

/// Whether one who has some of all places may have one more. Nobody has more than are free:
/// whoever takes all that he can get leaves as many to the others, half of them if he is the
/// only one.
pub(super) fn is_share(all: usize, holders: impl Iterator<Item = bool>) -> bool {
    let (mut taken, mut own) = (0, 0);
    for is_own in holders {
        taken += 1;
        own += usize::from(is_own);
    }
    own < all.saturating_sub(taken)
}

/// Programs that are to run once, as soon as there is a place.
#[derive(Default)]
pub(super) struct Waiting(VecDeque<Wait>);

pub(super) struct Wait {
    /// The setting.
    pub(super) hook: &'static str,
    pub(super) about: Notice,
    holder: Holder,
}

impl Waiting {
    /// False if too many wait, or too many of the same.
    pub(super) fn add(&mut self, hook: &'static str, about: &Notice) -> bool {
        let holder = Holder::of(about);
        let own = self.0.iter().map(|other| other.holder == holder);
        let fits = is_share(WAITING, own);
        if fits {
            let about = about.clone();
            self.0.push_back(Wait {
                hook,
                about,
                holder,
            });
        }
        fits
    }

    /// The first that may run now.
    pub(super) fn next(&mut self, may_run: impl Fn(&Holder) -> bool) -> Option<Wait> {
        let at = self.0.iter().position(|wait| may_run(&wait.holder))?;
        self.0.remove(at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nobody waits any longer: how many there were.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.0).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many each gets who takes all that he can get, one after the other.
    fn shares(all: usize, greedy: usize) -> Vec<usize> {
        let mut shares = vec![0; greedy];
        for one in 0..greedy {
            let holders = |shares: &[usize]| -> Vec<bool> {
                let held = shares.iter().enumerate();
                held.flat_map(|(who, held)| std::iter::repeat_n(who == one, *held))
                    .collect()
            };
            while is_share(all, holders(&shares).into_iter()) {
                shares[one] += 1;
            }
        }
        shares
    }

    #[test]
    fn who_takes_all_leaves_something_to_others() {
        assert_eq!(shares(64, 1), [32]);
        assert_eq!(shares(64, 3), [32, 16, 8]);
        assert_eq!(shares(1, 2), [1, 0]);
        assert_eq!(shares(0, 1), [0]);
    }
}
