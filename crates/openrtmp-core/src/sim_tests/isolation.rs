//! Bugs of ours cost as little as they can.

use openrtmp_protocol::session::{ClientMode, MediaKind};

use super::media::assert_whole;
use super::world::{Setup, World, ms};
use super::{PANIC_OVER, SEE_OFF, panic_at_players, panic_next_in, panicking_data};
use crate::config::SecondPublisher;
use crate::drain::DrainOptions;
use crate::events::{CloseReason, Event};
use crate::id::ConnectionId;
use crate::inbox::Command;
use crate::placement::Rule;

/// The id that the server gave to the connection opened `n`th.
fn id_of(w: &World, n: usize) -> crate::ConnectionId {
    let opened = |e| match e {
        Event::ConnectionOpened { connection, .. } => Some(connection),
        _ => None,
    };
    let ids: Vec<_> = w.events().into_iter().filter_map(opened).collect();
    ids[n]
}

#[test]
fn a_panic_inside_a_connection_closes_that_connection_only() {
    let mut w = World::with(1, |c| c.streams.republish_grace = ms(0));
    let broken = w.live("live/broken");
    let waiting = w.player("live/broken");
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..5);
    w.send(broken, MediaKind::Data, 0, panicking_data().into());
    w.stream(publisher, 5..15);
    w.run(ms(50));
    assert!(w[broken].is_closed());
    assert!(w[waiting].end_of_stream().is_some());
    assert_eq!(w.close_reasons(), [CloseReason::Internal]);
    assert_eq!(w.metrics().errors.internal, 1);
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

#[test]
fn a_worker_that_dies_is_restarted_with_its_listeners() {
    let mut w = World::new(2);
    // Round robin: 0 and 2 on worker 0, 1 and 3 on worker 1.
    let lost = w.live("live/lost");
    let publisher = w.live("live/cam");
    let lost_player = w.player("live/cam");
    let player = w.player("live/cam");
    let orphan = w.player("live/lost");
    let orphan_elsewhere = w.player("live/lost");
    w.stream(publisher, 0..5);
    panic_while_ending(&mut w, 0);
    w.stream(publisher, 5..15);
    assert!(w[lost].is_closed() && w[lost_player].is_closed() && w[orphan].is_closed());
    assert!(w[orphan_elsewhere].end_of_stream().is_some());
    assert_whole(&w[player].media, &w[publisher].sent);
    let restarted = |e: &Event| matches!(e, Event::WorkerRestarted { worker: 0 });
    assert_eq!(w.count(restarted), 1);
    let internal = w.close_reasons();
    assert_eq!(internal, [(); 3].map(|()| CloseReason::Internal));

    // It listens and serves as before.
    let again = w.live("live/lost");
    let new = [(); 3].map(|()| w.player("live/lost"));
    w.stream(again, 0..12);
    w.run(ms(50));
    for player in new.into_iter().chain([orphan_elsewhere]) {
        assert_whole(&w[player].media, &w[again].sent);
    }
    assert_eq!(w.metrics().errors.internal, 1);
    w.end();
}

#[test]
fn a_publisher_lost_with_its_worker_ends_its_stream_elsewhere() {
    let mut w = World::with(2, |c| {
        c.streams.second_publisher = SecondPublisher::Takeover;
        c.streams.republish_grace = ms(0);
    });
    // The stream lives on worker 1, its second publisher on worker 0.
    let spare = w.raw();
    let first = w.live("live/cam");
    let second = w.live("live/cam");
    w.run(ms(50));
    assert!(w[first].is_closed());
    let player = w.player("live/cam");
    w.stream(second, 0..5);
    panic_while_ending(&mut w, 2);
    w.run(ms(200));
    assert!(w[spare].is_closed() && w[second].is_closed());
    assert!(w[player].end_of_stream().is_some(), "its player is told");
    assert_eq!(w.shared.directory.lock().publishers(), 0);
    w.end();
}

#[test]
fn who_waits_to_publish_is_called_when_the_worker_of_the_first_dies() {
    let mut w = World::with(2, |c| c.streams.second_publisher = SecondPublisher::Wait);
    let first = w.live("live/cam");
    let second = w.client(ClientMode::Publish, "live/cam");
    w.run(ms(50));
    panic_while_ending(&mut w, 0);
    w.until("its turn", |w| w[second].is_ready());
    assert!(w[first].is_closed());
    w.end();
}

