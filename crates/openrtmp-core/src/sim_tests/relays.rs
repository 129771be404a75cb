//! Streams that are passed on, and fetched, again and again.

use std::collections::BTreeSet;
use std::time::Duration;

use openrtmp_protocol::command::code;
use openrtmp_protocol::session::ClientMode;

use super::media::{Class, assert_whole, frames};
use super::pair::{FAR, FAR_NAME, Pair};
use super::world::{FRAME, World, ms};
use crate::config::{Config, PullRule, PullStart, PushRule, SecondPublisher};
use crate::events::Event;
use crate::inbox::Command;
use crate::platform::sim::Faults;
use crate::{RelayError, RelayRule, RelayState};

fn to_far() -> PushRule {
    PushRule::new("live/*", format!("rtmp://{FAR}/{{app}}/{{name}}"))
}

fn to_near() -> PushRule {
    PushRule::new(
        "live/*",
        format!("rtmp://{}/{{app}}/{{name}}", super::world::ADDRESS),
    )
}

fn from_far(start: PullStart) -> PullRule {
    let mut rule = PullRule::new("live/cam", format!("rtmp://{FAR}/live/{{name}}"));
    rule.start = start;
    rule
}

/// Rules of the near server.
fn near(push: &[PushRule], pull: &[PullRule]) -> Pair {
    Pair::configured(
        2,
        1,
        Faults::default(),
        |config| rules(config, push, pull),
        |_| {},
    )
}

fn rules(config: &mut Config, push: &[PushRule], pull: &[PullRule]) {
    config.relay.push = push.to_vec();
    config.relay.pull = pull.to_vec();
}

fn states(world: &World) -> Vec<RelayState> {
    let rules = world.server.relays().into_iter();
    rules
        .flat_map(|rule| rule.links)
        .map(|link| link.state)
        .collect()
}

/// The codes and reasons of what failed, in order.
fn failures(world: &World) -> Vec<(String, String, Option<Duration>)> {
    let failed = |event| match event {
        Event::RelayFailed {
            code,
            reason,
            retry_in,
            ..
        } => Some((code, reason, retry_in)),
        _ => None,
    };
    world.events().into_iter().filter_map(failed).collect()
}

#[test]
fn a_stream_is_pushed_from_its_beginning_to_its_end_and_again() {
    let mut p = near(&[to_far()], &[]);
    let player = p.far.client(ClientMode::Play, "live/cam");
    for round in 1..=2 {
        let publisher = p.live(Pair::near, "live/cam");
        p.until("the relay", |p| states(&p.near) == [RelayState::Running]);
        let seen = p.far[player].media.len();
        p.stream(publisher, 0..20);
        p.run(ms(50));
        assert_whole(&p.far[player].media[seen..], &p.near[publisher].sent);
        p.near.leave(publisher);
        p.run(ms(500));
        assert_eq!(states(&p.near), []);
        let relays = p.near.metrics().relays;
        assert!(relays.messages_out >= 20 * round as u64, "{relays:?}");
        assert_eq!(relays.messages_in, 0);
        let ended = |e: &Event| matches!(e, Event::RelayEnded { .. });
        assert_eq!(p.near.count(ended), round);
    }
    assert_eq!(failures(&p.near), []);
    p.end();
}

#[test]
fn a_stream_goes_on_over_connections_that_break() {
    let mut p = near(&[to_far()], &[]);
    let publisher = p.live(Pair::near, "live/cam");
    let player = p.far.client(ClientMode::Play, "live/cam");
    p.until("the relay", |p| states(&p.near) == [RelayState::Running]);
    p.stream(publisher, 0..20);
    let seen = frames(&p.far[player].media).len();
    assert!(p.far.host(|server| server.end_stream("live/cam", "enough")));
    p.stream(publisher, 20..80);
    assert_eq!(failures(&p.near).len(), 1);
    let media = &p.far[player].media;
    assert!(frames(media).len() > seen + 30, "it is there again");
    // The stream's clock goes on.
    let times: Vec<u32> = frames(media).iter().map(|m| m.timestamp).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(!p.near[publisher].is_closed());
    p.end();
}

