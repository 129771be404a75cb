//! What input costs, and how much of it one call uses. Counts, not times.

use openrtmp_protocol::session::{ServerConfig, ServerEvent};

use crate::peer::{Peer, publish};
use crate::wire::{command, message, null, string};

/// The most that a call does without an event, what is read at once beyond it included.
const TURN: u64 = 150_000;

/// Feeds all of it; the work of all calls and of the dearest.
fn work(peer: &mut Peer, mut bytes: &[u8]) -> (u64, u64) {
    peer.session.take_work();
    let (mut all, mut most) = (0, 0);
    while !bytes.is_empty() {
        let used = peer.session.handle_input(peer.now, bytes).expect("valid");
        assert!(used > 0);
        bytes = &bytes[used..];
        while peer.session.poll_event().is_some() {}
        while peer.session.poll_transmit().is_some() {}
        let work = peer.session.take_work();
        (all, most) = (all + work, most.max(work));
    }
    (all, most)
}

#[test]
fn empty_and_tiny_messages_cost_and_hand_control_back() {
    let empty = [
        vec![0x04, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0],
        vec![0xC4; 20_000],
    ]
    .concat();
    let mut unpublished = Peer::connected();
    // Told once and dropped, then unknown types, which make no event either.
    for bytes in [empty, message(7, 99, 1, 0, b"x").repeat(20_000)] {
        let (all, most) = work(&mut unpublished, &bytes);
        assert!(all > 20_000 * 100, "{all}");
        assert!(most < TURN, "{most}");
    }
}

#[test]
fn chunks_of_one_byte_cost_more_than_their_bytes() {
    let payload = [7; 60_000];
    let (plain, _) = work(&mut Peer::publishing(), &message(6, 9, 1, 0, &payload));
    let mut peer = Peer::publishing();
    peer.feed(&message(2, 1, 0, 0, &[0, 0, 0, 1]));
    let mut bytes = vec![0x06, 0, 0, 0, 0, 0xEA, 0x60, 9, 1, 0, 0, 0, 7];
    bytes.extend([0xC6, 7].repeat(payload.len() - 1));
    let (tiny, most) = work(&mut peer, &bytes);
    assert!(tiny > 20 * plain, "{tiny} for {plain}");
    assert!(most < TURN, "{most}");
}

#[test]
fn parts_of_an_aggregate_cost_like_messages() {
    let mut peer = Peer::publishing();
    let part = [&[8][..], &[0; 14]].concat();
    let (all, most) = work(&mut peer, &message(6, 22, 1, 0, &part.repeat(10_000)));
    assert!(all > 10_000 * 100, "{all}");
    assert!(most < 1000, "each is an event: {most}");
}

#[test]
fn values_and_answers_cost() {
    let mut peer = Peer::connected();
    let nulls = [null(), string("cam"), null().repeat(5000)];
    let (_, with_values) = work(&mut peer, &command(1, "FCPublish", 3.0, &nulls));
    assert!(
        with_values < 5000,
        "what is behind the arguments is not read"
    );
    let array = [&[0x0A, 0, 0, 0x13, 0x88][..], &null().repeat(5000)].concat();
    let (_, array) = work(&mut peer, &command(1, "FCPublish", 3.0, &[null(), array]));
    assert!(array > 5000 * 30, "{array}");
    let ping = message(2, 4, 0, 0, &[0, 6, 0, 0, 0, 9]);
    let (pings, _) = work(&mut peer, &ping.repeat(100));
    assert!(pings > 100 * 500, "{pings}");
}

/// Messages that wait for one answer are not looked at when another request comes
/// and goes.
#[test]
fn what_waits_is_handled_once() {
    let mut peer = Peer::connected();
    peer.create_stream(1.0);
    peer.create_stream(2.0);
    let first = peer.publish(1, "busy");
    let media = message(4, 8, 1, 0, b"x").repeat(3000);
    assert_eq!(peer.feed(&media), []);
    let held = peer.session.buffered_bytes();
    assert!(held > 3000 * 40, "entries count: {held}");

    let close = command(2, "closeStream", 0.0, &[null()]);
    let round = [publish(2, "other"), close].concat();
    let (once, _) = work(&mut peer, &round);
    let (all, _) = work(&mut peer, &round.repeat(100));
    assert!(all <= 101 * once, "{all} for a hundred of {once}");
    assert_eq!(peer.session.buffered_bytes(), held);

    assert!(peer.session.accept(peer.now, first));
    let events = peer.events();
    assert_eq!(events.len(), 3000);
    assert!(
        events
            .iter()
            .all(|event| matches!(event, ServerEvent::Media(_)))
    );
    assert_eq!(peer.session.buffered_bytes(), 0);
}

#[test]
fn only_so_many_messages_wait() {
    let mut config = ServerConfig::default();
    config.limits.waiting_messages = 100;
    let mut peer = Peer::connected_with(&config, &[("app", string("live"))]);
    let request = peer.publish(1, "cam");
    peer.feed(&message(4, 8, 1, 0, b"").repeat(500));
    assert_eq!(peer.session.dropped_media(), 400);
    peer.session.accept(peer.now, request);
    assert_eq!(peer.events().len(), 100);
}

#[test]
fn a_message_costs_what_its_bytes_do_however_they_refer_to_each_other() {
    // The attack that took a millisecond for 156 bytes, in AMF0 and AMF3.
    let mut amf0 = vec![0x0A, 0, 0, 0, 1, 0x05];
    for level in 0..12 {
        amf0.extend([0x0A, 0, 0, 0, 2, 0x07, 0, level, 0x07, 0, level]);
    }
    let mut amf3 = vec![0x11, 0x09, 61, 0x01];
    amf3.extend([0x01; 30]);
    amf3.extend([0x11, 0x09, 31, 0x01]);
    amf3.extend([0x09, 0x00].repeat(15));
    amf3.extend([0x11, 0x09, 65, 0x01]);
    amf3.extend([0x09, 0x02].repeat(32));
    for arguments in [amf0, amf3] {
        let mut peer = Peer::connected();
        let bytes = command(1, "play", 0.0, &[null(), arguments]);
        peer.session.take_work();
        let _ = peer.session.handle_input(peer.now, &bytes);
        let work = peer.session.take_work();
        let allowed = (4 * bytes.len() as u64 + 64) * 60 + 10_000;
        assert!(work <= allowed, "{work} for {} bytes", bytes.len());
    }
}
