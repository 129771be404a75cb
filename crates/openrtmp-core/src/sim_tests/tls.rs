//! RTMP over TLS.

use std::io::Read as _;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::session::ClientMode;

use super::media::{assert_decodable, assert_whole, frames};
use super::pair::{FAR, FAR_NAME, Pair};
use super::world::{FRAME, Processor, Setup, Who, World, ms};
use crate::config::pin::Pin;
use crate::config::{Config, Pem, PushRule, Roots, TlsClientConfig, TlsConfig};
use crate::events::{CloseReason, Event};
use crate::inbox::Command;
use crate::platform::Platform as _;
use crate::platform::sim::{Faults, Sim};
use crate::tls::ClientTls;

/// A certificate and its key, as PEM.
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// How long the certificates of these tests are good, from the simulated time of day on.
const LIFE: Duration = Duration::from_secs(100 * 86_400);

/// Makes a certificate with an Ed25519 key: all of its signatures have one length, so
/// that a world takes the same course each time.
pub(crate) fn made(names: &[&str], from: SystemTime, life: Duration) -> Made {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    made_with(&key, names, from, life)
}

fn made_with(key: &rcgen::KeyPair, names: &[&str], from: SystemTime, life: Duration) -> Made {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = rcgen::CertificateParams::new(names).expect("names");
    params.not_before = from.into();
    params.not_after = (from + life).into();
    let certificate = params.self_signed(key).expect("a certificate");
    Made {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// The time of day at which simulations begin.
pub(crate) fn begin() -> SystemTime {
    Sim::new(1).wall_clock()
}

/// The certificate of most of these tests.
pub(crate) fn usual() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    // Clocks of some worlds jump.
    MADE.get_or_init(|| made(&["127.0.0.1", "example.org"], begin() - LIFE, LIFE * 100))
}

pub(crate) fn settings(made: &Made) -> TlsConfig {
    TlsConfig {
        certificate: Some(Pem::Text(made.certificate.clone())),
        key: Some(Pem::Text(made.key.clone())),
        ..TlsConfig::default()
    }
}

/// A client's side that believes the server's key.
pub(super) fn trusting(world: &World) -> ClientTls {
    let config = TlsClientConfig {
        pins: vec![world.server.certificate_pin().expect("it speaks TLS")],
        ..TlsClientConfig::default()
    };
    ClientTls::new(&config).expect("pins are enough")
}

/// Makes all of a set-up's listeners speak TLS.
pub(super) fn with_tls(setup: &mut Setup) {
    let listen = &mut setup.config.listen;
    *listen = listen.iter().map(|listen| listen.with_tls()).collect();
    setup.config.tls = settings(usual());
}

/// A world whose clients speak TLS.
pub(super) fn secure(workers: usize, change: impl FnOnce(&mut Config)) -> World {
    let mut setup = Setup::new(workers);
    with_tls(&mut setup);
    change(&mut setup.config);
    trusted(setup.build())
}

/// The same world, whose clients speak TLS and believe its server.
pub(super) fn trusted(mut world: World) -> World {
    world.client_tls = Some(trusting(&world));
    world
}

#[test]
fn a_stream_passes_whole() {
    for workers in [1, 3] {
        let mut w = secure(workers, |_| {});
        let publisher = w.live("live/a");
        let players = [w.player("live/a"), w.player("live/a")];
        w.stream(publisher, 0..60);
        let late = w.player("live/a");
        w.stream_of(publisher, 60..100, 40_000);
        for player in players {
            assert_whole(&w[player].media, &w[publisher].sent);
        }
        assert_decodable(&w[late].media, &w[publisher].sent);
        w.leave(publisher);
        w.until("the end", |w| {
            players.iter().all(|p| w[*p].end_of_stream().is_some())
        });
        assert!(w.close_reasons().contains(&CloseReason::Peer));
    }
}

/// Says bytes one at a time, each in its own segment.
fn say_slowly(w: &mut World, who: Who, bytes: &[u8]) {
    for byte in bytes {
        w[who].say(&[*byte]);
        w.run(ms(1));
    }
}

#[test]
fn plain_rtmp_and_http_on_a_port_with_tls_are_told_from_it() {
    let mut w = secure(1, |_| {});
    for (says, advice) in [
        (&[3u8; 1537][..], "should say rtmps"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP without TLS"),
        (&[0x80; 64], "does not speak TLS"),
    ] {
        let before = w.close_reasons().len();
        let who = w.raw();
        w[who].say(says);
        w.until("the end", |w| {
            w[who].is_closed() && w.close_reasons().len() > before
        });
        let reasons = w.close_reasons();
        let Some(CloseReason::Protocol(text)) = reasons.last() else {
            panic!("{reasons:?}");
        };
        assert!(text.contains(advice), "{text}");
        // An alert: it was told why.
        assert_eq!(w[who].received.first(), Some(&21), "{advice}");
    }
}

#[test]
fn tls_on_a_plain_port_is_told_from_rtmp() {
    let mut w = World::new(1);
    let tls = ClientTls::new(&TlsClientConfig {
        insecure: true,
        ..TlsClientConfig::default()
    });
    let who = w.secure(&tls.expect("nothing to check"));
    w.until("the end", |w| {
        w[who].is_closed() && !w.close_reasons().is_empty()
    });
    let text = w.close_reasons()[0].to_string();
    assert!(text.contains("this is TLS"), "{text}");
}

#[test]
fn a_handshake_has_a_time_of_its_own() {
    let mut w = secure(1, |config| {
        config.tls.handshake_timeout = ms(3000);
        config.rtmp.handshake_timeout = ms(2000);
    });
    let silent = w.raw();
    let tls = trusting(&w);
    // Its handshake is over at once, but it says nothing of RTMP.
    let shaken = w.secure(&tls);
    let at = w.until("the shorter", |w| w[shaken].is_closed());
    assert!(at.since(w[shaken].started) >= ms(2000), "{at}");
    let at = w.until("the longer", |w| w[silent].is_closed());
    let took = at.since(w[silent].started);
    assert!((ms(3000)..ms(3200)).contains(&took), "{took:?}");
    let reached = |event: &Event| matches!(event, Event::LimitReached { limit, .. } if limit.path() == "tls.handshake_timeout");
    assert!(w.events().iter().any(reached));
    assert_eq!(
        w.shared
            .connections
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
}

#[test]
fn an_end_that_nobody_announced_is_a_loss_and_an_announced_one_is_not() {
    for announced in [true, false] {
        let mut w = secure(1, |_| {});
        let publisher = w.live("live/a");
        w.stream(publisher, 0..10);
        let socket = w[publisher].socket.take().expect("it is connected");
        match announced {
            true => socket.leave(),
            false => drop(socket),
        }
        w.until("the end", |w| !w.close_reasons().is_empty());
        match (&w.close_reasons()[0], announced) {
            (CloseReason::Peer, true) => {}
            (CloseReason::Network(text), false) => {
                assert!(text.contains("without close_notify"), "{text}");
            }
            (other, _) => panic!("announced: {announced}, {other:?}"),
        }
    }
}

#[test]
fn the_server_announces_its_end() {
    let mut w = secure(1, |_| {});
    let player = w.player("live/a");
    w[player].reading = false;
    let id = w.events().iter().find_map(|event| match event {
        Event::ConnectionOpened { connection, .. } => Some(*connection),
        _ => None,
    });
    let id = id.expect("it was accepted");
    w.host(move |server| server.disconnect(id, "enough"))
        .expect("in time");
    w.run(ms(100));
    let socket = w[player].socket.as_mut().expect("not read");
    let mut rest = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => rest.extend_from_slice(&buffer[..count]),
            Err(e) => panic!("{e}, after {} bytes", rest.len()),
        }
    }
}

/// An authority may ask whether a name leads here: connections are read up to their
/// ClientHello before it is known whose they are.
fn let_it_ask(w: &mut World) {
    let answer = made(&["live.example.org"], begin(), LIFE);
    let set = w.host(move |server| {
        let answer = crate::CertificateConfig {
            certificate: Pem::Text(answer.certificate),
            key: Pem::Text(answer.key),
        };
        server.set_challenge_certificate("live.example.org", Some(&answer))
    });
    set.expect("a certificate and its key");
}

#[test]
fn half_handshakes_hold_little_and_give_it_back() {
    for is_asked in [false, true] {
        half_handshakes(is_asked);
    }
}

fn half_handshakes(is_asked: bool) {
    let mut w = secure(2, |config| {
        config.limits.connections = 3000;
        config.limits.memory = 256 << 20;
        config.tls.handshake_timeout = ms(5000);
    });
    if is_asked {
        let_it_ask(&mut w);
    }
    let before = w.shared.budget.used();
    let tls = trusting(&w);
    let mut hello = Vec::new();
    let mut client = tls.connect("127.0.0.1").expect("a name");
    client.write_tls(&mut hello).expect("into memory");
    let half = &hello[..hello.len() / 2];
    let clients: Vec<Who> = (0..2000).map(|_| w.raw()).collect();
    for who in &clients {
        w[*who].say(half);
    }
    w.run(ms(1000));
    let each = (w.shared.budget.used() - before) / clients.len();
    assert!((1024..24 * 1024).contains(&each), "{each} bytes each");
    w.run(ms(6000));
    assert!(clients.iter().all(|who| w[*who].is_closed()));
    assert_eq!(w.shared.budget.used(), before);
}

#[test]
fn a_full_budget_takes_no_handshake() {
    let mut w = secure(1, |_| {});
    let limit = w.shared.budget.limit();
    let charge = crate::budget::Charge::new(&w.shared.budget, limit);
    let tls = trusting(&w);
    let refused = w.secure(&tls);
    w.until("the end", |w| w[refused].is_closed());
    assert!(matches!(&w.close_reasons()[..], [CloseReason::Limit(_)]));
    drop(charge);
    w.live("live/a");
}

#[test]
fn what_breaks_the_record_layer_costs_its_connection_and_no_other() {
    let mut w = secure(1, |_| {});
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    let oversized = {
        let mut record = vec![22, 3, 3, 0x41, 1];
        record.resize(5 + 0x4101, 1);
        record
    };
    let empty = [22, 3, 3, 0, 0].repeat(100);
    let garbage: Vec<u8> = (0..4000u32).map(|n| ((n * 7919) >> 3) as u8).collect();
    let told = |w: &mut World| {
        [&oversized, &empty, &garbage].map(|bytes| {
            let who = w.raw();
            w[who].say(bytes);
            w.until("the end", |w| w[who].is_closed());
            w[who].received.clone()
        })
    };
    let alerts = told(&mut w);
    assert!(alerts.iter().any(|alert| alert.first() == Some(&21)));
    let_it_ask(&mut w);
    assert_eq!(told(&mut w), alerts);
    w.stream(publisher, 0..50);
    assert_whole(&w[player].media, &w[publisher].sent);
}

#[test]
fn a_handshake_may_come_a_byte_at_a_time() {
    let mut w = secure(1, |_| {});
    let tls = trusting(&w);
    let mut client = tls.connect("127.0.0.1").expect("a name");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("into memory");
    for is_asked in [false, true] {
        if is_asked {
            let_it_ask(&mut w);
        }
        let who = w.raw();
        say_slowly(&mut w, who, &hello);
        // ServerHello and what follows it.
        w.until("an answer", |w| w[who].received.len() > 500);
        assert_eq!(w[who].received[0], 22);
    }
}

#[test]
fn a_flood_of_key_updates_ends_its_connection_and_holds_nothing_up() {
    flood_with_key_updates(&[]);
}

#[test]
fn key_updates_between_bytes_of_rtmp_are_work_of_their_connection() {
    flood_with_key_updates(&[3]);
}

/// Asks for other keys again and again, reads nothing, and says these bytes between.
fn flood_with_key_updates(between: &[u8]) {
    let mut w = secure(1, |_| {});
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    let tls = trusting(&w);
    let flooder = w.secure(&tls);
    w.run(ms(200));
    w[flooder].reading = false;
    let (memory, work) = (w.shared.budget.used(), w.work_done());
    for _ in 0..400 {
        let Some(line) = w[flooder].socket.as_mut() else {
            break;
        };
        if line.tls().connection_mut().refresh_traffic_keys().is_err() {
            break;
        }
        w[flooder].say(between);
        w.run(ms(1));
    }
    assert!(w.work_done() - work > 32 * 3000, "each is work");
    assert!(w.shared.budget.used() < memory + 64 * 1024);
    w.stream(publisher, 0..50);
    assert_whole(&w[player].media, &w[publisher].sent);
    w[flooder].reading = true;
    w.until("the end", |w| w[flooder].is_closed());
}

#[test]
fn a_client_that_does_not_believe_the_server_is_told_apart() {
    let mut w = secure(1, |_| {});
    let config = TlsClientConfig {
        pins: vec!["sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned()],
        ..TlsClientConfig::default()
    };
    let who = w.secure(&ClientTls::new(&config).expect("a pin"));
    w.until("the end", |w| !w.close_reasons().is_empty());
    let text = w.close_reasons()[0].to_string();
    assert!(text.contains("TLS: received fatal alert"), "{text}");
    assert!(w[who].is_closed());
}

#[test]
fn certificates_are_told_of_before_they_expire() {
    let made = made(&["127.0.0.1"], begin(), LIFE);
    let mut w = secure(1, |config| config.tls = settings(&made));
    let day = Duration::from_secs(86_400);
    let told = |w: &World| -> Vec<u64> {
        let events = w.events();
        let days = events.into_iter().filter_map(|event| match event {
            Event::CertificateExpires {
                left, certificate, ..
            } => {
                assert_eq!(certificate, "127.0.0.1");
                Some(left.as_secs().div_ceil(86_400))
            }
            _ => None,
        });
        days.collect()
    };
    w.run(day * 69);
    assert!(told(&w).is_empty());
    assert!(w.host(|server| server.health()).ready);
    // It lives 100 days: a month's warning comes too soon for that.
    w.run(day * 26);
    assert_eq!(told(&w), [7]);
    w.run(day * 4);
    assert_eq!(told(&w), [7, 1]);
    // A worker that panics forgets neither what it told nor what is to come.
    w.shared.inboxes[0].send(Command::Panic);
    w.run(day * 2);
    assert_eq!(told(&w), [7, 1, 0]);
    let health = w.host(|server| server.health());
    assert!(
        !health.ready && health.reasons[0].contains("has expired"),
        "{health:?}"
    );
    w.run(day * 3);
    assert_eq!(told(&w), [7, 1, 0]);
}

#[test]
fn a_certificate_that_lives_short_is_told_of_once_its_renewal_is_overdue() {
    let made = made(&["127.0.0.1"], begin(), Duration::from_secs(36 * 3600));
    let mut w = secure(1, |config| config.tls = settings(&made));
    let told = |event: &Event| matches!(event, Event::CertificateExpires { .. });
    w.run(Duration::from_secs(29 * 3600));
    assert_eq!(w.count(told), 0);
    w.run(Duration::from_secs(2 * 3600));
    assert_eq!(w.count(told), 1);
    w.run(Duration::from_secs(6 * 3600));
    assert_eq!(w.count(told), 2);
}

/// A world that waits for its certificate from an authority, and where that comes to be.
fn waiting(folder: &std::path::Path) -> (World, std::path::PathBuf) {
    let mut setup = Setup::new(1);
    with_tls(&mut setup);
    setup.config.tls = TlsConfig::default();
    setup.config.tls.acme.domains = vec!["live.example.org".to_owned()];
    setup.config.tls.acme.storage = Some(folder.to_owned());
    let file = setup.config.tls.acme.certificate_file().expect("it is on");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("it is ours");
    (setup.build(), file)
}

/// Certificate and key in one text.
fn in_one(made: &Made) -> String {
    format!("{}{}", made.key, made.certificate)
}

#[test]
fn a_server_may_wait_for_its_first_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut w, file) = waiting(folder.path());
    let insecure = ClientTls::new(&TlsClientConfig {
        insecure: true,
        ..TlsClientConfig::default()
    });
    let early = w.secure(&insecure.expect("nothing to check"));
    w.until("the end", |w| w[early].is_closed());
    w.until("why", |w| !w.close_reasons().is_empty());
    let reason = w.close_reasons()[0].to_string();
    assert!(reason.contains("tls.acme"), "{reason}");
    assert!(w.host(|server| server.health()).ready);
    // What is written there is taken when that is said, unless it is not right.
    for (text, is_new) in [
        (in_one(&made(&["live.example.org"], begin(), LIFE)), true),
        ("junk".to_owned(), false),
        (in_one(&made(&["x"], begin() - LIFE * 2, LIFE)), false),
    ] {
        std::fs::write(&file, &text).expect("it is ours");
        let pin = w.server.certificate_pin();
        let reloaded = w.host(|server| server.reload_certificates());
        assert_eq!(reloaded, Ok(is_new));
        assert_eq!(w.server.certificate_pin() != pin, is_new);
    }
    w.client_tls = Some(trusting(&w));
    let publisher = w.live("live/a");
    w.stream(publisher, 0..10);
}

