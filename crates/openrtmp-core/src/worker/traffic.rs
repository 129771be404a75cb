//! A connection's bytes: read, written, and its end.

use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::time::Duration;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::{SessionError, Stage};

use super::connection::{WaitsFor, stage_name};
use super::timers::Timer;
use super::{READ_BUFFER, Worker};
use crate::events::{CloseReason, Event};
use crate::log_limit::Cause;
use crate::platform::{Platform, Poller, Stream, Token};
use crate::stream::queue::{WriteEnd, Written};

/// Bytes read from one connection in one turn; the rest has its turn after the
/// others.
const READ_BUDGET: usize = 2 * READ_BUFFER;

/// Bytes written to one connection in one turn, so that what joining players get
/// at once does not hold up those who are still connecting.
const WRITE_BUDGET: usize = 128 * 1024;

/// Deadlines are met to this grain, so that many idle connections wake the
/// worker once and not one by one.
const GRAIN_MICROS: u64 = 100_000;

impl<P: Platform> Worker<P> {
    /// Reads until the socket has no more, or the budget is used.
    pub(super) fn read(&mut self, slot: usize) {
        self.state.connections[slot].io.unread = false;
        // Taken out so that handling may borrow the worker; a panic costs only a
        // new buffer.
        let mut buffer = std::mem::take(&mut self.state.buffer);
        if buffer.is_empty() {
            if buffer.try_reserve_exact(READ_BUFFER).is_err() {
                return self.close(slot, CloseReason::Limit("no memory to read".to_owned()));
            }
            buffer.resize(READ_BUFFER, 0);
        }
        let mut budget = READ_BUDGET;
        let end = loop {
            let Some(connection) = self.state.connections.get_mut(slot) else {
                break None;
            };
            if budget == 0 {
                self.mark_unread(slot);
                break None;
            }
            let room = buffer.len().min(budget);
            match connection.socket.read(&mut buffer[..room]) {
                Ok(0) => break Some(CloseReason::Peer),
                Ok(n) => {
                    budget -= n;
                    connection.bytes_in += n as u64;
                    connection.last_input = self.state.now;
                    connection.io.ping_sent = false;
                    self.state.totals.bytes_in += n as u64;
                    self.state.totals.rate_in.add(n, self.state.now);
                    self.input(slot, &buffer[..n]);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break None,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Some(CloseReason::Network(e.to_string())),
            }
        };
        self.state.buffer = buffer;
        match end {
            Some(reason) => self.close(slot, reason),
            None => self.settle(slot),
        }
    }

    fn input(&mut self, slot: usize, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Some(connection) = self.state.connections.get_mut(slot) else {
                return;
            };
            if connection.is_ending() {
                // It is read on for a while, so that our last words are not lost to a
                // reset; what it says no longer matters.
                connection.io.discarded += bytes.len();
                if connection.io.discarded > self.config.limits.linger_bytes {
                    self.state.doomed.push((connection.id, CloseReason::Peer));
                }
                return;
            }
            let stage = connection.stage();
            let outcome = connection.session.handle_input(self.state.now, bytes);
            self.drain_events(slot);
            match outcome {
                Ok(used) => bytes = &bytes[used..],
                Err(error) => return self.violation(slot, stage, &error),
            }
        }
    }

    pub(super) fn drain_events(&mut self, slot: usize) {
        while let Some(connection) = self.state.connections.get_mut(slot)
            && let Some(event) = connection.session.poll_event()
        {
            self.on_event(slot, event);
        }
    }

    /// What the session wants to send goes into the queue, in order with media.
    pub(super) fn pump(&mut self, slot: usize) {
        let Some(connection) = self.state.connections.get_mut(slot) else {
            return;
        };
        let mut any = false;
        while let Some(bytes) = connection.session.poll_transmit() {
            connection.queue.push_control(bytes);
            connection.io.urgent = true;
            any = true;
        }
        if !any {
            return;
        }
        connection.chunk_size = connection.session.chunk_size();
        let waiting = connection.queue.control_bytes();
        if waiting > self.config.limits.answer_bytes {
            self.state.totals.errors.too_slow += 1;
            let reason = format!("{waiting} bytes of answers not taken");
            self.state
                .doomed
                .push((connection.id, CloseReason::TooSlow(reason)));
        }
        self.mark_dirty(slot);
    }

