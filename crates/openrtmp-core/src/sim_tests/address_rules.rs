//! Who may come from where, and what becomes of addresses that guess.

use std::time::Duration;

use openrtmp_protocol::command::code;
use openrtmp_protocol::session::ClientMode;

use super::world::{Setup, Who, World, ms};
use crate::access::AccessAction;
use crate::config::{AddressRule, Config};
use crate::events::Event;

#[track_caller]
fn assert_refused(w: &mut World, who: Who, code: &str) {
    w.until("the refusal", |w| w[who].failure.is_some());
    assert_eq!(w[who].refusal(), Some(code));
    w.until("the close", |w| w[who].is_closed());
}

fn guessing(c: &mut Config) {
    c.access.publish_keys = vec!["s3cret".into()];
    c.access.failed_attempts.limit = 3;
    c.access.failed_attempts.window = Duration::from_secs(60);
    c.access.failed_attempts.block = Duration::from_secs(100);
}

fn blocked(w: &World) -> usize {
    w.count(|event| matches!(event, Event::AddressBlocked { .. }))
}

fn guess(w: &mut World) {
    let who = w.client(ClientMode::Publish, "live/cam?key=wrong");
    assert_refused(w, who, code::PUBLISH_UNAUTHORIZED);
}

#[test]
fn a_rule_is_about_addresses_apps_and_actions() {
    let mut w = World::with(2, |c| {
        c.access.rules = vec![
            AddressRule::allow("192.0.2.0/24"),
            AddressRule::deny("127.0.0.0/8")
                .in_app("studio")
                .for_action(AccessAction::Publish),
            AddressRule::deny("127.0.0.1")
                .in_app("closed")
                .for_action(AccessAction::Connect),
        ];
    });
    let who = w.client(ClientMode::Publish, "studio/cam");
    assert_refused(&mut w, who, code::PUBLISH_UNAUTHORIZED);
    let who = w.client(ClientMode::Play, "closed/cam");
    w.until("the close", |w| w[who].is_closed());
    w.player("studio/cam");
    let publisher = w.publisher("live/cam");
    // Those that are there stay, whatever becomes of the rules.
    w.reconfigure(|c| c.access.rules = vec![AddressRule::deny("0.0.0.0/0")])
        .expect("allowed");
    let who = w.client(ClientMode::Play, "live/cam");
    w.until("the close", |w| w[who].is_closed());
    w.run(ms(100));
    assert!(!w[publisher].is_closed());
    w.end();
}

#[test]
fn an_address_that_guesses_is_blocked_for_a_while() {
    let mut w = World::with(2, guessing);
    let there = w.publisher("live/other?key=s3cret");
    for _ in 0..3 {
        assert_eq!(blocked(&w), 0);
        guess(&mut w);
    }
    w.run(ms(10));
    assert_eq!(blocked(&w), 1);
    // Closed unheard, with the right key as well.
    let opened = |w: &World| w.count(|event| matches!(event, Event::ConnectionOpened { .. }));
    let before = opened(&w);
    let who = w.client(ClientMode::Publish, "live/cam?key=s3cret");
    w.until("the close", |w| w[who].is_closed());
    assert!(w[who].refusal().is_none());
    assert_eq!(opened(&w), before);
    assert!(!w[there].is_closed());
    w.run(Duration::from_secs(100));
    w.publisher("live/cam?key=s3cret");
    assert_eq!(blocked(&w), 1);
    w.end();
}

#[test]
fn success_with_a_key_clears_and_without_one_does_not() {
    let mut w = World::with(1, guessing);
    for _ in 0..2 {
        guess(&mut w);
        guess(&mut w);
        w.publisher("live/cam?key=s3cret");
        w.run(ms(100));
        w.server.end_stream("live/cam", "again");
        w.run(ms(100));
    }
    assert_eq!(blocked(&w), 0);
    guess(&mut w);
    guess(&mut w);
    // Everybody may play: it tells nothing of who guesses.
    w.player("live/cam");
    guess(&mut w);
    w.run(ms(10));
    assert_eq!(blocked(&w), 1);
    w.end();
}

#[test]
fn a_proxy_that_is_trusted_is_not_blocked_for_those_behind_it() {
    let mut w = World::with(1, |c| {
        guessing(c);
        c.access.trusted_proxies = vec!["127.0.0.1".into()];
    });
    for _ in 0..10 {
        guess(&mut w);
    }
    assert_eq!(blocked(&w), 0);
    w.publisher("live/cam?key=s3cret");
    w.end();
}

#[test]
fn settings_lift_a_block() {
    let lifts: [fn(&mut Config); 2] = [
        |c| c.access.failed_attempts.limit = 0,
        |c| c.access.trusted_proxies = vec!["127.0.0.1".into()],
    ];
    for lift in lifts {
        let mut w = World::with(1, guessing);
        for _ in 0..3 {
            guess(&mut w);
        }
        w.run(ms(10));
        assert_eq!(blocked(&w), 1);
        w.reconfigure(lift).expect("allowed");
        w.publisher("live/cam?key=s3cret");
        w.end();
    }
}

#[test]
fn a_rule_is_about_an_app_however_it_is_written() {
    let mut w = World::with(1, |c| {
        c.access.rules = vec![
            AddressRule::deny("0.0.0.0/0")
                .in_app("studio")
                .for_action(AccessAction::Connect),
        ];
    });
    for path in ["studio/cam", "st%75dio/cam", "studio%2F/cam"] {
        let who = w.client(ClientMode::Play, path);
        w.until("the close", |w| w[who].is_closed());
    }
    for app in ["/studio", "studio/", "st%75dio", "studio?x", ""] {
        let rule = AddressRule::deny("0.0.0.0/0").in_app(app);
        let changed = w.reconfigure(|c| c.access.rules = vec![rule]);
        assert!(changed.is_err(), "{app:?}");
    }
    w.end();
}

#[test]
fn what_the_host_leaves_to_the_rules_tells_nothing_of_who_guesses() {
    let mut setup = Setup::new(1);
    guessing(&mut setup.config);
    setup.host_decides = true;
    let mut w = setup.build();
    // The host is asked about `connect`, and about what no rule refused.
    let answered = |w: &mut World, path: &str, mode, pass: bool| {
        let who = w.client(mode, path);
        for _ in 0..2 {
            w.run(ms(20));
            for request in w.requests() {
                match pass || request.action == AccessAction::Connect {
                    true => assert!(request.pass()),
                    false => assert!(request.fail("the other server is away")),
                }
            }
        }
        w.run(ms(20));
        who
    };
    let wrong = "live/cam?key=wrong";
    for _ in 0..2 {
        answered(&mut w, wrong, ClientMode::Publish, true);
    }
    // Nor is it held against anybody that the host cannot decide.
    for _ in 0..5 {
        answered(&mut w, "live/cam", ClientMode::Play, false);
    }
    assert_eq!(blocked(&w), 0);
    let player = answered(&mut w, "live/cam", ClientMode::Play, true);
    assert!(!w[player].is_closed());
    answered(&mut w, wrong, ClientMode::Publish, true);
    assert_eq!(blocked(&w), 1);
    w.end();
}
