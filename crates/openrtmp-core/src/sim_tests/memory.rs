//! Memory is charged where it is held, shared out among those who hold it, and given
//! way to by those who get rid of nothing; and what is done for one message does not
//! depend on how many wait.

use bytes::BytesMut;
use openrtmp_protocol::chunk::ChunkWriter;
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::MediaKind;

use super::hostile::connect_command;
use super::lines::Lines;
use super::media::{self, assert_whole};
use super::world::{Setup, Who, World, ms};
use crate::budget::Charge;
use crate::events::{CloseReason, Event};
use crate::limit::Limit;
use crate::steps;
use crate::tap::TapOptions;

/// A server with small buffers in its network, whose memory is looked at.
fn small(workers: usize, memory: usize) -> Setup {
    let mut setup = Setup::new(workers);
    setup.network.send_buffer = 8 * 1024;
    setup.network.receive_buffer = 8 * 1024;
    setup.config.limits.memory = memory;
    setup
}

/// A raw client that has said `connect` and has message streams 1 and 2.
fn connected(w: &mut World) -> Who {
    let who = w.shaken();
    w[who].say(&connect_command());
    for _ in 0..2 {
        w[who].command_on(0, "createStream", &[]);
    }
    w.until("_result", |w| w[who].received.len() > 100);
    who
}

/// One that publishes.
fn publishing(w: &mut World, name: &str) -> Who {
    let who = connected(w);
    w[who].command_on(1, "publish", &[name.into(), "live".into()]);
    w.run(ms(50));
    who
}

/// One that plays on a message stream and takes nothing from now on.
fn stuck(w: &mut World, message_stream: u32, name: &str) -> Who {
    let who = connected(w);
    w[who].reading = false;
    w[who].command_on(message_stream, "play", &[name.into()]);
    w.run(ms(50));
    who
}

fn message(chunk_stream: u32, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    ChunkWriter::new().write(chunk_stream, kind, 1, 0, body, &mut bytes);
    bytes.to_vec()
}

fn told(w: &World, limit: Limit) -> usize {
    w.count(|e| matches!(e, Event::LimitReached { limit: l, .. } if *l == limit))
}

/// Streams in which a frame was refused.
fn starved(w: &mut World) -> Vec<u64> {
    let streams = w.metrics().streams;
    streams
        .iter()
        .map(|s| s.starved_frames)
        .filter(|n| *n > 0)
        .collect()
}

#[test]
fn playing_again_and_again_without_reading_holds_what_its_share_allows() {
    const LIMIT: usize = 4 << 20;
    let mut setup = small(1, LIMIT);
    setup.config.queue.max_bytes = 1 << 20;
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let flooder = publishing(&mut w, "tiny");
    w[flooder].say(&message(6, kind::VIDEO, b"\x17\x01\0\0\0"));
    w[flooder].say(&message(4, kind::AUDIO, b"\xaf"));
    // A byte each: fmt 3 on chunk stream 4.
    w[flooder].say(&[0xC4; 2000]);
    w.run(ms(200));
    let mut most = 0;
    let mut frames = 0;
    for _ in 0..8 {
        let who = stuck(&mut w, 2, "tiny");
        for _ in 0..100 {
            w[who].command_on(2, "play", &["tiny".into()]);
        }
        for _ in 0..10 {
            w[publisher].frame(frames, 1000);
            w.run(ms(40));
            frames += 1;
            most = most.max(w.shared.budget.used());
        }
    }
    assert!(most < LIMIT, "{most}");
    assert!(most > 200_000, "entries are counted: {most}");
    assert_eq!(starved(&mut w), [0; 0]);
    assert_whole(&w[player].media, &w[publisher].sent);
    let slow = |r: &CloseReason| matches!(r, CloseReason::TooSlow(_) | CloseReason::Limit(_));
    assert!(
        w.close_reasons().iter().all(slow),
        "{:?}",
        w.close_reasons()
    );
    w.end();
}

#[test]
fn headers_are_held_once_however_many_joins_wait_for_them() {
    let mut w = small(1, 64 << 20).build();
    let publisher = publishing(&mut w, "headers");
    let mut header = media::video_header(0).to_vec();
    header.resize(500_000, 7);
    w[publisher].say(&message(6, kind::VIDEO, &header));
    w.run(ms(500));
    let before = w.shared.budget.used();
    assert!(before > 500_000);
    for _ in 0..5 {
        let who = stuck(&mut w, 2, "headers");
        for n in 0..20u32 {
            w[who].command_on(2, "play", &["headers".into()]);
            // The start of the stream moves: nobody's header has another's time.
            w[publisher].say(&message(4, kind::AUDIO, &[0xAF, 1, n as u8]));
            w.run(ms(10));
        }
    }
    let held = w.shared.budget.used() - before;
    assert!(held < 300_000, "{held} for a hundred joins");
    w.end();
}

