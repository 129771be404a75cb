use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::Time;
use openrtmp_protocol::command::{Status, code};
use openrtmp_protocol::session::{RejectReason, ServerConfig, ServerEvent, ServerSession, Stage};

use super::{
    Client, ClientConfig, ClientError, ClientEvent, ClientMode, Connecting, Deadline, Media,
    MediaKind,
};

/// One server session over a socket, on a thread.
pub(super) struct Peer {
    pub(super) socket: TcpStream,
    pub(super) session: ServerSession,
    pub(super) stream: u32,
}

impl Peer {
    pub(super) fn new(socket: TcpStream) -> Peer {
        let session = ServerSession::new(&ServerConfig::default(), Time::ZERO, &mut |bytes| {
            bytes.fill(7);
        });
        Peer {
            socket,
            session,
            stream: 0,
        }
    }

    /// Goes on until `done` says so or the client closes.
    pub(super) fn run(&mut self, mut done: impl FnMut(&mut Peer, &ServerEvent) -> bool) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = match self.socket.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            let mut start = 0;
            while start < count {
                start += self
                    .session
                    .handle_input(Time::ZERO, &buffer[start..count])
                    .expect("the client speaks RTMP");
                while let Some(event) = self.session.poll_event() {
                    if done(self, &event) {
                        self.transmit();
                        return;
                    }
                }
                self.transmit();
            }
        }
    }

    /// Grants everything up to publish or play.
    pub(super) fn accept(&mut self) {
        self.run(|peer, event| match *event {
            ServerEvent::Connect { request, .. } => {
                peer.session.accept(Time::ZERO, request);
                false
            }
            ServerEvent::Publish {
                request, stream, ..
            }
            | ServerEvent::Play {
                request, stream, ..
            } => {
                peer.stream = stream;
                peer.session.accept(Time::ZERO, request);
                true
            }
            _ => false,
        });
    }

    pub(super) fn transmit(&mut self) {
        let mut all = Vec::new();
        while let Some(bytes) = self.session.poll_transmit() {
            all.extend_from_slice(&bytes);
        }
        // The client may have left.
        let _ = self.socket.write_all(&all);
    }
}

/// Starts a server for one connection; its port is in the settings.
pub(super) fn serve<T: Send + 'static>(
    mode: ClientMode,
    server: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (ClientConfig, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = thread::spawn(move || server(listener.accept().unwrap().0));
    (config(mode, port), thread)
}

fn config(mode: ClientMode, port: u16) -> ClientConfig {
    let url = RtmpUrl::parse(&format!("rtmp://127.0.0.1:{port}/live/camera")).unwrap();
    ClientConfig::new(url, mode)
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

#[test]
fn what_is_published_arrives_before_the_goodbye() {
    let (config, server) = serve(ClientMode::Publish, |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        let mut received = Vec::new();
        peer.run(|_, event| {
            if let ServerEvent::Media(media) = event {
                received.push((media.kind, media.timestamp, media.payload.to_vec()));
            }
            matches!(event, ServerEvent::PublishEnd { .. })
        });
        received
    });
    let mut client = Client::connect(config).unwrap();
    let picture = vec![0x17; 300_000];
    client
        .send(MediaKind::Audio, 5, &[0xAF, 0, 0x12, 0x10])
        .unwrap();
    client.send(MediaKind::Video, u32::MAX, &picture).unwrap();
    assert!(client.sent_bytes() > 3_000);
    client.close(Deadline::NEVER).unwrap();
    assert_eq!(
        server.join().unwrap(),
        [
            (MediaKind::Audio, 5, vec![0xAF, 0, 0x12, 0x10]),
            (MediaKind::Video, u32::MAX, picture),
        ]
    );
}

#[test]
fn a_refusal_carries_the_servers_code() {
    let (config, server) = serve(ClientMode::Publish, |socket| {
        let mut peer = Peer::new(socket);
        peer.run(|peer, event| match *event {
            ServerEvent::Connect { request, .. } => {
                peer.session.accept(Time::ZERO, request);
                false
            }
            ServerEvent::Publish { request, .. } => {
                let reason = RejectReason::BadName("taken".into());
                peer.session.reject(Time::ZERO, request, &reason);
                true
            }
            _ => false,
        });
    });
    match Client::connect(config) {
        Err(ClientError::Refused { code, .. }) => assert_eq!(code, code::PUBLISH_BAD_NAME),
        other => panic!("not refused: {:?}", other.err()),
    }
    server.join().unwrap();
}

