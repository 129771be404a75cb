//! What peers send over HTTP/2 that no browser would. OpenSSL speaks TLS for them.

use std::time::Duration;

use openrtmp_core::{Event, Limit, PullRule};
use openrtmp_tests::Delivered;
use openrtmp_tests::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, H2, HEADERS, OK, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, request,
};
use openrtmp_tests::innocents::{Innocents, PATH};

fn connect(delivered: &Delivered) -> H2 {
    H2::secure(delivered.address())
}

fn delivered(timeout: u64) -> Delivered {
    Delivered::speaking("https://127.0.0.1:0", |config| {
        config.tls.self_signed = true;
        config.http.request_timeout = Duration::from_millis(timeout);
        config.http.answer_timeout = Duration::from_millis(timeout);
    })
}

#[test]
fn streams_that_are_begun_and_reset_at_once_end_the_connection() {
    const ENHANCE_YOUR_CALM: u32 = 11;
    let delivered = delivered(10_000);
    let mut peer = connect(&delivered);
    for number in 0..50_000 {
        let stream = number * 2 + 1;
        let sent = peer.ask(stream, "/time");
        let reset = peer.send(RST_STREAM, 0, stream, &8u32.to_be_bytes());
        if sent.and(reset).is_err() {
            break;
        }
    }
    assert_eq!(peer.end(), Some(ENHANCE_YOUR_CALM));
}

#[test]
fn one_connection_has_so_many_requests_that_wait_which_is_told() {
    let delivered = Delivered::speaking("https://127.0.0.1:0", |config| {
        config.tls.self_signed = true;
        config.http.viewers.waiting = 4;
        // Nobody serves there: streams are wanted and do not come.
        let nowhere = "rtmp://127.0.0.1:1/{app}/{name}";
        config.relay.pull = vec![PullRule::new("wanted/*", nowhere)];
    });
    let mut peer = connect(&delivered);
    for number in 0..5 {
        let path = format!("/wanted/{number}/index.m3u8");
        peer.ask(number * 2 + 1, &path).unwrap();
    }
    let refused = peer.head().expect("an answer");
    assert_ne!(refused[0], OK);
    let limit = Limit::ViewersWaiting;
    let is_it = |event: &Event| matches!(event, Event::LimitReached { limit: l, value: 4, .. } if *l == limit);
    delivered.server().wait_until_told(limit.path(), is_it);
}

#[test]
fn a_head_that_goes_on_and_on_ends_the_connection() {
    let delivered = delivered(10_000);
    let mut peer = connect(&delivered);
    peer.send(HEADERS, END_STREAM, 1, &request("/time"))
        .unwrap();
    // A header without indexing: name `x`, and 120 bytes of value.
    let mut fields = Vec::new();
    for _ in 0..100 {
        fields.extend_from_slice(b"\x00\x01x\x78");
        fields.extend_from_slice(&[b'y'; 120]);
    }
    let mut sent = 0u64;
    while peer.send(CONTINUATION, 0, 1, &fields).is_ok() && sent < 1 << 30 {
        sent += fields.len() as u64;
    }
    assert!(sent < 1 << 30);
    peer.end();
}

#[test]
fn a_head_that_does_not_come_to_its_end_ends_the_connection() {
    let delivered = delivered(300);
    let mut peer = connect(&delivered);
    peer.send(HEADERS, END_STREAM, 1, &request("/time"))
        .unwrap();
    // And nothing more.
    peer.end();
    let silent = connect(&delivered);
    assert_eq!(silent.end(), Some(0), "a goodbye");
}

#[test]
fn settings_that_nobody_reads_the_answers_of_end_the_connection() {
    let delivered = delivered(300);
    let mut peer = connect(&delivered);
    let mut sent = 0u64;
    while peer.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).is_ok() && sent < 1 << 30 {
        sent += 15;
    }
    assert!(sent < 1 << 30);
}

#[test]
fn a_head_that_is_small_until_it_is_read_is_refused_and_others_are_answered() {
    let delivered = delivered(10_000);
    let mut peer = connect(&delivered);
    // A field of 3,000 bytes that is remembered (RFC 7541, 6.2.1), and then is meant by one
    // byte, a thousand times: three megabytes.
    let mut bomb = request("/time");
    bomb.extend_from_slice(b"\x40\x01x\x7f\xb9\x16");
    bomb.extend_from_slice(&[b'y'; 3000]);
    bomb.extend_from_slice(&[0xbe; 1000]);
    peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &bomb)
        .unwrap();
    let refused = peer.head();
    assert!(refused.is_none_or(|head| head[0] != OK), "it is answered");
    let mut innocent = connect(&delivered);
    innocent.ask(1, "/time").unwrap();
    assert_eq!(innocent.head().unwrap()[0], OK);
    // The same field once is within the limit.
    let mut fair = request("/time");
    fair.extend_from_slice(b"\x40\x01x\x7f\xb9\x16");
    fair.extend_from_slice(&[b'y'; 3000]);
    innocent
        .send(HEADERS, END_STREAM | END_HEADERS, 3, &fair)
        .unwrap();
    assert_eq!(innocent.head().unwrap()[0], OK);
}

