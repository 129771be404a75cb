//! The packager: the timeline of all tracks, and where it is cut.

mod cues;
mod follow;
mod sound;

use std::collections::VecDeque;
use std::time::Duration;

use super::boundary::Boundary;
use super::open::STRETCH;
use super::steady::Steady;
use super::track::{Held, Track};
use super::{Event, Settings, Targets, plan};
use crate::mp4::{Codec, Frame, TrackName};

/// Times of frames are within this, in microseconds: far from where sums overflow.
const FARTHEST: i64 = 1 << 58;
/// Where the timeline begins, in microseconds: above 0, so that tracks that lead by a little
/// have times that are not below.
const BASE: i64 = 10_000_000;
/// A clock that moves by more at once has jumped, in microseconds.
const JUMP: i64 = 1_000_000;
/// A track may be so far behind another before it is said to have a gap, in microseconds.
const LAG: i64 = 1_000_000;
/// Frames are looked at for so long before the first of them is packaged, in microseconds,
/// to know how long they are.
const PROBE: i64 = 500_000;
/// And for so long if there is no audio, or no video, yet.
const WAIT: i64 = 1_000_000;
/// A segment ends at a key frame that comes so much earlier than asked for.
const EARLY: Duration = Duration::from_millis(100);
/// Tracks that follow overlap the segments of the leading one by this at most; lengths are
/// rounded to the nearest second, so that half of one is left for this and for key frames
/// that are late.
const OVERLAP: Duration = Duration::from_millis(200);
/// Pictures of a track that follows reach over the end of the leading one's segment by this at
/// most: a frame of ten in a second.
pub(super) const REACH: Duration = Duration::from_millis(100);
/// No segment is shorter, so that every track has a frame in each.
const LEAST_SEGMENT: Duration = Duration::from_millis(300);
/// Key frames that are the same picture may be so far apart, in microseconds: publishers round
/// to milliseconds, each by itself.
const NEAR: i64 = 20_000;
/// By so much times differ for being whole milliseconds, in microseconds.
const ROUNDING: i64 = 2_000;
/// Frames are shown so much after they are decoded at most, in microseconds.
const LONGEST_REORDER: i64 = 2_000_000;
/// Frames that wait for the first part: so many at most.
const EARLY_FRAMES: usize = 1024;
/// And so many bytes.
const EARLY_BYTES: usize = 16 << 20;
/// Frames in a part, at most.
const PART_FRAMES: usize = 4096;
/// Tracks of a stream, at most; what is of others is left out.
const TRACKS: usize = 16;

/// Where a segment ends.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// The next begins with a key frame.
    Key,
    /// Or with none.
    Anywhere,
    /// Time does not go on, or the coding changes.
    Discontinuity,
}

/// Cuts one stream; see the [module](super).
#[derive(Debug)]
pub struct Packager<D> {
    settings: Settings,
    /// The leading one is first, once it runs.
    tracks: Vec<Track<D>>,
    /// Frames from before it runs.
    early: VecDeque<(Held<D>, i64)>,
    early_bytes: usize,
    is_running: bool,
    has_ended: bool,
    part: Duration,
    /// Seconds, once it is decided.
    target: Option<u32>,
    /// Of the segment of the leading track that is open.
    msn: u64,
    discontinuities: u64,
    /// From the publisher's time to the timeline's, in microseconds.
    offset: i64,
    /// Wall time in milliseconds, and the time on the timeline in microseconds that it was.
    anchor: (i64, i64),
    /// The publisher is another: its clock has nothing to do with the one before.
    has_jumped: bool,
    /// A clock jumped, or a track's coding changed: the next key frame begins a
    /// discontinuity.
    has_changed: bool,
    /// A gap was listed for want of frames: time is counted on from its end.
    is_stalled: bool,
    /// A track of pictures that follows has another coding: the next key frame begins a
    /// discontinuity.
    is_change_due: bool,
    cues: cues::Cues,
}

