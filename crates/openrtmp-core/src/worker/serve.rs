//! A connection served: its bytes read, its session's events acted on, its deadlines
//! met, its end brought about.

use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::time::Duration;

use openrtmp_protocol::session::{ClientMode, RejectReason, RequestId, SessionError, Stage};
use openrtmp_protocol::text::shown;
use openrtmp_protocol::{Secret, Time};

use super::Worker;
use super::connection::{Connection, Playing, Publication, Released, stage_name};
use super::lives;
use super::requests::{Request, WaitsFor};
use super::session::{PLAYED, Session, SessionEvent};
use super::work;
use crate::access::{AccessAction, Attempt, Protocol};
use crate::events::{CloseReason, Event};
use crate::inbox::Command;
use crate::limit::Limit;
use crate::log_limit::Cause;
use crate::platform::{Platform, Stream};
use crate::secret::StreamName;
use crate::stream::gate::Gate;
use crate::stream::message::{Departure, PublisherMessage};

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
        let unhandled = std::mem::take(&mut connection.unhandled);
        let end = match self.input(slot, &unhandled, began) {
            true => self.read_socket(slot, began),
            false => None,
        };
        let work = self.context.work - began;
        self.connections
            .take_from_share(&mut self.context, slot, work);
        let now = self.context.now;
        if let Some(connection) = self.connections.get_mut(slot) {
            match connection.io.unread || connection.io.paused_until.is_some() {
                true => connection.hold(now),
                false => connection.let_go(now),
            }
        }
        match end {
            Some(reason) => self.connections.doom(slot, reason),
            None => self.connections.settle(&mut self.context, slot),
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
            if connection.lacks_credit() && !connection.is_ending() {
                break None;
            }
            if budget == 0 {
                self.connections.mark_unread(slot);
                break None;
            }
            let at_once = match connection.publishing.is_empty() {
                true => SMALL_READ,
                false => READ_BUFFER,
            };
            match connection
                .transport
                .read(&mut buffer[..at_once.min(budget)])
            {
                Ok(0) => break Some(CloseReason::Peer),
                Ok(n) => {
                    budget -= n;
                    let now = self.context.now;
                    connection.bytes_in += n as u64;
                    connection.last_input = now;
                    connection.io.ping_sent = false;
                    self.context.totals.bytes_in += n as u64;
                    self.context.totals.rate_in.add(n, now);
                    if !self.input(slot, &buffer[..n], began) {
                        break None;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break None,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Some(CloseReason::Network(e.to_string())),
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
                        .report_limit(Limit::LingerBytes, Some(connection.id));
                    self.connections.doom(slot, CloseReason::Peer);
                }
                return true;
            }
            let lacks_credit = connection.lacks_credit();
            if lacks_credit || self.context.work - began >= work::SLICE {
                let unhandled = &mut connection.unhandled;
                unhandled.clear();
                if unhandled.try_reserve_exact(bytes.len()).is_err() {
                    let reason = CloseReason::Limit("no memory for what it said".to_owned());
                    self.connections.doom(slot, reason);
                    return false;
                }
                unhandled.extend_from_slice(bytes);
                if !lacks_credit {
                    self.connections.mark_unread(slot);
                }
                return false;
            }
            let stage = connection.stage();
            let now = self.context.now;
            let outcome = connection.session.handle_input(now, bytes);
            self.context.work += connection.session.take_work();
            if !connection.publishing.is_empty()
                && let Some(stream) = connection.session.media_under_way()
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
            && let Some(event) = connection.session.poll_event()
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
                let id = connection.id;
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
                if !echo_matched && self.context.may_log(Cause::Tolerated, log::Level::Info) {
                    log::info!(
                        peer:% = connection.peer, connection:% = connection.id;
                        "the handshake's echo does not match; tolerated"
                    );
                }
            }
            SessionEvent::Request {
                request,
                message_stream,
                wish,
            } => {
                let shared = &self.context.shared;
                let query = wish.query.reveal();
                if wish.action == AccessAction::Connect {
                    connection.app = shared.peer_name(&wish.app, query);
                    connection.software = shown(&wish.software).to_string().into();
                    self.take_place(slot);
                }
                self.context.work += work::REQUEST;
                let shared = &self.context.shared;
                let Some(connection) = self.connections.get(slot) else {
                    return;
                };
                let name = match &wish.name {
                    Some(name) => shared.peer_name(name.reveal(), query),
                    None => shared.host_name(""),
                };
                let duration = wish.duration;
                let attempt = Attempt {
                    query: wish.query,
                    ..attempt(connection, wish.action, name)
                };
                let request = Request::new(request, message_stream, attempt);
                self.ask(
                    slot,
                    Request {
                        duration,
                        ..request
                    },
                );
            }
            SessionEvent::Ready => self.begin_errand(slot),
            SessionEvent::PublishEnd { message_stream } => {
                let publishing = &mut connection.publishing;
                let of_this = |p: &Publication| p.message_stream == message_stream;
                if let Some(index) = publishing.iter().position(of_this) {
                    let publication = publishing.swap_remove(index);
                    self.context.work += work::REQUEST;
                    self.unpublish(&publication, Departure::Goodbye);
                }
            }
            SessionEvent::PlayEnd { message_stream } => {
                self.context.work += work::REQUEST;
                let playing = &mut connection.playing;
                let of_this = |p: &Playing| p.message_stream == message_stream;
                if let Some(index) = playing.iter().position(of_this) {
                    let played = playing.swap_remove(index);
                    self.unsubscribe(played);
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
                let pending = &mut connection.pending;
                if let Some(index) = pending.iter().position(|p| p.request.id == request) {
                    let (id, pending) = (connection.id, pending.swap_remove(index));
                    self.withdraw(id, &pending);
                }
            }
            SessionEvent::LimitReached(limit) => {
                let id = connection.id;
                if let Some(limit) = Limit::of_session(limit) {
                    self.context.report_limit(limit, Some(id));
                }
            }
            SessionEvent::Tolerated(what) => {
                if self.context.may_log(Cause::Tolerated, log::Level::Debug) {
                    let (peer, id) = (connection.peer, connection.id);
                    log::debug!(peer:% = peer, connection:% = id; "{what}");
                }
            }
        }
    }

    /// The other server granted what we connected for: the rest is ours to do.
    fn begin_errand(&mut self, slot: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let Some(errand) = connection.session.errand() else {
            return;
        };
        let (action, message_stream) = match errand.mode {
            ClientMode::Play => (AccessAction::Publish, PLAYED),
            ClientMode::Publish => {
                let media_stream = connection.session.media_stream();
                (AccessAction::Play, media_stream.unwrap_or_default())
            }
        };
        // The other server may say more than once that it is ready.
        if !connection.publishing.is_empty() || !connection.playing.is_empty() {
            return;
        }
        let attempt = attempt(connection, action, errand.name.clone());
        self.grant(slot, Request::new(RequestId(0), message_stream, attempt));
    }

    /// A deadline of this connection has come, or came and went.
    pub(super) fn on_deadline(&mut self, slot: usize) {
        if self.connections.is_overdue(&mut self.context, slot) {
            return;
        }
        let now = self.context.now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
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
        if due(connection.io.paused_until) {
            self.connections.end_pause(slot, now);
        }
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if !connection.is_ending() {
            let stage = connection.stage();
            let is_read = connection.io.held_since.is_none();
            if is_read
                && due(connection.session.poll_timeout())
                && let Err(error) = connection.session.handle_timeout(now)
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
        self.connections.settle(&mut self.context, slot);
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
            || connection.last_input + connection.ping_due(config) > now
        {
            return;
        }
        if connection.io.ping_sent {
            let silent = now.since(connection.last_input).as_secs();
            let reason = format!("no answer to a ping, silent for {silent} s");
            self.connections.doom(slot, CloseReason::Network(reason));
        } else {
            connection.io.ping_sent = true;
            connection.session.ping(now.as_millis() as u32);
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
        if connection.is_ending() || connection.io.held_since.is_some() {
            return;
        }
        let streams = &config.streams;
        let lasts = |since: Time, limit: Duration| !limit.is_zero() && since + limit <= now;
        let mut over = Vec::new();
        for publication in &mut connection.publishing {
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
        let id = connection.id;
        for (message_stream, limit) in over {
            self.context.report_limit(limit, Some(id));
            let what = match limit {
                Limit::MessageTimeout => "no whole message",
                _ => "no byte of audio, video or data",
            };
            let ms = limit.value(&config);
            let reason = CloseReason::Network(format!("{what} for {ms} ms, {limit}"));
            self.end_publish(slot, message_stream, reason);
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
            WaitsFor::Publisher | WaitsFor::Worker(_) => false,
        };
        let late = connection.pending.iter().filter(|p| is_late(&p.waits_for));
        let late: Vec<_> = late.map(|p| p.request.id).collect();
        let id = connection.id;
        for request in late {
            self.context.report_limit(Limit::DecisionTimeout, Some(id));
            let reason = "the decision took too long".to_owned();
            self.decide(slot, request, Err(RejectReason::Unavailable(reason)));
        }
    }

    /// The peer broke the protocol: one line, and it is closed, after what the
    /// session still had to say, if anything.
    /// `stage` is the one it was in: the error has closed the session.
    fn violation(&mut self, slot: usize, stage: Stage, error: &SessionError) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let stage = stage_name(stage);
        // The other server of an outgoing connection may repeat the key in our URL.
        let error_text = match connection.session.errand() {
            Some(errand) => errand.url.masked_in(&error.to_string()),
            None => error.to_string(),
        };
        if self.context.may_log(Cause::Violation, log::Level::Warn) {
            log::warn!(
                peer:% = connection.peer, connection:% = connection.id, stage = stage;
                "connection closed: {error_text}"
            );
        }
        if let Some(limit) = Limit::of_session_error(error, &self.context.config) {
            self.context.report_limit(limit, Some(connection.id));
        }
        if let SessionError::Refused { .. } = error {
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

    /// Ends a connection after what waits is sent, if anything. What it publishes and
    /// plays ends now.
    pub(super) fn end(&mut self, slot: usize, reason: CloseReason) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.session.say_goodbye();
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
        let reason = std::mem::take(&mut connection.end).into_reason(reason);
        lives::closed(&self.context, &connection, &reason);
        let ignored = connection.session.ignored();
        self.context.totals.ignored.add(&ignored);
        let (id, peer) = (connection.id, connection.peer);
        if matches!(reason, CloseReason::Network(_)) {
            self.context.totals.errors.network += 1;
        }
        let shared = &self.context.shared;
        shared.locations.remove(id);
        shared.newcomers.forget(connection.opened, id);
        shared.connections.fetch_sub(1, Ordering::AcqRel);
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
        let id = connection.id;
        let Released {
            publishing,
            playing,
            pending,
        } = connection.release();
        for publication in publishing {
            self.unpublish(&publication, departure);
        }
        for played in playing {
            self.unsubscribe(played);
        }
        for request in pending {
            self.withdraw(id, &request);
        }
    }
}

/// What a connection asks for, without credentials.
fn attempt<S: Stream>(
    connection: &Connection<S>,
    action: AccessAction,
    name: StreamName,
) -> Attempt {
    let protocol = match connection.session {
        Session::Server(_) => Protocol::Rtmp,
        Session::Client(_) => Protocol::Outgoing,
    };
    Attempt {
        protocol,
        action,
        peer: connection.peer,
        connection: Some(connection.id),
        app: connection.app.clone(),
        stream: name,
        query: Secret::default(),
        over_limit: connection.over_limit,
    }
}
