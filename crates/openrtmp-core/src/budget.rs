//! The memory that peers can make the server hold: counted against one limit, and shared
//! out among those who hold it.
//!
//! A [`Charge`] counts bytes once, however many keep them alive. A [`Share`] is what one
//! holder keeps alive, in full, whoever else does: the measure of who gives way when
//! memory runs short.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use crate::id::{ConnectionId, IdMap, StreamId};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::lock;

/// The part of the limit that is kept for the time until those who give way have: an
/// eighth.
const RESERVE: usize = 8;

/// The part of the limit that is left to streams that hold less than their share, a
/// sixteenth: those who give way take a moment, in which others go on filling.
const LAST: usize = 16;

/// Holders of less are not worth being asked to give way.
const WORTH_ASKING: usize = 64 * 1024;

/// A limit, what is used of it, and who holds much. Relaxed atomics: a sum, not a lock.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: AtomicUsize,
    /// Holders, large and small.
    present: AtomicUsize,
    /// Streams, published or not.
    streams: AtomicUsize,
    /// What those hold who were asked to give way and have not yet.
    leaving: AtomicUsize,
    serials: AtomicU64,
    large: Mutex<Large>,
}

/// Those who may be asked to give way, smallest first.
#[derive(Debug, Default)]
struct Large {
    stuck: BTreeMap<Rank, ConnectionId>,
    caches: BTreeMap<Rank, StreamId>,
    /// Those who were asked, and what they held.
    asked: IdMap<u64, usize>,
}

/// Bytes, then the order in which holders came.
type Rank = (usize, u64);

/// Who holds memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A connection, with its queue.
    Connection(ConnectionId),
    /// The cached GOP of a stream.
    Cache(StreamId),
    /// A stream's queue in a tap. It looks after itself.
    Tap,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Budget> {
        Arc::new(Budget {
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            present: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            serials: AtomicU64::new(0),
            large: Mutex::default(),
        })
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// True once nothing more should be taken on.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.used() >= self.limit()
    }

    /// What is shared out: the limit less the reserve.
    fn shared_out(&self) -> usize {
        let limit = self.limit();
        limit - limit / RESERVE
    }

    /// True while the reserve is used, even without those who were asked to give way.
    pub(crate) fn is_short(&self) -> bool {
        let leaving = self.leaving.load(Ordering::Relaxed);
        self.used().saturating_sub(leaving) > self.shared_out()
    }

    /// What each of those present may hold, if all do.
    pub(crate) fn share(&self) -> usize {
        self.shared_out() / self.present.load(Ordering::Relaxed).max(1)
    }

    /// Who is to give way next, if memory is short: the largest of the connections that
    /// hold more than their share and get rid of nothing, then the largest cache. Each is
    /// named once.
    pub(crate) fn next_to_give_way(&self) -> Option<Holder> {
        if !self.is_short() {
            return None;
        }
        let share = self.share();
        let mut large = lock(&self.large);
        let (rank, holder) = match large.stuck.last_key_value() {
            Some((&rank, &connection)) if rank.0 >= coarse(share) => {
                large.stuck.remove(&rank);
                (rank, Holder::Connection(connection))
            }
            _ => {
                let (rank, stream) = large.caches.pop_last()?;
                (rank, Holder::Cache(stream))
            }
        };
        let (held, serial) = rank;
        large.asked.insert(serial, held);
        self.leaving.fetch_add(held, Ordering::Relaxed);
        Some(holder)
    }
}

/// What one holder keeps alive, in full.
///
/// What each frame to a player looks at comes first, beside what a [`Charge`] ends with.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Share {
    /// The bytes it is listed with.
    listed: Option<NonZeroUsize>,
    budget: Arc<Budget>,
    holder: Holder,
    serial: u64,
}

impl Share {
    pub(crate) fn new(budget: &Arc<Budget>, holder: Holder) -> Share {
        budget.present.fetch_add(1, Ordering::Relaxed);
        Share {
            budget: budget.clone(),
            holder,
            serial: budget.serials.fetch_add(1, Ordering::Relaxed),
            listed: None,
        }
    }

    /// Whether one that holds so much may be worth asking to give way.
    #[inline]
    pub(crate) fn is_much(held: usize) -> bool {
        held >= WORTH_ASKING
    }