#[test]
fn a_target_that_refuses_is_asked_again_and_the_stream_notices_nothing() {
    let mut p = near(&[to_far()], &[]);
    let taken = p.live(Pair::far, "live/cam");
    let publisher = p.live(Pair::near, "live/cam");
    let local = p.near.client(ClientMode::Play, "live/cam");
    p.stream(publisher, 0..200);
    let failed = failures(&p.near);
    // After 0.5, 1, 2 s, more or less.
    assert!((3..=5).contains(&failed.len()), "{failed:?}");
    for (code, reason, retry_in) in &failed {
        assert_eq!(code, code::PUBLISH_BAD_NAME);
        assert!(reason.contains("publisher"), "{reason}");
        assert!(retry_in.is_some_and(|pause| pause >= ms(500)));
    }
    assert_whole(&p.near[local].media, &p.near[publisher].sent);
    p.far.leave(taken);
    // By then the pause is 4 or 8 s, more or less.
    p.stream(publisher, 200..550);
    assert_eq!(states(&p.near), [RelayState::Running]);
    p.end();
}

#[test]
fn a_target_that_wants_a_key_is_heard() {
    let mut p = near(&[to_far()], &[]);
    p.far.server.publish_keys().add("s3cret".to_owned());
    let publisher = p.live(Pair::near, "live/cam");
    p.until("a failure", |p| !failures(&p.near).is_empty());
    let failed = failures(&p.near);
    let (code, _, retry_in) = &failed[0];
    assert_eq!(code, code::PUBLISH_UNAUTHORIZED);
    assert!(retry_in.is_some() && !p.near[publisher].is_closed());
    p.end();
}

#[test]
fn what_is_played_is_fetched_until_nobody_plays_it() {
    let mut rule = from_far(PullStart::Demand);
    rule.idle_timeout = Duration::from_secs(4);
    let mut p = near(&[], &[rule]);
    let publisher = p.live(Pair::far, "live/cam");
    assert_eq!(states(&p.near), []);
    let player = p.near.client(ClientMode::Play, "live/cam");
    p.until("the relay", |p| states(&p.near) == [RelayState::Running]);
    for n in 0..30 {
        p.far[publisher].frame(n, 1000);
        p.run(ms(FRAME));
    }
    assert!(frames(&p.near[player].media).len() > 25);
    p.near.leave(player);
    p.run(ms(3900));
    assert_eq!(states(&p.near), [RelayState::Running]);
    p.run(ms(500));
    assert_eq!(states(&p.near), []);
    let metrics = p.near.metrics();
    assert_eq!(metrics.connections, 0);
    assert!(metrics.relays.messages_in > 25, "{:?}", metrics.relays);
    assert_eq!(metrics.relays.messages_out, 0);
    assert!(!p.far[publisher].is_closed());
    p.end();
}

#[test]
fn what_is_wanted_over_http_is_fetched_until_nobody_wants_it() {
    let mut rule = from_far(PullStart::Demand);
    rule.idle_timeout = Duration::from_secs(4);
    let mut p = near(&[], &[rule]);
    let publisher = p.live(Pair::far, "live/cam");
    let name = |path| p.near.shared.host_name(path);
    let (cam, other) = (name("live/cam"), name("other/cam"));
    let from = "192.0.2.1:1".parse().unwrap();
    assert!(
        p.near.server.visit(&other, from).is_none(),
        "no rule is about it"
    );
    let visit = p.near.server.visit(&cam, from).expect("a rule is");
    p.until("the relay", |p| states(&p.near) == [RelayState::Running]);
    for n in 0..150 {
        p.far[publisher].frame(n, 1000);
        p.run(ms(FRAME));
    }
    assert_eq!(states(&p.near), [RelayState::Running]);
    assert_eq!(p.near.server.visits().len(), 1);
    assert!(visit.goes_on());
    drop(visit);
    p.run(ms(3900));
    assert_eq!(states(&p.near), [RelayState::Running]);
    p.run(ms(500));
    assert_eq!(states(&p.near), []);
    assert!(p.near.server.visits().is_empty());
    assert!(!p.far[publisher].is_closed());
    p.end();
}

