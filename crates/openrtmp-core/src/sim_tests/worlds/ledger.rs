//! Keeps account of the server's events: what begins ends, once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::witness::{Broken, broken};
use crate::events::Event;
use crate::id::{ConnectionId, RelayId, StreamId};
use crate::secret::StreamName;

/// What is open by the events so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    started: bool,
    stopping: bool,
    open: BTreeMap<ConnectionId, u16>,
    /// Every connection there was, by the peer's port.
    pub(super) by_port: BTreeMap<u16, ConnectionId>,
    closed: BTreeSet<ConnectionId>,
    published: BTreeMap<StreamId, StreamName>,
    /// Begun and not ended, with or without a publisher.
    live: BTreeSet<StreamId>,
    joined: BTreeMap<(ConnectionId, StreamName), usize>,
    /// Frames that subscriptions of a connection lost, in the order they ended.
    pub(super) dropped: BTreeMap<ConnectionId, Vec<u64>>,
    /// Streams that are relayed, by rule.
    relayed: BTreeSet<(RelayId, StreamName)>,
    told_of_loss: BTreeSet<ConnectionId>,
    recording: BTreeSet<PathBuf>,
    pub(super) recorded: BTreeSet<PathBuf>,
    /// Decisions told, by connection.
    pub(super) decided: BTreeMap<ConnectionId, usize>,
    pub(super) restarts: usize,
    pub(super) internal: usize,
}

impl Ledger {
    pub(super) fn connections(&self) -> usize {
        self.open.len()
    }

    pub(super) fn subscribers(&self) -> usize {
        self.joined.values().sum()
    }

    pub(super) fn enter(&mut self, event: &Event) -> Result<(), Broken> {
        self.check(event).or_else(|what| {
            let text = format!("{what}: {event:?}");
            broken("events balance", text)
        })
    }

