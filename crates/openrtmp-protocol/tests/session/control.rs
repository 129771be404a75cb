//! Acknowledgements, pings, chunk sizes, unknown messages.

use std::time::Duration;

use openrtmp_protocol::command::{Status, code};
use openrtmp_protocol::message::{Control, UserControl};
use openrtmp_protocol::session::{ServerConfig, ServerEvent, SessionError};

use crate::peer::{Peer, Sent, handshake, tolerated, user_control};
use crate::wire::{self, message, string};

fn window(bytes: u32) -> Vec<u8> {
    message(2, 5, 0, 0, &bytes.to_be_bytes())
}

fn acknowledged(peer: &mut Peer) -> Vec<u32> {
    let sent = peer.sent().into_iter();
    sent.filter_map(|sent| match sent {
        Sent::Control(Control::Acknowledgement(bytes)) => Some(bytes),
        _ => None,
    })
    .collect()
}

#[test]
fn every_byte_since_c0_is_acknowledged_once_the_window_is_full() {
    let mut config = ServerConfig::default();
    config.window_ack_size = 10_000;
    let mut peer = Peer::greeted_with(&config);
    let mut received = handshake().len();
    let connect = wire::connect(&[("app", string("live"))]);
    received += connect.len();
    let events = peer.feed(&connect);
    let [ServerEvent::Connect { request, .. }] = events[..] else {
        panic!("{events:?}");
    };
    peer.session.accept(peer.now, request);
    peer.sent();

    let ack = message(2, 3, 0, 0, &[0; 4]);
    while received + ack.len() < 10_000 {
        peer.feed(&ack);
        received += ack.len();
        assert_eq!(peer.sent(), [], "not due at {received}");
    }
    peer.feed(&ack);
    received += ack.len();
    assert_eq!(acknowledged(&mut peer), [received as u32]);
    peer.feed(&ack);
    assert_eq!(peer.sent(), [], "the next window begins");
}

#[test]
fn acknowledgement_has_the_bytes_of_the_specification() {
    let mut peer = Peer::connected();
    let received = 3073 + wire::connect(&[("app", string("live"))]).len() + 16;
    peer.feed(&window(1));
    let bytes = peer.session.poll_transmit().expect("due at once");
    let mut expected = vec![0x02, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0];
    expected.extend((received as u32).to_be_bytes());
    assert_eq!(bytes, expected);
}

#[test]
fn absurd_windows_are_tolerated() {
    let mut peer = Peer::connected();
    for bytes in [0, u32::MAX] {
        peer.feed(&window(bytes));
        peer.feed(&message(2, 3, 0, 0, &[0xFF; 4]).repeat(1000));
        assert_eq!(acknowledged(&mut peer), []);
    }
}

#[test]
fn peer_bandwidth_is_answered_with_the_window_if_that_changes() {
    let bandwidth = |bytes: u32| {
        let body = [&bytes.to_be_bytes()[..], &[2]].concat();
        message(2, 6, 0, 0, &body)
    };
    let mut peer = Peer::connected();
    peer.feed(&bandwidth(2_500_000));
    assert_eq!(peer.sent(), []);
    peer.feed(&bandwidth(1_000_000).repeat(2));
    assert_eq!(
        peer.sent(),
        [Sent::Control(Control::WindowAckSize(1_000_000))]
    );
    peer.feed(&message(2, 6, 0, 0, &[0]));
    assert_eq!(peer.sent(), [], "cut short");
}

#[test]
fn nothing_is_said_into_a_handshake_or_after_the_end() {
    let mut peer = Peer::new(&ServerConfig::default());
    let status = Status::status(code::CONNECT_APP_SHUTDOWN, "stop");
    peer.feed(&handshake()[..1]);
    peer.session.ping(77);
    peer.session.send_status(0, &status);
    assert_eq!(peer.session.poll_transmit(), None);

    let mut peer = Peer::connected();
    peer.pass(Duration::from_secs(30)).expect_err("idle");
    while peer.session.poll_transmit().is_some() {}
    peer.session.ping(77);
    peer.session.send_status(0, &status);
    assert_eq!(peer.session.poll_transmit(), None);
}

