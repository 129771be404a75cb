//! Connections that come: accepted, handed from worker to worker, turned away.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::{ServerSession, Stage};

use super::Worker;
use super::connection::Connection;
use super::doze::Doze;
use super::listeners::Accepted;
use super::session::Session;
use super::work;
use crate::addresses::AddressSlot;
use crate::config::{ListenTransport, NetworkPolicy};
use crate::events::{CloseReason, Event};
use crate::id::ConnectionId;
use crate::inbox::{Command, ConnectionCommand};
use crate::limit::Limit;
use crate::log_limit::Cause;
use crate::platform::{Platform, Stream as _};
use crate::sync::lock;
#[cfg(feature = "tls")]
use crate::transport::TlsStream;
use crate::transport::{Told, Transport};

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

/// What is known of a connection wherever it is.
#[derive(Clone, Copy)]
struct Counted {
    id: ConnectionId,
    opened: Time,
    peer: SocketAddr,
    /// The host was told of it. Of one that comes through a proxy it is once that is known.
    is_told: bool,
}

impl<S> Admitted<S> {
    fn counted(&self) -> Counted {
        Counted {
            id: self.id,
            opened: self.opened,
            peer: self.accepted.peer,
            is_told: !self.accepted.is_proxied,
        }
    }
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
        if accepted.is_proxied && !shared.address_rules.trusts(accepted.peer.ip()) {
            if self.context.may_log(Cause::Refused, log::Level::Warn) {
                log::warn!(
                    peer:% = accepted.peer;
                    "closed: no proxy of access.trusted_proxies, and only those are heard there"
                );
            }
            shared.accepted.fetch_add(1, Ordering::Relaxed);
            shared.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if shared.is_blocked(accepted.peer.ip()) {
            shared.accepted.fetch_add(1, Ordering::Relaxed);
            shared.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Some(why) = self.refusal(&accepted.socket) {
            if self.context.may_log(Cause::Refused, log::Level::Info) {
                log::info!(peer:% = accepted.peer; "closed: {why}");
            }
            shared.accepted.fetch_add(1, Ordering::Relaxed);
            shared.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let limits = &self.context.config.limits;
        let (limit, per_address) = (limits.connections, limits.connections_per_address);
        let is_proxied = accepted.is_proxied;
        let counts = per_address > 0 && !is_proxied;
        let entered = counts.then(|| shared.addresses.enter(accepted.peer.ip()));
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
        shared.drain.came();
        let id = shared.ids.connection();
        let over_limit = of_address.is_some_and(|n| n >= per_address);
        let over_limit = over_limit.then_some(Limit::ConnectionsPerAddress);
        let peer = accepted.peer;
        if self.context.may_log(Cause::Connection, log::Level::Debug) {
            log::debug!(peer:% = peer, connection:% = id; "connection accepted");
        }
        if !is_proxied {
            self.context.emit(Event::ConnectionOpened {
                connection: id,
                peer,
            });
        }
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
            Err(Arrival::Admitted(arrival)) => {
                self.forget(arrival.counted(), CloseReason::ServerStopped);
            }
            Err(Arrival::Moved(_)) => {}
        }
    }

    /// Why the device lets nobody in now, or not by the network that this one comes by.
    fn refusal(&self, socket: &P::Stream) -> Option<&'static str> {
        let policy = self.context.config.mobile.networks;
        let local = match policy {
            NetworkPolicy::Any => None,
            _ => socket.local_address().ok().map(|address| address.ip()),
        };
        self.context.conditions.refusal(policy, local)
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
        if self.context.asleep {
            self.send_all_away();
        }
        if more {
            self.context.send(self.context.index, Command::Adopt);
        }
    }

    /// One that was counted is not served.
    fn forget(&self, who: Counted, reason: CloseReason) {
        let shared = &self.context.shared;
        let Counted {
            id, opened, peer, ..
        } = who;
        shared.newcomers.forget(opened, id);
        shared.locations.remove(id);
        shared.connections.fetch_sub(1, Ordering::AcqRel);
        shared.drain.left(1);
        if !who.is_told {
            self.context.emit(Event::ConnectionOpened {
                connection: id,
                peer,
            });
        }
        self.context.emit(Event::ConnectionClosed {
            connection: id,
            peer,
            reason,
        });
    }

