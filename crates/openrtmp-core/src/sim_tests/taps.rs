//! The host as a player and as a publisher.

use std::time::Duration;

use bytes::Bytes;
use openrtmp_protocol::media::{FrameType, VideoCodec, VideoPacketKind};
use openrtmp_protocol::session::{ClientMode, MediaKind};

use super::media::{self, Piece, assert_whole};
use super::world::{FRAME, Setup, World, ms};
use crate::config::SecondPublisher;
use crate::events::Event;
use crate::inbox::Command;
use crate::publisher::{PublishError, Publisher, VideoPacket};
use crate::stream::frame::{Frame, FrameContent};
use crate::tap::{Tap, TapEvent, TapOptions};

fn drain(tap: &mut Tap) -> Vec<TapEvent> {
    std::iter::from_fn(|| tap.try_recv()).collect()
}

fn frames_of(events: &[TapEvent]) -> Vec<&Frame> {
    let mut frames = Vec::new();
    for event in events {
        if let TapEvent::Frame(frame) = event {
            frames.push(frame);
        }
    }
    frames
}

#[test]
fn a_tap_gets_every_frame_with_its_times() {
    for workers in 1..=3 {
        let mut w = World::new(workers);
        let mut tap = w.server.tap("live/cam");
        let publisher = w.live("live/cam");
        let _other = w.live("live/other");
        w.stream(publisher, 0..25);
        w.leave(publisher);
        w.run(ms(100));
        let events = drain(&mut tap);
        assert!(matches!(&events[0], TapEvent::Started(s) if s.name.reveal() == "live/cam"));
        assert!(matches!(events.last(), Some(TapEvent::Ended(_))));
        let frames = frames_of(&events);
        let contents: Vec<_> = frames.iter().take(5).map(|f| f.content).collect();
        assert_eq!(
            contents,
            [
                FrameContent::Metadata,
                FrameContent::Header,
                FrameContent::Header,
                FrameContent::Key,
                FrameContent::Key
            ]
        );
        assert_eq!(frames.len(), 3 + 50);
        for (frame, sent) in frames.iter().zip(&w[publisher].sent) {
            assert_eq!(frame.kind, sent.kind);
            assert_eq!(frame.dts_micros, i64::from(sent.timestamp) * 1000);
            assert_eq!(frame.pts_micros, frame.dts_micros);
            // The body of AVC starts at 5, of AAC at 2 (FLV 10.1, E.4.2, E.4.3).
            let start = [2, 5, 0][match sent.kind {
                MediaKind::Audio => 0,
                MediaKind::Video => 1,
                MediaKind::Data => 2,
            }];
            assert_eq!(frame.payload, sent.payload.slice(start..));
            assert_eq!((frame.track, frame.dropped), (0, 0));
        }
        drop(tap);
        w.end();
    }
}

#[test]
fn a_tap_on_a_live_stream_joins_as_a_player_does() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..25);
    let (mut tap, mut all) = (w.server.tap("live/cam"), w.server.tap_all());
    w.stream(publisher, 25..30);
    for tap in [&mut tap, &mut all] {
        let events = drain(tap);
        let frames = frames_of(&events);
        assert_eq!(frames[3].content, FrameContent::Key);
        // From number 20 on: ten pictures and ten of audio.
        assert_eq!(frames.len(), 3 + 20);
    }
    drop((tap, all));
    w.stream(publisher, 30..32);
    w.end();
}

