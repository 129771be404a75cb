//! Listeners and new connections.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use openrtmp_protocol::session::{ServerSession, Stage};

use super::Worker;
use super::connection::{Connection, IoState};
use super::timers::Timer;
use crate::budget::Charge;
use crate::events::{CloseReason, Event};
use crate::id::ConnectionId;
use crate::log_limit::Cause;
use crate::platform::{Listener, Platform, Poller, Token};
use crate::stream::queue::SendQueue;
use crate::worker::inbox::Command;

/// Tokens of listeners; connections use their slot.
const LISTENERS: usize = usize::MAX / 2;

/// Connections accepted in one turn, so that a flood of them does not keep the
/// worker from those it has.
const ACCEPTS_PER_TURN: usize = 256;

/// Connections beyond the limit that are heard, so that they can be told why they
/// are refused. More are closed at once.
const OVER_LIMIT_RESERVE: usize = 16;

/// The same for connections of one address.
const ADDRESS_RESERVE: usize = 4;

/// A listening socket and the address to bind again if it has to.
pub(crate) struct Listening<L> {
    pub(crate) listener: L,
    pub(crate) address: SocketAddr,
    /// The setting: its port may be 0.
    pub(crate) asked: SocketAddr,
}

impl<L: Listener> Listening<L> {
    pub(crate) fn bind<P: Platform<Listener = L>>(
        platform: &P,
        asked: SocketAddr,
    ) -> io::Result<Listening<L>> {
        let listener = platform.listen(asked)?;
        let address = listener.local_address()?;
        Ok(Listening {
            listener,
            address,
            asked,
        })
    }

    fn is_of(&self, wanted: SocketAddr) -> bool {
        self.asked == wanted || self.address == wanted
    }
}

/// Accepted sockets on their way to another worker.
pub(crate) struct Handoff<S> {
    pub(super) queues: Vec<Mutex<Vec<(S, SocketAddr)>>>,
}

impl<P: Platform> Worker<P> {
    /// Takes over bound listeners. Once, before the first turn, on worker 0.
    pub(crate) fn add_listeners(
        &mut self,
        listeners: Vec<Listening<P::Listener>>,
    ) -> io::Result<()> {
        for mut listening in listeners {
            self.watch(&mut listening)?;
            self.listeners.push(listening);
        }
        Ok(())
    }

    fn watch(&mut self, listening: &mut Listening<P::Listener>) -> io::Result<()> {
        let token = Token(LISTENERS + self.listened);
        self.listened += 1;
        self.poller.add_listener(&mut listening.listener, token)
    }

    /// Closes a listener; what it was asked for and had.
    fn unlisten(&mut self, mut listening: Listening<P::Listener>) -> (SocketAddr, SocketAddr) {
        let _ = self.poller.remove_listener(&mut listening.listener);
        (listening.asked, listening.address)
    }

    pub(super) fn is_listener(&self, token: usize) -> bool {
        token >= LISTENERS
    }

    pub(super) fn drop_listeners(&mut self) -> Vec<(SocketAddr, SocketAddr)> {
        let listeners = std::mem::take(&mut self.listeners);
        listeners.into_iter().map(|l| self.unlisten(l)).collect()
    }

    /// After a restart: the same addresses, on the same ports.
    pub(super) fn rebind_listeners(&mut self) {
        let released = self.drop_listeners();
        self.listen_again(released);
    }

    fn listen_again(&mut self, released: Vec<(SocketAddr, SocketAddr)>) {
        for (asked, address) in released {
            let again = Listening::bind(&*self.platform, address)
                .and_then(|l| self.add_listeners(vec![Listening { asked, ..l }]));
            if let Err(e) = again {
                log::error!(address:% = address; "could not listen again: {e}");
                self.emit(Event::AcceptFailed {
                    error: format!("{address}: {e}"),
                });
            }
        }
    }