#[test]
fn an_aggregate_of_tiny_parts_is_held_as_its_parts_are_and_sent_as_they_come() {
    const LIMIT: usize = 64 << 20;
    let mut setup = Setup::new(1);
    setup.config.limits.memory = LIMIT;
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let flooder = publishing(&mut w, "parts");
    let players = [(); 10].map(|()| w.player("live/parts"));
    let part = [8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xAF, 0, 0, 0, 12];
    let parts = 20_000;
    let before = w.shared.budget.used();
    w[flooder].say(&message(5, 22, &part.repeat(parts)));
    let mut most = 0;
    for n in 0..25 {
        w[publisher].frame(n, 1000);
        w.run(ms(40));
        most = most.max(w.shared.budget.used() - before);
    }
    // Nothing waits for players that read, but the GOP cache is not for audio alone.
    assert!(most < 2 << 20, "{most}");
    let heaviest = w.heaviest_turn();
    assert!(heaviest < 3_000_000, "{heaviest}");
    assert!(players.iter().all(|&who| w[who].media.len() == parts));
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

#[test]
fn a_player_stuck_inside_a_frame_costs_no_look_at_its_queue() {
    let mut setup = small(1, 1 << 30);
    setup.config.queue.max_delay = ms(500);
    setup.config.limits.message_rate = 1_000_000;
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let flooder = publishing(&mut w, "keys");
    let who = stuck(&mut w, 1, "keys");
    // A small key frame, an inter frame larger than the system takes, key frames.
    let key = media::video(true, 0, 8);
    w[flooder].say(&message(6, kind::VIDEO, &media::video_header(0)));
    w[flooder].say(&message(6, kind::VIDEO, &key));
    w[flooder].say(&message(6, kind::VIDEO, &media::video(false, 1, 100_000)));
    w[flooder].say(&message(7, kind::VIDEO, &key));
    // The same again: fmt 3 on chunk stream 7.
    let again = [&[0xC7], &key[..]].concat();
    const WAITING: u64 = 20_000;
    w[flooder].say(&again.repeat(WAITING as usize));
    w.stream(publisher, 0..25);
    let before = steps::taken();
    const MORE: u64 = 2000;
    w[flooder].say(&again.repeat(MORE as usize));
    w.stream(publisher, 25..35);
    let steps = steps::taken() - before;
    assert!(steps > MORE, "it is congested: {steps}");
    assert!(steps < MORE * 100, "{steps} for {MORE} frames");
    assert!(!w[who].is_closed());
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

#[test]
fn those_who_take_nothing_go_first_the_largest_before_the_others() {
    const LIMIT: usize = 8 << 20;
    let mut setup = small(1, LIMIT);
    setup.config.gop.max_frames = 0;
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let flooder = publishing(&mut w, "large");
    let other = publishing(&mut w, "less");
    let much = stuck(&mut w, 1, "large");
    let less = stuck(&mut w, 1, "less");
    // Key frames wait for players; there is nothing to drop.
    let mut most = 0;
    for n in 0..100 {
        w[flooder].say(&message(6, kind::VIDEO, &media::video(true, n, 200_000)));
        w[other].say(&message(6, kind::VIDEO, &media::video(true, n, 20_000)));
        w[publisher].frame(n, 1000);
        w.run(ms(40));
        most = most.max(w.shared.budget.used());
    }
    assert!(most <= LIMIT, "{most}");
    assert!(most > LIMIT / 2, "{most}");
    assert_eq!(starved(&mut w), [0; 0]);
    assert_whole(&w[player].media, &w[publisher].sent);
    let reasons = w.close_reasons();
    assert!(
        matches!(&reasons[..], [CloseReason::Limit(text)] if text.contains("limits.memory")),
        "{reasons:?}"
    );
    for who in [much, less] {
        w[who].reading = true;
    }
    w.run(ms(500));
    assert!(w[much].is_closed() && !w[less].is_closed());
    assert!(told(&w, Limit::Memory) > 0);
    w.end();
}

#[test]
fn who_pauses_and_takes_nothing_gives_way_too() {
    const LIMIT: usize = 8 << 20;
    let mut w = small(2, LIMIT).build();
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let flooder = publishing(&mut w, "large");
    let mut most = 0;
    for n in 0..60 {
        if n % 10 == 0 {
            let who = stuck(&mut w, 1, "large");
            w.run(ms(40));
            for m in 0..10 {
                let frame = media::video(true, n * 10 + m, 200_000);
                w[flooder].say(&message(6, kind::VIDEO, &frame));
                w.run(ms(20));
            }
            w[who].command_on(1, "pause", &[true.into(), 0.0.into()]);
        }
        w[publisher].frame(n, 1000);
        w.run(ms(40));
        most = most.max(w.shared.budget.used());
    }
    assert!(most <= LIMIT, "{most}");
    assert_eq!(starved(&mut w), [0; 0]);
    assert_whole(&w[player].media, &w[publisher].sent);
    assert!(!w.close_reasons().is_empty());
    w.end();
}

#[test]
fn cached_frames_go_before_a_frame_is_refused() {
    const LIMIT: usize = 8 << 20;
    let lines = Lines::capture();
    let mut setup = small(1, LIMIT);
    // The line of the limit leaves room for one that says what comes of it.
    setup.config.limits.log_lines = 1;
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let flooders = [0, 1].map(|n| publishing(&mut w, &format!("cached{n}")));
    let mut most = 0;
    for n in 0..60 {
        for flooder in flooders {
            let frame = media::video(n == 0, n, 200_000);
            w[flooder].say(&message(6, kind::VIDEO, &frame));
        }
        w[publisher].frame(n, 1000);
        w.run(ms(40));
        most = most.max(w.shared.budget.used());
    }
    assert!(most <= LIMIT, "{most}");
    assert_eq!(starved(&mut w), [0; 0]);
    assert!(w.close_reasons().is_empty());
    assert!(told(&w, Limit::Memory) > 0);
    let dropped = "the cached frames are dropped for want of memory";
    assert!(Lines::count(&lines.take(), dropped) > 0);
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

/// Memory is nearly used up, and nobody can be asked for any: who has most of it gets no more,
/// and the others what is left.
#[test]
fn a_stream_beyond_its_share_is_refused_frames_before_one_within() {
    const LIMIT: usize = 1600 << 10;
    let mut w = small(1, LIMIT).build();
    let large = w.live("live/large");
    let mut tap = w.server.tap_with(TapOptions::new("live/large").messages());
    w.stream_of(large, 0..8, 100_000);
    // What the host keeps is the stream's.
    let kept: Vec<_> = std::iter::from_fn(|| tap.try_recv()).collect();
    drop(tap);
    let within = w.live("live/within");
    let player = w.player("live/within");
    let rest = LIMIT - LIMIT / 32 - w.shared.budget.used();
    let others = Charge::new(&w.shared.budget, rest);
    for n in 0..20 {
        w[large].frame(n, 1000);
        w[within].frame(n, 1000);
        w.run(ms(40));
    }
    assert_whole(&w[player].media, &w[within].sent);
    let metrics = w.metrics();
    let mut refused: Vec<_> = metrics.streams.iter().map(|s| s.starved_frames).collect();
    refused.sort_unstable();
    assert_eq!(refused[0], 0);
    assert!(refused[1] >= 20, "{refused:?}");
    assert_eq!(told(&w, Limit::Memory), 1);
    drop((kept, others));
    w.end();
}

#[test]
fn a_publisher_whose_stream_lives_elsewhere_is_not_read_without_credit() {
    const MESSAGES: usize = 64;
    let mut setup = Setup::new(2);
    setup.config.queue.worker_messages = MESSAGES;
    setup.config.streams.republish_grace = ms(60_000);
    let mut w = setup.build();
    // On worker 0, where the stream stays.
    let first = w.live("live/flood");
    let player = w.player("live/flood");
    w.stream(first, 0..1);
    w.kill(first);
    w.raw();
    w.run(ms(100));
    // On worker 1.
    let second = w.publisher("live/flood");
    let before = (w.shared.budget.used(), w[player].media.len());
    for n in 0..20_000u32 {
        let body = vec![0xAF, 1, n as u8].into();
        w.send(second, MediaKind::Audio, 200 + n / 100, body);
    }
    w.run_without(0, ms(1000));
    let held = w.shared.budget.used() - before.0;
    let unread = 256 << 10;
    assert!(held < MESSAGES * 300 + unread, "{held}");
    w.run(ms(3000));
    assert_eq!(
        w[player].media.len() - before.1,
        20_000,
        "all came in the end"
    );
    w.end();
}

#[test]
fn a_worker_that_does_not_keep_up_loses_frames_and_holds_nobody_up() {
    const MESSAGES: usize = 64;
    let lines = Lines::capture();
    let mut setup = Setup::new(2);
    setup.config.queue.worker_messages = MESSAGES;
    let mut w = setup.build();
    // On worker 0; the players on 1 and 0.
    let publisher = w.live("live/cam");
    let elsewhere = w.player("live/cam");
    let here = w.player("live/cam");
    w.stream(publisher, 0..10);
    let before = w.shared.budget.used();
    for n in 10..90 {
        w[publisher].frame(n, 1000);
        w.run_without(1, ms(40));
    }
    let held = w.shared.budget.used() - before;
    // What it may have on its way, twice, and what the cache has.
    assert!(held < 2 * MESSAGES * 1700 + 150_000, "{held}");
    let last = |w: &World, who: Who| w[who].media.last().cloned();
    assert_eq!(last(&w, here), w[publisher].sent.last().cloned());
    w.stream(publisher, 90..110);
    assert_whole(&w[here].media, &w[publisher].sent);
    media::assert_decodable(&w[elsewhere].media, &w[publisher].sent);
    assert_eq!(last(&w, elsewhere), w[publisher].sent.last().cloned());
    let metrics = w.metrics();
    assert!(metrics.streams[0].unfed_frames > 30);
    assert_eq!(told(&w, Limit::WorkerMessages), 1);
    assert_eq!(Lines::count(&lines.take(), "a worker does not keep up"), 1);
    w.end();
}
