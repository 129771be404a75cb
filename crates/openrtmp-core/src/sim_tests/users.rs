//! Users with passwords, from both sides.

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::command::code;
use openrtmp_protocol::session::{AuthError, ClientConfig, ClientMode, SessionError};

use super::lines::Lines;
use super::media::assert_whole;
use super::pair::{FAR, Pair, url};
use super::world::{ADDRESS, FRAME, Setup, Who, World, ms};
use crate::access::AccessAction;
use crate::config::{Authenticate, PullRule, PullStart, PushRule, UserConfig};
use crate::events::{CloseReason, Event};
use crate::platform::sim::{Faults, Route};

fn users(workers: usize) -> World {
    setup(workers).build()
}

fn setup(workers: usize) -> Setup {
    let mut setup = Setup::new(workers);
    let ann = UserConfig::new("ann", "s3cret");
    setup.config.access.users = vec![ann, UserConfig::new("bob", "0ther")];
    setup
}

/// A client of a user.
fn of_user(mode: ClientMode, userinfo: &str) -> ClientConfig {
    let url = RtmpUrl::parse(&format!("rtmp://{userinfo}@{ADDRESS}/live/cam"));
    ClientConfig::new(url.expect("a URL"), mode)
}

/// Connects until it is in or has failed for good.
fn enter(w: &mut World, mut config: ClientConfig) -> Who {
    loop {
        let who = w.client_with(config.clone());
        w.until("an end", |w| w[who].is_ready() || w[who].failure.is_some());
        match &w[who].failure {
            Some(SessionError::Authenticate(login)) => config.login = login.clone(),
            _ => return who,
        }
    }
}

/// Lets a client be asked once: what it says next is in its settings.
pub(super) fn asked(w: &mut World, config: &mut ClientConfig) {
    let who = w.client_with(config.clone());
    w.until("the question", |w| w[who].failure.is_some());
    let Some(SessionError::Authenticate(login)) = w[who].failure.clone() else {
        panic!("{:?}", w[who].failure);
    };
    config.login = login;
}

/// Whose answer to a challenge is ready.
pub(super) fn challenged(w: &mut World, userinfo: &str) -> ClientConfig {
    let mut config = of_user(ClientMode::Publish, userinfo);
    asked(w, &mut config);
    asked(w, &mut config);
    config
}

#[track_caller]
fn assert_failed(w: &World, who: Who, error: AuthError) {
    let failure = Some(SessionError::Unauthenticated(error));
    assert_eq!(w[who].failure, failure);
}

