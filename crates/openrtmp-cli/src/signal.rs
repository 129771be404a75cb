use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::exit::Failure;
use crate::logs;

/// The wish to stop: Ctrl-C, SIGTERM, SIGHUP where that does not mean to read the
/// settings again ([`Stop::on_hang_up`]), or [`Stop::ask`]. Each signal calls the next handler; one
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
    asked: bool,
    handlers: Vec<Handler>,
    /// What the first signal does beside its handler.
    first: Vec<Handler>,
    #[cfg(unix)]
    hang_up: HangUp,
}

/// What SIGHUP means.
#[cfg(unix)]
#[derive(Clone)]
enum HangUp {
    /// Nobody has said yet.
    Open {
        came: bool,
    },
    Stops,
    Calls(Arc<dyn Fn() + Send + Sync>),
}

#[cfg(unix)]
impl Default for HangUp {
    fn default() -> HangUp {
        HangUp::Open { came: false }
    }
}

impl State {
    fn is_wish(&self) -> bool {
        self.signals > 0 || self.asked
    }
}

impl Stop {
    /// Starts to listen to signals. Once per process, and before anything else: a signal
    /// that comes earlier ends it. SIGHUP waits for [`Stop::on_hang_up`] or
    /// [`Stop::stop_on_hang_up`].
    pub(crate) fn on_signals() -> Result<Stop, Failure> {
        let stop = Stop::default();
        stop.clone()
            .listen()
            .map_err(|e| Failure::Runtime(format!("cannot listen to signals: {e}")))?;
        Ok(stop)
    }

    #[cfg(unix)]
    fn listen(self) -> std::io::Result<()> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

        let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let had_terminal = has_terminal();
        let wait = move || {
            for signal in signals.forever() {
                if signal != SIGHUP || had_terminal && !has_terminal() {
                    self.signal();
                    continue;
                }
                let mut state = self.lock();
                match &mut state.hang_up {
                    HangUp::Open { came } => *came = true,
                    HangUp::Stops => {
                        drop(state);
                        self.signal();
                    }
                    HangUp::Calls(call) => {
                        let call = call.clone();
                        drop(state);
                        call();
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread.spawn(wait).map(drop)
    }

    #[cfg(not(unix))]
    fn listen(self) -> Result<(), ctrlc::Error> {
        ctrlc::set_handler(move || self.signal())
    }

    /// From now on SIGHUP calls this and is no wish to stop, unless the terminal that
    /// the process was started from has hung up.
    #[cfg(unix)]
    pub(crate) fn on_hang_up(&self, call: impl Fn() + Send + Sync + 'static) {
        let call: Arc<dyn Fn() + Send + Sync> = Arc::new(call);
        let meaning = HangUp::Calls(call.clone());
        let before = std::mem::replace(&mut self.lock().hang_up, meaning);
        if let HangUp::Open { came: true } = before {
            call();
        }
    }

    /// SIGHUP is a wish to stop.
    pub(crate) fn stop_on_hang_up(&self) {
        #[cfg(unix)]
        {
            let before = std::mem::replace(&mut self.lock().hang_up, HangUp::Stops);
            if let HangUp::Open { came: true } = before {
                self.signal();
            }
        }
    }

    /// From now on the first signal sets [`Stop::requested`] and calls the first
    /// handler, the second one the second.
    pub(crate) fn handle(&self, handlers: Vec<Handler>) {
        self.lock().handlers = handlers;
    }

    /// The first signal calls this too, whatever [`Stop::handle`] says.
    pub(crate) fn on_first(&self, handler: Handler) {
        self.lock().first.push(handler);
    }

    /// Wishes it without a signal: none of the handlers is called.
    pub(crate) fn ask(&self) {
        self.lock().asked = true;
        self.0.changed.notify_all();
    }

    /// Whether to stop.
    pub(crate) fn requested(&self) -> bool {
        self.lock().is_wish()
    }

    /// Whether a signal said so.
    pub(crate) fn signalled(&self) -> bool {
        self.lock().signals > 0
    }

    /// Waits for the wish to stop, at most for `limit`. True if it came.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut state = self.lock();
        while !state.is_wish() {
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
            logs::fail("interrupted");
            logs::finish();
            std::process::exit(1);
        };
        handler();
        if state.signals == 0 {
            state.first.iter().for_each(|handler| handler());
        }
        state.signals += 1;
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is valid whatever its last holder was doing.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the process has a controlling terminal. It loses it when that hangs up,
/// before it is told (POSIX General Terminal Interface, "Modem Disconnect").
#[cfg(unix)]
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}
