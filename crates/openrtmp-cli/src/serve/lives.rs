//! Who publishes and who plays, as those want to know it who are told of it: with where from,
//! which events do not repeat, and without what they know already.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use openrtmp_core::{ConnectionId, Event, Server, StreamId, StreamName, Unanswered};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Notice {
    pub(super) what: What,
    pub(super) name: StreamName,
    /// Who it was; `None`: the server itself.
    pub(super) connection: Option<ConnectionId>,
    /// Where from.
    pub(super) address: Option<SocketAddr>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// A stream has a publisher.
    Published(StreamId),
    /// It has left, or another has its place.
    Unpublished(StreamId),
    /// Somebody plays, or waits to.
    Joined,
    /// And does not any more.
    Left,
    /// A recording is complete.
    Recorded(PathBuf),
}

/// Who publishes and plays which streams: by events, by notices, or by what the server has.
/// Whoever falls behind, and does not hear all of them, looks what there is.
#[derive(Default)]
pub(super) struct Lives {
    peers: HashMap<ConnectionId, SocketAddr>,
    publishers: HashMap<StreamName, Publisher>,
    players: HashMap<StreamName, HashMap<ConnectionId, Option<SocketAddr>>>,
}

#[derive(Clone, Copy)]
struct Publisher {
    stream: StreamId,
    connection: Option<ConnectionId>,
    address: Option<SocketAddr>,
}

impl Publisher {
    fn is(&self, other: &Publisher) -> bool {
        (self.stream, self.connection) == (other.stream, other.connection)
    }

    /// That it is there no more.
    fn left(&self, name: &StreamName) -> Notice {
        Notice {
            what: What::Unpublished(self.stream),
            name: name.clone(),
            connection: self.connection,
            address: self.address,
        }
    }
}

impl Lives {
    /// What a server has just now, relays that play aside: nobody plays for them.
    ///
    /// # Errors
    /// A worker does not answer.
    pub(super) fn of(server: &Server) -> Result<Lives, Unanswered> {
        let there = server.snapshot()?;
        let relays = server.relays();
        let links = relays.iter().flat_map(|relay| &relay.links);
        let relays: HashSet<ConnectionId> = links.filter_map(|link| link.connection).collect();
        let connections = there.connections_list.iter();
        let mut lives = Lives {
            peers: connections.map(|it| (it.id, it.peer)).collect(),
            ..Lives::default()
        };
        for it in server.publishers() {
            let (connection, address) = lives.who(it.connection);
            let publisher = Publisher {
                stream: it.stream,
                connection,
                address,
            };
            lives.publishers.insert(it.name, publisher);
        }
        let connections = there.connections_list.iter();
        for it in connections.filter(|it| !relays.contains(&it.id)) {
            let names = it.plays.iter();
            for name in names.filter_map(|stream| server.stream_name(*stream)) {
                let players = lives.players.entry(name).or_default();
                players.insert(it.id, Some(it.peer));
            }
        }
        for (visitor, from, name) in server.visits() {
            let players = lives.players.entry(name).or_default();
            players.insert(visitor, Some(from));
        }
        Ok(lives)
    }

    /// Hears of an event: what of it is news. Those of relays that play are none.
    pub(super) fn hear(&mut self, event: &Event, server: Option<&Server>) -> Vec<Notice> {
        let (what, name, connection) = match event {
            Event::ConnectionOpened { connection, peer } => {
                self.peers.insert(*connection, *peer);
                return Vec::new();
            }
            Event::ConnectionClosed { connection, .. } => {
                self.peers.remove(connection);
                return Vec::new();
            }
            Event::StreamPublished {
                stream,
                name,
                connection,
                ..
            } => (What::Published(*stream), name, *connection),
            Event::StreamUnpublished { stream, name } => (What::Unpublished(*stream), name, None),
            Event::SubscriberJoined { connection, .. }
                if server.is_some_and(|server| is_relay(server, *connection)) =>
            {
                return Vec::new();
            }
            Event::SubscriberJoined { connection, name } => (What::Joined, name, Some(*connection)),
            Event::SubscriberLeft {
                connection, name, ..
            } => (What::Left, name, Some(*connection)),
            Event::RecordingFinished { name, path, .. } => {
                (What::Recorded(path.clone()), name, None)
            }
            _ => return Vec::new(),
        };
        let (connection, mut address) = self.who(connection);
        // A viewer over HTTP has no connection that was told of.
        if what == What::Joined && address.is_none() {
            let visits = server.map(Server::visits).unwrap_or_default();
            let mut visits = visits.into_iter();
            let found = visits.find(|(visitor, ..)| Some(*visitor) == connection);
            address = found.map(|(_, from, _)| from);
        }
        self.take(Notice {
            what,
            name: name.clone(),
            connection,
            address,
        })
    }

