//! What every module of a worker works with.

use std::sync::Arc;
use std::time::Duration;

use openrtmp_protocol::Time;

use super::timers::Timers;
use crate::config::Config;
use crate::events::Event;
use crate::id::ConnectionId;
use crate::inbox::Command;
use crate::limit::Limit;
use crate::log_limit::Cause;
use crate::metrics::{ConnectionCounts, ErrorCounts, StreamTotals};
use crate::mobile::Conditions;
use crate::platform::Platform;
use crate::rate::Rate;
use crate::shared::Shared;

/// The time, the settings, the timers, the poller, the counters, and the ways out to
/// other workers and to the host. It holds no connection and no stream.
pub(super) struct Context<P: Platform> {
    /// This worker's number.
    pub(super) index: usize,
    pub(super) platform: Arc<P>,
    pub(super) shared: Arc<Shared>,
    /// The settings in force, under the conditions below: no lock on the way of a frame.
    pub(super) config: Arc<Config>,
    pub(super) poller: P::Poller,
    pub(super) timers: Timers,
    /// When this turn began.
    pub(super) now: Time,
    /// Units of work done so far, see [`super::work`].
    pub(super) work: u64,
    pub(super) totals: Totals,
    /// What the device makes of them.
    pub(super) conditions: Arc<Conditions>,
    /// The server is suspended.
    pub(super) asleep: bool,
    /// Join ids issued. Survives restarts so that stale ids stay stale.
    pub(super) joins: u64,
    /// Set while stopping: the moment of force.
    pub(super) stop_deadline: Option<Time>,
}

/// Counters of a worker; they grow and never reset.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) turns: u64,
    /// Turns that waited first.
    pub(super) wake_ups: u64,
    /// For sockets: waiting, accepting, reading, writing.
    pub(super) system_calls: u64,
    /// Not waiting.
    pub(super) active: Duration,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) rate_in: Rate,
    pub(super) rate_out: Rate,
    pub(super) errors: ErrorCounts,
    pub(super) dropped_frames: u64,
    /// Of connections that are over, or have gone to another worker.
    pub(super) of_connections: ConnectionCounts,
    /// Of streams that are over and had no series of their own.
    pub(super) ended: StreamTotals,
}

impl<P: Platform> Context<P> {
    /// Whether a line that a peer caused may be written.
    pub(super) fn may_log(&self, cause: Cause, level: log::Level) -> bool {
        log::log_enabled!(level) && self.shared.log_limit.admits(cause, self.now)
    }

    /// Reports a limit that was reached.
    pub(super) fn report_limit(&self, limit: Limit, connection: Option<ConnectionId>) {
        self.shared.report_limit(limit, connection);
    }

    /// Reports a panic that was caught while a connection was served.
    pub(super) fn report_panic(&mut self) {
        if self.may_log(Cause::Panic, log::Level::Error) {
            log::error!(worker = self.index; "panic while serving a connection; it is closed");
        }
        self.totals.errors.internal += 1;
    }

    /// What was sent since there were `before` bytes in all goes into the rate. When this
    /// worker's window ends, the limit is for all of them together.
    pub(super) fn note_sent(&mut self, before: u64) {
        let bytes = (self.totals.bytes_out - before) as usize;
        let Some(rate) = self.totals.rate_out.add(bytes, self.now) else {
            return;
        };
        let sum = self.shared.outgoing.note(self.index, rate, self.now);
        let limit = self.config.limits.outgoing_bitrate;
        if limit > 0 && sum > limit {
            self.report_limit(Limit::OutgoingBitrate, None);
        }
    }

    pub(super) fn emit(&self, event: Event) {
        self.shared.emit(event);
    }

    /// Sends a command to another worker, or to this one for its next turn.
    pub(super) fn send(&self, worker: usize, command: Command) {
        self.shared.inboxes[worker].send(command);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop_deadline.is_some()
    }
}
