//! One stream on its way to viewers: what one publisher sends, or several whose streams are the
//! same in other sizes.
//!
//! Of several, all pictures are taken, and the sound of one, the first that came: it is what
//! the clocks of the others are put beside, and what FLV is made of. If it leaves, the next
//! takes its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use openrtmp_core::{Config, Frame, FrameContent, HttpPreset, Message, StreamName};
use openrtmp_media::cues::Cue;
use openrtmp_media::hls::Names;
use openrtmp_media::mp4::{self, Codec, Content, TrackName};
use openrtmp_media::packager::{Event, Packager, Preset, Settings, Window};
use openrtmp_media::{announced_rates, labels};
use openrtmp_protocol::media::{
    AudioCodec, AudioPacketKind, AudioTag, VideoCodec, VideoPacketKind, VideoTag,
};
use openrtmp_protocol::session::MediaKind;

use super::clocks::Clock;
use super::oddity::{Oddities, Oddity};
use crate::store::ring::Role;
use crate::store::{Budget, Charge, Photographer, Shares, Spool, Stream};

/// Tracks of video of one publisher of several: that many numbers are theirs.
const TRACKS_EACH: u8 = 16;
/// Headers that are kept of a publisher.
const MOST_HEADERS: usize = 32;

/// What came for so long is told to be of no use if nothing was made of it.
const UNPLAYABLE: Duration = Duration::from_secs(10);
/// A track that was coded anew so often does so again and again: devices that are turned, and
/// encoders that are set up, do it now and then.
const RECODED: u32 = 4;

/// The packager of a stream and what comes of it.
pub(super) struct Feeding {
    stream: Arc<Stream>,
    /// Those that are there; the one that came first is what the others go by.
    members: Vec<Member>,
    /// Other streams may be the same in other sizes (`http.variants`).
    may_be_joined: bool,
    began: Instant,
    packager: Packager<Bytes>,
    window: Window,
    settings: Settings,
    photographer: Photographer,
    events: Vec<Event>,
    budget: Arc<Budget>,
    charge: Charge,
    patience: Patience,
    has_ended: bool,
    odd: Oddities,
    /// When the first picture or sound came, or a header of such.
    first: Option<Instant>,
    keeps_least: bool,
    /// Some of it has left the lists since they were shown.
    has_forgotten: bool,
    /// Bytes of the window, and of what is shown of it.
    listed: u64,
    shown: u64,
}

/// A publisher.
struct Member {
    /// 0, or more of those that are one of several.
    number: u8,
    clock: Clock,
    /// What is needed of it, should it be the one that others go by.
    headers: Vec<(MediaKind, u8, Message)>,
}

impl Feeding {
    pub(super) fn new(
        name: StreamName,
        config: &Config,
        budget: &Arc<Budget>,
        spool: Option<&Arc<Spool>>,
    ) -> Feeding {
        let settings = settings(config);
        // Of what is no longer than what is in memory nothing would be read.
        let spool = spool.filter(|_| settings.dvr > settings.window).cloned();
        let names = Names { epoch: epoch() };
        Feeding {
            stream: Arc::new(Stream::new(name, names, settings.low_latency_dash, budget)),
            members: Vec::new(),
            may_be_joined: !config.http.variants.is_empty(),
            began: Instant::now(),
            packager: Packager::new(settings.clone()),
            window: Window::new(settings.clone()),
            settings,
            photographer: Photographer::new(budget, spool),
            budget: budget.clone(),
            events: Vec::new(),
            charge: Charge::new(budget),
            patience: Patience::new(Instant::now()),
            has_ended: false,
            odd: Oddities::default(),
            first: None,
            keeps_least: false,
            has_forgotten: false,
            listed: 0,
            shown: 0,
        }
    }

    pub(super) fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Somebody publishes it, or one of its sizes.
    pub(super) fn join(&mut self, number: u8) {
        self.members.retain(|member| member.number != number);
        self.members.push(Member {
            number,
            clock: Clock::default(),
            headers: Vec::new(),
        });
    }