    /// After any work on a connection: output queued, memory counted, timer set.
    pub(super) fn settle(&mut self, slot: usize) {
        self.pump(slot);
        let Some(connection) = self.state.connections.get_mut(slot) else {
            return;
        };
        connection.account();
        if connection.is_hoarding() && self.shared.budget.is_exhausted() {
            let reason = CloseReason::Limit("limits.memory is used up".to_owned());
            self.state.doomed.push((connection.id, reason));
            self.tell_limit("limits.memory", self.config.limits.memory as u64, None);
        }
        self.rearm(slot);
    }

    /// A deadline of this connection has come, or came and went.
    pub(super) fn on_deadline(&mut self, slot: usize) {
        let now = self.state.now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        let stall = self.config.queue.stall_timeout;
        let connection = &mut self.state.connections[slot];
        if due(connection.io.linger_until) || due(connection.io.end_by) {
            let reason = connection.io.ending.clone().unwrap_or(CloseReason::Peer);
            return self.close(slot, reason);
        }
        if due(connection.io.blocked_since.map(|since| since + stall)) {
            self.state.totals.errors.too_slow += 1;
            let reason = format!("nothing taken for {} s", stall.as_secs_f32());
            return self.close(slot, CloseReason::TooSlow(reason));
        }
        if due(connection.io.coalesce_until) {
            connection.io.coalesce_until = None;
            connection.io.urgent = true;
            self.mark_dirty(slot);
        }
        if !connection_is_ending(self, slot) {
            let stage = self.state.connections[slot].stage();
            if due(self.state.connections[slot].session.poll_timeout())
                && let Err(error) = self.state.connections[slot].session.handle_timeout(now)
            {
                self.state.totals.errors.timeout += 1;
                return self.violation(slot, stage, &error);
            }
            self.drain_events(slot);
            self.expire_requests(slot);
            self.keep_alive(slot);
        }
        self.settle(slot);
    }

    fn keep_alive(&mut self, slot: usize) {
        let now = self.state.now;
        let Some(connection) = self.state.connections.get_mut(slot) else {
            return;
        };
        if self.config.rtmp.ping_interval.is_zero()
            || connection.last_input + connection.ping_due(&self.config) > now
        {
            return;
        }
        if connection.io.ping_sent {
            let silent = now.since(connection.last_input).as_secs();
            let reason =
                CloseReason::Network(format!("no answer to a ping, silent for {silent} s"));
            self.close(slot, reason);
        } else {
            connection.io.ping_sent = true;
            connection.session.ping(now.as_millis() as u32);
        }
    }

    fn expire_requests(&mut self, slot: usize) {
        let now = self.state.now;
        let Some(connection) = self.state.connections.get(slot) else {
            return;
        };
        let late: Vec<_> = connection
            .pending
            .iter()
            .filter(|p| matches!(p.waits_for, WaitsFor::Host(until) if until <= now))
            .map(|p| p.request)
            .collect();
        for request in late {
            let reason = "the decision took too long".to_owned();
            self.decide(
                self.state.connections[slot].id,
                request,
                Err(openrtmp_protocol::session::RejectReason::Unavailable(
                    reason,
                )),
            );
        }
    }

    /// Makes sure the timers know when this connection next needs a look.
    pub(super) fn rearm(&mut self, slot: usize) {
        let Some(connection) = self.state.connections.get_mut(slot) else {
            return;
        };
        let Some(deadline) = connection.deadline(&self.config) else {
            return;
        };
        let exact = connection.io.coalesce_until == Some(deadline);
        let at = if exact { deadline } else { round_up(deadline) };
        // One that stays in the past, by a mistake of ours, must not hold the
        // worker in its loop over what is due.
        let soonest = self.state.now + Duration::from_micros(GRAIN_MICROS);
        let at = if at > self.state.now { at } else { soonest };
        let timer = Timer::Connection(connection.id);
        self.state.timers.arm(timer, &mut connection.armed, at);
    }

