//! What real encoders send: tracks that are silent or have odd numbers, tags that lie,
//! messages without pictures, clocks of their own; and who can make what of it.

use bytes::Bytes;
use openrtmp_protocol::command::code;
use openrtmp_protocol::media::{
    AudioCodec, AudioPacketKind, FrameType, VideoCodec, VideoPacketKind, write_audio, write_video,
};
use openrtmp_protocol::session::Capabilities;
use openrtmp_protocol::session::MediaKind::{self, Audio, Video};

use super::media::{self, Piece, frames};
use super::recording::{finished, pieces, recording};
use super::tap_options::drain;
use super::world::{Who, World, ms};
use crate::stream::frame::{Frame, FrameContent};
use crate::tap::{Tap, TapEvent};

/// Payloads of the frames of a kind that somebody got.
fn payloads(pieces: &[Piece], kind: MediaKind) -> Vec<Bytes> {
    let of_kind = frames(pieces).into_iter().filter(|p| p.kind == kind);
    of_kind.map(|p| p.payload.clone()).collect()
}

fn of_kind(pieces: &[Piece], kind: MediaKind) -> Vec<Bytes> {
    let of_kind = pieces.iter().filter(|p| p.kind == kind);
    of_kind.map(|p| p.payload.clone()).collect()
}

fn frames_of(tap: &mut Tap, kind: MediaKind) -> Vec<Frame> {
    let frames = drain(tap).into_iter().filter_map(|event| match event {
        TapEvent::Frame(frame) => Some(frame),
        _ => None,
    });
    let is_frame = |f: &Frame| matches!(f.content, FrameContent::Key | FrameContent::Inter);
    frames.filter(|f| f.kind == kind && is_frame(f)).collect()
}

/// Audio alone, of these numbers, in real time.
fn audio_only(w: &mut World, who: Who, numbers: std::ops::Range<u32>) {
    for n in numbers {
        w.send(who, Audio, n * 40 + 5, media::audio(n));
        w.run(ms(40));
    }
}

#[test]
fn video_that_was_announced_and_does_not_come_keeps_nothing_back() {
    for workers in 1..=2 {
        let mut setup = recording(|_| {});
        setup.config.workers = workers;
        let mut w = setup.build();
        let publisher = w.live("live/cam");
        audio_only(&mut w, publisher, 0..50);
        let late = w.player("live/cam");
        let mut tap = w.server.tap("live/cam");
        w.run(ms(10));
        audio_only(&mut w, publisher, 50..75);
        w.run(ms(50));
        let heard: Vec<Bytes> = (50..75).map(media::audio).collect();
        assert_eq!(payloads(&w[late].media, Audio), heard);
        assert_eq!(frames_of(&mut tap, Audio).len(), 25);
        // It joins at its first key frame.
        w.stream(publisher, 75..95);
        w.run(ms(50));
        let seen: Vec<Bytes> = (80..95)
            .map(|n| media::video(n == 80 || n == 90, n, 1000))
            .collect();
        assert_eq!(payloads(&w[late].media, Video), seen);
        assert_eq!(payloads(&w[late].media, Audio).len(), 45);
        drop(tap);
        w.leave(publisher);
        w.run(ms(100));
        let file = pieces(&w, "/rec/live/cam.flv");
        assert_eq!(payloads(&file, Audio).len(), 95);
        w.end();
    }
}

#[test]
fn video_that_stopped_or_has_no_key_frame_in_the_cache_keeps_nothing_back() {
    // The cache lets go of a GOP of more than a second.
    for goes_on in [false, true] {
        let mut w = World::with(2, |c| c.gop.max_duration = ms(1000));
        let publisher = w.live("live/cam");
        w.stream(publisher, 0..5);
        for n in 5..50 {
            if goes_on {
                w.send(publisher, Video, n * 40, media::video(false, n, 100));
            }
            audio_only(&mut w, publisher, n..n + 1);
        }
        let late = w.player("live/cam");
        let mut tap = w.server.tap("live/cam");
        w.run(ms(10));
        audio_only(&mut w, publisher, 50..75);
        w.run(ms(50));
        assert_eq!(payloads(&w[late].media, Audio).len(), 25);
        assert_eq!(payloads(&w[late].media, Video).len(), 0);
        assert_eq!(frames_of(&mut tap, Audio).len(), 25);
        drop(tap);
        w.end();
    }
}

