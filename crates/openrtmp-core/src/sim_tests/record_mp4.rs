//! Recordings as MP4: what is in the files, and when.

use std::ops::Range;

use bytes::Bytes;
use openrtmp_protocol::media::{
    AudioCodec, AudioPacketKind, AudioTag, FrameType, VideoCodec, VideoPacketKind, VideoTag,
    write_audio, write_video,
};
use openrtmp_protocol::session::MediaKind;

use super::media;
use super::recording::{finished, publish, recording};
use super::world::{Setup, Who, World, ms};
use crate::config::{RecordConfig, RecordFormat};
use crate::events::Event;

fn mp4(change: impl FnOnce(&mut RecordConfig)) -> Setup {
    recording(|record| {
        record.format = RecordFormat::Mp4;
        change(record);
    })
}

/// The boxes of a file, by type, with their content. Panics if one breaks off.
fn boxes(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        let size = u32::from_be_bytes(rest[..4].try_into().expect("four bytes")) as usize;
        let kind = String::from_utf8(rest[4..8].to_vec()).expect("letters");
        found.push((kind, rest[8..size].to_vec()));
        rest = &rest[size..];
    }
    found
}

fn kinds(file: &[u8]) -> Vec<String> {
    boxes(file).into_iter().map(|(kind, _)| kind).collect()
}

/// Everything in the fragments of a file.
fn samples(file: &[u8]) -> Vec<u8> {
    let data = boxes(file).into_iter().filter(|(kind, _)| kind == "mdat");
    data.flat_map(|(_, data)| data).collect()
}

/// The frames of what was sent, in the order of the tracks of each fragment: video first.
fn bodies(w: &World, who: Who, kind: MediaKind) -> Vec<Bytes> {
    let of_kind = w[who]
        .sent
        .iter()
        .filter(|piece| piece.kind == kind && piece.is_frame());
    of_kind
        .map(|piece| {
            let range = match kind {
                MediaKind::Video => VideoTag::parse(&piece.payload)
                    .expect("sent whole")
                    .first()
                    .body
                    .clone(),
                _ => AudioTag::parse(&piece.payload)
                    .expect("sent whole")
                    .first()
                    .expect("a frame")
                    .body
                    .clone(),
            };
            piece.payload.slice(range)
        })
        .collect()
}

/// Whether all of these are in there, one after the other with anything between them.
fn holds(data: &[u8], bodies: &[Bytes]) -> bool {
    let mut rest = data;
    bodies.iter().all(|body| {
        let place = rest.windows(body.len()).position(|window| window == body);
        rest = place.map_or(&[][..], |place| &rest[place + body.len()..]);
        place.is_some()
    })
}

fn assert_holds_all(w: &World, who: Who, file: &[u8]) {
    let data = samples(file);
    let sent = [MediaKind::Video, MediaKind::Audio].map(|kind| bodies(w, who, kind));
    for bodies in &sent {
        assert!(holds(&data, bodies));
    }
    let bytes: usize = sent.iter().flatten().map(Bytes::len).sum();
    assert_eq!(data.len(), bytes);
}

#[test]
fn a_recording_is_whole_when_its_publisher_leaves() {
    let mut w = mp4(|_| {}).build();
    let publisher = publish(&mut w, "live/cam", 60);
    let file = w.sim.file("/rec/live/cam.mp4").expect("a file");
    assert_holds_all(&w, publisher, &file);
    assert_eq!(kinds(&file)[..3], ["ftyp", "moov", "moof"]);
    assert_eq!(kinds(&file).last().map(String::as_str), Some("mfra"));
    let [(path, duration)] = &finished(&w)[..] else {
        panic!("one recording");
    };
    assert_eq!(path.to_str(), Some("/rec/live/cam.mp4"));
    assert!((ms(2300)..=ms(2400)).contains(duration), "{duration:?}");
    assert_eq!(w.sim.open_files(), 0);
    w.end();
}

