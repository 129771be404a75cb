//! The client session against a server written by hand.

use std::time::Duration;

use bytes::Bytes;

use openrtmp_protocol::amf::Value;
use openrtmp_protocol::chunk::{ChunkReader, Message, Payload, WireMessage};
use openrtmp_protocol::command::{Command, Status, code};
use openrtmp_protocol::message::{Control, UserControl};
use openrtmp_protocol::session::{
    ClientConfig, ClientEvent, ClientMode, ClientSession, MediaKind, SessionError, Stage,
};
use openrtmp_protocol::{Limits, RtmpUrl, Time};

use crate::wire::{boolean, command, message, null, number, object, string};

const URL: &str = "rtmp://example.org/live/room/cam?k=v";

struct Server {
    session: ClientSession,
    reader: ChunkReader,
}

impl Server {
    /// The client waits for S0.
    fn new(url: &str, mode: ClientMode) -> Server {
        let url = RtmpUrl::parse(url).expect("a URL");
        let config = ClientConfig::new(url, mode);
        Server {
            session: ClientSession::new(config, Time::ZERO, &mut |bytes| bytes.fill(7)),
            reader: ChunkReader::new(&Limits::default()),
        }
    }

    /// The handshake is over and `connect` was sent, which is returned.
    fn greeted(url: &str, mode: ClientMode) -> (Server, Command) {
        let mut server = Server::new(url, mode);
        let hello = server.session.poll_transmit().expect("C0 and C1");
        assert_eq!((hello.len(), hello[0]), (1537, 3));
        let answer = [&[3][..], &[9; 1536], &hello[1..]].concat();
        let events = server.feed(&answer);
        assert!(
            matches!(events[..], [ClientEvent::HandshakeDone(_)]),
            "{events:?}"
        );
        let bytes = server.session.poll_transmit().expect("C2 and connect");
        assert_eq!(bytes[..1536], [9; 1536], "C2 echoes S1");
        let mut commands = server.read(&bytes[1536..]);
        let connect = decode(&commands.remove(0));
        assert_eq!(commands, []);
        (server, connect)
    }

    /// `publish` or `play` was sent on message stream 3.
    fn starting(mode: ClientMode) -> Server {
        let (mut server, _) = Server::greeted(URL, mode);
        let events = server.feed(&command(0, "_result", 1.0, &[null(), object(&[])]));
        assert!(
            matches!(events[..], [ClientEvent::Connected(_)]),
            "{events:?}"
        );
        assert_eq!(
            server.feed(&command(0, "_result", 4.0, &[null(), number(3.0)])),
            []
        );
        server.sent();
        server
    }

    fn ready(mode: ClientMode) -> Server {
        let mut server = Server::starting(mode);
        let code = match mode {
            ClientMode::Publish => code::PUBLISH_START,
            ClientMode::Play => code::PLAY_START,
        };
        assert_eq!(server.feed(&status("status", code)), [ClientEvent::Ready]);
        assert_eq!(server.session.poll_timeout(), None);
        server
    }

    fn feed(&mut self, bytes: &[u8]) -> Vec<ClientEvent> {
        self.try_feed(bytes).expect("input without error")
    }

    fn try_feed(&mut self, mut bytes: &[u8]) -> Result<Vec<ClientEvent>, SessionError> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let used = self.session.handle_input(Time::ZERO, bytes)?;
            bytes = &bytes[used..];
            events.extend(std::iter::from_fn(|| self.session.poll_event()));
        }
        Ok(events)
    }

    fn sent(&mut self) -> Vec<Message> {
        let bytes = self.session.poll_transmit().unwrap_or_default();
        self.read(&bytes)
    }

    fn read(&mut self, mut bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.reader.read(&mut bytes).expect("valid chunks") {
            if let Some(Control::SetChunkSize(size)) = control(&message) {
                self.reader.set_chunk_size(size).expect("not zero");
            }
            messages.push(message);
        }
        messages
    }

    /// Name, message stream and first argument of the commands sent.
    fn commands(&mut self) -> Vec<(String, u32, Option<Value>)> {
        let commands = self.sent().into_iter().filter(|message| message.kind == 20);
        commands
            .map(|message| {
                let command = decode(&message);
                (
                    command.name,
                    message.stream,
                    command.arguments.into_iter().next(),
                )
            })
            .collect()
    }
}

