//! Work is shared out: what costs more than its bytes waits for its turns.

use openrtmp_protocol::session::MediaKind;

use super::media::assert_whole;
use super::world::{World, ms};

/// Half a millisecond for one connection, in units of about a nanosecond, and what it
/// took to notice.
const SLICE: std::ops::Range<u64> = 450_000..700_000;

/// What reading many may come to in a turn: 2 ms, and a slice begun before.
const TURN: u64 = 3_000_000;

#[test]
fn many_tiny_messages_take_many_turns_and_come_whole() {
    let mut w = World::new(1);
    let flooder = w.live("live/flood");
    let flooded = [(); 8].map(|()| w.player("live/flood"));
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..5);
    // Audio waits for the first key frame.
    w.stream(flooder, 0..1);
    let before: Vec<usize> = flooded.iter().map(|&who| w[who].media.len()).collect();
    for n in 0..10_000u32 {
        let body = vec![0xAF, 1, n as u8].into();
        w.send(flooder, MediaKind::Audio, 200 + n / 100, body);
    }
    w.stream(publisher, 5..30);
    w.run(ms(2000));
    let heaviest = w.heaviest_turn();
    assert!(SLICE.contains(&heaviest), "{heaviest}");
    assert_whole(&w[player].media, &w[publisher].sent);
    for (&who, before) in flooded.iter().zip(before) {
        assert_eq!(w[who].media.len() - before, 10_000);
    }
    w.end();
}

#[test]
fn who_takes_much_is_served_behind_those_who_take_little() {
    let mut w = World::new(1);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    let flooders: Vec<_> = (0..8)
        .map(|n| {
            let name = format!("live/flood{n}");
            let flooder = w.live(&name);
            for _ in 0..4 {
                w.player(&name);
            }
            w.stream(flooder, 0..1);
            flooder
        })
        .collect();
    for n in 0..5_000u32 {
        for &flooder in &flooders {
            let body = vec![0xAF, 1, n as u8].into();
            w.send(flooder, MediaKind::Audio, 200 + n / 100, body);
        }
    }
    w.stream(publisher, 0..30);
    w.run(ms(500));
    let heaviest = w.heaviest_turn();
    assert!(heaviest > SLICE.end && heaviest < TURN, "{heaviest}");
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}
