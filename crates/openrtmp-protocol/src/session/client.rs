use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::authmod::ClientLogin;
use super::link::Link;
use super::payload::{
    EventQueue, MediaEvent, command_values, is_media, is_player_notice, media, published,
};
use super::{Capabilities, Media, MediaKind, SessionError, Stage, caps_ex, route, work};
use crate::amf::{AmfError, Decoder, Encoding, Object, Value};
use crate::chunk::Message;
use crate::command::{Command, Level, Status, code};
use crate::handshake::{ClientHandshake, HandshakeSummary};
use crate::message::{Control, UserControl, kind};
use crate::{Limits, RtmpUrl, Time};

/// Publish or play. Closed on purpose: there is no third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMode {
    /// Send a stream.
    Publish,
    /// Receive a stream.
    Play,
}

/// Settings of a client session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// What to publish or play, and who does, if the server asks for that.
    pub url: RtmpUrl,
    /// Publish or play.
    pub mode: ClientMode,
    /// Chunk size we write, bytes.
    pub chunk_size: u32,
    /// Ask for the digest handshake.
    pub digest_handshake: bool,
    /// From the start to `Ready`.
    pub timeout: Duration,
    /// `flashVer` to send.
    pub flash_version: String,
    /// What we say of ourselves.
    pub capabilities: Capabilities,
    /// Limits for what the server sends.
    pub limits: Limits,
    /// Of a relay: the ids of the servers that the stream, or the wish for it, has come
    /// through, its own last. Empty for others.
    pub via: Vec<u64>,
    /// What the server wants to hear of who we are, from
    /// [`SessionError::Authenticate`]; nothing in the first connection to it.
    pub login: ClientLogin,
}

impl ClientConfig {
    /// Defaults for a URL.
    pub fn new(url: RtmpUrl, mode: ClientMode) -> ClientConfig {
        ClientConfig {
            url,
            mode,
            chunk_size: 60_000,
            digest_handshake: false,
            timeout: Duration::from_secs(20),
            flash_version: format!("OpenRTMP/{}", env!("CARGO_PKG_VERSION")),
            capabilities: Capabilities {
                caps_ex: caps_ex::RECONNECT | caps_ex::MULTITRACK | caps_ex::MOD_EX,
                ..Capabilities::server()
            },
            limits: Limits::default(),
            via: Vec::new(),
            login: ClientLogin::default(),
        }
    }
}

/// What happened. Drain with [`ClientSession::poll_event`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The handshake is over.
    HandshakeDone(HandshakeSummary),
    /// `connect` was accepted; what the server said of itself.
    Connected(Capabilities),
    /// Publishing: media may be sent. Playing: the server started.
    Ready,
    /// A message of the stream being played.
    Media(Media),
    /// A status that is neither the awaited success nor fatal
    /// (PublishNotify, UnpublishNotify, Play.Reset, ...).
    Status(Status),
    /// StreamEOF of the played stream.
    StreamEof,
    /// Something tolerated that an operator may want to see: a command that cannot be
    /// read. Told once; text of the peer in it is
    /// [fit to be shown](crate::text::shown).
    Tolerated(String),
    /// The server asks to connect again, at this tcUrl if it names one.
    ReconnectRequest(Option<String>),
}

