//! The players of this worker's connections, by stream, wherever it lives.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use openrtmp_protocol::Time;
use openrtmp_protocol::session::{MediaKind, Stage, published};

use super::connection::{Connection, Playing};
use super::connections::Connections;
use super::context::Context;
use super::requests::Request;
use super::session::Session;
use super::work;
use crate::events::{CloseReason, Event};
use crate::id::{ConnectionId, IdMap, StreamId};
use crate::inbox::{Command, JoinId};
use crate::limit::Limit;
use crate::log_limit::Cause;
use crate::platform::{Platform, Stream};
use crate::secret::StreamName;
use crate::steps;
use crate::stream::class::Class;
use crate::stream::directory::Attached;
use crate::stream::gate::{Gate, Missing};
use crate::stream::message::StreamNews;
use crate::stream::packet::SharedPacket;
use crate::stream::queue::Lane;

/// Why a player is closed whose queue cannot grow.
const NO_MEMORY: &str = "no memory for its queue";

/// Everybody here who plays, or waits for what is still to come.
#[derive(Default)]
pub(super) struct Players {
    audiences: BTreeMap<StreamId, Audience>,
}

/// The subscribers of one stream on this worker.
pub(super) struct Audience {
    pub(super) name: StreamName,
    /// Close together, for each frame goes to all of them.
    pub(super) subscribers: Vec<Subscriber>,
    /// Where each is, for what concerns one.
    places: IdMap<JoinId, usize>,
    /// The stream's home was asked for a snapshot.
    asked: Option<Asked>,
}

/// A snapshot on its way from a stream's home. One is asked for at a time, whoever comes:
/// it serves all who came before it does.
struct Asked {
    /// Names the question.
    join: JoinId,
    /// Subscriptions.
    waiting: Vec<JoinId>,
}

/// What of a stream goes to a subscription.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attachment {
    /// Nothing: a snapshot is to come, or the stream itself.
    Waiting,
    /// Headers, since it has the others: a snapshot is to bring the media again that it
    /// did not want before.
    Resuming,
    /// Everything; a snapshot is to bring the video that it did not want before.
    AwaitingVideo,
    /// Everything: its snapshot came, or it was here before the stream.
    Attached,
}

/// One message stream of a connection that plays.
pub(super) struct Subscriber {
    pub(super) connection: ConnectionId,
    /// Of that connection, which stays where it is while it plays.
    pub(super) slot: usize,
    pub(super) join: JoinId,
    lane: Lane,
    pub(super) gate: Gate,
    attachment: Attachment,
    /// Audio and video that it cannot take, and was told so.
    refused: [bool; 2],
    /// It gets every track, as they are; else the default ones, as plain as can be.
    all_tracks: bool,
    pub(super) since: Time,
    /// When its first key frame (or audio frame) was queued.
    pub(super) first_frame: Option<Time>,
    /// The host was told of the loss that goes on.
    loss_reported: bool,
}

/// A subscription that a worker's home has to answer with a snapshot.
pub(super) struct Joining {
    pub(super) stream: StreamId,
    pub(super) join: JoinId,
}