    /// A publisher ended. Whether anybody is left.
    pub(super) fn leave(&mut self, number: u8) -> bool {
        let is_first = self.leads(number);
        self.members.retain(|member| member.number != number);
        if let Some(next) = self.members.first().filter(|_| is_first) {
            self.stream.ring.restart();
            let (number, headers) = (next.number, next.headers.clone());
            for (.., message) in &headers {
                self.take(number, message);
            }
        }
        self.restart_pictures();
        !self.members.is_empty()
    }

    /// The newest picture is of those that are there.
    fn restart_pictures(&self) {
        let pictures = &self.stream.pictures;
        pictures.restart();
        for member in &self.members {
            let headers = member.headers.iter();
            for frame in headers.flat_map(|(.., message)| message.frames()) {
                let named = named(&frame).filter(|_| frame.content == FrameContent::Header);
                if let Some((track, codec)) = named
                    && let Some(track) = self.track_of(member.number, track)
                {
                    pictures.configure(track, codec, &frame.payload);
                }
            }
        }
    }

    /// Whether the others go by this one.
    fn leads(&self, number: u8) -> bool {
        let first = self.members.first();
        first.is_some_and(|first| first.number == number)
    }

    /// The next message of a publisher.
    pub(super) fn message(&mut self, number: u8, message: &Message) {
        let now = Instant::now();
        let came = now.checked_sub(message.waited).unwrap_or(now);
        self.patience.heard(came);
        if message.kind != MediaKind::Data {
            self.first.get_or_insert(came);
        }
        let first = self.members.first().map(|first| first.clock);
        let Some(place) = self.members.iter().position(|is| is.number == number) else {
            return;
        };
        let member = &mut self.members[place];
        let (clock, time) = (&mut member.clock, message.time_micros);
        let since = came.saturating_duration_since(self.began).as_micros() as i64;
        let is_turn = match (message.kind, message.content) {
            (MediaKind::Video, FrameContent::Key) => clock.heard(time, since, true),
            (MediaKind::Video, FrameContent::Inter) => clock.heard(time, since, false),
            (MediaKind::Audio, FrameContent::Key) => clock.heard_sound(time, since),
            _ => false,
        };
        if let Some(first) = first.filter(|_| is_turn && place > 0) {
            clock.follow(&first);
        }
        if let Role::Header(of) | Role::Hint(of) = role(message) {
            member.keep_header(of, message);
        }
        self.take(number, message);
    }

    fn take(&mut self, number: u8, message: &Message) {
        let member = self.members.iter().find(|is| is.number == number);
        let shift = member.map_or(0, |member| member.clock.shift());
        if self.leads(number) {
            self.push_tag(message, shift);
            if message.kind == MediaKind::Data {
                self.window.label(labels(&message.payload));
                if let Some(cue) = Cue::of_message(&message.payload) {
                    let time = message.time_micros.saturating_add(shift);
                    self.packager.tell(cue, time);
                }
            }
        }
        if message.kind == MediaKind::Data {
            for (track, rate) in announced_rates(&message.payload) {
                if let Some(track) = self.track_of(number, track) {
                    self.window.announce(track, rate);
                }
            }
        }
        let wall = wall().saturating_sub(message.waited.as_millis() as i64);
        for mut frame in message.frames() {
            frame.dts_micros = frame.dts_micros.saturating_add(shift);
            frame.pts_micros = frame.pts_micros.saturating_add(shift);
            self.push_frame(number, frame, message.is_prelude(), wall);
        }
    }

    fn push_frame(&mut self, number: u8, frame: Frame, is_prelude: bool, wall: i64) {
        let Some((track, codec)) = named(&frame) else {
            return;
        };
        let Some(track) = self.track_of(number, track) else {
            return;
        };
        let content = match frame.content {
            FrameContent::Header => {
                let pictures = &self.stream.pictures;
                pictures.configure(track, codec, &frame.payload);
                return self.packager.configure(track, codec, &frame.payload);
            }
            FrameContent::Key => Content::Key,
            FrameContent::Inter if is_prelude => Content::Prelude,
            FrameContent::Inter => Content::Inter,
            _ => return,
        };
        let frame = mp4::Frame {
            track,
            codec,
            dts: frame.dts_micros,
            pts: frame.pts_micros,
            content,
            data: frame.payload,
        };
        self.stream.pictures.push(&frame, &self.budget);
        self.packager.push(frame, wall, &mut self.events);
    }

