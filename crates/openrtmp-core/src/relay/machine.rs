//! What relays do next, as a function of what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openrtmp_protocol::command::code;
use openrtmp_protocol::session::ClientMode;
use openrtmp_protocol::{RtmpUrl, Time};

use super::backoff::Backoff;
use super::settings::Settings;
use super::told::{Ending, LinkKey, Order, Refusal, Streams};
use super::ways::Ways;
use super::{RelayInfo, RelayLink, RelayState, Rule, RuleKind, shown};
use crate::access::AccessAction;
use crate::events::Event;
use crate::id::{ConnectionId, IdMap, RelayId};
use crate::metrics::RelayCounts;
use crate::secret::StreamName;

/// A connection that stood so long shows that the other server is well.
const WELL: Duration = Duration::from_secs(10);

/// The rules of a server and what becomes of them.
pub(crate) struct Relays {
    /// Names this server among those that a stream comes through.
    id: u64,
    settings: Settings,
    rules: BTreeMap<RelayId, Known>,
    links: BTreeMap<LinkKey, Link>,
    of_connection: IdMap<ConnectionId, LinkKey>,
    /// Links that have something to do, and when.
    due: BTreeSet<(Time, LinkKey)>,
    orders: Vec<Order>,
    /// When the last turn said that the next is to be.
    promised: Option<Time>,
    /// Streams that we fetch ourselves, and of which nothing has come yet, with what
    /// fetches them: there is nothing to be passed on.
    awaited: BTreeMap<StreamName, ConnectionId>,
    ways: Ways,
    random: u64,
    /// Connections that were tried, and those that failed or broke, since the start.
    attempts: u64,
    failures: u64,
}

struct Known {
    rule: Rule,
    configured: bool,
}

struct Link {
    state: State,
    /// What is fetched on demand, and that nobody plays, is left then.
    idle_at: Option<Time>,
    /// The earliest of its times: its place in `due`.
    due: Option<Time>,
    backoff: Backoff,
    /// Where the other server sent us to, instead of where the rule leads.
    elsewhere: Option<RtmpUrl>,
    redirects: u32,
    attempts: u64,
    failures: u64,
    last_error: String,
    /// Of the connection that there is.
    refusal: Refusal,
    /// Servers that the wish to play it has come through.
    via: Vec<u64>,
    /// Media came over the connection that there is.
    carries: bool,
    /// It is being ended, to be made again at once: `via` is another.
    again: bool,
    /// How often that was so.
    lengthened: usize,
    /// The other server said that it goes in circles, as far as `via` tells.
    looped: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// To be tried then.
    Waiting(Time),
    /// Being made; the order for it may not have been carried out yet.
    Connecting(Option<ConnectionId>),
    Running(ConnectionId, Time),
    /// Until its stream begins or ends.
    Parked,
}

impl Relays {
    /// `seed`: for pauses.
    pub(crate) fn new(id: u64, seed: u64, settings: Settings) -> Relays {
        Relays {
            id,
            settings,
            attempts: 0,
            failures: 0,
            rules: BTreeMap::new(),
            links: BTreeMap::new(),
            of_connection: IdMap::default(),
            due: BTreeSet::new(),
            orders: Vec::new(),
            promised: None,
            awaited: BTreeMap::new(),
            ways: Ways::default(),
            random: seed,
        }
    }

    /// Whether nothing that happens concerns them.
    pub(crate) fn is_idle(&self) -> bool {
        self.rules.is_empty() && self.of_connection.is_empty() && self.ways.is_empty()
    }

    /// Whether there is something to do before the time that [`Relays::poll`] said last.
    pub(crate) fn wants_turn(&self) -> bool {
        let due = self.due.first().map(|(at, _)| *at);
        let is_earlier = due.is_some_and(|due| self.promised.is_none_or(|at| due < at));
        !self.orders.is_empty() || is_earlier
    }

    /// What a connection brings has come through these servers.
    pub(crate) fn came_through(&mut self, connection: ConnectionId, via: Vec<u64>) {
        self.ways.came_through(connection, via);
    }

    /// Whether a stream would go round if a connection published or played it.
    pub(crate) fn goes_round(
        &self,
        connection: ConnectionId,
        action: AccessAction,
        name: &StreamName,
    ) -> bool {
        self.ways.goes_round(connection, action, name)
    }

