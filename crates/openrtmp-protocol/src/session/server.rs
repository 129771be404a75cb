mod commands;
mod connect;
mod event;
mod media;
mod streams;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

pub use event::{
    ConnectRequest, PublishKind, RejectReason, RequestId, RequestKind, ServerEvent, SessionLimit,
    Stage,
};

use self::media::{Waiting, WaitingTotal};
use self::streams::{MessageStreams, Role};
use super::link::Link;
use super::payload::{EventQueue, command_values, data_in_command, is_media};
use super::{Capabilities, SessionError, work};
use crate::amf::{AmfError, Decoder, Encoding};
use crate::chunk::Message;
use crate::command::{Command, Status, code};
use crate::handshake::ServerHandshake;
use crate::message::{Control, UserControl, kind};
use crate::{Limits, Time};

/// Settings of a server session; shared by all sessions of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Chunk size we write, 128 to 65,536 bytes.
    pub chunk_size: u32,
    /// Window acknowledgement size and peer bandwidth we announce, bytes.
    pub window_ack_size: u32,
    /// A C2 that does not echo S1 closes the connection.
    pub strict_handshake: bool,
    /// From the first byte of the connection to the end of the handshake.
    pub handshake_timeout: Duration,
    /// From there to `connect`.
    pub connect_timeout: Duration,
    /// From there to `publish` or `play`; starts again when the last stream ends.
    pub idle_timeout: Duration,
    /// Limits.
    pub limits: Limits,
    /// Names this server among those that a relayed stream comes through
    /// ([`ConnectRequest::via`]). Best random.
    pub id: u64,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            chunk_size: 60_000,
            window_ack_size: 2_500_000,
            strict_handshake: false,
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            limits: Limits::default(),
            id: 0,
        }
    }
}

/// The server's side of a connection. See the [module](super) for the grammar.
///
/// ```
/// use openrtmp_protocol::Time;
/// use openrtmp_protocol::session::{
///     RejectReason, ServerConfig, ServerEvent, ServerSession, SessionError, Stage,
/// };
///
/// /// Takes what a read from the socket gave; returns what to write to it.
/// fn serve(
///     session: &mut ServerSession,
///     now: Time,
///     mut input: &[u8],
/// ) -> Result<Vec<u8>, SessionError> {
///     while !input.is_empty() {
///         let used = session.handle_input(now, input)?;
///         input = &input[used..];
///         while let Some(event) = session.poll_event() {
///             match event {
///                 ServerEvent::Connect { request, .. } | ServerEvent::Publish { request, .. } => {
///                     session.accept(now, request);
///                 }
///                 ServerEvent::Play { request, name, .. } => {
///                     let reason = RejectReason::NotFound(format!("{name:?} is not here."));
///                     session.reject(now, request, &reason);
///                 }
///                 ServerEvent::Media(media) => drop(media.payload),
///                 _ => {}
///             }
///         }
///     }
///     Ok(std::iter::from_fn(|| session.poll_transmit()).flatten().collect())
/// }
///
/// // Random bytes of the system, in earnest.
/// let mut random = |bytes: &mut [u8]| bytes.fill(7);
/// let mut session = ServerSession::new(&ServerConfig::default(), Time::ZERO, &mut random);
/// // C0, C1 and C2 of a client; the answer is S0, S1 and S2.
/// let answer = serve(&mut session, Time::ZERO, &[&[3][..], &[0; 2 * 1536]].concat())?;
/// assert_eq!(answer.len(), 1 + 2 * 1536);
/// assert_eq!(session.stage(), Stage::Connect);
/// // `connect` is due within ten seconds.
/// assert_eq!(session.poll_timeout(), Some(Time::from_micros(10_000_000)));
/// # Ok::<(), SessionError>(())
/// ```
pub struct ServerSession {
    config: ServerConfig,
    link: Link,
    phase: Phase,
    streams: MessageStreams,
    events: EventQueue<ServerEvent>,
    /// What came behind a `connect` that the host has not answered.
    waiting: Waiting,
    /// What waits there and behind the `publish` of a message stream.
    waiting_total: WaitingTotal,
    next_request: u32,
    /// The last time that a caller gave.
    now: Time,
    timer: Option<(Timer, Time)>,
    /// Media messages dropped because nothing is published where they point.
    dropped_media: u64,
    /// The last one was dropped, so the stretch is reported already.
    dropping: bool,
    /// Commands and messages that could not be read and were left out.
    unreadable_messages: u64,
    unknown_messages: u64,
    /// What was told already.
    told: Told,
}

