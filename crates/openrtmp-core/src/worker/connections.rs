//! The connections of a worker: found, written to, watched for their deadlines.
//!
//! [`Connections`] knows bytes and time. What a connection publishes, plays and asks
//! for is the business of the modules beside it.

use std::collections::VecDeque;
use std::io::{self, Write as _};

use openrtmp_protocol::Time;

use super::connection::{Connection, FRAME_BYTES};
use super::context::Context;
use super::end::End;
use super::slots::Slots;
use super::timers::{self, Timer};
use super::work;
use crate::events::CloseReason;
use crate::id::{ConnectionId, IdMap};
use crate::limit::Limit;
use crate::platform::{Platform, Stream, Token};
use crate::stream::queue::{WriteEnd, Written};

/// Bytes written to one connection in one turn, so that what joining players get
/// at once does not hold up those who are still connecting.
const WRITE_BUDGET: usize = 128 * 1024;

/// With more than this waiting, a connection is written to behind those that wait for
/// less: a few packets to each of many must not wait for a few who get a whole GOP.
const MUCH: usize = WRITE_BUDGET / 2;

/// The connections of one worker.
pub(super) struct Connections<S> {
    slots: Slots<Connection<S>>,
    by_id: IdMap<ConnectionId, usize>,
    /// To be written to at the end of the turn.
    dirty: Vec<usize>,
    /// Takes the place of `dirty` while that is being worked on.
    spare: Vec<usize>,
    /// For whom much waits: written to behind the others, in turns.
    unwritten: VecDeque<usize>,
    /// To be read again in the next turn.
    unread: Vec<usize>,
}

/// A connection is to end for what it holds or does beyond a limit.
pub(super) struct OverLimit {
    pub(super) limit: Limit,
    /// Fit to be shown, to the peer too.
    pub(super) reason: String,
}

/// One place on the list of those to be written to.
pub(super) struct Dirty<'a> {
    list: &'a mut Vec<usize>,
    slot: usize,
}

impl Dirty<'_> {
    pub(super) fn mark<S>(self, connection: &mut Connection<S>) {
        if !connection.io.dirty {
            connection.io.dirty = true;
            self.list.push(self.slot);
        }
    }
}

impl<S> Default for Connections<S> {
    fn default() -> Connections<S> {
        Connections {
            slots: Slots::default(),
            by_id: IdMap::default(),
            dirty: Vec::new(),
            spare: Vec::new(),
            unwritten: VecDeque::new(),
            unread: Vec::new(),
        }
    }
}