    /// Other settings, for what is decided from now on.
    pub(crate) fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// A rule that says the same.
    pub(crate) fn same(&self, rule: &Rule) -> Option<RelayId> {
        let mut rules = self.rules.iter();
        let (id, _) = rules.find(|(_, known)| known.rule == *rule)?;
        Some(*id)
    }

    /// How many rules and streams of them there are, and what was tried.
    pub(crate) fn counts(&self) -> RelayCounts {
        let mut counts = RelayCounts {
            rules: self.rules.len(),
            attempts: self.attempts,
            failures: self.failures,
            ..RelayCounts::default()
        };
        for link in self.links.values() {
            *match link.state {
                State::Waiting(_) => &mut counts.waiting,
                State::Connecting(_) => &mut counts.connecting,
                State::Running(..) => &mut counts.running,
                State::Parked => &mut counts.parked,
            } += 1;
        }
        counts
    }

    /// Rules that the host added.
    pub(crate) fn added(&self) -> usize {
        self.rules
            .values()
            .filter(|known| !known.configured)
            .count()
    }

    pub(crate) fn is_added(&self, id: RelayId) -> bool {
        self.rules.get(&id).is_some_and(|known| !known.configured)
    }

    /// A rule that holds from now on. `candidates` are streams that it may be about: for
    /// [`RuleKind::Push`] those that are published, for [`RuleKind::PullOnDemand`] those
    /// that are played, for [`RuleKind::PullAlways`] the one that it names; each with the
    /// connection that it is about.
    pub(crate) fn add(
        &mut self,
        now: Time,
        id: RelayId,
        rule: Rule,
        configured: bool,
        candidates: Vec<(StreamName, Option<ConnectionId>)>,
    ) {
        let pattern = rule.pattern.clone();
        let is_push = rule.kind == RuleKind::Push;
        self.rules.insert(id, Known { rule, configured });
        for (name, connection) in candidates {
            let comes_later = is_push && self.awaited.contains_key(&name);
            if pattern.matches(name.reveal()) && !comes_later {
                self.begin((name, id), now, connection);
            }
        }
    }

    /// A rule holds no longer: its connections end. False if there is none.
    pub(crate) fn remove(&mut self, id: RelayId) -> bool {
        let keys = self.links.keys().filter(|key| key.1 == id);
        for key in keys.cloned().collect::<Vec<_>>() {
            self.drop_link(&key);
            self.emit(Event::RelayEnded {
                relay: key.1,
                name: key.0,
            });
        }
        self.rules.remove(&id).is_some()
    }

    /// The rules that the settings name.
    pub(crate) fn configured(&self) -> Vec<(RelayId, Rule)> {
        let rules = self.rules.iter().filter(|(_, known)| known.configured);
        rules.map(|(id, known)| (*id, known.rule.clone())).collect()
    }

    /// A stream has a publisher.
    pub(crate) fn published(
        &mut self,
        now: Time,
        name: &StreamName,
        publisher: Option<ConnectionId>,
    ) {
        match publisher {
            Some(publisher) if self.granted(now, publisher, ClientMode::Play) => {
                self.awaited.insert(name.clone(), publisher);
            }
            _ => {
                self.awaited.remove(name);
                self.pass_on(now, name, publisher);
            }
        }
    }

    /// A stream is there to be passed on.
    fn pass_on(&mut self, now: Time, name: &StreamName, publisher: Option<ConnectionId>) {
        // Whoever asked at the same moment was not known of.
        let round = self.ways.published(name, publisher).into_iter();
        self.orders.extend(round.map(Order::Disconnect));
        for id in self.matching(name, |kind| kind == RuleKind::Push) {
            let key = (name.clone(), id);
            match self.links.get(&key).map(|link| link.state) {
                None | Some(State::Parked) => self.begin(key, now, publisher),
                Some(_) => self.comes_otherwise(&key, publisher),
            }
        }
    }

    /// A stream that is passed on has another publisher. If it comes through other servers
    /// than the target was told, the connection is made again to tell so: else a stream
    /// that comes back to where it was taken over would be known there by nobody, and go
    /// round for ever.
    fn comes_otherwise(&mut self, key: &LinkKey, publisher: Option<ConnectionId>) {
        let via = publisher.map_or_else(Vec::new, |id| self.via_of(key, id));
        let Some(link) = self.links.get_mut(key).filter(|link| link.via != via) else {
            return;
        };
        link.via = via;
        if let State::Connecting(Some(connection)) | State::Running(connection, _) = link.state {
            link.again = true;
            self.orders.push(Order::Disconnect(connection));
        }
    }

