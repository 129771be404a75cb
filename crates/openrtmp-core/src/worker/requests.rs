//! What a session asks: connect, publish, play, and what follows from the answer.

use std::time::Duration;

use openrtmp_protocol::StreamName;
use openrtmp_protocol::command::{Status, code};
use openrtmp_protocol::session::{MediaKind, RejectReason, RequestId, ServerEvent};

use super::Worker;
use super::connection::{Pending, Publication, WaitsFor, Want};
use super::inbox::Command;
use crate::access::{AccessAction, AccessRequest, KeyRing};
use crate::config::SecondPublisher;
use crate::events::{CloseReason, Event};
use crate::id::{ConnectionId, PublisherId, StreamId};
use crate::log_limit::Cause;
use crate::platform::{Platform, Stream as _};
use crate::stream::directory::{Claim, ClaimRules};

/// Used when `access.decision_timeout` is zero.
const DECISION_TIMEOUT: Duration = Duration::from_secs(10);

impl<P: Platform> Worker<P> {
    pub(super) fn on_event(&mut self, slot: usize, event: ServerEvent) {
        match event {
            ServerEvent::HandshakeDone(summary) => {
                let connection = &self.state.connections[slot];
                if !summary.echo_matched && self.may_log(Cause::Tolerated, log::Level::Info) {
                    log::info!(
                        peer:% = connection.peer, connection:% = connection.id;
                        "C2 does not echo S1; tolerated"
                    );
                }
            }
            ServerEvent::Connect { request, connect } => {
                let connection = &mut self.state.connections[slot];
                connection.app.clone_from(&connect.app);
                if let Some(limit) = connection.over_limit {
                    let reason = match limit {
                        "limits.connections" => "the server has as many connections as it allows",
                        _ => "your address has as many connections as the server allows",
                    };
                    return self.refuse(
                        slot,
                        request,
                        &Want::Connect { app: connect.app },
                        RejectReason::Unavailable(reason.into()),
                    );
                }
                self.ask(
                    slot,
                    request,
                    Want::Connect { app: connect.app },
                    &connect.query,
                );
            }
            ServerEvent::Publish {
                request,
                stream,
                name,
                query,
                ..
            } => {
                let allowed = self.shared.publish_keys.allows(&name, &query);
                let want = Want::Publish {
                    message_stream: stream,
                    name,
                    query: query.clone(),
                };
                self.ask_with_key(slot, request, want, &query, allowed);
            }
            ServerEvent::Play {
                request,
                stream,
                name,
                query,
            } => {
                let allowed = self.shared.play_keys.allows(&name, &query);
                let want = Want::Play {
                    message_stream: stream,
                    name,
                };
                self.ask_with_key(slot, request, want, &query, allowed);
            }
            ServerEvent::Media(media) => {
                #[cfg(test)]
                assert!(!media.payload.ends_with(crate::sim_tests::PANIC.as_bytes()));
                let connection = &self.state.connections[slot];
                let Some(publication) = connection
                    .publishing
                    .iter()
                    .find(|p| p.message_stream == media.stream)
                else {
                    return;
                };
                let (stream, epoch, home) =
                    (publication.stream, publication.epoch, publication.home);
                if home == self.index {
                    self.ingest(stream, epoch, media.kind, media.timestamp, media.payload);
                } else {
                    self.shared.inboxes[home].send(Command::Media {
                        stream,
                        epoch,
                        kind: media.kind,
                        timestamp: media.timestamp,
                        payload: media.payload,
                        credit: None,
                    });
                }
            }
            ServerEvent::PublishEnd { stream } => {
                let publishing = &mut self.state.connections[slot].publishing;
                if let Some(index) = publishing.iter().position(|p| p.message_stream == stream) {
                    let publication = publishing.swap_remove(index);
                    self.unpublish(&publication);
                }
            }
            ServerEvent::PlayEnd { stream } => {
                let connection = &mut self.state.connections[slot];
                let id = connection.id;
                if let Some(index) = connection.playing.iter().position(|(m, _)| *m == stream) {
                    let (_, stream_id) = connection.playing.swap_remove(index);
                    self.unsubscribe(stream_id, id, stream);
                }
            }
            ServerEvent::Pause { stream, paused } => {
                self.with_gate(slot, stream, |gate| gate.set_paused(paused));
            }
            ServerEvent::Receive {
                stream,
                audio,
                video,
            } => {
                self.with_gate(slot, stream, |gate| {
                    for (kind, wanted) in [(MediaKind::Audio, audio), (MediaKind::Video, video)] {
                        if let Some(wanted) = wanted {
                            gate.set_wanted(kind, wanted);
                        }
                    }
                });
            }
            ServerEvent::Withdrawn { request } => {
                let connection = &mut self.state.connections[slot];
                let id = connection.id;
                if let Some(index) = connection.pending.iter().position(|p| p.request == request) {
                    let pending = connection.pending.swap_remove(index);
                    self.withdraw(id, pending);
                }
            }
            ServerEvent::Tolerated(what) if self.may_log(Cause::Tolerated, log::Level::Debug) => {
                let connection = &self.state.connections[slot];
                log::debug!(peer:% = connection.peer, connection:% = connection.id; "{what}");
            }
            _ => {}
        }
    }

