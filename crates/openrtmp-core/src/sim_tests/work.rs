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

#[test]
fn who_takes_more_than_its_share_is_slowed_and_others_are_not() {
    let mut w = World::with(1, |c| {
        c.limits.connection_work = ms(1);
        c.limits.message_rate = 0;
    });
    let flooder = w.live("live/flood");
    let flooded = w.player("live/flood");
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(flooder, 0..1);
    let before = w[flooded].media.len();
    for n in 0..10_000u32 {
        let body = vec![0xAF, 1, n as u8].into();
        w.send(flooder, MediaKind::Audio, 200 + n / 100, body);
    }
    w.stream(publisher, 0..25);
    // About a microsecond each: a thousand a second, and as many at once.
    let came = w[flooded].media.len() - before;
    assert!((1000..4000).contains(&came), "{came}");
    assert_whole(&w[player].media, &w[publisher].sent);
    // It waits; it is not lost, and not silent.
    w.run(ms(15_000));
    assert!(!w[flooder].is_closed());
    assert_eq!(w[flooded].media.len() - before, 10_000);
    w.end();
}

#[test]
fn who_lives_on_more_messages_than_allowed_is_closed() {
    let mut w = World::with(1, |c| c.limits.message_rate = 100);
    let [modest, greedy] = ["live/a", "live/b"].map(|name| w.live(name));
    for n in 0..600u32 {
        for (who, count) in [(modest, 1), (greedy, 10)] {
            for _ in 0..count {
                w.send(who, MediaKind::Audio, n * 20, vec![0xAF, 1, n as u8].into());
            }
        }
        w.run(ms(20));
    }
    assert!(!w[modest].is_closed());
    let lasted = w[greedy].closed.expect("closed").since(w[greedy].started);
    // Four hundred ahead after each second, a thousand are allowed.
    assert!((2400..2800).contains(&lasted.as_millis()), "{lasted:?}");
    let reasons = w.close_reasons();
    assert!(
        reasons[0].to_string().contains("limits.message_rate"),
        "{}",
        reasons[0]
    );
    w.end();
}

#[test]
fn who_is_not_read_is_not_silent() {
    let mut w = World::with(1, |c| {
        c.limits.connection_work = ms(1);
        c.limits.message_rate = 0;
        c.streams.media_timeout = ms(1000);
        c.streams.publisher_timeout = ms(500);
        c.rtmp.ping_interval = ms(1000);
    });
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..1);
    // One message of so much work that it is made up for in more than the time-outs.
    for _ in 0..40_000 {
        w[publisher].command("nobodyKnowsThis", &["x".into()]);
    }
    w.run(ms(4000));
    let rival = w.client(openrtmp_protocol::session::ClientMode::Publish, "live/cam");
    w.until("the refusal", |w| w[rival].failure.is_some());
    assert!(!w[publisher].is_closed() && !w[player].is_closed());
    // Read to its end, it is silent as anybody.
    w.until("its end", |w| w[publisher].is_closed());
    w.end();
}