    /// A stream's publisher has left: what it kept from being fetched is.
    pub(crate) fn unpublished(&mut self, now: Time, name: &StreamName) {
        let had_come = self.awaited.remove(name).is_none();
        self.ways.published(name, None);
        for key in self.links_of(name) {
            let is_pull = self
                .kind_of(key.1)
                .is_some_and(|kind| kind != RuleKind::Push);
            if is_pull
                && self
                    .links
                    .get(&key)
                    .is_some_and(|l| l.state == State::Parked)
            {
                // Who plays it came while there was no need to tell of them: it may be fetched
                // from one of those now.
                let most = self.settings.hops.saturating_sub(1);
                if had_come && let Some(link) = self.links.get_mut(&key) {
                    link.via = self.ways.wishes(name, &link.via, most);
                }
                self.change(&key, |link| link.state = State::Waiting(now));
            }
        }
    }

    /// A stream is over: it is passed on no longer.
    pub(crate) fn ended(&mut self, name: &StreamName) {
        self.awaited.remove(name);
        for key in self.links_of(name) {
            if self.kind_of(key.1) != Some(RuleKind::Push) {
                continue;
            }
            if let Some(Link {
                state: State::Running(..),
                ..
            }) = self.links.get(&key)
            {
                // It says goodbye by itself.
                self.forget_link(&key);
            } else {
                self.drop_link(&key);
            }
            self.emit(Event::RelayEnded {
                relay: key.1,
                name: key.0,
            });
        }
    }

    /// Whether a rule fetches this stream when somebody plays it.
    pub(crate) fn fetches(&self, name: &StreamName) -> bool {
        let is_fetched = |kind| matches!(kind, RuleKind::PullOnDemand(_));
        !self.matching(name, is_fetched).is_empty()
    }

    /// Somebody plays a stream, or waits for it.
    pub(crate) fn played(&mut self, now: Time, name: &StreamName, player: ConnectionId) {
        if self.granted(now, player, ClientMode::Publish) {
            return;
        }
        if self.ways.played(name, player) {
            return self.orders.push(Order::Disconnect(player));
        }
        self.lengthen(now, name, player);
        for id in self.matching(name, |kind| matches!(kind, RuleKind::PullOnDemand(_))) {
            let key = (name.clone(), id);
            match self.links.contains_key(&key) {
                true => self.change(&key, |link| link.idle_at = None),
                false => self.begin(key, now, Some(player)),
            }
        }
        // What one player said it came through is no word about another.
        for key in self.links_of(name) {
            if self.links.get(&key).is_some_and(|link| link.looped) {
                self.begin(key, now, Some(player));
            }
        }
    }

    /// Media of a stream came.
    pub(crate) fn carries(&mut self, now: Time, name: &StreamName) {
        if let Some(publisher) = self.awaited.remove(name) {
            self.pass_on(now, name, Some(publisher));
        }
        for key in self.links_of(name) {
            if let Some(link) = self.links.get_mut(&key) {
                link.carries |= matches!(link.state, State::Running(..));
            }
        }
    }

    /// Another server wants a stream that is fetched here already: whom it is fetched from
    /// does not know of that server. If it is one of those behind it, they all wait for one
    /// another, and nothing will ever come. So as long as nothing has, the connection is
    /// made again with what is known now.
    ///
    /// Of several that find it out at once one has to stay: as ids of the processes of a
    /// ring go round in an election (Chang and Roberts 1979), only a wish that began at a
    /// server whose id is above ours, and above all that we told of, is passed on. The
    /// greatest gets around, and its server refuses it. No ring has more servers than a
    /// stream may come through: nobody can make us connect again more often.
    fn lengthen(&mut self, now: Time, name: &StreamName, player: ConnectionId) {
        for key in self.links_of(name) {
            if self
                .kind_of(key.1)
                .is_none_or(|kind| kind == RuleKind::Push)
            {
                continue;
            }
            let via = self.via_of(&key, player);
            let (Some(first), Some(link)) = (via.first(), self.links.get_mut(&key)) else {
                continue;
            };
            let is_long = link.lengthened >= self.settings.hops;
            let is_greatest = link.via.iter().chain([&self.id]).all(|id| id < first);
            if link.carries || link.again || is_long || !is_greatest {
                continue;
            }
            link.lengthened += 1;
            match link.state {
                State::Connecting(Some(connection)) | State::Running(connection, _) => {
                    link.again = true;
                    link.via = via;
                    self.orders.push(Order::Disconnect(connection));
                }
                State::Waiting(_) => self.change(&key, |link| {
                    link.via = via;
                    link.state = State::Waiting(now);
                }),
                State::Connecting(None) | State::Parked => {}
            }
        }
    }

