//! Listeners and new connections.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openrtmp_protocol::session::ServerSession;

use super::Worker;
use super::connection::{Connection, IoState};
use super::timers::Timer;
use crate::budget::Charge;
use crate::events::Event;
use crate::id::ConnectionId;
use crate::platform::{Listener, Platform, Poller, Token};
use crate::stream::queue::SendQueue;
use crate::worker::inbox::Command;

/// Tokens of listeners; connections use their slot.
const LISTENERS: usize = usize::MAX / 2;

/// After accept failed (too many open files, mostly) the next try.
const ACCEPT_RETRY: Duration = Duration::from_millis(250);

/// Connections beyond the limit that are heard, so that they can be told why they
/// are refused. More are closed at once.
const OVER_LIMIT_RESERVE: usize = 16;

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
        if self.state.accept_paused {
            return;
        }
        for index in 0..self.listeners.len() {
            loop {
                match self.listeners[index].listener.accept() {
                    Ok((socket, peer)) => self.place(socket, peer),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    Err(e) if gave_up_while_waiting(&e) => {}
                    Err(e) => {
                        log::error!("accepting failed, next try in {ACCEPT_RETRY:?}: {e}");
                        self.emit(Event::AcceptFailed {
                            error: e.to_string(),
                        });
                        self.state.accept_paused = true;
                        self.state
                            .timers
                            .set(self.state.now + ACCEPT_RETRY, Timer::Accept);
                        return;
                    }
                }
            }
        }
    }

    fn place(&mut self, socket: P::Stream, peer: SocketAddr) {
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
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        let limit = shared.config.limits.connections;
        let others = shared.connections.fetch_add(1, Ordering::AcqRel);
        let over_limit = others >= limit;
        if over_limit {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            self.emit(Event::LimitReached {
                limit: "limits.connections",
                value: limit as u64,
                connection: None,
            });
        }
        if self.state.draining.is_some() || others >= limit + OVER_LIMIT_RESERVE {
            shared.connections.fetch_sub(1, Ordering::AcqRel);
            return;
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
            log::error!(peer:% = peer; "a connection could not be served: {e}");
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
            over_limit,
            io: IoState::default(),
            bytes_in: 0,
            bytes_out: 0,
            delay: None,
            write_coalesce: None,
            armed: None,
        });
        log::debug!(peer:% = peer, connection:% = id; "connection accepted");
        self.emit(Event::ConnectionOpened {
            connection: id,
            peer,
        });
        self.rearm(slot);
        // Bytes may be there already: the edge that told so came before the poller.
        self.mark_unread(slot);
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
