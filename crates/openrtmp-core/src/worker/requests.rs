//! What peers ask for: connect, publish, play. Asked about, decided, carried out.

use std::time::Duration;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::{RejectReason, RequestId};

use super::Worker;
use super::connection::{Connection, Playing, Publication};
use super::lives;
use super::players::Joining;
use crate::access::{
    AccessAction, Answer, Asked, Attempt, Decision, KeyKind, OpenedBy, Refusal, Standing,
};
use crate::addresses::AddressSlot;
use crate::config::SecondPublisher;
use crate::credit::InFlight;
use crate::delay::DelayMeter;
use crate::events::{CloseReason, Event};
use crate::id::{PublisherId, StreamId};
use crate::inbox::{Command, ConnectionCommand, JoinId};
use crate::limit::Limit;
use crate::log_limit::Cause;
use crate::platform::Platform;
use crate::secret::StreamName;
use crate::stream::directory::{Claim, ClaimRules, Grant, Ticket};
use crate::stream::message::{Departure, PublisherMessage, StreamNews};

/// A request of a peer.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// For the session's answer.
    pub(super) id: RequestId,
    pub(super) message_stream: u32,
    pub(super) attempt: Attempt,
    /// How much of a stream is to be played; `None`: all.
    pub(super) duration: Option<Duration>,
    /// What is published is to be recorded.
    pub(super) record: bool,
}

/// A request that is not decided yet, or not carried out.
pub(super) struct Pending {
    pub(super) request: Request,
    pub(super) waits_for: WaitsFor,
}

/// What a request waits for.
pub(super) enum WaitsFor {
    /// The host's decision, until then.
    Host(Time, Asked),
    /// The stream's present publisher, by leaving.
    Publisher(Ticket),
    /// It is granted, and carried out on that worker, where the connection goes.
    Worker(usize),
}

impl Request {
    pub(super) fn new(id: RequestId, message_stream: u32, attempt: Attempt) -> Request {
        Request {
            id,
            message_stream,
            attempt,
            duration: None,
            record: false,
        }
    }
}

