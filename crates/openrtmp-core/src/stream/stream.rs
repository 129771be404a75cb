use std::sync::Arc;

use openrtmp_protocol::Time;
use openrtmp_protocol::chunk::Payload;
use openrtmp_protocol::session::MediaKind;

use super::class::{Class, Classified, HeaderSlot, plain};
use super::clock::{Irregularity, Oddity, StreamClock};
use super::feed::WorkerFeed;
use super::gop::GopCache;
use super::packet::{Packet, SharedPacket};
use super::picture::{Picture, PictureNews};
use super::tracks::{Doubt, Tracks, track_ids};
use crate::budget::{Budget, StreamMemory};
use crate::config::Config;
use crate::id::{ConnectionId, PublisherId, StreamId};
use crate::limit::Limit;
use crate::mobile::terms::MemoryLevel;
use crate::rate::Rate;
use crate::secret::StreamName;
use crate::stream::tap_queue::{TapSink, TapStart, TapStream};

/// AMF0 string `onMetaData`: marker, length, text.
const ON_METADATA: &[u8] = b"\x02\x00\x0aonMetaData";

/// AMF0 strings `@clearDataFrame`, and `onMetaData` behind it.
const CLEAR: &[u8] = b"\x02\x00\x0f@clearDataFrame";
const CLEAR_METADATA: &[u8] = b"\x02\x00\x0f@clearDataFrame\x02\x00\x0aonMetaData";

/// A stream on its home worker: everything a frame meets on its way from the
/// publisher to the subscribers.
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) name: StreamName,
    /// Counts publishers; what an earlier one still sends is not this one's.
    pub(crate) epoch: u32,
    pub(crate) publisher: Option<PublisherId>,
    /// Its publisher wants it to be recorded.
    pub(crate) asked: bool,
    /// Without publisher: when subscribers stop waiting for it.
    pub(crate) grace_until: Option<Time>,
    /// The earliest entry for this stream among the timers.
    pub(crate) armed: Option<Time>,
    /// The ways to the workers that have subscribers of this stream.
    pub(crate) feeds: Vec<WorkerFeed>,
    pub(crate) taps: Vec<TapSink>,
    pub(crate) started: Time,
    pub(crate) stats: StreamStats,
    /// Its label, if it has series of its own in the text for Prometheus.
    pub(crate) series: Option<String>,
    clock: StreamClock,
    tracks: Tracks,
    metadata: Option<SharedPacket>,
    headers: Vec<(HeaderSlot, SharedPacket)>,
    gop: GopCache,
    picture: Picture,
    /// What joiners get before frames, made for the first of them.
    joining: Option<JoinHeaders>,
    /// Memory ran out: no frames until the next key frame.
    starved: bool,
    /// What its packets take.
    memory: Arc<StreamMemory>,
    /// Its video is dropped: from here on until a key frame comes without this.
    pub(crate) audio_only: bool,
    /// Frames are refused for want of memory, and that was told.
    refusing: bool,
}

/// Metadata and headers for those who join.
struct JoinHeaders {
    /// The time they carry; `None` before the first frame.
    start: Option<u32>,
    packets: Vec<SharedPacket>,
}

/// Counters of a stream; they grow and never reset.
#[derive(Debug, Default)]
pub(crate) struct StreamStats {
    pub(crate) bytes: u64,
    pub(crate) video_frames: u64,
    pub(crate) audio_frames: u64,
    pub(crate) keyframes: u64,
    /// Frames refused for lack of memory.
    pub(crate) starved_frames: u64,
    /// Frames that other workers lost because they did not keep up.
    pub(crate) unfed_frames: u64,
    pub(crate) gaps: u64,
    pub(crate) rebases: u64,
    /// Messages whose time was replaced.
    pub(crate) strays: u64,
    pub(crate) rate: Rate,
}

/// What became of a message.
#[derive(Default)]
pub(crate) struct Ingested {
    /// To be sent on before it: headers that waited for the frame that they are for.
    pub(crate) headers: Vec<SharedPacket>,
    /// To be sent on; `None` for what tells subscribers nothing new.
    pub(crate) packet: Option<SharedPacket>,
    pub(crate) odd: Option<Irregularity>,
    /// Key frames that are none.
    pub(crate) doubt: Option<Doubt>,
    /// Tracks or their formats changed.
    pub(crate) tracks_changed: bool,
    /// What was beyond it was dropped, not cached or not looked into.
    pub(crate) limit: Option<Limit>,
    /// Bit/s of a second that just ended.
    pub(crate) rate: Option<u64>,
    /// The picture has stopped, or is there again.
    pub(crate) picture: Option<PictureNews>,
}

