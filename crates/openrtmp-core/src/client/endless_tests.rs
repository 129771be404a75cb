//! Servers that talk without end: no wait outlasts its own end.

use std::io::Write;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use openrtmp_protocol::command::{Status, code};
use openrtmp_protocol::session::{ServerEvent, Stage};

use super::tests::{Peer, serve};
use super::{
    Client, ClientError, ClientMode, Connecting, Deadline, EVENT_BYTES, EVENTS, MediaKind,
    READ_BYTES, READS, UNSENT_ANSWERS,
};

impl Peer {
    /// Says something, over and over, until the client has gone.
    fn talk(&mut self, mut say: impl FnMut(&mut Peer)) {
        loop {
            for _ in 0..100 {
                say(self);
            }
            while let Some(bytes) = self.session.poll_transmit() {
                if self.socket.write_all(&bytes).is_err() {
                    return;
                }
            }
        }
    }

    fn talk_in_statuses(&mut self, stream: u32) {
        let status = Status::status(code::PLAY_RESET, "again");
        self.talk(|peer| peer.session.send_status(stream, &status));
    }

    /// Up to the client's `connect`, which is left waiting.
    fn hear_connect(&mut self) {
        self.run(|_, event| matches!(event, ServerEvent::Connect { .. }));
    }
}

#[test]
fn connecting_has_an_end_though_the_server_talks() {
    let (mut config, server) = serve(ClientMode::Play, |socket| {
        let mut peer = Peer::new(socket);
        peer.hear_connect();
        peer.talk_in_statuses(0);
    });
    config.connect_timeout = Duration::from_millis(200);
    match Client::connect(config) {
        Err(ClientError::Timeout { stage, .. }) => assert_eq!(stage, Stage::Connect),
        other => panic!("{:?}", other.err()),
    }
    server.join().unwrap();
}

#[test]
fn a_waker_ends_connecting_though_the_server_talks() {
    let (tell, told) = channel();
    let (config, server) = serve(ClientMode::Play, move |socket| {
        let mut peer = Peer::new(socket);
        peer.hear_connect();
        tell.send(()).unwrap();
        let mut number = 0;
        peer.talk(|peer| {
            number += 1;
            peer.session.ping(number);
        });
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
fn waiting_for_events_has_an_end_though_they_come() {
    let (config, server) = serve(ClientMode::Play, |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        let stream = peer.stream;
        peer.talk_in_statuses(stream);
    });
    let mut client = Client::connect(config).unwrap();
    let deadline = Deadline::after(Duration::from_millis(200));
    let mut events = 0;
    while client.next_event(deadline).unwrap().is_some() {
        events += 1;
    }
    assert!(events > EVENTS, "{events}");
    client.waker().wake();
    assert_eq!(client.next_event(Deadline::NEVER).unwrap(), None);
    assert!(client.next_event(Deadline::NEVER).unwrap().is_some());
    client.close(Deadline::NEVER).unwrap();
    server.join().unwrap();
}

#[test]
fn a_deadline_that_has_come_gives_nothing_and_a_look_what_is_there() {
    let (config, server) = serve(ClientMode::Play, |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        peer.session.notify_unpublished(peer.stream);
        peer.transmit();
        peer.run(|_, _| false);
    });
    let mut client = Client::connect(config).unwrap();
    let mut first = None;
    while first.is_none() {
        first = client.try_event().unwrap();
        thread::yield_now();
    }
    let over = Deadline::after(Duration::ZERO);
    assert_eq!(client.next_event(over).unwrap(), None);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_waker_ends_sending_and_what_was_given_is_sent_later() {
    const PAYLOAD: usize = 1_000_000;
    let (go, told) = channel();
    let (config, server) = serve(ClientMode::Publish, move |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        told.recv().unwrap();
        let mut received = 0;
        peer.run(|_, event| {
            received += usize::from(matches!(event, ServerEvent::Media(_)));
            false
        });
        received
    });
    let mut client = Client::connect(config).unwrap();
    let payload = vec![0x27; PAYLOAD];
    client.waker().wake();
    let mut sent = 0;
    // It is used up where sending has to wait.
    let error = loop {
        sent += 1;
        if let Err(error) = client.send(MediaKind::Video, 0, &payload) {
            break error;
        }
    };
    assert!(matches!(error, ClientError::Interrupted), "{error}");
    go.send(()).unwrap();
    client.flush().unwrap();
    client.close(Deadline::NEVER).unwrap();
    assert_eq!(server.join().unwrap(), sent);
}

#[test]
fn saying_goodbye_has_an_end() {
    let (release, released) = channel::<()>();
    let (mut config, server) = serve(ClientMode::Publish, move |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        let _ = released.recv();
    });
    config.unsent_bytes = usize::MAX / 2;
    let mut client = Client::connect(config).unwrap();
    // More than both kernels hold.
    let payload = vec![0x27; 10_000_000];
    for _ in 0..4 {
        client.send(MediaKind::Video, 0, &payload).unwrap();
    }
    let error = client.close(Deadline::after(Duration::ZERO)).unwrap_err();
    assert!(matches!(error, ClientError::Unsent { bytes } if bytes > 0));
    drop(release);
    server.join().unwrap();
}

