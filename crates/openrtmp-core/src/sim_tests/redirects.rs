//! Servers that send relays elsewhere, and what they take there.

use std::io::{Read, Write};

use openrtmp_protocol::amf::{Encoding, Object, Value};
use openrtmp_protocol::command::{Command, Status, code};
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::{
    AuthDemand, RejectReason, ServerConfig, ServerEvent, ServerSession,
};

use super::lines::Lines;
use super::world::{Who, World, ms};
use crate::config::{PullRule, PullStart, PushRule};
use crate::events::Event;
use crate::platform::sim::{SimHost, SimSocket};
use crate::{RelayRule, RelayState};

const FIRST: &str = "127.0.0.2:1935";
const OTHER: &str = "127.0.0.3:1935";

/// How a server sends its clients elsewhere.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// It refuses `connect` with `ex.redirect`.
    Refuses,
    /// It asks to connect again once media may flow (Enhanced RTMP v2).
    Asks,
}

/// A server, which writes down what it is told.
struct Host {
    host: SimHost,
    /// Where it sends who comes, once each.
    sends: Option<(Way, &'static str)>,
    /// It asks who somebody is.
    demands: bool,
    peers: Vec<(SimSocket, ServerSession)>,
    /// App, query and user of each `connect`.
    connects: Vec<(String, String, Option<String>)>,
    /// Name and query of each `publish` and `play`.
    streams: Vec<(String, String)>,
    heard: Vec<u8>,
}

impl Host {
    fn new(w: &World, address: &str) -> Host {
        Host {
            host: w
                .sim
                .host(address.parse().expect("an address"))
                .expect("free"),
            sends: None,
            demands: false,
            peers: Vec::new(),
            connects: Vec::new(),
            streams: Vec::new(),
            heard: Vec::new(),
        }
    }

    fn act(&mut self, w: &World) {
        while let Ok((socket, _)) = self.host.accept() {
            let config = ServerConfig::default();
            let session = ServerSession::new(&config, w.now(), &mut |bytes| bytes.fill(5));
            self.peers.push((socket, session));
        }
        let mut peers = std::mem::take(&mut self.peers);
        peers.retain_mut(|(socket, session)| self.serve(w, socket, session));
        self.peers = peers;
    }

    fn serve(&mut self, w: &World, socket: &mut SimSocket, session: &mut ServerSession) -> bool {
        let mut buffer = [0; 4096];
        loop {
            let bytes = match socket.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => &buffer[..count],
                Err(_) => return true,
            };
            self.heard.extend(bytes);
            let mut bytes = bytes;
            while !bytes.is_empty() {
                let Ok(used) = session.handle_input(w.now(), bytes) else {
                    return false;
                };
                bytes = &bytes[used..];
                while let Some(event) = session.poll_event() {
                    self.answer(w, socket, session, event);
                }
            }
            while let Some(bytes) = session.poll_transmit() {
                socket.write_all(&bytes).expect("room");
            }
        }
    }

    fn answer(
        &mut self,
        w: &World,
        socket: &mut SimSocket,
        session: &mut ServerSession,
        event: ServerEvent,
    ) {
        match event {
            ServerEvent::Connect { request, connect } => {
                let user = connect.auth.as_ref().map(|auth| auth.user.clone());
                let query = connect.query.reveal().to_owned();
                self.connects.push((connect.app, query, user.clone()));
                if let Some((Way::Refuses, to)) = self.sends {
                    self.sends = None;
                    while let Some(bytes) = session.poll_transmit() {
                        socket.write_all(&bytes).expect("room");
                    }
                    socket.write_all(&refusal(to)).expect("room");
                } else if self.demands && user.is_none() {
                    let words = AuthDemand::Name.to_string();
                    session.reject(w.now(), request, &RejectReason::Unauthorized(words));
                } else {
                    session.accept(w.now(), request);
                }
            }
            ServerEvent::Publish {
                request,
                name,
                query,
                ..
            }
            | ServerEvent::Play {
                request,
                name,
                query,
                ..
            } => {
                let said = (name.reveal().to_owned(), query.reveal().to_owned());
                self.streams.push(said);
                session.accept(w.now(), request);
                if let Some((Way::Asks, to)) = self.sends {
                    self.sends = None;
                    assert!(session.request_reconnect(Some(to), "go"), "it can");
                }
            }
            _ => {}
        }
    }

