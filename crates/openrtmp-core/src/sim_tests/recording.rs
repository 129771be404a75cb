//! Recordings of what is published.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use openrtmp_protocol::session::MediaKind;

use super::media::{Piece, assert_whole};
use super::world::{Setup, Who, World, ms};
use crate::config::{RecordConfig, RecordStreams, TimeZone};
use crate::events::Event;

pub(super) fn recording(change: impl FnOnce(&mut RecordConfig)) -> Setup {
    let mut setup = Setup::new(2);
    let mut record = RecordConfig::new("/rec");
    record.template = "{app}/{name}".to_owned();
    change(&mut record);
    setup.config.record = Some(record);
    setup
}

/// The whole tags of a file, after FLV 10.1, annex E.2 to E.4.1.
#[track_caller]
pub(super) fn pieces(w: &World, path: &str) -> Vec<Piece> {
    pieces_of(&w.sim.file(path).expect(path))
}

#[track_caller]
fn pieces_of(file: &[u8]) -> Vec<Piece> {
    assert_eq!(file[..4], *b"FLV\x01");
    let mut pieces = Vec::new();
    let mut rest = &file[13..];
    while !rest.is_empty() {
        let size = u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
        let timestamp = u32::from_be_bytes([rest[7], rest[4], rest[5], rest[6]]);
        let kind = match rest[0] {
            8 => MediaKind::Audio,
            9 => MediaKind::Video,
            _ => MediaKind::Data,
        };
        pieces.push(Piece::new(
            kind,
            timestamp,
            rest[11..11 + size].to_vec().into(),
        ));
        let trailer = rest[11 + size..15 + size].to_vec();
        assert_eq!(trailer, (11 + size as u32).to_be_bytes());
        rest = &rest[15 + size..];
    }
    pieces
}

/// Publishes frames on a new connection and leaves.
pub(super) fn publish(w: &mut World, name: &str, frames: u32) -> Who {
    let publisher = w.live(name);
    w.stream(publisher, 0..frames);
    w.leave(publisher);
    w.run(ms(100));
    publisher
}

pub(super) fn finished(w: &World) -> Vec<(PathBuf, Duration)> {
    let finished = |e| match e {
        Event::RecordingFinished { path, duration, .. } => Some((path, duration)),
        _ => None,
    };
    w.events().into_iter().filter_map(finished).collect()
}

#[test]
fn a_recording_is_whole_when_its_publisher_leaves() {
    let mut w = recording(|_| {}).build();
    let publisher = publish(&mut w, "live/cam", 25);
    assert_eq!(
        assert_whole(&pieces(&w, "/rec/live/cam.flv"), &w[publisher].sent),
        0
    );
    let [(path, duration)] = &finished(&w)[..] else {
        panic!("one recording");
    };
    assert_eq!(path, Path::new("/rec/live/cam.flv"));
    assert!((ms(960)..=ms(1000)).contains(duration), "{duration:?}");
    assert_eq!(w.sim.open_files(), 0);
    w.end();
}

#[test]
fn what_is_recorded_so_far_can_be_read_while_it_goes_on() {
    let mut w = recording(|_| {}).build();
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..25);
    w.run(ms(600));
    let sent = w[publisher].sent.clone();
    assert_eq!(assert_whole(&pieces(&w, "/rec/live/cam.flv"), &sent), 0);
    w.end();
}

#[test]
fn a_stop_completes_recordings() {
    let mut w = recording(|_| {}).build();
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..25);
    w.stop(Duration::ZERO);
    assert_eq!(
        assert_whole(&pieces(&w, "/rec/live/cam.flv"), &w[publisher].sent),
        0
    );
    assert_eq!(finished(&w).len(), 1);
    w.assert_nothing_left();
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_stream() {
    let mut setup = recording(|_| {});
    setup.network.faults.disk_capacity = Some(150_000);
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream_of(publisher, 0..60, 5_000);
    w.run(ms(100));
    assert_whole(&w[player].media, &w[publisher].sent);
    let failed = |e: &Event| matches!(e, Event::RecordingFailed { .. });
    assert_eq!(w.count(failed), 1);
    assert_eq!(w.sim.open_files(), 0);
    // The next publish tries again.
    w.leave(publisher);
    w.run(ms(100));
    publish(&mut w, "live/cam", 5);
    assert_eq!(w.count(failed), 2);
    w.end();
}

#[test]
fn a_folder_that_denies_ends_the_recording_only() {
    let mut setup = recording(|_| {});
    setup.network.faults.create_denied = 1.0;
    let mut w = setup.build();
    let player = w.player("live/cam");
    let publisher = publish(&mut w, "live/cam", 15);
    assert_whole(&w[player].media, &w[publisher].sent);
    assert_eq!(w.count(|e| matches!(e, Event::RecordingFailed { .. })), 1);
    w.end();
}

#[test]
fn recordings_are_split_at_keyframes() {
    let mut w = recording(|r| r.split_duration = ms(700)).build();
    let publisher = publish(&mut w, "live/cam", 60);
    let mut parts = Vec::new();
    for path in [
        "/rec/live/cam.flv",
        "/rec/live/cam-1.flv",
        "/rec/live/cam-2.flv",
    ] {
        parts.push(pieces(&w, path));
    }
    let sent = &w[publisher].sent;
    let mut frames = 0;
    for part in &parts {
        let headers: Vec<_> = part.iter().take(3).map(|p| p.payload.len()).collect();
        assert_eq!(headers.len(), 3);
        let payloads = super::media::frames(part);
        // Each part starts at a key frame and at time zero.
        assert_eq!(payloads[0].class(), super::media::Class::Key);
        assert_eq!(payloads[0].timestamp, 0);
        for piece in payloads {
            let sent = super::media::frames(sent);
            assert_eq!(piece.payload, sent[frames].payload);
            frames += 1;
        }
    }
    assert_eq!(frames, 120, "nothing is lost between parts");
    w.end();
}

