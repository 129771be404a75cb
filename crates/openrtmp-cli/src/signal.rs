use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use openrtmp_core::client::ClientWaker;

use crate::exit::Failure;
use crate::progress::say;

/// The wish to stop: Ctrl-C or SIGTERM. The first signal asks, a second one ends
/// the process at once, and so does the first while there is nothing to finish.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requested: bool,
    /// Something is open that wants to be finished.
    graceful: bool,
    waker: Option<ClientWaker>,
}

impl Stop {
    /// Starts to listen to signals. Once per process.
    pub(crate) fn on_signals() -> Result<Stop, Failure> {
        let stop = Stop::default();
        let handler = stop.clone();
        ctrlc::set_handler(move || handler.signal())
            .map_err(|e| Failure::Runtime(format!("cannot listen to signals: {e}")))?;
        Ok(stop)
    }

    /// From now on the first signal sets [`Stop::requested`] and wakes the client.
    pub(crate) fn finish_with(&self, waker: ClientWaker) {
        let mut state = self.lock();
        state.graceful = true;
        state.waker = Some(waker);
    }

    /// Whether to stop.
    pub(crate) fn requested(&self) -> bool {
        self.lock().requested
    }

    fn signal(&self) {
        let mut state = self.lock();
        if state.requested || !state.graceful {
            say("openrtmp: interrupted");
            std::process::exit(1);
        }
        state.requested = true;
        if let Some(waker) = &state.waker {
            waker.wake();
        }
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is valid whatever its last holder was doing.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
