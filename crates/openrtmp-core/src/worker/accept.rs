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
            let token = Token(LISTENERS + self.listeners.len());
            self.poller.add_listener(&mut listening.listener, token)?;
            self.listeners.push(listening);
        }
        Ok(())
    }

    pub(super) fn is_listener(&self, token: usize) -> bool {
        token >= LISTENERS
    }

    pub(super) fn drop_listeners(&mut self) {
        for mut listening in self.listeners.drain(..) {
            let _ = self.poller.remove_listener(&mut listening.listener);
        }
    }

    /// After a restart: the same addresses, on the same ports.
    pub(super) fn rebind_listeners(&mut self) {
        let addresses: Vec<SocketAddr> = self.listeners.iter().map(|l| l.address).collect();
        self.drop_listeners();
        for address in addresses {
            let again = self
                .platform
                .listen(address)
                .and_then(|listener| self.add_listeners(vec![Listening { listener, address }]));
            if let Err(e) = again {
                log::error!(address:% = address; "could not listen again: {e}");
                self.emit(Event::AcceptFailed {
                    error: format!("{address}: {e}"),
                });
            }
        }
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
                        let retry = self.shared.config.limits.accept_retry;
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
        let limit = self.shared.config.limits.connections;
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
        let limits = &shared.config.limits;
        let limit = limits.connections;
        if self.state.draining.is_some() {
            return;
        }
        if shared.connections.load(Ordering::Acquire) >= limit {
            self.make_room();
        }
        let per_address = limits.connections_per_address;
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
        let session = ServerSession::new(&shared.session, now, &mut |bytes| {
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
            session,
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
        let grace = self.shared.config.limits.handshake_grace;
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