    fn was_told(&self, secret: &str) -> bool {
        // In chunks, whose headers may stand within.
        let heard = self.heard.iter().filter(|byte| **byte != 0xC3);
        let heard: Vec<u8> = heard.copied().collect();
        heard
            .windows(secret.len())
            .any(|part| part == secret.as_bytes())
    }
}

/// A refusal of `connect` that leads elsewhere, in chunks of 128 bytes.
fn refusal(to: &str) -> Vec<u8> {
    let ex = Object::new().with("code", 302.0).with("redirect", to);
    let status = Status::error(code::CONNECT_REJECTED, "elsewhere");
    let command = Command {
        name: "_error".to_owned(),
        transaction: 1.0,
        object: Value::Null,
        arguments: vec![status.to_object().with("ex", Value::from(ex)).into()],
    };
    let body = command.encode(Encoding::Amf0);
    let length = (body.len() as u32).to_be_bytes();
    let mut bytes = vec![3, 0, 0, 0, length[1], length[2], length[3]];
    bytes.extend([kind::COMMAND_AMF0, 0, 0, 0, 0]);
    for (index, part) in body.chunks(128).enumerate() {
        bytes.extend((index > 0).then_some(0xC3));
        bytes.extend(part);
    }
    bytes
}

/// Rules with all that a URL may hold of secrets.
fn rules() -> [RelayRule; 2] {
    let url = format!("rtmp://ann:s3cret@{FIRST}/app/{{name}}?key=t0ken");
    let mut pull = PullRule::new("live/cam", &url);
    pull.start = PullStart::Always;
    [
        RelayRule::Push(PushRule::new("live/*", url)),
        RelayRule::Pull(pull),
    ]
}

/// What comes of a relay that is sent elsewhere.
struct Sent {
    w: World,
    first: Host,
    other: Host,
    /// Of what is pushed.
    publisher: Option<Who>,
}

impl Sent {
    fn new(rule: &RelayRule, way: Way, to: &'static str, demands: bool) -> Sent {
        let mut w = World::new(1);
        let (mut first, mut other) = (Host::new(&w, FIRST), Host::new(&w, OTHER));
        first.sends = Some((way, to));
        other.demands = demands;
        let publisher = match rule {
            RelayRule::Push(_) => Some(w.live("live/cam")),
            RelayRule::Pull(_) => None,
        };
        w.server.add_relay(rule).expect("a rule");
        let mut sent = Sent {
            w,
            first,
            other,
            publisher,
        };
        sent.run();
        sent
    }

    fn run(&mut self) {
        for _ in 0..100 {
            self.w.run(ms(4));
            self.first.act(&self.w);
            self.other.act(&self.w);
        }
    }

    fn end(self) {
        drop((self.first, self.other));
        self.w.end();
    }
}

fn states(w: &World) -> Vec<RelayState> {
    let rules = w.server.relays().into_iter();
    let links = rules.flat_map(|rule| rule.links);
    links.map(|link| link.state).collect()
}

fn failures(w: &World) -> Vec<String> {
    let failed = |event| match event {
        Event::RelayFailed { reason, .. } => Some(reason),
        _ => None,
    };
    w.events().into_iter().filter_map(failed).collect()
}

fn said(name: &str, query: &str) -> (String, String) {
    (name.to_owned(), query.to_owned())
}