#[test]
fn a_publish_ended_by_the_server_says_why_though_the_socket_closes_too() {
    let (config, server) = serve(ClientMode::Publish, |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        let status = Status::error(code::PUBLISH_UNAUTHORIZED, "the key was revoked");
        let stream = peer.stream;
        peer.session.end_publish(stream, &status);
        peer.transmit();
    });
    let mut client = Client::connect(config).unwrap();
    server.join().unwrap();
    let deadline = soon();
    let error = loop {
        assert!(!deadline.is_over(), "the end went unnoticed");
        if let Err(error) = client.send(MediaKind::Audio, 0, &[0xAF, 1, 0]) {
            break error;
        }
    };
    match error {
        ClientError::Ended { code, .. } => assert_eq!(code, code::PUBLISH_UNAUTHORIZED),
        other => panic!("{other}"),
    }
    assert!(
        matches!(
            client.next_event(Deadline::NEVER),
            Err(ClientError::Closed { .. })
        ),
        "over is over, without blocking"
    );
}

/// Not on Windows, which drops what a reset finds unread.
#[cfg(unix)]
#[test]
fn a_write_that_fails_before_the_last_words_are_reported_does_not_hide_them() {
    let (sent, unread) = channel();
    let (config, server) = serve(ClientMode::Publish, move |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        unread.recv().unwrap();
        let status = Status::error(code::PUBLISH_UNAUTHORIZED, "the key was revoked");
        let stream = peer.stream;
        peer.session.end_publish(stream, &status);
        // Closing with unread bytes resets the connection.
        peer.transmit();
    });
    let mut client = Client::connect(config).unwrap();
    client.send(MediaKind::Audio, 0, &[0xAF, 1, 0]).unwrap();
    sent.send(()).unwrap();
    server.join().unwrap();
    // As when all this happens between a read that found nothing and a write.
    client.readable = false;
    assert!(client.session.send(MediaKind::Audio, 0, &[0xAF, 1, 0]));
    client.transfer();
    match client.check() {
        Err(ClientError::Ended { code, .. }) => assert_eq!(code, code::PUBLISH_UNAUTHORIZED),
        other => panic!("{other:?}"),
    }
}

/// As above, with more words than the client takes in at a time.
#[cfg(unix)]
#[test]
fn whatever_the_server_said_before_a_reset_is_told() {
    const WORDS: usize = super::EVENTS * 3;
    let (sent, unread) = channel();
    let (config, server) = serve(ClientMode::Publish, move |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        unread.recv().unwrap();
        let stream = peer.stream;
        for n in 0..WORDS {
            let status = Status::status(code::PUBLISH_START, n.to_string());
            peer.session.send_status(stream, &status);
        }
        let status = Status::error(code::PUBLISH_UNAUTHORIZED, "the key was revoked");
        peer.session.end_publish(stream, &status);
        // Closing with unread bytes resets the connection.
        peer.transmit();
    });
    let mut client = Client::connect(config).unwrap();
    client.send(MediaKind::Audio, 0, &[0xAF, 1, 0]).unwrap();
    sent.send(()).unwrap();
    server.join().unwrap();
    let error = loop {
        if let Err(error) = client.send(MediaKind::Audio, 0, &[0xAF, 1, 0]) {
            break error;
        }
    };
    match error {
        ClientError::Ended { code, .. } => assert_eq!(code, code::PUBLISH_UNAUTHORIZED),
        other => panic!("{other}"),
    }
    let status = |event: &ClientEvent| matches!(event, ClientEvent::Status(_));
    assert_eq!(client.events.iter().filter(|e| status(e)).count(), WORDS);
}

#[test]
fn events_that_came_before_the_end_are_given_first() {
    let (config, server) = serve(ClientMode::Play, |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        let stream = peer.stream;
        peer.session.notify_unpublished(stream);
        peer.transmit();
    });
    let mut client = Client::connect(config).unwrap();
    server.join().unwrap();
    let mut seen = Vec::new();
    let error = loop {
        match client.next_event(soon()) {
            Ok(Some(event)) => seen.push(event),
            Ok(None) => panic!("the end went unnoticed"),
            Err(error) => break error,
        }
    };
    assert!(seen.contains(&ClientEvent::StreamEof), "{seen:?}");
    let unpublished = seen.iter().any(
        |event| matches!(event, ClientEvent::Status(s) if s.code == code::PLAY_UNPUBLISH_NOTIFY),
    );
    assert!(unpublished, "{seen:?}");
    assert!(
        matches!(
            error,
            ClientError::Closed {
                stage: Stage::Playing
            }
        ),
        "{error}"
    );
}

