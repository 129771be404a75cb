//! Log lines that peers cause: at most so many a second of each kind, so that
//! nobody can fill a disk, or make a slow sink slow the server, by misbehaving.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use openrtmp_protocol::Time;

use crate::limit::Limit;
use crate::sync::lock;

/// What `limits.log_lines` counts by.
const WINDOW: Duration = Duration::from_secs(1);

/// No line is held back.
const NEVER: u64 = u64::MAX;

/// Kinds of lines, each with a count of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A connection was accepted or is over.
    Connection,
    /// A connection was closed for what its peer did.
    Violation,
    /// A connect was granted.
    Connected,
    /// A publish or play was granted.
    Granted,
    /// A connect, publish or play was refused.
    Refused,
    /// An address was blocked. Its event is held back with its line.
    Blocked,
    /// Something odd that is put up with.
    Tolerated,
    /// A stream was published or unpublished.
    Stream,
    /// A relayed stream could not be.
    Relay,
    /// Timestamps jump.
    Timestamps,
    /// A picture stops while sound goes on. Its events are held back with its lines.
    Picture,
    /// A player is too slow.
    TooSlow,
    /// A limit was reached. Its events are held back with its lines.
    Limit(Limit),
    /// Frames are refused, or dropped from a cache, for want of memory. The limit that is
    /// reached then has a line of its own.
    Shortage,
    /// Accepting or serving a connection failed.
    Accept,
    /// A recording was begun or ended.
    Recording,
    /// A stream is delivered over HTTP not at all, or not as it should be.
    Delivery,
    /// A viewer was refused or cut off for what it did.
    Viewer,
    /// Waiting for sockets failed.
    Poll,
    /// A panic was caught.
    Panic,
}

/// All but those of limits.
const CAUSES: [(Cause, &str); 19] = [
    (Cause::Connection, "connections opened and closed"),
    (Cause::Violation, "connections closed for what peers did"),
    (Cause::Connected, "connects granted"),
    (Cause::Granted, "requests granted"),
    (Cause::Refused, "requests refused"),
    (Cause::Blocked, "addresses blocked"),
    (Cause::Tolerated, "oddities tolerated"),
    (Cause::Stream, "streams published and unpublished"),
    (Cause::Relay, "relays that failed"),
    (Cause::Timestamps, "timestamps that jump"),
    (Cause::Picture, "pictures that stop and go on"),
    (Cause::TooSlow, "players too slow"),
    (Cause::Shortage, "frames given up for want of memory"),
    (Cause::Accept, "connections that could not be served"),
    (Cause::Recording, "recordings"),
    (Cause::Delivery, "streams over HTTP"),
    (Cause::Viewer, "viewers refused or cut off"),
    (Cause::Poll, "failures to wait for sockets"),
    (Cause::Panic, "panics"),
];

/// As many as there are causes.
const WINDOWS: usize = CAUSES.len() + Limit::ALL.len();

impl Cause {
    /// Its place among the windows.
    fn index(self) -> usize {
        let is_it = |(cause, _): &(Cause, &str)| *cause == self;
        match self {
            Cause::Limit(limit) => CAUSES.len() + limit as usize,
            _ => CAUSES.iter().position(is_it).unwrap_or(0),
        }
    }

    fn all() -> impl Iterator<Item = Cause> {
        let plain = CAUSES.iter().map(|(cause, _)| *cause);
        plain.chain(Limit::ALL.iter().map(|limit| Cause::Limit(*limit)))
    }
}

/// The counts of a server.
pub(crate) struct LogLimit {
    lines_per_second: AtomicU32,
    windows: Mutex<[Window; WINDOWS]>,
    /// When to tell how many lines were held back, in microseconds.
    due: AtomicU64,
    /// Lines held back so far.
    suppressed: AtomicU64,
}

/// A second of one kind.
#[derive(Clone, Copy)]
struct Window {
    begun: Time,
    lines: u32,
    suppressed: u64,
}

impl Window {
    fn is_over(&self, now: Time) -> bool {
        now.since(self.begun) >= WINDOW
    }
}

