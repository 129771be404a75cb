//! Subscribers of this worker's connections, by stream, wherever it lives.

use openrtmp_protocol::{StreamName, Time};

use super::Worker;
use super::inbox::{Command, JoinId};
use crate::events::{CloseReason, Event};
use crate::id::{ConnectionId, StreamId};
use crate::log_limit::Cause;
use crate::platform::Platform;
use crate::stream::gate::Gate;
use crate::stream::packet::{Class, SharedPacket};

/// Why a player is closed whose queue cannot grow.
const NO_MEMORY: &str = "no memory for its queue";

/// The subscribers of one stream on this worker.
pub(super) struct Feed {
    pub(super) name: StreamName,
    pub(super) subscribers: Vec<Subscriber>,
}

/// One message stream of a connection that plays.
pub(super) struct Subscriber {
    pub(super) connection: ConnectionId,
    pub(super) message_stream: u32,
    join: JoinId,
    pub(super) gate: Gate,
    /// Packets go to it: its snapshot came, or it was here before the stream.
    pub(super) attached: bool,
    pub(super) since: Time,
    /// When its first key frame (or audio frame) was queued.
    pub(super) first_frame: Option<Time>,
    /// The host was told of the loss that goes on.
    loss_told: bool,
}

impl<P: Platform> Worker<P> {
    /// A connection here plays a stream, live or still to come.
    pub(super) fn subscribe(&mut self, slot: usize, message_stream: u32, name: StreamName) {
        let connection = self.state.connections[slot].id;
        self.joins += 1;
        let join = JoinId(self.joins);
        let shared = self.shared.clone();
        let mut directory = shared.directory.lock();
        let (id, home) = directory.attach(&name, self.index);
        // Sent with the lock held: it cannot be overtaken by the stream's end.
        if let Some(home) = home.filter(|&home| home != self.index) {
            let worker = self.index;
            shared.inboxes[home].send(Command::Join {
                stream: id,
                worker,
                join,
            });
        }
        drop(directory);

        self.state.connections[slot]
            .playing
            .push((message_stream, id));
        let shown = shared.play_keys.masked(&name);
        let feed = self.state.feeds.entry(id).or_insert_with(|| Feed {
            name,
            subscribers: Vec::new(),
        });
        feed.subscribers.push(Subscriber {
            connection,
            message_stream,
            join,
            gate: Gate::joining(false),
            attached: false,
            since: self.state.now,
            first_frame: None,
            loss_told: false,
        });
        self.emit(Event::SubscriberJoined {
            connection,
            name: shown,
        });
        if home == Some(self.index) {
            self.join(id, self.index, join);
        }
    }

    /// A subscription is over.
    pub(super) fn unsubscribe(
        &mut self,
        id: StreamId,
        connection: ConnectionId,
        message_stream: u32,
    ) {
        let Some(feed) = self.state.feeds.get_mut(&id) else {
            return;
        };
        let found = feed
            .subscribers
            .iter()
            .position(|s| s.connection == connection && s.message_stream == message_stream);
        if let Some(index) = found {
            let subscriber = feed.subscribers.swap_remove(index);
            let name = feed.name.clone();
            self.tell_left(&name, &subscriber);
        }
        let Some(feed) = self.state.feeds.get(&id) else {
            return;
        };
        if feed.subscribers.is_empty() {
            self.state.feeds.remove(&id);
            self.leave(id);
        }
    }

    pub(super) fn tell_left(&mut self, name: &StreamName, subscriber: &Subscriber) {
        let dropped = subscriber.gate.dropped();
        self.state.totals.dropped_frames += dropped;
        self.emit(Event::SubscriberLeft {
            connection: subscriber.connection,
            name: self.shared.play_keys.masked(name),
            dropped,
        });
    }

    /// This worker has no subscriber of the stream any more.
    pub(super) fn leave(&mut self, id: StreamId) {
        match self.shared.directory.lock().detach(id, self.index) {
            Some(home) if home == self.index => {
                if let Some(stream) = self.state.streams.get_mut(&id) {
                    stream.feeds.retain(|&w| w != self.index);
                }
            }
            Some(home) => {
                let worker = self.index;
                self.shared.inboxes[home].send(Command::Leave { stream: id, worker });
            }
            None => {}
        }
    }

    /// What a joiner gets at once; what is fanned out from now on follows it.
    pub(super) fn deliver_snapshot(
        &mut self,
        id: StreamId,
        join: JoinId,
        has_video: bool,
        packets: &[SharedPacket],
    ) {
        let now = self.state.now;
        let Some(feed) = self.state.feeds.get_mut(&id) else {
            return;
        };
        let Some(subscriber) = feed
            .subscribers
            .iter_mut()
            .find(|s| s.join == join && !s.attached)
        else {
            return;
        };
        let (connection, message_stream) = (subscriber.connection, subscriber.message_stream);
        let slot = connection.slot();
        if !self.state.connections.contains(slot) {
            return;
        }
        subscriber.attached = true;
        subscriber.gate.join(has_video);
        let config = &self.config.queue;
        let queue = &mut self.state.connections[slot].queue;
        // Who asks to play again and again is given it once more only.
        if queue.footprint() > config.max_bytes.saturating_mul(2) {
            let reason = CloseReason::TooSlow(format!("{} bytes behind", queue.bytes()));
            self.state.totals.errors.too_slow += 1;
            return self.state.doomed.push((connection, reason));
        }
        for packet in packets {
            if subscriber.gate.admit(packet) {
                if !queue.reserve() {
                    let reason = CloseReason::Limit(NO_MEMORY.to_owned());
                    return self.state.doomed.push((connection, reason));
                }
                queue.push_media(packet.clone(), message_stream, now);
                subscriber.note_frame(packet, now);
            }
        }
        self.state.connections[slot].io.urgent = true;
        self.mark_dirty(slot);
    }

