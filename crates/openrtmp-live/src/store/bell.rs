//! Tells those who take streams from the server whether anybody waits for what comes.
//!
//! As long as somebody does they are woken for each message. While nobody does they sleep, and
//! look by themselves now and then: workers, which have players over RTMP to serve, are spared
//! waking a thread that takes their core. Whoever comes first wakes it, and finds all that is
//! there by then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Rung by whoever begins to wait while nobody else does.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    waiting: AtomicUsize,
    /// Held from the look whether anybody waits until one sleeps.
    sleep: Mutex<()>,
    rung: Condvar,
}

/// Somebody who waits for what streams bring, as long as this is there.
#[derive(Debug)]
pub(crate) struct Awaiting(Arc<Bell>);

impl Bell {
    /// Somebody waits from now on.
    pub(crate) fn wait(self: &Arc<Bell>) -> Awaiting {
        if self.waiting.fetch_add(1, Ordering::SeqCst) == 0 {
            self.ring();
        }
        Awaiting(self.clone())
    }

    /// Whether anybody waits.
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Sleeps for so long, or until somebody waits. It may return early.
    pub(crate) fn sleep(&self, most: Duration) {
        let sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_awaited() {
            drop(self.rung.wait_timeout(sleep, most));
        }
    }

    /// Wakes whoever sleeps.
    pub(crate) fn ring(&self) {
        drop(self.sleep.lock().unwrap_or_else(PoisonError::into_inner));
        self.rung.notify_all();
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Longer than a test may take: who sleeps so long was not woken.
    const FOREVER: Duration = Duration::from_secs(3600);

    #[test]
    fn whoever_waits_wakes_who_sleeps_and_keeps_him_awake() {
        let bell = Arc::<Bell>::default();
        for _ in 0..200 {
            let sleeper = {
                let bell = bell.clone();
                thread::spawn(move || {
                    while !bell.is_awaited() {
                        bell.sleep(FOREVER);
                    }
                    // Nobody has to ring once more.
                    bell.sleep(FOREVER);
                })
            };
            let (first, second) = (bell.wait(), bell.wait());
            drop(first);
            sleeper.join().unwrap();
            drop(second);
            assert!(!bell.is_awaited());
        }
    }
}
