//! Joining a stream, and what a player is told and given.

use bytes::Bytes;
use openrtmp_protocol::amf::Value;
use openrtmp_protocol::command::code;
use openrtmp_protocol::session::{ClientMode, MediaKind};

use super::media::{self, Class, assert_whole, frames};
use super::world::{FRAME, Who, World, ms};
use crate::events::Event;

#[test]
fn a_late_joiner_gets_metadata_headers_and_then_a_keyframe() {
    for workers in 1..=3 {
        let mut w = World::new(workers);
        let publisher = w.live("live/cam");
        w.stream(publisher, 0..25);
        let player = w.player("live/cam");
        w.stream(publisher, 25..60);
        w.run(ms(50));

        let got = &w[player].media;
        let classes: Vec<Class> = got.iter().take(4).map(|p| p.class()).collect();
        let expected = [
            Class::Metadata,
            Class::VideoHeader,
            Class::AudioHeader,
            Class::Key,
        ];
        assert_eq!(classes, expected, "{workers} workers");
        assert_eq!(got[0].payload, media::metadata(640.0));
        assert_eq!(got[1].payload, media::video_header(0));
        assert_eq!(got[2].payload, media::audio_header());
        // Metadata stands at zero, headers at the time of the frame that follows.
        assert_eq!(got[0].timestamp, 0);
        assert!(got[1..4].iter().all(|p| p.timestamp == got[3].timestamp));
        let start = assert_whole(got, &w[publisher].sent);
        assert_eq!(start, 40, "the newest key frame at the join: number 20");
        w.end();
    }
}

/// How late frames are is said of those that came while the player was there.
#[test]
fn what_a_joiner_gets_from_the_cache_is_no_delay() {
    for workers in 1..=3 {
        let mut w = World::new(workers);
        let publisher = w.live("live/cam");
        w.stream(publisher, 0..28);
        let player = w.player("live/cam");
        w.run(ms(500));
        assert!(w[player].media.len() > 10, "from the cache");
        assert_eq!(w.metrics().delay.frames, 0, "{workers} workers");
        w.stream(publisher, 28..30);
        w.run(ms(500));
        let delay = w.metrics().delay;
        assert_eq!(delay.frames, 4, "two pictures, two of audio: {delay:?}");
        assert!(delay.p99_ms < 40.0, "{delay:?}");
        w.end();
    }
}

#[test]
fn many_players_of_several_streams_each_get_their_own() {
    let mut w = World::new(3);
    let names = ["live/a", "live/b", "other/room/a"];
    let publishers = names.map(|name| w.live(name));
    let mut players = Vec::new();
    for n in 0..40 {
        for (publisher, name) in publishers.iter().zip(names) {
            if n % 4 == 0 {
                players.push((*publisher, w.player(name)));
            }
            // The stream's number is in its frames.
            w[*publisher].frame(n, 100 + 50 * name.len());
        }
        w.run(ms(40));
    }
    w.run(ms(50));
    for (publisher, player) in players {
        assert_whole(&w[player].media, &w[publisher].sent);
    }
    assert_eq!(w.metrics().streams.len(), 3);
    w.end();
}

#[test]
fn a_player_before_its_publisher_gets_all_from_the_first_frame() {
    for workers in 1..=3 {
        let mut w = World::new(workers);
        let player = w.player("live/cam");
        assert_eq!(w[player].status(code::PLAY_PUBLISH_NOTIFY), None);
        w.run(ms(40_000));
        assert!(!w[player].is_closed(), "waiting is not being idle");
        let publisher = w.live("live/cam");
        w.stream(publisher, 0..15);
        w.run(ms(50));
        assert!(w[player].status(code::PLAY_PUBLISH_NOTIFY).is_some());
        let payloads = |pieces: &[media::Piece]| -> Vec<_> {
            pieces.iter().map(|p| p.payload.clone()).collect()
        };
        assert_eq!(payloads(&w[player].media), payloads(&w[publisher].sent));
        assert_whole(&w[player].media, &w[publisher].sent);
        w.end();
    }
}

#[test]
fn without_waiting_a_stream_that_is_not_there_is_not_found() {
    let mut w = World::with(2, |c| c.streams.wait_for_publisher = false);
    let early = w.client(ClientMode::Play, "live/cam");
    w.until("the refusal", |w| w[early].failure.is_some());
    assert_eq!(w[early].refusal(), Some(code::PLAY_STREAM_NOT_FOUND));
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..5);
    let player = w.player("live/cam");
    w.stream(publisher, 5..15);
    w.run(ms(50));
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

