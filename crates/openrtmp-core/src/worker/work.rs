//! Work, and who may do how much of it before others have their turn.
//!
//! Bytes do not say what they cost: a few hundred may decode to thousands of values, or
//! go to hundreds of players. So work is counted, in the unit of
//! [`ServerSession::take_work`](openrtmp_protocol::session::ServerSession::take_work),
//! about a nanosecond, and made of counts, not of time: the same on every machine and in
//! every run.
//!
//! - A connection is served for a [`SLICE`] at a time; what it said beyond is kept for
//!   its next slice, and its socket not read meanwhile, so that TCP holds its peer back.
//! - A connection that takes more than its share of each second ([`Allowance`]) is not
//!   read until that is made up for.
//! - A worker does each kind of thing for a [`TURN`]: accepts, reads, carries out what its
//!   inbox holds, meets deadlines, writes. What is left has its turn in the next.
//! - When not all could be read, publishers come first, then players, then those that
//!   were granted nothing yet, and among equals those that took least of late. When not
//!   all could be written to, those who wait for little come first.

use std::time::Duration;

use openrtmp_protocol::Time;

/// Work of one connection before others have their turn.
pub(super) const SLICE: u64 = 500_000;

/// Work of one kind in one turn of a worker.
pub(super) const TURN: u64 = 2_000_000;

/// A connection let in, or closed.
pub(super) const CONNECTION: u64 = 10_000;

/// A connect, publish or play, or the end of one: the directory, a line, an event.
pub(super) const REQUEST: u64 = 3_000;

/// A command of the inbox, beside what it leads to.
pub(super) const COMMAND: u64 = 200;

/// A deadline looked at.
pub(super) const DEADLINE: u64 = 500;

/// A packet on its way through its stream.
pub(super) const INGEST: u64 = 600;

/// A packet put before one player.
pub(super) const DELIVERY: u64 = 250;

/// A call that writes to a socket.
pub(super) const WRITE: u64 = 5_000;

/// Bytes written that cost 1: the system copies them and makes segments of them.
pub(super) const WRITTEN_BYTES: usize = 4;

/// Messages of a connection beyond its rate before it is ended, in seconds at that rate:
/// what an encoder kept while its line was gone comes at once.
const BURST_SECONDS: u64 = 10;

/// In this time what was done long ago counts half.
const HALF_LIFE: Duration = Duration::from_millis(250);

/// The work of one connection, what is recent counting most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecentWork {
    units: u64,
    at: Time,
}

impl RecentWork {
    pub(super) fn add(&mut self, units: u64, now: Time) {
        self.units = self.of(now).saturating_add(units);
        self.at = now;
    }

    /// How much it is by now.
    pub(super) fn of(&self, now: Time) -> u64 {
        let halves = now.since(self.at).as_micros() / HALF_LIFE.as_micros();
        self.units.checked_shr(halves as u32).unwrap_or(0)
    }
}

/// So much a second, and what was taken ahead of that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowance {
    ahead: u64,
    at: Time,
}

impl Allowance {
    /// Takes some; returns how much has been taken ahead by now.
    fn take(&mut self, amount: u64, a_second: u64, now: Time) -> u64 {
        let micros = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let earned = micros.saturating_mul(a_second) / 1_000_000;
        if earned > 0 {
            self.ahead = self.ahead.saturating_sub(earned);
            self.at = now;
        }
        self.ahead = self.ahead.saturating_add(amount);
        self.ahead
    }

    /// Takes work of a connection that may take `share` of each second. Returns how long
    /// it has to wait if it is a second's worth ahead.
    pub(super) fn take_work(&mut self, units: u64, share: Duration, now: Time) -> Option<Duration> {
        let a_second = u64::try_from(share.as_nanos()).unwrap_or(u64::MAX);
        if a_second == 0 {
            return None;
        }
        let beyond = self.take(units, a_second, now).saturating_sub(a_second);
        (beyond > 0).then(|| {
            let micros = beyond.saturating_mul(1_000_000) / a_second;
            Duration::from_micros(micros).max(SHORTEST_PAUSE)
        })
    }

    /// Takes messages of a connection that may send `rate` a second. False if it lives
    /// beyond that.
    pub(super) fn take_messages(&mut self, count: u64, rate: u32, now: Time) -> bool {
        let rate = u64::from(rate);
        rate == 0 || self.take(count, rate, now) <= rate * BURST_SECONDS
    }
}

/// Who has to wait does so for a while: each pause costs a deadline.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn what_was_done_long_ago_counts_little() {
        let mut work = RecentWork::default();
        work.add(1000, at(1000));
        assert_eq!(work.of(at(1000)), 1000);
        assert_eq!(work.of(at(1500)), 250);
        work.add(750, at(1500));
        assert_eq!(work.of(at(1500)), 1000);
        assert_eq!(work.of(at(3_600_000)), 0);
    }

    #[test]
    fn who_is_a_seconds_worth_ahead_waits_until_that_is_made_up_for() {
        let share = Duration::from_millis(100);
        let mut work = Allowance::default();
        assert_eq!(work.take_work(100_000_000, share, at(0)), None);
        let pause = work.take_work(50_000_000, share, at(0));
        assert_eq!(pause, Some(Duration::from_millis(500)));
        assert_eq!(work.take_work(0, share, at(500)), None);
        assert_eq!(work.take_work(1, share, at(500)), Some(SHORTEST_PAUSE));
        assert_eq!(work.take_work(u64::MAX, Duration::ZERO, at(500)), None);
        // Little by little is as good as at once.
        let mut work = Allowance::default();
        for ms in 0..10_000 {
            assert_eq!(work.take_work(100_000, share, at(ms)), None);
        }
    }

    #[test]
    fn a_burst_of_messages_is_put_up_with_and_living_beyond_the_rate_is_not() {
        let mut messages = Allowance::default();
        assert!(messages.take_messages(10_000, 1000, at(0)));
        assert!(!messages.take_messages(1, 1000, at(0)));
        assert!(messages.take_messages(999, 1000, at(1000)));
        let mut messages = Allowance::default();
        let lasted = (0..).find(|&second| !messages.take_messages(2000, 1000, at(second * 1000)));
        assert_eq!(lasted, Some(9));
        assert!(messages.take_messages(u64::MAX, 0, at(0)));
    }
}
