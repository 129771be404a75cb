//! Outgoing connections on their way: looked up, dialled, given up.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::{ClientConfig, ClientLogin, ClientSession};

use super::Worker;
use super::connection::Connection;
use super::context::Context;
use super::session::{Client, Session};
use super::slots::Slots;
use super::timers::Timer;
use crate::dial::{Dial, MAX_ATTEMPTS, Progress};
use crate::errand::Errand;
use crate::events::{CloseReason, Event};
use crate::id::ConnectionId;
use crate::inbox::Command;
use crate::log_limit::Cause;
use crate::platform::{Platform, Stream, Token};
use crate::shared::Shared;
#[cfg(feature = "tls")]
use crate::transport::TlsStream;
use crate::transport::Transport;

/// Tokens of attempts to connect: between those of connections and of listeners.
const FIRST_TOKEN: usize = usize::MAX / 4;

/// Outgoing connections that are not connected yet.
pub(super) struct Dialing<P: Platform> {
    list: Slots<Outgoing<P>>,
}

struct Outgoing<P: Platform> {
    id: ConnectionId,
    errand: Box<Errand>,
    session: ClientConfig,
    /// For the look-up, the dialling and the session until it is ready.
    began: Time,
    /// Of one that was connected before, and is to be again: to whom.
    before: Option<SocketAddr>,
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
        Dialing {
            list: Slots::default(),
        }
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
    fn begin(
        &mut self,
        context: &mut Context<P>,
        id: ConnectionId,
        errand: Box<Errand>,
        began: Time,
        before: Option<SocketAddr>,
    ) {
        let mut session = ClientConfig::new(errand.url.clone(), errand.mode);
        session.chunk_size = context.config.rtmp.chunk_size;
        session.login = errand.login.clone();
        session.limits = context.config.limits.session.clone();
        // What is tried once goes in no circle.
        if errand.is_relay {
            session.via.clone_from(&errand.via);
            session.via.push(context.shared.relays.id);
        }
        let (host, port) = (errand.url.host.clone(), errand.url.port);
        let slot = self.list.insert(Outgoing {
            id,
            errand,
            session,
            began,
            before,
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
        let mut outgoing = self.list.remove(slot)?;
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
        report_unconnected(
            context,
            outgoing.id,
            &outgoing.errand,
            outgoing.before,
            error,
        );
    }
}

/// Reports an outgoing connection that there will not be.
fn report_unconnected<P: Platform>(
    context: &mut Context<P>,
    connection: ConnectionId,
    errand: &Errand,
    before: Option<SocketAddr>,
    error: String,
) {
    context.totals.errors.network += 1;
    context.shared.locations.remove(connection);
    context.shared.connections.fetch_sub(1, Ordering::AcqRel);
    let (host, port) = (errand.url.host.clone(), errand.url.port);
    if context.may_log(Cause::Connection, log::Level::Warn) {
        log::warn!(connection:% = connection; "could not connect to {host}:{port}: {error}");
    }
    context.emit(match before {
        Some(peer) => Event::ConnectionClosed {
            connection,
            peer,
            reason: CloseReason::Network(error),
        },
        None => Event::OutgoingFailed {
            connection,
            host,
            port,
            error,
        },
    });
}

/// What carries the bytes of an outgoing connection.
fn transport<S: Stream>(socket: S, errand: &Errand, shared: &Shared) -> io::Result<Transport<S>> {
    #[cfg(feature = "tls")]
    if errand.url.tls {
        let tls = shared
            .client_tls(errand.is_redirect)
            .map_err(io::Error::other)?;
        let connection = tls.connect(&errand.url.host).map_err(io::Error::other)?;
        let stream = TlsStream::new(socket, connection, 0);
        return Ok(Transport::Tls(Box::new(stream)));
    }
    let _ = (errand, shared);
    Ok(Transport::Plain(socket))
}

impl<P: Platform> Worker<P> {
    /// The host wants a connection to another server.
    pub(super) fn go_out(&mut self, connection: ConnectionId, errand: Box<Errand>) {
        let context = &self.context;
        let why = match (context.is_stopping(), context.asleep) {
            (true, _) => Some("the server is stopping"),
            (false, true) => Some("the server is suspended"),
            (false, false) => None,
        };
        match why {
            Some(why) => {
                report_unconnected(&mut self.context, connection, &errand, None, why.to_owned());
            }
            None => {
                let now = self.context.now;
                self.dialing
                    .begin(&mut self.context, connection, errand, now, None);
            }
        }
    }

    /// The other server wants to know who we are, and hears it over the next socket. The
    /// connection stays what it is to everybody else, its time too.
    pub(super) fn connect_again(&mut self, slot: usize, login: ClientLogin) {
        let Some(mut connection) = self.connections.remove(&mut self.context, slot) else {
            return;
        };
        connection.transport.say_goodbye();
        let (id, peer) = (connection.cold.id, connection.cold.peer);
        if self.context.may_log(Cause::Connection, log::Level::Debug) {
            log::debug!(peer:% = peer, connection:% = id; "asked who we are; connecting again");
        }
        let Session::Client(client) = connection.cold.session else {
            return;
        };
        let Client { errand, began, .. } = *client;
        let errand = Box::new(Errand { login, ..errand });
        let context = &mut self.context;
        match context.is_stopping() {
            true => {
                let why = "the server is stopping".to_owned();
                report_unconnected(context, id, &errand, Some(peer), why);
            }
            false => self.dialing.begin(context, id, errand, began, Some(peer)),
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
                if let Some(outgoing) = self.dialing.list.get_mut(slot) {
                    outgoing.dial = Some(dial);
                }
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
            if let Some(outgoing) = self.dialing.list.get_mut(slot) {
                outgoing.armed = None;
            }
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
            before,
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
            began,
        }));
        let transport = entropy.and_then(|()| transport(socket, &errand, &self.context.shared));
        let inserted = transport.and_then(|transport| {
            let connection = Connection::new(id, peer, transport, session, &self.context);
            self.connections
                .insert(&mut self.context, connection)
                .map_err(|(error, _)| error)
        });
        match inserted {
            Ok(slot) => {
                if self.context.may_log(Cause::Connection, log::Level::Debug) {
                    log::debug!(peer:% = peer, connection:% = id; "connected");
                }
                if before.is_none() {
                    self.context.emit(Event::ConnectionOpened {
                        connection: id,
                        peer,
                    });
                }
                self.guarded(slot, |worker, slot| {
                    worker.settle(slot);
                });
            }
            Err(error) => {
                report_unconnected(&mut self.context, id, &errand, before, error.to_string())
            }
        }
    }
}
