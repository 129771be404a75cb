//! The life of a phone on a running server: suspended, resumed, moved from network to
//! network, short of power and memory, in any order.

use std::ops::Range;
use std::time::{Duration, Instant};

use openrtmp_protocol::session::{ClientMode, MediaKind};

use super::media::{Class, assert_whole};
use super::world::{ADDRESS, FRAME, Setup, Who, World, address, ms};
use crate::config::{BackgroundPolicy, NetworkPolicy, RecordConfig};
use crate::events::{CloseReason, Event};
use crate::mobile::{
    DeviceNetwork, MemoryLevel, NetworkKind, Permission, PermissionState, Power, Reachable,
    ResumeReport, ServiceState, SuspendReport, ThermalState,
};
use crate::platform::Platform;
use crate::platform::sim::{Loss, Random};
use crate::tap::{TapEvent, TapOptions};

/// Real time for what happens on a thread of its own, while no time of the world passes.
const REAL: Duration = Duration::from_secs(60);

impl World {
    /// As the host suspends, with 700 ms of the world's time.
    fn suspend(&mut self) -> SuspendReport {
        let suspending = self.server.host().begin_suspend(ms(700));
        self.run(ms(700));
        self.host(move |server| {
            let host = server.host();
            host.finish_suspend(suspending, Instant::now() + REAL)
        })
    }

    /// As the host resumes, with 2 s of the world's time.
    fn resume(&mut self, away: Duration) -> ResumeReport {
        let workers = self.server.host().begin_resume();
        self.run(ms(2000));
        self.server
            .host()
            .finish_resume(workers, away, Instant::now())
    }

    fn is_refused(&self) -> bool {
        self.sim.connect(address()).is_err()
    }

    /// A publisher that comes back, and a player that sees it from a key frame on.
    fn goes_on(&mut self, path: &str) {
        let publisher = self.live(path);
        let player = self.player(path);
        self.stream(publisher, 0..25);
        self.run(ms(2000));
        assert_whole(&self[player].media, &self[publisher].sent);
        self.leave(player);
        self.leave(publisher);
        self.run(ms(2000));
    }
}

fn streams_ended(w: &World) -> usize {
    w.count(|e| matches!(e, Event::StreamEnded { .. }))
}

fn live_ids(w: &World) -> Vec<u64> {
    let id = |event| match event {
        Event::StreamPublished { stream, .. } => Some(stream.as_u64()),
        _ => None,
    };
    w.events().into_iter().filter_map(id).collect()
}

#[test]
fn a_suspension_refuses_and_tells_and_a_stream_outlives_it() {
    for workers in [1, 3] {
        let mut w = World::new(workers);
        let publisher = w.live("live/cam");
        let player = w.player("live/cam");
        w.stream(publisher, 0..12);

        let suspending = w.server.host().begin_suspend(ms(700));
        w.act();
        assert!(w.is_refused(), "before anybody else has heard of it");
        w.run(ms(700));
        let report = w.host(move |s| s.host().finish_suspend(suspending, Instant::now() + REAL));
        let counts = (report.listeners, report.told, report.closed);
        assert_eq!((counts, report.in_time), ((1, 2, 2), true));
        assert!(w[publisher].closed.is_some() && w[player].closed.is_some());
        assert_eq!(w.close_reasons(), vec![CloseReason::Suspended; 2]);
        let health = w.host(|server| server.health());
        assert_eq!(health.reasons, ["the server is suspended"]);

        let again = w.suspend();
        assert_eq!((again.listeners, again.told, again.closed), (0, 0, 0));

        // However long it is: the stream's time stands still.
        w.run(ms(600_000));
        assert!(w.is_refused());
        assert_eq!(streams_ended(&w), 0);

        let report = w.resume(ms(600_000));
        assert_eq!((report.remade, report.failed, report.in_time), (1, 0, true));
        assert!(w.host(|server| server.health()).ready);
        w.goes_on("live/cam");
        let ids = live_ids(&w);
        assert_eq!(ids[0], ids[1], "the same stream");
        assert_eq!(w.count(|e| matches!(e, Event::Suspended { .. })), 1);
        assert_eq!(w.count(|e| matches!(e, Event::Resumed { .. })), 1);
        w.end();
    }
}

