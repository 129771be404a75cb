//! Connections that come: accepted, handed from worker to worker, turned away.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::{ServerSession, Stage};

use super::Worker;
use super::connection::Connection;
use super::listeners::Accepted;
use super::session::Session;
use super::transport::Transport;
use super::work;
use crate::addresses::AddressSlot;
use crate::config::ListenTransport;
use crate::events::{CloseReason, Event};
use crate::id::ConnectionId;
use crate::inbox::{Command, ConnectionCommand};
use crate::limit::Limit;
use crate::log_limit::Cause;
use crate::platform::Platform;
use crate::sync::lock;

/// Connections beyond the limit that are heard, so that they can be told why they
/// are refused. More are closed at once.
const OVER_LIMIT_RESERVE: usize = 16;

/// The same for connections of one address.
const ADDRESS_RESERVE: usize = 4;

/// Arrivals taken up at once, before others have their turn.
const ARRIVALS: usize = 64;

/// A connection that was accepted and counted on worker 0.
pub(super) struct Admitted<S> {
    id: ConnectionId,
    opened: Time,
    accepted: Accepted<S>,
    address_slot: Option<AddressSlot>,
    over_limit: Option<Limit>,
}

/// What is on its way to a worker: too large, or too much its platform's, for an inbox.
pub(super) enum Arrival<S> {
    /// Accepted on worker 0.
    Admitted(Admitted<S>),
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

    /// The first so many, and whether there are more.
    fn take(&self, worker: usize, most: usize) -> (Vec<Arrival<S>>, bool) {
        let mut queue = lock(&self.queues[worker]);
        let Some(queue) = &mut *queue else {
            return (Vec::new(), false);
        };
        let taken = queue.drain(..queue.len().min(most)).collect();
        (taken, !queue.is_empty())
    }

