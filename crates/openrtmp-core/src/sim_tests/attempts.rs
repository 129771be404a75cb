//! Every attempt leaves a line and an event, whoever decided it.

use log::Level;
use openrtmp_protocol::session::ClientMode;

use super::lines::Lines;
use super::world::{Setup, World, ms};
use crate::access::AccessAction;
use crate::events::Event;

/// What events tell of attempts: what was asked for, of what, and why not.
fn told(w: &World) -> Vec<(AccessAction, String, String)> {
    let events = w.events().into_iter();
    let attempts = events.filter_map(|event| match event {
        Event::Access {
            action,
            target,
            granted,
            reason,
            ..
        } => {
            assert_eq!(granted, reason.is_empty());
            Some((action, target.to_string(), reason))
        }
        _ => None,
    });
    attempts.collect()
}

/// Lines that tell that something was refused.
fn refusals(lines: &Lines) -> Vec<String> {
    let of_warn = lines.take().into_iter();
    let of_warn = of_warn.filter(|(level, line)| *level == Level::Warn && line.contains("refused"));
    of_warn.map(|(_, line)| line).collect()
}

#[test]
fn what_the_session_refuses_by_itself_is_an_attempt_too() {
    for (mode, action, what) in [
        (ClientMode::Publish, AccessAction::Publish, "publish"),
        (ClientMode::Play, AccessAction::Play, "play"),
    ] {
        let lines = Lines::capture();
        let mut w = World::with(1, |c| c.limits.session.name_bytes = 16);
        let who = w.client(mode, "live/twenty-characters-xx");
        w.until("the refusal", |w| w[who].failure.is_some());
        let reason = "The name is too long.".to_owned();
        let cut = "live/twenty-character".to_owned();
        let expected = [
            (AccessAction::Connect, "live".to_owned(), String::new()),
            (action, cut.clone(), reason.clone()),
        ];
        assert_eq!(told(&w), expected);
        assert_eq!(
            refusals(&lines),
            [format!("{what} {cut} refused: {reason}")]
        );
        let values = lines.take_values();
        for value in [what, "refused", "granted", &cut, &reason] {
            assert!(values.iter().any(|v| v == value), "{value} in {values:?}");
        }
        assert!(values.iter().any(|v| v.starts_with("Net")), "{values:?}");
        assert_eq!(w.metrics().errors.refused, 1);
        w.end();
    }
}

#[test]
fn an_app_that_is_too_long_is_an_attempt_too_and_a_key_in_it_is_not_shown() {
    let lines = Lines::capture();
    let mut w = World::with(1, |c| {
        c.limits.session.name_bytes = 16;
        c.access.publish_keys = vec!["s3cret-s3cret".to_owned()];
    });
    let who = w.client(ClientMode::Publish, "a/s3cret-s3cret/and-more/cam");
    w.until("the refusal", |w| w[who].failure.is_some());
    let [(AccessAction::Connect, app, reason)] = &told(&w)[..] else {
        panic!("{:?}", w.events())
    };
    assert_eq!(reason, "The name is too long.");
    assert!(app.starts_with("a/***"), "{app}");
    let told = refusals(&lines).join("\n") + &lines.take_values().join("\n");
    assert!(!told.contains("s3cret"), "{told}");
    w.end();
}

#[test]
fn who_leaves_before_it_is_decided_has_tried() {
    let lines = Lines::capture();
    let mut setup = Setup::new(1);
    setup.host_decides = true;
    let mut w = setup.build();
    let who = w.client(ClientMode::Play, "live/cam");
    w.run(ms(50));
    w.requests().into_iter().for_each(|r| assert!(r.accept()));
    w.run(ms(50));
    let questions = w.requests();
    assert_eq!(questions.len(), 1);
    w.kill(who);
    w.run(ms(50));
    let reason = "it was over before it was decided";
    let last = (AccessAction::Play, "live/cam".to_owned(), reason.to_owned());
    assert_eq!(told(&w).last(), Some(&last));
    assert_eq!(
        refusals(&lines),
        [format!("play live/cam refused: {reason}")]
    );
    // An answer that comes too late is none, and no other attempt.
    for question in questions {
        let _ = question.accept();
    }
    w.run(ms(50));
    assert_eq!(told(&w).len(), 2);
    w.end();
}