/// An AVC body of one unit that names its frame.
fn avc(key: bool, number: u32) -> Bytes {
    media::video(key, number, 100).slice(5..)
}

fn avc_config() -> Bytes {
    media::video_header(0).slice(5..)
}

/// A message of the given tracks, in the layout of many tracks with one codec.
fn many_tracks(first: [u8; 2], bodies: &[(u8, &[u8])]) -> Bytes {
    let mut bytes = first.to_vec();
    bytes.extend(b"avc1");
    for (track, body) in bodies {
        bytes.push(*track);
        bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(body);
    }
    bytes.into()
}

fn one_track(track: u8, key: bool, kind: VideoPacketKind, body: &[u8]) -> Bytes {
    let frame_type = if key {
        FrameType::Key
    } else {
        FrameType::Inter
    };
    write_video(VideoCodec::Avc, track, frame_type, kind, 0, body)
}

#[test]
fn a_video_track_of_any_number_leads() {
    for tracks in [&[1][..], &[255], &[7, 3], &[64, 128]] {
        let mut w = recording(|_| {}).build();
        let publisher = w.publisher("live/cam");
        for &track in tracks {
            let header = one_track(track, true, VideoPacketKind::SequenceStart, &avc_config());
            w.send(publisher, Video, 0, header);
        }
        for n in 0..25 {
            for &track in tracks {
                let key = n % 10 == 0;
                let frame = one_track(track, key, VideoPacketKind::Frame, &avc(key, n));
                w.send(publisher, Video, n * 40, frame);
            }
            w.run(ms(40));
        }
        let late = w.player("live/cam");
        let plain = w.plain_player("live/cam");
        let mut tap = w.server.tap("live/cam");
        w.run(ms(50));
        let got = of_kind(&w[late].media, Video);
        // Each header, then five frames of each track from the newest key frame on.
        assert_eq!(got.len(), 6 * tracks.len(), "{tracks:?}");
        let frames = frames_of(&mut tap, Video);
        assert_eq!(frames.len(), 5 * tracks.len());
        assert_eq!(frames[0].track, tracks[0]);
        assert_eq!(frames[0].content, FrameContent::Key);
        let got = of_kind(&w[plain].media, Video);
        let expected = [media::video_header(0)]
            .into_iter()
            .chain((20..25).map(|n| media::video(n == 20, n, 100)));
        assert_eq!(got, expected.collect::<Vec<_>>(), "{tracks:?}");
        drop(tap);
        w.leave(publisher);
        w.run(ms(100));
        assert_eq!(finished(&w).len(), 1);
        let file = pieces(&w, "/rec/live/cam.flv");
        assert_eq!(of_kind(&file, Video).len(), 26 * tracks.len());
        w.end();
    }
}

#[test]
fn of_many_tracks_in_one_message_the_default_one_decides_wherever_it_stands() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut w = World::new(2);
        let publisher = w.publisher("live/cam");
        let config = avc_config();
        let configs = order.map(|track| (track, &config[..]));
        // SequenceStart, then CodedFramesX, with the layout of many tracks.
        w.send(publisher, Video, 0, many_tracks([0x96, 0x10], &configs));
        for n in 0..25 {
            // The others have key frames of their own.
            let bodies = order.map(|track| (track, avc((n + u32::from(track)) % 10 == 0, n)));
            let bodies = [0, 1, 2].map(|at: usize| (bodies[at].0, &bodies[at].1[..]));
            let tag = if n % 10 == 0 { 0x96 } else { 0xA6 };
            w.send(publisher, Video, n * 40, many_tracks([tag, 0x13], &bodies));
            w.run(ms(40));
        }
        let late = w.player("live/cam");
        let plain = w.plain_player("live/cam");
        w.run(ms(50));
        assert_eq!(of_kind(&w[late].media, Video).len(), 1 + 5);
        let expected = [media::video_header(0)]
            .into_iter()
            .chain((20..25).map(|n| media::video(n == 20, n, 100)));
        let got = of_kind(&w[plain].media, Video);
        assert_eq!(got, expected.collect::<Vec<_>>(), "{order:?}");
        w.end();
    }
}

