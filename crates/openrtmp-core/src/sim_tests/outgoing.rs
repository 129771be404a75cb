//! Connections that a server makes: one plays from and publishes to another, each in the
//! event loop that it has.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use openrtmp_protocol::session::ClientMode;

use super::media::{Class, assert_decodable, assert_whole, frames};
use super::pair::{Pair, at_far, at_near, name_hosts, url};
use super::world::{FRAME, Setup, World, ms};
use crate::OutgoingError;
use crate::config::SecondPublisher;
use crate::events::{CloseReason, Event};
use crate::id::ConnectionId;
use crate::placement::Rule;
use crate::platform::sim::{Episode, Faults, Route};

#[test]
fn one_server_plays_from_and_publishes_to_another() {
    for workers in [1, 2] {
        let mut p = Pair::new(workers);
        let publisher = p.live(Pair::near, "live/cam");
        let pulled = p.far.server.pull(&at_near("live/cam"), "live/pulled");
        let pushed = p.near.server.push("live/cam", &at_far("live/pushed"));
        assert_ne!(pulled.expect("begun"), pushed.expect("begun"));
        let early = ["live/pulled", "live/pushed"].map(|name| {
            let who = p.far.client(ClientMode::Play, name);
            p.until("Play.Start", |p| p.far[who].is_ready());
            who
        });
        p.stream(publisher, 0..25);
        let late = ["live/pulled", "live/pushed"].map(|name| p.far.client(ClientMode::Play, name));
        p.stream(publisher, 25..40);
        p.run(ms(50));
        for player in early.into_iter().chain(late) {
            assert_whole(&p.far[player].media, &p.near[publisher].sent);
            let has = |class| p.far[player].media.iter().any(|m| m.class() == class);
            assert!(has(Class::Metadata) && has(Class::VideoHeader) && has(Class::AudioHeader));
        }
        // The end of the stream ends both: there is nothing more to publish, and the
        // other server says that it is over.
        p.near.leave(publisher);
        p.run(ms(200));
        assert!(
            early
                .into_iter()
                .all(|who| p.far[who].end_of_stream().is_some())
        );
        assert!(p.near.close_reasons().contains(&CloseReason::StreamEnded));
        p.end();
    }
}

/// What is played comes with the word that it is, and may be published by another worker.
#[test]
fn what_comes_with_the_grant_is_not_lost_on_the_way_to_another_worker() {
    for busy in [0, 1] {
        let mut p = Pair::new(2);
        let publisher = p.live(Pair::far, "live/cam");
        for n in 0..15 {
            p.far[publisher].frame(n, 1000);
            p.run(ms(FRAME));
        }
        let player = p.near.client(ClientMode::Play, "live/cam");
        p.until("Play.Start", |p| p.near[player].is_ready());
        let placement = &p.near.shared.placement;
        placement.set_rule(Rule::Load);
        placement.measured(busy, 900_000, 3);
        let pulled = p.near.server.pull(&at_far("live/cam"), "live/cam");
        pulled.expect("begun");
        // Nothing more is sent: what came at once is all there is.
        p.run(ms(300));
        let media = &p.near[player].media;
        let has = |class| media.iter().any(|m| m.class() == class);
        assert!(has(Class::Metadata) && has(Class::VideoHeader) && has(Class::AudioHeader));
        assert_eq!(frames(media).len(), 2 * 5, "from the newest key frame on");
        p.end();
    }
}

#[test]
fn a_stream_comes_back_to_who_plays_it_elsewhere() {
    let mut p = Pair::new(2);
    p.far
        .server
        .pull(&at_near("live/cam"), "live/cam")
        .expect("begun");
    p.run(ms(100));
    for round in 0..2 {
        let publisher = p.live(Pair::near, "live/cam");
        let player = p.far.client(ClientMode::Play, "live/cam");
        p.stream(publisher, 0..15);
        assert_whole(&p.far[player].media, &p.near[publisher].sent);
        p.near.leave(publisher);
        p.run(ms(200));
        assert!(p.far[player].end_of_stream().is_some(), "round {round}");
        p.far.leave(player);
        p.run(ms(200));
    }
    p.end();
}

#[test]
fn what_the_other_server_or_this_one_refuses_is_told() {
    let mut p = Pair::new(1);
    let publisher = p.live(Pair::near, "live/cam");
    let taken = p.live(Pair::far, "live/cam");
    p.near
        .server
        .push("live/cam", &at_far("live/cam"))
        .expect("begun");
    p.far
        .server
        .pull(&at_near("live/cam"), "live/cam")
        .expect("begun");
    p.run(ms(500));
    let refused = |world: &World| {
        let refusals = world.close_reasons().into_iter();
        refusals
            .filter(|r| matches!(r, CloseReason::Refused(_)))
            .count()
    };
    // The far server refuses to be published to, and the near one is told; its own pull
    // finds that the name is taken.
    assert_eq!((refused(&p.near), refused(&p.far)), (1, 2));
    assert!(!p.near[publisher].is_closed() && !p.far[taken].is_closed());
    p.end();
}

