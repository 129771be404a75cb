use std::time::Duration;

use openrtmp_protocol::command::{Status, code};
use openrtmp_protocol::session::{RejectReason, ServerConfig, SessionError, Stage};

use crate::peer::{Peer, handshake, publish};
use crate::wire::{command, message, null, number, string};

const SECOND: Duration = Duration::from_secs(1);

fn timeout(stage: Stage, seconds: u64) -> Result<(), SessionError> {
    Err(SessionError::Timeout { stage, seconds })
}

#[test]
fn half_a_handshake_ends_after_ten_seconds() {
    let mut peer = Peer::new(&ServerConfig::default());
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + 10 * SECOND));
    assert_eq!(peer.pass(9 * SECOND), Ok(()));
    peer.feed(&handshake()[..2000]);
    assert_eq!(peer.pass(SECOND), timeout(Stage::Handshake, 10));
    assert_eq!(peer.session.stage(), Stage::Closed);
    assert_eq!(peer.session.poll_timeout(), None);
    assert_eq!(peer.pass(100 * SECOND), Ok(()), "once");
}

/// Its connection may live on for a while, until what it was told is sent.
#[test]
fn a_session_that_is_over_holds_nothing_of_what_was_begun() {
    let mut peer = Peer::connected();
    peer.feed(&message(6, 9, 1, 0, &[0; 1000])[..600]);
    assert!(peer.session.buffered_bytes() > 0);
    peer.pass(30 * SECOND).expect_err("idle");
    assert_eq!(peer.session.stage(), Stage::Closed);
    assert_eq!(peer.session.buffered_bytes(), 0);
}

/// Larix connects and waits; so do port scanners.
#[test]
fn no_connect_ends_after_ten_more() {
    let mut peer = Peer::new(&ServerConfig::default());
    peer.pass(9 * SECOND).expect("in time");
    peer.feed(&handshake());
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + 10 * SECOND));
    assert_eq!(peer.pass(10 * SECOND), timeout(Stage::Connect, 10));
}

#[test]
fn the_host_may_take_its_time() {
    let mut peer = Peer::greeted();
    let (request, _) = peer.connect(&[("app", string("live"))]);
    assert_eq!(peer.session.poll_timeout(), None);
    peer.pass(1000 * SECOND).expect("no timeout");
    peer.session.accept(peer.now, request);
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + 30 * SECOND));

    peer.pass(29 * SECOND).expect("in time");
    let request = peer.publish(1, "cam");
    assert_eq!(peer.session.poll_timeout(), None);
    peer.pass(1000 * SECOND).expect("no timeout");
    let reason = RejectReason::Unavailable("busy".into());
    peer.session.reject(peer.now, request, &reason);
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + 30 * SECOND));
}

#[test]
fn an_idle_connection_ends_after_thirty_seconds() {
    let mut peer = Peer::connected();
    let start = peer.now;
    // What is not a publish or play changes nothing.
    peer.pass(20 * SECOND).expect("in time");
    peer.create_stream(1.0);
    assert_eq!(peer.session.poll_timeout(), Some(start + 30 * SECOND));
    assert_eq!(peer.pass(10 * SECOND), timeout(Stage::Connected, 30));
    assert_eq!(
        peer.statuses(),
        [(0, "error", code::CONNECT_CLOSED.to_owned())]
    );
}

#[test]
fn it_runs_again_after_the_last_stream() {
    let delete = |id| command(0, "deleteStream", 0.0, &[null(), number(id)]);
    let mut peer = Peer::publishing();
    let request = peer.play(2, "other");
    peer.session.accept(peer.now, request);
    peer.pass(1000 * SECOND).expect("no timeout");
    peer.feed(&delete(1.0));
    assert_eq!(peer.session.poll_timeout(), None, "one is left");
    peer.pass(5 * SECOND).expect("no timeout");
    peer.feed(&delete(2.0));
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + 30 * SECOND));

    peer.feed(&publish(1, "cam"));
    assert_eq!(peer.session.poll_timeout(), None);
    peer.feed(&delete(1.0));
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + 30 * SECOND));

    let mut peer = Peer::publishing();
    peer.session
        .end_publish(1, &Status::error(code::PUBLISH_BAD_NAME, "revoked"));
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + 30 * SECOND));
}

#[test]
fn durations_are_configurable() {
    let mut config = ServerConfig::default();
    config.handshake_timeout = SECOND;
    config.connect_timeout = 2 * SECOND;
    config.idle_timeout = 3 * SECOND;
    let peer = Peer::new(&config);
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + SECOND));
    let peer = Peer::greeted_with(&config);
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + 2 * SECOND));
    let mut peer = Peer::connected_with(&config, &[]);
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + 3 * SECOND));
    assert_eq!(peer.pass(3 * SECOND), timeout(Stage::Connected, 3));
}