    fn ask_with_key(
        &mut self,
        slot: usize,
        request: RequestId,
        want: Want,
        query: &str,
        allowed: bool,
    ) {
        if allowed {
            self.ask(slot, request, want, query);
        } else {
            let reason = RejectReason::Unauthorized("the key is not valid".into());
            self.refuse(slot, request, &want, reason);
        }
    }

    /// Puts a request before the host, or grants it if there is none to ask.
    fn ask(&mut self, slot: usize, request: RequestId, want: Want, query: &str) {
        let stopping = self.state.draining.is_some();
        if self.shared.budget.is_exhausted() {
            let limit = self.config.limits.memory as u64;
            let connection = self.state.connections[slot].id;
            self.tell_limit("limits.memory", limit, Some(connection));
        }
        if stopping || self.shared.budget.is_exhausted() {
            let why = if stopping {
                "the server is stopping"
            } else {
                "the server is out of memory"
            };
            return self.refuse(slot, request, &want, RejectReason::Unavailable(why.into()));
        }
        if self.shared.access.is_none() {
            return self.grant(slot, request, want);
        }
        let timeout = match self.config.access.decision_timeout {
            Duration::ZERO => DECISION_TIMEOUT,
            timeout => timeout,
        };
        let connection = &mut self.state.connections[slot];
        let id = connection.id;
        let (app, stream) = match &want {
            Want::Connect { app } => (app.clone(), String::new()),
            Want::Publish { name, .. } | Want::Play { name, .. } => {
                (name.app().to_owned(), name.as_str().to_owned())
            }
        };
        let shared = self.shared.clone();
        let question = AccessRequest {
            action: want.action(),
            connection: id,
            peer: connection.peer,
            app,
            stream,
            query: query.to_owned(),
            timeout,
            responder: Some(Box::new(move |decision| {
                shared.inboxes[id.worker()].send(Command::Decide {
                    connection: id,
                    request,
                    decision,
                });
            })),
        };
        let waits_for = WaitsFor::Host(self.state.now + timeout);
        connection.pending.push(Pending {
            request,
            want,
            waits_for,
        });
        // If the host's queue is full the question is dropped, which answers it.
        self.shared.access.send(question);
    }

    /// The host's answer, or the lack of one.
    pub(super) fn decide(
        &mut self,
        connection: ConnectionId,
        request: RequestId,
        decision: Result<(), RejectReason>,
    ) {
        let Some(slot) = self.slot_of(connection) else {
            return;
        };
        let pending = &mut self.state.connections[slot].pending;
        let Some(index) = pending
            .iter()
            .position(|p| p.request == request && matches!(p.waits_for, WaitsFor::Host(_)))
        else {
            return;
        };
        let want = pending.swap_remove(index).want;
        match decision {
            Ok(()) => self.grant(slot, request, want),
            Err(reason) => self.refuse(slot, request, &want, reason),
        }
        self.after_decision(slot);
    }

    /// What waited for the answer is handled now, not when the peer says more.
    fn after_decision(&mut self, slot: usize) {
        self.drain_events(slot);
        self.settle(slot);
    }

    fn grant(&mut self, slot: usize, request: RequestId, want: Want) {
        match want {
            Want::Connect { .. } => {
                self.log_access(slot, &want, None);
                self.state.connections[slot]
                    .session
                    .accept(self.state.now, request);
                self.pump(slot);
            }
            Want::Publish {
                message_stream,
                name,
                query,
            } => {
                self.publish(slot, request, message_stream, name, query);
            }
            Want::Play {
                message_stream,
                name,
            } => self.play(slot, request, message_stream, name),
        }
    }