    /// Takes what was told: what of it is news, in the order in which it happened. A
    /// beginning of what is known, and an end of what is not, change nothing.
    pub(super) fn take(&mut self, notice: Notice) -> Vec<Notice> {
        let name = &notice.name;
        match notice.what {
            What::Published(stream) => {
                let publisher = Publisher {
                    stream,
                    connection: notice.connection,
                    address: notice.address,
                };
                // Its end has no event of its own if another takes its place.
                let replaced = match self.publishers.insert(name.clone(), publisher) {
                    Some(before) if before.is(&publisher) => return Vec::new(),
                    before => before.map(|before| before.left(name)),
                };
                replaced.into_iter().chain([notice]).collect()
            }
            What::Unpublished(stream) => {
                let is_it = |known: &Publisher| {
                    known.stream == stream
                        && (notice.connection.is_none() || notice.connection == known.connection)
                };
                if !self.publishers.get(name).is_some_and(is_it) {
                    return Vec::new();
                }
                // With who it was, which the event does not tell.
                let known = self.publishers.remove(name);
                known.map(|known| known.left(name)).into_iter().collect()
            }
            What::Joined => {
                let Some(connection) = notice.connection else {
                    return Vec::new();
                };
                // One that plays it twice plays it.
                let players = self.players.entry(name.clone()).or_default();
                match players.insert(connection, notice.address) {
                    Some(_) => Vec::new(),
                    None => vec![notice],
                }
            }
            What::Left => {
                let Some(players) = self.players.get_mut(name) else {
                    return Vec::new();
                };
                let known = notice.connection.and_then(|id| players.remove(&id));
                if players.is_empty() {
                    self.players.remove(name);
                }
                let notice = known.map(|address| Notice { address, ..notice });
                notice.into_iter().collect()
            }
            What::Recorded(_) => vec![notice],
        }
    }

    /// Knows what `now` has from now on: what is news in it, ends first.
    pub(super) fn follow(&mut self, now: Lives) -> Vec<Notice> {
        let mut news = Vec::new();
        for (name, known) in &self.publishers {
            if !now.publishers.get(name).is_some_and(|it| it.is(known)) {
                news.push(known.left(name));
            }
        }
        let joined = |what: &What, name: &StreamName, connection, address| Notice {
            what: what.clone(),
            name: name.clone(),
            connection: Some(connection),
            address,
        };
        news.extend(
            self.players_but(&now)
                .map(|(name, connection, address)| joined(&What::Left, name, connection, address)),
        );
        for (name, it) in &now.publishers {
            if !self.publishers.get(name).is_some_and(|known| known.is(it)) {
                news.push(Notice {
                    what: What::Published(it.stream),
                    ..it.left(name)
                });
            }
        }
        news.extend(
            now.players_but(self).map(|(name, connection, address)| {
                joined(&What::Joined, name, connection, address)
            }),
        );
        *self = now;
        news
    }

    /// Who plays what, and does not in another view.
    fn players_but<'a>(
        &'a self,
        other: &'a Lives,
    ) -> impl Iterator<Item = (&'a StreamName, ConnectionId, Option<SocketAddr>)> {
        self.players.iter().flat_map(move |(name, players)| {
            let there = other.players.get(name);
            let only = players
                .iter()
                .filter(move |(id, _)| !there.is_some_and(|there| there.contains_key(*id)));
            only.map(move |(id, address)| (name, *id, *address))
        })
    }

    pub(super) fn is_published(&self, name: &StreamName) -> bool {
        self.publishers.contains_key(name)
    }

    pub(super) fn is_played(&self, name: &StreamName) -> bool {
        self.players.contains_key(name)
    }

    /// Knows of one stream's players what `now` has.
    pub(super) fn follow_players(&mut self, name: &StreamName, mut now: Lives) {
        match now.players.remove(name) {
            Some(players) => self.players.insert(name.clone(), players),
            None => self.players.remove(name),
        };
    }

    /// Who plays a stream.
    pub(super) fn players(&self, name: &StreamName) -> impl Iterator<Item = ConnectionId> {
        self.players
            .get(name)
            .into_iter()
            .flat_map(|players| players.keys().copied())
    }

    /// Whether a connection is open.
    #[cfg(feature = "tls")]
    pub(super) fn is_open(&self, connection: ConnectionId) -> bool {
        self.peers.contains_key(&connection)
    }

    fn who(&self, connection: Option<ConnectionId>) -> (Option<ConnectionId>, Option<SocketAddr>) {
        let address = connection.and_then(|id| self.peers.get(&id).copied());
        (connection, address)
    }
}