#[test]
fn a_header_for_several_tracks_stands_for_those_of_each() {
    let mut w = World::new(1);
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..1);
    let kind = VideoPacketKind::SequenceStart;
    let mut other = avc_config().to_vec();
    other[3] = 40;
    let alone = |track| one_track(track, true, kind, &avc_config());
    let (first, second) = (alone(1), alone(2));
    let both = many_tracks([0x96, 0x10], &[(2, &other), (1, &other)]);
    for header in [&first, &second, &both, &first] {
        w.send(publisher, Video, 0, header.clone());
    }
    w.run(ms(20));
    let late = w.player("live/cam");
    w.run(ms(20));
    let got = of_kind(&w[late].media, Video);
    assert_eq!(got, [media::video_header(0), both, first]);
    w.end();
}

/// A default track as ever, and a second of each kind by Enhanced RTMP's multitrack, as
/// OBS writes them.
pub(super) fn two_of_each(w: &mut World, publisher: Who, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let key = n % 10 == 0;
        w[publisher].frame(n, 100);
        let second = one_track(1, key, VideoPacketKind::Frame, &avc(key, n));
        w.send(publisher, Video, n * 40, second);
        let kind = AudioPacketKind::Frame;
        let second = write_audio(AudioCodec::Aac, 1, kind, &media::audio(n)[2..]);
        w.send(publisher, Audio, n * 40 + 5, second);
        w.run(ms(40));
    }
}

#[test]
fn who_announces_no_multitrack_gets_the_default_tracks_alone() {
    for (workers, asks, set) in [
        (1, false, false),
        (2, false, false),
        (1, true, false),
        (2, false, true),
    ] {
        let mut w = World::with(workers, |c| c.streams.all_tracks = set);
        let early = w.plain_player(if asks {
            "live/cam?tracks=all"
        } else {
            "live/cam"
        });
        let knowing = w.player("live/cam");
        let publisher = w.live("live/cam");
        let kind = VideoPacketKind::SequenceStart;
        w.send(publisher, Video, 0, one_track(1, true, kind, &avc_config()));
        let kind = AudioPacketKind::SequenceStart;
        let header = write_audio(AudioCodec::Aac, 1, kind, &[0x12, 0x10]);
        w.send(publisher, Audio, 0, header);
        two_of_each(&mut w, publisher, 0..15);
        let late = w.plain_player(if asks {
            "live/cam?tracks=all"
        } else {
            "live/cam"
        });
        two_of_each(&mut w, publisher, 15..25);
        w.run(ms(50));
        let all = asks || set;
        let sent = w[publisher].sent.clone();
        let is_plain = |p: &&Piece| match p.kind {
            Video => p.payload[0] & 0x80 == 0,
            Audio => p.payload[0] >> 4 != 9,
            MediaKind::Data => true,
        };
        let expected: Vec<_> = sent.iter().filter(|p| all || is_plain(p)).collect();
        let bodies = |of: &[&Piece]| of.iter().map(|p| p.payload.clone()).collect::<Vec<_>>();
        let got: Vec<_> = w[early].media.iter().collect();
        assert_eq!(bodies(&got).len(), bodies(&expected).len(), "{asks} {set}");
        let seen = |who: Who| {
            let is_picture = |p: &&Piece| p.kind == Video && p.payload[1] != 0;
            w[who].media.iter().filter(is_picture).count()
        };
        assert_eq!(seen(late), if all { 30 } else { 15 });
        assert_eq!(w[knowing].media.len(), sent.len());
        w.end();
    }
}

