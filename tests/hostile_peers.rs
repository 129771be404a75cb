//! Peers that mean harm, or do not know better, over real sockets: each is
//! closed or tolerated, and a stream beside them loses nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientConfig, Deadline};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::session::{ClientEvent, ClientMode, MediaKind};
use openrtmp_core::{CloseReason, Config, Event, Server};

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    server: Server,
    events: Receiver<Event>,
}

impl World {
    fn new(change: impl FnOnce(&mut Config)) -> World {
        let mut config = Config::desktop();
        config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
        change(&mut config);
        let (sender, events) = channel();
        let server = Server::builder(config)
            .on_event(move |event| drop(sender.send(event)))
            .start()
            .expect("it starts");
        World { server, events }
    }

    fn raw(&self) -> TcpStream {
        let socket = TcpStream::connect(self.server.addresses()[0]).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket
    }

    /// A connection past its handshake.
    fn shaken(&self) -> TcpStream {
        let mut socket = self.raw();
        let mut hello = vec![0u8; 1 + 1536];
        hello[0] = 3;
        socket.write_all(&hello).expect("sent");
        let mut answer = vec![0u8; 1 + 2 * 1536];
        socket.read_exact(&mut answer).expect("S0, S1, S2");
        socket.write_all(&answer[1..1 + 1536]).expect("sent");
        socket
    }

    fn client(&self, mode: ClientMode) -> Client {
        let url = format!("rtmp://{}/live/cam", self.server.addresses()[0]);
        let url = RtmpUrl::parse(&url).expect("a URL");
        Client::connect(ClientConfig::new(url, mode)).expect("the server accepts")
    }

    /// Why the next connection that ended did.
    fn next_close(&self) -> CloseReason {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect("a connection ends");
            if let Event::ConnectionClosed { reason, .. } = event {
                return reason;
            }
        }
    }

    /// Publishes and plays ten frames: the server is well.
    fn streams(&self) {
        let mut player = self.client(ClientMode::Play);
        let mut publisher = self.client(ClientMode::Publish);
        let frame = |n: u8| [if n == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0, n, n, n];
        for n in 0..10u8 {
            publisher
                .send(MediaKind::Video, u32::from(n) * 40, &frame(n))
                .expect("it is taken");
        }
        publisher.flush().expect("it is sent");
        let mut next = 0u8;
        while next < 10 {
            let deadline = Deadline::after(PATIENCE);
            match player.next_event(deadline).expect("the player goes on") {
                Some(ClientEvent::Media(m)) if m.kind == MediaKind::Video => {
                    assert_eq!(&m.payload[..], &frame(next));
                    next += 1;
                }
                Some(_) => {}
                None => panic!("frame {next} did not come"),
            }
        }
    }
}

/// Reads until the server closes; a reset is a close too.
fn until_closed(socket: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(socket.read(&mut buffer), Ok(n) if n > 0) {}
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    let mut bytes = vec![
        3, 0, 0, 0, length[1], length[2], length[3], kind, 0, 0, 0, 0,
    ];
    for (index, chunk) in body.chunks(128).enumerate() {
        if index > 0 {
            bytes.push(0xC3);
        }
        bytes.extend_from_slice(chunk);
    }
    bytes
}

#[test]
fn another_protocol_is_closed_at_its_first_byte() {
    let world = World::new(|_| {});
    let mut socket = world.raw();
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    until_closed(&mut socket);
    let reason = world.next_close().to_string();
    assert!(
        reason.contains("handshake") && reason.contains("HTTP"),
        "{reason}"
    );
    world.streams();
}