impl<D: AsRef<[u8]>> Packager<D> {
    /// A packager of one stream.
    pub fn new(settings: Settings) -> Packager<D> {
        let settings = settings.within_range();
        Packager {
            part: settings.part_target,
            msn: settings.first_msn,
            settings,
            tracks: Vec::new(),
            early: VecDeque::new(),
            early_bytes: 0,
            is_running: false,
            has_ended: false,
            target: None,
            discontinuities: 0,
            offset: 0,
            anchor: (0, BASE),
            has_jumped: false,
            has_changed: false,
            is_stalled: false,
            is_change_due: false,
            cues: cues::Cues::default(),
        }
    }

    /// A track's sequence header. Another one than before is in force from the next key frame
    /// of the leading track on.
    pub fn configure(&mut self, track: TrackName, codec: Codec, config: &[u8]) {
        let Some(place) = self.track(track, codec) else {
            return;
        };
        let state = &mut self.tracks[place];
        if (state.codec, state.config.as_slice()) != (codec, config) {
            (state.codec, state.config) = (codec, config.to_vec());
            (state.is_changed, state.is_announced) = (true, true);
            state.is_unsupported = false;
            // What waits is of the header before.
            state.steady = Steady::default();
        }
    }

    /// The next frame, which came at this wall time, in milliseconds since 1970; what it
    /// leads to is added to `out`. Empty frames, which mean silence, are left out.
    pub fn push(&mut self, mut frame: Frame<D>, wall: i64, out: &mut Vec<Event>) {
        if frame.data.as_ref().is_empty() || self.has_ended {
            return;
        }
        frame.dts = frame.dts.clamp(-FARTHEST, FARTHEST);
        frame.pts = frame.pts.clamp(-FARTHEST, FARTHEST);
        let Some(place) = self.track(frame.track, frame.codec) else {
            return;
        };
        if self.tracks[place].codec != frame.codec {
            self.configure(frame.track, frame.codec, &[]);
        }
        self.tracks[place].count_wait(frame.dts, JUMP);
        let Some(held) = self.tracks[place].with_prelude(frame) else {
            return;
        };
        match self.is_running {
            true => self.take(held, wall, out),
            false => self.probe(held, wall, out),
        }
    }

    /// No frame of any track came for the length of a part: one is listed as missing, so
    /// that players see that the stream goes on.
    pub fn stall(&mut self, out: &mut Vec<Event>) {
        if !self.is_running || self.has_ended {
            return;
        }
        self.settle_times(out);
        self.lead_to(None, out);
        for track in 1..self.tracks.len() {
            self.follow(track, out);
        }
        let Some(open) = &self.tracks[0].open else {
            return;
        };
        let missing = i64::try_from(self.part.as_micros()).unwrap_or(0);
        let to = open.tick_from(open.micros(open.end).saturating_add(missing));
        self.lead_to(Some(to), out);
        for track in 1..self.tracks.len() {
            self.follow_all(track, out);
        }
        self.is_stalled = true;
    }

    /// The publisher ended and another, or the same again, goes on with the stream: behind a
    /// discontinuity, under sequence numbers that go on.
    pub fn restart(&mut self, out: &mut Vec<Event>) {
        if !self.is_running {
            self.early.clear();
            self.early_bytes = 0;
            self.cues.forget_early();
            // The next publisher may have others.
            self.tracks.clear();
            return;
        }
        self.settle_times(out);
        self.lead_to(None, out);
        self.has_jumped = true;
        for track in 1..self.tracks.len() {
            self.follow_and_forget(track, out);
            self.tracks[track].is_held = true;
        }
        for track in &mut self.tracks {
            track.steady = Steady::default();
        }
    }

    /// Nothing more comes.
    pub fn end(&mut self, out: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        if !self.is_running {
            self.start(out);
        }
        self.settle_times(out);
        self.has_ended = true;
        if self.is_running {
            self.lead_to(None, out);
            self.freeze(out);
            for track in 1..self.tracks.len() {
                self.follow_to_the_last(track, out);
            }
            self.tracks[0].close(out);
            for track in 1..self.tracks.len() {
                self.tracks[track].begin_at_pending(ROUNDING, out);
                self.settle_follower(track, None, out);
                if self.missing(track) > STRETCH.as_micros() as i64 {
                    self.follow_all(track, out);
                }
                self.tracks[track].close(out);
            }
        }
        out.push(Event::End);
    }