#[test]
fn what_flv_can_say_is_said_so_to_who_knows_no_more() {
    let mut w = World::new(2);
    let (plain, knowing) = (w.plain_player("live/cam"), w.player("live/cam"));
    let publisher = w.publisher("live/cam");
    let mut header = b"\x90avc1".to_vec();
    header.extend(avc_config());
    w.send(publisher, Video, 0, header.into());
    // Six channels, and how they are laid out.
    w.send(publisher, Audio, 0, Bytes::from_static(b"\xAF\x00\x12\x30"));
    w.send(
        publisher,
        Audio,
        0,
        Bytes::from_static(b"\x94mp4a\x01\x06\x00\x00\x00\x3F"),
    );
    for n in 0..5 {
        let mut frame = if n == 0 { b"\x93avc1" } else { b"\xA3avc1" }.to_vec();
        frame.extend(avc(n == 0, n));
        w.send(publisher, Video, n * 40, frame.into());
        w.send(publisher, Audio, n * 40, media::audio(n));
    }
    w.run(ms(50));
    let late = w.plain_player("live/cam");
    w.run(ms(50));
    for who in [plain, late] {
        let got = of_kind(&w[who].media, Video);
        let expected = [media::video_header(0)]
            .into_iter()
            .chain((0..5).map(|n| media::video(n == 0, n, 100)));
        assert_eq!(got, expected.collect::<Vec<_>>());
        let got = of_kind(&w[who].media, Audio);
        assert!(got.iter().all(|p| p[0] == 0xAF), "{got:?}");
        assert_eq!(got.len(), 6);
    }
    let sent = of_kind(&w[publisher].sent, Video);
    assert_eq!(of_kind(&w[knowing].media, Video), sent);
    w.end();
}

#[test]
fn a_player_gets_no_codec_that_it_cannot_take_and_is_told() {
    let list = |codes: &[&str]| {
        let mut able = Capabilities::default();
        able.four_cc_list = codes.iter().map(|code| (*code).to_owned()).collect();
        able
    };
    let mut w = World::new(2);
    let early = w.player_that("live/cam", list(&["av01"]));
    let able = w.player_that("live/cam", list(&["hvc1", "av01"]));
    let publisher = w.publisher("live/cam");
    let mut header = b"\x90hvc1".to_vec();
    header.extend([1; 23]);
    w.send(publisher, Video, 0, header.into());
    w.send(publisher, Audio, 0, media::audio_header());
    for n in 0..5_u8 {
        let mut frame = b"\x93hvc1".to_vec();
        frame.extend([0, 0, 0, 4, 0x26, 1, 9, n]);
        w.send(publisher, Video, u32::from(n) * 40, frame.into());
        w.send(publisher, Audio, u32::from(n) * 40, media::audio(n.into()));
        w.run(ms(40));
    }
    let late = w.player_that("live/cam", list(&["av01"]));
    w.run(ms(50));
    for who in [early, late] {
        assert_eq!(of_kind(&w[who].media, Video), Vec::<Bytes>::new());
        assert!(w[who].status(code::PLAY_NO_SUPPORTED_TRACK).is_some());
    }
    assert_eq!(of_kind(&w[early].media, Audio).len(), 6);
    assert_eq!(of_kind(&w[able].media, Video).len(), 6);
    assert_eq!(w[able].status(code::PLAY_NO_SUPPORTED_TRACK), None);
    // One that FLV has a number for needs no announcement.
    w.send(publisher, Video, 200, media::video_header(0));
    w.send(publisher, Video, 200, media::video(true, 5, 100));
    w.run(ms(50));
    let got = [media::video_header(0), media::video(true, 5, 100)];
    for who in [early, late] {
        assert_eq!(of_kind(&w[who].media, Video), got);
    }
    w.end();
}

