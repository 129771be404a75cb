//! Servers that pass a stream on in a ring: whoever publishes where, it does not go round.

use std::time::Duration;

use openrtmp_protocol::command::code;
use openrtmp_protocol::session::ClientMode;

use super::media::frames;
use super::world::{FRAME, Setup, Who, World, ms};
use crate::config::{Config, PullRule, PullStart, PushRule, SecondPublisher};
use crate::events::Event;
use crate::platform::sim::Sim;
use crate::{RelayRule, RelayState};

/// Servers of one network, each with a port of its own.
struct Ring {
    worlds: Vec<World>,
    /// One that does not get on, and hears late of all that happens.
    hangs: Option<usize>,
}

fn address(index: usize) -> String {
    format!("127.0.0.1:{}", 1935 + index)
}

impl Ring {
    fn new(servers: usize, configure: impl Fn(usize, &mut Config)) -> Ring {
        let sim = Sim::with_config(1, Setup::new(1).network);
        let world = |index| {
            let mut setup = Setup::new(1 + index % 2);
            setup.config.listen = vec![address(index).parse().expect("an address")];
            configure(index, &mut setup.config);
            setup.build_on(sim.clone()).expect("it starts")
        };
        Ring {
            worlds: (0..servers).map(world).collect(),
            hangs: None,
        }
    }