#[test]
fn a_slow_tap_loses_video_up_to_a_keyframe_and_nobody_else_does() {
    let mut w = World::new(1);
    let mut tap = w
        .server
        .tap_with(TapOptions::new("live/cam").max_bytes(20_000));
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..100);
    let mut events = drain(&mut tap);
    // The gap at the end is told with the end.
    w.leave(publisher);
    w.run(ms(100));
    events.extend(drain(&mut tap));
    let frames = frames_of(&events);
    let dropped = frames.last().expect("a frame").dropped;
    let count = |content| frames.iter().filter(|f| f.content == content).count();
    // Key frames of video, and audio.
    assert_eq!(count(FrameContent::Key), 10 + 100);
    assert_eq!(count(FrameContent::Inter) as u64 + dropped, 90);
    assert!(dropped > 50);

    let losses = |event: &TapEvent| match event {
        TapEvent::Lost { loss, .. } => Some(*loss),
        _ => None,
    };
    let losses: Vec<_> = events.iter().filter_map(losses).collect();
    assert_eq!(losses.iter().map(|loss| loss.frames).sum::<u64>(), dropped);
    for loss in &losses {
        // Pictures one after the other at 25 a second, of 1,000 bytes, their length of 4
        // and the tag's header of 5 (FLV 10.1, E.4.3).
        let pictures = loss.span().as_millis() as u64 / FRAME + 1;
        assert_eq!((loss.frames, loss.bytes), (pictures, pictures * 1009));
        let sent = |f: &&Frame| f.kind == MediaKind::Video && f.content != FrameContent::Header;
        let inside = |f: &&Frame| (loss.from_micros..=loss.to_micros).contains(&f.dts_micros);
        let kept = frames.iter().copied().filter(sent).filter(inside);
        assert_eq!(kept.count(), 0, "{loss:?}");
    }
    assert_whole(&w[player].media, &w[publisher].sent);
    drop(tap);
    w.end();
}

#[test]
fn a_closed_tap_holds_no_memory() {
    let mut w = World::with(1, |c| c.streams.republish_grace = ms(0));
    let tap = w.server.tap("live/cam");
    let publisher = w.live("live/cam");
    w.stream_of(publisher, 0..20, 10_000);
    let with = w.shared.budget.used();
    drop(tap);
    w.stream_of(publisher, 20..40, 10_000);
    assert!(w.shared.budget.used() < with * 3);
    w.kill(publisher);
    w.run(ms(100));
    assert_eq!(w.shared.budget.used(), 0);
    assert_eq!(w.shared.directory.lock().len(), 0);
    w.end();
}

#[test]
fn the_host_publishes_to_players_and_taps() {
    for workers in 1..=3 {
        let mut w = World::new(workers);
        let players = [(); 3].map(|()| w.player("live/host"));
        let mut publisher = w.server.publish("live/host").expect("published");
        let mut tap = w.server.tap("live/host");
        let mut sent = Vec::new();
        for n in 0..20 {
            let picture = media::video(n % 10 == 0, n, 500);
            sent.push(Piece::new(MediaKind::Video, n * 40, picture.clone()));
            publisher
                .write_message(MediaKind::Video, n * 40, picture)
                .expect("room");
            w.run(ms(40));
        }
        let late = w.player("live/host");
        w.run(ms(50));
        for player in players {
            assert_eq!(assert_whole(&w[player].media, &sent), 0);
        }
        assert_eq!(assert_whole(&w[late].media, &sent), 10);
        assert_eq!(frames_of(&drain(&mut tap)).len(), 20);
        let metrics = w.metrics();
        assert_eq!((metrics.publishers, metrics.subscribers), (1, 4));

        drop(publisher);
        w.run(ms(50));
        assert!(w[late].end_of_stream().is_some());
        assert!(matches!(drain(&mut tap).last(), Some(TapEvent::Ended(_))));
        drop(tap);
        w.end();
    }
}

#[test]
fn host_and_network_publishers_exclude_each_other() {
    let mut w = World::new(2);
    let _network = w.live("live/cam");
    assert_eq!(w.server.publish("live/cam").err(), Some(PublishError::Busy));
    let host = w.server.publish("live/host").expect("published");
    let refused = w.client(ClientMode::Publish, "live/host");
    w.until("the refusal", |w| w[refused].failure.is_some());
    assert_eq!(w.server.publish("").err(), Some(PublishError::EmptyName));
    drop(host);
    w.end();
}

fn write(publisher: &mut Publisher, n: u32) -> Result<(), PublishError> {
    let picture = media::video(n.is_multiple_of(10), n, 500);
    publisher.write_message(MediaKind::Video, n * 40, picture)
}

