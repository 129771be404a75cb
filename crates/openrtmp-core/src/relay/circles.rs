//! Which streams relays of other servers publish and play here: who fetches what it has
//! passed on itself makes a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::ConnectionId;
use crate::secret::StreamName;

/// Streams of other servers' relays, by name.
#[derive(Default)]
pub(super) struct Circles {
    publishers: BTreeMap<StreamName, ConnectionId>,
    players: BTreeSet<(StreamName, ConnectionId)>,
}

impl Circles {
    pub(super) fn is_empty(&self) -> bool {
        self.publishers.is_empty() && self.players.is_empty()
    }

    /// A stream has this publisher; `None`: no relay.
    pub(super) fn published(&mut self, name: &StreamName, publisher: Option<ConnectionId>) {
        match publisher {
            Some(publisher) => self.publishers.insert(name.clone(), publisher),
            None => self.publishers.remove(name),
        };
    }

    /// A relay plays a stream, or waits for it.
    pub(super) fn played(&mut self, name: &StreamName, player: ConnectionId) {
        self.players.insert((name.clone(), player));
    }

    /// It does so no longer.
    pub(super) fn left(&mut self, name: &StreamName, player: ConnectionId) {
        self.players.remove(&(name.clone(), player));
    }

    /// The relay that publishes a stream, if one does.
    pub(super) fn publisher(&self, name: &StreamName) -> Vec<ConnectionId> {
        self.publishers.get(name).copied().into_iter().collect()
    }

    /// The relays that play a stream.
    pub(super) fn players(&self, name: &StreamName) -> Vec<ConnectionId> {
        let first = (name.clone(), ConnectionId::from_u64(0));
        let of_name = self.players.range(first..).take_while(|(of, _)| of == name);
        of_name.map(|(_, player)| *player).collect()
    }
}
