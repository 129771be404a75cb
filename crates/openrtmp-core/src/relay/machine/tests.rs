use std::collections::BTreeSet;
use std::time::Duration;

use openrtmp_protocol::command::code;
use openrtmp_protocol::session::ClientMode;
use openrtmp_protocol::{RtmpUrl, Time};
use proptest::prelude::*;

use super::super::{RelayRule, RelayState};
use super::{Ending, Order, Refusal, Relays, Settings, Streams};
use crate::config::{Config, PullRule, PullStart, PushRule};
use crate::events::Event;
use crate::id::{ConnectionId, RelayId};
use crate::secret::StreamName;

/// What a directory knows.
#[derive(Default)]
struct Known {
    live: BTreeSet<String>,
    played: BTreeSet<String>,
}

impl Streams for Known {
    fn is_live(&self, name: &StreamName) -> bool {
        self.live.contains(name.reveal())
    }

    fn is_played(&self, name: &StreamName) -> bool {
        self.played.contains(name.reveal())
    }
}

/// A connection that the relays made.
#[derive(Clone, Debug, PartialEq)]
struct Made {
    id: ConnectionId,
    name: String,
    mode: ClientMode,
    url: String,
    is_redirect: bool,
    via: Vec<u64>,
}

struct Bench {
    relays: Relays,
    streams: Known,
    now: Time,
    next: Option<Time>,
    made: Vec<Made>,
    dropped: Vec<ConnectionId>,
    events: Vec<Event>,
    ids: u64,
}

/// This server's id.
const OWN: u64 = 100;

const PEER: ConnectionId = ConnectionId::from_u64(1);

fn name(path: &str) -> StreamName {
    StreamName::plain(path)
}

impl Bench {
    fn new(rules: &[RelayRule]) -> Bench {
        let mut bench = Bench {
            relays: Relays::new(OWN, 1, Settings::of(&Config::desktop())),
            streams: Known::default(),
            now: Time::ZERO + Duration::from_secs(1),
            next: None,
            made: Vec::new(),
            dropped: Vec::new(),
            events: Vec::new(),
            ids: 1000,
        };
        for (id, rule) in (1..).zip(rules) {
            bench.add(id, rule);
        }
        bench.turn();
        bench
    }

    fn add(&mut self, id: u64, rule: &RelayRule) {
        let candidates: Vec<String> = match rule {
            RelayRule::Push(_) => self.streams.live.iter().cloned().collect(),
            RelayRule::Pull(rule) if rule.start == PullStart::Always => vec![rule.pattern.clone()],
            RelayRule::Pull(_) => self.streams.played.iter().cloned().collect(),
        };
        let candidates = candidates.iter().map(|path| (name(path), None)).collect();
        let rule = rule.check().expect("a rule");
        let id = RelayId::from_u64(id);
        self.relays.add(self.now, id, rule, true, candidates);
    }

    /// What worker 0 does.
    fn turn(&mut self) {
        loop {
            let (orders, next) = self.relays.poll(self.now, &self.streams);
            self.next = next;
            if orders.is_empty() {
                return;
            }
            for order in orders {
                match order {
                    Order::Connect {
                        link,
                        mode,
                        url,
                        is_redirect,
                        via,
                    } => {
                        self.ids += 1;
                        let id = ConnectionId::from_u64(self.ids);
                        self.relays.connecting(&link, id);
                        self.made.push(Made {
                            id,
                            name: link.0.reveal().to_owned(),
                            mode,
                            url: url.reveal(),
                            is_redirect,
                            via,
                        });
                    }
                    Order::Disconnect(id) => {
                        self.dropped.push(id);
                        self.close(id, "host");
                    }
                    Order::Emit(event) => self.events.push(*event),
                }
            }
        }
    }

    fn publish(&mut self, path: &str, by: Option<ConnectionId>) {
        self.streams.live.insert(path.to_owned());
        self.relays.published(self.now, &name(path), by);
        self.turn();
    }

    /// Media of it came.
    fn carries(&mut self, path: &str) {
        self.relays.carries(self.now, &name(path));
        self.turn();
    }

