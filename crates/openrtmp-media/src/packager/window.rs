//! What can be fetched of a stream: the newest segments of each track, and their parts.

mod past;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::periods::{self, Addressing, Period, Periods};
use super::stream::REACH;
use super::{Beginning, Event, Settings, Targets, TimedCue};
use crate::Label;
use crate::captions::Captions;
use crate::mp4::{Description, TrackName};

/// Segments that left the list can be fetched for so many target durations more.
const GRACE: u32 = 3;
/// Bytes of a media playlist of HLS that are about what is said, at most: delta updates have them
/// too, so that players read them again with each part.
pub const MOST_OF_CUES: usize = 32 * 1024;
/// Of a line about something said, what is not its text has so many bytes, or fewer.
const LINE: usize = 192;

/// A CMAF chunk, `moof` and `mdat`; or one that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it begins on the timeline, in ticks of its track: the decoding time of its
    /// first frame.
    pub start: u64,
    /// Its length in ticks.
    pub ticks: u64,
    /// Its length.
    pub duration: Duration,
    /// Decoding can start at its first frame.
    pub is_independent: bool,
    /// There is nothing to be fetched.
    pub is_gap: bool,
    /// Frames in it.
    pub frames: u32,
    /// Decoding times are by so many ticks later than the encoder's: by as much as pictures
    /// that are out of order need, so that no composition offset of the encoder is below 0.
    pub reorder: u32,
    /// The chunk; empty if it is a gap.
    pub bytes: Bytes,
}

/// A segment: the bytes of its parts, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    pub beginning: Beginning,
    /// Its parts so far.
    pub parts: Vec<Part>,
    /// What is said in it.
    pub cues: Vec<TimedCue>,
    /// No part comes any more.
    pub is_complete: bool,
    /// Its bytes are elsewhere, and its parts are told of no longer ([`Window::release`]).
    pub is_released: bool,
}

impl Segment {
    fn msn(&self) -> u64 {
        self.beginning.msn
    }

    /// Length of its parts.
    pub fn duration(&self) -> Duration {
        self.parts.iter().map(|part| part.duration).sum()
    }

    /// Bytes of its parts that are here.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes.len() as u64).sum()
    }

    /// There is nothing to be fetched.
    pub fn is_gap(&self) -> bool {
        self.parts.iter().all(|part| part.is_gap)
    }

    /// Something of it is missing.
    pub(super) fn has_gaps(&self) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| part.is_gap)
    }

    /// The mean length of its frames.
    pub(crate) fn frame(&self) -> Duration {
        let frames: u32 = self.parts.iter().map(|part| part.frames).sum();
        self.duration() / frames.max(1)
    }

    /// What there is to be fetched begins and ends at these ticks of its track.
    pub fn span(&self) -> Option<(u64, u64)> {
        let mut parts = self.parts.iter().filter(|part| !part.is_gap);
        let first = parts.next()?;
        let last = parts.next_back().unwrap_or(first);
        Some((first.start, last.start + last.ticks))
    }
}

/// How many bits per second a rendition has, of what was measured and what is announced the higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// The highest of segments that last half a target duration together, or more.
    pub peak: u64,
    /// Of everything so far.
    pub average: u64,
}

/// One track of a stream, as far as it can be fetched.
#[derive(Clone, Debug)]
pub struct Rendition {
    /// Which.
    pub track: TrackName,
    /// Its init segments that are still of use, by their number.
    pub inits: VecDeque<(u32, Description, Bytes)>,
    /// Those that are listed, the oldest first.
    pub segments: VecDeque<Segment>,
    /// So many of them, from the oldest on, are older than [`Settings::window`].
    past: usize,
    /// What its pictures have had.
    captions: Captions,
    /// Segments left the list.
    has_forgotten: bool,
    /// Those that left the list and can be fetched for a while, with how long everything was
    /// by then.
    retired: VecDeque<(Segment, Duration)>,
    /// The periods, by their numbers, that it is left out of.
    absent: Vec<u64>,
    total: (u64, Duration),
    /// Frames, and how long they are.
    frames: (u64, Duration),
    peak: u64,
    /// What it has by what the publisher says, if that says anything.
    announced: u64,
}