/// The client's side of a connection. See the [module](super) for the grammar.
///
/// ```
/// use openrtmp_protocol::session::{
///     ClientConfig, ClientEvent, ClientMode, ClientSession, MediaKind, ServerConfig,
///     ServerEvent, ServerSession,
/// };
/// use openrtmp_protocol::{RtmpUrl, Time};
///
/// let url = RtmpUrl::parse("rtmp://example.org/live/cam")?;
/// let config = ClientConfig::new(url, ClientMode::Publish);
/// let mut client = ClientSession::new(config, Time::ZERO, &mut |bytes| bytes.fill(1));
/// // What the other end of a socket would be.
/// let mut server =
///     ServerSession::new(&ServerConfig::default(), Time::ZERO, &mut |bytes| bytes.fill(2));
/// let mut received = Vec::new();
/// while received.is_empty() {
///     while let Some(bytes) = client.poll_transmit() {
///         let mut rest = &bytes[..];
///         while !rest.is_empty() {
///             let used = server.handle_input(Time::ZERO, rest)?;
///             rest = &rest[used..];
///             while let Some(event) = server.poll_event() {
///                 match event {
///                     ServerEvent::Connect { request, .. }
///                     | ServerEvent::Publish { request, .. } => {
///                         server.accept(Time::ZERO, request);
///                     }
///                     ServerEvent::Media(media) => received.push(media),
///                     _ => {}
///                 }
///             }
///         }
///     }
///     while let Some(bytes) = server.poll_transmit() {
///         let mut rest = &bytes[..];
///         while !rest.is_empty() {
///             let used = client.handle_input(Time::ZERO, rest)?;
///             rest = &rest[used..];
///             while let Some(event) = client.poll_event() {
///                 if event == ClientEvent::Ready {
///                     client.send(MediaKind::Audio, 40, b"\xAF\x01frame");
///                 }
///             }
///         }
///     }
/// }
/// assert_eq!((received[0].timestamp, &received[0].payload[2..]), (40, &b"frame"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ClientSession {
    config: ClientConfig,
    link: Link,
    phase: Phase,
    events: EventQueue<ClientEvent>,
    deadline: Time,
    /// The message stream that createStream gave us.
    stream: Option<u32>,
    /// What the server said of itself.
    server: Option<Capabilities>,
    /// The id that it said it has.
    server_id: Option<u64>,
    /// Commands that could not be read and were left out.
    unreadable_messages: u64,
    /// Our part of what shows that we know a password.
    challenge: [u8; 8],
}

enum Phase {
    Handshake(ClientHandshake),
    /// Waits for the result of connect.
    Connecting,
    /// Waits for the result of createStream.
    Creating,
    /// Waits for Publish.Start or Play.Start.
    Starting,
    Ready,
    Closed,
}

/// Transaction ids, fixed because each command is sent once.
mod transaction {
    pub(super) const CONNECT: f64 = 1.0;
    pub(super) const RELEASE_STREAM: f64 = 2.0;
    pub(super) const FC_PUBLISH: f64 = 3.0;
    pub(super) const CREATE_STREAM: f64 = 4.0;
    pub(super) const START: f64 = 5.0;
    pub(super) const FC_UNPUBLISH: f64 = 6.0;
    pub(super) const DELETE_STREAM: f64 = 7.0;
}

/// Acknowledged after until the server says otherwise, as other clients do.
const WINDOW: u32 = 2_500_000;

/// The buffer a player announces, milliseconds.
const BUFFER_LENGTH: u32 = 3000;

