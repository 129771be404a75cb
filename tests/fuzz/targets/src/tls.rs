//! TLS as a transport: a server's end, and a client's or whatever bytes there are.
//!
//! - What one end says the other hears, in order, unless a byte is altered on its way or
//!   the other has said goodbye; then that is one failure, and nothing false is heard.
//! - Reading ends: with bytes, an error, or nothing that is left to read.
//! - What an end holds is bounded, however it is spoken to, and each record is work.
//!
//! Keys are random: a run is not the same twice, though what has to hold is.

use std::io::{ErrorKind, Read};

use arbitrary::Unstructured;
use openrtmp_core::internals::TlsEnd;

use crate::input::{Cuts, Piece, take};

/// What an end may hold: its state, a handshake's messages, what waits to be sent.
const HELD: usize = 320 * 1024;

/// Bit 0: two ends of ours rather than bytes for the server. Then the bytes, in cuts; or
/// operations.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let flags: u8 = take(&mut input);
    match flags & 1 {
        0 => alone(take(&mut input), input.take_rest()),
        _ => pair(&mut input),
    }
}

fn alone(cuts: Cuts, bytes: &[u8]) {
    let Some(mut server) = TlsEnd::server() else {
        return;
    };
    let mut failed = false;
    for piece in cuts.of(bytes) {
        server.hear(piece);
        let heard = read(&mut server, 4096);
        // No handshake of anybody without keys comes to an end.
        assert!(failed || heard.bytes.is_empty(), "out of {bytes:?}");
        failed |= heard.failed;
        server.say(1 << 16);
        assert!(server.held() < HELD);
    }
    let work = server.take_work();
    assert!(bytes.len() < 5 || work > 0);
}

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    failed: bool,
}

fn read(end: &mut TlsEnd, room: usize) -> Heard {
    let mut heard = Heard::default();
    let mut buffer = vec![0; room.max(1)];
    loop {
        match end.read(&mut buffer) {
            Ok(0) => return heard,
            Ok(_) if heard.failed => {}
            Ok(count) => heard.bytes.extend_from_slice(&buffer[..count]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return heard,
            Err(_) => heard.failed = true,
        }
    }
}

/// One way of a connection.
#[derive(Default)]
struct Way {
    said: Vec<u8>,
    heard: Vec<u8>,
    /// On the wire.
    between: Vec<u8>,
}

fn pair(input: &mut Unstructured<'_>) {
    let (Some(server), Some(client)) = (TlsEnd::server(), TlsEnd::client()) else {
        return;
    };
    let mut ends = [client, server];
    let mut ways = [Way::default(), Way::default()];
    let (mut altered, mut failed, mut over) = (false, false, [false; 2]);
    let mut steps = 0;
    while !input.is_empty() && steps < 200 {
        steps += 1;
        let what: u8 = take(input);
        let from = usize::from(what & 1);
        let (amount, to) = (usize::from(take::<u16>(input)), 1 - from);
        match what >> 1 & 7 {
            0 | 1 if !over[from] => {
                let text = take::<Piece<'_>>(input).0;
                let written = ends[from].write(text).unwrap_or(0);
                ways[from].said.extend_from_slice(&text[..written]);
            }
            2 if amount > 0 => {
                let place = amount % ways[from].between.len().max(1);
                if let Some(byte) = ways[from].between.get_mut(place) {
                    *byte ^= what | 1;
                    altered = true;
                }
            }
            3 => {
                ends[from].say_goodbye();
                over[from] = true;
            }
            4 => {
                // So much room on the wire.
                let more = ends[from].say(amount);
                ways[from].between.extend(more);
            }
            _ => {
                let count = amount.min(ways[from].between.len());
                let came: Vec<u8> = ways[from].between.drain(..count).collect();
                ends[to].hear(&came);
                let deaf = failed || over[to];
                let room = 1 + amount % 5000;
                failed |= listen(&mut ends[to], &mut ways[from], room, deaf);
            }
        }
        assert!(ends.iter().all(|end| end.held() < HELD));
    }
    for _ in 0..8 {
        for from in 0..2 {
            let more = ends[from].say(1 << 20);
            ways[from].between.extend(more);
            let mut came = ways[from].between.as_slice();
            let mut all = Vec::new();
            // What is in memory can be read.
            let _ = came.read_to_end(&mut all);
            ways[from].between.clear();
            ends[1 - from].hear(&all);
            let deaf = failed || over[1 - from];
            failed |= listen(&mut ends[1 - from], &mut ways[from], 4096, deaf);
        }
    }
    for (way, is_over) in ways.iter().zip(over) {
        assert!(
            way.said.starts_with(&way.heard),
            "in order, and nothing else"
        );
        let is_whole = way.heard.len() == way.said.len();
        assert!(altered || failed || is_over || over[0] || over[1] || is_whole);
    }
    // A goodbye in the middle of a handshake is one.
    let is_cut = altered || over.contains(&true);
    assert!(is_cut || !failed, "nobody altered anything");
}

/// True if it fails. What comes behind a failure, or behind its own goodbye, is thrown away
/// by whoever reads.
fn listen(end: &mut TlsEnd, way: &mut Way, room: usize, deaf: bool) -> bool {
    let heard = read(end, room);
    if !deaf {
        way.heard.extend_from_slice(&heard.bytes);
    }
    heard.failed
}