fn decode(message: &Message) -> Command {
    Command::decode(&message.payload, &Limits::default().amf).expect("a command")
}

fn control(message: &Message) -> Option<Control> {
    let control = matches!(message.kind, 1..=6);
    control.then(|| Control::decode(message.kind, &message.payload).expect("valid"))
}

fn status(level: &str, code: &str) -> Vec<u8> {
    let members = [
        ("level", string(level)),
        ("code", string(code)),
        ("description", string("why")),
    ];
    command(3, "onStatus", 0.0, &[null(), object(&members)])
}

#[test]
fn connect_says_what_servers_ask_for() {
    let (_, connect) = Server::greeted(URL, ClientMode::Publish);
    assert_eq!(
        (connect.name.as_str(), connect.transaction),
        ("connect", 1.0)
    );
    let object = connect.object.as_object().expect("an object");
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    assert_eq!(text("app"), Some("live/room"));
    assert_eq!(text("tcUrl"), Some("rtmp://example.org/live/room"));
    assert_eq!(text("type"), Some("nonprivate"));
    assert!(text("flashVer").is_some());
    assert!(object.get("capsEx").is_some() && object.get("fourCcList").is_some());

    let (_, connect) = Server::greeted("rtmp://example.org/cam", ClientMode::Play);
    let object = connect.object.as_object().expect("an object");
    assert_eq!(object.get("app"), Some(&"".into()), "the empty app");
    assert_eq!(object.get("fpad"), Some(&false.into()));
}