/// The tracks of a stream, as far as they can be fetched: what its events add up to.
#[derive(Clone, Debug)]
pub struct Window {
    settings: Settings,
    targets: Option<Targets>,
    renditions: Vec<Rendition>,
    periods: Periods,
    /// The track that was the first to begin the newest segment.
    leader: Option<TrackName>,
    /// What the newest period says of segments is no longer so: the next begins another.
    is_period_due: bool,
    /// All that there was at first could be played.
    was_playable: bool,
    has_ended: bool,
    labels: Vec<(TrackName, Label)>,
    /// Bits per second that the publisher says tracks have.
    announced: Vec<(TrackName, u64)>,
}

impl Window {
    /// Nothing yet. Of the settings it is those of the window that count.
    pub fn new(settings: Settings) -> Window {
        Window {
            settings: settings.within_range(),
            targets: None,
            renditions: Vec::new(),
            periods: Periods::default(),
            leader: None,
            is_period_due: false,
            was_playable: false,
            has_ended: false,
            labels: Vec::new(),
            announced: Vec::new(),
        }
    }

    /// Keeps another length of the stream from the next segment on, in place of
    /// [`Settings::window`]; as always not less than [`Settings::LEAST_SEGMENTS`] allow.
    pub fn keep(&mut self, window: Duration) {
        self.settings.window = window;
    }

    /// What people are told of tracks. It holds for those that have not begun: players do not
    /// expect another name of what they know.
    pub fn label(&mut self, labels: Vec<(TrackName, Label)>) {
        for (track, label) in labels {
            if self.rendition(track).is_none_or(|is| !is.has_begun()) {
                self.labels.retain(|(known, _)| *known != track);
                self.labels.push((track, label));
            }
        }
    }

    /// The publisher says that a track has so many bits per second
    /// ([`announced_rates`](crate::announced_rates)): [`Rendition::rates`] are not below that.
    /// What is measured of a calm beginning is far below what comes.
    pub fn announce(&mut self, track: TrackName, rate: u64) {
        self.announced.retain(|(known, _)| *known != track);
        self.announced.push((track, rate));
        let known = self.renditions.iter_mut().find(|is| is.track == track);
        if let Some(rendition) = known {
            rendition.announced = rate;
        }
    }

    /// What people are told of a track.
    pub fn label_of(&self, track: TrackName) -> Label {
        let mut labels = self.labels.iter();
        let found = labels.find(|(known, _)| *known == track);
        found.map(|(_, label)| label.clone()).unwrap_or_default()
    }

