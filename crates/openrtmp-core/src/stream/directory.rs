//! Where each stream lives. Locked by publish, play and their ends; never per
//! frame.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::RequestId;

use crate::config::{Config, SecondPublisher};
use crate::id::{ConnectionId, IdMap, Ids, PublisherId, StreamId};
use crate::secret::{Secrecy, StreamName};
use crate::stream::listed::PublisherInfo;
use crate::stream::pulse::Pulse;
use crate::stream::tap_queue::{Selection, TapQueue};
use crate::sync::lock;

/// All streams that somebody publishes, plays, taps or waits for.
pub(crate) struct Directory {
    inner: Mutex<Inner>,
}

/// The directory, locked. Messages that must not overtake a change of it are
/// sent while it is held.
pub(crate) struct Inner {
    ids: Arc<Ids>,
    streams: BTreeMap<StreamName, Entry>,
    names: IdMap<StreamId, StreamName>,
    /// Taps on more than one stream.
    taps: Vec<Arc<TapQueue>>,
    /// Tickets handed out.
    tickets: u64,
    /// Streams with a publisher.
    live: BTreeSet<StreamId>,
}

/// The place of a publisher among those that wait: the lowest is the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

struct Entry {
    id: StreamId,
    /// The one that all have who have to do with the stream.
    name: StreamName,
    epoch: u32,
    home: Option<Home>,
    /// Its publisher, or the last, wants it to be recorded.
    asked: bool,
    /// Workers with subscribers.
    workers: Vec<usize>,
    /// Those that play it and have no worker.
    visits: Vec<(ConnectionId, SocketAddr)>,
    /// Taps on this stream alone.
    taps: Vec<Arc<TapQueue>>,
    /// Publishers that wait for the present one to leave.
    waiting: BTreeMap<Ticket, (ConnectionId, RequestId)>,
}

impl Entry {
    fn is_played(&self) -> bool {
        !self.workers.is_empty() || !self.visits.is_empty()
    }

    fn next_waiting(&mut self) -> Option<(ConnectionId, RequestId)> {
        Some(self.waiting.pop_first()?.1)
    }
}

struct Home {
    worker: usize,
    publisher: Option<PublisherId>,
    pulse: Arc<Pulse>,
    tenure: Arc<Tenure>,
}

/// Who holds the right to publish a stream: readable without the lock, for the host,
/// which is not told as a connection is.
#[derive(Default)]
pub(crate) struct Tenure(AtomicU64);

impl Tenure {
    /// The epoch, and a bit for whether it has its publisher still.
    fn set(&self, epoch: u32, live: bool) {
        self.0
            .store(u64::from(epoch) << 1 | u64::from(live), Ordering::Release);
    }

    /// How the publisher of an epoch stands.
    pub(crate) fn of(&self, epoch: u32) -> Standing {
        let value = self.0.load(Ordering::Acquire);
        match (value >> 1 == u64::from(epoch), value & 1 == 1) {
            (true, true) => Standing::Publishes,
            (true, false) => Standing::Ended,
            (false, _) => Standing::Replaced,
        }
    }
}

/// How a publisher stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The stream is its.
    Publishes,
    /// Its stream was ended.
    Ended,
    /// Another took over.
    Replaced,
}

/// A publish that was granted, to be carried out by the home worker.
pub(crate) struct Grant {
    pub(crate) id: StreamId,
    pub(crate) name: StreamName,
    pub(crate) epoch: u32,
    /// Its publisher wants it to be recorded.
    pub(crate) asked: bool,
    pub(crate) home: usize,
    pub(crate) publisher: PublisherId,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) tenure: Arc<Tenure>,
    pub(crate) workers: Vec<usize>,
    pub(crate) taps: Vec<Arc<TapQueue>>,
    /// The publisher it replaces.
    pub(crate) replaced: Option<PublisherId>,
    /// The silent publisher of another stream whose place it has.
    pub(crate) evicted: Option<PublisherId>,
}

/// What a subscriber is attached to.
pub(crate) struct Attached {
    pub(crate) stream: StreamId,
    pub(crate) home: Option<usize>,
    /// The one that all have who have to do with the stream.
    pub(crate) name: StreamName,
}

/// A stream whose home died.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Orphan {
    pub(crate) id: StreamId,
    /// Workers that have subscribers of it.
    pub(crate) workers: Vec<usize>,
    /// Who published it, and may live elsewhere.
    pub(crate) publisher: Option<PublisherId>,
}

