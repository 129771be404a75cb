//! Those who want a stream and have no RTMP connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::events::Event;
use crate::id::{ConnectionId, StreamId};
use crate::secret::StreamName;
use crate::server::Server;
use crate::shared::Shared;

/// Somebody wants a stream who has no RTMP connection, until this is dropped. To relays
/// (`relay.pull`) and to those who hear events ([`Event::SubscriberJoined`],
/// [`Event::SubscriberLeft`]) it is a player, by an id that no connection has; one may stand
/// for many.
pub struct Visit {
    shared: Arc<Shared>,
    stream: StreamId,
    name: StreamName,
    visitor: ConnectionId,
}

impl Server {
    /// Wants a stream that may be begun when somebody plays it: one that `relay.pull` fetches
    /// on demand, or that `hooks.on_demand` may publish. `None`: nobody would. `from`: where
    /// who wants it is.
    pub fn visit(&self, name: &StreamName, from: SocketAddr) -> Option<Visit> {
        let shared = &self.shared;
        let _here = self.works_for();
        let is_fetched = shared.relays.is_active() && shared.relays.lock().fetches(name);
        if !is_fetched && self.config().hooks.on_demand.is_empty() {
            return None;
        }
        let visitor = shared.ids.connection();
        let attached = shared.directory.lock().visit(name, visitor, from);
        shared.emit(Event::SubscriberJoined {
            connection: visitor,
            name: attached.name.clone(),
        });
        Some(Visit {
            shared: shared.clone(),
            stream: attached.stream,
            name: attached.name,
            visitor,
        })
    }

    /// The visits that there are: whose, from where, and of what.
    pub fn visits(&self) -> Vec<(ConnectionId, SocketAddr, StreamName)> {
        self.shared.directory.lock().visits()
    }

    /// Ends a visit, as [`Server::disconnect`] does a connection: who still wants the stream
    /// has to visit it again. False if there is none such, or no longer.
    pub fn end_visit(&self, visitor: ConnectionId) -> bool {
        let visited = self.shared.directory.lock().visited_by(visitor);
        visited.is_some_and(|(stream, name)| leave(&self.shared, stream, &name, visitor))
    }
}

impl Visit {
    /// Nobody has ended it ([`Server::end_visit`]).
    pub fn goes_on(&self) -> bool {
        let directory = self.shared.directory.lock();
        directory.is_visited(self.stream, self.visitor)
    }
}

/// Ends a visit. False if it has been ended.
fn leave(shared: &Shared, stream: StreamId, name: &StreamName, visitor: ConnectionId) -> bool {
    let was_there = shared.directory.lock().leave(stream, visitor);
    if was_there {
        shared.emit(Event::SubscriberLeft {
            connection: visitor,
            name: name.clone(),
            dropped: 0,
        });
    }
    was_there
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("visitor", &self.visitor)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        leave(&self.shared, self.stream, &self.name, self.visitor);
    }
}
