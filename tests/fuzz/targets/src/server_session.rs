//! A server session driven by a list of operations: what a peer sends, what the host
//! decides, and time.
//!
//! - Every request is answered or withdrawn once; media comes between the acceptance
//!   of a publish and its end; nothing comes after the session is over.
//! - What the session sends can always be read.
//! - Cutting the peer's bytes in any way gives the same events and answers.
//! - Memory and work stay within what the limits and the bytes allow.

use std::time::Duration;

use arbitrary::Unstructured;
use openrtmp_protocol::chunk::{Message, Payload};
use openrtmp_protocol::command::{Status, code};
use openrtmp_protocol::session::{
    MediaKind, RejectReason, RequestId, ServerConfig, ServerEvent, ServerSession, SessionError,
    Stage,
};
use openrtmp_protocol::{Limits, Time};

use crate::input::{Cuts, Piece, take};
use crate::memory;
use crate::peer::{
    Receiver, SMALL_MEMORY, Sender, allowed_work, command, greeting, media, message, operations,
    small_limits,
};

/// The input begins with these, combined.
pub mod flag {
    /// A handshake comes first.
    pub const GREETED: u8 = 1;
    /// A `connect` comes next, and is accepted.
    pub const CONNECTED: u8 = 2;
    /// Every request is accepted at once.
    pub const ACCEPTING: u8 = 4;
    /// Default limits instead of small ones.
    pub const ROOMY: u8 = 8;
    /// The handshake is strict.
    pub const STRICT: u8 = 16;
    /// A `publish` on message stream 1 comes after `connect`, and is accepted.
    pub const PUBLISHING: u8 = 32;
}

/// The number of the operation that sends a piece of bytes as they are.
pub const RAW: u8 = 0;

/// What [`flag`] names, cuts, then operations.
pub fn run(data: &[u8]) {
    let (flags, cuts, operations) = operations(data, Operation::take);
    let allowed = match flags & flag::ROOMY {
        0 => SMALL_MEMORY + 2 * data.len(),
        _ => 64 * SMALL_MEMORY,
    };
    memory::within(allowed, || {
        drive(Host::new(flags, Cuts::NONE, None), flags, &operations)
    });
    if cuts != Cuts::NONE {
        let whole = Host::new(flags, Cuts::NONE, Some(Trace::new()));
        let cut = Host::new(flags, cuts, Some(Trace::new()));
        let [whole, cut] = [whole, cut].map(|host| drive(host, flags, &operations));
        compare(&whole, &cut);
    }
}

#[derive(Debug)]
enum Operation<'a> {
    /// Bytes as they are.
    Raw(&'a [u8]),
    Message(Message),
    /// As many bytes of a message's wire form.
    Part(Message, usize),
    Answer(u8, Option<RejectReason>),
    Pass(u16),
    EndPublish(u32),
    Notify(u32),
    Ping,
    Status(u32),
    Reconnect(bool),
}

