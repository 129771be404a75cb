use std::sync::Mutex;
use std::time::Duration;

use openrtmp_protocol::Time;

use crate::sync::lock;

/// A bit rate over the last one to two seconds.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    window_start: Time,
    window_bytes: u64,
    last: u64,
}

impl Rate {
    const WINDOW: Duration = Duration::from_secs(1);

    /// Counts bytes; tells the bit rate of a window that just ended.
    #[inline]
    pub(crate) fn add(&mut self, bytes: usize, now: Time) -> Option<u64> {
        let elapsed = now
            .as_micros()
            .saturating_sub(self.window_start.as_micros());
        let ended = match elapsed < Self::WINDOW.as_micros() as u64 {
            true => None,
            false => Some(self.roll(now)),
        };
        self.window_bytes += bytes as u64;
        ended
    }

    /// Bit/s, zero once nothing came for two windows.
    pub(crate) fn bits_per_second(&self, now: Time) -> u64 {
        if now.since(self.window_start) > Self::WINDOW * 2 {
            0
        } else {
            self.last
        }
    }

    #[cold]
    fn roll(&mut self, now: Time) -> u64 {
        let elapsed = now.since(self.window_start);
        let rate = (self.window_bytes as f64 * 8.0 / elapsed.as_secs_f64()) as u64;
        (self.window_start, self.window_bytes, self.last) = (now, 0, rate);
        rate
    }
}

/// The sum of the bit rates of several workers: each tells its own as its windows end.
#[derive(Debug)]
pub(crate) struct SharedRate(Mutex<Vec<(Time, u64)>>);

impl SharedRate {
    pub(crate) fn new(workers: usize) -> SharedRate {
        SharedRate(Mutex::new(vec![(Time::ZERO, 0); workers]))
    }

    /// Notes the bit rate of a worker's window that ends now; returns that of all whose
    /// last window is not over for long.
    pub(crate) fn note(&self, worker: usize, rate: u64, now: Time) -> u64 {
        let mut rates = lock(&self.0);
        rates[worker] = (now, rate);
        let recent = rates
            .iter()
            .filter(|(at, _)| now.since(*at) <= Rate::WINDOW * 2);
        recent.map(|(_, rate)| rate).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_window_and_fades() {
        let at = |ms: u64| Time::from_micros(ms * 1000);
        let mut rate = Rate::default();
        for ms in (0..3000).step_by(100) {
            rate.add(12_500, at(10_000 + ms));
        }
        assert_eq!(rate.bits_per_second(at(13_000)), 1_000_000);
        assert_eq!(rate.bits_per_second(at(20_000)), 0);
    }

    #[test]
    fn a_shared_rate_is_the_sum_of_what_is_recent() {
        let at = |ms: u64| Time::from_micros(ms * 1000);
        let rate = SharedRate::new(3);
        assert_eq!(rate.note(0, 5, at(10_000)), 5);
        assert_eq!(rate.note(1, 7, at(11_000)), 12);
        assert_eq!(rate.note(1, 8, at(12_000)), 13, "in place of its last");
        assert_eq!(rate.note(2, 1, at(12_001)), 9, "the first is idle");
    }
}
