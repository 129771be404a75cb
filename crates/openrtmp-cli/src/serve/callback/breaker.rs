//! A server that does not answer is left alone for a while.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use openrtmp_core::counted_as;

/// Failures in a row, then it is left alone.
const FAILURES: usize = 5;

/// For so long; then one question tries whether it is back.
const PAUSE: Duration = Duration::from_secs(10);

/// Why a question is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It cannot be reached, whatever it is asked; or takes time for what nobody waits for.
    Unreached,
    /// It was asked for somebody at this address, and said that it cannot answer, or nothing in
    /// time, or no HTTP. It may be about what was asked: one name that it stumbles over must
    /// not keep others from being asked about, however often somebody comes with it.
    Stumbled(Option<IpAddr>),
}

/// A circuit breaker.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Times that it was not reached since the last answer.
    unreached: usize,
    /// Whom it could not answer about since then: IPv4 addresses, and /64 of IPv6.
    stumbled: HashSet<Option<IpAddr>>,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether to ask. Once the pause is over, the first who comes does, and others only
    /// after a pause more.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        match self.open_until {
            Some(until) if now < until => false,
            Some(_) => {
                self.open_until = Some(now + PAUSE);
                true
            }
            None => true,
        }
    }

    /// Whether it is left alone, but for who tries whether it is back.
    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// True if it was left alone so far.
    pub(super) fn succeeded(&mut self) -> bool {
        self.unreached = 0;
        self.stumbled.clear();
        self.open_until.take().is_some()
    }

    /// True if it is left alone from now on.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure) -> bool {
        match failure {
            Failure::Unreached => self.unreached += 1,
            Failure::Stumbled(address) if self.stumbled.len() < FAILURES => {
                self.stumbled.insert(address.map(counted_as));
            }
            Failure::Stumbled(_) => {}
        }
        if self.unreached + self.stumbled.len() < FAILURES {
            return false;
        }
        self.open_until.replace(now + PAUSE).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_a_success() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        let fails = |breaker: &mut Breaker, now| breaker.failed(now, Failure::Unreached);
        for _ in 0..FAILURES - 1 {
            assert!(breaker.admits(now) && !fails(&mut breaker, now));
        }
        assert!(!breaker.succeeded(), "not in a row");
        for _ in 0..FAILURES - 1 {
            assert!(breaker.admits(now) && !fails(&mut breaker, now));
        }
        assert!(!breaker.is_open());
        assert!(fails(&mut breaker, now), "told once");
        assert!(breaker.is_open());
        assert!(!fails(&mut breaker, now));
        assert!(!breaker.admits(now));
        let later = now + PAUSE;
        assert!(breaker.admits(later), "one tries");
        assert!(!breaker.admits(later), "and no other");
        assert!(!fails(&mut breaker, later));
        assert!(breaker.admits(later + PAUSE));
        assert!(breaker.succeeded());
        assert!(breaker.admits(later + PAUSE) && breaker.admits(later + PAUSE));
    }

    #[test]
    fn one_who_makes_it_stumble_does_not_open_it_and_many_do() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        let from = |text: &str| Failure::Stumbled(Some(text.parse().expect("an address")));
        for _ in 0..100 {
            assert!(!breaker.failed(now, from("192.0.2.1")));
            assert!(!breaker.failed(now, from("::ffff:192.0.2.1")));
            assert!(!breaker.failed(now, from("2001:db8::1")));
            assert!(!breaker.failed(now, from("2001:db8::2")));
            assert!(!breaker.failed(now, Failure::Stumbled(None)));
        }
        assert!(breaker.admits(now));
        assert!(!breaker.failed(now, from("192.0.2.2")));
        assert!(breaker.failed(now, from("192.0.2.3")));
        assert!(!breaker.admits(now));
    }
}
