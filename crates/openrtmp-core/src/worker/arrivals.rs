//! Connections that come: accepted, handed from worker to worker, turned away.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use openrtmp_protocol::session::{ServerSession, Stage};

use super::Worker;
use super::connection::Connection;
use super::connections::Connections;
use super::listeners::Accepted;
use super::session::Session;
use super::transport::Transport;
use crate::config::ListenTransport;
use crate::events::{CloseReason, Event};
use crate::id::ConnectionId;
use crate::inbox::Command;
use crate::limit::Limit;
use crate::log_limit::Cause;
use crate::platform::{Platform, Stream};
use crate::sync::lock;

/// Connections beyond the limit that are heard, so that they can be told why they
/// are refused. More are closed at once.
const OVER_LIMIT_RESERVE: usize = 16;

/// The same for connections of one address.
const ADDRESS_RESERVE: usize = 4;

/// What is on its way to a worker: too large, or too much its platform's, for an inbox.
pub(super) enum Arrival<S> {
    /// Accepted on worker 0.
    Accepted(Accepted<S>),
    /// From another worker, which granted a request that is carried out here.
    Moved(Box<Connection<S>>),
}

/// Connections on their way to each worker. `None` once a worker has ended.
pub(crate) struct Handoff<S> {
    queues: Vec<Mutex<Option<Vec<Arrival<S>>>>>,
}

impl<S> Handoff<S> {
    pub(crate) fn new(workers: usize) -> Handoff<S> {
        Handoff {
            queues: (0..workers).map(|_| Mutex::new(Some(Vec::new()))).collect(),
        }
    }

    /// Gives the arrival back if the worker has ended.
    fn push(&self, worker: usize, arrival: Arrival<S>) -> Result<(), Arrival<S>> {
        match &mut *lock(&self.queues[worker]) {
            Some(queue) => queue.push(arrival),
            None => return Err(arrival),
        }
        Ok(())
    }

    fn take(&self, worker: usize) -> Vec<Arrival<S>> {
        let mut queue = lock(&self.queues[worker]);
        queue.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Connections on their way to a worker from another.
    pub(super) fn moving_to(&self, worker: usize) -> usize {
        let queue = lock(&self.queues[worker]);
        let moved = |arrival: &&Arrival<S>| matches!(arrival, Arrival::Moved(_));
        queue.iter().flatten().filter(moved).count()
    }

    /// The worker ends, unless something is on its way to it.
    pub(super) fn close(&self, worker: usize) -> bool {
        let mut queue = lock(&self.queues[worker]);
        if queue.as_ref().is_some_and(|queue| !queue.is_empty()) {
            return false;
        }
        *queue = None;
        true
    }
}

/// Connections in the order they came, those that got on included until they are
/// looked at.
#[derive(Default)]
pub(super) struct Newcomers(VecDeque<ConnectionId>);

impl Newcomers {
    fn push<S: Stream>(&mut self, id: ConnectionId, connections: &Connections<S>) {
        // Those that got on are forgotten once they are the half of it.
        if self.0.len() > 64 + 2 * connections.len() {
            self.0.retain(|&id| newcomer(id, connections).is_some());
        }
        self.0.push_back(id);
    }

    /// The oldest that has not got on.
    fn oldest<S: Stream>(&mut self, connections: &Connections<S>) -> Option<usize> {
        while let Some(&id) = self.0.front() {
            match newcomer(id, connections) {
                Some(slot) => return Some(slot),
                None => self.0.pop_front(),
            };
        }
        None
    }
}

/// The slot of a connection that has not said `connect`.
fn newcomer<S: Stream>(id: ConnectionId, connections: &Connections<S>) -> Option<usize> {
    let slot = connections.slot_of(id)?;
    let connection = connections.get(slot)?;
    // The host's time to decide is not the peer's.
    let is_new = matches!(connection.stage(), Stage::Handshake | Stage::Connect)
        && connection.pending.is_empty()
        && !connection.is_ending();
    is_new.then_some(slot)
}

impl<P: Platform> Worker<P> {
    /// Accepts what waits, on every listener, and hands it round.
    pub(super) fn accept_all(&mut self) {
        self.listeners.begin_accepting();
        while let Some(accepted) = self.listeners.accept(&mut self.context) {
            self.place_accepted(accepted);
        }
    }

    fn place_accepted(&mut self, accepted: Accepted<P::Stream>) {
        let limit = self.context.config.limits.connections;
        let shared = &self.context.shared;
        let open = shared.connections.load(Ordering::Acquire);
        if open >= limit.saturating_add(OVER_LIMIT_RESERVE) {
            // Not worth another worker's attention.
            return self.turn_away(Limit::Connections);
        }
        self.accepted += 1;
        let worker = shared.placement.of_newcomer(self.accepted - 1);
        if worker == self.context.index {
            return self.open(accepted);
        }
        // A worker that has ended takes nobody: the server stops.
        if self
            .handoff
            .push(worker, Arrival::Accepted(accepted))
            .is_ok()
        {
            self.context.send(worker, Command::Adopt);
        }
    }

    /// Takes what other workers handed over.
    pub(super) fn adopt(&mut self) {
        for arrival in self.handoff.take(self.context.index) {
            match arrival {
                Arrival::Accepted(accepted) => self.open(accepted),
                Arrival::Moved(connection) => self.resume(*connection),
            }
        }
    }