#[test]
fn the_join_answers_within_two_round_trips_of_play() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..30);
    let player = w.player("live/cam");
    let ready = w[player].time_of(|_| true).expect("an event");
    let at = w.until("a key frame", |w| !frames(&w[player].media).is_empty());
    // 1 ms of latency each way; the frames are in the cache already.
    assert!(at.since(ready) <= ms(15), "{:?}", at.since(ready));
    w.end();
}

#[test]
fn a_changed_header_goes_to_all_and_a_repeated_one_to_nobody() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let early = w.player("live/cam");
    w.stream(publisher, 0..10);
    w.send(publisher, MediaKind::Video, 400, media::video_header(0));
    w.stream(publisher, 10..20);
    w.send(publisher, MediaKind::Video, 800, media::video_header(1));
    w.stream(publisher, 20..25);
    let late = w.player("live/cam");
    w.stream(publisher, 25..30);
    w.run(ms(50));

    let headers = |who| -> Vec<_> {
        let is_header = |p: &&media::Piece| p.class() == Class::VideoHeader;
        let headers = w[who].media.iter().filter(is_header);
        headers.map(|p| p.payload.clone()).collect()
    };
    assert_eq!(
        headers(early),
        [media::video_header(0), media::video_header(1)]
    );
    assert_eq!(headers(late), [media::video_header(1)]);
    assert_whole(&w[early].media, &w[publisher].sent);
    assert_whole(&w[late].media, &w[publisher].sent);
    w.end();
}

#[test]
fn a_joiner_right_after_a_changed_header_gets_no_frame_of_the_old_one() {
    let mut w = World::new(1);
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..15);
    w.send(publisher, MediaKind::Video, 600, media::video_header(1));
    w.run(ms(20));
    let player = w.player("live/cam");
    w.run(ms(20));
    assert_eq!(frames(&w[player].media), Vec::<&media::Piece>::new());
    w.stream(publisher, 20..25);
    w.run(ms(50));
    assert_eq!(assert_whole(&w[player].media, &w[publisher].sent), 30);
    w.end();
}

#[test]
fn metadata_is_updated_and_late_joiners_get_the_newest() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let early = w.player("live/cam");
    w.stream(publisher, 0..5);
    w.send(publisher, MediaKind::Data, 0, media::metadata(1280.0));
    w.stream(publisher, 5..8);
    let late = w.player("live/cam");
    w.run(ms(50));
    let metadata = |who| -> Vec<_> {
        let is_metadata = |p: &&media::Piece| p.class() == Class::Metadata;
        let found = w[who].media.iter().filter(is_metadata);
        found.map(|p| p.payload.clone()).collect()
    };
    assert_eq!(
        metadata(early),
        [media::metadata(640.0), media::metadata(1280.0)]
    );
    assert_eq!(metadata(late), [media::metadata(1280.0)]);
    w.end();
}

#[test]
fn a_stream_without_metadata_gets_one_made_from_its_packets() {
    let mut w = World::new(1);
    let publisher = w.publisher("live/cam");
    w.send(publisher, MediaKind::Video, 0, media::video_header(0));
    w.send(publisher, MediaKind::Audio, 0, media::audio_header());
    w.stream(publisher, 0..3);
    let player = w.player("live/cam");
    w.run(ms(50));
    let first = &w[player].media[0];
    assert_eq!(first.class(), Class::Metadata);
    assert!(first.payload.starts_with(b"\x02\x00\x0aonMetaData"));
    let has = |name: &[u8]| first.payload.windows(name.len()).any(|w| w == name);
    assert!(has(b"videocodecid") && has(b"audiocodecid"));
    w.end();
}

#[test]
fn audio_alone_starts_at_once() {
    let mut w = World::new(2);
    let publisher = w.publisher("live/radio");
    w.send(publisher, MediaKind::Audio, 0, media::audio_header());
    let early = w.player("live/radio");
    for n in 0..10 {
        w.send(publisher, MediaKind::Audio, n * 23, media::audio(n));
        w.run(ms(23));
    }
    let late = w.player("live/radio");
    for n in 10..20 {
        w.send(publisher, MediaKind::Audio, n * 23, media::audio(n));
        w.run(ms(23));
    }
    assert_eq!(frames(&w[early].media).len(), 20);
    let first = frames(&w[late].media)[0].payload.clone();
    assert_eq!(first, media::audio(10), "there is nothing to decode before");
    w.end();
}

/// A player that played five frames and was told to do without something for ten, after
/// it wants everything again; and where that begins in its media.
fn again(workers: usize, command: &str, off: &[Value], on: &[Value]) -> (World, Who, usize) {
    let mut w = World::new(workers);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..5);
    w[player].command(command, off);
    w.run(ms(10));
    let before = w[player].media.len();
    w.stream(publisher, 5..15);
    let is_video = |p: &&media::Piece| p.kind == MediaKind::Video;
    assert_eq!(w[player].media[before..].iter().find(is_video), None);
    let begin = w[player].media.len();
    w[player].command(command, on);
    // No frame is sent meanwhile.
    w.run(ms(10));
    (w, player, begin)
}

