//! Recorders that lose, fail and panic.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openrtmp_protocol::session::MediaKind;

use super::media::{self, assert_whole};
use super::recording::{finished, pieces, publish, recording};
use super::world::{World, ms};
use super::{MUXER, RECORDER};
use crate::events::Event;

/// A picture that makes a place panic.
fn fatal(place: &str, number: u32) -> Bytes {
    let mut picture = BytesMut::from(&media::video(false, number, 500)[..]);
    picture.extend_from_slice(place.as_bytes());
    picture.freeze()
}

fn restarts(w: &World) -> Vec<Duration> {
    let pause = |e| match e {
        Event::RecorderRestarted { pause } => Some(pause),
        _ => None,
    };
    w.events().into_iter().filter_map(pause).collect()
}

#[test]
fn a_disk_that_hangs_costs_nothing_up_to_the_queues_bytes() {
    let mut w = recording(|_| {}).build();
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..5);
    w.disk_hangs = true;
    // 12 s, more than a player may be behind.
    w.stream(publisher, 5..305);
    w.disk_hangs = false;
    w.leave(publisher);
    w.run(ms(100));
    assert_eq!(
        assert_whole(&pieces(&w, "/rec/live/cam.flv"), &w[publisher].sent),
        0
    );
    assert_eq!(w.count(|e| matches!(e, Event::RecordingLost { .. })), 0);
    w.end();
}

#[test]
fn what_a_hanging_disk_costs_is_told_to_the_frame() {
    let mut w = recording(|r| r.queue_bytes = 1 << 20).build();
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..5);
    w.disk_hangs = true;
    w.stream_of(publisher, 5..205, 20_000);
    w.disk_hangs = false;
    w.stream(publisher, 205..225);
    w.leave(publisher);
    w.run(ms(100));
    let recorded = pieces(&w, "/rec/live/cam.flv");
    let missing = media::frames(&w[publisher].sent).len() - media::frames(&recorded).len();
    let (mut frames, mut bytes, mut span) = (0, 0, Duration::ZERO);
    for event in w.events() {
        if let Event::RecordingLost {
            path,
            frames: f,
            bytes: b,
            span: s,
            ..
        } = event
        {
            assert_eq!(path, Path::new("/rec/live/cam.flv"));
            (frames, bytes, span) = (frames + f, bytes + b, span + s);
        }
    }
    assert!(missing > 100, "{missing} of 450");
    assert_eq!(frames, missing as u64);
    let sum = |pieces: &[media::Piece]| {
        let lengths = media::frames(pieces).into_iter().map(|p| p.payload.len());
        lengths.sum::<usize>() as u64
    };
    assert_eq!(bytes, sum(&w[publisher].sent) - sum(&recorded));
    assert!((ms(4_000)..=ms(8_000)).contains(&span), "{span:?} of 8 s");
    assert_eq!(finished(&w).len(), 1);
    w.end();
}

#[test]
fn a_muxer_that_panics_ends_its_file_and_no_other() {
    let mut w = recording(|_| {}).build();
    let [bad, good] = ["live/bad", "live/good"].map(|name| w.live(name));
    for n in 0..15 {
        w[bad].frame(n, 300);
        w[good].frame(n, 300);
        w.run(ms(40));
    }
    w.send(bad, MediaKind::Video, 600, fatal(MUXER, 15));
    let player = w.player("live/bad");
    for n in 16..40 {
        w[bad].frame(n, 300);
        w[good].frame(n, 300);
        w.run(ms(40));
    }
    assert_whole(&w[player].media, &w[bad].sent);
    w.leave(good);
    w.leave(bad);
    w.run(ms(100));
    let failed = |e| match e {
        Event::RecordingFailed { name, path, .. } => Some((name.to_string(), path)),
        _ => None,
    };
    let failed: Vec<_> = w.events().into_iter().filter_map(failed).collect();
    assert_eq!(
        failed,
        [("live/bad".to_owned(), PathBuf::from("/rec/live/bad.flv"))]
    );
    // What it holds plays.
    assert_eq!(media::frames(&pieces(&w, "/rec/live/bad.flv")).len(), 30);
    assert_eq!(
        assert_whole(&pieces(&w, "/rec/live/good.flv"), &w[good].sent),
        0
    );
    assert!(restarts(&w).is_empty());
    // The next publish is recorded.
    publish(&mut w, "live/bad", 5);
    assert_eq!(finished(&w).len(), 2);
    w.end();
}

#[test]
fn a_recorder_that_panics_is_told_of_and_begins_again() {
    let mut w = recording(|_| {}).build();
    let [bad, good] = ["live/bad", "live/good"].map(|name| w.live(name));
    let both = |w: &mut World, numbers: std::ops::Range<u32>| {
        for n in numbers {
            w[bad].frame(n, 300);
            w[good].frame(n, 300);
            w.run(ms(40));
        }
    };
    both(&mut w, 0..12);
    w.send(bad, MediaKind::Video, 480, fatal(RECORDER, 12));
    w.run(ms(10));
    both(&mut w, 13..40);
    // The picture was in the GOP that the recorder began again with, after a second; two
    // seconds later it is gone.
    both(&mut w, 40..120);
    assert_eq!(restarts(&w), [ms(1000), ms(2000)]);
    w.leave(bad);
    w.leave(good);
    w.run(ms(100));
    // Complete as far as it came, and whole from a key frame on again.
    let before = pieces(&w, "/rec/live/good.flv");
    assert_eq!(media::frames(&before).len(), 2 * 12);
    let files = finished(&w);
    let (path, _) = files.last().expect("several of each");
    let again = pieces(&w, path.to_str().expect("UTF-8"));
    assert!(media::frames(&again).len() > 2 * 40);
    assert_eq!(w.sim.open_files(), 0);
    w.end();
}

#[test]
fn a_stop_during_a_recorders_pause_completes_what_came() {
    let mut w = recording(|_| {}).build();
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..9);
    w.send(publisher, MediaKind::Video, 360, fatal(RECORDER, 9));
    w.stream(publisher, 10..20);
    assert_eq!(restarts(&w), [ms(1000)]);
    w.stop(Duration::ZERO);
    assert_eq!(media::frames(&pieces(&w, "/rec/live/cam.flv")).len(), 18);
    w.assert_nothing_left();
}

#[test]
fn a_disk_without_room_for_the_head_keeps_no_file() {
    let mut setup = recording(|_| {});
    setup.network.faults.disk_capacity = Some(1000);
    let mut w = setup.build();
    publish(&mut w, "live/cam", 5);
    assert_eq!(w.count(|e| matches!(e, Event::RecordingFailed { .. })), 1);
    assert!(w.sim.files().is_empty());
    w.end();
}
