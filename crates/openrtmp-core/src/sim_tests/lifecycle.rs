//! The end of a publisher, and its return.

use openrtmp_protocol::command::code;

use super::media::{Class, assert_whole, frames, from_keyframe};
use super::world::{World, ms};
use crate::events::Event;

#[test]
fn a_killed_publisher_is_told_to_players_within_a_second() {
    for workers in 1..=3 {
        let mut w = World::with(workers, |c| c.streams.republish_grace = ms(0));
        let publisher = w.live("live/cam");
        let players = [(); 4].map(|()| w.player("live/cam"));
        w.stream(publisher, 0..12);
        let killed = w.now();
        w.kill(publisher);
        w.run(ms(1000));
        for player in players {
            let eof = w[player].end_of_stream().expect("StreamEOF");
            let notified = w[player].status(code::PLAY_UNPUBLISH_NOTIFY);
            assert!(eof.since(killed) < ms(1000));
            assert!(notified.expect("UnpublishNotify").since(killed) < ms(1000));
            assert_whole(&w[player].media, &w[publisher].sent);
        }
        assert_eq!(w.count(|e| matches!(e, Event::StreamEnded { .. })), 1);
        w.end();
    }
}

#[test]
fn a_goodbye_ends_the_stream_once() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..12);
    // FCUnpublish, deleteStream, then the socket's end: three times the same.
    w.leave(publisher);
    w.run(ms(1000));
    let told = |fits: fn(&Event) -> bool| w.count(fits);
    assert_eq!(told(|e| matches!(e, Event::StreamUnpublished { .. })), 1);
    assert_eq!(told(|e| matches!(e, Event::StreamEnded { .. })), 1);
    let notices = w[player].events.iter().filter(|(_, e)| {
        matches!(e, openrtmp_protocol::session::ClientEvent::Status(s)
            if s.code == code::PLAY_UNPUBLISH_NOTIFY)
    });
    assert_eq!(notices.count(), 1);
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

#[test]
fn a_player_stays_and_plays_the_next_publisher() {
    let mut w = World::new(3);
    let first = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(first, 0..12);
    w.kill(first);
    w.run(ms(5000));
    let before = w[player].media.len();
    let second = w.live("live/cam");
    w.stream(second, 0..12);
    w.run(ms(50));
    assert!(w[player].status(code::PLAY_PUBLISH_NOTIFY).is_some());
    assert_eq!(assert_whole(&w[player].media[before..], &w[second].sent), 0);
    w.end();
}

#[test]
fn within_the_grace_players_notice_nothing() {
    for workers in 1..=3 {
        let mut w = World::with(workers, |c| c.streams.goodbye_grace = ms(5000));
        let first = w.live("live/cam");
        let player = w.player("live/cam");
        w.stream(first, 0..15);
        w.kill(first);
        w.run(ms(2000));
        let before = w[player].media.len();
        let told = w[player].events.len();
        let second = w.live("live/cam");
        w.stream(second, 5..25);
        w.run(ms(50));

        assert_eq!(w[player].events.len(), told, "nobody is told");
        let (old, new) = w[player].media.split_at(before);
        // Audio need not wait for the picture: playback goes on.
        let start = assert_whole(from_keyframe(new), &w[second].sent);
        assert_eq!(frames(&w[second].sent)[start].class(), Class::Key);
        let (last, next) = (frames(old), frames(new));
        let step = next[0].timestamp - last[last.len() - 1].timestamp;
        assert!((1000..5000).contains(&step), "the clock goes on: {step} ms");
        assert_eq!(w.count(|e| matches!(e, Event::StreamEnded { .. })), 0);
        // From here on a goodbye, and the grace passes.
        w.leave(second);
        w.run(ms(4900));
        assert_eq!(w[player].end_of_stream(), None);
        w.run(ms(300));
        assert!(w[player].end_of_stream().is_some());
        w.end();
    }
}

#[test]
fn a_player_that_joins_within_the_grace_waits_like_the_others() {
    let mut w = World::with(2, |c| c.streams.republish_grace = ms(5000));
    let first = w.live("live/cam");
    w.stream(first, 0..5);
    w.kill(first);
    w.run(ms(1000));
    let player = w.player("live/cam");
    w.run(ms(1000));
    let before = w[player].media.len();
    let second = w.live("live/cam");
    w.stream(second, 0..12);
    w.run(ms(50));
    assert_eq!(assert_whole(&w[player].media[before..], &w[second].sent), 0);
    w.end();
}

#[test]
fn a_stream_that_ended_and_its_player_leave_nothing_behind() {
    let mut w = World::with(2, |c| c.streams.republish_grace = ms(0));
    for _ in 0..5 {
        let publisher = w.live("live/cam");
        let player = w.player("live/cam");
        w.stream(publisher, 0..3);
        w.kill(publisher);
        w.run(ms(100));
        w.leave(player);
        w.run(ms(100));
        assert_eq!(w.shared.directory.lock().len(), 0);
        assert_eq!(w.shared.budget.used(), 0);
        assert_eq!(w.sim.open_sockets(), 0);
    }
    w.end();
}

#[test]
fn one_connection_may_publish_and_play_several_message_streams() {
    let mut w = World::with(2, |c| c.streams.republish_grace = ms(0));
    let publisher = w.live("live/a");
    // What it publishes itself, on message stream 2.
    w[publisher].command("createStream", &[]);
    w.run(ms(10));
    w[publisher].command_on(2, "play", &["a".into()]);
    w.stream(publisher, 0..5);
    assert_eq!(w.count(|e| matches!(e, Event::SubscriberJoined { .. })), 1);
    w.kill(publisher);
    w.run(ms(100));
    assert_eq!(w.shared.directory.lock().len(), 0);
    w.end();
}
