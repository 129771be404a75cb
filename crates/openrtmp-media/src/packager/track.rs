//! One track: its frames on the stream's timeline, its open part and segment.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use openrtmp_protocol::media::VideoCodec;
use openrtmp_protocol::media::codec::{LENGTH_SIZE, length_size};

use super::boundary::{Boundary, Limit};
use super::open::{Open, Pending, STRETCH, duration, is_full, ticks};
use super::plan;
use super::steady::Steady;
use super::{Beginning, Event, Part, Settings, TimedCue};
use crate::captions::Captions;
use crate::cues::CueKind;
use crate::mp4::read::units;
use crate::mp4::{
    Access, Codec, Content, Description, EventMessage, Frame, Run, Sample, Track as Mp4Track,
    TrackName, fragment_header, init_segment, producer_reference,
};
use crate::placement::Placement;

/// So many bytes are kept for the frame that they belong to, parameter sets and the like.
const PRELUDE_BYTES: usize = 64 << 10;
/// Frames that wait for another track: so many at most.
const QUEUE_FRAMES: usize = 1024;
/// And so many bytes.
const QUEUE_BYTES: usize = 16 << 20;
/// Key frames whose places are known: those of as far as tracks may be apart, and more.
const KEYS: usize = 16;
/// The track's id in its files: it is alone in them.
const ID: u32 = 1;

/// Whether decoding can start with a frame. A recovery point of H.264 is a key frame to who
/// sends it, but no sync sample, which IDR pictures alone are. Of H.265 and H.266 all IRAP pictures
/// are taken for such, as players do: ISO/IEC 14496-15, 8.4.3, leaves out those with pictures behind
/// them that cannot be decoded (RASL), which is not known yet when the frame is here, and decoders
/// leave out those pictures by themselves (H.265, 8.1.3).
fn access<D: AsRef<[u8]>>(config: &[u8], held: &Held<D>) -> Access {
    const IDR: u8 = 5;
    if !held.is_key() {
        return Access::None;
    }
    let Codec::Video(VideoCodec::Avc) = held.frame.codec else {
        return Access::Sync;
    };
    let length = length_size(VideoCodec::Avc, config).unwrap_or(LENGTH_SIZE);
    let mut kinds = units(held.frame.data.as_ref(), length).map(|unit| unit[0] & 0x1F);
    match kinds.find(|kind| (1..=IDR).contains(kind)) {
        Some(IDR) | None => Access::Sync,
        Some(_) => Access::Open,
    }
}

/// A track of a stream.
#[derive(Debug)]
pub(super) struct Track<D> {
    pub(super) name: TrackName,
    pub(super) codec: Codec,
    pub(super) config: Vec<u8>,
    /// What the next segment that begins with a discontinuity is to be described by; of a
    /// track that did not begin, its first segment.
    pub(super) next: Option<Description>,
    /// Its header is another since `next`, or what is in force, was made.
    pub(super) is_changed: bool,
    /// And no key frame of the leading track came since.
    pub(super) is_announced: bool,
    /// It cannot be packaged, which was told.
    pub(super) is_unsupported: bool,
    /// Frames that wait for the leading track to come so far.
    pub(super) queue: VecDeque<Held<D>>,
    /// Frames wait for the next discontinuity.
    pub(super) is_held: bool,
    /// So long frames came, by their own times in microseconds, since one was packaged or,
    /// if none is held, the leading track went on.
    pub(super) waited: i64,
    /// The publisher's time of the newest frame, packaged or not, in microseconds.
    heard: Option<i64>,
    /// From the publisher's time to the timeline's, in microseconds.
    pub(super) offset: i64,
    /// The publisher's time of the last frame, in microseconds.
    pub(super) last: Option<i64>,
    /// Segment boundaries of the leading track that this one did not reach.
    pub(super) boundaries: VecDeque<Boundary>,
    /// Pictures are of no use before the next key frame.
    pub(super) awaits_key: bool,
    /// The last key frame's time on the timeline, and how far behind the one before it was.
    pub(super) last_key: Option<(i64, Duration)>,
    /// Where the newest key frames are said to be on the timeline, in microseconds: as far as
    /// time went back they are behind that.
    keys: VecDeque<i64>,
    /// The last gap ends here on the timeline, in microseconds.
    gap_end: Option<i64>,
    prelude: Vec<D>,
    /// Times of its frames, if it is sound.
    pub(super) steady: Steady<D>,
    pub(super) open: Option<Open<D>>,
    /// What is said in front of the next part, and whether that has it in it.
    cues: Vec<(TimedCue, bool)>,
    /// What was seen in its pictures.
    captions: Captions,
    inits: u32,
    fragments: u32,
    /// Parts tell wall time: in milliseconds, and the time on the timeline that it was.
    reference: Option<(i64, i64)>,
    has_references: bool,
}

