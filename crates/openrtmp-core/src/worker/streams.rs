//! Streams that live here: published, fed, ended.

use std::sync::Arc;
use std::time::Duration;

use openrtmp_protocol::chunk::Payload;
use openrtmp_protocol::session::MediaKind;

use super::Worker;
use super::inbox::{Command, JoinId};
use super::timers::Timer;
use crate::events::Event;
use crate::id::{ConnectionId, PublisherId, StreamId};
use crate::log_limit::Cause;
use crate::platform::Platform;
use crate::stream::clock::Irregularity;
use crate::stream::directory::Grant;
use crate::stream::stream::Stream;
use crate::tap::{TapSink, Tapped};

/// How long the publisher whose turn it is may take to claim a stream.
const NEXT_PUBLISHER: Duration = Duration::from_secs(2);

impl<P: Platform> Worker<P> {
    /// A publish was granted: the stream begins, or goes on with this publisher.
    pub(super) fn start_publication(&mut self, grant: Grant) {
        // This worker may have died since, and its publishers were told so. Or
        // another took over, whose grant may even have come first.
        if !self.shared.directory.lock().is_in_force(&grant) {
            return;
        }
        let now = self.state.now;
        let known = self.state.streams.contains_key(&grant.id);
        let stream = self.state.streams.entry(grant.id).or_insert_with(|| {
            Stream::new(grant.id, grant.name.clone(), grant.activity.clone(), now)
        });
        // Not what the directory saw: the one before may have left meanwhile.
        let takeover = stream.publisher.is_some();
        stream.start_publisher(grant.publisher, grant.epoch, now);
        for worker in grant.feeds {
            if !stream.feeds.contains(&worker) {
                stream.feeds.push(worker);
            }
        }
        if known {
            stream.taps.iter_mut().for_each(TapSink::restart);
        } else {
            for tap in grant.taps.into_iter().filter(|tap| tap.wants(&grant.name)) {
                let start = stream.tap_start(&[]);
                let sink = TapSink::attach(tap, start, now, &self.config.queue);
                stream.taps.push(sink);
            }
        }
        let name = self.shared.publish_keys.masked(&grant.name);
        if self.may_log(Cause::Stream, log::Level::Info) {
            log::info!(stream:% = name; "published");
        }
        self.emit(Event::StreamPublished {
            stream: grant.id,
            name,
            takeover,
        });
        self.tell_feeds(grant.id, known);
    }

    fn tell_feeds(&mut self, id: StreamId, restart: bool) {
        let feeds = self
            .state
            .streams
            .get(&id)
            .map(|s| s.feeds.clone())
            .unwrap_or_default();
        for worker in feeds {
            match (worker == self.index, restart) {
                (true, true) => self.stream_restart(id),
                (true, false) => self.stream_up(id),
                (false, true) => {
                    self.shared.inboxes[worker].send(Command::StreamRestart { stream: id });
                }
                (false, false) => {
                    self.shared.inboxes[worker].send(Command::StreamUp { stream: id });
                }
            }
        }
    }

    /// A message of a stream's publisher, on its way to all who get it.
    pub(super) fn ingest(
        &mut self,
        id: StreamId,
        epoch: u32,
        kind: MediaKind,
        timestamp: u32,
        payload: Payload,
    ) {
        let now = self.state.now;
        let shared = &self.shared;
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        if stream.epoch != epoch || stream.publisher.is_none() {
            return;
        }
        let ingested = stream.ingest(kind, timestamp, payload, now, &self.config, &shared.budget);
        if let Some(odd) = ingested.odd
            && log::log_enabled!(log::Level::Warn)
            && shared.log_limit.admits(Cause::Timestamps, now)
        {
            let name = shared.publish_keys.masked(&stream.name);
            match odd {
                Irregularity::Gap(ms) => {
                    log::warn!(stream:% = name; "timestamps jump ahead by {ms} ms");
                }
                Irregularity::Backward(ms) => {
                    log::warn!(stream:% = name; "timestamps jump back by {ms} ms; rebased");
                }
            }
        }
        let over_bitrate = ingested.rate.filter(|&rate| {
            let limit = self.config.limits.publisher_bitrate;
            limit > 0 && rate > limit
        });
        let publisher = stream.publisher;
        if let Some(packet) = ingested.packet {
            stream
                .taps
                .retain_mut(|tap| tap.push(&packet, now, &self.config.queue));
            let mut here = false;
            for &worker in &stream.feeds {
                if worker == self.index {
                    here = true;
                } else {
                    let packet = packet.clone();
                    shared.inboxes[worker].send(Command::Feed { stream: id, packet });
                }
            }
            if here {
                self.fan_out(id, &packet);
            }
        }
        if ingested.tracks_changed {
            self.tell_tracks(id);
        }
        if ingested.headers_full {
            let limit = self.config.limits.header_bytes as u64;
            self.tell_limit("limits.header_bytes", limit, None);
        }
        if let (Some(rate), Some(PublisherId::Connection(connection, _))) =
            (over_bitrate, publisher)
        {
            self.over_bitrate(connection, rate);
        }
    }