#[test]
fn all_but_the_last_second_is_in_the_file_while_it_goes_on() {
    let mut w = mp4(|_| {}).build();
    let publisher = w.live("live/cam");
    for n in 0..10 {
        w.stream(publisher, n * 25..(n + 1) * 25);
        let Some(file) = w.sim.file("/rec/live/cam.mp4").filter(|_| n > 0) else {
            continue;
        };
        let data = samples(&file);
        let sent = bodies(&w, publisher, MediaKind::Video);
        let second = sent.len() - 26;
        assert!(holds(&data, &sent[..second]), "{n} s");
    }
    w.end();
}

#[test]
fn frames_that_wait_count_for_the_memory_of_the_server() {
    const SIZE: usize = 100_000;
    let held = |format| {
        let mut setup = mp4(|record| record.format = format);
        // Nobody else keeps them.
        setup.config.gop.max_bytes = 0;
        let mut w = setup.build();
        let publisher = w.live("live/cam");
        w.stream_of(publisher, 0..20, SIZE);
        w.run(ms(10));
        let used = w.shared.budget.used();
        w.end();
        used
    };
    let (flv, mp4) = (held(RecordFormat::Flv), held(RecordFormat::Mp4));
    assert!(mp4 > flv + 15 * SIZE, "{mp4} with MP4, {flv} with FLV");
}

#[test]
fn a_full_disk_ends_the_recording_at_a_fragment() {
    let mut setup = mp4(|_| {});
    setup.network.faults.disk_capacity = Some(150_000);
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream_of(publisher, 0..100, 3_000);
    w.run(ms(100));
    media::assert_whole(&w[player].media, &w[publisher].sent);
    assert_eq!(w.count(|e| matches!(e, Event::RecordingFailed { .. })), 1);
    let file = w.sim.file("/rec/live/cam.mp4").expect("what fitted");
    assert_eq!(kinds(&file).last().map(String::as_str), Some("mdat"));
    assert!(holds(
        &samples(&file),
        &bodies(&w, publisher, MediaKind::Video)[..20]
    ));
    w.end();
}

#[test]
fn a_disk_without_room_for_the_first_fragment_keeps_no_file() {
    // It is written while the stream goes on, or at its end.
    for frames in [40, 5] {
        let mut setup = mp4(|_| {});
        setup.network.faults.disk_capacity = Some(500);
        let mut w = setup.build();
        publish(&mut w, "live/cam", frames);
        assert_eq!(w.count(|e| matches!(e, Event::RecordingFailed { .. })), 1);
        assert!(w.sim.files().is_empty());
        w.end();
    }
}

#[test]
fn another_configuration_begins_a_file_and_the_same_does_not() {
    let mut w = mp4(|_| {}).build();
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..30);
    for (variant, numbers) in [(0, 30..60), (1, 60..90)] {
        w.send(
            publisher,
            MediaKind::Video,
            numbers.start * 40,
            media::video_header(variant),
        );
        w.stream(publisher, numbers);
    }
    w.leave(publisher);
    w.run(ms(100));
    let paths: Vec<_> = finished(&w).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), 2);
    let file = |n: usize| {
        w.sim
            .file(paths[n].to_str().expect("UTF-8"))
            .expect("a file")
    };
    let sent = bodies(&w, publisher, MediaKind::Video);
    assert!(holds(&samples(&file(0)), &sent[..60]));
    assert!(holds(&samples(&file(1)), &sent[60..]));
    w.end();
}

fn ac3(w: &mut World, who: Who, numbers: Range<u32>) {
    for n in numbers {
        // A syncframe of 48 kHz, stereo, as far as it is read.
        let mut frame = vec![0x0B, 0x77, 0, 0, 0x14, 0x40, 0x43, 0xE0];
        frame.extend(n.to_be_bytes());
        let message = write_audio(AudioCodec::Ac3, 1, AudioPacketKind::Frame, &frame);
        w.send(who, MediaKind::Audio, n * 40, message);
        w.stream(who, n..n + 1);
    }
}