/// A frame with what belongs in front of it.
#[derive(Debug)]
pub(super) struct Held<D> {
    pub(super) prelude: Vec<D>,
    pub(super) frame: Frame<D>,
}

impl<D: AsRef<[u8]>> Held<D> {
    pub(super) fn bytes(&self) -> usize {
        let parts = self.prelude.iter().chain([&self.frame.data]);
        parts.map(|part| part.as_ref().len()).sum()
    }

    pub(super) fn is_key(&self) -> bool {
        self.frame.content == Content::Key
    }
}

impl<D: AsRef<[u8]>> Track<D> {
    /// A track; its parts tell wall time, or do not.
    pub(super) fn new(name: TrackName, codec: Codec, has_references: bool) -> Track<D> {
        Track {
            name,
            codec,
            config: Vec::new(),
            next: None,
            is_changed: true,
            is_announced: false,
            is_unsupported: false,
            queue: VecDeque::new(),
            is_held: false,
            waited: 0,
            heard: None,
            offset: 0,
            last: None,
            boundaries: VecDeque::new(),
            awaits_key: true,
            last_key: None,
            keys: VecDeque::new(),
            gap_end: None,
            prelude: Vec::new(),
            steady: Steady::default(),
            open: None,
            cues: Vec::new(),
            captions: Captions::default(),
            inits: 0,
            fragments: 0,
            reference: None,
            has_references,
        }
    }

    /// Bytes of frames that are not in a part yet.
    pub(super) fn held_bytes(&self) -> usize {
        let prelude: usize = self.prelude.iter().map(|part| part.as_ref().len()).sum();
        let open = self.open.as_ref().map_or(0, |open| {
            let pending = open
                .pending
                .as_ref()
                .map_or(0, |pending| pending.held.bytes());
            pending + open.data.iter().map(Held::bytes).sum::<usize>()
        });
        prelude + self.steady.held_bytes() + self.queue_bytes() + open
    }

    /// What is told of the track's samples, by its configuration and a frame.
    fn describe(&self, frame: &[u8]) -> Option<Description> {
        match self.codec {
            Codec::Video(codec) => Description::video(codec, &self.config, frame),
            Codec::Audio(codec) => Description::audio(codec, &self.config, frame),
        }
    }

    /// Its pictures are to be told of in another way from their next key frame on, as far as
    /// their header tells. Said once of each header.
    pub(super) fn is_to_be_another(&mut self) -> bool {
        let is_announced = std::mem::take(&mut self.is_announced) && self.is_changed;
        let Some(open) = self
            .open
            .as_ref()
            .filter(|_| is_announced && self.is_video())
        else {
            return false;
        };
        // Of some codings only the frame tells.
        let told = self.describe(&[]);
        told.is_none_or(|told| told != open.description)
    }

    /// Makes what is told of the track by the configuration that came and a frame. Whether
    /// that is another than before.
    pub(super) fn redescribe(&mut self, frame: &[u8], out: &mut Vec<Event>) -> bool {
        let description = self.describe(frame);
        if description.is_none() {
            self.refuse(out);
            return false;
        }
        self.is_changed = false;
        let present = self.open.as_ref().map(|open| &open.description);
        let is_other = description.as_ref() != present;
        self.next = description.filter(|_| is_other);
        is_other
    }

    /// The track is left out until it has another configuration.
    pub(super) fn refuse(&mut self, out: &mut Vec<Event>) {
        self.is_changed = false;
        if !std::mem::replace(&mut self.is_unsupported, true) {
            out.push(Event::Unsupported { track: self.name });
        }
    }

    /// Samples of a frame of sound, and how many there are in a second, as far as it is known
    /// how it is coded.
    pub(super) fn length_of(&self, frame: &[u8]) -> Option<(u32, u32)> {
        let present = self.open.as_ref().map(|open| &open.description);
        let description = self.next.as_ref().or(present);
        let description = description.filter(|_| !self.is_changed && !self.is_video())?;
        let samples = description.samples_of_frame(frame)?;
        Some((samples, description.timescale()))
    }

