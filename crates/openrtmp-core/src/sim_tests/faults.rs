//! Whatever goes wrong, what a player gets can be played, and in the end nothing
//! is left.

use std::panic::{AssertUnwindSafe, catch_unwind};

use openrtmp_protocol::session::ClientMode;

use super::media::{Piece, assert_decodable, assert_whole, from_keyframe};
use super::world::{Setup, Who, World, ms};
use crate::config::SecondPublisher;
use crate::platform::sim::Faults;

/// Frames of each publisher's life have numbers of their own.
const LIFE: u32 = 10_000;

#[test]
fn two_hundred_rough_courses() {
    let seeds = match std::env::var("OPENRTMP_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("a number");
            seed..seed + 1
        }
        Err(_) => 0..200,
    };
    let (mut played, mut courses) = (0, 0);
    for seed in seeds {
        let outcome = catch_unwind(AssertUnwindSafe(|| course(seed)));
        assert!(outcome.is_ok(), "run again with OPENRTMP_SEED={seed}");
        played += outcome.map_or(0, |(_, frames)| frames);
        courses += 1;
    }
    let each = played / courses;
    assert!(each > 200, "{each} frames a course: little was tried");
}

#[test]
fn a_seed_fixes_the_course() {
    assert_eq!(course(7), course(7));
    assert_ne!(course(7), course(8));
}

/// A publisher and players that come back whenever they are cut off.
/// Returns the fingerprint and the frames that players got.
fn course(seed: u64) -> (u64, usize) {
    let mut setup = Setup::new(1 + (seed % 3) as usize);
    setup.seed = seed;
    setup.network.faults = Faults::rough();
    setup.network.send_buffer = 16 * 1024;
    setup.config = setup.config.with_low_latency();
    setup.config.streams.second_publisher = [
        SecondPublisher::Reject,
        SecondPublisher::Takeover,
        SecondPublisher::Wait,
    ][(seed / 3 % 3) as usize];
    setup.config.streams.republish_grace = ms(seed / 9 % 2 * 1000);
    let mut w = setup.build();

    let mut publishers = vec![w.client(ClientMode::Publish, "live/cam")];
    let mut players: Vec<Who> = Vec::new();
    let mut sent_headers = None;
    for n in 0..100 {
        let publisher = publishers[publishers.len() - 1];
        if w[publisher].is_ready() && sent_headers != Some(publisher) {
            w.headers(publisher);
            sent_headers = Some(publisher);
        }
        let number = (publishers.len() as u32) * LIFE + n;
        w[publisher].frame(number, 800);
        if w[publisher].socket.is_none() || n == 60 {
            publishers.push(w.client(ClientMode::Publish, "live/cam"));
        }
        let living = players.iter().filter(|&&p| w[p].socket.is_some()).count();
        if living < 3 {
            players.push(w.client(ClientMode::Play, "live/cam"));
        }
        if n == 40 {
            w.kill(players[0]);
        }
        w.run(ms(40));
    }
    // When nothing goes wrong any more, whoever is there is served.
    w.sim.set_faults(Faults::default());
    w.run(ms(2000));
    let publisher = w.client(ClientMode::Publish, "live/fine");
    let player = w.client(ClientMode::Play, "live/fine");
    let last = publishers[publishers.len() - 1];
    for n in 100..130 {
        let number = publishers.len() as u32 * LIFE + n;
        w[last].frame(number, 800);
        if w[publisher].is_ready() {
            w[publisher].frame(n, 800);
        }
        w.run(ms(40));
    }
    assert_whole(from_keyframe(&w[player].media), &w[publisher].sent);
    if w[last].is_ready() && w[last].socket.is_some() {
        let newest = w[last].sent.last().map(|p| &p.payload);
        let there = players
            .iter()
            .filter(|&&p| w[p].socket.is_some() && w[p].is_ready());
        for &player in there {
            let got = w[player].media.last().map(|p| &p.payload);
            assert_eq!(got, newest, "a player was left behind");
        }
    }

    // One publisher after the other: what was sent, in the order of their lives.
    let sent: Vec<Piece> = publishers.iter().flat_map(|&p| w[p].sent.clone()).collect();
    let frames = players.iter().map(|&p| w[p].media.len()).sum();
    for player in players {
        judge(&w, player, &publishers, &sent);
    }
    let course = (w.sim.fingerprint(), frames);
    w.end();
    course
}

/// What a player got of each publisher can be decoded, in order.
fn judge(w: &World, player: Who, publishers: &[Who], sent: &[Piece]) {
    let got = &w[player].media;
    for piece in got.iter().filter(|p| p.is_frame()) {
        let known = sent.iter().any(|s| s.payload == piece.payload);
        assert!(known, "never sent: {piece:?}");
    }
    for &publisher in publishers {
        let own = &w[publisher].sent;
        let of_this: Vec<Piece> = got
            .iter()
            .filter(|p| own.iter().any(|s| s.payload == p.payload))
            .cloned()
            .collect();
        assert_decodable(&of_this, own);
    }
    let times = |kind| -> Vec<u32> {
        let of_kind = got.iter().filter(|p| p.is_frame() && p.kind == kind);
        of_kind.map(|p| p.timestamp).collect()
    };
    use openrtmp_protocol::session::MediaKind::{Audio, Video};
    if w.count(|e| matches!(e, crate::Event::StreamEnded { .. })) == 0 {
        assert!(times(Video).is_sorted() && times(Audio).is_sorted());
    }
}