    fn act(&mut self) {
        // What one does may concern the others.
        for _ in 0..4 {
            let worlds = self.worlds.iter_mut().enumerate();
            let those = worlds.filter(|(index, _)| self.hangs != Some(*index));
            those.for_each(|(_, world)| world.act());
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.worlds[0].now() + span;
        loop {
            self.act();
            let sim = &self.worlds[0].sim;
            let next = match self.hangs {
                None => sim.next_step(),
                // No deadline that only one that hangs knows of.
                Some(_) => sim.next_event(),
            };
            match next.filter(|&at| at <= end) {
                Some(at) => sim.advance_to(at),
                None => break,
            }
        }
        self.worlds[0].sim.advance_to(end);
        self.act();
    }

    /// A publisher that sent metadata and headers.
    fn live(&mut self, index: usize) -> Who {
        let who = self.worlds[index].client(ClientMode::Publish, "live/cam");
        self.run(ms(50));
        assert!(self.worlds[index][who].is_ready());
        self.worlds[index].headers(who);
        who
    }

    fn stream(&mut self, index: usize, publisher: Who, numbers: std::ops::Range<u32>) {
        for n in numbers {
            self.worlds[index][publisher].frame(n, 1000);
            self.run(ms(FRAME));
        }
    }

    /// How many failures of relays were told, and how many of them were circles.
    fn failures(&self) -> (usize, usize) {
        let failed = |event| match event {
            Event::RelayFailed { code, .. } => Some(code == code::CONNECT_LOOP),
            _ => None,
        };
        let events = self.worlds.iter().flat_map(World::events);
        let failed: Vec<bool> = events.filter_map(failed).collect();
        (
            failed.len(),
            failed.iter().filter(|circle| **circle).count(),
        )
    }

    /// Connections that were tried, and messages that went out.
    fn counts(&mut self) -> (u64, u64) {
        let counts = self.worlds.iter_mut().map(|world| {
            let relays = world.metrics().relays;
            (relays.attempts, relays.messages_out + relays.messages_in)
        });
        counts.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }

    /// Nobody sends anything: what still arrives goes round.
    #[track_caller]
    fn assert_still(&mut self) {
        self.run(Duration::from_secs(30));
        let (attempts, messages) = self.counts();
        self.run(Duration::from_secs(60));
        let (attempts_then, messages_then) = self.counts();
        assert_eq!(messages_then, messages, "messages");
        // Every half a minute is the longest pause.
        let most = attempts + 3 * self.worlds.len() as u64;
        assert!(attempts_then <= most, "{attempts}: {attempts_then}");
    }

    fn states(&self, index: usize) -> Vec<RelayState> {
        let rules = self.worlds[index].server.relays().into_iter();
        let links = rules.flat_map(|rule| rule.links);
        links.map(|link| link.state).collect()
    }
}

fn push_to(index: usize) -> PushRule {
    PushRule::new(
        "live/*",
        format!("rtmp://{}/{{app}}/{{name}}", address(index)),
    )
}

fn pull_from(index: usize, start: PullStart) -> PullRule {
    let mut rule = PullRule::new(
        "live/cam",
        format!("rtmp://{}/live/{{name}}", address(index)),
    );
    rule.start = start;
    rule
}

const POLICIES: [SecondPublisher; 2] = [SecondPublisher::Reject, SecondPublisher::Takeover];

#[test]
fn a_ring_of_three_ends_with_one_event() {
    for policy in POLICIES {
        let mut ring = Ring::new(3, |index, config| {
            config.relay.push = vec![push_to((index + 1) % 3)];
            config.streams.second_publisher = policy;
        });
        let publisher = ring.live(0);
        let player = ring.worlds[2].client(ClientMode::Play, "live/cam");
        ring.stream(0, publisher, 0..500);
        assert_eq!(ring.failures(), (1, 1), "{policy:?}");
        assert_eq!(ring.states(2), [RelayState::Parked]);
        assert_eq!(ring.counts().0, 3);
        assert!(frames(&ring.worlds[2][player].media).len() > 450);
        assert!(!ring.worlds[0][publisher].is_closed());
    }
}

/// What the first publisher's stream has come through is no word about the second's.
#[test]
fn a_stream_that_is_taken_over_in_a_ring_does_not_go_round() {
    for second in 0..3 {
        let mut ring = Ring::new(3, |index, config| {
            config.relay.push = vec![push_to((index + 1) % 3)];
            config.streams.second_publisher = SecondPublisher::Takeover;
        });
        let first = ring.live(0);
        ring.stream(0, first, 0..50);
        let other = ring.live(second);
        ring.stream(second, other, 50..150);
        assert!(!ring.worlds[second][other].is_closed(), "{second}");
        assert!(ring.failures().1 <= 3, "{second}: {:?}", ring.failures());
        ring.worlds[second].leave(other);
        if !ring.worlds[0][first].is_closed() {
            ring.worlds[0].leave(first);
        }
        ring.assert_still();
    }
}

/// A stream comes back within its grace, from elsewhere.
#[test]
fn what_is_pushed_around_and_fetched_does_not_go_round() {
    for policy in POLICIES {
        for start in [PullStart::Always, PullStart::Demand] {
            let mut ring = Ring::new(3, |index, config| {
                if index < 2 {
                    config.relay.push = vec![push_to(index + 1)];
                }
                config.streams.second_publisher = policy;
            });
            let publisher = ring.live(0);
            let rule = RelayRule::Pull(pull_from(2, start));
            ring.worlds[0].server.add_relay(&rule).expect("a rule");
            ring.worlds[0].client(ClientMode::Play, "live/cam");
            ring.stream(0, publisher, 0..100);
            assert_eq!(ring.failures(), (0, 0), "{policy:?} {start:?}");
            ring.worlds[0].leave(publisher);
            ring.assert_still();
        }
    }
}

#[test]
fn what_is_fetched_twice_and_pushed_back_does_not_go_round() {
    for policy in POLICIES {
        for start in [PullStart::Always, PullStart::Demand] {
            let mut ring = Ring::new(3, |index, config| {
                match index {
                    0 => {
                        config.relay.push = vec![push_to(1)];
                        config.relay.pull = vec![pull_from(2, start)];
                    }
                    2 => config.relay.pull = vec![pull_from(1, start)],
                    _ => {}
                }
                config.streams.second_publisher = policy;
            });
            let publisher = ring.live(1);
            ring.worlds[0].client(ClientMode::Play, "live/cam");
            ring.stream(1, publisher, 0..100);
            eprintln!(
                "{policy:?} {start:?} {:?}",
                ring.worlds[1][publisher].is_closed()
            );
            ring.worlds[1].leave(publisher);
            ring.assert_still();
        }
    }
}

#[test]
fn what_all_fetch_in_a_ring_does_not_go_round() {
    for start in [PullStart::Always, PullStart::Demand] {
        // Who is there first, and who hears late that the stream is over.
        let late = [None, Some(1), Some(2)];
        for (first, late) in late
            .iter()
            .flat_map(|late| [0, 1, 2].map(|first| (first, *late)))
        {
            let mut ring = Ring::new(3, |index, config| {
                config.relay.pull = vec![pull_from((index + 2) % 3, start)];
            });
            let publisher = ring.live(0);
            for step in 0..3 {
                let index = (first + step) % 3;
                ring.worlds[index].client(ClientMode::Play, "live/cam");
                ring.stream(0, publisher, 40 * step as u32..40 * (step as u32 + 1));
            }
            ring.worlds[0].leave(publisher);
            ring.hangs = late;
            ring.run(Duration::from_secs(1));
            ring.hangs = None;
            ring.assert_still();
        }
    }
}

#[test]
fn a_server_that_relays_to_itself_is_told_once() {
    let own = address(0);
    let to = |text: &str| text.replace("OWN", &own);
    for policy in POLICIES {
        for url in [
            "rtmp://OWN/live/{name}",
            "rtmp://OWN/{app}/{name}2",
            "rtmp://OWN/copy/{name}",
        ] {
            let mut ring = Ring::new(1, |_, config| {
                config.relay.push = vec![PushRule::new("*", to(url))];
                config.streams.second_publisher = policy;
            });
            let publisher = ring.live(0);
            ring.stream(0, publisher, 0..100);
            ring.run(Duration::from_secs(4));
            assert_eq!((ring.failures(), ring.counts().0), ((1, 1), 1), "{url}");
            assert!(!ring.worlds[0][publisher].is_closed(), "{url}");
            let rule = PullRule::new("copy/*", to("rtmp://OWN/live/{name}"));
            let mut ring = Ring::new(1, |_, config| config.relay.pull = vec![rule.clone()]);
            let publisher = ring.live(0);
            ring.worlds[0].client(ClientMode::Play, "copy/cam");
            ring.stream(0, publisher, 0..100);
            assert_eq!((ring.failures(), ring.counts().0), ((1, 1), 1));
        }
    }
}
