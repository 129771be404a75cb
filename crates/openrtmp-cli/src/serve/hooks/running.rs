//! A program that runs, and how long it may.

use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openrtmp_core::{ConnectionId, StreamId, StreamName};

use super::places::Holder;
use super::process::Process;

/// A program that runs.
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) hook: &'static str,
    pub(super) purpose: Purpose,
    pub(super) holder: Holder,
    pub(super) output: Output,
    /// When it is asked to end.
    pub(super) ask_at: Option<Instant>,
    pub(super) was_asked: bool,
    /// When it is killed.
    pub(super) kill_at: Option<Instant>,
}

/// The reading of what a program writes.
pub(super) struct Output {
    /// Its end ends the reading, once what is there was read.
    pub(super) stop: io::PipeWriter,
    pub(super) thread: JoinHandle<()>,
}

/// For how long a program runs.
#[derive(Clone, PartialEq)]
pub(super) enum Purpose {
    /// As long as this is published.
    Published(StreamId),
    /// As long as this is played.
    Played(ConnectionId, StreamName),
    /// As long as this is wanted.
    Wanted(StreamName),
    /// Until it is done.
    Done,
}

impl Running {
    /// It is asked to end then, or before if that was said, and killed some time later.
    pub(super) fn end_at(&mut self, at: Instant, stop_timeout: Duration) {
        if self.ask_at.is_none_or(|asked| at < asked) {
            self.ask_at = Some(at);
            self.kill_at = Some(at + stop_timeout);
        }
    }

    /// When it is asked to end, if it was not yet.
    pub(super) fn ask_at_next(&self) -> Option<Instant> {
        self.ask_at.filter(|_| !self.was_asked)
    }

    /// True if it had to be killed.
    pub(super) fn meet_deadlines(&mut self, now: Instant) -> bool {
        if self.ask_at_next().is_some_and(|at| at <= now) {
            self.was_asked = true;
            self.process.ask_to_end();
        }
        let is_late = self.kill_at.is_some_and(|at| at <= now);
        if is_late {
            self.kill_at = None;
            self.process.kill();
        }
        is_late
    }
}