    /// What happened to the stream.
    pub fn apply(&mut self, event: Event) {
        self.take(event);
        self.was_playable |=
            !self.renditions.is_empty() && self.renditions.iter().all(|is| self.can_play(is));
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Targets(targets) => self.targets = Some(targets),
            Event::Init {
                track,
                number,
                description,
                bytes,
            } => {
                let rendition = self.rendition_mut(track);
                rendition.inits.push_back((number, description, bytes));
            }
            Event::Opened { track, beginning } => {
                let is_new = self.rendition(track).is_none_or(|is| !is.has_begun());
                let period = self.periods.list().last().map_or(0, |period| period.number);
                let is_back = |rendition: &Rendition| {
                    let newest = rendition.segments.back();
                    rendition.is_absent(period) && newest.is_some_and(|newest| !newest.is_gap())
                };
                // The leading track is the first to begin a segment.
                let newest = |rendition: &Rendition| rendition.segments.back().map(Segment::msn);
                let newest = self.renditions.iter().filter_map(newest).max();
                let leads = newest.is_none_or(|newest| newest < beginning.msn);
                if leads {
                    self.leader = Some(track);
                }
                let is_due = leads && std::mem::take(&mut self.is_period_due);
                let mut renditions = self.renditions.iter();
                let is_changed = renditions.any(|is| is_back(is) || self.has_left(is));
                let is_other = is_new || is_due || (leads && is_changed);
                self.periods.opened(beginning, is_other, self.addressing());
                let segment = Segment {
                    beginning,
                    parts: Vec::new(),
                    cues: Vec::new(),
                    is_complete: false,
                    is_released: false,
                };
                self.rendition_mut(track).segments.push_back(segment);
            }
            Event::Part { track, part } => {
                let rendition = self.rendition_mut(track);
                rendition.frames.0 += u64::from(part.frames);
                if !part.is_gap {
                    rendition.frames.1 += part.duration;
                }
                if let Some(segment) = rendition.segments.back_mut() {
                    segment.parts.push(part);
                }
            }
            Event::Cue { track, cue } => self.rendition_mut(track).hear(cue),
            Event::Captions { track, captions } => self.rendition_mut(track).captions = captions,
            Event::Closed { track } => self.close(track),
            Event::End => {
                self.has_ended = true;
                self.periods.decide(Addressing::Timeline);
                self.renditions.iter_mut().for_each(Rendition::end);
            }
            Event::LongGop { .. } | Event::Unsupported { .. } => {}
        }
    }

    /// What playlists promise; nothing may be listed before.
    pub fn targets(&self) -> Option<Targets> {
        self.targets
    }

    /// Nothing more comes.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The tracks, in the order in which they began.
    pub fn renditions(&self) -> &[Rendition] {
        &self.renditions
    }

    /// One track.
    pub fn rendition(&self, track: TrackName) -> Option<&Rendition> {
        self.renditions
            .iter()
            .find(|rendition| rendition.track == track)
    }

    /// How long lists are, once the stream lasted so long; `None` before nothing may be
    /// listed.
    pub fn length(&self) -> Option<Duration> {
        let target = Duration::from_secs(u64::from(self.targets?.segment));
        Some(self.settings.length_of(target))
    }

    /// Stretches of the stream with the same tracks and configurations, the oldest that
    /// something is left of first.
    pub fn periods(&self) -> &[Period] {
        self.periods.list()
    }

    /// The renditions that a master playlist may name: those that can be played, with a whole
    /// segment and parts for the hold-back, and of which something still comes. Some players
    /// take what comes a moment too early for an error for good; so there is none before all
    /// that were there at first can be played, nor while what will be the only sound, or the
    /// only pictures, cannot. What joins later is in what is made later, and who stops is not.
    pub fn listed(&self) -> Option<Vec<&Rendition>> {
        if !self.was_playable {
            return None;
        }
        let (ready, coming): (Vec<&Rendition>, Vec<&Rendition>) =
            self.renditions.iter().partition(|is| self.can_play(is));
        let has = |all: &[&Rendition], track: TrackName| {
            all.iter().any(|is| is.track.is_video() == track.is_video())
        };
        if coming.iter().any(|is| !has(&ready, is.track)) {
            return None;
        }
        let (gone, there): (Vec<&Rendition>, Vec<&Rendition>) =
            ready.into_iter().partition(|is| self.is_gone(is));
        Some(if there.is_empty() { gone } else { there })
    }

    /// There is something that a master playlist may name.
    pub fn is_playable(&self) -> bool {
        self.listed().is_some()
    }

    fn can_play(&self, rendition: &Rendition) -> bool {
        let Some(targets) = self.targets else {
            return false;
        };
        let mut length = Duration::ZERO;
        let is_long = rendition.segments.iter().rev().any(|segment| {
            length += segment.duration();
            length >= targets.part_hold_back
        });
        let has_whole = rendition.segments.iter().any(|segment| segment.is_complete);
        has_whole && (self.has_ended || is_long)
    }

    /// Nothing comes of a rendition, while something does of others.
    fn is_gone(&self, rendition: &Rendition) -> bool {
        let is_gap = |rendition: &Rendition| rendition.newest().is_some_and(Segment::is_gap);
        is_gap(rendition) && !self.renditions.iter().all(is_gap)
    }

    /// The newest period is one of those that a rendition is in, and nothing more comes of it.
    fn has_left(&self, rendition: &Rendition) -> bool {
        let Some(period) = self.periods.list().last() else {
            return false;
        };
        let is_in = rendition.newest().is_some_and(|is| is.msn() >= period.msn);
        is_in && !rendition.is_absent(period.number) && self.is_gone(rendition)
    }

    /// Bytes of everything that can be fetched and is here.
    pub fn held_bytes(&self) -> u64 {
        self.renditions.iter().map(Rendition::held_bytes).sum()
    }

    fn rendition_mut(&mut self, track: TrackName) -> &mut Rendition {
        let place = self
            .renditions
            .iter()
            .position(|rendition| rendition.track == track);
        let place = place.unwrap_or_else(|| {
            let mut announced = self.announced.iter();
            let announced = announced.find(|(known, _)| *known == track);
            self.renditions.push(Rendition {
                track,
                inits: VecDeque::new(),
                segments: VecDeque::new(),
                past: 0,
                captions: Captions::default(),
                has_forgotten: false,
                retired: VecDeque::new(),
                absent: Vec::new(),
                total: (0, Duration::ZERO),
                frames: (0, Duration::ZERO),
                peak: 0,
                announced: announced.map_or(0, |(_, rate)| *rate),
            });
            self.renditions.len() - 1
        });
        &mut self.renditions[place]
    }

    fn close(&mut self, track: TrackName) {
        let settings = self.settings.clone();
        let target = self.targets.map_or(settings.segment, |targets| {
            Duration::from_secs(u64::from(targets.segment))
        });
        let periods = self.periods.list().to_vec();
        let is_leader = self.leader == Some(track);
        let first = self.first_of_leader();
        let rendition = self.rendition_mut(track);
        let Some(closed) = rendition.segments.back_mut() else {
            return;
        };
        closed.is_complete = true;
        // A track that followed may have had no frame in it.
        if closed.parts.is_empty() {
            return;
        }
        rendition.count(target);
        rendition.age(&settings, target);
        while rendition.is_too_long(&settings, target)
            || ((is_leader || rendition.begins_before(first))
                && rendition.has_room_for_less(&settings, target))
        {
            rendition.retire();
        }
        rendition.look_for_absence(&periods);
        let is_kept = rendition.keeps_to(periods.last());
        let length = rendition.total.1;
        let is_over = |(_, then): &(Segment, Duration)| length >= *then + target * GRACE;
        while rendition.retired.front().is_some_and(is_over) {
            rendition.retired.pop_front();
        }
        rendition.forget_inits();
        self.is_period_due |= !is_kept;
        if is_leader {
            self.retire_with(track);
            match self.addressing() {
                Addressing::Undecided => {}
                decided => self.periods.decide(decided),
            }
            self.is_period_due |= self.is_steady();
        }
        self.forget_periods();
    }

    /// Nothing is kept of periods of which there is nothing.
    fn forget_periods(&mut self) {
        let oldest = self.renditions.iter().filter_map(Rendition::oldest).min();
        self.periods.forget_before(oldest.unwrap_or(0));
        let first = self.periods.list().first().map_or(0, |first| first.number);
        for rendition in &mut self.renditions {
            rendition.absent.retain(|number| *number >= first);
        }
    }
}