    pub(super) fn mark_dirty(&mut self, slot: usize) {
        let connection = &mut self.state.connections[slot];
        if !connection.io.dirty {
            connection.io.dirty = true;
            self.state.dirty.push(slot);
        }
    }

    pub(super) fn mark_unread(&mut self, slot: usize) {
        let connection = &mut self.state.connections[slot];
        if !connection.io.unread {
            connection.io.unread = true;
            self.state.unread.push(slot);
        }
    }

    /// Ends who was found to be too slow, then writes what the turn queued.
    pub(super) fn finish_turn(&mut self) {
        loop {
            for (id, reason) in std::mem::take(&mut self.state.doomed) {
                if let Some(slot) = self.slot_of(id) {
                    self.close(slot, reason);
                }
            }
            // Closing may queue words for others, and flushing may close.
            let spare = std::mem::take(&mut self.state.spare);
            let mut dirty = std::mem::replace(&mut self.state.dirty, spare);
            let none = dirty.is_empty();
            for slot in dirty.drain(..) {
                self.guarded(slot, Self::flush);
            }
            self.state.spare = dirty;
            if none {
                return;
            }
        }
    }

    /// Those who had their share of the last turn's writing have it again, after
    /// whom this turn has words for.
    pub(super) fn resume_writing(&mut self) {
        for slot in std::mem::take(&mut self.state.unwritten) {
            if let Some(connection) = self.state.connections.get_mut(slot) {
                connection.io.unwritten = false;
                self.mark_dirty(slot);
            }
        }
    }

