//! What peers may make the server hold or do, and how long they may take.

use openrtmp_protocol::Time;
use openrtmp_protocol::command::code;
use openrtmp_protocol::session::ClientMode;

use super::hostile::connect_command;
use super::lines::Lines;
use super::media::assert_whole;
use super::world::{Who, World, ms};
use crate::events::{CloseReason, Event};

fn reached(w: &World, name: &str) -> usize {
    w.count(|e| matches!(e, Event::LimitReached { limit, .. } if limit.path() == name))
}

#[test]
fn who_finds_no_place_that_another_made_is_told_of_too() {
    let mut w = World::with(1, |c| {
        c.limits.connections = 1;
        c.limits.handshake_grace = ms(0);
    });
    let player = w.player("live/cam");
    let silent = w.raw();
    w.run(ms(10));
    let third = w.client(ClientMode::Play, "live/cam");
    w.until("the refusal", |w| w[third].failure.is_some());
    assert_eq!(w[third].refusal(), Some(code::CONNECT_REJECTED));
    assert!(w[silent].is_closed() && !w[player].is_closed());
    assert_eq!(reached(&w, "limits.handshake_grace"), 1);
    assert_eq!(reached(&w, "limits.connections"), 1);
    w.end();
}

#[test]
fn a_connection_too_many_is_refused_with_a_status() {
    let mut w = World::with(2, |c| c.limits.connections = 2);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let third = w.client(ClientMode::Play, "live/cam");
    w.stream(publisher, 0..5);
    assert_eq!(w[third].refusal(), Some(code::CONNECT_REJECTED));
    assert!(w[third].is_closed());
    assert_eq!(reached(&w, "limits.connections"), 1);
    assert_whole(&w[player].media, &w[publisher].sent);
    assert_eq!(w.metrics().refused, 1);
    w.leave(player);
    w.run(ms(100));
    w.player("live/cam");
    w.end();
}

#[test]
fn who_is_slow_to_shake_hands_makes_room() {
    let mut w = World::with(2, |c| {
        c.limits.connections = 8;
        c.limits.handshake_grace = ms(500);
    });
    let publisher = w.live("live/cam");
    let idle: Vec<_> = (0..7).map(|_| w.raw()).collect();
    w.run(ms(100));
    let early = w.client(ClientMode::Play, "live/cam");
    w.run(ms(100));
    assert!(w[early].is_ready(), "the idle have no places yet");
    // The grace is over: each of these takes the place of one.
    w.run(ms(500));
    let players: Vec<_> = (0..3).map(|_| w.player("live/cam")).collect();
    w.stream(publisher, 0..5);
    for player in players {
        assert_whole(&w[player].media, &w[publisher].sent);
    }
    let gone = idle.iter().filter(|&&who| w[who].is_closed()).count();
    assert_eq!(gone, 3);
    assert!(!w[publisher].is_closed());
    let made_room =
        |r: &&CloseReason| matches!(r, CloseReason::Limit(text) if text.contains("made room"));
    assert_eq!(w.close_reasons().iter().filter(made_room).count(), 3);
    w.end();
}

#[test]
fn one_address_has_its_share() {
    let mut w = World::with(2, |c| c.limits.connections_per_address = 3);
    let publisher = w.live("live/cam");
    let [first, second] = [(); 2].map(|()| w.player("live/cam"));
    let third = w.client(ClientMode::Play, "live/cam");
    w.run(ms(100));
    assert_eq!(w[third].refusal(), Some(code::CONNECT_REJECTED));
    assert_eq!(reached(&w, "limits.connections_per_address"), 1);
    // Beyond the few that are told why, they are closed unheard.
    let flood: Vec<_> = (0..50).map(|_| w.raw()).collect();
    w.run(ms(100));
    assert_eq!(w.sim.open_sockets(), 3 + 4);
    assert_eq!(flood.iter().filter(|&&who| w[who].is_closed()).count(), 46);
    // Another address is not concerned.
    let elsewhere = "198.51.100.7:40000".parse().expect("an address");
    w.raw_from(elsewhere);
    w.run(ms(50));
    assert_eq!(w.sim.open_sockets(), 3 + 4 + 1);
    w.stream(publisher, 0..5);
    for player in [first, second] {
        assert_whole(&w[player].media, &w[publisher].sent);
    }
    w.end();
}

#[test]
fn a_flood_of_connections_costs_no_more_than_the_reserve() {
    let mut w = World::with(2, |c| c.limits.connections = 4);
    let all: Vec<_> = (0..100).map(|_| w.raw()).collect();
    w.run(ms(100));
    assert_eq!(w.sim.open_sockets(), 4 + 16);
    let closed = all.iter().filter(|&&who| w[who].is_closed()).count();
    assert_eq!(closed, 80);
    w.end();
}

