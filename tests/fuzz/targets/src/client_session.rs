//! A client session driven by a list of operations: what a server sends, what the
//! host sends, and time.
//!
//! - It gets ready at most once, media comes after that, and nothing after its end.
//! - What it sends can always be read.
//! - Its work stays within what the bytes allow.
//! - Cutting the server's bytes in any way gives the same events and commands.

use std::time::Duration;

use arbitrary::Unstructured;
use openrtmp_protocol::chunk::{Message, Payload};
use openrtmp_protocol::session::{
    ClientConfig, ClientEvent, ClientMode, ClientSession, MediaKind, SessionError,
};
use openrtmp_protocol::{RtmpUrl, Time};

use crate::input::{Cuts, Piece, take};
use crate::memory;
use crate::peer::{
    Receiver, SMALL_MEMORY, Sender, allowed_work, command, greeting, media, message, operations,
    small_limits,
};

/// The input begins with these, combined.
pub mod flag {
    /// It publishes rather than plays.
    pub const PUBLISH: u8 = 1;
    /// It asks for the digest handshake.
    pub const DIGEST: u8 = 2;
    /// A handshake comes first.
    pub const GREETED: u8 = 4;
    /// The answers to connect and createStream come next.
    pub const CREATED: u8 = 8;
}

/// The number of the operation that sends a piece of bytes as they are.
pub const RAW: u8 = 0;

/// What [`flag`] names, cuts, then operations.
pub fn run(data: &[u8]) {
    let (flags, cuts, operations) = operations(data, Operation::take);
    memory::within(SMALL_MEMORY + 2 * data.len(), || {
        drive(Host::new(flags, Cuts::NONE, false), flags, &operations)
    });
    if cuts != Cuts::NONE {
        let [whole, cut] =
            [Cuts::NONE, cuts].map(|cuts| drive(Host::new(flags, cuts, true), flags, &operations));
        if whole.events != cut.events {
            assert_eq!(format!("{:#?}", whole.events), format!("{:#?}", cut.events));
        }
        assert_eq!(whole.sent.messages, cut.sent.messages);
        assert_eq!(whole.error, cut.error);
    }
}

#[derive(Debug)]
enum Operation<'a> {
    /// Bytes as they are.
    Raw(&'a [u8]),
    Message(Message),
    Send(Message),
    Pass(u16),
    Close,
}

impl<'a> Operation<'a> {
    fn take(input: &mut Unstructured<'a>) -> Operation<'a> {
        match take::<u8>(input) % 12 {
            RAW => Operation::Raw(take::<Piece<'_>>(input).0),
            1 | 2 => {
                let payload = take::<Piece<'_>>(input).0;
                Operation::Message(message(input, payload))
            }
            3..=6 => Operation::Message(command(input)),
            7 | 8 => Operation::Message(media(input)),
            9 => Operation::Send(media(input)),
            10 => Operation::Pass(take(input)),
            _ => Operation::Close,
        }
    }
}

fn drive(mut host: Host, flags: u8, operations: &[Operation<'_>]) -> Host {
    if flags & flag::GREETED != 0 {
        host.input(&greeting());
    }
    if flags & flag::CREATED != 0 {
        for answer in [
            // Transactions 1 and 4, then null, and the message stream 1.
            &b"\x02\0\x07_result\0\x3F\xF0\0\0\0\0\0\0\x05\x05"[..],
            b"\x02\0\x07_result\0\x40\x10\0\0\0\0\0\0\x05\0\x3F\xF0\0\0\0\0\0\0",
        ] {
            let message = Message {
                chunk_stream: 3,
                kind: 20,
                stream: 0,
                timestamp: 0,
                payload: Payload::copy_from_slice(answer),
            };
            let wire = host.server.write(&message);
            host.input(&wire);
        }
    }
    for operation in operations {
        host.apply(operation);
    }
    host
}

struct Host {
    session: ClientSession,
    mode: ClientMode,
    cuts: Cuts,
    now: Time,
    server: Sender,
    ready: bool,
    closed: bool,
    error: Option<SessionError>,
    tracing: bool,
    events: Vec<ClientEvent>,
    sent: Receiver,
}

impl Host {
    fn new(flags: u8, cuts: Cuts, tracing: bool) -> Host {
        let mode = match flags & flag::PUBLISH {
            0 => ClientMode::Play,
            _ => ClientMode::Publish,
        };
        let url = RtmpUrl::parse("rtmp://host/live/cam").expect("a URL");
        let mut config = ClientConfig::new(url, mode);
        config.limits = small_limits();
        config.digest_handshake = flags & flag::DIGEST != 0;
        Host {
            session: ClientSession::new(config, Time::ZERO, &mut |bytes| bytes.fill(0)),
            mode,
            cuts,
            now: Time::ZERO,
            server: Sender::default(),
            ready: false,
            closed: false,
            error: None,
            tracing,
            events: Vec::new(),
            sent: Receiver::new(),
        }
    }

    fn apply(&mut self, operation: &Operation<'_>) {
        match operation {
            Operation::Raw(bytes) => self.input(bytes),
            Operation::Message(message) => {
                let wire = self.server.write(message);
                self.input(&wire);
            }
            Operation::Send(message) => {
                let kind = match message.kind {
                    8 => MediaKind::Audio,
                    9 => MediaKind::Video,
                    _ => MediaKind::Data,
                };
                let sent = self.session.send(kind, message.timestamp, &message.payload);
                let may = self.ready && !self.closed && self.mode == ClientMode::Publish;
                assert_eq!(sent, may);
            }
            Operation::Pass(sixteenths) => {
                self.now = self.now + Duration::from_millis(u64::from(*sixteenths) * 16);
                let due = self.session.poll_timeout().is_some_and(|at| at <= self.now);
                let result = self.session.handle_timeout(self.now);
                assert_eq!(result.is_err(), due);
                self.note(result.err());
            }
            Operation::Close => {
                self.session.close();
                self.closed = true;
            }
        }
        self.drain();
    }

    fn input(&mut self, bytes: &[u8]) {
        for piece in self.cuts.of(bytes) {
            let mut rest = piece;
            while !rest.is_empty() {
                self.session.take_work();
                match self.session.handle_input(self.now, rest) {
                    Ok(used) => {
                        assert!(used > 0, "events were drained, so input is used");
                        let work = self.session.take_work();
                        assert!(work <= allowed_work(used, &small_limits()), "{work}");
                        assert!(!self.closed || used == rest.len());
                        rest = &rest[used..];
                    }
                    Err(error) => self.note(Some(error)),
                }
                self.drain();
            }
        }
    }

    /// An error ends the session.
    fn note(&mut self, error: Option<SessionError>) {
        if error.is_some() {
            assert!(!self.closed, "it is over already: {error:?}");
            self.closed = true;
            self.error = error;
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.session.poll_event() {
            assert!(!self.closed, "{event:?}");
            match &event {
                ClientEvent::Ready => {
                    assert!(!self.ready, "once");
                    self.ready = true;
                }
                ClientEvent::Media(media) => {
                    assert!(self.ready && self.mode == ClientMode::Play, "{media:?}");
                    assert!(media.kind != MediaKind::Data || !media.payload.is_empty());
                }
                _ => {}
            }
            if self.tracing {
                self.events.push(event);
            }
        }
        while let Some(bytes) = self.session.poll_transmit() {
            assert!(!bytes.is_empty());
            if self.tracing {
                self.sent.receive(&bytes);
            }
        }
        if self.closed {
            assert_eq!(self.session.poll_timeout(), None);
        }
    }
}