#[test]
fn what_was_obtained_before_and_is_over_does_not_keep_a_server_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let (w, file) = waiting(folder.path());
    let config = Config::clone(&w.server.config());
    drop(w);
    for text in [
        in_one(&made(&["live.example.org"], begin() - LIFE * 2, LIFE)),
        "junk".to_owned(),
    ] {
        std::fs::write(&file, text).expect("it is ours");
        let mut setup = Setup::new(1);
        setup.config = config.clone();
        setup.build();
    }
}

#[test]
fn an_obtained_certificate_is_told_of_once_its_renewal_is_overdue() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut w, file) = waiting(folder.path());
    let day = Duration::from_secs(86_400);
    let obtained = made(&["live.example.org"], begin(), day * 90);
    std::fs::write(&file, in_one(&obtained)).expect("it is ours");
    let reloaded = w.host(|server| server.reload_certificates());
    assert_eq!(reloaded, Ok(true));
    let told = |event: &Event| matches!(event, Event::CertificateExpires { .. });
    w.run(day * 74);
    assert_eq!(w.count(told), 0);
    w.run(day * 2);
    assert_eq!(w.count(told), 1);
    w.run(day * 13);
    assert_eq!(w.count(told), 1, "once");
}

#[test]
fn another_certificate_is_for_those_who_come_then() {
    let mut w = secure(1, |_| {});
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    let pin = w.server.certificate_pin();
    let other = made(&["other.example"], begin(), LIFE);
    let set = w.host(move |server| server.set_certificate(&other.certificate, &other.key));
    set.expect("a certificate and its key");
    assert_ne!(w.server.certificate_pin(), pin);
    w.client_tls = Some(trusting(&w));
    let late = w.player("live/a");
    w.stream(publisher, 0..50);
    for player in [player, late] {
        assert!(!w[player].is_closed());
    }
    assert_whole(&w[player].media, &w[publisher].sent);
}

