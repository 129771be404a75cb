//! Servers that streams are passed on to, and that stop short: at each stage of what a
//! relay does there, by silence or by closing.

use std::io::{Read, Write};
use std::time::Duration;

use openrtmp_protocol::amf::{Encoding, Value};
use openrtmp_protocol::command::{Command, Status, code};
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::{
    AuthDemand, Media, MediaKind, RejectReason, ServerConfig, ServerEvent, ServerSession,
    Stage as Reached,
};

use super::encoders::two_of_each;
use super::media::assert_whole;
use super::world::{FRAME, World, ms};
use crate::config::PushRule;
use crate::events::Event;
use crate::platform::sim::{SimHost, SimSocket};
use crate::{RelayRule, RelayState};

const TARGET: &str = "127.0.0.2:1935";

/// How far a target goes with who connects.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Stage {
    /// It takes the connection.
    Accepts,
    /// It shakes hands.
    ShakesHands,
    /// It grants `connect`, and answers no `createStream`.
    Connects,
    /// It answers `createStream`.
    Creates,
    /// It grants `publish`, and takes no media.
    Publishes,
    /// It asks for a password whatever it is told.
    Asks,
}

const STAGES: [Stage; 6] = [
    Stage::Accepts,
    Stage::ShakesHands,
    Stage::Connects,
    Stage::Creates,
    Stage::Publishes,
    Stage::Asks,
];

struct Target {
    host: SimHost,
    stage: Stage,
    closes: bool,
    peers: Vec<(SimSocket, ServerSession, Stage)>,
    /// Connections there were.
    came: usize,
}

impl Target {
    fn new(w: &World, stage: Stage, closes: bool) -> Target {
        let address = TARGET.parse().expect("an address");
        Target {
            host: w.sim.host(address).expect("nobody is there"),
            stage,
            closes,
            peers: Vec::new(),
            came: 0,
        }
    }

    fn act(&mut self, w: &World) {
        while let Ok((socket, _)) = self.host.accept() {
            let session = ServerSession::new(&ServerConfig::default(), w.now(), &mut |bytes| {
                bytes.fill(5);
            });
            self.peers.push((socket, session, Stage::Accepts));
            self.came += 1;
        }
        let (stage, closes) = (self.stage, self.closes);
        self.peers.retain_mut(|(socket, session, reached)| {
            serve(w, socket, session, reached, stage);
            !(closes && *reached >= stage)
        });
    }
}

/// Goes on with a peer as far as it is to go.
fn serve(
    w: &World,
    socket: &mut SimSocket,
    session: &mut ServerSession,
    reached: &mut Stage,
    stage: Stage,
) {
    let mut buffer = [0; 4096];
    while *reached < stage {
        let Ok(count @ 1..) = socket.read(&mut buffer) else {
            return;
        };
        let mut bytes = &buffer[..count];
        while !bytes.is_empty() && *reached < stage {
            let Ok(used) = session.handle_input(w.now(), bytes) else {
                return;
            };
            bytes = &bytes[used..];
            while let Some(event) = session.poll_event() {
                match event {
                    ServerEvent::HandshakeDone(_) => *reached = Stage::ShakesHands,
                    ServerEvent::Connect { request, .. } if stage == Stage::Asks => {
                        let words = AuthDemand::Name.to_string();
                        session.reject(w.now(), request, &RejectReason::Unauthorized(words));
                    }
                    ServerEvent::Connect { request, .. } => {
                        session.accept(w.now(), request);
                        *reached = Stage::Connects;
                    }
                    ServerEvent::Publish { request, .. } => {
                        *reached = Stage::Creates;
                        if stage > Stage::Creates {
                            session.accept(w.now(), request);
                            *reached = Stage::Publishes;
                        }
                    }
                    _ => {}
                }
            }
        }
        let said: Vec<u8> = std::iter::from_fn(|| session.poll_transmit())
            .flatten()
            .collect();
        // What is left out of it is more silence.
        let _ = socket.write(&said);
    }
}

