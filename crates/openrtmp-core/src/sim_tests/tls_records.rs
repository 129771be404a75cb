//! Records of TLS that no library would send.

use std::time::Duration;

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305};
use ring::aead::{LessSafeKey, Nonce, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ProtocolVersion};

use super::hostile::connect_command;
use super::media::assert_whole;
use super::tls::{secure, trusting};
use super::world::{FRAME, Processor, Setup, Who, World, ms};
use crate::config::{Config, TlsVersion, UserConfig};
use crate::events::CloseReason;

/// Content types (RFC 8446 section 5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// The most that a record may hold, and what its ciphertext may add to that.
const FRAGMENT: usize = 1 << 14;
const OVERHEAD: usize = 256;

/// A client whose handshake was like any other's, and whose records are its own.
struct HandMade {
    who: Who,
    key: LessSafeKey,
    iv: [u8; 12],
    number: u64,
    version: ProtocolVersion,
}

impl HandMade {
    fn new(w: &mut World) -> HandMade {
        let mut client = trusting(w).connect("127.0.0.1").expect("a name");
        let who = w.raw();
        loop {
            let mut out = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut out).expect("into memory");
            }
            w[who].say(&out);
            if out.is_empty() && !client.is_handshaking() {
                break;
            }
            w.run(ms(20));
            let came = std::mem::take(&mut w[who].received);
            let mut came = came.as_slice();
            while !came.is_empty() {
                client.read_tls(&mut came).expect("from memory");
                client.process_new_packets().expect("a handshake");
            }
        }
        let version = client.protocol_version().expect("it is over");
        let secrets = client.dangerous_extract_secrets().expect("it is over");
        let (number, secrets) = secrets.tx;
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => panic!("another cipher"),
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).expect("a key");
        HandMade {
            who,
            key: LessSafeKey::new(key),
            iv: iv.as_ref().try_into().expect("12 bytes"),
            number,
            version,
        }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (to, from) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *to ^= from;
        }
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    /// A record of TLS 1.3 around any plaintext.
    fn sealed(&mut self, inner: &[u8]) -> Vec<u8> {
        let length = u16::try_from(inner.len() + 16)
            .expect("16 bits")
            .to_be_bytes();
        let head = [DATA, 3, 3, length[0], length[1]];
        let mut body = inner.to_vec();
        let nonce = self.nonce();
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(head), &mut body)
            .expect("it is short");
        [&head[..], &body].concat()
    }

    /// A record of TLS 1.3 with so many zeros behind what it holds.
    fn padded(&mut self, kind: u8, data: &[u8], zeros: usize) -> Vec<u8> {
        let inner = [data, &[kind], &vec![0; zeros]].concat();
        self.sealed(&inner)
    }

    /// A record of TLS 1.2, with ChaCha20 (RFC 7905).
    fn sealed_before(&mut self, kind: u8, data: &[u8]) -> Vec<u8> {
        let number = self.number.to_be_bytes();
        let length = u16::try_from(data.len()).expect("16 bits").to_be_bytes();
        let aad = [&number[..], &[kind, 3, 3], &length].concat();
        let mut body = data.to_vec();
        let nonce = self.nonce();
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(aad), &mut body)
            .expect("it is short");
        let length = u16::try_from(body.len()).expect("16 bits").to_be_bytes();
        [&[kind, 3, 3], &length[..], &body].concat()
    }
}

/// A world whose work takes time, with a stream and somebody who plays it.
fn busy() -> (World, Who, Who) {
    let mut setup = Setup::new(1);
    super::tls::with_tls(&mut setup);
    setup.processor = Some(Processor { speed: 1000 });
    let mut w = super::tls::trusted(setup.build());
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    (w, publisher, player)
}

/// Nobody waits for who is ended, and nobody is ended for being silent.
fn patient(config: &mut Config) {
    config.limits.linger = ms(10);
    config.streams.media_timeout = Duration::ZERO;
    config.streams.message_timeout = Duration::ZERO;
}

/// The beginning of RTMP, to be said a byte at a time.
fn hello() -> Vec<u8> {
    let mut hello = vec![3];
    hello.resize(1 + 1536, 0);
    hello
}

