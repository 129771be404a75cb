//! One peer: its transport, its session, and what they are doing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use openrtmp_protocol::session::Stage;
use openrtmp_protocol::{Secret, Time};

use super::context::Context;
use super::doze::{self, Doze};
use super::end::End;
use super::requests::{Pending, WaitsFor};
use super::session::Session;
use super::work::{Allowance, RecentWork};
use crate::access::OpenedBy;
use crate::addresses::AddressSlot;
use crate::budget::{Charge, Holder, Share};
use crate::config::{Config, QueueConfig, StreamConfig};
use crate::credit::InFlight;
use crate::delay::DelayMeter;
use crate::id::{ConnectionId, StreamId};
use crate::inbox::JoinId;
use crate::limit::Limit;
use crate::metrics::ConnectionCounts;
use crate::platform::{Platform, Stream};
use crate::secret::StreamName;
use crate::stream::pulse::Pulse;
use crate::stream::queue::SendQueue;
use crate::transport::{ProxyHeader, Transport};

/// What a connection may hold of unfinished messages and answers once memory is used up.
const FAIR_SHARE: usize = 64 * 1024;

/// For so long a publisher holds more than that for a message that is on its way: a key
/// frame over a slow line. Then it is like one that does not publish.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// Of a connection, what a frame to a player needs: five cache lines.
pub(super) const FRAME_BYTES: usize = 5 * 64;

/// A connected peer.
///
/// What each frame to a player needs comes first, in this order, and close together:
/// with hundreds of players, all of it has left the caches from one frame to the next,
/// and each cache line of it is a wait for memory. So it also begins where a line does,
/// and all else is elsewhere: ten connections share a page, whose address is to be looked
/// up but once.
#[repr(C, align(64))]
pub(crate) struct Connection<S> {
    pub(super) taken: Taken,
    /// What waits to be sent.
    pub(super) queue: SendQueue,
    pub(super) transport: Transport<S>,
    /// Whether it ends, and what is still owed then.
    pub(super) end: End,
    pub(super) io: IoState,
    /// In place of `queue.write_coalesce`.
    pub(super) write_coalesce: Option<Duration>,
    /// Of players only.
    pub(super) delay: Option<DelayMeter>,
    pub(super) bytes_out: u64,
    /// Into which chunks the session cuts what it sends by now.
    pub(super) chunk_size: u32,
    /// Its memory for unfinished messages, answers and requests.
    pub(super) charge: Charge,
    /// Its memory for unfinished messages, answers and requests, and what waits to be
    /// sent to it.
    pub(super) share: Share,
    pub(super) cold: Box<Cold>,
}

/// Of a peer, what no usual frame to it needs.
pub(crate) struct Cold {
    pub(super) id: ConnectionId,
    pub(super) reading: Reading,
    pub(super) doze: Doze,
    pub(super) pending: Vec<Pending>,
    pub(super) session: Session,
    /// What it said beyond its slice of work: handled next, before its socket is read.
    pub(super) unhandled: Vec<u8>,
    pub(super) recent_work: RecentWork,
    /// Its share of each second.
    pub(super) work: Allowance,
    pub(super) messages: Allowance,
    /// Of its messages, those that were taken from its allowance.
    pub(super) counted_messages: u64,
    /// How long it was not read though it may have said something.
    pub(super) held: Duration,
    pub(super) last_input: Time,
    pub(super) bytes_in: u64,
    /// Messages of what it publishes here.
    pub(super) media_messages: u64,
    /// What workers count as their own that it was on before.
    pub(super) counted: ConnectionCounts,
    /// What a proxy is still saying of the peer; until then nobody knows who that is.
    pub(super) proxy_header: Option<Box<ProxyHeader>>,
    /// Until when the handshake of its transport has to be over, while it is not.
    pub(super) shaken_by: Option<Time>,
    /// When the timers report this connection.
    pub(super) armed: Option<Time>,
    pub(super) peer: SocketAddr,
    pub(super) opened: Time,
    /// From there to the end of all handshakes; zero until then.
    pub(super) handshake: Duration,
    /// The app that `connect` named.
    pub(super) app: StreamName,
    /// What `connect` said the peer is (`flashVer`), fit to be shown.
    pub(super) software: Arc<str>,
    /// The URL that it said there.
    pub(super) tc_url: Arc<Secret>,
    /// The user that it is (`access.users`).
    pub(super) user: Option<Arc<str>>,
    /// What it was last granted to publish or play, as log lines have it.
    pub(super) does: Option<Box<str>>,
    pub(super) publishing: Vec<Publication>,
    pub(super) playing: Vec<Playing>,
    /// The limit beyond which it was accepted, to be refused at `connect` with a
    /// status.
    pub(super) over_limit: Option<Limit>,
    /// Its place among those of its address, if they are counted: held, never read.
    pub(super) address_slot: Option<AddressSlot>,
}

