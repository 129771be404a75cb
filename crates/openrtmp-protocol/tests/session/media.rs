use openrtmp_protocol::session::{Media, MediaKind, ServerEvent};

use crate::peer::{Peer, tolerated};
use crate::wire::{message, object, string};

fn one_media(events: &[ServerEvent]) -> &Media {
    match events {
        [ServerEvent::Media(media)] => media,
        other => panic!("{other:?}"),
    }
}

#[test]
fn audio_and_video_come_out_as_they_went_in() {
    let mut peer = Peer::publishing();
    let payload: Vec<u8> = (0..1000).map(|n| n as u8).collect();
    for (kind, expected) in [(8, MediaKind::Audio), (9, MediaKind::Video)] {
        let events = peer.feed(&message(6, kind, 1, 12_345, &payload));
        let media = one_media(&events);
        assert_eq!(
            (media.stream, media.kind, media.timestamp),
            (1, expected, 12_345)
        );
        assert_eq!(media.payload, payload);
    }
    // Silence in Enhanced RTMP.
    assert!(
        one_media(&peer.feed(&message(4, 8, 1, 0, &[])))
            .payload
            .is_empty()
    );
}

#[test]
fn one_call_stops_after_the_message_that_made_an_event() {
    let mut peer = Peer::publishing();
    let first = message(6, 9, 1, 0, b"one");
    let bytes = [first.clone(), message(6, 9, 1, 40, b"two")].concat();
    assert_eq!(peer.session.handle_input(peer.now, &bytes), Ok(first.len()));
    assert_eq!(
        peer.session.handle_input(peer.now, &bytes[first.len()..]),
        Ok(0),
        "undrained"
    );
    assert_eq!(peer.events().len(), 1);
    let rest = &bytes[first.len()..];
    assert_eq!(peer.session.handle_input(peer.now, rest), Ok(rest.len()));
}

#[test]
fn set_data_frame_is_removed_in_both_encodings() {
    let name = string("onMetaData");
    let amf0 = [string("@setDataFrame"), name.clone(), object(&[])].concat();
    // AMF3: switch marker, string marker, U29S length 13 << 1 | 1.
    let amf3 = [&b"\x11\x06\x1B@setDataFrame"[..], &name, &object(&[])].concat();
    let plain = [name.clone(), object(&[])].concat();
    let with_format_byte = |body: &[u8]| [&[0][..], body].concat();
    let cases = [
        (18, amf0.clone()),
        (18, plain.clone()),
        (15, with_format_byte(&amf0)),
        (15, with_format_byte(&amf3)),
        (15, amf3),
        (15, plain.clone()),
    ];
    let mut peer = Peer::publishing();
    for (kind, body) in cases {
        let events = peer.feed(&message(5, kind, 1, 0, &body));
        let media = one_media(&events);
        assert_eq!(media.kind, MediaKind::Data);
        assert_eq!(media.payload, plain, "type {kind}");
    }
}

#[test]
fn other_data_passes_with_its_name() {
    let mut peer = Peer::publishing();
    for name in ["@clearDataFrame", "onTextData", "onCuePoint"] {
        let body = [string(name), object(&[])].concat();
        assert_eq!(
            one_media(&peer.feed(&message(5, 18, 1, 0, &body))).payload,
            body
        );
    }
    for empty in [vec![], string("@setDataFrame")] {
        let mut peer = Peer::publishing();
        assert!(tolerated(&peer.feed(&message(5, 18, 1, 0, &empty))));
    }
}

/// One message of an aggregate (section 7.1.6): type, size, time with its high
/// byte last, message stream id, payload, back pointer.
fn part(kind: u8, time: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend(&time.to_be_bytes()[1..]);
    bytes.push((time >> 24) as u8);
    bytes.extend([0, 0, 0]);
    bytes.extend(payload);
    bytes.extend((11 + payload.len() as u32).to_be_bytes());
    bytes
}

