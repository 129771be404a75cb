//! A connection served: its bytes read, its session's events acted on, its deadlines
//! met, its end brought about.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openrtmp_protocol::command::code;
use openrtmp_protocol::session::{AuthRequest, RejectReason, SessionError, Stage};
use openrtmp_protocol::text::shown;
use openrtmp_protocol::{Secret, Time};

use super::Worker;
use super::connection::{Connection, Playing, Publication, Released};
use super::connections::OverLimit;
use super::lives;
use super::requests::{Request, WaitsFor};
use super::session::{Refused, Session, SessionEvent};
use super::work;
use crate::access::{AccessAction, Attempt, Login, Protocol};
use crate::events::{CloseReason, Event};
use crate::inbox::Command;
use crate::limit::Limit;
use crate::log_limit::Cause;
use crate::platform::{Platform, Stream};
use crate::secret::StreamName;
use crate::stream::gate::Gate;
use crate::stream::message::{Departure, PublisherMessage};
use crate::transport;

/// Bytes read at once. One buffer per worker, shared by its connections.
const READ_BUFFER: usize = 256 * 1024;

/// The same from a connection that does not publish. What it says beyond a slice of
/// work is kept: it must not be much, for there may be many of them.
const SMALL_READ: usize = 32 * 1024;

/// Bytes read from one connection in one turn; the rest has its turn after the
/// others.
const READ_BUDGET: usize = 2 * READ_BUFFER;

