//! A server's end over a wire that a test moves.

mod challenges;

use std::collections::VecDeque;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::config::TlsClientConfig;
use crate::sim_tests::tls::{begin, settings, usual};
use crate::tls::{ClientTls, ServerTls, Surroundings};

#[test]
fn records_are_followed_however_they_are_cut() {
    let mut bytes = Vec::new();
    for length in [0usize, 1, 300, 16_640] {
        bytes.extend([23, 3, 3, (length >> 8) as u8, length as u8]);
        bytes.resize(bytes.len() + length, 0xAA);
    }
    bytes.extend([22, 3, 3, 1, 0, 7, 7]);
    for piece in [1, 2, 3, 5, 7, 4096, bytes.len()] {
        let mut records = Records::default();
        bytes.chunks(piece).for_each(|piece| records.follow(piece));
        assert_eq!(records.count, 5, "in pieces of {piece}");
        assert_eq!(records.incomplete(), 7, "in pieces of {piece}");
        assert_eq!(records.total, bytes.len() as u64);
        let work = 5 * RECORD + bytes.len() as u64 / BYTES_PER_UNIT;
        assert_eq!(records.take_work(), work);
        assert_eq!(records.take_work(), 0);
    }
}

/// The server's end of a wire.
#[derive(Default)]
struct Wire {
    incoming: VecDeque<u8>,
    /// So many bytes at a time.
    bite: usize,
    outgoing: Vec<u8>,
    /// Bytes that may still go out.
    room: usize,
    /// Nothing comes after what is here.
    ended: bool,
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.bite).min(self.incoming.len());
        if count == 0 && !self.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for (to, from) in bytes.iter_mut().zip(self.incoming.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.outgoing.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// The client says so many bytes.
    Say(usize),
    /// The client wants other keys.
    Refresh,
    /// A byte of what the client says next is another on the wire.
    Corrupt(usize),
    /// Bytes reach the server, in bites.
    Deliver(usize, usize),
    /// The server reads into so much room, as long as it gets something.
    Read(usize),
    /// The server says so many bytes.
    Answer(usize),
    /// So many bytes of the server's go on to the client.
    Room(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..40_000).prop_map(Step::Say),
        1 => Just(Step::Refresh),
        1 => (0usize..2000).prop_map(Step::Corrupt),
        6 => (1usize..60_000, 1usize..20_000).prop_map(|(all, bite)| Step::Deliver(all, bite)),
        6 => (1usize..40_000).prop_map(Step::Read),
        2 => (1usize..40_000).prop_map(Step::Answer),
        4 => (0usize..60_000).prop_map(Step::Room),
    ];
    prop::collection::vec(step, 1..60)
}

/// Two ends and the wire.
struct Line {
    server: TlsStream<Wire>,
    client: rustls::Connection,
    /// Said by the client, and not with the server's wire yet.
    on_its_way: VecDeque<u8>,
    /// The place of a byte of that to be changed.
    corrupt: Option<usize>,
    corrupted: bool,
    said: Vec<u8>,
    heard: Vec<u8>,
    answered: Vec<u8>,
    answers: Vec<u8>,
    failures: usize,
}

/// Bytes that tell where they stand.
fn bytes(from: usize, count: usize) -> Vec<u8> {
    (from..from + count)
        .map(|n| (n * 31 + n / 251) as u8)
        .collect()
}

impl Line {
    fn new() -> Line {
        static TLS: OnceLock<(ServerTls, ClientTls)> = OnceLock::new();
        let (server, client) = TLS.get_or_init(|| {
            let here = Surroundings {
                addresses: Vec::new(),
                now: begin(),
            };
            let server = ServerTls::new(&settings(usual()), &here, None).expect("it is right");
            let client = TlsClientConfig {
                pins: server.pin().into_iter().collect(),
                ..TlsClientConfig::default()
            };
            (server, ClientTls::new(&client).expect("a pin"))
        });
        let connection = server.accept().expect("there are random bytes");
        Line {
            server: TlsStream::new(Wire::default(), connection, server.handshake_work()),
            client: client.connect("127.0.0.1").expect("a name"),
            on_its_way: VecDeque::new(),
            corrupt: None,
            corrupted: false,
            said: Vec::new(),
            heard: Vec::new(),
            answered: Vec::new(),
            answers: Vec::new(),
            failures: 0,
        }
    }

