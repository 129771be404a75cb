use std::time::Duration;

use openrtmp_protocol::command::code;
use openrtmp_protocol::message::UserControl;
use openrtmp_protocol::session::{RejectReason, ServerEvent, Stage};

use crate::peer::{Peer, Sent, play, user_control};
use crate::wire::{boolean, command, null, number, object, string};

#[test]
fn accepted_with_all_that_players_wait_for() {
    let mut peer = Peer::connected();
    peer.create_stream(1.0);
    let request = peer.play(1, "cam");
    assert!(peer.session.accept(peer.now, request));
    assert_eq!(peer.session.stage(), Stage::Playing);
    assert_eq!(peer.session.poll_timeout(), None);

    let sent = peer.sent();
    assert_eq!(sent[0], user_control(UserControl::StreamBegin(1)));
    let data: Vec<_> = sent
        .iter()
        .filter_map(|sent| match sent {
            Sent::Other(message) => Some((message.kind, message.stream, &message.payload[..])),
            _ => None,
        })
        .collect();
    let access = [string("|RtmpSampleAccess"), boolean(true), boolean(true)].concat();
    assert_eq!(data, [(18, 1, &access[..])]);
    assert_eq!(sent.len(), 4);

    let mut again = Peer::connected();
    let request = again.play(1, "cam");
    again.session.accept(again.now, request);
    let expected = [code::PLAY_RESET, code::PLAY_START];
    let expected = expected.map(|code| (1, "status", code.to_owned()));
    assert_eq!(again.statuses(), expected);
}

#[test]
fn name_and_query_are_told_by_play_and_play2() {
    let mut peer = Peer::connected();
    let play2 = object(&[("streamName", string("cam?k=v")), ("len", number(-1.0))]);
    for bytes in [
        play(1, "cam?k=v"),
        command(1, "play2", 0.0, &[null(), play2]),
    ] {
        let events = peer.feed(&bytes);
        let Some(ServerEvent::Play {
            stream: 1,
            name,
            query,
            ..
        }) = events.last()
        else {
            panic!("{events:?}");
        };
        assert_eq!((name.reveal(), query.reveal()), ("live/cam", "k=v"));
    }
}

#[test]
fn refused_with_the_status_of_the_reason() {
    let text = || "no".to_owned();
    let cases = [
        (RejectReason::Unauthorized(text()), code::PLAY_FAILED),
        (RejectReason::NotFound(text()), code::PLAY_STREAM_NOT_FOUND),
        (
            RejectReason::InvalidApp(text()),
            code::PLAY_STREAM_NOT_FOUND,
        ),
        (RejectReason::Unavailable(text()), code::PLAY_FAILED),
        (RejectReason::BadName(text()), code::PLAY_FAILED),
    ];
    let mut peer = Peer::connected();
    peer.create_stream(1.0);
    for (reason, expected) in cases {
        let request = peer.play(1, "cam");
        assert!(peer.session.reject(peer.now, request, &reason));
        assert_eq!(peer.statuses(), [(1, "error", expected.to_owned())]);
        assert_eq!(peer.session.stage(), Stage::Connected);
    }
}

#[test]
fn ended_by_the_client_in_every_way() {
    let ways = [
        command(0, "deleteStream", 7.0, &[null(), number(1.0)]),
        command(1, "closeStream", 0.0, &[null()]),
        command(1, "play", 0.0, &[null(), boolean(false)]),
    ];
    for way in ways {
        let mut peer = Peer::playing();
        assert_eq!(peer.feed(&way), [ServerEvent::PlayEnd { stream: 1 }]);
        assert_eq!(peer.feed(&way), [], "idempotent");
        assert_eq!(peer.session.stage(), Stage::Connected);
        assert!(
            peer.session.poll_timeout().is_some(),
            "the idle timeout runs"
        );
    }
    let mut peer = Peer::playing();
    let events = peer.feed(&play(1, "other"));
    assert!(
        matches!(
            events[..],
            [ServerEvent::PlayEnd { stream: 1 }, ServerEvent::Play { .. }]
        ),
        "{events:?}"
    );
}