    /// One packet to every subscriber here: a reference each.
    pub(super) fn fan_out(&mut self, id: StreamId, packet: &SharedPacket) {
        let now = self.state.now;
        let config = &self.config.queue;
        let Some(feed) = self.state.feeds.get_mut(&id) else {
            // The last subscriber left while the packet was on its way.
            return;
        };
        let mut dropping = Vec::new();
        for subscriber in feed.subscribers.iter_mut().filter(|s| s.attached) {
            let slot = subscriber.connection.slot();
            let Some(connection) = self.state.connections.get_mut(slot) else {
                continue;
            };
            if connection.is_ending() {
                continue;
            }
            if !connection.queue.reserve() {
                let reason = CloseReason::Limit(NO_MEMORY.to_owned());
                self.state.doomed.push((subscriber.connection, reason));
                continue;
            }
            let before = connection.queue.len();
            let lost_before = subscriber.gate.dropped();
            connection.queue.push_through(
                &mut subscriber.gate,
                packet,
                subscriber.message_stream,
                now,
                config,
            );
            let lost = subscriber.gate.dropped() - lost_before;
            if lost > 0 && !subscriber.loss_told {
                dropping.push((subscriber.connection, lost));
            }
            subscriber.loss_told =
                subscriber.gate.is_shedding() && (subscriber.loss_told || lost > 0);
            if connection.queue.len() > before {
                subscriber.note_frame(packet, now);
            }
            // One that keeps up had nothing waiting: not worth a look.
            let behind = match before {
                0 => None,
                _ => connection.queue.is_hopeless(now, config),
            };
            if let Some(behind) = behind {
                let reason = CloseReason::TooSlow(behind);
                self.state.totals.errors.too_slow += 1;
                self.state.doomed.push((subscriber.connection, reason));
            }
            if !connection.io.dirty {
                connection.io.dirty = true;
                self.state.dirty.push(slot);
            }
        }
        for (connection, dropped) in dropping {
            let name = self
                .state
                .feeds
                .get(&id)
                .map(|f| self.shared.play_keys.masked(&f.name));
            let name = name.unwrap_or_default();
            if self.may_log(Cause::TooSlow, log::Level::Warn) {
                log::warn!(
                    connection:% = connection, stream:% = name, frames = dropped;
                    "player is too slow; video dropped to the next key frame"
                );
            }
            self.emit(Event::SubscriberDropping {
                connection,
                name,
                dropped,
            });
        }
    }

    /// A stream that subscribers here wait for has begun.
    pub(super) fn stream_up(&mut self, id: StreamId) {
        self.for_subscribers(id, |subscriber, session| {
            subscriber.attached = true;
            // Tracks are not known yet: audio must not wait for video that may never come.
            subscriber.gate.join(false);
            session.notify_published(subscriber.message_stream);
        });
    }

    /// The stream goes on with another publisher: nobody is told, but its video
    /// starts at a key frame.
    pub(super) fn stream_restart(&mut self, id: StreamId) {
        if let Some(feed) = self.state.feeds.get_mut(&id) {
            feed.subscribers.iter_mut().for_each(|s| s.gate.restart());
        }
    }

    /// A stream is over; its subscribers wait for it to come back.
    pub(super) fn stream_down(&mut self, id: StreamId) {
        self.for_subscribers(id, |subscriber, session| {
            subscriber.attached = false;
            session.notify_unpublished(subscriber.message_stream);
        });
    }

    fn for_subscribers(
        &mut self,
        id: StreamId,
        act: impl Fn(&mut Subscriber, &mut openrtmp_protocol::session::ServerSession),
    ) {
        let Some(feed) = self.state.feeds.get_mut(&id) else {
            return;
        };
        let mut slots = Vec::with_capacity(feed.subscribers.len());
        for subscriber in &mut feed.subscribers {
            let slot = subscriber.connection.slot();
            if let Some(connection) = self.state.connections.get_mut(slot) {
                act(subscriber, &mut connection.session);
                slots.push(slot);
            }
        }
        for slot in slots {
            self.pump(slot);
        }
    }

    /// Changes what one subscription lets pass.
    pub(super) fn with_gate(
        &mut self,
        slot: usize,
        message_stream: u32,
        change: impl FnOnce(&mut Gate),
    ) {
        let connection = &self.state.connections[slot];
        let id = connection.id;
        let Some(&(_, stream)) = connection
            .playing
            .iter()
            .find(|(m, _)| *m == message_stream)
        else {
            return;
        };
        let Some(feed) = self.state.feeds.get_mut(&stream) else {
            return;
        };
        if let Some(subscriber) = feed
            .subscribers
            .iter_mut()
            .find(|s| s.connection == id && s.message_stream == message_stream)
        {
            change(&mut subscriber.gate);
        }
    }
}

impl Subscriber {
    fn note_frame(&mut self, packet: &SharedPacket, now: Time) {
        if self.first_frame.is_none() && matches!(packet.class, Class::Key | Class::Audio) {
            self.first_frame = Some(now);
        }
    }
}
