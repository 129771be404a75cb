//! Where each stream lives. Locked by publish, play and their ends; never per
//! frame.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::RequestId;

use crate::config::{Config, SecondPublisher};
use crate::id::{ConnectionId, Ids, PublisherId, StreamId};
use crate::secret::{Secrecy, StreamName};
use crate::stream::pulse::Pulse;
use crate::stream::tap_queue::{Selection, TapQueue};

/// All streams that somebody publishes, plays, taps or waits for.
pub(crate) struct Directory {
    inner: Mutex<Inner>,
}

/// The directory, locked. Messages that must not overtake a change of it are
/// sent while it is held.
pub(crate) struct Inner {
    ids: Arc<Ids>,
    streams: BTreeMap<StreamName, Entry>,
    names: HashMap<StreamId, StreamName>,
    /// Taps on more than one stream.
    taps: Vec<Arc<TapQueue>>,
    /// Streams with a publisher.
    live: BTreeSet<StreamId>,
}

struct Entry {
    id: StreamId,
    /// The one that all have who have to do with the stream.
    name: StreamName,
    epoch: u32,
    home: Option<Home>,
    /// Workers with subscribers.
    workers: Vec<usize>,
    /// Taps on this stream alone.
    taps: Vec<Arc<TapQueue>>,
    /// Publishers that wait for the present one to leave.
    waiting: VecDeque<(ConnectionId, RequestId)>,
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
                names: HashMap::new(),
                taps: Vec::new(),
                live: BTreeSet::new(),
            }),
        }
    }

    /// Takes the lock. A panic elsewhere leaves the maps whole: each change is
    /// one call below.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
                workers: Vec::new(),
                taps: Vec::new(),
                waiting: VecDeque::new(),
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
        let on_many = self.taps.iter().filter(|tap| tap.wants(name));
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
    pub(crate) fn wait(&mut self, name: &StreamName, who: (ConnectionId, RequestId)) {
        self.entry(name).waiting.push_back(who);
    }

    /// A waiting publisher gave up.
    pub(crate) fn stop_waiting(&mut self, name: &StreamName, connection: ConnectionId) {
        let Some(entry) = self.streams.get_mut(name) else {
            return;
        };
        entry.waiting.retain(|(c, _)| *c != connection);
        let id = entry.id;
        self.forget_if_unused(id);
    }

    /// The publisher of this epoch is gone. Returns who waited for that.
    pub(crate) fn publisher_gone(
        &mut self,
        id: StreamId,
        epoch: u32,
    ) -> Option<(ConnectionId, RequestId)> {
        self.release(id, epoch);
        let entry = self.by_id(id)?;
        if entry.epoch != epoch || entry.home.as_ref()?.publisher.is_some() {
            return None;
        }
        entry.waiting.pop_front()
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
        let next = entry.waiting.pop_front();
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
                .retain(|&(connection, _)| !is_lost(connection));
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
        let wanted = self.streams.iter().filter(|(name, _)| tap.wants(name));
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

    pub(crate) fn publishers(&self) -> usize {
        self.live.len()
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
}

impl ClaimRules {
    pub(crate) fn of(config: &Config) -> ClaimRules {
        ClaimRules {
            policy: config.streams.second_publisher,
            publisher_timeout: config.streams.publisher_timeout,
            max_publishers: config.limits.publishers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Masks;

    fn name(text: &str) -> StreamName {
        StreamName::plain(text)
    }

    fn connection(worker: usize, slot: usize) -> ConnectionId {
        ConnectionId::from_u64((worker * 100 + slot) as u64)
    }

    fn publisher(worker: usize, slot: usize) -> PublisherId {
        PublisherId::Connection(connection(worker, slot), 1)
    }

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn rules(policy: SecondPublisher) -> ClaimRules {
        ClaimRules {
            policy,
            publisher_timeout: Duration::from_secs(10),
            max_publishers: 2,
        }
    }

    /// A claim under the reject policy that is granted.
    fn claim(directory: &mut Inner, text: &str, worker: usize) -> Box<Grant> {
        let rules = rules(SecondPublisher::Reject);
        match directory.claim(&name(text), publisher(worker, 0), worker, &rules, at(0)) {
            Claim::Granted(grant) => grant,
            _ => panic!("not granted"),
        }
    }

    #[test]
    fn the_first_publisher_gives_a_stream_its_home() {
        let directory = Directory::new(Arc::default());
        let mut d = directory.lock();
        assert_eq!(d.attach(&name("a"), 2).home, None);
        let grant = claim(&mut d, "a", 1);
        assert_eq!((grant.home, grant.workers), (1, vec![2]));
        assert_eq!(grant.replaced, None);
        let attached = d.attach(&name("a"), 0);
        assert_eq!((attached.stream, attached.home), (grant.id, Some(1)));
        assert_eq!(d.home(&name("a")), Some((grant.id, 1)));
        assert_eq!(d.home(&name("b")), None);
        assert_eq!(d.publishers(), 1);
    }

    #[test]
    fn a_second_claim_is_decided_by_the_policy_and_by_silence() {
        let directory = Directory::new(Arc::default());
        let mut d = directory.lock();
        let first = claim(&mut d, "a", 1);
        let mut second = |policy, now| d.claim(&name("a"), publisher(0, 9), 0, &rules(policy), now);
        assert!(matches!(
            second(SecondPublisher::Reject, at(9_999)),
            Claim::Busy
        ));
        assert!(matches!(
            second(SecondPublisher::Wait, at(9_999)),
            Claim::Busy
        ));
        first.pulse.fall_silent(at(5_000));
        assert!(matches!(
            second(SecondPublisher::Reject, at(14_999)),
            Claim::Busy
        ));
        let Claim::Granted(grant) = second(SecondPublisher::Reject, at(15_000)) else {
            panic!("silent");
        };
        // It lives on where it was.
        assert_eq!((grant.id, grant.home), (first.id, 1));
        assert_eq!(grant.replaced, Some(publisher(1, 0)));
        assert_ne!(grant.epoch, first.epoch);
        let Claim::Granted(_) = second(SecondPublisher::Takeover, at(15_001)) else {
            panic!("takeover");
        };
        assert_eq!(d.publishers(), 1);
    }

    #[test]
    fn an_earlier_publishers_end_changes_nothing() {
        let directory = Directory::new(Arc::default());
        let mut d = directory.lock();
        let first = claim(&mut d, "a", 1);
        let takeover = rules(SecondPublisher::Takeover);
        d.claim(&name("a"), publisher(0, 1), 0, &takeover, at(1));
        d.publisher_gone(first.id, first.epoch);
        assert_eq!(d.publishers(), 1);
        assert_eq!(d.close(first.id, first.epoch), None);
        let epoch = first.epoch + 1;
        assert_eq!(d.close(first.id, epoch), None, "it has a publisher");
        d.publisher_gone(first.id, epoch);
        d.publisher_gone(first.id, epoch);
        assert_eq!(d.publishers(), 0);
        assert_eq!(d.close(first.id, epoch), Some(vec![]));
        assert_eq!(d.len(), 0);
    }

    #[test]
    fn as_many_publishers_as_allowed_and_a_replacement_is_none_more() {
        let directory = Directory::new(Arc::default());
        let mut d = directory.lock();
        claim(&mut d, "a", 0);
        let b = claim(&mut d, "b", 0);
        let reject = rules(SecondPublisher::Reject);
        let third = d.claim(&name("c"), publisher(0, 3), 0, &reject, at(0));
        assert!(matches!(third, Claim::Full));
        assert_eq!(d.len(), 2, "the refused name is forgotten");
        let takeover = rules(SecondPublisher::Takeover);
        let again = d.claim(&name("a"), publisher(0, 3), 0, &takeover, at(0));
        assert!(matches!(again, Claim::Granted(_)));
        d.publisher_gone(b.id, b.epoch);
        claim(&mut d, "c", 0);
    }

    #[test]
    fn those_who_wait_are_called_in_order_once_the_stream_is_free() {
        let directory = Directory::new(Arc::default());
        let mut d = directory.lock();
        let grant = claim(&mut d, "a", 0);
        for slot in 1..=4 {
            d.wait(&name("a"), (connection(1, slot), RequestId(slot as u32)));
        }
        d.stop_waiting(&name("a"), connection(1, 2));
        assert_eq!(d.next_waiting(grant.id), None, "it has a publisher");
        let next = d.publisher_gone(grant.id, grant.epoch);
        assert_eq!(next, Some((connection(1, 1), RequestId(1))));
        // That one never came.
        let next = d.next_waiting(grant.id);
        assert_eq!(next, Some((connection(1, 3), RequestId(3))));
        assert_eq!(d.close(grant.id, grant.epoch), Some(vec![]));
        assert_eq!(d.len(), 1, "somebody waits");
        assert!(d.next_waiting(grant.id).is_some());
        assert_eq!(d.len(), 0);
    }

    #[test]
    fn names_last_as_long_as_anybody_has_to_do_with_them() {
        let directory = Directory::new(Arc::default());
        let mut d = directory.lock();
        let id = d.attach(&name("a"), 0).stream;
        d.attach(&name("a"), 1);
        assert_eq!(d.detach(id, 0), None);
        assert_eq!(d.len(), 1);
        let grant = claim(&mut d, "a", 0);
        assert_eq!(grant.id, id);
        assert_eq!(d.detach(id, 1), Some(0));
        d.publisher_gone(id, grant.epoch);
        assert_eq!(d.len(), 1, "within its grace");
        d.close(id, grant.epoch);
        assert_eq!(d.len(), 0);
        assert_ne!(
            d.attach(&name("a"), 0).stream,
            id,
            "ids are never used twice"
        );
    }

    #[test]
    fn a_dead_workers_streams_are_over_and_its_subscribers_gone() {
        let directory = Directory::new(Arc::default());
        let mut d = directory.lock();
        let lost = claim(&mut d, "lost", 0);
        let kept = claim(&mut d, "kept", 1);
        for worker in 0..3 {
            d.attach(&name("lost"), worker);
            d.attach(&name("kept"), worker);
        }
        d.attach(&name("only"), 0);
        d.wait(&name("kept"), (connection(0, 1), RequestId(1)));
        let orphan = Orphan {
            id: lost.id,
            workers: vec![1, 2],
            publisher: Some(publisher(0, 0)),
        };
        assert_eq!(d.worker_died(0, |c| c.as_u64() < 100), [orphan]);
        assert_eq!(d.publishers(), 1);
        assert_eq!(d.home(&name("lost")), None);
        assert_eq!(d.len(), 2);
        assert_eq!(d.publisher_gone(lost.id, lost.epoch), None);
        assert_eq!(d.publisher_gone(kept.id, kept.epoch), None, "nobody waits");
        assert_eq!(d.close(kept.id, kept.epoch), Some(vec![1, 2]));
    }

    #[test]
    fn a_publisher_says_what_the_name_of_its_stream_is() {
        let came = |secrecy| StreamName::new("live/a", secrecy, &Masks::default(), |_| false);
        let directory = Directory::new(Arc::default());
        let mut d = directory.lock();
        let waiting = d.attach(&came(Secrecy::Suspected), 0);
        assert!(waiting.name.is_secret());
        let takeover = rules(SecondPublisher::Takeover);
        let claim = |d: &mut Inner, secrecy| match d.claim(
            &came(secrecy),
            publisher(0, 1),
            0,
            &takeover,
            at(0),
        ) {
            Claim::Granted(grant) => grant,
            _ => panic!("not granted"),
        };
        let grant = claim(&mut d, Secrecy::Public);
        assert!(!waiting.name.is_secret() && !grant.name.is_secret());
        // Who comes later says nothing new of it, unless it is the host.
        assert!(!d.known(&came(Secrecy::Suspected)).is_secret());
        assert!(!d.attach(&came(Secrecy::Suspected), 0).name.is_secret());
        d.attach(&came(Secrecy::Secret), 0);
        assert!(grant.name.is_secret());
        claim(&mut d, Secrecy::Public);
        assert!(grant.name.is_secret(), "as long as the stream is known");
        assert_eq!(d.name_of(grant.id), Some(came(Secrecy::Public)));
        assert_eq!(d.home_of(grant.id), Some(0));
    }
}