#[test]
fn what_is_always_fetched_waits_for_the_other_server() {
    let mut p = near(&[], &[from_far(PullStart::Always)]);
    p.run(ms(500));
    // The other server lets it wait.
    assert_eq!(states(&p.near), [RelayState::Running]);
    let publisher = p.live(Pair::far, "live/cam");
    let player = p.near.client(ClientMode::Play, "live/cam");
    for n in 0..30 {
        p.far[publisher].frame(n, 1000);
        p.run(ms(FRAME));
    }
    assert!(frames(&p.near[player].media).len() > 20);
    p.end();
}

#[test]
fn a_stream_that_would_go_in_a_circle_is_told_once() {
    for policy in [SecondPublisher::Reject, SecondPublisher::Takeover] {
        let set = |push: PushRule| {
            move |config: &mut Config| {
                rules(config, &[push], &[]);
                config.streams.second_publisher = policy;
            }
        };
        let mut p = Pair::configured(2, 1, Faults::default(), set(to_far()), set(to_near()));
        let publisher = p.live(Pair::near, "live/cam");
        let player = p.far.client(ClientMode::Play, "live/cam");
        p.stream(publisher, 0..200);
        assert_eq!(failures(&p.near), []);
        let [(code, _, retry_in)] = &failures(&p.far)[..] else {
            panic!("{:?}", failures(&p.far));
        };
        assert_eq!((&**code, *retry_in), (code::CONNECT_LOOP, None));
        assert_eq!(states(&p.near), [RelayState::Running]);
        assert_eq!(states(&p.far), [RelayState::Parked]);
        assert!(!p.near[publisher].is_closed());
        assert!(frames(&p.far[player].media).len() > 180);
        p.end();
    }
}

/// Each waits for the other, which no player tells of.
#[test]
fn servers_that_always_fetch_from_one_another_let_go_of_one_end() {
    for seed in 0..8 {
        let from = |address: &str| {
            let mut rule = PullRule::new("live/cam", format!("rtmp://{address}/live/{{name}}"));
            rule.start = PullStart::Always;
            move |config: &mut Config| rules(config, &[], &[rule])
        };
        let (near, far) = (from(FAR), from(super::world::ADDRESS));
        let mut p = Pair::configured(1 + seed as usize % 2, seed, Faults::default(), near, far);
        p.run(Duration::from_secs(60));
        let failed: Vec<_> = [&p.near, &p.far].into_iter().flat_map(failures).collect();
        let circles = failed
            .iter()
            .filter(|(code, ..)| code == code::CONNECT_LOOP);
        assert_eq!(circles.count(), 1, "{failed:?}");
        // What the one that let go publishes, the other has.
        let (publisher, player) = match states(&p.near)[..] {
            [RelayState::Parked] => {
                let publisher = p.live(Pair::near, "live/cam");
                (publisher, p.far.client(ClientMode::Play, "live/cam"))
            }
            _ => {
                assert_eq!(states(&p.far), [RelayState::Parked]);
                let publisher = p.live(Pair::far, "live/cam");
                (publisher, p.near.client(ClientMode::Play, "live/cam"))
            }
        };
        let is_near = states(&p.near) == [RelayState::Parked];
        for n in 0..30 {
            let world = if is_near { &mut p.near } else { &mut p.far };
            world[publisher].frame(n, 1000);
            p.run(ms(FRAME));
        }
        let world = if is_near { &p.far } else { &p.near };
        assert!(frames(&world[player].media).len() > 20);
        p.end();
    }
}