    /// What the track of a publisher is called among all.
    fn track_of(&self, number: u8, track: TrackName) -> Option<TrackName> {
        match track {
            TrackName::Video(id) if id < TRACKS_EACH || !self.may_be_joined => {
                let before = number.checked_mul(TRACKS_EACH)?;
                Some(TrackName::Video(before.checked_add(id)?))
            }
            TrackName::Audio(_) if self.leads(number) => Some(track),
            _ => None,
        }
    }

    /// Players of FLV know one track of each kind.
    fn push_tag(&mut self, message: &Message, shift: i64) {
        let payload = &message.payload[..];
        let is_plain = match message.kind {
            MediaKind::Video => VideoTag::parse(payload)
                .is_ok_and(|tag| tag.packets().map(|packet| packet.track).eq([0])),
            MediaKind::Audio => AudioTag::parse(payload)
                .is_ok_and(|tag| tag.packets().map(|packet| packet.track).eq([0])),
            MediaKind::Data => true,
        };
        if is_plain {
            let time = message.time_micros.saturating_add(shift) / 1000;
            let role = role(message);
            self.stream.ring.push(message.kind, role, time, payload);
        }
    }

    /// Another publisher goes on with it, or with one of its sizes.
    pub(super) fn restart(&mut self, number: u8) {
        let is_alone = self.members.len() == 1;
        let leads = self.leads(number);
        if let Some(member) = self.members.iter_mut().find(|is| is.number == number) {
            (member.clock, member.headers) = (Clock::default(), Vec::new());
        }
        if leads {
            self.stream.ring.restart();
        }
        // What others send goes on meanwhile, under a clock that does.
        if is_alone {
            self.packager.restart(&mut self.events);
        }
        self.restart_pictures();
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
        self.packager.end(&mut self.events);
        self.stream.ring.end();
    }

    /// Its media can be listed.
    pub(super) fn has_begun(&self) -> bool {
        self.window.targets().is_some()
    }

    /// When there will be something to do though nothing comes.
    pub(super) fn is_due_at(&self) -> Option<Instant> {
        let unplayable = self.unplayable_at();
        self.stalls_at().into_iter().chain(unplayable).min()
    }

    /// When it is to be told that nothing comes of what comes.
    fn unplayable_at(&self) -> Option<Instant> {
        let is_open = !self.has_begun() && !self.odd.has(Oddity::Unplayable);
        let first = self.first.filter(|_| is_open)?;
        match self.has_ended {
            true => Some(first),
            false => first.checked_add(UNPLAYABLE),
        }
    }

    /// What was found to be odd since it was last asked for.
    pub(super) fn oddities(&mut self) -> &[Oddity] {
        self.odd.take()
    }

    /// When players are to be told that nothing comes.
    fn stalls_at(&self) -> Option<Instant> {
        let targets = self.window.targets().filter(|_| !self.has_ended)?;
        // The packager makes something of what comes, late at most by this and as much as
        // tracks may be apart and a part lasts, which is less.
        let barren = 2 * self.packager.longest_wait();
        self.patience.ends_at(targets.part, self.segment(), barren)
    }

    /// The target duration.
    fn segment(&self) -> Duration {
        let targets = self.window.targets();
        targets.map_or(self.settings.segment, |targets| {
            Duration::from_secs(u64::from(targets.segment))
        })
    }