#[test]
fn a_server_that_asks_and_takes_no_answers_is_given_up() {
    let (release, released) = channel::<()>();
    let (mut config, server) = serve(ClientMode::Play, move |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        // Its answers stay in this socket.
        let mut number = 0;
        peer.talk(|peer| {
            number += 1;
            peer.session.ping(number);
        });
        let _ = released.recv();
    });
    config.send_timeout = Duration::from_millis(500);
    let limit = config.unsent_bytes + UNSENT_ANSWERS + READS * READ_BYTES;
    let mut client = Client::connect(config).unwrap();
    let error = client.next_event(Deadline::NEVER).unwrap_err();
    assert!(matches!(error, ClientError::Stalled { .. }), "{error}");
    assert!(client.unsent_bytes <= limit, "{}", client.unsent_bytes);
    drop((client, release));
    server.join().unwrap();
}

#[test]
fn a_slow_caller_holds_few_large_frames() {
    const FRAME: usize = 1024 * 1024;
    const FRAMES: usize = 40;
    // A socket that is closed with unread bytes in it may lose what it has to send.
    let (release, released) = channel::<()>();
    let (config, server) = serve(ClientMode::Play, move |socket| {
        let mut peer = Peer::new(socket);
        peer.accept();
        let mut payload = vec![0x27; FRAME];
        payload[1] = 1;
        // As a message of its own kind each, with the header that says so (RTMP 1.0,
        // section 5.3.1.2.1), in chunks of one message.
        let mut all = vec![2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0];
        all.extend_from_slice(&(FRAME as u32).to_be_bytes());
        for _ in 0..FRAMES {
            all.extend_from_slice(&[6, 0, 0, 0]);
            all.extend_from_slice(&(FRAME as u32).to_be_bytes()[1..]);
            all.push(9);
            all.extend_from_slice(&peer.stream.to_le_bytes());
            all.extend_from_slice(&payload);
        }
        let sent = peer.socket.write_all(&all).is_ok();
        let _ = released.recv();
        sent
    });
    let mut client = Client::connect(config).unwrap();
    let mut frames = 0;
    while frames < FRAMES {
        if client.next_event(Deadline::NEVER).unwrap().is_some() {
            frames += 1;
        }
        client.receive();
        assert!(client.event_bytes <= EVENT_BYTES + FRAME + READ_BYTES);
    }
    drop(release);
    assert!(server.join().unwrap());
}

#[test]
fn what_the_server_says_is_fit_to_be_shown() {
    let words = "no\n[info] all is well \u{1b}[2J\u{202e}";
    let error = ClientError::Ended {
        code: "NetStream.\u{7}".to_owned(),
        description: words.to_owned(),
    };
    let text = error.to_string();
    assert!(text.chars().all(|c| c.is_ascii_graphic() || c == ' '));
    let (config, server) = serve(ClientMode::Play, move |socket| {
        let mut peer = Peer::new(socket);
        peer.hear_connect();
        peer.session.send_status(0, &Status::error("x\ry", words));
        peer.transmit();
        peer.run(|_, _| false);
    });
    let text = Client::connect(config).err().unwrap().to_string();
    assert!(
        text.chars().all(|c| c.is_ascii_graphic() || c == ' '),
        "{text:?}"
    );
    assert!(text.contains("all is well"), "{text:?}");
    server.join().unwrap();
}

#[test]
fn times_are_told_as_people_read_them() {
    let limit = Duration::from_micros(9_999_985);
    let text = ClientError::Stalled { limit }.to_string();
    assert_eq!(text, "the server took no data for 10 s");
}

#[test]
fn time_is_kept_by_a_clock_of_the_system() {
    let far = Deadline::after(Duration::MAX);
    assert!(!far.is_over() && far.left().is_none());
    assert_eq!(far.earlier(Deadline::NEVER), Deadline::NEVER);
    let near = Deadline::after(Duration::ZERO);
    assert_eq!(Deadline::NEVER.earlier(near), near);
    assert_eq!(near.earlier(Deadline::after(Duration::from_secs(9))), near);
}
