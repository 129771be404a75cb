//! Other settings for a running server.

use openrtmp_protocol::command::code;
use openrtmp_protocol::session::{ClientMode, MediaKind};

use std::net::SocketAddr;
use std::sync::mpsc::channel;

use super::media::{self, assert_whole};
use super::world::{ADDRESS, Setup, World, ms};
use crate::config::{Config, SecondPublisher};
use crate::error::StartError;
use crate::events::{CloseReason, Event};
use crate::inbox::{Command, Revocable};
use crate::reconfigure::ReconfigureError;

impl World {
    /// Changes settings, and tells what was answered.
    pub(super) fn reconfigure(
        &mut self,
        change: impl FnOnce(&mut Config),
    ) -> Result<Vec<String>, ReconfigureError> {
        let mut config = Config::clone(&self.server.config());
        change(&mut config);
        let result = self.host(move |server| server.reconfigure(config));
        result.map(|reconfigured| reconfigured.changed)
    }

    /// Paths of every change that was told.
    fn told(&self) -> Vec<Vec<String>> {
        let paths = |event| match event {
            Event::ConfigChanged { paths, .. } => Some(paths),
            _ => None,
        };
        self.events().into_iter().filter_map(paths).collect()
    }
}

#[test]
fn what_changed_is_answered_and_told() {
    let mut w = World::new(2);
    let changed = w.reconfigure(|c| {
        c.gop.max_frames = 7;
        c.streams.second_publisher = SecondPublisher::Takeover;
    });
    let paths = ["gop.max_frames", "streams.second_publisher"];
    assert_eq!(changed.expect("allowed"), paths);
    assert_eq!(w.told(), [paths]);
    assert_eq!(w.server.config().gop.max_frames, 7);
    let none: [&str; 0] = [];
    assert_eq!(w.reconfigure(|_| {}).expect("allowed"), none);
    assert_eq!(w.told().len(), 1, "nothing changed, nothing to tell");
    w.end();
}

#[test]
fn a_wrong_value_changes_nothing() {
    let mut w = World::new(2);
    let error = w.reconfigure(|c| {
        c.limits.publishers = 77;
        c.rtmp.chunk_size = 1;
    });
    let Err(ReconfigureError::Start(StartError::Config(error))) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.path, "rtmp.chunk_size");
    assert_eq!(w.server.config().limits.publishers, 10);
    assert!(w.told().is_empty());
    w.end();
}

#[test]
fn what_needs_a_restart_is_named() {
    let mut w = World::new(2);
    let error = w.reconfigure(|c| {
        c.limits.publishers = 77;
        c.workers = 3;
        c.http.listen.clear();
        c.http.tokens.keys = vec!["sixteen-and-more-bytes".to_owned()];
    });
    let Err(ReconfigureError::NeedsRestart { paths }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(paths, ["http.listen", "http.tokens.keys", "workers"]);
    assert_eq!(w.server.config().limits.publishers, 10);
    assert!(w.told().is_empty());
    w.end();
}

#[test]
fn a_server_that_stops_takes_no_settings() {
    let mut w = World::new(1);
    let player = w.player("live/cam");
    w.server.begin_stop(ms(1000));
    let error = w.reconfigure(|c| c.gop.max_frames = 7);
    assert!(
        matches!(error, Err(ReconfigureError::Stopping)),
        "{error:?}"
    );
    w.leave(player);
    w.end();
}

#[test]
fn the_policy_for_second_publishers_changes_at_once() {
    for workers in 1..=3 {
        let mut w = World::new(workers);
        let first = w.live("live/cam");
        let refused = w.client(ClientMode::Publish, "live/cam");
        w.until("the refusal", |w| w[refused].failure.is_some());
        w.reconfigure(|c| c.streams.second_publisher = SecondPublisher::Takeover)
            .expect("allowed");
        let _second = w.live("live/cam");
        w.until("the takeover", |w| w[first].is_closed());
        w.end();
    }
}

#[test]
fn limits_hold_for_who_comes_next() {
    let mut w = World::new(2);
    let first = w.live("live/a");
    let player = w.player("live/a");
    w.reconfigure(|c| {
        c.limits.publishers = 1;
        c.limits.connections = 3;
    })
    .expect("allowed");
    let second = w.client(ClientMode::Publish, "live/b");
    w.until("the refusal", |w| w[second].is_closed());
    let third = w.player("live/a");
    let over = w.client(ClientMode::Play, "live/a");
    w.until("the refusal", |w| w[over].is_closed());
    w.stream(first, 0..12);
    w.run(ms(50));
    assert_whole(&w[player].media, &w[first].sent);
    w.kill(third);
    w.end();
}

#[test]
fn less_memory_refuses_new_work_and_more_takes_it() {
    let mut w = World::new(1);
    let publisher = w.live("live/cam");
    w.stream_of(publisher, 0..20, 100_000);
    w.reconfigure(|c| c.limits.memory = 1 << 20)
        .expect("allowed");
    let refused = w.client(ClientMode::Play, "live/cam");
    w.until("the refusal", |w| w[refused].failure.is_some());
    w.reconfigure(|c| c.limits.memory = 1 << 30)
        .expect("allowed");
    w.player("live/cam");
    w.end();
}

#[test]
fn the_gop_cache_grows_and_goes() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..15);
    w.reconfigure(|c| c.gop.max_frames = 0).expect("allowed");
    w.stream(publisher, 15..16);
    assert_eq!(w.metrics().streams[0].gop_frames, 0);
    w.reconfigure(|c| c.gop.max_frames = 100).expect("allowed");
    w.stream(publisher, 16..25);
    assert!(w.metrics().streams[0].gop_frames >= 10);
    w.end();
}