#[test]
fn what_is_fetched_is_not_pushed_back() {
    let set = |config: &mut Config| {
        rules(config, &[to_far()], &[from_far(PullStart::Always)]);
    };
    let takeover = |config: &mut Config| {
        config.streams.second_publisher = SecondPublisher::Takeover;
    };
    let mut p = Pair::configured(1, 1, Faults::default(), set, takeover);
    let publisher = p.live(Pair::far, "live/cam");
    for n in 0..100 {
        p.far[publisher].frame(n, 1000);
        p.run(ms(FRAME));
    }
    assert!(!p.far[publisher].is_closed());
    assert_eq!(failures(&p.near).len(), 1, "{:?}", failures(&p.near));
    assert_eq!(failures(&p.near)[0].0, code::CONNECT_LOOP);
    p.end();
}

#[test]
fn rules_come_and_go_at_run_time() {
    let mut p = near(&[], &[]);
    let publisher = p.live(Pair::near, "live/cam");
    let rule = RelayRule::Push(to_far());
    let relay = p.near.server.add_relay(&rule).expect("a rule");
    p.until("the relay", |p| states(&p.near) == [RelayState::Running]);
    let list = p.near.server.relays();
    assert_eq!(
        (list.len(), list[0].id, list[0].configured),
        (1, relay, false)
    );
    assert_eq!(list[0].url, format!("rtmp://{FAR}/{{app}}/{{name}}"));
    assert_eq!(
        (list[0].links[0].attempts, list[0].links[0].failures),
        (1, 0)
    );
    // The settings know nothing of it.
    p.near
        .reconfigure(|c| c.relay.push = vec![PushRule::new("vod/*", "rtmp://h/a/{name}")])
        .expect("valid");
    assert_eq!(p.near.server.relays().len(), 2);
    p.stream(publisher, 0..5);
    assert!(p.near.server.remove_relay(relay));
    assert!(!p.near.server.remove_relay(relay), "once");
    p.run(ms(100));
    let of_the_rule = |e: &Event| matches!(e, Event::RelayEnded { relay: of, .. } if *of == relay);
    assert_eq!(p.near.count(of_the_rule), 1, "told once");
    let list = p.near.server.relays();
    assert_eq!((list.len(), list[0].configured), (1, true));
    assert!(!p.near.server.remove_relay(list[0].id), "the settings' own");
    assert_eq!(p.far.metrics().publishers, 0);
    p.near.reconfigure(|c| c.relay.push.clear()).expect("valid");
    assert_eq!(p.near.server.relays(), []);
    p.end();
}

#[test]
fn rules_are_counted_and_told_apart_while_they_are_added() {
    let w = World::with(1, |c| c.limits.relay_rules = 100);
    let server = &w.server;
    let added = std::thread::scope(|scope| {
        let adders: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    // Two of them add the same.
                    let rule = |n: usize| {
                        let to = format!("rtmp://127.0.0.2/{}/{{name}}-{n}", thread / 2);
                        RelayRule::Push(PushRule::new("none/*", to))
                    };
                    (0..80)
                        .filter(|&n| server.add_relay(&rule(n)).is_ok())
                        .count()
                })
            })
            .collect();
        let counts = adders
            .into_iter()
            .map(|adder| adder.join().expect("no panic"));
        counts.sum::<usize>()
    });
    let list = server.relays();
    assert_eq!((added, list.len()), (100, 100));
    let urls: std::collections::BTreeSet<_> = list.iter().map(|info| &info.url).collect();
    assert!(urls.len() <= 2, "the rest is masked");
    let known = PushRule::new("none/*", "rtmp://127.0.0.2/x/{name}");
    let removed = std::thread::scope(|scope| {
        let remove = || server.remove_relay(list[0].id);
        let removers: Vec<_> = (0..4).map(|_| scope.spawn(remove)).collect();
        let removed = removers.into_iter().map(|r| r.join().expect("no panic"));
        removed.filter(|removed| *removed).count()
    });
    assert_eq!(removed, 1, "of several one removes it");
    let first = server
        .add_relay(&RelayRule::Push(known.clone()))
        .expect("room");
    let again = server.add_relay(&RelayRule::Push(known));
    // Full comes first.
    assert_eq!(again, Err(RelayError::Full(100)));
    assert!(server.remove_relay(list[1].id));
    let known = PushRule::new("none/*", "rtmp://127.0.0.2/x/{name}");
    let again = server.add_relay(&RelayRule::Push(known));
    assert_eq!(again, Err(RelayError::Present(first)));
    w.end();
}