    fn tell_tracks(&self, id: StreamId) {
        if self.shared.events.is_none() {
            return;
        }
        let Some(stream) = self.state.streams.get(&id) else {
            return;
        };
        self.emit(Event::StreamTracks {
            stream: id,
            name: self.shared.publish_keys.masked(&stream.name),
            tracks: stream.tracks().list().to_vec(),
        });
    }

    fn over_bitrate(&self, connection: ConnectionId, rate: u64) {
        let limits = &self.config.limits;
        if self.may_log(Cause::Limit, log::Level::Warn) {
            log::warn!(connection:% = connection, rate = rate; "publisher over its bit rate");
        }
        self.emit(Event::LimitReached {
            limit: "limits.publisher_bitrate",
            value: limits.publisher_bitrate,
            connection: Some(connection),
        });
        if limits.disconnect_over_bitrate {
            self.shared.inboxes[connection.worker()].send(Command::Disconnect {
                connection,
                reason: format!(
                    "{rate} bit/s, limits.publisher_bitrate is {}",
                    limits.publisher_bitrate
                ),
                answer: None,
            });
        }
    }

    /// A stream's publisher is gone (S4). Idempotent; an earlier publisher's end
    /// changes nothing.
    pub(super) fn end_publication(&mut self, id: StreamId, epoch: u32) {
        let now = self.state.now;
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        if stream.epoch != epoch || stream.publisher.take().is_none() {
            return;
        }
        let name = self.shared.publish_keys.masked(&stream.name);
        let stopping = self.state.draining.is_some();
        // No more streams wait than may be published: whoever publishes one name
        // after the other must not fill the memory with them.
        let waiting = self
            .state
            .streams
            .values()
            .filter(|s| s.publisher.is_none());
        let crowded = waiting.count() > self.config.limits.publishers;
        let grace = match stopping || crowded {
            true => Duration::ZERO,
            false => self.config.streams.republish_grace,
        };
        if self.may_log(Cause::Stream, log::Level::Info) {
            log::info!(stream:% = name; "unpublished");
        }
        let next = self.shared.directory.lock().publisher_gone(id, epoch);
        if let Some((connection, request)) = next {
            self.shared.inboxes[connection.worker()].send(Command::RetryPublish {
                connection,
                request,
                stream: id,
            });
        }
        self.emit(Event::StreamUnpublished { stream: id, name });
        // Who waited for this end continues the stream, as within a grace.
        if grace.is_zero() && (next.is_none() || stopping) {
            self.end_stream(id);
        } else {
            let patience = grace.max(NEXT_PUBLISHER);
            let until = now + if next.is_some() { patience } else { grace };
            if let Some(stream) = self.state.streams.get_mut(&id) {
                stream.grace_until = Some(until);
            }
            self.arm_grace(id);
        }
    }

    /// Makes sure the timers know when a stream's grace is over.
    fn arm_grace(&mut self, id: StreamId) {
        if let Some(stream) = self.state.streams.get_mut(&id)
            && let Some(until) = stream.grace_until
        {
            let timer = Timer::Stream(id);
            self.state.timers.arm(timer, &mut stream.armed, until);
        }
    }