    /// Somebody plays a stream no longer. Whether anybody still does is looked at when
    /// the time for it is over.
    pub(crate) fn left(&mut self, now: Time, name: &StreamName, player: ConnectionId) {
        self.ways.left(name, player);
        for key in self.links_of(name) {
            if let Some(RuleKind::PullOnDemand(timeout)) = self.kind_of(key.1) {
                self.change(&key, |link| link.idle_at = Some(now + timeout));
            }
        }
    }

    /// An order was carried out: this is the connection.
    pub(crate) fn connecting(&mut self, key: &LinkKey, connection: ConnectionId) {
        match self.links.get_mut(key) {
            Some(link) => {
                link.state = State::Connecting(Some(connection));
                self.of_connection.insert(connection, key.clone());
            }
            // Nobody wants it any more.
            None => self.orders.push(Order::Disconnect(connection)),
        }
    }

    /// An order could not be carried out.
    pub(crate) fn failed(&mut self, now: Time, key: &LinkKey, reason: String) {
        let ending = Ending {
            reason,
            is_done: false,
        };
        self.over(now, key, ending);
    }

    /// If a connection is one of ours: the other server granted what it is for, and so
    /// did this. False if it is not.
    fn granted(&mut self, now: Time, connection: ConnectionId, mode: ClientMode) -> bool {
        let Some(key) = self.of_connection.get(&connection).cloned() else {
            return false;
        };
        let is_ours = self.kind_of(key.1).is_some_and(|kind| kind.mode() == mode);
        if let Some(link) = self.links.get_mut(&key)
            && is_ours
            && link.state == State::Connecting(Some(connection))
        {
            link.state = State::Running(connection, now);
            let url = self.shown_url(&key);
            self.emit(Event::RelayStarted {
                relay: key.1,
                connection,
                name: key.0,
                url,
            });
        }
        is_ours
    }

    /// The other server refused, or sends us elsewhere: more of how a connection ends that
    /// is about to.
    pub(crate) fn refused(&mut self, connection: ConnectionId, refusal: Refusal) {
        if let Some(key) = self.of_connection.get(&connection)
            && let Some(link) = self.links.get_mut(key)
        {
            link.refusal = refusal;
        }
    }

    /// A connection is over, or came to nothing.
    pub(crate) fn closed(&mut self, now: Time, connection: ConnectionId, ending: Ending) {
        self.ways.closed(connection);
        let Some(key) = self.of_connection.remove(&connection) else {
            return;
        };
        let of_this = |link: &&Link| match link.state {
            State::Connecting(id) => id == Some(connection),
            State::Running(id, _) => id == connection,
            State::Waiting(_) | State::Parked => false,
        };
        if self.links.get(&key).filter(of_this).is_some() {
            self.over(now, &key, ending);
        }
    }

    /// What is due now, and when to ask again.
    pub(crate) fn poll(&mut self, now: Time, streams: &impl Streams) -> (Vec<Order>, Option<Time>) {
        while let Some((at, key)) = self.due.first().cloned() {
            if at > now {
                break;
            }
            self.due.remove(&(at, key.clone()));
            if let Some(link) = self.links.get_mut(&key) {
                link.due = None;
                self.meet(now, key, streams);
            }
        }
        self.promised = self.due.first().map(|(at, _)| *at);
        (std::mem::take(&mut self.orders), self.promised)
    }

    /// A time of a link has come.
    fn meet(&mut self, now: Time, key: LinkKey, streams: &impl Streams) {
        let (Some(kind), Some(link)) = (self.kind_of(key.1), self.links.get(&key)) else {
            return;
        };
        let (name, state) = (&key.0, link.state);
        let is_idle = link.idle_at.is_some_and(|at| at <= now);
        let is_wanted = match kind {
            RuleKind::Push => streams.is_live(name),
            RuleKind::PullOnDemand(_) if is_idle || matches!(state, State::Waiting(_)) => {
                streams.is_played(name)
            }
            RuleKind::PullOnDemand(_) | RuleKind::PullAlways => true,
        };
        if !is_wanted {
            self.drop_link(&key);
            return self.emit(Event::RelayEnded {
                relay: key.1,
                name: key.0,
            });
        }
        if is_idle {
            self.change(&key, |link| link.idle_at = None);
        }
        match state {
            State::Waiting(at) if at <= now => {
                match kind != RuleKind::Push && streams.is_live(name) {
                    true => self.change(&key, |link| link.state = State::Parked),
                    false => self.connect(now, key, kind),
                }
            }
            _ => self.change(&key, |_| {}),
        }
    }