#[test]
fn a_track_that_comes_late_begins_a_file_with_or_without_a_header() {
    let mut w = mp4(|_| {}).build();
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..50);
    // AC-3 has no header.
    ac3(&mut w, publisher, 50..100);
    w.leave(publisher);
    w.run(ms(100));
    let paths: Vec<_> = finished(&w).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), 2);
    let entry = |n: usize| {
        let file = w
            .sim
            .file(paths[n].to_str().expect("UTF-8"))
            .expect("a file");
        file.windows(4).any(|window| window == b"dac3")
    };
    assert!(!entry(0) && entry(1));
    w.end();
}

#[test]
fn headers_of_several_tracks_in_one_message_are_all_looked_at() {
    let mut w = mp4(|_| {}).build();
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..50);
    // Enhanced RTMP v2: ManyTracks, AAC, sequence start; tracks 0 and 1, two bytes each.
    let many = |kind: u8, body: &[u8]| {
        let mut message = vec![0x95, 0x10 | kind];
        message.extend(b"mp4a");
        for track in [0, 1] {
            message.extend([track, 0, 0, body.len() as u8]);
            message.extend(body);
        }
        Bytes::from(message)
    };
    w.send(publisher, MediaKind::Audio, 2000, many(0, &[0x12, 0x10]));
    for n in 50..100 {
        w.send(publisher, MediaKind::Audio, n * 40, many(1, &[0x21; 40]));
        let picture = media::video(n % 12 == 0, n, 300);
        w.send(publisher, MediaKind::Video, n * 40, picture);
        w.run(ms(40));
    }
    w.leave(publisher);
    w.run(ms(100));
    assert_eq!(w.count(|e| matches!(e, Event::RecordingFailed { .. })), 0);
    let paths: Vec<_> = finished(&w).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), 2);
    let file = w
        .sim
        .file(paths[1].to_str().expect("UTF-8"))
        .expect("a file");
    let entries = file.windows(4).filter(|window| *window == b"mp4a").count();
    assert_eq!(entries, 2);
    w.end();
}

#[test]
fn radio_is_recorded_and_split() {
    let mut w = mp4(|record| record.split_duration = ms(2000)).build();
    let publisher = w.publisher("live/radio");
    w.send(publisher, MediaKind::Audio, 0, media::audio_header());
    for n in 0..250 {
        w.send(publisher, MediaKind::Audio, n * 40, media::audio(n));
        w.run(ms(40));
    }
    w.leave(publisher);
    w.run(ms(100));
    let files: Vec<Vec<u8>> = finished(&w)
        .iter()
        .map(|(path, _)| w.sim.file(path.to_str().expect("UTF-8")).expect("a file"))
        .collect();
    assert_eq!(files.len(), 5);
    let all: Vec<u8> = files.iter().flat_map(|file| samples(file)).collect();
    assert_eq!(all, bodies(&w, publisher, MediaKind::Audio).concat());
    w.end();
}

#[test]
fn what_mp4_cannot_hold_ends_the_recording_and_says_so() {
    let mut w = mp4(|_| {}).build();
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..5);
    // Sorenson H.263 has no place in MP4.
    let picture = write_video(
        VideoCodec::Legacy(2),
        0,
        FrameType::Key,
        VideoPacketKind::Frame,
        0,
        &[1; 50],
    );
    let other = w.live("live/old");
    for n in 0..40 {
        w.send(other, MediaKind::Video, n * 40, picture.clone());
        w.run(ms(40));
    }
    w.leave(other);
    w.leave(publisher);
    w.run(ms(100));
    let errors: Vec<String> = w
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::RecordingFailed { error, .. } => Some(error),
            _ => None,
        })
        .collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("MP4 cannot hold"), "{errors:?}");
    // The other stream's goes on.
    assert_eq!(finished(&w).len(), 1);
    w.end();
}