#[test]
fn a_byte_in_a_padded_record_costs_its_sender_the_record_and_nobody_else() {
    let (mut w, publisher, player) = busy();
    let mut peers: Vec<HandMade> = (0..4).map(|_| HandMade::new(&mut w)).collect();
    let work = w.work_done();
    for peer in &mut peers {
        let who = peer.who;
        for byte in hello().iter().take(400) {
            let record = peer.padded(DATA, &[*byte], FRAGMENT - 1);
            assert_eq!(record.len(), 5 + FRAGMENT + 1 + 16);
            w[who].say(&record);
        }
    }
    for n in 0..60 {
        w[publisher].frame(n, 1000);
        let (sent, seen) = (w.now(), w[player].media.len());
        let came = w.until("the frame", |w| w[player].media.len() > seen);
        assert!(came.since(sent) <= ms(250), "{n}: {:?}", came.since(sent));
        w.run(ms(FRAME));
    }
    w.run(ms(3000));
    let done = w.work_done() - work;
    let least = 4 * 400 * (FRAGMENT as u64 / 2);
    assert!(done > least, "{done}, {least} at least");
    assert_whole(&w[player].media, &w[publisher].sent);
}

/// Some are allowed; they may hide how much is said. Without end they are an attack.
#[test]
fn records_that_hold_nothing_are_work_and_end_their_connection() {
    for (kind, few, padding) in [
        (DATA, 10, 0),
        (DATA, 10, 1000),
        (DATA, 5000, 0),
        (DATA, 5000, 100),
        (HANDSHAKE, 5000, 0),
        (ALERT, 5000, 0),
    ] {
        let (mut w, publisher, player) = busy();
        let mut peer = HandMade::new(&mut w);
        let (who, work) = (peer.who, w.work_done());
        let memory = w.shared.budget.used();
        for _ in 0..few {
            let record = peer.padded(kind, &[], padding);
            w[who].say(&record);
        }
        let record = peer.padded(DATA, &hello(), 0);
        w[who].say(&record);
        w.stream(publisher, 0..50);
        assert!(w.work_done() - work > 10 * 3000, "each is work");
        // S0, S1 and S2, or an alert.
        let answer = w[who].received.len();
        assert_eq!(
            answer > 3000,
            few == 10,
            "{few} of {kind} with {padding}: {answer}"
        );
        assert_eq!(w[who].is_closed(), few > 10);
        assert!(w.shared.budget.used() < memory + 256 * 1024);
        assert_whole(&w[player].media, &w[publisher].sent);
    }
}

#[test]
fn records_that_are_too_long_or_no_records_end_their_connection() {
    let mut w = secure(1, patient);
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    type Make = fn(&mut HandMade) -> Vec<u8>;
    let cases: [(&str, Make); 7] = [
        ("a fragment of 2^14 + 1", |peer| {
            peer.padded(DATA, &[7; FRAGMENT + 1], 0)
        }),
        ("padded beyond 2^14", |peer| {
            peer.padded(DATA, &[3], FRAGMENT)
        }),
        ("ciphertext beyond 2^14 + 256", |_| {
            let length = u16::try_from(FRAGMENT + OVERHEAD + 1).expect("16 bits");
            let mut record = vec![DATA, 3, 3];
            record.extend(length.to_be_bytes());
            record.resize(5 + usize::from(length), 1);
            record
        }),
        ("no ciphertext", |_| vec![DATA, 3, 3, 0, 0]),
        ("zeros and no type", |peer| peer.sealed(&[0; 1000])),
        ("no type at all", |peer| peer.sealed(&[])),
        ("an unknown type", |peer| peer.padded(99, &[1], 0)),
    ];
    for (what, make) in cases {
        let mut peer = HandMade::new(&mut w);
        let before = w.close_reasons().len();
        let record = make(&mut peer);
        w[peer.who].say(&record);
        w.until(what, |w| w[peer.who].is_closed());
        w.until(what, |w| w.close_reasons().len() > before);
        let reasons = w.close_reasons();
        let told =
            matches!(reasons.last(), Some(CloseReason::Protocol(text)) if text.contains("TLS"));
        assert!(told, "{what}: {reasons:?}");
    }
    w.stream(publisher, 0..20);
    assert_whole(&w[player].media, &w[publisher].sent);
}

#[test]
fn half_records_held_open_are_counted_and_given_back() {
    let mut w = secure(2, |config| config.rtmp.handshake_timeout = ms(3000));
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    let before = w.shared.budget.used();
    let peers: Vec<Who> = (0..100)
        .map(|_| {
            let mut peer = HandMade::new(&mut w);
            let record = peer.padded(DATA, &[3; FRAGMENT], 0);
            w[peer.who].say(&record[..record.len() - 1]);
            peer.who
        })
        .collect();
    w.run(ms(20));
    let open = peers.iter().filter(|who| !w[**who].is_closed()).count();
    let held = w.shared.budget.used() - before;
    assert!(held > open * FRAGMENT, "{held} bytes of {open}");
    w.stream(publisher, 0..50);
    w.until("the end", |w| peers.iter().all(|who| w[*who].is_closed()));
    assert_whole(&w[player].media, &w[publisher].sent);
    // What is left is the stream's own.
    assert!(w.shared.budget.used() < before + 200 * 1024);
}