impl Window {
    /// The media sequence number that the list of the leading track begins with.
    fn first_of_leader(&self) -> u64 {
        let leader = self.leader.and_then(|leader| self.rendition(leader));
        let first = leader.and_then(|is| is.segments.front());
        first.map_or(0, Segment::msn)
    }

    /// What left the list of the leading track leaves those of all others with it, so that
    /// lists begin with the same segment at any time. Players put them side by side, and some
    /// misplace parts of a list that begins earlier than another.
    fn retire_with(&mut self, leader: TrackName) {
        let left = self.rendition(leader).and_then(|is| is.retired.back());
        let Some(left) = left.map(|(segment, _)| segment.msn()) else {
            return;
        };
        for rendition in &mut self.renditions {
            while rendition.is_longer_than_least() && rendition.begins_before(left + 1) {
                rendition.retire();
            }
        }
    }
}

/// Addressing of periods.
impl Window {
    /// How segments would be told of that come now.
    fn addressing(&self) -> Addressing {
        if !self.settings.low_latency_dash {
            return Addressing::Timeline;
        }
        let Some(leader) = self.leader.and_then(|leader| self.rendition(leader)) else {
            return Addressing::Undecided;
        };
        match periods::addressing(leader.segments.iter().filter(|is| is.is_complete)) {
            Addressing::Numbers(_) if !self.is_in_step(periods::AGREEING) => Addressing::Timeline,
            found => found,
        }
    }

    /// The newest segments of all tracks, so many of each, are where the leading one's are: a
    /// number means the same time in all of them.
    fn is_in_step(&self, count: usize) -> bool {
        let leader = self.leader.and_then(|leader| self.rendition(leader));
        self.renditions.iter().all(|rendition| {
            let complete = rendition.segments.iter().filter(|is| is.is_complete);
            let mut newest = complete.rev().take(count);
            newest.all(|segment| {
                let same = leader.and_then(|leader| leader.segment(segment.msn()));
                let length = same.map_or(segment.duration(), Segment::duration);
                let is_as_long = segment.duration().abs_diff(length) <= segment.frame() * 2;
                is_as_long && rendition.begins_in_step(segment)
            })
        })
    }

    /// The newest period has a timeline, and does not need it any longer.
    fn is_steady(&self) -> bool {
        let leader = self.leader.and_then(|leader| self.rendition(leader));
        let (Some(leader), Some(period)) = (leader, self.periods.list().last()) else {
            return false;
        };
        let is_in = |segment: &&Segment| segment.is_complete && segment.msn() >= period.msn;
        self.settings.low_latency_dash
            && period.addressing == Addressing::Timeline
            && periods::is_steady(leader.segments.iter().filter(is_in))
            && self.is_in_step(periods::STEADY)
    }
}