    /// A frame of this time came. A clock that jumps tells no more than this.
    pub(super) fn count_wait(&mut self, dts: i64, jump: i64) {
        let moved = self.heard.map_or(0, |heard| dts.saturating_sub(heard));
        self.heard = Some(dts);
        self.waited = self.waited.saturating_add(moved.clamp(0, jump));
    }

    /// The publisher's time of the last frame that waits and is of the first one's clock, in
    /// microseconds, and whether it is the last of all: no clock moves by more than `jump`.
    pub(super) fn newest(&self, jump: i64) -> Option<(i64, bool)> {
        let mut times = self.queue.iter().map(|held| held.frame.dts);
        let mut newest = times.next()?;
        for dts in times {
            if dts.saturating_sub(newest).saturating_abs() > jump {
                return Some((newest, false));
            }
            newest = dts;
        }
        Some((newest, true))
    }

    fn queue_bytes(&self) -> usize {
        self.queue.iter().map(Held::bytes).sum()
    }

    /// A frame waits for the leading track to come so far; of too many the oldest are lost.
    pub(super) fn enqueue(&mut self, held: Held<D>) {
        // A track that has not begun begins at a key frame.
        if self.open.is_none() && self.is_video() && held.is_key() {
            self.queue.clear();
        }
        self.queue.push_back(held);
        while self.queue.len() > QUEUE_FRAMES || self.queue_bytes() > QUEUE_BYTES {
            self.queue.pop_front();
            self.awaits_key = true;
        }
    }

    pub(super) fn is_video(&self) -> bool {
        self.name.is_video()
    }

    /// A key frame is at this time on the timeline, in microseconds. How far it is behind the
    /// one before.
    pub(super) fn count_key(&mut self, time: i64) -> Duration {
        let since = self.last_key.map_or(Duration::ZERO, |(last, _)| {
            Duration::from_micros(time.saturating_sub(last).max(0) as u64)
        });
        self.last_key = Some((time, since));
        since
    }

    /// A key frame is said to be at this time on the timeline, in microseconds.
    pub(super) fn note_key(&mut self, time: i64) {
        self.keys.push_back(time);
        if self.keys.len() > KEYS {
            self.keys.pop_front();
        }
    }

    /// It has pictures where another has a key frame, and no key frame within so many
    /// microseconds.
    pub(super) fn has_no_key_near(&self, time: i64, near: i64) -> bool {
        let is_there = self.gap_end.is_none_or(|end| end <= time);
        let is_near = |key: &i64| key.abs_diff(time) <= near.unsigned_abs();
        self.is_video() && is_there && !self.keys.iter().any(is_near)
    }

    /// The publisher's clock went on without a jump from the last frame to those that wait,
    /// and this time, in microseconds, is among them, or as near as `jump`.
    pub(super) fn runs_by(&self, dts: i64, jump: i64) -> bool {
        let Some(last) = self.last else {
            return false;
        };
        let newest = match self.queue.front() {
            // It is of another clock.
            Some(first) if first.frame.dts.abs_diff(last) > jump.unsigned_abs() => return false,
            Some(_) => self.newest(jump).map_or(last, |(newest, _)| newest),
            None => last,
        };
        (last.saturating_sub(jump)..=newest.saturating_add(jump)).contains(&dts)
    }

    /// Time from this offset on is later by so many microseconds.
    pub(super) fn move_offset(&mut self, from: i64, by: i64) {
        let waiting = self
            .boundaries
            .iter_mut()
            .map(|waiting| &mut waiting.offset);
        for offset in waiting.chain([&mut self.offset]) {
            if *offset == from {
                *offset = from.saturating_add(by);
            }
        }
    }

    /// The frame with what came for it; nothing if it is itself for the next.
    pub(super) fn with_prelude(&mut self, frame: Frame<D>) -> Option<Held<D>> {
        if frame.content == Content::Prelude {
            let held: usize = self.prelude.iter().map(|part| part.as_ref().len()).sum();
            if held + frame.data.as_ref().len() > PRELUDE_BYTES {
                self.prelude.clear();
            }
            self.prelude.push(frame.data);
            return None;
        }
        Some(Held {
            prelude: std::mem::take(&mut self.prelude),
            frame,
        })
    }

