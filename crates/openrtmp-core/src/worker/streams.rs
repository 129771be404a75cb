//! Streams that live here: published, fed, ended.
//!
//! What is for players of this worker is returned; what is for those of others is sent
//! to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::MediaKind;

use super::context::Context;
use super::lives;
use super::timers::Timer;
use super::work;
use crate::budget::Charge;
use crate::events::{CloseReason, Event};
use crate::id::{PublisherId, StreamId};
use crate::inbox::{Command, ConnectionCommand, JoinId};
use crate::limit::Limit;
use crate::log_limit::Cause;
use crate::mobile::MemoryLevel;
use crate::platform::Platform;
use crate::secret::StreamName;
use crate::stream::clock::{Irregularity, Oddity};
use crate::stream::directory::Grant;
use crate::stream::feed::{Offered, WorkerFeed};
use crate::stream::message::{Departure, PublisherMessage, StreamNews};
use crate::stream::packet::SharedPacket;
use crate::stream::picture::PictureNews;
use crate::stream::stream::Stream;
use crate::stream::tap_queue::{TapQueue, TapSink};
use crate::stream::tracks::Doubt;
use crate::sync::lock;

/// How long the publisher whose turn it is may take to claim a stream.
const NEXT_PUBLISHER: Duration = Duration::from_secs(2);

/// The streams whose home is this worker.
#[derive(Default)]
pub(super) struct Streams {
    streams: BTreeMap<StreamId, Stream>,
    /// How many of them have a publisher.
    published: usize,
}

