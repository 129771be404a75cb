//! Names that hosts and workers use for what comes and goes. None is ever used
//! twice: a stale id finds nothing.

use std::fmt;

use serde::Serialize;

/// A connection: worker (8 bits), slot (24 bits), generation (32 bits).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ConnectionId(u64);

impl ConnectionId {
    pub(crate) fn new(worker: usize, slot: usize, generation: u32) -> ConnectionId {
        debug_assert!(worker < 1 << 8 && slot < 1 << 24);
        ConnectionId((worker as u64) << 56 | (slot as u64) << 32 | u64::from(generation))
    }

    pub(crate) fn worker(self) -> usize {
        (self.0 >> 56) as usize
    }

    pub(crate) fn slot(self) -> usize {
        (self.0 >> 32) as usize & 0xFF_FFFF
    }

    /// As a number, for other languages and logs.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// From the number of [`ConnectionId::as_u64`].
    pub fn from_u64(id: u64) -> ConnectionId {
        ConnectionId(id)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({:x})", self.0)
    }
}

/// A stream's name while anybody publishes, plays or waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct StreamId(pub(crate) u64);

impl StreamId {
    /// As a number, for other languages and logs.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PublisherId {
    /// A connection, on one of its message streams.
    Connection(ConnectionId, u32),
    /// The host itself, counted.
    Host(u64),
}
