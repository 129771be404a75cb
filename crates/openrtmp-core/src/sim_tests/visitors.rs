//! Those who want to play and come over HTTP.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::world::{World, ms};
use crate::access::{AccessAction, PlayGranted, PlayRefused, PlayRequest, Protocol, WrongKey};
use crate::events::Event;
use crate::limit::Limit;
use crate::server::Server;

const SECRET: &[u8] = b"0123456789abcdef";
const GUESTS: &str = "{id: guests, kind: play, app: live, stream: cam, key: SECRET1}";
const OTHERS: &str = "{id: others, kind: play, app: live, key: SECRET2}";

/// What is decided of somebody who asks so.
fn decide(server: &Server, path: &str, query: &str) -> Result<PlayGranted, PlayRefused> {
    let request = PlayRequest {
        protocol: Protocol::Hls,
        peer: "192.0.2.7:4000".parse().expect("an address"),
        path: path.to_owned(),
        query: query.to_owned(),
        url: format!("https://server/{path}"),
        client: "a browser".to_owned(),
    };
    let shown = format!("{request:?}");
    assert!(!shown.contains("key="), "{shown}");
    let answer = Arc::new(Mutex::new(None));
    let place = answer.clone();
    let question = server.decide_play(request, move |decision| {
        *place.lock().expect("not poisoned") = Some(decision);
    });
    drop(question);
    let decided = answer.lock().expect("not poisoned").take();
    decided.expect("nobody else is asked")
}

/// Whether who was granted this may go on.
fn stands(server: &Server, granted: &PlayGranted) -> bool {
    let standing = server.standing_grants(SECRET);
    let tag = granted.tag(SECRET);
    standing.is_none_or(|standing| tag.is_none_or(|tag| standing.contains(&tag)))
}

#[test]
fn who_was_granted_goes_on_as_its_record_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.yaml");
    let write = |records: &[&str]| {
        fs::write(&file, format!("[{}]", records.join(", "))).expect("it is written");
    };
    write(&[GUESTS, OTHERS]);
    let keys = file.clone();
    let mut w = World::with(1, |c| {
        c.access.keys_file = Some(keys);
        c.access.play_keys = vec!["in-settings".to_owned()];
    });
    let server = w.server.clone();
    let guest = decide(&server, "live/cam", "key=SECRET1").expect("its key");
    let other = decide(&server, "live/own", "key=SECRET2").expect("its key");
    let third = decide(&server, "any/thing", "token=in-settings").expect("its key");
    let all = |expected: [bool; 3]| {
        let are = [&guest, &other, &third].map(|granted| stands(&server, granted));
        assert_eq!(are, expected);
    };
    all([true; 3]);
    let mut reload = |records: &[&str]| {
        write(records);
        assert!(
            w.host(|server| server.reload_keys())
                .expect("they are right")
        );
    };
    // An end lets nobody begin, and everybody go on.
    let ended = GUESTS.replace("}", ", expires: 1971-01-01}");
    reload(&[&ended, OTHERS]);
    let refused = decide(&server, "live/cam", "key=SECRET1").expect_err("it has ended");
    assert_eq!(refused.reason, "the key has expired");
    all([true; 3]);
    // What is for something else is another, though the key is the same.
    reload(&[&GUESTS.replace("stream: cam", "stream: far"), OTHERS]);
    all([false, true, true]);
    reload(&[GUESTS, &OTHERS.replace("app: live", "app: tv")]);
    all([true, false, true]);
    reload(&[&GUESTS.replace("SECRET1", "SECRET3"), OTHERS]);
    all([false, true, true]);
    server.play_keys().remove("in-settings");
    all([false, true, false]);
    w.reconfigure(|c| c.access.revoke_ends_play = false)
        .expect("it is taken");
    all([true; 3]);
    w.end();
}

#[test]
fn who_brings_no_key_guesses_none_and_a_name_is_no_key() {
    let mut w = World::with(1, |c| {
        c.access.play_keys = vec!["s3cret".to_owned()];
        c.access.failed_attempts.limit = 3;
        c.access.failed_attempts.window = Duration::from_secs(60);
    });
    let server = w.server.clone();
    for path in [
        "live/cam",
        "live/cam",
        "live/nothing",
        "live/s3cret",
        "live/cam",
    ] {
        let refused = decide(&server, path, "").expect_err("a key is asked for");
        assert_eq!(refused.reason, "a key is needed", "{path}");
    }
    decide(&server, "live/cam", "key=s3cret").expect("the key");
    for _ in 0..3 {
        let refused = decide(&server, "live/cam", "key=wrong").expect_err("another key");
        assert_eq!(refused.reason, "the key is not valid");
    }
    let blocked = decide(&server, "live/cam", "key=s3cret").expect_err("it guessed");
    assert!(blocked.reason.contains("blocked"), "{}", blocked.reason);
    assert_eq!(w.metrics().errors.wrong_keys, 3);
    w.end();
}

#[test]
fn lists_tell_of_what_every_rule_would_grant_and_count_nothing() {
    let mut w = World::with(1, |c| c.access.play_keys = vec!["s3cret".to_owned()]);
    let server = w.server.clone();
    let name = w.shared.host_name("live/cam");
    let peer = "192.0.2.7:4000".parse().expect("an address");
    let listed = |key: &str| {
        let mut request = PlayRequest::new(Protocol::Hls, peer);
        request.query = format!("key={key}");
        let may = server.playable(&request, std::slice::from_ref(&name));
        may.map(|streams| streams.len())
    };
    assert_eq!(listed("s3cret"), Ok(1));
    // One that stands at the end of the rules.
    let limit = w.shared.budget.limit();
    w.shared.budget.set_limit(0);
    assert_eq!(listed("s3cret"), Ok(0));
    decide(&server, "live/cam", "key=s3cret").expect_err("memory is used up");
    let reached = |e: &Event| {
        matches!(
            e,
            Event::LimitReached {
                limit: Limit::Memory,
                ..
            }
        )
    };
    w.run(ms(10));
    assert_eq!(w.count(reached), 1, "of who asked for it alone");
    w.shared.budget.set_limit(limit);
    assert_eq!(listed("s3cret"), Ok(1));
    assert_eq!(w.metrics().errors.wrong_keys, 0);
    assert_eq!(listed("wrong"), Err(WrongKey));
    assert_eq!(w.metrics().errors.wrong_keys, 1);
    w.end();
}

#[test]
fn each_decision_is_told_with_what_it_came_over() {
    let mut w = World::with(1, |c| c.access.play_keys = vec!["s3cret".to_owned()]);
    let server = w.server.clone();
    decide(&server, "live/cam", "key=s3cret").expect("the key");
    decide(&server, "live/cam", "key=wrong").expect_err("another");
    w.run(ms(10));
    let told = w.events().into_iter().filter_map(|event| match event {
        Event::Access {
            protocol: Protocol::Hls,
            action: AccessAction::Play,
            connection: None,
            target,
            reason,
            granted,
            ..
        } => Some((target.to_string(), granted, reason)),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    let reason = "the key is not valid".to_owned();
    let expected = [
        ("live/cam".to_owned(), true, String::new()),
        ("live/cam".to_owned(), false, reason),
    ];
    assert_eq!(told, expected);
    assert!(!format!("{:?}", w.events()).contains("s3cret"));
    w.end();
}
