use openrtmp_protocol::command::{Status, code};
use openrtmp_protocol::message::UserControl;
use openrtmp_protocol::session::{
    PublishKind, RejectReason, RequestKind, ServerConfig, ServerEvent, SessionLimit, Stage,
};
use openrtmp_protocol::{Limits, StreamName};

use crate::peer::{Peer, publish, tolerated, user_control};
use crate::wire::{boolean, command, message, null, number, string};

const END: [ServerEvent; 1] = [ServerEvent::PublishEnd { stream: 1 }];

fn video(stream: u32, payload: &[u8]) -> Vec<u8> {
    message(6, 9, stream, 40, payload)
}

#[test]
fn accepted_with_stream_begin_and_publish_start() {
    let mut peer = Peer::connected();
    peer.create_stream(1.0);
    let request = peer.publish(1, "cam");
    assert_eq!(peer.session.stage(), Stage::Connected);
    assert_eq!(peer.sent(), []);

    assert!(peer.session.accept(peer.now, request));
    assert_eq!(peer.session.stage(), Stage::Publishing);
    let sent = peer.sent();
    assert_eq!(sent[0], user_control(UserControl::StreamBegin(1)));
    assert_eq!(sent.len(), 2);

    // As a status, seen again through a double publish, which is idempotent
    // (Wirecast): no event, the same answer.
    assert_eq!(peer.feed(&publish(1, "cam")), []);
    assert_eq!(peer.sent(), sent);
    assert_eq!(peer.feed(&publish(1, "cam")), []);
    assert_eq!(
        peer.statuses(),
        [(1, "status", code::PUBLISH_START.to_owned())]
    );
}

#[test]
fn name_query_and_kind_are_told() {
    let cases = [
        ("live", "cam", "live", "live/cam", "", PublishKind::Live),
        (
            "live",
            "room/cam",
            "live",
            "live/room/cam",
            "",
            PublishKind::Live,
        ),
        (
            "live/room",
            "cam",
            "record",
            "live/room/cam",
            "",
            PublishKind::Record,
        ),
        (
            "live",
            "cam?k=v",
            "append",
            "live/cam",
            "k=v",
            PublishKind::Append,
        ),
        (
            "live?a=1",
            "cam?k=v",
            "odd",
            "live/cam",
            "k=v&a=1",
            PublishKind::Live,
        ),
        // A query with a slash, split there by FFmpeg, GStreamer and rtmpdump.
        (
            "live/cam?token=ab",
            "cd==",
            "live",
            "live/cam",
            "token=ab/cd==",
            PublishKind::Live,
        ),
        (
            "live/cam?id=7&cover=http:",
            "x.png",
            "live",
            "live/cam",
            "id=7&cover=http:/x.png",
            PublishKind::Live,
        ),
        (
            "live?token=ab",
            "cam",
            "live",
            "live/cam",
            "token=ab",
            PublishKind::Live,
        ),
        // Single-segment URL: all in the app, or all in the name.
        ("cam", "", "live", "cam", "", PublishKind::Live),
        ("", "cam", "live", "cam", "", PublishKind::Live),
        ("cam?k=v", "", "live", "cam", "k=v", PublishKind::Live),
    ];
    for (app, name, kind, expected, expected_query, expected_kind) in cases {
        let mut peer = Peer::connected_with(&ServerConfig::default(), &[("app", string(app))]);
        let values = [null(), string(name), string(kind)];
        let events = peer.feed(&command(1, "publish", 5.0, &values));
        let [
            ServerEvent::Publish {
                stream: 1,
                name,
                query,
                kind,
                ..
            },
        ] = &events[..]
        else {
            panic!("{events:?}");
        };
        assert_eq!(name.reveal(), expected);
        assert_eq!(query.reveal(), expected_query);
        assert_eq!(*kind, expected_kind);
    }
}

#[test]
fn no_name_at_all_is_refused() {
    let mut peer = Peer::connected_with(&ServerConfig::default(), &[]);
    let refused = refused("", "", "The stream has no name.");
    assert_eq!(peer.feed(&publish(1, "")), [refused]);
    assert_eq!(
        peer.statuses(),
        [(1, "error", code::PUBLISH_BAD_NAME.to_owned())]
    );
}

#[test]
fn refused_with_the_status_of_the_reason() {
    let text = || "no".to_owned();
    let cases = [
        (
            RejectReason::Unauthorized(text()),
            code::PUBLISH_UNAUTHORIZED,
        ),
        (RejectReason::BadName(text()), code::PUBLISH_BAD_NAME),
        (RejectReason::Unavailable(text()), code::PUBLISH_BAD_NAME),
        (RejectReason::NotFound(text()), code::PUBLISH_BAD_NAME),
        (RejectReason::InvalidApp(text()), code::PUBLISH_BAD_NAME),
    ];
    for (reason, expected) in cases {
        let mut peer = Peer::connected();
        peer.create_stream(1.0);
        let request = peer.publish(1, "cam");
        // Sent before the answer: dropped with it.
        assert_eq!(peer.feed(&video(1, b"v")), []);
        assert!(peer.session.reject(peer.now, request, &reason));
        assert_eq!(peer.statuses(), [(1, "error", expected.to_owned())]);
        assert!(tolerated(&peer.events()));
        assert_eq!(peer.session.stage(), Stage::Connected);
        assert_eq!(peer.session.buffered_bytes(), 0);
    }
}

