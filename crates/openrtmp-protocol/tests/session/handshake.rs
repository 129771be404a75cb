use openrtmp_protocol::handshake::HandshakeError;
use openrtmp_protocol::session::{ServerConfig, ServerEvent, SessionError, Stage};

use crate::peer::{Peer, handshake};
use crate::wire;

#[test]
fn answered_as_soon_as_c1_is_whole() {
    let mut peer = Peer::new(&ServerConfig::default());
    let bytes = handshake();
    assert_eq!(peer.feed(&bytes[..1536]), []);
    assert_eq!(peer.session.poll_transmit(), None);
    assert_eq!(peer.feed(&bytes[1536..1537]), []);
    let answer = peer.session.poll_transmit().expect("S0, S1, S2");
    assert_eq!(answer.len(), 3073);
    assert_eq!(answer[0], 3);
    assert_eq!(peer.session.stage(), Stage::Handshake);
}

#[test]
fn works_a_byte_at_a_time_and_coalesced_with_connect() {
    let bytes = [handshake(), wire::connect(&[("app", wire::string("live"))])].concat();

    let mut slow = Peer::new(&ServerConfig::default());
    let slow: Vec<_> = bytes.iter().flat_map(|byte| slow.feed(&[*byte])).collect();
    let fast = Peer::new(&ServerConfig::default()).feed(&bytes);

    assert_eq!(slow, fast);
    assert!(
        matches!(
            fast[..],
            [ServerEvent::HandshakeDone(_), ServerEvent::Connect { .. }]
        ),
        "{fast:?}"
    );
}

#[test]
fn another_version_ends_the_session() {
    let mut peer = Peer::new(&ServerConfig::default());
    let error = peer.try_feed(&[6]).expect_err("version 6");
    assert_eq!(error, SessionError::Handshake(HandshakeError::Version(6)));
    assert_eq!(peer.session.stage(), Stage::Closed);
    assert_eq!(peer.session.poll_timeout(), None);
    assert_eq!(peer.feed(&handshake()), [], "over");
    assert_eq!(peer.session.poll_transmit(), None);
}

/// Streamlabs and hardware encoders.
#[test]
fn a_c2_that_is_no_echo_is_told_but_fatal_only_if_strict() {
    let mut bytes = handshake();
    bytes[1 + 1536 + 100] = 99;

    let events = Peer::new(&ServerConfig::default()).feed(&bytes);
    let [ServerEvent::HandshakeDone(summary)] = events[..] else {
        panic!("{events:?}");
    };
    assert!(!summary.echo_matched);

    let mut strict = ServerConfig::default();
    strict.strict_handshake = true;
    let error = Peer::new(&strict).try_feed(&bytes).expect_err("strict");
    assert_eq!(error, SessionError::Handshake(HandshakeError::Echo));
}

#[test]
fn garbage_after_it_is_an_error_not_a_panic() {
    let mut peer = Peer::greeted();
    let garbage = [0x02, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let error = peer.try_feed(&garbage).expect_err("chunk size 0");
    assert!(matches!(error, SessionError::Chunk(_)), "{error:?}");
    assert_eq!(peer.session.stage(), Stage::Closed);
}
