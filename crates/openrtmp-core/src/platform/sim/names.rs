//! Host names: what is in the simulated DNS, and how its answers come.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::world::{Event, World};
use crate::platform::Answer;

/// A resolver's usual delay.
const DELAY: Duration = Duration::from_millis(5);

type Found = io::Result<Vec<SocketAddr>>;

#[derive(Default)]
pub(super) struct Names {
    addresses: BTreeMap<String, Vec<IpAddr>>,
    under_way: BTreeMap<u64, (Found, Answer)>,
    /// Answers whose time has come. They are foreign code, which the driver of the
    /// scenario runs, without the lock.
    due: VecDeque<(Found, Answer)>,
    asked: u64,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Names");
        f.field("addresses", &self.addresses);
        f.field("under_way", &self.under_way.len());
        f.finish_non_exhaustive()
    }
}

impl Names {
    pub(super) fn set(&mut self, host: &str, addresses: Vec<IpAddr>) {
        self.addresses.insert(host.to_owned(), addresses);
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.len() + self.due.len()
    }

    pub(super) fn any_due(&self) -> bool {
        !self.due.is_empty()
    }

    pub(super) fn take_due(&mut self) -> Option<(Found, Answer)> {
        self.due.pop_front()
    }
}

impl World {
    /// Begins to look up a host that is not an address.
    pub(super) fn look_up(&mut self, host: &str, port: u16, answer: Answer) {
        let found = self.find(host, port);
        self.names.asked += 1;
        let lookup = self.names.asked;
        self.names.under_way.insert(lookup, (found, answer));
        self.note("look up", [lookup, 0]);
        let hangs = self.config.faults.lookup_hangs;
        if self.random.chance(hangs) {
            return;
        }
        let delay = self.strikes(|faults| faults.slow_lookups);
        let due = self.now + delay.unwrap_or_default() + DELAY;
        self.schedule(due, Event::Answer { lookup });
    }

    pub(super) fn answer(&mut self, lookup: u64) {
        self.note("answer", [lookup, 0]);
        if let Some(answer) = self.names.under_way.remove(&lookup) {
            self.names.due.push_back(answer);
        }
    }

    fn find(&mut self, host: &str, port: u16) -> Found {
        let failures = self.config.faults.lookup_failures;
        if self.random.chance(failures) {
            return Err(io::Error::other("temporary failure in name resolution"));
        }
        let mut addresses = match self.names.addresses.get(host) {
            Some(addresses) if !addresses.is_empty() => addresses.clone(),
            _ => return Err(io::Error::new(ErrorKind::NotFound, "no such host")),
        };
        let changes = self.config.faults.lookup_changes;
        if self.random.chance(changes) {
            let turn = self.random.up_to(addresses.len()) - 1;
            addresses.rotate_left(turn);
            let kept = self.random.up_to(addresses.len());
            addresses.truncate(kept);
        }
        let addresses = addresses.into_iter();
        Ok(addresses.map(|ip| SocketAddr::new(ip, port)).collect())
    }
}
