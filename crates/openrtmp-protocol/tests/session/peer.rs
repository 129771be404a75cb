//! A server session with the other end of its wire in hand.

use std::time::Duration;

use openrtmp_protocol::amf::{Encoding, Value};
use openrtmp_protocol::chunk::{ChunkReader, Message};
use openrtmp_protocol::command::{Command, Status};
use openrtmp_protocol::message::{Control, UserControl, kind};
use openrtmp_protocol::session::{
    ConnectRequest, RequestId, ServerConfig, ServerEvent, ServerSession, SessionError,
};
use openrtmp_protocol::{Limits, Time};

use crate::wire;

pub(crate) struct Peer {
    pub(crate) session: ServerSession,
    pub(crate) now: Time,
    reader: ChunkReader,
}

/// What the server sent, as far as tests look at it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sent {
    Control(Control),
    Command {
        stream: u32,
        encoding: Encoding,
        command: Command,
    },
    Other(Message),
}

impl Peer {
    /// Waits for C0.
    pub(crate) fn new(config: &ServerConfig) -> Peer {
        let now = Time::from_micros(1_000_000);
        Peer {
            session: ServerSession::new(config, now, &mut |bytes| bytes.fill(7)),
            now,
            reader: ChunkReader::new(&Limits::default()),
        }
    }

    /// The handshake is over, nothing else happened.
    pub(crate) fn greeted() -> Peer {
        Peer::greeted_with(&ServerConfig::default())
    }

    pub(crate) fn greeted_with(config: &ServerConfig) -> Peer {
        let mut peer = Peer::new(config);
        let events = peer.feed(&handshake());
        assert!(
            matches!(events[..], [ServerEvent::HandshakeDone(_)]),
            "{events:?}"
        );
        let answer = peer.session.poll_transmit().expect("S0, S1 and S2");
        assert_eq!(answer.len(), 1 + 2 * 1536);
        peer
    }

    /// Connected to the app `live`.
    pub(crate) fn connected() -> Peer {
        Peer::connected_with(&ServerConfig::default(), &[("app", wire::string("live"))])
    }

    pub(crate) fn connected_with(config: &ServerConfig, members: &[(&str, Vec<u8>)]) -> Peer {
        let mut peer = Peer::greeted_with(config);
        let (request, _) = peer.connect(members);
        assert!(peer.session.accept(peer.now, request));
        peer.sent();
        peer
    }

    /// Publishes `live/cam` on message stream 1.
    pub(crate) fn publishing() -> Peer {
        let mut peer = Peer::connected();
        peer.create_stream(1.0);
        let request = peer.publish(1, "cam");
        assert!(peer.session.accept(peer.now, request));
        peer.sent();
        peer
    }

    /// Plays `live/cam` on message stream 1.
    pub(crate) fn playing() -> Peer {
        let mut peer = Peer::connected();
        peer.create_stream(1.0);
        let request = peer.play(1, "cam");
        assert!(peer.session.accept(peer.now, request));
        peer.sent();
        peer
    }

