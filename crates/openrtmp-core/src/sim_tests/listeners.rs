//! Listening sockets that the system takes, and how they come back.

use std::net::SocketAddr;
use std::sync::mpsc::channel;

use super::media::assert_whole;
use super::world::{ADDRESS, World, ms};
use crate::events::Event;
use crate::inbox::Command;
use crate::platform::Platform;
use crate::platform::sim::{Episode, Faults, Loss};
use crate::server::Server;

const OTHER: &str = "127.0.0.1:2000";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn lost(e: &Event) -> bool {
    matches!(e, Event::ListenerLost { address, .. } if address.port() == 1935)
}

fn restored(e: &Event) -> bool {
    matches!(e, Event::ListenerRestored { address } if address.port() == 1935)
}

#[test]
fn one_that_accept_says_is_gone_is_bound_again_at_once() {
    let mut w = World::with(2, |c| c.listen.push(OTHER.parse().expect("an address")));
    let publisher = w.live("live/cam");
    w.sim.lose_listener(address(ADDRESS), Loss::Loud);
    w.stream(publisher, 0..3);
    assert_eq!((w.count(lost), w.count(restored)), (1, 1));
    assert_eq!(w.server.addresses(), [address(ADDRESS), address(OTHER)]);
    // Who was there goes on, and others come: through this one and the other.
    let player = w.player("live/cam");
    w.stream(publisher, 3..15);
    assert!(!w[player].media.is_empty());
    w.sim.connect(address(OTHER)).expect("it listens");
    w.end();
}

#[test]
fn one_that_is_lost_without_a_word_is_found_when_the_host_asks() {
    let mut w = World::with(1, |c| c.listen.push(OTHER.parse().expect("an address")));
    assert_eq!(w.host(|server| server.check_listeners().unwrap()), []);
    w.sim.lose_listener(address(ADDRESS), Loss::Silent);
    w.run(ms(60_000));
    assert_eq!(w.count(lost), 0, "nothing tells of it");
    w.sim.connect(address(OTHER)).expect("the other listens");
    let found = w.host(|server| server.check_listeners().unwrap());
    assert_eq!(found, [address(ADDRESS)]);
    assert_eq!((w.count(lost), w.count(restored)), (1, 1));
    w.live("live/cam");
    assert_eq!(w.host(|server| server.check_listeners().unwrap()), []);
    w.end();
}

#[test]
fn each_is_asked_once_whatever_becomes_of_the_others() {
    const THIRD: &str = "127.0.0.1:3000";
    let all = [ADDRESS, OTHER, THIRD].map(address);
    let mut w = World::with(1, |c| c.listen = all.map(Into::into).to_vec());
    // The second cannot be had again, and the third is bound again behind it.
    w.sim.lose_listener(all[1], Loss::Silent);
    let squatter = Platform::listen(&w.sim, all[1]).expect("the port is free");
    let check = |server: &Server| server.check_listeners().expect("it answers");
    assert_eq!(w.host(check), [all[1]]);
    w.sim.lose_listener(all[2], Loss::Loud);
    w.run(ms(0));
    // Accepting fails at the first, which pauses.
    w.sim.set_faults(Faults {
        exhaustion: Episode {
            chance: 1.0,
            up_to: ms(1),
        },
        ..Faults::default()
    });
    w.raw();
    w.run(ms(0));
    w.sim.set_faults(Faults::default());
    // Its pause is over, and it is lost without a word, when the host asks.
    w.run_without(0, ms(1000));
    w.sim.lose_listener(all[0], Loss::Silent);
    let (sender, found) = channel();
    w.shared.inboxes[0].send(Command::CheckListeners(sender));
    w.run(ms(0));
    assert_eq!(found.try_recv().expect("an answer"), all[..2]);
    assert_eq!((w.count(lost), w.count(restored)), (1, 1));
    drop(squatter);
    w.end();
}

#[test]
fn one_that_cannot_be_had_is_tried_again_and_is_a_reason_not_to_be_ready() {
    let mut w = World::new(1);
    w.sim.lose_listener(address(ADDRESS), Loss::Silent);
    let squatter = Platform::listen(&w.sim, address(ADDRESS)).expect("the port is free");
    assert_eq!(
        w.host(|server| server.check_listeners().unwrap()),
        [address(ADDRESS)]
    );
    w.run(ms(30_000));
    assert_eq!((w.count(lost), w.count(restored)), (1, 0));
    let health = w.host(|server| server.health());
    assert!(health.live && !health.ready, "{health:?}");
    assert_eq!(health.reasons, [format!("not listening on {ADDRESS}")]);
    let turns = w.metrics().workers[0].turns;
    assert!(turns < 100, "{turns} turns: it does not spin");
    drop(squatter);
    w.until("it listens again", |w| w.count(restored) == 1);
    assert!(w.host(|server| server.health()).ready);
    w.live("live/cam");
    w.end();
}

#[test]
fn one_that_is_lost_does_not_stop_the_others_of_its_worker() {
    let mut w = World::with(1, |c| c.listen.push(OTHER.parse().expect("an address")));
    w.sim.lose_listener(address(ADDRESS), Loss::Silent);
    let squatter = Platform::listen(&w.sim, address(ADDRESS)).expect("the port is free");
    let found = w.host(|server| server.check_listeners().unwrap());
    assert_eq!(found, [address(ADDRESS)]);
    // Through the other, over several tries to have the lost one again.
    w.address = address(OTHER);
    let publisher = w.live("live/cam");
    let early = w.player("live/cam");
    w.stream(publisher, 0..400);
    let late = w.player("live/cam");
    w.stream(publisher, 400..420);
    w.run(ms(50));
    assert_eq!((w.count(lost), w.count(restored)), (1, 0));
    for player in [early, late] {
        assert_whole(&w[player].media, &w[publisher].sent);
    }
    drop(squatter);
    w.until("it listens again", |w| w.count(restored) == 1);
    w.end();
}

#[test]
fn who_asks_need_not_wait_for_the_next_try() {
    let mut w = World::new(1);
    w.sim.lose_listener(address(ADDRESS), Loss::Silent);
    let squatter = Platform::listen(&w.sim, address(ADDRESS)).expect("the port is free");
    w.host(|server| server.check_listeners().unwrap());
    w.run(ms(20_000));
    drop(squatter);
    let before = w.now();
    assert_eq!(
        w.host(|server| server.check_listeners().unwrap()),
        [address(ADDRESS)]
    );
    assert_eq!((w.now(), w.count(restored)), (before, 1));
    w.end();
}

#[test]
fn a_stop_while_one_is_lost_ends() {
    let mut w = World::new(2);
    w.sim.lose_listener(address(ADDRESS), Loss::Silent);
    let _squatter = Platform::listen(&w.sim, address(ADDRESS)).expect("the port is free");
    w.host(|server| server.check_listeners().unwrap());
    w.stop(ms(100));
    assert_eq!(w.workers_left(), 0);
}
