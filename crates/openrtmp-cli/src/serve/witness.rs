//! What has happened to streams, as those want to know it who are told: with who it was
//! and where from, which events do not repeat.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use openrtmp_core::{ConnectionId, Event, StreamId, StreamName};

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

/// Who there is, by what events said.
#[derive(Default)]
pub(super) struct Witness {
    peers: HashMap<ConnectionId, SocketAddr>,
    publishers: HashMap<StreamId, Who>,
}

type Who = (Option<ConnectionId>, Option<SocketAddr>);

impl Witness {
    /// Hears of an event; what it is to those who want to know.
    pub(super) fn hear(&mut self, event: &Event) -> Vec<Notice> {
        let notice = |what, name: &StreamName, (connection, address): Who| Notice {
            what,
            name: name.clone(),
            connection,
            address,
        };
        match event {
            Event::ConnectionOpened { connection, peer } => {
                self.peers.insert(*connection, *peer);
            }
            Event::ConnectionClosed { connection, .. } => {
                self.peers.remove(connection);
            }
            Event::StreamPublished {
                stream,
                name,
                takeover,
                connection,
            } => {
                let who = self.who(*connection);
                let before = self.publishers.insert(*stream, who);
                // Its end has no event of its own.
                let replaced = before.filter(|_| *takeover);
                let replaced = replaced.map(|who| notice(What::Unpublished(*stream), name, who));
                let published = notice(What::Published(*stream), name, who);
                return replaced.into_iter().chain([published]).collect();
            }
            Event::StreamUnpublished { stream, name } => {
                let who = self.publishers.remove(stream).unwrap_or_default();
                return vec![notice(What::Unpublished(*stream), name, who)];
            }
            Event::SubscriberJoined { connection, name } => {
                return vec![notice(What::Joined, name, self.who(Some(*connection)))];
            }
            Event::SubscriberLeft {
                connection, name, ..
            } => return vec![notice(What::Left, name, self.who(Some(*connection)))],
            Event::RecordingFinished { name, path, .. } => {
                let recorded = What::Recorded(path.clone());
                return vec![notice(recorded, name, Who::default())];
            }
            // Who left meanwhile is not known.
            Event::Lost { .. } => *self = Witness::default(),
            _ => {}
        }
        Vec::new()
    }

    fn who(&self, connection: Option<ConnectionId>) -> Who {
        let address = connection.and_then(|id| self.peers.get(&id).copied());
        (connection, address)
    }
}

/// What one peer may have: an address, or a /64.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use openrtmp_core::CloseReason;

    use super::*;

    /// A name as a server has it.
    fn name() -> StreamName {
        let mut config = openrtmp_core::Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        let server = openrtmp_core::Server::start(config).expect("it starts");
        let publisher = server.publish("live/cam").expect("it is free");
        let name = server.stream_name(publisher.stream());
        name.expect("it is published")
    }

    #[test]
    fn who_was_replaced_has_left_before_the_other_is_there() {
        let name = name();
        let mut witness = Witness::default();
        let [first, second] = [1, 2].map(ConnectionId::from_u64);
        let stream = StreamId::from_u64(7);
        let peers = ["192.0.2.1:1", "192.0.2.2:2"].map(|peer| peer.parse().expect("one"));
        for (connection, peer) in [first, second].into_iter().zip(peers) {
            let opened = Event::ConnectionOpened { connection, peer };
            assert_eq!(witness.hear(&opened), []);
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
            witness.hear(&published(first, false)),
            [notice(What::Published(stream), first, peers[0])]
        );
        // It may be gone before the other is told of.
        witness.hear(&Event::ConnectionClosed {
            connection: first,
            peer: peers[0],
            reason: CloseReason::Peer,
        });
        assert_eq!(
            witness.hear(&published(second, true)),
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
            witness.hear(&over),
            [notice(What::Unpublished(stream), second, peers[1])]
        );
    }
}