impl<'a> Operation<'a> {
    fn take(input: &mut Unstructured<'a>) -> Operation<'a> {
        match take::<u8>(input) % 16 {
            RAW => Operation::Raw(take::<Piece<'_>>(input).0),
            1 | 2 => {
                let payload = take::<Piece<'_>>(input).0;
                Operation::Message(message(input, payload))
            }
            3..=5 => Operation::Message(command(input)),
            6 | 7 => Operation::Message(media(input)),
            8 => {
                let message = media(input);
                Operation::Part(message, usize::from(take::<u16>(input)))
            }
            9 => Operation::Answer(take(input), None),
            10 => {
                let which = take(input);
                Operation::Answer(which, Some(reason(take(input))))
            }
            11 => Operation::Pass(take(input)),
            12 => Operation::EndPublish(u32::from(take::<u8>(input) % 4)),
            13 => Operation::Notify(u32::from(take::<u8>(input) % 4)),
            14 => match take::<u8>(input) % 4 {
                0 => Operation::Ping,
                1 => Operation::Status(1),
                two => Operation::Reconnect(two == 2),
            },
            _ => Operation::Answer(0, None),
        }
    }
}

fn reason(number: u8) -> RejectReason {
    let text = String::from("no");
    match number % 5 {
        0 => RejectReason::Unauthorized(text),
        1 => RejectReason::BadName(text),
        2 => RejectReason::NotFound(text),
        3 => RejectReason::InvalidApp(text),
        _ => RejectReason::Unavailable(text),
    }
}

/// `connect`, transaction 1, and an object with the app.
const CONNECT: &[u8] = b"\x02\0\x07connect\0\x3F\xF0\0\0\0\0\0\0\
    \x03\0\x03app\x02\0\x04live\0\0\x09";

/// `publish`, transaction 0, null, and the name.
const PUBLISH: &[u8] = b"\x02\0\x07publish\0\0\0\0\0\0\0\0\0\x05\x02\0\x03cam";

fn drive(mut host: Host, flags: u8, operations: &[Operation<'_>]) -> Host {
    if flags & flag::GREETED != 0 {
        host.input(&greeting());
    }
    if flags & flag::CONNECTED != 0 {
        host.ask(0, CONNECT);
    }
    if flags & flag::PUBLISHING != 0 {
        host.ask(1, PUBLISH);
    }
    for operation in operations {
        host.apply(operation);
        host.check();
    }
    host
}

fn compare(whole: &Host, cut: &Host) {
    let (Some(a), Some(b)) = (&whole.trace, &cut.trace) else {
        unreachable!("both were made with a trace");
    };
    // Numbers may be NaN, which no comparison finds the same.
    if a.events != b.events {
        assert_eq!(format!("{:#?}", a.events), format!("{:#?}", b.events));
    }
    assert_eq!(a.sent.messages, b.sent.messages);
    assert_eq!(whole.error, cut.error);
    assert_eq!(whole.session.stage(), cut.session.stage());
    assert_eq!(whole.session.dropped_media(), cut.session.dropped_media());
    let unreadable = |host: &Host| host.session.unreadable_messages();
    assert_eq!(unreadable(whole), unreadable(cut));
}

struct Host {
    session: ServerSession,
    limits: Limits,
    accepting: bool,
    cuts: Cuts,
    now: Time,
    peer: Sender,
    /// Asked and not answered.
    requests: Vec<(RequestId, Asks)>,
    last_request: Option<RequestId>,
    publishing: Vec<u32>,
    playing: Vec<u32>,
    error: Option<SessionError>,
    /// The session is over, and its last words were taken.
    over: bool,
    trace: Option<Trace>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Asks {
    Connect,
    Publish(u32),
    Play(u32),
}

/// What came out of a session.
struct Trace {
    events: Vec<ServerEvent>,
    sent: Receiver,
}

impl Trace {
    fn new() -> Trace {
        Trace {
            events: Vec::new(),
            sent: Receiver::new(),
        }
    }
}

impl Host {
    fn new(flags: u8, cuts: Cuts, trace: Option<Trace>) -> Host {
        let mut config = ServerConfig::default();
        config.strict_handshake = flags & flag::STRICT != 0;
        if flags & flag::ROOMY == 0 {
            config.limits = small_limits();
        }
        Host {
            session: ServerSession::new(&config, Time::ZERO, &mut |bytes| bytes.fill(0)),
            limits: config.limits,
            accepting: flags & flag::ACCEPTING != 0,
            cuts,
            now: Time::ZERO,
            peer: Sender::default(),
            requests: Vec::new(),
            last_request: None,
            publishing: Vec::new(),
            playing: Vec::new(),
            error: None,
            over: false,
            trace,
        }
    }

    /// Sends a command and accepts what it asks for.
    fn ask(&mut self, stream: u32, body: &[u8]) {
        let wire = self.peer.write(&Message {
            chunk_stream: 3,
            kind: 20,
            stream,
            timestamp: 0,
            payload: Payload::copy_from_slice(body),
        });
        self.input(&wire);
        if !self.requests.is_empty() {
            self.answer(0, None);
        }
    }

    fn apply(&mut self, operation: &Operation<'_>) {
        match operation {
            Operation::Raw(bytes) => self.input(bytes),
            Operation::Message(message) => {
                let wire = self.peer.write(message);
                self.input(&wire);
            }
            Operation::Part(message, length) => {
                let wire = self.peer.write(message);
                self.input(&wire[..wire.len().min(*length)]);
            }
            Operation::Answer(which, reason) => {
                if let Some(index) = usize::from(*which).checked_rem(self.requests.len()) {
                    self.answer(index, reason.as_ref());
                }
            }
            Operation::Pass(sixteenths) => {
                self.now = self.now + Duration::from_millis(u64::from(*sixteenths) * 16);
                let due = self.session.poll_timeout().is_some_and(|at| at <= self.now);
                let result = self.session.handle_timeout(self.now);
                assert_eq!(result.is_err(), due);
                self.note(result.err());
                self.drain();
            }
            Operation::EndPublish(stream) => {
                let status = Status::error(code::PUBLISH_BAD_NAME, "end");
                self.session.end_publish(*stream, &status);
                self.publishing.retain(|known| known != stream);
                self.drain();
            }
            Operation::Notify(stream) => {
                self.session.notify_unpublished(*stream);
                self.session.notify_published(*stream);
                self.drain();
            }
            Operation::Ping => {
                self.session.ping(7);
                self.drain();
            }
            Operation::Status(stream) => {
                let status = Status::status(code::PLAY_STOP, "stop");
                self.session.send_status(*stream, &status);
                self.drain();
            }
            Operation::Reconnect(named) => {
                let url = named.then_some("rtmp://other/live");
                let asked = self.session.request_reconnect(url, "moving");
                assert!(!asked || self.session.capabilities().is_some());
                self.drain();
            }
        }
    }

    fn input(&mut self, bytes: &[u8]) {
        let closed = self.session.stage() == Stage::Closed;
        for piece in self.cuts.of(bytes) {
            let mut rest = piece;
            while !rest.is_empty() {
                self.session.take_work();
                match self.session.handle_input(self.now, rest) {
                    Ok(used) => {
                        assert!(used > 0, "events were drained, so input is used");
                        let work = self.session.take_work();
                        assert!(work <= allowed_work(used, &self.limits), "{work}");
                        assert!(!closed || used == rest.len());
                        rest = &rest[used..];
                    }
                    Err(error) => {
                        assert!(!closed, "it is over already: {error}");
                        self.note(Some(error));
                    }
                }
                assert!(!closed || self.session.poll_transmit().is_none());
                self.drain();
                while self.accepting && !self.requests.is_empty() {
                    self.answer(0, None);
                }
            }
        }
    }

    /// An error ends the session.
    fn note(&mut self, error: Option<SessionError>) {
        if error.is_some() {
            assert_eq!(self.session.stage(), Stage::Closed);
            assert_eq!(self.session.poll_event(), None);
            self.error = error;
            self.forget_if_closed();
        }
    }

    fn answer(&mut self, index: usize, reason: Option<&RejectReason>) {
        let (request, asks) = self.requests.remove(index);
        let found = match reason {
            Some(reason) => self.session.reject(self.now, request, reason),
            None => self.session.accept(self.now, request),
        };
        assert!(found, "{asks:?} was asked and is still open");
        match (asks, reason) {
            (Asks::Publish(stream), None) => self.publishing.push(stream),
            (Asks::Play(stream), None) => self.playing.push(stream),
            _ => {}
        }
        assert!(!self.session.accept(self.now, request), "answered once");
        let unavailable = reason.cloned().unwrap_or_else(|| self::reason(4));
        assert!(!self.session.reject(self.now, request, &unavailable));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.session.poll_event() {
            assert_ne!(self.session.stage(), Stage::Closed, "{event:?}");
            self.take_in(&event);
            if let Some(trace) = &mut self.trace {
                trace.events.push(event);
            }
        }
        while let Some(bytes) = self.session.poll_transmit() {
            assert!(!bytes.is_empty() && !self.over, "{bytes:?}");
            if let Some(trace) = &mut self.trace {
                trace.sent.receive(&bytes);
            }
        }
        self.forget_if_closed();
    }

    fn take_in(&mut self, event: &ServerEvent) {
        match event {
            ServerEvent::Connect { request, connect } => {
                assert!(!connect.app.starts_with('/') && !connect.app.contains('?'));
                self.asked(*request, Asks::Connect);
            }
            ServerEvent::Publish {
                request,
                stream,
                name,
                ..
            } => {
                assert!(!name.reveal().is_empty());
                self.asked(*request, Asks::Publish(*stream));
            }
            ServerEvent::Play {
                request,
                stream,
                name,
                ..
            } => {
                assert!(!name.reveal().is_empty());
                self.asked(*request, Asks::Play(*stream));
            }
            ServerEvent::Withdrawn { request } => {
                let known = self.requests.iter().position(|(known, _)| known == request);
                self.requests.remove(known.expect("it was asked"));
            }
            ServerEvent::PublishEnd { stream } => remove(&mut self.publishing, *stream),
            ServerEvent::PlayEnd { stream } => remove(&mut self.playing, *stream),
            ServerEvent::Pause { stream, .. } | ServerEvent::Receive { stream, .. } => {
                assert!(self.playing.contains(stream), "{event:?}");
            }
            ServerEvent::Media(media) => {
                assert!(self.publishing.contains(&media.stream), "{media:?}");
                assert!(media.kind != MediaKind::Data || !media.payload.is_empty());
            }
            ServerEvent::Tolerated(what) => assert!(!what.is_empty() && what.len() < 500),
            _ => {}
        }
    }

    fn asked(&mut self, request: RequestId, asks: Asks) {
        assert!(
            self.last_request.is_none_or(|last| last.0 < request.0),
            "a new id"
        );
        self.last_request = Some(request);
        self.requests.push((request, asks));
    }

    fn check(&mut self) {
        let stage = self.session.stage();
        assert!(self.session.buffered_bytes() <= 2 * self.limits.partial_bytes);
        assert_eq!(stage == Stage::Publishing, !self.publishing.is_empty());
        let plays = !self.playing.is_empty() && self.publishing.is_empty();
        assert_eq!(stage == Stage::Playing, plays);
        if stage == Stage::Closed {
            assert_eq!(self.session.poll_timeout(), None);
            assert_eq!(self.session.buffered_bytes(), 0);
            self.over = true;
        }
    }

    fn forget_if_closed(&mut self) {
        if self.session.stage() == Stage::Closed {
            self.requests.clear();
            self.publishing.clear();
            self.playing.clear();
        }
    }
}

fn remove(streams: &mut Vec<u32>, stream: u32) {
    let known = streams.iter().position(|known| *known == stream);
    streams.remove(known.expect("it had begun"));
}
