use proptest::prelude::*;

use super::golden::{self, hex};
use super::*;

const VIDEO: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/golden/ertmp/video.txt"
));
const AUDIO: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/golden/ertmp/audio.txt"
));

#[test]
fn video_headers_of_every_kind_are_read_as_specified() {
    for case in golden::cases(VIDEO) {
        let name = &case.name;
        match VideoTag::parse(&case.bytes) {
            Ok(tag) => {
                let mut lines = vec![format!(
                    "{} {:?} nanos={}",
                    shape(tag.enhanced),
                    tag.frame_type,
                    tag.nanos
                )];
                lines.extend(tag.packets().map(|packet| {
                    let start = format!("track={} {}", packet.track, packet.codec.fourcc());
                    line(&start, packet, &case.bytes)
                }));
                assert_eq!(lines, case.values("expect"), "{name}");
                assert_eq!(tag.packets().next(), Some(tag.first()), "{name}");
            }
            Err(error) => assert_eq!(case.values("error"), [format!("{error:?}")], "{name}"),
        }
    }
}

#[test]
fn audio_headers_of_every_kind_are_read_as_specified() {
    for case in golden::cases(AUDIO) {
        let name = &case.name;
        match AudioTag::parse(&case.bytes) {
            Ok(tag) => {
                let mut lines = vec![format!("{} nanos={}", shape(tag.enhanced), tag.nanos)];
                lines.extend(tag.packets().map(|packet| {
                    let start = format!("track={} {}", packet.track, packet.codec.fourcc());
                    line(&start, packet, &case.bytes)
                }));
                assert_eq!(lines, case.values("expect"), "{name}");
                assert_eq!(tag.packets().next(), tag.first(), "{name}");
            }
            Err(error) => assert_eq!(case.values("error"), [format!("{error:?}")], "{name}"),
        }
    }
}

#[test]
fn video_messages_are_written_as_specified() {
    let mut written = 0;
    for case in golden::cases(VIDEO) {
        if case.flag("written") {
            let tag = VideoTag::parse(&case.bytes).expect("a written case can be read");
            let packet = tag.first();
            let message = write_video(
                packet.codec,
                packet.track,
                tag.frame_type,
                packet.kind,
                packet.composition_time,
                &case.bytes[packet.body.clone()],
            );
            assert_eq!(hex(&message), hex(&case.bytes), "{}", case.name);
            written += 1;
        }
    }
    assert!(written > 15, "{written}");
}

#[test]
fn audio_messages_are_written_as_specified() {
    let mut written = 0;
    for case in golden::cases(AUDIO) {
        if case.flag("written") {
            let tag = AudioTag::parse(&case.bytes).expect("a written case can be read");
            let packet = tag.first().expect("a written case has a packet");
            let body = &case.bytes[packet.body.clone()];
            let message = write_audio(packet.codec, packet.track, packet.kind, body);
            assert_eq!(hex(&message), hex(&case.bytes), "{}", case.name);
            written += 1;
        }
    }
    assert!(written > 10, "{written}");
}

#[test]
fn a_composition_time_beyond_24_bits_is_brought_into_them() {
    let message = write_video(
        VideoCodec::Avc,
        0,
        FrameType::Inter,
        VideoPacketKind::Frame,
        i32::MAX,
        &[],
    );
    assert_eq!(hex(&message), "27017fffff");
}

#[test]
fn a_message_holds_as_many_tracks_as_there_are_ids() {
    // ManyTracks of AV1 frames, each track empty.
    let message = |tracks: usize| {
        let mut message = vec![0x96, 0x11];
        message.extend_from_slice(b"av01");
        for track in 0..tracks {
            message.extend_from_slice(&[track as u8, 0, 0, 0]);
        }
        message
    };
    let tag = VideoTag::parse(&message(256)).expect("256 tracks are allowed");
    let tracks: Vec<u8> = tag.packets().map(|packet| packet.track).collect();
    assert_eq!(tracks, Vec::from_iter(0..=255));
    assert_eq!(
        VideoTag::parse(&message(257)),
        Err(MediaError::TooManyTracks)
    );
}

#[test]
fn an_ordinary_message_allocates_nothing() {
    let video = VideoTag::parse(&[0x17, 1, 0, 0, 0, 9]).expect("a legacy frame");
    assert_eq!(video.packets.rest.capacity(), 0);
    let audio = AudioTag::parse(&[0x91, b'O', b'p', b'u', b's', 9]).expect("an Opus frame");
    assert_eq!(
        audio.packets.map(|packets| packets.rest.capacity()),
        Some(0)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
        bodies_stay_within(&payload);
    }

    #[test]
    fn damaged_messages_are_read_or_refused(payload in golden::damaged(&[VIDEO, AUDIO])) {
        bodies_stay_within(&payload);
    }

    #[test]
    fn what_is_written_reads_back(
        codec in video_codec(),
        track: u8,
        kind in video_kind(),
        time in -0x80_0000..0x80_0000,
        body in proptest::collection::vec(any::<u8>(), 0..32),
    ) {
        let message = write_video(codec, track, FrameType::Key, kind, time, &body);
        let tag = VideoTag::parse(&message).expect("what is written can be read");
        let packet = tag.first();
        let timed = matches!(codec, VideoCodec::Avc | VideoCodec::Hevc | VideoCodec::Vvc);
        prop_assert_eq!((packet.track, packet.kind), (track, kind));
        prop_assert_eq!(packet.codec, codec);
        let frame = timed && kind == VideoPacketKind::Frame;
        prop_assert_eq!(packet.composition_time, if frame { time } else { 0 });
        prop_assert_eq!(&message[packet.body.clone()], &body[..]);
        prop_assert_eq!(tag.packets().count(), 1);
    }
}

fn bodies_stay_within(payload: &[u8]) {
    let video = VideoTag::parse(payload);
    let audio = AudioTag::parse(payload);
    let nanos = [
        video.as_ref().map(|tag| tag.nanos),
        audio.as_ref().map(|tag| tag.nanos),
    ];
    assert!(nanos.into_iter().flatten().all(|nanos| nanos < 1_000_000));
    let bodies = video
        .iter()
        .flat_map(|tag| tag.packets().map(|packet| &packet.body))
        .chain(
            audio
                .iter()
                .flat_map(|tag| tag.packets().map(|packet| &packet.body)),
        );
    for body in bodies {
        assert!(body.start <= body.end && body.end <= payload.len());
    }
}

fn shape(enhanced: bool) -> &'static str {
    if enhanced { "enhanced" } else { "legacy" }
}

fn line<C, K: std::fmt::Debug>(start: &str, packet: &TrackPacket<C, K>, payload: &[u8]) -> String {
    format!(
        "{start} {:?} time={} body={}",
        packet.kind,
        packet.composition_time,
        hex(&payload[packet.body.clone()])
    )
}

fn video_codec() -> impl Strategy<Value = VideoCodec> {
    prop_oneof![
        Just(VideoCodec::Avc),
        Just(VideoCodec::Hevc),
        Just(VideoCodec::Vvc),
        Just(VideoCodec::Av1),
        Just(VideoCodec::Vp8),
        Just(VideoCodec::Vp9),
        Just(VideoCodec::Other(FourCc(*b"apcn"))),
    ]
}

fn video_kind() -> impl Strategy<Value = VideoPacketKind> {
    prop_oneof![
        Just(VideoPacketKind::SequenceStart),
        Just(VideoPacketKind::Frame),
        Just(VideoPacketKind::SequenceEnd),
        Just(VideoPacketKind::Metadata),
        Just(VideoPacketKind::Mpeg2TsSequenceStart),
    ]
}
