//! Which worker serves each connection. Locked when a connection comes, moves or goes,
//! and when the host or another worker has something for it; never per frame.

use std::collections::HashSet;
use std::sync::Mutex;

use crate::id::{ConnectionId, IdMap};
use crate::sync::lock;

/// Where the connections are.
#[derive(Debug, Default)]
pub(crate) struct Locations {
    workers: Mutex<IdMap<ConnectionId, usize>>,
}

impl Locations {
    /// A connection is with that worker now.
    pub(crate) fn set(&self, connection: ConnectionId, worker: usize) {
        lock(&self.workers).insert(connection, worker);
    }

    /// A connection is over.
    pub(crate) fn remove(&self, connection: ConnectionId) {
        lock(&self.workers).remove(&connection);
    }

    /// The worker that serves a connection, if it is there still.
    pub(crate) fn of(&self, connection: ConnectionId) -> Option<usize> {
        lock(&self.workers).get(&connection).copied()
    }

    /// The connections that there are beside these.
    pub(crate) fn others(&self, these: &HashSet<ConnectionId>) -> Vec<ConnectionId> {
        let workers = lock(&self.workers);
        let others = workers.keys().filter(|id| !these.contains(id));
        others.copied().collect()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.workers).len()
    }
}
