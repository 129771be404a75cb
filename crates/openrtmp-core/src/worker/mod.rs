//! A worker: one thread, one poller, its connections, the streams that live
//! here and the players it serves.
//!
//! # A turn
//!
//! [`Worker::turn`] waits for readiness, then: reads (a budget per connection,
//! the rest next turn), carries out commands of the inbox, looks at deadlines
//! that have come, and writes, once per connection, what all that queued. There
//! is no tick: it waits until the next deadline, or for ever.
//!
//! # Modules
//!
//! | module | holds | knows nothing of |
//! |---|---|---|
//! | [`context`] | time, settings, timers, poller, counters, ways out | connections, streams |
//! | [`listeners`] | listening sockets | connections |
//! | [`connections`] | [`connection`]s, each a [`transport`] and a [`session`], with its [`end`] | streams |
//! | [`doze`] | when publishers are read while power is saved | streams |
//! | [`dialing`] | outgoing connections that are not connected yet; how the worker begins them and takes them over | streams, players |
//! | [`streams`] | the home side of streams | connections, players |
//! | [`players`] | subscriptions of connections here | streams |
//!
//! What a module works on is in its functions' arguments. The worker itself joins them:
//! [`serve`] reads and acts on what sessions say, [`requests`] decides and carries out
//! connect, publish and play, [`errands`] does what outgoing connections are for,
//! [`arrivals`] lets connections in and hands them over,
//! [`report`] counts, and this file takes turns.

mod arrivals;
#[cfg(feature = "tls")]
mod certificates;
mod commands;
mod connection;
mod connections;
mod context;
mod dialing;
mod doze;
mod end;
mod errands;
mod leaving;
mod listeners;
mod lives;
mod players;
mod relaying;
mod report;
mod requests;
mod serve;
mod session;
mod sleep;
mod slots;
mod streams;
mod timers;
mod work;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openrtmp_protocol::Time;

pub(crate) use arrivals::Handoff;
#[cfg(feature = "tls")]
use certificates::Certificates;
use connections::Connections;
use context::{Context, Totals};
use dialing::Dialing;
use listeners::Listeners;
pub(crate) use listeners::Listening;
use players::Players;
use relaying::Relaying;
use sleep::Sleep;
use streams::Streams;
use timers::{Timer, Timers};

use crate::config::Config;
use crate::events::{CloseReason, Event};
use crate::inbox::{Command, InboxReceiver};
use crate::log_limit::Cause;
use crate::placement::LoadMeter;
use crate::platform::{Platform, Poller, Readiness};
use crate::shared::Shared;
use crate::stream::message::{Departure, StreamNews};

/// After waiting for sockets failed, the next try.
const POLL_RETRY: Duration = Duration::from_millis(10);

/// A write takes microseconds: the clock is read for so many of them at once.
const WRITES_PER_READING: usize = 16;

/// A worker. [`Worker::run`] is its thread; a simulation calls [`Worker::turn`].
pub(crate) struct Worker<P: Platform> {
    context: Context<P>,
    inbox: InboxReceiver,
    handoff: Arc<Handoff<P::Stream>>,
    /// On worker 0.
    listeners: Listeners<P::Listener>,
    connections: Connections<P::Stream>,
    /// Outgoing connections that are not connected yet.
    dialing: Dialing<P>,
    /// On worker 0.
    relaying: Relaying,
    streams: Streams,
    players: Players,
    load: LoadMeter,
    sleep: Sleep,
    /// The settings, without what the device makes of them.
    settings: Arc<Config>,
    /// On worker 0.
    #[cfg(feature = "tls")]
    certificates: Certificates,
    /// Connections accepted here and handed round.
    accepted: u64,
    /// The most work that a turn was.
    #[cfg(test)]
    heaviest: u64,
    /// Kept for its capacity.
    ready: Vec<Readiness>,
    /// Shared by all that is read.
    read_buffer: Vec<u8>,
}

impl<P: Platform> Worker<P> {
    pub(crate) fn new(
        index: usize,
        platform: Arc<P>,
        shared: Arc<Shared>,
        poller: P::Poller,
        inbox: InboxReceiver,
        handoff: Arc<Handoff<P::Stream>>,
    ) -> Worker<P> {
        let settings = shared.config();
        Worker {
            context: Context {
                index,
                platform,
                config: settings.clone(),
                shared,
                poller,
                timers: Timers::default(),
                now: Time::ZERO,
                work: 0,
                totals: Totals::default(),
                conditions: Arc::default(),
                asleep: false,
                joins: 0,
                stop_deadline: None,
            },
            inbox,
            handoff,
            listeners: Listeners::default(),
            connections: Connections::default(),
            dialing: Dialing::default(),
            relaying: Relaying::default(),
            streams: Streams::default(),
            players: Players::default(),
            load: LoadMeter::default(),
            sleep: Sleep::default(),
            settings,
            #[cfg(feature = "tls")]
            certificates: Certificates::default(),
            accepted: 0,
            #[cfg(test)]
            heaviest: 0,
            ready: Vec::new(),
            read_buffer: Vec::new(),
        }
    }

