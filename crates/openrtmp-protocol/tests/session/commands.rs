//! Commands of the connection, and those that do not fit.

use openrtmp_protocol::Limits;
use openrtmp_protocol::amf::{Encoding, Value};
use openrtmp_protocol::command::{Status, code};
use openrtmp_protocol::session::{ServerConfig, ServerEvent, Stage};

use crate::peer::{Peer, Sent, tolerated};
use crate::wire::{self, boolean, command, null, number, string};

#[test]
fn create_stream_counts_from_one_up_to_the_limit() {
    let mut limits = Limits::default();
    limits.message_streams = 2;
    let mut config = ServerConfig::default();
    config.limits = limits;
    let mut peer = Peer::connected_with(&config, &[]);
    peer.create_stream(1.0);
    peer.create_stream(2.0);

    peer.feed(&command(0, "createStream", 6.0, &[null()]));
    let (name, transaction, arguments) = peer.answer();
    assert_eq!((name.as_str(), transaction), ("_error", 6.0));
    assert_eq!(Status::from_value(&arguments[0]).code, code::CALL_FAILED);

    peer.feed(&command(0, "deleteStream", 7.0, &[null(), number(1.0)]));
    peer.create_stream(1.0);
}

#[test]
fn small_commands_are_answered_under_their_transaction() {
    let name = || vec![null(), string("cam")];
    let cases = [
        ("releaseStream", name(), Value::Undefined),
        ("getStreamLength", name(), Value::Number(0.0)),
        ("_checkbw", vec![null()], Value::Undefined),
    ];
    let mut peer = Peer::connected();
    for (command_name, values, expected) in cases {
        assert_eq!(peer.feed(&command(0, command_name, 9.0, &values)), []);
        let (name, transaction, arguments) = peer.answer();
        assert_eq!(
            (name.as_str(), transaction),
            ("_result", 9.0),
            "{command_name}"
        );
        assert_eq!(arguments, [expected], "{command_name}");
    }
    // Without a transaction no answer is wanted.
    assert_eq!(peer.feed(&command(0, "releaseStream", 0.0, &name())), []);
    assert_eq!(peer.sent(), []);
}

/// Livestream Studio and others wait for the notice with their transaction id.
#[test]
fn fc_commands_are_answered_with_result_and_notice() {
    let cases = [
        ("FCPublish", "onFCPublish", code::PUBLISH_START),
        ("FCUnpublish", "onFCUnpublish", code::UNPUBLISH_SUCCESS),
        ("FCSubscribe", "onFCSubscribe", code::PLAY_START),
    ];
    let mut peer = Peer::connected();
    for (name, notice, expected) in cases {
        assert_eq!(
            peer.feed(&command(0, name, 3.0, &[null(), string("cam")])),
            []
        );
        let commands = peer.commands();
        let [(0, result), (0, told)] = &commands[..] else {
            panic!("{commands:?}");
        };
        assert_eq!((result.name.as_str(), result.transaction), ("_result", 3.0));
        assert_eq!((told.name.as_str(), told.transaction), (notice, 3.0));
        assert_eq!(Status::from_value(&told.arguments[0]).code, expected);
    }
}

#[test]
fn unknown_commands_fail_only_if_they_want_an_answer() {
    let mut peer = Peer::connected();
    let events = peer.feed(&command(0, "whoAmI\n", 8.0, &[null()]));
    assert_eq!(
        events,
        [ServerEvent::Tolerated("unknown command whoAmI\\n".into())]
    );
    let (name, transaction, arguments) = peer.answer();
    assert_eq!((name.as_str(), transaction), ("_error", 8.0));
    assert_eq!(Status::from_value(&arguments[0]).code, code::CALL_FAILED);

    assert!(tolerated(&peer.feed(&command(
        0,
        "onSomething",
        0.0,
        &[null()]
    ))));
    assert_eq!(peer.sent(), []);

    // Answers to our own messages are not to be answered.
    for name in ["_result", "_error", "onStatus"] {
        assert_eq!(peer.feed(&command(0, name, 4.0, &[null()])), []);
        assert_eq!(peer.sent(), []);
    }
}

#[test]
fn commands_of_a_player_need_one() {
    let cases: [(&str, Vec<u8>); 5] = [
        ("pause", boolean(true)),
        ("pauseRaw", boolean(true)),
        ("seek", number(5.0)),
        ("receiveAudio", boolean(false)),
        ("receiveVideo", boolean(false)),
    ];
    let mut peer = Peer::publishing();
    for (name, argument) in cases {
        for stream in [1, 7] {
            let values = [null(), argument.clone()];
            assert_eq!(peer.feed(&command(stream, name, 0.0, &values)), []);
            let failed = (stream, "error", code::CALL_FAILED.to_owned());
            assert_eq!(peer.statuses(), [failed], "{name}");

            peer.feed(&command(stream, name, 5.0, &values));
            assert_eq!(peer.answer().0, "_error", "{name}");
        }
    }
    assert_eq!(peer.session.stage(), Stage::Publishing);
}

#[test]
fn answers_use_the_encoding_of_the_request() {
    let mut peer = Peer::connected();
    let body = wire::command_body("createStream", 2.0, &[null()]);
    peer.feed(&wire::message(3, 17, 0, 0, &[vec![0], body].concat()));
    assert!(matches!(
        peer.sent()[..],
        [Sent::Command {
            encoding: Encoding::Amf3,
            ..
        }]
    ));
    // The answer to an AMF3 publish comes as AMF3 even much later.
    let values = [null(), string("cam")];
    let body = wire::command_body("publish", 0.0, &values);
    let events = peer.feed(&wire::message(3, 17, 1, 0, &[vec![0], body].concat()));
    let [ServerEvent::Publish { request, .. }] = events[..] else {
        panic!("{events:?}");
    };
    peer.session.accept(peer.now, request);
    assert!(matches!(
        peer.sent()[..],
        [
            Sent::Control(_),
            Sent::Command {
                stream: 1,
                encoding: Encoding::Amf3,
                ..
            }
        ]
    ));
    peer.feed(&command(0, "createStream", 2.0, &[null()]));
    assert!(matches!(
        peer.sent()[..],
        [Sent::Command {
            encoding: Encoding::Amf0,
            ..
        }]
    ));
}

#[test]
fn any_transaction_id_is_echoed() {
    let mut peer = Peer::connected();
    for transaction in [-1.0, 0.5, 1e300, f64::INFINITY] {
        peer.feed(&command(0, "releaseStream", transaction, &[null()]));
        assert_eq!(peer.answer().1, transaction);
    }
    peer.feed(&command(0, "releaseStream", f64::NAN, &[null()]));
    assert!(peer.answer().1.is_nan());
}