    /// What it holds by now, and whether it is one of those who may be asked to give way.
    /// Costs a comparison, unless it is much and has changed by an eighth.
    #[inline]
    pub(crate) fn note(&mut self, held: usize, may_be_asked: bool) {
        let listed = match !Share::is_much(held) || !may_be_asked {
            true => None,
            false => NonZeroUsize::new(coarse(held)),
        };
        if listed != self.listed {
            self.list(listed);
        }
    }

    #[cold]
    fn list(&mut self, listed: Option<NonZeroUsize>) {
        let (serial, before) = (self.serial, std::mem::replace(&mut self.listed, listed));
        let (before, listed) = (before.map(NonZeroUsize::get), listed.map(NonZeroUsize::get));
        let mut large = lock(&self.budget.large);
        if let Some(bytes) = before {
            match self.holder {
                Holder::Connection(_) => drop(large.stuck.remove(&(bytes, serial))),
                Holder::Cache(_) => drop(large.caches.remove(&(bytes, serial))),
                Holder::Tap => {}
            }
        }
        let Some(bytes) = listed else {
            if let Some(held) = large.asked.remove(&serial) {
                self.budget.leaving.fetch_sub(held, Ordering::Relaxed);
            }
            return;
        };
        if large.asked.contains_key(&serial) {
            return;
        }
        match self.holder {
            Holder::Connection(id) => drop(large.stuck.insert((bytes, serial), id)),
            Holder::Cache(id) => drop(large.caches.insert((bytes, serial), id)),
            Holder::Tap => {}
        }
    }