    /// Frames of a track that come one after the other are listed after so long at the
    /// latest, in the time that they tell, whatever becomes of the leading track: a key frame
    /// is to come within a target duration, and any track may be late.
    pub fn longest_wait(&self) -> Duration {
        let segment = self.target.map(|target| Duration::from_secs(target.into()));
        segment.unwrap_or(self.settings.segment) + Duration::from_micros(LAG as u64)
    }

    /// Bytes of frames that are in no part yet.
    pub fn held_bytes(&self) -> usize {
        self.early_bytes + self.tracks.iter().map(Track::held_bytes).sum::<usize>()
    }

    /// The place of a track among those known; none if there are too many.
    fn track(&mut self, name: TrackName, codec: Codec) -> Option<usize> {
        let place = self.tracks.iter().position(|track| track.name == name);
        if place.is_none() && self.tracks.len() < TRACKS {
            let track = Track::new(name, codec, self.settings.low_latency_dash);
            self.tracks.push(track);
            return Some(self.tracks.len() - 1);
        }
        place
    }
}

/// Before the first part.
impl<D: AsRef<[u8]>> Packager<D> {
    fn probe(&mut self, held: Held<D>, wall: i64, out: &mut Vec<Event>) {
        self.early_bytes += held.bytes();
        self.early.push_back((held, wall));
        let is_video = |held: &Held<D>| held.frame.track.is_video();
        // A clock that jumps now begins anew.
        if let [.., (before, _), (last, _)] = self.early.make_contiguous()
            && last.frame.dts.abs_diff(before.frame.dts) > 2 * JUMP.unsigned_abs()
        {
            self.forget_early(self.early.len() - 1);
        }
        let key = self
            .early
            .iter()
            .position(|(held, _)| is_video(held) && held.is_key());
        let has_video = self.tracks.iter().any(|track| track.is_video());
        let has_audio = self.early.iter().any(|(held, _)| !is_video(held));
        let (Some((last, _)), Some((first, _))) =
            (self.early.back(), self.early.get(key.unwrap_or(0)))
        else {
            return;
        };
        let seen = last.frame.dts.saturating_sub(first.frame.dts);
        let is_full = self.early.len() >= EARLY_FRAMES || self.early_bytes >= EARLY_BYTES;
        // Pictures that are announced and do not come are not waited for any longer than later.
        let longest = match self.early.iter().any(|(held, _)| is_video(held)) {
            true => self.settings.longest_segment,
            false => self.longest_wait(),
        };
        let longest = longest.as_micros() as i64;
        let is_patient = self.tracks.iter().all(|track| track.waited < longest);
        if has_video && key.is_none() && (!has_audio || is_patient) {
            // What is before the first key frame is of no use but for a little audio.
            let is_old = |held: &Held<D>| last.frame.dts.saturating_sub(held.frame.dts) > WAIT;
            let old = self
                .early
                .iter()
                .take_while(|(held, _)| is_old(held))
                .count();
            self.forget_early(old.max(if is_full { self.early.len() / 2 } else { 0 }));
        } else if is_full || seen >= WAIT || (seen >= PROBE && key.is_some() && has_audio) {
            self.start(out);
        }
    }

    fn forget_early(&mut self, count: usize) {
        let forgotten = self.early.drain(..count);
        self.early_bytes -= forgotten.map(|(held, _)| held.bytes()).sum::<usize>();
    }

