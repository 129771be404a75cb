//! Whatever a peer sends and a host answers: no panic, memory within bounds.

use std::time::Duration;

use openrtmp_protocol::command::{Status, code};
use openrtmp_protocol::session::{
    ClientConfig, ClientMode, ClientSession, MediaKind, RejectReason, RequestId, ServerConfig,
    ServerEvent, ServerSession, Stage,
};
use openrtmp_protocol::{Limits, RtmpUrl, Time};
use proptest::prelude::*;

use crate::peer::handshake;
use crate::wire::{boolean, command, message, null, number, object, string};

const PARTIAL_BYTES: usize = 50_000;

#[derive(Clone, Debug)]
enum Operation {
    Input(Vec<u8>),
    Pass(u64),
    /// Rejected with the reason, if there is one.
    Answer(usize, Option<RejectReason>),
    EndPublish(u32),
    Notify(u32),
    Ping,
    Transmit,
}

fn operation() -> impl Strategy<Value = Operation> {
    let reason = prop_oneof![
        Just(RejectReason::Unauthorized("u".into())),
        Just(RejectReason::NotFound("n".into())),
        Just(RejectReason::BadName("b".into())),
    ];
    prop_oneof![
        12 => valid_message().prop_map(Operation::Input),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Operation::Input),
        1 => (0u64..4_000).prop_map(Operation::Pass),
        5 => (0usize..3, prop::option::weighted(0.2, reason))
            .prop_map(|(index, reason)| Operation::Answer(index, reason)),
        1 => (0u32..4).prop_map(Operation::EndPublish),
        1 => (0u32..4).prop_map(Operation::Notify),
        1 => Just(Operation::Ping),
        3 => Just(Operation::Transmit),
    ]
}

fn valid_message() -> impl Strategy<Value = Vec<u8>> {
    let names = vec![
        "connect",
        "createStream",
        "publish",
        "play",
        "play2",
        "deleteStream",
        "closeStream",
        "FCPublish",
        "FCUnpublish",
        "releaseStream",
        "pause",
        "seek",
        "receiveAudio",
        "_checkbw",
        "receiveVideo",
        "getStreamLength",
        "nonsense",
        "_result",
    ];
    let value = prop_oneof![
        Just(null()),
        Just(string("cam")),
        Just(string("?")),
        (0u8..4).prop_map(|n| number(f64::from(n))),
        Just(number(f64::NAN)),
        any::<bool>().prop_map(boolean),
        Just(object(&[
            ("app", string("live")),
            ("streamName", string("x"))
        ])),
    ];
    let values = prop::collection::vec(value, 0..4);
    prop_oneof![
        4 => (0u32..4, prop::sample::select(names), 0u8..3, values).prop_map(
            |(stream, name, transaction, values)| {
                command(stream, name, f64::from(transaction), &values)
            }
        ),
        3 => (
            prop::sample::select(vec![8u8, 9, 18, 15, 22]),
            0u32..4,
            prop::collection::vec(any::<u8>(), 0..5_000)
        )
            .prop_map(|(kind, stream, payload)| message(6, kind, stream, 0, &payload)),
        // A part of a message on a chunk stream of its own.
        1 => (0usize..100).prop_map(|chunks| {
            let mut bytes = message(5, 9, 1, 0, &[0; 20_000]);
            bytes.truncate(12 + 128 + 129 * chunks);
            bytes
        }),
        1 => (1u8..30, prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(kind, payload)| message(2, kind, 0, 0, &payload)),
    ]
}

/// A server session and what its grammar promises.
struct Checked {
    session: ServerSession,
    now: Time,
    /// Asked and not answered; with the message stream if it is a publish.
    requests: Vec<(RequestId, Option<u32>)>,
    publishing: Vec<u32>,
}