    fn connect(&mut self, now: Time, key: LinkKey, kind: RuleKind) {
        let url = match self.url_of(&key) {
            Ok(url) => Box::new(url),
            Err(error) => return self.failed(now, &key, error.to_string()),
        };
        let mode = kind.mode();
        let named = self.named_url(&key);
        let is_redirect = named.is_ok_and(|named| !named.is_same_server(&url));
        let mut via = Vec::new();
        self.change(&key, |link| {
            link.state = State::Connecting(None);
            link.attempts += 1;
            link.carries = false;
            via.clone_from(&link.via);
        });
        self.attempts += 1;
        self.orders.push(Order::Connect {
            link: key,
            mode,
            url,
            is_redirect,
            via,
        });
    }

    /// A link's connection is over.
    fn over(&mut self, now: Time, key: &LinkKey, ending: Ending) {
        if ending.is_done {
            self.forget_link(key);
            return self.emit(Event::RelayEnded {
                relay: key.1,
                name: key.0.clone(),
            });
        }
        let (random, url) = (self.next_random(), self.shown_url(key));
        let is_pull = self.kind_of(key.1) != Some(RuleKind::Push);
        let Settings {
            pauses, redirects, ..
        } = self.settings;
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if std::mem::take(&mut link.again) {
            return self.change(key, |link| link.state = State::Waiting(now));
        }
        if let State::Running(_, since) = link.state
            && now.since(since) >= WELL
        {
            link.backoff.reset();
            link.redirects = 0;
        }
        let Refusal { code, redirect } = std::mem::take(&mut link.refusal);
        let mut reason = ending.reason;
        if redirect.is_some() {
            link.redirects += 1;
            if link.redirects <= redirects {
                link.elsewhere = redirect;
                return self.change(key, |link| link.state = State::Waiting(now));
            }
            reason = format!("more than {redirects} redirects in a row, limits.relay_redirects");
        }
        // The next attempt goes where the rule leads.
        link.elsewhere = None;
        link.redirects = 0;
        link.failures += 1;
        self.failures += 1;
        link.last_error.clone_from(&reason);
        link.looped = code == code::CONNECT_LOOP && is_pull;
        let retry_in = match code == code::CONNECT_LOOP {
            true => None,
            false => Some(link.backoff.after_failure(pauses, random)),
        };
        self.change(key, |link| {
            link.state = retry_in.map_or(State::Parked, |pause| State::Waiting(now + pause));
        });
        self.emit(Event::RelayFailed {
            relay: key.1,
            name: key.0.clone(),
            url,
            code,
            reason,
            retry_in,
        });
    }

    /// Every rule and its streams.
    pub(crate) fn list(&self, now: Time) -> Vec<RelayInfo> {
        let mut list: BTreeMap<RelayId, RelayInfo> = BTreeMap::new();
        for (id, known) in &self.rules {
            let info = RelayInfo {
                id: *id,
                direction: known.rule.kind.direction(),
                pattern: known.rule.pattern.to_string(),
                url: known.rule.url.to_string(),
                configured: known.configured,
                links: Vec::new(),
            };
            list.insert(*id, info);
        }
        for ((name, id), link) in &self.links {
            let (state, connection) = match link.state {
                State::Waiting(until) => (RelayState::Waiting(until.since(now)), None),
                State::Connecting(id) => (RelayState::Connecting, id),
                State::Running(id, _) => (RelayState::Running, Some(id)),
                State::Parked => (RelayState::Parked, None),
            };
            if let Some(info) = list.get_mut(id) {
                info.links.push(RelayLink {
                    stream: name.clone(),
                    state,
                    connection,
                    attempts: link.attempts,
                    failures: link.failures,
                    last_error: link.last_error.clone(),
                });
            }
        }
        list.into_values().collect()
    }

