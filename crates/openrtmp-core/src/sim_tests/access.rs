//! Who may connect, publish and play.

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::command::code;
use openrtmp_protocol::session::ClientMode;

use super::media::assert_whole;
use super::world::{ADDRESS, Setup, Who, World, ms};
use crate::access::AccessAction;
use crate::events::{CloseReason, Event};

fn with_publish_key(workers: usize) -> World {
    World::with(workers, |c| c.access.publish_keys = vec!["s3cret".into()])
}

fn host_decides(workers: usize) -> World {
    let mut setup = Setup::new(workers);
    setup.host_decides = true;
    setup.build()
}

#[track_caller]
fn assert_refused(w: &mut World, who: Who, code: &str) {
    w.until("the refusal", |w| w[who].failure.is_some());
    assert_eq!(w[who].refusal(), Some(code));
}

#[test]
fn a_publisher_without_the_key_sees_a_status_and_is_closed() {
    let mut w = with_publish_key(2);
    for path in ["live/cam", "live/cam?key=wrong", "live/s3cre"] {
        let who = w.client(ClientMode::Publish, path);
        assert_refused(&mut w, who, code::PUBLISH_UNAUTHORIZED);
        w.until("the close", |w| w[who].is_closed());
    }
    w.run(ms(50));
    let refused = |r: &CloseReason| matches!(r, CloseReason::Refused(_));
    assert_eq!(w.close_reasons().iter().filter(|r| refused(r)).count(), 3);
    for path in ["live/cam?key=s3cret", "live/s3cret"] {
        w.publisher(path);
    }
    let shown = format!("{:?}", w.events());
    assert!(!shown.contains("s3cret"), "a key is never shown");
    w.end();
}