/// A word that has one value only: of all that a connection consists of, none leaves more
/// values unused. So this is where the compiler writes that a place in [`Slots`] is free, and
/// to see whether one is takes no cache line of its own.
///
/// [`Slots`]: super::slots::Slots
#[derive(Debug, Default)]
#[repr(u64)]
pub(super) enum Taken {
    #[default]
    Taken = 1,
}

/// Whether what waits can be written.
#[derive(Debug, Default)]
pub(super) struct IoState {
    /// On the list of those to be flushed at the end of the turn.
    pub(super) dirty: bool,
    /// On the list of those to be written to in the next turn.
    pub(super) unwritten: bool,
    /// The socket takes no more; since when it took nothing.
    pub(super) blocked_since: Option<Time>,
    /// The poller reported since that it takes bytes again.
    pub(super) writable: bool,
    /// The poller watches for writability.
    pub(super) watching: bool,
    /// Packets are being collected until then.
    pub(super) coalesce_until: Option<Time>,
    /// What waits must go out now.
    pub(super) urgent: bool,
}

/// Whether it is read, and why not.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// On the list of those to be read in the next turn.
    pub(super) unread: bool,
    /// It was asked whether it is there, and has said nothing since.
    pub(super) ping_sent: bool,
    /// Since when it is not read though it may have said something.
    pub(super) held_since: Option<Time>,
    /// It took more than its share: not read before then.
    pub(super) paused_until: Option<Time>,
}

/// A publish of this connection.
pub(super) struct Publication {
    pub(super) message_stream: u32,
    pub(super) stream: StreamId,
    pub(super) epoch: u32,
    pub(super) home: usize,
    /// What allowed it.
    pub(super) opened_by: OpenedBy,
    /// What is on its way to the home, if that is another worker.
    pub(super) in_flight: Arc<InFlight>,
    /// When the last byte of its media came.
    pub(super) heard: Time,
    /// When its last whole message came.
    pub(super) whole: Time,
    /// What others can tell of it, and whether that is that it is silent.
    pub(super) pulse: Arc<Pulse>,
    pub(super) is_silent: bool,
    /// Its place among the publishers of its address, for as long as it is held.
    pub(super) _address_slot: Option<AddressSlot>,
}

/// A message stream of this connection that plays.
#[derive(Clone)]
pub(super) struct Playing {
    pub(super) message_stream: u32,
    pub(super) stream: StreamId,
    /// Names the subscription.
    pub(super) join: JoinId,
    /// What allowed it.
    pub(super) opened_by: OpenedBy,
}

impl Publication {
    /// A byte of its media came.
    pub(super) fn hear(&mut self, now: Time) {
        self.heard = now;
        if self.is_silent {
            self.is_silent = false;
            self.pulse.speak();
        }
    }

    /// When its silence is next to be judged.
    fn deadline(&self, config: &StreamConfig) -> Option<Time> {
        let ghost = (!self.is_silent).then(|| self.heard + config.publisher_timeout);
        let after = |since: Time, limit: Duration| (!limit.is_zero()).then(|| since + limit);
        ghost
            .into_iter()
            .chain(after(self.heard, config.media_timeout))
            .chain(after(self.whole, config.message_timeout))
            .min()
    }
}

/// What a connection gives up when it ends.
pub(super) struct Released {
    pub(super) publishing: Vec<Publication>,
    pub(super) playing: Vec<Playing>,
    pub(super) pending: Vec<Pending>,
}