    /// One vectored write of what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self, slot: usize) {
        let now = self.platform.now();
        let config = &self.config.queue;
        let connection = &mut self.state.connections[slot];
        let mut window = connection.write_coalesce.unwrap_or(config.write_coalesce);
        if self.background {
            window = window.max(config.background_coalesce);
        }
        if !window.is_zero() {
            window = window.min(config.longest_window());
        }
        connection.io.dirty = false;
        if connection.io.unwritten {
            return;
        }
        let blocked_before = connection.io.blocked_since;
        let full = blocked_before.is_some() && !connection.io.room;
        if full || connection.io.linger_until.is_some() {
            return;
        }
        // Who was blocked goes on at once.
        if blocked_before.is_none() && connection.is_coalescing(self.state.now, window, config) {
            return self.rearm(slot);
        }
        // Not before it is used: the poller tells of it once.
        connection.io.room = false;
        let answers = connection.queue.control_bytes();
        let chunk_size = connection.chunk_size;
        let delay = &mut connection.delay;
        let written =
            connection
                .queue
                .write_to(&mut connection.socket, chunk_size, WRITE_BUDGET, |packet| {
                    if let Some(histogram) = delay {
                        histogram.record(now.since(packet.received));
                    }
                });
        let Written { bytes, end } = match written {
            Ok(outcome) => outcome,
            Err(e) => return self.close(slot, CloseReason::Network(e.to_string())),
        };
        connection.bytes_out += bytes as u64;
        if answers > 0 {
            connection.account();
        }
        let blocked = end == WriteEnd::Blocked;
        if end == WriteEnd::Budget {
            connection.io.urgent = true;
            connection.io.unwritten = true;
            self.state.unwritten.push(slot);
        }
        // A poller may tell of room where there is none: that is no progress.
        let since = blocked_before.filter(|_| bytes == 0).unwrap_or(now);
        connection.io.blocked_since = blocked.then_some(since);
        self.state.totals.bytes_out += bytes as u64;
        let outgoing = self.state.totals.rate_out.add(bytes, now);
        if blocked != connection.io.watching {
            let watched = self
                .poller
                .watch_writable(&mut connection.socket, Token(slot), blocked);
            if let Err(e) = watched {
                return self.close(slot, CloseReason::Network(e.to_string()));
            }
            connection.io.watching = blocked;
        }
        if connection.queue.is_empty() && connection.is_ending() {
            // Everything is said. The peer reads it and closes; if it does not, we do.
            let _ = connection.socket.shutdown_write();
            connection.io.linger_until = Some(now + self.config.limits.linger);
        }
        // Of one that keeps up, no deadline has come nearer.
        if blocked || connection.is_ending() {
            self.rearm(slot);
        }
        if let Some(rate) = outgoing {
            self.warn_outgoing(rate);
        }
    }

    fn warn_outgoing(&self, rate: u64) {
        let limit = self.config.limits.outgoing_bitrate;
        // Each worker sends its share; the limit is for all of them.
        let share = limit / self.shared.inboxes.len() as u64;
        if limit > 0 && rate > share {
            self.emit(Event::LimitReached {
                limit: "limits.outgoing_bitrate",
                value: limit,
                connection: None,
            });
        }
    }

    /// The peer broke the protocol: one line, and it is closed, after what the
    /// session still had to say, if anything.
    /// `stage` is the one it was in: the error has closed the session.
    fn violation(&mut self, slot: usize, stage: Stage, error: &SessionError) {
        let Some(connection) = self.state.connections.get(slot) else {
            return;
        };
        let stage = stage_name(stage);
        if self.may_log(Cause::Violation, log::Level::Warn) {
            log::warn!(
                peer:% = connection.peer, connection:% = connection.id, stage = stage;
                "connection closed: {error}"
            );
        }
        let text = format!("{stage}: {error}");
        if error.is_out_of_memory() {
            return self.end(slot, CloseReason::Limit(text));
        }
        if !matches!(error, SessionError::Timeout { .. }) {
            self.state.totals.errors.protocol += 1;
        }
        self.end(slot, CloseReason::Protocol(text));
    }

    /// Ends a connection after what waits is sent, if anything.
    pub(super) fn end(&mut self, slot: usize, reason: CloseReason) {
        self.pump(slot);
        let Some(connection) = self.state.connections.get_mut(slot) else {
            return;
        };
        if connection.queue.is_empty() {
            return self.close(slot, reason);
        }
        connection.io.ending.get_or_insert(reason);
        let end_by = self.state.now + self.config.queue.stall_timeout;
        connection.io.end_by.get_or_insert(end_by);
        self.rearm(slot);
        self.release(slot);
        self.mark_dirty(slot);
    }

    /// Ends a connection now.
    pub(super) fn close(&mut self, slot: usize, reason: CloseReason) {
        self.release(slot);
        let Some(mut connection) = self.state.connections.try_remove(slot) else {
            return;
        };
        let timer = Timer::Connection(connection.id);
        self.state.timers.disarm(timer, &mut connection.armed);
        let _ = self.poller.remove_stream(&mut connection.socket);
        let reason = connection.io.ending.take().unwrap_or(reason);
        if matches!(reason, CloseReason::Network(_)) {
            self.state.totals.errors.network += 1;
        }
        self.shared.connections.fetch_sub(1, Ordering::AcqRel);
        if self.may_log(Cause::Connection, log::Level::Debug) {
            log::debug!(
                peer:% = connection.peer, connection:% = connection.id, reason:% = reason;
                "connection closed"
            );
        }
        self.emit(Event::ConnectionClosed {
            connection: connection.id,
            peer: connection.peer,
            reason,
        });
    }

    /// Gives up what a connection publishes, plays and waits for.
    fn release(&mut self, slot: usize) {
        let Some(connection) = self.state.connections.get_mut(slot) else {
            return;
        };
        let id = connection.id;
        let publishing = std::mem::take(&mut connection.publishing);
        let playing = std::mem::take(&mut connection.playing);
        let pending = std::mem::take(&mut connection.pending);
        for publication in publishing {
            self.unpublish(&publication);
        }
        for (message_stream, stream) in playing {
            self.unsubscribe(stream, id, message_stream);
        }
        for request in pending {
            self.withdraw(id, request);
        }
    }
}

fn connection_is_ending<P: Platform>(worker: &Worker<P>, slot: usize) -> bool {
    worker
        .state
        .connections
        .get(slot)
        .is_none_or(|c| c.is_ending())
}

fn round_up(at: Time) -> Time {
    Time::from_micros(at.as_micros().div_ceil(GRAIN_MICROS) * GRAIN_MICROS)
}
