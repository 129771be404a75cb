//! Wakes whoever waits for a tap: a thread in a wait, or a task by its waker.
//!
//! The waker is behind a mutex of each tap's own. No two workers meet in it while frames
//! pass: whoever finds the flag raised leaves, so that between two looks of the owner one
//! worker takes it, for as long as it takes to move a pointer out. A condition variable
//! needs a mutex, and an atomic for the waker beside it would be a second mechanism for
//! the same wake-up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, unpoisoned};

/// One waiter at a time. Wake-ups are coalesced: between two looks of the waiter one
/// worker at most takes the lock, the one that finds the flag lowered.
#[derive(Default)]
pub(super) struct Signal {
    raised: AtomicBool,
    waker: Mutex<Option<Waker>>,
    condition: Condvar,
}

impl Signal {
    /// There is something to look at. A waker is the only foreign code that a worker
    /// ever calls; its panic is the host's and ends nothing here.
    pub(super) fn raise(&self) {
        // AcqRel pairs with `lower`: either the waiter sees in its present look what
        // was done before this, or it is woken for another.
        if self.raised.swap(true, Ordering::AcqRel) {
            return;
        }
        let waker = {
            let mut waker = unpoisoned(self.waker.lock());
            self.condition.notify_one();
            waker.take()
        };
        // It calls the host, who may hold a lock of its own here and in `register`: not
        // with the lock held.
        if let Some(waker) = waker
            && catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err()
        {
            log::error!("a waker of the host panicked");
        }
    }

    /// Waits until raised, at most `timeout`, and lowers it.
    pub(super) fn wait(&self, timeout: Option<Duration>) {
        let guard = unpoisoned(self.waker.lock());
        let is_low = |_: &mut Option<Waker>| !self.raised.load(Ordering::Acquire);
        match timeout {
            Some(timeout) => drop(unpoisoned(
                self.condition.wait_timeout_while(guard, timeout, is_low),
            )),
            None => drop(unpoisoned(self.condition.wait_while(guard, is_low))),
        }
        self.lower();
    }

    /// Has this waker called when it is next raised. True if it was raised before
    /// that: the waiter has to look again, and may not be called.
    pub(super) fn register(&self, waker: &Waker) -> bool {
        // Cloning and dropping call the host: not with the lock held.
        let waker = waker.clone();
        let before = unpoisoned(self.waker.lock()).replace(waker);
        drop(before);
        self.lower()
    }

    fn lower(&self) -> bool {
        self.raised.swap(false, Ordering::AcqRel)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Bomb;

    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("said the test");
        }
    }

    #[test]
    fn a_waker_is_called_once_however_often_it_is_raised() {
        let (signal, counter) = (Signal::default(), Arc::<Counter>::default());
        let waker = Waker::from(counter.clone());
        assert!(!signal.register(&waker));
        for _ in 0..3 {
            signal.raise();
        }
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
        assert!(signal.register(&waker), "it was raised meanwhile");
        signal.raise();
        assert_eq!(counter.0.load(Ordering::Relaxed), 2);
        assert_eq!(Arc::strong_count(&counter), 2, "none is kept once called");
    }

    /// Waits on at once, and from within the call.
    struct Again(Arc<Signal>, Arc<Counter>);

    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            assert!(
                self.0.register(&Waker::from(self.1.clone())),
                "it is raised"
            );
            assert!(
                !self.0.register(&Waker::from(self.1.clone())),
                "it was seen"
            );
        }
    }

    #[test]
    fn a_waker_may_register_the_next_one() {
        let (signal, next) = (Arc::<Signal>::default(), Arc::<Counter>::default());
        signal.register(&Waker::from(Arc::new(Again(signal.clone(), next.clone()))));
        signal.raise();
        assert_eq!(next.0.load(Ordering::Relaxed), 0, "nothing came since");
        signal.raise();
        assert_eq!(next.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_waker_that_panics_is_the_hosts_own_loss() {
        let signal = Signal::default();
        signal.register(&Waker::from(Arc::new(Bomb)));
        signal.raise();
        let counter = Arc::<Counter>::default();
        signal.register(&Waker::from(counter.clone()));
        signal.raise();
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
    }
}