/// Two servers, the far of which speaks TLS; the near believes it, or does not.
fn pair(workers: usize, seed: u64, faults: Faults, believes: bool) -> Pair {
    let near = |config: &mut Config| match believes {
        true => config.tls.client.roots = Roots::Pem(Pem::Text(usual().certificate.clone())),
        false => config.tls.client.pins = vec![Pin([7; 32]).to_string()],
    };
    let far = |config: &mut Config| {
        config.listen = vec![config.listen[0].with_tls()];
        config.tls = settings(usual());
    };
    let mut pair = Pair::configured(workers, seed, faults, near, far);
    pair.far.client_tls = Some(trusting(&pair.far));
    pair
}

fn far_url(path: &str) -> RtmpUrl {
    RtmpUrl::parse(&format!("rtmps://{FAR}/{path}")).expect("a URL")
}

#[test]
fn a_server_plays_from_and_publishes_to_another_over_tls() {
    for workers in [1, 2] {
        let mut p = pair(workers, 1, Faults::default(), true);
        let here = p.live(Pair::near, "live/cam");
        let there = p.live(Pair::far, "live/there");
        let push = p.near.server.push("live/cam", &far_url("live/pushed"));
        let pull = p.near.server.pull(&far_url("live/there"), "live/pulled");
        push.expect("begun");
        pull.expect("begun");
        let pushed = p.far.client(ClientMode::Play, "live/pushed");
        let pulled = p.near.client(ClientMode::Play, "live/pulled");
        let ready = |p: &Pair| p.far[pushed].is_ready() && p.near[pulled].is_ready();
        p.until("Play.Start", ready);
        for n in 0..50 {
            p.near[here].frame(n, 30_000);
            p.far[there].frame(n, 1000);
            p.run(ms(FRAME));
        }
        p.run(ms(500));
        assert_whole(&p.far[pushed].media, &p.near[here].sent);
        assert_whole(&p.near[pulled].media, &p.far[there].sent);
        p.end();
    }
}