/// Whether a connection passes a stream on to another server: nobody plays it for that.
fn is_relay(server: &Server, connection: ConnectionId) -> bool {
    let relays = server.relays();
    let mut links = relays.iter().flat_map(|relay| &relay.links);
    links.any(|link| link.connection == Some(connection))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openrtmp_core::CloseReason;

    use super::*;

    fn server() -> Server {
        let mut config = openrtmp_core::Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.streams.goodbye_grace = Duration::ZERO;
        Server::start(config).expect("it starts")
    }

    /// A name as a server has it.
    fn name() -> StreamName {
        let server = server();
        let publisher = server.publish("live/cam").expect("it is free");
        let name = server.stream_name(publisher.stream());
        name.expect("it is published")
    }

    #[test]
    fn who_was_replaced_has_left_before_the_other_is_there() {
        let name = name();
        let mut lives = Lives::default();
        let [first, second] = [1, 2].map(ConnectionId::from_u64);
        let stream = StreamId::from_u64(7);
        let peers = ["192.0.2.1:1", "192.0.2.2:2"].map(|peer| peer.parse().expect("one"));
        for (connection, peer) in [first, second].into_iter().zip(peers) {
            let opened = Event::ConnectionOpened { connection, peer };
            assert_eq!(lives.hear(&opened, None), []);
        }
        let published = |connection, takeover| Event::StreamPublished {
            stream,
            name: name.clone(),
            takeover,
            connection: Some(connection),
        };
        let notice = |what, connection, peer| Notice {
            what,
            name: name.clone(),
            connection: Some(connection),
            address: Some(peer),
        };
        assert_eq!(
            lives.hear(&published(first, false), None),
            [notice(What::Published(stream), first, peers[0])]
        );
        // It may be gone before the other is told of.
        let closed = Event::ConnectionClosed {
            connection: first,
            peer: peers[0],
            reason: CloseReason::Peer,
        };
        assert_eq!(lives.hear(&closed, None), []);
        assert_eq!(
            lives.hear(&published(second, true), None),
            [
                notice(What::Unpublished(stream), first, peers[0]),
                notice(What::Published(stream), second, peers[1]),
            ]
        );
        let over = Event::StreamUnpublished {
            stream,
            name: name.clone(),
        };
        assert_eq!(
            lives.hear(&over, None),
            [notice(What::Unpublished(stream), second, peers[1])]
        );
        assert_eq!(lives.hear(&over, None), [], "that is known");
    }

    #[test]
    fn who_plays_twice_plays_and_whoever_left_has_left() {
        let name = name();
        let mut lives = Lives::default();
        let [one, other] = [1, 2].map(ConnectionId::from_u64);
        let notice = |what, connection| Notice {
            what,
            name: name.clone(),
            connection: Some(connection),
            address: None,
        };
        let [first, second] = [one, other].map(|id| notice(What::Joined, id));
        assert_eq!(lives.take(first.clone()), std::slice::from_ref(&first));
        assert_eq!(lives.take(first), []);
        assert_eq!(lives.take(second.clone()), [second]);
        assert_eq!(lives.players(&name).count(), 2);
        let left = notice(What::Left, one);
        assert_eq!(lives.take(left.clone()), std::slice::from_ref(&left));
        assert_eq!(lives.take(left), []);
        assert!(lives.is_played(&name));
        let last = notice(What::Left, other);
        assert_eq!(lives.take(last.clone()), [last]);
        assert!(!lives.is_played(&name));
    }

    #[test]
    fn what_was_not_told_is_found_and_is_no_news_when_it_is_told_late() {
        let server = server();
        let mut lives = Lives::default();
        let look = |lives: &mut Lives| {
            let now = Lives::of(&server).expect("its workers answer");
            lives.follow(now)
        };
        let gone = server.publish("live/gone").expect("it is free");
        let stays = server.publish("live/stays").expect("it is free");
        let [gone_stream, stays_stream] = [gone.stream(), stays.stream()];
        assert_eq!(look(&mut lives).len(), 2);
        assert_eq!(look(&mut lives), []);
        let late = Event::StreamPublished {
            stream: stays_stream,
            name: server.stream_name(stays_stream).expect("it is there"),
            takeover: false,
            connection: None,
        };
        assert_eq!(lives.hear(&late, Some(&server)), []);
        drop(gone);
        while server.publishers().len() > 1 {}
        let news = look(&mut lives);
        let whats: Vec<&What> = news.iter().map(|notice| &notice.what).collect();
        assert_eq!(whats, [&What::Unpublished(gone_stream)]);
        assert!(!lives.is_published(&news[0].name));
        let joined = Notice {
            what: What::Joined,
            connection: Some(ConnectionId::from_u64(7)),
            ..news[0].clone()
        };
        lives.take(joined.clone());
        let left = Notice {
            what: What::Left,
            ..joined
        };
        assert_eq!(look(&mut lives), [left], "nobody of that number is there");
    }
}