/// Units of these types, three bytes each.
fn units(types: &[u8]) -> Vec<u8> {
    let unit = |kind: &u8| [0, 0, 0, 3, *kind, 0x9A, 0x80];
    types.iter().flat_map(unit).collect()
}

fn tagged(key: bool, body: &[u8]) -> Bytes {
    let frame_type = if key {
        FrameType::Key
    } else {
        FrameType::Inter
    };
    write_video(
        VideoCodec::Avc,
        0,
        frame_type,
        VideoPacketKind::Frame,
        0,
        body,
    )
}

/// What a stream whose pictures are all tagged so becomes for one that joins behind
/// frame 24, for a recording that is split, and in numbers.
fn lying(bodies: impl Fn(u32) -> (bool, Vec<u8>)) -> (Vec<Bytes>, Vec<Bytes>, u64) {
    let mut w = recording(|r| r.split_duration = ms(300)).build();
    let publisher = w.publisher("live/cam");
    w.send(publisher, Video, 0, media::video_header(0));
    for n in 0..25 {
        let (key, body) = bodies(n);
        w.send(publisher, Video, n * 40, tagged(key, &body));
        w.run(ms(40));
    }
    let late = w.player("live/cam");
    w.run(ms(50));
    let keyframes = w.metrics().streams[0].keyframes;
    let got = payloads(&w[late].media, Video);
    w.leave(publisher);
    w.run(ms(100));
    let firsts = finished(&w).into_iter().map(|(path, _)| {
        let file = pieces(&w, path.to_str().expect("UTF-8"));
        payloads(&file, Video)[0].clone()
    });
    let firsts = firsts.collect();
    w.end();
    (got, firsts, keyframes)
}

#[test]
fn a_tag_that_calls_every_picture_a_key_frame_is_not_believed() {
    let slice = |n: u32, kind: u8| [&units(&[kind])[..], &n.to_be_bytes()].concat();
    let body = |n: u32| {
        let mut body = slice(n, if n.is_multiple_of(10) { 0x65 } else { 0x41 });
        body[3] += 4;
        body
    };
    let (got, firsts, keyframes) = lying(|n| (true, body(n)));
    let expected: Vec<Bytes> = (20..25).map(|n| tagged(true, &body(n))).collect();
    assert_eq!(got, expected);
    let expected = [0, 10, 20].map(|n| tagged(true, &body(n)));
    assert_eq!(firsts, expected);
    assert_eq!(keyframes, 3);
}

#[test]
fn a_tag_is_believed_of_a_track_that_shows_no_better() {
    // Gradual refresh: no IDR picture ever comes.
    let (got, firsts, keyframes) = lying(|n| (n % 10 == 0, units(&[0x41, n as u8 & 0x40 | 1])));
    assert_eq!((got.len(), firsts.len(), keyframes), (5, 3, 3));
}

#[test]
fn what_is_tagged_as_any_picture_and_is_a_key_frame_is_one() {
    let (got, _, keyframes) = lying(|n| (false, units(&[if n % 10 == 0 { 0x65 } else { 0x41 }])));
    assert_eq!((got.len(), keyframes), (5, 3));
}

#[test]
fn what_carries_no_picture_starts_nothing_and_goes_with_what_it_is_for() {
    let mut w = World::new(2);
    let early = w.player("live/cam");
    let publisher = w.live("live/cam");
    // Parameter sets in a message of their own, which calls itself a key frame, in front
    // of each picture.
    let sets = tagged(true, &units(&[0x67, 0x68]));
    for n in 0..25 {
        w.send(publisher, Video, n * 40, sets.clone());
        w.send(publisher, Video, n * 40, media::video(n % 10 == 0, n, 100));
        w.run(ms(40));
    }
    let late = w.player("live/cam");
    w.run(ms(50));
    assert_eq!(payloads(&w[early].media, Video).len(), 50);
    let got = payloads(&w[late].media, Video);
    assert_eq!(got[..2], [sets, media::video(true, 20, 100)]);
    assert_eq!(got.len(), 10);
    assert_eq!(w.metrics().streams[0].keyframes, 3);
    w.end();
}