    /// It is one of those who may be asked to give way.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed.is_some()
    }

    /// It holds so much, which is more than its share, while memory is short.
    #[inline]
    pub(crate) fn is_to_give_way(&self, held: usize) -> bool {
        held >= WORTH_ASKING && self.budget.is_short() && held > self.budget.share()
    }

    /// It was asked to give way and need not: it may be asked again.
    pub(crate) fn stay(&mut self) {
        self.list(None);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.list(None);
        self.budget.present.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes to the upper three of their bits: within an eighth or so of what they are.
fn coarse(bytes: usize) -> usize {
    let rest = bytes.checked_ilog2().unwrap_or(0).saturating_sub(3);
    bytes >> rest << rest
}

/// Bytes taken from a [`Budget`], given back on drop.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    pub(crate) fn new(budget: &Arc<Budget>, bytes: usize) -> Charge {
        budget.used.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            budget: budget.clone(),
            bytes,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes the amount, for holders that grow and shrink.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.budget
                .used
                .fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else if bytes < self.bytes {
            self.budget
                .used
                .fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What all packets of one stream take, whoever holds them.
#[derive(Debug)]
pub(crate) struct StreamMemory {
    budget: Arc<Budget>,
    bytes: AtomicUsize,
}

impl StreamMemory {
    pub(crate) fn new(budget: &Arc<Budget>) -> Arc<StreamMemory> {
        budget.streams.fetch_add(1, Ordering::Relaxed);
        Arc::new(StreamMemory {
            budget: budget.clone(),
            bytes: AtomicUsize::new(0),
        })
    }

    /// The stream is to have no more: memory is used up, or nearly, and it has more than
    /// its share, what is shared out divided among all streams.
    pub(crate) fn is_exhausted(&self) -> bool {
        let (used, limit) = (self.budget.used(), self.budget.limit());
        if used < limit - limit / LAST {
            return false;
        }
        let streams = self.budget.streams.load(Ordering::Relaxed).max(1);
        let share = self.budget.shared_out() / streams;
        used >= limit || self.bytes.load(Ordering::Relaxed) > share
    }
}

impl Drop for StreamMemory {
    fn drop(&mut self) {
        self.budget.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of one packet, counted for its stream and for all, given back on drop.
#[derive(Debug)]
pub(crate) struct PacketCharge {
    pub(crate) stream: Arc<StreamMemory>,
    bytes: usize,
}

impl PacketCharge {
    pub(crate) fn new(stream: &Arc<StreamMemory>, bytes: usize) -> PacketCharge {
        stream.budget.used.fetch_add(bytes, Ordering::Relaxed);
        stream.bytes.fetch_add(bytes, Ordering::Relaxed);
        PacketCharge {
            stream: stream.clone(),
            bytes,
        }
    }
}

impl Drop for PacketCharge {
    fn drop(&mut self) {
        self.stream
            .budget
            .used
            .fetch_sub(self.bytes, Ordering::Relaxed);
        self.stream.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::id::Ids;

    #[test]
    fn charges_come_back() {
        let budget = Budget::new(100);
        let mut a = Charge::new(&budget, 60);
        let b = Charge::new(&budget, 40);
        assert!(budget.is_exhausted());
        drop(b);
        a.set(10);
        assert_eq!(budget.used(), 10);
        drop(a);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_last_of_the_memory_is_for_streams_within_their_share() {
        let budget = Budget::new(1600);
        let (large, small) = (StreamMemory::new(&budget), StreamMemory::new(&budget));
        let of_large = PacketCharge::new(&large, 701);
        let _of_small = PacketCharge::new(&small, 700);
        let mut others = Charge::new(&budget, 98);
        assert!(!large.is_exhausted() && !small.is_exhausted());
        others.set(99);
        assert!(
            large.is_exhausted(),
            "1400 of 1600 are shared out among two"
        );
        assert!(!small.is_exhausted());
        others.set(199);
        assert!(small.is_exhausted(), "nothing is left");
        drop(of_large);
        assert!(!large.is_exhausted() && !small.is_exhausted());
    }

    const MIB: usize = 1 << 20;

    /// 80 MiB, of which 70 are shared out among so many.
    struct House {
        budget: Arc<Budget>,
        ids: Ids,
        all: Charge,
    }

    impl House {
        fn new() -> House {
            let budget = Budget::new(80 * MIB);
            House {
                all: Charge::new(&budget, 71 * MIB),
                ids: Ids::default(),
                budget,
            }
        }

        fn connection(&self, held: usize, stuck: bool) -> (Share, Holder) {
            let holder = Holder::Connection(self.ids.connection());
            let mut share = Share::new(&self.budget, holder);
            share.note(held, stuck);
            (share, holder)
        }

        fn cache(&self, held: usize) -> (Share, Holder) {
            let holder = Holder::Cache(self.ids.stream());
            let mut share = Share::new(&self.budget, holder);
            share.note(held, true);
            (share, holder)
        }
    }

    #[test]
    fn the_largest_stuck_go_first_then_caches_and_nobody_within_a_share() {
        let mut house = House::new();
        let small_cache = house.cache(MIB);
        let cache = house.cache(30 * MIB);
        let (_stuck, least) = house.connection(20 * MIB, true);
        let (most_share, most) = house.connection(40 * MIB, true);
        let _quick = house.connection(60 * MIB, false);
        let _within = house.connection(10 * MIB, true);
        house.all.set(70 * MIB);
        assert_eq!(house.budget.next_to_give_way(), None, "there is room");
        house.all.set(71 * MIB);
        assert_eq!(house.budget.next_to_give_way(), Some(most));
        assert_eq!(house.budget.next_to_give_way(), None, "it is on its way");
        house.all.set(80 * MIB + 60 * MIB);
        assert_eq!(house.budget.next_to_give_way(), Some(least));
        assert_eq!(house.budget.next_to_give_way(), Some(cache.1));
        // One that has given way is out of the sum.
        drop(most_share);
        assert_eq!(house.budget.next_to_give_way(), Some(small_cache.1));
        assert_eq!(
            house.budget.next_to_give_way(),
            None,
            "nobody else may be asked"
        );
    }

    #[test]
    fn who_was_asked_is_asked_again_only_once_it_is_settled() {
        let house = House::new();
        let _others = [(); 6].map(|()| house.connection(0, false));
        let (mut share, holder) = house.connection(20 * MIB, true);
        assert_eq!(house.budget.next_to_give_way(), Some(holder));
        share.note(30 * MIB, true);
        assert_eq!(house.budget.next_to_give_way(), None);
        share.stay();
        share.note(30 * MIB, true);
        assert_eq!(house.budget.next_to_give_way(), Some(holder));
        share.note(0, true);
        assert_eq!(house.budget.leaving.load(Ordering::Relaxed), 0);
        drop(share);
        assert_eq!(house.budget.present.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn a_share_is_a_part_of_what_is_shared_out() {
        let house = House::new();
        let shares = [(); 7].map(|()| house.connection(0, false).0);
        assert_eq!(house.budget.share(), 10 * MIB);
        assert!(shares[0].is_to_give_way(10 * MIB + 1));
        assert!(!shares[0].is_to_give_way(10 * MIB));
    }

    #[test]
    fn sizes_are_known_to_an_eighth() {
        for bytes in [0, 1, 7, 100, 65_536, 1_000_000, usize::MAX] {
            let about = coarse(bytes);
            assert!(about <= bytes && bytes - about <= bytes / 8, "{bytes}");
        }
    }
}
