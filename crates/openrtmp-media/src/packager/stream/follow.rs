//! The tracks that follow the leading one: never ahead of it, and never far behind.

use super::{BASE, JUMP, LAG, OVERLAP, Packager};
use crate::packager::Event;
use crate::packager::track::STRETCH;

impl<D: AsRef<[u8]>> Packager<D> {
    /// Packages what the leading track came as far as.
    pub(super) fn follow(&mut self, place: usize, out: &mut Vec<Event>) {
        while !self.is_stalled && !self.tracks[place].is_held {
            let reached = self.tracks[0]
                .open
                .as_ref()
                .map_or(BASE, |open| open.reached());
            let Some((time, _)) = self.next_time(place) else {
                return;
            };
            if time > reached {
                return;
            }
            self.follow_next(place, out);
        }
    }

    /// The time on the timeline of the first frame that waits, and whether its clock has
    /// jumped: then it goes by the leading track's present offset.
    fn next_time(&mut self, place: usize) -> Option<(i64, bool)> {
        let track = &mut self.tracks[place];
        let next = track.queue.front()?;
        let moved = track
            .last
            .map_or(0, |last| next.frame.dts.saturating_sub(last));
        let has_jumped = moved.saturating_abs() > JUMP;
        if has_jumped {
            track.offset = self.offset;
        }
        Some((track.frame_time(track.queue.front()?), has_jumped))
    }

    /// Packages what the leading track came as far as; what is further is not to come.
    pub(super) fn follow_and_forget(&mut self, place: usize, out: &mut Vec<Event>) {
        self.follow(place, out);
        self.tracks[place].queue.clear();
    }

    /// Packages what waits, though the leading track does not come so far, as long as it
    /// fits into the segment.
    pub(super) fn follow_to_the_last(&mut self, place: usize, out: &mut Vec<Event>) {
        let Some(open) = &self.tracks[0].open else {
            return;
        };
        let most = open.tick_after(self.longest().saturating_sub(OVERLAP));
        let most = open.micros(most.max(open.end));
        self.tracks[place].is_held = false;
        // What jumped has nothing to go by.
        while let Some((time, false)) = self.next_time(place)
            && time < most
        {
            self.follow_next(place, out);
        }
        self.tracks[place].queue.clear();
    }

    fn follow_next(&mut self, place: usize, out: &mut Vec<Event>) {
        let Some((time, _)) = self.next_time(place) else {
            return;
        };
        let next = self.tracks[place].queue.front();
        let has_room = next.is_some_and(|next| self.has_room(place, next));
        let track = &mut self.tracks[place];
        let Some(held) = track.queue.pop_front() else {
            return;
        };
        let Some(open) = &track.open else { return };
        let is_late = match open.has_pending() {
            true => time.saturating_add(STRETCH.as_micros() as i64) < open.reached(),
            false => open.tick_from(time) < open.end,
        };
        let due = track
            .boundaries
            .iter()
            .rev()
            .find(|boundary| boundary.is_discontinuity && boundary.time <= time);
        // The end of what the leading track left behind it already.
        let is_of_old = due.is_some_and(|boundary| boundary.offset != track.offset);
        if is_late || is_of_old || !has_room {
            track.last = Some(held.frame.dts);
            return;
        }
        if let Some(boundary) = due.filter(|_| track.next.is_some()) {
            // Its ticks are others from there on.
            let to = open.tick_from(boundary.time).max(open.whole_end());
            self.follow_to(place, to, out);
        }
        let track = &mut self.tracks[place];
        if let Some(pending) = track.place(held) {
            self.follow_to(place, pending.place, out);
            self.tracks[place].await_end(pending);
        }
    }

    /// The track is complete up to this tick, where its next frame begins.
    fn follow_to(&mut self, place: usize, to: u64, out: &mut Vec<Event>) {
        let part = self.part;
        let track = &mut self.tracks[place];
        track.settle(Some(to), part, out);
        track.begin_at(to);
        while let Some(open) = &track.open {
            let boundary = track.boundaries.front();
            let boundary = boundary.map(|boundary| open.tick_from(boundary.time));
            if boundary.is_some_and(|boundary| boundary <= open.end) {
                let is_of_others = track.next.is_some();
                if let Some(boundary) = track.boundaries.pop_front() {
                    track.begin(boundary, out);
                }
                if is_of_others && track.next.is_none() {
                    return;
                }
            } else if open.end < to {
                track.gap(boundary.map_or(to, |boundary| boundary.min(to)), part, out);
            } else {
                return;
            }
        }
    }

    /// The track is complete as far as the leading one is.
    pub(super) fn follow_all(&mut self, place: usize, out: &mut Vec<Event>) {
        self.tracks[place].settle(None, self.part, out);
        let Some(end) = self.tracks[0]
            .open
            .as_ref()
            .map(|open| open.micros(open.end))
        else {
            return;
        };
        self.follow_until(place, end, out);
    }

