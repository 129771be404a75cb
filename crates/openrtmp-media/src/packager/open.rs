//! A segment that is open: where its frames lie, and how long each lasts.

use std::time::Duration;

use super::plan::LEAST_FILL;
use super::track::Held;
use crate::mp4::{Access, Description, Sample};
use crate::placement::Placement;

/// A frame of audio is stretched by so much at most to reach the next: by what a clock that
/// drifts is put right at a time, and a little more as no encoder's times are even.
pub(super) const STRETCH: Duration = Duration::from_millis(80);

/// A segment that is open.
#[derive(Debug)]
pub(super) struct Open<D> {
    pub(super) description: Description,
    pub(super) placement: Placement,
    /// From decoding times to those that the first key frame is shown at, in microseconds.
    pub(super) reorder: i64,
    /// It is that of a key frame.
    pub(super) is_reorder_known: bool,
    /// Ticks.
    pub(super) start: u64,
    /// As long as the one before, in ticks.
    pub(super) expected: u64,
    /// Where what is in samples and gaps ends, in ticks.
    pub(super) end: u64,
    /// The part's first sample is at this tick.
    pub(super) part_start: u64,
    pub(super) samples: Vec<Sample>,
    pub(super) data: Vec<Held<D>>,
    /// The last frame, whose end is not known.
    pub(super) pending: Option<Pending<D>>,
    pub(super) has_parts: bool,
    /// It is the track's first, or begins with a discontinuity.
    pub(super) is_new: bool,
}

/// A frame whose end is not known.
#[derive(Debug)]
pub(super) struct Pending<D> {
    pub(super) held: Held<D>,
    /// Ticks.
    pub(super) place: u64,
    pub(super) shown: i64,
    pub(super) samples: Option<u32>,
}

/// Ticks of a duration, rounded down.
pub(super) fn ticks(duration: Duration, timescale: u32) -> u64 {
    (duration.as_micros() * u128::from(timescale) / 1_000_000) as u64
}

pub(super) fn duration(ticks: u64, timescale: u32) -> Duration {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(timescale.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A part so long may end, wherever it is.
pub(super) fn is_full(filled: u64, target: u64) -> bool {
    u128::from(filled) * 100 >= u128::from(target) * u128::from(LEAST_FILL)
}

impl<D: AsRef<[u8]>> Open<D> {
    pub(super) fn timescale(&self) -> u32 {
        self.description.timescale()
    }

    /// The first tick at or behind this time.
    pub(super) fn tick_from(&self, micros: i64) -> u64 {
        let ticks = i128::from(micros) * i128::from(self.timescale());
        u64::try_from((ticks + 999_999).div_euclid(1_000_000)).unwrap_or(0)
    }

    pub(super) fn micros(&self, ticks: u64) -> i64 {
        let micros = u128::from(ticks) * 1_000_000 / u128::from(self.timescale().max(1));
        i64::try_from(micros).unwrap_or(i64::MAX)
    }

    /// Where the last frame begins, or what is in parts ends: microseconds.
    pub(super) fn reached(&self) -> i64 {
        let pending = self.pending.as_ref().map(|pending| pending.place);
        self.micros(pending.unwrap_or(self.end))
    }

    /// Where everything ends, in ticks, the last frame being as long as usual.
    pub(super) fn whole_end(&self) -> u64 {
        let usual =
            |pending: &Pending<D>| pending.place + u64::from(self.placement.usual(pending.samples));
        self.pending.as_ref().map_or(self.end, usual)
    }

    /// From the segment's start to the last frame, or to the end of what is in parts.
    pub(super) fn elapsed(&self) -> Duration {
        let pending = self.pending.as_ref().map(|pending| pending.place);
        duration(
            pending.unwrap_or(self.end).saturating_sub(self.start),
            self.timescale(),
        )
    }

    /// The tick so far behind the segment's start.
    pub(super) fn tick_after(&self, length: Duration) -> u64 {
        self.start + ticks(length, self.timescale())
    }

    /// Nothing is in the segment and nothing waits for it.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_parts && self.samples.is_empty() && self.pending.is_none()
    }

    /// Bytes and frames of the part that is open, the last frame included.
    pub(super) fn in_part(&self) -> (usize, usize) {
        let pending = self.pending.as_ref().map(|pending| &pending.held);
        let held = self.data.iter().chain(pending);
        held.fold((0, 0), |(bytes, frames), held| {
            (bytes + held.bytes(), frames + 1)
        })
    }

    pub(super) fn has_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// How long the last frame lasts if the next is at this tick.
    pub(super) fn lasts_until(&self, next: Option<u64>, part: Duration) -> Option<Duration> {
        let pending = self.pending.as_ref()?;
        Some(duration(self.lasts(pending, next, part), self.timescale()))
    }

    /// Until the next frame; or less, if that is so far that a hole is to be told of.
    pub(super) fn lasts(&self, pending: &Pending<D>, next: Option<u64>, part: Duration) -> u64 {
        let part = ticks(part, self.timescale());
        let usual = u64::from(self.placement.usual(pending.samples));
        let most = match self.placement.is_video() {
            true => part,
            false => (usual + ticks(STRETCH, self.timescale())).min(part),
        };
        let span = next.map(|next| next.saturating_sub(pending.place));
        let span = span.filter(|span| *span <= most).unwrap_or(usual.min(part));
        // A part that others depend on is too short to end here, and the frame too long for
        // it: what is missing makes a part of its own.
        let filled = self.end - self.part_start;
        let is_short = filled > 0 && !is_full(filled, part) && !self.is_independent();
        let lasts = if is_short {
            span.min(part - filled)
        } else {
            span
        };
        lasts.max(1)
    }

    /// Decoding can start at the part.
    pub(super) fn is_independent(&self) -> bool {
        self.samples
            .first()
            .is_some_and(|sample| sample.access == Access::Sync)
    }

    pub(super) fn place(&mut self, held: Held<D>, offset: i64) -> Pending<D> {
        let samples = self.description.samples_of_frame(held.frame.data.as_ref());
        let time = held
            .frame
            .dts
            .saturating_add(offset)
            .saturating_add(self.reorder);
        let least = self.pending.as_ref().map_or(0, |pending| pending.place + 1);
        let place = self.placement.place(time, samples).max(self.end).max(least);
        let shown = match self.placement.is_video() {
            true => self.placement.ticks(held.frame.pts.saturating_add(offset)),
            false => i64::try_from(place).unwrap_or(i64::MAX),
        };
        Pending {
            held,
            place,
            shown,
            samples,
        }
    }
}