#[test]
fn data_ahead_of_the_handshake_is_refused() {
    let mut w = secure(1, patient);
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    for pieces in [1, 50] {
        let mut client = trusting(&w).connect("127.0.0.1").expect("a name");
        let mut said = Vec::new();
        client.write_tls(&mut said).expect("into memory");
        for _ in 0..pieces {
            said.extend([DATA, 3, 3, 0x40, 0]);
            said.resize(said.len() + FRAGMENT, 5);
        }
        let who = w.raw();
        w[who].say(&said);
        w.until("the end", |w| w[who].is_closed());
    }
    w.stream(publisher, 0..20);
    assert_whole(&w[player].media, &w[publisher].sent);
}

/// The last of a ClientHello is what its ticket is checked by; before it stands the ticket.
#[test]
fn a_ticket_that_is_garbage_is_none() {
    let mut w = secure(1, patient);
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    let tls = trusting(&w);
    let first = w.secure(&tls);
    w.run(ms(200));
    w.leave(first);
    let mut lengths = Vec::new();
    for place in (0..400).step_by(7) {
        let mut client = tls.connect("127.0.0.1").expect("a name");
        let mut hello = Vec::new();
        client.write_tls(&mut hello).expect("into memory");
        lengths.push(hello.len());
        let at = hello.len().saturating_sub(1 + place);
        hello[at.max(5)] ^= 0x5A;
        let who = w.raw();
        w[who].say(&hello);
        w.until("an answer", |w| !w[who].received.is_empty());
        // A handshake without it, or an alert.
        let kind = w[who].received[0];
        assert!(kind == HANDSHAKE || kind == ALERT, "{place}: {kind}");
        w.kill(who);
    }
    assert!(
        lengths.iter().any(|length| *length > 300),
        "{lengths:?}: with tickets"
    );
    w.stream(publisher, 0..20);
    assert_whole(&w[player].media, &w[publisher].sent);
}

#[test]
fn who_asks_for_another_handshake_again_and_again_is_closed() {
    let mut w = secure(1, |config| {
        config.tls.min_version = TlsVersion::Tls12;
        // What is to be written by hand is simple in this one.
        let suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
        config.tls.cipher_suites = vec![suite.to_owned()];
    });
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    let mut peer = HandMade::new(&mut w);
    assert_eq!(peer.version, ProtocolVersion::TLSv1_2);
    let (who, memory) = (peer.who, w.shared.budget.used());
    // ClientHello, and nothing in it.
    let mut asked = 0;
    while !w[who].is_closed() {
        assert!(asked < 100, "asked {asked} times");
        asked += 1;
        let record = peer.sealed_before(HANDSHAKE, &[1, 0, 0, 0]);
        w[who].say(&record);
        w.run(ms(10));
    }
    assert!(w.shared.budget.used() <= memory);
    w.stream(publisher, 0..20);
    assert_whole(&w[player].media, &w[publisher].sent);
}

/// The library that speaks TLS holds it for a fault of ours to be asked about what comes
/// behind our last word.
#[test]
fn what_comes_behind_our_goodbye_is_thrown_away() {
    let garbage = [
        &[DATA, 3, 3, 0, 20][..],
        &[HANDSHAKE, 3, 3, 0, 0],
        b"GET / ",
    ];
    for garbage in garbage {
        let mut w = secure(1, |config| {
            config.access.users = vec![UserConfig::new("ann", "s3cret")];
        });
        let mut peer = HandMade::new(&mut w);
        let who = peer.who;
        w[who].reading = false;
        // It is refused, and heard for a while.
        let says = [hello(), vec![0; 1536], connect_command()].concat();
        let record = peer.padded(DATA, &says, 0);
        w[who].say(&record);
        w.run(ms(50));
        assert_eq!(w.close_reasons(), []);
        w[who].say(&[garbage, &[7; 200]].concat());
        w.until("the end", |w| !w.close_reasons().is_empty());
        let reasons = w.close_reasons();
        let is_refused = matches!(&reasons[..], [CloseReason::Refused(_)]);
        assert!(is_refused, "{reasons:?}");
        assert_eq!(w.metrics().errors.internal, 0);
    }
}