#[test]
fn playing_may_need_a_key_too() {
    let mut w = World::with(2, |c| c.access.play_keys = vec!["viewer".into()]);
    let publisher = w.live("live/cam");
    let who = w.client(ClientMode::Play, "live/cam");
    assert_refused(&mut w, who, code::PLAY_FAILED);
    let player = w.player("live/cam?token=viewer");
    w.stream(publisher, 0..5);
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

#[test]
fn a_request_carries_one_key() {
    let mut w = with_publish_key(1);
    let guesses: Vec<String> = (0..300).map(|n| format!("key={n}")).collect();
    let refused = [
        // The first counts, whatever follows.
        "live/cam?key=wrong&key=s3cret".to_owned(),
        "live/cam?token=wrong&key=s3cret".to_owned(),
        format!("live/cam?{}&key=s3cret", guesses.join("&")),
        // A key in the query is the key, whatever the name is.
        "live/s3cret?key=wrong".to_owned(),
        "live/s3cret?token=".to_owned(),
        // The last segment only.
        "s3cret/cam".to_owned(),
    ];
    for path in &refused {
        let who = w.client(ClientMode::Publish, path);
        assert_refused(&mut w, who, code::PUBLISH_UNAUTHORIZED);
    }
    assert_eq!(w.metrics().errors.wrong_keys, refused.len() as u64);
    for path in ["live/a?x=1&token=s3cret&key=wrong", "live/b?key=s3cret"] {
        w.publisher(path);
    }
    // The app's query, where the name has no key; the name's, where it has.
    let mut url = RtmpUrl::parse("rtmp://127.0.0.1:1935/live/c").expect("a URL");
    url.app = "live?key=s3cret".to_owned();
    let granted = w.client_at(ClientMode::Publish, url.clone());
    w.until("Publish.Start", |w| w[granted].is_ready());
    url.stream = "d?key=wrong".to_owned();
    let who = w.client_at(ClientMode::Publish, url);
    assert_refused(&mut w, who, code::PUBLISH_UNAUTHORIZED);
    w.end();
}

#[test]
fn a_wrong_play_key_closes_the_connection() {
    let mut w = World::with(1, |c| c.access.play_keys = vec!["viewer".into()]);
    let who = w.client(ClientMode::Play, "live/cam?key=wrong");
    assert_refused(&mut w, who, code::PLAY_FAILED);
    w.until("the close", |w| w[who].is_closed());
    assert_eq!(w.metrics().errors.wrong_keys, 1);
    assert_eq!(w.metrics().errors.refused, 1);
    w.end();
}

#[test]
fn a_revoked_key_ends_the_session_and_does_not_come_back() {
    let mut w = with_publish_key(2);
    let other = w.publisher("live/other?key=s3cret");
    w.server.publish_keys().add("second".into());
    let publisher = w.live("live/cam?key=second");
    let player = w.player("live/cam");
    w.stream(publisher, 0..5);
    assert!(w.server.revoke_publish_key("second"));
    assert!(!w.server.revoke_publish_key("second"));
    w.until("the close", |w| w[publisher].is_closed());
    w.run(ms(100));
    assert!(w[player].end_of_stream().is_some());
    assert!(!w[other].is_closed());
    let again = w.client(ClientMode::Publish, "live/cam?key=second");
    assert_refused(&mut w, again, code::PUBLISH_UNAUTHORIZED);
    w.end();
}

#[test]
fn what_no_key_opened_goes_on_when_one_of_its_name_is_revoked() {
    let mut w = World::new(2);
    let open = w.live("live/cam");
    w.server.publish_keys().add("cam".into());
    w.server.publish_keys().add("copy".into());
    let url = RtmpUrl::parse(&format!("rtmp://{ADDRESS}/live/cam")).expect("a URL");
    w.server.pull(&url, "live/copy").expect("it is fetched");
    let player = w.player("live/copy");
    for key in ["cam", "copy"] {
        assert!(w.server.revoke_publish_key(key));
    }
    w.run(ms(100));
    w.stream(open, 0..5);
    assert_whole(&w[player].media, &w[open].sent);
    w.end();
}

#[test]
fn a_play_key_that_is_taken_away_ends_what_it_opened() {
    let keys = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    for workers in [1, 2] {
        let mut w = World::with(workers, |c| c.access.play_keys = keys(&["a", "b", "c"]));
        let publisher = w.live("live/cam");
        let [a, b, c] = ["a", "b", "c"].map(|key| w.player(&format!("live/cam?key={key}")));
        w.reconfigure(|c| c.access.play_keys = keys(&["b", "c"]))
            .expect("allowed");
        w.until("the end of the first", |w| w[a].is_closed());
        assert!(w[a].end_of_stream().is_some());
        assert!(w.host(|server| server.revoke_play_key("b")));
        w.until("the end of the second", |w| w[b].is_closed());
        w.run(ms(10));
        let revoked = CloseReason::Refused("the key was revoked".to_owned());
        assert_eq!(w.close_reasons(), [revoked.clone(), revoked]);
        w.stream(publisher, 0..5);
        assert_whole(&w[c].media, &w[publisher].sent);
        // Where no key is asked for any more everybody goes on.
        w.reconfigure(|c| c.access.play_keys = keys(&[]))
            .expect("allowed");
        w.run(ms(50));
        assert!(!w[c].is_closed());
        // Its key opens nothing by now, and it goes on as long as the settings say so.
        w.reconfigure(|c| {
            c.access.play_keys = keys(&["d"]);
            c.access.revoke_ends_play = false;
        })
        .expect("allowed");
        w.run(ms(50));
        assert!(!w[c].is_closed());
        w.reconfigure(|c| c.access.revoke_ends_play = true)
            .expect("allowed");
        w.until("the end of the third", |w| w[c].is_closed());
        w.end();
    }
}

#[test]
fn revoking_the_only_key_lets_nobody_in() {
    let mut w = with_publish_key(1);
    let publisher = w.publisher("live/cam?key=s3cret");
    w.server.revoke_publish_key("s3cret");
    w.until("the close", |w| w[publisher].is_closed());
    let again = w.client(ClientMode::Publish, "live/cam?key=s3cret");
    assert_refused(&mut w, again, code::PUBLISH_UNAUTHORIZED);
    w.end();
}

#[test]
fn the_host_may_give_a_stream_another_name() {
    let mut setup = Setup::new(2);
    setup.host_decides = true;
    setup.config.access.publish_keys = vec!["s3cret".into()];
    let mut w = setup.build();
    let publisher = w.client(ClientMode::Publish, "live/s3cret");
    w.run(ms(50));
    // Of connect there is nothing to rename.
    w.requests()
        .into_iter()
        .for_each(|r| assert!(r.accept_as("elsewhere")));
    w.run(ms(50));
    for request in w.requests() {
        assert_eq!(request.stream.reveal(), "live/s3cret");
        assert!(request.accept_as("live/cam"));
    }
    w.until("Publish.Start", |w| w[publisher].is_ready());
    let player = w.client(ClientMode::Play, "live/somewhere");
    for _ in 0..2 {
        w.run(ms(50));
        w.requests()
            .into_iter()
            .for_each(|r| assert!(r.accept_as("live/cam")));
    }
    w.until("Play.Start", |w| w[player].is_ready());
    w.headers(publisher);
    w.stream(publisher, 0..5);
    assert_whole(&w[player].media, &w[publisher].sent);
    assert_eq!(w.metrics().streams[0].name, "live/cam");
    assert!(!format!("{:?}", w.events()).contains("s3cret"));
    // The key that it came with is still what lets it publish.
    assert!(w.server.revoke_publish_key("s3cret"));
    w.until("the close", |w| w[publisher].is_closed());
    w.end();
}

#[test]
fn nobody_believes_that_an_http_server_is_asked_where_nobody_asks_it() {
    let mut setup = Setup::new(1);
    setup.config.access.callback.url = Some("http://127.0.0.1/?secret".into());
    let sim = crate::platform::sim::Sim::with_config(1, setup.network.clone());
    let error = setup
        .build_on(sim)
        .err()
        .expect("nobody decides")
        .to_string();
    assert!(
        error.starts_with("access.callback.url = ***: expected none"),
        "{error}"
    );
    let mut w = World::new(1);
    let url = Some("http://127.0.0.1/".to_owned());
    let error = w
        .reconfigure(|c| c.access.callback.url = url)
        .expect_err("nobody decides");
    assert_eq!(
        error.to_string(),
        "only a restart changes access.callback.url"
    );
    w.end();
}

#[test]
fn a_key_revoked_while_the_host_decides_is_refused() {
    let mut setup = Setup::new(1);
    setup.host_decides = true;
    setup.config.access.publish_keys = vec!["s3cret".into(), "other".into()];
    let mut w = setup.build();
    let who = w.client(ClientMode::Publish, "live/cam?key=s3cret");
    w.run(ms(50));
    w.requests().into_iter().for_each(|r| assert!(r.accept()));
    w.run(ms(50));
    let question = w.requests();
    w.server.revoke_publish_key("s3cret");
    w.run(ms(50));
    question.into_iter().for_each(|r| assert!(r.accept()));
    assert_refused(&mut w, who, code::PUBLISH_UNAUTHORIZED);
    w.end();
}

#[test]
fn the_host_is_asked_for_each_step_and_may_answer_later() {
    let mut w = host_decides(2);
    let publisher = w.client(ClientMode::Publish, "live/cam?user=ann");
    w.run(ms(50));
    let mut asked = w.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].action, AccessAction::Connect);
    assert_eq!(asked[0].app, "live");
    // Nobody waits for the host: another client gets as far meanwhile.
    let player = w.client(ClientMode::Play, "live/cam");
    w.run(ms(3000));
    asked.append(&mut w.requests());
    assert_eq!(asked.len(), 2);
    asked.into_iter().for_each(|r| assert!(r.accept()));
    w.run(ms(50));
    let asked = w.requests();
    let actions: Vec<_> = asked.iter().map(|r| r.action).collect();
    assert_eq!(actions, [AccessAction::Publish, AccessAction::Play]);
    assert!(asked.iter().all(|r| r.stream == "live/cam"));
    assert_eq!(asked[0].query.reveal(), "user=ann");
    asked.into_iter().for_each(|r| assert!(r.accept()));
    w.until("both to start", |w| {
        w[publisher].is_ready() && w[player].is_ready()
    });
    w.headers(publisher);
    w.stream(publisher, 0..5);
    assert_whole(&w[player].media, &w[publisher].sent);
    w.end();
}