    /// Takes over bound listeners. Once, before the first turn, on worker 0.
    pub(crate) fn add_listeners(
        &mut self,
        listeners: Vec<Listening<P::Listener>>,
    ) -> io::Result<()> {
        for listening in listeners {
            self.listeners.add(&mut self.context, listening)?;
        }
        Ok(())
    }

    /// Serves until the drain is over. A panic that was not caught closer to its
    /// cause costs this worker's connections, not the server.
    pub(crate) fn run(&mut self) {
        loop {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                loop {
                    match self.turn() {
                        Ok(true) => {}
                        Ok(false) => return,
                        Err(e) => {
                            if self.context.may_log(Cause::Poll, log::Level::Error) {
                                let worker = self.context.index;
                                log::error!(worker = worker; "waiting for sockets failed: {e}");
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
        let context = &mut self.context;
        let timeout = match self.connections.has_work() || self.listeners.has_more() {
            true => Some(Duration::ZERO),
            false => {
                let next = context.timers.next();
                next.map(|at| at.since(context.platform.now()))
            }
        };
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        let polled = match context.poller.poll(timeout, &mut ready) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
            _ => Ok(()),
        };
        context.now = context.platform.now();
        context.totals.turns += 1;
        context.totals.wake_ups += u64::from(timeout != Some(Duration::ZERO));
        context.totals.system_calls += 1;

        #[cfg(test)]
        let began = self.context.work;
        let pressed = self.connections.has_unread();
        for readiness in &ready {
            self.on_ready(*readiness);
        }
        self.ready = ready;
        if self.listeners.has_more() {
            self.accept_all();
        }
        self.read_ready(pressed);
        self.carry_out_commands();
        self.meet_deadlines();
        self.finish_turn();
        self.settle_sleep();
        #[cfg(test)]
        {
            self.heaviest = self.heaviest.max(self.context.work - began);
        }
        if let Some(at) = self.context.shared.log_limit.alarm() {
            self.context.timers.set(at, Timer::Lines);
        }
        if self.is_drained() {
            // What the host still publishes.
            self.end_all_streams();
            return Ok(false);
        }
        self.measure();
        polled.map(|()| true)
    }

    fn measure(&mut self) {
        let Context {
            now,
            platform,
            shared,
            index,
            totals,
            ..
        } = &mut self.context;
        let worker = (*index, self.connections.len());
        let ended = platform.now();
        totals.active += ended.since(*now);
        self.load.worked(*now, ended, &shared.placement, worker);
    }

    #[cfg(test)]
    pub(crate) fn heaviest_turn(&self) -> u64 {
        self.heaviest
    }

    /// Units of work so far.
    #[cfg(test)]
    pub(crate) fn work_done(&self) -> u64 {
        self.context.work
    }

    #[cfg(test)]
    pub(crate) fn timers(&self) -> usize {
        self.context.timers.len()
    }

    /// Reads those that have something, for a turn's work. The rest is read in the next.
    fn read_ready(&mut self, pressed: bool) {
        let began = self.context.work;
        let now = self.context.now;
        for slot in self.connections.take_unread(now, pressed) {
            let Some(connection) = self.connections.get_mut(slot) else {
                continue;
            };
            connection.cold.reading.unread = false;
            if connection.cold.reading.paused_until.is_some() {
                continue;
            }
            if self.context.work - began < work::TURN {
                self.guarded(slot, Self::read);
            } else {
                self.connections.put_off_reading(slot, now);
            }
        }
    }

    /// Meets deadlines that have come, for a turn's work. The rest is due in the next.
    fn meet_deadlines(&mut self) {
        let began = self.context.work;
        while self.context.work - began < work::TURN
            && let Some(timer) = self.context.timers.pop_due(self.context.now)
        {
            self.context.work += work::DEADLINE;
            self.on_timer(timer);
        }
    }

    fn on_ready(&mut self, readiness: Readiness) {
        if Listeners::<P::Listener>::is_listener(readiness.token) {
            return self.listeners.expect();
        }
        if let Some(slot) = Dialing::<P>::slot_of_token(readiness.token) {
            return self.dial(slot);
        }
        let slot = readiness.token.0;
        if readiness.writable {
            self.connections.on_writable(slot);
        }
        if readiness.readable {
            self.connections.mark_unread(slot);
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Connection(id) => {
                let slot = self.connections.slot_of(id);
                if let Some(slot) = slot
                    && let Some(connection) = self.connections.get_mut(slot)
                {
                    connection.cold.armed = None;
                    self.guarded(slot, Self::on_deadline);
                }
            }
            Timer::Stream(id) => {
                if self.context.asleep {
                    self.streams.put_off(id);
                } else if self.streams.on_grace_over(&mut self.context, id) {
                    self.notify_players(id, StreamNews::Ended);
                }
            }
            Timer::Dialing(id) => self.on_dial_timer(id),
            Timer::Accept => {
                self.listeners.resume(&mut self.context);
                self.accept_all();
            }
            Timer::Relays => self.relaying.on_due(&mut self.context),
            Timer::Lines => self.context.shared.log_limit.flush(self.context.now),
            #[cfg(feature = "tls")]
            Timer::Certificates => self.look_at_certificates(),
            Timer::Drain => self.force(),
            Timer::Sleep => self.on_sleep_due(),
            Timer::Host => self.context.shared.on_host_due(),
        }
    }

    /// Runs the work of one connection. Its panic is its end, nobody else's. What the
    /// work decided about its end, or about where it goes on, happens behind it.
    fn guarded(&mut self, slot: usize, work: impl FnOnce(&mut Worker<P>, usize)) {
        if self.connections.get(slot).is_none() {
            return;
        }
        self.contained(slot, work);
        if let Some(connection) = self.connections.get(slot)
            && !connection.cold.pending.is_empty()
            && let Some(worker) = self.next_worker_of(connection)
        {
            match worker == self.context.index {
                true => self.guarded(slot, Self::carry_out_placed),
                false => self.hand_over(slot, worker),
            }
        }
    }

    /// The same for work that answers no requests, as writing does: they are not looked at.
    fn contained(&mut self, slot: usize, work: impl FnOnce(&mut Worker<P>, usize)) {
        if catch_unwind(AssertUnwindSafe(|| work(self, slot))).is_err() {
            self.context.report_panic();
            self.connections.doom(slot, CloseReason::Internal);
        }
        let connection = self.connections.get(slot);
        if connection.is_some_and(|connection| connection.end.is_due()) {
            self.close(slot, CloseReason::Peer);
        }
    }

    /// Ends a connection. False if it is ending already.
    fn disconnect(&mut self, slot: usize, reason: CloseReason) -> bool {
        let goes_on = self.connections.get(slot).is_some_and(|c| !c.is_ending());
        if goes_on {
            self.end(slot, reason);
        }
        goes_on
    }

    /// The addresses of this device may be others, and the system may have taken sockets.
    fn look_around(&mut self) {
        self.listeners.check(&mut self.context);
        self.context.shared.look_at_networks();
    }

    /// Other settings, from here on.
    fn configure(&mut self, config: Arc<Config>) {
        self.context.config = self.context.conditions.applied_to(&config);
        self.settings = config;
        // A deadline may have come nearer; one that has not is looked at when the
        // old one comes.
        for slot in self.connections.all_slots() {
            self.connections.rearm(&mut self.context, slot);
        }
    }

    /// Writes what the turn queued, and closes whose end has come, for a turn's work:
    /// first to those for whom little waits. Closing may queue words for others, and
    /// writing may end connections.
    fn finish_turn(&mut self) {
        let enough = self.context.work + work::TURN;
        let sent_before = self.context.totals.bytes_out;
        loop {
            let dirty = self.connections.take_dirty();
            let none = dirty.is_empty();
            let mut done = 0;
            'written: for batch in dirty.chunks(WRITES_PER_READING) {
                let now = self.context.platform.now();
                for &slot in batch {
                    if self.context.work >= enough {
                        break 'written;
                    }
                    done += 1;
                    if let Some(&next) = dirty.get(done) {
                        self.connections.prefetch(next);
                    }
                    self.contained(slot, |worker, slot| {
                        let connections = &mut worker.connections;
                        connections.flush_small(&mut worker.context, slot, now);
                    });
                }
            }
            self.connections.give_back(dirty, done);
            if none || self.context.work >= enough {
                break;
            }
        }
        for _ in 0..self.connections.unwritten() {
            if self.context.work >= enough {
                break;
            }
            if let Some(slot) = self.connections.next_unwritten() {
                self.contained(slot, |worker, slot| {
                    let now = worker.context.platform.now();
                    worker.connections.flush(&mut worker.context, slot, now);
                });
            }
        }
        self.context.note_sent(sent_before);
    }

    /// Stopping: the listeners go at once, peers are told, the deadline forces.
    fn stop(&mut self, deadline: Time) {
        let first = !self.context.is_stopping();
        let before = self.context.stop_deadline;
        let deadline = deadline.min(before.unwrap_or(deadline));
        self.context.stop_deadline = Some(deadline);
        self.context.timers.set(deadline, Timer::Drain);
        self.listeners.close(&mut self.context);
        self.adopt();
        self.connections.rouse_all();
        if first {
            for id in self.dialing.ids() {
                if let Some(slot) = self.dialing.slot_of(id) {
                    let why = "the server is stopping";
                    self.dialing.fail(&mut self.context, slot, why);
                }
            }
            for slot in self.connections.all_slots() {
                self.guarded(slot, Self::notify_stop);
            }
            for stream in self.streams.end_in_grace(&mut self.context) {
                self.notify_players(stream, StreamNews::Ended);
            }
        }
        if deadline <= self.context.now {
            self.force();
        }
    }

    fn is_drained(&self) -> bool {
        self.context.is_stopping()
            && self.connections.is_empty()
            && self.dialing.is_empty()
            && self.streams.can_stop()
            && self.handoff.close(self.context.index)
    }

    fn end_all_streams(&mut self) {
        for stream in self.streams.end_all(&mut self.context) {
            self.notify_players(stream, StreamNews::Ended);
        }
    }

    fn force(&mut self) {
        let deadline = self.context.stop_deadline;
        if deadline.is_none_or(|deadline| deadline > self.context.now) {
            return;
        }
        let slots = self.connections.all_slots();
        let forced = &self.context.shared.forced;
        forced.fetch_add(slots.len(), Ordering::AcqRel);
        for slot in slots {
            self.guarded(slot, Self::notify_closing);
            self.close(slot, CloseReason::ServerStopped);
        }
        self.end_all_streams();
    }

    /// What others know of connections and streams that are about to be lost.
    fn give_up_everything(&mut self) {
        let context = &mut self.context;
        let shared = context.shared.clone();
        shared
            .connections
            .fetch_sub(self.connections.len(), Ordering::AcqRel);
        let guests = self.connections.iter().filter(|c| c.is_guest());
        shared.drain.left(guests.count());
        for id in self.dialing.ids() {
            if let Some(slot) = self.dialing.slot_of(id) {
                self.dialing.fail(context, slot, "a worker panicked");
            }
        }
        std::mem::take(&mut self.players).give_up(context);
        for connection in self.connections.iter() {
            shared.locations.remove(connection.cold.id);
            shared
                .newcomers
                .forget(connection.cold.opened, connection.cold.id);
            let counts = connection.uncounted();
            context.totals.of_connections.add(&counts);
            for publication in &connection.cold.publishing {
                if publication.home != context.index {
                    let (stream, epoch) = (publication.stream, publication.epoch);
                    let departure = Departure::Lost;
                    let over = Command::PublisherLeft {
                        stream,
                        epoch,
                        departure,
                    };
                    context.send(publication.home, over);
                }
            }
            context.emit(Event::ConnectionClosed {
                connection: connection.cold.id,
                peer: connection.cold.peer,
                reason: CloseReason::Internal,
            });
        }
        self.streams.give_up(context);
    }

    /// After a panic that reached the loop: everything here is given up, the
    /// sockets closed, the streams ended, and service goes on with nothing.
    pub(crate) fn restart(&mut self) {
        let index = self.context.index;
        log::error!(worker = index; "worker panicked; its connections are closed");
        self.give_up_everything();
        self.context.totals.errors.internal += 1;
        let connections = std::mem::take(&mut self.connections);
        let streams = std::mem::take(&mut self.streams);
        self.context.timers = Timers::default();
        // A destructor that panics again must not end the thread.
        let _ = catch_unwind(AssertUnwindSafe(|| drop((connections, streams))));
        if let Some(deadline) = self.context.stop_deadline {
            self.context.timers.set(deadline, Timer::Drain);
        }
        let shared = self.context.shared.clone();
        let mut directory = shared.directory.lock();
        let orphans = directory.worker_died(index, |id| shared.locations.of(id).is_none());
        // Sent with the lock held: the next publisher's news, from another worker,
        // must not be overtaken by it.
        for orphan in &orphans {
            for &worker in &orphan.workers {
                let (stream, news) = (orphan.id, StreamNews::Ended);
                shared.inboxes[worker].send(Command::StreamNews { stream, news });
            }
        }
        drop(directory);
        for orphan in orphans {
            let reason = CloseReason::Refused("the stream was lost".to_owned());
            shared.notify_publisher(orphan.publisher, reason);
            self.call_next(orphan.id);
        }
        self.listeners.rebind(&mut self.context);
        #[cfg(feature = "tls")]
        if index == 0 {
            self.watch_certificates_again();
        }
        self.relaying = Relaying::default();
        if index == 0 {
            shared.remind_of_host();
        }
        shared.wake_relays(index == 0);
        // Commands that were left when it panicked are carried out now.
        self.context.send(index, Command::Adopt);
        self.context.emit(Event::WorkerRestarted { worker: index });
    }
}