    /// Listens on these addresses from now on, and tells the real ones; or, if one
    /// cannot be had, on the same as before, and tells which.
    pub(super) fn listen_on(
        &mut self,
        wanted: &[SocketAddr],
    ) -> Result<Vec<SocketAddr>, (SocketAddr, io::Error)> {
        // Who came before is served before the socket it came through is closed.
        self.accept();
        let mut old = std::mem::take(&mut self.listeners);
        let mut kept = |&address: &SocketAddr| {
            let index = old.iter().position(|l| l.is_of(address))?;
            Some(old.remove(index))
        };
        let mut next: Vec<_> = wanted.iter().map(|a| (*a, kept(a))).collect();
        let new = next.iter().filter(|(_, listening)| listening.is_none());
        let ports: Vec<u16> = new.map(|(address, _)| address.port()).collect();
        // One address may stand in the way of another on the same port.
        let (in_the_way, rest): (Vec<_>, Vec<_>) = old
            .into_iter()
            .partition(|l| ports.contains(&l.address.port()));
        let released: Vec<_> = in_the_way.into_iter().map(|l| self.unlisten(l)).collect();

        let mut failure = None;
        let mut added = Vec::new();
        for (place, (address, listening)) in next.iter_mut().enumerate() {
            if listening.is_some() || failure.is_some() {
                continue;
            }
            let bound = Listening::bind(&*self.platform, *address)
                .and_then(|mut bound| self.watch(&mut bound).map(|()| bound));
            match bound {
                Ok(bound) => *listening = Some(bound),
                Err(e) => failure = Some((*address, e)),
            }
            added.push(place);
        }
        if let Some(failure) = failure {
            for place in added {
                if let Some(bound) = next[place].1.take() {
                    self.unlisten(bound);
                }
            }
            self.listeners = next
                .into_iter()
                .filter_map(|(_, l)| l)
                .chain(rest)
                .collect();
            self.listen_again(released);
            return Err(failure);
        }
        for listening in rest {
            self.unlisten(listening);
        }
        self.listeners = next.into_iter().filter_map(|(_, l)| l).collect();
        Ok(self.listeners.iter().map(|l| l.address).collect())
    }

    pub(super) fn resume_accept(&mut self) {
        self.state.accept_paused = false;
        self.accept();
    }

    /// Accepts all that wait, on every listener, and hands them round.
    pub(super) fn accept(&mut self) {
        self.state.unaccepted = false;
        if self.state.accept_paused {
            return;
        }
        let mut left = ACCEPTS_PER_TURN;
        for index in 0..self.listeners.len() {
            loop {
                if left == 0 {
                    self.state.unaccepted = true;
                    return;
                }
                left -= 1;
                match self.listeners[index].listener.accept() {
                    Ok((socket, peer)) => self.place(socket, peer),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    Err(e) if gave_up_while_waiting(&e) => {}
                    Err(e) => {
                        let retry = self.config.limits.accept_retry;
                        if self.may_log(Cause::Accept, log::Level::Error) {
                            log::error!("accepting failed, next try in {retry:?}: {e}");
                        }
                        self.emit(Event::AcceptFailed {
                            error: e.to_string(),
                        });
                        self.state.accept_paused = true;
                        self.state.timers.set(self.state.now + retry, Timer::Accept);
                        return;
                    }
                }
            }
        }
    }

    fn place(&mut self, socket: P::Stream, peer: SocketAddr) {
        let limit = self.config.limits.connections;
        let open = self.shared.connections.load(Ordering::Acquire);
        if open >= limit.saturating_add(OVER_LIMIT_RESERVE) {
            // Not worth another worker's attention.
            return self.turn_away("limits.connections", limit);
        }
        let worker = self.state.next_worker % self.shared.inboxes.len();
        self.state.next_worker = worker + 1;
        if worker == self.index {
            self.open(socket, peer);
        } else {
            self.handoff.queues[worker]
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((socket, peer));
            self.shared.inboxes[worker].send(Command::Adopt);
        }
    }