impl Rendition {
    /// What its samples are now.
    pub fn description(&self) -> Option<&Description> {
        self.inits.back().map(|(_, description, _)| description)
    }

    /// An init segment by its number.
    pub fn init(&self, number: u32) -> Option<&Bytes> {
        self.inits
            .iter()
            .find(|(is, ..)| *is == number)
            .map(|(.., bytes)| bytes)
    }

    /// A segment by its media sequence number, for as long as it can be fetched.
    pub fn segment(&self, msn: u64) -> Option<&Segment> {
        let retired = self.retired.iter().map(|(segment, _)| segment);
        retired
            .chain(&self.segments)
            .find(|segment| segment.beginning.msn == msn)
    }

    /// A complete segment by the tick at which what there is of it begins, for as long as it
    /// can be fetched.
    pub fn segment_at(&self, tick: u64) -> Option<&Segment> {
        let retired = self.retired.iter().map(|(segment, _)| segment);
        let mut all = retired
            .chain(&self.segments)
            .filter(|segment| segment.is_complete);
        all.find(|segment| segment.span().is_some_and(|(start, _)| start == tick))
    }

    fn has_begun(&self) -> bool {
        self.oldest().is_some()
    }

    /// The segment that was completed last, with anything in it.
    fn newest(&self) -> Option<&Segment> {
        let mut complete = self.segments.iter().rev().filter(|is| is.is_complete);
        complete.find(|segment| !segment.parts.is_empty())
    }

    /// There was nothing listed of it in this period, once.
    pub(crate) fn is_absent(&self, period: u64) -> bool {
        self.absent.contains(&period)
    }

    /// Whether it is in the period of the segment that was completed last: where there is
    /// nothing to be listed of it, it is left out for good, as what a period consists of
    /// is not to change.
    fn look_for_absence(&mut self, periods: &[Period]) {
        let complete = self.segments.iter().rev().filter(|is| is.is_complete);
        let mut complete = complete.filter(|is| !is.parts.is_empty()).peekable();
        let newest = complete.peek().map_or(0, |newest| newest.beginning.msn);
        let Some(period) = periods.iter().rfind(|period| period.msn <= newest) else {
            return;
        };
        let mut inside = complete.take_while(|is| is.beginning.msn >= period.msn);
        if inside.all(Segment::is_gap) && !self.absent.contains(&period.number) {
            self.absent.push(period.number);
        }
    }

    /// The segment that was completed last is where its number has it, if its period, the
    /// newest, says so; and has no gaps.
    fn keeps_to(&self, period: Option<&Period>) -> bool {
        let closed = self.segments.iter().rfind(|is| is.is_complete);
        let (Some(closed), Some(period)) = (closed, period) else {
            return true;
        };
        let Addressing::Numbers(length) = period.addressing else {
            return true;
        };
        let msn = closed.beginning.msn;
        // The time of the cut, which others are up to a frame behind.
        let apart = period.nominal(msn, length).abs_diff(closed.beginning.time);
        let is_in_place = u128::from(apart) <= closed.frame().as_micros();
        let is_as_long = closed.duration().abs_diff(length) <= closed.frame() * 2;
        let is_there = is_in_place && self.begins_in_step(closed);
        msn < period.msn || (is_there && is_as_long && !closed.has_gaps())
    }

    /// A segment begins where the leading track's does: with the first frame from there on, and
    /// not with a later key frame.
    fn begins_in_step(&self, segment: &Segment) -> bool {
        let mut inits = self.inits.iter();
        let init = inits.find(|(number, ..)| *number == segment.beginning.init);
        let (Some((_, description, _)), Some(first)) = (init, segment.parts.first()) else {
            return true;
        };
        let scale = u128::from(description.timescale().max(1));
        let micros = u128::from(first.start) * 1_000_000 / scale;
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        let apart = micros.abs_diff(segment.beginning.time);
        u128::from(apart) <= (segment.frame() + REACH).as_micros()
    }

    /// Segments left the list.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }

