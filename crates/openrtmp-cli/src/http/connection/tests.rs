//! A connection whose peer and clock a test moves.

use std::collections::VecDeque;

use openrtmp_core::Config;

use super::*;
use crate::http::{Request, TEXT};

/// The server's end of a wire.
#[derive(Default)]
struct Wire {
    /// What the peer said; `None` after it: nothing yet, else the end.
    incoming: VecDeque<u8>,
    ended: bool,
    outgoing: Vec<u8>,
    /// Bytes that the peer still takes.
    room: usize,
    sending_ended: bool,
    read: usize,
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.incoming.len());
        if count == 0 && !self.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for (to, from) in bytes.iter_mut().zip(self.incoming.drain(..count)) {
            *to = from;
        }
        self.read += count;
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

impl Socket for Wire {
    fn end_sending(&mut self) -> io::Result<()> {
        self.sending_ended = true;
        Ok(())
    }
}

/// A body of more than a few kilobytes.
const LONG: usize = 100_000;

/// A connection, and what it shares with others.
struct Peer {
    connection: Connection<Wire>,
    limits: Limits,
    routes: Routes,
    held: usize,
    now: Instant,
}

impl Peer {
    fn new(change: impl FnOnce(&mut Limits)) -> Peer {
        let mut limits = Limits::from(&Config::desktop());
        change(&mut limits);
        let routes = Routes::default()
            .below("/panic", |_| panic!("in a handler"))
            .below("/long", |_| Answer::new(Status::OK, TEXT, vec![b'x'; LONG]))
            .below("/at/", |request: &Request<'_>| {
                Answer::new(Status::OK, TEXT, request.path.to_owned())
            });
        let now = Instant::now();
        let wire = Wire {
            room: usize::MAX,
            ..Wire::default()
        };
        Peer {
            connection: Connection::new(wire, std::net::Ipv4Addr::LOCALHOST.into(), now, &limits),
            limits,
            routes,
            held: 0,
            now,
        }
    }

    fn wire(&mut self) -> &mut Wire {
        &mut self.connection.socket
    }

    fn turn(&mut self) -> Next {
        self.with(Connection::take_turn)
    }

    fn with(
        &mut self,
        turn: impl FnOnce(&mut Connection<Wire>, &mut Surroundings<'_>) -> Next,
    ) -> Next {
        turn(
            &mut self.connection,
            &mut Surroundings {
                now: self.now,
                limits: &self.limits,
                routes: &self.routes,
                held: &mut self.held,
            },
        )
    }

    /// Turns until there is nothing to do, and what came of the last.
    fn settle(&mut self) -> Next {
        loop {
            match self.turn() {
                Next::Again => {}
                turn => return turn,
            }
        }
    }

    fn say(&mut self, text: &str) -> Next {
        self.wire().incoming.extend(text.bytes());
        self.settle()
    }

    fn heard(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.wire().outgoing)).expect("text")
    }

    /// Statuses of the answers so far.
    fn statuses(&mut self) -> Vec<String> {
        let heard = self.heard();
        let lines = heard
            .lines()
            .filter_map(|line| line.split_once("HTTP/1.1 "));
        lines.map(|(_, status)| status[..3].to_owned()).collect()
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn requests_are_answered_in_order_however_they_are_cut() {
    let text = [get("/at/1"), get("/nowhere"), get("/at/2")].concat();
    for piece in [1, 2, 7, text.len()] {
        let mut peer = Peer::new(|_| {});
        for bytes in text.as_bytes().chunks(piece) {
            peer.wire().incoming.extend(bytes);
            assert_eq!(peer.settle(), Next::Wait);
        }
        let heard = peer.heard();
        let mut answers = heard.split("HTTP/1.1 ").skip(1);
        for (status, body) in [
            ("200 OK", "/at/1"),
            ("404 ", "Not Found\n"),
            ("200 OK", "/at/2"),
        ] {
            let answer = answers.next().expect("one for each");
            assert!(answer.starts_with(status), "{answer}");
            assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
            let length = format!("\r\nContent-Length: {}\r\n", body.len());
            assert!(answer.contains(&length), "{answer}");
            assert!(!answer.contains("Connection:"), "{answer}");
        }
        assert_eq!((answers.next(), peer.held), (None, 0));
    }
}

#[test]
fn head_is_answered_as_get_is_without_what_follows() {
    let mut peer = Peer::new(|_| {});
    peer.say("HEAD /at/x HTTP/1.1\r\nHost: a\r\n\r\n");
    let heard = peer.heard();
    assert!(heard.contains("\r\nContent-Length: 5\r\n"), "{heard}");
    assert!(heard.ends_with("\r\n\r\n"), "{heard}");
}

#[test]
fn after_the_last_answer_the_peer_may_read_it_in_peace() {
    for (text, status) in [
        ("GET /at/x HTTP/1.0\r\n\r\n", "200"),
        ("DELETE /at/x HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
        ("\x16\x03\x01", "400"),
    ] {
        let mut peer = Peer::new(|limits| limits.linger_bytes = 1000);
        assert_eq!(peer.say(text), Next::Wait);
        let heard = peer.heard();
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{heard}");
        assert!(heard.contains("\r\nConnection: close\r\n"), "{heard}");
        assert_eq!(heard.contains("\r\nAllow: GET, HEAD\r\n"), status == "405");
        assert!(peer.wire().sending_ended);
        // What follows is no request.
        assert_eq!(peer.say(&get("/at/x")), Next::Wait);
        assert_eq!(peer.heard(), "");
        assert_eq!(peer.say(&"x".repeat(1000)), Next::Over);
    }
    let mut peer = Peer::new(|_| {});
    peer.say("GET /at/x HTTP/1.0\r\n\r\n");
    peer.wire().ended = true;
    assert_eq!(peer.settle(), Next::Over);
}

#[test]
fn requests_that_nobody_reads_the_answers_of_are_not_read() {
    let mut peer = Peer::new(|_| {});
    peer.wire().room = 10_000;
    let requests = get("/long").repeat(10_000);
    assert_eq!(peer.say(&requests), Next::Wait);
    // One answer is held, and no more was read than a head may have.
    assert!((LONG..LONG + 1000).contains(&peer.held), "{}", peer.held);
    assert!(peer.wire().read <= 8192);
    assert_eq!(peer.settle(), Next::Wait);
    assert!(peer.wire().read <= 8192);
    peer.wire().room = usize::MAX;
    assert_eq!(
        peer.settle(),
        Next::Wait,
        "as many as a connection may have"
    );
    assert_eq!(peer.statuses().len(), 1000);
    assert_eq!(peer.held, 0);
}

#[test]
fn others_have_their_turn_between_answers() {
    let mut peer = Peer::new(|_| {});
    let requests = get("/at/x").repeat(2 * ANSWERS_AT_ONCE);
    peer.wire().incoming.extend(requests.bytes());
    assert_eq!(peer.turn(), Next::Again);
    assert_eq!(peer.statuses().len(), ANSWERS_AT_ONCE);
    assert_eq!(peer.turn(), Next::Again);
    assert_eq!(peer.turn(), Next::Wait);
    // So they do while what follows the last answer is thrown away.
    let mut peer = Peer::new(|_| {});
    peer.say("x x\r\n\r\n");
    peer.wire().incoming.extend([b'x'; 100_000]);
    assert_eq!(peer.turn(), Next::Again);
    assert!(!peer.wire().incoming.is_empty());
}

#[test]
fn a_head_without_end_is_refused() {
    let field = format!("a: {}\r\n", "b".repeat(100));
    for (flood, status) in [
        (
            "GET /at/x HTTP/1.1\r\nHost: a\r\n".to_owned() + &field.repeat(10_000),
            "431",
        ),
        (
            "GET /at/x HTTP/1.1\r\n".to_owned() + &"a:b\r\n".repeat(10_000),
            "431",
        ),
        ("GET /".to_owned() + &"x".repeat(1 << 20), "431"),
        ("\r\n".repeat(1 << 19), "431"),
    ] {
        let mut peer = Peer::new(|limits| limits.linger_bytes = 0);
        assert_eq!(peer.say(&flood), Next::Over);
        assert_eq!(peer.statuses(), [status]);
        assert!(peer.wire().read < 20_000, "{}", peer.wire().read);
        assert!(peer.connection.input.capacity() <= 16_384);
    }
}

#[test]
fn answers_of_all_together_hold_no_more_than_allowed() {
    let mut peer = Peer::new(|limits| limits.http.answer_bytes = LONG);
    peer.held = 1000;
    let others = peer.held;
    peer.say(&get("/long"));
    assert_eq!(peer.statuses(), ["503"]);
    assert_eq!(peer.held, others);
    let mut peer = Peer::new(|limits| limits.http.answer_bytes = LONG);
    peer.say(&get("/long"));
    assert_eq!(peer.statuses(), ["200"]);
}

#[test]
fn one_that_is_closed_gives_back_what_it_held() {
    let mut peer = Peer::new(|_| {});
    peer.wire().room = 0;
    peer.say(&get("/long"));
    assert!(peer.held > LONG);
    peer.connection.release(&mut peer.held);
    assert_eq!(peer.held, 0);
    peer.connection.release(&mut peer.held);
    assert_eq!(peer.held, 0, "once");
}

#[test]
fn each_phase_has_its_time() {
    let mut peer = Peer::new(|_| {});
    let http = peer.limits.http.clone();
    let begun = peer.now;
    assert_eq!(peer.connection.deadline(), begun + http.idle_timeout);
    assert_eq!(peer.with(Connection::expire), Next::Over);

    // A request a byte at a time has no more of it for each byte.
    let mut peer = Peer::new(|_| {});
    peer.now += Duration::from_secs(1);
    let asked = peer.now;
    for byte in get("/at/x").chars().take(20) {
        peer.say(&byte.to_string());
        peer.now += Duration::from_millis(100);
        assert_eq!(peer.connection.deadline(), asked + http.request_timeout);
    }
    assert_eq!(peer.with(Connection::expire), Next::Wait);
    assert_eq!(peer.statuses(), ["408"]);
    assert_eq!(
        peer.connection.deadline(),
        peer.now + peer.limits.linger,
        "then it may read that"
    );
    assert_eq!(peer.with(Connection::expire), Next::Over);

    // So has an answer that is taken a byte at a time.
    let mut peer = Peer::new(|_| {});
    peer.wire().room = 1;
    peer.say(&get("/long"));
    let answered = peer.now;
    for _ in 0..10 {
        peer.now += Duration::from_secs(1);
        peer.wire().room = 1;
        assert_eq!(peer.turn(), Next::Wait);
        assert_eq!(peer.connection.deadline(), answered + http.answer_timeout);
    }
    assert_eq!(peer.with(Connection::expire), Next::Over);
}

#[test]
fn a_handler_that_panics_costs_its_request() {
    let mut peer = Peer::new(|_| {});
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    peer.say(&(get("/panic") + &get("/at/x")));
    std::panic::set_hook(hook);
    assert_eq!(peer.statuses(), ["500", "200"]);
}