/// On message stream 0, or one that createStream never gave.
#[test]
fn works_without_create_stream() {
    for stream in [0, 1, 5] {
        let mut peer = Peer::connected();
        let request = peer.publish(stream, "cam");
        peer.session.accept(peer.now, request);
        assert_eq!(
            peer.statuses(),
            [(stream, "status", code::PUBLISH_START.to_owned())]
        );
        let events = peer.feed(&video(stream, b"v"));
        assert!(
            matches!(&events[..], [ServerEvent::Media(media)] if media.stream == stream),
            "{events:?}"
        );
    }
}

#[test]
fn ended_by_the_client_in_every_way() {
    let ways = [
        command(0, "FCUnpublish", 6.0, &[null(), string("cam")]),
        command(0, "FCUnpublish", 6.0, &[null()]),
        command(0, "deleteStream", 7.0, &[null(), number(1.0)]),
        command(1, "deleteStream", 7.0, &[null()]),
        command(1, "closeStream", 0.0, &[null()]),
        command(0, "closeStream", 0.0, &[null()]),
        command(1, "publish", 0.0, &[null(), boolean(false)]),
    ];
    for way in ways {
        let mut peer = Peer::publishing();
        assert_eq!(peer.feed(&way), END);
        let commands = peer.commands();
        let (stream, last) = commands.last().expect("a status");
        let status = Status::from_value(&last.arguments[0]);
        assert_eq!(
            (*stream, status.code.as_str()),
            (1, code::UNPUBLISH_SUCCESS)
        );
        assert_eq!(peer.session.stage(), Stage::Connected);
        assert!(
            peer.session.poll_timeout().is_some(),
            "the idle timeout runs"
        );

        assert_eq!(peer.feed(&way), [], "idempotent");
        assert!(tolerated(&peer.feed(&video(1, b"v"))), "no media any more");
        let request = peer.publish(1, "cam");
        assert!(peer.session.accept(peer.now, request), "and again");
    }
}

/// OBS: FCUnpublish and deleteStream, both.
#[test]
fn ends_once() {
    let mut peer = Peer::publishing();
    let goodbye = [
        command(0, "FCUnpublish", 6.0, &[null(), string("cam")]),
        command(0, "deleteStream", 7.0, &[null(), number(1.0)]),
    ];
    assert_eq!(peer.feed(&goodbye.concat()), END);
}

