use std::cmp::Reverse;
use std::collections::BinaryHeap;

use openrtmp_protocol::Time;

use crate::id::{ConnectionId, StreamId};

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Connection(ConnectionId),
    Stream(StreamId),
    /// Accepting failed: try again.
    Accept,
    /// Log lines were held back: tell how many.
    Lines,
    /// The drain is over.
    Drain,
}

/// Deadlines, earliest first. An entry is a reason to look, not a promise: who
/// is woken compares with its own deadline, so nothing is ever removed early.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Time, Timer)>>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Time, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The earliest entry whose time has come, and that time.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<(Time, Timer)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
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
        assert_eq!(timers.pop_due(at(30)), Some((at(10), Timer::Accept)));
        assert_eq!(timers.pop_due(at(30)), Some((at(30), Timer::Drain)));
        assert_eq!(timers.pop_due(at(30)), None);
    }
}
