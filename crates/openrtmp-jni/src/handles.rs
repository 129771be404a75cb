//! What Java names by a number: a stale or invented one is an error, not a crash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::failure::Failure;

/// Things of one kind. No number is used twice.
pub(crate) struct Handles<T> {
    what: &'static str,
    entries: Mutex<Entries<T>>,
}

struct Entries<T> {
    last: i64,
    things: BTreeMap<i64, Arc<T>>,
}

impl<T> Handles<T> {
    /// `what`: said of one that is not there any more.
    pub(crate) const fn new(what: &'static str) -> Handles<T> {
        Handles {
            what,
            entries: Mutex::new(Entries {
                last: 0,
                things: BTreeMap::new(),
            }),
        }
    }

    /// Keeps what is made of its number.
    pub(crate) fn insert_with(&self, make: impl FnOnce(i64) -> T) -> i64 {
        let mut entries = lock(&self.entries);
        entries.last += 1;
        let handle = entries.last;
        entries.things.insert(handle, Arc::new(make(handle)));
        handle
    }

    pub(crate) fn get(&self, handle: i64) -> Result<Arc<T>, Failure> {
        let found = lock(&self.entries).things.get(&handle).cloned();
        found.ok_or_else(|| Failure::state(format!("the {} was closed", self.what)))
    }

    /// Forgets it; `None` the second time.
    pub(crate) fn remove(&self, handle: i64) -> Option<Arc<T>> {
        lock(&self.entries).things.remove(&handle)
    }
}

/// What is behind a lock here is whole after a panic, too.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_finds_its_thing_until_that_is_removed() {
        let handles = Handles::new("thing");
        let (one, two) = (handles.insert_with(|_| 'a'), handles.insert_with(|_| 'b'));
        assert_eq!(*handles.get(one).unwrap(), 'a');
        assert_eq!(handles.remove(one).as_deref(), Some(&'a'));
        assert!(handles.remove(one).is_none());
        assert!(matches!(handles.get(one), Err(Failure::Told(_, text)) if text.contains("thing")));
        let three = handles.insert_with(|handle| if handle > two { 'c' } else { '?' });
        assert_eq!(*handles.get(three).unwrap(), 'c');
    }
}