#[test]
fn a_publisher_too_many_is_refused() {
    let mut w = World::with(2, |c| c.limits.publishers = 1);
    let first = w.publisher("live/a");
    let second = w.client(ClientMode::Publish, "live/b");
    w.until("the refusal", |w| w[second].failure.is_some());
    assert_eq!(w[second].refusal(), Some(code::PUBLISH_BAD_NAME));
    assert_eq!(reached(&w, "limits.publishers"), 1);
    w.leave(first);
    w.run(ms(50));
    w.publisher("live/b");
    w.end();
}

/// A raw client that publishes, and the first `bytes` of a message of 16 MiB of it.
fn begin_large_message(w: &mut World, who: Who, bytes: usize) {
    w[who].say(&[0x06, 0, 0, 0, 0xFF, 0xFF, 0xFF, 9, 1, 0, 0, 0]);
    for _ in 0..bytes / 128 {
        w[who].say(&[0; 128]);
        w[who].say(&[0xC6]);
    }
    w.run(ms(500));
}

#[test]
fn exhausted_memory_refuses_new_work_and_recovers() {
    let lines = Lines::capture();
    let mut w = World::with(1, |c| c.limits.memory = 1 << 20);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..5);
    let modest = [(); 4].map(|()| w.shaken());
    for who in modest {
        begin_large_message(&mut w, who, 15_000);
    }
    // A message of a publisher may be on its way: it is not asked to give way yet.
    let greedy = w.shaken();
    w[greedy].say(&connect_command());
    w[greedy].command_on(0, "createStream", &[]);
    w[greedy].command_on(1, "publish", &["greedy".into(), "live".into()]);
    w.run(ms(100));
    begin_large_message(&mut w, greedy, 1_500_000);
    let used = w.shared.budget.used();
    assert!(used >= 1 << 20, "{used}");
    // An unfinished message of who does not publish goes first.
    let hoarder = w.shaken();
    begin_large_message(&mut w, hoarder, 200_000);
    assert!(w[hoarder].is_closed());
    let gone = |r: &CloseReason| matches!(r, CloseReason::Limit(text) if text.contains("memory"));
    assert_eq!(w.close_reasons().iter().filter(|r| gone(r)).count(), 1);
    // Those who hold a fair share each stay.
    assert!(modest.iter().all(|&who| !w[who].is_closed()));
    let late = w.client(ClientMode::Play, "live/cam");
    w.until("the refusal", |w| w[late].failure.is_some());
    assert_eq!(w[late].refusal(), Some(code::CONNECT_REJECTED));

    // Frames are refused, and the first is told of.
    lines.take();
    let (before, told) = (w[player].media.len(), reached(&w, "limits.memory"));
    w.stream(publisher, 5..20);
    assert_eq!(w[player].media.len(), before);
    let metrics = w.metrics();
    let cam = metrics
        .streams
        .iter()
        .find(|s| s.gop_frames == 0 && s.video_frames > 0);
    assert_eq!(cam.map(|cam| cam.starved_frames), Some(30));
    assert_eq!(reached(&w, "limits.memory"), told + 1);
    let refused = "frames are refused for want of memory";
    assert_eq!(Lines::count(&lines.take(), refused), 1);

    // Once it has been for too long, it is, before one more frame of an innocent is lost.
    assert!(!w[greedy].is_closed());
    w.run(ms(2000));
    w.stream(publisher, 20..21);
    w.until("its end", |w| w[greedy].is_closed());
    assert_eq!(w.close_reasons().iter().filter(|r| gone(r)).count(), 2);
    assert!(modest.iter().all(|&who| !w[who].is_closed()));
    assert!(w.shared.budget.used() < 1 << 20);
    w.stream(publisher, 21..30);
    let before = w[player].media.len();
    w.stream(publisher, 30..40);
    assert_whole(&w[player].media[before..], &w[publisher].sent);
    w.end();
}

#[test]
fn a_publisher_over_its_bit_rate_is_told_of_or_closed() {
    for close in [false, true] {
        let mut w = World::with(2, |c| {
            c.limits.publisher_bitrate = 1_000_000;
            c.limits.disconnect_over_bitrate = close;
        });
        let publisher = w.live("live/cam");
        // 25 frames of 10,000 bytes a second are 2 Mbit/s.
        w.stream_of(publisher, 0..60, 10_000);
        assert!(reached(&w, "limits.publisher_bitrate") >= 1);
        assert_eq!(w[publisher].is_closed(), close);
        w.end();
    }
}