#[test]
fn a_server_that_is_not_believed_is_told_and_nothing_is_sent_to_it() {
    let mut p = pair(1, 1, Faults::default(), false);
    let here = p.live(Pair::near, "live/cam");
    let push = p.near.server.push("live/cam", &far_url("live/pushed"));
    push.expect("begun");
    p.until("the end", |p| !p.near.close_reasons().is_empty());
    let text = p.near.close_reasons()[0].to_string();
    assert!(text.contains("none of those that are pinned"), "{text}");
    assert!(!p.near[here].is_closed());
    // It heard nothing but a handshake.
    p.until("the other end", |p| !p.far.close_reasons().is_empty());
    let asked = |event: &Event| matches!(event, Event::Access { .. });
    assert_eq!(p.far.count(asked), 0);
    p.end();
}

#[test]
fn a_relay_over_tls_makes_good_what_goes_wrong() {
    let mut with_media = 0;
    for seed in 0..20 {
        let mut p = pair(1 + seed as usize % 2, seed, Faults::rough(), true);
        let to = format!("rtmps://{FAR_NAME}/{{app}}/{{name}}");
        let rule = crate::RelayRule::Push(PushRule::new("live/*", to));
        p.near.server.add_relay(&rule).expect("a rule");
        let publisher = p.near.client(ClientMode::Publish, "live/b");
        let player = p.far.client(ClientMode::Play, "live/b");
        p.run(ms(300));
        if p.near[publisher].is_ready() {
            p.near.headers(publisher);
        }
        for n in 0..60 {
            if p.near[publisher].is_ready() {
                p.near[publisher].frame(n, 1000);
            }
            p.run(ms(FRAME));
        }
        let media = frames(&p.far[player].media);
        let times: Vec<u32> = media.iter().map(|m| m.timestamp).collect();
        assert!(times.is_sorted(), "seed {seed}: {times:?}");
        with_media += usize::from(!times.is_empty());
        p.assert_healed(publisher, "live/b", [Pair::near, Pair::far], 60);
        p.end();
    }
    assert!(with_media >= 10, "{with_media} of 20 seeds with media");
}