impl fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession")
            .field("url", &self.config.url)
            .field("mode", &self.config.mode)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl ClientSession {
    /// A session whose C0 and C1 are ready to be sent.
    pub fn new(
        config: ClientConfig,
        now: Time,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> ClientSession {
        let mut link = Link::new(&config.limits, WINDOW);
        let handshake = ClientHandshake::new(random, config.digest_handshake, link.output());
        let mut challenge = [0; 8];
        if config.url.credentials.is_some() {
            random(&mut challenge);
        }
        ClientSession {
            link,
            phase: Phase::Handshake(handshake),
            events: EventQueue::new(),
            deadline: now + config.timeout,
            stream: None,
            server: None,
            server_id: None,
            unreadable_messages: 0,
            challenge,
            config,
        }
    }

    /// Feeds bytes; returns how many were used, as [`super::ServerSession::handle_input`].
    pub fn handle_input(&mut self, _now: Time, input: &[u8]) -> Result<usize, SessionError> {
        if matches!(self.phase, Phase::Closed) {
            return Ok(input.len());
        }
        if !self.events.is_empty() {
            return Ok(0);
        }
        let used = self.read(input);
        self.finish_turn(used)
    }

    /// To be called when the deadline of `poll_timeout` has come; earlier calls
    /// do nothing.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), SessionError> {
        if self.poll_timeout().is_none_or(|deadline| deadline > now) {
            return Ok(());
        }
        let timeout = SessionError::Timeout {
            stage: self.stage(),
            seconds: self.config.timeout.as_secs(),
        };
        self.finish_turn(Err(timeout))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop()
    }

    /// Bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.link.take_output()
    }

    /// The deadline, until `Ready`.
    pub fn poll_timeout(&self) -> Option<Time> {
        match self.phase {
            Phase::Ready | Phase::Closed => None,
            _ => Some(self.deadline),
        }
    }

    /// Sends a message of the published stream; data payloads are AMF0 values,
    /// `onMetaData` is wrapped in `@setDataFrame`. The payload is copied once. False
    /// before `Ready`, after `close`, and for a player.
    ///
    /// # Panics
    ///
    /// As [`ChunkHeaders::new`](crate::chunk::ChunkHeaders::new).
    pub fn send(&mut self, kind: MediaKind, timestamp: u32, payload: &[u8]) -> bool {
        let Some(stream) = self.media_stream() else {
            return false;
        };
        let payload = published(kind, payload);
        let (chunk_stream, message_kind) = (kind.chunk_stream(), kind.message_kind());
        self.link
            .write(chunk_stream, message_kind, stream, timestamp, &payload);
        true
    }

    /// As [`send`](Self::send), but `poll_transmit` yields the payload itself, not a
    /// copy of it (small ones are copied).
    ///
    /// # Panics
    ///
    /// As [`ChunkHeaders::new`](crate::chunk::ChunkHeaders::new).
    pub fn send_shared(&mut self, kind: MediaKind, timestamp: u32, payload: Bytes) -> bool {
        let Some(stream) = self.media_stream() else {
            return false;
        };
        let payload = match published(kind, &payload) {
            Cow::Owned(wrapped) => wrapped.into(),
            Cow::Borrowed(_) => payload,
        };
        let (chunk_stream, message_kind) = (kind.chunk_stream(), kind.message_kind());
        self.link
            .write_shared(chunk_stream, message_kind, stream, timestamp, payload);
        true
    }

    /// The message stream that media of the publish goes out on, while it may be
    /// sent: from `Ready` to `close`. For a caller that frames it itself, in the order
    /// that the [module](super) asks for; such a caller puts [`published`] around
    /// stream metadata.
    pub fn media_stream(&self) -> Option<u32> {
        match (&self.phase, self.config.mode) {
            (Phase::Ready, ClientMode::Publish) => self.stream,
            _ => None,
        }
    }

    /// Sends a PingRequest with this timestamp; any answer counts as input. Nothing
    /// is sent before the handshake is over and after the session is.
    pub fn ping(&mut self, timestamp: u32) {
        if !matches!(self.phase, Phase::Handshake(_) | Phase::Closed) {
            self.link
                .send_control(Control::UserControl(UserControl::PingRequest(timestamp)));
        }
    }

    /// How far the connection has come: `Connected` until `Ready`, then `Publishing`
    /// or `Playing`.
    pub fn stage(&self) -> Stage {
        match (&self.phase, self.config.mode) {
            (Phase::Handshake(_), _) => Stage::Handshake,
            (Phase::Connecting, _) => Stage::Connect,
            (Phase::Creating | Phase::Starting, _) => Stage::Connected,
            (Phase::Ready, ClientMode::Publish) => Stage::Publishing,
            (Phase::Ready, ClientMode::Play) => Stage::Playing,
            (Phase::Closed, _) => Stage::Closed,
        }
    }

    /// What the server said of itself in its answer to `connect`, once it did.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.server.as_ref()
    }

    /// The id that the server said it has, once it did: those of this library do, if
    /// [`ClientConfig::via`] is not empty.
    pub fn server_id(&self) -> Option<u64> {
        self.server_id
    }

    /// The chunk size of what we send from now on; media that the caller frames
    /// itself must use it.
    pub fn chunk_size(&self) -> u32 {
        self.link.chunk_size()
    }

    /// Bytes this session holds for the peer, for memory accounting: buffers of
    /// unfinished messages, at most [`Limits::partial_bytes`], and events not polled.
    pub fn buffered_bytes(&self) -> usize {
        self.link.buffered_bytes() + self.events.held_bytes()
    }

    /// What was done since the last call, as
    /// [`ServerSession::take_work`](super::ServerSession::take_work).
    pub fn take_work(&mut self) -> u64 {
        self.link.take_work()
    }

    /// Messages read so far, those in aggregates included, whatever became of them.
    pub fn messages_received(&self) -> u64 {
        self.link.messages()
    }

    /// Commands that could not be read and were left out. The first makes a
    /// [`ClientEvent::Tolerated`].
    pub fn unreadable_messages(&self) -> u64 {
        self.unreadable_messages
    }

    /// Replaces [`Limits::partial_bytes`] from now on. What is held already stays; it
    /// may just not grow.
    pub fn set_partial_limit(&mut self, bytes: usize) {
        self.link.set_partial_limit(bytes);
    }

    /// Says goodbye: FCUnpublish, deleteStream. The session is over.
    pub fn close(&mut self) {
        if let (Some(stream), false) = (self.stream, matches!(self.phase, Phase::Closed)) {
            if self.config.mode == ClientMode::Publish {
                let name = self.config.url.stream.as_str().into();
                self.command(0, "FCUnpublish", transaction::FC_UNPUBLISH, vec![name]);
            }
            let id = f64::from(stream).into();
            self.command(0, "deleteStream", transaction::DELETE_STREAM, vec![id]);
        }
        self.end();
    }

    fn end(&mut self) {
        self.phase = Phase::Closed;
        self.events.release();
        self.link.release_input();
    }

    fn read(&mut self, input: &[u8]) -> Result<usize, SessionError> {
        let mut rest = input;
        if let Phase::Handshake(handshake) = &mut self.phase {
            let (used, done) = handshake.handle_input(rest, self.link.output())?;
            self.link.count_handshake(used);
            if let Some(summary) = done {
                self.events.push(ClientEvent::HandshakeDone(summary));
                self.phase = Phase::Connecting;
                self.send_connect();
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

    fn finish_turn<T>(&mut self, result: Result<T, SessionError>) -> Result<T, SessionError> {
        if result.is_err() {
            self.end();
        }
        result
    }

    fn handle_message(&mut self, message: Message) -> Result<(), SessionError> {
        match message.kind {
            kind::SET_CHUNK_SIZE..=kind::SET_PEER_BANDWIDTH => {
                let event = self.link.handle_control(&message)?;
                if let Some(UserControl::StreamEof(stream)) = event
                    && Some(stream) == self.stream
                    && self.config.mode == ClientMode::Play
                {
                    self.events.push(ClientEvent::StreamEof);
                }
            }
            kind::COMMAND_AMF0 | kind::COMMAND_AMF3 => self.read_command(&message)?,
            media if is_media(media) => self.handle_media(message),
            _ => {}
        }
        Ok(())
    }

    /// Reads a command as far as it has a use. One that cannot be read is left out.
    fn read_command(&mut self, message: &Message) -> Result<(), SessionError> {
        let (_, values) = command_values(message);
        let mut decoder = Decoder::new(values, &self.config.limits.amf);
        let command = self.decode_command(&mut decoder);
        self.link.spend(decoder.cost() as u64 * work::VALUE);
        match command {
            Ok(command) => self.handle_command(command),
            Err(error) if error.kind.is_limit() => Err(error.into()),
            Err(error) => {
                self.unreadable_messages += 1;
                if self.unreadable_messages == 1 {
                    let what = format!("left out: a command that cannot be read, {error}");
                    self.events.push(ClientEvent::Tolerated(what));
                }
                Ok(())
            }
        }
    }

    /// A command with what is read of it: what stands in front of a fault.
    fn decode_command(&self, decoder: &mut Decoder<'_>) -> Result<Command, AmfError> {
        let mut command = Command::read_head(decoder)?;
        let awaited = match self.phase {
            Phase::Connecting => command.transaction == transaction::CONNECT,
            Phase::Creating => command.transaction == transaction::CREATE_STREAM,
            _ => command.transaction == transaction::START,
        };
        let used = match command.name.as_str() {
            "_result" | "_error" => awaited,
            name => name == "onStatus",
        };
        if !used {
            return Ok(command);
        }
        // That it is the answer is plain, whatever it says; a status says all in its
        // argument.
        let plain = command.name != "onStatus";
        match command.read_body(decoder, 1) {
            Err(error) if error.kind.is_limit() || !(plain || command.arguments.len() == 1) => {
                Err(error)
            }
            _ => Ok(command),
        }
    }

    fn handle_command(&mut self, command: Command) -> Result<(), SessionError> {
        let argument = command.arguments.first().unwrap_or(&Value::Null);
        match (command.name.as_str(), &self.phase) {
            ("_result", Phase::Connecting) if command.transaction == transaction::CONNECT => {
                let properties = command.object.as_object();
                let capabilities = properties.map(Capabilities::from_object);
                let capabilities = capabilities.unwrap_or_default();
                self.server_id = properties.and_then(route::read_id);
                self.server = Some(capabilities.clone());
                self.events.push(ClientEvent::Connected(capabilities));
                self.send_create_stream();
            }
            ("_result", Phase::Creating) if command.transaction == transaction::CREATE_STREAM => {
                let Some(id) = argument.as_f64() else {
                    return Err(refused(&Status::error(
                        code::CALL_FAILED,
                        "createStream was answered without a message stream id",
                    )));
                };
                self.send_start(id as u32);
            }
            ("_error", Phase::Connecting | Phase::Creating | Phase::Starting)
                if [
                    transaction::CONNECT,
                    transaction::CREATE_STREAM,
                    transaction::START,
                ]
                .contains(&command.transaction) =>
            {
                let status = Status::from_value(argument);
                if matches!(self.phase, Phase::Connecting) {
                    self.answer_demand(&status.description)?;
                }
                return Err(SessionError::Refused {
                    code: status.code,
                    description: status.description,
                    redirect: redirect_in(argument),
                });
            }
            ("onStatus", _) => return self.handle_status(argument),
            _ => {}
        }
        Ok(())
    }

    /// An error if a refusal of `connect` asks who we are.
    fn answer_demand(&self, description: &str) -> Result<(), SessionError> {
        let credentials = self.config.url.credentials.as_ref();
        match self
            .config
            .login
            .next(credentials, description, self.challenge)
        {
            None => Ok(()),
            Some(Ok(login)) => Err(SessionError::Authenticate(login)),
            Some(Err(error)) => Err(error.into()),
        }
    }

    fn handle_status(&mut self, argument: &Value) -> Result<(), SessionError> {
        let status = Status::from_value(argument);
        let started = match self.config.mode {
            ClientMode::Publish => code::PUBLISH_START,
            ClientMode::Play => code::PLAY_START,
        };
        if status.level == Level::Error {
            return Err(refused(&status));
        }
        if status.code == code::CONNECT_RECONNECT_REQUEST {
            let object = argument.as_object();
            let tc_url = object.and_then(|object| object.get("tcUrl")?.as_str());
            let tc_url = tc_url.map(str::to_owned);
            self.events.push(ClientEvent::ReconnectRequest(tc_url));
        } else if status.code == started && matches!(self.phase, Phase::Starting) {
            self.phase = Phase::Ready;
            self.events.push(ClientEvent::Ready);
        } else {
            self.events.push(ClientEvent::Status(status));
        }
        Ok(())
    }

    fn handle_media(&mut self, message: Message) {
        // Some servers (FFmpeg) send it on message stream 0; there is but one stream.
        let ours = message.stream == 0 || Some(message.stream) == self.stream;
        let started = matches!(self.phase, Phase::Starting | Phase::Ready);
        let ours = ours && started && self.config.mode == ClientMode::Play;
        if !ours || is_player_notice(&message) {
            return;
        }
        // Some servers send the stream without Play.Start.
        if matches!(self.phase, Phase::Starting) {
            self.phase = Phase::Ready;
            self.events.push(ClientEvent::Ready);
        }
        let stream = self.stream.unwrap_or(message.stream);
        let mut values = 0;
        let media = media(message, stream, &self.config.limits.amf, &mut values);
        self.link.spend(values as u64 * work::VALUE);
        if let Some(media) = media {
            self.events.push(ClientEvent::Media(media));
        }
    }

    fn send_connect(&mut self) {
        let (url, login) = (&self.config.url, &self.config.login);
        let mut object = Object::new()
            .with("app", login.behind(&url.app))
            .with("flashVer", self.config.flash_version.as_str())
            .with("tcUrl", login.behind(&url.tc_url()));
        object = match self.config.mode {
            ClientMode::Publish => object.with("type", "nonprivate"),
            // The numbers are those of Flash Player (section 7.2.1.1): all
            // codecs it knows, no seeking by frame.
            ClientMode::Play => object
                .with("fpad", false)
                .with("capabilities", 15.0)
                .with("audioCodecs", 4071.0)
                .with("videoCodecs", 252.0)
                .with("videoFunction", 1.0),
        };
        self.config.capabilities.write_to(&mut object);
        object = route::write_via(object, &self.config.via);
        let connect = Command {
            name: "connect".to_owned(),
            transaction: transaction::CONNECT,
            object: object.into(),
            arguments: Vec::new(),
        };
        self.link.send_command(0, &connect, Encoding::Amf0);
    }

    /// After connect: all that needs no answer to the one before.
    fn send_create_stream(&mut self) {
        self.link.announce_window(WINDOW);
        if self.config.mode == ClientMode::Publish {
            self.link.announce_chunk_size(self.config.chunk_size);
            let name = || vec![self.config.url.stream.as_str().into()];
            let (release, publish) = (name(), name());
            self.command(0, "releaseStream", transaction::RELEASE_STREAM, release);
            self.command(0, "FCPublish", transaction::FC_PUBLISH, publish);
        }
        self.command(0, "createStream", transaction::CREATE_STREAM, Vec::new());
        self.phase = Phase::Creating;
    }

    fn send_start(&mut self, stream: u32) {
        self.stream = Some(stream);
        self.phase = Phase::Starting;
        let name = Value::from(self.config.url.stream.as_str());
        match self.config.mode {
            ClientMode::Publish => {
                let arguments = vec![name, "live".into()];
                self.command(stream, "publish", transaction::START, arguments);
            }
            ClientMode::Play => {
                self.link
                    .send_control(Control::UserControl(UserControl::SetBufferLength(
                        stream,
                        BUFFER_LENGTH,
                    )));
                // -2000: live if there is a live stream (section 7.2.2.1).
                let arguments = vec![name, (-2000.0).into()];
                self.command(stream, "play", transaction::START, arguments);
            }
        }
    }

    fn command(&mut self, stream: u32, name: &str, transaction: f64, arguments: Vec<Value>) {
        let command = Command {
            name: name.to_owned(),
            transaction,
            object: Value::Null,
            arguments,
        };
        self.link.send_command(stream, &command, Encoding::Amf0);
    }
}

fn refused(status: &Status) -> SessionError {
    SessionError::Refused {
        code: status.code.clone(),
        description: status.description.clone(),
        redirect: None,
    }
}

/// Where the information of a refusal leads.
fn redirect_in(information: &Value) -> Option<String> {
    let ex = information.as_object()?.get("ex")?.as_object()?;
    Some(ex.get("redirect")?.as_str()?.to_owned())
}

impl MediaEvent for ClientEvent {
    fn as_media(&self) -> Option<&Media> {
        match self {
            ClientEvent::Media(media) => Some(media),
            _ => None,
        }
    }
}
