//! Waiting that somebody may end.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::authority::Failure;

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Its time is.
    Time,
    /// Somebody wants things looked at now.
    Asked,
    /// The server stops.
    Stopped,
}

#[derive(Debug, Default)]
pub(super) struct Pause {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    asked: bool,
    stopped: bool,
}

impl Pause {
    /// Things are to be looked at now.
    pub(super) fn ask(&self) {
        self.lock().asked = true;
        self.changed.notify_all();
    }

    /// Nothing is waited for any more.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Waits so long, or until it is asked for; without a time until then.
    pub(super) fn wait(&self, time: Option<Duration>) -> Woken {
        self.wait_for(time, |state| std::mem::take(&mut state.asked))
    }

    /// Waits so long in the middle of something.
    pub(super) fn sleep(&self, time: Duration) -> Result<(), Failure> {
        match self.wait_for(Some(time), |_| false) {
            Woken::Stopped => Err(Failure::Stopped),
            Woken::Time | Woken::Asked => Ok(()),
        }
    }

    fn wait_for(&self, time: Option<Duration>, is_asked: impl Fn(&mut State) -> bool) -> Woken {
        let end = time.map(|time| Instant::now() + time);
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Woken::Stopped;
            }
            if is_asked(&mut state) {
                return Woken::Asked;
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return Woken::Time,
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is valid whatever its last holder was doing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_asked_for_and_for_good_when_all_ends() {
        let pause = Pause::default();
        assert_eq!(pause.wait(Some(Duration::ZERO)), Woken::Time);
        pause.ask();
        // What was asked for in the middle of something is looked at after it.
        pause.sleep(Duration::ZERO).expect("nobody stopped it");
        assert_eq!(pause.wait(None), Woken::Asked);
        assert_eq!(pause.wait(Some(Duration::ZERO)), Woken::Time);
        pause.stop();
        for _ in 0..2 {
            assert_eq!(pause.wait(None), Woken::Stopped);
            let slept = pause.sleep(Duration::from_secs(3600));
            assert!(matches!(slept, Err(Failure::Stopped)));
        }
    }
}
