//! Which address to try when: RFC 8305 ("Happy Eyeballs") sections 4 and 5, as a
//! state machine without sockets or clock.
//!
//! ```text
//! new -> poll -> Start(address) -> on_failed, or on_connected: the race is over
//!             -> Wait(until)    -> poll again then, or after an outcome
//!             -> Failed         -> into_failures
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use openrtmp_protocol::Time;

use super::ConnectFailures;

/// How long an attempt has the field to itself: RFC 8305 section 8, Connection
/// Attempt Delay.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Least delay: a shorter one floods the network with attempts nobody needs.
const MIN_ATTEMPT_DELAY: Duration = Duration::from_millis(100);
/// Most delay: beyond it the second address helps nobody who waits.
const MAX_ATTEMPT_DELAY: Duration = Duration::from_secs(2);

/// Addresses of the family that comes first, before one of the other is tried: RFC
/// 8305 section 8, First Address Family Count.
const FIRST_FAMILY_COUNT: usize = 1;

/// Attempts that may be under way at a time: a name with a hundred addresses that
/// do not answer must not cost a hundred sockets.
pub(crate) const MAX_ATTEMPTS: usize = 8;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Begin to connect; tell how it ends.
    Start(SocketAddr),
    /// Wait for the attempts under way, until this time if there is one.
    Wait(Option<Time>),
    /// No address is left.
    Failed,
}

/// A race between the addresses of one host.
#[derive(Debug)]
pub(crate) struct Race {
    waiting: VecDeque<SocketAddr>,
    under_way: Vec<SocketAddr>,
    failures: ConnectFailures,
    delay: Duration,
    /// When the next may start although others are under way.
    next_start: Time,
    won: bool,
}

impl Race {
    /// Addresses in the resolver's order, which is that of RFC 6724; duplicates are
    /// tried once.
    pub(crate) fn new(addresses: Vec<SocketAddr>, now: Time) -> Race {
        Race::with_delay(addresses, now, ATTEMPT_DELAY)
    }

    /// A delay of the caller's between two attempts, from 100 ms to 2 s.
    fn with_delay(addresses: Vec<SocketAddr>, now: Time, delay: Duration) -> Race {
        Race {
            waiting: interleave(addresses, FIRST_FAMILY_COUNT),
            under_way: Vec::new(),
            failures: ConnectFailures::default(),
            delay: delay.clamp(MIN_ATTEMPT_DELAY, MAX_ATTEMPT_DELAY),
            next_start: now,
            won: false,
        }
    }

    pub(crate) fn poll(&mut self, now: Time) -> Step {
        if self.won {
            return Step::Wait(None);
        }
        let idle = self.under_way.is_empty();
        if self.under_way.len() >= MAX_ATTEMPTS {
            return Step::Wait(None);
        }
        if !idle && now < self.next_start && !self.waiting.is_empty() {
            return Step::Wait(Some(self.next_start));
        }
        match self.waiting.pop_front() {
            Some(address) => {
                self.next_start = now + self.delay;
                self.under_way.push(address);
                Step::Start(address)
            }
            None if idle => Step::Failed,
            None => Step::Wait(None),
        }
    }

    /// An attempt failed, so the next need not wait.
    pub(crate) fn on_failed(&mut self, address: SocketAddr, error: io::Error) {
        if self.finish(address) {
            self.failures.push(address, error);
            self.next_start = Time::ZERO;
        }
    }

    /// An attempt succeeded; those that are still under way are to be given up.
    pub(crate) fn on_connected(&mut self, address: SocketAddr) {
        self.won |= self.finish(address);
    }

    /// What went wrong, in the order in which it did.
    pub(crate) fn into_failures(self) -> ConnectFailures {
        self.failures
    }

    fn finish(&mut self, address: SocketAddr) -> bool {
        let before = self.under_way.len();
        self.under_way.retain(|&other| other != address);
        self.under_way.len() < before
    }
}