impl<S: Stream> Connections<S> {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn get(&self, slot: usize) -> Option<&Connection<S>> {
        self.slots.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Connection<S>> {
        self.slots.get_mut(slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection<S>> {
        self.slots.iter().map(|(_, connection)| connection)
    }

    /// A connection is about to be given a frame, or written to: what that needs of it is
    /// asked for.
    #[inline]
    pub(super) fn prefetch(&self, slot: usize) {
        self.slots.prefetch::<FRAME_BYTES>(slot);
    }

    /// The slots in use, so that each can be worked on while they change.
    pub(super) fn all_slots(&self) -> Vec<usize> {
        self.slots.iter().map(|(slot, _)| slot).collect()
    }

    pub(super) fn slot_of(&self, id: ConnectionId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// Takes a connection in: its socket is watched, and read in the next turn, for
    /// the edge that told of bytes may have come before.
    ///
    /// # Errors
    /// The poller's, with the connection.
    pub(super) fn insert<P: Platform<Stream = S>>(
        &mut self,
        context: &mut Context<P>,
        mut connection: Connection<S>,
    ) -> Result<usize, (io::Error, Box<Connection<S>>)> {
        let slot = self.slots.vacant();
        let registered = connection
            .transport
            .register(&mut context.poller, Token(slot));
        if let Err(e) = registered {
            return Err((e, Box::new(connection)));
        }
        self.by_id.insert(connection.cold.id, slot);
        self.slots.insert(connection);
        self.rearm(context, slot);
        self.mark_unread(slot);
        Ok(slot)
    }

    /// Takes a connection out: neither the poller nor the timers report it any more.
    pub(super) fn remove<P: Platform<Stream = S>>(
        &mut self,
        context: &mut Context<P>,
        slot: usize,
    ) -> Option<Connection<S>> {
        let mut connection = self.slots.remove(slot)?;
        self.by_id.remove(&connection.cold.id);
        let timer = Timer::Connection(connection.cold.id);
        context.timers.disarm(timer, &mut connection.cold.armed);
        let _ = connection.transport.deregister(&mut context.poller);
        Some(connection)
    }

    pub(super) fn mark_dirty(&mut self, slot: usize) {
        if let Some((connection, dirty)) = self.for_writing(slot) {
            dirty.mark(connection);
        }
    }

    /// A connection, and the list of those to be written to.
    pub(super) fn for_writing(&mut self, slot: usize) -> Option<(&mut Connection<S>, Dirty<'_>)> {
        let list = &mut self.dirty;
        let connection = self.slots.get_mut(slot)?;
        Some((connection, Dirty { list, slot }))
    }

    pub(super) fn mark_unread(&mut self, slot: usize) {
        if let Some(connection) = self.slots.get_mut(slot)
            && !connection.cold.reading.unread
            && connection.cold.reading.paused_until.is_none()
        {
            connection.cold.reading.unread = true;
            self.unread.push(slot);
        }
    }

    /// One that was to be read is not: its turn comes in the next.
    pub(super) fn put_off_reading(&mut self, slot: usize, now: Time) {
        if let Some(connection) = self.slots.get_mut(slot) {
            connection.hold(now);
        }
        self.mark_unread(slot);
    }

    /// What a connection just did is taken from its share of this second. One that took
    /// more than that is not read for a while. Why it is to end, if it lives on more
    /// messages than it may.
    pub(super) fn take_from_share<P: Platform<Stream = S>>(
        &mut self,
        context: &mut Context<P>,
        slot: usize,
        units: u64,
    ) -> Option<OverLimit> {
        let now = context.now;
        let connection = self.slots.get_mut(slot)?;
        connection.cold.recent_work.add(units, now);
        let share = context.config.limits.connection_work;
        if let Some(pause) = connection.cold.work.take_work(units, share, now) {
            connection.hold(now);
            connection.cold.reading.paused_until = Some(now + pause);
            context.report_limit(Limit::ConnectionWork, Some(connection.cold.id));
        }
        let received = connection.cold.session.messages_received();
        let more = received - connection.cold.counted_messages;
        connection.cold.counted_messages = received;
        let rate = context.config.limits.message_rate;
        let is_over =
            !connection.cold.messages.take_messages(more, rate, now) && !connection.is_ending();
        let limit = Limit::MessageRate;
        is_over.then(|| OverLimit {
            limit,
            reason: format!("lives on more than {rate} messages a second, {limit}"),
        })
    }

    /// The pause of one that took more than its share is over.
    pub(super) fn end_pause(&mut self, slot: usize, now: Time) {
        if let Some(connection) = self.slots.get_mut(slot)
            && connection
                .cold
                .reading
                .paused_until
                .is_some_and(|until| until <= now)
        {
            connection.cold.reading.paused_until = None;
            self.mark_unread(slot);
        }
    }

    /// The poller reported that a socket takes bytes.
    pub(super) fn on_writable(&mut self, slot: usize) {
        if let Some(connection) = self.slots.get_mut(slot) {
            connection.io.writable = true;
            self.mark_dirty(slot);
        }
    }

    /// True if there is work for the next turn whatever the poller says.
    pub(super) fn has_work(&self) -> bool {
        !self.unread.is_empty() || !self.unwritten.is_empty() || !self.dirty.is_empty()
    }

    /// Those to be read. If some are left over from the last turn there is more than one
    /// turn's work, and they come in the order of [`Connection::precedence`].
    pub(super) fn take_unread(&mut self, now: Time, pressed: bool) -> Vec<usize> {
        let mut unread = std::mem::take(&mut self.unread);
        if pressed {
            unread.sort_by_cached_key(|&slot| self.get(slot).map(|c| c.precedence(now)));
        }
        unread
    }

    /// True if a connection was not read to its end in the last turn.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// How many there are for whom much waits.
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    /// The next for whom much waits.
    pub(super) fn next_unwritten(&mut self) -> Option<usize> {
        let slot = self.unwritten.pop_front()?;
        if let Some(connection) = self.slots.get_mut(slot) {
            connection.io.unwritten = false;
        }
        Some(slot)
    }

    /// Writes to one for whom little waits; one for whom much does has its turn behind
    /// those.
    pub(super) fn flush_small<P: Platform<Stream = S>>(
        &mut self,
        context: &mut Context<P>,
        slot: usize,
        now: Time,
    ) {
        if let Some(connection) = self.slots.get_mut(slot)
            && connection.queue.bytes() > MUCH
            && !connection.io.unwritten
        {
            connection.io.dirty = false;
            connection.io.unwritten = true;
            return self.unwritten.push_back(slot);
        }
        self.flush(context, slot, now);
    }

    /// Those to be written to, in order. Give the list back with
    /// [`Connections::give_back`].
    pub(super) fn take_dirty(&mut self) -> Vec<usize> {
        let spare = std::mem::take(&mut self.spare);
        std::mem::replace(&mut self.dirty, spare)
    }

    /// The first `done` were written to; the others come first in the next turn.
    pub(super) fn give_back(&mut self, mut dirty: Vec<usize>, done: usize) {
        dirty.drain(..done);
        if !dirty.is_empty() {
            dirty.append(&mut self.dirty);
            std::mem::swap(&mut dirty, &mut self.dirty);
        }
        self.spare = dirty;
    }

    /// A connection is over, whatever it is still owed: it is closed at the end of its
    /// own turn, or of the worker's.
    pub(super) fn doom(&mut self, slot: usize, reason: CloseReason) {
        if let Some(connection) = self.slots.get_mut(slot) {
            connection.end.finish(reason);
            self.mark_dirty(slot);
        }
    }

    /// What the session wants to send goes into the queue, in order with media.
    pub(super) fn pump<P: Platform<Stream = S>>(&mut self, context: &mut Context<P>, slot: usize) {
        let Some(connection) = self.slots.get_mut(slot) else {
            return;
        };
        let mut any = false;
        while let Some(bytes) = connection.cold.session.poll_transmit() {
            connection.queue.push_control(bytes, context.now);
            connection.io.urgent = true;
            any = true;
        }
        if !any {
            return;
        }
        connection.chunk_size = connection.cold.session.chunk_size();
        let waiting = connection.queue.control_bytes();
        if waiting > context.config.limits.answer_bytes {
            context.totals.errors.too_slow += 1;
            context.report_limit(Limit::AnswerBytes, Some(connection.cold.id));
            let reason = format!("{waiting} bytes of answers not taken");
            connection.end.finish(CloseReason::TooSlow(reason));
        }
        self.mark_dirty(slot);
    }

    /// After any work on a connection: output queued, memory counted, timer set.
    pub(super) fn settle<P: Platform<Stream = S>>(
        &mut self,
        context: &mut Context<P>,
        slot: usize,
    ) {
        self.pump(context, slot);
        let Some(connection) = self.slots.get_mut(slot) else {
            return;
        };
        connection.account(context.now);
        if connection.transport.wants_write() {
            connection.io.urgent = true;
            self.mark_dirty(slot);
        }
        self.rearm(context, slot);
    }

    /// Why a connection is to end that holds much of what it said while memory is short, if
    /// it does. Who publishes may go on while it is not the one that holds most.
    pub(super) fn hoards<P: Platform<Stream = S>>(
        &self,
        context: &Context<P>,
        slot: usize,
    ) -> Option<OverLimit> {
        let connection = self.get(slot)?;
        let hoards = connection.cold.publishing.is_empty()
            && connection.is_hoarding(context.now)
            && context.shared.budget.is_short();
        let limit = Limit::Memory;
        hoards.then(|| OverLimit {
            limit,
            reason: format!("{limit} is used up"),
        })
    }

    /// Makes sure the timers know when this connection next needs a look.
    pub(super) fn rearm<P: Platform<Stream = S>>(&mut self, context: &mut Context<P>, slot: usize) {
        let Some(connection) = self.slots.get_mut(slot) else {
            return;
        };
        let Some(deadline) = connection.deadline(&context.config) else {
            return;
        };
        let exact = [connection.io.coalesce_until, connection.cold.doze.until()];
        let at = match exact.contains(&Some(deadline)) {
            true => deadline,
            false => timers::round_up(deadline),
        };
        // One that stays in the past, by a mistake of ours, must not hold the
        // worker in its loop over what is due.
        let at = match at > context.now {
            true => at,
            false => context.now + timers::GRAIN,
        };
        let timer = Timer::Connection(connection.cold.id);
        context.timers.arm(timer, &mut connection.cold.armed, at);
    }

    /// One vectored write of what waits, as far as the socket takes it.
    pub(super) fn flush<P: Platform<Stream = S>>(
        &mut self,
        context: &mut Context<P>,
        slot: usize,
        now: Time,
    ) {
        let Some(connection) = self.slots.get_mut(slot) else {
            return;
        };
        let config = &context.config.queue;
        let beats = context.conditions.collects();
        connection.io.dirty = false;
        if connection.io.unwritten {
            return;
        }
        let blocked_before = connection.io.blocked_since;
        let full = blocked_before.is_some() && !connection.io.writable;
        if full || connection.end.is_silent() {
            return connection.note_share(now);
        }
        // Who was blocked goes on at once.
        if blocked_before.is_none() && connection.is_coalescing(context.now, beats, config) {
            return self.rearm(context, slot);
        }
        // Not before it is used: the poller reports it once.
        connection.io.writable = false;
        let answers = connection.queue.control_bytes();
        let chunk_size = connection.chunk_size;
        let delay = &mut connection.delay;
        let written = connection.queue.write_to(
            &mut connection.transport,
            chunk_size,
            WRITE_BUDGET,
            |packet| {
                if let Some(meter) = delay {
                    meter.record_sent(packet.payload().len(), packet.received, now);
                }
            },
        );
        let written = written.and_then(|written| match connection.transport.flush() {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Written {
                end: WriteEnd::Blocked,
                ..written
            }),
            flushed => flushed.map(|()| written),
        });
        let Written { bytes, end } = match written {
            Ok(outcome) => outcome,
            Err(e) => return connection.end.finish(CloseReason::Network(e.to_string())),
        };
        connection.bytes_out += bytes as u64;
        if beats && bytes > 0 {
            connection.cold.doze.wrote = context.now;
        }
        context.totals.system_calls += 1;
        context.work += work::WRITE + (bytes / work::WRITTEN_BYTES) as u64;
        context.work += connection.transport.take_work();
        let blocked = end == WriteEnd::Blocked;
        if end == WriteEnd::Budget {
            connection.io.urgent = true;
            connection.io.unwritten = true;
            self.unwritten.push_back(slot);
        }
        connection.io.blocked_since = match blocked {
            // A poller may report room where there is none: that is no progress.
            true => blocked_before.filter(|_| bytes == 0).or(Some(now)),
            false => None,
        };
        // What waits in a transport has changed if the socket is full, or was.
        if answers > 0 || blocked || blocked_before.is_some() {
            connection.account(now);
        } else if end != WriteEnd::Drained || connection.share.is_listed() {
            connection.note_share(now);
        }
        context.totals.bytes_out += bytes as u64;
        if blocked != connection.io.watching {
            let poller = &mut context.poller;
            let watched = connection.wake(poller, Token(slot)).and_then(|()| {
                let transport = &mut connection.transport;
                transport.watch_writable(poller, Token(slot), blocked)
            });
            if let Err(e) = watched {
                return connection.end.finish(CloseReason::Network(e.to_string()));
            }
            connection.io.watching = blocked;
        }
        if matches!(connection.end, End::Sending(_)) && connection.is_flushed() {
            // Everything is said. The peer reads it and closes; if it does not, we do.
            let _ = connection.transport.close();
            connection.end.linger(now + context.config.limits.linger);
        }
        // Of one that keeps up, no deadline has come nearer.
        if blocked || connection.is_ending() {
            self.rearm(context, slot);
        }
    }

    /// Ends a connection once what waits is sent, or at once if nothing does.
    pub(super) fn end<P: Platform<Stream = S>>(
        &mut self,
        context: &mut Context<P>,
        slot: usize,
        reason: CloseReason,
    ) {
        self.pump(context, slot);
        let Some(connection) = self.slots.get_mut(slot) else {
            return;
        };
        if connection.is_flushed() {
            connection.end.finish(reason);
        } else {
            let until = context.now + context.config.queue.stall_timeout;
            connection.end.begin(reason, until);
            self.rearm(context, slot);
        }
        self.mark_dirty(slot);
        // Its own end is waited for.
        self.rouse(slot);
    }

    /// Memory is short, and this connection was found to hold most of what is stuck. Why it
    /// is to end, if that is so still.
    pub(super) fn give_way<P: Platform<Stream = S>>(
        &mut self,
        context: &mut Context<P>,
        slot: usize,
    ) -> Option<OverLimit> {
        let connection = self.slots.get_mut(slot)?;
        // Those who were asked are out of the sum; this one is to count again.
        connection.share.stay();
        if !connection.is_to_give_way(context.now) {
            connection.note_share(context.now);
            return None;
        }
        context.totals.errors.too_slow += 1;
        let (limit, held) = (Limit::Memory, connection.held_bytes());
        Some(OverLimit {
            limit,
            reason: format!("{limit} is used up; it holds {held} bytes"),
        })
    }

    /// The deadline that is written in a connection's end, or of a write that takes
    /// nothing, has come. True if it is over.
    pub(super) fn is_overdue<P: Platform<Stream = S>>(
        &mut self,
        context: &mut Context<P>,
        slot: usize,
    ) -> bool {
        let Some(connection) = self.slots.get_mut(slot) else {
            return true;
        };
        let due = |at: Option<Time>| at.is_some_and(|at| at <= context.now);
        let stall = context.config.queue.stall_timeout;
        let reason = if due(connection.end.deadline()) {
            let limit = match connection.end {
                End::Lingering(_) => Limit::Linger,
                _ => Limit::StallTimeout,
            };
            context.report_limit(limit, Some(connection.cold.id));
            CloseReason::Peer
        } else if due(connection.io.blocked_since.map(|since| since + stall)) {
            context.totals.errors.too_slow += 1;
            context.report_limit(Limit::StallTimeout, Some(connection.cold.id));
            CloseReason::TooSlow(format!("nothing taken for {} s", stall.as_secs_f32()))
        } else {
            return connection.end.is_due();
        };
        connection.end.finish(reason);
        true
    }
}
