//! Where recordings begin and end: what one file holds.

use std::time::Duration;

use bytes::Bytes;
use openrtmp_protocol::media::{FrameType, VideoCodec, VideoPacketKind, write_video};
use openrtmp_protocol::session::MediaKind;

use super::media::{self, Piece, assert_whole};
use super::recording::{finished, pieces, recording};
use super::world::{Setup, Who, World, ms};
use crate::config::SecondPublisher;

/// The recorded files, in order, without the recorder's metadata.
fn files(w: &World) -> Vec<Vec<Piece>> {
    let path = |file: &std::path::PathBuf| file.to_str().expect("UTF-8").to_owned();
    let paths: Vec<_> = finished(w).iter().map(|(file, _)| path(file)).collect();
    paths
        .iter()
        .map(|path| pieces(w, path)[1..].to_vec())
        .collect()
}

/// Payloads in a file, of a kind.
fn of_kind(file: &[Piece], kind: MediaKind) -> Vec<Bytes> {
    let wanted = file.iter().filter(|piece| piece.kind == kind);
    wanted.map(|piece| piece.payload.clone()).collect()
}

fn sent_of_kind(w: &World, who: Who, kind: MediaKind) -> Vec<Bytes> {
    of_kind(&w[who].sent, kind)
}

/// An HEVC message with Enhanced RTMP's header.
fn hevc(kind: VideoPacketKind, number: u32) -> Bytes {
    // A configuration record whose fields nobody here reads, or an IDR_W_RADL unit.
    let body = match kind {
        VideoPacketKind::Frame => {
            [&[0, 0, 0, 8, 0x26, 1, 9, 9][..], &number.to_be_bytes()].concat()
        }
        _ => vec![1; 23],
    };
    write_video(VideoCodec::Hevc, 0, FrameType::Key, kind, 0, &body)
}

fn hevc_stream(w: &mut World, who: Who, numbers: std::ops::Range<u32>) {
    let header = hevc(VideoPacketKind::SequenceStart, 0);
    w.send(who, MediaKind::Video, numbers.start * 40, header);
    w.send(
        who,
        MediaKind::Audio,
        numbers.start * 40,
        media::audio_header(),
    );
    for n in numbers {
        let picture = hevc(VideoPacketKind::Frame, n);
        w.send(who, MediaKind::Video, n * 40, picture);
        w.send(who, MediaKind::Audio, n * 40 + 5, media::audio(n));
        w.run(ms(40));
    }
}

fn is_hevc(video: &Bytes) -> bool {
    // IsExHeader (Enhanced RTMP v2, ExVideoTagHeader).
    video[0] & 0x80 != 0
}

/// Two files, the first H.264 and the second HEVC, with all that these sent.
fn assert_split_by_codec(w: &World, first: &[Bytes], second: &[Bytes]) {
    let files = files(w);
    assert_eq!(files.len(), 2);
    let [before, after] = [0, 1].map(|n: usize| of_kind(&files[n], MediaKind::Video));
    assert_eq!(before, first);
    assert_eq!(after, second);
}

#[test]
fn another_codec_within_a_publish_begins_a_file() {
    let mut w = recording(|_| {}).build();
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..15);
    hevc_stream(&mut w, publisher, 15..30);
    w.leave(publisher);
    w.run(ms(100));
    let video = sent_of_kind(&w, publisher, MediaKind::Video);
    let change = video.iter().position(is_hevc).expect("it changes");
    assert_split_by_codec(&w, &video[..change], &video[change..]);
    assert_all_audio(&w, publisher);
    w.end();
}

#[test]
fn another_codec_at_a_takeover_or_within_the_grace_begins_a_file() {
    for takes_over in [true, false] {
        let mut setup = recording(|_| {});
        setup.config.streams.second_publisher = SecondPublisher::Takeover;
        setup.config.streams.republish_grace = ms(5000);
        let mut w = setup.build();
        let first = w.live("live/cam");
        w.stream(first, 0..15);
        if !takes_over {
            w.kill(first);
            w.run(ms(300));
        }
        let second = w.publisher("live/cam");
        hevc_stream(&mut w, second, 0..15);
        w.leave(second);
        w.run(ms(6000));
        let [first, second] = [first, second].map(|who| sent_of_kind(&w, who, MediaKind::Video));
        assert_split_by_codec(&w, &first, &second);
        w.end();
    }
}