#[test]
fn a_stream_whose_publisher_does_not_come_back_ends_after_the_grace() {
    let mut w = World::with(1, |c| c.mobile.network_grace = ms(30_000));
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..12);
    w.suspend();
    w.run(ms(100_000));
    w.resume(ms(100_000));
    w.run(ms(25_000));
    assert_eq!(streams_ended(&w), 0);
    w.run(ms(6_000));
    assert_eq!(streams_ended(&w), 1);
    w.end();
}

#[test]
fn a_port_that_is_taken_for_a_moment_is_had_without_a_word() {
    let mut w = World::new(2);
    w.suspend();
    let squatter = Platform::listen(&w.sim, address()).expect("the port is free");
    let workers = w.server.host().begin_resume();
    w.run(ms(600));
    drop(squatter);
    w.run(ms(900));
    let report = w
        .server
        .host()
        .finish_resume(workers, ms(1), Instant::now());
    assert_eq!((report.remade, report.failed), (1, 0));
    let told = |e: &Event| {
        matches!(
            e,
            Event::ListenerLost { .. } | Event::ListenerRestored { .. }
        )
    };
    assert_eq!(w.count(told), 0);
    w.goes_on("live/cam");
    w.end();
}

#[test]
fn a_port_that_is_taken_for_long_is_told_of_and_tried_on() {
    let mut w = World::new(1);
    w.suspend();
    let squatter = Platform::listen(&w.sim, address()).expect("the port is free");
    let report = w.resume(ms(1));
    assert_eq!((report.remade, report.failed, report.in_time), (0, 1, true));
    assert_eq!(w.count(|e| matches!(e, Event::ListenerLost { .. })), 1);
    let health = w.host(|server| server.health());
    assert_eq!(health.reasons, [format!("not listening on {ADDRESS}")]);
    drop(squatter);
    w.until("it listens", |w| {
        w.count(|e| matches!(e, Event::ListenerRestored { .. })) == 1
    });
    w.goes_on("live/cam");
    w.end();
}

#[test]
fn what_a_system_took_without_a_word_is_found_on_the_way_back() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..12);
    w.sim.lose_listener(address(), Loss::Silent);
    w.sim.lose_streams();
    w.run(ms(1000));
    assert!(w.close_reasons().is_empty(), "nothing tells of it");
    let report = w.resume(ms(1000));
    assert_eq!((report.alive, report.remade), (0, 1));
    assert_eq!((report.connections_lost, report.in_time), (2, true));
    assert_eq!(w.close_reasons(), vec![CloseReason::SocketLost; 2]);
    w.kill(publisher);
    w.kill(player);
    assert_eq!(streams_ended(&w), 0, "it is kept for its publisher");
    w.goes_on("live/cam");

    // All is well: nothing is touched.
    let publisher = w.live("live/other");
    let report = w.resume(ms(0));
    assert_eq!((report.alive, report.remade), (1, 0));
    assert_eq!(report.connections_lost, 0);
    w.stream(publisher, 0..12);
    assert_eq!(w[publisher].closed, None);
    w.end();
}

#[test]
fn who_turns_round_half_way_is_where_the_last_word_was() {
    let mut w = World::new(3);
    let publisher = w.live("live/cam");
    let _player = w.player("live/cam");
    w.stream(publisher, 0..12);
    // Nobody has done anything about the first yet when the second comes.
    let suspending = w.server.host().begin_suspend(ms(700));
    let workers = w.server.host().begin_resume();
    w.run(ms(100));
    let finished = |w: &World| {
        w.server
            .host()
            .finish_resume(workers, ms(0), Instant::now())
    };
    let report = finished(&w);
    assert_eq!((report.remade, report.failed, report.in_time), (1, 0, true));
    let report = w.host(move |s| s.host().finish_suspend(suspending, Instant::now() + REAL));
    assert_eq!((report.closed, report.in_time), (2, true));
    assert_eq!(w.count(|e| matches!(e, Event::Suspended { .. })), 0);
    w.goes_on("live/cam");

    w.suspend();
    let squatter = Platform::listen(&w.sim, address()).expect("the port is free");
    let workers = w.server.host().begin_resume();
    w.run(ms(100));
    let again = w.suspend();
    assert_eq!(again.closed, 0);
    let report = w
        .server
        .host()
        .finish_resume(workers, ms(0), Instant::now());
    assert!(!report.in_time, "another word came in between");
    drop(squatter);
    w.run(ms(5000));
    assert!(w.is_refused());
    w.resume(ms(0));
    w.goes_on("live/cam");
    w.end();
}