#[test]
fn handshakes_at_full_speed_cost_an_innocent_a_turn_at_most() {
    let mut setup = Setup::new(1);
    with_tls(&mut setup);
    // Made for this test, with OpenSSL.
    let key = rcgen::KeyPair::from_pem(include_str!("data/rsa-2048.key")).expect("a key");
    let rsa = made_with(&key, &["127.0.0.1"], begin(), LIFE);
    setup.config.tls = settings(&rsa);
    setup.processor = Some(Processor { speed: 1000 });
    let mut w = trusted(setup.build());
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    let tls = trusting(&w);
    let before = w.heaviest_turn();
    let mut late = Duration::ZERO;
    for n in 0..50 {
        w[publisher].frame(n, 1000);
        let sent = w.now();
        // Each begins anew, and leaves when it is through.
        let clients: Vec<Who> = (0..20).map(|_| w.secure(&tls)).collect();
        let seen = w[player].media.len();
        let came = w.until("the frame", |w| w[player].media.len() > seen);
        late = late.max(came.since(sent));
        w.run(ms(FRAME));
        for who in clients {
            w.leave(who);
        }
    }
    w.run(ms(500));
    assert_whole(&w[player].media, &w[publisher].sent);
    assert!(w.heaviest_turn() > before + 1_000_000, "they were counted");
    assert!(late <= ms(250), "{late:?}");
}