impl Checked {
    fn new() -> Checked {
        let mut config = ServerConfig::default();
        config.limits = limits();
        Checked {
            session: ServerSession::new(&config, Time::ZERO, &mut |bytes| bytes.fill(1)),
            now: Time::ZERO,
            requests: Vec::new(),
            publishing: Vec::new(),
        }
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Input(bytes) => self.input(bytes),
            Operation::Pass(milliseconds) => {
                self.now = self.now + Duration::from_millis(*milliseconds);
                let due = self
                    .session
                    .poll_timeout()
                    .is_some_and(|time| time <= self.now);
                assert_eq!(self.session.handle_timeout(self.now).is_err(), due);
            }
            Operation::Answer(index, reason) => {
                if *index < self.requests.len() {
                    let (request, publish) = self.requests.remove(*index);
                    self.answer(request, publish, reason.as_ref());
                }
            }
            Operation::EndPublish(stream) => {
                let status = Status::error(code::PUBLISH_BAD_NAME, "end");
                self.session.end_publish(*stream, &status);
                self.publishing.retain(|known| known != stream);
            }
            Operation::Notify(stream) => {
                self.session.notify_unpublished(*stream);
                self.session.notify_published(*stream);
            }
            Operation::Ping => self.session.ping(1),
            Operation::Transmit => drop(self.session.poll_transmit()),
        }
        self.drain();
        assert!(self.session.buffered_bytes() <= 2 * PARTIAL_BYTES);
        let publishes = self.session.stage() == Stage::Publishing;
        assert_eq!(publishes, !self.publishing.is_empty());
    }

    fn input(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Ok(used) = self.session.handle_input(self.now, bytes) else {
                break;
            };
            bytes = &bytes[used..];
            self.drain();
        }
        self.forget_if_closed();
    }

    fn answer(&mut self, id: RequestId, publish: Option<u32>, reason: Option<&RejectReason>) {
        let open = self.session.stage() != Stage::Closed;
        let found = match reason {
            Some(reason) => self.session.reject(self.now, id, reason),
            None => self.session.accept(self.now, id),
        };
        assert_eq!(found, open, "every request is answered once");
        if let (Some(stream), None, true) = (publish, reason, found) {
            self.publishing.push(stream);
        }
        let again = self.session.accept(self.now, id);
        assert!(!again);
        self.forget_if_closed();
    }

    fn drain(&mut self) {
        while let Some(event) = self.session.poll_event() {
            assert_ne!(self.session.stage(), Stage::Closed, "{event:?}");
            match event {
                ServerEvent::Connect { request, .. } | ServerEvent::Play { request, .. } => {
                    self.requests.push((request, None));
                }
                ServerEvent::Publish {
                    request, stream, ..
                } => {
                    self.requests.push((request, Some(stream)));
                }
                ServerEvent::Withdrawn { request } => {
                    let index = self
                        .requests
                        .iter()
                        .position(|(known, _)| *known == request);
                    self.requests.remove(index.expect("was asked"));
                }
                ServerEvent::PublishEnd { stream } => {
                    let index = self.publishing.iter().position(|known| *known == stream);
                    self.publishing.remove(index.expect("was publishing"));
                }
                ServerEvent::Media(media) => {
                    assert!(self.publishing.contains(&media.stream), "{media:?}");
                    assert!(media.kind != MediaKind::Data || !media.payload.is_empty());
                }
                _ => {}
            }
        }
    }

    fn forget_if_closed(&mut self) {
        if self.session.stage() == Stage::Closed {
            self.requests.clear();
            self.publishing.clear();
        }
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.message_bytes = 20_000;
    limits.partial_bytes = PARTIAL_BYTES;
    limits.chunk_streams = 8;
    limits.message_streams = 3;
    limits.pending_requests = 2;
    limits
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 512 }))]

    #[test]
    fn a_server_keeps_its_promises_whatever_happens(
        greeted in prop::bool::weighted(0.9),
        connected in prop::bool::weighted(0.8),
        operations in prop::collection::vec(operation(), 0..60),
    ) {
        let mut checked = Checked::new();
        if greeted {
            checked.apply(&Operation::Input(handshake()));
        }
        if greeted && connected {
            let connect = command(0, "connect", 1.0, &[object(&[("app", string("live"))])]);
            checked.apply(&Operation::Input(connect));
            checked.apply(&Operation::Answer(0, None));
        }
        for operation in &operations {
            checked.apply(operation);
        }
    }

    #[test]
    fn a_client_survives_any_server(
        publish: bool,
        answers in prop::collection::vec(valid_answer(), 0..30),
    ) {
        let mode = if publish { ClientMode::Publish } else { ClientMode::Play };
        let url = RtmpUrl::parse("rtmp://h/live/cam").expect("a URL");
        let mut config = ClientConfig::new(url, mode);
        config.limits = limits();
        let mut session = ClientSession::new(config, Time::ZERO, &mut |bytes| bytes.fill(1));
        let greeting = [&[3][..], &[0; 2 * 1536]].concat();
        for bytes in std::iter::once(&greeting).chain(&answers) {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let Ok(used) = session.handle_input(Time::ZERO, rest) else {
                    prop_assert_eq!(session.poll_event(), None, "nothing after an error");
                    prop_assert_eq!(session.poll_timeout(), None);
                    break;
                };
                rest = &rest[used..];
                while session.poll_event().is_some() {}
            }
            session.send(MediaKind::Video, 0, b"v");
            session.poll_transmit();
        }
        session.close();
        prop_assert_eq!(session.poll_event(), None);
    }
}

fn valid_answer() -> impl Strategy<Value = Vec<u8>> {
    let codes = vec![
        code::PUBLISH_START,
        code::PLAY_START,
        code::PLAY_RESET,
        code::CONNECT_RECONNECT_REQUEST,
    ];
    let status = prop::sample::select(codes).prop_map(|code| {
        let members = [("level", string("status")), ("code", string(code))];
        command(1, "onStatus", 0.0, &[null(), object(&members)])
    });
    let result = (1u8..5, -1.0..5.0f64).prop_map(|(transaction, value)| {
        command(
            0,
            "_result",
            f64::from(transaction),
            &[null(), number(value)],
        )
    });
    prop_oneof![3 => result, 3 => status, 2 => valid_message()]
}