    fn check(&mut self, event: &Event) -> Result<(), &'static str> {
        let require = |so: bool, what| if so { Ok(()) } else { Err(what) };
        match event {
            Event::ServerStarted { .. } => {
                require(!self.started, "started twice")?;
                self.started = true;
            }
            Event::ServerStopping => {
                require(!self.stopping, "stopped twice")?;
                self.stopping = true;
            }
            Event::ServerStopped { .. } => {
                return Err("the host of a world tells when it is over");
            }
            Event::ListenerLost { .. } | Event::ListenerRestored { .. } => {
                return Err("no world loses listeners");
            }
            Event::Background { .. }
            | Event::Foreground
            | Event::RemainingTime { .. }
            | Event::Suspended { .. }
            | Event::Resumed { .. }
            | Event::UrlsChanged { .. }
            | Event::NetworkLost { .. }
            | Event::NetworkBack
            | Event::CellularUsed
            | Event::Permission { .. }
            | Event::Power { .. }
            | Event::Memory { .. }
            | Event::Service { .. } => {
                return Err("no world is on a phone");
            }
            Event::CertificateExpires { .. } => {
                return Err("no certificate of a world expires");
            }
            Event::OutgoingFailed { connection, .. } => {
                let known = self.open.contains_key(connection);
                require(!known, "came about, and came to nothing")?;
                let new = self.closed.insert(*connection);
                require(new, "came to nothing twice")?;
            }
            Event::RelayStarted {
                connection,
                relay,
                name,
                ..
            } => {
                // It may be over by the time that this is told.
                let known = self.open.contains_key(connection) || self.closed.contains(connection);
                require(known, "relayed by nobody")?;
                let new = self.relayed.insert((*relay, name.clone()));
                require(new, "relayed twice")?;
            }
            Event::RelayFailed { relay, name, .. } | Event::RelayEnded { relay, name } => {
                self.relayed.remove(&(*relay, name.clone()));
            }
            Event::WorkerRestarted { .. } => self.restarts += 1,
            Event::ConnectionOpened { connection, peer } => {
                require(!self.closed.contains(connection), "an id used twice")?;
                let before = self.open.insert(*connection, peer.port());
                require(before.is_none(), "opened twice")?;
                self.by_port.insert(peer.port(), *connection);
            }
            Event::ConnectionClosed {
                connection, reason, ..
            } => {
                let port = self.open.remove(connection);
                require(port.is_some(), "closed but not open")?;
                self.closed.insert(*connection);
                let playing = self.joined.keys().any(|(id, _)| id == connection);
                require(!playing, "closed and still playing")?;
                self.internal += usize::from(*reason == crate::CloseReason::Internal);
            }
            Event::StreamPublished {
                stream,
                name,
                takeover,
                ..
            } => {
                let before = self.published.insert(*stream, name.clone());
                require(before.is_some() == *takeover, "publishers do not balance")?;
                self.live.insert(*stream);
            }
            Event::PublisherLost { stream, .. } => {
                let published = self.published.contains_key(stream);
                require(published, "lost but not published")?;
            }
            Event::StreamUnpublished { stream, .. } => {
                let before = self.published.remove(stream);
                require(before.is_some(), "unpublished but not published")?;
            }
            Event::StreamEnded { stream, .. } => {
                require(self.live.remove(stream), "ended but not begun")?;
                let published = self.published.contains_key(stream);
                require(!published, "ended but published")?;
            }
            Event::StreamTracks { stream, .. }
            | Event::VideoStopped { stream, .. }
            | Event::VideoResumed { stream, .. } => {
                require(self.live.contains(stream), "tracks of no stream")?;
            }
            Event::SubscriberJoined { connection, name } => {
                require(self.open.contains_key(connection), "joined but not open")?;
                let key = (*connection, name.clone());
                *self.joined.entry(key).or_default() += 1;
            }
            Event::SubscriberDropping {
                connection,
                dropped,
                ..
            } => {
                require(*dropped > 0, "nothing dropped")?;
                self.told_of_loss.insert(*connection);
            }
            Event::SubscriberLeft {
                connection,
                name,
                dropped,
            } => {
                let key = (*connection, name.clone());
                let count = self.joined.get_mut(&key).ok_or("left but not joined")?;
                *count -= 1;
                if *count == 0 {
                    self.joined.remove(&key);
                }
                let told = *dropped == 0 || self.told_of_loss.contains(connection);
                require(told, "a loss nobody was told of")?;
                self.dropped.entry(*connection).or_default().push(*dropped);
            }
            Event::Access { connection, .. } => {
                let connection = connection.as_ref().ok_or("an attempt without connection")?;
                require(self.open.contains_key(connection), "decided for nobody")?;
                *self.decided.entry(*connection).or_default() += 1;
            }
            Event::RecordingStarted { path, .. } => {
                let new = self.recorded.insert(path.clone());
                require(new, "recorded to one file twice")?;
                self.recording.insert(path.clone());
            }
            Event::RecordingFinished { path, .. } => {
                require(self.recording.remove(path), "finished but not started")?;
            }
            Event::RecordingFailed { path, .. } => {
                // One that could not be started has no file.
                let known = path.as_os_str().is_empty() || self.recording.remove(path);
                require(known, "failed but not started")?;
            }
            Event::RecordingLost { path, frames, .. } => {
                let known = path.as_os_str().is_empty() || self.recording.contains(path);
                require(known && *frames > 0, "frames lost of no recording")?;
            }
            Event::RecorderRestarted { .. } => return Err("a recorder panicked"),
            Event::Lost { .. } => return Err("events were lost"),
            Event::InternalError { .. } => return Err("an internal error"),
            Event::AcceptFailed { .. }
            | Event::AddressBlocked { .. }
            | Event::LimitReached { .. }
            | Event::ConfigChanged { .. } => {}
        }
        Ok(())
    }

    /// The server is gone.
    pub(super) fn assert_closed(&self) -> Result<(), Broken> {
        let open = [
            ("connections", self.open.len()),
            ("publishers", self.published.len()),
            ("streams", self.live.len()),
            ("players", self.joined.len()),
            ("recordings", self.recording.len()),
        ];
        match open.iter().find(|(_, count)| *count > 0) {
            None if self.started && self.stopping => Ok(()),
            None => broken("events balance", "no start or no stop was told"),
            Some(what) => broken("events balance", format!("never ended: {what:?}")),
        }
    }
}