#[test]
fn relays_are_counted() {
    let mut p = near(&[to_far()], &[]);
    let taken = p.live(Pair::far, "live/taken");
    let publisher = p.live(Pair::near, "live/cam");
    p.live(Pair::near, "live/taken");
    p.until("a failure", |p| !failures(&p.near).is_empty());
    let counts = p.near.metrics().relays;
    assert_eq!((counts.rules, counts.running, counts.waiting), (1, 1, 1));
    assert_eq!((counts.attempts, counts.failures), (2, 1));
    p.near.leave(publisher);
    p.far.leave(taken);
    p.run(ms(500));
    let counts = p.near.metrics().relays;
    // What was counted stays.
    assert!(counts.attempts >= 2 && counts.failures >= 1, "{counts:?}");
    assert_eq!(counts.rules, 1);
    p.end();
}

#[test]
fn a_server_that_stops_is_come_back_to() {
    let mut p = near(&[to_far()], &[]);
    let publisher = p.live(Pair::near, "live/cam");
    p.until("the relay", |p| states(&p.near) == [RelayState::Running]);
    p.far.server.begin_stop(ms(1000));
    p.stream(publisher, 0..60);
    assert!(!failures(&p.near).is_empty());
    assert!(!p.near[publisher].is_closed());
    let waits = |state: &RelayState| !matches!(state, RelayState::Running);
    assert!(states(&p.near).iter().all(waits), "{:?}", states(&p.near));
    p.end();
}

#[test]
fn a_worker_that_panics_takes_no_rule_along() {
    let mut p = near(&[to_far()], &[]);
    let publisher = p.live(Pair::near, "live/cam");
    p.until("the relay", |p| states(&p.near) == [RelayState::Running]);
    p.stream(publisher, 0..5);
    p.near.shared.inboxes[0].send(Command::Panic);
    p.run(Duration::from_secs(12));
    let publisher = match p.near[publisher].is_closed() {
        true => p.live(Pair::near, "live/cam"),
        false => publisher,
    };
    p.until("the relay", |p| states(&p.near) == [RelayState::Running]);
    p.stream(publisher, 10..20);
    p.end();
}