#[test]
fn a_user_shows_the_password_and_is_known_by_name() {
    let lines = Lines::capture();
    let mut w = users(2);
    let publisher = enter(&mut w, of_user(ClientMode::Publish, "ann:s3cret"));
    w.headers(publisher);
    let player = enter(&mut w, of_user(ClientMode::Play, "bob:0ther"));
    w.stream(publisher, 0..10);
    assert_whole(&w[player].media, &w[publisher].sent);
    let granted = |event| match event {
        Event::Access {
            action,
            user,
            granted: true,
            ..
        } => Some((action, user.unwrap_or_default())),
        _ => None,
    };
    let granted: Vec<_> = w.events().into_iter().filter_map(granted).collect();
    let of = |action, user: &str| (action, user.to_owned());
    assert_eq!(
        granted,
        [
            of(AccessAction::Connect, "ann"),
            of(AccessAction::Publish, "ann"),
            of(AccessAction::Connect, "bob"),
            of(AccessAction::Play, "bob"),
        ]
    );
    // A question is no refusal.
    let refused = |e: &Event| matches!(e, Event::Access { granted: false, .. });
    assert_eq!(w.count(refused), 0);
    assert_eq!(w.metrics().errors.refused, 0);
    let values = lines.take_values();
    assert!(values.iter().any(|v| v == "ann"), "{values:?}");
    let all = format!("{:?} {values:?} {:?}", lines.take(), w.events());
    assert!(!all.contains("s3cret") && !all.contains("0ther"));
    w.end();
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_refused_alike() {
    let lines = Lines::capture();
    let mut w = users(1);
    for userinfo in ["ann:guess", "carl:s3cret"] {
        let before = w.metrics().errors;
        let who = enter(&mut w, of_user(ClientMode::Publish, userinfo));
        assert_failed(&w, who, AuthError::Wrong);
        w.until("the close", |w| w[who].is_closed());
        w.run(ms(50));
        let errors = w.metrics().errors;
        assert_eq!(errors.wrong_keys - before.wrong_keys, 1, "{userinfo}");
        assert_eq!(errors.refused - before.refused, 1, "{userinfo}");
    }
    let refused: Vec<_> = w.events().into_iter().filter_map(refusal).collect();
    let wrong = "the user name or the password is wrong".to_owned();
    assert_eq!(
        refused,
        [
            (Some("ann".to_owned()), wrong.clone()),
            (Some("carl".to_owned()), wrong)
        ]
    );
    let all = format!("{:?} {:?}", lines.take(), lines.take_values());
    assert!(!all.contains("guess") && !all.contains("s3cret"), "{all}");
    w.end();
}

fn refusal(event: Event) -> Option<(Option<String>, String)> {
    match event {
        Event::Access {
            user,
            granted: false,
            reason,
            ..
        } => Some((user, reason)),
        _ => None,
    }
}

#[test]
fn who_says_nothing_of_itself_is_told_what_is_asked_for() {
    let mut w = users(1);
    let who = w.client(ClientMode::Publish, "live/cam");
    w.until("the refusal", |w| w[who].failure.is_some());
    assert_failed(&w, who, AuthError::NoCredentials);
    w.until("the close", |w| w[who].is_closed());
    w.run(ms(50));
    let why = "a user name and a password are asked for (authmod=adobe)";
    assert_eq!(w.close_reasons(), [CloseReason::Refused(why.to_owned())]);
    w.end();
}

#[test]
fn what_is_said_twice_out_of_turn_or_too_long_lets_nobody_in() {
    let mut w = users(2);
    let is_in = |w: &mut World, config: ClientConfig| {
        let who = w.client_with(config);
        w.until("an end", |w| w[who].is_ready() || w[who].failure.is_some());
        w[who].is_ready()
    };
    let answer = challenged(&mut w, "ann:s3cret");
    assert!(is_in(&mut w, answer.clone()));
    // A replay, from a second connection and a third.
    assert!(!is_in(&mut w, answer.clone()));
    assert!(!is_in(&mut w, answer));
    // Answers in another order than the challenges came.
    let first = challenged(&mut w, "bob:0ther");
    let second = challenged(&mut w, "bob:0ther");
    let mut to = |config: ClientConfig| {
        let url = RtmpUrl::parse(&format!("rtmp://bob:0ther@{ADDRESS}/live/other"));
        let (url, mode) = (url.expect("a URL"), ClientMode::Play);
        let mut config = config;
        config.url = url;
        config.mode = mode;
        is_in(&mut w, config)
    };
    assert!(to(second.clone()) && to(first));
    assert!(!to(second));
    let long = "9".repeat(3900);
    for said in [
        "authmod",
        "authmod=",
        "authmod=adobe",
        "authmod=adobe&user=",
        "authmod=adobe&user=ann&response=",
        "authmod=adobe&user=ann&challenge=&response=&opaque=",
        "authmod=adobe&response=a&opaque=b&user=ann",
        "authmod=adobe&user=ann&user=bob&opaque=x",
        "user=ann&response=a",
        "authmod=llnw&user=ann",
        &format!("authmod=adobe&user={long}"),
        &format!("authmod=adobe&user=ann&opaque={long}"),
        &format!("authmod=adobe&user=ann&response={long}&challenge=1&opaque=2"),
        &format!("authmod=adobe&user=ann{}", "&opaque=1".repeat(400)),
        &format!("authmod=adobe&user={long}{long}"),
    ] {
        let app = format!("live?{said}");
        let who = w.shaken();
        w[who].command_object("connect", 1.0, &[("app", &app), ("type", "nonprivate")]);
        w[who].command_on(0, "createStream", &[]);
        w[who].command_on(1, "publish", &["cam".into(), "live".into()]);
        w.run(ms(50));
        let shown = &said[..said.len().min(40)];
        let received = String::from_utf8_lossy(&w[who].received).into_owned();
        assert!(
            received.contains("NetConnection.Connect.Rejected"),
            "{shown}"
        );
        assert!(!received.contains("Publish.Start"), "{shown}");
        // What is refused for its length only may say something shorter.
        w.kill(who);
    }
    w.run(ms(100));
    w.end();
}

#[test]
fn whoever_asks_by_the_thousand_leaves_nothing() {
    let mut w = users(1);
    let before = w.shared.budget.used();
    let mut config = of_user(ClientMode::Publish, "ann:s3cret");
    asked(&mut w, &mut config);
    let one = challenged(&mut w, "ann:s3cret");
    for _ in 0..500 {
        let who = w.client_with(config.clone());
        w.until("the question", |w| w[who].failure.is_some());
    }
    w.run(ms(3000));
    assert_eq!(w.shared.budget.used(), before);
    // And keeps nobody out who was asked before.
    let who = w.client_with(one);
    w.until("Publish.Start", |w| w[who].is_ready());
    w.end();
}

#[test]
fn players_may_be_let_alone() {
    let mut setup = setup(2);
    setup.config.access.authenticate = Authenticate::Publishers;
    let mut w = setup.build();
    let player = w.player("live/cam");
    let publisher = enter(&mut w, of_user(ClientMode::Publish, "ann:s3cret"));
    w.headers(publisher);
    w.stream(publisher, 0..10);
    assert_whole(&w[player].media, &w[publisher].sent);
    // Who does not say what it will do is stopped when it does it.
    let sly = w.shaken();
    w[sly].command_object("connect", 1.0, &[("app", "live")]);
    w[sly].command_on(0, "createStream", &[]);
    w[sly].command_on(1, "publish", &["other".into(), "live".into()]);
    w.until("the close", |w| w[sly].is_closed());
    let received = String::from_utf8_lossy(&w[sly].received).into_owned();
    assert!(received.contains(code::PUBLISH_UNAUTHORIZED), "{received}");
    // And the encoder that says so is asked at once.
    let encoder = w.client(ClientMode::Publish, "live/other");
    w.until("the refusal", |w| w[encoder].failure.is_some());
    assert_failed(&w, encoder, AuthError::NoCredentials);
    w.end();
}

#[test]
fn the_host_is_asked_about_a_user_and_may_take_its_time() {
    let mut setup = setup(1);
    setup.host_decides = true;
    let mut w = setup.build();
    let config = challenged(&mut w, "ann:s3cret");
    assert_eq!(w.requests().len(), 0, "nobody yet");
    let who = w.client_with(config);
    for _ in 0..2 {
        w.run(ms(5000));
        let mut requests = w.requests();
        assert_eq!(requests.len(), 1);
        let request = requests.remove(0);
        assert_eq!(request.user.as_deref(), Some("ann"));
        // What shows the password is not handed around.
        assert_eq!(request.query.reveal(), "");
        assert!(request.accept());
    }
    w.until("Publish.Start", |w| w[who].is_ready());
    w.end();
}

#[test]
fn a_user_that_is_none_any_more_is_disconnected() {
    let mut w = users(2);
    let ann = enter(&mut w, of_user(ClientMode::Publish, "ann:s3cret"));
    let bob = enter(&mut w, of_user(ClientMode::Play, "bob:0ther"));
    w.reconfigure(|c| c.access.users[0] = UserConfig::new("ann", "changed"))
        .expect("valid");
    w.until("the close", |w| w[ann].is_closed());
    assert!(!w[bob].is_closed());
    let again = enter(&mut w, of_user(ClientMode::Publish, "ann:s3cret"));
    assert_failed(&w, again, AuthError::Wrong);
    let again = enter(&mut w, of_user(ClientMode::Publish, "ann:changed"));
    assert!(w[again].is_ready());
    w.end();
}

/// The far server knows users; the near one relays to it and from it.
fn pair(push: &[&str], pull: &[&str]) -> Pair {
    let at_far = |userinfo: &&str| format!("rtmp://{userinfo}@{FAR}/{{app}}/{{name}}");
    Pair::configured(
        2,
        1,
        Faults::default(),
        |config| {
            let push = push.iter().map(at_far);
            config.relay.push = push.map(|to| PushRule::new("live/*", to)).collect();
            let pull = pull.iter().map(at_far);
            config.relay.pull = pull
                .map(|from| PullRule {
                    start: PullStart::Always,
                    ..PullRule::new("live/cam", from)
                })
                .collect();
        },
        |config| config.access.users = vec![UserConfig::new("ann", "s3cret")],
    )
}

#[test]
fn a_relay_shows_the_password_of_its_url() {
    let mut p = pair(&["ann:s3cret"], &[]);
    let publisher = p.live(Pair::near, "live/cam");
    let started = |e: &Event| matches!(e, Event::RelayStarted { .. });
    p.until("the relay", |p| p.near.count(started) == 1);
    // To everybody else it is one connection.
    let opened = |e: &Event| matches!(e, Event::ConnectionOpened { .. });
    assert_eq!(p.near.count(opened), 2);
    p.stream(publisher, 0..20);
    assert_eq!(
        p.far.count(|e| matches!(e, Event::StreamPublished { .. })),
        1
    );
    let shown = format!("{:?} {:?}", p.near.events(), p.near.server.relays());
    assert!(!shown.contains("s3cret"), "{shown}");
    p.end();
}

#[test]
fn a_relay_fetches_with_the_password_of_its_url() {
    let mut p = pair(&[], &["ann:s3cret"]);
    let mut config = of_user(ClientMode::Publish, "ann:s3cret");
    config.url = url(&format!("rtmp://ann:s3cret@{FAR}/live/cam"));
    let publisher = loop {
        let who = p.far.client_with(config.clone());
        p.until("an end", |p| {
            p.far[who].is_ready() || p.far[who].failure.is_some()
        });
        match &p.far[who].failure {
            Some(SessionError::Authenticate(login)) => config.login = login.clone(),
            failure => {
                assert_eq!(*failure, None);
                break who;
            }
        }
    };
    p.far.headers(publisher);
    let player = p.near.client(ClientMode::Play, "live/cam");
    for n in 0..20 {
        p.far[publisher].frame(n, 1000);
        p.run(ms(FRAME));
    }
    assert_whole(&p.near[player].media, &p.far[publisher].sent);
    p.end();
}

#[test]
fn a_relay_with_a_wrong_password_is_tried_again_like_any_that_is_refused() {
    let lines = Lines::capture();
    let mut p = pair(&["ann:gue55"], &[]);
    let publisher = p.live(Pair::near, "live/cam");
    p.stream(publisher, 0..100);
    let failed = |event| match event {
        Event::RelayFailed { code, reason, .. } => Some((code, reason)),
        _ => None,
    };
    let failed: Vec<_> = p.near.events().into_iter().filter_map(failed).collect();
    assert!((2..=4).contains(&failed.len()), "{failed:?}");
    for (code, reason) in &failed {
        assert_eq!(code, code::CONNECT_REJECTED);
        assert!(reason.contains("the password is wrong"), "{reason}");
    }
    // Each attempt is opened once and closed once.
    let opened = |e: &Event| matches!(e, Event::ConnectionOpened { .. });
    let closed = |e: &Event| matches!(e, Event::ConnectionClosed { .. });
    assert_eq!(p.near.count(opened), p.near.count(closed) + 1);
    let all = format!("{:?} {:?}", lines.take(), p.near.events());
    assert!(!all.contains("gue55"), "{all}");
    p.end();
}

#[test]
fn what_the_host_asked_for_keeps_its_number_over_the_sockets_it_takes() {
    let mut p = pair(&[], &[]);
    let publisher = p.live(Pair::near, "live/cam");
    let to = url(&format!("rtmp://ann:s3cret@{FAR}/live/copy"));
    let connection = p.near.server.push("live/cam", &to).expect("begun");
    let copied = |e: &Event| matches!(e, Event::StreamPublished { .. });
    p.until("the copy", |p| p.far.count(copied) == 1);
    p.stream(publisher, 0..10);
    let reason = CloseReason::Host("enough".to_owned());
    p.near.shared.disconnect(connection, reason);
    p.run(ms(200));
    let closed =
        |e: &Event| matches!(e, Event::ConnectionClosed { connection: c, .. } if *c == connection);
    assert_eq!(p.near.count(closed), 1);
    // One that goes away between two sockets is over too.
    let connection = p.near.server.push("live/cam", &to).expect("begun");
    let asked = |p: &Pair| p.far.close_reasons().len() >= 3;
    p.until("the first question", asked);
    p.far.sim.set_route(p.far.address.ip(), Route::Refused);
    p.run(ms(30_000));
    let closed = |e: &Event| matches!(e, Event::ConnectionClosed { connection: c, .. } | Event::OutgoingFailed { connection: c, .. } if *c == connection);
    assert_eq!(p.near.count(closed), 1);
    p.end();
}