#[test]
fn a_second_publish_or_play_ends_the_first() {
    let mut peer = Peer::publishing();
    let events = peer.feed(&publish(1, "other"));
    let [
        ServerEvent::PublishEnd { stream: 1 },
        ServerEvent::Publish { .. },
    ] = events[..]
    else {
        panic!("{events:?}");
    };

    let mut peer = Peer::publishing();
    let events = peer.feed(&command(1, "play", 0.0, &[null(), string("cam")]));
    let [
        ServerEvent::PublishEnd { stream: 1 },
        ServerEvent::Play { request, .. },
    ] = events[..]
    else {
        panic!("{events:?}");
    };
    peer.session.accept(peer.now, request);
    assert_eq!(peer.session.stage(), Stage::Playing);
    let events = peer.feed(&publish(1, "cam"));
    assert!(
        matches!(
            events[..],
            [
                ServerEvent::PlayEnd { stream: 1 },
                ServerEvent::Publish { .. }
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn a_request_can_be_withdrawn() {
    let ways = [
        command(0, "deleteStream", 0.0, &[null(), number(1.0)]),
        command(1, "closeStream", 0.0, &[null()]),
        command(0, "FCUnpublish", 0.0, &[null(), string("cam")]),
    ];
    for way in ways {
        let mut peer = Peer::connected();
        peer.create_stream(1.0);
        let request = peer.publish(1, "cam");
        assert_eq!(
            peer.feed(&publish(1, "cam")),
            [],
            "the same again changes nothing"
        );
        assert_eq!(peer.feed(&video(1, b"waits")), []);
        let events = peer.feed(&way);
        assert_eq!(events[0], ServerEvent::Withdrawn { request });
        assert!(tolerated(&events[1..]), "its media is dropped: {events:?}");
        peer.sent();
        assert!(!peer.session.accept(peer.now, request));
        assert_eq!(peer.sent(), []);
        assert_eq!(peer.session.stage(), Stage::Connected);
        assert_eq!(peer.session.buffered_bytes(), 0);
    }
}

#[test]
fn several_message_streams_are_told_apart() {
    let mut peer = Peer::publishing();
    peer.create_stream(2.0);
    let request = peer.publish(2, "screen");
    peer.session.accept(peer.now, request);
    let bytes = [video(1, b"one"), video(2, b"two"), video(3, b"nowhere")].concat();
    let events = peer.feed(&bytes);
    let [
        ServerEvent::Media(one),
        ServerEvent::Media(two),
        ServerEvent::Tolerated(_),
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((one.stream, &one.payload[..]), (1, &b"one"[..]));
    assert_eq!((two.stream, &two.payload[..]), (2, &b"two"[..]));

    let unpublish = command(0, "FCUnpublish", 0.0, &[null(), string("screen")]);
    assert_eq!(
        peer.feed(&unpublish),
        [ServerEvent::PublishEnd { stream: 2 }]
    );
    assert_eq!(peer.session.stage(), Stage::Publishing);
}

#[test]
fn streams_and_requests_have_limits() {
    let mut limits = Limits::default();
    limits.message_streams = 2;
    limits.pending_requests = 1;
    let mut config = ServerConfig::default();
    config.limits = limits;
    let mut peer = Peer::connected_with(&config, &[("app", string("live"))]);
    let request = peer.publish(1, "a");
    let limit = ServerEvent::LimitReached(SessionLimit::PendingRequests);
    let too_many = "Too many streams on this connection.";
    assert_eq!(
        peer.feed(&publish(2, "b")),
        [limit, refused("live/b", "", too_many)]
    );
    assert_eq!(
        peer.statuses(),
        [(2, "error", code::PUBLISH_BAD_NAME.to_owned())]
    );

    peer.session.accept(peer.now, request);
    let request = peer.publish(2, "b");
    peer.session.accept(peer.now, request);
    peer.sent();
    let limit = ServerEvent::LimitReached(SessionLimit::MessageStreams);
    assert_eq!(
        peer.feed(&publish(3, "c")),
        [limit, refused("live/c", "", too_many)]
    );
    assert_eq!(
        peer.statuses(),
        [(3, "error", code::PUBLISH_BAD_NAME.to_owned())]
    );
}

/// A publish that the session refused by itself.
fn refused(name: &str, query: &str, reason: &'static str) -> ServerEvent {
    ServerEvent::Refused {
        kind: RequestKind::Publish,
        name: StreamName::join("", name),
        query: query.to_owned().into(),
        code: code::PUBLISH_BAD_NAME,
        reason,
    }
}

#[test]
fn a_name_beyond_the_limit_is_refused() {
    let mut limits = Limits::default();
    limits.name_bytes = 10;
    let mut config = ServerConfig::default();
    config.limits = limits;
    let mut peer = Peer::connected_with(&config, &[("app", string("live"))]);
    let limit = ServerEvent::LimitReached(SessionLimit::NameBytes);
    assert_eq!(
        peer.feed(&publish(1, "name?token=")),
        [
            limit,
            refused("live/name", "token", "The name is too long.")
        ]
    );
    assert_eq!(
        peer.statuses(),
        [(1, "error", code::PUBLISH_BAD_NAME.to_owned())]
    );
    peer.publish(1, "name?token");
}

#[test]
fn who_does_not_publish_holds_no_more_than_commands_take() {
    let mut limits = Limits::default();
    limits.command_bytes = 2000;
    let mut config = ServerConfig::default();
    config.limits = limits;
    let frame = message(6, 9, 1, 0, &[7; 5000]);
    let mut peer = Peer::connected_with(&config, &[("app", string("live"))]);
    // To announce much is nothing yet.
    peer.try_feed(&frame[..1500]).expect("put up with");
    assert!(peer.session.buffered_bytes() <= 2000);
    let error = peer.try_feed(&frame[1500..]).expect_err("too much");
    assert!(
        error.to_string().contains("hold more than 2000 bytes"),
        "{error}"
    );

    // Once it has asked to publish, and as long as it does.
    let mut peer = Peer::connected_with(&config, &[("app", string("live"))]);
    let request = peer.publish(1, "cam");
    peer.feed(&frame);
    peer.session.accept(peer.now, request);
    assert_eq!(peer.events().len(), 1);
    assert_eq!(peer.feed(&frame).len(), 1);
    peer.feed(&command(1, "closeStream", 0.0, &[null()]));
    peer.try_feed(&frame).expect_err("too much again");
}

#[test]
fn ended_by_the_host() {
    let mut peer = Peer::publishing();
    let status = Status::error(code::PUBLISH_BAD_NAME, "taken over");
    // Media of the stream that was not drained yet goes too.
    let used = peer
        .session
        .handle_input(peer.now, &video(1, b"late"))
        .expect("valid");
    assert!(used > 0);
    peer.session.end_publish(1, &status);
    assert_eq!(
        peer.events(),
        [],
        "neither media nor an end of the client's making"
    );
    assert_eq!(
        peer.statuses(),
        [(1, "error", code::PUBLISH_BAD_NAME.to_owned())]
    );
    assert_eq!(peer.session.stage(), Stage::Connected);
    assert!(tolerated(&peer.feed(&video(1, b"v"))));

    peer.session.end_publish(1, &status);
    peer.session.end_publish(9, &status);
    assert_eq!(peer.sent(), []);
    peer.session.send_status(0, &status);
    assert_eq!(
        peer.statuses(),
        [(0, "error", code::PUBLISH_BAD_NAME.to_owned())]
    );
}