#[test]
fn pings_that_nobody_reads_the_answers_of_end_the_connection() {
    let delivered = delivered(300);
    let mut peer = connect(&delivered);
    let mut sent = 0u64;
    while peer.send(PING, 0, 0, &[7; 8]).is_ok() && sent < 1 << 30 {
        sent += 17;
    }
    assert!(sent < 1 << 30);
}

#[test]
fn pings_that_somebody_reads_the_answers_of_end_the_connection_too() {
    let delivered = delivered(10_000);
    let mut peer = connect(&delivered);
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(200);
    let mut sent = 0u64;
    let mut answered = || {
        peer.send_all(&pings).ok()?;
        sent += pings.len() as u64;
        for _ in 0..200 {
            peer.next(PING)?;
        }
        (sent < 1 << 30).then_some(())
    };
    while answered().is_some() {}
    assert!(sent < 1 << 30);
}

/// `GET /time` with a field of this name that is not remembered (RFC 7541, 6.2.2), of 4,000
/// bytes that begin with a number.
fn large(number: u32) -> Vec<u8> {
    let mut head = request("/time");
    // 4,000 is 127 and 3,873, of which the low seven bits come first.
    head.extend_from_slice(b"\0\x01x\x7f\xa1\x1e");
    head.extend_from_slice(format!("{number:0>4000}").as_bytes());
    head
}

#[test]
fn as_many_large_heads_as_there_may_be_are_answered_though_they_come_at_once() {
    const REQUESTS: u32 = 256;
    let delivered = Delivered::start(|_| ());
    let mut peer = H2::plain(delivered.address()).unwrap();
    // Twice, as what was said once is not to be held against who goes on.
    for round in 0..2 {
        let numbers = round * REQUESTS..(round + 1) * REQUESTS;
        let asked = numbers.map(|number| {
            let flags = END_STREAM | END_HEADERS;
            frame(HEADERS, flags, number * 2 + 1, &large(number))
        });
        let asked: Vec<u8> = asked.flatten().collect();
        assert!(asked.len() > 1_000_000);
        peer.send_all(&asked).unwrap();
        let (mut heads, mut bodies) = (0, 0);
        while heads < REQUESTS || bodies < REQUESTS {
            let (kind, payload) = peer.frame().expect("the connection goes on");
            match kind {
                HEADERS => {
                    assert_eq!(payload[0], OK, "{round}: {heads}");
                    heads += 1;
                }
                DATA => bodies += 1,
                kind => assert_ne!(kind, RST_STREAM, "{round}: {heads}"),
            }
        }
    }
}

#[test]
fn requests_that_are_large_only_when_they_are_read_allow_no_pings() {
    let delivered = Delivered::start(|_| ());
    let mut peer = H2::plain(delivered.address()).unwrap();
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(170);
    // A field of 3,000 bytes that is remembered, and then meant by a byte, twice.
    let mut first = request("/time");
    first.extend_from_slice(b"\x40\x01x\x7f\xb9\x16");
    first.extend_from_slice(&[b'y'; 3000]);
    let mut sent = 0u64;
    let mut answered = |stream, head: &[u8]| {
        peer.send(HEADERS, END_STREAM | END_HEADERS, stream, head)
            .ok()?;
        peer.send_all(&pings).ok()?;
        sent += pings.len() as u64;
        for _ in 0..170 {
            peer.next(PING)?;
        }
        (sent < 1 << 24).then_some(())
    };
    let mut again = request("/time");
    again.extend_from_slice(&[0xbe; 2]);
    let mut went_on = answered(1, &first);
    for stream in (3..).step_by(2) {
        if went_on.is_none() {
            break;
        }
        went_on = answered(stream, &again);
    }
    assert!(sent < 1 << 24, "it goes on");
}

#[test]
fn who_opens_no_window_is_cut_off() {
    let delivered = Delivered::start(|config| {
        // No other rule ends it.
        config.http.idle_timeout = Duration::from_secs(600);
        config.http.answer_timeout = Duration::from_secs(600);
    });
    let innocents = Innocents::of(&delivered);
    let mut peer = H2::plain(delivered.address()).unwrap();
    peer.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).unwrap();
    peer.ask(1, &format!("/{PATH}.flv")).unwrap();
    assert_eq!(peer.head().unwrap()[0], OK);
    peer.end();
    innocents.expect_unharmed();
}

#[test]
fn windows_that_become_too_large_end_the_connection() {
    const FLOW_CONTROL_ERROR: u32 = 3;
    let delivered = delivered(10_000);
    let mut peer = connect(&delivered);
    for _ in 0..3 {
        let most = 0x7fff_ffffu32.to_be_bytes();
        if peer.send(WINDOW_UPDATE, 0, 0, &most).is_err() {
            break;
        }
    }
    assert_eq!(peer.end(), Some(FLOW_CONTROL_ERROR));
}