    /// What the client has to send goes on its way; what came for it is read.
    fn move_client(&mut self) {
        let came = std::mem::take(&mut self.server.socket.outgoing);
        let mut came = came.as_slice();
        while !came.is_empty() {
            self.client.read_tls(&mut came).expect("it is in memory");
            // It is told of what was wrong with what it said.
            if self.client.process_new_packets().is_err() {
                break;
            }
            // WouldBlock: that is all for now.
            let _ = self.client.reader().read_to_end(&mut self.answers);
        }
        let mut out = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut out).expect("it is in memory");
        }
        if let Some(place) = self.corrupt.filter(|_| !out.is_empty()) {
            let place = place % out.len();
            out[place] ^= 0x55;
            (self.corrupt, self.corrupted) = (None, true);
        }
        self.on_its_way.extend(out);
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Say(count) => {
                let more = bytes(self.said.len(), *count);
                // What it has no room for before the handshake is not said.
                let said = self.client.writer().write(&more).unwrap_or(0);
                self.said.extend_from_slice(&more[..said]);
            }
            Step::Refresh => {
                // Before the handshake is over there are no keys to be others.
                let _ = self.client.refresh_traffic_keys();
            }
            Step::Corrupt(place) => self.corrupt = Some(*place),
            Step::Deliver(count, bite) => {
                let count = (*count).min(self.on_its_way.len());
                let came = self.on_its_way.drain(..count);
                self.server.socket.incoming.extend(came);
                self.server.socket.bite = *bite;
            }
            Step::Read(room) => self.read(*room),
            Step::Answer(count) => {
                let more = bytes(self.answered.len(), *count);
                let slices = [IoSlice::new(&more)];
                // Blocked, or over.
                let taken = self.server.write_vectored(&slices).unwrap_or(0);
                self.answered.extend_from_slice(&more[..taken]);
            }
            Step::Room(count) => {
                self.server.socket.room = *count;
                let _ = self.server.flush();
            }
        }
        self.move_client();
        let held = self.server.buffered_bytes();
        assert!(
            held < HELD + HANDSHAKE_HELD + 3 * crate::tls::UNSENT,
            "{held} bytes"
        );
    }

    fn read(&mut self, room: usize) {
        let mut buffer = vec![0; room];
        loop {
            match self.server.read(&mut buffer) {
                Ok(0) => panic!("nobody has closed it"),
                // What comes behind a failure is not looked at.
                Ok(_) if self.failures > 0 => {}
                Ok(count) => self.heard.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) => {
                    assert!(Failure::of(&e).is_some() && self.corrupted, "{e}");
                    self.failures += 1;
                    return;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_was_said_is_heard_in_order_and_a_change_on_the_way_is_one_failure(steps in steps()) {
        let mut line = Line::new();
        for step in &steps {
            line.take(step);
        }
        // Everything that is under way comes through.
        for _ in 0..20 {
            for step in [Step::Room(1 << 20), Step::Deliver(1 << 20, 1 << 20), Step::Read(50_000)] {
                line.take(&step);
            }
        }
        prop_assert!(line.said.starts_with(&line.heard));
        prop_assert!(line.answered.starts_with(&line.answers));
        prop_assert!(line.failures <= 1);
        if !line.corrupted {
            prop_assert_eq!(line.heard.len(), line.said.len());
            prop_assert_eq!(line.answers.len(), line.answered.len());
            prop_assert_eq!(line.failures, 0);
            prop_assert!(!line.server.wants_write());
        }
        // Each record was counted, whatever was in it.
        prop_assert!(line.server.take_work() > 0);
    }
}