    /// Connections on their way to a worker.
    pub(super) fn moving_to(&self, worker: usize) -> usize {
        let queue = lock(&self.queues[worker]);
        queue.as_ref().map_or(0, Vec::len)
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

impl<P: Platform> Worker<P> {
    /// Accepts what waits, on every listener, and hands it round.
    pub(super) fn accept_all(&mut self) {
        self.listeners.begin_accepting();
        while let Some(accepted) = self.listeners.accept(&mut self.context) {
            self.place_accepted(accepted);
        }
    }

    /// A connection that came is counted, and goes to its worker; or it is turned away.
    fn place_accepted(&mut self, accepted: Accepted<P::Stream>) {
        if self.context.is_stopping() {
            return;
        }
        self.context.work += work::CONNECTION;
        let shared = self.context.shared.clone();
        let limits = &self.context.config.limits;
        let (limit, per_address) = (limits.connections, limits.connections_per_address);
        let entered = (per_address > 0).then(|| shared.addresses.enter(accepted.peer.ip()));
        let (address_slot, of_address) = entered.unzip();
        if of_address.is_some_and(|n| n >= per_address.saturating_add(ADDRESS_RESERVE)) {
            return self.turn_away(Limit::ConnectionsPerAddress);
        }
        let others = shared.connections.fetch_add(1, Ordering::AcqRel);
        let is_crowded = others >= limit && !self.make_room(others);
        if is_crowded && others >= limit.saturating_add(OVER_LIMIT_RESERVE) {
            shared.connections.fetch_sub(1, Ordering::AcqRel);
            return self.turn_away(Limit::Connections);
        }
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        let id = shared.ids.connection();
        let over_limit = of_address.is_some_and(|n| n >= per_address);
        let over_limit = over_limit.then_some(Limit::ConnectionsPerAddress);
        if is_crowded {
            self.context.report_limit(Limit::Connections, Some(id));
        }
        let peer = accepted.peer;
        if self.context.may_log(Cause::Connection, log::Level::Debug) {
            log::debug!(peer:% = peer, connection:% = id; "connection accepted");
        }
        self.context.emit(Event::ConnectionOpened {
            connection: id,
            peer,
        });
        self.accepted += 1;
        let worker = shared.placement.of_newcomer(self.accepted - 1);
        let arrival = Admitted {
            id,
            opened: self.context.now,
            accepted,
            address_slot,
            over_limit,
        };
        shared.newcomers.add(arrival.opened, id);
        shared.locations.set(id, worker);
        if worker == self.context.index {
            return self.open(arrival);
        }
        match self.handoff.push(worker, Arrival::Admitted(arrival)) {
            Ok(()) => self.context.send(worker, Command::Adopt),
            // A worker that has ended takes nobody: the server stops.
            Err(Arrival::Admitted(arrival)) => self.forget(&arrival, CloseReason::ServerStopped),
            Err(Arrival::Moved(_)) => {}
        }
    }

    /// Takes some of what other workers handed over.
    pub(super) fn adopt(&mut self) {
        let (arrivals, more) = self.handoff.take(self.context.index, ARRIVALS);
        for arrival in arrivals {
            match arrival {
                Arrival::Admitted(admitted) => self.open(admitted),
                Arrival::Moved(connection) => self.resume(*connection),
            }
        }
        if more {
            self.context.send(self.context.index, Command::Adopt);
        }
    }

    /// One that was counted is not served.
    fn forget(&self, admitted: &Admitted<P::Stream>, reason: CloseReason) {
        let shared = &self.context.shared;
        let connection = admitted.id;
        shared.newcomers.forget(admitted.opened, connection);
        shared.locations.remove(connection);
        shared.connections.fetch_sub(1, Ordering::AcqRel);
        self.context.emit(Event::ConnectionClosed {
            connection,
            peer: admitted.accepted.peer,
            reason,
        });
    }

    fn open(&mut self, admitted: Admitted<P::Stream>) {
        let (id, opened) = (admitted.id, admitted.opened);
        let shared = self.context.shared.clone();
        if self.context.is_stopping() {
            return self.forget(&admitted, CloseReason::ServerStopped);
        }
        // It had to make room for another on its way here.
        if !shared.newcomers.contains(opened, id) {
            return self.forget(&admitted, made_room());
        }
        self.context.work += work::CONNECTION;
        let Admitted {
            accepted,
            address_slot,
            over_limit,
            ..
        } = admitted;
        let Accepted {
            socket,
            peer,
            transport,
        } = accepted;
        let now = self.context.now;
        let platform = self.context.platform.clone();
        let mut entropy = Ok(());
        let session = ServerSession::new(&self.context.config.session(), now, &mut |bytes| {
            entropy = platform.fill_random(bytes);
        });
        let session = Session::Server(Box::new(session));
        let transport = match transport {
            ListenTransport::Plain => Transport::Plain(socket),
        };
        let connection = Connection {
            opened,
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
            shared.newcomers.forget(opened, id);
            shared.locations.remove(id);
            shared.connections.fetch_sub(1, Ordering::AcqRel);
            self.context.emit(Event::ConnectionClosed {
                connection: id,
                peer,
                reason: CloseReason::Network(e.to_string()),
            });
            return;
        }
        if let Some(limit) = over_limit {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            self.context.report_limit(limit, Some(id));
        }
    }

    /// A connection says `connect`: from now on it has a place, if there is one.
    pub(super) fn take_place(&mut self, slot: usize) {
        let limit = self.context.config.limits.connections;
        let shared = &self.context.shared;
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if !shared.newcomers.forget(connection.opened, connection.id) {
            return;
        }
        let open = shared.connections.load(Ordering::Acquire);
        let others = open.saturating_sub(shared.newcomers.len() + 1);
        if others >= limit && connection.over_limit.is_none() {
            connection.over_limit = Some(Limit::Connections);
            shared.refused.fetch_add(1, Ordering::Relaxed);
        }
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
            Err(Arrival::Admitted(_)) => {}
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

    /// Who is slow to shake hands must not lock others out: beyond the limit, the oldest
    /// newcomer that has had its time goes; beyond the reserve, the oldest whatever time
    /// it had, unless all places are taken by those who got on. True if there is room for
    /// one more.
    fn make_room(&mut self, others: usize) -> bool {
        let limits = &self.context.config.limits;
        let (limit, grace) = (limits.connections, limits.handshake_grace);
        let shared = &self.context.shared;
        let now = self.context.now;
        let got_on = others.saturating_sub(shared.newcomers.len());
        let flooded = others >= limit.saturating_add(OVER_LIMIT_RESERVE) && got_on < limit;
        let may_go = |opened: Time| flooded || opened + grace <= now;
        let Some(oldest) = shared.newcomers.take_oldest(may_go) else {
            return false;
        };
        shared.refused.fetch_add(1, Ordering::Relaxed);
        shared.send_to(oldest, ConnectionCommand::MakeRoom);
        true
    }

    /// This newcomer makes room for another.
    pub(super) fn give_way(&mut self, slot: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        // It may have got on just now.
        if matches!(connection.stage(), Stage::Handshake | Stage::Connect)
            && connection.pending.is_empty()
        {
            let (limit, id) = (Limit::HandshakeGrace, connection.id);
            self.context.report_limit(limit, Some(id));
            self.close(slot, made_room());
        }
    }
}

/// Why a newcomer is closed for another.
fn made_room() -> CloseReason {
    let (grace, full) = (Limit::HandshakeGrace, Limit::Connections);
    let reason = format!("{grace} is over; made room for another: {full} is reached");
    CloseReason::Limit(reason)
}