    pub(crate) fn connect(&mut self, members: &[(&str, Vec<u8>)]) -> (RequestId, ConnectRequest) {
        let mut events = self.feed(&wire::connect(members));
        match (events.pop(), events.pop()) {
            (Some(ServerEvent::Connect { request, connect }), None) => (request, *connect),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn create_stream(&mut self, id: f64) {
        assert_eq!(
            self.feed(&wire::command(0, "createStream", 4.0, &[wire::null()])),
            []
        );
        let (name, transaction, arguments) = self.answer();
        assert_eq!((name.as_str(), transaction), ("_result", 4.0));
        assert_eq!(arguments, [Value::Number(id)]);
    }

    pub(crate) fn publish(&mut self, stream: u32, name: &str) -> RequestId {
        let mut events = self.feed(&publish(stream, name));
        match (events.pop(), events.pop()) {
            (Some(ServerEvent::Publish { request, .. }), None) => request,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn play(&mut self, stream: u32, name: &str) -> RequestId {
        let mut events = self.feed(&play(stream, name));
        match (events.pop(), events.pop()) {
            (Some(ServerEvent::Play { request, .. }), None) => request,
            other => panic!("{other:?}"),
        }
    }

    /// Feeds bytes and collects the events.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<ServerEvent> {
        self.try_feed(bytes).expect("input without error")
    }

    pub(crate) fn try_feed(&mut self, mut bytes: &[u8]) -> Result<Vec<ServerEvent>, SessionError> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let used = self.session.handle_input(self.now, bytes)?;
            bytes = &bytes[used..];
            let before = events.len();
            events.extend(self.events());
            assert!(used > 0 || events.len() > before, "no progress");
        }
        Ok(events)
    }

    pub(crate) fn events(&mut self) -> Vec<ServerEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    pub(crate) fn pass(&mut self, time: Duration) -> Result<(), SessionError> {
        self.now = self.now + time;
        self.session.handle_timeout(self.now)
    }

    /// What the server sent since the last call, obeying its chunk size.
    pub(crate) fn sent(&mut self) -> Vec<Sent> {
        let bytes = self.session.poll_transmit().unwrap_or_default();
        assert_eq!(self.session.poll_transmit(), None, "one piece");
        let mut input = &bytes[..];
        let mut sent = Vec::new();
        while let Some(message) = self.reader.read(&mut input).expect("valid chunks") {
            sent.push(match message.kind {
                1..=6 => {
                    assert_eq!((message.chunk_stream, message.stream), (2, 0));
                    let control = Control::decode(message.kind, &message.payload);
                    let control = control.expect("valid control message");
                    if let Control::SetChunkSize(size) = control {
                        self.reader.set_chunk_size(size).expect("not zero");
                    }
                    Sent::Control(control)
                }
                kind::COMMAND_AMF0 | kind::COMMAND_AMF3 => {
                    let amf3 = message.kind == kind::COMMAND_AMF3;
                    let body = &message.payload[usize::from(amf3)..];
                    let command = Command::decode(body, &Limits::default().amf);
                    Sent::Command {
                        stream: message.stream,
                        encoding: if amf3 { Encoding::Amf3 } else { Encoding::Amf0 },
                        command: command.expect("valid command"),
                    }
                }
                _ => Sent::Other(message),
            });
        }
        assert!(input.is_empty(), "whole messages");
        sent
    }

    /// Name, transaction and arguments of the only command sent.
    pub(crate) fn answer(&mut self) -> (String, f64, Vec<Value>) {
        let mut commands = self.commands();
        assert_eq!(commands.len(), 1, "{commands:?}");
        let (_, command) = commands.remove(0);
        (command.name, command.transaction, command.arguments)
    }

    /// The commands sent and their message streams.
    pub(crate) fn commands(&mut self) -> Vec<(u32, Command)> {
        let sent = self.sent().into_iter();
        sent.filter_map(|sent| match sent {
            Sent::Command {
                stream, command, ..
            } => Some((stream, command)),
            _ => None,
        })
        .collect()
    }

    /// Message stream, level and code of each `onStatus` sent; nothing else but
    /// control and data messages may have been.
    pub(crate) fn statuses(&mut self) -> Vec<(u32, &'static str, String)> {
        let commands = self.commands().into_iter();
        commands
            .map(|(stream, command)| {
                assert_eq!(
                    (command.name.as_str(), command.transaction),
                    ("onStatus", 0.0)
                );
                let status = Status::from_value(&command.arguments[0]);
                (stream, status.level.as_str(), status.code)
            })
            .collect()
    }
}

/// C0, C1 of a simple client, and a C2 that echoes the S1 of [`Peer::new`].
pub(crate) fn handshake() -> Vec<u8> {
    let c1 = [&[0; 8][..], &[5; 1528]].concat();
    [vec![3], c1, vec![0; 1536]].concat()
}

pub(crate) fn publish(stream: u32, name: &str) -> Vec<u8> {
    let values = [wire::null(), wire::string(name), wire::string("live")];
    wire::command(stream, "publish", 5.0, &values)
}

pub(crate) fn play(stream: u32, name: &str) -> Vec<u8> {
    wire::command(stream, "play", 5.0, &[wire::null(), wire::string(name)])
}

pub(crate) fn user_control(event: UserControl) -> Sent {
    Sent::Control(Control::UserControl(event))
}

pub(crate) fn tolerated(events: &[ServerEvent]) -> bool {
    matches!(events, [ServerEvent::Tolerated(_)])
}