#[test]
fn a_shorter_stall_timeout_reaches_who_stalls_already() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w[player].reading = false;
    w.stream_of(publisher, 0..100, 20_000);
    w.reconfigure(|c| c.queue.stall_timeout = ms(200))
        .expect("allowed");
    w.stream(publisher, 100..110);
    let slow = |r: &CloseReason| matches!(r, CloseReason::TooSlow(_));
    assert!(
        w.close_reasons().iter().any(slow),
        "{:?}",
        w.close_reasons()
    );
    w.end();
}

#[test]
fn pings_begin_for_connections_that_are_there() {
    let mut w = World::new(1);
    let player = w.player("live/cam");
    w.run(ms(20_000));
    w[player].reading = false;
    w.reconfigure(|c| c.rtmp.ping_interval = ms(1000))
        .expect("allowed");
    w.run(ms(3000));
    let network = |r: &CloseReason| matches!(r, CloseReason::Network(_));
    assert_eq!(w.close_reasons().iter().filter(|r| network(r)).count(), 1);
    w.end();
}

#[test]
fn a_grace_is_given_to_publishers_that_leave_from_now_on() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..5);
    w.reconfigure(|c| c.streams.republish_grace = ms(5000))
        .expect("allowed");
    w.kill(publisher);
    w.run(ms(4000));
    assert_eq!(w[player].end_of_stream(), None);
    w.run(ms(2000));
    assert!(w[player].end_of_stream().is_some());
    w.end();
}

#[test]
fn a_longer_time_for_decisions_holds_for_what_is_asked_next() {
    let mut setup = Setup::new(1);
    setup.host_decides = true;
    let mut w = setup.build();
    w.reconfigure(|c| c.access.decision_timeout = ms(60_000))
        .expect("allowed");
    let player = w.client(ClientMode::Play, "live/cam");
    w.run(ms(25_000));
    let requests = w.requests();
    assert_eq!(requests[0].timeout, ms(60_000));
    for request in requests {
        assert!(request.accept());
    }
    w.run(ms(50));
    assert!(!w[player].is_closed());
    w.end();
}

#[test]
fn keys_that_are_no_longer_named_end_what_they_opened() {
    for workers in 1..=2 {
        let keys = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let mut w = World::with(workers, |c| c.access.publish_keys = keys(&["a", "b"]));
        w.server.publish_keys().add("host".to_owned());
        let first = w.publisher("live/a?key=a");
        let second = w.publisher("live/b?key=b");
        let third = w.publisher("live/c?key=host");
        w.reconfigure(|c| c.access.publish_keys = keys(&["b", "new"]))
            .expect("allowed");
        w.until("its end", |w| w[first].is_closed());
        let _fourth = w.publisher("live/d?key=new");
        let refused = w.client(ClientMode::Publish, "live/e?key=a");
        w.until("the refusal", |w| w[refused].is_closed());
        assert!(!w[second].is_closed() && !w[third].is_closed());
        w.end();
    }
}