#[test]
fn a_stop_while_suspended_and_a_suspension_while_stopping_leave_nothing() {
    let mut w = World::new(2);
    w.live("live/cam");
    w.suspend();
    w.stop(ms(0));
    w.assert_nothing_left();
    let report = w.host(|s| s.host().suspend(ms(700)));
    assert_eq!((report.closed, report.listeners), (0, 0));

    let mut w = World::new(2);
    w.live("live/cam");
    let suspending = w.server.host().begin_suspend(ms(700));
    w.stop(ms(100));
    w.host(move |s| s.host().finish_suspend(suspending, Instant::now() + REAL));
    w.assert_nothing_left();
}

#[test]
fn recordings_are_on_the_disk_before_the_program_freezes() {
    let mut w = World::new(1);
    w.start_recording("live/cam", RecordConfig::new("/rec"));
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..12);
    let report = w.suspend();
    assert_eq!((report.recordings, report.in_time), (1, true));
    let files = w.count(|e| matches!(e, Event::RecordingFinished { .. }));
    assert_eq!(files, 0, "it goes on with the stream");
    w.resume(ms(0));
    w.goes_on("live/cam");
    w.end();
}

#[test]
fn other_settings_come_while_suspended_but_no_other_addresses() {
    let mut w = World::new(1);
    w.suspend();
    let mut config = (*w.server.config()).clone();
    config.gop.max_frames = 7;
    w.host(|server| server.reconfigure(config.clone()).expect("it may"));
    config.listen = vec!["127.0.0.1:2000".parse().expect("an address")];
    let refused = w.host(|server| server.reconfigure(config.clone()).expect_err("not now"));
    assert!(refused.to_string().contains("suspended"), "{refused}");
    assert!(w.sim.listeners().is_empty());
    w.resume(ms(0));
    w.goes_on("live/cam");
    w.end();
}

/// Kinds of what a player got from its `from`th piece on.
fn kinds(w: &World, player: Who, from: usize) -> (usize, usize) {
    let got = &w[player].media[from..];
    let of = |kind| got.iter().filter(|piece| piece.kind == kind).count();
    (of(MediaKind::Video), of(MediaKind::Audio))
}

#[test]
fn without_a_picture_sound_goes_on_and_the_picture_comes_back_with_a_key_frame() {
    let mut w = World::with(2, |c| c.mobile.background = BackgroundPolicy::Audio);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..15);
    let mut tap = w.server.tap_with(TapOptions::new("live/cam"));
    w.run(ms(100));
    while tap.try_recv().is_some() {}

    w.server.host().audio(true);
    w.server.host().background(None);
    w.run(ms(400));
    let before = w[player].media.len();
    w.stream(publisher, 15..35);
    w.run(ms(400));
    let (video, audio) = kinds(&w, player, before);
    assert_eq!(video, 0);
    assert!(audio >= 19, "{audio}");
    while let Some(event) = tap.try_recv() {
        if let TapEvent::Frame(frame) = event {
            assert_ne!(frame.kind, MediaKind::Video);
        }
    }
    let told = |e: &Event| matches!(e, Event::LimitReached { .. });
    assert_eq!(w.count(told), 0, "it is no want of memory");

    w.server.host().foreground();
    w.run(ms(10));
    let before = w[player].media.len();
    w.stream(publisher, 35..55);
    w.run(ms(400));
    let pieces = &w[player].media[before..];
    let first = pieces.iter().find(|piece| piece.kind == MediaKind::Video);
    assert_eq!(first.expect("the picture is back").class(), Class::Key);
    drop(tap);
    w.run(ms(10));
    w.end();
}