#[test]
fn another_host_gets_neither_the_user_nor_the_query() {
    for rule in &rules() {
        for way in [Way::Refuses, Way::Asks] {
            for (to, query) in [
                ("rtmp://127.0.0.3/live", ""),
                ("//127.0.0.3/live", ""),
                ("rtmp://127.0.0.3/live/cam?key=0ther", "key=0ther"),
            ] {
                let s = Sent::new(rule, way, to, false);
                let case = format!("{rule:?} {way:?} {to}");
                assert_eq!(s.other.streams, [said("live/cam", query)], "{case}");
                assert_eq!(s.first.connects.len(), 1, "{case}");
                for secret in ["ann", "s3cret", "t0ken"] {
                    assert!(!s.other.was_told(secret), "{case}: {secret}");
                }
                assert_eq!(failures(&s.w), [""; 0], "{case}");
                assert_eq!(states(&s.w), [RelayState::Running], "{case}");
                s.end();
            }
        }
    }
}

#[test]
fn another_host_that_asks_for_a_password_gets_none() {
    for rule in &rules() {
        for way in [Way::Refuses, Way::Asks] {
            let s = Sent::new(rule, way, "rtmp://127.0.0.3/live", true);
            assert_eq!(s.other.connects.len(), 1, "{rule:?} {way:?}");
            assert!(!s.other.was_told("ann"), "{rule:?} {way:?}");
            let reasons = failures(&s.w);
            let asks = reasons.len() == 1 && reasons[0].contains("USER:PASSWORD");
            assert!(asks, "{rule:?} {way:?}: {reasons:?}");
            s.end();
        }
    }
    // One that the redirect names.
    let s = Sent::new(
        &rules()[0],
        Way::Refuses,
        "rtmp://bob:0ther@127.0.0.3/live",
        true,
    );
    assert_eq!(s.other.connects[1].2.as_deref(), Some("bob"));
    assert!(!s.other.was_told("ann") && !s.other.was_told("0ther"));
    s.end();
}

#[test]
fn the_same_server_gets_what_was_given_for_it() {
    for rule in &rules() {
        for way in [Way::Refuses, Way::Asks] {
            for to in [
                "/edge",
                "rtmp://127.0.0.2/edge",
                "//127.0.0.2:1935/edge/cam",
            ] {
                let mut s = Sent::new(rule, way, to, false);
                let case = format!("{rule:?} {way:?} {to}");
                assert_eq!(s.first.connects.len(), 2, "{case}");
                assert_eq!(s.first.connects[1].0, "edge", "{case}");
                let last = s.first.streams.pop();
                assert_eq!(last, Some(said("edge/cam", "key=t0ken")), "{case}");
                s.end();
            }
        }
    }
}

/// Of a request that cannot be followed nothing comes but a line: there is no need to go
/// before the other server does.
#[test]
fn a_request_that_cannot_be_followed_ends_nothing() {
    let lines = Lines::capture();
    let mut s = Sent::new(&rules()[0], Way::Asks, "http://127.0.0.3/x", false);
    assert_eq!(states(&s.w), [RelayState::Running]);
    assert_eq!((s.first.connects.len(), s.other.connects.len()), (1, 0));
    assert_eq!(failures(&s.w), [""; 0]);
    let told = Lines::count(&lines.take(), "connect where that cannot be");
    assert_eq!(told, 1);
    let before = s.first.heard.len();
    let publisher = s.publisher.expect("it is pushed");
    s.w[publisher].frame(1, 100);
    s.run();
    assert!(s.first.heard.len() > before + 100, "it goes on");
    s.end();
}

#[test]
fn a_refusal_that_leads_nowhere_says_why() {
    let s = Sent::new(&rules()[0], Way::Refuses, "http://127.0.0.3/x", false);
    let reasons = failures(&s.w);
    let [reason] = &reasons[..] else {
        panic!("{reasons:?}");
    };
    assert!(
        reason.contains("elsewhere") && reason.contains("rtmp://"),
        "{reason}"
    );
    s.end();
}
