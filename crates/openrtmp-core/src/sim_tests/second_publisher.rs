//! Two publishers of one name.

use openrtmp_protocol::command::code;
use openrtmp_protocol::session::ClientMode;

use super::media::{assert_whole, frames, from_keyframe};
use super::world::{World, ms};
use crate::config::SecondPublisher;
use crate::events::Event;

fn world(workers: usize, policy: SecondPublisher) -> World {
    World::with(workers, |c| c.streams.second_publisher = policy)
}

#[test]
fn reject_keeps_the_first_and_closes_the_second() {
    for workers in 1..=3 {
        let mut w = world(workers, SecondPublisher::Reject);
        let first = w.live("live/cam");
        let player = w.player("live/cam");
        w.stream(first, 0..5);
        let second = w.client(ClientMode::Publish, "live/cam");
        w.stream(first, 5..15);
        assert_eq!(w[second].refusal(), Some(code::PUBLISH_BAD_NAME));
        assert!(w[second].is_closed());
        assert_whole(&w[player].media, &w[first].sent);
        assert_eq!(w.shared.directory.lock().publishers(), 1);
        w.end();
    }
}

/// The stream lives on one worker, its publishers come to another: the name is free as soon
/// as that one has seen the publisher leave, however busy the home is.
#[test]
fn one_that_comes_back_does_not_wait_for_a_busy_home() {
    for ends in [World::leave, World::kill] {
        let mut w = world(2, SecondPublisher::Reject);
        // Round robin: the founder is the second, and comes to worker 1.
        w.raw();
        let founder = w.live("live/cam");
        w.kill(founder);
        w.until("the end", |w| w.shared.directory.lock().publishers() == 0);
        let first = w.live("live/cam");
        let player = w.player("live/cam");
        w.stream(first, 0..5);
        ends(&mut w, first);
        w.run_without(1, ms(20));
        let back = w.client(ClientMode::Publish, "live/cam");
        w.run_without(1, ms(100));
        assert!(w[back].is_ready(), "{:?}", w[back].refusal());
        let before = w[player].media.len();
        w.headers(back);
        w.stream(back, 10..25);
        assert_whole(&w[player].media[before..], &w[back].sent);
        w.end();
    }
}

#[test]
fn takeover_closes_the_first_and_players_stay() {
    for workers in 1..=3 {
        let mut w = world(workers, SecondPublisher::Takeover);
        let first = w.live("live/cam");
        let player = w.player("live/cam");
        w.stream(first, 0..15);
        let (before, told) = (w[player].media.len(), w[player].events.len());
        let second = w.live("live/cam");
        w.run(ms(20));
        assert_eq!(w[first].refusal(), Some(code::PUBLISH_BAD_NAME));
        assert!(w[first].is_closed());
        w.stream(second, 3..25);
        w.run(ms(50));

        let (old, new) = w[player].media.split_at(before);
        assert_whole(old, &w[first].sent);
        assert_whole(from_keyframe(new), &w[second].sent);
        assert_eq!(w[player].events.len(), told, "players are not told");
        let times: Vec<u32> = frames(&w[player].media)
            .iter()
            .map(|p| p.timestamp)
            .collect();
        assert!(times.is_sorted(), "{times:?}");
        let taken = |e: &Event| matches!(e, Event::StreamPublished { takeover: true, .. });
        assert_eq!(w.count(taken), 1);
        assert_eq!(w.count(|e| matches!(e, Event::StreamEnded { .. })), 0);
        assert_eq!(w.shared.directory.lock().publishers(), 1);
        w.end();
    }
}

#[test]
fn wait_lets_the_second_go_on_when_the_first_has_left() {
    for workers in 1..=3 {
        let mut w = world(workers, SecondPublisher::Wait);
        let first = w.live("live/cam");
        let player = w.player("live/cam");
        w.stream(first, 0..5);
        let second = w.client(ClientMode::Publish, "live/cam");
        w.stream(first, 5..15);
        assert!(!w[second].is_ready() && !w[second].is_closed());
        w.leave(first);
        w.until("its turn", |w| w[second].is_ready());
        let before = w[player].media.len();
        w.headers(second);
        w.stream(second, 0..15);
        w.run(ms(50));
        assert_whole(&w[player].media[..before], &w[first].sent);
        assert_whole(&w[player].media[before..], &w[second].sent);
        assert_eq!(w[player].end_of_stream(), None);
        w.end();
    }
}

#[test]
fn those_who_wait_have_their_turn_in_order() {
    let mut w = world(2, SecondPublisher::Wait);
    let first = w.live("live/cam");
    let waiting = [(); 3].map(|()| {
        let who = w.client(ClientMode::Publish, "live/cam");
        w.run(ms(50));
        who
    });
    w.kill(waiting[1]);
    w.run(ms(50));
    w.leave(first);
    w.until("the second", |w| w[waiting[0]].is_ready());
    assert!(!w[waiting[2]].is_ready());
    w.leave(waiting[0]);
    w.until("the fourth", |w| w[waiting[2]].is_ready());
    w.end();
}

#[test]
fn a_waiting_publisher_that_leaves_as_its_turn_comes_passes_it_on() {
    let mut w = world(3, SecondPublisher::Wait);
    let first = w.live("live/cam");
    let second = w.client(ClientMode::Publish, "live/cam");
    w.run(ms(50));
    let third = w.client(ClientMode::Publish, "live/cam");
    w.run(ms(50));
    w.kill(first);
    w.kill(second);
    w.until("the third's turn", |w| w[third].is_ready());
    w.end();
}

#[test]
fn a_silent_publisher_is_replaced_under_each_policy() {
    for policy in [SecondPublisher::Reject, SecondPublisher::Wait] {
        for workers in 1..=2 {
            let mut w = world(workers, policy);
            let first = w.live("live/cam");
            let player = w.player("live/cam");
            w.stream(first, 0..5);
            w.run(ms(10_100));
            let second = w.live("live/cam");
            let before = w[player].media.len();
            w.stream(second, 0..5);
            w.run(ms(50));
            assert!(w[first].is_closed(), "{policy:?}");
            assert_whole(&w[player].media[before..], &w[second].sent);
            w.end();
        }
    }
}

#[test]
fn what_a_replaced_publisher_still_sends_reaches_nobody() {
    let mut w = world(2, SecondPublisher::Takeover);
    let first = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(first, 0..5);
    let second = w.client(ClientMode::Publish, "live/cam");
    // The first does not read, so it does not learn, and goes on.
    w[first].reading = false;
    w.until("the takeover", |w| w[second].is_ready());
    let before = w[player].media.len();
    w.headers(second);
    for n in 0..20 {
        w[first].frame(1000 + n, 100);
        w[second].frame(n, 100);
        w.run(ms(40));
    }
    w.run(ms(50));
    let new = &w[player].media[before..];
    assert_whole(new, &w[second].sent);
    w.end();
}
