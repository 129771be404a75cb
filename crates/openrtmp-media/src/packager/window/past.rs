//! What is older than the window of [`Settings::window`] and listed all the same, for who goes
//! back ([`Settings::dvr`]).
//!
//! Its bytes may be let go of by whoever has put them elsewhere ([`Window::release`]). What
//! cannot be had any longer leaves the lists of all tracks, with everything before it, as lists
//! have no holes ([`Window::forget`]).

use std::time::Duration;

use bytes::Bytes;

use super::{Part, Rendition, Segment, Settings, Window};
use crate::mp4::TrackName;

/// Memory for what is known of a segment, whoever has its bytes: its place in the lists, and
/// where its file is. Measured.
const KNOWN_BYTES: u64 = 1024;

impl Window {
    /// Memory for what is known of segments that are older than [`Settings::window`], wherever
    /// their bytes are.
    pub fn known_bytes(&self) -> u64 {
        let known: usize = self.renditions.iter().map(|is| is.past).sum();
        known as u64 * KNOWN_BYTES
    }

    /// Memory that what is older than [`Settings::window`] takes: that, and its bytes that are
    /// here.
    pub fn past_footprint(&self) -> u64 {
        self.past_bytes() + self.known_bytes()
    }

    /// The segment up to which all has to go ([`Window::forget`]) for the rest of what is older
    /// than [`Settings::window`] to take no more than so much memory.
    pub fn past_beyond(&self, most: u64) -> Option<u64> {
        let mut excess = self
            .past_footprint()
            .checked_sub(most)
            .filter(|&it| it > 0)?;
        let past = self.renditions.iter().flat_map(Rendition::past);
        let mut past: Vec<_> = past
            .map(|it| (it.msn(), it.bytes() + KNOWN_BYTES))
            .collect();
        past.sort_unstable();
        let last = past.iter().find(|(_, bytes)| {
            let is_enough = excess <= *bytes;
            excess = excess.saturating_sub(*bytes);
            is_enough
        });
        last.map(|(msn, _)| *msn)
    }

    /// Bytes that are here of what is older than [`Settings::window`].
    pub fn past_bytes(&self) -> u64 {
        let past = self.renditions.iter().flat_map(Rendition::past);
        past.map(Segment::bytes).sum()
    }

    /// The oldest segment that is listed and older than [`Settings::window`].
    pub fn oldest_past(&self) -> Option<u64> {
        let oldest = self.renditions.iter().filter_map(|is| is.past().next());
        oldest.map(Segment::msn).min()
    }

    /// The bytes of a segment that is older than [`Settings::window`] are elsewhere from now on.
    /// Lists stay as they are.
    pub fn release(&mut self, track: TrackName, msn: u64) {
        let rendition = self.rendition_mut(track);
        let mut past = rendition.segments.iter_mut().take(rendition.past);
        if let Some(segment) = past.find(|segment| segment.msn() == msn) {
            segment.release();
        }
    }

    /// What is older than [`Settings::window`] cannot be fetched any longer up to this segment,
    /// and leaves the lists of all tracks at once.
    pub fn forget(&mut self, msn: u64) {
        let newest = self
            .renditions
            .iter()
            .filter_map(|is| is.past().next_back());
        let Some(newest) = newest.map(Segment::msn).max() else {
            return;
        };
        let next = msn.min(newest) + 1;
        for rendition in &mut self.renditions {
            while rendition.is_longer_than_least() && rendition.begins_before(next) {
                rendition.forget_oldest();
            }
            rendition
                .retired
                .retain(|(segment, _)| segment.msn() >= next);
            rendition.forget_inits();
        }
        self.forget_periods();
    }
}

impl Rendition {
    /// The segments that are listed and older than [`Settings::window`], the oldest first.
    pub fn past(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.range(..self.past)
    }

    /// What is open now has no end and nothing in it.
    pub(super) fn end(&mut self) {
        let has_any = |segment: &Segment| !segment.parts.is_empty();
        self.past = self.past().filter(|segment| has_any(segment)).count();
        self.segments.retain(has_any);
    }

    /// A segment is complete: others become too old for what has to be in memory.
    pub(super) fn age(&mut self, settings: &Settings, target: Duration) {
        let window = settings.window_of(target);
        while settings.has_past(target) && self.is_long_without_oldest(settings, window) {
            self.past += 1;
        }
    }

    /// The window would be long enough without its oldest segment, or is too large with it.
    fn is_long_without_oldest(&self, settings: &Settings, window: Duration) -> bool {
        let inside = self.segments.range(self.past..);
        let rest: Duration = inside.clone().skip(1).map(Segment::duration).sum();
        let bytes: u64 = inside.clone().map(Segment::bytes).sum();
        inside.len() > Settings::LEAST_SEGMENTS && (rest >= window || bytes > settings.window_bytes)
    }
}

impl Segment {
    /// Keeps what lists tell of old segments, which is nothing of their parts but where there
    /// are gaps.
    fn release(&mut self) {
        let mut runs: Vec<Part> = Vec::new();
        for part in self.parts.drain(..) {
            match runs.last_mut() {
                Some(run) if run.is_gap == part.is_gap => {
                    run.ticks = part.start + part.ticks - run.start;
                    run.duration += part.duration;
                    run.frames += part.frames;
                }
                _ => runs.push(Part {
                    bytes: Bytes::new(),
                    ..part
                }),
            }
        }
        self.parts = runs;
        self.is_released = true;
    }
}

#[cfg(test)]
mod tests;