    fn open(&mut self, admitted: Admitted<P::Stream>) {
        let counted = admitted.counted();
        let Counted {
            id, opened, peer, ..
        } = counted;
        let shared = self.context.shared.clone();
        if self.context.is_stopping() {
            return self.forget(counted, CloseReason::ServerStopped);
        }
        if self.context.asleep {
            return self.forget(counted, CloseReason::Suspended);
        }
        // It had to make room for another on its way here.
        if !shared.newcomers.contains(opened, id) {
            return self.forget(counted, made_room());
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
            transport,
            is_proxied,
            ..
        } = accepted;
        let now = self.context.now;
        let platform = self.context.platform.clone();
        let mut entropy = Ok(());
        let config = self.context.config.session(shared.relays.id);
        let session = ServerSession::new(&config, now, &mut |bytes| {
            entropy = platform.fill_random(bytes);
        });
        let session = Session::Server(Box::new(session));
        let transport = match self.transport(socket, transport) {
            Ok(transport) => transport,
            Err(reason) => return self.forget(counted, reason),
        };
        let time = self.context.config.tls.handshake_timeout;
        let may_shake = is_proxied || transport.is_handshaking();
        let mut connection = Connection::new(id, peer, transport, session, &self.context);
        let cold = &mut connection.cold;
        cold.opened = opened;
        cold.over_limit = over_limit;
        cold.address_slot = address_slot;
        cold.shaken_by = may_shake.then(|| now + time);
        cold.proxy_header = is_proxied.then(Box::default);
        let inserted = entropy.and_then(|()| {
            self.connections
                .insert(&mut self.context, connection)
                .map_err(|(e, _)| e)
        });
        if let Err(e) = inserted {
            if self.context.may_log(Cause::Accept, log::Level::Error) {
                log::error!(peer:% = peer; "a connection could not be served: {e}");
            }
            return self.forget(counted, CloseReason::Network(e.to_string()));
        }
        if let Some(limit) = over_limit {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            self.context.report_limit(limit, Some(id));
        }
    }