#[test]
fn a_key_is_not_asked_of_the_host_s_own_connections() {
    let mut p = Pair::new(1);
    let publisher = p.live(Pair::near, "live/cam");
    p.far.server.publish_keys().add("s3cret".to_owned());
    p.far
        .server
        .pull(&at_near("live/cam"), "live/copy")
        .expect("begun");
    let player = p.far.client(ClientMode::Play, "live/copy");
    p.stream(publisher, 0..15);
    assert!(!frames(&p.far[player].media).is_empty());
    p.end();
}

#[test]
fn a_takeover_ends_what_is_pulled() {
    let mut p = Pair::new(1);
    let publisher = p.live(Pair::near, "live/cam");
    let mut config = crate::Config::clone(&p.far.server.config());
    config.streams.second_publisher = SecondPublisher::Takeover;
    p.far
        .host(|server| server.reconfigure(config))
        .expect("valid");
    p.far
        .server
        .pull(&at_near("live/cam"), "live/cam")
        .expect("begun");
    p.stream(publisher, 0..5);
    let other = p.live(Pair::far, "live/cam");
    p.run(ms(100));
    assert!(p.far[other].is_ready());
    assert!(matches!(
        &p.far.close_reasons()[..],
        [CloseReason::Refused(_)]
    ));
    assert!(!p.near[publisher].is_closed());
    p.end();
}

#[test]
fn who_cannot_be_reached_is_told_with_each_address() {
    let dead = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));
    for (route, why) in [
        (Route::Refused, "refused"),
        (Route::BlackHole, "no answer in time"),
    ] {
        let mut w = World::new(1);
        w.sim.set_host("elsewhere.example", vec![dead]);
        w.sim.set_route(dead, route);
        let begun = w
            .server
            .pull(&url("rtmp://elsewhere.example/live/cam"), "live/cam");
        let id = begun.expect("begun");
        let failed = |w: &World| {
            w.events().into_iter().find_map(|e| match e {
                Event::OutgoingFailed {
                    connection, error, ..
                } if connection == id => Some(error),
                _ => None,
            })
        };
        w.until("the failure", |w| failed(w).is_some());
        let error = failed(&w).expect("it was told").to_lowercase();
        assert!(
            error.contains("192.0.2.66") && error.contains(why),
            "{error}"
        );
        assert!(w.close_reasons().is_empty(), "it was never open");
        w.end();
    }
}

#[test]
fn a_host_that_is_not_found_and_one_that_is_looked_up_for_ever_are_told() {
    for faults in [
        Faults::default(),
        Faults {
            lookup_hangs: 1.0,
            ..Faults::default()
        },
    ] {
        let mut setup = Setup::new(1);
        setup.network.faults = faults;
        let mut w = setup.build();
        w.server
            .push("live/cam", &url("rtmp://nowhere.example/live/cam"))
            .expect("begun");
        let failed = |e: &Event| matches!(e, Event::OutgoingFailed { .. });
        w.until("the failure", |w| w.count(failed) == 1);
        w.end();
    }
}

#[test]
fn the_host_ends_what_it_began_at_any_time() {
    let mut w = World::new(1);
    name_hosts(&w.sim);
    let dead = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));
    w.sim.set_route(dead, Route::BlackHole);
    let id = w
        .server
        .pull(&url("rtmp://192.0.2.66/live/cam"), "live/cam");
    let id = id.expect("begun");
    w.run(ms(100));
    assert_eq!(
        w.host(|server| server.disconnect(id, "never mind")),
        Ok(true)
    );
    w.run(ms(10));
    assert_eq!(w.count(|e| matches!(e, Event::OutgoingFailed { .. })), 1);
    assert_eq!(w.host(|server| server.disconnect(id, "again")), Ok(false));

    let publisher = w.live("live/cam");
    let copied = w.server.pull(&at_near("live/cam"), "live/copy");
    let copied = copied.expect("begun");
    w.stream(publisher, 0..5);
    assert_eq!(
        w.host(|server| server.disconnect(copied, "enough")),
        Ok(true)
    );
    w.run(ms(3000));
    let ended = CloseReason::Host("enough".to_owned());
    assert!(
        w.close_reasons().contains(&ended),
        "{:?}",
        w.close_reasons()
    );
    w.end();
}

#[test]
fn they_count_as_connections_and_stop_with_the_server() {
    let mut w = World::with(1, |c| c.limits.connections = 2);
    let publisher = w.live("live/cam");
    // From this server to itself: the connection that is made and the one accepted.
    let dead = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));
    w.sim.set_route(dead, Route::BlackHole);
    let nowhere = url("rtmp://192.0.2.66/live/cam");
    w.server.push("live/cam", &nowhere).expect("begun");
    let full = w.server.push("live/cam", &nowhere);
    assert_eq!(full, Err(OutgoingError::Limit));
    assert_eq!(w.server.push("", &nowhere), Err(OutgoingError::EmptyName));
    w.stream(publisher, 0..3);
    w.stop(ms(100));
    assert_eq!(w.count(|e| matches!(e, Event::OutgoingFailed { .. })), 1);
    assert_eq!(
        w.server.push("live/cam", &nowhere),
        Err(OutgoingError::Stopping)
    );
    w.end();
}

