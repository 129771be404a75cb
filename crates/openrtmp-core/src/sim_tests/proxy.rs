//! Peers behind proxies: who they are is what the proxy says, if it may.

use std::net::SocketAddr;
use std::time::Duration;

use openrtmp_protocol::command::code;
use openrtmp_protocol::session::{ClientMode, ClientSession};

use super::world::{Setup, Who, World, address, ms};
use crate::config::{AddressRule, Config, Listen};
use crate::events::{CloseReason, Event};
use crate::platform::Platform;

/// A world whose clients all come through proxies.
fn world(workers: usize, change: impl FnOnce(&mut Config)) -> World {
    let mut setup = Setup::new(workers);
    setup.config.listen = vec![Listen::from(address()).with_proxy_protocol()];
    setup.config.access.trusted_proxies = vec!["127.0.0.0/8".into()];
    change(&mut setup.config);
    setup.build()
}

/// A client from there, as its proxy says.
fn client(w: &mut World, from: &str, mode: ClientMode, path: &str) -> Who {
    let family = if from.contains('.') { "TCP4" } else { "TCP6" };
    let to = if from.contains('.') {
        "192.0.2.99"
    } else {
        "2001:db8::99"
    };
    let who = w.raw();
    let header = format!("PROXY {family} {from} {to} 40000 1935\r\n");
    w[who].say(header.as_bytes());
    let config = w.config(mode, path);
    let session = ClientSession::new(config, w.sim.now(), &mut |bytes| bytes.fill(7));
    w[who].session = Some(session);
    who
}

fn peers(w: &World) -> Vec<SocketAddr> {
    let opened = |event| match event {
        Event::ConnectionOpened { peer, .. } => Some(peer),
        _ => None,
    };
    w.events().into_iter().filter_map(opened).collect()
}

#[test]
fn the_peer_is_who_the_proxy_says() {
    let mut w = world(2, |_| {});
    let publisher = client(&mut w, "192.0.2.7", ClientMode::Publish, "live/cam");
    w.until("Publish.Start", |w| w[publisher].is_ready());
    let player = client(&mut w, "2001:db8::7", ClientMode::Play, "live/cam");
    w.until("Play.Start", |w| w[player].is_ready());
    let expected = ["192.0.2.7:40000", "[2001:db8::7]:40000"].map(|a| a.parse().unwrap());
    assert_eq!(peers(&w), expected);
    let granted = |event: &Event| matches!(event, Event::Access { peer, granted: true, .. } if *peer == expected[0]);
    assert_eq!(w.count(granted), 2, "connect and publish");
    let mut listed: Vec<SocketAddr> = w
        .metrics()
        .connections_list
        .iter()
        .map(|c| c.peer)
        .collect();
    listed.sort();
    assert_eq!(listed, expected);
    w.end();
}

#[test]
fn rules_blocks_and_limits_are_about_the_peer() {
    let mut w = world(2, |c| {
        c.access.publish_keys = vec!["s3cret".into()];
        c.access.failed_attempts.limit = 2;
        c.access.rules = vec![AddressRule::deny("198.51.100.0/24")];
        c.limits.connections_per_address = 1;
    });
    let denied = client(&mut w, "198.51.100.1", ClientMode::Play, "live/cam");
    w.until("the close", |w| w[denied].is_closed());
    for _ in 0..2 {
        let guess = client(
            &mut w,
            "192.0.2.7",
            ClientMode::Publish,
            "live/cam?key=wrong",
        );
        w.until("the refusal", |w| w[guess].is_closed());
        assert_eq!(w[guess].refusal(), Some(code::PUBLISH_UNAUTHORIZED));
        w.run(ms(100));
    }
    let blocked = client(
        &mut w,
        "192.0.2.7",
        ClientMode::Publish,
        "live/cam?key=s3cret",
    );
    w.until("the close", |w| w[blocked].is_closed());
    assert!(w[blocked].refusal().is_none());
    // The others behind the proxy go on; each address has one connection.
    let first = client(
        &mut w,
        "192.0.2.8",
        ClientMode::Publish,
        "live/cam?key=s3cret",
    );
    w.until("Publish.Start", |w| w[first].is_ready());
    let second = client(&mut w, "192.0.2.8", ClientMode::Play, "live/cam");
    w.until("the close", |w| w[second].is_closed());
    let other = client(&mut w, "192.0.2.9", ClientMode::Play, "live/cam");
    w.until("Play.Start", |w| w[other].is_ready());
    w.end();
}

#[test]
fn only_proxies_that_are_trusted_are_heard() {
    let mut w = world(1, |c| c.access.trusted_proxies = vec!["127.0.0.2".into()]);
    let who = client(&mut w, "192.0.2.7", ClientMode::Publish, "live/cam");
    w.until("the close", |w| w[who].is_closed());
    assert!(peers(&w).is_empty(), "{:?}", peers(&w));
    w.end();
}

#[test]
fn without_a_header_nobody_gets_anywhere() {
    let mut w = world(2, |_| {});
    let rude = w.client(ClientMode::Publish, "live/cam");
    w.until("the close", |w| w[rude].is_closed());
    let gone = w.raw();
    w[gone].leaving = true;
    let silent = w.raw();
    w.run(Duration::from_secs(9));
    assert!(!w[silent].is_closed());
    w.run(Duration::from_secs(2));
    assert!(w[silent].is_closed());
    // Each is told of once, from its beginning to its end.
    let reasons = w.close_reasons();
    assert_eq!(peers(&w).len(), reasons.len());
    let said = |text: &str| {
        let has = |reason: &&CloseReason| reason.to_string().contains(text);
        assert_eq!(reasons.iter().filter(has).count(), 1, "{text}: {reasons:?}");
    };
    said("no header of the PROXY protocol");
    said("PROXY protocol: no header within 10000 ms");
    w.end();
}

#[test]
fn a_header_in_pieces_and_one_that_names_nobody_are_as_good() {
    let mut w = world(2, |_| {});
    let local = [&b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"[..], b""].concat();
    for header in [&local[..], b"PROXY UNKNOWN\r\n"] {
        let who = w.raw();
        for byte in header {
            w[who].say(&[*byte]);
            w.run(ms(10));
        }
        let config = w.config(ClientMode::Play, "live/cam");
        let session = ClientSession::new(config, w.sim.now(), &mut |bytes| bytes.fill(7));
        w[who].session = Some(session);
        w.until("Play.Start", |w| w[who].is_ready());
    }
    assert!(peers(&w).iter().all(|peer| peer.ip().is_loopback()));
    w.end();
}