#[test]
fn hostile_messages_close_their_connection_only() {
    let world = World::new(|_| {});
    let connect = [
        &[2u8, 0, 7][..],
        b"connect",
        &[0, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    // Strict arrays within strict arrays, each of one element.
    let nested = [&connect[..], &[0x0A, 0, 0, 0, 1].repeat(10_000)].concat();
    let endless = [&connect[..], &[0x0A, 0xFF, 0xFF, 0xFF, 0xFF]].concat();
    let cases = [
        ("AMF nested 10,000 deep", message(20, &nested), "deeper"),
        ("a strict array of 2^32-1", message(20, &endless), "byte"),
        ("chunk size 0", message(1, &[0, 0, 0, 0]), "chunk size 0"),
    ];
    for (what, bytes, expected) in cases {
        let mut socket = world.shaken();
        // The server may close before all is written.
        let _ = socket.write_all(&bytes);
        until_closed(&mut socket);
        let reason = world.next_close().to_string();
        assert!(reason.contains(expected), "{what}: {reason}");
    }
    world.streams();
}

#[test]
fn garbage_after_the_handshake_closes_or_waits_but_never_harms() {
    let world = World::new(|config| config.rtmp.connect_timeout = Duration::from_millis(300));
    // A fixed pattern (xorshift): the same garbage every time.
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut sockets = Vec::new();
    for _ in 0..50 {
        let mut garbage = vec![0u8; 4096];
        for byte in &mut garbage {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
        let mut socket = world.shaken();
        let _ = socket.write_all(&garbage);
        sockets.push(socket);
    }
    for mut socket in sockets {
        until_closed(&mut socket);
        world.next_close();
    }
    assert_eq!(world.server.metrics().errors.internal, 0);
    world.streams();
}

#[test]
fn half_a_handshake_is_held_no_longer_than_its_timeout() {
    let world = World::new(|config| config.rtmp.handshake_timeout = Duration::from_millis(300));
    let mut socket = world.raw();
    socket.write_all(&[3, 0, 0, 0]).expect("sent");
    until_closed(&mut socket);
    let reason = world.next_close().to_string();
    assert!(
        reason.contains("handshake") && reason.contains("no progress"),
        "{reason}"
    );
}

#[test]
fn announcing_much_and_sending_nothing_costs_next_to_nothing() {
    let world = World::new(|_| {});
    let mut sockets: Vec<TcpStream> = (0..50).map(|_| world.shaken()).collect();
    for socket in &mut sockets {
        // Set Chunk Size to the maximum, then a video message of 16 MiB - 1 of which
        // a hundred bytes come.
        socket
            .write_all(&message(1, &[0, 0xFF, 0xFF, 0xFF]))
            .expect("sent");
        socket
            .write_all(&[4, 0, 0, 0, 0xFF, 0xFF, 0xFF, 9, 1, 0, 0, 0])
            .expect("sent");
        socket.write_all(&[0; 100]).expect("sent");
    }
    world.streams();
    let memory = world.server.metrics().memory;
    assert!(memory < 50 * 64 * 1024, "{memory} bytes are held");
}

#[test]
fn what_is_odd_but_harmless_is_tolerated() {
    let world = World::new(|_| {});
    let mut socket = world.shaken();
    let mut bytes = Vec::new();
    bytes.extend(message(99, b"an unknown message type"));
    bytes.extend(message(5, &[0xFF, 0xFF, 0xFF, 0xFF])); // an absurd window
    bytes.extend(message(5, &[0, 0, 0, 0]));
    bytes.extend(message(4, &[0, 77, 1, 2, 3, 4])); // an unknown event
    bytes.extend(message(1, &[0, 0, 0, 1])); // chunks of one byte
    let ping = [0u8, 6, 0x12, 0x34, 0x56, 0x78]; // PingRequest, in chunks of one byte
    bytes.extend([2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0]);
    for (index, byte) in ping.iter().enumerate() {
        if index > 0 {
            bytes.push(0xC2);
        }
        bytes.push(*byte);
    }
    socket.write_all(&bytes).expect("sent");
    // The answer to the ping shows that everything before it was digested.
    let answer = [0u8, 7, 0x12, 0x34, 0x56, 0x78];
    let mut got = Vec::new();
    let mut buffer = [0; 256];
    while !got.windows(6).any(|w| w == answer) {
        let n = socket.read(&mut buffer).expect("the connection is alive");
        assert_ne!(n, 0, "the server closed it");
        got.extend_from_slice(&buffer[..n]);
    }
    world.streams();
}

#[test]
fn connections_beyond_the_limit_are_told() {
    let world = World::new(|config| config.limits.connections = 1);
    let publish = |name: &str| {
        let url = format!("rtmp://{}/live/{name}", world.server.addresses()[0]);
        let url = RtmpUrl::parse(&url).expect("a URL");
        Client::connect(ClientConfig::new(url, ClientMode::Publish))
    };
    let _first = publish("first").expect("there is room");
    let error = publish("second").expect_err("there is no room");
    assert!(
        error
            .to_string()
            .contains("as many connections as it allows"),
        "{error}"
    );
}

#[test]
fn who_asks_without_end_and_never_reads_is_closed() {
    let world = World::new(|config| config.limits.message_rate = 0);
    let mut socket = world.shaken();
    // PingRequest, over and over: each is answered, no answer is read.
    let ping = message(4, &[0, 6, 1, 2, 3, 4]).repeat(1000);
    while socket.write_all(&ping).is_ok() {}
    let reason = world.next_close().to_string();
    assert!(reason.contains("answers not taken"), "{reason}");
    world.streams();
}

#[test]
fn who_breaks_the_protocol_reads_why_whatever_it_sent_behind() {
    let world = World::new(|_| {});
    for _ in 0..20 {
        let mut socket = world.shaken();
        let mut bytes = message(
            20,
            b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x03\0\x03app\x02\0\x04live\0\0\x09",
        );
        bytes.extend(message(1, &[0, 0, 0, 0]));
        // Unread when the server ends the connection: a close alone would reset it.
        bytes.extend([7; 300_000]);
        socket.write_all(&bytes).expect("sent");
        let mut said = Vec::new();
        socket.read_to_end(&mut said).expect("an end, not a reset");
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("NetConnection.Connect.Closed"), "{said}");
        assert!(said.contains("chunk size 0"), "{said}");
        drop(socket);
        assert!(matches!(world.next_close(), CloseReason::Protocol(_)));
    }
    world.streams();
}

#[test]
fn who_goes_on_sending_after_its_end_is_cut_off() {
    let world = World::new(|config| {
        config.limits.linger = Duration::from_secs(60);
        config.limits.linger_bytes = 100_000;
    });
    let mut socket = world.shaken();
    let connect = message(
        20,
        b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x03\0\x03app\x02\0\x04live\0\0\x09",
    );
    socket.write_all(&connect).expect("sent");
    socket.write_all(&message(1, &[0, 0, 0, 0])).expect("sent");
    // It reads nothing and never closes.
    while socket.write_all(&[7; 10_000]).is_ok() {}
    assert!(matches!(world.next_close(), CloseReason::Protocol(_)));
    world.streams();
}
