//! A worker: one thread, one poller, its connections, the streams that live
//! here and the subscribers it feeds.
//!
//! # A turn
//!
//! [`Worker::turn`] waits for readiness, then: reads (a budget per connection,
//! the rest next turn), carries out commands of the inbox, looks at deadlines
//! that have come, and writes, once per connection, what all that queued. There
//! is no tick: it waits until the next deadline, or for ever.
//!
//! # Files
//!
//! [`connection`] holds a peer's state, [`traffic`] moves its bytes, [`requests`]
//! answers what its session asks, [`streams`] is the home side of streams,
//! [`feeds`] the subscribers' side, [`accept`] the listeners, [`report`] the
//! numbers, [`inbox`] what others may ask of a worker.

mod accept;
mod connection;
mod feeds;
pub(crate) mod inbox;
mod report;
mod requests;
mod streams;
mod timers;
mod traffic;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openrtmp_protocol::Time;
use slab::Slab;

pub(crate) use accept::{Handoff, Listening};
use connection::Connection;
use feeds::Feed;
use inbox::{Command, Outlet};
use timers::{Timer, Timers};

use crate::config::Config;
use crate::events::{CloseReason, Event};
use crate::id::{ConnectionId, PublisherId, StreamId};
use crate::log_limit::Cause;
use crate::metrics::{ErrorCounts, Rate};
use crate::platform::{Platform, Poller, Readiness, Token};
use crate::shared::Shared;
use crate::stream::stream::Stream;

/// Bytes read at once. One buffer per worker, shared by its connections.
const READ_BUFFER: usize = 256 * 1024;

/// After waiting for sockets failed, the next try.
const POLL_RETRY: Duration = Duration::from_millis(10);

/// Commands carried out in one turn before sockets are looked at again.
const COMMANDS_PER_TURN: usize = 4096;

/// A worker. [`Worker::run`] is its thread; a simulation calls [`Worker::turn`].
pub(crate) struct Worker<P: Platform> {
    index: usize,
    platform: Arc<P>,
    shared: Arc<Shared>,
    /// The settings in force: no lock on the way of a frame.
    config: Arc<Config>,
    poller: P::Poller,
    outlet: Outlet,
    handoff: Arc<Handoff<P::Stream>>,
    /// On worker 0.
    listeners: Vec<Listening<P::Listener>>,
    /// Listeners there were, for their tokens.
    listened: usize,
    state: State<P::Stream>,
    /// Survives a restart, so that a stale id stays stale.
    generation: u32,
    /// The host is in the background: writes are collected.
    background: bool,
    /// Subscriptions there were, for the same reason.
    joins: u64,
}

/// What is lost when a worker has to be restarted. Maps are ordered, so that a
/// seed fixes the course of a simulation.
struct State<S> {
    now: Time,
    connections: Slab<Connection<S>>,
    /// Streams that live here.
    streams: BTreeMap<StreamId, Stream>,
    /// Streams with subscribers here.
    feeds: BTreeMap<StreamId, Feed>,
    timers: Timers,
    ready: Vec<Readiness>,
    buffer: Vec<u8>,
    /// To be written to at the end of the turn.
    dirty: Vec<usize>,
    /// Room of `dirty` while that is being worked on.
    spare: Vec<usize>,
    /// To be written to again in the next turn.
    unwritten: Vec<usize>,
    /// To be read again in the next turn.
    unread: Vec<usize>,
    /// Found to be ended while others were being served.
    doomed: Vec<(ConnectionId, CloseReason)>,
    /// Set while stopping: the moment of force.
    draining: Option<Time>,
    accept_paused: bool,
    /// More connections wait than one turn accepts.
    unaccepted: bool,
    /// Connections in the order they came, those that got on included until
    /// they are looked at.
    newcomers: VecDeque<ConnectionId>,
    next_worker: usize,
    totals: Totals,
}

/// Counters of this worker.
#[derive(Default)]
struct Totals {
    turns: u64,
    bytes_in: u64,
    bytes_out: u64,
    rate_in: Rate,
    rate_out: Rate,
    errors: ErrorCounts,
    dropped_frames: u64,
}

impl<S> State<S> {
    fn new() -> State<S> {
        State {
            now: Time::ZERO,
            connections: Slab::new(),
            streams: BTreeMap::new(),
            feeds: BTreeMap::new(),
            timers: Timers::default(),
            ready: Vec::new(),
            buffer: Vec::new(),
            dirty: Vec::new(),
            spare: Vec::new(),
            unwritten: Vec::new(),
            unread: Vec::new(),
            doomed: Vec::new(),
            draining: None,
            accept_paused: false,
            unaccepted: false,
            newcomers: VecDeque::new(),
            next_worker: 0,
            totals: Totals::default(),
        }
    }
}