#[test]
fn a_server_that_floods_a_publisher_does_not_block_it() {
    const PINGS: u32 = 100_000;
    let (config, server) = serve(ClientMode::Publish, |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        // Writes without reading: more than both sockets hold.
        for number in 0..PINGS {
            peer.session.ping(number);
            if number % 1000 == 999 {
                peer.transmit();
            }
        }
        let mut bytes = 0;
        peer.run(|_, event| {
            if let ServerEvent::Media(Media { payload, .. }) = event {
                bytes += payload.len();
            }
            false
        });
        bytes
    });
    let mut client = Client::connect(config).unwrap();
    let payload = vec![0x27; 100_000];
    for _ in 0..200 {
        client.send(MediaKind::Video, 0, &payload).unwrap();
    }
    client.close(Deadline::NEVER).unwrap();
    assert_eq!(server.join().unwrap(), 200 * 100_000);
}

#[test]
fn a_server_that_takes_nothing_is_given_up() {
    let (release, released): (_, Receiver<()>) = channel();
    let (mut config, server) = serve(ClientMode::Publish, move |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        let _ = released.recv();
    });
    config.send_timeout = Duration::from_millis(200);
    let mut client = Client::connect(config).unwrap();
    let payload = vec![0x27; 1_000_000];
    let error = (0..1_000)
        .find_map(|_| client.send(MediaKind::Video, 0, &payload).err())
        .expect("no kernel holds a gigabyte");
    assert!(matches!(error, ClientError::Stalled { .. }), "{error}");
    drop(release);
    server.join().unwrap();
}

#[test]
fn a_silent_server_times_out_in_the_handshake() {
    let (release, released): (_, Receiver<()>) = channel();
    let (mut config, server) = serve(ClientMode::Play, move |_socket| {
        let _ = released.recv();
    });
    config.session.timeout = Duration::from_millis(200);
    let error = Client::connect(config).err().unwrap();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    drop(release);
    server.join().unwrap();
}

#[test]
fn a_connection_closed_in_the_handshake_says_so() {
    let (config, server) = serve(ClientMode::Play, |mut socket| {
        socket.read_exact(&mut [0; 1_537]).unwrap();
    });
    let error = Client::connect(config).err().unwrap();
    assert!(
        matches!(
            error,
            ClientError::Closed {
                stage: Stage::Handshake
            }
        ),
        "{error}"
    );
    server.join().unwrap();
}

#[test]
fn another_protocol_is_a_handshake_error() {
    let (config, server) = serve(ClientMode::Play, |mut socket| {
        socket.read_exact(&mut [0; 1_537]).unwrap();
        socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        // Closes when the client has.
        let _ = socket.read(&mut [0]);
    });
    let error = Client::connect(config).err().unwrap();
    assert!(matches!(error, ClientError::Handshake(_)), "{error}");
    server.join().unwrap();
}

#[test]
fn a_port_without_a_listener_names_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    match Client::connect(config(ClientMode::Play, address.port())) {
        Err(ClientError::Connect(failures)) => {
            let tried: Vec<_> = failures.attempts().iter().map(|(a, _)| *a).collect();
            assert_eq!(tried, [address]);
            let text = ClientError::Connect(failures).to_string();
            let start = format!("cannot connect to {address}: ");
            assert!(text.starts_with(&start), "{text}");
        }
        other => panic!("connected: {:?}", other.err()),
    }
}

/// `localhost` has an IPv6 address too, in most places, where nobody listens.
#[test]
fn a_host_is_reached_at_the_address_that_answers() {
    let (mut config, server) = serve(ClientMode::Play, |socket| {
        Peer::new(socket).accept();
    });
    config.session.url.host = "localhost".to_owned();
    let client = Client::connect(config).unwrap();
    assert!(client.peer().is_ipv4());
    server.join().unwrap();
}