#[test]
fn each_stage_has_its_time() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let silent = w.raw();
    let half = w.raw();
    w[half].say(&[3; 700]);
    let shaken = w.shaken();
    let idle = w.raw();
    w[idle].say(&connected_client());
    w.stream(publisher, 0..1125);
    let lasted = |who: Who| -> f64 {
        let closed: Time = w[who].closed.expect("closed");
        closed.since(w[who].started).as_secs_f64()
    };
    assert!((10.0..10.3).contains(&lasted(silent)), "{}", lasted(silent));
    assert!((10.0..10.3).contains(&lasted(half)), "{}", lasted(half));
    assert!((10.0..10.3).contains(&lasted(shaken)), "{}", lasted(shaken));
    assert!((30.0..30.3).contains(&lasted(idle)), "{}", lasted(idle));
    assert!(!w[publisher].is_closed());
    let timed_out =
        |r: &CloseReason| matches!(r, CloseReason::Protocol(text) if text.contains("no progress"));
    assert_eq!(w.close_reasons().iter().filter(|r| timed_out(r)).count(), 4);
    assert_eq!(w.metrics().errors.timeout, 4);
    w.end();
}

/// Handshake and `connect` at once, as a client that then says nothing.
fn connected_client() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1536, 0);
    bytes.extend(super::hostile::connect_command());
    bytes
}

#[test]
fn idle_connections_do_not_wake_the_workers() {
    let mut w = World::new(1);
    let players: Vec<_> = (0..20).map(|_| w.player("live/cam")).collect();
    w.run(ms(60_000));
    let before = w.metrics().workers[0].turns;
    w.run(ms(600_000));
    let turns = w.metrics().workers[0].turns - before;
    assert!(turns < 5, "{turns} turns in ten minutes");
    assert!(players.iter().all(|&p| !w[p].is_closed()));
    w.end();
}

#[test]
fn pings_keep_living_players_and_find_dead_ones() {
    let mut w = World::with(1, |c| c.rtmp.ping_interval = ms(10_000));
    let alive = w.player("live/cam");
    let dead = w.player("live/cam");
    w[dead].reading = false;
    w.run(ms(60_000));
    assert!(!w[alive].is_closed());
    let reasons = w.close_reasons();
    assert_eq!(reasons.len(), 1);
    assert!(matches!(&reasons[0], CloseReason::Network(text) if text.contains("ping")));
    w.end();
}

#[test]
fn timers_do_not_pile_up() {
    let mut w = World::with(1, |c| {
        c.rtmp.ping_interval = ms(30_000);
        c.queue.write_coalesce = ms(50);
    });
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    for n in 0..100 {
        w.stream_of(publisher, n * 100..(n + 1) * 100, 100);
        let entries = w.timers();
        assert!(entries <= 6, "{entries} for two connections");
    }
    w.run(ms(100));
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

#[test]
fn coalesced_writes_come_together_and_whole() {
    let mut w = World::with(1, |c| c.queue.write_coalesce = ms(200));
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..50);
    w.run(ms(300));
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

#[test]
fn writes_are_collected_for_one_player_and_not_for_another() {
    let mut w = World::new(1);
    let publisher = w.live("live/cam");
    let quick = w.player("live/cam");
    w.stream(publisher, 0..5);
    let bulk = w.player("live/cam");
    let joined = w.events().into_iter().rev().find_map(|e| match e {
        Event::SubscriberJoined { connection, .. } => Some(connection),
        _ => None,
    });
    let id = joined.expect("it plays");
    assert!(w.server.set_write_coalesce(id, Some(ms(351))).is_err());
    let found = w.host(|server| server.set_write_coalesce(id, Some(ms(350))));
    assert_eq!(found, Ok(true));
    w.stream(publisher, 5..20);
    assert_ne!(w[quick].media.last(), w[bulk].media.last());
    w.run(ms(350));
    assert_whole(&w[quick].media, &w[publisher].sent);
    assert_whole(&w[bulk].media, &w[publisher].sent);

    // In the background writes are collected for everybody.
    w.server.set_background(true);
    w.stream(publisher, 20..24);
    assert_ne!(w[quick].media.last(), w[publisher].sent.last());
    w.server.set_background(false);
    w.run(ms(350));
    assert_whole(&w[quick].media, &w[publisher].sent);

    // Back to what is configured: nothing is held back.
    let found = w.host(|server| server.set_write_coalesce(id, None));
    assert_eq!(found, Ok(true));
    w.stream(publisher, 24..35);
    assert_eq!(w[quick].media.last(), w[bulk].media.last());
    w.kill(bulk);
    w.run(ms(50));
    let found = w.host(|server| server.set_write_coalesce(id, None));
    assert_eq!(found, Ok(false));
    w.end();
}