#[test]
fn lengths_of_units_are_as_the_configuration_says() {
    for size in [1, 2, 4] {
        let mut w = World::new(1);
        let publisher = w.publisher("live/cam");
        let mut header = media::video_header(0).to_vec();
        // lengthSizeMinusOne, behind the tag's five bytes.
        header[5 + 4] = 0xFC | (size as u8 - 1);
        w.send(publisher, Video, 0, header.into());
        for n in 0..15_u32 {
            let unit = [if n % 10 == 0 { 0x65 } else { 0x41 }, 0x9A, n as u8 | 0x80];
            let mut body = (unit.len() as u32).to_be_bytes()[4 - size..].to_vec();
            body.extend(unit);
            w.send(publisher, Video, n * 40, tagged(true, &body));
        }
        w.run(ms(50));
        assert_eq!(w.metrics().streams[0].keyframes, 2, "{size} bytes");
        w.end();
    }
}

/// As FFmpeg 9 begins AC-3: the codec's frames say all that a configuration could.
#[test]
fn a_sequence_start_without_a_body_is_a_header_where_the_codec_needs_none() {
    for codec in [AudioCodec::Ac3, AudioCodec::Eac3, AudioCodec::Opus] {
        let mut w = recording(|_| {}).build();
        let publisher = w.publisher("live/cam");
        let start = write_audio(codec, 0, AudioPacketKind::SequenceStart, &[]);
        w.send(publisher, Audio, 0, start.clone());
        let frame = |n: u32| write_audio(codec, 0, AudioPacketKind::Frame, &[n as u8; 9]);
        let send = |w: &mut World, numbers: std::ops::Range<u32>| {
            for n in numbers {
                w.send(publisher, Audio, n * 32, frame(n));
                w.run(ms(32));
            }
        };
        send(&mut w, 0..10);
        let (late, mut tap) = (w.player("live/cam"), w.server.tap("live/cam"));
        send(&mut w, 10..20);
        let got = of_kind(&w[late].media, Audio);
        assert_eq!(got[0], start, "{codec:?}");
        assert_eq!(got.last(), Some(&frame(19)), "{codec:?}");
        let header = drain(&mut tap).into_iter().find_map(|event| match event {
            TapEvent::Frame(frame) if frame.kind == Audio => Some(frame),
            _ => None,
        });
        let header = header.expect("a frame");
        assert_eq!(
            (header.content, header.payload.len()),
            (FrameContent::Header, 0)
        );
        drop(tap);
        w.leave(publisher);
        w.run(ms(100));
        let recorded = of_kind(&pieces(&w, "/rec/live/cam.flv"), Audio);
        assert_eq!((&recorded[0], recorded.len()), (&start, 21), "{codec:?}");
        w.end();
    }
}

#[test]
fn a_configuration_too_short_to_be_one_is_for_nobody() {
    let mut w = World::new(1);
    let early = w.player("live/cam");
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..5);
    for length in 0..7 {
        let body = &avc_config()[..length];
        let kind = VideoPacketKind::SequenceStart;
        let short = write_video(VideoCodec::Avc, 0, FrameType::Key, kind, 0, body);
        w.send(publisher, Video, 200, short);
        let kind = AudioPacketKind::SequenceStart;
        w.send(
            publisher,
            Audio,
            200,
            write_audio(AudioCodec::Aac, 0, kind, &body[..length.min(1)]),
        );
    }
    w.stream(publisher, 5..8);
    let late = w.player("live/cam");
    w.run(ms(50));
    let headers = |who: Who| {
        let is_header = |p: &&Piece| p.kind != MediaKind::Data && !p.is_frame();
        w[who].media.iter().filter(is_header).count()
    };
    assert_eq!((headers(early), headers(late)), (2, 2));
    assert_eq!(
        payloads(&w[late].media, Video).len(),
        8,
        "the cache is as it was"
    );
    w.end();
}

