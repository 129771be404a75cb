//! What peers send over HTTP/2 that no browser would. OpenSSL speaks TLS for them.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use openrtmp_tests::{Delivered, Tool};

/// Frames of RFC 9113, 6.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// The flags of HEADERS.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET https://x/time` (RFC 7541).
const REQUEST: &[u8] = b"\x82\x87\x04\x05/time\x01\x01x";

/// A connection with HTTP/2.
struct H2 {
    program: Child,
    out: ChildStdin,
    answers: ChildStdout,
}

impl H2 {
    fn connect(delivered: &Delivered) -> H2 {
        let mut command = Tool::Openssl.command();
        let address = delivered.address().to_string();
        command.args(["s_client", "-connect", &address, "-alpn", "h2", "-quiet"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut program = command.spawn().expect("OpenSSL is there");
        let mut out = program.stdin.take().unwrap();
        out.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let answers = program.stdout.take().unwrap();
        let mut connected = H2 {
            program,
            out,
            answers,
        };
        connected.send(SETTINGS, 0, 0, b"").unwrap();
        connected
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.out.write_all(&frame)
    }

    /// The next frame: its kind and payload; none if the connection is closed.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 9];
        self.answers.read_exact(&mut header).ok()?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        self.answers.read_exact(&mut payload).ok()?;
        Some((header[3], payload))
    }

    /// Reads frames until the connection is closed: the code of GOAWAY, if one came.
    fn end(mut self) -> Option<u32> {
        let mut code = None;
        while let Some((kind, payload)) = self.frame() {
            if kind == GOAWAY {
                code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
        }
        code
    }

    /// The head of the next answer, compressed (RFC 7541).
    fn head(&mut self) -> Option<Vec<u8>> {
        loop {
            let (kind, payload) = self.frame()?;
            if kind == HEADERS {
                return Some(payload);
            }
        }
    }
}

impl Drop for H2 {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
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
    let mut peer = H2::connect(&delivered);
    for number in 0..50_000 {
        let stream = number * 2 + 1;
        let sent = peer.send(HEADERS, END_STREAM | END_HEADERS, stream, REQUEST);
        let reset = peer.send(RST_STREAM, 0, stream, &8u32.to_be_bytes());
        if sent.and(reset).is_err() {
            break;
        }
    }
    assert_eq!(peer.end(), Some(ENHANCE_YOUR_CALM));
}

#[test]
fn a_head_that_goes_on_and_on_ends_the_connection() {
    let delivered = delivered(10_000);
    let mut peer = H2::connect(&delivered);
    peer.send(HEADERS, END_STREAM, 1, REQUEST).unwrap();
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
    let mut peer = H2::connect(&delivered);
    peer.send(HEADERS, END_STREAM, 1, REQUEST).unwrap();
    // And nothing more.
    peer.end();
    let silent = H2::connect(&delivered);
    assert_eq!(silent.end(), Some(0), "a goodbye");
}

#[test]
fn settings_that_nobody_reads_the_answers_of_end_the_connection() {
    let delivered = delivered(300);
    let mut peer = H2::connect(&delivered);
    let mut sent = 0u64;
    while peer.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).is_ok() && sent < 1 << 30 {
        sent += 15;
    }
    assert!(sent < 1 << 30);
}

/// `:status: 200`, as it is in the static table (RFC 7541, A).
const OK: u8 = 0x88;

#[test]
fn a_head_that_is_small_until_it_is_read_is_refused_and_others_are_answered() {
    let delivered = delivered(10_000);
    let mut peer = H2::connect(&delivered);
    // A field of 3,000 bytes that is remembered (RFC 7541, 6.2.1), and then is meant by one
    // byte, a thousand times: three megabytes.
    let mut bomb = REQUEST.to_vec();
    bomb.extend_from_slice(b"\x40\x01x\x7f\xb9\x16");
    bomb.extend_from_slice(&[b'y'; 3000]);
    bomb.extend_from_slice(&[0xbe; 1000]);
    peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &bomb)
        .unwrap();
    let refused = peer.head();
    assert!(refused.is_none_or(|head| head[0] != OK), "it is answered");
    let mut innocent = H2::connect(&delivered);
    let sent = innocent.send(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST);
    sent.unwrap();
    assert_eq!(innocent.head().unwrap()[0], OK);
    // The same field once is within the limit.
    let mut fair = REQUEST.to_vec();
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
    let mut peer = H2::connect(&delivered);
    let mut sent = 0u64;
    while peer.send(PING, 0, 0, &[7; 8]).is_ok() && sent < 1 << 30 {
        sent += 17;
    }
    assert!(sent < 1 << 30);
}

#[test]
fn windows_that_become_too_large_end_the_connection() {
    const FLOW_CONTROL_ERROR: u32 = 3;
    let delivered = delivered(10_000);
    let mut peer = H2::connect(&delivered);
    for _ in 0..3 {
        let most = 0x7fff_ffffu32.to_be_bytes();
        if peer.send(WINDOW_UPDATE, 0, 0, &most).is_err() {
            break;
        }
    }
    assert_eq!(peer.end(), Some(FLOW_CONTROL_ERROR));
}