    /// Shows what came.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.events.iter().any(is_progress) {
            self.patience.listed(now);
        }
        if self.stalls_at().is_some_and(|at| at <= now) {
            self.packager.stall(&mut self.events);
            self.patience.stalled(now, self.segment());
        }
        let has_news = !self.events.is_empty();
        let mut has_closed = std::mem::take(&mut self.has_forgotten);
        let mut events = std::mem::take(&mut self.events);
        for mut event in events.drain(..) {
            match &mut event {
                // What is listed is counted first, so that it never seems to be left over.
                Event::Part { part, .. } => part.bytes = self.counted(&part.bytes),
                Event::Init {
                    bytes,
                    track,
                    number,
                    ..
                } => {
                    *bytes = self.counted(bytes);
                    if *number == RECODED {
                        let (track, times) = (*track, *number);
                        self.odd.note(Oddity::Recoded { track, times });
                    }
                }
                Event::LongGop { .. } => self.odd.note(Oddity::LongGop),
                Event::Unsupported { track } => self.odd.note(Oddity::Unsupported(*track)),
                Event::Closed { .. } | Event::End => has_closed = true,
                _ => {}
            }
            self.window.apply(event);
        }
        self.events = events;
        if self.unplayable_at().is_some_and(|at| at <= now) {
            self.odd.note(Oddity::Unplayable);
        }
        has_closed |= self.photographer.look_back(&mut self.window);
        if !has_news && !has_closed {
            return self.count();
        }
        let names = &self.stream.names;
        let photographer = &mut self.photographer;
        let snapshot = photographer.take(&self.window, names, has_closed, wall());
        self.shown = snapshot.text_bytes();
        self.stream.show(snapshot);
        self.weigh();
    }

    /// Counts what can be fetched.
    fn weigh(&mut self) {
        self.listed = self.window.held_bytes();
        self.count();
        self.charge.set_past(self.window.past_footprint());
    }

    /// It lists segments that are older than the window.
    pub(super) fn has_past(&self) -> bool {
        self.window.oldest_past().is_some()
    }

    /// Lets go of segments that are older than the window, the oldest first, as long as all
    /// streams together have too much of such and this one has more than its share.
    pub(super) fn keep_of_past(&mut self, shares: Shares) {
        if let Some(most) = self.budget.past_share(shares)
            && let Some(last) = self.window.past_beyond(most)
        {
            self.window.forget(last);
            self.weigh();
            self.has_forgotten = true;
            self.odd.note(Oddity::ShortPast);
        }
    }

    /// Counts what it keeps.
    fn count(&mut self) {
        let frames = self.packager.held_bytes() as u64;
        let ring = self.stream.ring.held_bytes();
        let picture = self.stream.pictures.held_bytes();
        let transported = self.stream.transported.held_bytes();
        let listed = self.listed + self.shown + ring + picture + transported;
        self.charge.set(listed, frames + self.window.known_bytes());
    }

    /// Bytes that can be fetched from now on, counted as long as anybody has them.
    fn counted(&mut self, bytes: &Bytes) -> Bytes {
        self.listed += bytes.len() as u64;
        self.count();
        self.budget.counted(bytes.clone(), bytes.len())
    }

    /// Keeps as little as may be, from the next segment on, as long as it lasts.
    pub(super) fn keep_least(&mut self) {
        if !std::mem::replace(&mut self.keeps_least, true) {
            self.window.keep(Duration::ZERO);
            self.odd.note(Oddity::LeastPast);
        }
    }
}

impl Member {
    /// Keeps a header in place of the one before of its kind.
    fn keep_header(&mut self, of: u8, message: &Message) {
        let is_it = |(kind, is, kept): &(MediaKind, u8, Message)| {
            (*kind, *is, kept.track) == (message.kind, of, message.track)
        };
        match self.headers.iter().position(is_it) {
            Some(place) => self.headers[place].2 = message.clone(),
            None if self.headers.len() < MOST_HEADERS => {
                self.headers.push((message.kind, of, message.clone()));
            }
            None => {}
        }
    }
}

