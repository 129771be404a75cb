//! Stopping.

use std::sync::atomic::Ordering;
use std::time::Duration;

use openrtmp_protocol::command::code;
use openrtmp_protocol::session::{ClientEvent, ClientMode};

use super::media::assert_whole;
use super::world::{World, ms};
use crate::events::{CloseReason, Event};
use crate::publisher::PublishError;

#[test]
fn a_graceful_stop_tells_everybody_and_lets_them_finish() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let idle = w.shaken();
    w.stream(publisher, 0..5);
    w.server.begin_stop(Duration::from_secs(30));
    w.stream(publisher, 5..30);
    assert_eq!(w.sim.listeners(), [], "no new connections");
    assert!(w[idle].is_closed(), "who does nothing goes at once");
    let asked = |e: &ClientEvent| matches!(e, ClientEvent::ReconnectRequest(_));
    assert!(w[publisher].time_of(asked).is_some());
    assert!(w[player].time_of(asked).is_some());
    assert_whole(&w[player].media, &w[publisher].sent);
    w.leave(publisher);
    w.run(ms(100));
    assert!(w[player].end_of_stream().is_some());
    w.leave(player);
    w.until("the workers' end", |w| w.workers_left() == 0);
    assert_eq!(w.shared.forced.load(Ordering::Acquire), 0);
    assert_eq!(w.count(|e| matches!(e, Event::ServerStopping)), 1);
    w.assert_nothing_left();
}

#[test]
fn who_only_plays_and_cannot_connect_again_goes_once_told() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let mut config = w.config(ClientMode::Play, "live/cam");
    config.capabilities.caps_ex = 0;
    let plain = w.client_with(config);
    let able = w.player("live/cam");
    w.until("both play", |w| w[plain].is_ready());
    w.stream(publisher, 0..5);
    w.server.begin_stop(Duration::from_secs(30));
    w.until("its end", |w| !w.close_reasons().is_empty());
    assert!(w[plain].is_closed());
    assert!(w[plain].end_of_stream().is_some(), "it was told");
    assert!(w[plain].status(code::CONNECT_APP_SHUTDOWN).is_some());
    assert_whole(&w[plain].media, &w[publisher].sent);
    assert!(!w[able].is_closed() && !w[publisher].is_closed());
    assert_eq!(w.close_reasons(), [CloseReason::ServerStopped]);
    w.leave(publisher);
    w.leave(able);
    w.until("the workers' end", |w| w.workers_left() == 0);
    assert_eq!(w.shared.forced.load(Ordering::Acquire), 0);
    w.assert_nothing_left();
}

#[test]
fn the_deadline_forces_those_who_stay() {
    let mut w = World::new(3);
    let publisher = w.live("live/cam");
    let [player, stuck] = [(); 2].map(|()| w.player("live/cam"));
    w.stream(publisher, 0..5);
    w[stuck].reading = false;
    let begun = w.now();
    w.stop(Duration::from_secs(5));
    let took = w.now().since(begun);
    assert!((ms(5000)..ms(5200)).contains(&took), "{took:?}");
    w.run(ms(50));
    assert!(w[player].end_of_stream().is_some(), "the last word");
    assert!(w[player].is_closed() && w[publisher].is_closed());
    assert_eq!(w.shared.forced.load(Ordering::Acquire), 3);
    let stopped = CloseReason::ServerStopped;
    assert_eq!(
        w.close_reasons(),
        [stopped.clone(), stopped.clone(), stopped]
    );
    w.assert_nothing_left();
}

#[test]
fn a_stop_by_force_is_over_at_once_whatever_goes_on() {
    let mut w = World::with(3, |c| c.streams.republish_grace = ms(60_000));
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..5);
    let gone = w.live("live/gone");
    w.kill(gone);
    w.raw();
    w.client(ClientMode::Play, "live/soon");
    let begun = w.now();
    w.stop(Duration::ZERO);
    assert!(w.now().since(begun) < ms(100));
    w.assert_nothing_left();
}

#[test]
fn a_second_force_cuts_a_stop_short() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..3);
    w.server.begin_stop(Duration::from_secs(30));
    w.run(ms(1000));
    assert!(!w[publisher].is_closed());
    w.server.force();
    w.run(ms(100));
    assert_eq!(w.workers_left(), 0);
    w.assert_nothing_left();
}

#[test]
fn while_stopping_nothing_new_begins() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    w.server.begin_stop(Duration::from_secs(30));
    w.run(ms(10));
    assert!(matches!(
        w.server.publish("live/new"),
        Err(PublishError::Stopping)
    ));
    w[publisher].command("createStream", &[]);
    w.run(ms(10));
    w[publisher].command_on(2, "publish", &["other".into()]);
    w.run(ms(10));
    assert_eq!(w.shared.directory.lock().publishers(), 0);
    w.end();
}

#[test]
fn a_host_publisher_does_not_hold_up_a_stop() {
    let mut w = World::new(3);
    let publisher = w.server.publish("live/host").expect("published");
    w.run(ms(50));
    let begun = w.now();
    w.stop(Duration::from_secs(30));
    assert!(w.now().since(begun) < ms(100));
    drop(publisher);
    w.assert_nothing_left();
}

#[test]
fn a_stream_between_workers_goes_on_while_a_stop_waits() {
    let mut w = World::new(3);
    let player = w.player("live/host");
    let mut publisher = w.server.publish("live/host").expect("published");
    w.run(ms(50));
    w.server.begin_stop(Duration::from_secs(30));
    for n in 0..10 {
        let picture = super::media::video(n == 0, n, 100);
        publisher
            .write_message(
                openrtmp_protocol::session::MediaKind::Video,
                n * 40,
                picture,
            )
            .expect("room");
        w.run(ms(40));
    }
    assert_eq!(super::media::frames(&w[player].media).len(), 10);
    drop(publisher);
    w.run(ms(50));
    assert!(w[player].end_of_stream().is_some());
    w.leave(player);
    w.until("the workers' end", |w| w.workers_left() == 0);
    w.assert_nothing_left();
}

#[test]
fn starting_and_stopping_a_hundred_times_leaves_nothing() {
    for workers in [1, 3] {
        for _ in 0..50 {
            let mut w = World::new(workers);
            let publisher = w.live("live/cam");
            let player = w.player("live/cam");
            w.stream(publisher, 0..2);
            assert!(!w[player].media.is_empty());
            w.end();
        }
    }
}