#[test]
fn publish_goes_through_its_commands() {
    let (mut server, _) = Server::greeted(URL, ClientMode::Publish);
    let properties = object(&[("capsEx", number(3.0))]);
    let events = server.feed(&command(0, "_result", 1.0, &[properties, object(&[])]));
    let [ClientEvent::Connected(capabilities)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(capabilities.caps_ex, 3);
    let name = || Some(Value::from("cam?k=v"));
    assert_eq!(
        server.commands(),
        [
            ("releaseStream".to_owned(), 0, name()),
            ("FCPublish".to_owned(), 0, name()),
            ("createStream".to_owned(), 0, None),
        ]
    );
    // Answers that do not matter: onBWDone, a refused releaseStream.
    assert_eq!(server.feed(&command(0, "onBWDone", 0.0, &[null()])), []);
    assert_eq!(
        server.feed(&command(0, "_error", 2.0, &[null(), object(&[])])),
        []
    );
    assert_eq!(
        server.feed(&command(0, "_result", 4.0, &[null(), number(3.0)])),
        []
    );
    assert_eq!(server.commands(), [("publish".to_owned(), 3, name())]);
    assert!(!server.session.send(MediaKind::Audio, 0, b"a"), "not yet");
    assert_eq!(
        server.feed(&status("status", code::PUBLISH_START)),
        [ClientEvent::Ready]
    );

    server.session.close();
    assert_eq!(
        server.commands(),
        [
            ("FCUnpublish".to_owned(), 0, name()),
            ("deleteStream".to_owned(), 0, Some(Value::Number(3.0))),
        ]
    );
    assert!(!server.session.send(MediaKind::Audio, 0, b"a"), "over");
    server.session.close();
    assert_eq!(server.sent(), [], "once");
}

#[test]
fn play_goes_through_its_commands() {
    let (mut server, _) = Server::greeted(URL, ClientMode::Play);
    server.feed(&command(0, "_result", 1.0, &[null(), object(&[])]));
    assert_eq!(server.commands(), [("createStream".to_owned(), 0, None)]);
    server.feed(&command(0, "_result", 4.0, &[null(), number(3.0)]));
    let sent = server.sent();
    let buffer = control(&sent[0]);
    assert!(
        matches!(
            buffer,
            Some(Control::UserControl(UserControl::SetBufferLength(3, _)))
        ),
        "{buffer:?}"
    );
    let play = decode(&sent[1]);
    assert_eq!((play.name.as_str(), sent[1].stream), ("play", 3));
    assert_eq!(play.arguments[0], "cam?k=v".into());

    let events = server.feed(&status("status", code::PLAY_RESET));
    assert!(matches!(events[..], [ClientEvent::Status(_)]), "{events:?}");
    assert_eq!(
        server.feed(&status("status", code::PLAY_START)),
        [ClientEvent::Ready]
    );
    assert!(
        !server.session.send(MediaKind::Audio, 0, b"a"),
        "a player sends nothing"
    );

    server.session.close();
    let delete = ("deleteStream".to_owned(), 0, Some(Value::Number(3.0)));
    assert_eq!(server.commands(), [delete]);
}

#[test]
fn a_refusal_ends_it_at_every_step() {
    let failed = |code: &str| SessionError::Refused {
        code: code.to_owned(),
        description: "why".to_owned(),
        redirect: None,
    };
    let error = |transaction, code| {
        let members = [
            ("level", string("error")),
            ("code", string(code)),
            ("description", string("why")),
        ];
        command(0, "_error", transaction, &[null(), object(&members)])
    };
    let (mut server, _) = Server::greeted(URL, ClientMode::Publish);
    let refused = server.try_feed(&error(1.0, code::CONNECT_REJECTED));
    assert_eq!(refused, Err(failed(code::CONNECT_REJECTED)));
    assert_eq!(server.feed(&error(1.0, code::CONNECT_REJECTED)), [], "over");
    assert_eq!(server.session.poll_timeout(), None);

    let (mut server, _) = Server::greeted(URL, ClientMode::Play);
    server.feed(&command(0, "_result", 1.0, &[null(), object(&[])]));
    let refused = server.try_feed(&error(4.0, code::CALL_FAILED));
    assert_eq!(refused, Err(failed(code::CALL_FAILED)));

    let mut server = Server::starting(ClientMode::Publish);
    let refused = server.try_feed(&status("error", code::PUBLISH_BAD_NAME));
    assert_eq!(refused, Err(failed(code::PUBLISH_BAD_NAME)));

    let mut server = Server::ready(ClientMode::Play);
    let refused = server.try_feed(&status("error", code::PLAY_STREAM_NOT_FOUND));
    assert_eq!(refused, Err(failed(code::PLAY_STREAM_NOT_FOUND)));
}

#[test]
fn a_refusal_may_lead_elsewhere() {
    let ex = object(&[
        ("code", number(302.0)),
        ("redirect", string("rtmp://other/live")),
    ]);
    let members = [
        ("level", string("error")),
        ("code", string(code::CONNECT_REJECTED)),
        ("ex", ex),
    ];
    let (mut server, _) = Server::greeted(URL, ClientMode::Play);
    let refused = server.try_feed(&command(0, "_error", 1.0, &[null(), object(&members)]));
    let redirected = SessionError::Refused {
        code: code::CONNECT_REJECTED.to_owned(),
        description: String::new(),
        redirect: Some("rtmp://other/live".to_owned()),
    };
    assert_eq!(refused, Err(redirected));
}

#[test]
fn a_server_that_says_nothing_times_out() {
    let mut server = Server::new(URL, ClientMode::Play);
    let deadline = Time::ZERO + Duration::from_secs(20);
    assert_eq!(server.session.poll_timeout(), Some(deadline));
    assert_eq!(server.session.handle_timeout(Time::ZERO), Ok(()));
    let timeout = SessionError::Timeout {
        stage: Stage::Handshake,
        seconds: 20,
    };
    assert_eq!(server.session.handle_timeout(deadline), Err(timeout));
    assert_eq!(server.session.handle_timeout(deadline), Ok(()), "once");
}

#[test]
fn published_media_goes_out_as_given_with_metadata_wrapped() {
    let mut server = Server::ready(ClientMode::Publish);
    let metadata = [string("onMetaData"), object(&[])].concat();
    assert!(server.session.send(MediaKind::Data, 0, &metadata));
    assert!(
        server
            .session
            .send(MediaKind::Data, 5, &string("onTextData"))
    );
    assert!(server.session.send(MediaKind::Video, 7, &[1; 1000]));
    assert!(server.session.send(MediaKind::Audio, 9, b"a"));
    let sent = server.sent();
    let sent: Vec<_> = sent
        .iter()
        .map(|m| (m.kind, m.stream, m.timestamp, &m.payload[..]))
        .collect();
    let wrapped = [string("@setDataFrame"), metadata].concat();
    assert_eq!(
        sent,
        [
            (18, 3, 0, &wrapped[..]),
            (18, 3, 5, &string("onTextData")),
            (9, 3, 7, &[1; 1000]),
            (8, 3, 9, b"a"),
        ]
    );
}

#[test]
fn played_media_comes_out_without_what_is_not_the_stream() {
    let mut server = Server::starting(ClientMode::Play);
    let access = [string("|RtmpSampleAccess"), boolean(true), boolean(true)].concat();
    let start = [
        string("onStatus"),
        object(&[("code", string(code::DATA_START))]),
    ]
    .concat();
    let metadata = [string("@setDataFrame"), string("onMetaData")].concat();
    let bytes = [
        message(5, 18, 3, 0, &access),
        message(5, 18, 3, 0, &start),
        message(5, 18, 3, 0, &metadata),
        message(6, 9, 3, 40, b"v"),
        message(6, 9, 8, 40, b"another stream's"),
    ]
    .concat();
    let events = server.feed(&bytes);
    let [
        ClientEvent::Ready,
        ClientEvent::Media(data),
        ClientEvent::Media(video),
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(
        (data.kind, &data.payload[..]),
        (MediaKind::Data, &string("onMetaData")[..])
    );
    assert_eq!((video.kind, video.timestamp), (MediaKind::Video, 40));
}

#[test]
fn the_server_tells_of_ends_and_moves() {
    let mut server = Server::ready(ClientMode::Play);
    let events = server.feed(&status("status", code::PLAY_UNPUBLISH_NOTIFY));
    let expected = Status::status(code::PLAY_UNPUBLISH_NOTIFY, "why");
    assert_eq!(events, [ClientEvent::Status(expected)]);
    let eof = |stream| message(2, 4, 0, 0, &[0, 1, 0, 0, 0, stream]);
    assert_eq!(server.feed(&eof(3)), [ClientEvent::StreamEof]);
    assert_eq!(server.feed(&eof(4)), []);

    let reconnect = |members: &[(&str, Vec<u8>)]| {
        let code = ("code", string(code::CONNECT_RECONNECT_REQUEST));
        let members = [&[code][..], members].concat();
        command(0, "onStatus", 0.0, &[null(), object(&members)])
    };
    assert_eq!(
        server.feed(&reconnect(&[("tcUrl", string("rtmp://b/live"))])),
        [ClientEvent::ReconnectRequest(Some("rtmp://b/live".into()))]
    );
    assert_eq!(
        server.feed(&reconnect(&[])),
        [ClientEvent::ReconnectRequest(None)]
    );
}

#[test]
fn pings_and_windows_are_answered() {
    let mut server = Server::ready(ClientMode::Play);
    server.feed(&message(2, 4, 0, 0, &[0, 6, 0, 0, 0, 9]));
    let sent: Vec<_> = server.sent().iter().filter_map(control).collect();
    assert_eq!(sent, [Control::UserControl(UserControl::PingResponse(9))]);
    server.feed(&message(2, 5, 0, 0, &1000u32.to_be_bytes()));
    let sent: Vec<_> = server.sent().iter().filter_map(control).collect();
    assert!(
        matches!(sent[..], [Control::Acknowledgement(3074..)]),
        "{sent:?}"
    );
}

#[test]
fn a_shared_payload_goes_out_itself() {
    let mut server = Server::ready(ClientMode::Publish);
    assert_eq!(server.session.media_stream(), Some(3));
    assert_eq!(server.session.stage(), Stage::Publishing);
    let frame = Bytes::from(vec![7; 150_000]);
    let metadata = [string("onMetaData"), object(&[])].concat();
    assert!(
        server
            .session
            .send_shared(MediaKind::Data, 0, metadata.clone().into())
    );
    assert!(
        server
            .session
            .send_shared(MediaKind::Video, 7, frame.clone())
    );
    assert!(
        server
            .session
            .send_shared(MediaKind::Audio, 9, b"a"[..].into())
    );
    let chunk = server.session.chunk_size() as usize;
    let mut wire = Vec::new();
    let mut shared = Vec::new();
    while let Some(piece) = server.session.poll_transmit() {
        let at = (piece.as_ptr() as usize).wrapping_sub(frame.as_ptr() as usize);
        if at < frame.len() {
            shared.push((at, piece.len()));
        }
        wire.extend_from_slice(&piece);
    }
    assert_eq!(
        shared,
        [
            (0, chunk),
            (chunk, chunk),
            (2 * chunk, frame.len() - 2 * chunk)
        ],
        "slices of the frame"
    );
    let sent = server.read(&wire);
    let sent: Vec<_> = sent
        .iter()
        .map(|m| (m.kind, m.stream, m.timestamp, &m.payload[..]))
        .collect();
    let wrapped = [string("@setDataFrame"), metadata].concat();
    assert_eq!(
        sent,
        [
            (18, 3, 0, &wrapped[..]),
            (9, 3, 7, &frame[..]),
            (8, 3, 9, b"a"),
        ]
    );
}

/// As a relay does: the session says where to, the caller writes.
#[test]
fn media_that_the_caller_frames_goes_behind_what_the_session_sends() {
    let mut server = Server::starting(ClientMode::Publish);
    assert_eq!(server.session.media_stream(), None);
    server.feed(&status("status", code::PUBLISH_START));
    let stream = server.session.media_stream().expect("it publishes");
    let kind = MediaKind::Video;
    let payload = Payload::copy_from_slice(&[5; 70_000]);
    let shared =
        WireMessage::new(kind.chunk_stream(), kind.message_kind(), 1, 40, payload).expect("memory");
    server.session.ping(3);
    let mut wire = Vec::new();
    while let Some(piece) = server.session.poll_transmit() {
        wire.extend_from_slice(&piece);
    }
    let headers = shared.headers().with_stream(stream);
    let chunk_size = server.session.chunk_size();
    for slice in headers.slices(shared.payload(), chunk_size, 0) {
        wire.extend_from_slice(slice);
    }
    let sent = server.read(&wire);
    assert_eq!(
        control(&sent[0]),
        Some(Control::UserControl(UserControl::PingRequest(3)))
    );
    assert_eq!((sent[1].kind, sent[1].stream), (9, 3));
    assert_eq!(sent[1].payload, [5; 70_000]);
    server.session.close();
    assert_eq!(server.session.media_stream(), None);
    assert_eq!(server.session.stage(), Stage::Closed);
}

#[test]
fn what_is_held_of_the_server_is_told_and_limited() {
    let mut server = Server::ready(ClientMode::Play);
    assert_eq!(server.session.stage(), Stage::Playing);
    assert!(server.session.capabilities().is_some());
    let frame = message(6, 9, 3, 0, &[1; 9000]);
    server.feed(&frame[..5000]);
    assert!(server.session.buffered_bytes() >= 4900);
    server.session.set_partial_limit(6000);
    server.try_feed(&frame[5000..]).expect_err("too much");
    assert_eq!(server.session.buffered_bytes(), 0);
}

#[test]
fn commands_that_cannot_be_read_do_not_end_a_client() {
    // A name that is a number, a transaction id that is text, a status that is cut.
    let status_cut = [string("onStatus"), number(0.0), null(), vec![3, 0, 4]].concat();
    for body in [
        number(1.0),
        [string("onBWDone"), string("x")].concat(),
        status_cut,
    ] {
        let odd = message(3, 20, 0, 0, &body);
        let (mut server, _) = Server::greeted(URL, ClientMode::Play);
        let events = server.feed(&odd.repeat(3));
        assert!(
            matches!(events[..], [ClientEvent::Tolerated(_)]),
            "{events:?}"
        );
        let events = server.feed(&command(0, "_result", 1.0, &[null(), object(&[])]));
        assert!(
            matches!(events[..], [ClientEvent::Connected(_)]),
            "{events:?}"
        );
        server.feed(&command(0, "_result", 4.0, &[null(), number(3.0)]));
        assert_eq!(server.feed(&odd), []);
        assert_eq!(
            server.feed(&status("status", code::PLAY_START)),
            [ClientEvent::Ready]
        );
        assert_eq!(server.feed(&odd), []);
        assert_eq!(server.session.unreadable_messages(), 5);
    }
}

/// FFmpeg as a server writes it there.
#[test]
fn media_on_message_stream_0_is_the_stream() {
    let mut server = Server::ready(ClientMode::Play);
    let events = server.feed(&message(6, 9, 0, 40, b"v"));
    let [ClientEvent::Media(media)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((media.stream, media.timestamp), (3, 40));
}
