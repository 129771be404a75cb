//! Outgoing connections on their way: looked up, dialled, given up.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::{ClientConfig, ClientSession};
use slab::Slab;

use super::Worker;
use super::connection::Connection;
use super::context::Context;
use super::session::{Client, Session};
use super::timers::Timer;
use super::transport::Transport;
use crate::dial::{Dial, MAX_ATTEMPTS, Progress};
use crate::events::Event;
use crate::id::ConnectionId;
use crate::inbox::Command;
use crate::log_limit::Cause;
use crate::outgoing::Errand;
use crate::platform::{Platform, Token};

/// Tokens of attempts to connect: between those of connections and of listeners.
const FIRST_TOKEN: usize = usize::MAX / 4;

/// Outgoing connections that are not connected yet.
pub(super) struct Dialing<P: Platform> {
    list: Slab<Outgoing<P>>,
}

struct Outgoing<P: Platform> {
    id: ConnectionId,
    errand: Box<Errand>,
    session: ClientConfig,
    /// For the look-up, the dialling and the session until it is ready.
    began: Time,
    /// Once the addresses are known.
    dial: Option<Dial<P>>,
    armed: Option<Time>,
}

/// One that is connected.
struct Connected<P: Platform> {
    outgoing: Outgoing<P>,
    socket: P::Stream,
    peer: SocketAddr,
}

impl<P: Platform> Default for Dialing<P> {
    fn default() -> Dialing<P> {
        Dialing { list: Slab::new() }
    }
}

impl<P: Platform> Outgoing<P> {
    fn deadline(&self) -> Time {
        self.began + self.session.timeout
    }
}

impl<P: Platform> Dialing<P> {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.list.iter().map(|(_, outgoing)| outgoing.id).collect()
    }

    /// The place in the list that a token belongs to.
    pub(super) fn slot_of_token(token: Token) -> Option<usize> {
        let beyond = token.0.checked_sub(FIRST_TOKEN)?;
        Some(beyond / MAX_ATTEMPTS)
    }

    pub(super) fn slot_of(&self, id: ConnectionId) -> Option<usize> {
        let mut list = self.list.iter();
        Some(list.find(|(_, outgoing)| outgoing.id == id)?.0)
    }

    /// Begins with the look-up of the host.
    fn begin(&mut self, context: &mut Context<P>, id: ConnectionId, errand: Box<Errand>) {
        let mut session = ClientConfig::new(errand.url.clone(), errand.mode);
        session.chunk_size = context.config.rtmp.chunk_size;
        session.limits = context.config.limits.session.clone();
        let (host, port) = (errand.url.host.clone(), errand.url.port);
        let slot = self.list.insert(Outgoing {
            id,
            errand,
            session,
            began: context.now,
            dial: None,
            armed: None,
        });
        self.arm(context, slot, None);
        let (shared, worker) = (context.shared.clone(), context.index);
        let answer = move |addresses| {
            let connection = id;
            shared.inboxes[worker].send(Command::Resolved {
                connection,
                addresses,
            });
        };
        context.platform.resolve(&host, port, Box::new(answer));
    }

    fn arm(&mut self, context: &mut Context<P>, slot: usize, until: Option<Time>) {
        let Some(outgoing) = self.list.get_mut(slot) else {
            return;
        };
        let deadline = outgoing.deadline();
        let at = until.map_or(deadline, |until| until.min(deadline));
        let timer = Timer::Dialing(outgoing.id);
        context.timers.arm(timer, &mut outgoing.armed, at);
    }

    fn take(&mut self, context: &mut Context<P>, slot: usize) -> Option<Outgoing<P>> {
        let mut outgoing = self.list.try_remove(slot)?;
        let timer = Timer::Dialing(outgoing.id);
        context.timers.disarm(timer, &mut outgoing.armed);
        Some(outgoing)
    }

    /// Moves the attempts on. Returns the connection once there is one; reports it as
    /// failed once none can be.
    fn advance(&mut self, context: &mut Context<P>, slot: usize) -> Option<Connected<P>> {
        let outgoing = self.list.get_mut(slot)?;
        let late = outgoing.deadline() <= context.now;
        let Some(dial) = outgoing.dial.as_mut() else {
            match late {
                true => self.fail(context, slot, "the look-up of the host took too long"),
                false => self.arm(context, slot, None),
            }
            return None;
        };
        let token = |attempt| Token(FIRST_TOKEN + slot * MAX_ATTEMPTS + attempt);
        let platform = context.platform.clone();
        match dial.advance(&platform, &mut context.poller, token) {
            Progress::Connected(socket, peer) => {
                let outgoing = self.take(context, slot)?;
                Some(Connected {
                    outgoing,
                    socket,
                    peer,
                })
            }
            Progress::Wait(until) if !late => {
                self.arm(context, slot, until);
                None
            }
            Progress::Wait(_) | Progress::Failed => {
                self.fail(context, slot, "no answer in time");
                None
            }
        }
    }

    /// It comes to nothing. `why` is told if no address was tried.
    pub(super) fn fail(&mut self, context: &mut Context<P>, slot: usize, why: &str) {
        let Some(outgoing) = self.take(context, slot) else {
            return;
        };
        let error = match outgoing.dial {
            Some(dial) => dial.abandon(&mut context.poller).to_string(),
            None => why.to_owned(),
        };
        give_up(context, outgoing.id, &outgoing.errand, error);
    }
}