    fn publish(
        &mut self,
        slot: usize,
        request: RequestId,
        message_stream: u32,
        name: StreamName,
        query: String,
    ) {
        let want = Want::Publish {
            message_stream,
            name: name.clone(),
            query: query.clone(),
        };
        if name.as_str().is_empty() {
            let reason = RejectReason::BadName("the stream has no name".into());
            return self.refuse(slot, request, &want, reason);
        }
        // The key may have been revoked while the host or its turn was waited for.
        if !self.shared.publish_keys.allows(&name, &query) {
            let reason = RejectReason::Unauthorized("the key is not valid".into());
            return self.refuse(slot, request, &want, reason);
        }
        let shared = self.shared.clone();
        let id = self.state.connections[slot].id;
        let publisher = PublisherId::Connection(id, message_stream);
        // The grant is on its way to the home before anybody else can look it up.
        let mut directory = shared.directory.lock();
        let claim = directory.claim(
            &name,
            publisher,
            self.index,
            &ClaimRules::of(&self.config),
            self.state.now,
        );
        match claim {
            Claim::Granted(grant) => {
                self.log_access(slot, &want, None);
                let (stream, epoch, home, replaced) =
                    (grant.id, grant.epoch, grant.home, grant.replaced);
                if home == self.index {
                    drop(directory);
                    self.start_publication(*grant);
                } else {
                    shared.inboxes[home].send(Command::Publish(grant));
                    drop(directory);
                }
                let connection = &mut self.state.connections[slot];
                connection.session.accept(self.state.now, request);
                connection.publishing.push(Publication {
                    message_stream,
                    stream,
                    epoch,
                    home,
                    name,
                    query,
                });
                self.pump(slot);
                shared.tell_replaced(replaced);
            }
            Claim::Busy if self.config.streams.second_publisher == SecondPublisher::Wait => {
                directory.wait(&name, (id, request));
                drop(directory);
                let pending = Pending {
                    request,
                    want,
                    waits_for: WaitsFor::Publisher,
                };
                self.state.connections[slot].pending.push(pending);
            }
            Claim::Busy => {
                drop(directory);
                let reason = RejectReason::BadName(format!("{name} has a publisher already"));
                self.refuse(slot, request, &want, reason);
            }
            Claim::Full => {
                drop(directory);
                let limit = self.config.limits.publishers;
                self.tell_limit("limits.publishers", limit as u64, Some(id));
                let reason = format!("the server has {limit} publishers, as many as it allows");
                self.refuse(slot, request, &want, RejectReason::Unavailable(reason));
            }
        }
    }

    /// The publisher this one waited for is gone: its turn, unless somebody was
    /// quicker.
    pub(super) fn retry(&mut self, connection: ConnectionId, request: RequestId) {
        let Some(slot) = self.slot_of(connection) else {
            return;
        };
        let pending = &mut self.state.connections[slot].pending;
        let Some(index) = pending.iter().position(|p| p.request == request) else {
            return;
        };
        let want = pending.swap_remove(index).want;
        self.grant(slot, request, want);
        self.after_decision(slot);
    }

    /// The turn of whoever waits to publish a stream, if it has no publisher.
    pub(super) fn call_next(&self, stream: StreamId) {
        let next = self.shared.directory.lock().next_waiting(stream);
        if let Some((connection, request)) = next {
            self.shared.inboxes[connection.worker()].send(Command::RetryPublish {
                connection,
                request,
                stream,
            });
        }
    }

    fn play(&mut self, slot: usize, request: RequestId, message_stream: u32, name: StreamName) {
        let want = Want::Play {
            message_stream,
            name: name.clone(),
        };
        if !self.config.streams.wait_for_publisher
            && self.shared.directory.lock().home(&name).is_none()
        {
            let reason = RejectReason::NotFound(format!("{name} is not being published"));
            return self.refuse(slot, request, &want, reason);
        }
        self.log_access(slot, &want, None);
        let connection = &mut self.state.connections[slot];
        connection.session.accept(self.state.now, request);
        if connection.delay.is_none() {
            connection.delay = Some(Box::default());
            let unsent = self.config.queue.unsent_bytes;
            if unsent > 0
                && let Err(error) = connection.socket.set_unsent_limit(unsent)
            {
                // It still plays; more may wait where it cannot be dropped.
                log::debug!(connection:% = connection.id, error:%; "no limit of unsent bytes");
            }
        }
        self.pump(slot);
        self.subscribe(slot, message_stream, name);
    }

    fn refuse(&mut self, slot: usize, request: RequestId, want: &Want, reason: RejectReason) {
        self.log_access(slot, want, Some(&reason));
        self.state.totals.errors.refused += 1;
        let connection = &mut self.state.connections[slot];
        connection.session.reject(self.state.now, request, &reason);
        match want {
            // A player may try another stream; an encoder left hanging shows nothing.
            Want::Play { .. } => self.pump(slot),
            Want::Connect { .. } | Want::Publish { .. } => {
                let text = reason_text(&reason).to_owned();
                self.end(slot, CloseReason::Refused(text));
            }
        }
    }

