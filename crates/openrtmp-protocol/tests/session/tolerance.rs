//! Commands that cannot be read, or are none.

use openrtmp_protocol::session::{MediaKind, ServerEvent, SessionError, Stage};

use crate::peer::{Peer, tolerated};
use crate::wire::{boolean, command, command_body, message, null, number, object, string};

/// Values that no command begins with, or that end where they should not.
fn unreadable() -> Vec<Vec<u8>> {
    vec![
        vec![],
        number(1.0),
        [string("publish"), string("cam")].concat(),
        [string("releaseStream"), boolean(true)].concat(),
        string("releaseStream")[..8].to_vec(),
        [string("play"), number(4.0)[..5].to_vec()].concat(),
        command_body("publish", 5.0, &[null(), vec![0xEE]]),
        command_body("deleteStream", 0.0, &[vec![0xEE], number(1.0)]),
        [string("|RtmpSampleAccess"), boolean(true), boolean(true)].concat(),
    ]
}

#[test]
fn a_healthy_stream_outlives_commands_that_cannot_be_read() {
    for body in unreadable() {
        for kind in [20, 17] {
            let mut peer = Peer::publishing();
            let bytes = message(3, kind, 1, 0, &body);
            assert!(tolerated(&peer.feed(&bytes)), "{body:02x?}");
            assert_eq!(peer.feed(&bytes.repeat(99)), [], "told once");
            assert_eq!(peer.session.unreadable_messages(), 100);
            assert_eq!(peer.session.stage(), Stage::Publishing);
            let events = peer.feed(&message(6, 9, 1, 0, b"v"));
            assert!(matches!(events[..], [ServerEvent::Media(_)]));
        }
    }
}

#[test]
fn before_connect_they_end_the_session() {
    for body in unreadable() {
        let mut peer = Peer::greeted();
        let bytes = message(3, 20, 0, 0, &body);
        match peer.try_feed(&bytes) {
            Err(SessionError::Amf(_)) => assert_eq!(peer.session.stage(), Stage::Closed),
            // What is not read is refused: it comes before `connect`.
            other => assert!(
                other.is_ok() && body.len() > string("publish").len() + 9,
                "{body:02x?}: {other:?}"
            ),
        }
    }
}

#[test]
fn what_stands_before_a_fault_counts() {
    // A byte of padding; a kind that is cut short.
    let mut peer = Peer::connected();
    let padded = [
        command_body("releaseStream", 2.0, &[null(), string("cam")]),
        vec![0x2A],
    ]
    .concat();
    assert_eq!(peer.feed(&message(3, 20, 0, 0, &padded)), []);
    assert_eq!(peer.answer().0, "_result");
    let cut = command_body(
        "publish",
        5.0,
        &[null(), string("cam"), vec![2, 0, 4, b'l']],
    );
    let events = peer.feed(&message(3, 20, 1, 0, &cut));
    assert!(
        matches!(events[..], [ServerEvent::Publish { .. }]),
        "{events:?}"
    );
}

#[test]
fn a_limit_still_ends_the_session() {
    let mut peer = Peer::publishing();
    let deep = [0x0A, 0, 0, 0, 1].repeat(40);
    let bytes = command(0, "FCPublish", 3.0, &[deep]);
    assert!(matches!(peer.try_feed(&bytes), Err(SessionError::Amf(_))));
}

/// HaishinKit and others.
#[test]
fn metadata_in_a_command_message_is_metadata() {
    let (set, name) = (string("@setDataFrame"), string("onMetaData"));
    let title = object(&[("title", string("one"))]);
    let plain = [name.clone(), title.clone()].concat();
    for body in [
        [set.clone(), plain.clone()].concat(),
        [string("setDataFrame"), plain.clone()].concat(),
        plain.clone(),
        [set.clone(), number(0.0), null(), plain.clone()].concat(),
        [set.clone(), number(3.0), plain.clone()].concat(),
        [name.clone(), number(0.0), null(), title.clone()].concat(),
    ] {
        for (kind, body) in [
            (20, body.clone()),
            (17, body.clone()),
            (17, [vec![0], body].concat()),
        ] {
            for stream in [0, 1] {
                let mut peer = Peer::publishing();
                let events = peer.feed(&message(3, kind, stream, 7, &body));
                let [ServerEvent::Media(media)] = &events[..] else {
                    panic!("{body:02x?}: {events:?}");
                };
                assert_eq!(
                    (media.stream, media.kind, media.timestamp),
                    (1, MediaKind::Data, 7)
                );
                assert_eq!(media.payload, plain, "{body:02x?}");
            }
        }
    }
}

#[test]
fn unknown_commands_are_told_a_few_times() {
    let mut peer = Peer::connected();
    let events = peer.feed(&command(0, "flood", 0.0, &[null()]).repeat(1000));
    assert!(events.len() < 10, "{}", events.len());
    let escape = peer.session.unreadable_messages();
    assert_eq!(escape, 0, "they were read");
}

#[test]
fn bodies_that_nobody_reads_are_not_decoded() {
    // Nested too deep for any limit.
    let deep = [0x0A, 0, 0, 0, 1].repeat(1000);
    for name in ["_result", "_error", "onStatus", "createStream", "whatever"] {
        let mut peer = Peer::publishing();
        peer.session.take_work();
        peer.feed(&command(0, name, 0.0, std::slice::from_ref(&deep)));
        assert_eq!(peer.session.stage(), Stage::Publishing, "{name}");
        let work = peer.session.take_work();
        assert!(work < 5000, "{name}: {work}");
    }
}
