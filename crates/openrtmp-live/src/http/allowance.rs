//! How much a viewer may say on a connection.
//!
//! Bodies of requests are not taken, so what comes is their heads, and what keeps HTTP/2 and
//! WebSockets going: windows, settings, pings and their answers. None of that needs much, and
//! each of it costs more here than there. Heads are allowed as far as requests come of them; of
//! everything else so much per second, and so much for what viewers take.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use http::Request;

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
    /// Bytes of heads that were said, and of which no request came yet. A head may be said in
    /// fewer bytes than it has (RFC 7541): the others are not to be had for something else.
    heads: i64,
    /// Milliseconds of the connection up to which that is counted.
    until: i64,
    begun: Instant,
}

impl Allowance {
    pub(super) fn new() -> Allowance {
        Allowance(Mutex::new(State {
            left: MOST,
            heads: 0,
            until: 0,
            begun: Instant::now(),
        }))
    }

    /// So much was said, of which so much in heads.
    pub(super) fn said(&self, bytes: usize, heads: usize) {
        self.change(|state| state.said(bytes, heads));
    }

    /// Whether more may be said now.
    pub(super) fn has_left(&self) -> bool {
        self.change(|state| {
            let now = state.begun.elapsed().as_millis();
            state.has_left(i64::try_from(now).unwrap_or(i64::MAX))
        })
    }

    /// Bytes of heads that were said, and of which no request came yet.
    pub(super) fn heads(&self) -> i64 {
        self.change(|state| state.heads)
    }

    /// A request was among it.
    pub(super) fn asked<B>(&self, request: &Request<B>) {
        self.change(|state| state.asked(size_of_head(request)));
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
    fn said(&mut self, bytes: usize, heads: usize) {
        let count = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.left = self.left.saturating_sub(count(bytes));
        self.heads = self.heads.saturating_add(count(heads));
    }

    fn has_left(&mut self, now: i64) -> bool {
        let since = now.saturating_sub(self.until).max(0);
        self.until = self.until.max(now);
        self.allow(since.saturating_mul(RATE) / 1000);
        self.left >= 0
    }

    fn asked(&mut self, fields: usize) {
        let head = i64::try_from(fields).unwrap_or(MOST).saturating_add(HEAD);
        let head = head.min(self.heads);
        self.heads -= head;
        self.allow(head);
    }

    fn allow(&mut self, bytes: i64) {
        self.left = self.left.saturating_add(bytes).min(MOST);
    }
}

/// Bytes of a request's head, as HTTP/1.1 has it.
fn size_of_head<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |it| it.as_str().len());
    let host = uri.authority().map_or(0, |it| it.as_str().len());
    let fields = request.headers().iter();
    // With a colon, a space, and the end of the line.
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + 4);
    target + host + fields.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            left: MOST,
            heads: 0,
            until: 0,
            begun: Instant::now(),
        }
    }

    /// Something that is no head is said, and whether more may be.
    fn say(state: &mut State, bytes: usize, now: i64) -> bool {
        state.said(bytes, 0);
        state.has_left(now)
    }

    #[test]
    fn so_much_may_be_said_at_once_and_so_much_per_second() {
        let mut state = state();
        assert!(say(&mut state, 256 << 10, 0));
        assert!(!say(&mut state, 1, 0));
        let mut state = self::state();
        assert!(state.has_left(3_600_000));
        // Time that went by in silence is worth no more than the most.
        assert!(say(&mut state, 256 << 10, 3_600_000));
        for second in 3601..3700 {
            assert!(state.has_left(second * 1000));
            assert!(say(&mut state, 16 << 10, second * 1000), "{second}");
        }
        assert!(!say(&mut state, 1, 3_699_000));
    }

    #[test]
    fn heads_and_what_is_taken_allow_as_much_as_they_need() {
        let mut state = state();
        for _ in 0..100_000 {
            // 400 bytes of a head, as HTTP/1.1 has it, with as many of fields but for the words.
            state.said(400, 400);
            state.asked(380);
            assert!(state.has_left(0));
        }
        assert_eq!(state.left, MOST);
        for _ in 0..100_000 {
            // A frame of data, and two of windows.
            state.allow((16 << 10) / TAKEN_FOR_ONE);
            assert!(say(&mut state, 26, 0));
        }
        // Many pings for one request are more than it allows.
        let mut pings = 0;
        while say(&mut state, 17, 0) {
            pings += 1;
            if pings % 100 == 0 {
                state.said(50, 50);
                state.asked(40);
            }
        }
        assert!(pings < 20_000, "{pings}");
    }

    #[test]
    fn heads_that_come_together_are_allowed_one_by_one_and_no_more_than_was_said() {
        let mut state = state();
        state.said(256 * 6000, 256 * 6000);
        assert!(!state.has_left(0));
        for _ in 0..256 {
            state.asked(5980);
        }
        assert!(state.has_left(0));
        assert!(state.left > MOST / 2);
        // Of 30 bytes, and 6,000 when it is read.
        let left = state.left;
        for _ in 0..100 {
            state.said(30, 30);
            state.asked(6000);
        }
        assert_eq!(state.left, left);
    }
}
