//! The commands of a client (section 7.2) and the host's answers to them.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::connect::{connect_result, join_queries, split_query};
use super::streams::Role;
use super::{
    Call, ConnectRequest, Connected, PendingConnect, Phase, PublishKind, RejectReason, RequestId,
    RequestKind, ServerEvent, ServerSession, SessionLimit,
};
use crate::amf::{Encoding, Object, Value};
use crate::command::{Command, Status, code};
use crate::message::{Control, UserControl};
use crate::text::shown;
use crate::{Secret, StreamName};

/// Limit type "dynamic" of Set Peer Bandwidth (section 5.4.5).
const DYNAMIC: u8 = 2;

/// `ex.code` of a refusal that leads to another server.
const REDIRECTED: f64 = 302.0;

/// Said of an app or a name beyond [`Limits::name_bytes`](crate::Limits).
const TOO_LONG: &str = "The name is too long.";

/// Said of a stream without a name.
const NO_NAME: &str = "The stream has no name.";

/// Said of one stream more than a connection may have.
const TOO_MANY: &str = "Too many streams on this connection.";

/// Chunk sizes that [`ServerConfig::chunk_size`] may have.
const CHUNK_SIZES: RangeInclusive<u32> = 128..=65_536;

/// Unknown commands that are told of: a client may send them without end.
const UNKNOWN_COMMANDS_TOLD: u8 = 8;

/// Whether what follows the transaction id is looked at. Before `connect` nothing
/// else is answered.
pub(super) fn has_use_for_body(name: &str, connected: bool) -> bool {
    match name {
        "connect" => !connected,
        "FCPublish" | "FCUnpublish" | "FCSubscribe" | "publish" | "play" | "play2"
        | "deleteStream" | "pause" | "pauseRaw" | "seek" | "receiveAudio" | "receiveVideo" => {
            connected
        }
        _ => false,
    }
}

impl ServerSession {
    pub(super) fn handle_command(&mut self, stream: u32, encoding: Encoding, command: Command) {
        let call = Call {
            stream,
            encoding,
            transaction: command.transaction,
        };
        let argument = command.arguments.first().unwrap_or(&Value::Undefined);
        if !matches!(self.phase, Phase::Connected(_)) {
            match (&self.phase, command.name.as_str()) {
                (Phase::Connect, "connect") => self.on_connect(call, command.object),
                _ => self.refuse_early(call, &command.name, "comes before connect"),
            }
            return;
        }
        match command.name.as_str() {
            "connect" => self.refuse_early(call, &command.name, "comes twice"),
            "createStream" => self.on_create_stream(call),
            "releaseStream" => self.answer(call, Value::Undefined),
            "FCPublish" => self.on_fc(call, "onFCPublish", code::PUBLISH_START, argument),
            "FCUnpublish" => self.on_fc_unpublish(call, argument),
            "FCSubscribe" => self.on_fc(call, "onFCSubscribe", code::PLAY_START, argument),
            // A length of 0 is a live stream.
            "getStreamLength" => self.answer(call, 0.0.into()),
            "_checkbw" => self.answer(call, Value::Undefined),
            "publish" | "play" if *argument == Value::Boolean(false) => self.on_close(call.stream),
            "publish" => self.on_publish(call, &command.arguments),
            "play" => self.on_play(call, argument, command.arguments.get(2)),
            "play2" => {
                let options = argument.as_object();
                let name = options.and_then(|options| options.get("streamName"));
                let length = options.and_then(|options| options.get("len"));
                self.on_play(call, name.unwrap_or(&Value::Undefined), length);
            }
            "deleteStream" => {
                let id = argument.as_f64().map_or(stream, |id| id as u32);
                self.on_close(id);
                self.streams.remove(id);
            }
            "closeStream" => self.on_close(stream),
            "pause" | "pauseRaw" => self.on_pause(call, &command),
            "seek" => self.on_seek(call, &command.name, argument),
            "receiveAudio" | "receiveVideo" => self.on_receive(call, &command.name, argument),
            // Answers to what we told or asked.
            "_result" | "_error" | "onStatus" => {}
            name => {
                if self.told.unknown_commands < UNKNOWN_COMMANDS_TOLD {
                    self.told.unknown_commands += 1;
                    self.tolerate(format!("unknown command {}", shown(name)));
                }
                if call.transaction != 0.0 {
                    self.refuse(call, name, "is not known");
                }
            }
        }
    }