impl Streams {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.streams.values()
    }

    /// A publish was granted: the stream begins, or goes on with this publisher.
    /// Returns what players of this worker are to be told.
    pub(super) fn start<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        grant: Grant,
    ) -> Option<StreamNews> {
        // This worker may have died since, and its publishers were told so. Or
        // another took over, whose grant may even have come first.
        if !context.shared.directory.lock().is_in_force(&grant) {
            return None;
        }
        let now = context.now;
        let known = self.streams.contains_key(&grant.id);
        let budget = &context.shared.budget;
        let stream = self.streams.entry(grant.id).or_insert_with(|| {
            let mut stream = Stream::new(grant.id, grant.name.clone(), now, budget);
            let most = context.config.metrics.streams;
            stream.series = lock(&context.shared.series).take(&grant.name, most);
            stream
        });
        // Not what the directory saw: the one before may have left meanwhile.
        let takeover = stream.publisher.is_some();
        let replaced = takeover.then(|| match stream.connection() {
            Some(connection) => connection.to_string(),
            None => "of the host".to_owned(),
        });
        self.published += usize::from(!takeover);
        stream.start_publisher(grant.publisher, grant.epoch);
        for worker in grant.workers {
            stream.add_feed(worker, &context.config);
        }
        stream.asked = grant.asked;
        let wants = |tap: &TapQueue| tap.wants(&grant.name, grant.asked);
        // Another publisher may want to be recorded where the one before did not, or the
        // other way round.
        stream.taps.retain(|sink| sink.is_wanted(wants));
        stream.taps.iter_mut().for_each(TapSink::push_republished);
        for tap in grant.taps.into_iter().filter(|tap| wants(tap)) {
            if !stream.taps.iter().any(|sink| sink.is_of(&tap)) {
                let start = stream.tap_start(&[]);
                stream.taps.push(TapSink::attach(tap, start, now));
            }
        }
        let (name, connection) = (stream.name.clone(), stream.connection());
        lives::report_published(context, stream, replaced);
        context.emit(Event::StreamPublished {
            stream: grant.id,
            name,
            takeover,
            connection,
        });
        let news = match known {
            true => StreamNews::Restarted,
            false => StreamNews::Began,
        };
        let stream = grant.id;
        let known = self.streams.get(&stream)?;
        let elsewhere = known.feeds.iter().map(|feed| feed.worker);
        for worker in elsewhere.filter(|&worker| worker != context.index) {
            context.send(worker, Command::StreamNews { stream, news });
        }
        known.feeds(context.index).then_some(news)
    }

    /// A message of a stream's publisher, on its way to all who get it. Players of this
    /// worker are to get what is handed to `here`.
    pub(super) fn ingest<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        message: PublisherMessage,
        mut here: impl FnMut(&mut Context<P>, &SharedPacket),
    ) {
        context.work += work::INGEST;
        let now = context.now;
        let shared = context.shared.clone();
        // Before anybody's frame is refused.
        if shared.budget.is_short() {
            shared.relieve();
        }
        let PublisherMessage {
            stream: id,
            epoch,
            kind,
            timestamp,
            payload,
        } = message;
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.epoch != epoch || stream.publisher.is_none() {
            return;
        }
        stream.audio_only = context.conditions.audio_only;
        let ingested = stream.ingest(kind, timestamp, payload, now, &context.config);
        if let Some(odd) = ingested.odd {
            report_irregularity(context, stream, odd);
        }
        if let Some(doubt) = ingested.doubt {
            report_doubt(context, stream, doubt);
        }
        if let Some(news) = ingested.picture {
            report_picture(context, stream, news);
        }
        if ingested.tracks_changed && !stream.taps.is_empty() {
            let tracks = stream.tracks().list().into();
            stream
                .taps
                .iter_mut()
                .for_each(|tap| tap.push_tracks(&tracks));
        }
        for packet in ingested.headers.iter().chain(&ingested.packet) {
            stream.taps.retain_mut(|tap| tap.push(packet, now));
            if stream.feeds.iter().any(|feed| feed.worker != context.index) {
                feed_others(context, stream, packet);
            }
            if stream.feeds(context.index) {
                here(context, packet);
            }
        }
        if ingested.tracks_changed {
            report_tracks(context, stream);
        }
        if let Some(limit) = ingested.limit {
            context.report_limit(limit, stream.connection());
            if limit == Limit::Memory && context.may_log(Cause::Shortage, log::Level::Warn) {
                let name = &stream.name;
                log::warn!(stream:% = name; "frames are refused for want of memory");
            }
        }
        let limit = context.config.limits.publisher_bitrate;
        if let Some(rate) = ingested.rate
            && limit > 0
            && rate > limit
        {
            report_bitrate(context, stream, rate);
        }
    }

    /// A stream's publisher is gone. Idempotent; an earlier publisher's end changes
    /// nothing. True if players of this worker are to be told that the stream is over.
    pub(super) fn publisher_left<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        id: StreamId,
        epoch: u32,
        departure: Departure,
    ) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else {
            return false;
        };
        if stream.epoch != epoch || stream.publisher.take().is_none() {
            return false;
        }
        let name = stream.name.clone();
        self.published -= 1;
        // No more streams wait than may be published: whoever publishes one name
        // after the other must not fill the memory with them.
        let waiting = self.streams.len() - self.published;
        let crowded = waiting > context.config.limits.publishers;
        let grace = match context.is_stopping() || crowded {
            true => Duration::ZERO,
            false => match departure {
                Departure::Lost => {
                    let grace = context.config.streams.republish_grace;
                    grace.max(context.conditions.grace)
                }
                Departure::Goodbye => context.config.streams.goodbye_grace,
            },
        };
        let is_lost = departure == Departure::Lost;
        if let Some(stream) = self.streams.get(&id) {
            lives::report_unpublished(context, stream, is_lost);
        }
        let next = context.shared.directory.lock().release_to_next(id, epoch);
        if let Some((connection, request)) = next {
            let stream = id;
            let command = ConnectionCommand::RetryPublish { request, stream };
            context.shared.send_to(connection, command);
        }
        if is_lost {
            let name = name.clone();
            context.emit(Event::PublisherLost {
                stream: id,
                name,
                grace,
            });
        }
        context.emit(Event::StreamUnpublished { stream: id, name });
        // Who waited for this end continues the stream, as within a grace.
        if grace.is_zero() && (next.is_none() || context.is_stopping()) {
            return self.close(context, id);
        }
        let patience = grace.max(NEXT_PUBLISHER);
        let until = context.now + if next.is_some() { patience } else { grace };
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.grace_until = Some(until);
        }
        self.arm_grace(context, id);
        false
    }

    /// Makes sure the timers know when a stream's grace is over.
    fn arm_grace<P: Platform>(&mut self, context: &mut Context<P>, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && let Some(until) = stream.grace_until
        {
            context
                .timers
                .arm(Timer::Stream(id), &mut stream.armed, until);
        }
    }

    /// Time stands still while the server is suspended: a grace that is over is not.
    pub(super) fn put_off(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.armed = None;
        }
    }

    /// The graces that there were when the server was suspended go on for as long as they
    /// had left.
    pub(super) fn put_off_graces<P: Platform>(&mut self, context: &mut Context<P>, by: Duration) {
        self.change_graces(context, |until| until + by);
    }

    /// Streams without publishers are kept at least so long from now on.
    pub(super) fn keep<P: Platform>(&mut self, context: &mut Context<P>, grace: Duration) {
        let until = context.now + grace;
        self.change_graces(context, |before| before.max(until));
    }

    fn change_graces<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        change: impl Fn(Time) -> Time,
    ) {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        for id in ids {
            if let Some(stream) = self.streams.get_mut(&id)
                && let Some(until) = &mut stream.grace_until
            {
                *until = change(*until);
                context.timers.disarm(Timer::Stream(id), &mut stream.armed);
                self.arm_grace(context, id);
            }
        }
    }

    /// The device is short of memory: of what is kept for joiners some goes at once.
    pub(super) fn shrink_caches(&mut self, level: MemoryLevel) {
        for stream in self.streams.values_mut() {
            stream.shrink_cache(level);
        }
    }

    /// True as [`Streams::publisher_left`] has it.
    pub(super) fn on_grace_over<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        id: StreamId,
    ) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else {
            return false;
        };
        stream.armed = None;
        match stream.grace_until {
            Some(until) if until <= context.now => return self.close(context, id),
            Some(_) => self.arm_grace(context, id),
            None => {}
        }
        false
    }

    /// Stopping: nobody comes back. Returns the streams whose players here are to be
    /// told.
    pub(super) fn end_in_grace<P: Platform>(&mut self, context: &mut Context<P>) -> Vec<StreamId> {
        let over = self.streams.values().filter(|s| s.publisher.is_none());
        let mut ids: Vec<StreamId> = over.map(|s| s.id).collect();
        ids.retain(|&id| self.close(context, id));
        ids
    }

    /// The stop's grace is over: whoever still publishes here does not any more.
    pub(super) fn end_all<P: Platform>(&mut self, context: &mut Context<P>) -> Vec<StreamId> {
        let streams: Vec<_> = self.streams.values().map(|s| (s.id, s.epoch)).collect();
        let mut ended = Vec::new();
        for (id, epoch) in streams {
            if self.publisher_left(context, id, epoch, Departure::Goodbye) {
                ended.push(id);
            }
        }
        ended.extend(self.end_in_grace(context));
        ended
    }

    fn close<P: Platform>(&mut self, context: &mut Context<P>, id: StreamId) -> bool {
        let Some(stream) = self.streams.get(&id) else {
            return false;
        };
        let shared = context.shared.clone();
        let mut directory = shared.directory.lock();
        // Somebody may have claimed the name just now: then it goes on.
        let Some(workers) = directory.close(id, stream.epoch) else {
            return false;
        };
        // Sent with the lock held: the next publisher's news, from another worker,
        // must not be overtaken by it.
        for &worker in workers.iter().filter(|&&worker| worker != context.index) {
            let news = StreamNews::Ended;
            shared.inboxes[worker].send(Command::StreamNews { stream: id, news });
        }
        drop(directory);
        let Some(mut stream) = self.streams.remove(&id) else {
            return false;
        };
        self.published -= usize::from(stream.publisher.is_some());
        context.timers.disarm(Timer::Stream(id), &mut stream.armed);
        let name = stream.name.clone();
        count_ended(context, &stream);
        // Taps end before the host hears of it.
        drop(stream);
        context.emit(Event::StreamEnded { stream: id, name });
        workers.contains(&context.index)
    }

    /// Somebody wants to play a stream that lives here: the answer is what a joiner
    /// gets at once, and everything after it. Returned if it is for this worker.
    pub(super) fn join<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        id: StreamId,
        worker: usize,
        join: JoinId,
    ) -> Option<Vec<SharedPacket>> {
        let stream = self.streams.get_mut(&id)?;
        stream.add_feed(worker, &context.config);
        let packets = stream.snapshot(context.now);
        context.work += work::DELIVERY * packets.len() as u64;
        if worker == context.index {
            return Some(packets);
        }
        let room = packets.capacity() * size_of::<SharedPacket>() + size_of::<Command>();
        let charge = Charge::new(&context.shared.budget, room);
        context.send(
            worker,
            Command::Snapshot {
                stream: id,
                join,
                packets,
                charge,
            },
        );
        None
    }

    /// A worker had no players of a stream when it said so. What the directory says is
    /// newer: one that plays again meanwhile goes on being served.
    pub(super) fn forget_worker<P: Platform>(
        &mut self,
        context: &Context<P>,
        id: StreamId,
        worker: usize,
    ) {
        if context.shared.directory.lock().has_players(id, worker) {
            return;
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.feeds.retain(|feed| feed.worker != worker);
        }
    }

    /// Memory is short: a stream's cached frames go.
    pub(super) fn forget_cache<P: Platform>(&mut self, context: &Context<P>, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.give_way()
        {
            context.report_limit(Limit::Memory, stream.connection());
            if context.may_log(Cause::Shortage, log::Level::Warn) {
                let name = &stream.name;
                log::warn!(stream:% = name; "the cached frames are dropped for want of memory");
            }
        }
    }

    pub(super) fn attach_tap<P: Platform>(
        &mut self,
        context: &Context<P>,
        id: StreamId,
        tap: Arc<TapQueue>,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if !tap.wants(&stream.name, stream.asked) || stream.taps.iter().any(|t| t.is_of(&tap)) {
            return;
        }
        let snapshot = stream.snapshot(context.now);
        let start = stream.tap_start(&snapshot);
        stream.taps.push(TapSink::attach(tap, start, context.now));
    }

    /// The host wants a stream gone, whoever publishes it. True as
    /// [`Streams::publisher_left`] has it.
    pub(super) fn end_stream<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        id: StreamId,
        reason: &str,
    ) -> bool {
        let Some(stream) = self.streams.get(&id) else {
            return false;
        };
        match stream.publisher {
            Some(PublisherId::Connection(connection, _)) => {
                let reason = CloseReason::Host(reason.to_owned());
                context.shared.disconnect(connection, reason);
                false
            }
            // It learns when it next writes.
            Some(PublisherId::Host(_)) => {
                self.publisher_left(context, id, stream.epoch, Departure::Goodbye)
            }
            None => false,
        }
    }

    /// The worker's streams are lost.
    pub(super) fn give_up<P: Platform>(&self, context: &mut Context<P>) {
        for stream in self.streams.values() {
            count_ended(context, stream);
            let (id, name) = (stream.id, stream.name.clone());
            if stream.publisher.is_some() {
                let name = name.clone();
                context.emit(Event::StreamUnpublished { stream: id, name });
            }
            context.emit(Event::StreamEnded { stream: id, name });
        }
    }

    /// Streams here may have publishers and players elsewhere: they go on until those
    /// have left too. The host's own publisher cannot be told to.
    pub(super) fn can_stop(&self) -> bool {
        self.streams.values().all(|stream| {
            stream.feeds.is_empty() && matches!(stream.publisher, None | Some(PublisherId::Host(_)))
        })
    }
}