/// Of 100 seeds, those in which a pulled and a pushed stream has media at least.
const WITH_MEDIA: usize = 60;

#[test]
fn whatever_goes_wrong_between_them_nothing_is_left_and_all_is_told() {
    let mut with_media = [0; 2];
    for seed in 0..100 {
        let mut p = Pair::with(1 + seed as usize % 3, seed, Faults::rough());
        let publisher = p.near.client(ClientMode::Publish, "live/cam");
        let mut asked = [Vec::new(), Vec::new()];
        for n in 0..4 {
            let pulled = format!("live/{n}");
            let pull = p.far.server.pull(&at_near("live/cam"), &pulled);
            asked[0].push(pull.expect("begun"));
            let pushed = at_far(&format!("live/p{n}"));
            let push = p.near.server.push("live/cam", &pushed);
            asked[1].push(push.expect("begun"));
            p.run(ms(50));
        }
        if p.near[publisher].is_ready() {
            p.near.headers(publisher);
        }
        let names = ["live/0", "live/1", "live/p0", "live/p1"];
        let players = names.map(|name| p.far.client(ClientMode::Play, name));
        for n in 0..30 {
            if p.near[publisher].is_ready() {
                p.near[publisher].frame(n, 1000);
            }
            p.run(ms(FRAME));
        }
        for (place, player) in players.into_iter().enumerate() {
            assert_decodable(&p.far[player].media, &p.near[publisher].sent);
            let has_media = !frames(&p.far[player].media).is_empty();
            with_media[place / 2] += usize::from(has_media && place % 2 == 0);
        }
        p.run(Duration::from_secs(30));
        p.near.server.begin_stop(Duration::ZERO);
        p.far.server.begin_stop(Duration::ZERO);
        p.until("workers to stop", |p| {
            p.near.workers_left() + p.far.workers_left() == 0
        });
        // A server's ids are its own: these are issued by each of the two from 1.
        for (world, asked) in [(&p.far, &asked[0]), (&p.near, &asked[1])] {
            let mut outcomes = BTreeMap::<ConnectionId, [usize; 3]>::new();
            for event in world.events() {
                let (id, outcome) = match event {
                    Event::ConnectionOpened { connection, .. } => (connection, 0),
                    Event::ConnectionClosed { connection, .. } => (connection, 1),
                    Event::OutgoingFailed { connection, .. } => (connection, 2),
                    _ => continue,
                };
                outcomes.entry(id).or_default()[outcome] += 1;
            }
            for (id, outcome) in &outcomes {
                let is_told = matches!(outcome, [1, 1, 0] | [0, 0, 1]);
                assert!(is_told, "seed {seed}, {id}: {outcome:?}");
            }
            for id in asked {
                assert!(outcomes.contains_key(id), "seed {seed}: nothing of {id}");
            }
            assert_eq!(world.shared.locations.len(), 0, "seed {seed}");
            let open = &world.shared.connections;
            assert_eq!(
                open.load(std::sync::atomic::Ordering::Acquire),
                0,
                "seed {seed}"
            );
        }
        p.end();
    }
    let enough = with_media.iter().all(|&seeds| seeds >= WITH_MEDIA);
    assert!(enough, "{with_media:?} seeds with media");
}

/// How the resolver answers does not decide whether the other server is reached.
#[test]
fn names_that_come_late_fail_or_change_are_dialed_or_told() {
    let mut reached = 0;
    for seed in 0..40 {
        let faults = Faults {
            slow_lookups: Episode {
                chance: 0.5,
                up_to: Duration::from_secs(5),
            },
            lookup_failures: 0.2,
            lookup_hangs: 0.1,
            lookup_changes: 0.5,
            ..Faults::default()
        };
        let mut p = Pair::with(1, seed, faults);
        let publisher = p.live(Pair::near, "live/cam");
        let pushed = p.near.server.push("live/cam", &at_far("live/cam"));
        let pushed = pushed.expect("begun");
        let player = p.far.client(ClientMode::Play, "live/cam");
        let is_told = |p: &Pair| {
            p.near.count(|event| match event {
                Event::ConnectionOpened { connection, .. }
                | Event::OutgoingFailed { connection, .. } => *connection == pushed,
                _ => false,
            })
        };
        // Longer than any look-up may take.
        p.run(Duration::from_secs(9));
        p.stream(publisher, 0..2);
        p.until("an outcome", |p| is_told(p) == 1);
        p.stream(publisher, 2..30);
        let failed = |e: &Event| matches!(e, Event::OutgoingFailed { .. });
        if p.near.count(failed) == 0 {
            p.run(ms(50));
            assert_whole(&p.far[player].media, &p.near[publisher].sent);
            reached += 1;
        }
        p.end();
    }
    // Nobody listens at the address that alone is found in some.
    assert!((15..40).contains(&reached), "{reached} of 40 reached");
}