    /// Ends the segment that is open, at what is in it, and begins the next one there.
    pub(super) fn begin(&mut self, boundary: Boundary, out: &mut Vec<Event>) {
        self.close(out);
        let mut old = self.open.take();
        let lasted = old
            .as_ref()
            .map(|old| duration(old.end - old.start, old.timescale()));
        let lasted = lasted.filter(|lasted| !lasted.is_zero());
        let is_new = old.is_none() || boundary.is_discontinuity;
        if let Some(description) = self.next.take_if(|_| is_new) {
            let track = Mp4Track {
                id: ID,
                timescale: description.timescale(),
                description: description.clone(),
            };
            out.push(Event::Init {
                track: self.name,
                number: self.inits,
                description: description.clone(),
                bytes: init_segment(&[track]).bytes.into(),
            });
            self.inits += 1;
            let time = old
                .as_ref()
                .map_or(boundary.time, |old| old.micros(old.end));
            let placement = Placement::new(&description);
            let mut open = Open {
                description,
                placement,
                reorder: 0,
                is_reorder_known: false,
                start: 0,
                expected: 0,
                end: 0,
                part_start: 0,
                samples: Vec::new(),
                data: Vec::new(),
                pending: None,
                has_parts: false,
                is_new,
            };
            open.end = open.tick_from(time);
            old = Some(open);
        }
        let Some(mut open) = old else { return };
        (open.start, open.part_start) = (open.end, open.end);
        open.expected = ticks(lasted.unwrap_or(Settings::SEGMENT), open.timescale());
        (open.has_parts, open.is_new) = (false, is_new);
        open.is_reorder_known &= !is_new;
        let into = (open.micros(open.end) - boundary.time) / 1000;
        out.push(Event::Opened {
            track: self.name,
            beginning: Beginning {
                msn: boundary.msn,
                is_discontinuity: boundary.is_discontinuity,
                discontinuities: boundary.discontinuities,
                init: self.inits - 1,
                wall: boundary.wall.saturating_add(into),
                time: boundary.time,
            },
        });
        self.reference = self
            .has_references
            .then_some((boundary.wall, boundary.time));
        self.open = Some(open);
        self.awaits_key |= is_new;
        if boundary.is_discontinuity {
            self.offset = boundary.offset;
            self.last_key = None;
            if std::mem::take(&mut self.is_held) {
                self.last = None;
            }
        }
    }

    /// Ends the segment that is open.
    pub(super) fn close(&mut self, out: &mut Vec<Event>) {
        self.close_part(out);
        if self.open.is_some() {
            out.push(Event::Closed { track: self.name });
        }
    }

    /// Ends the part that is open, if anything is in it.
    pub(super) fn close_part(&mut self, out: &mut Vec<Event>) {
        let Some(open) = self.open.as_mut().filter(|open| !open.samples.is_empty()) else {
            return;
        };
        let is_independent = open.is_independent();
        let run = Run {
            track: ID,
            decode_time: open.part_start,
            samples: std::mem::take(&mut open.samples),
        };
        self.fragments = self.fragments.wrapping_add(1);
        let (start, ticks) = (open.part_start, open.end - open.part_start);
        let length = duration(ticks, open.timescale());
        let reorder = u32::try_from(open.tick_from(open.reorder)).unwrap_or(0);
        let data = std::mem::take(&mut open.data);
        open.part_start = open.end;
        open.has_parts = true;
        // Parts have no 2 GiB: `Packager` takes no frame for which there is no room.
        let mut bytes = match self.reference {
            None => Vec::new(),
            Some((wall, time)) => {
                let since = open.micros(start).saturating_sub(time);
                producer_reference(ID, wall.saturating_mul(1000).saturating_add(since), start)
            }
        };
        for (said, is_inband) in std::mem::take(&mut self.cues) {
            if is_inband {
                EventMessage {
                    timescale: open.timescale(),
                    time: open.tick_from(said.time),
                    id: said.number,
                    scheme: CueKind::SCHEME,
                    value: said.cue.kind.name(),
                    data: said.cue.json.as_bytes(),
                }
                .put(&mut bytes);
            }
            out.push(Event::Cue {
                track: self.name,
                cue: said,
            });
        }
        bytes.extend(fragment_header(self.fragments, &[run]).unwrap_or_default());
        bytes.reserve_exact(data.iter().map(Held::bytes).sum());
        for held in &data {
            for part in held.prelude.iter().chain([&held.frame.data]) {
                bytes.extend_from_slice(part.as_ref());
            }
        }
        let part = Part {
            start,
            ticks,
            duration: length,
            is_independent,
            is_gap: false,
            frames: data.len() as u32,
            reorder,
            bytes: bytes.into(),
        };
        self.look_for_captions(&data, out);
        out.push(Event::Part {
            track: self.name,
            part,
        });
    }