    fn on_connect(&mut self, call: Call, object: Value) {
        let object = match object {
            Value::Object(object) | Value::EcmaArray(object) => object,
            _ => Object::new(),
        };
        let connect = ConnectRequest::from_object(object);
        if connect.app.len() + connect.query.reveal().len() > self.config.limits.name_bytes {
            let status = Status::error(code::CONNECT_REJECTED, TOO_LONG);
            let error = Command::error(call.transaction, &status);
            self.link.send_command(call.stream, &error, call.encoding);
            self.limit_reached(SessionLimit::NameBytes);
            let name = StreamName::join(self.within_limit(&connect.app), "");
            let (kind, code) = (RequestKind::Connect, code::CONNECT_REJECTED);
            return self.refused(kind, name, connect.query, code, TOO_LONG);
        }
        let request = self.new_request();
        self.phase = Phase::Pending(Box::new(PendingConnect {
            request,
            call,
            object_encoding: connect.object_encoding(),
            is_relay: !connect.via.is_empty(),
            connected: Connected {
                app: connect.app.clone(),
                query: connect.query.reveal().to_owned(),
                capabilities: connect.capabilities.clone(),
                encoding: call.encoding,
            },
        }));
        let connect = Box::new(connect);
        self.events.push(ServerEvent::Connect { request, connect });
    }

    pub(super) fn accept_connect(&mut self, request: RequestId) -> bool {
        let Some(pending) = self.take_pending_connect(request) else {
            return false;
        };
        let PendingConnect {
            call,
            object_encoding,
            connected,
            is_relay,
            ..
        } = pending;
        let id = is_relay.then_some(self.config.id);
        self.phase = Phase::Connected(Box::new(connected));
        let window = self.config.window_ack_size;
        self.link.announce_window(window);
        self.link
            .send_control(Control::SetPeerBandwidth(window, DYNAMIC));
        let chunk_size = self.config.chunk_size;
        self.link
            .announce_chunk_size(chunk_size.clamp(*CHUNK_SIZES.start(), *CHUNK_SIZES.end()));
        let (properties, information) = connect_result(object_encoding, id);
        let result = Command::result(call.transaction, properties, information);
        self.link.send_command(call.stream, &result, call.encoding);
        self.handle_waiting();
        true
    }

    pub(super) fn reject_connect(&mut self, request: RequestId, reason: &RejectReason) -> bool {
        let Some(pending) = self.take_pending_connect(request) else {
            return false;
        };
        let code = reason.code(RequestKind::Connect);
        let mut information = Status::error(code, reason.text()).to_object();
        if let RejectReason::Moved { to, .. } = reason {
            let ex = Object::new()
                .with("code", REDIRECTED)
                .with("redirect", to.as_str());
            information = information.with("ex", Value::from(ex));
        }
        let transaction = pending.call.transaction;
        let error = Command::error_with(transaction, information);
        self.link
            .send_command(pending.call.stream, &error, pending.call.encoding);
        self.close();
        true
    }