#[test]
fn recordings_of_one_name_never_overwrite_each_other() {
    let mut w = recording(|r| r.template = "{name}".into()).build();
    let first = w.live("a/cam");
    let second = w.live("b/cam");
    for n in 0..15 {
        w[first].frame(n, 300);
        w[second].frame(n, 700);
        w.run(ms(40));
    }
    w.leave(first);
    w.leave(second);
    w.run(ms(100));
    let third = publish(&mut w, "a/cam", 12);
    let publishers = [first, second, third];
    let paths = ["/rec/cam.flv", "/rec/cam-1.flv", "/rec/cam-2.flv"];
    for (who, path) in publishers.into_iter().zip(paths) {
        assert_eq!(assert_whole(&pieces(&w, path), &w[who].sent), 0, "{path}");
    }
    w.end();
}

#[test]
fn names_carry_the_time_of_the_place_where_that_is_wanted() {
    for (time_zone, offset, name) in [
        (TimeZone::Utc, 20_700, "2026-02-28_23-30-00"),
        (TimeZone::Local, 20_700, "2026-03-01_05-15-00"),
        (TimeZone::Local, -36_000, "2026-02-28_13-30-00"),
    ] {
        let mut w = recording(|r| {
            r.template = "{date}_{time}".into();
            r.time_zone = time_zone;
        })
        .build();
        w.sim.set_local_offset(offset);
        let publisher = w.publisher("live/cam");
        // 2026-02-28 23:30:00 UTC.
        w.sim
            .set_wall_clock(UNIX_EPOCH + Duration::from_secs(1_772_321_400));
        w.headers(publisher);
        w[publisher].frame(0, 100);
        w.run(ms(100));
        w.stop(Duration::ZERO);
        assert_eq!(w.sim.files(), [PathBuf::from(format!("/rec/{name}.flv"))]);
    }
}

#[test]
fn only_chosen_apps_are_recorded_and_names_carry_the_time() {
    let mut w = recording(|r| {
        r.apps = vec!["live".into()];
        r.template = "{app}/{name}-{date}-{time}".into();
    })
    .build();
    // 2026-03-01 12:34:56 UTC.
    w.sim
        .set_wall_clock(UNIX_EPOCH + Duration::from_secs(1_772_368_496));
    publish(&mut w, "live/cam", 3);
    publish(&mut w, "other/cam", 3);
    let files = w.sim.files();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0].parent(), Some(Path::new("/rec/live")));
    let name = files[0].file_name().expect("a name").to_string_lossy();
    assert!(name.starts_with("cam-2026-03-01-12-34-5"), "{name}");
    w.end();
}

#[test]
fn who_asks_to_be_recorded_is_where_that_is_allowed() {
    for (streams, files) in [(RecordStreams::Asked, 2), (RecordStreams::All, 3)] {
        let mut w = recording(|record| {
            record.streams = streams;
            record.apps = vec!["live".to_owned()];
            record.template = "{name}-{index}-{time}".to_owned();
        })
        .build();
        let publisher = w.live("live/cam");
        let mut next = 0;
        for mode in ["live", "record", "append"] {
            if mode != "live" {
                w[publisher].command_on(1, "closeStream", &[]);
                w.run(ms(10));
                w[publisher].command_on(1, "publish", &["cam".into(), mode.into()]);
                w.run(ms(10));
                w.headers(publisher);
            }
            w.stream(publisher, next..next + 10);
            next += 10;
            w.turn_clock(1);
        }
        // Of an app that is not recorded.
        let other = w.live("other/cam");
        w[other].command_on(1, "closeStream", &[]);
        w.run(ms(10));
        w[other].command_on(1, "publish", &["cam".into(), "record".into()]);
        w.run(ms(10));
        w.headers(other);
        w.stream(other, 0..5);
        w.leave(publisher);
        w.leave(other);
        w.run(ms(100));
        let finished = |e: &Event| matches!(e, Event::RecordingFinished { .. });
        assert_eq!(w.count(finished), files, "{streams:?}");
        w.end();
    }
}

#[test]
fn who_takes_over_is_recorded_as_it_wants_itself() {
    let mut setup = recording(|record| record.streams = RecordStreams::Asked);
    setup.config.streams.second_publisher = crate::config::SecondPublisher::Takeover;
    let mut w = setup.build();
    let first = w.live("live/cam");
    w.stream(first, 0..5);
    let second = w.live("live/other");
    w[second].command_on(1, "closeStream", &[]);
    w.run(ms(10));
    w[second].command_on(1, "publish", &["cam".into(), "record".into()]);
    w.run(ms(10));
    w.headers(second);
    w.stream(second, 5..20);
    let begun = |e: &Event| matches!(e, Event::RecordingStarted { .. });
    let over = |e: &Event| matches!(e, Event::RecordingFinished { .. });
    assert_eq!((w.count(begun), w.count(over)), (1, 0));
    let third = w.live("live/cam");
    w.stream(third, 20..30);
    assert_eq!((w.count(begun), w.count(over)), (1, 1));
    w.end();
}