    /// Decides the part target, and packages what came.
    fn start(&mut self, out: &mut Vec<Event>) {
        self.tracks.sort_by_key(|track| track.name);
        let mut lengths = Vec::new();
        for place in 0..self.tracks.len() {
            let name = self.tracks[place].name;
            let is_video = name.is_video();
            let frames = self.early.iter().map(|(held, _)| held);
            let mut frames = frames.filter(|held| held.frame.track == name);
            let Some(first) = frames.find(|held| held.is_key()) else {
                continue;
            };
            let state = &mut self.tracks[place];
            state.redescribe(first.frame.data.as_ref(), out);
            let Some(description) = &state.next else {
                continue;
            };
            let samples = description.samples_of_frame(first.frame.data.as_ref());
            let rest: Vec<i64> = frames.map(|held| held.frame.dts).collect();
            let mean = rest.last().map_or(0, |last| {
                last.saturating_sub(first.frame.dts).max(0) as u64 / rest.len() as u64
            });
            lengths.push(match samples {
                Some(samples) if !is_video => {
                    u64::from(samples) * 1_000_000 / u64::from(description.timescale().max(1))
                }
                _ => mean,
            });
        }
        // Those that can begin come first; a video track leads.
        self.tracks
            .sort_by_key(|track| (track.next.is_none(), track.name));
        let Some(leader) = self.tracks.first().filter(|track| track.next.is_some()) else {
            return self.forget_early(self.early.len());
        };
        let name = leader.name;
        lengths.retain(|length| *length > 0);
        self.part = plan::part_target(self.settings.part_target, &lengths);
        let is_first = |held: &Held<D>| held.frame.track == name && held.is_key();
        let Some((first, wall)) = self.early.iter().find(|(held, _)| is_first(held)) else {
            return;
        };
        let reorder = reorder(first);
        self.offset = BASE.saturating_sub(first.frame.dts).saturating_sub(reorder);
        self.anchor = (*wall, BASE);
        let boundary = Boundary {
            time: BASE,
            wall: *wall,
            msn: self.msn,
            is_discontinuity: false,
            discontinuities: 0,
            offset: self.offset,
            is_key: true,
            is_deferred: false,
        };
        let start = first.frame.dts;
        for track in &mut self.tracks {
            track.begin(boundary, out);
            track.offset = self.offset;
        }
        self.tracks[0].set_reorder(reorder);
        self.is_running = true;
        self.tell_early();
        self.early_bytes = 0;
        for (held, wall) in std::mem::take(&mut self.early) {
            if held.frame.track != name || held.frame.dts >= start {
                self.take(held, wall, out);
            }
        }
    }
}

/// From decoding to presentation of the frame, in microseconds, as far as it is credible.
fn reorder<D>(held: &Held<D>) -> i64 {
    let offset = held.frame.pts.saturating_sub(held.frame.dts);
    match held.frame.track {
        TrackName::Video(_) if (0..=LONGEST_REORDER).contains(&offset) => offset,
        _ => 0,
    }
}

/// The leading track.
impl<D: AsRef<[u8]>> Packager<D> {
    fn take_timed(&mut self, held: Held<D>, wall: i64, out: &mut Vec<Event>) {
        let Some(place) = self.track(held.frame.track, held.frame.codec) else {
            return;
        };
        if self.tracks[place].is_changed && held.is_key() {
            self.change(place, &held, out);
        }
        // It may be the leading one now.
        let name = held.frame.track;
        let place = if self.tracks[0].name == name {
            0
        } else {
            place
        };
        let has_waited = place > 0 && self.has_waited(place);
        let track = &mut self.tracks[place];
        // One that is to join at the next segment joins at once where none comes.
        let is_to_join = has_waited && track.next.is_some();
        let has_begun = track.open.is_some() || is_to_join;
        // Pictures that are to join wait from a key frame on.
        let cannot_join = !(has_begun || track.is_video() && track.next.is_some());
        let is_unusable = track.is_changed || track.is_unsupported || cannot_join;
        if place == 0 {
            if !is_unusable {
                self.lead(held, wall, out);
                self.is_stalled = false;
            }
            for track in 1..self.tracks.len() {
                self.follow(track, out);
                self.catch_up(track, out);
            }
        } else if !is_unusable {
            track.enqueue(held);
            match has_waited {
                true => self.go_on_without(place, wall, out),
                false if has_begun => self.wait_no_longer(place, wall, out),
                false => {}
            }
            // Others are not to be behind what came of it.
            for track in 1..self.tracks.len() {
                self.follow(track, out);
                self.catch_up(track, out);
            }
        }
    }