/// What was counted of a stream stays counted, if its series do not end with it.
fn count_ended<P: Platform>(context: &mut Context<P>, stream: &Stream) {
    match &stream.series {
        Some(label) => lock(&context.shared.series).give_back(label),
        None => context.totals.ended.add(&(&stream.stats).into()),
    }
}

/// A packet for the players of other workers, as far as those keep up.
fn feed_others<P: Platform>(context: &mut Context<P>, stream: &mut Stream, packet: &SharedPacket) {
    let shared = context.shared.clone();
    let mut headers = Vec::new();
    if stream.feeds.iter().any(WorkerFeed::wants_headers) {
        headers = stream.headers_for_joiners(context.now).to_vec();
    }
    for feed in &mut stream.feeds {
        if feed.worker == context.index {
            continue;
        }
        let mut missed: &[SharedPacket] = &[];
        if feed.wants_headers() {
            feed.renew();
            missed = &headers;
        }
        for packet in missed.iter().chain([packet]) {
            match feed.offer(packet, &shared.budget) {
                Offered::Sent(credit) => {
                    let packet = packet.clone();
                    shared.inboxes[feed.worker].send(Command::Packet {
                        stream: stream.id,
                        packet,
                        credit,
                    });
                }
                Offered::Lost { reached } => {
                    stream.stats.unfed_frames += 1;
                    context.totals.dropped_frames += 1;
                    if let Some(limit) = reached {
                        report_unfed(context, &stream.name, feed.worker, limit);
                    }
                }
            }
        }
    }
}