/// What a message is to players of FLV. Headers are of as many kinds as packets are.
fn role(message: &Message) -> Role {
    let payload = &message.payload[..];
    let (of, is_plain) = match message.kind {
        MediaKind::Video => VideoTag::parse(payload).map_or((0, true), |tag| {
            use VideoPacketKind::{Frame, Mpeg2TsSequenceStart, SequenceStart};
            let kind = tag.first().kind;
            let is_plain = matches!(kind, Frame | SequenceStart | Mpeg2TsSequenceStart);
            (kind as u8, is_plain)
        }),
        MediaKind::Audio => {
            use AudioPacketKind::{Frame, SequenceStart};
            let tag = AudioTag::parse(payload);
            let kind = tag.ok().and_then(|tag| tag.first().map(|first| first.kind));
            kind.map_or((0, true), |kind| {
                (kind as u8, matches!(kind, Frame | SequenceStart))
            })
        }
        MediaKind::Data => (0, true),
    };
    match message.content {
        FrameContent::Header | FrameContent::Metadata if is_plain => Role::Header(of),
        FrameContent::Header | FrameContent::Metadata => Role::Hint(of),
        _ if !is_plain => Role::Aside,
        FrameContent::Key => Role::Key,
        _ => Role::Other,
    }
}

/// Players have more to play, or to step over.
fn is_progress(event: &Event) -> bool {
    matches!(event, Event::Part { .. } | Event::Opened { .. })
}

/// How long nothing may be listed: for want of messages, or as nothing comes of them.
#[derive(Debug)]
struct Patience {
    /// When the last message came, or a gap was listed in place of one.
    heard: Instant,
    /// When anything was listed.
    listed: Instant,
    /// A gap was the last that was listed, and no message came since.
    is_silent: bool,
    /// It was though messages came, and nothing came of them since.
    is_barren: bool,
}

impl Patience {
    fn new(now: Instant) -> Patience {
        Patience {
            heard: now,
            listed: now,
            is_silent: false,
            is_barren: false,
        }
    }

    /// A message came.
    fn heard(&mut self, now: Instant) {
        // Nothing was to be listed while none came.
        if std::mem::take(&mut self.is_silent) {
            self.listed = now;
        }
        self.heard = now;
    }

    /// Something came of them.
    fn listed(&mut self, now: Instant) {
        (self.listed, self.is_barren) = (now, false);
    }

    /// When a gap is to be listed: after a target duration of silence, and then a part after
    /// the other. Lines hiccup, and a gap that is listed is one for good, so that it is not
    /// said at the first moment. And where messages come and nothing comes of them, so late
    /// that this is for no good reason.
    fn ends_at(&self, part: Duration, segment: Duration, barren: Duration) -> Option<Instant> {
        let silence = if self.is_silent { part } else { segment };
        let barren = if self.is_barren { part } else { barren };
        let silence = self.heard.checked_add(silence);
        let barren = self.listed.checked_add(barren);
        silence.into_iter().chain(barren).min()
    }

    /// A gap was listed; the last message came within this, or it did not.
    fn stalled(&mut self, now: Instant, segment: Duration) {
        let is_silent = self.is_silent || now.saturating_duration_since(self.heard) >= segment;
        self.is_barren |= !is_silent;
        self.is_silent = true;
        (self.heard, self.listed) = (now, now);
    }
}

/// Milliseconds since 1970.
fn wall() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_millis() as i64)
}

fn settings(config: &Config) -> Settings {
    let preset = match config.http.preset {
        HttpPreset::Lan => Preset::Lan,
        HttpPreset::Public => Preset::Public,
        _ => Preset::Balanced,
    };
    Settings {
        window: config.http.window,
        dvr: config.http.dvr.duration,
        low_latency_dash: config.http.dash.low_latency,
        ..Settings::new(preset)
    }
}

/// A name that no other run of a stream has, nor had: by the time, and by count within it.
fn epoch() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(0, |since| since.as_millis() as u64);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{seconds:x}-{count:x}")
}

/// The track of a frame, and how it is coded.
fn named(frame: &Frame) -> Option<(TrackName, Codec)> {
    let codec = frame.codec?;
    match frame.kind {
        MediaKind::Video => {
            let codec = Codec::Video(VideoCodec::from(codec));
            Some((TrackName::Video(frame.track), codec))
        }
        MediaKind::Audio => {
            let codec = Codec::Audio(AudioCodec::from(codec));
            Some((TrackName::Audio(frame.track), codec))
        }
        MediaKind::Data => None,
    }
}

#[cfg(test)]
mod tests;