    /// Frames of this track came for as long as any is to wait.
    fn has_waited(&self, place: usize) -> bool {
        self.tracks[place].waited >= self.longest_wait().as_micros() as i64
    }

    /// A track has another configuration from this frame on.
    fn change(&mut self, place: usize, held: &Held<D>, out: &mut Vec<Event>) {
        let frame = held.frame.data.as_ref();
        let is_video = self.tracks[place].is_video();
        if is_video && !self.tracks[0].is_video() {
            return self.lead_with(place, frame, out);
        }
        let has_begun = self.tracks[place].open.is_some();
        if has_begun && place > 0 {
            self.follow_and_forget(place, out);
        }
        let track = &mut self.tracks[place];
        if !(track.redescribe(frame, out) && has_begun) {
            return;
        }
        if !is_video || place == 0 {
            (track.is_held, self.has_changed) = (place > 0, true);
            return;
        }
        // Pictures of others are of use up to their next key frame, which may have come.
        let begins = held
            .frame
            .pts
            .saturating_add(track.offset)
            .saturating_add(NEAR);
        let mut boundaries = track.boundaries.iter();
        if !boundaries.any(|is| is.is_discontinuity && is.time <= begins) {
            (track.is_held, self.is_change_due) = (true, true);
        }
    }

    /// Pictures came to what sound alone cut: from here on they do, if they can be packaged.
    fn lead_with(&mut self, place: usize, frame: &[u8], out: &mut Vec<Event>) {
        let Some(open) = &self.tracks[0].open else {
            return;
        };
        // Others may have nothing in so short a segment: from the next key frame on, then.
        // If nothing more comes of the sound, it has a gap.
        let has_others = self.tracks[1..].iter().any(|track| track.open.is_some());
        let is_short = open.is_empty() || (has_others && open.elapsed() < LEAST_SEGMENT);
        if is_short && !self.has_waited(place) {
            return;
        }
        if self.tracks[place].redescribe(frame, out) {
            self.lead_to(None, out);
            if is_short {
                self.fill_segment(out);
            }
            self.cut(Cut::Anywhere, out);
            self.tracks.swap(0, place);
        }
    }

    fn lead(&mut self, held: Held<D>, wall: i64, out: &mut Vec<Event>) {
        let (dts, reached) = (held.frame.dts, self.reached());
        let track = &mut self.tracks[0];
        let moved = track.last.map_or(0, |last| dts.saturating_sub(last));
        // It may be behind others by so much that went on without it.
        let is_elsewhere = track.last.is_none() && {
            let ahead = track.frame_time(&held).saturating_sub(reached);
            !(-JUMP..=LAG + JUMP).contains(&ahead)
        };
        if std::mem::take(&mut self.has_jumped) {
            self.rebase(&held, wall, out);
        } else if is_elsewhere || moved.saturating_abs() > JUMP {
            // Where others went on there is a hole, and time is what it was.
            match self.is_among_others(&held) {
                true => self.has_changed = true,
                false => self.rebase(&held, wall, out),
            }
        }
        if held.is_key() {
            self.has_changed |= std::mem::take(&mut self.is_change_due);
            // Pictures that follow are others from their next key frame on, and with them all.
            for track in &mut self.tracks[1..] {
                self.has_changed |= track.is_to_be_another();
            }
        }
        // What comes behind a frame that is left out cannot be decoded.
        self.has_changed |= !self.has_room(0, &held);
        if self.has_changed {
            self.tracks[0].last = Some(dts);
            match held.is_key() {
                true => self.discontinue(held, out),
                false => self.wait_for_key(&held, out),
            }
            return;
        }
        self.count_on_from_gap(&held);
        let track = &mut self.tracks[0];
        let is_key = held.is_key();
        if track.last.is_none() {
            track.set_reorder(reorder(&held));
        }
        if is_key {
            track.note_key(track.frame_time(&held));
        }
        let Some(pending) = track.place(held) else {
            return;
        };
        track.begin_at(pending.place);
        self.lead_to(Some(pending.place), out);
        if is_key {
            self.reach_key(out);
        }
        self.tracks[0].await_end(pending);
        for track in self.tracks.iter_mut().filter(|track| !track.is_held) {
            track.waited = 0;
        }
    }

