//! Servers that send their clients to others, over sockets: what was given for one of
//! them is taken to no other, and none is believed for what was said of the first.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientConfig, Deadline};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::session::{ClientEvent, ClientMode, MediaKind};
use openrtmp_core::{
    AccessAction, ClientAuth, Config, DrainOptions, Event, Pem, PushRule, RelayRule, Roots, Server,
    UserConfig,
};
use openrtmp_tests::flv::Tag;
use openrtmp_tests::tls::{Authority, Certificate};
use openrtmp_tests::{Process, flv, openrtmp, peer};

const PATIENCE: Duration = Duration::from_secs(30);

/// What somebody said who asked for something.
#[derive(Debug)]
struct Asked {
    action: AccessAction,
    stream: String,
    query: String,
    user: Option<String>,
    /// It showed a certificate.
    shows: bool,
}

struct Host {
    server: Arc<Server>,
    events: Receiver<Event>,
    asked: Receiver<Asked>,
}

impl Host {
    fn new(change: impl FnOnce(&mut Config)) -> Host {
        let mut config = Config::desktop();
        config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
        change(&mut config);
        let (tell, events) = channel();
        let (ask, asked) = channel();
        let server = Server::builder(config)
            .on_event(move |event| drop(tell.send(event)))
            .on_access(move |request| {
                let said = Asked {
                    action: request.action,
                    stream: request.stream.reveal().to_owned(),
                    query: request.query.reveal().to_owned(),
                    user: request.user.as_ref().map(ToString::to_string),
                    shows: request.certificate.is_some(),
                };
                // A test may have seen enough.
                let _ = ask.send(said);
                request.accept();
            })
            .start()
            .expect("it starts");
        Host {
            server: Arc::new(server),
            events,
            asked,
        }
    }

