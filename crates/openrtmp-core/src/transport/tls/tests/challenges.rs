//! Connections of authorities that ask whether a name leads here, among those of others.

use std::time::Duration;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::Connection;

use super::*;
use crate::config::{CertificateConfig, ClientAuth, Pem, TlsConfig};
use crate::tls::Challenges;

const NAME: &str = "live.example.org";
const ACME: &[u8] = b"acme-tls/1";

/// A server that is asked about [`NAME`], and what it shows then.
struct Asked {
    tls: ServerTls,
    challenges: Challenges,
    answer: Vec<u8>,
}

impl Asked {
    fn new(config: &TlsConfig) -> Asked {
        let here = Surroundings {
            addresses: Vec::new(),
            now: begin(),
        };
        // A client of rustls would refuse one that is critical.
        let (answer, der) = answer(false);
        let mut challenges = Challenges::default();
        let set = challenges.set("LIVE.example.org", Some(&answer), begin());
        set.expect("a certificate and its key");
        Asked {
            tls: ServerTls::new(config, &here, None).expect("it is right"),
            challenges,
            answer: der,
        }
    }

    /// A connection from somebody who offers these protocols.
    fn connect(&self, name: &str, offers: &[&[u8]]) -> Shaking {
        let config = TlsClientConfig {
            insecure: true,
            ..TlsClientConfig::default()
        };
        let client = ClientTls::new(&config).expect("nothing to check");
        let connection = self.tls.accept().expect("there are random bytes");
        let server = TlsStream::new(Wire::default(), connection, 0);
        let challenge = self.challenges.config().expect("it is asked");
        Shaking {
            server: server.with_choice(self.tls.choice(challenge)),
            client: client.offering(offers).connect(name).expect("a name"),
        }
    }
}

/// An answer about [`NAME`], and its certificate alone.
fn answer(is_critical: bool) -> (CertificateConfig, Vec<u8>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([NAME.to_owned()]).expect("a name");
    let mut extension = CustomExtension::new_acme_identifier(&[7; 32]);
    extension.set_criticality(is_critical);
    params.custom_extensions = vec![extension];
    params.not_before = (begin() - Duration::from_secs(1)).into();
    let made = params.self_signed(&key).expect("a certificate");
    let answer = CertificateConfig {
        certificate: Pem::Text(made.pem()),
        key: Pem::Text(key.serialize_pem()),
    };
    (answer, made.der().to_vec())
}

struct Shaking {
    server: TlsStream<Wire>,
    client: Connection,
}

impl Shaking {
    /// Moves bytes, so many at a time, until nobody has any; what the server read.
    fn shake(&mut self, bite: usize) -> io::Result<Vec<u8>> {
        let wire = &mut self.server.socket;
        (wire.bite, wire.room) = (bite, 1 << 20);
        let mut heard = Vec::new();
        loop {
            let mut out = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut out)?;
            }
            self.server.socket.incoming.extend(&out);
            let mut bytes = [0; 512];
            let read = loop {
                match self.server.read(&mut bytes) {
                    Ok(0) => break Ok(()),
                    Ok(count) => heard.extend_from_slice(&bytes[..count]),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                    Err(e) => break Err(e),
                }
            };
            let _ = self.server.flush();
            let came = std::mem::take(&mut self.server.socket.outgoing);
            if read.is_err() || (out.is_empty() && came.is_empty()) {
                return read.map(|()| heard);
            }
            let mut came = came.as_slice();
            while !came.is_empty() {
                self.client.read_tls(&mut came)?;
                let _ = self.client.process_new_packets();
            }
        }
    }

    fn shown(&self) -> &[u8] {
        let shown = self.client.peer_certificates().expect("it was shown one");
        &shown[0]
    }
}

