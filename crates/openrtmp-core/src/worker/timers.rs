use std::collections::BTreeSet;
use std::time::Duration;

use openrtmp_protocol::Time;

use crate::id::{ConnectionId, StreamId};

/// Deadlines are met to this grain, so that many idle connections wake the
/// worker once and not one by one.
pub(crate) const GRAIN: Duration = Duration::from_millis(100);

/// The next full grain.
pub(crate) fn round_up(at: Time) -> Time {
    let grain = GRAIN.as_micros() as u64;
    Time::from_micros(at.as_micros().div_ceil(grain) * grain)
}

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Connection(ConnectionId),
    Stream(StreamId),
    /// An outgoing connection that is not connected yet.
    Dialing(ConnectionId),
    /// Accepting failed: try again.
    Accept,
    /// Relays have something to do.
    Relays,
    /// Log lines were held back: tell how many.
    Lines,
    /// A certificate may be about to expire.
    #[cfg(feature = "tls")]
    Certificates,
    /// The drain is over.
    Drain,
    /// A suspension waits no longer.
    Sleep,
    /// What the host told is looked at again.
    Host,
}

/// Deadlines, earliest first. Connections and streams have one entry each, the
/// earliest of their deadlines; who is woken looks which it is.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    entries: BTreeSet<(Time, Timer)>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Time, timer: Timer) {
        self.entries.insert((at, timer));
    }

    /// Sets the one entry of `timer`, which `armed` tells of, unless there is an
    /// earlier one.
    pub(crate) fn arm(&mut self, timer: Timer, armed: &mut Option<Time>, at: Time) {
        if armed.is_none_or(|armed| at < armed) {
            self.disarm(timer, armed);
            *armed = Some(at);
            self.set(at, timer);
        }
    }

    /// Takes the entry away.
    pub(crate) fn disarm(&mut self, timer: Timer, armed: &mut Option<Time>) {
        if let Some(at) = armed.take() {
            self.entries.remove(&(at, timer));
        }
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.entries.first().map(|&(at, _)| at)
    }

    /// The earliest entry whose time has come.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.entries.pop_first().map(|(_, timer)| timer)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn come_due_in_order() {
        let at = Time::from_micros;
        let mut timers = Timers::default();
        timers.set(at(30), Timer::Drain);
        timers.set(at(10), Timer::Accept);
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(30)), Some(Timer::Accept));
        assert_eq!(timers.pop_due(at(30)), Some(Timer::Drain));
        assert_eq!(timers.pop_due(at(30)), None);
    }

    #[test]
    fn there_is_one_entry_the_earliest_until_it_is_taken_away() {
        let at = Time::from_micros;
        let (mut timers, mut armed) = (Timers::default(), None);
        for micros in [30, 50, 10, 20] {
            timers.arm(Timer::Accept, &mut armed, at(micros));
        }
        assert_eq!((timers.len(), armed), (1, Some(at(10))));
        assert_eq!(timers.next(), armed);
        timers.disarm(Timer::Accept, &mut armed);
        assert_eq!((timers.len(), armed), (0, None));
    }
}