#[test]
fn a_refusal_of_the_host_reaches_the_peer() {
    let mut w = host_decides(1);
    let who = w.client(ClientMode::Publish, "live/cam");
    w.run(ms(50));
    for request in w.requests() {
        assert!(request.reject("not today"));
    }
    assert_refused(&mut w, who, code::CONNECT_REJECTED);
    w.until("the close", |w| w[who].is_closed());
    w.run(ms(50));
    assert_eq!(
        w.close_reasons(),
        [CloseReason::Refused("not today".into())]
    );
    w.end();
}

#[test]
fn a_question_that_is_dropped_or_left_alone_is_refused() {
    let mut w = host_decides(1);
    let dropped = w.client(ClientMode::Play, "live/cam");
    w.run(ms(50));
    drop(w.requests());
    assert_refused(&mut w, dropped, code::CONNECT_REJECTED);

    let ignored = w.client(ClientMode::Play, "live/cam");
    w.run(ms(9_900));
    assert!(w[ignored].failure.is_none());
    w.run(ms(400));
    assert_eq!(w[ignored].refusal(), Some(code::CONNECT_REJECTED));
    // An answer that comes too late changes nothing.
    w.requests().into_iter().for_each(|r| assert!(!r.accept()));
    w.run(ms(3000));
    let refused = |e: &Event| matches!(e, Event::Access { granted: false, .. });
    assert_eq!(w.count(refused), 2);
    w.end();
}