#[test]
fn what_goes_wrong_between_them_is_made_good() {
    let mut with_media = [0; 2];
    for seed in 0..40 {
        let push = PushRule::new("live/b", format!("rtmp://{FAR_NAME}/{{app}}/{{name}}"));
        let pull = PullRule::new("live/cam", format!("rtmp://{FAR_NAME}/live/{{name}}"));
        let set = |config: &mut Config| {
            rules(config, &[push], &[pull]);
        };
        let workers = 1 + seed as usize % 3;
        let mut p = Pair::configured(workers, seed, Faults::rough(), set, |_| {});
        let pushed = p.near.client(ClientMode::Publish, "live/b");
        let pulled = p.far.client(ClientMode::Publish, "live/cam");
        let players = [
            p.far.client(ClientMode::Play, "live/b"),
            p.near.client(ClientMode::Play, "live/cam"),
        ];
        p.run(ms(100));
        if p.near[pushed].is_ready() {
            p.near.headers(pushed);
        }
        if p.far[pulled].is_ready() {
            p.far.headers(pulled);
        }
        for n in 0..60 {
            for peer in [&mut p.near[pushed], &mut p.far[pulled]] {
                if peer.is_ready() {
                    peer.frame(n, 1000);
                }
            }
            p.run(ms(FRAME));
        }
        // What is lost when a connection breaks is a hole, and nothing else.
        for (place, peer) in [&p.far[players[0]], &p.near[players[1]]]
            .into_iter()
            .enumerate()
        {
            let times: Vec<u32> = frames(&peer.media).iter().map(|m| m.timestamp).collect();
            assert!(times.is_sorted(), "seed {seed}: {times:?}");
            with_media[place] += usize::from(!times.is_empty());
        }
        p.assert_healed(pushed, "live/b", [Pair::near, Pair::far], 60);
        p.assert_healed(pulled, "live/cam", [Pair::far, Pair::near], 60);
        let mut running = BTreeSet::new();
        for event in p.near.events() {
            match event {
                Event::RelayStarted { relay, name, .. } => {
                    let is_new = running.insert((relay, name.to_string()));
                    assert!(is_new, "seed {seed}: started twice");
                }
                Event::RelayFailed { relay, name, .. } | Event::RelayEnded { relay, name } => {
                    running.remove(&(relay, name.to_string()));
                }
                _ => {}
            }
        }
        p.end();
    }
    let enough = with_media.iter().all(|&seeds| seeds >= 25);
    assert!(enough, "{with_media:?} of 40 seeds with media");
}

#[test]
fn what_is_fetched_may_go_back_under_another_name() {
    let copy = PushRule::new("live/*", format!("rtmp://{FAR}/copy/{{name}}"));
    let set = |config: &mut Config| {
        rules(config, &[copy], &[from_far(PullStart::Always)]);
    };
    let mut p = Pair::configured(1, 1, Faults::default(), set, |_| {});
    let publisher = p.live(Pair::far, "live/cam");
    let player = p.far.client(ClientMode::Play, "copy/cam");
    for n in 0..50 {
        p.far[publisher].frame(n, 1000);
        p.run(ms(FRAME));
    }
    assert_eq!(failures(&p.near), []);
    assert!(frames(&p.far[player].media).len() > 40);
    p.end();
}

/// A stream may begin long before its first frame: it is there, and its headers come with
/// that, at its time, as they do for any player.
#[test]
fn a_stream_that_has_headers_alone_so_far_is_published_at_the_target() {
    for is_added_late in [false, true] {
        let rule = to_far();
        let mut p = match is_added_late {
            false => near(std::slice::from_ref(&rule), &[]),
            true => near(&[], &[]),
        };
        let player = p.far.client(ClientMode::Play, "live/cam");
        let publisher = p.live(Pair::near, "live/cam");
        if is_added_late {
            p.run(ms(1000));
            let rule = RelayRule::Push(rule);
            p.near.server.add_relay(&rule).expect("a rule");
        }
        let published = |p: &Pair| p.far.count(|e| matches!(e, Event::StreamPublished { .. })) == 1;
        p.until("the stream", published);
        let has = |p: &Pair, class| p.far[player].media.iter().any(|m| m.class() == class);
        p.until("metadata", |p| has(p, Class::Metadata));
        // Less than `streams.media_timeout`, after which a publisher is gone.
        p.run(Duration::from_secs(8));
        assert_eq!(states(&p.near), [RelayState::Running]);
        assert_eq!((failures(&p.near), p.far.metrics().publishers), (vec![], 1));
        p.stream(publisher, 0..20);
        p.run(ms(50));
        assert!(has(&p, Class::VideoHeader) && has(&p, Class::AudioHeader));
        assert_whole(&p.far[player].media, &p.near[publisher].sent);
        p.end();
    }
}