#[test]
fn a_target_that_stops_short_at_any_stage_is_tried_again_and_costs_the_stream_nothing() {
    for stage in STAGES {
        for closes in [true, false] {
            let mut w = World::with(1, |c| {
                c.queue.stall_timeout = ms(5000);
                c.queue.max_bytes = 1 << 20;
                c.queue.max_delay = ms(2000);
            });
            let mut target = Target::new(&w, stage, closes);
            let to = format!("rtmp://ann:s3cret@{TARGET}/app/{{name}}");
            let rule = RelayRule::Push(PushRule::new("live/*", to));
            w.server.add_relay(&rule).expect("a rule");
            let publisher = w.live("live/cam");
            let player = w.player("live/cam");
            let mut most = 0;
            for n in 0..1200 {
                w[publisher].frame(n, 5000);
                for _ in 0..4 {
                    w.run(ms(FRAME / 4));
                    target.act(&w);
                }
                most = most.max(w.shared.budget.used());
            }
            let case = format!("{stage:?}, closes: {closes}");
            assert_whole(&w[player].media, &w[publisher].sent);
            let reasons = |event| match event {
                Event::RelayFailed {
                    reason, retry_in, ..
                } => Some((reason, retry_in)),
                _ => None,
            };
            let failed: Vec<_> = w.events().into_iter().filter_map(reasons).collect();
            // In 48 s: 20 s each if it is silent, else by the pauses alone.
            assert!((2..=12).contains(&failed.len()), "{case}: {failed:?}");
            for (reason, retry_in) in &failed {
                assert!(!reason.is_empty() && retry_in.is_some(), "{case}");
                assert!(!reason.contains("s3cret"), "{case}: {reason}");
            }
            if stage == Stage::Asks {
                assert!(failed[0].0.contains("5 times"), "{case}: {failed:?}");
                assert_eq!(target.came, 6 * failed.len(), "{case}");
            }
            // The GOP, the queue of a player that takes nothing, twice what it may be, and
            // what connections hold.
            assert!(most < 8 << 20, "{case}: {most} bytes");
            let running = w.server.relays()[0]
                .links
                .iter()
                .any(|link| link.state == RelayState::Running && stage != Stage::Publishes);
            assert!(!running, "{case}");
            drop(target);
            w.run(Duration::from_secs(1));
            w.end();
        }
    }
}

/// A target that knows RTMP as it was: it says nothing of what it can do.
struct Old {
    host: SimHost,
    /// What it sends is left out, but for the handshake.
    peer: Option<(SimSocket, ServerSession)>,
    media: Vec<Media>,
}

impl Old {
    fn act(&mut self, w: &World) {
        if let Ok((socket, _)) = self.host.accept() {
            let config = ServerConfig::default();
            let session = ServerSession::new(&config, w.now(), &mut |bytes| bytes.fill(5));
            self.peer = Some((socket, session));
        }
        let Some((socket, session)) = &mut self.peer else {
            return;
        };
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = socket.read(&mut buffer) {
            let mut bytes = &buffer[..count];
            while !bytes.is_empty() {
                let used = session.handle_input(w.now(), bytes).expect("RTMP");
                bytes = &bytes[used..];
                let shakes = session.stage() == Reached::Handshake;
                while let Some(said) = session.poll_transmit() {
                    if shakes {
                        socket.write_all(&said).expect("room");
                    }
                }
                while let Some(event) = session.poll_event() {
                    match event {
                        ServerEvent::HandshakeDone(_) => {
                            socket.write_all(&old_words()).expect("room")
                        }
                        ServerEvent::Connect { request, .. }
                        | ServerEvent::Publish { request, .. } => {
                            session.accept(w.now(), request);
                        }
                        ServerEvent::Media(media) => self.media.push(media),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// All that a client is told up to Publish.Start, before it asks.
fn old_words() -> Vec<u8> {
    let result = |transaction: f64, arguments: Vec<Value>| Command {
        name: "_result".to_owned(),
        transaction,
        object: Value::Null,
        arguments,
    };
    let started = Status::status(code::PUBLISH_START, "go on");
    let words = [
        result(1.0, Vec::new()),
        result(4.0, vec![1.0.into()]),
        Command::on_status(&started),
    ];
    let message = |command: &Command| {
        let body = command.encode(Encoding::Amf0);
        assert!(body.len() <= 128, "one chunk");
        let mut bytes = vec![3, 0, 0, 0, 0, 0, body.len() as u8];
        bytes.extend([kind::COMMAND_AMF0, 0, 0, 0, 0]);
        bytes.extend(body);
        bytes
    };
    words.iter().flat_map(message).collect()
}

#[test]
fn a_target_that_announces_no_multitrack_gets_the_default_tracks_alone() {
    for all in [false, true] {
        let mut w = World::with(1, |c| c.streams.all_tracks = all);
        let mut target = Old {
            host: w
                .sim
                .host(TARGET.parse().expect("an address"))
                .expect("free"),
            peer: None,
            media: Vec::new(),
        };
        let rule = PushRule::new("live/*", format!("rtmp://{TARGET}/app/{{name}}"));
        w.server.add_relay(&RelayRule::Push(rule)).expect("a rule");
        let publisher = w.live("live/cam");
        for _ in 0..50 {
            w.run(ms(4));
            target.act(&w);
        }
        for n in 0..30 {
            two_of_each(&mut w, publisher, n..n + 1);
            target.act(&w);
        }
        let of_many = |media: &&Media| {
            let first = media.payload.clone().into_bytes()[0];
            match media.kind {
                MediaKind::Video => first & 0x80 != 0,
                MediaKind::Audio => first >> 4 == 9,
                MediaKind::Data => false,
            }
        };
        let pictures = target.media.iter().filter(|m| m.kind == MediaKind::Video);
        assert!(pictures.count() >= 25, "{all}");
        let seconds = target.media.iter().filter(of_many).count();
        assert_eq!(seconds > 0, all);
        drop(target);
        w.run(ms(1000));
        w.end();
    }
}