impl<P: Platform> Worker<P> {
    /// Serves a connection for a slice of work: what it said before, then what its
    /// socket has, until that has no more.
    pub(super) fn read(&mut self, slot: usize) {
        let began = self.context.work;
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if connection.lacks_credit() && !connection.is_ending() {
            return;
        }
        if connection.cold.proxy_header.is_some() && !connection.is_ending() {
            if let Err(reason) = self.hear_proxy(slot) {
                return self.connections.doom(slot, reason);
            }
            let heard = |c: &Connection<P::Stream>| c.cold.proxy_header.is_none();
            if !self.connections.get(slot).is_some_and(heard) {
                return self.settle(slot);
            }
        }
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let unhandled = std::mem::take(&mut connection.cold.unhandled);
        let end = match self.input(slot, &unhandled, began) {
            true => self.read_socket(slot, began),
            false => None,
        };
        let work = self.context.work - began;
        let over = self
            .connections
            .take_from_share(&mut self.context, slot, work);
        self.end_if_over(slot, over);
        let now = self.context.now;
        if let Some(connection) = self.connections.get_mut(slot) {
            match connection.cold.reading.unread || connection.cold.reading.paused_until.is_some() {
                true => connection.hold(now),
                false => connection.let_go(now),
            }
        }
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.note_handshake(now);
        }
        if end.is_none() {
            self.connections.doze(&mut self.context, slot);
        }
        match end {
            Some(reason) => self.connections.doom(slot, reason),
            None => self.settle(slot),
        }
    }

    /// Reads until the socket has no more, or a budget is used. Returns why the
    /// connection is over, if it is.
    fn read_socket(&mut self, slot: usize, began: u64) -> Option<CloseReason> {
        // Taken out so that handling may borrow the worker; a panic costs only a
        // new buffer.
        let mut buffer = std::mem::take(&mut self.read_buffer);
        if buffer.is_empty() {
            if buffer.try_reserve_exact(READ_BUFFER).is_err() {
                return Some(CloseReason::Limit("no memory to read".to_owned()));
            }
            buffer.resize(READ_BUFFER, 0);
        }
        let mut budget = READ_BUDGET;
        let end = loop {
            let Some(connection) = self.connections.get_mut(slot) else {
                break None;
            };
            if connection.is_held_back() && !connection.is_ending() {
                break None;
            }
            if budget == 0 {
                self.connections.mark_unread(slot);
                break None;
            }
            let at_once = match connection.cold.publishing.is_empty() {
                true => SMALL_READ,
                false => READ_BUFFER,
            };
            let read = connection
                .transport
                .read(&mut buffer[..at_once.min(budget)]);
            self.context.work += connection.transport.take_work();
            self.context.totals.system_calls += 1;
            match read {
                Ok(0) => break Some(CloseReason::Peer),
                Ok(n) => {
                    budget -= n;
                    let now = self.context.now;
                    connection.cold.bytes_in += n as u64;
                    connection.cold.last_input = now;
                    connection.cold.reading.ping_sent = false;
                    self.context.totals.bytes_in += n as u64;
                    self.context.totals.rate_in.add(n, now);
                    if !self.input(slot, &buffer[..n], began) {
                        break None;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break None,
                // A transport may have worked and found nothing for us.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                    if self.context.work - began >= work::SLICE {
                        self.connections.mark_unread(slot);
                        break None;
                    }
                }
                // Of one that publishes nothing, nothing can have been cut off.
                Err(e)
                    if e.kind() == io::ErrorKind::UnexpectedEof
                        && connection.cold.publishing.is_empty() =>
                {
                    break Some(CloseReason::Peer);
                }
                Err(e) => match transport::failure(&e) {
                    Some(failure) => {
                        self.transport_failed(slot, failure);
                        break None;
                    }
                    None => break Some(CloseReason::Network(e.to_string())),
                },
            }
        };
        self.read_buffer = buffer;
        end
    }

    /// Feeds bytes to the session. False if its slice of work, since `began`, ended
    /// before they did: what is left is kept for the next.
    fn input(&mut self, slot: usize, mut bytes: &[u8], began: u64) -> bool {
        while !bytes.is_empty() {
            let Some(connection) = self.connections.get_mut(slot) else {
                return true;
            };
            if connection.is_ending() {
                // It is read on for a while, so that our last words are not lost to a
                // reset; what it says no longer matters.
                let discarded = connection.end.discard(bytes.len());
                if discarded > self.context.config.limits.linger_bytes {
                    self.context
                        .report_limit(Limit::LingerBytes, Some(connection.cold.id));
                    self.connections.doom(slot, CloseReason::Peer);
                }
                return true;
            }
            let is_held_back = connection.is_held_back();
            if is_held_back || self.context.work - began >= work::SLICE {
                let unhandled = &mut connection.cold.unhandled;
                unhandled.clear();
                if unhandled.try_reserve_exact(bytes.len()).is_err() {
                    let reason = CloseReason::Limit("no memory for what it said".to_owned());
                    self.connections.doom(slot, reason);
                    return false;
                }
                unhandled.extend_from_slice(bytes);
                if !is_held_back {
                    self.connections.mark_unread(slot);
                }
                return false;
            }
            let stage = connection.stage();
            let now = self.context.now;
            let outcome = connection.cold.session.handle_input(now, bytes);
            self.context.work += connection.cold.session.take_work();
            if !connection.cold.publishing.is_empty()
                && let Some(stream) = connection.cold.session.media_under_way()
                && let Some(publication) = connection.publication(stream)
            {
                publication.hear(now);
            }
            self.drain_events(slot);
            match outcome {
                Ok(used) => bytes = &bytes[used..],
                Err(error) => {
                    self.violation(slot, stage, &error);
                    return true;
                }
            }
        }
        true
    }

    pub(super) fn drain_events(&mut self, slot: usize) {
        while let Some(connection) = self.connections.get_mut(slot)
            && let Some(event) = connection.cold.session.poll_event()
        {
            self.on_event(slot, event);
        }
    }

    fn on_event(&mut self, slot: usize, event: SessionEvent) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        match event {
            SessionEvent::Media(media) => {
                #[cfg(test)]
                assert!(!media.payload.ends_with(crate::sim_tests::PANIC.as_bytes()));
                let id = connection.cold.id;
                connection.cold.media_messages += 1;
                let Some(publication) = connection.publication(media.stream) else {
                    return;
                };
                publication.hear(self.context.now);
                publication.whole = self.context.now;
                let home = publication.home;
                let message = PublisherMessage {
                    stream: publication.stream,
                    epoch: publication.epoch,
                    kind: media.kind,
                    timestamp: media.timestamp,
                    payload: media.payload,
                };
                if home == self.context.index {
                    self.ingest(message);
                } else {
                    let (bytes, held) = (message.payload.len(), message.payload.held_bytes());
                    let (in_flight, publisher) = (&publication.in_flight, Some(id));
                    let budget = &self.context.shared.budget;
                    let credit = in_flight.take(bytes, held, budget);
                    // Asked for before it can be given back.
                    in_flight.must_wait();
                    let command = Command::Media {
                        message,
                        credit,
                        publisher,
                    };
                    self.context.send(home, command);
                }
            }
            SessionEvent::HandshakeDone { echo_matched } => {
                connection.cold.handshake = self.context.now.since(connection.cold.opened);
                if !echo_matched && self.context.may_log(Cause::Tolerated, log::Level::Info) {
                    log::info!(
                        peer:% = connection.cold.peer, connection:% = connection.cold.id;
                        "the handshake's echo does not match; tolerated"
                    );
                }
            }
            SessionEvent::Request {
                request,
                message_stream,
                mut wish,
            } => {
                let shared = &self.context.shared;
                let query = wish.query.reveal();
                let (mut is_loop, mut login) = (false, None);
                if wish.action == AccessAction::Connect {
                    // As the names of streams are read, so that rules and hosts are asked
                    // about one app by one name.
                    let path = openrtmp_protocol::StreamName::join(&wish.app, "name");
                    connection.cold.app = shared.peer_name(path.app(), query);
                    connection.cold.software = shown(&wish.software).to_string().into();
                    let longest = 2 * shared.config().limits.session.name_bytes;
                    if wish.tc_url.reveal().len() <= longest {
                        connection.cold.tc_url = Arc::new(std::mem::take(&mut wish.tc_url));
                    }
                    let id = connection.cold.id;
                    is_loop = shared.came_through(id, wish.via);
                    login = self.log_in(slot, wish.will_publish, wish.auth.as_ref());
                    self.take_place(slot);
                }
                self.context.work += work::REQUEST;
                let shared = &self.context.shared;
                let Some(connection) = self.connections.get(slot) else {
                    return;
                };
                let (name, record) = match &wish.name {
                    Some(name) => {
                        shared.requested(Protocol::Rtmp, wish.action, name.reveal(), query)
                    }
                    None => (shared.host_name(""), None),
                };
                let (duration, is_recorded) = (wish.duration, wish.record);
                let plain = attempt(connection, wish.action, name);
                let attempt = Attempt {
                    query: wish.query,
                    is_loop,
                    record,
                    login: login.unwrap_or(plain.login),
                    will_publish: wish.will_publish,
                    ..plain
                };
                let request = Request::new(request, message_stream, attempt);
                self.ask(
                    slot,
                    Request {
                        duration,
                        record: is_recorded,
                        ..request
                    },
                );
            }
            SessionEvent::Ready => self.begin_errand(slot),
            SessionEvent::Reconnect(tc_url) => self.reconnect(slot, tc_url.as_deref()),
            SessionEvent::PublishEnd { message_stream } => {
                let publishing = &mut connection.cold.publishing;
                let of_this = |p: &Publication| p.message_stream == message_stream;
                if let Some(index) = publishing.iter().position(of_this) {
                    let publication = publishing.swap_remove(index);
                    self.context.work += work::REQUEST;
                    self.release_publication(&publication, Departure::Goodbye);
                    self.leave_if_done(slot);
                }
            }
            SessionEvent::PlayEnd { message_stream } => {
                self.context.work += work::REQUEST;
                let playing = &mut connection.cold.playing;
                let of_this = |p: &Playing| p.message_stream == message_stream;
                if let Some(index) = playing.iter().position(of_this) {
                    let played = playing.swap_remove(index);
                    self.unsubscribe(&played);
                    self.leave_if_done(slot);
                }
            }
            SessionEvent::Pause {
                message_stream,
                paused,
            } => {
                let change = |gate: &mut Gate| gate.set_paused(paused);
                let context = &mut self.context;
                let joining = self
                    .players
                    .with_gate(context, connection, message_stream, change);
                self.answer_join(joining);
            }
            SessionEvent::Receive {
                message_stream,
                kind,
                wanted,
            } => {
                let change = |gate: &mut Gate| gate.set_wanted(kind, wanted);
                let context = &mut self.context;
                let joining = self
                    .players
                    .with_gate(context, connection, message_stream, change);
                self.answer_join(joining);
            }
            SessionEvent::Withdrawn { request } => {
                let pending = &mut connection.cold.pending;
                if let Some(index) = pending.iter().position(|p| p.request.id == request) {
                    let pending = pending.swap_remove(index);
                    self.withdraw(slot, &pending);
                }
            }
            SessionEvent::Refused(refused) => self.refused(slot, *refused),
            SessionEvent::LimitReached(limit) => {
                let id = connection.cold.id;
                if let Some(limit) = Limit::of_session(limit) {
                    self.context.report_limit(limit, Some(id));
                }
            }
            SessionEvent::Tolerated(what) => {
                if self.context.may_log(Cause::Tolerated, log::Level::Debug) {
                    let (peer, id) = (connection.cold.peer, connection.cold.id);
                    log::debug!(peer:% = peer, connection:% = id; "{what}");
                }
            }
        }
    }

    /// A session has refused something, which is an attempt like any other.
    fn refused(&mut self, slot: usize, refused: Refused) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let shared = &self.context.shared;
        let name = shared.peer_name(refused.name.reveal(), refused.query.reveal());
        let mut attempt = attempt(connection, refused.action, name.clone());
        if refused.action == AccessAction::Connect {
            attempt.app = name;
        }
        self.context.totals.errors.refused += 1;
        let why = Some((refused.reason, refused.code));
        self.report_access(slot, &attempt, attempt.target(), why);
    }

    /// Who a peer is that connects and says this of itself.
    fn log_in(
        &mut self,
        slot: usize,
        will_publish: bool,
        request: Option<&AuthRequest>,
    ) -> Option<Login> {
        let users = &self.context.shared.users;
        // Whoever says it without being asked may be a user all the same.
        let asks = users.demands(will_publish) || request.is_some() && users.demands(true);
        let login = match asks {
            true => users.login(self.context.now, request),
            false => return None,
        };
        self.context.work += work::REQUEST;
        if let Login::User(user) = &login {
            self.connections.get_mut(slot)?.cold.user = Some(user.clone());
        }
        Some(login)
    }

    /// A deadline of this connection has come, or came and went.
    pub(super) fn on_deadline(&mut self, slot: usize) {
        if self.connections.is_overdue(&mut self.context, slot) {
            return;
        }
        let now = self.context.now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        let doze = self.connections.get_mut(slot).map(|c| &mut c.cold.doze);
        if doze.is_some_and(|doze| doze.is_over(now)) {
            self.read(slot);
        }
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if due(connection.io.coalesce_until) {
            connection.io.coalesce_until = None;
            connection.io.urgent = true;
            self.connections.mark_dirty(slot);
        }
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if due(connection.cold.reading.paused_until) {
            self.connections.end_pause(slot, now);
        }
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if !connection.is_ending() {
            let stage = connection.stage();
            let is_read = connection.cold.reading.held_since.is_none();
            if is_read && due(connection.cold.shaken_by) {
                let limit = Limit::TlsHandshakeTimeout;
                self.context.totals.errors.timeout += 1;
                self.context.report_limit(limit, Some(connection.cold.id));
                let ms = limit.value(&self.context.config);
                let what = match connection.cold.proxy_header {
                    Some(_) => "PROXY protocol: no header",
                    None => "TLS: no handshake",
                };
                let reason = format!("{what} within {ms} ms, {limit}");
                return self.connections.doom(slot, CloseReason::Protocol(reason));
            }
            if is_read
                && due(connection.session_deadline())
                && let Err(error) = connection.cold.session.handle_timeout(now)
            {
                self.context.totals.errors.timeout += 1;
                return self.violation(slot, stage, &error);
            }
            self.drain_events(slot);
            self.expire_requests(slot);
            if is_read {
                self.keep_alive(slot);
                self.judge_silence(slot);
            }
        }
        self.settle(slot);
    }

    fn keep_alive(&mut self, slot: usize) {
        let now = self.context.now;
        let config = &self.context.config;
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if config.rtmp.ping_interval.is_zero()
            // Whom we do not read is not silent.
            || connection.lacks_credit()
            || connection.cold.last_input + connection.ping_due(config) > now
        {
            return;
        }
        if connection.cold.reading.ping_sent {
            let silent = now.since(connection.cold.last_input).as_secs();
            let reason = format!("no answer to a ping, silent for {silent} s");
            self.connections.doom(slot, CloseReason::Network(reason));
        } else {
            connection.cold.reading.ping_sent = true;
            connection.cold.session.ping(now.as_millis() as u32);
        }
    }

    /// Whether what a connection publishes is silent is known here, where it is read, and
    /// nowhere else.
    fn judge_silence(&mut self, slot: usize) {
        let now = self.context.now;
        let config = self.context.config.clone();
        let is_due = |c: &Connection<P::Stream>| c.silence_due(&config).is_some_and(|at| at <= now);
        if !self.connections.get(slot).is_some_and(is_due) {
            return;
        }
        // What came and was not told of yet counts.
        self.read(slot);
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if connection.is_ending() || connection.cold.reading.held_since.is_some() {
            return;
        }
        let streams = &config.streams;
        let lasts = |since: Time, limit: Duration| !limit.is_zero() && since + limit <= now;
        let mut over = Vec::new();
        for publication in &mut connection.cold.publishing {
            let silent = publication.heard;
            if lasts(silent, streams.media_timeout) {
                over.push((publication.message_stream, Limit::MediaTimeout));
            } else if lasts(publication.whole, streams.message_timeout) {
                over.push((publication.message_stream, Limit::MessageTimeout));
            } else if lasts(silent, streams.publisher_timeout) && !publication.is_silent {
                publication.is_silent = true;
                publication.pulse.fall_silent(silent);
            }
        }
        let id = connection.cold.id;
        for (message_stream, limit) in over {
            self.context.report_limit(limit, Some(id));
            let what = match limit {
                Limit::MessageTimeout => "no whole message",
                _ => "no byte of audio, video or data",
            };
            let ms = limit.value(&config);
            let reason = CloseReason::Network(format!("{what} for {ms} ms, {limit}"));
            self.end_publication(slot, message_stream, reason);
        }
    }

    fn expire_requests(&mut self, slot: usize) {
        let now = self.context.now;
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        // An answer that was given in time counts, though it is still on its way.
        let is_late = |waits_for: &WaitsFor| match waits_for {
            WaitsFor::Host(until, asked) => *until <= now && asked.0.settle(),
            WaitsFor::Publisher(_) | WaitsFor::Worker(_) => false,
        };
        let late = connection
            .cold
            .pending
            .iter()
            .filter(|p| is_late(&p.waits_for));
        let late: Vec<_> = late.map(|p| p.request.id).collect();
        let id = connection.cold.id;
        for request in late {
            self.context.report_limit(Limit::DecisionTimeout, Some(id));
            let reason = "the decision took too long".to_owned();
            self.decide(slot, request, Err(RejectReason::Unavailable(reason)));
        }
    }

    /// What carries a connection cannot go on, for what its peer said. One line, and it
    /// is closed, after the peer had a chance to hear why.
    fn transport_failed(&mut self, slot: usize, failure: String) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if self.context.may_log(Cause::Violation, log::Level::Warn) {
            log::warn!(
                peer:% = connection.cold.peer, connection:% = connection.cold.id, stage = "tls";
                "connection closed: {failure}"
            );
        }
        self.context.totals.errors.protocol += 1;
        let until = self.context.now + self.context.config.queue.stall_timeout;
        let reason = CloseReason::Protocol(failure);
        let departure = Departure::of(&reason);
        connection.end.begin(reason, until);
        self.release(slot, departure);
        self.connections.mark_dirty(slot);
    }

    /// The peer broke the protocol: one line, and it is closed, after what the
    /// session still had to say, if anything.
    /// `stage` is the one it was in: the error has closed the session.
    fn violation(&mut self, slot: usize, stage: Stage, error: &SessionError) {
        if let SessionError::Authenticate(login) = error {
            return self.connect_again(slot, login.clone());
        }
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let stage = stage.as_str();
        let code = match error {
            SessionError::Timeout { .. } => "timeout",
            SessionError::Refused { .. } | SessionError::Unauthenticated(_) => "refused",
            error if error.is_out_of_memory() => "limit",
            _ => "protocol",
        };
        let (error_text, redirect) = match connection.cold.session.errand() {
            Some(errand) => errand.told_of(error),
            None => (error.to_string(), None),
        };
        if self.context.may_log(Cause::Violation, log::Level::Warn) {
            log::warn!(
                peer:% = connection.cold.peer, connection:% = connection.cold.id, stage = stage, code = code;
                "connection closed: {error_text}"
            );
        }
        if let Some(limit) = Limit::of_session_error(error, &self.context.config) {
            self.context.report_limit(limit, Some(connection.cold.id));
        }
        let refused = match error {
            SessionError::Refused { code, .. } => Some(&**code),
            SessionError::Unauthenticated(_) => Some(code::CONNECT_REJECTED),
            _ => None,
        };
        if let Some(code) = refused {
            self.notify_relay(slot, code, redirect);
            return self.end(slot, CloseReason::Refused(error_text));
        }
        let text = format!("{stage}: {error_text}");
        if error.is_out_of_memory() {
            return self.end(slot, CloseReason::Limit(text));
        }
        if !matches!(error, SessionError::Timeout { .. }) {
            self.context.totals.errors.protocol += 1;
        }
        self.end(slot, CloseReason::Protocol(text));
    }

    /// After any work on a connection: output queued, memory counted, timer set. One that
    /// hoards while memory is short ends.
    pub(super) fn settle(&mut self, slot: usize) {
        self.connections.settle(&mut self.context, slot);
        let over = self.connections.hoards(&self.context, slot);
        self.end_if_over(slot, over);
    }

    /// Ends a connection that is over a limit of which its session does not know: the peer
    /// hears it as from the session, if it can, and what it said is given up.
    pub(super) fn end_if_over(&mut self, slot: usize, over: Option<OverLimit>) {
        let Some(OverLimit { limit, reason }) = over else {
            return;
        };
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        self.context.report_limit(limit, Some(connection.cold.id));
        // It was told of its end before, or takes nothing.
        let is_over = connection.is_ending() || connection.io.blocked_since.is_some();
        connection.cold.session.end(&reason);
        connection.cold.unhandled = Vec::new();
        let reason = CloseReason::Limit(reason);
        if is_over {
            return self.connections.doom(slot, reason);
        }
        self.end(slot, reason);
        self.connections.settle(&mut self.context, slot);
    }

    /// Ends a connection after what waits is sent, if anything. What it publishes and
    /// plays ends now.
    pub(super) fn end(&mut self, slot: usize, reason: CloseReason) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.cold.session.notify_closing();
        }
        let departure = Departure::of(&reason);
        self.connections.end(&mut self.context, slot, reason);
        self.release(slot, departure);
    }

    /// Closes a connection now, for the reason it ends for if it does, else for this one.
    pub(super) fn close(&mut self, slot: usize, reason: CloseReason) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        self.context.work += work::CONNECTION;
        let departure = Departure::of(connection.end.reason().unwrap_or(&reason));
        self.release(slot, departure);
        let Some(mut connection) = self.connections.remove(&mut self.context, slot) else {
            return;
        };
        connection.transport.say_goodbye();
        let reason = std::mem::take(&mut connection.end).into_reason(reason);
        lives::report_closed(&self.context, &connection, &reason);
        let counts = connection.uncounted();
        self.context.totals.of_connections.add(&counts);
        let (id, peer) = (connection.cold.id, connection.cold.peer);
        if matches!(reason, CloseReason::Network(_)) {
            self.context.totals.errors.network += 1;
        }
        let shared = &self.context.shared;
        shared.locations.remove(id);
        shared.newcomers.forget(connection.cold.opened, id);
        shared.connections.fetch_sub(1, Ordering::AcqRel);
        shared.drain.left(connection.is_guest().into());
        if connection.cold.proxy_header.is_some() {
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

    /// Gives up what a connection publishes, plays and waits for.
    fn release(&mut self, slot: usize, departure: Departure) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let Released {
            publishing,
            playing,
            pending,
        } = connection.release();
        for publication in publishing {
            self.release_publication(&publication, departure);
        }
        for played in playing {
            self.unsubscribe(&played);
        }
        for request in pending {
            self.withdraw(slot, &request);
        }
    }
}

/// What a connection asks for, without credentials.
pub(super) fn attempt<S: Stream>(
    connection: &Connection<S>,
    action: AccessAction,
    name: StreamName,
) -> Attempt {
    let protocol = match connection.cold.session {
        Session::Server(_) if connection.transport.is_tls() => Protocol::Rtmps,
        Session::Server(_) => Protocol::Rtmp,
        Session::Client(_) => Protocol::Outgoing,
    };
    Attempt {
        protocol,
        action,
        peer: connection.cold.peer,
        connection: Some(connection.cold.id),
        app: connection.cold.app.clone(),
        stream: name,
        asked_as: None,
        query: Secret::default(),
        record: None,
        tc_url: connection.cold.tc_url.clone(),
        client: connection.cold.software.clone(),
        certificate: connection.transport.peer_certificate(),
        login: connection
            .cold
            .user
            .clone()
            .map_or(Login::Unasked, Login::User),
        will_publish: false,
        was_decided: false,
        is_loop: false,
        over_limit: connection.cold.over_limit,
    }
}