/// What is told once, or a few times: it may come without end.
#[derive(Default)]
struct Told {
    unreadable: bool,
    unknown_commands: u8,
    /// A bit for each of the 256 message types.
    unknown_types: [u64; 4],
}

/// What is rare or large is boxed: most connections are idle most of the time.
enum Phase {
    Handshake(ServerHandshake),
    /// Waits for `connect`.
    Connect,
    /// Waits for the host's answer to `connect`.
    Pending(Box<PendingConnect>),
    Connected(Box<Connected>),
    Closed,
}

struct PendingConnect {
    request: RequestId,
    call: Call,
    object_encoding: f64,
    is_relay: bool,
    connected: Connected,
}

/// What is kept of `connect`.
struct Connected {
    app: String,
    query: String,
    capabilities: Capabilities,
    encoding: Encoding,
}

/// Where the answer to a command goes, and how it is written.
#[derive(Clone, Copy)]
struct Call {
    stream: u32,
    encoding: Encoding,
    transaction: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Timer {
    Handshake,
    Connect,
    Idle,
}

/// Arguments of a command that are read: none has a use for more.
const ARGUMENTS: usize = 4;

impl fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSession")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl ServerSession {
    /// A session that waits for C0. `random` fills S1.
    pub fn new(
        config: &ServerConfig,
        now: Time,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> ServerSession {
        let handshake = ServerHandshake::new(random, config.strict_handshake);
        let mut session = ServerSession {
            config: config.clone(),
            link: Link::new(&config.limits, config.window_ack_size),
            phase: Phase::Handshake(handshake),
            streams: MessageStreams::default(),
            events: EventQueue::new(),
            waiting: Waiting::default(),
            waiting_total: WaitingTotal::default(),
            next_request: 0,
            now,
            timer: None,
            dropped_media: 0,
            dropping: false,
            unreadable_messages: 0,
            unknown_messages: 0,
            told: Told::default(),
        };
        session.settle();
        session
    }

    /// Feeds bytes; returns how many were used. Stops after the message that
    /// made an event, and after [some work](Self::take_work) (100,000 units) without
    /// one; call again with the rest once the events are drained. While events are
    /// waiting it uses nothing; otherwise it uses input or makes an event, and once the
    /// session is over it uses everything up.
    pub fn handle_input(&mut self, now: Time, input: &[u8]) -> Result<usize, SessionError> {
        if matches!(self.phase, Phase::Closed) {
            return Ok(input.len());
        }
        if !self.events.is_empty() {
            return Ok(0);
        }
        self.now = now;
        let used = self.read(input);
        self.finish_turn(used)
    }

    /// To be called when the deadline of `poll_timeout` has come; earlier calls
    /// do nothing.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), SessionError> {
        self.now = now;
        let Some((timer, _)) = self.timer.filter(|(_, deadline)| *deadline <= now) else {
            return Ok(());
        };
        let timeout = SessionError::Timeout {
            stage: self.stage(),
            seconds: self.duration_of(timer).as_secs(),
        };
        self.finish_turn(Err(timeout))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        let event = self.events.pop();
        if event.is_none() && !matches!(self.stage(), Stage::Publishing) {
            self.events.release();
        }
        event
    }