    pub(super) fn on_grace_over(&mut self, id: StreamId) {
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        stream.armed = None;
        match stream.grace_until {
            Some(until) if until <= self.state.now => self.end_stream(id),
            Some(_) => self.arm_grace(id),
            None => {}
        }
    }

    /// Stopping: nobody comes back.
    pub(super) fn end_streams_in_grace(&mut self) {
        let is_over = |s: &&Stream| s.publisher.is_none();
        let ids: Vec<StreamId> = self
            .state
            .streams
            .values()
            .filter(is_over)
            .map(|s| s.id)
            .collect();
        for id in ids {
            self.end_stream(id);
        }
    }

    /// The stop's grace is over: whoever still publishes here does not any more.
    pub(super) fn end_all_streams(&mut self) {
        let streams: Vec<_> = self
            .state
            .streams
            .values()
            .map(|s| (s.id, s.epoch))
            .collect();
        for (id, epoch) in streams {
            self.end_publication(id, epoch);
        }
        self.end_streams_in_grace();
    }

    fn end_stream(&mut self, id: StreamId) {
        let Some(stream) = self.state.streams.get(&id) else {
            return;
        };
        let shared = self.shared.clone();
        let mut directory = shared.directory.lock();
        // Somebody may have claimed the name just now: then it goes on.
        let Some(feeds) = directory.close(id, stream.epoch) else {
            return;
        };
        // Sent with the lock held: the next publisher's StreamUp, from another
        // worker, must not be overtaken by it.
        for &worker in feeds.iter().filter(|&&worker| worker != self.index) {
            shared.inboxes[worker].send(Command::StreamDown { stream: id });
        }
        drop(directory);
        let Some(mut stream) = self.state.streams.remove(&id) else {
            return;
        };
        let timer = Timer::Stream(id);
        self.state.timers.disarm(timer, &mut stream.armed);
        let name = self.shared.publish_keys.masked(&stream.name);
        drop(stream);
        self.emit(Event::StreamEnded { stream: id, name });
        if feeds.contains(&self.index) {
            self.stream_down(id);
        }
    }

    /// Somebody wants to play a stream that lives here: the answer is what a
    /// joiner gets at once, and everything after it.
    pub(super) fn join(&mut self, id: StreamId, worker: usize, join: JoinId) {
        let now = self.state.now;
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        if !stream.feeds.contains(&worker) {
            stream.feeds.push(worker);
        }
        let packets = stream.snapshot(&self.shared.budget, now);
        let has_video = stream.tracks().has_video();
        if worker == self.index {
            self.deliver_snapshot(id, join, has_video, &packets);
        } else {
            self.shared.inboxes[worker].send(Command::Snapshot {
                stream: id,
                join,
                has_video,
                packets,
            });
        }
    }

    /// A worker had no subscribers of a stream when it said so. What the directory
    /// says is newer: one that plays again meanwhile goes on being fed.
    pub(super) fn forget_feed(&mut self, id: StreamId, worker: usize) {
        if self.shared.directory.lock().feeds(id, worker) {
            return;
        }
        if let Some(stream) = self.state.streams.get_mut(&id) {
            stream.feeds.retain(|&w| w != worker);
        }
    }

    pub(super) fn attach_tap(&mut self, id: StreamId, tap: Arc<Tapped>) {
        let now = self.state.now;
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        if !tap.wants(&stream.name) || stream.taps.iter().any(|t| t.is_of(&tap)) {
            return;
        }
        let snapshot = stream.snapshot(&self.shared.budget, now);
        let start = stream.tap_start(&snapshot);
        let sink = TapSink::attach(tap, start, now, &self.config.queue);
        stream.taps.push(sink);
    }

    /// The host wants a stream gone, whoever publishes it.
    pub(super) fn kick_publisher(&mut self, id: StreamId, reason: &str) {
        let Some(stream) = self.state.streams.get(&id) else {
            return;
        };
        match stream.publisher {
            Some(PublisherId::Connection(connection, _)) => {
                self.shared.inboxes[connection.worker()].send(Command::Disconnect {
                    connection,
                    reason: reason.to_owned(),
                    answer: None,
                });
            }
            // It learns when it next writes.
            Some(PublisherId::Host(_)) => self.end_publication(id, stream.epoch),
            None => {}
        }
    }
}