    /// The oldest segment that can be fetched.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let retired = self.retired.front().map(|(segment, _)| segment);
        let oldest = retired.or(self.segments.front())?;
        Some(oldest.beginning.msn)
    }

    /// What is said in the segment that is open. The oldest is forgotten where it would be more
    /// than playlists have room for.
    fn hear(&mut self, cue: TimedCue) {
        if let Some(open) = self.segments.back_mut() {
            open.cues.push(cue);
        }
        let mut room = MOST_OF_CUES;
        for segment in self.segments.iter_mut().rev() {
            let fits = |said: &&TimedCue| {
                let left = room.checked_sub(LINE + said.cue.encoded_len());
                room = left.unwrap_or(0);
                left.is_some()
            };
            let kept = segment.cues.iter().rev().take_while(fits).count();
            segment.cues.drain(..segment.cues.len() - kept);
        }
    }

    /// The captions that its pictures have, or had once: players do not expect what they were
    /// told of to be gone.
    pub fn captions(&self) -> Captions {
        self.captions
    }

    /// The rates that were measured, which are 0 before the first segment is complete; or what
    /// the publisher says, if that is more ([`Window::announce`]).
    pub fn rates(&self) -> Rates {
        Rates {
            peak: self.peak.max(self.announced),
            average: rate(self.total.0, self.total.1).max(self.announced),
        }
    }

    /// Frames in a thousand seconds, on average.
    pub fn frame_rate(&self) -> u64 {
        let micros = self.frames.1.as_micros().max(1);
        let rate = (u128::from(self.frames.0) * 1_000_000_000 + micros / 2) / micros;
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    fn held_bytes(&self) -> u64 {
        let inits: u64 = self
            .inits
            .iter()
            .map(|(.., bytes)| bytes.len() as u64)
            .sum();
        let retired = self.retired.iter().map(|(segment, _)| segment);
        inits
            + retired
                .chain(&self.segments)
                .map(Segment::bytes)
                .sum::<u64>()
    }

    /// The newest segment is complete.
    fn count(&mut self, target: Duration) {
        let (mut bytes, mut length) = (0, Duration::ZERO);
        if let Some(newest) = self.segments.back() {
            self.total.0 += newest.bytes();
            self.total.1 += newest.duration();
        }
        // Shorter ones do not count alone (RFC 8216, 4.3.4.2).
        for segment in self.segments.iter().rev() {
            bytes += segment.bytes();
            length += segment.duration();
            if length * 2 >= target {
                break;
            }
        }
        self.peak = self.peak.max(rate(bytes, length));
    }

    /// Takes the oldest segment off the list.
    fn retire(&mut self) {
        let open = self.segments.back().filter(|newest| !newest.is_complete);
        let then = self.total.1 + open.map_or(Duration::ZERO, Segment::duration);
        if let Some(segment) = self.forget_oldest() {
            self.retired.push_back((segment, then));
        }
    }

    /// The oldest segment, which is on the list no longer.
    fn forget_oldest(&mut self) -> Option<Segment> {
        let oldest = self.segments.pop_front()?;
        self.past = self.past.saturating_sub(1);
        self.has_forgotten = true;
        Some(oldest)
    }

    /// Its list begins before this media sequence number.
    fn begins_before(&self, msn: u64) -> bool {
        self.segments.front().is_some_and(|first| first.msn() < msn)
    }

    /// A segment can leave the list: there are enough whole ones without it.
    fn is_longer_than_least(&self) -> bool {
        let is_open = self.segments.back().is_some_and(|last| !last.is_complete);
        self.segments.len() - usize::from(is_open) > Settings::LEAST_SEGMENTS
    }

    /// The list would be long enough without its oldest segment.
    fn has_room_for_less(&self, settings: &Settings, target: Duration) -> bool {
        let rest: Duration = self.segments.iter().skip(1).map(Segment::duration).sum();
        self.is_longer_than_least() && rest >= settings.length_of(target)
    }

    /// There is more on the list than may be.
    fn is_too_long(&self, settings: &Settings, target: Duration) -> bool {
        let bytes: u64 = self.segments.iter().map(Segment::bytes).sum();
        let is_too_large = bytes > settings.window_bytes && !settings.has_past(target);
        self.is_longer_than_least()
            && (self.segments.len() > settings.most_segments() || is_too_large)
    }

    /// Init segments are kept as long as something needs them.
    fn forget_inits(&mut self) {
        let needed = self.retired.iter().map(|(segment, _)| segment);
        let needed = needed
            .chain(&self.segments)
            .map(|segment| segment.beginning.init);
        let needed = needed.min().unwrap_or(0);
        self.inits.retain(|(number, ..)| *number >= needed);
    }
}

/// Bits per second.
fn rate(bytes: u64, length: Duration) -> u64 {
    let micros = length.as_micros().max(1);
    let rate = u128::from(bytes) * 8 * 1_000_000 / micros;
    u64::try_from(rate).unwrap_or(u64::MAX)
}