    /// Something is said in front of the next part, unless too much is.
    pub(super) fn hear(&mut self, said: TimedCue, is_inband: bool, most: usize) {
        if self.cues.len() < most {
            self.cues.push((said, is_inband));
        }
    }

    /// Tells of captions that were not there before.
    fn look_for_captions(&mut self, frames: &[Held<D>], out: &mut Vec<Event>) {
        let Codec::Video(codec) = self.codec else {
            return;
        };
        let Some(length) = length_size(codec, &self.config).filter(|_| !self.captions.is_all())
        else {
            return;
        };
        let pieces = frames
            .iter()
            .flat_map(|held| held.prelude.iter().chain([&held.frame.data]));
        let found = pieces.fold(self.captions, |found, piece| {
            found.or(Captions::of_frame(codec, length, piece.as_ref()))
        });
        if found != self.captions {
            self.captions = found;
            out.push(Event::Captions {
                track: self.name,
                captions: found,
            });
        }
    }

    /// The last frame ends where the next begins, at this tick, or as usual if that is too
    /// far or not known; and within its limit, if it has one.
    pub(super) fn settle(
        &mut self,
        next: Option<u64>,
        limit: Option<Limit>,
        part: Duration,
        out: &mut Vec<Event>,
    ) {
        let Some(open) = self.open.as_mut() else {
            return;
        };
        let Some(pending) = open.pending.take() else {
            return;
        };
        let access = access(&self.config, &pending.held);
        let whole = open.lasts(&pending, next, part);
        let lasts = limit.map_or(whole, |limit| limit.keep(pending.place, whole));
        let target = ticks(part, open.timescale());
        if open.end + lasts - open.part_start > target {
            self.close_part(out);
        }
        let Some(open) = self.open.as_mut() else {
            return;
        };
        if open.samples.is_empty() {
            open.part_start = pending.place;
        }
        let lasts_ticks = u32::try_from(lasts).unwrap_or(u32::MAX);
        let place = i64::try_from(pending.place).unwrap_or(i64::MAX);
        if lasts == whole {
            open.placement.lasted(lasts_ticks);
        }
        open.samples.push(Sample {
            duration: lasts_ticks,
            size: u32::try_from(pending.held.bytes()).unwrap_or(u32::MAX),
            composition_offset: i32::try_from(pending.shown.saturating_sub(place)).unwrap_or(0),
            access,
        });
        open.data.push(pending.held);
        open.end = pending.place + lasts;
        // It ends at once if another frame of this length would not fit.
        let filled = open.end - open.part_start;
        let enough = match open.placement.is_video() {
            true => target,
            false => plan::sound_part(target, lasts, open.expected),
        };
        if is_full(filled, target) && filled + lasts > enough {
            self.close_part(out);
        }
    }

    /// The tick at which a segment of the leading track begins that a key frame of this time
    /// is near to, which is to begin one here, if it is free.
    pub(super) fn begins_near(&self, time: i64, near: i64) -> Option<u64> {
        let open = self.open.as_ref()?;
        let fresh = (open.is_new && open.is_empty()).then(|| open.micros(open.end));
        let next = self.boundaries.front().map(|boundary| boundary.time);
        let begins = next.into_iter().chain(fresh);
        let mut begins = begins.filter(|begins| time.abs_diff(*begins) <= near.unsigned_abs());
        let tick = open.tick_from(begins.next()?);
        let taken = open.pending.as_ref().map(|pending| pending.place + 1);
        (tick >= open.end.max(taken.unwrap_or(0))).then_some(tick)
    }

