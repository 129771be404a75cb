//! Other servers that a stream is passed on to, and that mean harm or do not work: the
//! stream and its players notice nothing, and the host is told.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientConfig, Deadline};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::command::{Command, Status, code};
use openrtmp_core::protocol::session::{ClientEvent, ClientMode, MediaKind};
use openrtmp_core::{Config, Event, PushRule, RelayRule, RelayState, Server};
use openrtmp_tests::peer;

const PATIENCE: Duration = Duration::from_secs(30);

/// What another server does to whoever connects.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Closes at once.
    Closes,
    /// Closes after the handshake.
    ClosesAfterHandshake,
    /// Closes instead of answering `connect`.
    ClosesAfterConnect,
    /// Says statuses without end instead of an answer.
    Floods,
    /// Answers with what is no RTMP.
    SpeaksHttp,
    /// Refuses `connect`, with a text that drives terminals.
    Refuses,
    /// Sends everybody to itself.
    RedirectsInCircles,
}

const ALL: [Target; 7] = [
    Target::Closes,
    Target::ClosesAfterHandshake,
    Target::ClosesAfterConnect,
    Target::Floods,
    Target::SpeaksHttp,
    Target::Refuses,
    Target::RedirectsInCircles,
];

impl Target {
    fn start(self) -> SocketAddr {
        peer::serve(move |socket, own| self.serve(socket, own))
    }

    fn serve(self, socket: &mut TcpStream, own: SocketAddr) -> io::Result<()> {
        match self {
            Target::Closes => return Ok(()),
            Target::SpeaksHttp => return socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            _ => {}
        }
        peer::shake_hands(socket)?;
        if let Target::ClosesAfterHandshake = self {
            return Ok(());
        }
        peer::hear(socket)?;
        match self {
            Target::Floods => loop {
                let status = Status::status("NetConnection.Nothing", "x");
                socket.write_all(&peer::message(&Command::on_status(&status)))?;
            },
            Target::Refuses => {
                let refusal = Status::error(code::CONNECT_REJECTED, "\x1b[2J go away\nforged");
                socket.write_all(&peer::message(&Command::error(1.0, &refusal)))?;
            }
            Target::RedirectsInCircles => {
                return peer::refuse(socket, &format!("rtmp://{own}/again"));
            }
            _ => return Ok(()),
        }
        // What it said is read before the connection is closed.
        let _ = socket.read(&mut [0; 512]);
        Ok(())
    }
}

fn server(change: impl FnOnce(&mut Config)) -> (Server, Receiver<Event>) {
    let mut config = Config::desktop();
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    change(&mut config);
    let (sender, events) = channel();
    let server = Server::builder(config)
        .on_event(move |event| drop(sender.send(event)))
        .start()
        .expect("it starts");
    (server, events)
}

fn client(server: &Server, mode: ClientMode) -> Client {
    let url = format!("rtmp://{}/live/cam", server.addresses()[0]);
    let url = RtmpUrl::parse(&url).expect("a URL");
    Client::connect(ClientConfig::new(url, mode)).expect("the server accepts")
}

/// The next failure of a relay: its text, and its code.
fn failure(events: &Receiver<Event>) -> (String, String) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = events.recv_timeout(left).expect("a relay fails");
        if let Event::RelayFailed { reason, code, .. } = event {
            return (reason, code);
        }
    }
}

#[test]
fn a_stream_beside_targets_that_do_harm_loses_nothing() {
    let targets = ALL.map(|target| (target, target.start()));
    let (server, events) = server(|_| {});
    for (_, address) in targets {
        let rule = PushRule::new("live/*", format!("rtmp://{address}/app/s3cret"));
        server.add_relay(&RelayRule::Push(rule)).expect("a rule");
    }
    let mut publisher = client(&server, ClientMode::Publish);
    let mut player = client(&server, ClientMode::Play);
    let mut sent = 0u32;
    let mut texts = Vec::new();
    // Each but the one that floods has failed twice.
    while texts.len() < 2 * ALL.len() - 2 {
        for _ in 0..10 {
            let payload = [&b"\xAF\x01"[..], &sent.to_be_bytes()].concat();
            publisher
                .send(MediaKind::Audio, sent * 20, &payload)
                .expect("it is taken");
            sent += 1;
        }
        publisher.flush().expect("it is sent");
        texts.push(failure(&events));
    }
    let mut seen = 0;
    while seen < sent {
        let event = player
            .next_event(Deadline::after(PATIENCE))
            .expect("it goes on");
        if let ClientEvent::Media(media) = event.expect("in time")
            && media.kind == MediaKind::Audio
        {
            assert_eq!(media.payload[2..], seen.to_be_bytes(), "in order");
            seen += 1;
        }
    }
    for (text, code) in &texts {
        let all = format!("{text} {code}");
        assert!(
            !all.contains(['\x1b', '\n']) && !all.contains("s3cret"),
            "{all:?}"
        );
    }
    let has = |part: &str| texts.iter().any(|(text, _)| text.contains(part));
    assert!(has("more than 5 redirects") && has("go away"), "{texts:?}");
    let running = |state| matches!(state, RelayState::Running);
    for rule in server.relays() {
        assert!(
            !rule.links.iter().any(|link| running(link.state)),
            "{rule:?}"
        );
    }
    server.stop(Duration::ZERO);
}

/// Whoever looks after an encoder sees it at the target before its first frame.
#[test]
fn a_stream_that_has_headers_alone_so_far_is_published_at_the_target() {
    let (far, seen) = server(|_| {});
    let (near, _events) = server(|_| {});
    let to = format!("rtmp://{}/{{app}}/{{name}}", far.addresses()[0]);
    let rule = RelayRule::Push(PushRule::new("live/*", to));
    near.add_relay(&rule).expect("a rule");
    let mut publisher = client(&near, ClientMode::Publish);
    let header = b"\xAF\x00\x12\x10";
    publisher
        .send(MediaKind::Audio, 0, header)
        .expect("it is taken");
    publisher.flush().expect("it is sent");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = seen.recv_timeout(left).expect("it is published");
        if matches!(event, Event::StreamPublished { name, .. } if name == "live/cam") {
            break;
        }
    }
    near.stop(Duration::ZERO);
    far.stop(Duration::ZERO);
}
