//! Keys are nowhere to be read, wherever peers put them.

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::session::ClientMode;

use super::lines::Lines;
use super::world::{ADDRESS, Setup, Who, World, ms};
use crate::config::{RecordConfig, SecondPublisher};
use crate::events::Event;
use crate::secret::{Masks, Secrecy, StreamName};

/// A key that is in a ring, one that never was, one that was revoked.
const RIGHT: &str = "right-key";
const WRONG: &str = "wrong-key";
const GONE: &str = "gone-key";
const KEYS: [&str; 3] = [RIGHT, WRONG, GONE];

/// Which ring is closed, or who says that names are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    PublishKeys,
    PlayKeys,
    BothKeys,
    HostMarks,
    SecretNames,
}

const DOORS: [Door; 5] = [
    Door::PublishKeys,
    Door::PlayKeys,
    Door::BothKeys,
    Door::HostMarks,
    Door::SecretNames,
];

const POLICIES: [SecondPublisher; 3] = [
    SecondPublisher::Reject,
    SecondPublisher::Takeover,
    SecondPublisher::Wait,
];

fn world(door: Door, policy: SecondPublisher) -> World {
    let mut setup = Setup::new(2);
    let access = &mut setup.config.access;
    let keys = vec![RIGHT.to_owned(), GONE.to_owned()];
    if matches!(door, Door::PublishKeys | Door::BothKeys) {
        access.publish_keys = keys.clone();
    }
    if matches!(door, Door::PlayKeys | Door::BothKeys) {
        access.play_keys = keys;
    }
    access.secret_names = door == Door::SecretNames;
    setup.host_decides = matches!(door, Door::HostMarks | Door::SecretNames);
    setup.config.streams.second_publisher = policy;
    setup.config.record = Some(RecordConfig::new("/rec"));
    let w = setup.build();
    w.server.revoke_publish_key(GONE);
    w.server.play_keys().remove(GONE);
    w
}

/// Answers what the host is asked: every second one is refused.
fn answer(w: &mut World, door: Door) {
    for _ in 0..4 {
        for (index, request) in w.requests().into_iter().enumerate() {
            let shown = format!("{request:?}");
            if door == Door::HostMarks {
                request.mark_secret();
            } else {
                assert!(!KEYS.iter().any(|key| shown.contains(key)), "{shown}");
            }
            match index % 2 == 0 {
                true => assert!(request.accept()),
                false => assert!(request.reject("not today")),
            }
        }
        w.run(ms(20));
    }
}

fn at(app: &str, stream: &str) -> RtmpUrl {
    let mut url = RtmpUrl::parse(&format!("rtmp://{ADDRESS}/a/b")).expect("a URL");
    (url.app, url.stream) = (app.to_owned(), stream.to_owned());
    url
}

/// Wherever a key may stand that is not known to be one.
fn places(key: &str) -> Vec<RtmpUrl> {
    vec![
        at("live", key),
        at("", key),
        at("live/room", key),
        at(&format!("live/{key}"), ""),
        at(key, ""),
        at("live", &format!("mp4:{key}.flv")),
        at("live", &format!("{key}?user=ann")),
        at("live", &format!("cam?key={key}")),
        at("live", &format!("cam?user=ann&token={key}&x=1")),
        at("live", &format!("cam?{key}")),
        at(&format!("live?key={key}"), "cam"),
        at(&format!("live?key={key}"), key),
    ]
}

/// The same of keys that are or were in a ring.
fn more_places(key: &str) -> Vec<RtmpUrl> {
    vec![
        at(key, "cam?key=x"),
        at(&format!("live/{key}"), "cam"),
        at("live", &format!("cam&key={key}")),
        at("live", &format!("{key}?key={key}")),
        at("live", &format!("{key}?key=x")),
    ]
}