fn report_unfed<P: Platform>(context: &Context<P>, name: &StreamName, worker: usize, limit: Limit) {
    context.report_limit(limit, None);
    if context.may_log(Cause::TooSlow, log::Level::Warn) {
        log::warn!(
            stream:% = name, worker = worker;
            "a worker does not keep up; its players lose video to the next key frame"
        );
    }
}

fn report_irregularity<P: Platform>(context: &Context<P>, stream: &Stream, odd: Irregularity) {
    if !context.may_log(Cause::Timestamps, log::Level::Warn) {
        return;
    }
    let Irregularity { kind, track, what } = odd;
    let (name, kind) = (&stream.name, kind_name(kind));
    match what {
        Oddity::Gap(ms) => {
            log::warn!(stream:% = name, kind = kind, track = track; "no frame for {ms} ms");
        }
        Oddity::Rebased(ms) => {
            log::warn!(stream:% = name, kind = kind, track = track; "timestamps jump by {ms} ms; rebased");
        }
        Oddity::Stray(ms) => {
            log::warn!(stream:% = name, kind = kind, track = track; "one timestamp is off by {ms} ms; replaced");
        }
        Oddity::Apart(ms) => {
            log::warn!(stream:% = name, kind = kind, track = track; "timestamps are {ms} ms from the other tracks'; aligned");
        }
    }
}