    fn unpublish(&mut self, path: &str) {
        self.streams.live.remove(path);
        self.relays.unpublished(self.now, &name(path));
        self.turn();
    }

    fn end(&mut self, path: &str) {
        self.unpublish(path);
        self.relays.ended(&name(path));
        self.turn();
    }

    fn play(&mut self, path: &str, by: ConnectionId) {
        self.streams.played.insert(path.to_owned());
        self.relays.played(self.now, &name(path), by);
        self.turn();
    }

    fn leave(&mut self, path: &str) {
        self.streams.played.remove(path);
        self.relays.left(self.now, &name(path), PEER);
        self.turn();
    }

    fn close(&mut self, id: ConnectionId, reason: &str) {
        let ending = Ending {
            reason: reason.to_owned(),
            is_done: false,
        };
        self.relays.closed(self.now, id, ending);
    }

    fn refuse(&mut self, id: ConnectionId, code: &str, redirect: Option<&str>) {
        let refusal = Refusal {
            code: code.to_owned(),
            redirect: redirect.map(|url| RtmpUrl::parse(url).expect("a URL")),
        };
        self.relays.refused(id, refusal);
        self.close(id, "refused");
        self.turn();
    }

    /// The other server granted the newest connection.
    fn grant(&mut self) -> ConnectionId {
        let made = self.made.last().expect("one was made").clone();
        match made.mode {
            ClientMode::Publish => self.relays.played(self.now, &name(&made.name), made.id),
            ClientMode::Play => self.publish(&made.name, Some(made.id)),
        }
        self.turn();
        made.id
    }

    /// To when something is due, at most so far. False if nothing is.
    fn advance(&mut self, most: Duration) -> bool {
        let end = self.now + most;
        let due = self.next.filter(|next| *next <= end);
        self.now = due.unwrap_or(end);
        self.turn();
        due.is_some()
    }

    fn states(&self) -> Vec<RelayState> {
        let list = self.relays.list(self.now);
        list.into_iter()
            .flat_map(|info| info.links)
            .map(|link| link.state)
            .collect()
    }

    /// The newest failure: its code, and when it is tried again.
    fn failure(&self) -> (&str, Option<Duration>) {
        let failure = self.events.iter().rev().find_map(|event| match event {
            Event::RelayFailed { code, retry_in, .. } => Some((code.as_str(), *retry_in)),
            _ => None,
        });
        failure.expect("a failure")
    }

    fn ended(&self) -> usize {
        let ended = |event: &&Event| matches!(event, Event::RelayEnded { .. });
        self.events.iter().filter(ended).count()
    }
}

fn push() -> RelayRule {
    RelayRule::Push(PushRule::new("live/*", "rtmp://far/{app}/{name}"))
}