#[test]
fn a_host_publisher_that_was_taken_over_is_told_when_it_writes() {
    for workers in 1..=3 {
        let mut w = World::with(workers, |c| {
            c.streams.second_publisher = SecondPublisher::Takeover;
        });
        let mut first = w.server.publish("live/cam").expect("published");
        assert_eq!(write(&mut first, 0), Ok(()));
        let second = w.live("live/cam");
        assert_eq!(write(&mut first, 1), Err(PublishError::TakenOver));
        // The host takes it back, and the connection is told.
        let mut third = w.server.publish("live/cam").expect("published");
        w.until("the connection's end", |w| w[second].is_closed());
        let player = w.player("live/cam");
        assert_eq!(write(&mut third, 0), Ok(()));
        assert_eq!(write(&mut first, 2), Err(PublishError::TakenOver));
        drop(first);
        w.run(ms(50));
        assert_eq!(
            w[player].media.len(),
            1,
            "an earlier publisher ends nothing"
        );
        drop(third);
        w.run(ms(50));
        let count = |fits: fn(&Event) -> bool| w.count(fits);
        assert_eq!(count(|e| matches!(e, Event::StreamPublished { .. })), 3);
        assert_eq!(count(|e| matches!(e, Event::StreamUnpublished { .. })), 1);
        assert_eq!(count(|e| matches!(e, Event::StreamEnded { .. })), 1);
        w.end();
    }
}

#[test]
fn the_host_ends_a_stream_that_it_publishes() {
    for grace in [0, 5000] {
        let mut w = World::with(2, |c| c.streams.goodbye_grace = ms(grace));
        let mut publisher = w.server.publish("live/cam").expect("published");
        let player = w.player("live/cam");
        assert_eq!(write(&mut publisher, 0), Ok(()));
        w.run(ms(50));
        assert!(w.server.end_stream("live/cam", "over"));
        w.run(ms(50));
        assert_eq!(write(&mut publisher, 1), Err(PublishError::Ended));
        w.run(ms(grace + 100));
        assert!(w[player].end_of_stream().is_some());
        assert!(!w.server.end_stream("live/cam", "again"));
        let mut again = w.server.publish("live/cam").expect("the name is free");
        assert_eq!(write(&mut again, 0), Ok(()));
        assert_eq!(write(&mut publisher, 2), Err(PublishError::Ended));
        drop(publisher);
        w.run(ms(50));
        assert_eq!(write(&mut again, 1), Ok(()));
        drop(again);
        w.run(ms(grace + 100));
        let count = |fits: fn(&Event) -> bool| w.count(fits);
        assert_eq!(count(|e| matches!(e, Event::StreamPublished { .. })), 2);
        assert_eq!(count(|e| matches!(e, Event::StreamUnpublished { .. })), 2);
        assert_eq!(count(|e| matches!(e, Event::StreamEnded { .. })), 2);
        w.end();
    }
}

#[test]
fn a_host_publisher_learns_that_its_worker_died() {
    let mut w = World::new(1);
    let mut publisher = w.server.publish("live/cam").expect("published");
    w.shared.inboxes[0].send(Command::Panic);
    w.run(ms(0));
    assert_eq!(write(&mut publisher, 1), Err(PublishError::Ended));
    drop(publisher);
    w.end();
}