    fn take_pending_connect(&mut self, request: RequestId) -> Option<PendingConnect> {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Pending(pending) if pending.request == request => Some(*pending),
            other => {
                self.phase = other;
                None
            }
        }
    }

    fn on_create_stream(&mut self, call: Call) {
        match self.streams.create(self.config.limits.message_streams) {
            Some(id) => self.answer(call, f64::from(id).into()),
            None => {
                let why = "is beyond the limit of message streams";
                self.refuse(call, "createStream", why);
                self.limit_reached(SessionLimit::MessageStreams);
            }
        }
    }

    /// Answers FCPublish and its like with `_result` and the notice that some
    /// encoders wait for, under the transaction id they sent.
    fn on_fc(&mut self, call: Call, notice: &str, code: &str, name: &Value) {
        self.answer(call, Value::Undefined);
        let status = Status::status(code, shown(name.as_str().unwrap_or_default()).to_string());
        let notice = Command {
            name: notice.to_owned(),
            transaction: call.transaction,
            object: Value::Null,
            arguments: vec![status.to_object().into()],
        };
        self.link.send_command(call.stream, &notice, call.encoding);
    }

    /// Names a stream and comes on message stream 0. Encoders send it before
    /// they publish, after, and twice.
    fn on_fc_unpublish(&mut self, call: Call, argument: &Value) {
        let name = self.stream_name(argument.as_str().unwrap_or_default()).0;
        let named = self
            .streams
            .iter()
            .find(|stream| stream.role.is_publish() && stream.role.name() == Some(&name))
            .map(|stream| stream.id);
        let ended = named.or_else(|| self.streams.only(Role::is_publish));
        self.on_fc(call, "onFCUnpublish", code::UNPUBLISH_SUCCESS, argument);
        if let Some(id) = ended {
            self.on_close(id);
        }
    }

    fn on_publish(&mut self, call: Call, arguments: &[Value]) {
        let text = |index: usize| arguments.get(index).and_then(Value::as_str);
        let path = text(0).unwrap_or_default();
        if path.len() > self.config.limits.name_bytes {
            return self.refuse_long(call, RequestKind::Publish, path, code::PUBLISH_BAD_NAME);
        }
        let (name, query) = self.stream_name(path);
        let kind = match text(1) {
            Some("record") => PublishKind::Record,
            Some("append") => PublishKind::Append,
            _ => PublishKind::Live,
        };
        if name.reveal().is_empty() {
            let (kind, code) = (RequestKind::Publish, code::PUBLISH_BAD_NAME);
            return self.refuse_stream(call, kind, name, query, code, NO_NAME);
        }
        match self.streams.get(call.stream).map(|stream| &stream.role) {
            // Some encoders say it twice.
            Some(Role::Publishing(current)) if *current == name => {
                self.publish_started(call.stream);
                return;
            }
            Some(Role::Pending {
                publish: true,
                name: current,
                ..
            }) if *current == name => return,
            _ => {}
        }
        if let Some(request) = self.begin_request(call, RequestKind::Publish, &name, &query) {
            self.events.push(ServerEvent::Publish {
                request,
                stream: call.stream,
                name,
                query: query.into(),
                kind,
            });
        }
    }

    fn on_play(&mut self, call: Call, name: &Value, length: Option<&Value>) {
        let path = name.as_str().unwrap_or_default();
        if path.len() > self.config.limits.name_bytes {
            return self.refuse_long(call, RequestKind::Play, path, code::PLAY_FAILED);
        }
        let (name, query) = self.stream_name(path);
        if name.reveal().is_empty() {
            let (kind, code) = (RequestKind::Play, code::PLAY_STREAM_NOT_FOUND);
            return self.refuse_stream(call, kind, name, query, code, NO_NAME);
        }
        if let Some(request) = self.begin_request(call, RequestKind::Play, &name, &query) {
            self.events.push(ServerEvent::Play {
                request,
                stream: call.stream,
                name,
                query: query.into(),
                duration: length.and_then(Value::as_f64).and_then(play_duration),
            });
        }
    }

    /// Ends what the message stream does and makes it wait for an answer.
    /// Refused if there are too many such requests or message streams.
    fn begin_request(
        &mut self,
        call: Call,
        kind: RequestKind,
        name: &StreamName,
        query: &str,
    ) -> Option<RequestId> {
        self.end_role(call.stream);
        let waiting = self
            .streams
            .iter()
            .filter(|stream| stream.role.is_pending());
        let room = waiting.count() < self.config.limits.pending_requests;
        let limit = self.config.limits.message_streams;
        let request = self.new_request();
        let Some(stream) = self.streams.ensure(call.stream, limit).filter(|_| room) else {
            self.limit_reached(match room {
                true => SessionLimit::MessageStreams,
                false => SessionLimit::PendingRequests,
            });
            let code = RejectReason::Unavailable(String::new()).code(kind);
            let (name, query) = (name.clone(), query.to_owned());
            self.refuse_stream(call, kind, name, query, code, TOO_MANY);
            return None;
        };
        stream.encoding = call.encoding;
        stream.role = Role::Pending {
            request,
            publish: kind == RequestKind::Publish,
            name: name.clone(),
        };
        Some(request)
    }

    /// Answers a publish or play with a status, which is all that becomes of it.
    fn refuse_stream(
        &mut self,
        call: Call,
        kind: RequestKind,
        name: StreamName,
        query: String,
        code: &'static str,
        reason: &'static str,
    ) {
        let status = Status::error(code, reason);
        self.link.send_status(call.stream, &status, call.encoding);
        self.refused(kind, name, query.into(), code, reason);
    }

    /// The same for a name that is longer than allowed.
    fn refuse_long(&mut self, call: Call, kind: RequestKind, path: &str, code: &'static str) {
        self.limit_reached(SessionLimit::NameBytes);
        let (name, query) = self.stream_name(self.within_limit(path));
        self.refuse_stream(call, kind, name, query, code, TOO_LONG);
    }

    /// Answers what comes before `connect`, or is a second one. Its arguments are not read.
    fn refuse_early(&mut self, call: Call, command: &str, why: &'static str) {
        self.refuse(call, command, why);
        let kind = match command {
            "connect" => RequestKind::Connect,
            "publish" => RequestKind::Publish,
            "play" | "play2" => RequestKind::Play,
            _ => return,
        };
        let name = StreamName::join("", "");
        self.refused(kind, name, Secret::default(), code::CALL_FAILED, why);
    }

    fn refused(
        &mut self,
        kind: RequestKind,
        name: StreamName,
        query: Secret,
        code: &'static str,
        reason: &'static str,
    ) {
        self.events.push(ServerEvent::Refused {
            kind,
            name,
            query,
            code,
            reason,
        });
    }

    /// As much of a name as may be.
    fn within_limit<'a>(&self, name: &'a str) -> &'a str {
        let mut end = self.config.limits.name_bytes.min(name.len());
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        &name[..end]
    }

    pub(super) fn accept_stream(&mut self, request: RequestId) -> bool {
        let Some(stream) = self.streams.pending(request) else {
            return false;
        };
        let id = stream.id;
        match std::mem::replace(&mut stream.role, Role::Idle) {
            Role::Pending {
                publish: true,
                name,
                ..
            } => {
                stream.role = Role::Publishing(name);
                self.publish_started(id);
                self.deliver_waiting(id);
            }
            Role::Pending {
                publish: false,
                name,
                ..
            } => {
                stream.role = Role::Playing(name);
                self.play_started(id);
            }
            other => stream.role = other,
        }
        true
    }

    pub(super) fn reject_stream(&mut self, request: RequestId, reason: &RejectReason) -> bool {
        let Some(stream) = self.streams.pending(request) else {
            return false;
        };
        let kind = match stream.role.is_publish() {
            true => RequestKind::Publish,
            false => RequestKind::Play,
        };
        let status = Status::error(reason.code(kind), reason.text());
        stream.role = Role::Idle;
        let (id, encoding) = (stream.id, stream.encoding);
        self.link.send_status(id, &status, encoding);
        self.drop_waiting(id);
        true
    }

    fn publish_started(&mut self, stream: u32) {
        self.link
            .send_control(Control::UserControl(UserControl::StreamBegin(stream)));
        let status = self.status_of(stream, code::PUBLISH_START, "is now published.");
        self.send_status(stream, &status);
    }

    fn play_started(&mut self, stream: u32) {
        self.link
            .send_control(Control::UserControl(UserControl::StreamBegin(stream)));
        let reset = self.status_of(stream, code::PLAY_RESET, "is played and reset.");
        self.send_status(stream, &reset);
        let start = self.status_of(stream, code::PLAY_START, "has started playing.");
        self.send_status(stream, &start);
        // Lets players look at audio and video samples.
        let access: [Value; 3] = ["|RtmpSampleAccess".into(), true.into(), true.into()];
        self.link.send_data(stream, &access);
        // No NetStream.Data.Start: FFmpeg takes the message for a track of data.
    }

    /// closeStream, deleteStream, FCUnpublish and `play(false)`.
    fn on_close(&mut self, stream: u32) {
        let stream = self.resolve(stream);
        let encoding = self.encoding_of(stream);
        if let Some(ServerEvent::PublishEnd { stream }) = self.end_role(stream) {
            let status = Status::status(code::UNPUBLISH_SUCCESS, "The stream is unpublished.");
            self.link.send_status(stream, &status, encoding);
        }
    }

    /// Ends what a message stream does, and says so in an event.
    fn end_role(&mut self, stream: u32) -> Option<ServerEvent> {
        let event = self.streams.get_mut(stream)?.end()?;
        self.events.push(event.clone());
        if matches!(event, ServerEvent::Withdrawn { .. }) {
            self.drop_waiting(stream);
        }
        Some(event)
    }

    fn on_pause(&mut self, call: Call, command: &Command) {
        let stream = self.resolve(call.stream);
        if !self.is_playing(stream) {
            return self.refuse(call, &command.name, "needs a stream that plays");
        }
        let paused = match command.arguments.first() {
            Some(Value::Boolean(paused)) => *paused,
            _ => true,
        };
        let status = match paused {
            true => self.status_of(stream, code::PAUSE_NOTIFY, "is paused."),
            false => self.status_of(stream, code::UNPAUSE_NOTIFY, "goes on."),
        };
        self.send_status(stream, &status);
        self.events.push(ServerEvent::Pause { stream, paused });
    }

    /// A live stream has nowhere to seek to: it goes on where it is.
    fn on_seek(&mut self, call: Call, name: &str, argument: &Value) {
        let stream = self.resolve(call.stream);
        if !self.is_playing(stream) {
            return self.refuse(call, name, "needs a stream that plays");
        }
        let milliseconds = argument.as_f64().unwrap_or(0.0);
        let text = format!("cannot seek to {milliseconds}, it is live and goes on.");
        let status = self.status_of(stream, code::SEEK_NOTIFY, &text);
        self.send_status(stream, &status);
    }

    fn on_receive(&mut self, call: Call, name: &str, argument: &Value) {
        let stream = self.resolve(call.stream);
        if !self.is_playing(stream) {
            return self.refuse(call, name, "needs a stream that plays");
        }
        let wanted = match argument {
            Value::Boolean(wanted) => *wanted,
            // receiveVideo may name a frame rate.
            other => other.as_f64().is_none_or(|rate| rate > 0.0),
        };
        let (audio, video) = match name {
            "receiveAudio" => (Some(wanted), None),
            _ => (None, Some(wanted)),
        };
        // Sections 7.2.2.4 and 7.2.2.5.
        if wanted {
            let seek = self.status_of(stream, code::SEEK_NOTIFY, "goes on.");
            self.send_status(stream, &seek);
            let start = self.status_of(stream, code::PLAY_START, "has started playing.");
            self.send_status(stream, &start);
        }
        self.events.push(ServerEvent::Receive {
            stream,
            audio,
            video,
        });
    }

    pub(super) fn limit_reached(&mut self, limit: SessionLimit) {
        self.events.push(ServerEvent::LimitReached(limit));
    }

    fn new_request(&mut self) -> RequestId {
        self.next_request = self.next_request.wrapping_add(1);
        RequestId(self.next_request)
    }

    /// The stream a client means by a name, and the queries that came with it.
    fn stream_name(&self, name: &str) -> (StreamName, String) {
        let (app, connect_query) = match &self.phase {
            Phase::Connected(connected) => (connected.app.as_str(), connected.query.as_str()),
            _ => ("", ""),
        };
        let (path, query) = split_query(name);
        // FFmpeg and GStreamer split `live/cam?token=ab/cd==` at its last slash: the
        // app has the query's beginning, and the name is the rest of it. So it is where
        // the query has a URL in it, which ends with the scheme then.
        let is_cut = connect_query.ends_with(':') || path.contains(['=', '&']);
        if !connect_query.is_empty() && is_cut {
            let query = format!("{connect_query}/{name}");
            return (StreamName::join(app, ""), query);
        }
        (
            StreamName::join(app, path),
            join_queries(&[query, connect_query]),
        )
    }

    /// The message stream that a command on `id` is about: on message stream 0
    /// it can only be the one in use.
    fn resolve(&self, id: u32) -> u32 {
        match self.streams.get(id) {
            None if id == 0 => self.streams.only(|role| *role != Role::Idle).unwrap_or(0),
            _ => id,
        }
    }

    fn is_playing(&self, stream: u32) -> bool {
        let role = self.streams.get(stream).map(|stream| &stream.role);
        matches!(role, Some(Role::Playing(_)))
    }

    fn status_of(&self, stream: u32, code: &str, what: &str) -> Status {
        let name = self
            .streams
            .get(stream)
            .and_then(|stream| stream.role.name());
        Status::status(
            code,
            format!("{} {what}", name.map_or("", StreamName::reveal)),
        )
    }

    /// `_result` with one value, unless no answer is wanted.
    fn answer(&mut self, call: Call, value: Value) {
        if call.transaction != 0.0 {
            let result = Command::result(call.transaction, Value::Null, value);
            self.link.send_command(call.stream, &result, call.encoding);
        }
    }

    /// Call.Failed, as `_error` or, without a transaction, as a status.
    fn refuse(&mut self, call: Call, name: &str, why: &str) {
        let status = Status::error(code::CALL_FAILED, format!("{} {why}.", shown(name)));
        let command = match call.transaction {
            0.0 => Command::on_status(&status),
            transaction => Command::error(transaction, &status),
        };
        self.link.send_command(call.stream, &command, call.encoding);
    }
}

impl RejectReason {
    /// The code of the status that a peer gets which asked for this.
    pub fn code(&self, kind: RequestKind) -> &'static str {
        let is_missing = matches!(
            self,
            RejectReason::NotFound(_) | RejectReason::InvalidApp(_)
        );
        match (kind, self) {
            (_, RejectReason::Loop(_)) => code::CONNECT_LOOP,
            (RequestKind::Connect, _) if is_missing => code::CONNECT_INVALID_APP,
            (RequestKind::Connect, _) => code::CONNECT_REJECTED,
            (RequestKind::Publish, RejectReason::Unauthorized(_)) => code::PUBLISH_UNAUTHORIZED,
            (RequestKind::Publish, _) => code::PUBLISH_BAD_NAME,
            (RequestKind::Play, _) if is_missing => code::PLAY_STREAM_NOT_FOUND,
            (RequestKind::Play, _) => code::PLAY_FAILED,
        }
    }
}

/// The third argument of `play`, in seconds (section 7.2.2.1). Below zero it is
/// everything; what is none, and the single frame that 0 asks of a file, are so here.
fn play_duration(seconds: f64) -> Option<Duration> {
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    (duration >= Duration::from_millis(1)).then_some(duration)
}
