//! Players that do not keep up.

use openrtmp_protocol::session::MediaKind;

use super::media::{self, Class, assert_decodable, assert_whole, frames};
use super::world::{Setup, World, ms};
use crate::events::{CloseReason, Event};

/// Small buffers, half a second of queue.
fn tight(workers: usize) -> Setup {
    let mut setup = Setup::new(workers);
    setup.network.send_buffer = 8 * 1024;
    setup.network.receive_buffer = 8 * 1024;
    setup.config = setup.config.with_low_latency();
    setup
}

fn dropped_told(w: &World) -> u64 {
    let dropped = |e| match e {
        Event::SubscriberDropping { dropped, .. } => dropped,
        _ => 0,
    };
    w.events().into_iter().map(dropped).sum()
}

#[test]
fn a_player_that_stops_reading_loses_video_only_and_resumes_at_a_keyframe() {
    for workers in 1..=2 {
        let mut w = tight(workers).build();
        let publisher = w.live("live/cam");
        let [slow, other, third] = [(); 3].map(|()| w.player("live/cam"));
        w.stream_of(publisher, 0..12, 2000);
        w[slow].reading = false;
        w.stream_of(publisher, 12..112, 2000);
        w[slow].reading = true;
        w.stream_of(publisher, 112..150, 2000);
        w.run(ms(100));

        assert_whole(&w[other].media, &w[publisher].sent);
        assert_whole(&w[third].media, &w[publisher].sent);
        assert_decodable(&w[slow].media, &w[publisher].sent);
        let count = |who, class| {
            let frames = frames(&w[who].media);
            frames.iter().filter(|p| p.class() == class).count()
        };
        let lost = count(other, Class::Inter) - count(slow, Class::Inter);
        assert!(lost > 50, "{lost} frames lost");
        assert_eq!(count(slow, Class::Audio), count(other, Class::Audio));
        assert_eq!(count(slow, Class::Key), count(other, Class::Key));
        // It is up to date again.
        let last = |who| frames(&w[who].media).last().map(|p| p.payload.clone());
        assert_eq!(last(slow), last(other));
        assert!(dropped_told(&w) > 0);

        let metrics = w.metrics();
        assert_eq!(metrics.dropped_frames, lost as u64);
        let of_stream: u64 = metrics.streams[0]
            .subscribers
            .iter()
            .map(|s| s.dropped_frames)
            .sum();
        assert_eq!(of_stream, lost as u64);
        w.leave(slow);
        w.run(ms(50));
        let left = |e: &Event| matches!(e, Event::SubscriberLeft { dropped, .. } if *dropped == lost as u64);
        assert_eq!(w.count(left), 1);
        w.end();
    }
}

#[test]
fn a_stuck_player_is_disconnected_after_the_stall_timeout() {
    let mut setup = tight(2);
    setup.config.queue.stall_timeout = ms(3000);
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let [stuck, other] = [(); 2].map(|()| w.player("live/cam"));
    w.stream_of(publisher, 0..12, 2000);
    w[stuck].reading = false;
    let mut n = 12;
    while w.close_reasons().is_empty() {
        w.stream_of(publisher, n..n + 1, 2000);
        n += 1;
        assert!(n < 200, "never disconnected");
    }
    let waited = u64::from(n - 12) * 40;
    assert!((3000..3800).contains(&waited), "{waited} ms");
    let reasons = w.close_reasons();
    assert!(
        matches!(&reasons[0], CloseReason::TooSlow(_)),
        "{reasons:?}"
    );
    assert_eq!(w.metrics().errors.too_slow, 1);
    w.run(ms(50));
    assert_whole(&w[other].media, &w[publisher].sent);
    w.end();
}

#[test]
fn a_player_that_takes_a_little_now_and_then_is_disconnected_when_far_behind() {
    let mut setup = tight(1);
    setup.config.queue.stall_timeout = ms(3000);
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let [trickling, other] = [(); 2].map(|()| w.player("live/cam"));
    let mut n = 0;
    while w.close_reasons().is_empty() {
        // Once in a quarter of a second it makes room for 8 KiB. What may not be
        // dropped, key frames and audio, is more.
        w[trickling].reading = n % 6 == 0;
        w.run(ms(1));
        w[trickling].reading = false;
        w[publisher].frame(n, 30_000);
        w.run(ms(39));
        n += 1;
        assert!(n < 600, "never disconnected");
    }
    let reasons = w.close_reasons();
    assert!(
        matches!(&reasons[0], CloseReason::TooSlow(text) if text.ends_with("s behind")),
        "{reasons:?}"
    );
    w.run(ms(50));
    assert_whole(&w[other].media, &w[publisher].sent);
    w.end();
}

#[test]
fn false_reports_of_room_do_not_save_a_stuck_player() {
    let mut setup = tight(1);
    setup.config.queue.stall_timeout = ms(3000);
    setup.network.faults.spurious_readiness = 0.5;
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let stuck = w.player("live/cam");
    w[stuck].reading = false;
    w.stream_of(publisher, 0..120, 2000);
    let reasons = w.close_reasons();
    assert!(
        matches!(&reasons[..], [CloseReason::TooSlow(_)]),
        "{reasons:?}"
    );
    w.end();
}

#[test]
fn a_player_beyond_the_hard_limit_is_disconnected_at_once() {
    let mut setup = tight(1);
    setup.config.queue.max_bytes = 64 * 1024;
    setup.config.gop.max_bytes = 0;
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let [greedy, other] = [(); 2].map(|()| w.player("live/cam"));
    w[greedy].reading = false;
    // Key frames stay, so that dropping does not help.
    for n in 0..40 {
        let picture = media::video(true, n, 8_000);
        w.send(publisher, MediaKind::Video, n * 40, picture);
        w.run(ms(40));
    }
    let reasons = w.close_reasons();
    assert_eq!(reasons.len(), 1);
    assert!(matches!(&reasons[0], CloseReason::TooSlow(text) if text.contains("behind")));
    assert_whole(&w[other].media, &w[publisher].sent);
    assert!(w.shared.budget.used() < 100_000, "its queue is gone");
    w.end();
}

#[test]
fn a_player_that_reads_slowly_gets_what_it_can_decode() {
    let mut w = tight(2).build();
    let publisher = w.live("live/cam");
    let slow = w.player("live/cam");
    for n in 0..300 {
        // It reads in one of four frames' time only.
        w[slow].reading = n % 4 == 0;
        w[publisher].frame(n, 60_000);
        w.run(ms(40));
    }
    w[slow].reading = true;
    w.run(ms(2000));
    assert_decodable(&w[slow].media, &w[publisher].sent);
    let pictures = frames(&w[slow].media);
    let pictures = pictures
        .iter()
        .filter(|p| p.kind == MediaKind::Video)
        .count();
    assert!((30..300).contains(&pictures), "{pictures} pictures");
    w.end();
}

#[test]
fn large_frames_go_through_small_buffers_whole() {
    let mut setup = tight(2);
    setup.config.queue.max_delay = ms(60_000);
    setup.config.rtmp.chunk_size = 128;
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    for n in 0..5 {
        w[publisher].frame(n, 300_000);
        w.run(ms(1000));
    }
    w.run(ms(3000));
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

#[test]
fn a_player_that_was_blocked_goes_on_when_writes_are_collected() {
    let mut w = World::with(1, |c| c.queue.write_coalesce = ms(200));
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..5);
    w[player].reading = false;
    // More than its socket takes, so that a write is cut short.
    w.stream_of(publisher, 5..15, 200_000);
    w[player].reading = true;
    w.stream(publisher, 15..30);
    w.run(ms(300));
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}