    /// The last frame came before it was known that a segment ends where it begins.
    pub(super) fn begin_at_pending(&mut self, near: i64, out: &mut Vec<Event>) {
        let (Some(open), Some(boundary)) = (&self.open, self.boundaries.front()) else {
            return;
        };
        let near = if self.is_video() { near } else { 0 };
        let (begins, exact) = (
            open.tick_from(boundary.time.saturating_sub(near)),
            open.tick_from(boundary.time),
        );
        let is_behind = open.pending.as_ref().is_some_and(|is| is.place >= begins);
        let has_any = open.has_parts || !open.samples.is_empty();
        let is_plain = !boundary.is_discontinuity && !boundary.is_deferred;
        if !(is_plain && is_behind && has_any && open.end >= begins) {
            return;
        }
        let boundary = *boundary;
        self.boundaries.pop_front();
        if let Some(open) = &mut self.open
            && let Some(pending) = open.pending.as_mut().filter(|is| is.place < exact)
        {
            let late = u32::try_from(exact - open.end).unwrap_or(0);
            if let Some(last) = open.samples.last_mut() {
                last.duration = last.duration.saturating_add(late);
            }
            (pending.place, open.end) = (exact, exact);
            if open.samples.is_empty() {
                open.part_start += u64::from(late);
            }
        }
        self.begin(boundary, out);
    }

    /// A segment that ends where it begins has a gap of so many microseconds.
    pub(super) fn leave_no_segment_empty(
        &mut self,
        micros: i64,
        part: Duration,
        out: &mut Vec<Event>,
    ) {
        let (Some(open), Some(next)) = (&self.open, self.boundaries.front()) else {
            return;
        };
        if open.tick_from(next.time) <= open.end {
            let to = open.tick_from(open.micros(open.end).saturating_add(micros));
            self.gap(to, part, out);
        }
    }

    /// How long the part is that would be listed as missing up to this tick: a whole one at
    /// most. `None` if nothing is missing.
    pub(super) fn gap_step(&self, to: u64, part: Duration) -> Option<Duration> {
        let open = self.open.as_ref()?;
        let step = to
            .saturating_sub(open.end)
            .min(ticks(part, open.timescale()));
        (step > 0).then(|| duration(step, open.timescale()))
    }

    /// Lists that part as missing.
    pub(super) fn gap(&mut self, to: u64, part: Duration, out: &mut Vec<Event>) {
        self.close_part(out);
        let Some(open) = self.open.as_mut() else {
            return;
        };
        let step = to
            .saturating_sub(open.end)
            .min(ticks(part, open.timescale()));
        if step == 0 {
            return;
        }
        let start = open.end;
        open.end += step;
        open.part_start = open.end;
        open.has_parts = true;
        open.placement.restart();
        self.gap_end = Some(open.micros(open.end));
        let part = Part {
            start,
            ticks: step,
            duration: duration(step, open.timescale()),
            is_independent: false,
            is_gap: true,
            frames: 0,
            reorder: 0,
            bytes: Bytes::new(),
        };
        out.push(Event::Part {
            track: self.name,
            part,
        });
    }

    /// Where a frame begins that comes behind all before; it ends where the next one begins.
    pub(super) fn place(&mut self, held: Held<D>) -> Option<Pending<D>> {
        self.last = Some(held.frame.dts);
        self.waited = 0;
        self.awaits_key &= !held.is_key();
        Some(self.open.as_mut()?.place(held, self.offset))
    }

    /// The frame that comes next, once the one before is settled.
    pub(super) fn await_end(&mut self, pending: Pending<D>) {
        if let Some(open) = &mut self.open {
            open.pending = Some(pending);
        }
    }

    /// A segment that nothing is in yet, and that does not go on from another, begins at this
    /// tick instead, if that is near.
    pub(super) fn begin_at(&mut self, tick: u64) {
        let open = self.open.as_mut();
        let Some(open) = open.filter(|open| open.is_new && open.is_empty()) else {
            return;
        };
        if tick > open.end && tick - open.end <= ticks(STRETCH, open.timescale()) {
            (open.start, open.end, open.part_start) = (tick, tick, tick);
        }
    }

    /// Keeps the order in which pictures are shown when time was moved.
    pub(super) fn set_reorder(&mut self, reorder: i64) {
        if let Some(open) = &mut self.open {
            (open.reorder, open.is_reorder_known) = (reorder, true);
        }
    }

    /// The same with the first key frame where time begins, which this frame may be: pictures
    /// of others may be shown later.
    pub(super) fn learn_reorder(&mut self, is_key: bool, reorder: i64) {
        let open = self.open.as_ref();
        let is_open = open.is_some_and(|open| !open.is_reorder_known);
        if is_open && is_key && self.is_video() {
            self.set_reorder(reorder);
        }
    }

    pub(super) fn frame_time(&self, held: &Held<D>) -> i64 {
        let reorder = self.open.as_ref().map_or(0, |open| open.reorder);
        held.frame
            .dts
            .saturating_add(self.offset)
            .saturating_add(reorder)
    }
}