#[test]
fn short_of_memory_caches_go_first_and_then_nobody_new_comes() {
    let mut w = World::with(1, |c| c.gop.min_duration = ms(10_000));
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..45);
    let cached = |w: &mut World| w.metrics().streams[0].gop_frames;
    let all = cached(&mut w);
    w.server.host().memory(MemoryLevel::Moderate);
    w.run(ms(1));
    let one = cached(&mut w);
    assert!(one < all / 2 && one > 0, "{one} of {all}");

    w.server.host().memory(MemoryLevel::Critical);
    w.stream(publisher, 45..70);
    assert_eq!(cached(&mut w), 0);
    let late = w.client(ClientMode::Play, "live/cam");
    w.run(ms(100));
    assert!(w[late].closed.is_some());
    assert!(!w.host(|server| server.health()).ready);

    w.server.host().memory(MemoryLevel::Normal);
    w.stream(publisher, 70..95);
    assert!(cached(&mut w) > 0);
    let player = w.player("live/cam");
    w.stream(publisher, 95..105);
    assert_whole(&w[player].media, &w[publisher].sent);
    assert_eq!(w.count(|e| matches!(e, Event::Memory { .. })), 3);
    w.end();
}

#[test]
fn with_little_power_writes_are_collected() {
    let mut w = World::new(1);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..10);
    let hot = Power::new(false, false, ThermalState::Serious);
    w.server.host().power(hot);
    w.stream(publisher, 10..14);
    assert_ne!(w[player].media.last(), w[publisher].sent.last());
    w.run(ms(350));
    assert_whole(&w[player].media, &w[publisher].sent);
    w.server.host().power(Power::default());
    w.stream(publisher, 14..20);
    assert_eq!(w[player].media.last(), w[publisher].sent.last());
    assert_eq!(w.count(|e| matches!(e, Event::Power { .. })), 2);
    w.end();
}

const OUTSIDE: &str = "192.0.2.10:1935";

fn eth0(kind: NetworkKind) -> Vec<DeviceNetwork> {
    let mut network = DeviceNetwork::new("eth0", kind);
    network.is_default = true;
    vec![network]
}

/// A world that listens where others come from.
fn outside(policy: NetworkPolicy) -> World {
    let mut setup = Setup::new(1);
    setup.config.listen = vec![OUTSIDE.parse().expect("an address")];
    setup.config.mobile.networks = policy;
    setup.build()
}

#[test]
fn peers_come_by_the_networks_that_they_may_come_by() {
    for (policy, kind, admitted) in [
        (NetworkPolicy::Any, NetworkKind::Cellular, true),
        (NetworkPolicy::Wifi, NetworkKind::Cellular, false),
        (NetworkPolicy::Wifi, NetworkKind::Ethernet, true),
        (NetworkPolicy::Cellular, NetworkKind::Wifi, false),
        (NetworkPolicy::Cellular, NetworkKind::Cellular, true),
    ] {
        let mut w = outside(policy);
        w.server.host().networks(eth0(kind));
        w.run(ms(300));
        let who = w.raw();
        w.run(ms(100));
        assert_eq!(w[who].closed.is_none(), admitted, "{policy:?} {kind:?}");
        assert_eq!(
            w.count(|e| matches!(e, Event::ConnectionOpened { .. })) > 0,
            admitted
        );
        w.end();
    }
}

#[test]
fn networks_that_go_and_come_are_told_of_and_streams_stay() {
    let mut w = World::with(1, |c| {
        c.listen = vec!["0.0.0.0:1935".parse().expect("an address")];
    });
    w.address = address();
    let interfaces = Platform::interfaces(&w.sim).expect("it tells them");
    let urls = |w: &World| {
        let found = w.server.reachable("live/cam", Reachable::default());
        found.into_iter().map(|found| found.url).collect::<Vec<_>>()
    };
    assert_eq!(urls(&w), ["rtmp://192.0.2.10:1935/live/cam"]);
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..10);
    w.server.host().networks(eth0(NetworkKind::Wifi));
    w.run(ms(300));

    // Every one of them goes, and its sockets with it.
    w.sim.set_interfaces(Vec::new());
    w.vanish(publisher);
    w.server.host().networks(Vec::new());
    w.run(ms(300));
    assert_eq!(w.count(|e| matches!(e, Event::NetworkLost { .. })), 1);
    let changed = |w: &World| w.count(|e| matches!(e, Event::UrlsChanged { .. }));
    assert_eq!((changed(&w), urls(&w)), (1, vec![]));
    let ended = w.now() + ms(20_000);
    while w.now() < ended {
        w.run(ms(1000));
    }
    assert_eq!(streams_ended(&w), 0);

    w.sim.set_interfaces(interfaces);
    w.server.host().networks(eth0(NetworkKind::Wifi));
    let since = w.now();
    w.until("the URLs are told", |w| changed(w) == 2);
    assert!(w.now() < since + ms(2000));
    assert_eq!(w.count(|e| matches!(e, Event::NetworkBack)), 1);
    w.server.host().networks(eth0(NetworkKind::Cellular));
    w.until("the URLs are told", |w| changed(w) == 3);
    assert_eq!(w.count(|e| matches!(e, Event::CellularUsed)), 1);
    // What costs money is told to nobody who did not ask.
    assert_eq!(urls(&w), [""; 0]);
    w.goes_on("live/other");
    w.end();
}

