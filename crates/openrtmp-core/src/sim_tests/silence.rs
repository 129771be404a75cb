//! Publishers that fall silent: who is told, when, and who gets their place.

use openrtmp_protocol::command::code;
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::ClientMode;

use super::hostile::connect_command;
use super::media::{self, assert_whole};
use super::world::{Who, World, ms};
use crate::config::SecondPublisher;
use crate::events::{CloseReason, Event};
use crate::limit::Limit;

fn reached(w: &World, limit: Limit) -> usize {
    w.count(|e| matches!(e, Event::LimitReached { limit: l, .. } if *l == limit))
}

fn lost(w: &World) -> usize {
    w.count(|e| matches!(e, Event::PublisherLost { .. }))
}

/// A raw client that may publish on message stream 1.
fn raw_publisher(w: &mut World, name: &str) -> Who {
    let who = w.shaken();
    w[who].say(&connect_command());
    w.until("_result", |w| w[who].received.len() > 100);
    w[who].command_on(0, "createStream", &[]);
    w[who].command_on(1, "publish", &[name.into(), "live".into()]);
    w.run(ms(20));
    who
}

#[test]
fn a_publisher_that_vanished_is_found_within_ten_seconds() {
    for workers in 1..=3 {
        let mut w = World::new(workers);
        let publisher = w.live("live/cam");
        let player = w.player("live/cam");
        w.stream(publisher, 0..12);
        let vanished = w.now();
        w.vanish(publisher);
        w.until("that it is lost", |w| lost(w) == 1);
        let found = w.now().since(vanished);
        assert!(found <= ms(10_200), "{found:?}");
        assert_eq!(w[player].end_of_stream(), None, "within the grace");
        w.run(ms(5200));
        let told = w[player].end_of_stream().expect("StreamEOF");
        assert!(told.since(vanished) <= ms(15_400));
        assert_eq!(reached(&w, Limit::MediaTimeout), 1);
        assert_whole(&w[player].media, &w[publisher].sent);
        w.end();
    }
}

#[test]
fn it_is_found_as_soon_though_something_to_it_is_under_way() {
    let mut w = World::with(1, |c| {
        c.streams.media_timeout = ms(5000);
        c.rtmp.ping_interval = ms(4000);
    });
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..5);
    let vanished = w.now();
    w.vanish(publisher);
    // The ping to it is never acknowledged.
    w.until("that it is lost", |w| lost(w) == 1);
    assert!(w.now().since(vanished) <= ms(5200));
    w.end();
}

#[test]
fn bytes_of_a_large_picture_on_a_slow_line_are_a_sign_of_life() {
    let mut w = World::with(1, |c| c.streams.second_publisher = SecondPublisher::Reject);
    let slow = raw_publisher(&mut w, "cam");
    // 300 kB at 22 kB/s, more than ten seconds.
    let mut bytes = bytes::BytesMut::new();
    let picture = media::video(true, 0, 300_000);
    openrtmp_protocol::chunk::ChunkWriter::new().write(6, kind::VIDEO, 1, 0, &picture, &mut bytes);
    for piece in bytes.chunks(2200) {
        w[slow].say(piece);
        w.run(ms(100));
    }
    assert!(!w[slow].is_closed());
    let second = w.client(ClientMode::Publish, "live/cam");
    w.until("the refusal", |w| w[second].failure.is_some());
    assert_eq!(w[second].refusal(), Some(code::PUBLISH_BAD_NAME));
    assert_eq!(lost(&w), 0);
    w.end();
}

#[test]
fn a_message_that_never_ends_ends_the_publish() {
    let mut w = World::new(1);
    let who = raw_publisher(&mut w, "cam");
    w[who].say(&[0x06, 0, 0, 0, 0x10, 0, 0, 9, 1, 0, 0, 0]);
    let began = w.now();
    for _ in 0..40 {
        w[who].say(&[0; 128]);
        w[who].say(&[0xC6]);
        w.run(ms(1000));
    }
    let lasted = w[who].closed.expect("closed").since(began);
    assert!((29.0..31.0).contains(&lasted.as_secs_f64()), "{lasted:?}");
    assert_eq!(reached(&w, Limit::MessageTimeout), 1);
    w.end();
}

