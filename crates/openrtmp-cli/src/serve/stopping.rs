//! The end of a server, as people see it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::{DrainError, DrainOptions, Server, Summary};

use super::count;
use crate::console::{self, say};
use crate::exit::Failure;
use crate::signal::Stop;

/// How long the end of a drain may take that was under way already: longer than a server takes
/// that gives nobody time to leave.
const LAST_OF_A_DRAIN: Duration = Duration::from_secs(5);

/// Why the waiting for peers to leave is over.
enum Over {
    Drained(Result<Summary, DrainError>),
    Signal,
}

/// Takes nobody new, and stops when all have left, or the time for that is over. A signal
/// stops it within `grace`, as it would have at any time.
pub(super) fn drain(
    server: &Arc<Server>,
    options: &DrainOptions,
    stop_wish: &Stop,
    grace: Duration,
) -> Result<Summary, Failure> {
    let there = count(server.metrics().connections, "connection");
    let seconds = options.grace.as_secs_f64();
    say(&format!(
        "Draining: {there} may take {seconds} s to leave; Ctrl-C stops sooner."
    ));
    let (sender, over) = channel();
    let signal = sender.clone();
    // Nobody listens any more once it is over.
    stop_wish.on_first(Box::new(move || drop(signal.send(Over::Signal))));
    let (drained, options) = (server.clone(), options.clone());
    let drain = move || {
        // As above.
        let _ = sender.send(Over::Drained(drained.drain(&options)));
    };
    let thread = thread::Builder::new().name("drain".to_owned());
    thread
        .spawn(drain)
        .map_err(|e| Failure::Runtime(format!("cannot start a thread: {e}")))?;
    if stop_wish.signalled() {
        return Ok(of_the_last(stop(server, grace)?, &over));
    }
    match over.recv() {
        Ok(Over::Drained(Ok(summary))) => Ok(summary),
        Ok(Over::Drained(Err(error))) => Err(Failure::Runtime(error.to_string())),
        Ok(Over::Signal) => Ok(of_the_last(stop(server, grace)?, &over)),
        Err(_) => Err(Failure::Runtime("draining failed: a bug".to_owned())),
    }
}

/// What a server that was being drained says at its end. The drain may have been at its own
/// end when it was stopped: then that completes recordings, the other has done nothing, and
/// says nothing.
fn of_the_last(stopped: Summary, over: &Receiver<Over>) -> Summary {
    let until = Instant::now() + LAST_OF_A_DRAIN;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match over.recv_timeout(left) {
            Ok(Over::Signal) => {}
            Ok(Over::Drained(Ok(drained))) if stopped == Summary::default() => return drained,
            Ok(Over::Drained(_)) | Err(_) => return stopped,
        }
    }
}

/// Stops within `grace`, counting down where somebody sees it.
pub(super) fn stop(server: &Arc<Server>, grace: Duration) -> Result<Summary, Failure> {
    const SECOND: Duration = Duration::from_secs(1);
    let there = server.metrics().connections;
    if there > 0 && !grace.is_zero() {
        let there = count(there, "connection");
        let seconds = grace.as_secs_f64();
        say(&format!(
            "Stopping: {there} may take {seconds} s to leave; Ctrl-C again does not wait."
        ));
    }
    let (sender, summary) = channel();
    let stopped = server.clone();
    let thread = thread::Builder::new().name("stop".to_owned());
    let begun = Instant::now();
    thread
        .spawn(move || sender.send(stopped.stop(grace)))
        .map_err(|e| Failure::Runtime(format!("cannot start a thread: {e}")))?;
    loop {
        let left = grace.saturating_sub(begun.elapsed());
        match summary.recv_timeout(SECOND.min(left.max(Duration::from_millis(1)))) {
            Ok(summary) => {
                console::show(None);
                return Ok(summary);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Runtime("stopping failed: a bug".to_owned()));
            }
        }
        if console::has_foot() {
            let left = grace.saturating_sub(begun.elapsed());
            let seconds = left.as_secs_f64().round();
            console::show(Some(format!("Stopping: {seconds} s left")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_stopped_at_the_end_of_a_drain_waits_for_that() {
        let mut full = Summary::default();
        (full.accepted, full.uptime) = (7, Duration::from_secs(1));
        let (sender, over) = channel();
        sender.send(Over::Signal).expect("somebody listens");
        let drained = full.clone();
        let draining = thread::spawn(move || sender.send(Over::Drained(Ok(drained))));
        assert_eq!(of_the_last(Summary::default(), &over), full);
        draining
            .join()
            .expect("no panic")
            .expect("somebody listens");
        // Its own stop was cut short by the other.
        let (sender, over) = channel();
        let empty = Over::Drained(Ok(Summary::default()));
        sender.send(empty).expect("somebody listens");
        assert_eq!(of_the_last(full.clone(), &over), full);
    }
}