impl Players {
    /// The audiences, for the numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (StreamId, &Audience)> {
        self.audiences.iter().map(|(&id, audience)| (id, audience))
    }

    /// The connections that play a stream, or wait for it.
    pub(super) fn slots_of(&self, id: StreamId) -> Vec<usize> {
        let audience = self.audiences.get(&id);
        let subscribers = audience.map_or(&[][..], |audience| &audience.subscribers);
        subscribers
            .iter()
            .map(|subscriber| subscriber.slot)
            .collect()
    }

    /// A connection here plays a stream, live or still to come. Returns the
    /// subscription if the stream lives here; elsewhere its home was asked.
    pub(super) fn subscribe<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        connection: &mut Connection<P::Stream>,
        slot: usize,
        request: &Request,
    ) -> Option<Joining> {
        let (attempt, message_stream) = (&request.attempt, request.message_stream);
        context.joins += 1;
        let join = JoinId(context.joins);
        let shared = context.shared.clone();
        let opened_by = shared.granted_by(attempt);
        let mut directory = shared.directory.lock();
        let Attached {
            stream: id,
            home,
            name,
        } = directory.attach(&attempt.stream, context.index);
        let shown = name.clone();
        let audience = self.audiences.entry(id).or_insert_with(|| Audience {
            name,
            subscribers: Vec::new(),
            places: IdMap::default(),
            asked: None,
        });
        let joining = home.and_then(|home| audience.ask(context, id, home, join));
        drop(directory);

        connection.cold.playing.push(Playing {
            message_stream,
            stream: id,
            join,
            opened_by,
        });
        audience.places.insert(join, audience.subscribers.len());
        audience.subscribers.push(Subscriber {
            connection: connection.cold.id,
            slot,
            join,
            lane: connection.queue.lane(message_stream),
            gate: Gate::for_so_long(request.duration),
            attachment: Attachment::Waiting,
            refused: [false; 2],
            all_tracks: context.config.streams.all_tracks
                || connection.cold.session.knows_multitrack()
                || asks_for_all_tracks(attempt.query.reveal()),
            since: context.now,
            first_frame: None,
            loss_reported: false,
        });
        context.emit(Event::SubscriberJoined {
            connection: connection.cold.id,
            name: shown,
        });
        joining
    }

    /// A subscription is over. True if the stream lives here and has no more players
    /// here; another home was told so.
    pub(super) fn unsubscribe<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        playing: &Playing,
    ) -> bool {
        let id = playing.stream;
        let Some(audience) = self.audiences.get_mut(&id) else {
            return false;
        };
        if let Some(place) = audience.places.remove(&playing.join) {
            let subscriber = audience.subscribers.swap_remove(place);
            if let Some(moved) = audience.subscribers.get(place) {
                audience.places.insert(moved.join, place);
            }
            report_left(context, &audience.name, &subscriber);
        }
        if !audience.subscribers.is_empty() {
            return false;
        }
        self.audiences.remove(&id);
        leave(context, id)
    }

    /// The worker's players are lost, with their connections.
    pub(super) fn give_up<P: Platform>(self, context: &mut Context<P>) {
        for (id, audience) in self.audiences {
            for subscriber in &audience.subscribers {
                report_left(context, &audience.name, subscriber);
            }
            leave(context, id);
        }
    }

    /// What joiners get at once; what is fanned out from now on follows it.
    pub(super) fn deliver_snapshot<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        connections: &mut Connections<P::Stream>,
        id: StreamId,
        join: JoinId,
        packets: &[SharedPacket],
    ) {
        let Some(audience) = self.audiences.get_mut(&id) else {
            return;
        };
        let Some(asked) = audience.asked.take_if(|asked| asked.join == join) else {
            return;
        };
        for join in asked.waiting {
            let place = audience.places.get(&join);
            let subscriber = place.and_then(|&place| audience.subscribers.get_mut(place));
            let waits = |s: &&mut Subscriber| s.attachment != Attachment::Attached;
            let Some(subscriber) = subscriber.filter(waits) else {
                continue;
            };
            context.work += work::DELIVERY * packets.len() as u64;
            steps::walk(packets.len() * steps::DELIVERY);
            let has_video = !subscriber.gate.waits_for_video();
            let wanted: fn(&SharedPacket) -> bool = match subscriber.attachment {
                // A key frame came meanwhile: what is older is of no use any more.
                Attachment::AwaitingVideo if has_video => |_| false,
                Attachment::AwaitingVideo => {
                    |packet| packet.kind == MediaKind::Video && packet.class.is_timed()
                }
                Attachment::Resuming => |packet| !packet.class.is_header(),
                Attachment::Waiting | Attachment::Attached => |_| true,
            };
            if subscriber.attachment != Attachment::AwaitingVideo {
                subscriber.gate.restart();
            }
            subscriber.attachment = Attachment::Attached;
            guarded(
                context,
                connections,
                std::slice::from_mut(subscriber),
                |context, connections, subscriber| {
                    let Some(connection) = connections.get_mut(subscriber.slot) else {
                        return;
                    };
                    #[cfg(test)]
                    crate::sim_tests::panic_at(connection.cold.peer);
                    let packets = packets.iter().filter(|&packet| wanted(packet));
                    if let Err(reason) = subscriber.take_snapshot(context, connection, packets) {
                        return connections.doom(subscriber.slot, reason);
                    }
                    connection.io.urgent = true;
                    connections.mark_dirty(subscriber.slot);
                },
            );
        }
    }

    /// One packet to every subscriber here: a reference each.
    pub(super) fn fan_out<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        connections: &mut Connections<P::Stream>,
        id: StreamId,
        packet: &SharedPacket,
    ) {
        let Some(audience) = self.audiences.get_mut(&id) else {
            // The last subscriber left while the packet was on its way.
            return;
        };
        context.work += work::DELIVERY * audience.subscribers.len() as u64;
        steps::walk(audience.subscribers.len() * steps::DELIVERY);
        let name = &audience.name;
        let is_plain = packet.is_plain();
        guarded(
            context,
            connections,
            &mut audience.subscribers,
            |context, connections, subscriber| {
                match subscriber.attachment {
                    Attachment::Attached | Attachment::AwaitingVideo => {}
                    Attachment::Resuming if packet.class.is_header() => {}
                    Attachment::Resuming | Attachment::Waiting => return,
                }
                let packet = match is_plain || subscriber.all_tracks {
                    true => packet,
                    false => match packet.plain_form() {
                        Some(plain) => plain,
                        None => return,
                    },
                };
                let Some((connection, dirty)) = connections.for_writing(subscriber.slot) else {
                    return;
                };
                if connection.is_ending() {
                    return;
                }
                let waited = connection.queue.bytes();
                let lost = subscriber.take(context, connection, packet);
                if lost > 0 {
                    let limit = match waited > context.config.queue.max_bytes {
                        true => Limit::QueueBytes,
                        false => Limit::QueueDelay,
                    };
                    subscriber.report_loss(context, connection.cold.peer, name, lost, limit);
                }
                dirty.mark(connection);
                if subscriber.gate.take_end() {
                    connection
                        .cold
                        .session
                        .notify_complete(subscriber.lane.message_stream());
                    connections.pump(context, subscriber.slot);
                }
            },
        );
    }

    /// Tells the players of a stream what became of it.
    pub(super) fn notify<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        connections: &mut Connections<P::Stream>,
        id: StreamId,
        news: StreamNews,
    ) {
        let Some(audience) = self.audiences.get_mut(&id) else {
            return;
        };
        // A snapshot of what was before will not come any more.
        if news != StreamNews::Restarted {
            audience.asked = None;
        }
        context.work += work::REQUEST * audience.subscribers.len() as u64;
        guarded(
            context,
            connections,
            &mut audience.subscribers,
            |context, connections, subscriber| {
                let Some(connection) = connections.get_mut(subscriber.slot) else {
                    return;
                };
                #[cfg(test)]
                crate::sim_tests::panic_at(connection.cold.peer);
                subscriber.hear(news, &mut connection.cold.session);
                // Who came to publish this stream elsewhere has nothing more to do.
                let is_done = connection.cold.session.errand().is_some()
                    && connection.stage() == Stage::Closed;
                connections.pump(context, subscriber.slot);
                if is_done {
                    connections.end(context, subscriber.slot, CloseReason::StreamEnded);
                }
            },
        );
    }

    /// Changes what one subscription lets pass. What it misses of what it wants again
    /// it is given as if it joined: as [`Players::subscribe`] has it.
    pub(super) fn with_gate<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        connection: &Connection<P::Stream>,
        message_stream: u32,
        change: impl FnOnce(&mut Gate) -> Missing,
    ) -> Option<Joining> {
        let mut playing = connection.cold.playing.iter();
        let playing = playing.find(|p| p.message_stream == message_stream)?;
        let audience = self.audiences.get_mut(&playing.stream)?;
        let &place = audience.places.get(&playing.join)?;
        let subscriber = audience.subscribers.get_mut(place)?;
        let missing = change(&mut subscriber.gate);
        // One that has not joined yet will be given everything.
        if missing == Missing::Nothing || subscriber.attachment == Attachment::Waiting {
            return None;
        }
        let shared = context.shared.clone();
        let directory = shared.directory.lock();
        let home = directory.home_of(playing.stream)?;
        let waits = subscriber.attachment != Attachment::Attached;
        let waits_already = waits && audience.asked.is_some();
        subscriber.attachment = match (missing, subscriber.attachment) {
            (Missing::All, _) | (_, Attachment::Resuming) => Attachment::Resuming,
            _ => Attachment::AwaitingVideo,
        };
        if waits_already {
            return None;
        }
        audience.ask(context, playing.stream, home, playing.join)
    }
}