impl<P: Platform> Worker<P> {
    /// A peer asks for something.
    pub(super) fn ask(&mut self, slot: usize, request: Request) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let timeout = self.context.config.access.patience();
        let (id, request_id, shared) =
            (connection.cold.id, request.id, self.context.shared.clone());
        let answer = move |decision| {
            let request = request_id;
            shared.send_to(id, ConnectionCommand::Decide { request, decision });
        };
        let decision = self
            .context
            .shared
            .decide(&request.attempt, timeout, Box::new(answer));
        match decision {
            Decision::Granted => self.place(slot, request),
            Decision::Refused(refusal) => self.refuse(slot, &request, refusal),
            Decision::Pending(asked) => {
                let waits_for = WaitsFor::Host(self.context.now + timeout, asked);
                connection.cold.pending.push(Pending { request, waits_for });
            }
        }
    }

    /// The answer to a request, of the host or of time.
    pub(super) fn decide(&mut self, slot: usize, request: RequestId, decision: Answer) {
        let Some(mut request) = self.take_pending(slot, request) else {
            return;
        };
        match decision {
            Ok(granted) => {
                request.attempt.was_decided = granted.decided;
                if let Some(path) = granted.path
                    && request.attempt.action != AccessAction::Connect
                {
                    let name = self.context.shared.host_name(&path);
                    request.attempt.rename(name);
                }
                self.grant(slot, request);
            }
            Err(reason) => {
                // What is not decided in time is no guess.
                let is_guess = matches!(reason, RejectReason::Unauthorized(_));
                let refusal = Refusal {
                    is_guess,
                    ..reason.into()
                };
                self.refuse(slot, &request, refusal);
            }
        }
        self.after_decision(slot);
    }

    fn take_pending(&mut self, slot: usize, request: RequestId) -> Option<Request> {
        let pending = &mut self.connections.get_mut(slot)?.cold.pending;
        let index = pending.iter().position(|p| p.request.id == request)?;
        Some(pending.swap_remove(index).request)
    }

    /// What waited for the answer is handled now, not when the peer says more.
    fn after_decision(&mut self, slot: usize) {
        self.drain_events(slot);
        self.settle(slot);
    }

    /// A request is granted, some time after it was asked: what allowed it may have
    /// changed while the host or its turn was waited for.
    pub(super) fn grant(&mut self, slot: usize, request: Request) {
        match self.context.shared.check(&request.attempt) {
            Ok(()) => self.place(slot, request),
            Err(refusal) => self.refuse(slot, &request, refusal),
        }
    }

    /// A granted request is carried out where it costs least, which may be on another
    /// worker.
    fn place(&mut self, slot: usize, request: Request) {
        let worker = self.place_request(&request.attempt);
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if worker != self.context.index {
            connection.cold.pending.push(Pending {
                request,
                waits_for: WaitsFor::Worker(worker),
            });
            if connection.is_idle_but_for_one_request() {
                return;
            }
            let Some(pending) = connection.cold.pending.pop() else {
                return;
            };
            return self.carry_out_request(slot, pending.request);
        }
        self.carry_out_request(slot, request);
    }

    /// Where a request is best carried out.
    fn place_request(&self, attempt: &Attempt) -> usize {
        let shared = &self.context.shared;
        let here = self.context.index;
        let home = || Some(shared.directory.lock().home(&attempt.stream)?.1);
        match attempt.action {
            _ if self.context.is_stopping() => here,
            AccessAction::Connect => here,
            AccessAction::Publish => shared.placement.of_publisher(home(), here),
            AccessAction::Play => shared.placement.of_player(home(), here),
        }
    }

    /// The worker that carries out what a connection was granted, now that its own turn
    /// is over. This one, if it has taken up something here meanwhile.
    pub(super) fn next_worker_of(&self, connection: &Connection<P::Stream>) -> Option<usize> {
        let worker = connection
            .cold
            .pending
            .iter()
            .find_map(|p| match p.waits_for {
                WaitsFor::Worker(worker) => Some(worker),
                WaitsFor::Host(..) | WaitsFor::Publisher(_) => None,
            })?;
        match connection.is_idle_but_for_one_request() {
            true => Some(worker),
            false => Some(self.context.index),
        }
    }

    /// A connection has come from another worker, or could not go there: what was
    /// granted is carried out here.
    pub(super) fn carry_out_placed(&mut self, slot: usize) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let is_placed = |p: &mut Pending| matches!(p.waits_for, WaitsFor::Worker(_));
        let placed: Vec<Pending> = connection.cold.pending.extract_if(.., is_placed).collect();
        for pending in placed {
            match self.context.shared.check(&pending.request.attempt) {
                Ok(()) => self.carry_out_request(slot, pending.request),
                Err(refusal) => self.refuse(slot, &pending.request, refusal),
            }
        }
        self.after_decision(slot);
        // What it said meanwhile was kept, and no poller tells of that.
        self.connections.mark_unread(slot);
    }

    fn carry_out_request(&mut self, slot: usize, request: Request) {
        match request.attempt.action {
            AccessAction::Connect => {
                let target = request.attempt.target();
                self.report_access(slot, &request.attempt, target, None);
                self.accept(slot, request.id);
            }
            AccessAction::Publish => self.publish(slot, request),
            AccessAction::Play => self.play(slot, request),
        }
    }

    fn accept(&mut self, slot: usize, request: RequestId) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.cold.session.accept(self.context.now, request);
            self.connections.pump(&mut self.context, slot);
        }
    }

    fn publish(&mut self, slot: usize, request: Request) {
        let Some(id) = self.connections.get(slot).map(|c| c.cold.id) else {
            return;
        };
        let shared = self.context.shared.clone();
        let (address_slot, limit) = self.publisher_place(slot);
        if let Some(limit) = limit {
            self.context.report_limit(limit, Some(id));
            let allowed = limit.value(&self.context.config);
            let reason = format!("{allowed} publishers are as many as {limit} allows");
            return self.refuse(slot, &request, RejectReason::Unavailable(reason));
        }
        let name = &request.attempt.stream;
        let publisher = PublisherId::Connection(id, request.message_stream);
        let opened_by = shared.granted_by(&request.attempt);
        // The grant is on its way to the home before anybody else can look it up.
        let mut directory = shared.directory.lock();
        let rules = ClaimRules {
            asked_to_record: request.record,
            ..ClaimRules::of(&self.context.config)
        };
        let claim = directory.claim(
            name,
            publisher,
            self.context.index,
            &rules,
            self.context.now,
        );
        match claim {
            Claim::Granted(grant) => {
                let publication = Publication {
                    message_stream: request.message_stream,
                    stream: grant.id,
                    epoch: grant.epoch,
                    home: grant.home,
                    opened_by,
                    in_flight: InFlight::new(self.context.config.queue.between_workers()),
                    heard: self.context.now,
                    whole: self.context.now,
                    pulse: grant.pulse.clone(),
                    is_silent: false,
                    _address_slot: address_slot,
                };
                let (replaced, evicted) = (grant.replaced, grant.evicted);
                self.report_access(slot, &request.attempt, &grant.name, None);
                if grant.home == self.context.index {
                    drop(directory);
                    self.start_stream(*grant);
                } else {
                    shared.inboxes[grant.home].send(Command::Publish(grant));
                    drop(directory);
                }
                if let Some(connection) = self.connections.get_mut(slot) {
                    let limit = self.context.config.streams.media_timeout;
                    // What we answered a peer that vanished is sent again and again, and
                    // keep-alive waits for that. Where the system has no such limit, our
                    // own deadline finds it as soon.
                    if !limit.is_zero()
                        && let Err(error) = connection.transport.set_unacknowledged_limit(limit)
                    {
                        log::debug!(connection:% = id, error:%; "no limit of unacknowledged bytes");
                    }
                    connection.cold.publishing.push(publication);
                }
                self.accept(slot, request.id);
                shared.notify_replaced(replaced);
                shared.notify_evicted(evicted);
            }
            Claim::Busy
                if self.context.config.streams.second_publisher == SecondPublisher::Wait =>
            {
                let ticket = directory.wait(name, (id, request.id));
                drop(directory);
                if let Some(connection) = self.connections.get_mut(slot) {
                    connection.cold.pending.push(Pending {
                        request,
                        waits_for: WaitsFor::Publisher(ticket),
                    });
                }
            }
            Claim::Busy => {
                let name = directory.known(name);
                drop(directory);
                let reason = RejectReason::BadName(format!("{name} has a publisher already"));
                self.refuse(slot, &request, reason);
            }
            Claim::Full => {
                drop(directory);
                let limit = self.context.config.limits.publishers;
                self.context.report_limit(Limit::Publishers, Some(id));
                let reason = format!("the server has {limit} publishers, as many as it allows");
                self.refuse(slot, &request, RejectReason::Unavailable(reason));
            }
        }
    }

    /// A place among the publishers of a connection and of its address, if those are
    /// counted; or the limit that leaves none.
    fn publisher_place(&self, slot: usize) -> (Option<AddressSlot>, Option<Limit>) {
        let limits = &self.context.config.limits;
        let Some(connection) = self.connections.get(slot) else {
            return (None, None);
        };
        if connection.cold.publishing.len() >= limits.publishers_per_connection {
            return (None, Some(Limit::PublishersPerConnection));
        }
        let allowed = limits.publishers_per_address;
        if allowed == 0 {
            return (None, None);
        }
        let addresses = &self.context.shared.publisher_addresses;
        let (place, others) = addresses.enter(connection.cold.peer.ip());
        let over = (others >= allowed).then_some(Limit::PublishersPerAddress);
        (Some(place), over)
    }

    /// A publish was granted for a stream that lives here.
    pub(super) fn start_stream(&mut self, grant: Grant) {
        let stream = grant.id;
        if let Some(news) = self.streams.start(&mut self.context, grant) {
            self.notify_players(stream, news);
        }
    }

    /// The publisher this one waited for is gone: its turn, unless somebody was
    /// quicker.
    pub(super) fn retry(&mut self, slot: usize, request: RequestId) {
        if let Some(request) = self.take_pending(slot, request) {
            self.grant(slot, request);
            self.after_decision(slot);
        }
    }

    /// The turn of whoever waits to publish a stream, if it has no publisher.
    pub(super) fn call_next(&self, stream: StreamId) {
        let next = self.context.shared.directory.lock().next_waiting(stream);
        if let Some((connection, request)) = next {
            let command = ConnectionCommand::RetryPublish { request, stream };
            self.context.shared.send_to(connection, command);
        }
    }

    fn play(&mut self, slot: usize, request: Request) {
        let (is_live, name) = {
            let directory = self.context.shared.directory.lock();
            let name = &request.attempt.stream;
            (directory.home(name).is_some(), directory.known(name))
        };
        if !self.context.config.streams.wait_for_publisher && !is_live {
            let reason = RejectReason::NotFound(format!("{name} is not being published"));
            return self.refuse(slot, &request, reason);
        }
        self.report_access(slot, &request.attempt, &name, None);
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if connection.delay.is_none() {
            connection.delay = Some(DelayMeter::default());
            let unsent = self.context.config.queue.unsent_bytes;
            if unsent > 0
                && let Err(error) = connection.transport.set_unsent_limit(unsent)
            {
                // It still plays; more may wait where it cannot be dropped.
                log::debug!(connection:% = connection.cold.id, error:%; "no limit of unsent bytes");
            }
        }
        self.accept(slot, request.id);
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let joining = self
            .players
            .subscribe(&mut self.context, connection, slot, &request);
        self.answer_join(joining);
    }

    /// A subscription here, if any, is to be given what its stream, which lives here, has.
    pub(super) fn answer_join(&mut self, joining: Option<Joining>) {
        if let Some(Joining { stream, join }) = joining {
            self.join(stream, self.context.index, join);
        }
    }

    pub(super) fn refuse(&mut self, slot: usize, request: &Request, refusal: impl Into<Refusal>) {
        let refusal = refusal.into();
        if refusal.is_guess {
            self.context.shared.note_failure(&request.attempt);
        }
        let text = refusal.text().to_owned();
        let code = refusal.reason.code(request.attempt.action.kind());
        let target = request.attempt.target();
        let target = self.context.shared.directory.lock().known(target);
        match refusal.asks {
            true => self.report_question(slot, &target, &text),
            false => {
                self.report_access(slot, &request.attempt, &target, Some((&text, code)));
                self.context.totals.errors.refused += 1;
            }
        }
        let Refusal { reason, closes, .. } = refusal;
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        connection
            .cold
            .session
            .reject(self.context.now, request.id, &reason);
        match request.attempt.action {
            // A player may try another stream; an encoder left hanging shows nothing.
            AccessAction::Play if !closes => self.connections.pump(&mut self.context, slot),
            AccessAction::Connect | AccessAction::Publish | AccessAction::Play => {
                self.end(slot, CloseReason::Refused(text));
            }
        }
    }

    /// What was decided of an attempt: a line, and an event. `refused`: why, and the code of
    /// the status that the peer gets.
    pub(super) fn report_access(
        &mut self,
        slot: usize,
        attempt: &Attempt,
        target: &StreamName,
        refused: Option<(&str, &str)>,
    ) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        match refused {
            None => {
                self.context.shared.note_success(attempt);
                lives::report_granted(&self.context, connection, attempt, target);
            }
            Some((reason, code)) => {
                lives::report_refused(&self.context, connection, attempt, target, reason, code);
            }
        }
        let (reason, _) = refused.unwrap_or_default();
        self.context.emit(Event::Access {
            protocol: attempt.protocol,
            action: attempt.action,
            connection: Some(connection.cold.id),
            peer: connection.cold.peer,
            target: target.clone(),
            user: attempt.claimed_user().map(str::to_owned),
            granted: refused.is_none(),
            reason: reason.to_owned(),
        });
    }

    /// Somebody was asked who it is, and comes back with the answer, if it has one.
    fn report_question(&self, slot: usize, target: &StreamName, text: &str) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        if self.context.may_log(Cause::Granted, log::Level::Info) {
            let (peer, id) = (connection.cold.peer, connection.cold.id);
            let software = connection.cold.software.as_ref();
            log::info!(peer:% = peer, connection:% = id, software = software; "connect {target}: {text}");
        }
    }

    /// A request that will not be answered any more.
    pub(super) fn withdraw(&mut self, slot: usize, pending: &Pending) {
        let attempt = &pending.request.attempt;
        let why = Some(("it was over before it was decided", ""));
        self.report_access(slot, attempt, attempt.target(), why);
        if let WaitsFor::Publisher(ticket) = pending.waits_for {
            let name = &pending.request.attempt.stream;
            let mut directory = self.context.shared.directory.lock();
            directory.stop_waiting(name, ticket);
        }
    }

    /// A message of a publisher of a stream that lives here.
    pub(super) fn ingest(&mut self, message: PublisherMessage) {
        let stream = message.stream;
        let (players, connections) = (&mut self.players, &mut self.connections);
        self.streams
            .ingest(&mut self.context, message, |context, packet| {
                players.fan_out(context, connections, stream, packet);
            });
    }

    /// A publication of a connection here is over, by its own doing.
    pub(super) fn release_publication(&mut self, publication: &Publication, departure: Departure) {
        let (stream, epoch) = (publication.stream, publication.epoch);
        if publication.home == self.context.index {
            self.on_publisher_left(stream, epoch, departure);
        } else {
            let shared = &self.context.shared;
            shared.send_publisher_left(publication.home, stream, epoch, departure);
        }
    }

    /// A stream that lives here has lost its publisher.
    pub(super) fn on_publisher_left(&mut self, stream: StreamId, epoch: u32, departure: Departure) {
        if self
            .streams
            .publisher_left(&mut self.context, stream, epoch, departure)
        {
            self.notify_players(stream, StreamNews::Ended);
        }
    }

    pub(super) fn notify_players(&mut self, stream: StreamId, news: StreamNews) {
        self.players
            .notify(&mut self.context, &mut self.connections, stream, news);
        if news == StreamNews::Ended {
            self.players_leave_if_done(stream);
        }
    }

    /// A subscription of a connection here is over.
    pub(super) fn unsubscribe(&mut self, playing: &Playing) {
        if self.players.unsubscribe(&mut self.context, playing) {
            let (stream, here) = (playing.stream, self.context.index);
            self.streams.forget_worker(&self.context, stream, here);
        }
    }

    /// A player wants to join a stream that lives here.
    pub(super) fn join(&mut self, stream: StreamId, worker: usize, join: JoinId) {
        if let Some(packets) = self.streams.join(&mut self.context, stream, worker, join) {
            self.players.deliver_snapshot(
                &mut self.context,
                &mut self.connections,
                stream,
                join,
                &packets,
            );
        }
    }

    /// A connection here may no longer publish.
    pub(super) fn end_publication(
        &mut self,
        slot: usize,
        message_stream: u32,
        reason: CloseReason,
    ) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let publishing = &mut connection.cold.publishing;
        let Some(index) = publishing
            .iter()
            .position(|p| p.message_stream == message_stream)
        else {
            return;
        };
        let publication = publishing.swap_remove(index);
        connection
            .cold
            .session
            .end_publication(message_stream, reason.detail());
        // If it was not read for want of credit, it is now.
        self.connections.mark_unread(slot);
        self.release_publication(&publication, Departure::of(&reason));
        self.end(slot, reason);
    }

    /// Keys are others: what was begun with one that is gone ends.
    pub(super) fn revoke(&mut self) {
        let shared = &self.context.shared;
        let [publish, play] = [KeyKind::Publish, KeyKind::Play].map(|kind| shared.standing(kind));
        let ends = |standing: &Option<Standing>, by: &OpenedBy| {
            let standing = standing.as_ref();
            standing.is_some_and(|standing| !standing.holds(by))
        };
        let (mut publishers, mut players) = (Vec::new(), Vec::new());
        for connection in self.connections.iter() {
            for p in &connection.cold.publishing {
                if ends(&publish, &p.opened_by) {
                    publishers.push((connection.cold.id, p.message_stream));
                }
            }
            let mut playing = connection.cold.playing.iter();
            if playing.any(|p| ends(&play, &p.opened_by)) {
                players.push(connection.cold.id);
            }
        }
        let reason = || CloseReason::Refused("the key was revoked".to_owned());
        for (connection, message_stream) in publishers {
            if let Some(slot) = self.connections.slot_of(connection) {
                self.guarded(slot, |worker, slot| {
                    worker.end_publication(slot, message_stream, reason());
                });
            }
        }
        for connection in players {
            if let Some(slot) = self.connections.slot_of(connection) {
                self.guarded(slot, |worker, slot| worker.stop_playing(slot, reason()));
            }
        }
    }

    /// A connection here may no longer play: it is told that what it plays is over.
    fn stop_playing(&mut self, slot: usize, reason: CloseReason) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        for playing in &connection.cold.playing {
            connection
                .cold
                .session
                .notify_unpublished(playing.message_stream);
        }
        self.end(slot, reason);
    }

    /// A user is none any more, or has another password.
    pub(super) fn end_user(&mut self, user: &str) {
        let is_theirs = |c: &&Connection<P::Stream>| c.cold.user.as_deref() == Some(user);
        let connections = self.connections.iter().filter(is_theirs);
        for id in connections.map(|c| c.cold.id).collect::<Vec<_>>() {
            if let Some(slot) = self.connections.slot_of(id) {
                self.guarded(slot, |worker, slot| {
                    let reason = "the user is none any more, or has another password";
                    worker.end(slot, CloseReason::Refused(reason.to_owned()));
                    worker.settle(slot);
                });
            }
        }
    }

    /// The server stops: who publishes, and who can connect again elsewhere, is asked to
    /// leave and has the time of the stop for it. Who only plays is told that it is over
    /// and goes once that is sent; who does nothing goes at once.
    pub(super) fn notify_stop(&mut self, slot: usize) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if connection.cold.publishing.is_empty() && connection.cold.playing.is_empty() {
            return self.end(slot, CloseReason::ServerStopped);
        }
        if connection
            .cold
            .session
            .notify_stop("the server is stopping")
            || !connection.cold.publishing.is_empty()
        {
            return self.settle(slot);
        }
        for playing in &connection.cold.playing {
            connection
                .cold
                .session
                .notify_unpublished(playing.message_stream);
        }
        self.end(slot, CloseReason::ServerStopped);
    }

    /// The last words before force: players learn that it is over.
    pub(super) fn notify_closing(&mut self, slot: usize) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        for playing in &connection.cold.playing {
            connection
                .cold
                .session
                .notify_unpublished(playing.message_stream);
        }
        self.connections.pump(&mut self.context, slot);
        let now = self.context.platform.now();
        self.connections.flush(&mut self.context, slot, now);
    }
}
