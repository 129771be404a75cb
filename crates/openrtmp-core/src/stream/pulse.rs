//! Whether a publisher is silent, as its own side says: the worker that reads from it, or
//! the host. Whoever wants the same name reads it without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openrtmp_protocol::Time;

/// Since when a publisher is silent.
#[derive(Debug)]
pub(crate) struct Pulse(AtomicU64);

/// It is not.
const SPEAKS: u64 = u64::MAX;

impl Pulse {
    /// Of one that speaks.
    pub(crate) fn new() -> Pulse {
        Pulse(AtomicU64::new(SPEAKS))
    }

    /// Nothing came since then, and what may have come was looked for.
    pub(crate) fn fall_silent(&self, since: Time) {
        self.0.store(since.as_micros(), Ordering::Relaxed);
    }

    pub(crate) fn speak(&self) {
        self.0.store(SPEAKS, Ordering::Relaxed);
    }

    /// How long it has been silent by now; `None` if it is not.
    pub(crate) fn silence(&self, now: Time) -> Option<Duration> {
        let since = self.0.load(Ordering::Relaxed);
        (since != SPEAKS).then(|| now.since(Time::from_micros(since)))
    }
}
