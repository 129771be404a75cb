//! Names that hosts and workers use for what comes and goes.
//!
//! Each kind is counted through the whole process and never used twice: a stale id finds
//! nothing, whichever server it came from. No id reaches 2^53, so that languages whose
//! only number is a double keep it exact.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use serde::Serialize;

/// A connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ConnectionId(u64);

/// A stream's name while anybody publishes, plays or waits for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct StreamId(u64);

/// A rule by which streams are relayed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RelayId(u64);

/// What ids lead to.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Hashes ids: they are counted by this process, so that no peer can choose those that
/// collide, and one multiplication spreads them.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio (Knuth, TAOCP volume 3, section 6.4). The
        // table takes its place from the low bits, where the product is weakest.
        let product = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product.rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Issues ids.
#[derive(Debug)]
pub(crate) struct Ids {
    connections: AtomicU64,
    streams: AtomicU64,
    relays: AtomicU64,
}

static OF_PROCESS: LazyLock<Arc<Ids>> = LazyLock::new(Arc::default);

impl Default for Ids {
    fn default() -> Ids {
        Ids {
            connections: AtomicU64::new(1),
            streams: AtomicU64::new(1),
            relays: AtomicU64::new(1),
        }
    }
}

impl Ids {
    /// The one issuer of the process. A simulation has one of its own, so that a seed
    /// fixes its ids too.
    pub(crate) fn of_process() -> Arc<Ids> {
        OF_PROCESS.clone()
    }

    pub(crate) fn connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn relay(&self) -> RelayId {
        RelayId(self.relays.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn stream(&self) -> StreamId {
        StreamId(self.streams.fetch_add(1, Ordering::Relaxed))
    }
}

/// A number for a server, which no other server of the process has.
pub fn next_server_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

macro_rules! number {
    ($id:ident) => {
        impl $id {
            /// As a number, for other languages and logs: 1 to 2^53 - 1.
            pub fn as_u64(self) -> u64 {
                self.0
            }

            /// From the number that `as_u64` gave.
            pub const fn from_u64(id: u64) -> $id {
                $id(id)
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(ConnectionId);
number!(StreamId);
number!(RelayId);

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PublisherId {
    /// A connection, on one of its message streams.
    Connection(ConnectionId, u32),
    /// The host itself, counted.
    Host(u64),
}