#[test]
fn the_host_may_end_a_connection_or_a_stream() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let id = id_of(&w, 1);
    assert_eq!(w.host(|server| server.disconnect(id, "enough")), Ok(true));
    let again = w.host(|server| server.disconnect(id, "it is ending already"));
    assert_eq!(again, Ok(false));
    w.until("the player's end", |w| w[player].is_closed());
    assert!(w.server.end_stream("live/cam", "over"));
    assert!(!w.server.end_stream("live/none", "over"));
    w.until("the publisher's end", |w| w[publisher].is_closed());
    w.run(ms(50));
    let reasons = w.close_reasons();
    let host = |text: &str| CloseReason::Host(text.to_owned());
    assert_eq!(reasons, [host("enough"), host("over")]);
    assert_eq!(
        w.host(|server| server.disconnect(id, "a stale id")),
        Ok(false)
    );
    let nowhere = ConnectionId::from_u64(u64::MAX);
    assert_eq!(
        w.host(|server| server.disconnect(nowhere, "no such worker")),
        Ok(false)
    );
    w.end();
}

#[test]
fn a_panic_over_one_players_queue_closes_that_player_only() {
    // The publisher's worker serves a player of its own and feeds one elsewhere.
    for workers in [1, 2] {
        let mut w = World::new(workers);
        let publisher = w.live("live/cam");
        let players = [(); 4].map(|()| w.player("live/cam"));
        w.stream(publisher, 0..5);
        let mut closed = Vec::new();
        for culprit in [players[1], players[2]] {
            let payload = format!("{PANIC_OVER}{}", w[culprit].port());
            w.send(
                publisher,
                MediaKind::Audio,
                200,
                payload.into_bytes().into(),
            );
            w.run(ms(50));
            assert!(w[culprit].is_closed());
            closed.push(CloseReason::Internal);
            assert_eq!(w.close_reasons(), closed);
        }
        w.stream(publisher, 5..15);
        w.run(ms(50));
        for player in [players[0], players[3]] {
            assert_whole(&w[player].media, &w[publisher].sent);
        }
        assert_eq!(w.metrics().errors.internal, 2);
        w.end();
    }
}

#[test]
fn a_panic_over_what_one_player_is_given_or_told_closes_that_player_only() {
    for workers in [1, 2] {
        let mut w = World::with(workers, |c| c.streams.republish_grace = ms(0));
        let publisher = w.live("live/cam");
        let early = [(); 4].map(|()| w.player("live/cam"));
        w.stream(publisher, 0..15);
        // What several joiners get at once, the culprit not last.
        let joiners = [(); 4].map(|()| w.client(ClientMode::Play, "live/cam"));
        let culprits = [joiners[0], joiners[1]];
        panic_at_players(culprits.map(|who| w[who].port()).to_vec());
        w.run(ms(500));
        panic_at_players(Vec::new());
        let internal = |count| vec![CloseReason::Internal; count];
        assert_eq!(w.close_reasons(), internal(2), "with {workers} workers");
        assert!(culprits.into_iter().all(|who| w[who].is_closed()));
        w.stream(publisher, 15..25);
        w.run(ms(50));
        for player in early.into_iter().chain([joiners[2], joiners[3]]) {
            assert_whole(&w[player].media, &w[publisher].sent);
        }
        // The news that the stream is over.
        let culprits = [early[0], early[1]];
        panic_at_players(culprits.map(|who| w[who].port()).to_vec());
        w.leave(publisher);
        w.run(ms(500));
        panic_at_players(Vec::new());
        let closed = w.close_reasons().into_iter();
        let closed: Vec<_> = closed.filter(|r| *r == CloseReason::Internal).collect();
        assert_eq!(closed, internal(4), "with {workers} workers");
        assert!(culprits.into_iter().all(|who| w[who].is_closed()));
        for player in [early[2], early[3], joiners[2], joiners[3]] {
            assert!(w[player].end_of_stream().is_some() && !w[player].is_closed());
        }
        assert_eq!(w.metrics().errors.internal, 4);
        w.end();
    }
}