impl Stream {
    pub(crate) fn new(id: StreamId, name: StreamName, now: Time, budget: &Arc<Budget>) -> Stream {
        Stream {
            id,
            name,
            epoch: 0,
            publisher: None,
            asked: false,
            grace_until: None,
            armed: None,
            feeds: Vec::new(),
            taps: Vec::new(),
            started: now,
            stats: StreamStats::default(),
            series: None,
            clock: StreamClock::new(),
            tracks: Tracks::default(),
            metadata: None,
            headers: Vec::new(),
            memory: StreamMemory::new(budget),
            gop: GopCache::new(id, budget),
            picture: Picture::default(),
            joining: None,
            starved: false,
            audio_only: false,
            refusing: false,
        }
    }

    /// Another publisher: its headers are its own, the clock goes on.
    pub(crate) fn start_publisher(&mut self, publisher: PublisherId, epoch: u32) {
        self.publisher = Some(publisher);
        self.epoch = epoch;
        self.grace_until = None;
        self.clock.restart();
        self.tracks.clear();
        self.metadata = None;
        self.headers.clear();
        self.joining = None;
        self.picture = Picture::default();
        self.gop.clear();
    }

    /// True if a worker has subscribers of this stream.
    pub(crate) fn feeds(&self, worker: usize) -> bool {
        self.feeds.iter().any(|feed| feed.worker == worker)
    }

    /// A worker has subscribers of this stream.
    pub(crate) fn add_feed(&mut self, worker: usize, config: &Config) {
        if !self.feeds(worker) {
            let allowance = config.queue.between_workers();
            self.feeds.push(WorkerFeed::new(worker, allowance));
        }
    }

    /// Keeps one GOP of the cached frames, or none, because the device is short of memory.
    pub(crate) fn shrink_cache(&mut self, level: MemoryLevel) {
        match level {
            MemoryLevel::Normal => {}
            MemoryLevel::Moderate => self.gop.shrink(),
            MemoryLevel::Critical => self.gop.clear(),
        }
    }

    /// Forgets the cached frames, because memory is short. False if there are none.
    pub(crate) fn give_way(&mut self) -> bool {
        self.gop.give_way()
    }

