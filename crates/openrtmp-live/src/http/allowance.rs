//! How much a viewer may say on a connection.
//!
//! Bodies of requests are not taken, so what comes is their heads, and what keeps HTTP/2 and
//! WebSockets going: windows, settings, pings and their answers. None of that needs much, and
//! each of it costs more here than there. Heads are allowed as they come; of everything else
//! so much per second, and so much for what viewers take.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Bytes that may be said at once.
const MOST: i64 = 256 << 10;
/// Bytes per second.
const RATE: i64 = 16 << 10;
/// One byte may be said for so many that are taken: HTTP/2 has 26 bytes of windows for a frame
/// of 16 KiB.
const TAKEN_FOR_ONE: i64 = 64;
/// What a request takes beside its fields: frames, and the words of HTTP/1.1.
const HEAD: i64 = 64;

/// What may be said on one connection.
#[derive(Debug)]
pub(super) struct Allowance(Mutex<State>);

#[derive(Debug)]
struct State {
    left: i64,
    /// Milliseconds of the connection up to which that is counted.
    until: i64,
    begun: Instant,
}

impl Allowance {
    pub(super) fn new() -> Allowance {
        Allowance(Mutex::new(State {
            left: MOST,
            until: 0,
            begun: Instant::now(),
        }))
    }

    /// So much was said. False: it is more than anybody has to say.
    pub(super) fn said(&self, bytes: usize) -> bool {
        self.change(|state| {
            let now = state.begun.elapsed().as_millis();
            state.said(bytes, i64::try_from(now).unwrap_or(i64::MAX))
        })
    }

    /// The head of a request was among it, with so many bytes of fields.
    pub(super) fn asked(&self, bytes: usize) {
        self.change(|state| state.allow(i64::try_from(bytes).unwrap_or(MOST) + HEAD));
    }

    /// So much was taken.
    pub(super) fn took(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.change(|state| state.allow(bytes / TAKEN_FOR_ONE));
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn said(&mut self, bytes: usize, now: i64) -> bool {
        let since = now.saturating_sub(self.until).max(0);
        self.until = self.until.max(now);
        self.allow(since.saturating_mul(RATE) / 1000);
        self.left = self
            .left
            .saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.left >= 0
    }

    fn allow(&mut self, bytes: i64) {
        self.left = self.left.saturating_add(bytes).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            left: MOST,
            until: 0,
            begun: Instant::now(),
        }
    }

    #[test]
    fn so_much_may_be_said_at_once_and_so_much_per_second() {
        let mut state = state();
        assert!(state.said(256 << 10, 0));
        assert!(!state.said(1, 0));
        let mut state = self::state();
        // Time that went by in silence is worth no more than the most.
        for second in 3600..3700 {
            let bytes = if second == 3600 { 256 << 10 } else { 16 << 10 };
            assert!(state.said(bytes, second * 1000), "{second}");
        }
        assert!(!state.said(1, 3_699_000));
    }

    #[test]
    fn heads_and_what_is_taken_allow_as_much_as_they_need() {
        let mut state = state();
        for _ in 0..100_000 {
            // 400 bytes of a head, as HTTP/1.1 has it, with as many of fields but for the words.
            assert!(state.said(400, 0));
            state.allow(380 + HEAD);
        }
        for _ in 0..100_000 {
            // A frame of data, and two of windows.
            state.allow((16 << 10) / TAKEN_FOR_ONE);
            assert!(state.said(26, 0));
        }
        // Many pings for one request are more than it allows.
        let mut pings = 0;
        while state.said(17, 0) {
            pings += 1;
            if pings % 100 == 0 {
                state.allow(40 + HEAD);
            }
        }
        assert!(pings < 20_000, "{pings}");
    }
}