#[test]
fn addresses_come_and_go_and_connections_stay() {
    let mut w = World::with(2, |c| {
        c.listen.push("127.0.0.1:2000".parse().expect("an address"))
    });
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let other: SocketAddr = "127.0.0.1:3000".parse().expect("an address");
    let changed =
        w.reconfigure(|c| c.listen = vec![other.into(), ADDRESS.parse().expect("an address")]);
    assert_eq!(changed.expect("free"), ["listen"]);
    assert_eq!(
        w.server.addresses(),
        [other, ADDRESS.parse().expect("an address")]
    );
    let mut listeners = w.sim.listeners();
    listeners.sort();
    assert_eq!(
        listeners.iter().map(|a| a.port()).collect::<Vec<_>>(),
        [1935, 3000]
    );
    let _new = w.sim.connect(other).expect("it listens");
    w.stream(publisher, 0..12);
    w.player("live/cam");
    w.run(ms(50));
    assert_whole(&w[player].media, &w[publisher].sent);
    // From one interface to all: the same port, so the old one has to go first.
    w.reconfigure(|c| c.listen = vec!["0.0.0.0:1935".parse().expect("an address")])
        .expect("free");
    w.player("live/cam");
    w.end();
}

#[test]
fn a_port_that_the_system_chose_stays_while_its_setting_does() {
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut w = World::with(1, |c| c.listen = vec![any, any]);
    let before = w.server.addresses();
    w.reconfigure(|c| c.listen.push(ADDRESS.parse().expect("an address")))
        .expect("free");
    let after = w.server.addresses();
    assert_eq!(after[..2], before);
    assert_eq!(after.len(), 3);
    w.reconfigure(|c| c.listen.truncate(1)).expect("free");
    assert_eq!(w.server.addresses(), before[..1]);
    assert_eq!(w.sim.listeners(), before[..1]);
    w.end();
}

#[test]
fn an_address_that_cannot_be_had_leaves_all_as_it_was() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let before = w.server.addresses();
    let taken: std::net::SocketAddr = "127.0.0.1:4000".parse().expect("an address");
    let _somebody = crate::platform::Platform::listen(&w.sim, taken).expect("free");
    let error = w.reconfigure(|c| {
        c.limits.publishers = 77;
        c.listen = vec![
            "127.0.0.1:3000".parse().expect("an address"),
            "0.0.0.0:1935".parse().expect("an address"),
            taken.into(),
        ];
    });
    let Err(ReconfigureError::Start(StartError::Listen { address, .. })) = error else {
        panic!("{error:?}");
    };
    assert_eq!(address, taken);
    assert_eq!(w.server.addresses(), before);
    let mut ports: Vec<u16> = w.sim.listeners().iter().map(|a| a.port()).collect();
    ports.sort_unstable();
    assert_eq!(ports, [1935, 4000]);
    assert_eq!(w.server.config().limits.publishers, 10);
    assert!(w.told().is_empty());
    w.send(publisher, MediaKind::Video, 0, media::video(true, 0, 100));
    w.player("live/cam");
    let count = w.count(|e| matches!(e, Event::AcceptFailed { .. }));
    assert_eq!(count, 0);
    drop(_somebody);
    w.end();
}

/// Whoever asked has given up waiting: the addresses are as it knows them.
#[test]
fn an_order_that_was_taken_back_changes_no_address() {
    let mut w = World::new(1);
    let before = w.sim.listeners();
    let (order, (answer, answered)) = (Revocable::default(), channel());
    w.shared.inboxes[0].send(Command::Listen {
        addresses: vec!["127.0.0.1:3000".parse().expect("an address")],
        order: order.clone(),
        answer,
    });
    assert!(order.claim(), "the worker has not looked");
    w.run(ms(10));
    assert!(answered.recv().is_err());
    assert_eq!(w.sim.listeners(), before);
    w.end();
}

#[test]
fn settings_outlive_a_worker() {
    let mut w = World::new(1);
    let _first = w.live("live/cam");
    w.reconfigure(|c| c.streams.wait_for_publisher = false)
        .expect("allowed");
    let Some(Event::ConnectionOpened { connection, .. }) = w.events().into_iter().nth(1) else {
        panic!("{:?}", w.events());
    };
    let found = w.host(|server| server.disconnect(connection, super::PANIC));
    assert_eq!(found, Ok(true));
    let player = w.client(ClientMode::Play, "live/none");
    w.until("NotFound", |w| {
        w[player].status(code::PLAY_STREAM_NOT_FOUND).is_some()
            || w[player].refusal() == Some(code::PLAY_STREAM_NOT_FOUND)
    });
    w.end();
}