/// A client that says `connect` by hand, with a key in tcUrl only, and publishes.
fn by_hand(w: &mut World, key: &str) -> Who {
    let who = w.shaken();
    let tc_url = format!("rtmp://host/live?key={key}");
    w[who].command_object("connect", 1.0, &[("app", "live"), ("tcUrl", &tc_url)]);
    w[who].command_on(0, "createStream", &[]);
    w[who].command_on(1, "publish", &["byhand".into(), "live".into()]);
    who
}

/// Everything that a host and its operators get to read.
fn told(w: &mut World, lines: &Lines) -> Vec<String> {
    let mut told: Vec<String> = lines.take().into_iter().map(|(_, line)| line).collect();
    told.extend(lines.take_values());
    for event in w.events() {
        told.push(format!("{event:?}"));
        told.push(serde_json::to_string(&event).expect("JSON"));
    }
    let metrics = w.metrics();
    told.push(metrics.to_json());
    told.push(format!("{metrics:?}"));
    told.push(format!("{:?}", w.server.config()));
    told.push(format!(
        "{:?} {:?}",
        w.server.publish_keys(),
        w.server.play_keys()
    ));
    for path in w.sim.files() {
        told.push(path.display().to_string());
    }
    told
}

#[track_caller]
fn assert_no_key(told: &[String], world: &str) {
    for text in told {
        for key in KEYS {
            assert!(!text.contains(key), "{world}: {key} in {text}");
        }
    }
}

/// Names of streams that were published, whole and as shown.
fn published(w: &World) -> Vec<StreamName> {
    let name = |event| match event {
        Event::StreamPublished { name, .. } => Some(name),
        _ => None,
    };
    w.events().into_iter().filter_map(name).collect()
}

#[test]
fn a_key_is_nowhere_to_be_read_wherever_it_stands() {
    for door in DOORS {
        for policy in POLICIES {
            let lines = Lines::capture();
            let mut w = world(door, policy);
            let mut clients = Vec::new();
            for key in KEYS {
                let known = key != WRONG && matches!(door, Door::PublishKeys | Door::BothKeys);
                let more = if known { more_places(key) } else { Vec::new() };
                for url in places(key).into_iter().chain(more) {
                    for mode in [ClientMode::Publish, ClientMode::Play] {
                        clients.push(w.client_at(mode, url.clone()));
                        w.run(ms(20));
                        answer(&mut w, door);
                    }
                }
                clients.push(by_hand(&mut w, key));
                w.run(ms(20));
                answer(&mut w, door);
            }
            for &who in &clients {
                if !w[who].is_ready() {
                    continue;
                }
                w.headers(who);
                for n in 0..3 {
                    w[who].frame(n, 100);
                }
            }
            w.run(ms(200));
            let world = format!("{door:?} {policy:?}");
            let mut all = told(&mut w, &lines);
            // What peers are told of others' streams.
            for &who in &clients {
                let refusal = w[who].failure.as_ref().map(ToString::to_string);
                all.extend(refusal.filter(|text| text.contains("publisher already")));
            }
            w.server.revoke_publish_key(RIGHT);
            w.server.play_keys().remove(RIGHT);
            w.run(ms(100));
            let names = published(&w);
            w.stop(ms(100));
            all.extend(told(&mut w, &lines));
            assert_no_key(&all, &world);
            // And it was not for want of keys, lines, files.
            let secret = names.iter().find(|name| name.reveal().ends_with("-key"));
            let secret = secret.expect("a key was published as a name").clone();
            let (_, mask) = secret.shown_parts();
            let mask = mask.trim_matches('*').to_owned();
            assert_eq!(mask.len(), 4, "{world}");
            let holding = |what: &str| all.iter().filter(|text| text.contains(what)).count();
            assert!(
                holding(&format!("***{mask}")) > 4,
                "{world}: in lines and events"
            );
            assert!(
                holding(&format!("___{mask}-")) > 0,
                "{world}: in a file's name"
            );
            assert!(holding("refused") > 0, "{world}");
            drop(lines);
        }
    }
}