#[test]
fn a_permission_that_was_refused_is_a_reason_not_to_be_ready() {
    let mut w = World::new(1);
    let local = Permission::LocalNetwork;
    w.server.host().permission(local, PermissionState::Denied);
    let health = w.host(|server| server.health());
    assert!(health.live && !health.ready);
    assert!(health.reasons[0].contains("permission"), "{health:?}");
    w.server.host().permission(local, PermissionState::Granted);
    assert!(w.host(|server| server.health()).ready);
    w.end();
}

#[test]
fn power_is_counted_and_nothing_wakes_an_idle_server() {
    let mut w = World::new(2);
    w.run(ms(1000));
    let stats = |w: &mut World| w.host(|server| server.power_stats().expect("they answer"));
    let before = stats(&mut w);
    w.run(ms(600_000));
    let idle = stats(&mut w);
    // Whoever asks wakes both.
    assert!(idle.wake_ups <= before.wake_ups + 4, "{before:?} {idle:?}");
    let publisher = w.live("live/cam");
    let _player = w.player("live/cam");
    w.stream(publisher, 0..50);
    let live = stats(&mut w);
    assert!(live.system_calls > idle.system_calls + 100, "{live:?}");
    w.end();
}

/// Streams frames of so many bytes; how often workers woke meanwhile, and the longest that
/// anything took to the player, ms.
fn watched(
    w: &mut World,
    (publisher, player): (Who, Who),
    numbers: Range<u32>,
    size: usize,
) -> (u64, u64) {
    let wake_ups = |w: &mut World| w.host(|server| server.power_stats().expect("they answer"));
    let from = w[publisher].sent.len();
    let before = wake_ups(w).wake_ups;
    let mut begun = Vec::new();
    for number in numbers {
        let now = w.now();
        w[publisher].frame(number, size);
        begun.resize(w[publisher].sent.len() - from, now);
        w.run(ms(FRAME));
    }
    let woken = wake_ups(w).wake_ups - before;
    w.run(ms(350));
    assert_whole(&w[player].media, &w[publisher].sent);
    let arrivals = w[player].arrivals.iter().rev();
    let took = arrivals
        .zip(begun.iter().rev())
        .map(|(at, begun)| at.since(*begun));
    (
        woken,
        took.max().expect("something came").as_millis() as u64,
    )
}

#[test]
fn in_the_background_workers_wake_with_the_beat_and_nothing_takes_longer_than_two() {
    for workers in [1, 3] {
        let mut w = World::new(workers);
        let publisher = w.live("live/cam");
        let player = w.player("live/cam");
        let both = (publisher, player);
        w.stream(publisher, 0..10);
        let (front, took) = watched(&mut w, both, 10..60, 1000);
        assert!(front >= 50 && took < 40, "{front} {took}");
        w.server.set_background(true);
        w.run(ms(500));
        // 100 frames are 4 s, which are 16 beats: of the one who reads, and of another who
        // writes, and is handed what was read.
        let beats = if workers == 1 { 16 } else { 3 * 16 };
        let asking = 4 * workers as u64;
        let (woken, took) = watched(&mut w, both, 60..160, 1000);
        assert!(woken <= beats + asking, "{woken}");
        assert!((100..=500).contains(&took), "{took}");
        assert!(workers > 1 || took <= 260, "{took}");
        // Who sends more is read more often, but not for every frame of it.
        let (often, took) = watched(&mut w, both, 160..260, 16_000);
        assert!(often > woken && took <= 500, "{often} {took}");
        assert!(workers > 1 || often <= 80, "{often}");

        w.server.set_background(false);
        let (woken, took) = watched(&mut w, both, 260..310, 1000);
        assert!(woken >= 50 && took < 40, "{woken} {took}");
        w.end();
    }
}