impl<S: Stream> Connection<S> {
    /// One that has done nothing yet.
    pub(super) fn new<P: Platform>(
        id: ConnectionId,
        peer: SocketAddr,
        transport: Transport<S>,
        session: Session,
        context: &Context<P>,
    ) -> Connection<S> {
        let cold = Cold {
            id,
            peer,
            session,
            opened: context.now,
            handshake: Duration::ZERO,
            unhandled: Vec::new(),
            recent_work: RecentWork::default(),
            work: Allowance::default(),
            messages: Allowance::default(),
            counted_messages: 0,
            held: Duration::ZERO,
            last_input: context.now,
            app: context.shared.host_name(""),
            software: Arc::default(),
            tc_url: Arc::default(),
            user: None,
            does: None,
            publishing: Vec::new(),
            playing: Vec::new(),
            pending: Vec::new(),
            over_limit: None,
            address_slot: None,
            reading: Reading::default(),
            doze: Doze::default(),
            bytes_in: 0,
            media_messages: 0,
            counted: ConnectionCounts::default(),
            proxy_header: None,
            shaken_by: None,
            armed: None,
        };
        Connection {
            taken: Taken::default(),
            queue: SendQueue::new(&context.shared.budget),
            transport,
            end: End::default(),
            io: IoState::default(),
            write_coalesce: None,
            delay: None,
            bytes_out: 0,
            chunk_size: cold.session.chunk_size(),
            charge: Charge::new(&context.shared.budget, 0),
            share: Share::new(&context.shared.budget, Holder::Connection(id)),
            cold: Box::new(cold),
        }
    }

    /// True if a peer made it, not we.
    pub(super) fn is_guest(&self) -> bool {
        matches!(self.cold.session, Session::Server(_))
    }

    /// True once we have decided to end it: nothing it says matters any more.
    pub(super) fn is_ending(&self) -> bool {
        self.end.is_decided()
    }

    /// True once everything that was said is with the system.
    pub(super) fn is_flushed(&self) -> bool {
        self.queue.is_empty() && self.transport.is_flushed()
    }

    /// Whether to hold back what waits, to collect more (`queue.write_coalesce`).
    ///
    /// `now` is the time of the turn, the same for all that it serves: windows that
    /// one packet began end in one turn too. With `beats` they end for all alike, whenever
    /// they began, and what was not preceded by a write since the last end is not held back.
    #[inline]
    pub(super) fn is_coalescing(&mut self, now: Time, beats: bool, config: &QueueConfig) -> bool {
        let window = self.write_coalesce.unwrap_or(config.write_coalesce);
        let until = match window.is_zero() && !beats {
            true => None,
            false => self.collects_until(now, window, beats, config),
        };
        self.io.coalesce_until = until;
        if until.is_none() {
            self.io.urgent = false;
        }
        until.is_some()
    }

    /// When the window ends that what waits is held back for, if it is.
    fn collects_until(
        &self,
        now: Time,
        mut window: Duration,
        beats: bool,
        config: &QueueConfig,
    ) -> Option<Time> {
        if beats {
            window = window.max(config.background_coalesce);
        }
        window = window.min(config.longest_window());
        let may = !window.is_zero()
            && !self.io.urgent
            && !self.is_ending()
            && self.queue.bytes() < config.coalesce_bytes
            && !self.cold.playing.is_empty();
        let until = may.then(|| match self.io.coalesce_until {
            Some(until) => until,
            None if beats => doze::next_beat(self.cold.doze.wrote, window),
            None => now + window,
        });
        until.filter(|until| *until > now)
    }

    /// When this connection next needs a look, if nothing happens before.
    pub(super) fn deadline(&self, config: &Config) -> Option<Time> {
        let stalled = self
            .io
            .blocked_since
            .map(|since| since + config.queue.stall_timeout);
        let stalled = stalled.into_iter().chain(self.cold.doze.until());
        if self.is_ending() {
            return stalled.chain(self.end.deadline()).min();
        }
        let other = self.io.coalesce_until.into_iter().chain(stalled);
        let decision = self.cold.pending.iter().filter_map(|p| match &p.waits_for {
            // An answer in time is on its way.
            WaitsFor::Host(until, asked) => (!asked.0.is_settled()).then_some(*until),
            WaitsFor::Publisher(_) | WaitsFor::Worker(_) => None,
        });
        let other = other.chain(decision);
        // Who is not read is not silent.
        if self.cold.reading.held_since.is_some() {
            return other.chain(self.cold.reading.paused_until).min();
        }
        let ping = (!config.rtmp.ping_interval.is_zero() && self.stage() != Stage::Handshake)
            .then(|| self.cold.last_input + self.ping_due(config));
        other
            .chain(self.cold.shaken_by)
            .chain(self.session_deadline())
            .chain(ping)
            .chain(self.silence_due(config))
            .chain(self.hoarding_due())
            .min()
    }