#[test]
fn the_host_gets_the_whole_name_and_ends_a_stream_by_its_id() {
    let mut w = world(Door::PublishKeys, SecondPublisher::Reject);
    let publisher = w.live(&format!("live/{RIGHT}"));
    let id = w.events().into_iter().find_map(|event| match event {
        Event::StreamPublished { stream, .. } => Some(stream),
        _ => None,
    });
    let id = id.expect("it is published");
    let name = w.server.stream_name(id).expect("it is there");
    assert_eq!(name.reveal(), format!("live/{RIGHT}"));
    assert!(w.server.end_stream(id, "enough"));
    w.until("the close", |w| w[publisher].is_closed());
    w.run(ms(100));
    assert!(!w.server.end_stream(id, "enough"));
    assert_eq!(w.server.stream_name(id), None);
    w.end();
}

#[test]
fn what_a_secret_stream_is_shown_in_is_secret() {
    let w = World::with(1, |c| c.access.publish_keys = vec!["k3y_low".to_owned()]);
    let name = |secrecy, path| StreamName::new(path, secrecy, &Masks::default(), |_| false);
    let beside = |name: &StreamName| w.shared.host_name_beside(name, "live/k3y");
    assert_eq!(
        beside(&name(Secrecy::Public, "live/k3y_low")).shown(),
        "live/k3y"
    );
    for secrecy in [Secrecy::Suspected, Secrecy::Secret] {
        let beside = beside(&name(secrecy, "live/k3y_low"));
        assert!(beside.is_secret() && !beside.shown().contains("k3y"));
    }
    // A key that is known is one, whatever is said of the name.
    let beside = beside(&w.shared.host_name("live/k3y_low"));
    assert!(
        beside.is_secret() && !beside.shown().contains("k3y"),
        "{beside}"
    );
    w.end();
}

#[test]
fn names_that_are_none_are_shown() {
    let mut w = world(Door::PublishKeys, SecondPublisher::Reject);
    w.player("live/cam");
    let publisher = w.live(&format!("live/cam?key={RIGHT}"));
    w.player("live/cam");
    w.stream(publisher, 0..5);
    let shown = |event| match event {
        Event::StreamPublished { name, .. } | Event::SubscriberJoined { name, .. } => {
            Some(name.to_string())
        }
        _ => None,
    };
    let shown: Vec<_> = w.events().into_iter().filter_map(shown).collect();
    // The publisher says that it is a name, also of who waited.
    assert_eq!(shown, ["live/cam"; 3]);
    assert_eq!(w.metrics().streams[0].name.to_string(), "live/cam");
    w.end();
}

#[test]
fn text_of_peers_forges_no_line_and_drives_no_terminal() {
    let lines = Lines::capture();
    let mut w = World::new(1);
    let forged = "cam\n[error] all is lost \u{1b}[2J\u{202e}";
    let publisher = w.client_at(ClientMode::Publish, at("live", forged));
    w.until("Publish.Start", |w| w[publisher].is_ready());
    let second = w.client_at(ClientMode::Publish, at("live", forged));
    w.until("the refusal", |w| w[second].failure.is_some());
    let long = w.client_at(ClientMode::Publish, at(&"x".repeat(1000), "cam"));
    w.until("Publish.Start", |w| w[long].is_ready());
    w.run(ms(100));
    let mut texts: Vec<String> = lines.take().into_iter().map(|(_, line)| line).collect();
    texts.extend(lines.take_values());
    texts.extend(w.close_reasons().iter().map(ToString::to_string));
    for text in &texts {
        let acts = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!text.contains(acts), "{text:?}");
        assert!(text.chars().count() < 300, "{text}");
    }
    assert!(
        texts
            .iter()
            .filter(|text| text.contains("all is lost"))
            .count()
            > 2
    );
    // The event carries the name as it is.
    let exact = |event: &Event| matches!(event, Event::StreamPublished { name, .. } if name.shown() == format!("live/{forged}"));
    assert_eq!(w.count(exact), 1);
    w.end();
}