#[test]
fn an_answer_at_the_last_moment_counts() {
    let mut w = host_decides(1);
    let who = w.client(ClientMode::Publish, "live/cam");
    for _ in 0..2 {
        w.run(ms(9_900));
        let question = w.requests();
        assert_eq!(question.len(), 1);
        question.into_iter().for_each(|r| assert!(r.accept()));
        w.run(ms(20));
    }
    assert!(w[who].is_ready());
    w.end();
}

#[test]
fn who_leaves_before_the_answer_is_forgotten() {
    let mut w = host_decides(2);
    let who = w.client(ClientMode::Publish, "live/cam");
    w.run(ms(50));
    w.requests().into_iter().for_each(|r| assert!(r.accept()));
    w.run(ms(50));
    let question = w.requests();
    w.kill(who);
    w.run(ms(50));
    question.into_iter().for_each(|r| assert!(!r.accept()));
    w.run(ms(50));
    assert_eq!(w.shared.directory.lock().len(), 0);
    w.end();
}

#[test]
fn commands_sent_behind_connect_are_handled_with_its_answer() {
    let mut w = host_decides(1);
    let who = w.shaken();
    w[who].command_object(
        "connect",
        1.0,
        &[("app", "live"), ("tcUrl", "rtmp://x/live")],
    );
    w[who].command_on(0, "createStream", &[]);
    w[who].command_on(1, "play", &["cam".into()]);
    w.run(ms(50));
    w.requests().into_iter().for_each(|r| assert!(r.accept()));
    w.run(ms(50));
    // Nothing more was said by the client, yet its play is asked about.
    let asked = w.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].action, AccessAction::Play);
    drop(asked);
    w.end();
}
