//! What an operator's requests do to the process that serves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openrtmp_core::{DrainOptions, Server};

use super::reload::Asking;
use crate::control::{Code, Control, Hands, Operator, Refusal, Reloaded};
use crate::signal::Stop;

/// The wish that the server be drained, once there was one.
#[derive(Clone, Default)]
pub(super) struct Wish(Arc<Mutex<Option<DrainOptions>>>);

impl Wish {
    pub(super) fn get(&self) -> Option<DrainOptions> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<DrainOptions>> {
        // It is there or not, whatever its last holder was doing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Process {
    settings: Asking,
    wish: Wish,
    stop: Stop,
}

impl Hands for Process {
    fn reload(&self) -> Result<Reloaded, Refusal> {
        self.settings.ask()
    }

    fn drain(&self, options: DrainOptions) -> Result<(), Refusal> {
        let mut wish = self.wish.lock();
        if wish.is_some() {
            let what = "the server is being drained already";
            return Err(Refusal::new(Code::Conflict, what));
        }
        if self.stop.requested() {
            return Err(Refusal::new(Code::Unavailable, "the server is stopping"));
        }
        *wish = Some(options);
        drop(wish);
        self.stop.ask();
        Ok(())
    }
}

/// Answers an operator. What is wished for is found in `wish` once `stop` was asked for.
///
/// # Errors
/// A socket that cannot be had.
pub(super) fn start(
    server: &Arc<Server>,
    settings: Asking,
    wish: Wish,
    stop: &Stop,
) -> Result<Control, String> {
    let stop = stop.clone();
    let process = Process {
        settings,
        wish,
        stop,
    };
    let control = Control::new(Operator::new(server, Box::new(process)));
    control.follow(&server.config().control)?;
    Ok(control)
}
