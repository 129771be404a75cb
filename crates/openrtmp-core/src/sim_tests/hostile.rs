//! Bad input: the offender is closed or tolerated, everybody else streams on.

use bytes::BytesMut;
use openrtmp_protocol::chunk::ChunkWriter;
use openrtmp_protocol::message::kind;

use super::media::assert_whole;
use super::world::{Who, World, ms};
use crate::events::{CloseReason, Event};
use crate::metrics::IgnoredCounts;

/// A `connect` to `live` on chunk stream 3, in chunks of 128 bytes.
pub(super) fn connect_command() -> Vec<u8> {
    let body =
        b"\x02\x00\x07connect\x00\x3f\xf0\0\0\0\0\0\0\x03\x00\x03app\x02\x00\x04live\x00\x00\x09";
    message(kind::COMMAND_AMF0, body)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    ChunkWriter::new().write(3, kind, 0, 0, body, &mut bytes);
    bytes.to_vec()
}

/// A client that shook hands and connected, in a world where somebody plays.
fn connected(w: &mut World) -> Who {
    let who = w.shaken();
    w[who].say(&connect_command());
    w.until("_result", |w| w[who].received.len() > 100);
    who
}

/// What `attack` says has its client closed with a protocol error, once, and
/// nobody else notices. Returns the reason.
fn closed_for(attack: impl FnOnce(&mut World) -> Who) -> String {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..5);
    let offender = attack(&mut w);
    w.stream(publisher, 5..15);
    assert!(w[offender].is_closed(), "the offender is closed");
    assert_whole(&w[player].media, &w[publisher].sent);
    assert_eq!(w.metrics().errors.protocol, 1);
    let mut reasons = w.close_reasons();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    let CloseReason::Protocol(reason) = reasons.remove(0) else {
        panic!("not a protocol error");
    };
    w.end();
    reason
}