    /// A frame of the leading track is where others have come to, by the same clock: no
    /// further than they are ahead of it.
    fn is_among_others(&self, held: &Held<D>) -> bool {
        let leader = &self.tracks[0];
        let end = leader.open.as_ref().map(|open| open.micros(open.end));
        let ahead = end.map(|end| leader.frame_time(held).saturating_sub(end));
        let is_ahead = ahead.is_some_and(|ahead| (0..=4 * LAG).contains(&ahead));
        let is_among = |track: &Track<D>| {
            let goes_by_it = track.open.is_some() && !track.is_held && track.offset == self.offset;
            goes_by_it && track.runs_by(held.frame.dts, JUMP)
        };
        is_ahead && self.tracks[1..].iter().any(is_among)
    }

    /// How far the leading track has come on the timeline, in microseconds.
    fn reached(&self) -> i64 {
        let open = self.tracks[0].open.as_ref();
        open.map_or(BASE, |open| open.reached())
    }

    /// The part that is open has room for the frame.
    fn has_room(&self, place: usize, held: &Held<D>) -> bool {
        let open = self.tracks[place].open.as_ref();
        let (bytes, frames) = open.map_or((0, 0), |open| open.in_part());
        let bytes = bytes.saturating_add(held.bytes());
        bytes <= self.settings.part_bytes && frames < PART_FRAMES
    }

    /// Moves time so that this frame is not before the end of a gap that was listed already.
    fn count_on_from_gap(&mut self, held: &Held<D>) {
        let time = self.tracks[0].frame_time(held);
        let Some(open) = &self.tracks[0].open else {
            return;
        };
        let end = open.micros(open.end);
        if !open.has_pending() && time < end {
            let (from, by) = (self.offset, end - time);
            self.offset = from.saturating_add(by);
            // What others have of another clock is where it was.
            for track in &mut self.tracks {
                track.move_offset(from, by);
            }
        }
    }

    /// The next frame can begin a segment.
    fn reach_key(&mut self, out: &mut Vec<Event>) {
        let track = &mut self.tracks[0];
        let Some(open) = &track.open else { return };
        let (now, elapsed) = (open.micros(open.end), open.elapsed());
        let since = track.count_key(now);
        let is_due = match track.name {
            TrackName::Video(_) => elapsed + EARLY >= self.settings.segment,
            TrackName::Audio(_) => elapsed + since > self.settings.segment,
        };
        let is_last = elapsed >= LEAST_SEGMENT && elapsed + since > self.longest();
        if is_due || is_last {
            self.cut(Cut::Key, out);
        }
    }

    /// The publisher's clock is another from this frame on: it goes on where the one before
    /// ended.
    fn rebase(&mut self, held: &Held<D>, wall: i64, out: &mut Vec<Event>) {
        self.lead_to(None, out);
        let time = match held.is_key() {
            true => held.frame.dts.saturating_add(reorder(held)),
            false => self.tracks[0]
                .frame_time(held)
                .saturating_sub(self.tracks[0].offset),
        };
        let Some(open) = &self.tracks[0].open else {
            return;
        };
        let end = open.micros(open.end);
        self.offset = end.saturating_sub(time);
        self.tracks[0].offset = self.offset;
        self.anchor = (wall, end);
        self.has_changed = true;
    }

    /// A frame that nothing can be done with before a key frame came: there is a gap.
    fn wait_for_key(&mut self, held: &Held<D>, out: &mut Vec<Event>) {
        let time = self.tracks[0].frame_time(held);
        let Some(open) = &self.tracks[0].open else {
            return;
        };
        let (to, end) = (open.tick_from(time), open.micros(open.whole_end()));
        if time.saturating_sub(end) >= self.part.as_micros() as i64 {
            self.lead_to(Some(to), out);
        }
    }