    /// A link that is tried at once, whatever it was.
    fn begin(&mut self, key: LinkKey, now: Time, connection: Option<ConnectionId>) {
        let via = connection.map_or_else(Vec::new, |id| self.via_of(&key, id));
        self.links.entry(key.clone()).or_insert_with(|| Link {
            state: State::Parked,
            idle_at: None,
            due: None,
            backoff: Backoff::default(),
            elsewhere: None,
            redirects: 0,
            attempts: 0,
            failures: 0,
            last_error: String::new(),
            refusal: Refusal::default(),
            via: Vec::new(),
            carries: false,
            again: false,
            lengthened: 0,
            looped: false,
        });
        self.change(&key, |link| {
            link.state = State::Waiting(now);
            link.looped = false;
            link.via = via;
        });
    }

    /// The servers that what a connection brings has come through. What we fetch ourselves
    /// may go back under another name: that is a copy, and no circle.
    fn via_of(&self, key: &LinkKey, connection: ConnectionId) -> Vec<u64> {
        let Some(via) = self.ways.of(connection) else {
            return Vec::new();
        };
        let fetched = self.of_connection.get(&connection);
        let place = |key: &LinkKey| {
            let url = self.url_of(key).ok()?;
            Some((url.app, url.stream))
        };
        match fetched.is_some_and(|fetched| place(fetched) != place(key)) {
            true => Vec::new(),
            false => via.clone(),
        }
    }

    /// Changes a link, and keeps its place among those that are due.
    fn change(&mut self, key: &LinkKey, change: impl FnOnce(&mut Link)) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        change(link);
        let retry_at = match link.state {
            State::Waiting(at) => Some(at),
            State::Connecting(_) | State::Running(..) | State::Parked => None,
        };
        let due = retry_at.into_iter().chain(link.idle_at).min();
        if due != link.due {
            if let Some(at) = link.due {
                self.due.remove(&(at, key.clone()));
            }
            if let Some(at) = due {
                self.due.insert((at, key.clone()));
            }
            link.due = due;
        }
    }

    /// A link ends, its connection with it.
    fn drop_link(&mut self, key: &LinkKey) {
        let connection = match self.links.get(key).map(|link| link.state) {
            Some(State::Connecting(connection)) => connection,
            Some(State::Running(connection, _)) => Some(connection),
            Some(State::Waiting(_) | State::Parked) | None => None,
        };
        self.orders.extend(connection.map(Order::Disconnect));
        self.forget_link(key);
    }

    fn forget_link(&mut self, key: &LinkKey) {
        if let Some(Link { due: Some(at), .. }) = self.links.remove(key) {
            self.due.remove(&(at, key.clone()));
        }
    }

    fn kind_of(&self, id: RelayId) -> Option<RuleKind> {
        self.rules.get(&id).map(|known| known.rule.kind)
    }

    /// The rules of a kind that are about a stream.
    fn matching(&self, name: &StreamName, kind: impl Fn(RuleKind) -> bool) -> Vec<RelayId> {
        let rules = self.rules.iter().filter(|(_, known)| {
            kind(known.rule.kind) && known.rule.pattern.matches(name.reveal())
        });
        rules.map(|(id, _)| *id).collect()
    }

    fn links_of(&self, name: &StreamName) -> Vec<LinkKey> {
        let first = (name.clone(), RelayId::from_u64(0));
        let of_name = self
            .links
            .range(first..)
            .take_while(|(key, _)| key.0 == *name);
        of_name.map(|(key, _)| key.clone()).collect()
    }

    /// Where a link's next connection goes, or its present one went.
    fn url_of(&self, key: &LinkKey) -> Result<RtmpUrl, String> {
        let link = self.links.get(key);
        if let Some(elsewhere) = link.and_then(|link| link.elsewhere.as_ref()) {
            return Ok(elsewhere.clone());
        }
        self.named_url(key)
    }

    /// Where the rule of a link leads.
    fn named_url(&self, key: &LinkKey) -> Result<RtmpUrl, String> {
        let known = self.rules.get(&key.1).ok_or("the rule is gone")?;
        let url = known.rule.url.of(key.0.reveal());
        url.map_err(|error| error.to_string())
    }

    fn shown_url(&self, key: &LinkKey) -> String {
        self.url_of(key).map(|url| shown(&url)).unwrap_or_default()
    }

    fn emit(&mut self, event: Event) {
        self.orders.push(Order::Emit(Box::new(event)));
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests;