    /// When the session wants to be looked at. Its time does not run before a byte of it
    /// can pass; that of one that we began runs from the beginning.
    pub(super) fn session_deadline(&self) -> Option<Time> {
        match self.cold.shaken_by {
            Some(_) => None,
            None => self.cold.session.poll_timeout(),
        }
    }

    /// The transport's handshake may be over: then the session's time begins.
    pub(super) fn note_handshake(&mut self, now: Time) {
        if self.cold.shaken_by.is_some()
            && !self.transport.is_handshaking()
            && self.cold.proxy_header.is_none()
        {
            self.cold.shaken_by = None;
            self.cold.session.postpone(now.since(self.cold.opened));
        }
    }

    /// When the silence of what it publishes is next to be judged. A server that we
    /// asked for a stream may wait for it like any player.
    pub(super) fn silence_due(&self, config: &Config) -> Option<Time> {
        match self.cold.session {
            Session::Server(_) => {
                let deadlines = self.cold.publishing.iter();
                deadlines.filter_map(|p| p.deadline(&config.streams)).min()
            }
            Session::Client(_) => None,
        }
    }

    /// It may have said something that is not read now.
    pub(super) fn hold(&mut self, now: Time) {
        self.cold.reading.held_since.get_or_insert(now);
    }

    /// It is read to its end again. Its deadlines stood still meanwhile.
    pub(super) fn let_go(&mut self, now: Time) {
        let Some(since) = self.cold.reading.held_since.take() else {
            return;
        };
        let held = now.since(since);
        self.cold.held += held;
        self.cold.session.postpone(held);
        self.cold.shaken_by = self.cold.shaken_by.map(|by| by + held);
        let later = |at: Time| (at + held).min(now);
        self.cold.last_input = later(self.cold.last_input);
        for publication in &mut self.cold.publishing {
            publication.heard = later(publication.heard);
            publication.whole = later(publication.whole);
        }
    }

    /// Silence after which something is to be done: ping, then give up.
    pub(super) fn ping_due(&self, config: &Config) -> Duration {
        config.rtmp.ping_interval * if self.cold.reading.ping_sent { 2 } else { 1 }
    }

    /// Counts what it makes the server hold, beside what waits to be sent.
    pub(super) fn account(&mut self, now: Time) {
        let pending = self
            .cold
            .pending
            .iter()
            .map(|p| p.request.attempt.held_bytes());
        let held = self.cold.session.buffered_bytes()
            + self.queue.control_footprint()
            + self.transport.buffered_bytes()
            + self.cold.unhandled.capacity()
            + pending.sum::<usize>();
        self.charge.set(held);
        self.note_share(now);
    }

    /// Says what it keeps alive in all, and whether it gets rid of it.
    #[inline]
    pub(super) fn note_share(&mut self, now: Time) {
        let held = self.held_bytes();
        let is_stuck =
            Share::is_much(held) && (self.io.blocked_since.is_some() || self.is_hoarding(now));
        self.share.note(held, is_stuck);
    }