    fn log_access(&self, slot: usize, want: &Want, refused: Option<&RejectReason>) {
        let connection = &self.state.connections[slot];
        let action = want.action();
        let target = match want {
            Want::Connect { app } => app.clone(),
            Want::Publish { name, .. } => self.shared.publish_keys.masked(name),
            Want::Play { name, .. } => self.shared.play_keys.masked(name),
        };
        let reason = refused.map(reason_text).unwrap_or_default();
        let (peer, id) = (connection.peer, connection.id);
        if refused.is_some() {
            if self.may_log(Cause::Refused, log::Level::Warn) {
                log::warn!(peer:% = peer, connection:% = id; "{} {target} refused: {reason}", action.as_str());
            }
        } else if self.may_log(Cause::Granted, log::Level::Info) {
            log::info!(peer:% = peer, connection:% = id; "{} {target}", action.as_str());
        }
        self.emit(Event::Access {
            action,
            connection: id,
            peer,
            target,
            granted: refused.is_none(),
            reason: reason.to_owned(),
        });
    }

    /// A request that will not be answered any more.
    pub(super) fn withdraw(&mut self, connection: ConnectionId, pending: Pending) {
        if let (WaitsFor::Publisher, Want::Publish { name, .. }) = (pending.waits_for, pending.want)
        {
            self.shared.directory.lock().stop_waiting(&name, connection);
        }
    }

    /// A publication of a connection here is over, by its own doing.
    pub(super) fn unpublish(&mut self, publication: &Publication) {
        let (stream, epoch) = (publication.stream, publication.epoch);
        if publication.home == self.index {
            self.end_publication(stream, epoch);
        } else {
            self.shared.inboxes[publication.home].send(Command::Unpublish { stream, epoch });
        }
    }

    /// A connection here may no longer publish.
    pub(super) fn end_publish(&mut self, connection: ConnectionId, stream: u32, reason: &str) {
        let Some(slot) = self.slot_of(connection) else {
            return;
        };
        let connection = &mut self.state.connections[slot];
        let Some(index) = connection
            .publishing
            .iter()
            .position(|p| p.message_stream == stream)
        else {
            return;
        };
        let publication = connection.publishing.swap_remove(index);
        connection
            .session
            .end_publish(stream, &Status::error(code::PUBLISH_BAD_NAME, reason));
        self.unpublish(&publication);
        self.end(slot, CloseReason::Refused(reason.to_owned()));
    }

    /// A key was revoked: what was published with it ends (A1).
    pub(super) fn revoke(&mut self, key: &str) {
        let mut affected = Vec::new();
        for (_, connection) in &self.state.connections {
            for p in &connection.publishing {
                if KeyRing::carries(&p.name, &p.query, key) {
                    affected.push((connection.id, p.message_stream));
                }
            }
        }
        for (connection, stream) in affected {
            self.end_publish(connection, stream, "the key was revoked");
        }
    }

    /// The server stops: whoever can is asked to connect again, the others are
    /// told; who does nothing here goes at once (E3).
    pub(super) fn tell_drain(&mut self, slot: usize) {
        let connection = &mut self.state.connections[slot];
        let text = "the server is stopping";
        if connection.publishing.is_empty() && connection.playing.is_empty() {
            return self.end(slot, CloseReason::ServerStopped);
        }
        if !connection.session.request_reconnect(None, text) {
            connection
                .session
                .send_status(0, &Status::status(code::CONNECT_APP_SHUTDOWN, text));
        }
        self.settle(slot);
    }

    /// The last words before force: players learn that it is over.
    pub(super) fn say_goodbye(&mut self, slot: usize) {
        let connection = &mut self.state.connections[slot];
        for (message_stream, _) in &connection.playing {
            connection.session.notify_unpublished(*message_stream);
        }
        self.pump(slot);
        self.flush(slot);
    }
}

impl Want {
    fn action(&self) -> AccessAction {
        match self {
            Want::Connect { .. } => AccessAction::Connect,
            Want::Publish { .. } => AccessAction::Publish,
            Want::Play { .. } => AccessAction::Play,
        }
    }
}

fn reason_text(reason: &RejectReason) -> &str {
    match reason {
        RejectReason::Unauthorized(text)
        | RejectReason::BadName(text)
        | RejectReason::NotFound(text)
        | RejectReason::InvalidApp(text)
        | RejectReason::Unavailable(text) => text,
    }
}