fn kind_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Data => "data",
    }
}

fn report_doubt<P: Platform>(context: &Context<P>, stream: &Stream, doubt: Doubt) {
    if !context.may_log(Cause::Tolerated, log::Level::Info) {
        return;
    }
    let Doubt { track, believed } = doubt;
    let name = &stream.name;
    if believed {
        log::info!(
            stream:% = name, track = track;
            "key frames are so by their tags only; players begin there"
        );
    } else {
        log::info!(
            stream:% = name, track = track;
            "frames tagged as key frames need others; players do not begin there"
        );
    }
}

fn report_picture<P: Platform>(context: &Context<P>, stream: &Stream, news: PictureNews) {
    let (id, name) = (stream.id, stream.name.clone());
    // Publishers choose their times.
    let log_limit = &context.shared.log_limit;
    if !log_limit.admits(Cause::Picture, context.now) {
        return;
    }
    match news {
        PictureNews::Stopped(silence) => {
            log::warn!(stream:% = name; "no picture for {silence:?}, while sound goes on");
            context.emit(Event::VideoStopped {
                stream: id,
                name,
                silence,
            });
        }
        PictureNews::Resumed(silence) => {
            log::info!(stream:% = name; "a picture again, after {silence:?}");
            context.emit(Event::VideoResumed {
                stream: id,
                name,
                silence,
            });
        }
    }
}

fn report_tracks<P: Platform>(context: &Context<P>, stream: &Stream) {
    lives::report_tracks(context, stream);
    context.emit(Event::StreamTracks {
        stream: stream.id,
        name: stream.name.clone(),
        tracks: stream.tracks().list().to_vec(),
    });
}

fn report_bitrate<P: Platform>(context: &Context<P>, stream: &Stream, rate: u64) {
    let limit = Limit::PublisherBitrate;
    context.report_limit(limit, stream.connection());
    if context.config.limits.disconnect_over_bitrate {
        let allowed = limit.value(&context.config);
        let reason = format!("{rate} bit/s, {limit} is {allowed}");
        let reason = CloseReason::Limit(reason);
        context.shared.notify_publisher(stream.publisher, reason);
    }
}