impl LogLimit {
    /// Zero lines a second is no limit.
    pub(crate) fn new(lines_per_second: u32) -> LogLimit {
        let window = Window {
            begun: Time::ZERO,
            lines: 0,
            suppressed: 0,
        };
        LogLimit {
            lines_per_second: AtomicU32::new(lines_per_second),
            windows: Mutex::new([window; WINDOWS]),
            due: AtomicU64::new(NEVER),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Another limit, from now on.
    pub(crate) fn set(&self, lines_per_second: u32) {
        self.lines_per_second
            .store(lines_per_second, Ordering::Relaxed);
    }

    /// Lines held back since the start.
    pub(crate) fn suppressed(&self) -> u64 {
        self.suppressed.load(Ordering::Relaxed)
    }

    /// Whether a line may be written now. To be asked only if its level is on.
    pub(crate) fn admits(&self, cause: Cause, now: Time) -> bool {
        let allowed = self.lines_per_second.load(Ordering::Relaxed);
        if allowed == 0 {
            return true;
        }
        let mut windows = self.lock();
        let window = &mut windows[cause.index()];
        let mut held_back = 0;
        if window.is_over(now) {
            held_back = window.suppressed;
            *window = Window {
                begun: now,
                lines: 0,
                suppressed: 0,
            };
        }
        let admitted = window.lines < allowed;
        if admitted {
            window.lines += 1;
        } else {
            window.suppressed += 1;
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            let end = window.begun + WINDOW;
            self.due.fetch_min(end.as_micros(), Ordering::Relaxed);
        }
        drop(windows);
        report(cause, held_back);
        admitted
    }

    /// When [`LogLimit::flush`] is to be called, told to one caller only.
    pub(crate) fn alarm(&self) -> Option<Time> {
        if self.due.load(Ordering::Relaxed) == NEVER {
            return None;
        }
        let due = self.due.swap(NEVER, Ordering::Relaxed);
        (due != NEVER).then(|| Time::from_micros(due))
    }

    /// Tells how many lines were held back in the seconds that are over.
    pub(crate) fn flush(&self, now: Time) {
        self.report_where(|window| window.is_over(now));
        let windows = self.lock();
        let waiting = windows.iter().filter(|window| window.suppressed > 0);
        if let Some(end) = waiting.map(|window| window.begun + WINDOW).min() {
            self.due.fetch_min(end.as_micros(), Ordering::Relaxed);
        }
    }

    /// Tells it of the seconds that go on too: there will be no later.
    pub(crate) fn finish(&self) {
        self.report_where(|_| true);
    }

    fn report_where(&self, fits: impl Fn(&Window) -> bool) {
        for cause in Cause::all() {
            let mut windows = self.lock();
            let window = &mut windows[cause.index()];
            let held_back = match fits(window) {
                true => std::mem::take(&mut window.suppressed),
                false => 0,
            };
            drop(windows);
            report(cause, held_back);
        }
    }

    fn lock(&self) -> MutexGuard<'_, [Window; WINDOWS]> {
        lock(&self.windows)
    }
}

fn report(cause: Cause, held_back: u64) {
    if held_back == 0 {
        return;
    }
    match cause {
        Cause::Limit(limit) => {
            log::warn!(lines = held_back; "{held_back} more lines suppressed: {limit} is reached");
        }
        _ => {
            let (_, what) = CAUSES[cause.index()];
            log::warn!(lines = held_back; "{held_back} more lines suppressed: {what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn every_cause_has_its_place() {
        for (index, cause) in Cause::all().enumerate() {
            assert_eq!(cause.index(), index);
        }
        assert_eq!(Cause::all().count(), WINDOWS);
    }

    #[test]
    fn a_kind_has_so_many_lines_a_second() {
        let limit = LogLimit::new(3);
        let admitted = |cause, from: u64| {
            let times = from..from + 100;
            times.filter(|&ms| limit.admits(cause, at(ms))).count()
        };
        assert_eq!(admitted(Cause::Refused, 5000), 3);
        assert_eq!(admitted(Cause::Refused, 5500), 0);
        assert_eq!(admitted(Cause::Violation, 5500), 3, "another kind");
        assert_eq!(admitted(Cause::Refused, 6000), 3, "another second");
    }

    #[test]
    fn an_alarm_is_set_once_something_is_held_back() {
        let limit = LogLimit::new(1);
        assert!(limit.admits(Cause::Refused, at(5000)));
        assert_eq!(limit.alarm(), None);
        assert!(!limit.admits(Cause::Refused, at(5100)));
        assert!(!limit.admits(Cause::Refused, at(5200)));
        assert_eq!(limit.suppressed(), 2);
        assert_eq!(limit.alarm(), Some(at(6000)));
        assert_eq!(limit.alarm(), None, "told once");
        limit.flush(at(5900));
        assert_eq!(limit.alarm(), Some(at(6000)), "not yet over");
        limit.flush(at(6000));
        assert_eq!(limit.alarm(), None);
        assert!(limit.admits(Cause::Refused, at(6001)));
    }

    #[test]
    fn zero_is_no_limit() {
        let limit = LogLimit::new(0);
        assert!((0..1000).all(|_| limit.admits(Cause::Granted, Time::ZERO)));
    }

    #[test]
    fn one_limit_does_not_hide_another_and_the_number_may_change() {
        let limit = LogLimit::new(1);
        let admitted = |cause| (0..9).filter(|_| limit.admits(cause, at(5000))).count();
        assert_eq!(admitted(Cause::Limit(Limit::Connections)), 1);
        assert_eq!(admitted(Cause::Limit(Limit::Memory)), 1);
        limit.set(4);
        assert_eq!(admitted(Cause::Limit(Limit::Memory)), 3);
    }
}
