use openrtmp_protocol::Limits;
use openrtmp_protocol::amf::{Encoding, Value};
use openrtmp_protocol::command::{Status, code};
use openrtmp_protocol::message::Control;
use openrtmp_protocol::session::{
    RejectReason, RequestKind, ServerConfig, ServerEvent, SessionError, SessionLimit, Stage,
};

use crate::peer::{Peer, Sent, publish};
use crate::wire::{self, boolean, null, number, object, string};

#[test]
fn accepted_with_window_bandwidth_chunk_size_and_result() {
    let mut peer = Peer::greeted();
    let (request, _) = peer.connect(&[("app", string("live"))]);
    assert_eq!(peer.session.stage(), Stage::Connect);
    assert_eq!(peer.sent(), [], "nothing before the decision");

    assert!(peer.session.accept(peer.now, request));
    assert_eq!(peer.session.stage(), Stage::Connected);
    let sent = peer.sent();
    assert_eq!(
        sent[..3],
        [
            Sent::Control(Control::WindowAckSize(2_500_000)),
            Sent::Control(Control::SetPeerBandwidth(2_500_000, 2)),
            Sent::Control(Control::SetChunkSize(60_000)),
        ]
    );
    assert_eq!(peer.session.chunk_size(), 60_000);
    let [
        Sent::Command {
            stream: 0,
            encoding: Encoding::Amf0,
            command,
        },
    ] = &sent[3..]
    else {
        panic!("{sent:?}");
    };
    assert_eq!(
        (command.name.as_str(), command.transaction),
        ("_result", 1.0)
    );
    let properties = command.object.as_object().expect("properties");
    assert!(properties.get("fmsVer").is_some());
    assert!(properties.get("capabilities").is_some());
    assert!(properties.get("mode").is_some());
    assert_eq!(properties.get("capsEx"), Some(&Value::Number(15.0)));
    for map in ["videoFourCcInfoMap", "audioFourCcInfoMap"] {
        let map = properties
            .get(map)
            .and_then(Value::as_object)
            .expect("a map");
        assert_eq!(map.get("*"), Some(&Value::Number(4.0)), "forwards anything");
    }
    let information = command.arguments[0].as_object().expect("information");
    assert_eq!(information.get("objectEncoding"), Some(&Value::Number(0.0)));
    let status = Status::from_value(&command.arguments[0]);
    assert_eq!(
        (status.level.as_str(), status.code.as_str()),
        ("status", code::CONNECT_SUCCESS)
    );

    assert!(!peer.session.accept(peer.now, request), "answered once");
    assert!(
        !peer
            .session
            .reject(peer.now, request, &RejectReason::NotFound(String::new()))
    );
    assert_eq!(peer.sent(), []);
}

#[test]
fn a_refusal_may_lead_elsewhere() {
    let reason = RejectReason::Moved {
        text: "not here".to_owned(),
        to: "rtmp://b/live".to_owned(),
    };
    assert_eq!(reason.code(RequestKind::Publish), code::PUBLISH_BAD_NAME);
    assert_eq!(reason.code(RequestKind::Play), code::PLAY_FAILED);
    let mut peer = Peer::greeted();
    let (request, _) = peer.connect(&[]);
    assert!(peer.session.reject(peer.now, request, &reason));
    let (name, _, arguments) = peer.answer();
    assert_eq!(name, "_error");
    let status = Status::from_value(&arguments[0]);
    assert_eq!(status, Status::error(code::CONNECT_REJECTED, "not here"));
    let information = arguments[0].as_object().expect("information");
    let ex = information.get("ex").and_then(Value::as_object);
    let ex = ex.expect("it leads elsewhere");
    assert_eq!(ex.get("code").and_then(Value::as_f64), Some(302.0));
    assert_eq!(
        ex.get("redirect").and_then(Value::as_str),
        Some("rtmp://b/live")
    );
    assert_eq!(peer.session.stage(), Stage::Closed);
}

/// App and tcUrl as odd clients write them: quotes, queries, slashes, `tcurl`,
/// no app at all.
#[test]
fn app_and_query_are_found_wherever_clients_put_them() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [Case<'_>; 9] = [
        (&[("app", "live"), ("tcUrl", "rtmp://h/live")], "live", ""),
        (
            &[("app", "/live/room/"), ("tcUrl", "rtmp://h/live/room")],
            "live/room",
            "",
        ),
        (
            &[("app", "\"live\""), ("tcUrl", "\"rtmp://h/live\"")],
            "live",
            "",
        ),
        (
            &[("app", "live?token=a"), ("tcUrl", "rtmp://h/live?token=a")],
            "live",
            "token=a",
        ),
        (
            &[("app", "live?a=1"), ("tcUrl", "rtmp://h/live?b=2")],
            "live",
            "a=1&b=2",
        ),
        (
            &[("app", "live"), ("tcurl", "rtmp://h/live?b=2")],
            "live",
            "b=2",
        ),
        (&[("app", ""), ("tcUrl", "rtmp://h/")], "", ""),
        (
            &[("tcUrl", "rtmp://h:1935/live/room?k=v")],
            "live/room",
            "k=v",
        ),
        (&[], "", ""),
    ];
    for (members, app, query) in cases {
        let members: Vec<_> = members
            .iter()
            .map(|(name, text)| (*name, string(text)))
            .collect();
        let (_, connect) = Peer::greeted().connect(&members);
        assert_eq!(
            (connect.app.as_str(), connect.query.reveal()),
            (app, query),
            "{members:?}"
        );
    }
    let (_, connect) = Peer::greeted().connect(&[("tcUrl", string("'rtmp://h/live'"))]);
    assert_eq!(connect.tc_url.reveal(), "rtmp://h/live");
}