#[test]
fn who_dozes_is_missed_by_nobody_and_wakes_nobody() {
    let mut w = World::new(1);
    w.server.set_background(true);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..25);
    w.run(ms(500));
    let wake_ups = |w: &mut World| w.host(|server| server.power_stats().expect("they answer"));
    let before = wake_ups(&mut w).wake_ups;
    w.run(ms(20_000));
    // Grains of deadlines and pings, but no beat.
    let silent = wake_ups(&mut w).wake_ups - before;
    assert!(silent <= 10, "{silent}");
    w.stream(publisher, 25..40);
    w.run(ms(350));
    assert_whole(&w[player].media, &w[publisher].sent);
    // An end that comes while nobody looks is seen with the next beat.
    w.kill(publisher);
    let since = w.now();
    let over = |w: &World| w.count(|e| matches!(e, Event::PublisherLost { .. }));
    w.until("it is missed", |w| over(w) == 1);
    assert!(w.now() <= since + ms(250));
    w.goes_on("live/other");
    w.end();
}

#[test]
fn who_dozes_is_heard_at_once_when_it_is_sent_away() {
    for workers in [1, 3] {
        let mut w = World::new(workers);
        w.server.set_background(true);
        let publisher = w.live("live/cam");
        w.stream(publisher, 0..25);
        // The next beat is far.
        let beat = 250_000;
        let since = w.now().as_micros() % beat;
        w.run(Duration::from_micros(beat - since + 1_000));
        w.stream(publisher, 25..28);
        let left = beat - w.now().as_micros() % beat;
        assert!(left > 100_000, "{left}");
        drop(w.server.host().begin_suspend(ms(700)));
        w.run(ms(60));
        assert_eq!(w.close_reasons(), [CloseReason::Suspended]);
        w.end();
    }
}

/// Tells the server any one thing.
fn tell_anything(w: &mut World, random: &mut Random) {
    let server = w.server.clone();
    let host = server.host();
    let coin = |random: &mut Random| random.up_to(2) == 1;
    match random.up_to(16) {
        1 | 2 => host.background(coin(random).then(|| ms(random.up_to(40_000) as u64))),
        3 => host.remaining_time(ms(random.up_to(30_000) as u64)),
        4 => drop(host.begin_suspend(ms(random.up_to(700) as u64))),
        5 => {
            w.suspend();
        }
        6 => drop(host.begin_resume()),
        7 => {
            w.resume(ms(random.up_to(100_000) as u64));
        }
        8 => host.foreground(),
        9 => host.networks(match random.up_to(3) {
            1 => Vec::new(),
            2 => eth0(NetworkKind::Wifi),
            _ => eth0(NetworkKind::Cellular),
        }),
        10 => host.permission(Permission::LocalNetwork, PermissionState::Denied),
        11 => host.power(Power::new(
            coin(random),
            coin(random),
            ThermalState::Nominal,
        )),
        12 => host.memory(match random.up_to(3) {
            1 => MemoryLevel::Normal,
            2 => MemoryLevel::Moderate,
            _ => MemoryLevel::Critical,
        }),
        13 => host.audio(coin(random)),
        14 => host.service(ServiceState::TimedOut),
        15 => w.sim.lose_listener(address(), Loss::Silent),
        _ => w.server.set_background(coin(random)),
    }
}

#[test]
fn signals_in_any_order_break_nothing_and_after_a_resume_all_goes_on() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let policies = [BackgroundPolicy::Grace, BackgroundPolicy::Audio];
        let policy = policies[random.up_to(2) - 1];
        let workers = random.up_to(3);
        let mut w = World::with(workers, |c| c.mobile.background = policy);
        let publisher = w.live("live/cam");
        let _player = w.player("live/cam");
        for number in 0..30 {
            w[publisher].frame(number, 1000);
            w.run(ms(random.up_to(900) as u64));
            tell_anything(&mut w, &mut random);
        }
        let server = w.server.clone();
        let host = server.host();
        host.memory(MemoryLevel::Normal);
        host.power(Power::default());
        w.server.set_background(false);
        host.foreground();
        let report = w.resume(ms(0));
        assert_eq!((report.failed, report.in_time), (0, true), "seed {seed}");
        w.goes_on("live/another");
        let restarts = w.count(|e| matches!(e, Event::WorkerRestarted { .. }));
        assert_eq!(restarts, 0, "seed {seed}");
        w.end();
    }
}