impl<P: Platform> Worker<P> {
    pub(crate) fn new(
        index: usize,
        platform: Arc<P>,
        shared: Arc<Shared>,
        poller: P::Poller,
        outlet: Outlet,
        handoff: Arc<Handoff<P::Stream>>,
    ) -> Worker<P> {
        Worker {
            index,
            platform,
            config: shared.config(),
            shared,
            poller,
            outlet,
            handoff,
            listeners: Vec::new(),
            listened: 0,
            state: State::new(),
            generation: 0,
            background: false,
            joins: 0,
        }
    }

    /// Serves until the drain is over. A panic that was not caught closer to its
    /// cause costs this worker's connections, not the server (E1).
    pub(crate) fn run(&mut self) {
        loop {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                loop {
                    match self.turn() {
                        Ok(true) => {}
                        Ok(false) => return,
                        Err(e) => {
                            if self.may_log(Cause::Poll, log::Level::Error) {
                                log::error!(worker = self.index; "waiting for sockets failed: {e}");
                            }
                            std::thread::sleep(POLL_RETRY);
                        }
                    }
                }
            }));
            match outcome {
                Ok(()) => return,
                Err(_) => self.restart(),
            }
        }
    }

    /// One turn. False when the drain is over. An error is that of waiting for
    /// sockets; all else was done.
    pub(crate) fn turn(&mut self) -> io::Result<bool> {
        let idle = self.state.unread.is_empty()
            && self.state.unwritten.is_empty()
            && !self.state.unaccepted;
        let timeout = if idle {
            self.state
                .timers
                .next()
                .map(|at| at.since(self.platform.now()))
        } else {
            Some(Duration::ZERO)
        };
        let mut ready = std::mem::take(&mut self.state.ready);
        ready.clear();
        let polled = match self.poller.poll(timeout, &mut ready) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
            _ => Ok(()),
        };
        self.state.now = self.platform.now();
        self.state.totals.turns += 1;

        for slot in std::mem::take(&mut self.state.unread) {
            self.guarded(slot, Self::read);
        }
        if self.state.unaccepted {
            self.accept();
        }
        for readiness in &ready {
            self.on_ready(*readiness);
        }
        self.state.ready = ready;
        self.carry_out_commands();
        while let Some(timer) = self.state.timers.pop_due(self.state.now) {
            self.on_timer(timer);
        }
        self.resume_writing();
        self.finish_turn();
        if let Some(at) = self.shared.log_limit.alarm() {
            self.state.timers.set(at, Timer::Lines);
        }
        let drained = self.is_drained();
        if drained {
            // What the host still publishes.
            self.end_all_streams();
            return Ok(false);
        }
        polled.map(|()| true)
    }

    /// Whether a line that a peer caused may be written.
    fn may_log(&self, cause: Cause, level: log::Level) -> bool {
        log::log_enabled!(level) && self.shared.log_limit.admits(cause, self.state.now)
    }

    /// Tells of a limit that was reached, a few times a second at most: a flood
    /// must not push other events out of the host's queue.
    fn tell_limit(&self, limit: &'static str, value: u64, connection: Option<ConnectionId>) {
        if !self.shared.log_limit.admits(Cause::Limit, self.state.now) {
            return;
        }
        log::warn!(limit = limit, value = value; "{limit} is reached: {value}");
        self.emit(Event::LimitReached {
            limit,
            value,
            connection,
        });
    }

    #[cfg(test)]
    pub(crate) fn timers(&self) -> usize {
        self.state.timers.len()
    }

    fn on_ready(&mut self, readiness: Readiness) {
        let Token(token) = readiness.token;
        if self.is_listener(token) {
            self.accept();
            return;
        }
        if readiness.writable
            && let Some(connection) = self.state.connections.get_mut(token)
        {
            connection.io.room = true;
            self.mark_dirty(token);
        }
        if readiness.readable {
            self.guarded(token, Self::read);
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Connection(id) => {
                if let Some(slot) = self.slot_of(id) {
                    self.state.connections[slot].armed = None;
                    self.guarded(slot, Self::on_deadline);
                }
            }
            Timer::Stream(id) => self.on_grace_over(id),
            Timer::Accept => self.resume_accept(),
            Timer::Lines => self.shared.log_limit.flush(self.state.now),
            Timer::Drain => self.force(),
        }
    }

    fn carry_out_commands(&mut self) {
        self.outlet.begin();
        for _ in 0..COMMANDS_PER_TURN {
            let Some(command) = self.outlet.next() else {
                return;
            };
            self.carry_out(command);
        }
        // There may be more: come back without waiting for a wake-up.
        self.shared.inboxes[self.index].send(Command::Adopt);
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Adopt => self.adopt(),
            Command::Publish(grant) => self.start_publication(*grant),
            Command::Media {
                stream,
                epoch,
                kind,
                timestamp,
                payload,
                credit,
            } => {
                self.ingest(stream, epoch, kind, timestamp, payload);
                drop(credit);
            }
            Command::Unpublish { stream, epoch } => self.end_publication(stream, epoch),
            Command::EndPublish {
                connection,
                stream,
                reason,
            } => {
                self.end_publish(connection, stream, &reason);
            }
            Command::RetryPublish {
                connection,
                request,
                stream,
            } => {
                self.retry(connection, request);
                // It may have left, or been refused: then it is another's turn.
                self.call_next(stream);
            }
            Command::Join {
                stream,
                worker,
                join,
            } => self.join(stream, worker, join),
            Command::Leave { stream, worker } => self.forget_feed(stream, worker),
            Command::Snapshot {
                stream,
                join,
                has_video,
                packets,
            } => self.deliver_snapshot(stream, join, has_video, &packets),
            Command::Feed { stream, packet } => self.fan_out(stream, &packet),
            Command::StreamUp { stream } => self.stream_up(stream),
            Command::StreamRestart { stream } => self.stream_restart(stream),
            Command::StreamDown { stream } => self.stream_down(stream),
            Command::Tap { stream, tap } => self.attach_tap(stream, tap),
            Command::Decide {
                connection,
                request,
                decision,
            } => {
                self.decide(connection, request, decision);
            }
            Command::Disconnect {
                connection,
                reason,
                answer,
            } => {
                #[cfg(test)]
                assert_ne!(reason, crate::sim_tests::PANIC, "asked for by a test");
                let found = self.disconnect(connection, reason);
                if let Some(answer) = answer {
                    let _ = answer.send(found);
                }
            }
            Command::SetWriteCoalesce {
                connection,
                window,
                answer,
            } => {
                let slot = self.slot_of(connection);
                if let Some(slot) = slot {
                    self.state.connections[slot].write_coalesce = window;
                }
                let _ = answer.send(slot.is_some());
            }
            Command::SetBackground(on) => self.background = on,
            Command::EndStream { stream, reason } => self.kick_publisher(stream, &reason),
            Command::Revoke { key } => self.revoke(&key),
            Command::Configure(config, in_force) => {
                self.configure(config);
                drop(in_force);
            }
            Command::Listen { addresses, answer } => {
                // None while stopping: the drop of the sender says so.
                if self.state.draining.is_none() {
                    let _ = answer.send(self.listen_on(&addresses));
                }
            }
            Command::Inspect(answer) => {
                // The host may have given up waiting.
                let _ = answer.send(self.report());
            }
            Command::Drain { deadline } => self.drain(deadline),
        }
    }

    /// Runs the work of one connection. Its panic is its end, nobody else's (E1).
    fn guarded(&mut self, slot: usize, work: fn(&mut Worker<P>, usize)) {
        if !self.state.connections.contains(slot) {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| work(self, slot))).is_err() {
            if self.may_log(Cause::Panic, log::Level::Error) {
                log::error!(worker = self.index; "panic while serving a connection; it is closed");
            }
            self.state.totals.errors.internal += 1;
            self.close(slot, CloseReason::Internal);
        }
    }

    fn slot_of(&self, id: ConnectionId) -> Option<usize> {
        let slot = id.slot();
        (self.state.connections.get(slot)?.id == id).then_some(slot)
    }

    /// The host ends a connection. False if there is none, or it is ending already.
    fn disconnect(&mut self, connection: ConnectionId, reason: String) -> bool {
        let slot = self.slot_of(connection);
        let slot = slot.filter(|&slot| !self.state.connections[slot].is_ending());
        if let Some(slot) = slot {
            self.end(slot, CloseReason::Host(reason));
        }
        slot.is_some()
    }

    /// Other settings, from here on.
    fn configure(&mut self, config: Arc<Config>) {
        self.config = config;
        let slots: Vec<usize> = self.state.connections.iter().map(|(s, _)| s).collect();
        // A deadline may have come nearer; one that has not is looked at when the
        // old one comes.
        for slot in slots {
            self.rearm(slot);
        }
    }

    fn emit(&self, event: Event) {
        if !self.shared.events.is_none() {
            self.shared.events.send(event);
        }
    }

    /// Stopping: the listeners go at once, peers are told, the deadline forces.
    fn drain(&mut self, deadline: Time) {
        let first = self.state.draining.is_none();
        let deadline = self.state.draining.map_or(deadline, |d| d.min(deadline));
        self.state.draining = Some(deadline);
        self.state.timers.set(deadline, Timer::Drain);
        self.drop_listeners();
        self.adopt();
        if first {
            let slots: Vec<usize> = self
                .state
                .connections
                .iter()
                .map(|(slot, _)| slot)
                .collect();
            for slot in slots {
                self.guarded(slot, Self::tell_drain);
            }
            self.end_streams_in_grace();
        }
        if deadline <= self.state.now {
            self.force();
        }
    }

    /// Streams here may have publishers and players elsewhere: they go on until
    /// those have left too. The host's own publisher cannot be told to.
    fn is_drained(&self) -> bool {
        self.state.draining.is_some()
            && self.state.connections.is_empty()
            && self.state.streams.values().all(|stream| {
                stream.feeds.is_empty()
                    && matches!(stream.publisher, None | Some(PublisherId::Host(_)))
            })
    }

    fn force(&mut self) {
        if self
            .state
            .draining
            .is_none_or(|deadline| deadline > self.state.now)
        {
            return;
        }
        let slots: Vec<usize> = self
            .state
            .connections
            .iter()
            .map(|(slot, _)| slot)
            .collect();
        self.shared.forced.fetch_add(slots.len(), Ordering::AcqRel);
        for slot in slots {
            self.guarded(slot, Self::say_goodbye);
            self.close(slot, CloseReason::ServerStopped);
        }
        self.end_all_streams();
    }

    /// What others know of connections and streams that are about to be lost.
    fn give_up_everything(&mut self) {
        let lost = self.state.connections.len();
        self.shared.connections.fetch_sub(lost, Ordering::AcqRel);
        for (id, feed) in std::mem::take(&mut self.state.feeds) {
            for subscriber in &feed.subscribers {
                self.tell_left(&feed.name, subscriber);
            }
            self.leave(id);
        }
        for (_, connection) in &self.state.connections {
            for publication in &connection.publishing {
                if publication.home != self.index {
                    let (stream, epoch) = (publication.stream, publication.epoch);
                    self.shared.inboxes[publication.home]
                        .send(Command::Unpublish { stream, epoch });
                }
            }
            self.emit(Event::ConnectionClosed {
                connection: connection.id,
                peer: connection.peer,
                reason: CloseReason::Internal,
            });
        }
        for stream in self.state.streams.values() {
            let (id, name) = (stream.id, self.shared.publish_keys.masked(&stream.name));
            if stream.publisher.is_some() {
                let name = name.clone();
                self.emit(Event::StreamUnpublished { stream: id, name });
            }
            self.emit(Event::StreamEnded { stream: id, name });
        }
    }

    /// After a panic that reached the loop: everything here is given up, the
    /// sockets closed, the streams ended, and service goes on with nothing.
    pub(crate) fn restart(&mut self) {
        log::error!(worker = self.index; "worker panicked; its connections are closed");
        self.give_up_everything();
        let draining = self.state.draining;
        let mut totals = std::mem::take(&mut self.state.totals);
        totals.errors.internal += 1;
        // A destructor that panics again must not end the thread.
        let old = std::mem::replace(&mut self.state, State::new());
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
        self.state.draining = draining;
        self.state.totals = totals;
        if let Some(deadline) = draining {
            self.state.timers.set(deadline, Timer::Drain);
        }
        let shared = self.shared.clone();
        let mut directory = shared.directory.lock();
        let orphans = directory.worker_died(self.index);
        // Sent with the lock held: the next publisher's StreamUp, from another
        // worker, must not be overtaken by it.
        for orphan in &orphans {
            for &worker in &orphan.feeds {
                shared.inboxes[worker].send(Command::StreamDown { stream: orphan.id });
            }
        }
        drop(directory);
        for orphan in orphans {
            shared.end_publisher(orphan.publisher, "the stream was lost");
            self.call_next(orphan.id);
        }
        self.rebind_listeners();
        // Commands that were left when it panicked are carried out now.
        self.shared.inboxes[self.index].send(Command::Adopt);
        self.emit(Event::WorkerRestarted { worker: self.index });
    }
}

/// Sockets on their way to another worker.
pub(crate) fn handoff<S>(workers: usize) -> Arc<Handoff<S>> {
    Arc::new(Handoff {
        queues: (0..workers).map(|_| Mutex::new(Vec::new())).collect(),
    })
}
