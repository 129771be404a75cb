use openrtmp_protocol::session::{Media, MediaKind, ServerEvent};

use crate::peer::{Peer, tolerated};
use crate::wire::{boolean, message, null, number, object, string};

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
fn a_large_aggregate_of_tiny_messages_becomes_events_as_its_bytes_are_used() {
    let mut peer = Peer::publishing();
    let body = part(8, 0, b"").repeat(50_000);
    let bytes = message(6, 22, 1, 0, &body);
    let mut rest = &bytes[..];
    let mut events = 0;
    while !rest.is_empty() {
        let used = peer.session.handle_input(peer.now, rest).expect("valid");
        assert!(used <= 40, "{used} bytes for one part");
        rest = &rest[used..];
        events += peer.events().len();
        assert!(peer.session.buffered_bytes() < 4096);
    }
    assert_eq!(events, 50_000);
}

/// A part whose bytes lie behind half a megabyte of no use.
#[test]
fn a_part_of_an_aggregate_does_not_keep_the_rest() {
    let mut peer = Peer::publishing();
    let data = [string("@setDataFrame"), string("x")].concat();
    let body = [part(99, 0, &[1; 500_000]), part(18, 0, &data)].concat();
    let events = peer.feed(&message(6, 22, 1, 0, &body));
    let media = one_media(&events);
    assert_eq!(media.payload, string("x"));
    assert!(media.payload.held_bytes() <= 16 + data.len());
}

/// What players of AMF0 can read, whatever the publisher wrote.
#[test]
fn data_goes_on_in_amf0_or_not_at_all() {
    let name = string("onMetaData");
    let title = object(&[("title", string("one"))]);
    let amf3_string = |text: &str| {
        let header = (text.len() * 2 + 1) as u8;
        [&[0x11, 0x06, header], text.as_bytes()].concat()
    };
    // {title: "one"} and [-1, <00 01>] in AMF3.
    let amf3_title = b"\x11\x0A\x0B\x01\x0Btitle\x06\x07one\x01".to_vec();
    let amf3_array = b"\x11\x09\x05\x01\x04\xFF\xFF\xFF\xFF\x0C\x05\x00\x01".to_vec();
    let amf0_array = [&[0x0A, 0, 0, 0, 2][..], &number(-1.0), &[0x06]].concat();
    let long = [&[0x0C, 0, 0, 0, 10], &b"onMetaData"[..]].concat();
    let set = string("@setDataFrame");
    let plain = [name.clone(), title.clone()].concat();
    for (body, expected) in [
        // An AMF3 object behind an AMF0 name, and all of it in AMF3.
        ([name.clone(), amf3_title.clone()].concat(), plain.clone()),
        (
            [
                amf3_string("@setDataFrame"),
                amf3_string("onMetaData"),
                amf3_title.clone(),
            ]
            .concat(),
            plain.clone(),
        ),
        // Spellings of the name.
        (
            [string("setDataFrame"), plain.clone()].concat(),
            plain.clone(),
        ),
        (
            [set.clone(), long.clone(), title.clone()].concat(),
            plain.clone(),
        ),
        (
            [string("onCuePoint"), amf3_array].concat(),
            [string("onCuePoint"), amf0_array].concat(),
        ),
        // A byte that looks like the switch, and a fault behind what is read.
        (
            [string("onTime"), number(f64::from_bits(0x11))].concat(),
            [string("onTime"), number(f64::from_bits(0x11))].concat(),
        ),
        (
            [plain.clone(), amf3_title.clone(), vec![0x11, 0xEE]].concat(),
            [plain.clone(), title.clone()].concat(),
        ),
    ] {
        for (kind, body) in [
            (18, body.clone()),
            (15, body.clone()),
            (15, [vec![0], body].concat()),
        ] {
            let mut peer = Peer::publishing();
            let events = peer.feed(&message(5, kind, 1, 40, &body));
            assert_eq!(one_media(&events).payload, expected, "{kind} {body:02x?}");
        }
    }
    for body in [
        vec![],
        title.clone(),
        [set.clone(), title.clone()].concat(),
        [number(1.0), string("x")].concat(),
        [vec![0x05], name.clone()].concat(),
        vec![0x02, 0, 64, b'o', b'n'],
        (200..250).collect(),
        [name, vec![0x11, 0xEE]].concat(),
        amf3_title,
    ] {
        let mut peer = Peer::publishing();
        assert!(
            tolerated(&peer.feed(&message(5, 18, 1, 0, &body))),
            "{body:02x?}"
        );
        assert_eq!(peer.session.dropped_media(), 1);
    }
}

#[test]
fn metadata_of_a_file_does_not_make_the_stream_a_file() {
    let mut peer = Peer::publishing();
    let of_file = [
        ("duration", number(60.0)),
        ("width", number(640.0)),
        ("filesize", number(1e6)),
        ("keyframes", object(&[("times", null())])),
        ("encoder", string("Lavf")),
        ("hasKeyframes", boolean(true)),
    ];
    let of_stream = [("width", number(640.0)), ("encoder", string("Lavf"))];
    let metadata = |members: &[_]| [string("onMetaData"), object(members)].concat();
    for prefix in [&[][..], &string("@setDataFrame")] {
        let sent = [prefix, &metadata(&of_file)].concat();
        let events = peer.feed(&message(4, 18, 1, 0, &sent));
        assert_eq!(one_media(&events).payload[..], metadata(&of_stream)[..]);
    }
    // What says nothing of a file, or cannot be read to its end, is as it was.
    let cut = metadata(&of_file);
    let cut = &cut[..cut.len() - 5];
    for sent in [&metadata(&of_stream)[..], cut] {
        let events = peer.feed(&message(4, 18, 1, 0, sent));
        assert_eq!(&one_media(&events).payload[..], sent);
    }
    // Another message of such a name is no metadata.
    let other = [string("onCuePoint"), object(&of_file)].concat();
    let events = peer.feed(&message(4, 18, 1, 0, &other));
    assert_eq!(one_media(&events).payload[..], other[..]);
}

#[test]
fn a_file_s_word_to_its_players_is_not_passed_on() {
    let mut peer = Peer::publishing();
    let access = [string("|RtmpSampleAccess"), boolean(true), boolean(true)].concat();
    assert_eq!(peer.feed(&message(4, 18, 1, 0, &access)), []);
    let events = peer.feed(&message(4, 18, 1, 0, &string("onTextData")));
    assert_eq!(one_media(&events).kind, MediaKind::Data);
}