impl Audience {
    /// A subscription wants a snapshot. Returned if the stream lives here: the caller is
    /// to ask. To be called with the directory locked, so that the stream's end, which
    /// is told with the lock held, does not overtake the question.
    fn ask<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        stream: StreamId,
        home: usize,
        subscription: JoinId,
    ) -> Option<Joining> {
        context.joins += 1;
        let (join, waiting) = (JoinId(context.joins), Vec::new());
        let asked = self.asked.get_or_insert(Asked { join, waiting });
        asked.waiting.push(subscription);
        let worker = context.index;
        if home == worker {
            asked.join = join;
            return Some(Joining { stream, join });
        }
        if asked.join == join {
            let command = Command::Join {
                stream,
                worker,
                join,
            };
            context.send(home, command);
        }
        None
    }
}

/// Whether a player asks for more than the default tracks: `?tracks=all`.
fn asks_for_all_tracks(query: &str) -> bool {
    query.split('&').any(|part| part == "tracks=all")
}

/// Memory for so many subscribers is on its way while one is worked for.
const AHEAD: usize = 4;

/// Works for each subscriber in turn. Whose work panics is closed, whatever the work
/// came from, and the others have theirs: one guard round the loop, which knows whose
/// turn it is and goes on behind that one.
fn guarded<P: Platform>(
    context: &mut Context<P>,
    connections: &mut Connections<P::Stream>,
    subscribers: &mut [Subscriber],
    mut work: impl FnMut(&mut Context<P>, &mut Connections<P::Stream>, &mut Subscriber),
) {
    let mut next = 0;
    while next < subscribers.len() {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // Once per call, not per subscriber, through what the guard captured.
            let (context, connections) = (&mut *context, &mut *connections);
            while next < subscribers.len() {
                if let Some(later) = subscribers.get(next + AHEAD) {
                    connections.prefetch(later.slot);
                }
                next += 1;
                work(context, connections, &mut subscribers[next - 1]);
            }
        }));
        if outcome.is_err() {
            context.report_panic();
            connections.doom(subscribers[next - 1].slot, CloseReason::Internal);
        }
    }
}