    /// Bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.link.take_output()
    }

    /// The deadline of the stage the session is in, if it has one.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timer.map(|(_, deadline)| deadline)
    }

    /// Grants a request. For `connect`: window size, bandwidth, chunk size and
    /// `_result`, then what waited. For `publish`: StreamBegin and Publish.Start.
    /// For `play`: StreamBegin, Play.Reset, Play.Start, sample access.
    /// False if the request is gone. May make events.
    pub fn accept(&mut self, now: Time, request: RequestId) -> bool {
        self.now = now;
        let found = self.accept_connect(request) || self.accept_stream(request);
        if found {
            self.settle();
        }
        found
    }

    /// Refuses a request with the status its kind asks for. After a refused
    /// connect or publish the caller closes the connection once everything is sent;
    /// after a refused connect the session is over.
    /// False if the request is gone. May make events.
    pub fn reject(&mut self, now: Time, request: RequestId, reason: &RejectReason) -> bool {
        self.now = now;
        let found = self.reject_connect(request, reason) || self.reject_stream(request, reason);
        if found {
            self.settle();
        }
        found
    }

    /// Tells a player that its stream (again) has a publisher: StreamBegin and
    /// Play.PublishNotify.
    pub fn notify_published(&mut self, stream: u32) {
        self.notify_player(
            stream,
            UserControl::StreamBegin(stream),
            code::PLAY_PUBLISH_NOTIFY,
            "is now published",
        );
    }

    /// Tells a player that the publisher is gone: StreamEOF and Play.UnpublishNotify.
    pub fn notify_unpublished(&mut self, stream: u32) {
        self.notify_player(
            stream,
            UserControl::StreamEof(stream),
            code::PLAY_UNPUBLISH_NOTIFY,
            "is now unpublished",
        );
    }

    /// Tells a player that it got what it asked for: StreamEOF and Play.Stop.
    pub fn notify_complete(&mut self, stream: u32) {
        let event = UserControl::StreamEof(stream);
        self.notify_player(
            stream,
            event,
            code::PLAY_STOP,
            "was played as long as asked",
        );
    }

    /// Sends `onStatus` on a message stream (0: the connection). Nothing is sent
    /// before the handshake is over and after the session is.
    pub fn send_status(&mut self, stream: u32, status: &Status) {
        if !self.carries_messages() {
            return;
        }
        let encoding = self.encoding_of(stream);
        self.link.send_status(stream, status, encoding);
    }

    /// Ends a publish from our side (revoked key, takeover, host's wish): sends the
    /// status and stops the message stream's media events. Makes no `PublishEnd`.
    /// The idle timeout starts from the time given to the session last.
    pub fn end_publish(&mut self, stream: u32, status: &Status) {
        let Some(found) = self.streams.get_mut(stream) else {
            return;
        };
        if !matches!(found.role, Role::Publishing(_)) {
            return;
        }
        found.role = Role::Idle;
        self.events.forget_media(stream);
        self.send_status(stream, status);
        self.settle();
    }

    /// Ends the session from our side, as an error of the client's does (a limit that the
    /// session does not know of): says `NetConnection.Connect.Closed`, if `connect` was
    /// granted, and keeps nothing of what the client said.
    pub fn end(&mut self, reason: &str) {
        if let Phase::Connected(connected) = &self.phase {
            let status = Status::error(code::CONNECT_CLOSED, reason);
            self.link.send_status(0, &status, connected.encoding);
        }
        self.close();
        self.settle();
    }

    /// Asks the client to connect again, elsewhere if `tc_url` is given. Does
    /// nothing and returns false unless the client announced that it can.
    pub fn request_reconnect(&mut self, tc_url: Option<&str>, description: &str) -> bool {
        let Phase::Connected(connected) = &self.phase else {
            return false;
        };
        if connected.capabilities.caps_ex & super::caps_ex::RECONNECT == 0 {
            return false;
        }
        let status = Status::status(code::CONNECT_RECONNECT_REQUEST, description);
        let mut command = Command::on_status(&status);
        if let Some(tc_url) = tc_url {
            command.arguments = vec![status.to_object().with("tcUrl", tc_url).into()];
        }
        self.link.send_command(0, &command, connected.encoding);
        true
    }

    /// Sends a PingRequest with this timestamp; any answer counts as input. When
    /// nothing is sent: see [`send_status`](Self::send_status).
    pub fn ping(&mut self, timestamp: u32) {
        if self.carries_messages() {
            self.link
                .send_control(Control::UserControl(UserControl::PingRequest(timestamp)));
        }
    }

    /// How far the connection has come.
    pub fn stage(&self) -> Stage {
        match self.phase {
            Phase::Handshake(_) => Stage::Handshake,
            Phase::Connect | Phase::Pending(_) => Stage::Connect,
            Phase::Closed => Stage::Closed,
            Phase::Connected(_) => {
                if self.streams.any(|role| matches!(role, Role::Publishing(_))) {
                    Stage::Publishing
                } else if self.streams.any(|role| matches!(role, Role::Playing(_))) {
                    Stage::Playing
                } else {
                    Stage::Connected
                }
            }
        }
    }

    /// What the client said in `connect`, once it did.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        match &self.phase {
            Phase::Pending(pending) => Some(&pending.connected.capabilities),
            Phase::Connected(connected) => Some(&connected.capabilities),
            _ => None,
        }
    }

    /// The chunk size of what we send from now on; media that the caller frames
    /// itself must use it.
    pub fn chunk_size(&self) -> u32 {
        self.link.chunk_size()
    }

    /// Bytes this session holds for the peer, for memory accounting: buffers of
    /// unfinished messages; commands and media that wait for an answer, with their
    /// entries; events not polled. The first is at most [`Limits::partial_bytes`], and
    /// so are the other two together with one message.
    pub fn buffered_bytes(&self) -> usize {
        self.link.buffered_bytes() + self.waiting_total.bytes + self.events.held_bytes()
    }

    /// What was done since the last call, by input, decisions and messages of the
    /// caller: a cost in about nanoseconds of a desktop processor, made of bytes, chunk
    /// headers, messages, AMF values and answers, so that it is the same in every run.
    /// Asked for after a call into the session, it says what that call cost.
    pub fn take_work(&mut self) -> u64 {
        self.link.take_work()
    }

    /// Messages read so far, those in aggregates included, whatever became of them.
    pub fn messages_received(&self) -> u64 {
        self.link.messages()
    }

    /// The message stream of the audio, video or data that the last bytes of input were
    /// of, if that message is not complete: a large picture on a slow line is a sign of
    /// life long before it makes an event.
    pub fn media_under_way(&self) -> Option<u32> {
        let (kind, stream) = self.link.under_way()?;
        (is_media(kind) || kind == kind::AGGREGATE).then_some(stream)
    }

    /// Puts the deadline of the present stage off, by as long as the caller did not read
    /// from the peer, which could not get on meanwhile.
    pub fn postpone(&mut self, by: Duration) {
        if let Some((_, deadline)) = &mut self.timer {
            *deadline = *deadline + by;
        }
    }

    /// Replaces [`Limits::partial_bytes`] from now on. What is held already stays; it
    /// may just not grow.
    pub fn set_partial_limit(&mut self, bytes: usize) {
        self.config.limits.partial_bytes = bytes;
        self.settle();
    }

    /// Media messages dropped so far because nothing was published where they
    /// pointed. The first of each stretch makes a [`ServerEvent::Tolerated`].
    pub fn dropped_media(&self) -> u64 {
        self.dropped_media
    }

    /// Commands that could not be read, or not be held, and were left out. The first
    /// makes a [`ServerEvent::Tolerated`]. Before `connect` such a command ends the
    /// session.
    pub fn unreadable_messages(&self) -> u64 {
        self.unreadable_messages
    }

    /// Messages of types that are not known, which were left out.
    pub fn unknown_messages(&self) -> u64 {
        self.unknown_messages
    }

    /// In the middle of a handshake the peer would take a message for a part of it.
    fn carries_messages(&self) -> bool {
        !matches!(self.phase, Phase::Handshake(_) | Phase::Closed)
    }

    fn read(&mut self, input: &[u8]) -> Result<usize, SessionError> {
        let mut rest = input;
        if let Phase::Handshake(handshake) = &mut self.phase {
            let (used, done) = handshake.handle_input(rest, self.link.output())?;
            self.link.count_handshake(used);
            if let Some(summary) = done {
                self.phase = Phase::Connect;
                self.events.push(ServerEvent::HandshakeDone(summary));
            }
            return Ok(used);
        }
        let enough = self.link.work().saturating_add(work::TURN);
        // A message may be made of bytes that the reader had already: that alone is no
        // progress to a caller that waits for its input to be used.
        while self.events.is_empty()
            && !rest.is_empty()
            && (self.link.work() < enough || rest.len() == input.len())
        {
            if let Some(message) = self.link.read(&mut rest)? {
                self.handle_message(message)?;
            }
        }
        self.link.acknowledge();
        Ok(input.len() - rest.len())
    }

    /// Ends the session on an error, otherwise sets the deadline anew.
    fn finish_turn<T>(&mut self, result: Result<T, SessionError>) -> Result<T, SessionError> {
        match &result {
            Err(error) => self.end(&error.to_string()),
            Ok(_) => self.settle(),
        }
        result
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.streams = MessageStreams::default();
        self.events.release();
        self.link.release_input();
        self.waiting = Waiting::default();
        self.waiting_total = WaitingTotal::default();
    }

    fn handle_message(&mut self, message: Message) -> Result<(), SessionError> {
        match message.kind {
            kind::SET_CHUNK_SIZE..=kind::SET_PEER_BANDWIDTH => {
                // What is left is a player's buffer length and its like.
                self.link.handle_control(&message)?;
            }
            kind::COMMAND_AMF0 | kind::COMMAND_AMF3 => match self.phase {
                Phase::Pending(_) => self.wait_with_command(message)?,
                _ => self.read_command(&message)?,
            },
            media if is_media(media) => self.handle_media(message),
            kind::AGGREGATE => self.drop_media(
                1,
                format_args!("the rest of an aggregate, in which a part reaches beyond its end"),
            ),
            unknown => {
                self.unknown_messages += 1;
                let types = &mut self.told.unknown_types[usize::from(unknown >> 6)];
                let bit = 1 << (unknown & 0x3F);
                if *types & bit == 0 {
                    *types |= bit;
                    self.tolerate(format!("messages of unknown type {unknown}"));
                }
            }
        }
        Ok(())
    }

    /// Reads a command as far as it has a use. Once connected, one that cannot be
    /// read is left out.
    fn read_command(&mut self, message: &Message) -> Result<(), SessionError> {
        let connected = matches!(self.phase, Phase::Connected(_));
        if connected && let Some(data) = data_in_command(message) {
            self.handle_media(data);
            return Ok(());
        }
        let (encoding, values) = command_values(message);
        let mut decoder = Decoder::new(values, &self.config.limits.amf);
        let command = decode_command(&mut decoder, connected);
        self.link.spend(decoder.cost() as u64 * work::VALUE);
        match command {
            Ok(command) => self.handle_command(message.stream, encoding, command),
            Err(error) if connected && !error.kind.is_limit() => self.unreadable(&error),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Counts a command that cannot be read; tells of the first.
    fn unreadable(&mut self, why: &dyn fmt::Display) {
        self.unreadable_messages += 1;
        if !self.told.unreadable {
            self.told.unreadable = true;
            self.tolerate(format!("left out: a command that cannot be read, {why}"));
        }
    }

    fn tolerate(&mut self, what: String) {
        self.events.push(ServerEvent::Tolerated(what));
    }

    /// After anything that may have changed the stage: its deadline, and how much
    /// the peer may have under way.
    fn settle(&mut self) {
        let limits = &self.config.limits;
        let publishes =
            matches!(self.phase, Phase::Pending(_)) || self.streams.any(Role::is_publish);
        self.link.set_partial_limit(match publishes {
            true => limits.partial_bytes,
            false => limits.command_bytes.min(limits.partial_bytes),
        });
        self.set_timer();
    }

    fn set_timer(&mut self) {
        let timer = match &self.phase {
            Phase::Handshake(_) => Some(Timer::Handshake),
            Phase::Connect => Some(Timer::Connect),
            Phase::Connected(_) if !self.streams.any(|role| *role != Role::Idle) => {
                Some(Timer::Idle)
            }
            _ => None,
        };
        if timer != self.timer.map(|(timer, _)| timer) {
            self.timer = timer.map(|timer| (timer, self.now + self.duration_of(timer)));
        }
    }

    fn duration_of(&self, timer: Timer) -> Duration {
        match timer {
            Timer::Handshake => self.config.handshake_timeout,
            Timer::Connect => self.config.connect_timeout,
            Timer::Idle => self.config.idle_timeout,
        }
    }

    /// The encoding of a message stream's commands, or the connection's.
    fn encoding_of(&self, stream: u32) -> Encoding {
        match (&self.phase, self.streams.get(stream)) {
            (_, Some(stream)) if stream.role != Role::Idle => stream.encoding,
            (Phase::Connected(connected), _) => connected.encoding,
            _ => Encoding::Amf0,
        }
    }

    fn notify_player(&mut self, stream: u32, event: UserControl, code: &str, what: &str) {
        let Some(Role::Playing(name)) = self.streams.get(stream).map(|stream| &stream.role) else {
            return;
        };
        let status = Status::status(code, format!("{} {what}.", name.reveal()));
        self.link.send_control(Control::UserControl(event));
        self.send_status(stream, &status);
    }
}

/// A command with what is read of it. In one of a connected client, what stands in
/// front of a fault counts, if at least the first argument does.
fn decode_command(decoder: &mut Decoder<'_>, connected: bool) -> Result<Command, AmfError> {
    let mut command = Command::read_head(decoder)?;
    if !commands::has_use_for_body(&command.name, connected) {
        return Ok(command);
    }
    match command.read_body(decoder, ARGUMENTS) {
        Err(error) if !connected || error.kind.is_limit() || command.arguments.is_empty() => {
            Err(error)
        }
        _ => Ok(command),
    }
}
