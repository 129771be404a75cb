//! The end of a server, as people see it.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::{Server, Summary};

use super::count;
use crate::console::{self, say};
use crate::exit::Failure;

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
            let seconds = left.as_secs_f64().round();
            console::show(Some(format!("Stopping: {seconds} s left")));
        }
    }
}