#[test]
fn a_distance_between_tracks_lasts_as_long_as_what_was_sent() {
    for distance in [3_200, 60_000, 14_400_000] {
        let mut w = recording(|_| {}).build();
        let player = w.player("live/cam");
        let publisher = w.live("live/cam");
        for n in 0..100 {
            w.send(publisher, Video, n * 40, media::video(n % 10 == 0, n, 100));
            w.send(publisher, Audio, n * 40 + distance, media::audio(n));
            w.run(ms(40));
        }
        w.leave(publisher);
        w.run(ms(100));
        for kind in [Video, Audio] {
            let times = frames(&w[player].media);
            let times: Vec<u32> = times
                .iter()
                .filter(|p| p.kind == kind)
                .map(|p| p.timestamp)
                .collect();
            assert!(times.windows(2).all(|w| w[1] - w[0] == 40), "{times:?}");
        }
        let (_, duration) = finished(&w)[0];
        let apart = if distance > 10_000 {
            0
        } else {
            distance.into()
        };
        assert!(duration <= ms(4_000 + apart), "{duration:?}");
        w.end();
    }
}

#[test]
fn a_recording_begins_with_the_earlier_of_two_tracks() {
    // Audio three seconds behind the video that comes first, or ahead; split twice.
    for distance in [-3_000_i64, 3_000] {
        let mut w = recording(|r| r.split_duration = ms(1000)).build();
        let publisher = w.live("live/cam");
        for n in 0..75 {
            let time = 10_000 + n * 40;
            let heard = (i64::from(time) + distance) as u32;
            w.send(publisher, Video, time, media::video(n % 10 == 0, n, 100));
            w.send(publisher, Audio, heard, media::audio(n));
            w.run(ms(40));
        }
        w.leave(publisher);
        w.run(ms(100));
        let mut all = 0;
        for (path, _) in finished(&w) {
            let file = pieces(&w, path.to_str().expect("UTF-8"));
            let times = |kind| {
                let of_kind = frames(&file).into_iter().filter(|p| p.kind == kind);
                of_kind.map(|p| p.timestamp).collect::<Vec<u32>>()
            };
            let (video, audio) = (times(Video), times(Audio));
            for times in [&video, &audio] {
                assert!(times.windows(2).all(|w| w[1] - w[0] == 40), "{times:?}");
            }
            assert_eq!(i64::from(audio[0]) - i64::from(video[0]), distance);
            assert_eq!(audio[0].min(video[0]), 0);
            all += audio.len() + video.len();
        }
        assert_eq!(all, 150);
        w.end();
    }
}

#[test]
fn old_codecs_are_named_in_metadata_by_their_own_numbers() {
    for (kind, first, name, number) in [
        (Audio, 0xB6, "audiocodecid", 11.0),
        (Audio, 0x62, "audiocodecid", 6.0),
        (Audio, 0x72, "audiocodecid", 7.0),
        (Audio, 0x3F, "audiocodecid", 3.0),
        (Audio, 0xE2, "audiocodecid", 14.0),
        (Video, 0x12, "videocodecid", 2.0),
        (Video, 0x15, "videocodecid", 5.0),
    ] {
        let mut w = World::new(1);
        let publisher = w.publisher("live/old");
        w.send(publisher, kind, 0, vec![first; 20].into());
        w.run(ms(20));
        let player = w.player("live/old");
        w.run(ms(20));
        let metadata = &w[player].media[0].payload;
        let mut expected = name.as_bytes().to_vec();
        expected.push(0);
        expected.extend(f64::to_be_bytes(number));
        assert!(
            metadata.windows(expected.len()).any(|w| w == expected),
            "{first:#X}: {metadata:?}"
        );
        w.end();
    }
}