/// RFC 8305 section 4: `first` addresses of the family that the first one has, then
/// one of each family in turn, the order within a family kept.
fn interleave(addresses: Vec<SocketAddr>, first: usize) -> VecDeque<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let leading = unique.first().is_some_and(SocketAddr::is_ipv6);
    let (mut lead, mut other): (VecDeque<_>, VecDeque<_>) = unique
        .into_iter()
        .partition(|address| address.is_ipv6() == leading);
    let mut order: VecDeque<SocketAddr> = lead.drain(..first.min(lead.len())).collect();
    while !lead.is_empty() || !other.is_empty() {
        order.extend(other.pop_front());
        order.extend(lead.pop_front());
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::ErrorKind;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::platform::sim::Random;

    fn v4(n: u16) -> SocketAddr {
        (IpAddr::from(Ipv4Addr::new(192, 0, 2, n as u8)), 1935).into()
    }

    fn v6(n: u16) -> SocketAddr {
        let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n);
        (IpAddr::from(ip), 1935).into()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn families_take_turns() {
        let order = |list: &[SocketAddr], first| Vec::from(interleave(list.to_vec(), first));
        let mixed = [v6(1), v6(2), v6(3), v4(1), v4(2)];
        assert_eq!(order(&mixed, 1), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
        assert_eq!(order(&mixed, 2), [v6(1), v6(2), v4(1), v6(3), v4(2)]);
        assert_eq!(order(&[v4(1), v6(1), v6(2)], 1), [v4(1), v6(1), v6(2)]);
        assert_eq!(order(&[v4(3), v4(1), v4(3)], 1), [v4(3), v4(1)]);
        assert_eq!(order(&[v4(1)], 5), [v4(1)]);
        assert_eq!(order(&[], 1), []);
    }

    #[test]
    fn the_next_starts_after_the_delay_or_a_failure() {
        let mut race = Race::new(vec![v6(1), v4(1), v6(2)], Time::ZERO);
        assert_eq!(race.poll(Time::ZERO), Step::Start(v6(1)));
        let next = Time::ZERO + ms(250);
        assert_eq!(race.poll(Time::ZERO), Step::Wait(Some(next)));
        assert_eq!(race.poll(next), Step::Start(v4(1)));
        let later = next + ms(20);
        assert_eq!(race.poll(later), Step::Wait(Some(next + ms(250))));
        race.on_failed(v4(1), ErrorKind::ConnectionRefused.into());
        assert_eq!(race.poll(later), Step::Start(v6(2)));
        assert_eq!(race.poll(later), Step::Wait(None));
        race.on_failed(v6(2), ErrorKind::TimedOut.into());
        assert_eq!(race.poll(later), Step::Wait(None));
        race.on_failed(v6(1), ErrorKind::HostUnreachable.into());
        assert_eq!(race.poll(later), Step::Failed);
        let failures = race.into_failures();
        let kinds: Vec<_> = failures
            .attempts()
            .iter()
            .map(|(a, e)| (*a, e.kind()))
            .collect();
        let expected = [
            (v4(1), ErrorKind::ConnectionRefused),
            (v6(2), ErrorKind::TimedOut),
            (v6(1), ErrorKind::HostUnreachable),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_delay_stays_within_its_bounds() {
        for (asked, kept) in [(0, 100), (100, 100), (700, 700), (2000, 2000), (9999, 2000)] {
            let mut race = Race::with_delay(vec![v4(1), v4(2)], Time::ZERO, ms(asked));
            race.poll(Time::ZERO);
            let next = Time::ZERO + ms(kept);
            assert_eq!(race.poll(Time::ZERO), Step::Wait(Some(next)));
        }
    }

    #[test]
    fn a_race_without_addresses_has_failed() {
        let mut race = Race::new(Vec::new(), Time::ZERO);
        assert_eq!(race.poll(Time::ZERO), Step::Failed);
        assert_eq!(race.into_failures().to_string(), "there is no address");
    }

    #[test]
    fn a_race_that_is_won_starts_nobody() {
        let mut race = Race::new(vec![v4(1), v4(2)], Time::ZERO);
        race.poll(Time::ZERO);
        // Not one of those under way: it counts for nothing.
        race.on_connected(v4(2));
        race.on_failed(v4(2), ErrorKind::TimedOut.into());
        assert_eq!(
            race.poll(Time::ZERO),
            Step::Wait(Some(Time::ZERO + ms(250)))
        );
        race.on_connected(v4(1));
        assert_eq!(race.poll(Time::ZERO + ms(9000)), Step::Wait(None));
        assert_eq!(race.into_failures().attempts().len(), 0);
    }

    /// What becomes of an address, and after how long.
    #[derive(Clone, Copy)]
    enum Fate {
        Connects(Duration),
        Fails(Duration),
        Never,
    }

    fn fate(random: &mut Random) -> Fate {
        let span = random.span(Duration::from_secs(3));
        match random.up_to(10) {
            1..=2 => Fate::Connects(span),
            3..=8 => Fate::Fails(span),
            _ => Fate::Never,
        }
    }

    #[test]
    fn every_race_keeps_the_rules() {
        let mut won = 0;
        let mut lost = 0;
        let mut crowded = 0;
        for seed in 0..3000 {
            let mut random = Random::new(seed);
            let count = random.up_to(30) - 1;
            let any = |random: &mut Random| match random.chance(0.5) {
                true => v4(random.up_to(12) as u16),
                false => v6(random.up_to(12) as u16),
            };
            let addresses: Vec<SocketAddr> = (0..count).map(|_| any(&mut random)).collect();
            let fates: BTreeMap<SocketAddr, Fate> =
                addresses.iter().map(|&a| (a, fate(&mut random))).collect();
            let order = Vec::from(interleave(addresses.clone(), FIRST_FAMILY_COUNT));
            let mut race = Race::new(addresses, Time::ZERO);

            let mut now = Time::ZERO;
            let mut started: Vec<SocketAddr> = Vec::new();
            let mut under_way: BTreeMap<SocketAddr, Option<(Time, bool)>> = BTreeMap::new();
            let mut failed = 0;
            let mut free_at = Time::ZERO;
            let connected = loop {
                let until = match race.poll(now) {
                    Step::Start(address) => {
                        assert!(
                            now >= free_at || under_way.is_empty(),
                            "seed {seed}: too early"
                        );
                        free_at = now + ATTEMPT_DELAY;
                        started.push(address);
                        let end = match fates[&address] {
                            Fate::Connects(span) => Some((now + span, true)),
                            Fate::Fails(span) => Some((now + span, false)),
                            Fate::Never => None,
                        };
                        under_way.insert(address, end);
                        assert!(under_way.len() <= MAX_ATTEMPTS, "seed {seed}: too many");
                        continue;
                    }
                    Step::Wait(until) => until,
                    Step::Failed => break None,
                };
                assert!(
                    until.is_none_or(|until| until > now),
                    "seed {seed}: it spins"
                );
                crowded += usize::from(under_way.len() == MAX_ATTEMPTS);
                let ends = under_way.iter();
                let ends = ends.filter_map(|(&a, end)| end.map(|(at, good)| (at, a, good)));
                let next = ends.min();
                match (next, until) {
                    (Some((at, address, good)), until) if until.is_none_or(|u| at <= u) => {
                        now = now.max(at);
                        under_way.remove(&address);
                        if good {
                            race.on_connected(address);
                            assert_eq!(race.poll(now), Step::Wait(None));
                            break Some(address);
                        }
                        failed += 1;
                        free_at = now;
                        race.on_failed(address, ErrorKind::ConnectionRefused.into());
                    }
                    (_, Some(until)) => now = until,
                    // Nobody of those under way ever answers: the caller's deadline.
                    (_, None) => break None,
                }
            };
            assert_eq!(started, order[..started.len()], "seed {seed}: order");
            assert_eq!(race.into_failures().attempts().len(), failed, "seed {seed}");
            match connected {
                Some(_) => won += 1,
                None => {
                    // Only a full field of silent addresses keeps others out.
                    let full = under_way.len() == MAX_ATTEMPTS;
                    assert!(
                        full || started.len() == order.len(),
                        "seed {seed}: left out"
                    );
                    assert_eq!(failed + under_way.len(), started.len(), "seed {seed}");
                    lost += 1;
                }
            }
        }
        assert!(
            won > 500 && lost > 500 && crowded > 50,
            "{won} {lost} {crowded}"
        );
    }
}