fn is_key(piece: &media::Piece) -> bool {
    piece.class() == Class::Key
}

#[test]
fn a_player_that_paused_goes_on_at_once_as_one_that_joins() {
    let paused = |on: bool| [on.into(), 0.0.into()];
    for workers in 1..=3 {
        let (mut w, player, begin) = again(workers, "pause", &paused(true), &paused(false));
        let got = frames(&w[player].media[begin..]);
        assert_eq!(got[0].payload, media::video(true, 10, 1000));
        assert_eq!(got.len(), 10, "five pictures and their audio");
        // Going on twice is nothing new.
        let before = w[player].media.len();
        w[player].command("pause", &paused(false));
        w.run(ms(10));
        assert_eq!(w[player].media.len(), before);
        w.end();
    }
}

#[test]
fn a_player_that_wants_video_again_gets_it_at_once() {
    for workers in 1..=3 {
        let (off, on) = ([false.into()], [true.into()]);
        let (mut w, player, begin) = again(workers, "receiveVideo", &off, &on);
        let audio = |p: &&media::Piece| p.kind == MediaKind::Audio;
        let before = w[player].media[..begin].iter().filter(audio).count();
        assert_eq!(before, 1 + 15, "audio went on");
        let got = frames(&w[player].media[begin..]);
        assert!(is_key(got[0]) && got[0].payload == media::video(true, 10, 1000));
        assert_eq!(got.len(), 5, "pictures only: it has the audio");
        let before = w[player].media.len();
        w[player].command("receiveVideo", &on);
        w.run(ms(10));
        assert_eq!(w[player].media.len(), before);
        w.end();
    }
}

#[test]
fn timestamps_are_told_on_one_clock_whatever_the_publisher_does() {
    // A negative start, as DJI sends: both tracks start at zero.
    assert_eq!(
        relayed(&[0u32.wrapping_sub(200), 0u32.wrapping_sub(160), 0]),
        [0, 40, 200]
    );
    // The wrap of 32 bits, after a start in the upper half is taken as negative.
    let near = u32::MAX / 2 - 19;
    assert_eq!(relayed(&[near, near + 40]), [near, near + 40]);
    // A step that no time passed for is a clock that was set.
    assert_eq!(relayed(&[0, 40, 5040, 5080]), [0, 40, 80, 120]);
    assert_eq!(relayed(&[0, 40, 3_600_000, 120]), [0, 40, 80, 120]);
}

#[test]
fn a_gap_of_one_track_under_another_is_kept_and_counted() {
    let mut w = World::new(1);
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..10);
    for n in 10..60 {
        w.send(publisher, MediaKind::Audio, n * 40 + 5, media::audio(n));
        w.run(ms(40));
    }
    w.stream(publisher, 60..70);
    w.run(ms(50));
    let stream = &w.metrics().streams[0];
    assert_eq!((stream.gaps, stream.rebases, stream.strays), (1, 0, 0));
    w.end();
}

#[test]
fn headers_wait_for_the_first_frame_and_carry_its_time() {
    let hours = 18_000_000;
    let mut w = World::new(2);
    let early = w.player("live/cam");
    let publisher = w.live("live/cam");
    w.run(ms(100));
    let joined = w.player("live/cam");
    w.run(ms(100));
    for n in 0..3 {
        let picture = media::video(n == 0, n, 100);
        w.send(publisher, MediaKind::Video, hours + n * 40, picture);
    }
    w.run(ms(50));
    for who in [early, joined] {
        let classes: Vec<_> = w[who].media.iter().map(|p| p.class()).take(4).collect();
        let expected = [
            Class::Metadata,
            Class::VideoHeader,
            Class::AudioHeader,
            Class::Key,
        ];
        assert_eq!(classes, expected);
        assert!(w[who].media[1..4].iter().all(|p| p.timestamp == hours));
    }
    w.end();
}

#[test]
fn a_stream_may_begin_at_zero_whatever_its_publishers_clock_says() {
    let mut w = World::with(1, |c| c.streams.start_at_zero = true);
    let player = w.player("live/cam");
    let publisher = w.live("live/cam");
    for n in 0..3 {
        let picture = media::video(n == 0, n, 100);
        w.send(publisher, MediaKind::Video, 18_000_000 + n * 40, picture);
    }
    w.run(ms(50));
    let times = frames(&w[player].media);
    let times: Vec<u32> = times.iter().map(|p| p.timestamp).collect();
    assert_eq!(times, [0, 40, 80]);
    w.end();
}