/// What `oddity` says is put up with.
fn tolerated(oddity: impl FnOnce(&mut World) -> Who) {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let player = w.player("live/cam");
    w.stream(publisher, 0..5);
    let odd = oddity(&mut w);
    w.stream(publisher, 5..15);
    assert!(!w[odd].is_closed(), "{:?}", w.close_reasons());
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

#[test]
fn another_version_or_garbage_instead_of_a_handshake() {
    for first in [6u8, b'G', 0, 255] {
        let reason = closed_for(|w| {
            let who = w.raw();
            w[who].say(&[first; 2000]);
            who
        });
        assert!(reason.starts_with("handshake: "), "{reason}");
    }
}

#[test]
fn garbage_after_the_handshake() {
    // Some of it reads as messages of no known type, or as the start of a long
    // one: that lasts until the time for connect is over.
    for byte in [0xFFu8, 0x03, b'G', 0x00, 0x42, 0xC3] {
        let mut w = World::new(2);
        let publisher = w.live("live/cam");
        let player = w.player("live/cam");
        let who = w.shaken();
        for n in 0..20u8 {
            w[who].say(&[byte.wrapping_add(n); 4096]);
        }
        w.run(ms(50));
        assert!(
            w.shared.budget.used() < 200_000,
            "{}",
            w.shared.budget.used()
        );
        w.stream(publisher, 0..260);
        assert!(w[who].is_closed(), "{byte}");
        let reason = w.close_reasons().remove(0).to_string();
        assert!(reason.starts_with("protocol: connect: "), "{reason}");
        assert_whole(&w[player].media, &w[publisher].sent);
        w.end();
    }
}

#[test]
fn chunk_size_zero() {
    let reason = closed_for(|w| {
        let who = connected(w);
        w[who].say(&message(kind::SET_CHUNK_SIZE, &[0, 0, 0, 0]));
        who
    });
    assert!(reason.contains("chunk"), "{reason}");
}

#[test]
fn a_command_nested_ten_thousand_deep() {
    let reason = closed_for(|w| {
        let who = connected(w);
        let mut body = b"\x02\x00\x04play\x00\0\0\0\0\0\0\0\0".to_vec();
        for _ in 0..10_000 {
            body.extend(b"\x03\x00\x01a");
        }
        w[who].say(&message(kind::COMMAND_AMF0, &body));
        who
    });
    assert!(reason.contains("command"), "{reason}");
}

#[test]
fn a_strict_array_of_all_the_elements_there_can_be() {
    closed_for(|w| {
        let who = connected(w);
        let mut body = b"\x02\x00\x04play\x00\0\0\0\0\0\0\0\0".to_vec();
        body.extend(b"\x0a\xff\xff\xff\xff");
        w[who].say(&message(kind::COMMAND_AMF0, &body));
        who
    });
}

#[test]
fn messages_of_unknown_types_and_absurd_windows_are_put_up_with() {
    tolerated(|w| {
        let who = connected(w);
        for kind in [7, 10, 13, 99, 255] {
            w[who].say(&message(kind, b"what is this"));
        }
        for window in [0u32, 1, 0xFFFF_FFFF] {
            w[who].say(&message(kind::WINDOW_ACK_SIZE, &window.to_be_bytes()));
            let mut bandwidth = window.to_be_bytes().to_vec();
            bandwidth.push(2);
            w[who].say(&message(kind::SET_PEER_BANDWIDTH, &bandwidth));
        }
        who
    });
}

#[test]
fn media_and_commands_that_fit_no_state_are_put_up_with() {
    tolerated(|w| {
        let who = connected(w);
        w[who].say(&message(kind::VIDEO, &[0x17, 1, 0, 0, 0]));
        w[who].say(&message(kind::AUDIO, &[]));
        w[who].command_on(5, "pause", &[true.into()]);
        w[who].command_on(0, "deleteStream", &[77.0.into()]);
        w[who].command_on(0, "connect", &[]);
        w[who].command_on(0, "nobodyKnowsThis", &[]);
        who
    });
}

#[test]
fn a_handshake_and_everything_after_it_may_come_a_byte_at_a_time() {
    tolerated(|w| {
        let who = w.raw();
        let mut bytes = vec![3];
        bytes.resize(1 + 2 * 1536, 0);
        bytes.extend(connect_command());
        for chunk in bytes.chunks(97) {
            w[who].say(chunk);
            w.run(ms(1));
        }
        for byte in message(
            kind::COMMAND_AMF0,
            b"\x02\x00\x0ccreateStream\x00\x40\0\0\0\0\0\0\0\x05",
        ) {
            w[who].say(&[byte]);
            w.run(ms(2));
        }
        assert!(w[who].received.len() > 2 * 1536 + 100);
        who
    });
}

#[test]
fn large_claims_cost_little() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    w.stream(publisher, 0..3);
    let before = w.shared.budget.used();
    for _ in 0..50 {
        let who = connected(&mut w);
        // A fmt 0 header of 16 MiB - 1 bytes of video (section 5.3.1.2.1), and ten
        // bytes of them.
        let mut claim = vec![0x06, 0, 0, 0, 0xFF, 0xFF, 0xFF, 9, 1, 0, 0, 0];
        claim.extend([0x17; 10]);
        w[who].say(&claim);
    }
    w.run(ms(100));
    assert_eq!(w.sim.open_sockets(), 51, "they are put up with");
    let cost = w.shared.budget.used() - before;
    assert!(cost < 50 * 64 * 1024, "{cost} bytes");
    assert!(cost >= 50 * 10, "what came is counted");
    w.end();
}

#[test]
fn one_line_names_peer_stage_and_reason() {
    let mut w = World::new(1);
    let who = w.raw();
    let address = w[who].socket.as_ref().and_then(|s| s.local_address().ok());
    w[who].say(&[9; 100]);
    w.run(ms(50));
    let closed: Vec<Event> = w.events();
    let closed: Vec<_> = closed
        .iter()
        .filter_map(|e| match e {
            Event::ConnectionClosed { peer, reason, .. } => Some((*peer, reason.to_string())),
            _ => None,
        })
        .collect();
    assert_eq!(closed.len(), 1);
    assert_eq!(Some(closed[0].0), address);
    assert!(
        closed[0].1.starts_with("protocol: handshake: "),
        "{}",
        closed[0].1
    );
    w.end();
}

#[test]
fn what_is_ignored_is_counted_over_connections_that_come_and_go() {
    let mut w = World::new(2);
    let mut expected = IgnoredCounts::default();
    for n in 0..4 {
        let who = connected(&mut w);
        for kind in [7, 99, 7] {
            w[who].say(&message(kind, b"what is this"));
        }
        w[who].say(&message(kind::COMMAND_AMF0, b"\x02\x00\x04play\x03\x00"));
        w[who].say(&message(kind::VIDEO, &[0x17, 1, 0, 0, 0]));
        w.run(ms(50));
        expected.unknown += 3;
        expected.unreadable += 1;
        expected.dropped += 1;
        assert_eq!(w.metrics().ignored, expected);
        if n % 2 == 0 {
            w.kill(who);
            w.run(ms(50));
            assert_eq!(w.metrics().ignored, expected, "it is over");
        }
    }
    w.end();
}