/// The answer to a claim.
pub(crate) enum Claim {
    Granted(Box<Grant>),
    /// The stream has a publisher, and the policy keeps it.
    Busy,
    /// As many publishers as the limit allows.
    Full,
}

impl Directory {
    pub(crate) fn new(ids: Arc<Ids>) -> Directory {
        Directory {
            inner: Mutex::new(Inner {
                ids,
                streams: BTreeMap::new(),
                names: IdMap::default(),
                taps: Vec::new(),
                tickets: 0,
                live: BTreeSet::new(),
            }),
        }
    }

    /// Takes the lock. A panic elsewhere leaves the maps whole: each change is
    /// one call below.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn entry(&mut self, name: &StreamName) -> &mut Entry {
        let (names, ids) = (&mut self.names, &self.ids);
        self.streams.entry(name.clone()).or_insert_with(|| {
            let id = ids.stream();
            names.insert(id, name.clone());
            Entry {
                id,
                name: name.clone(),
                epoch: 0,
                home: None,
                asked: false,
                workers: Vec::new(),
                visits: Vec::new(),
                taps: Vec::new(),
                waiting: BTreeMap::new(),
            }
        })
    }

    fn by_id(&mut self, id: StreamId) -> Option<&mut Entry> {
        let name = self.names.get(&id)?;
        self.streams.get_mut(name)
    }

    fn forget_if_unused(&mut self, id: StreamId) {
        let Some(entry) = self.by_id(id) else { return };
        if entry.home.is_none()
            && entry.workers.is_empty()
            && entry.visits.is_empty()
            && entry.taps.is_empty()
            && entry.waiting.is_empty()
            && let Some(name) = self.names.remove(&id)
        {
            self.streams.remove(&name);
        }
    }

    /// The home worker of a stream that is live, or within its grace.
    pub(crate) fn home(&self, name: &StreamName) -> Option<(StreamId, usize)> {
        let entry = self.streams.get(name)?;
        entry.home.as_ref().map(|home| (entry.id, home.worker))
    }

    /// The same of an id.
    pub(crate) fn home_of(&self, id: StreamId) -> Option<usize> {
        let entry = self.streams.get(self.names.get(&id)?)?;
        entry.home.as_ref().map(|home| home.worker)
    }

    /// The name of a stream that anybody has to do with.
    pub(crate) fn is_live(&self, name: &StreamName) -> bool {
        self.streams
            .get(name)
            .is_some_and(|entry| self.live.contains(&entry.id))
    }

    /// Whether a stream has subscribers, or had a moment ago.
    pub(crate) fn is_played(&self, name: &StreamName) -> bool {
        self.streams.get(name).is_some_and(Entry::is_played)
    }

    /// The streams that have a publisher, with the connection that publishes.
    pub(crate) fn live(&self) -> Vec<(StreamName, Option<ConnectionId>)> {
        let entries = self
            .streams
            .values()
            .filter(|entry| self.live.contains(&entry.id));
        let publisher = |entry: &Entry| match entry.home.as_ref()?.publisher? {
            PublisherId::Connection(connection, _) => Some(connection),
            PublisherId::Host(_) => None,
        };
        entries
            .map(|entry| (entry.name.clone(), publisher(entry)))
            .collect()
    }

    /// The streams that have subscribers.
    pub(crate) fn played(&self) -> Vec<StreamName> {
        let entries = self.streams.values().filter(|entry| entry.is_played());
        entries.map(|entry| entry.name.clone()).collect()
    }

    /// A stream is played by somebody who has no worker.
    pub(crate) fn visit(
        &mut self,
        name: &StreamName,
        visitor: ConnectionId,
        from: SocketAddr,
    ) -> Attached {
        let attached = self.attached(name);
        self.entry(name).visits.push((visitor, from));
        attached
    }

    /// It is no longer. False if it was not.
    pub(crate) fn leave(&mut self, id: StreamId, visitor: ConnectionId) -> bool {
        let mut was_there = false;
        if let Some(entry) = self.by_id(id) {
            let before = entry.visits.len();
            entry.visits.retain(|(is, _)| *is != visitor);
            was_there = entry.visits.len() < before;
        }
        self.forget_if_unused(id);
        was_there
    }

    /// Who plays so, from where, and what.
    pub(crate) fn visits(&self) -> Vec<(ConnectionId, SocketAddr, StreamName)> {
        let of = |entry: &Entry| {
            let name = entry.name.clone();
            let each = entry.visits.clone().into_iter();
            each.map(move |(visitor, from)| (visitor, from, name.clone()))
        };
        self.streams.values().flat_map(of).collect()
    }

    /// What somebody plays so.
    pub(crate) fn visited_by(&self, visitor: ConnectionId) -> Option<(StreamId, StreamName)> {
        let mut entries = self.streams.values();
        let entry = entries.find(|entry| entry.visits.iter().any(|(id, _)| *id == visitor))?;
        Some((entry.id, entry.name.clone()))
    }

    /// Whether somebody plays a stream so.
    pub(crate) fn is_visited(&self, id: StreamId, visitor: ConnectionId) -> bool {
        let entry = self.names.get(&id).and_then(|name| self.streams.get(name));
        entry.is_some_and(|entry| entry.visits.iter().any(|(id, _)| *id == visitor))
    }

    pub(crate) fn name_of(&self, id: StreamId) -> Option<StreamName> {
        self.names.get(&id).cloned()
    }

    /// A name as it is shown: if it is that of a stream that is live, or within its
    /// grace, as its publisher has it.
    pub(crate) fn known(&self, name: &StreamName) -> StreamName {
        let live = self.streams.get_key_value(name);
        let live = live.filter(|(_, entry)| entry.home.is_some());
        live.map_or(name, |(known, _)| known).clone()
    }

    /// A worker has a subscriber of a stream.
    pub(crate) fn attach(&mut self, name: &StreamName, worker: usize) -> Attached {
        let entry = self.entry(name);
        if !entry.workers.contains(&worker) {
            entry.workers.push(worker);
        }
        self.attached(name)
    }

    fn attached(&mut self, name: &StreamName) -> Attached {
        let entry = self.entry(name);
        // Of a stream that is live, its publisher said what its name is.
        let is_live = entry.home.is_some();
        if !is_live || name.secrecy() == Secrecy::Secret {
            entry.name.learn(name.secrecy());
        }
        Attached {
            stream: entry.id,
            home: entry.home.as_ref().map(|home| home.worker),
            name: entry.name.clone(),
        }
    }

    /// A worker has lost its last subscriber. Returns the home worker.
    pub(crate) fn detach(&mut self, id: StreamId, worker: usize) -> Option<usize> {
        let entry = self.by_id(id)?;
        entry.workers.retain(|&w| w != worker);
        let home = entry.home.as_ref().map(|home| home.worker);
        self.forget_if_unused(id);
        home
    }

    /// Somebody wants to publish. `worker` becomes the home of a stream that
    /// has none.
    pub(crate) fn claim(
        &mut self,
        name: &StreamName,
        publisher: PublisherId,
        worker: usize,
        rules: &ClaimRules,
        now: Time,
    ) -> Claim {
        let full = self.live.len() >= rules.max_publishers;
        let mut evicted = None;
        let asked = rules.asked_to_record;
        let on_many = self.taps.iter().filter(|tap| tap.wants(name, asked));
        let on_many: Vec<_> = on_many.cloned().collect();
        let entry = self.entry(name);
        let present = entry.home.as_ref().and_then(|home| home.publisher);
        if present.is_some() {
            let home = entry.home.as_ref();
            let silence = home.and_then(|home| home.pulse.silence(now));
            let silent = silence.is_some_and(|s| s >= rules.publisher_timeout);
            if !silent && rules.policy != SecondPublisher::Takeover {
                return Claim::Busy;
            }
        } else if full {
            let id = entry.id;
            evicted = self.evict_silent(rules, now);
            if evicted.is_none() {
                self.forget_if_unused(id);
                return Claim::Full;
            }
        }
        let entry = self.entry(name);
        entry.epoch = entry.epoch.wrapping_add(1);
        entry.asked = asked;
        entry.name.declare(name.secrecy());
        let home = entry.home.get_or_insert_with(|| Home {
            worker,
            publisher: None,
            pulse: Arc::new(Pulse::new()),
            tenure: Arc::default(),
        });
        home.publisher = Some(publisher);
        home.tenure.set(entry.epoch, true);
        // The one before may still have its own to say something of.
        home.pulse = Arc::new(Pulse::new());
        if let PublisherId::Host(_) = publisher {
            home.pulse.fall_silent(now);
        }
        let grant = Grant {
            id: entry.id,
            name: entry.name.clone(),
            epoch: entry.epoch,
            asked,
            home: home.worker,
            publisher,
            pulse: home.pulse.clone(),
            tenure: home.tenure.clone(),
            workers: entry.workers.clone(),
            taps: entry.taps.iter().chain(&on_many).cloned().collect(),
            replaced: present,
            evicted,
        };
        self.live.insert(grant.id);
        Claim::Granted(Box::new(grant))
    }

    /// All places are taken: the publisher that has been silent longest loses its own, if
    /// it could be replaced. The host's own stay.
    fn evict_silent(&mut self, rules: &ClaimRules, now: Time) -> Option<PublisherId> {
        let silence_of = |id: &StreamId| {
            let home = self.streams.get(self.names.get(id)?)?.home.as_ref()?;
            let Some(PublisherId::Connection(..)) = home.publisher else {
                return None;
            };
            let silence = home.pulse.silence(now)?;
            (silence >= rules.publisher_timeout).then_some((silence, *id))
        };
        let (_, id) = self.live.iter().filter_map(silence_of).max()?;
        self.live.remove(&id);
        let entry = self.by_id(id)?;
        let epoch = entry.epoch;
        let home = entry.home.as_mut()?;
        home.tenure.set(epoch, false);
        home.publisher.take()
    }

    /// Queues a publisher until the present one is gone.
    pub(crate) fn wait(&mut self, name: &StreamName, who: (ConnectionId, RequestId)) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.entry(name).waiting.insert(ticket, who);
        ticket
    }

    /// A waiting publisher gave up.
    pub(crate) fn stop_waiting(&mut self, name: &StreamName, ticket: Ticket) {
        let Some(entry) = self.streams.get_mut(name) else {
            return;
        };
        entry.waiting.remove(&ticket);
        let id = entry.id;
        self.forget_if_unused(id);
    }

    /// The publisher of this epoch is gone. Returns who waited for that.
    pub(crate) fn release_to_next(
        &mut self,
        id: StreamId,
        epoch: u32,
    ) -> Option<(ConnectionId, RequestId)> {
        self.release(id, epoch);
        let entry = self.by_id(id)?;
        if entry.epoch != epoch || entry.home.as_ref()?.publisher.is_some() {
            return None;
        }
        entry.next_waiting()
    }

    /// The publisher of this epoch leaves: from now on the name is free, and its seat. The
    /// stream's home is to be told.
    pub(crate) fn release(&mut self, id: StreamId, epoch: u32) {
        if let Some(entry) = self.by_id(id)
            && entry.epoch == epoch
            && let Some(home) = &mut entry.home
            && home.publisher.take().is_some()
        {
            home.tenure.set(epoch, false);
            self.live.remove(&id);
        }
    }

    /// Who waits longest for a stream that has no publisher, taken off the queue.
    pub(crate) fn next_waiting(&mut self, id: StreamId) -> Option<(ConnectionId, RequestId)> {
        let entry = self.by_id(id)?;
        if entry.home.as_ref().is_some_and(|h| h.publisher.is_some()) {
            return None;
        }
        let next = entry.next_waiting();
        self.forget_if_unused(id);
        next
    }

    /// The stream is over, unless somebody claimed it meanwhile. Returns the
    /// workers whose subscribers are to be told.
    pub(crate) fn close(&mut self, id: StreamId, epoch: u32) -> Option<Vec<usize>> {
        let entry = self.by_id(id)?;
        if entry.epoch != epoch || entry.home.as_ref()?.publisher.is_some() {
            return None;
        }
        entry.home = None;
        let workers = entry.workers.clone();
        self.forget_if_unused(id);
        Some(workers)
    }

    /// True if this is still what a publish was granted for: the home of the stream
    /// may have died, or another may have been granted meanwhile.
    pub(crate) fn is_in_force(&self, grant: &Grant) -> bool {
        let entry = self.streams.get(&grant.name).filter(|e| e.id == grant.id);
        entry.is_some_and(|entry| entry.home.is_some() && entry.epoch == grant.epoch)
    }

    /// True if a worker has subscribers of a stream.
    pub(crate) fn has_players(&self, id: StreamId, worker: usize) -> bool {
        let entry = self.names.get(&id).and_then(|name| self.streams.get(name));
        entry.is_some_and(|entry| entry.workers.contains(&worker))
    }

    /// A worker died: its streams are over, its subscribers and its connections, which
    /// `is_lost` tells, gone. Returns those streams.
    pub(crate) fn worker_died(
        &mut self,
        worker: usize,
        is_lost: impl Fn(ConnectionId) -> bool,
    ) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        let mut ids = Vec::new();
        for entry in self.streams.values_mut() {
            ids.push(entry.id);
            entry.workers.retain(|&w| w != worker);
            entry
                .waiting
                .retain(|_, &mut (connection, _)| !is_lost(connection));
            if entry
                .home
                .as_ref()
                .is_some_and(|home| home.worker == worker)
            {
                let mut publisher = None;
                if let Some(home) = entry.home.take()
                    && home.publisher.is_some()
                {
                    publisher = home.publisher;
                    home.tenure.set(entry.epoch, false);
                    self.live.remove(&entry.id);
                }
                entry.epoch = entry.epoch.wrapping_add(1);
                orphans.push(Orphan {
                    id: entry.id,
                    workers: entry.workers.clone(),
                    publisher,
                });
            }
        }
        for id in ids {
            self.forget_if_unused(id);
        }
        orphans
    }

    /// Adds a tap. Returns where those of its streams live that are live.
    pub(crate) fn tap(&mut self, tap: &Arc<TapQueue>) -> Vec<(StreamId, usize)> {
        let place = |entry: &Entry| entry.home.as_ref().map(|home| (entry.id, home.worker));
        if let Selection::Stream(name) = tap.selection() {
            let entry = self.entry(name);
            entry.taps.push(tap.clone());
            return place(entry).into_iter().collect();
        }
        self.taps.push(tap.clone());
        let wanted = self
            .streams
            .iter()
            .filter(|(name, entry)| tap.wants(name, entry.asked));
        wanted.filter_map(|(_, entry)| place(entry)).collect()
    }

    /// Forgets a tap that its host closed.
    pub(crate) fn untap(&mut self, tap: &Arc<TapQueue>) {
        if let Selection::Stream(name) = tap.selection() {
            if let Some(entry) = self.streams.get_mut(name) {
                entry.taps.retain(|t| !Arc::ptr_eq(t, tap));
                let id = entry.id;
                self.forget_if_unused(id);
            }
            return;
        }
        self.taps.retain(|t| !Arc::ptr_eq(t, tap));
    }

    /// All taps there are, once.
    pub(crate) fn take_taps(&mut self) -> Vec<Arc<TapQueue>> {
        let mut taps = std::mem::take(&mut self.taps);
        let mut ids = Vec::new();
        for entry in self.streams.values_mut() {
            taps.append(&mut entry.taps);
            ids.push(entry.id);
        }
        for id in ids {
            self.forget_if_unused(id);
        }
        taps
    }

    /// The taps there are, with the stream of those that are on one alone.
    pub(crate) fn taps(&self) -> Vec<(Option<StreamName>, Arc<TapQueue>)> {
        let on_one = self.streams.values().flat_map(|entry| {
            let name = Some(entry.name.clone());
            entry.taps.iter().map(move |tap| (name.clone(), tap))
        });
        let on_many = self.taps.iter().map(|tap| (None, tap));
        let all = on_one.chain(on_many);
        all.map(|(name, tap)| (name, tap.clone())).collect()
    }

    pub(crate) fn publishers(&self) -> usize {
        self.live.len()
    }

    /// The same, one by one.
    pub(crate) fn publishers_list(&self, now: Time) -> Vec<PublisherInfo> {
        let publisher = |&stream: &StreamId| {
            let entry = self.streams.get(self.names.get(&stream)?)?;
            let home = entry.home.as_ref()?;
            Some(PublisherInfo {
                stream,
                name: entry.name.clone(),
                connection: match home.publisher? {
                    PublisherId::Connection(connection, _) => Some(connection),
                    PublisherId::Host(_) => None,
                },
                silence: home.pulse.silence(now).unwrap_or_default(),
            })
        };
        self.live.iter().filter_map(publisher).collect()
    }

    /// Names in the directory; zero once everything has ended.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }
}

/// What decides a claim.
pub(crate) struct ClaimRules {
    pub(crate) policy: SecondPublisher,
    pub(crate) publisher_timeout: Duration,
    pub(crate) max_publishers: usize,
    /// The publisher wants to be recorded.
    pub(crate) asked_to_record: bool,
}

impl ClaimRules {
    pub(crate) fn of(config: &Config) -> ClaimRules {
        ClaimRules {
            policy: config.streams.second_publisher,
            publisher_timeout: config.streams.publisher_timeout,
            max_publishers: config.limits.publishers,
            asked_to_record: false,
        }
    }
}

#[cfg(test)]
mod tests;