#[test]
fn publishes_without_media_end_and_commands_are_no_media() {
    let mut w = World::with(2, |c| c.limits.publishers = 3);
    let squatter = raw_publisher(&mut w, "a");
    for (n, name) in [(2, "b"), (3, "c")] {
        w[squatter].command_on(0, "createStream", &[]);
        w[squatter].command_on(n, "publish", &[name.into(), "live".into()]);
    }
    w.run(ms(50));
    let late = w.client(ClientMode::Publish, "live/cam");
    w.until("the refusal", |w| w[late].failure.is_some());
    for _ in 0..11 {
        w[squatter].command_on(0, "releaseStream", &["x".into()]);
        w.run(ms(1000));
    }
    assert!(w[squatter].is_closed());
    assert_eq!(w.shared.directory.lock().publishers(), 0);
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..3);
    w.end();
}

#[test]
fn the_deadline_may_be_suspended_and_a_ghost_keeps_neither_name_nor_place() {
    let mut w = World::with(2, |c| {
        c.streams.media_timeout = ms(0);
        c.streams.message_timeout = ms(0);
        c.limits.publishers = 2;
    });
    let [first, second] = ["live/a", "live/b"].map(|name| {
        let who = w.live(name);
        w.stream(who, 0..3);
        who
    });
    w[first].frame(9, 100);
    w.run(ms(9000));
    // Not silent for long enough: neither the name nor a place.
    for path in ["live/b", "live/c"] {
        let early = w.client(ClientMode::Publish, path);
        w.until("the refusal", |w| w[early].failure.is_some());
    }
    w[first].frame(10, 100);
    w.run(ms(1300));
    assert!(!w[first].is_closed() && !w[second].is_closed());
    let late = w.live("live/c");
    w.run(ms(50));
    assert!(w[second].is_closed(), "it was silent longest");
    assert!(!w[first].is_closed());
    assert_eq!(w.shared.directory.lock().publishers(), 2);
    // Both speak: there is no place.
    w[first].frame(11, 100);
    w[late].frame(0, 100);
    w.run(ms(100));
    let more = w.client(ClientMode::Publish, "live/d");
    w.until("the refusal", |w| w[more].failure.is_some());
    w.end();
}

#[test]
fn a_goodbye_has_its_own_grace() {
    let mut w = World::with(1, |c| c.streams.goodbye_grace = ms(2000));
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..5);
    let left = w.now();
    w.leave(publisher);
    w.until("StreamEOF", |w| w[player].end_of_stream().is_some());
    let waited = w.now().since(left);
    assert!((ms(2000)..ms(2200)).contains(&waited), "{waited:?}");
    assert_eq!(lost(&w), 0);
    w.end();
}

#[test]
fn who_was_sent_away_does_not_come_back() {
    let mut w = World::new(1);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..5);
    assert!(w.server.end_stream("live/cam", "enough"));
    w.run(ms(300));
    assert!(w[player].end_of_stream().is_some());
    assert!(matches!(w.close_reasons()[0], CloseReason::Host(_)));
    assert_eq!(lost(&w), 0);
    w.end();
}

#[test]
fn publishers_of_a_connection_and_of_an_address_are_limited() {
    let mut w = World::with(1, |c| {
        c.limits.publishers_per_connection = 2;
        c.limits.publishers_per_address = 3;
    });
    let first = raw_publisher(&mut w, "a");
    for (n, name) in [(2, "b"), (3, "c")] {
        w[first].command_on(0, "createStream", &[]);
        w[first].command_on(n, "publish", &[name.into(), "live".into()]);
        w.run(ms(20));
    }
    assert_eq!(reached(&w, Limit::PublishersPerConnection), 1);
    w.run(ms(3000));
    let all = ["live/d", "live/e", "live/f"].map(|name| w.live(name));
    let fourth = w.client(ClientMode::Publish, "live/g");
    w.until("the refusal", |w| w[fourth].failure.is_some());
    assert_eq!(reached(&w, Limit::PublishersPerAddress), 1);
    w.leave(all[0]);
    w.run(ms(100));
    w.live("live/g");
    w.end();
}
