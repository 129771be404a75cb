//! Going out of service without cutting anybody off.

use std::time::Duration;

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::command::code;
use openrtmp_protocol::session::{ClientEvent, ClientMode, SessionError};

use super::media::assert_whole;
use super::world::{ADDRESS, World, ms};
use crate::drain::{DrainError, DrainOptions};
use crate::events::{CloseReason, Event};

/// More than any test takes.
const GRACE: Duration = Duration::from_secs(3600);

#[test]
fn who_is_there_goes_on_and_is_sent_elsewhere_if_it_can_be() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let able = w.player("live/cam");
    let mut config = w.config(ClientMode::Play, "live/cam");
    config.capabilities.caps_ex = 0;
    let plain = w.client_with(config);
    w.until("all play", |w| w[plain].is_ready());
    w.stream(publisher, 0..5);
    let options = DrainOptions::new(GRACE).to("rtmp://other:1936");
    w.server.begin_drain(&options).expect("it is drained");
    w.stream(publisher, 5..30);
    let there = ClientEvent::ReconnectRequest(Some("rtmp://other:1936/live".to_owned()));
    for (who, times) in [(publisher, 1), (able, 1), (plain, 0)] {
        let asked = |event: &&(_, ClientEvent)| event.1 == there;
        assert_eq!(w[who].events.iter().filter(asked).count(), times);
        assert!(!w[who].is_closed());
    }
    assert_whole(&w[plain].media, &w[publisher].sent);
    assert_eq!(w.sim.listeners().len(), 1, "who comes is told");
    assert_eq!(w.server.begin_drain(&options), Err(DrainError::Busy));
    for who in [able, plain, publisher] {
        assert_ne!(w.shared.drain.guests(), 0);
        w.leave(who);
        w.run(ms(100));
    }
    assert_eq!(w.shared.drain.guests(), 0);
    w.end();
}

#[test]
fn nobody_new_is_taken_and_all_are_told() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let idle = w.shaken();
    w.server
        .begin_drain(&DrainOptions::new(GRACE))
        .expect("it is drained");
    w.run(ms(10));
    assert!(!w[idle].is_closed(), "it has not said what it wants");
    let why = "the server is being drained: it takes nobody new";
    for mode in [ClientMode::Publish, ClientMode::Play] {
        let who = w.client(mode, "live/new");
        w.until("its end", |w| w[who].is_closed());
        assert_eq!(w[who].refusal(), Some(code::CONNECT_REJECTED));
        let failure = w[who].failure.as_ref().map(ToString::to_string);
        assert!(failure.is_some_and(|text| text.contains(why)));
    }
    // One that is connected already asks for more.
    w[publisher].command("createStream", &[]);
    w.run(ms(10));
    w[publisher].command_on(2, "play", &["other".into()]);
    w.until("its end", |w| w[publisher].is_closed());
    let refused = |event: &Event| matches!(event, Event::Access { granted: false, reason, .. } if *reason == why);
    assert_eq!(w.count(refused), 3);
    w.end();
}

#[test]
fn who_comes_is_told_where_to_go_if_there_is_such_a_place() {
    for (to, expected) in [
        (None, None),
        (Some("rtmp://other:1936"), Some("rtmp://other:1936/live")),
        (
            Some("rtmps://ann:s3cret@other/x-{app}"),
            Some("rtmps://other/x-live"),
        ),
    ] {
        let mut w = World::new(2);
        let publisher = w.live("live/cam");
        let mut options = DrainOptions::new(GRACE);
        options.to = to.map(str::to_owned);
        w.server.begin_drain(&options).expect("it is drained");
        for mode in [ClientMode::Publish, ClientMode::Play] {
            let who = w.client(mode, "live/new?key=t0ken");
            w.until("its end", |w| w[who].is_closed());
            let Some(SessionError::Refused { code, redirect, .. }) = &w[who].failure else {
                panic!("{:?}", w[who].failure);
            };
            assert_eq!(code, code::CONNECT_REJECTED);
            assert_eq!(redirect.as_deref(), expected, "{to:?}");
        }
        assert!(!w[publisher].is_closed());
        w.end();
    }
}

#[test]
fn who_does_nothing_is_told_and_closed() {
    let mut w = World::new(2);
    let mut config = w.config(ClientMode::Play, "live/cam");
    config.capabilities.caps_ex = 0;
    let idle = w.client_with(config);
    w.until("it plays", |w| w[idle].is_ready());
    w[idle].command_on(1, "closeStream", &[]);
    w.run(ms(10));
    w.server
        .begin_drain(&DrainOptions::new(GRACE))
        .expect("it is drained");
    w.until("its end", |w| w[idle].is_closed());
    assert!(w[idle].status(code::CONNECT_APP_SHUTDOWN).is_some());
    w.until("the event", |w| !w.close_reasons().is_empty());
    assert_eq!(w.close_reasons(), [CloseReason::ServerStopped]);
    w.end();
}

#[test]
fn who_has_nothing_left_to_wait_for_is_told_and_closed() {
    let mut w = World::new(2);
    let publisher = w.live("live/cam");
    let other = w.live("live/other");
    let mut config = w.config(ClientMode::Play, "live/cam");
    config.capabilities.caps_ex = 0;
    let plain = w.client_with(config);
    let able = w.player("live/cam");
    let waiting = w.player("live/never");
    w.until("both play", |w| w[plain].is_ready() && w[able].is_ready());
    w.server
        .begin_drain(&DrainOptions::new(GRACE))
        .expect("it is drained");
    w.until("its end", |w| w[waiting].is_closed());
    assert!(!w[plain].is_closed(), "its stream goes on");
    // Nobody may publish it again: its players wait for nothing.
    w.leave(publisher);
    w.until("their end", |w| w[plain].is_closed() && w[able].is_closed());
    assert!(w[plain].status(code::CONNECT_APP_SHUTDOWN).is_some());
    // An encoder that ends its stream and keeps its connection has nothing to do either.
    assert!(!w[other].is_closed());
    w[other].command_on(1, "closeStream", &[]);
    w.until("its end", |w| w[other].is_closed());
    w.until("nobody is there", |w| w.shared.drain.guests() == 0);
    w.end();
}

#[test]
fn a_stream_of_another_server_holds_up_nobody() {
    let mut w = World::new(2);
    let url = RtmpUrl::parse(&format!("rtmp://{ADDRESS}/live/cam")).expect("a URL");
    w.live("live/cam");
    w.server.pull(&url, "live/copy").expect("it is fetched");
    w.until("both", |w| w.shared.directory.lock().publishers() == 2);
    // Of the two ends of the connection to itself, one is a guest.
    assert_eq!(w.shared.drain.guests(), 2);
    w.stop(Duration::ZERO);
    w.assert_nothing_left();
}
