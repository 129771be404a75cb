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
//! - A worker reads for a [`TURN`], then does everything else that a turn does, writing
//!   above all, and comes back.
//! - When not all could be read, those come first that publish or play over those that
//!   were granted nothing yet, and among them those that took least of late.

use std::time::Duration;

use openrtmp_protocol::Time;

/// Work of one connection before others have their turn.
pub(super) const SLICE: u64 = 500_000;

/// Work of reading in one turn of a worker.
pub(super) const TURN: u64 = 2_000_000;

/// A packet on its way through its stream.
pub(super) const INGEST: u64 = 600;

/// A packet put before one player.
pub(super) const DELIVERY: u64 = 250;

/// A packet that a joiner gets at once, found.
pub(super) const SNAPSHOT_PACKET: u64 = 10;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_long_ago_counts_little() {
        let at = |ms: u64| Time::from_micros(ms * 1000);
        let mut work = RecentWork::default();
        work.add(1000, at(1000));
        assert_eq!(work.of(at(1000)), 1000);
        assert_eq!(work.of(at(1500)), 250);
        work.add(750, at(1500));
        assert_eq!(work.of(at(1500)), 1000);
        assert_eq!(work.of(at(3_600_000)), 0);
    }
}