    /// Takes the sockets that worker 0 handed over.
    pub(super) fn adopt(&mut self) {
        let sockets = std::mem::take(
            &mut *self.handoff.queues[self.index]
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for (socket, peer) in sockets {
            self.open(socket, peer);
        }
    }

    fn open(&mut self, mut socket: P::Stream, peer: SocketAddr) {
        let shared = self.shared.clone();
        let limits = &self.config.limits;
        let (limit, per_address) = (limits.connections, limits.connections_per_address);
        if self.state.draining.is_some() {
            return;
        }
        if shared.connections.load(Ordering::Acquire) >= limit {
            self.make_room();
        }
        let resident = (per_address > 0).then(|| shared.addresses.enter(peer.ip()));
        if let Some((_, others)) = &resident
            && *others >= per_address.saturating_add(ADDRESS_RESERVE)
        {
            return self.turn_away("limits.connections_per_address", per_address);
        }
        let others = shared.connections.fetch_add(1, Ordering::AcqRel);
        if others >= limit.saturating_add(OVER_LIMIT_RESERVE) {
            shared.connections.fetch_sub(1, Ordering::AcqRel);
            return self.turn_away("limits.connections", limit);
        }
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        let of_address = resident.as_ref().is_some_and(|(_, n)| *n >= per_address);
        let over_limit = match (others >= limit, of_address) {
            (true, _) => Some(("limits.connections", limit)),
            (false, true) => Some(("limits.connections_per_address", per_address)),
            (false, false) => None,
        };
        if let Some((name, value)) = over_limit {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            self.tell_limit(name, value as u64, None);
        }
        let now = self.state.now;
        let platform = self.platform.clone();
        let mut entropy = Ok(());
        let session = ServerSession::new(&self.config.session(), now, &mut |bytes| {
            entropy = platform.fill_random(bytes);
        });
        let entry = self.state.connections.vacant_entry();
        let slot = entry.key();
        self.generation = self.generation.wrapping_add(1);
        let id = ConnectionId::new(self.index, slot, self.generation);
        if let Err(e) = entropy.and_then(|()| self.poller.add_stream(&mut socket, Token(slot))) {
            if self.may_log(Cause::Accept, log::Level::Error) {
                log::error!(peer:% = peer; "a connection could not be served: {e}");
            }
            shared.connections.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        entry.insert(Connection {
            id,
            socket,
            peer,
            chunk_size: session.chunk_size(),
            session: Box::new(session),
            queue: SendQueue::default(),
            charge: Charge::new(&shared.budget, 0),
            opened: now,
            last_input: now,
            app: String::new(),
            publishing: Vec::new(),
            playing: Vec::new(),
            pending: Vec::new(),
            over_limit: over_limit.map(|(name, _)| name),
            _resident: resident.map(|(resident, _)| resident),
            io: IoState::default(),
            bytes_in: 0,
            bytes_out: 0,
            delay: None,
            write_coalesce: None,
            armed: None,
        });
        if self.may_log(Cause::Connection, log::Level::Debug) {
            log::debug!(peer:% = peer, connection:% = id; "connection accepted");
        }
        self.emit(Event::ConnectionOpened {
            connection: id,
            peer,
        });
        self.remember_newcomer(id);
        self.rearm(slot);
        // Bytes may be there already: the edge that told so came before the poller.
        self.mark_unread(slot);
    }
}

/// What happens at the limits.
impl<P: Platform> Worker<P> {
    /// A connection is closed unheard. It costs its accept and its close.
    fn turn_away(&self, limit: &'static str, value: usize) {
        self.shared.accepted.fetch_add(1, Ordering::Relaxed);
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
        self.tell_limit(limit, value as u64, None);
    }

    fn remember_newcomer(&mut self, id: ConnectionId) {
        // Those that got on are forgotten once they are the half of it.
        if self.state.newcomers.len() > 64 + 2 * self.state.connections.len() {
            let mut newcomers = std::mem::take(&mut self.state.newcomers);
            newcomers.retain(|&id| self.is_newcomer(id));
            self.state.newcomers = newcomers;
        }
        self.state.newcomers.push_back(id);
    }

    /// True for a connection that has not said `connect`.
    fn is_newcomer(&self, id: ConnectionId) -> bool {
        self.slot_of(id).is_some_and(|slot| {
            let connection = &self.state.connections[slot];
            // The host's time to decide is not the peer's.
            matches!(connection.stage(), Stage::Handshake | Stage::Connect)
                && connection.pending.is_empty()
        })
    }

    /// Who is slow to shake hands must not lock others out: the oldest that has
    /// had its time goes.
    fn make_room(&mut self) {
        let grace = self.config.limits.handshake_grace;
        while let Some(&id) = self.state.newcomers.front() {
            let slot = self.slot_of(id).filter(|_| self.is_newcomer(id));
            let Some(slot) = slot else {
                self.state.newcomers.pop_front();
                continue;
            };
            let connection = &self.state.connections[slot];
            if connection.opened + grace <= self.state.now {
                self.state.newcomers.pop_front();
                let reason = "made room for another: limits.connections is reached";
                self.close(slot, CloseReason::Limit(reason.to_owned()));
            }
            return;
        }
    }
}

/// Errors of a connection that ended before it was accepted: the next one is fine.
fn gave_up_while_waiting(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
