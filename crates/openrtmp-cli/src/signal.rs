use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::exit::Failure;
use crate::progress::say;

/// The wish to stop: Ctrl-C or SIGTERM. Each signal calls the next handler; one
/// too many, or one before there is anything to finish, ends the process.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Shared>);

/// What a signal does, on a thread of its own.
pub(crate) type Handler = Box<dyn Fn() + Send>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    signals: usize,
    handlers: Vec<Handler>,
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

    /// From now on the first signal sets [`Stop::requested`] and calls the first
    /// handler, the second one the second.
    pub(crate) fn handle(&self, handlers: Vec<Handler>) {
        self.lock().handlers = handlers;
    }

    /// Whether to stop.
    pub(crate) fn requested(&self) -> bool {
        self.lock().signals > 0
    }

    /// Waits for the wish to stop, at most for `limit`. True if it came.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut state = self.lock();
        while state.signals == 0 {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    let (state, _) = self
                        .0
                        .changed
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner);
                    state
                }
                None => self
                    .0
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
        true
    }

    fn signal(&self) {
        let mut state = self.lock();
        let Some(handler) = state.handlers.get(state.signals) else {
            say("openrtmp: interrupted");
            std::process::exit(1);
        };
        handler();
        state.signals += 1;
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is valid whatever its last holder was doing.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