#[test]
fn pings_are_answered_and_sent() {
    let mut peer = Peer::connected();
    peer.feed(&message(2, 4, 0, 0, &[0, 6, 1, 2, 3, 4]));
    assert_eq!(
        peer.sent(),
        [user_control(UserControl::PingResponse(0x0102_0304))]
    );
    peer.session.ping(77);
    assert_eq!(peer.sent(), [user_control(UserControl::PingRequest(77))]);
    assert_eq!(peer.feed(&message(2, 4, 0, 0, &[0, 7, 0, 0, 0, 77])), []);
    // SetBufferLength, an unknown event, one cut short.
    for body in [
        &[0, 3, 0, 0, 0, 1, 0, 0, 11, 184][..],
        &[0, 99],
        &[0, 6, 1],
        &[],
    ] {
        assert_eq!(peer.feed(&message(2, 4, 0, 0, body)), []);
        assert_eq!(peer.sent(), []);
    }
}

#[test]
fn set_chunk_size_is_obeyed_at_once() {
    let mut peer = Peer::publishing();
    let mut large = vec![6, 0, 0, 0, 0, 1, 0x2C, 9, 1, 0, 0, 0];
    large.extend([0xAB; 300]);
    let bytes = [message(2, 1, 0, 0, &4096u32.to_be_bytes()), large].concat();
    let events = peer.feed(&bytes);
    let [ServerEvent::Media(media)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(media.payload, [0xAB; 300][..]);
    // 0x7FFFFFFF is seen in the field.
    assert_eq!(
        peer.feed(&message(2, 1, 0, 0, &[0x7F, 0xFF, 0xFF, 0xFF])),
        []
    );
    let error = peer
        .try_feed(&message(2, 1, 0, 0, &[0; 4]))
        .expect_err("zero");
    assert!(matches!(error, SessionError::Chunk(_)), "{error:?}");
    let error = Peer::connected()
        .try_feed(&message(2, 1, 0, 0, &[0]))
        .expect_err("short");
    assert!(matches!(error, SessionError::Message(_)), "{error:?}");
}

#[test]
fn abort_forgets_an_unfinished_message() {
    let mut peer = Peer::publishing();
    let whole = message(6, 9, 1, 0, &[1; 200]);
    let abort = message(2, 2, 0, 0, &6u32.to_be_bytes());
    let bytes = [&whole[..12 + 128], &abort, &whole].concat();
    let events = peer.feed(&bytes);
    assert!(
        matches!(&events[..], [ServerEvent::Media(media)] if media.payload == [1; 200][..]),
        "{events:?}"
    );
    assert_eq!(peer.session.buffered_bytes(), 0);
}

#[test]
fn unknown_message_types_are_told_once_each() {
    let mut peer = Peer::publishing();
    let bytes = [message(3, 7, 1, 0, b"x"), message(3, 99, 1, 0, b"x")]
        .concat()
        .repeat(5);
    let events = peer.feed(&bytes);
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(tolerated(&events[..1]) && tolerated(&events[1..]));
    assert_eq!(peer.session.unknown_messages(), 10);
    let events = peer.feed(&message(6, 9, 1, 0, b"v"));
    assert!(matches!(events[..], [ServerEvent::Media(_)]), "and goes on");
}

#[test]
fn a_connected_client_is_told_why_it_is_closed() {
    let mut peer = Peer::connected();
    peer.try_feed(&message(2, 1, 0, 0, &[0; 4]))
        .expect_err("chunk size 0");
    let expected = (0, "error", "NetConnection.Connect.Closed".to_owned());
    assert_eq!(peer.statuses(), [expected]);
}