fn report_left<P: Platform>(context: &mut Context<P>, name: &StreamName, subscriber: &Subscriber) {
    let dropped = subscriber.gate.dropped();
    context.totals.dropped_frames += dropped;
    context.emit(Event::SubscriberLeft {
        connection: subscriber.connection,
        name: name.clone(),
        dropped,
    });
}

/// This worker has no subscriber of the stream any more. True if the stream lives here.
fn leave<P: Platform>(context: &mut Context<P>, id: StreamId) -> bool {
    let home = context.shared.directory.lock().detach(id, context.index);
    match home {
        Some(home) if home == context.index => true,
        Some(home) => {
            let worker = context.index;
            context.send(home, Command::Leave { stream: id, worker });
            false
        }
        None => false,
    }
}

/// Stream metadata as a publisher sends it, if the connection publishes the stream
/// elsewhere; `None`: as it is.
#[cold]
fn as_published<S: Stream>(
    connection: &Connection<S>,
    packet: &SharedPacket,
) -> Option<SharedPacket> {
    connection.cold.session.errand()?;
    let payload = published(packet.kind, packet.payload()).into_owned();
    packet.with_payload(payload.into())
}

impl Subscriber {
    /// Queues one packet, or what the gate and the queue leave of it. Returns the
    /// frames lost that the host was not told of yet.
    #[inline]
    fn take<P: Platform>(
        &mut self,
        context: &mut Context<P>,
        connection: &mut Connection<P::Stream>,
        packet: &SharedPacket,
    ) -> u64 {
        #[cfg(test)]
        crate::sim_tests::panic_over(connection.cold.peer, packet.payload());
        let mut announced = None;
        if packet.class == Class::Metadata {
            announced = as_published(connection, packet);
        } else if packet.class == Class::Header && self.refuses(connection, packet, context.now) {
            return 0;
        }
        let packet = announced.as_ref().unwrap_or(packet);
        let now = context.now;
        let config = &context.config.queue;
        let queue = &mut connection.queue;
        if !queue.reserve() {
            let reason = CloseReason::Limit(NO_MEMORY.to_owned());
            connection.end.finish(reason);
            return 0;
        }
        let before = queue.len();
        let lost_before = self.gate.dropped();
        queue.push_through(&mut self.gate, packet, &mut self.lane, now, config);
        let lost = self.gate.dropped() - lost_before;
        let unreported = match lost > 0 || self.loss_reported {
            true => self.note_loss(lost),
            false => 0,
        };
        if queue.len() > before {
            self.note_frame(packet, now);
        }
        // One that keeps up had nothing waiting: not worth a look.
        if before > 0
            && let Some((limit, behind)) = queue.is_hopeless(now, config)
        {
            context.report_limit(limit, Some(self.connection));
            context.totals.errors.too_slow += 1;
            connection.end.finish(CloseReason::TooSlow(behind));
        }
        unreported
    }