#[test]
fn another_size_begins_a_file_and_the_same_configuration_does_not() {
    for (variant, files) in [(0, 1), (1, 2)] {
        let mut setup = recording(|_| {});
        setup.config.streams.republish_grace = ms(5000);
        let mut w = setup.build();
        let first = w.live("live/cam");
        w.stream(first, 0..15);
        w.kill(first);
        w.run(ms(300));
        let second = w.publisher("live/cam");
        w.send(second, MediaKind::Video, 0, media::video_header(variant));
        w.send(second, MediaKind::Audio, 0, media::audio_header());
        w.stream(second, 0..15);
        w.leave(second);
        w.run(ms(6000));
        assert_eq!(finished(&w).len(), files);
        w.end();
    }
}

fn split() -> Setup {
    recording(|r| r.split_duration = ms(2000))
}

/// Audio of a number, as [`World::stream`] has it.
fn audio(w: &mut World, who: Who, numbers: std::ops::Range<u32>) {
    for n in numbers {
        w.send(who, MediaKind::Audio, n * 40 + 5, media::audio(n));
        w.run(ms(40));
    }
}

fn assert_all_audio(w: &World, who: Who) {
    let frames = |payloads: Vec<Bytes>| -> Vec<Bytes> {
        // AAC packet type 1 is a frame (FLV 10.1, E.4.2.1).
        payloads.into_iter().filter(|p| p[1] == 1).collect()
    };
    let recorded = files(w).concat();
    let recorded = frames(of_kind(&recorded, MediaKind::Audio));
    assert_eq!(recorded, frames(sent_of_kind(w, who, MediaKind::Audio)));
}

#[test]
fn splits_go_on_when_video_stops() {
    let mut w = split().build();
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..50);
    audio(&mut w, publisher, 50..250);
    // Its video comes back in the middle of a GOP, and joins at a key frame.
    w.stream(publisher, 255..300);
    w.leave(publisher);
    w.run(ms(100));
    let files = files(&w);
    assert!(
        (5..=6).contains(&files.len()),
        "{} files of 12 s",
        files.len()
    );
    for file in &files {
        let video = of_kind(file, MediaKind::Video);
        let first = video.iter().find(|p| p[1] == 1);
        assert!(
            first.is_none_or(|picture| picture[0] == 0x17),
            "it begins inside a GOP"
        );
        let mut times = file.iter().map(|piece| piece.timestamp);
        assert!(times.all(|time| time < 3200));
    }
    assert_all_audio(&w, publisher);
    w.end();
}

#[test]
fn radio_is_split() {
    let mut w = split().build();
    let publisher = w.publisher("live/radio");
    w.send(publisher, MediaKind::Audio, 0, media::audio_header());
    audio(&mut w, publisher, 0..250);
    w.leave(publisher);
    w.run(ms(100));
    assert_eq!(files(&w).len(), 5);
    assert_all_audio(&w, publisher);
    w.end();
}

#[test]
fn audio_is_kept_though_no_key_frame_ever_comes() {
    // Announced and silent; or pictures that nobody can begin with.
    for pictures in [false, true] {
        let mut w = recording(|_| {}).build();
        let publisher = w.live("live/cam");
        for n in 0..100 {
            if pictures {
                let picture = media::video(false, n, 300);
                w.send(publisher, MediaKind::Video, n * 40, picture);
            }
            audio(&mut w, publisher, n..n + 1);
        }
        w.leave(publisher);
        w.run(ms(100));
        assert_eq!(files(&w).len(), 1);
        assert_all_audio(&w, publisher);
        w.end();
    }
}

#[test]
fn a_short_stream_of_audio_with_announced_video_is_kept() {
    let mut w = recording(|_| {}).build();
    let publisher = w.live("live/cam");
    audio(&mut w, publisher, 0..5);
    w.leave(publisher);
    w.run(ms(100));
    assert_eq!(finished(&w).len(), 1);
    assert_all_audio(&w, publisher);
    w.end();
}

#[test]
fn one_key_frame_only_makes_one_file_with_everything() {
    let mut w = split().build();
    let publisher = w.live("live/cam");
    for n in 0..150 {
        let picture = media::video(n == 0, n, 300);
        w.send(publisher, MediaKind::Video, n * 40, picture);
        audio(&mut w, publisher, n..n + 1);
    }
    w.leave(publisher);
    w.run(ms(100));
    let [(_, duration)] = finished(&w)[..] else {
        panic!("it cannot be split");
    };
    assert!(duration > Duration::from_secs(5));
    let recorded = pieces(&w, "/rec/live/cam.flv");
    assert_eq!(assert_whole(&recorded, &w[publisher].sent), 0);
    w.end();
}