/// OBS sends fourCcList as a strict array (AMF0 section 2.12).
#[test]
fn capabilities_and_flash_version_are_told() {
    let list = [&[0x0A, 0, 0, 0, 2][..], &string("av01"), &string("hvc1")].concat();
    let mut peer = Peer::greeted();
    assert_eq!(peer.session.capabilities(), None);
    let (_, connect) = peer.connect(&[
        ("app", string("live")),
        ("flashVer", string("FMLE/3.0")),
        ("fourCcList", list),
        ("capsEx", number(3.0)),
        ("videoFourCcInfoMap", object(&[("*", number(4.0))])),
        ("extra", boolean(true)),
    ]);
    assert_eq!(connect.flash_version, "FMLE/3.0");
    assert_eq!(connect.capabilities.caps_ex, 3);
    assert_eq!(connect.capabilities.four_cc_list, ["av01", "hvc1"]);
    assert_eq!(connect.capabilities.video, [("*".to_owned(), 4)]);
    assert_eq!(connect.object.get("extra"), Some(&Value::Boolean(true)));
    assert_eq!(peer.session.capabilities(), Some(&connect.capabilities));
}

/// Blackmagic Web Presenter and Flash: message type 17, objectEncoding 3.
#[test]
fn amf3_command_is_answered_in_amf3_with_its_object_encoding() {
    // Format byte; name and transaction as AMF0; the object behind marker 0x11
    // as AMF3: anonymous dynamic object (0A 0B 01), keys as U29S strings.
    let mut body = vec![0x00];
    body.extend(string("connect"));
    body.extend(number(1.0));
    body.extend(b"\x11\x0A\x0B\x01\x07app\x06\x09live\x1DobjectEncoding\x04\x03\x01");
    for format_byte in [true, false] {
        let body = if format_byte { &body[..] } else { &body[1..] };
        let mut peer = Peer::greeted();
        let events = peer.feed(&wire::message(3, 17, 0, 0, body));
        let [ServerEvent::Connect { request, connect }] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(connect.app, "live");
        peer.session.accept(peer.now, *request);
        let sent = peer.sent();
        let Some(Sent::Command {
            encoding: Encoding::Amf3,
            command,
            ..
        }) = sent.last()
        else {
            panic!("{sent:?}");
        };
        let information = command.arguments[0].as_object().expect("information");
        let object_encoding = information.get("objectEncoding").and_then(Value::as_f64);
        assert_eq!(object_encoding, Some(3.0));
    }
}

#[test]
fn refused_with_the_status_of_the_reason() {
    let text = || "no".to_owned();
    let cases = [
        (RejectReason::Unauthorized(text()), code::CONNECT_REJECTED),
        (RejectReason::Unavailable(text()), code::CONNECT_REJECTED),
        (RejectReason::BadName(text()), code::CONNECT_REJECTED),
        (RejectReason::InvalidApp(text()), code::CONNECT_INVALID_APP),
        (RejectReason::NotFound(text()), code::CONNECT_INVALID_APP),
    ];
    for (reason, expected) in cases {
        let mut peer = Peer::greeted();
        let (request, _) = peer.connect(&[]);
        assert!(peer.session.reject(peer.now, request, &reason));
        let (name, transaction, arguments) = peer.answer();
        assert_eq!((name.as_str(), transaction), ("_error", 1.0));
        let status = Status::from_value(&arguments[0]);
        assert_eq!(status, Status::error(expected, "no"));

        assert_eq!(peer.session.stage(), Stage::Closed);
        assert_eq!(peer.session.poll_timeout(), None);
        assert_eq!(
            peer.feed(&wire::command(0, "createStream", 2.0, &[null()])),
            []
        );
        assert_eq!(peer.sent(), [], "over");
    }
}

