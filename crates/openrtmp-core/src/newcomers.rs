//! Connections that have not said `connect`, in the order they came: whoever is slow to
//! shake hands must not keep others out.

use std::collections::BTreeSet;
use std::sync::Mutex;

use openrtmp_protocol::Time;

use crate::id::ConnectionId;
use crate::sync::lock;

/// Those of all workers, from being accepted to `connect`.
#[derive(Debug, Default)]
pub(crate) struct Newcomers(Mutex<BTreeSet<(Time, ConnectionId)>>);

impl Newcomers {
    pub(crate) fn add(&self, opened: Time, id: ConnectionId) {
        lock(&self.0).insert((opened, id));
    }

    /// It said `connect`, or is over. True if it was one.
    pub(crate) fn forget(&self, opened: Time, id: ConnectionId) -> bool {
        lock(&self.0).remove(&(opened, id))
    }

    pub(crate) fn contains(&self, opened: Time, id: ConnectionId) -> bool {
        lock(&self.0).contains(&(opened, id))
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Takes out the oldest, if the time at which it came is such.
    pub(crate) fn take_oldest(&self, may_go: impl Fn(Time) -> bool) -> Option<ConnectionId> {
        let mut newcomers = lock(&self.0);
        let &(opened, id) = newcomers.first()?;
        may_go(opened).then(|| newcomers.pop_first())?;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn the_oldest_that_had_its_time_goes_first() {
        let id = ConnectionId::from_u64;
        let newcomers = Newcomers::default();
        for n in 1..=3 {
            newcomers.add(at(n), id(n));
        }
        assert!(newcomers.forget(at(1), id(1)) && !newcomers.forget(at(1), id(1)));
        assert_eq!(newcomers.take_oldest(|opened| opened <= at(1)), None);
        let oldest = newcomers.take_oldest(|opened| opened <= at(2));
        assert_eq!(oldest, Some(id(2)));
        assert!(!newcomers.contains(at(2), id(2)) && newcomers.contains(at(3), id(3)));
        assert_eq!(newcomers.len(), 1);
    }
}