    fn open(&mut self, accepted: Accepted<P::Stream>) {
        let Accepted {
            socket,
            peer,
            transport,
        } = accepted;
        let shared = self.context.shared.clone();
        let limits = &self.context.config.limits;
        let (limit, per_address) = (limits.connections, limits.connections_per_address);
        if self.context.is_stopping() {
            return;
        }
        if shared.connections.load(Ordering::Acquire) >= limit {
            self.make_room();
        }
        let entered = (per_address > 0).then(|| shared.addresses.enter(peer.ip()));
        let (address_slot, of_address) = entered.unzip();
        if of_address.is_some_and(|n| n >= per_address.saturating_add(ADDRESS_RESERVE)) {
            return self.turn_away(Limit::ConnectionsPerAddress);
        }
        let others = shared.connections.fetch_add(1, Ordering::AcqRel);
        if others >= limit.saturating_add(OVER_LIMIT_RESERVE) {
            shared.connections.fetch_sub(1, Ordering::AcqRel);
            return self.turn_away(Limit::Connections);
        }
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        let crowded_address = of_address.is_some_and(|n| n >= per_address);
        let over_limit = match (others >= limit, crowded_address) {
            (true, _) => Some(Limit::Connections),
            (false, true) => Some(Limit::ConnectionsPerAddress),
            (false, false) => None,
        };
        if over_limit.is_some() {
            shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        let now = self.context.now;
        let platform = self.context.platform.clone();
        let mut entropy = Ok(());
        let session = ServerSession::new(&self.context.config.session(), now, &mut |bytes| {
            entropy = platform.fill_random(bytes);
        });
        let id = shared.ids.connection();
        let session = Session::Server(Box::new(session));
        let transport = match transport {
            ListenTransport::Plain => Transport::Plain(socket),
        };
        let connection = Connection {
            over_limit,
            address_slot,
            ..Connection::new(id, peer, transport, session, &self.context)
        };
        let inserted = entropy.and_then(|()| {
            self.connections
                .insert(&mut self.context, connection)
                .map_err(|(e, _)| e)
        });
        if let Err(e) = inserted {
            if self.context.may_log(Cause::Accept, log::Level::Error) {
                log::error!(peer:% = peer; "a connection could not be served: {e}");
            }
            shared.connections.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        shared.locations.set(id, self.context.index);
        if self.context.may_log(Cause::Connection, log::Level::Debug) {
            log::debug!(peer:% = peer, connection:% = id; "connection accepted");
        }
        self.context.emit(Event::ConnectionOpened {
            connection: id,
            peer,
        });
        if let Some(limit) = over_limit {
            self.context.report_limit(limit, Some(id));
        }
        self.newcomers.push(id, &self.connections);
    }

    /// A connection goes on with another worker, which carries out what it was granted.
    pub(super) fn hand_over(&mut self, slot: usize, worker: usize) {
        let Some(mut connection) = self.connections.remove(&mut self.context, slot) else {
            return;
        };
        let id = connection.id;
        // The other worker's lists are other lists, and its poller tells of all there is.
        let io = &mut connection.io;
        (io.dirty, io.unwritten, io.unread) = (false, false, false);
        (io.watching, io.writable) = (false, true);
        match self
            .handoff
            .push(worker, Arrival::Moved(Box::new(connection)))
        {
            Ok(()) => {
                self.context.shared.locations.set(id, worker);
                self.context.send(worker, Command::Adopt);
            }
            Err(Arrival::Moved(connection)) => self.resume(*connection),
            Err(Arrival::Accepted(_)) => {}
        }
    }

    /// A connection from another worker, or one that could not go there.
    fn resume(&mut self, connection: Connection<P::Stream>) {
        let (id, peer) = (connection.id, connection.peer);
        match self.connections.insert(&mut self.context, connection) {
            Ok(slot) => {
                self.context.shared.locations.set(id, self.context.index);
                // What waits to be written was not while it was on its way.
                self.connections.mark_dirty(slot);
                self.guarded(slot, Self::carry_out_placed);
            }
            Err((e, _)) => {
                let shared = &self.context.shared;
                shared.locations.remove(id);
                shared.connections.fetch_sub(1, Ordering::AcqRel);
                self.context.totals.errors.network += 1;
                self.context.emit(Event::ConnectionClosed {
                    connection: id,
                    peer,
                    reason: CloseReason::Network(e.to_string()),
                });
            }
        }
    }

    /// A connection is closed unheard. It costs its accept and its close.
    fn turn_away(&self, limit: Limit) {
        let shared = &self.context.shared;
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        shared.refused.fetch_add(1, Ordering::Relaxed);
        self.context.report_limit(limit, None);
    }

    /// Who is slow to shake hands must not lock others out: the oldest that has
    /// had its time goes.
    fn make_room(&mut self) {
        let grace = self.context.config.limits.handshake_grace;
        let Some(slot) = self.newcomers.oldest(&self.connections) else {
            return;
        };
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        if connection.opened + grace <= self.context.now {
            let (limit, id) = (Limit::HandshakeGrace, connection.id);
            self.context.report_limit(limit, Some(id));
            let full = Limit::Connections;
            let reason = format!("{limit} is over; made room for another: {full} is reached");
            self.close(slot, CloseReason::Limit(reason));
        }
    }
}
