//! Stretches of a stream within which tracks and configurations are the same, and where wall
//! time has them: what DASH calls periods.

use super::Beginning;

/// A stretch of a stream. It begins at a discontinuity, or where a track joins, and ends where
/// the next one begins.
///
/// Media time goes on from one to the next without a hole. Wall time does not: between two
/// may be what a publisher was away for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Counted from 0.
    pub number: u64,
    /// The media sequence number of its first segment, in all tracks.
    pub msn: u64,
    /// Where it begins on the timeline of the tracks, in microseconds.
    pub time: i64,
    /// Since [`Period::origin`], in microseconds; never before the end of the one before.
    pub start: i64,
    /// When the stream began: wall time of its first frame, in milliseconds since 1970.
    pub origin: i64,
    /// Time does not go on from the one before, or the coding changed.
    pub is_discontinuity: bool,
}

/// Those of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Periods {
    list: Vec<Period>,
}

impl Periods {
    pub(super) fn list(&self) -> &[Period] {
        &self.list
    }

    /// A segment begins; a track joins there, or none.
    pub(super) fn opened(&mut self, at: Beginning, joins: bool) {
        let Some(last) = self.list.last() else {
            self.list.push(Period {
                number: 0,
                msn: at.msn,
                time: at.time,
                start: 0,
                origin: at.wall,
                is_discontinuity: at.is_discontinuity,
            });
            return;
        };
        // The leading track is the first to begin a segment; others begin those that are known.
        if at.msn <= last.msn || !(at.is_discontinuity || joins) {
            return;
        }
        let told = at.wall.saturating_sub(last.origin).saturating_mul(1000);
        let lasted = at.time.saturating_sub(last.time);
        let next = Period {
            number: last.number + 1,
            msn: at.msn,
            time: at.time,
            start: told.max(last.start.saturating_add(lasted)),
            origin: last.origin,
            is_discontinuity: at.is_discontinuity,
        };
        self.list.push(next);
    }

    /// Nothing is left of what is before this segment.
    pub(super) fn forget_before(&mut self, msn: u64) {
        let gone = self.list.iter().skip(1).take_while(|next| next.msn <= msn);
        let gone = gone.count();
        self.list.drain(..gone);
    }
}