#[test]
fn aggregates_are_split_in_order() {
    let metadata = [string("@setDataFrame"), string("onMetaData")].concat();
    let body = [
        part(9, 500, b"video"),
        part(8, 510, b"audio"),
        part(18, 510, &metadata),
        part(99, 520, b"?"),
        part(9, 540, b"more"),
    ]
    .concat();
    let mut peer = Peer::publishing();
    let events = peer.feed(&message(6, 22, 1, 2000, &body));
    let media: Vec<_> = events
        .iter()
        .map(|event| match event {
            ServerEvent::Media(media) => (media.kind, media.timestamp, &media.payload[..]),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        media,
        [
            (MediaKind::Video, 2000, &b"video"[..]),
            (MediaKind::Audio, 2010, b"audio"),
            (MediaKind::Data, 2010, &string("onMetaData")),
            (MediaKind::Video, 2040, b"more"),
        ]
    );

    let events = peer.feed(&message(6, 22, 1, 2000, &body[..30]));
    assert!(matches!(events[0], ServerEvent::Media(_)));
    assert!(tolerated(&events[1..]), "the rest is cut off: {events:?}");
    assert_eq!(peer.feed(&message(6, 22, 1, 0, &[])), []);
}

/// Quirk of some encoders: message stream 0, or one that was not published on.
#[test]
fn a_wrong_message_stream_is_the_single_publish() {
    let mut peer = Peer::publishing();
    peer.create_stream(2.0);
    for stream in [0, 2, 77] {
        assert_eq!(
            one_media(&peer.feed(&message(6, 9, stream, 0, b"v"))).stream,
            1
        );
    }
}

#[test]
fn media_without_a_publish_is_dropped_and_told_once() {
    let mut peer = Peer::connected();
    let video = message(6, 9, 1, 0, b"v");
    let events = peer.feed(&video.repeat(10));
    let expected = "dropped: media on message stream 1, where nothing is published";
    assert_eq!(events, [ServerEvent::Tolerated(expected.into())]);
    assert_eq!(peer.session.dropped_media(), 10);

    let mut peer = Peer::playing();
    assert!(tolerated(&peer.feed(&video.repeat(10))));

    // Once per stretch.
    let mut peer = Peer::publishing();
    peer.create_stream(2.0);
    let request = peer.publish(2, "b");
    peer.session.accept(peer.now, request);
    let lost = message(6, 9, 9, 0, b"v");
    let bytes = [lost.repeat(3), video, lost.repeat(3)].concat();
    let events = peer.feed(&bytes);
    assert!(
        matches!(
            events[..],
            [
                ServerEvent::Tolerated(_),
                ServerEvent::Media(_),
                ServerEvent::Tolerated(_)
            ]
        ),
        "{events:?}"
    );
    assert_eq!(peer.session.dropped_media(), 6);
}

/// Encoders that do not wait for Publish.Start, while the host is still asking
/// a service of its own.
#[test]
fn media_ahead_of_the_answer_is_kept() {
    let mut peer = Peer::connected();
    peer.create_stream(1.0);
    let request = peer.publish(1, "cam");
    let ahead = [
        message(5, 18, 1, 0, &string("onMetaData")),
        message(6, 9, 0, 0, b"header"),
        message(6, 22, 1, 0, &[part(9, 0, b"a"), part(9, 40, b"b")].concat()),
    ];
    assert_eq!(peer.feed(&ahead.concat()), []);
    assert!(peer.session.buffered_bytes() > 0);

    peer.session.accept(peer.now, request);
    let events = peer.events();
    let payloads: Vec<_> = events
        .iter()
        .map(|event| match event {
            ServerEvent::Media(media) => &media.payload[..],
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(payloads, [&string("onMetaData")[..], b"header", b"a", b"b"]);
    assert_eq!(peer.session.buffered_bytes(), 0);
}

/// So that one message cannot become many times its size at once.
#[test]
#[cfg_attr(miri, ignore = "minutes in an interpreter")]
fn a_large_aggregate_of_tiny_messages_becomes_events_one_by_one() {
    let mut peer = Peer::publishing();
    let body = part(8, 0, b"").repeat(50_000);
    let bytes = message(6, 22, 1, 0, &body);
    let used = peer.session.handle_input(peer.now, &bytes).expect("valid");
    assert_eq!(used, bytes.len());
    assert_eq!(peer.events().len(), 50_000);
}