#[test]
fn pause_seek_and_receive_are_answered_and_told() {
    let paused = |paused| [ServerEvent::Pause { stream: 1, paused }];
    let mut peer = Peer::playing();
    for name in ["pause", "pauseRaw"] {
        let pause = |on| command(1, name, 0.0, &[null(), boolean(on), number(1500.0)]);
        assert_eq!(peer.feed(&pause(true)), paused(true));
        assert_eq!(
            peer.statuses(),
            [(1, "status", code::PAUSE_NOTIFY.to_owned())]
        );
        assert_eq!(peer.feed(&pause(false)), paused(false));
        assert_eq!(
            peer.statuses(),
            [(1, "status", code::UNPAUSE_NOTIFY.to_owned())]
        );
    }

    assert_eq!(
        peer.feed(&command(1, "seek", 0.0, &[null(), number(9.0)])),
        []
    );
    assert_eq!(
        peer.statuses(),
        [(1, "status", code::SEEK_NOTIFY.to_owned())]
    );

    let receive = |name, on| command(1, name, 0.0, &[null(), boolean(on)]);
    let events = peer.feed(&receive("receiveAudio", false));
    let expected = ServerEvent::Receive {
        stream: 1,
        audio: Some(false),
        video: None,
    };
    assert_eq!(events, [expected]);
    assert_eq!(peer.sent(), [], "RTMP 1.0, section 7.2.2.4");
    let events = peer.feed(&receive("receiveVideo", true));
    let expected = ServerEvent::Receive {
        stream: 1,
        audio: None,
        video: Some(true),
    };
    assert_eq!(events, [expected]);
    let expected = [code::SEEK_NOTIFY, code::PLAY_START];
    let expected = expected.map(|code| (1, "status", code.to_owned()));
    assert_eq!(peer.statuses(), expected, "section 7.2.2.5");
}

#[test]
fn told_when_the_publisher_comes_and_goes() {
    let mut peer = Peer::playing();
    peer.session.notify_unpublished(1);
    peer.session.notify_published(1);
    let sent = peer.sent();
    assert_eq!(sent[0], user_control(UserControl::StreamEof(1)));
    assert_eq!(sent[2], user_control(UserControl::StreamBegin(1)));

    peer.session.notify_unpublished(1);
    peer.session.notify_published(1);
    let expected = [code::PLAY_UNPUBLISH_NOTIFY, code::PLAY_PUBLISH_NOTIFY];
    let expected = expected.map(|code| (1, "status", code.to_owned()));
    assert_eq!(peer.statuses(), expected);

    peer.session.notify_published(2);
    peer.session.notify_unpublished(0);
    assert_eq!(peer.sent(), [], "nothing plays there");
}

#[test]
fn a_duration_is_told_in_seconds_and_what_is_none_is_everything() {
    let millis = Duration::from_millis;
    for (length, expected) in [
        (number(1.0), Some(millis(1000))),
        (number(0.25), Some(millis(250))),
        (number(-1.0), None),
        (number(0.0), None),
        (number(f64::NAN), None),
        (number(f64::INFINITY), None),
        (string("1"), None),
        (null(), None),
    ] {
        let mut peer = Peer::connected();
        let arguments = [null(), string("cam"), number(-1.0), length.clone()];
        let events = peer.feed(&command(1, "play", 0.0, &arguments));
        let Some(ServerEvent::Play { duration, .. }) = events.last() else {
            panic!("{events:?}");
        };
        assert_eq!(*duration, expected, "{length:?}");
    }
}

#[test]
fn a_player_is_told_that_it_got_what_it_asked_for() {
    let mut peer = Peer::connected();
    let request = peer.play(1, "cam");
    peer.session.accept(peer.now, request);
    peer.statuses();
    peer.session.notify_complete(1);
    let expected = [(1, "status", code::PLAY_STOP.to_owned())];
    assert_eq!(peer.statuses(), expected);
}