    /// Time, or coding, does not go on, and this is the first frame of what comes.
    fn discontinue(&mut self, held: Held<D>, out: &mut Vec<Event>) {
        let reorder = reorder(&held);
        self.tracks[0].set_reorder(reorder);
        let time = self.tracks[0].frame_time(&held);
        let Some(open) = &self.tracks[0].open else {
            return;
        };
        let to = open.tick_from(time);
        self.lead_to(Some(to), out);
        self.fill_segment(out);
        self.count_on_from_gap(&held);
        self.has_changed = false;
        self.discontinuities += 1;
        self.cut(Cut::Discontinuity, out);
        // Those that waited for it go on from here.
        for track in 1..self.tracks.len() {
            if self.tracks[track].is_held {
                self.follow_all(track, out);
            }
        }
        let track = &mut self.tracks[0];
        track.set_reorder(reorder);
        track.note_key(track.frame_time(&held));
        if let Some(pending) = track.place(held) {
            track.await_end(pending);
        }
    }

    /// A segment that is to end now and is too short gets a gap.
    fn fill_segment(&mut self, out: &mut Vec<Event>) {
        let Some(open) = &self.tracks[0].open else {
            return;
        };
        let least = open.tick_after(LEAST_SEGMENT);
        self.lead_to(Some(least), out);
    }

    /// The leading track is complete up to this tick, where its next frame begins; segments
    /// that would be too long end before.
    fn lead_to(&mut self, to: Option<u64>, out: &mut Vec<Event>) {
        let part = self.part;
        let Some(open) = &self.tracks[0].open else {
            return;
        };
        if let Some(lasts) = open.lasts_until(to, part) {
            let elapsed = open.elapsed();
            let is_too_long = elapsed > Duration::ZERO && elapsed + lasts > self.longest();
            if is_too_long {
                self.cut(Cut::Anywhere, out);
                out.push(Event::LongGop { msn: self.msn });
            }
        }
        self.tracks[0].settle(to, None, part, out);
        let Some(to) = to else { return };
        while let Some(step) = self.tracks[0].gap_step(to, part) {
            self.tracks[0].close_part(out);
            let elapsed = self.tracks[0].open.as_ref().map(|open| open.elapsed());
            let is_full = |is: Duration| is > Duration::ZERO && is + step > self.longest();
            if elapsed.is_some_and(is_full) {
                self.cut(Cut::Anywhere, out);
            }
            self.tracks[0].gap(to, part, out);
        }
    }

    /// No segment is to be longer.
    fn longest(&self) -> Duration {
        const HALF: Duration = Duration::from_millis(500);
        let promised = |target: u32| Duration::from_secs(u64::from(target)) + HALF - OVERLAP;
        self.target.map_or(self.settings.longest_segment, promised)
    }

    /// Decides the target duration, if that is not done: the segment that is open ends here.
    fn freeze(&mut self, out: &mut Vec<Event>) {
        let Some(open) = self.tracks[0]
            .open
            .as_ref()
            .filter(|_| self.target.is_none())
        else {
            return;
        };
        // A segment has one part at least.
        let least = self.settings.segment.max(self.part);
        let segment = plan::target_duration(least, open.elapsed());
        self.target = Some(segment);
        out.push(Event::Targets(Targets {
            part: self.part,
            part_hold_back: plan::part_hold_back(self.settings.part_hold_back, self.part),
            segment,
        }));
    }

    /// A segment ends here, and the next begins: in the leading track, and in the others at
    /// their next frame.
    fn cut(&mut self, cut: Cut, out: &mut Vec<Event>) {
        self.freeze(out);
        let Some(open) = &self.tracks[0].open else {
            return;
        };
        let time = open.micros(open.end);
        self.msn += 1;
        let (wall, since) = self.anchor;
        let boundary = Boundary {
            time,
            wall: wall.saturating_add(time.saturating_sub(since) / 1000),
            msn: self.msn,
            is_discontinuity: matches!(cut, Cut::Discontinuity),
            is_key: matches!(cut, Cut::Key),
            discontinuities: self.discontinuities,
            offset: self.offset,
            is_deferred: false,
        };
        for (place, track) in self.tracks.iter_mut().enumerate() {
            if place > 0 && track.open.is_some() {
                track.boundaries.push_back(boundary);
            } else {
                track.begin(boundary, out);
                track.offset = self.offset;
            }
        }
    }
}