/// rtmp clients pipeline connect, createStream and more.
#[test]
fn what_comes_behind_waits_for_the_answer_in_order() {
    let mut peer = Peer::greeted();
    let bytes = [
        wire::connect(&[("app", string("live"))]),
        wire::command(0, "createStream", 2.0, &[null()]),
        wire::command(0, "createStream", 3.0, &[null()]),
        publish(1, "cam"),
        wire::message(6, 9, 1, 0, b"header"),
    ]
    .concat();
    let events = peer.feed(&bytes);
    let [ServerEvent::Connect { request, .. }] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(peer.sent(), []);
    assert!(peer.session.buffered_bytes() > 0);

    peer.session.accept(peer.now, request);
    let commands = peer.commands();
    let transactions: Vec<_> = commands.iter().map(|(_, c)| c.transaction).collect();
    assert_eq!(transactions, [1.0, 2.0, 3.0]);
    let events = peer.events();
    let [
        ServerEvent::Publish {
            request, stream: 1, ..
        },
    ] = events[..]
    else {
        panic!("{events:?}");
    };

    peer.session.accept(peer.now, request);
    let events = peer.events();
    let [ServerEvent::Media(media)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(&media.payload[..], b"header");
    assert_eq!(peer.session.buffered_bytes(), 0);
}

#[test]
fn what_waits_is_bounded() {
    let mut limits = Limits::default();
    limits.pending_requests = 3;
    limits.partial_bytes = 20_000;
    let mut config = ServerConfig::default();
    config.limits = limits;

    let mut peer = Peer::greeted_with(&config);
    peer.connect(&[]);
    let create = wire::command(0, "createStream", 2.0, &[null()]);
    assert_eq!(peer.feed(&create.repeat(3)), []);
    let error = peer.try_feed(&create).expect_err("one too many");
    assert!(
        matches!(error, SessionError::Limit { limit: 3, .. }),
        "{error:?}"
    );
    assert_eq!(peer.session.buffered_bytes(), 0, "all is released");

    // Media is dropped instead: the commands still count.
    let mut peer = Peer::greeted_with(&config);
    let (request, _) = peer.connect(&[]);
    let events = peer.feed(&wire::message(6, 9, 1, 0, &[0; 1000]).repeat(100));
    let limit = ServerEvent::LimitReached(SessionLimit::PartialBytes);
    assert!(
        matches!(&events[..], [ServerEvent::Tolerated(_), last] if *last == limit),
        "{events:?}"
    );
    assert!(peer.session.buffered_bytes() <= 20_000);
    assert!(peer.session.dropped_media() > 70);
    assert!(peer.session.accept(peer.now, request));
    assert_eq!(peer.session.buffered_bytes(), 0);
}

#[test]
fn a_second_connect_and_commands_before_the_first_are_refused() {
    let mut peer = Peer::greeted();
    assert_eq!(
        peer.feed(&wire::command(0, "createStream", 2.0, &[null()])),
        []
    );
    let (name, transaction, arguments) = peer.answer();
    assert_eq!((name.as_str(), transaction), ("_error", 2.0));
    assert_eq!(Status::from_value(&arguments[0]).code, code::CALL_FAILED);

    let mut peer = Peer::connected();
    let events = peer.feed(&wire::connect(&[("app", string("other"))]));
    let [
        ServerEvent::Refused {
            kind: RequestKind::Connect,
            reason: "comes twice",
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    let (name, transaction, _) = peer.answer();
    assert_eq!((name.as_str(), transaction), ("_error", 1.0));
    assert_eq!(peer.session.stage(), Stage::Connected);
}

#[test]
fn a_connect_that_is_no_amf_ends_the_session() {
    let mut peer = Peer::greeted();
    let body = [string("connect"), number(1.0), [0x03].repeat(10_000)].concat();
    let error = peer
        .try_feed(&wire::message(3, 20, 0, 0, &body))
        .expect_err("garbage");
    assert!(matches!(error, SessionError::Amf(_)), "{error:?}");
    assert_eq!(peer.session.stage(), Stage::Closed);
}

#[test]
fn reconnect_is_asked_only_of_clients_that_can() {
    let mut peer = Peer::connected();
    assert!(!peer.session.request_reconnect(None, "restart"));
    assert_eq!(peer.sent(), []);

    let config = ServerConfig::default();
    let mut peer = Peer::connected_with(&config, &[("capsEx", number(1.0))]);
    assert!(
        peer.session
            .request_reconnect(Some("rtmp://other/live"), "restart")
    );
    let (name, transaction, arguments) = peer.answer();
    assert_eq!((name.as_str(), transaction), ("onStatus", 0.0));
    let status = Status::from_value(&arguments[0]);
    assert_eq!(
        status,
        Status::status(code::CONNECT_RECONNECT_REQUEST, "restart")
    );
    let object = arguments[0].as_object().expect("an object");
    assert_eq!(object.get("tcUrl"), Some(&"rtmp://other/live".into()));

    assert!(peer.session.request_reconnect(None, "restart"));
    let (_, _, arguments) = peer.answer();
    assert_eq!(
        arguments[0].as_object().expect("an object").get("tcUrl"),
        None
    );
}