/// Reports an outgoing connection that there will not be.
fn give_up<P: Platform>(
    context: &mut Context<P>,
    connection: ConnectionId,
    errand: &Errand,
    error: String,
) {
    context.totals.errors.network += 1;
    context.shared.locations.remove(connection);
    context.shared.connections.fetch_sub(1, Ordering::AcqRel);
    let (host, port) = (errand.url.host.clone(), errand.url.port);
    if context.may_log(Cause::Connection, log::Level::Warn) {
        log::warn!(connection:% = connection; "could not connect to {host}:{port}: {error}");
    }
    context.emit(Event::OutgoingFailed {
        connection,
        host,
        port,
        error,
    });
}

impl<P: Platform> Worker<P> {
    /// The host wants a connection to another server.
    pub(super) fn go_out(&mut self, connection: ConnectionId, errand: Box<Errand>) {
        match self.context.is_stopping() {
            true => {
                let why = "the server is stopping".to_owned();
                give_up(&mut self.context, connection, &errand, why);
            }
            false => self.dialing.begin(&mut self.context, connection, errand),
        }
    }

    /// The addresses of a host were found, or were not.
    pub(super) fn on_resolved(
        &mut self,
        connection: ConnectionId,
        addresses: io::Result<Vec<SocketAddr>>,
    ) {
        // An answer that comes late finds nobody.
        let Some(slot) = self.dialing.slot_of(connection) else {
            return;
        };
        match addresses {
            Ok(addresses) => {
                let dial = Dial::new(addresses, self.context.now);
                self.dialing.list[slot].dial = Some(dial);
                self.dial(slot);
            }
            Err(error) => {
                let why = format!("the host was not found: {error}");
                self.dialing.fail(&mut self.context, slot, &why);
            }
        }
    }

    /// An attempt was reported, or its time has come.
    pub(super) fn dial(&mut self, slot: usize) {
        if let Some(connected) = self.dialing.advance(&mut self.context, slot) {
            self.open_outgoing(connected);
        }
    }

    pub(super) fn on_dial_timer(&mut self, id: ConnectionId) {
        if let Some(slot) = self.dialing.slot_of(id) {
            self.dialing.list[slot].armed = None;
            self.dial(slot);
        }
    }

    fn open_outgoing(&mut self, connected: Connected<P>) {
        let Connected {
            outgoing,
            socket,
            peer,
        } = connected;
        let Outgoing {
            id,
            errand,
            session,
            began,
            ..
        } = outgoing;
        let platform = self.context.platform.clone();
        let mut entropy = Ok(());
        // Its time runs since it was asked for.
        let session = ClientSession::new(session, began, &mut |bytes| {
            entropy = platform.fill_random(bytes);
        });
        let session = Session::Client(Box::new(Client {
            session,
            errand: *errand.clone(),
        }));
        let transport = Transport::Plain(socket);
        let connection = Connection::new(id, peer, transport, session, &self.context);
        let inserted = entropy.and_then(|()| {
            self.connections
                .insert(&mut self.context, connection)
                .map_err(|(error, _)| error)
        });
        match inserted {
            Ok(slot) => {
                if self.context.may_log(Cause::Connection, log::Level::Debug) {
                    log::debug!(peer:% = peer, connection:% = id; "connected");
                }
                self.context.emit(Event::ConnectionOpened {
                    connection: id,
                    peer,
                });
                self.guarded(slot, |worker, slot| {
                    worker.connections.settle(&mut worker.context, slot);
                });
            }
            Err(error) => give_up(&mut self.context, id, &errand, error.to_string()),
        }
    }
}