fn pull(start: PullStart) -> RelayRule {
    let mut rule = PullRule::new("live/cam", "rtmp://far/live/{name}");
    rule.start = start;
    RelayRule::Pull(rule)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_stream_is_pushed_as_long_as_it_is_there() {
    let mut b = Bench::new(&[push()]);
    b.publish("vod/film", Some(PEER));
    assert_eq!(b.made, []);
    b.publish("live/cam", Some(PEER));
    assert_eq!(b.made.len(), 1);
    assert_eq!(b.made[0].url, "rtmp://far/live/cam");
    assert_eq!(b.states(), [RelayState::Connecting]);
    let id = b.grant();
    assert_eq!(b.states(), [RelayState::Running]);
    // Another publisher takes over, or comes back within the grace.
    b.publish("live/cam", Some(PEER));
    assert_eq!(b.made.len(), 1);
    b.end("live/cam");
    assert_eq!((b.ended(), b.states().len()), (1, 0));
    assert_eq!(b.dropped, [], "it says goodbye by itself");
    b.close(id, "the stream is over");
    assert!(!b.advance(60 * SECOND), "nothing is tried");
}

#[test]
fn what_breaks_is_tried_again_with_longer_pauses_until_it_stands() {
    let mut b = Bench::new(&[push()]);
    b.publish("live/cam", Some(PEER));
    let mut pauses = Vec::new();
    for attempt in 1..8 {
        let id = b.made.last().expect("one").id;
        b.refuse(id, code::PUBLISH_BAD_NAME, None);
        let (code, retry_in) = b.failure();
        assert_eq!(code, code::PUBLISH_BAD_NAME);
        pauses.push(retry_in.expect("again"));
        assert_eq!(b.states(), [RelayState::Waiting(pauses[attempt - 1])]);
        assert!(b.advance(60 * SECOND));
        assert_eq!(b.made.len(), attempt + 1);
    }
    assert!(pauses[6] > pauses[0] * 10, "{pauses:?}");
    // It stands for a moment, then for a while.
    let id = b.grant();
    b.close(id, "reset");
    b.turn();
    assert!(
        b.failure().1.expect("again") > SECOND * 10,
        "it did not stand"
    );
    b.advance(60 * SECOND);
    let id = b.grant();
    b.now = b.now + SECOND * 11;
    b.close(id, "reset");
    b.turn();
    assert!(b.failure().1.expect("again") < SECOND, "it is well again");
}

#[test]
fn a_stream_that_ends_meanwhile_is_tried_no_more() {
    let mut b = Bench::new(&[push()]);
    b.publish("live/cam", Some(PEER));
    let connecting = b.made[0].id;
    b.end("live/cam");
    assert_eq!(b.dropped, [connecting]);
    b.publish("live/cam", Some(PEER));
    b.refuse(b.made[1].id, "", None);
    b.end("live/cam");
    assert!(!b.advance(100 * SECOND));
    assert_eq!((b.made.len(), b.ended()), (2, 2));
}

#[test]
fn redirects_are_followed_five_times() {
    let mut b = Bench::new(&[push()]);
    b.publish("live/cam", Some(PEER));
    for hop in 1..=6 {
        assert_eq!(b.made.len(), hop);
        let to = format!("rtmp://h{hop}/live/cam");
        b.refuse(b.made[hop - 1].id, code::CONNECT_REJECTED, Some(&to));
    }
    let urls: Vec<&str> = b.made.iter().map(|made| &*made.url).collect();
    assert_eq!(
        urls[1..],
        [
            "rtmp://h1/live/cam",
            "rtmp://h2/live/cam",
            "rtmp://h3/live/cam",
            "rtmp://h4/live/cam",
            "rtmp://h5/live/cam"
        ]
    );
    assert!(b.failure().1.is_some(), "then it is a failure");
    assert!(b.advance(60 * SECOND));
    assert_eq!(b.made[6].url, "rtmp://far/live/cam", "from the beginning");
}

/// What the settings say of the rule's server holds for no other.
#[test]
fn a_redirect_to_another_server_is_known_as_one() {
    let mut b = Bench::new(&[push()]);
    b.publish("live/cam", Some(PEER));
    for (to, is_redirect) in [
        ("rtmp://far/edge/cam", false),
        ("rtmps://far/edge/cam", false),
        ("rtmp://far:7/edge/cam", true),
        ("rtmp://other/live/cam", true),
        // Back.
        ("rtmp://far/live/cam", false),
    ] {
        let last = b.made.last().expect("one was made").id;
        b.refuse(last, code::CONNECT_REJECTED, Some(to));
        let made = b.made.last().expect("another was made");
        assert_eq!((&*made.url, made.is_redirect), (to, is_redirect));
    }
    let last = b.made.last().expect("one was made").id;
    b.refuse(last, code::CONNECT_REJECTED, None);
    b.advance(60 * SECOND);
    assert!(!b.made.last().expect("another").is_redirect);
}

#[test]
fn a_loop_is_told_once_and_left() {
    let mut b = Bench::new(&[push()]);
    b.relays.came_through(PEER, vec![7]);
    b.publish("live/cam", Some(PEER));
    assert_eq!(b.made[0].via, [7], "the other server is told");
    b.refuse(b.made[0].id, code::CONNECT_LOOP, None);
    assert_eq!(b.failure(), (code::CONNECT_LOOP, None));
    assert_eq!(b.states(), [RelayState::Parked]);
    assert!(!b.advance(1000 * SECOND));
    // From another publisher it may be none.
    b.publish("live/cam", Some(ConnectionId::from_u64(2)));
    assert_eq!(b.made.len(), 2);
    assert_eq!(b.made[1].via, [0; 0]);
}

#[test]
fn what_one_player_says_it_came_through_parks_a_stream_for_no_other() {
    for start in [PullStart::Demand, PullStart::Always] {
        let mut b = Bench::new(&[pull(start)]);
        let before = b.made.len();
        b.relays.came_through(PEER, vec![7]);
        b.play("live/cam", PEER);
        let made = b.made.len();
        assert!(made >= before);
        b.refuse(b.made[made - 1].id, code::CONNECT_LOOP, None);
        assert_eq!(b.states(), [RelayState::Parked]);
        b.play("live/cam", ConnectionId::from_u64(2));
        assert_eq!(b.made.len(), made + 1);
        assert_eq!(b.made[made].via, [0; 0]);
    }
}

#[test]
fn what_is_played_is_fetched_and_left_when_nobody_plays() {
    let mut b = Bench::new(&[pull(PullStart::Demand)]);
    assert_eq!(b.made, []);
    b.relays.came_through(PEER, vec![9]);
    b.play("live/cam", PEER);
    assert_eq!((b.made.len(), b.made[0].mode), (1, ClientMode::Play));
    assert_eq!(b.made[0].via, [9]);
    let id = b.grant();
    assert_eq!(b.states(), [RelayState::Running]);
    b.leave("live/cam");
    b.advance(29 * SECOND);
    b.play("live/cam", PEER);
    b.advance(60 * SECOND);
    assert_eq!(b.states(), [RelayState::Running], "somebody came back");
    b.leave("live/cam");
    assert!(b.advance(30 * SECOND));
    assert_eq!((b.dropped.clone(), b.ended()), (vec![id], 1));
    assert_eq!(b.states(), []);
}

#[test]
fn what_somebody_else_publishes_is_not_fetched() {
    for start in [PullStart::Demand, PullStart::Always] {
        let mut b = Bench::new(&[]);
        b.publish("live/cam", Some(PEER));
        b.play("live/cam", PEER);
        b.add(1, &pull(start));
        b.turn();
        assert_eq!((b.made.len(), b.states()), (0, vec![RelayState::Parked]));
        b.unpublish("live/cam");
        assert_eq!(b.made.len(), 1, "{start:?}");
    }
}

#[test]
fn what_is_always_fetched_is_from_the_start() {
    let mut b = Bench::new(&[pull(PullStart::Always)]);
    assert_eq!(b.made.len(), 1);
    b.grant();
    b.advance(1000 * SECOND);
    assert_eq!(b.states(), [RelayState::Running]);
}

/// The other server may let us wait for it as long as it likes.
#[test]
fn what_is_fetched_is_passed_on_once_it_comes() {
    let pushes = |b: &Bench| {
        let made = b.made.iter();
        made.filter(|made| made.mode == ClientMode::Publish).count()
    };
    let mut b = Bench::new(&[pull(PullStart::Always), push()]);
    let pulled = b.grant();
    b.add(
        3,
        &RelayRule::Push(PushRule::new("*", "rtmp://far/copy/{name}")),
    );
    b.advance(1000 * SECOND);
    assert_eq!(pushes(&b), 0);
    b.carries("live/cam");
    assert_eq!(pushes(&b), 2);
    // It ends there, and comes again; its tracks are told of one by one.
    b.end("live/cam");
    b.publish("live/cam", Some(pulled));
    assert_eq!(pushes(&b), 2);
    b.carries("live/cam");
    b.carries("live/cam");
    assert_eq!(pushes(&b), 4);
    // Somebody else publishes at once.
    b.end("live/cam");
    b.publish("live/cam", Some(pulled));
    b.publish("live/cam", Some(PEER));
    assert_eq!(pushes(&b), 6);
    b.carries("live/cam");
    assert_eq!(pushes(&b), 6);
}

/// It cannot come from where it is wanted.
#[test]
fn a_relay_is_refused_what_it_would_send_round() {
    use crate::access::AccessAction::{Connect, Play, Publish};
    let mut b = Bench::new(&[]);
    let (from, to, plain) = (PEER, ConnectionId::from_u64(2), ConnectionId::from_u64(3));
    let cam = name("live/cam");
    b.relays.came_through(from, vec![7, 8]);
    b.relays.came_through(to, vec![9, 8]);
    let goes_round = |b: &Bench, id, action| b.relays.goes_round(id, action, &cam);
    assert!(!goes_round(&b, from, Publish));
    b.play("live/cam", to);
    assert!(goes_round(&b, from, Publish) && !goes_round(&b, from, Connect));
    assert!(
        !goes_round(&b, plain, Publish),
        "it says nothing of its way"
    );
    assert!(!b.relays.goes_round(from, Publish, &name("live/other")));
    b.relays.left(b.now, &cam, to);
    assert!(!goes_round(&b, from, Publish));
    b.publish("live/cam", Some(from));
    assert!(goes_round(&b, to, Play) && !goes_round(&b, plain, Play));
    // Those that came at the same moment are let go.
    b.play("live/cam", to);
    b.publish("live/cam", None);
    b.relays.came_through(to, vec![9, 8]);
    b.play("live/cam", to);
    assert_eq!(b.dropped, [to], "nothing goes round");
    b.publish("live/cam", Some(from));
    assert_eq!(b.dropped, [to, to]);
    b.leave("live/cam");
    b.relays.left(b.now, &cam, to);
    b.relays.came_through(to, vec![9, 8]);
    // Somebody else takes it over; then it ends.
    b.publish("live/cam", Some(plain));
    assert!(!goes_round(&b, to, Play));
    b.publish("live/cam", Some(from));
    b.unpublish("live/cam");
    assert!(!goes_round(&b, to, Play));
    b.close(from, "left");
    b.close(to, "left");
    assert!(b.relays.is_idle(), "nothing is kept of them");
}

#[test]
fn another_publisher_s_way_is_told_over_a_new_connection() {
    let mut b = Bench::new(&[push()]);
    b.relays.came_through(PEER, vec![7]);
    let other = ConnectionId::from_u64(2);
    b.publish("live/cam", Some(PEER));
    let first = b.grant();
    // It comes as before.
    b.publish("live/cam", Some(PEER));
    assert_eq!((b.dropped.len(), b.made.len()), (0, 1));
    b.publish("live/cam", Some(other));
    assert_eq!((&b.dropped[..], b.made.len()), (&[first][..], 2));
    assert_eq!(b.made[1].via, [0; 0]);
    // While one is being made, and while none is.
    b.publish("live/cam", Some(PEER));
    assert_eq!((b.dropped.len(), b.made.len()), (2, 3));
    b.refuse(b.made[2].id, "", None);
    b.publish("live/cam", Some(other));
    assert_eq!(b.made.len(), 3, "its pause is not over");
    b.advance(60 * SECOND);
    assert_eq!((b.made.len(), &b.made[3].via[..]), (4, &[][..]));
}

#[test]
fn a_rule_that_is_gone_takes_its_connections_along() {
    let mut b = Bench::new(&[push(), pull(PullStart::Always)]);
    b.publish("live/other", Some(PEER));
    let ids: Vec<ConnectionId> = b.made.iter().map(|made| made.id).collect();
    for rule in [1, 2] {
        assert!(b.relays.remove(RelayId::from_u64(rule)));
        assert!(!b.relays.remove(RelayId::from_u64(rule)));
        b.turn();
    }
    assert_eq!(b.dropped.len(), ids.len());
    assert_eq!(b.ended(), ids.len());
    assert!(b.relays.is_idle());
    b.publish("live/third", Some(PEER));
    assert_eq!(b.made.len(), ids.len());
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Act {
    Publish(u8),
    Unpublish(u8),
    End(u8),
    Play(u8),
    Leave(u8),
    Grant,
    Close(prop::sample::Index),
    Refuse(prop::sample::Index, bool, bool),
    Remove(u64),
    Add(u64),
    Wait(u16),
}

fn act() -> impl Strategy<Value = Act> {
    let stream = 0..3u8;
    prop_oneof![
        stream.clone().prop_map(Act::Publish),
        stream.clone().prop_map(Act::Unpublish),
        stream.clone().prop_map(Act::End),
        stream.clone().prop_map(Act::Play),
        stream.prop_map(Act::Leave),
        Just(Act::Grant),
        any::<prop::sample::Index>().prop_map(Act::Close),
        (any::<prop::sample::Index>(), any::<bool>(), any::<bool>())
            .prop_map(|(which, redirect, turns)| Act::Refuse(which, redirect, turns)),
        (1..4u64).prop_map(Act::Remove),
        (1..4u64).prop_map(Act::Add),
        (0..40_000u16).prop_map(Act::Wait),
    ]
}

proptest! {
    /// Whatever happens in whatever order: one connection at most for each stream of a
    /// rule, every pause kept, and once all is over nothing is left.
    #[test]
    fn nothing_is_left_and_nothing_is_made_twice(acts in prop::collection::vec(act(), 0..60)) {
        let rules = [push(), pull(PullStart::Demand), pull(PullStart::Always)];
        let mut b = Bench::new(&rules);
        let path = |stream: u8| ["live/cam", "live/b", "vod/c"][usize::from(stream)];
        for act in acts {
            match act {
                Act::Publish(s) => b.publish(path(s), Some(PEER)),
                Act::Unpublish(s) => b.unpublish(path(s)),
                Act::End(s) => b.end(path(s)),
                Act::Play(s) => b.play(path(s), PEER),
                Act::Leave(s) => b.leave(path(s)),
                Act::Grant if !b.made.is_empty() => { b.grant(); }
                Act::Close(which) if !b.made.is_empty() => {
                    let id = which.get(&b.made).id;
                    b.close(id, "gone");
                    b.turn();
                }
                Act::Refuse(which, redirect, is_loop) if !b.made.is_empty() => {
                    let id = which.get(&b.made).id;
                    let code = if is_loop { code::CONNECT_LOOP } else { "" };
                    b.refuse(id, code, redirect.then_some("rtmp://other/live/cam"));
                }
                Act::Grant | Act::Close(_) | Act::Refuse(..) => {}
                Act::Remove(id) => { b.relays.remove(RelayId::from_u64(id)); b.turn(); }
                Act::Add(id) => {
                    b.relays.remove(RelayId::from_u64(id));
                    b.add(id, &rules[id as usize - 1]);
                    b.turn();
                }
                Act::Wait(ms) => { b.advance(Duration::from_millis(ms.into())); }
            }
            for made in &b.made {
                let of = |link: &&super::Link| match link.state {
                    super::State::Connecting(id) => id == Some(made.id),
                    super::State::Running(id, _) => id == made.id,
                    _ => false,
                };
                prop_assert!(b.relays.links.values().filter(of).count() <= 1);
            }
            for link in b.relays.links.values() {
                prop_assert!(link.due.is_none_or(|due| due > b.now), "it is overdue");
            }
            prop_assert_eq!(
                b.relays.links.values().filter(|link| link.due.is_some()).count(),
                b.relays.due.len()
            );
        }
        for id in 1..4 {
            b.relays.remove(RelayId::from_u64(id));
        }
        b.turn();
        for made in b.made.clone() {
            b.close(made.id, "over");
        }
        prop_assert!(b.relays.is_idle());
        prop_assert!(b.relays.due.is_empty() && b.relays.links.is_empty());
    }
}

/// A player of another server, whose wish began at this one.
fn wish(b: &mut Bench, from: &[u64]) {
    b.ids += 1;
    let player = ConnectionId::from_u64(b.ids);
    b.relays.came_through(player, from.to_vec());
    b.play("live/cam", player);
}

#[test]
fn a_wish_that_comes_later_is_passed_on_if_it_began_above_all_that_were_told_of() {
    let mut b = Bench::new(&[pull(PullStart::Always)]);
    let first = b.grant();
    // What is fetched has not come yet: nobody publishes it anywhere.
    wish(&mut b, &[OWN - 1]);
    assert_eq!(b.made.len(), 1, "below ours");
    wish(&mut b, &[OWN + 5, OWN + 9]);
    assert_eq!(b.dropped, [first]);
    b.unpublish("live/cam");
    assert_eq!(b.made.len(), 2);
    assert_eq!(b.made[1].via, [OWN + 5, OWN + 9]);
    assert_eq!(b.events.len(), 1, "it started, and nothing failed");
    let second = b.grant();
    for known in [&[OWN + 5][..], &[OWN + 9], &[OWN + 1], &[]] {
        wish(&mut b, known);
    }
    assert_eq!(b.made.len(), 2);
    // Once it comes, it comes from somewhere, and nothing is to interrupt it.
    b.carries("live/cam");
    wish(&mut b, &[OWN + 20]);
    assert_eq!(b.dropped, [first]);
    b.close(second, "broken");
    b.unpublish("live/cam");
    assert_eq!(b.states().len(), 1);
    while b.made.len() < 3 {
        assert!(b.advance(SECOND));
    }
    wish(&mut b, &[OWN + 20]);
    assert_eq!(b.made.last().map(|m| &*m.via), Some(&[OWN + 20][..]));
    // However often it is asked for.
    for id in OWN + 21..OWN + 100 {
        wish(&mut b, &[id]);
    }
    assert_eq!(b.made.len(), 3 + Config::desktop().limits.relay_hops - 1);
}

/// Servers that always fetch from the next, each knowing of its neighbours only.
#[test]
fn of_a_ring_one_server_lets_go() {
    for ids in [
        [1, 2, 3],
        [3, 2, 1],
        [2, 3, 1],
        [1, 3, 2],
        [2, 1, 3],
        [3, 1, 2],
    ] {
        let settings = Settings::of(&Config::desktop());
        let rule = pull(PullStart::Always).check().expect("a rule");
        let mut ring: Vec<Relays> = ids.map(|id| Relays::new(id, id, settings)).into();
        let now = Time::ZERO + SECOND;
        for relays in &mut ring {
            let always = vec![(name("live/cam"), None)];
            relays.add(now, RelayId::from_u64(1), rule.clone(), true, always);
        }
        let mut numbers = 100;
        let mut refused = 0;
        // Who each one's connection is, there and here.
        let mut made: Vec<Option<(ConnectionId, ConnectionId)>> = vec![None; 3];
        for round in 0..20 {
            for at in 0..3 {
                let next = (at + 1) % 3;
                let (orders, _) = ring[at].poll(now, &Known::default());
                for order in orders {
                    match order {
                        Order::Connect { link, mut via, .. } => {
                            numbers += 2;
                            let here = ConnectionId::from_u64(numbers);
                            let there = ConnectionId::from_u64(numbers + 1);
                            ring[at].connecting(&link, here);
                            via.push(ids[at]);
                            if via.contains(&ids[next]) {
                                refused += 1;
                                let refusal = Refusal {
                                    code: code::CONNECT_LOOP.to_owned(),
                                    redirect: None,
                                };
                                ring[at].refused(here, refusal);
                                let ending = Ending {
                                    reason: "refused".to_owned(),
                                    is_done: false,
                                };
                                ring[at].closed(now, here, ending);
                                made[at] = None;
                                continue;
                            }
                            ring[next].came_through(there, via);
                            ring[next].played(now, &name("live/cam"), there);
                            ring[at].published(now, &name("live/cam"), Some(here));
                            made[at] = Some((here, there));
                        }
                        Order::Disconnect(id) => {
                            let ending = || Ending {
                                reason: "host".to_owned(),
                                is_done: false,
                            };
                            ring[at].closed(now, id, ending());
                            if let Some((_, there)) = made[at].take() {
                                ring[next].closed(now, there, ending());
                            }
                        }
                        Order::Emit(_) => {}
                    }
                }
            }
            assert!(round < 10 || refused == 1, "{ids:?}: {refused} let go");
        }
        let running = made.iter().flatten().count();
        assert_eq!((refused, running), (1, 2), "{ids:?}");
    }
}