    /// What it keeps alive in all, bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.queue.footprint() + self.charge.bytes()
    }

    /// Holds more than its share while memory is short, and gets rid of nothing.
    pub(super) fn is_to_give_way(&self, now: Time) -> bool {
        let is_stuck = self.io.blocked_since.is_some() || self.is_hoarding(now);
        is_stuck && self.share.is_to_give_way(self.held_bytes())
    }

    /// True while a stream's home has not taken enough of what this connection sent: it
    /// is not read until then.
    pub(super) fn lacks_credit(&self) -> bool {
        let mut in_flight = self.cold.publishing.iter().map(|p| &p.in_flight);
        in_flight.any(|in_flight| in_flight.is_waited_for())
    }

    /// True while it is not read: it lacks credit, or is about to be given what it was
    /// granted by another worker. Who plays from another server is sent media at once, and
    /// those were lost before there is a publication for them.
    #[inline]
    pub(super) fn is_held_back(&self) -> bool {
        // Most neither publish nor wait for anything.
        if self.cold.publishing.is_empty() && self.cold.pending.is_empty() {
            return false;
        }
        let is_placed = |p: &Pending| matches!(p.waits_for, WaitsFor::Worker(_));
        self.lacks_credit() || self.cold.pending.iter().any(is_placed)
    }

    /// Holds more than it should once others have nothing left, and not for a message that
    /// is on its way.
    pub(super) fn is_hoarding(&self, now: Time) -> bool {
        let mut publishing = self.cold.publishing.iter();
        self.charge.bytes() > FAIR_SHARE && publishing.all(|p| p.whole + ON_ITS_WAY <= now)
    }

    /// When a publisher holds so much for too long.
    fn hoarding_due(&self) -> Option<Time> {
        let is_new = self.charge.bytes() > FAIR_SHARE && !self.share.is_listed();
        let newest = self.cold.publishing.iter().map(|p| p.whole).max();
        newest.filter(|_| is_new).map(|whole| whole + ON_ITS_WAY)
    }

    pub(super) fn stage(&self) -> Stage {
        self.cold.session.stage()
    }

    /// Who is served first when not all can be: who publishes, then who plays, and among
    /// them who took least of late. The publishers are few, by their limit.
    pub(super) fn precedence(&self, now: Time) -> (bool, bool, u64) {
        let newcomer = self.cold.publishing.is_empty() && self.cold.playing.is_empty();
        (
            newcomer,
            self.cold.publishing.is_empty(),
            self.cold.recent_work.of(now),
        )
    }

    /// What it publishes on a message stream.
    #[inline]
    pub(super) fn publication(&mut self, message_stream: u32) -> Option<&mut Publication> {
        let mut publishing = self.cold.publishing.iter_mut();
        publishing.find(|p| p.message_stream == message_stream)
    }

    /// Gives up what it publishes, plays and waits for.
    pub(super) fn release(&mut self) -> Released {
        Released {
            publishing: std::mem::take(&mut self.cold.publishing),
            playing: std::mem::take(&mut self.cold.playing),
            pending: std::mem::take(&mut self.cold.pending),
        }
    }

    /// What was counted of it that no worker counts as its own yet.
    pub(super) fn uncounted(&self) -> ConnectionCounts {
        let is_relay = self
            .cold
            .session
            .errand()
            .is_some_and(|errand| errand.is_relay);
        let meter = self.delay.as_ref();
        let counts = ConnectionCounts {
            ignored: self.cold.session.ignored(),
            delayed: meter.map(DelayMeter::delayed).unwrap_or_default(),
            relayed_in: if is_relay {
                self.cold.media_messages
            } else {
                0
            },
            relayed_out: meter
                .filter(|_| is_relay)
                .map_or(0, |meter| meter.sent().messages),
        };
        counts.since(&self.cold.counted)
    }

    /// True for one that does nothing yet and waits for nothing but, if so, `request`:
    /// it can go on with another worker.
    pub(super) fn is_idle_but_for_one_request(&self) -> bool {
        !self.is_ending()
            && self.cold.publishing.is_empty()
            && self.cold.playing.is_empty()
            && self.cold.pending.len() == 1
    }
}
// A socket of Windows takes a word more.
#[cfg(all(test, unix))]
mod tests {
    use std::mem::offset_of;

    use super::*;
    use crate::platform::native::NativeStream;

    #[test]
    fn what_a_frame_needs_lies_in_five_cache_lines() {
        type Usual = Connection<NativeStream>;
        assert!(
            size_of::<Usual>() <= FRAME_BYTES + 64,
            "{} bytes",
            size_of::<Usual>()
        );
        // One word of the share is looked at; the rest of it is behind that.
        let end = offset_of!(Usual, share) + size_of::<usize>();
        assert!(end <= FRAME_BYTES, "{end} bytes");
        assert_eq!(align_of::<Usual>(), 64);
        // Its first byte is that of the place that it lies in.
        assert_eq!(size_of::<Option<Usual>>(), size_of::<Usual>());
    }
}