#[test]
fn a_panic_over_a_player_that_is_seen_off_closes_that_player_only() {
    for workers in [1, 2] {
        let mut w = World::new(workers);
        let (publisher, other) = (w.live("live/cam"), w.live("live/other"));
        let players = [(); 4].map(|()| w.player("live/cam"));
        let unconcerned = w.player("live/other");
        w.server
            .begin_drain(&DrainOptions::new(ms(3_600_000)))
            .expect("it is drained");
        w.stream(publisher, 0..5);
        // Nobody may publish the stream again: its players are seen off with it.
        panic_next_in(SEE_OFF);
        w.leave(publisher);
        w.until("their end", |w| {
            players.iter().all(|&who| w[who].is_closed())
        });
        w.run(ms(50));
        let closed = w.close_reasons();
        let count = |reason| closed.iter().filter(|&r| *r == reason).count();
        let counts = (
            count(CloseReason::Internal),
            count(CloseReason::ServerStopped),
        );
        // Of the others its publisher is one, which has nothing left to do either.
        assert_eq!(counts, (1, 4), "with {workers} workers: {closed:?}");
        let told = players
            .iter()
            .filter(|&&who| w[who].end_of_stream().is_some());
        assert_eq!(told.count(), 3);
        w.stream(other, 0..5);
        assert_whole(&w[unconcerned].media, &w[other].sent);
        let restarted = |e: &Event| matches!(e, Event::WorkerRestarted { .. });
        assert_eq!((w.metrics().errors.internal, w.count(restarted)), (1, 0));
        w.end();
    }
}

#[test]
fn a_connection_goes_to_the_worker_of_its_stream_with_all_it_said() {
    let mut setup = Setup::new(2);
    setup.placement = Rule::Load;
    let mut w = setup.build();
    let publisher = w.live("live/cam");
    let elsewhere = w.client(ClientMode::Publish, "live/other");
    let opened = |e: &Event| matches!(e, Event::ConnectionOpened { .. });
    w.until("it is accepted", |w| w.count(opened) == 2);
    let moved = id_of(&w, 1);
    let before = w.shared.locations.of(moved).expect("it is there");
    // Busy enough that the publisher of another stream goes elsewhere, and with it
    // everybody who plays that.
    w.shared.placement.measured(before, 900_000, 3);
    w.until("Publish.Start", |w| w[elsewhere].is_ready());
    w.headers(elsewhere);
    let after = w.shared.locations.of(moved).expect("it is there");
    assert_ne!(before, after, "it moved");
    let (near, far) = (w.player("live/cam"), w.player("live/other"));
    w.stream(elsewhere, 0..12);
    w.stream(publisher, 0..12);
    w.run(ms(50));
    assert_whole(&w[near].media, &w[publisher].sent);
    assert_whole(&w[far].media, &w[elsewhere].sent);
    let served = w
        .metrics()
        .workers
        .iter()
        .map(|w| w.connections)
        .collect::<Vec<_>>();
    assert_eq!(served.iter().sum::<usize>(), 4);
    assert!(served.iter().all(|&n| n > 0), "{served:?}");
    // The host finds whom it means, wherever they are, by the id that it was told of.
    let told = w.metrics().streams.into_iter();
    let publishers: Vec<_> = told.filter_map(|stream| stream.connection).collect();
    assert!(publishers.contains(&moved), "{moved} among {publishers:?}");
    assert_eq!(
        w.host(|server| server.disconnect(moved, "enough")),
        Ok(true)
    );
    w.until("its end", |w| w[elsewhere].is_closed());
    let closed =
        |e: &Event| matches!(e, Event::ConnectionClosed { connection, .. } if *connection == moved);
    assert_eq!((w.count(opened), w.count(closed)), (4, 1));
    w.end();
}

/// The worker of a connection panics, outside of what it does for one connection.
fn panic_while_ending(w: &mut World, connection: usize) {
    let worker = w
        .shared
        .locations
        .of(id_of(w, connection))
        .expect("it is there");
    w.shared.inboxes[worker].send(Command::Panic);
    w.run(ms(0));
}