#[test]
fn a_host_that_does_not_exist_is_named() {
    let mut config = config(ClientMode::Play, 1);
    // No label is that long: no name server is asked.
    let name = "x".repeat(64);
    config.session.url.host = name.clone();
    match Client::connect(config) {
        Err(ClientError::Resolve { host, .. }) => assert_eq!(host, name),
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn one_deadline_covers_the_handshake() {
    let (release, released): (_, Receiver<()>) = channel();
    let (mut config, server) = serve(ClientMode::Play, move |_socket| {
        let _ = released.recv();
    });
    config.connect_timeout = Duration::from_millis(200);
    match Client::connect(config) {
        Err(ClientError::Timeout { stage, limit }) => {
            assert_eq!(stage, Stage::Handshake);
            assert_eq!(limit, Duration::from_millis(200));
        }
        other => panic!("{:?}", other.err()),
    }
    drop(release);
    server.join().unwrap();
}

/// A listener whose queue is full: Linux drops the packets of those who connect.
#[cfg(target_os = "linux")]
fn unanswering() -> (socket2::Socket, Vec<TcpStream>, u16) {
    use socket2::{Domain, Socket, Type};

    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    // The queue holds one more than it was asked to; how many exactly is the kernel's.
    while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(socket);
    }
    (socket, waiting, address.port())
}

#[cfg(target_os = "linux")]
#[test]
fn one_deadline_covers_connecting() {
    let (_socket, _waiting, port) = unanswering();
    let mut config = config(ClientMode::Play, port);
    config.connect_timeout = Duration::from_millis(200);
    match Client::connect(config) {
        Err(ClientError::Connect(failures)) => {
            let kinds: Vec<_> = failures.attempts().iter().map(|(_, e)| e.kind()).collect();
            assert_eq!(kinds, [std::io::ErrorKind::TimedOut]);
        }
        other => panic!("{:?}", other.err()),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_waker_ends_connecting() {
    let (_socket, _waiting, port) = unanswering();
    let connecting = Connecting::new(config(ClientMode::Play, port)).unwrap();
    let waker = connecting.waker();
    let other = thread::spawn(move || waker.wake());
    let error = connecting.finish().err().unwrap();
    assert!(matches!(error, ClientError::Interrupted), "{error}");
    other.join().unwrap();
}

#[test]
fn a_waker_ends_the_look_up() {
    let mut config = config(ClientMode::Play, 1);
    config.session.url.host = "localhost".to_owned();
    let connecting = Connecting::new(config).unwrap();
    connecting.waker().wake();
    let error = connecting.finish().err().unwrap();
    assert!(matches!(error, ClientError::Interrupted), "{error}");
}

#[test]
fn a_waker_ends_the_handshake() {
    let (tell, told) = channel();
    let (config, server) = serve(ClientMode::Play, move |mut socket| {
        // The handshake has begun: it is no longer connecting.
        socket.read_exact(&mut [0; 1_537]).unwrap();
        tell.send(()).unwrap();
        let _ = socket.read(&mut [0]);
    });
    let connecting = Connecting::new(config).unwrap();
    let waker = connecting.waker();
    let other = thread::spawn(move || {
        told.recv().unwrap();
        waker.wake();
    });
    let error = connecting.finish().err().unwrap();
    assert!(matches!(error, ClientError::Interrupted), "{error}");
    other.join().unwrap();
    server.join().unwrap();
}

#[test]
fn a_waker_ends_the_wait() {
    let (config, server) = serve(ClientMode::Play, |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        peer.run(|_, _| false);
    });
    let mut client = Client::connect(config).unwrap();
    while client
        .next_event(Deadline::after(Duration::from_millis(50)))
        .unwrap()
        .is_some()
    {}
    let waker = client.waker();
    let other = thread::spawn(move || waker.wake());
    assert_eq!(client.next_event(soon()).unwrap(), None);
    other.join().unwrap();
    drop(client);
    server.join().unwrap();
}

#[test]
fn bytes_that_came_with_a_wake_up_are_not_lost() {
    let (go, told) = channel();
    let (config, server) = serve(ClientMode::Play, move |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        told.recv().unwrap();
        peer.session.notify_unpublished(peer.stream);
        peer.transmit();
        peer
    });
    let mut client = Client::connect(config).unwrap();
    let moment = || Deadline::after(Duration::from_millis(50));
    while client.next_event(moment()).unwrap().is_some() {}
    client.waker().wake();
    go.send(()).unwrap();
    // One poll now finds the wake-up first and then the bytes.
    let peer = server.join().unwrap();
    assert_eq!(client.next_event(soon()).unwrap(), None);
    assert!(client.next_event(soon()).unwrap().is_some());
    drop(peer);
}

#[test]
fn a_player_cannot_send() {
    let (config, server) = serve(ClientMode::Play, |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        peer.run(|_, _| false);
    });
    let mut client = Client::connect(config).unwrap();
    let error = client.send(MediaKind::Audio, 0, &[]).unwrap_err();
    assert!(matches!(error, ClientError::NotPublishing), "{error}");
    drop(client);
    server.join().unwrap();
}