    /// The track is complete up to this time, in microseconds, nothing being there.
    fn follow_until(&mut self, place: usize, time: i64, out: &mut Vec<Event>) {
        // Once more if its ticks became others on the way.
        for _ in 0..=self.tracks[place].boundaries.len() {
            let Some(open) = &self.tracks[place].open else {
                return;
            };
            let to = open.tick_from(time).max(open.whole_end());
            self.follow_to(place, to, out);
        }
    }

    /// How far a track is behind the leading one, in microseconds.
    pub(super) fn missing(&self, place: usize) -> i64 {
        let reached = self.tracks[0]
            .open
            .as_ref()
            .map_or(BASE, |open| open.reached());
        let end = self.tracks[place]
            .open
            .as_ref()
            .map(|open| open.micros(open.whole_end()));
        end.map_or(0, |end| reached.saturating_sub(end))
    }

    /// A track that is too far behind the leading one has a gap.
    pub(super) fn catch_up(&mut self, place: usize, out: &mut Vec<Event>) {
        let missing = self.missing(place).saturating_sub(LAG);
        if missing >= self.part.as_micros() as i64 {
            let reached = self.tracks[0]
                .open
                .as_ref()
                .map_or(BASE, |open| open.reached());
            self.follow_until(place, reached - LAG, out);
        }
    }

    /// A leading track that is too far behind another has a gap.
    pub(super) fn wait_no_longer(&mut self, place: usize, out: &mut Vec<Event>) {
        if self.tracks[place].is_held {
            return;
        }
        let Some((_, has_jumped)) = self.next_time(place) else {
            return;
        };
        let track = &self.tracks[place];
        // Nothing comes of the leading track: its clock is not to jump before.
        let is_alone = track.waited > LAG;
        if has_jumped && !is_alone {
            return;
        }
        let newest = track.queue.back().map(|newest| (newest.frame.dts, true));
        let newest = if is_alone { track.newest(JUMP) } else { newest };
        let (Some((newest, is_last)), Some(open)) = (newest, &self.tracks[0].open) else {
            return;
        };
        let time = newest.saturating_add(track.offset);
        // No more comes of a clock that jumped.
        let lag = if is_last { LAG } else { 0 };
        let end = open.micros(open.whole_end());
        let ahead = time.saturating_sub(end).saturating_sub(lag);
        let most = if is_alone { 3 * LAG } else { LAG };
        let least = if is_last {
            self.part.as_micros() as i64
        } else {
            1
        };
        if (least..=most).contains(&ahead) {
            let to = open.tick_from(time - lag);
            self.lead_to(Some(to), out);
            self.is_stalled = false;
        }
    }

    /// Frames of this track came for as long as any is to wait, and nothing came of them: the
    /// leading track says nothing, or nothing to begin with. What was to begin with its next
    /// key frame begins here, at a discontinuity of all tracks. The leading one has a gap
    /// until that key frame, which is a discontinuity again.
    pub(super) fn go_on_without(&mut self, place: usize, wall: i64, out: &mut Vec<Event>) {
        self.lead_to(None, out);
        self.fill_segment(out);
        let track = &self.tracks[place];
        let (Some(first), Some(open)) = (track.queue.front(), &self.tracks[0].open) else {
            return;
        };
        let first = first.frame.dts;
        let (newest, is_last) = track.newest(JUMP).unwrap_or((first, true));
        let end = open.micros(open.end);
        let time = |dts: i64| dts.saturating_add(self.offset);
        let goes_on = time(newest) >= end - JUMP && time(first) <= end + JUMP;
        if std::mem::take(&mut self.has_jumped) || !goes_on {
            let ago = newest.saturating_sub(first).max(0) / 1000;
            self.offset = end.saturating_sub(first);
            self.anchor = (wall.saturating_sub(ago), end);
        }
        let (first, newest) = (
            first.saturating_add(self.offset),
            newest.saturating_add(self.offset),
        );
        let to = self.tracks[0]
            .open
            .as_ref()
            .map(|open| open.tick_from(first));
        self.lead_to(to, out);
        self.discontinuities += 1;
        (self.tracks[place].is_held, self.tracks[place].waited) = (true, 0);
        self.cut(Some(self.offset), out);
        self.tracks[0].last = None;
        self.last_key = None;
        self.has_changed = true;
        self.is_stalled = false;
        for track in 1..self.tracks.len() {
            if self.tracks[track].is_held {
                self.follow_all(track, out);
            }
        }
        // The others of them follow as if the leading track had stopped now.
        let to = self.tracks[0]
            .open
            .as_ref()
            .map(|open| open.tick_from(if is_last { newest - LAG } else { newest }));
        self.lead_to(to, out);
    }
}
