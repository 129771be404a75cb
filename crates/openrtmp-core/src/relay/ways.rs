//! The ways that streams come by, and wishes for them, through other servers. Who fetches
//! what it has passed on itself makes a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::access::AccessAction;
use crate::id::{ConnectionId, IdMap};
use crate::secret::StreamName;

/// What connections of relays of other servers, and ours to them, said of their way.
#[derive(Default)]
pub(super) struct Ways {
    /// The servers that what a connection brings has come through.
    of: IdMap<ConnectionId, Vec<u64>>,
    /// Streams that one of them publishes here.
    publishers: BTreeMap<StreamName, ConnectionId>,
    /// Those that play a stream, or wait for it.
    players: BTreeSet<(StreamName, ConnectionId)>,
}

impl Ways {
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty() && self.publishers.is_empty() && self.players.is_empty()
    }

    /// What a connection brings has come through these servers.
    pub(super) fn came_through(&mut self, connection: ConnectionId, via: Vec<u64>) {
        if !via.is_empty() {
            self.of.insert(connection, via);
        }
    }

    /// The servers that it has come through, if any.
    pub(super) fn of(&self, connection: ConnectionId) -> Option<&Vec<u64>> {
        self.of.get(&connection)
    }

    /// A connection is over.
    pub(super) fn closed(&mut self, connection: ConnectionId) {
        self.of.remove(&connection);
    }

    /// A stream has this publisher, or none. Returns the players that it would go round
    /// through.
    pub(super) fn published(
        &mut self,
        name: &StreamName,
        publisher: Option<ConnectionId>,
    ) -> Vec<ConnectionId> {
        match publisher.filter(|publisher| self.of.contains_key(publisher)) {
            Some(publisher) => {
                self.publishers.insert(name.clone(), publisher);
                let players = self.players_of(name).into_iter();
                players.filter(|p| self.share(*p, publisher)).collect()
            }
            None => {
                self.publishers.remove(name);
                Vec::new()
            }
        }
    }

    /// Somebody plays a stream. True if it would go round through them.
    pub(super) fn played(&mut self, name: &StreamName, player: ConnectionId) -> bool {
        if self.of.contains_key(&player) {
            self.players.insert((name.clone(), player));
        }
        self.goes_round(player, AccessAction::Play, name)
    }

    /// They do so no longer.
    pub(super) fn left(&mut self, name: &StreamName, player: ConnectionId) {
        self.players.remove(&(name.clone(), player));
    }

    /// Whether a stream would go round if a connection published or played it: it has come
    /// through a server that fetches it from here, or wants it back.
    pub(super) fn goes_round(
        &self,
        connection: ConnectionId,
        action: AccessAction,
        name: &StreamName,
    ) -> bool {
        let others = match action {
            AccessAction::Connect => return false,
            AccessAction::Publish => self.players_of(name),
            AccessAction::Play => self.publishers.get(name).copied().into_iter().collect(),
        };
        others.iter().any(|other| self.share(*other, connection))
    }

    /// The servers that wishes for a stream have come through, each once, those of `first`
    /// in front; at most so many.
    pub(super) fn wishes(&self, name: &StreamName, first: &[u64], most: usize) -> Vec<u64> {
        let players = self.players_of(name).into_iter();
        let others = players.filter_map(|player| self.of(player)).flatten();
        let mut ids = Vec::new();
        for id in first.iter().chain(others) {
            if ids.len() < most && !ids.contains(id) {
                ids.push(*id);
            }
        }
        ids
    }

    fn players_of(&self, name: &StreamName) -> Vec<ConnectionId> {
        let first = (name.clone(), ConnectionId::from_u64(0));
        let players = self.players.range(first..);
        let of_name = players.take_while(|(of, _)| of == name);
        of_name.map(|(_, player)| *player).collect()
    }

    /// Whether a server is on the ways of both.
    fn share(&self, one: ConnectionId, other: ConnectionId) -> bool {
        let (Some(one), Some(other)) = (self.of(one), self.of(other)) else {
            return false;
        };
        one.iter().any(|id| other.contains(id))
    }
}