    fn take_snapshot<'a, P: Platform>(
        &mut self,
        context: &mut Context<P>,
        connection: &mut Connection<P::Stream>,
        packets: impl Iterator<Item = &'a SharedPacket>,
    ) -> Result<(), CloseReason> {
        let queue = &connection.queue;
        // Who asks to play again and again is given it once more only.
        if queue.footprint() > context.config.queue.max_bytes.saturating_mul(2) {
            context.totals.errors.too_slow += 1;
            context.report_limit(Limit::QueueBytes, Some(self.connection));
            return Err(CloseReason::TooSlow(format!(
                "{} bytes behind",
                queue.bytes()
            )));
        }
        if let Some(delay) = &mut connection.delay {
            delay.join(context.now);
        }
        let most = packets.size_hint().1.unwrap_or(0);
        if !connection.queue.reserve_for(most) {
            return Err(CloseReason::Limit(NO_MEMORY.to_owned()));
        }
        for packet in packets {
            let packet = match self.all_tracks {
                true => packet,
                false => match packet.plain_form() {
                    Some(plain) => plain,
                    None => continue,
                },
            };
            if packet.class == Class::Header && self.refuses(connection, packet, context.now) {
                continue;
            }
            if self.gate.admit(packet) {
                let mut announced = None;
                if packet.class == Class::Metadata {
                    announced = as_published(connection, packet);
                }
                let packet = announced.as_ref().unwrap_or(packet);
                let queue = &mut connection.queue;
                queue.push_media(packet.clone(), &mut self.lane, context.now);
                self.note_frame(packet, context.now);
            }
        }
        Ok(())
    }

    /// Whether a header is one for a codec that the player said it cannot take. Then it
    /// is told, and gets nothing of that kind until there is another codec.
    #[cold]
    fn refuses<S: Stream>(
        &mut self,
        connection: &mut Connection<S>,
        packet: &SharedPacket,
        now: Time,
    ) -> bool {
        let Some(codec) = packet.announced_codec() else {
            return false;
        };
        let kind = packet.kind;
        let refused = &mut self.refused[usize::from(kind == MediaKind::Video)];
        let may = codec.is_none_or(|codec| connection.cold.session.may_receive(kind, codec));
        let changed = std::mem::replace(refused, !may) == may;
        if changed {
            self.gate.set_wanted(kind, may);
        }
        if let (true, false, Some(codec)) = (changed, may, codec) {
            let session = &mut connection.cold.session;
            session.notify_unsupported(self.lane.message_stream(), codec);
            while let Some(bytes) = session.poll_transmit() {
                connection.queue.push_control(bytes, now);
            }
        }
        !may
    }

    fn hear(&mut self, news: StreamNews, session: &mut Session) {
        match news {
            StreamNews::Began => {
                self.attachment = Attachment::Attached;
                self.gate.restart();
                session.notify_published(self.lane.message_stream());
            }
            // Nobody is told, but its video starts at a key frame.
            StreamNews::Restarted => {
                if self.attachment == Attachment::AwaitingVideo {
                    self.attachment = Attachment::Attached;
                }
                self.gate.restart();
            }
            StreamNews::Ended => {
                self.attachment = Attachment::Waiting;
                session.notify_unpublished(self.lane.message_stream());
            }
        }
    }

    /// Frames were lost, or were before. Returns those that the host was not told of yet.
    #[cold]
    fn note_loss(&mut self, lost: u64) -> u64 {
        let goes_on = std::mem::replace(&mut self.loss_reported, self.gate.is_shedding());
        if goes_on { 0 } else { lost }
    }

    fn note_frame(&mut self, packet: &SharedPacket, now: Time) {
        if self.first_frame.is_none() && matches!(packet.class, Class::Key | Class::Audio) {
            self.first_frame = Some(now);
        }
    }

    fn report_loss<P: Platform>(
        &self,
        context: &Context<P>,
        peer: SocketAddr,
        name: &StreamName,
        frames: u64,
        limit: Limit,
    ) {
        context.report_limit(limit, Some(self.connection));
        if context.may_log(Cause::TooSlow, log::Level::Warn) {
            log::warn!(
                peer:% = peer, connection:% = self.connection, stream:% = name, frames = frames;
                "player is too slow; video dropped to the next key frame"
            );
        }
        context.emit(Event::SubscriberDropping {
            connection: self.connection,
            name: name.clone(),
            dropped: frames,
        });
    }
}