#[test]
fn an_authority_is_shown_the_answer_and_everybody_else_the_certificate() {
    let asked = Asked::new(&settings(usual()));
    let usual: &[&[&[u8]]] = &[&[], &[b"h2"], &[b"http/1.1", b"h2"], &[ACME, b"h2"]];
    for bite in [1, 7, 4096] {
        let mut authority = asked.connect(NAME, &[ACME]);
        authority.shake(bite).expect("a handshake");
        assert_eq!(authority.client.alpn_protocol(), Some(ACME));
        assert_eq!(authority.shown(), asked.answer);
        for offers in usual {
            let mut other = asked.connect(NAME, offers);
            other.client.writer().write_all(b"RTMP").expect("room");
            let heard = other.shake(bite).expect("a handshake and bytes");
            assert_eq!(heard, b"RTMP");
            assert_ne!(other.shown(), asked.answer);
            assert_eq!(other.client.alpn_protocol(), None);
            assert!(other.server.take_work() > 0);
        }
    }
}

#[test]
fn an_authority_has_no_certificate_to_show() {
    let mut config = settings(usual());
    config.client_auth.mode = ClientAuth::Required;
    config.client_auth.ca = Some(Pem::Text(usual().certificate.clone()));
    let asked = Asked::new(&config);
    asked
        .connect(NAME, &[ACME])
        .shake(4096)
        .expect("a handshake");
    let other = asked.connect(NAME, &[]).shake(4096);
    let error = other.expect_err("it has none either").to_string();
    assert!(error.contains("tls.client_auth.mode"), "{error}");
}

#[test]
fn nothing_is_said_on_a_connection_that_proves_nothing() {
    let asked = Asked::new(&settings(usual()));
    let mut authority = asked.connect(NAME, &[ACME]);
    authority.client.writer().write_all(b"RTMP").expect("room");
    let error = authority.shake(4096).expect_err("it should have left");
    assert!(error.to_string().contains("RFC 8737"), "{error}");
}

#[test]
fn there_is_no_answer_for_another_name_nor_for_none() {
    let asked = Asked::new(&settings(usual()));
    for name in ["other.example.org", "127.0.0.1"] {
        let mut authority = asked.connect(name, &[ACME]);
        let error = authority.shake(4096).expect_err(name);
        assert!(Failure::of(&error).is_some(), "{error}");
    }
}

#[test]
fn an_answer_is_given_as_long_as_it_is_there() {
    let mut asked = Asked::new(&settings(usual()));
    let ended = asked.challenges.set(NAME, None, begin());
    ended.expect("it was there");
    assert!(asked.challenges.config().is_none());
    let (right, _) = answer(true);
    let wrong = CertificateConfig {
        certificate: right.certificate.clone(),
        key: answer(true).0.key,
    };
    let error = asked.challenges.set(NAME, Some(&wrong), begin());
    let error = error.expect_err("another key").to_string();
    assert!(error.contains("is not the key of"), "{error}");
    assert!(asked.challenges.config().is_none());
    let set = asked.challenges.set(NAME, Some(&right), begin());
    set.expect("as authorities want it");
    assert!(asked.challenges.config().is_some());
}

#[test]
fn what_is_no_hello_and_half_a_hello_fail_as_they_do_without_a_question() {
    let asked = Asked::new(&settings(usual()));
    let mut plain = asked.connect(NAME, &[]);
    // Not every system has certificates of authorities.
    let config = TlsClientConfig {
        insecure: true,
        ..TlsClientConfig::default()
    };
    plain.client = ClientTls::new(&config)
        .and_then(|client| client.connect(NAME))
        .expect("a name");
    plain.server.socket.incoming.extend([3; 1537]);
    let error = plain.shake(4096).expect_err("RTMP without TLS");
    assert!(error.to_string().contains("should say rtmps"), "{error}");

    let mut half = asked.connect(NAME, &[ACME]);
    let mut hello = Vec::new();
    half.client.write_tls(&mut hello).expect("it is in memory");
    let wire = &mut half.server.socket;
    wire.incoming.extend(&hello[..hello.len() / 2]);
    (wire.bite, wire.ended) = (4096, true);
    let error = half.server.read(&mut [0; 16]).expect_err("it has left");
    assert!(
        error.to_string().contains("during the handshake"),
        "{error}"
    );
}