/// 49.7 days of milliseconds do not fit into 32 bits.
#[test]
fn a_taps_times_go_on_where_those_of_the_wire_start_again() {
    let mut setup = Setup::new(1);
    // Its publisher is silent for days.
    setup.config.streams.media_timeout = Duration::ZERO;
    setup.config.streams.message_timeout = Duration::ZERO;
    let mut w = setup.build();
    let mut early = w.server.tap("live/cam");
    let publisher = w.live("live/cam");
    let times: Vec<i64> = (0..12).map(|n| n * 500_000_000).collect();
    for (n, &time) in times.iter().enumerate() {
        let picture = media::video(true, n as u32, 100);
        w.send(publisher, MediaKind::Video, time as u32, picture);
        w.run(ms(if n < 11 { 500_000_000 } else { 10 }));
    }
    let mut late = w.server.tap("live/cam");
    w.send(publisher, MediaKind::Data, 0, media::metadata(320.0));
    w.run(ms(10));
    let seen = |tap: &mut Tap, contents: &[FrameContent]| -> Vec<i64> {
        let events = drain(tap);
        let frames = frames_of(&events).into_iter();
        let of_interest = frames.filter(|f| contents.contains(&f.content));
        of_interest.map(|f| f.dts_micros / 1000).collect()
    };
    assert_eq!(seen(&mut early, &[FrameContent::Key]), times);
    let newest = times[11];
    assert!(newest > i64::from(u32::MAX));
    // Metadata, both headers, the key frame, and metadata again.
    let all = [
        FrameContent::Metadata,
        FrameContent::Header,
        FrameContent::Key,
    ];
    assert_eq!(seen(&mut late, &all), [newest; 5]);
    drop((early, late));
    w.end();
}

#[test]
fn a_tap_on_all_streams_takes_from_each_in_turn() {
    let mut w = World::new(2);
    let mut all = w.server.tap_all();
    let names = ["live/a", "live/b", "live/c"];
    let publishers = names.map(|name| w.live(name));
    for n in 0..20 {
        for publisher in publishers {
            w[publisher].frame(n, 100);
        }
        w.run(ms(40));
    }
    let events = drain(&mut all);
    let frames = frames_of(&events);
    for taken in frames.chunks(3).take(40) {
        let mut streams: Vec<_> = taken.iter().map(|f| f.stream.name.reveal()).collect();
        streams.sort_unstable();
        assert_eq!(streams, names);
    }
    drop(all);
    w.end();
}

#[test]
fn a_slow_tap_sees_a_streams_end_before_its_return() {
    let mut w = World::new(1);
    let (mut all, mut one) = (w.server.tap_all(), w.server.tap("live/cam"));
    for _ in 0..3 {
        let publisher = w.live("live/cam");
        w.stream(publisher, 0..3);
        w.leave(publisher);
        w.run(ms(100));
    }
    for tap in [&mut all, &mut one] {
        let events = drain(tap);
        let mut live = false;
        let mut ends = 0;
        for event in events {
            match event {
                TapEvent::Started(_) => assert!(!std::mem::replace(&mut live, true)),
                TapEvent::Tracks { .. } | TapEvent::Frame(_) => assert!(live),
                TapEvent::Ended(_) => {
                    assert!(std::mem::replace(&mut live, false));
                    ends += 1;
                }
                event => panic!("{event:?}"),
            }
        }
        assert_eq!(ends, 3);
    }
    drop((all, one));
    w.end();
}

#[test]
fn a_host_that_is_faster_than_its_worker_is_told() {
    let mut w = World::new(1);
    let mut publisher = w.server.publish("live/host").expect("published");
    // The worker takes nothing, since no time passes.
    let big = Bytes::from(vec![0x27; 8 << 20]);
    let mut results = Vec::new();
    for n in 0..5 {
        results.push(publisher.write_video(&VideoPacket {
            codec: VideoCodec::Avc,
            track: 0,
            frame_type: FrameType::Inter,
            kind: VideoPacketKind::Frame,
            timestamp: n,
            composition_time: 0,
            body: &big,
        }));
    }
    assert_eq!(results[0], Ok(()));
    assert_eq!(results[4], Err(PublishError::Full));
    w.run(ms(10));
    let again = publisher.write_message(MediaKind::Video, 9, big.slice(..100));
    assert_eq!(again, Ok(()));
    let long = Bytes::from(vec![0; 16 << 20]);
    let too_long = publisher.write_message(MediaKind::Video, 9, long);
    assert_eq!(too_long, Err(PublishError::TooLong));
    drop(publisher);
    w.end();
}