#[test]
fn a_jump_back_goes_on_where_the_clock_stood() {
    let times = relayed(&[60_000, 60_040, 0, 40]);
    assert_eq!(times, [60_000, 60_040, 60_080, 60_120]);
}

/// What a player gets for key frames sent at these times, 40 ms apart.
fn relayed(timestamps: &[u32]) -> Vec<u32> {
    let mut w = World::new(2);
    let player = w.player("live/cam");
    let publisher = w.live("live/cam");
    w.run(ms(10));
    for (n, timestamp) in timestamps.iter().enumerate() {
        let picture = media::video(true, n as u32, 50);
        w.send(publisher, MediaKind::Video, *timestamp, picture);
        w.run(ms(40));
    }
    let times = frames(&w[player].media);
    let times = times.iter().map(|p| p.timestamp).collect();
    w.end();
    times
}

#[test]
fn events_tell_of_publishers_tracks_and_subscribers_in_order() {
    let mut w = World::new(1);
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..2);
    let player = w.player("live/cam");
    w.leave(player);
    w.run(ms(100));
    w.leave(publisher);
    w.run(ms(100));
    let story: Vec<&str> = w
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::ServerStarted { .. } => Some("started"),
            Event::StreamPublished { takeover, .. } if !takeover => Some("published"),
            Event::StreamTracks { tracks, .. } if tracks.len() == 2 => Some("tracks"),
            Event::SubscriberJoined { .. } => Some("joined"),
            Event::SubscriberLeft { dropped: 0, .. } => Some("left"),
            Event::StreamUnpublished { .. } => Some("unpublished"),
            Event::StreamEnded { .. } => Some("ended"),
            _ => None,
        })
        .collect();
    let expected = [
        "started",
        "published",
        "tracks",
        "joined",
        "left",
        "unpublished",
        "ended",
    ];
    assert_eq!(story, expected);
    w.end();
}

#[test]
fn metadata_that_was_cleared_is_not_given_to_who_joins() {
    let clears: [&[u8]; 3] = [
        b"\x02\x00\x0f@clearDataFrame\x02\x00\x0aonMetaData",
        b"\x02\x00\x0f@clearDataFrame",
        // The same as AMF3.
        b"\x11\x06\x1f@clearDataFrame\x11\x06\x15onMetaData",
    ];
    for clear in clears {
        let mut w = World::new(2);
        let publisher = w.live("live/cam");
        w.stream(publisher, 0..5);
        let early = w.player("live/cam");
        w.run(ms(50));
        let before = w[early].media.len();
        w.send(publisher, MediaKind::Data, 200, Bytes::from_static(clear));
        w.run(ms(50));
        assert_eq!(w[early].media.len(), before, "it is not passed on");
        let late = w.player("live/cam");
        w.run(ms(50));
        let of_late = w[late].media.iter();
        let found: Vec<_> = of_late.filter(|p| p.class() == Class::Metadata).collect();
        // What the packets showed stands for it.
        assert_eq!(found.len(), 1);
        assert_ne!(found[0].payload, media::metadata(640.0));
        // Another name was never kept.
        let other = b"\x02\x00\x0f@clearDataFrame\x02\x00\x05other";
        w.send(publisher, MediaKind::Data, 240, media::metadata(1280.0));
        w.send(publisher, MediaKind::Data, 240, Bytes::from_static(other));
        w.run(ms(50));
        let last = w.player("live/cam");
        w.run(ms(50));
        let mut of_last = w[last].media.iter();
        assert!(of_last.any(|p| p.payload == media::metadata(1280.0)));
        w.end();
    }
}

#[test]
fn a_picture_that_stops_while_sound_goes_on_is_told() {
    let mut w = World::with(2, |c| c.streams.video_timeout = ms(2000));
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..25);
    let stopped = |w: &World| w.count(|e| matches!(e, Event::VideoStopped { .. }));
    let resumed = |w: &World| w.count(|e| matches!(e, Event::VideoResumed { .. }));
    for number in 25..125 {
        let time = number * FRAME as u32;
        w.send(publisher, MediaKind::Audio, time, media::audio(number));
        w.run(ms(FRAME));
    }
    assert_eq!((stopped(&w), resumed(&w)), (1, 0));
    let told = |e: &Event| match e {
        Event::VideoStopped { silence, .. } => *silence >= ms(2000) && *silence < ms(2100),
        _ => false,
    };
    assert_eq!(w.count(told), 1);
    w.stream(publisher, 125..150);
    assert_eq!((stopped(&w), resumed(&w)), (1, 1));
    w.end();
}
