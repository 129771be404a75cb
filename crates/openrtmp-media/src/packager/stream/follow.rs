//! The tracks that follow the leading one: never ahead of it, and never far behind.

use std::time::Duration;

use super::{Cut, JUMP, LAG, LEAST_SEGMENT, NEAR, OVERLAP, Packager, REACH, ROUNDING, reorder};
use crate::packager::Event;
use crate::packager::boundary::Limit;
use crate::packager::open::STRETCH;
use crate::packager::track::Track;

impl<D: AsRef<[u8]>> Packager<D> {
    /// Packages what the leading track came as far as.
    pub(super) fn follow(&mut self, place: usize, out: &mut Vec<Event>) {
        while !self.is_stalled && !self.tracks[place].is_held {
            let reached = self.reached();
            let is_due = |(time, _)| time <= reached;
            if !self.next_time(place).is_some_and(is_due) {
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
        let (is_key, reorder) = (next.is_key(), reorder(next));
        if has_jumped {
            track.offset = self.offset;
            track.awaits_key = track.is_video();
        }
        track.learn_reorder(is_key, reorder);
        let next = track.queue.front()?;
        // Where time begins anew, key frames are when they are shown.
        let shown = next.frame.pts.saturating_add(track.offset);
        let mut boundaries = track.boundaries.iter().filter(|is| is.is_discontinuity);
        let begins =
            boundaries.any(|boundary| boundary.time.abs_diff(shown) <= NEAR.unsigned_abs());
        let time = match is_key && track.is_video() && begins {
            true => shown,
            false => track.frame_time(next),
        };
        Some((time, has_jumped))
    }

    /// Packages what the leading track came as far as; what is further is not to come.
    pub(super) fn follow_and_forget(&mut self, place: usize, out: &mut Vec<Event>) {
        self.follow(place, out);
        self.tracks[place].queue.clear();
    }

    /// Packages what waits, though the leading track does not come so far, as long as it
    /// fits into the segment. What waits for a discontinuity that did not come is of another
    /// clock, or of another coding.
    pub(super) fn follow_to_the_last(&mut self, place: usize, out: &mut Vec<Event>) {
        if self.tracks[place].is_held {
            return self.tracks[place].queue.clear();
        }
        let Some(open) = &self.tracks[0].open else {
            return;
        };
        let most = open.tick_after(self.longest().saturating_sub(OVERLAP));
        let most = open.micros(most.max(open.end));
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
        let (is_video, is_key) = (track.is_video(), held.is_key());
        let near = if is_video && is_key { NEAR } else { 0 };
        let is_late = match open.has_pending() {
            // Pictures are put behind those before, as the leading track's are.
            true if is_video => false,
            true => time.saturating_add(STRETCH.as_micros() as i64) < open.reached(),
            false => open.tick_from(time.saturating_add(near)) < open.end,
        };
        let due = track.boundaries.iter().rev().find(|boundary| {
            boundary.is_discontinuity && boundary.time <= time.saturating_add(near)
        });
        // The end of what the leading track left behind it already.
        let is_of_old = due.is_some_and(|boundary| boundary.offset != track.offset);
        let is_useless = is_video && !is_key && (track.awaits_key || due.is_some());
        if is_late || is_of_old || !has_room || is_useless {
            track.last = Some(held.frame.dts);
            // What comes behind it cannot be decoded.
            track.awaits_key |= is_video;
            if is_useless {
                track.waited = 0;
            }
            return;
        }
        if let Some(boundary) = due.filter(|_| track.next.is_some()) {
            // Its ticks are others from there on.
            let to = open.tick_from(boundary.time).max(open.whole_end());
            self.follow_to(place, to, Some(0), out);
        }
        let early = self.may_end_early_by(place, time, is_key);
        let track = &mut self.tracks[place];
        if let Some(boundary) = track.boundaries.front_mut() {
            boundary.is_deferred |= early.is_none();
        }
        let mut begins = None;
        if is_video && is_key {
            track.count_key(time);
            track.note_key(time);
            begins = track.begins_near(time, NEAR);
        }
        if let Some(mut pending) = track.place(held) {
            // Segments of all begin at the same tick. When it is shown is not touched.
            pending.place = begins.unwrap_or(pending.place);
            self.follow_to(place, pending.place, early, out);
            let track = &mut self.tracks[place];
            track.awaits_key &= !is_key;
            let end = track.open.as_ref().map_or(0, |open| open.end);
            pending.place = pending.place.max(end);
            track.await_end(pending);
        }
    }

    /// How much earlier than where the leading track's segment ended one may end where the
    /// next frame of the track begins, in microseconds; `None` if it does not end there.
    /// Pictures are cut at key frames, as far as any is to be expected soon enough: they need
    /// not be where those of the leading track are.
    fn may_end_early_by(&self, place: usize, time: i64, is_key: bool) -> Option<i64> {
        let track = &self.tracks[place];
        let (Some(boundary), Some(open)) = (track.boundaries.front(), &track.open) else {
            return Some(0);
        };
        let waits = boundary.is_key && boundary.time <= time && track.boundaries.len() == 1;
        if !track.is_video() || !waits {
            return Some(if track.is_video() && is_key { NEAR } else { 0 });
        }
        if is_key {
            return Some(NEAR);
        }
        // Whose key frames are not elsewhere has lost the one that was to be here.
        let is_elsewhere = |(last, _)| self.tracks[0].has_no_key_near(last, NEAR);
        if !track.last_key.is_some_and(is_elsewhere) {
            return Some(0);
        }
        // So that the segment is not too long, and the next not too short.
        let longest = open.micros(open.tick_after(self.longest() + OVERLAP));
        // Where the key frame does not come, it ends with the next frame.
        let frame = open.micros(open.whole_end()).saturating_sub(open.reached());
        let longest = longest.saturating_sub(frame).saturating_sub(2 * NEAR);
        let half = self.settings.segment.as_micros() as i64 / 2;
        let most = longest.min(boundary.time.saturating_add(half));
        let is_expected = track.last_key.is_some_and(|(last, apart)| {
            let of_leader = self.tracks[0].last_key.map_or(Duration::ZERO, |(_, is)| is);
            let apart = if apart.is_zero() { of_leader } else { apart };
            let next = last.saturating_add(apart.as_micros() as i64);
            !apart.is_zero() && (time.saturating_sub(NEAR)..most).contains(&next)
        });
        (!is_expected).then_some(0)
    }

    /// The last frame ends where the next begins, if that is known. One that would reach far
    /// over the end of the leading track's segment, for what is missing behind it or as
    /// pictures are few, ends there too, and what is behind it is listed as missing: segments
    /// of all are the same stretches of time.
    pub(super) fn settle_follower(
        &mut self,
        place: usize,
        next: Option<u64>,
        out: &mut Vec<Event>,
    ) {
        let longest = self.longest() + OVERLAP;
        let track = &mut self.tracks[place];
        let Some(open) = &track.open else {
            return;
        };
        // No segment is too long in any case.
        let longest = open.tick_after(longest).saturating_sub(1);
        let boundary = track.boundaries.front().filter(|is| !is.is_deferred);
        let limit = boundary.map_or((longest, longest), |boundary| {
            let most = boundary.time.saturating_add(REACH.as_micros() as i64);
            (open.tick_from(boundary.time), open.tick_from(most))
        });
        let limit = Limit {
            end: limit.0.min(longest),
            most: limit.1.min(longest),
        };
        let limit = track.is_video().then_some(limit);
        track.settle(next, limit, self.part, out);
    }

    /// The track is complete up to this tick, where its next frame begins. A segment may end
    /// there so many microseconds too early, or may not.
    fn follow_to(&mut self, place: usize, to: u64, early: Option<i64>, out: &mut Vec<Event>) {
        let part = self.part;
        let track = &mut self.tracks[place];
        track.begin_at_pending(ROUNDING, out);
        self.settle_follower(place, Some(to), out);
        let track = &mut self.tracks[place];
        track.begin_at(to);
        while let Some(open) = &track.open {
            let boundary = track.boundaries.front().zip(early);
            let boundary = boundary.map(|(boundary, early)| {
                let exact = open.tick_from(boundary.time);
                let is_near = open.tick_from(boundary.time.saturating_sub(early)) <= to;
                if is_near { exact.min(to) } else { exact }
            });
            if boundary.is_some_and(|boundary| boundary <= open.end) {
                let is_of_others = track.next.is_some();
                if let Some(boundary) = track.boundaries.pop_front() {
                    track.begin(boundary, out);
                    track.leave_no_segment_empty(NEAR, part, out);
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
        self.tracks[place].begin_at_pending(ROUNDING, out);
        self.settle_follower(place, None, out);
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
            self.follow_to(place, to, Some(0), out);
        }
    }

    /// How far a track is behind the leading one, in microseconds.
    pub(super) fn missing(&self, place: usize) -> i64 {
        let end = self.tracks[place]
            .open
            .as_ref()
            .map(|open| open.micros(open.whole_end()));
        end.map_or(0, |end| self.reached().saturating_sub(end))
    }

    /// A track that is too far behind the leading one has a gap.
    pub(super) fn catch_up(&mut self, place: usize, out: &mut Vec<Event>) {
        let missing = self.missing(place).saturating_sub(LAG);
        if missing >= self.part.as_micros() as i64 {
            self.follow_until(place, self.reached() - LAG, out);
        }
    }

    /// A leading track that is too far behind another has a gap, or leads no longer.
    pub(super) fn wait_no_longer(&mut self, place: usize, wall: i64, out: &mut Vec<Event>) {
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
            if !self.hand_over(time - lag, wall, out) {
                self.lead_to(Some(to), out);
            }
            self.is_stalled = false;
        }
    }

    /// Pictures of which nothing comes lead no longer than up to a key frame of others, which
    /// do from there on. It is the first of those that wait, up to this time.
    fn hand_over(&mut self, until: i64, wall: i64, out: &mut Vec<Event>) -> bool {
        let leader = &self.tracks[0];
        let Some(open) = leader.open.as_ref().filter(|_| leader.is_video()) else {
            return false;
        };
        let end = open.micros(open.whole_end());
        let key_of = |track: &Track<D>| {
            let keys = track.queue.iter().filter(|held| held.is_key());
            let mut keys = keys.map(|held| track.frame_time(held));
            keys.find(|time| (end..=until).contains(time))
        };
        let others = self.tracks.iter().enumerate().skip(1);
        let others = others.filter(|(_, is)| is.is_video() && is.open.is_some() && !is.is_held);
        let keys = others.filter_map(|(place, track)| Some((key_of(track)?, place)));
        let Some((key, place)) = keys.min().filter(|_| !self.has_jumped) else {
            return false;
        };
        let to = open.tick_from(key);
        self.lead_to(Some(to), out);
        let elapsed = self.tracks[0].open.as_ref().map(|open| open.elapsed());
        if elapsed.is_none_or(|elapsed| elapsed < LEAST_SEGMENT) {
            return false;
        }
        self.is_stalled = false;
        self.cut(Cut::Key, out);
        self.follow(place, out);
        let track = &self.tracks[place];
        let has_begun = track.open.as_ref().is_some_and(|open| open.has_pending());
        if has_begun && track.boundaries.is_empty() {
            self.tracks[0].awaits_key = true;
            self.tracks.swap(0, place);
            // A jump of the other clock has nothing to do with this one: what is behind it
            // waits until time begins anew.
            let (before, now) = (self.tracks[place].offset, self.tracks[0].offset);
            (self.tracks[place].is_held, self.offset) = (before != now, now);
            self.has_changed = false;
            // What was to begin with a key frame of those before begins with one of these.
            self.is_change_due |= self.tracks.iter().any(|is| is.is_held);
            for held in std::mem::take(&mut self.tracks[0].queue) {
                self.lead(held, wall, out);
            }
        }
        true
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
        self.cut(Cut::Discontinuity, out);
        self.tracks[0].last = None;
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
