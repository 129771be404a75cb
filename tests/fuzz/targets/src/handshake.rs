//! Handshakes, both sides.
//!
//! - Any cutting of the bytes gives the same answer, summary or error.
//! - Each side sends its 3,073 bytes and no more, and uses up 3,073.
//! - Two of ours always agree, unless a byte is altered on the way.

use arbitrary::Unstructured;
use bytes::BytesMut;
use openrtmp_protocol::handshake::{
    ClientHandshake, HandshakeError, HandshakeKind, HandshakeSummary, PACKET_SIZE, ServerHandshake,
};

use crate::input::{Cuts, take};

/// C0 or S0, and both packets.
const WHOLE: usize = 1 + 2 * PACKET_SIZE;

/// Bit 0: server rather than client; bit 1: strict, or digests asked for; bit 2: a
/// client and a server of ours. Then the filling of the random data, the cuts, and
/// the peer's bytes, or what is altered (position, mask) on the client's way.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let flags: u8 = take(&mut input);
    let filling: u8 = take(&mut input);
    let cuts: Cuts = take(&mut input);
    let rest = input.take_rest();
    let careful = flags & 2 != 0;
    match (flags & 4 != 0, flags & 1 != 0) {
        (true, _) => pair(careful, filling, cuts, rest),
        (false, server) => {
            let whole = Outcome::of(side(server, careful, filling), rest, Cuts::NONE);
            let cut = Outcome::of(side(server, careful, filling), rest, cuts);
            assert_eq!(whole, cut);
            whole.check(server, rest.len());
        }
    }
}

enum Side {
    Server(ServerHandshake),
    Client(ClientHandshake, BytesMut),
}

fn side(server: bool, careful: bool, filling: u8) -> Side {
    let mut random = |bytes: &mut [u8]| fill(bytes, filling);
    if server {
        return Side::Server(ServerHandshake::new(&mut random, careful));
    }
    let mut output = BytesMut::new();
    let client = ClientHandshake::new(&mut random, careful, &mut output);
    Side::Client(client, output)
}

fn fill(bytes: &mut [u8], filling: u8) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = filling.wrapping_mul(at as u8) ^ (at >> 3) as u8;
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    used: usize,
    result: Result<Option<HandshakeSummary>, HandshakeError>,
    output: Vec<u8>,
}

impl Outcome {
    fn of(side: Side, bytes: &[u8], cuts: Cuts) -> Outcome {
        let (mut server, mut client, mut output) = match side {
            Side::Server(server) => (Some(server), None, BytesMut::new()),
            Side::Client(client, output) => (None, Some(client), output),
        };
        let mut feed = |piece: &[u8], output: &mut BytesMut| match (&mut server, &mut client) {
            (Some(server), _) => server.handle_input(piece, output),
            (_, Some(client)) => client.handle_input(piece, output),
            _ => unreachable!("one of them is there"),
        };
        let mut outcome = Outcome {
            used: 0,
            result: Ok(None),
            output: Vec::new(),
        };
        for piece in cuts.of(bytes) {
            match feed(piece, &mut output) {
                Ok((used, done)) => {
                    outcome.used += used;
                    if done.is_some() {
                        outcome.result = Ok(done);
                        assert_eq!(feed(b"more", &mut output), Ok((0, None)));
                        break;
                    }
                    assert_eq!(used, piece.len(), "all is used until the end");
                }
                Err(error) => {
                    // How much of the piece was read before is not told.
                    outcome.used = 0;
                    outcome.result = Err(error);
                    break;
                }
            }
        }
        outcome.output = output.to_vec();
        outcome
    }

    fn check(&self, server: bool, given: usize) {
        let before = if server { 0 } else { 1 + PACKET_SIZE };
        let sent = self.output.len();
        match &self.result {
            Ok(Some(_)) => assert_eq!((self.used, sent), (WHOLE, WHOLE)),
            Ok(None) => {
                assert!(given < WHOLE);
                let answered = given > PACKET_SIZE;
                assert_eq!(sent, if answered { WHOLE } else { before });
            }
            Err(HandshakeError::Version(version)) => {
                assert_ne!(*version, 3);
                assert_eq!(sent, before);
            }
            Err(error) => assert!(server, "{error}"),
        }
    }
}

fn pair(digest: bool, filling: u8, cuts: Cuts, alterations: &[u8]) {
    let Side::Server(mut server) = side(true, false, filling.wrapping_add(1)) else {
        unreachable!("a server was asked for");
    };
    let Side::Client(mut client, mut to_server) = side(false, digest, filling) else {
        unreachable!("a client was asked for");
    };
    let alterations: Vec<(usize, u8)> = alterations
        .as_chunks::<3>()
        .0
        .iter()
        .map(|[low, high, mask]| (usize::from(u16::from_le_bytes([*low, *high])), *mask))
        .collect();
    let intact = alterations
        .iter()
        .all(|(at, mask)| *at >= WHOLE || *mask == 0);

    let (mut sent, mut summaries) = (0, (None, None));
    for _ in 0..2 {
        let mut bytes = to_server.split();
        for (at, mask) in &alterations {
            if let Some(byte) = at.checked_sub(sent).and_then(|at| bytes.get_mut(at)) {
                *byte ^= mask;
            }
        }
        sent += bytes.len();
        let mut to_client = BytesMut::new();
        for piece in cuts.of(&bytes) {
            let Ok((_, done)) = server.handle_input(piece, &mut to_client) else {
                assert!(!intact, "two of ours understand each other");
                return;
            };
            summaries.0 = summaries.0.or(done);
        }
        for piece in cuts.of(&to_client) {
            let (_, done) = client
                .handle_input(piece, &mut to_server)
                .expect("our server speaks version 3");
            summaries.1 = summaries.1.or(done);
        }
    }
    assert_eq!(sent, WHOLE);
    let (Some(server), Some(client)) = summaries else {
        panic!("all bytes were exchanged: {summaries:?}");
    };
    if intact {
        let kind = match digest {
            true => HandshakeKind::Digest1,
            false => HandshakeKind::Simple,
        };
        for summary in [server, client] {
            assert_eq!((summary.kind, summary.echo_matched), (kind, true));
        }
    }
}