    /// Reads what a proxy says of the peer, and takes that for the peer from then on. Why
    /// the connection is over, if it is; it goes on once nothing is left to be said.
    pub(super) fn hear_proxy(&mut self, slot: usize) -> Result<(), CloseReason> {
        let shared = self.context.shared.clone();
        let Some(connection) = self.connections.get_mut(slot) else {
            return Ok(());
        };
        let Some(mut header) = connection.cold.proxy_header.take() else {
            return Ok(());
        };
        self.context.work += work::COMMAND;
        let told = match connection.transport.read_proxy_header(&mut header) {
            Ok(told) => told,
            Err(e) => {
                connection.cold.proxy_header = Some(header);
                return match e.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
                    io::ErrorKind::UnexpectedEof => Err(CloseReason::Peer),
                    io::ErrorKind::InvalidData => {
                        let (id, peer) = (connection.cold.id, connection.cold.peer);
                        self.context.totals.errors.protocol += 1;
                        let text = "no header of the PROXY protocol where one has to stand";
                        if self.context.may_log(Cause::Violation, log::Level::Warn) {
                            log::warn!(
                                peer:% = peer, connection:% = id;
                                "connection closed: {text}"
                            );
                        }
                        Err(CloseReason::Protocol(text.to_owned()))
                    }
                    _ => Err(CloseReason::Network(e.to_string())),
                };
            }
        };
        let proxy = connection.cold.peer;
        if let Told::Peer(peer) = told {
            connection.cold.peer = peer;
        }
        let (id, peer) = (connection.cold.id, connection.cold.peer);
        if self.context.may_log(Cause::Connection, log::Level::Debug) {
            log::debug!(peer:% = peer, connection:% = id; "it is behind the proxy {proxy}");
        }
        self.context.emit(Event::ConnectionOpened {
            connection: id,
            peer,
        });
        if told == Told::Nothing {
            return Ok(());
        }
        if shared.is_blocked(peer.ip()) {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            return Err(CloseReason::Refused("the address is blocked".to_owned()));
        }
        let per_address = self.context.config.limits.connections_per_address;
        if per_address == 0 {
            return Ok(());
        }
        let (place, others) = shared.addresses.enter(peer.ip());
        if others < per_address {
            connection.cold.address_slot = Some(place);
            return Ok(());
        }
        let limit = Limit::ConnectionsPerAddress;
        shared.refused.fetch_add(1, Ordering::Relaxed);
        self.context.report_limit(limit, Some(id));
        if others >= per_address.saturating_add(ADDRESS_RESERVE) {
            return Err(CloseReason::Limit(format!("{limit} is reached")));
        }
        connection.cold.over_limit = Some(limit);
        connection.cold.address_slot = Some(place);
        Ok(())
    }

    /// A connection says `connect`: from now on it has a place, if there is one.
    pub(super) fn take_place(&mut self, slot: usize) {
        let limit = self.context.config.limits.connections;
        let shared = &self.context.shared;
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if !shared
            .newcomers
            .forget(connection.cold.opened, connection.cold.id)
        {
            return;
        }
        let open = shared.connections.load(Ordering::Acquire);
        let others = open.saturating_sub(shared.newcomers.len() + 1);
        if others >= limit && connection.cold.over_limit.is_none() {
            connection.cold.over_limit = Some(Limit::Connections);
            shared.refused.fetch_add(1, Ordering::Relaxed);
            self.context
                .report_limit(Limit::Connections, Some(connection.cold.id));
        }
    }

    /// A connection goes on with another worker, which carries out what it was granted.
    pub(super) fn hand_over(&mut self, slot: usize, worker: usize) {
        let Some(mut connection) = self.connections.remove(&mut self.context, slot) else {
            return;
        };
        let id = connection.cold.id;
        let counts = connection.uncounted();
        self.context.totals.of_connections.add(&counts);
        connection.cold.counted.add(&counts);
        // The other worker's lists are other lists, and its poller tells of all there is.
        let io = &mut connection.io;
        (io.dirty, io.unwritten) = (false, false);
        connection.cold.reading.unread = false;
        (io.watching, io.writable) = (false, true);
        connection.cold.doze = Doze::default();
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

    /// What carries an accepted connection's bytes, or why there is nothing that could.
    #[cfg(feature = "tls")]
    fn transport(
        &self,
        socket: P::Stream,
        transport: ListenTransport,
    ) -> Result<Transport<P::Stream>, CloseReason> {
        let shared = &self.context.shared;
        if transport == ListenTransport::Plain {
            return Ok(Transport::Plain(socket));
        }
        // A handshake holds more than a connection that waits for one.
        if shared.budget.is_exhausted() {
            shared.report_limit(Limit::Memory, None);
            return Err(CloseReason::Limit(format!("{} is used up", Limit::Memory)));
        }
        let tls = lock(&shared.tls).clone();
        let tls = tls.ok_or_else(|| CloseReason::Host("no TLS is spoken any more".to_owned()))?;
        let connection = tls
            .accept()
            .map_err(|e| CloseReason::Network(e.to_string()))?;
        let stream = TlsStream::new(socket, connection, tls.handshake_work());
        let stream = match lock(&shared.challenges).config() {
            Some(challenge) => stream.with_choice(tls.choice(challenge)),
            None => stream,
        };
        Ok(Transport::Tls(Box::new(stream)))
    }

    /// What carries an accepted connection's bytes, or why there is nothing that could.
    #[cfg(not(feature = "tls"))]
    fn transport(
        &self,
        socket: P::Stream,
        transport: ListenTransport,
    ) -> Result<Transport<P::Stream>, CloseReason> {
        match transport {
            ListenTransport::Plain => Ok(Transport::Plain(socket)),
            // No settings with such a listener are valid.
            ListenTransport::Tls => Err(CloseReason::Host("built without TLS".to_owned())),
        }
    }

    /// A connection from another worker, or one that could not go there.
    fn resume(&mut self, connection: Connection<P::Stream>) {
        let (id, peer) = (connection.cold.id, connection.cold.peer);
        let is_guest = connection.is_guest();
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
                shared.drain.left(is_guest.into());
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
            && connection.cold.pending.is_empty()
        {
            let (limit, id) = (Limit::HandshakeGrace, connection.cold.id);
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