    /// One that speaks TLS.
    fn secure(certificate: &Certificate, change: impl FnOnce(&mut Config)) -> Host {
        Host::new(|config| {
            certificate.apply(config);
            change(config);
        })
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.server.addresses()[0])
    }

    /// Sends everybody there who can be asked.
    fn send_away(&self, to: &str) {
        let options = DrainOptions::new(PATIENCE * 20).to(to);
        let server = self.server.clone();
        // Until the server is stopped.
        thread::spawn(move || server.drain(&options));
    }

    /// The first event that tells what is wanted.
    #[track_caller]
    fn wait<T>(&self, what: &str, find: impl Fn(Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect(what);
            if let Some(found) = find(event) {
                return found;
            }
        }
    }

    /// What the next publisher or player said.
    #[track_caller]
    fn next(&self) -> Asked {
        loop {
            let asked = self.asked.recv_timeout(PATIENCE).expect("somebody asks");
            if asked.action != AccessAction::Connect {
                return asked;
            }
        }
    }

    fn started(&self) {
        self.wait("the relay starts", |event| {
            matches!(event, Event::RelayStarted { .. }).then_some(())
        });
    }

    fn failure(&self) -> String {
        self.wait("the relay fails", |event| match event {
            Event::RelayFailed { reason, .. } => Some(reason),
            _ => None,
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.server.stop(Duration::ZERO);
    }
}

fn publisher(host: &Host) -> Client {
    let url = format!("{}/live/cam", host.url("rtmp"));
    let url = RtmpUrl::parse(&url).expect("a URL");
    Client::connect(ClientConfig::new(url, ClientMode::Publish)).expect("it is granted")
}

/// A relay to the first, up to where this sends it away.
fn relayed(first: &Host, change: impl FnOnce(&mut Config)) -> (Host, Client) {
    let near = Host::new(change);
    let publisher = publisher(&near);
    let rule = PushRule::new("live/*", format!("{}/{{app}}/{{name}}", first.url("rtmps")));
    near.server
        .add_relay(&RelayRule::Push(rule))
        .expect("a rule");
    near.started();
    (near, publisher)
}

#[test]
fn a_server_is_not_believed_for_what_was_said_of_another() {
    let (known, strange) = (Authority::new("Known"), Authority::new("Strange"));
    let first = || Host::secure(&known.sign(&["127.0.0.1"]), |_| {});
    let other = Host::secure(&strange.sign(&["127.0.0.1"]), |_| {});
    type Change = Box<dyn Fn(&mut Config, &Host)>;
    let cases: [(Change, &str); 2] = [
        (
            Box::new(|config, _| config.tls.client.insecure = true),
            "authority",
        ),
        (
            Box::new(|config, first| {
                let pin = first.server.certificate_pin().expect("it speaks TLS");
                config.tls.client.pins = vec![pin];
            }),
            "none of those that are pinned",
        ),
    ];
    for (change, expected) in cases {
        let first = first();
        let (near, _publisher) = relayed(&first, |config| {
            // Where this runs there may be no authorities at all.
            config.tls.client.roots = Roots::Pem(Pem::Text(known.pem().to_owned()));
            change(config, &first);
        });
        first.send_away(&other.url("rtmps"));
        let reason = near.failure();
        assert!(reason.contains(expected), "{reason}");
    }
    assert!(other.asked.try_recv().is_err(), "nothing was asked of it");
}

#[test]
fn a_certificate_is_shown_to_nobody_whom_another_server_names() {
    let authority = Authority::new("Test");
    let certificate = authority.sign(&["127.0.0.1"]);
    let asks = |mode: ClientAuth| {
        let ca = Pem::Text(authority.pem().to_owned());
        move |config: &mut Config| {
            config.tls.client_auth.mode = mode;
            config.tls.client_auth.ca = Some(ca);
        }
    };
    let first = Host::secure(&certificate, asks(ClientAuth::Required));
    let other = Host::secure(&certificate, asks(ClientAuth::Optional));
    let own = authority.sign(&["near.example"]);
    let (_near, _publisher) = relayed(&first, |config| {
        config.tls.client.roots = Roots::Pem(Pem::Text(authority.pem().to_owned()));
        config.tls.client.certificate = Some(Pem::Text(own.certificate));
        config.tls.client.key = Some(Pem::Text(own.key));
    });
    assert!(first.next().shows, "the one it was meant for");
    first.send_away(&other.url("rtmps"));
    let asked = other.next();
    assert_eq!((&*asked.stream, asked.shows), ("live/cam", false));
}

#[test]
fn no_request_leads_from_rtmps_to_rtmp() {
    let authority = Authority::new("Test");
    let certificate = authority.sign(&["127.0.0.1"]);
    let first = Host::secure(&certificate, |config| config.workers = 1);
    let other = Host::new(|_| {});
    let (near, mut publisher) = relayed(&first, |config| {
        config.workers = 1;
        config.tls.client.roots = Roots::Pem(Pem::Text(authority.pem().to_owned()));
    });
    let at_first = format!("{}/live/cam", first.url("rtmps"));
    let mut player = ClientConfig::new(RtmpUrl::parse(&at_first).expect("a URL"), ClientMode::Play);
    player.tls.roots = Roots::Pem(Pem::Text(authority.pem().to_owned()));
    let mut player = Client::connect(player).expect("it is granted");
    let mut next = || {
        let event = player.next_event(Deadline::after(PATIENCE));
        event.expect("it goes on").expect("in time")
    };
    first.send_away(&other.url("rtmp"));
    while !matches!(next(), ClientEvent::ReconnectRequest(_)) {}
    // The relay is asked in the same turn, and hears it within one of these.
    for n in 0..20 {
        publisher
            .send(MediaKind::Audio, n * 20, b"\xAF\x01frame")
            .expect("it is taken");
        publisher.flush().expect("it is sent");
        while !matches!(next(), ClientEvent::Media(media) if media.kind == MediaKind::Audio) {}
    }
    let failed = near
        .events
        .try_iter()
        .any(|event| matches!(event, Event::RelayFailed { .. }));
    assert!(!failed);
    assert!(other.asked.try_recv().is_err());
}

/// A second of sound.
fn file(folder: &Path) -> PathBuf {
    let mut tags = vec![Tag {
        kind: flv::AUDIO,
        time: 0,
        body: vec![0xAF, 0, 0x12, 0x10],
    }];
    tags.extend((0..50).map(|n| Tag {
        kind: flv::AUDIO,
        time: n * 20,
        body: vec![0xAF, 1, n as u8, 2, 3],
    }));
    let path = folder.join("sound.flv");
    flv::write(&path, &tags);
    path
}

#[test]
fn the_command_takes_neither_user_nor_query_to_another_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file(folder.path());
    for (query, expected) in [("", ""), ("/cam?key=0ther", "key=0ther")] {
        let other = Host::new(|_| {});
        let to = format!("{}/edge{query}", other.url("rtmp"));
        let first = peer::redirector(&to);
        let url = format!("rtmp://ann:s3cret@{first}/live/cam?key=t0ken");
        let mut command = openrtmp();
        command.args(["publish", "--fast"]).arg(&file).arg(&url);
        let done = Process::start("openrtmp publish", command).wait();
        let done = done.expect_success();
        let asked = other.next();
        assert_eq!((&*asked.stream, &*asked.query), ("edge/cam", expected));
        let said = done.output.join("\n");
        assert!(said.contains("sends us to"), "{said}");
        assert!(
            !said.contains("s3cret") && !said.contains("t0ken"),
            "{said}"
        );
    }
}

#[test]
fn the_command_shows_no_password_to_another_server_that_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file(folder.path());
    let other = Host::new(|config| config.access.users = vec![UserConfig::new("ann", "s3cret")]);
    let first = peer::redirector(&other.url("rtmp"));
    let run = |verb: &str, userinfo: &str, to: SocketAddr| {
        let mut command = openrtmp();
        command.arg(verb);
        if verb == "publish" {
            command.arg("--fast").arg(&file);
        }
        command.arg(format!("rtmp://{userinfo}{to}/live/cam"));
        if verb == "record" {
            command.arg(folder.path().join("out.flv"));
        }
        Process::start(format!("openrtmp {verb}"), command).wait()
    };
    for verb in ["publish", "record"] {
        let done = run(verb, "ann:s3cret@", first);
        assert_eq!(done.status.code(), Some(1));
        let said = done.output.join("\n");
        assert!(said.contains("USER:PASSWORD"), "{said}");
    }
    // It is the right one.
    let own = other.server.addresses()[0];
    run("publish", "ann:s3cret@", own).expect_success();
    assert_eq!(other.next().user.as_deref(), Some("ann"));
    // In circles.
    let circle = peer::serve(|socket, own| {
        peer::shake_hands(socket)?;
        peer::hear(socket)?;
        peer::refuse(socket, &format!("rtmp://{own}/again"))
    });
    let done = run("record", "", circle);
    let said = done.output.join("\n");
    assert!(said.contains("elsewhere 5 times in a row"), "{said}");
}