#[test]
fn a_listener_may_speak_tls_from_now_on_and_plain_again() {
    let mut w = World::new(1);
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    let change = |w: &mut World, listen: crate::Listen| {
        let mut config = Config::clone(&w.server.config());
        config.listen = vec![listen];
        config.tls = settings(usual());
        let result = w.host(move |server| server.reconfigure(config));
        result.expect("allowed");
    };
    let plain = w.server.config().listen[0];
    change(&mut w, plain.with_tls());
    assert_eq!(
        w.server.listeners()[0].to_string(),
        "rtmps://127.0.0.1:1935"
    );
    w.client_tls = Some(trusting(&w));
    let late = w.player("live/a");
    change(&mut w, plain);
    w.client_tls = None;
    let last = w.player("live/a");
    w.stream(publisher, 0..30);
    for player in [player, late, last] {
        assert_whole(&w[player].media, &w[publisher].sent);
    }
    // A certificate that is not right changes nothing.
    let mut config = Config::clone(&w.server.config());
    config.listen = vec![plain.with_tls()];
    config.tls.key = Some(Pem::Text(made(&["x"], begin(), LIFE).key));
    let error = w.host(move |server| server.reconfigure(config));
    let text = error.expect_err("another key").to_string();
    assert!(text.contains("is not the key of the certificate"), "{text}");
    assert_eq!(w.server.listeners(), [plain]);
    w.player("live/a");
}

#[test]
fn records_that_wait_for_a_slow_player_are_counted() {
    let mut setup = Setup::new(1);
    with_tls(&mut setup);
    setup.config.gop.max_bytes = 0;
    setup.network.send_buffer = 8 * 1024;
    setup.network.receive_buffer = 8 * 1024;
    let mut w = trusted(setup.build());
    let publisher = w.live("live/a");
    let player = w.player("live/a");
    w.run(ms(100));
    w[player].reading = false;
    let before = w.shared.budget.used();
    w[publisher].frame(0, 50_000);
    w.run(ms(500));
    let list = w.metrics().connections_list;
    assert!(
        list.iter().all(|connection| connection.queue_bytes == 0),
        "all became records"
    );
    let held = w.shared.budget.used() - before;
    assert!((20_000..64_000).contains(&held), "{held} bytes");
    w[player].reading = true;
    w.run(ms(500));
    assert!(w.shared.budget.used() < before + 1000);
    assert_whole(&w[player].media, &w[publisher].sent);
}