    /// The connection that publishes it, if it is one that does.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        match self.publisher? {
            PublisherId::Connection(connection, _) => Some(connection),
            PublisherId::Host(_) => None,
        }
    }

    pub(crate) fn tracks(&self) -> &Tracks {
        &self.tracks
    }

    pub(crate) fn gop(&self) -> &GopCache {
        &self.gop
    }

    /// Takes a message of the publisher: classified, stamped, cached.
    pub(crate) fn ingest(
        &mut self,
        kind: MediaKind,
        timestamp: u32,
        payload: Payload,
        now: Time,
        config: &Config,
    ) -> Ingested {
        self.stats.bytes += payload.len() as u64;
        let rate = self.stats.rate.add(payload.len(), now);
        if kind == MediaKind::Data && is_clear(&payload) {
            // It is meant for us: what @setDataFrame set is not handed to joiners any longer
            // (Flash Media Server, "Add metadata to a live stream").
            self.metadata = None;
            self.joining = None;
            return Ingested {
                rate,
                ..Ingested::default()
            };
        }
        self.tracks.set_limit(config.limits.tracks);
        let tracks_before = self.tracks.list().len();
        let default_before = self.tracks.default_track(kind);
        let classified = match kind {
            MediaKind::Video => self.tracks.video(&payload),
            MediaKind::Audio => self.tracks.audio(&payload),
            MediaKind::Data if payload.starts_with(ON_METADATA) => Some(plain(Class::Metadata)),
            MediaKind::Data => Some(plain(Class::Data)),
        };
        let Some(classified) = classified else {
            return Ingested {
                rate,
                ..Ingested::default()
            };
        };
        let was_running = self.clock.is_running();
        let (timestamp, odd) = match classified.class {
            class if class.is_timed() => {
                let from_zero = config.streams.start_at_zero;
                let track = classified.track;
                self.clock.stamp(kind, track, timestamp, from_zero, now)
            }
            // FFmpeg takes an onMetaData at any other time for a track of text.
            Class::Metadata => (0, None),
            _ => (self.clock.stamp_headers(timestamp), None),
        };
        let picture = self.picture.see(classified.class, timestamp, config);
        match odd.map(|odd| odd.what) {
            Some(Oddity::Gap(_)) => self.stats.gaps += 1,
            Some(Oddity::Rebased(_) | Oddity::Apart(_)) => self.stats.rebases += 1,
            Some(Oddity::Stray(_)) => self.stats.strays += 1,
            None => {}
        }
        let mut headers = Vec::new();
        if classified.class.is_timed() {
            let default = self.tracks.default_track(kind);
            if default != default_before {
                self.joining = None;
            }
            if !was_running {
                headers = self.headers_at(timestamp, now, |_| true);
            } else if default != default_before {
                // Who gets one track only has not been given this one's.
                let is_new = |slot: &HeaderSlot| slot.kind == kind;
                headers = self.headers_at(timestamp, now, is_new);
            }
        }
        let mut tracks_changed = self.tracks.list().len() != tracks_before;
        if tracks_changed {
            // What stands for metadata that was not sent.
            self.joining = None;
        }
        let headers_full = !self.has_room_for(&classified, payload.len(), config);
        let mut limit = match headers_full {
            true => Some(Limit::HeaderBytes),
            false => self.tracks.take_overflow().then_some(Limit::Tracks),
        };
        let admitted = !headers_full && self.admit(classified.class);
        let packet = admitted
            .then(|| Packet::new(kind, classified, timestamp, now, payload, &self.memory))
            .flatten();
        let packet = match packet {
            None if headers_full || (self.audio_only && kind == MediaKind::Video) => None,
            None => {
                // For want of memory: frames that need it are of no use either.
                self.starved |= matches!(classified.class, Class::Key | Class::Inter);
                self.stats.starved_frames += 1;
                if !std::mem::replace(&mut self.refusing, true) {
                    limit = Some(Limit::Memory);
                }
                None
            }
            Some(packet) => {
                let news = self.remember(&packet);
                tracks_changed |= news && classified.slot.is_some();
                limit = limit.or(self.gop.push(&packet, &config.gop));
                // A header before the first frame goes out with that, at its time.
                let waits = classified.slot.is_some() && !was_running;
                (news && !waits).then_some(packet)
            }
        };
        Ingested {
            headers,
            packet,
            odd,
            doubt: self.tracks.take_doubt(),
            tracks_changed,
            limit,
            rate,
            picture,
        }
    }

    /// Counts a frame, and refuses it while memory is used up: from then to the
    /// next key frame that fits.
    fn admit(&mut self, class: Class) -> bool {
        match class {
            Class::Key => {
                self.stats.video_frames += 1;
                self.stats.keyframes += 1;
                self.starved = self.memory.is_exhausted() || self.audio_only;
            }
            Class::Inter => {
                self.stats.video_frames += 1;
                self.starved |= self.memory.is_exhausted() || self.audio_only;
            }
            Class::Audio | Class::Data | Class::Prelude => {
                self.stats.audio_frames += u64::from(class == Class::Audio);
                let muted = self.audio_only && class == Class::Prelude;
                let admitted = !self.memory.is_exhausted() && !muted;
                self.refusing &= self.starved || !admitted;
                return admitted;
            }
            Class::Metadata | Class::Header => return true,
        }
        if self.starved {
            self.gop.clear();
        }
        self.refusing &= self.starved;
        !self.starved
    }

    /// Whether what is kept for joiners stays within its limit with this message.
    fn has_room_for(&self, classified: &Classified, length: usize, config: &Config) -> bool {
        let slot = match classified.class {
            Class::Metadata | Class::Header => classified.slot,
            _ => return true,
        };
        let metadata = self.metadata.iter().filter(|_| slot.is_some());
        let headers = self.headers.iter().filter(|(s, _)| Some(*s) != slot);
        let kept = metadata.chain(headers.map(|(_, header)| header));
        let cost = |length: usize| length + Packet::OVERHEAD;
        let kept: usize = kept.map(|packet| cost(packet.len())).sum();
        kept + cost(length) <= config.limits.header_bytes
    }

    /// Keeps what joiners need. False if it is the same as before.
    fn remember(&mut self, packet: &SharedPacket) -> bool {
        if packet.class == Class::Metadata {
            let same = self
                .metadata
                .as_ref()
                .is_some_and(|old| old.payload() == packet.payload());
            self.metadata = Some(packet.clone());
            self.joining = None;
            return !same;
        }
        let Some(slot) = packet.slot else { return true };
        let place = self.headers.iter().position(|(s, _)| *s == slot);
        if let Some(place) = place
            && self.headers[place].1.payload() == packet.payload()
        {
            return false;
        }
        let count = self.headers.len();
        if slot.tracks != 0 {
            // One for several tracks stands for those of each of them.
            let covered = track_ids(slot.kind, packet.payload());
            self.headers.retain(|(s, _)| {
                let same = (s.kind, s.refinement) == (slot.kind, slot.refinement);
                *s == slot || !same || s.tracks != 0 || !covered.contains(&s.track)
            });
        }
        let replaced = place.is_some() || self.headers.len() < count;
        match self.headers.iter_mut().find(|(s, _)| *s == slot) {
            Some((_, old)) => *old = packet.clone(),
            None => self.headers.push((slot, packet.clone())),
        }
        self.joining = None;
        if replaced {
            // Frames before a new configuration cannot be decoded with it.
            self.gop.clear();
        }
        true
    }

    /// The headers in force, those that refine others behind them, at the time of the
    /// frame that follows.
    fn headers_at(
        &self,
        timestamp: u32,
        now: Time,
        fits: impl Fn(&HeaderSlot) -> bool,
    ) -> Vec<SharedPacket> {
        let mut headers = Vec::with_capacity(self.headers.len());
        for refinement in [false, true] {
            let of_these = self
                .headers
                .iter()
                .filter(|(slot, _)| slot.refinement == refinement && fits(slot));
            headers.extend(of_these.map(|(slot, p)| {
                let classified = Classified {
                    class: p.class,
                    track: p.track,
                    leads: p.track == self.tracks.default_track(p.kind),
                    form: self.tracks.header_form(p.kind, p.payload()),
                    slot: Some(*slot),
                };
                p.restamped(classified, timestamp, now)
            }));
        }
        headers
    }

    /// What a joining subscriber gets at once: metadata, every header, then
    /// the frames from the newest key frame on. Headers carry the time of the
    /// first frame that follows, not of when they came; those of a publisher that has
    /// sent no frame yet come with its first.
    pub(crate) fn snapshot(&mut self, now: Time) -> Vec<SharedPacket> {
        let headers = self.headers_for_joiners(now).len();
        let frames = self.gop.newest();
        let mut packets = Vec::with_capacity(headers + frames.size_hint().0);
        if let Some(joining) = &self.joining {
            packets.extend_from_slice(&joining.packets);
        }
        packets.extend(frames.cloned());
        packets
    }

    /// Metadata and every header: the same packets for all who join between two key
    /// frames.
    pub(crate) fn headers_for_joiners(&mut self, now: Time) -> &[SharedPacket] {
        let start = self.clock.is_running().then(|| {
            let first = self.gop.newest().next();
            first.map_or(self.clock.newest() as u32, |first| first.timestamp)
        });
        let joining = match self.joining.take() {
            Some(joining) if joining.start == start => joining,
            _ => JoinHeaders {
                start,
                packets: self.headers_from(start, now),
            },
        };
        &self.joining.insert(joining).packets
    }

    fn headers_from(&self, start: Option<u32>, now: Time) -> Vec<SharedPacket> {
        let mut packets = Vec::with_capacity(1 + self.headers.len());
        match &self.metadata {
            Some(metadata) => packets.push(metadata.clone()),
            None if !self.tracks.list().is_empty() => {
                let payload = self.tracks.synthesised_metadata().into();
                let classified = plain(Class::Metadata);
                packets.extend(Packet::new(
                    MediaKind::Data,
                    classified,
                    0,
                    now,
                    payload,
                    &self.memory,
                ));
            }
            None => {}
        }
        if let Some(start) = start {
            packets.extend(self.headers_at(start, now, |_| true));
        }
        packets
    }

    /// What a tap begins with: this snapshot.
    pub(crate) fn tap_start<'a>(&'a self, snapshot: &'a [SharedPacket]) -> TapStart<'a> {
        TapStart {
            stream: TapStream {
                id: self.id,
                name: self.name.clone(),
            },
            tracks: self.tracks.list(),
            snapshot,
            clock: self.clock.newest(),
        }
    }
}

/// Whether a data message takes metadata away. AMF3 has become AMF0 by now.
fn is_clear(payload: &Payload) -> bool {
    payload.starts_with(CLEAR_METADATA)
        || (payload.len() == CLEAR.len() && payload.starts_with(CLEAR))
}
