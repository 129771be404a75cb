//! Stretches of a stream within which tracks and configurations are the same, and where wall
//! time has them: what DASH calls periods.

use std::time::Duration;

use super::{Beginning, Segment, Settings};

/// As many segments have to be equally long before they are counted on to be.
pub(super) const AGREEING: usize = 3;
/// And so many before they are again: a stream whose segments are so now and then is not to
/// have many periods.
pub(super) const STEADY: usize = Settings::LEAST_SEGMENTS;
/// Their mean length is that of so many at most.
const MEASURED: usize = 16;

/// How a manifest tells of a period's segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// Not known yet: nothing is to be said before.
    Undecided,
    /// Each is listed once it is complete.
    Timeline,
    /// By their numbers and this length of them all, whole microseconds: also those that are
    /// not complete. None differs by more than a frame from where that has it.
    Numbers(Duration),
}

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
    /// How its segments are told of. It does not change once it is decided.
    pub addressing: Addressing,
}

impl Period {
    /// Where a segment begins, by its number and how long all are, in microseconds on the
    /// timeline.
    pub(crate) fn nominal(&self, msn: u64, length: Duration) -> i64 {
        let before = i128::from(msn.saturating_sub(self.msn));
        let since = before.saturating_mul(length.as_micros().try_into().unwrap_or(i128::MAX));
        let at = since.saturating_add(i128::from(self.time));
        i64::try_from(at).unwrap_or(i64::MAX)
    }
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

    /// A segment begins; what came is another stretch than before, or goes on.
    pub(super) fn opened(&mut self, at: Beginning, is_other: bool, addressing: Addressing) {
        let Some(last) = self.list.last() else {
            self.list.push(Period {
                number: 0,
                msn: at.msn,
                time: at.time,
                start: 0,
                origin: at.wall,
                is_discontinuity: at.is_discontinuity,
                addressing,
            });
            return;
        };
        // The leading track is the first to begin a segment; others begin those that are known.
        if at.msn <= last.msn || !(at.is_discontinuity || is_other) {
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
            addressing,
        };
        self.list.push(next);
    }

    /// It is known now how segments are told of: those of the newest period, which goes on.
    pub(super) fn decide(&mut self, addressing: Addressing) {
        let is_open = |period: &&mut Period| period.addressing == Addressing::Undecided;
        let mut open = self.list.iter_mut().rev().filter(is_open);
        if let Some(newest) = open.next() {
            newest.addressing = addressing;
        }
        for older in open {
            older.addressing = Addressing::Timeline;
        }
    }

    /// Nothing is left of what is before this segment.
    pub(super) fn forget_before(&mut self, msn: u64) {
        let gone = self.list.iter().skip(1).take_while(|next| next.msn <= msn);
        let gone = gone.count();
        self.list.drain(..gone);
    }
}

/// Those of the leading track within a period that has a timeline, the newest last, are as long
/// as each other for so long that others like them could be told of by numbers.
pub(super) fn is_steady<'a>(complete: impl DoubleEndedIterator<Item = &'a Segment>) -> bool {
    let newest: Vec<&Segment> = complete.rev().take(STEADY).collect();
    let is_alike = |segment: &&Segment| {
        let apart = segment.duration().abs_diff(newest[0].duration());
        !segment.has_gaps() && apart <= segment.frame()
    };
    newest.len() == STEADY && newest.iter().all(is_alike)
}

/// How segments are told of that follow these of the leading track, the newest of which is
/// last: if as many are equally long, to a frame, by numbers.
pub(super) fn addressing<'a>(complete: impl DoubleEndedIterator<Item = &'a Segment>) -> Addressing {
    let mut lengths: Vec<Duration> = Vec::new();
    let mut seen = 0;
    for segment in complete.rev().take(MEASURED) {
        seen += 1;
        let length = segment.duration();
        let newest = *lengths.first().unwrap_or(&length);
        let is_alike = !segment.has_gaps() && length.abs_diff(newest) <= segment.frame();
        if !is_alike {
            break;
        }
        lengths.push(length);
    }
    let sum: Duration = lengths.iter().sum();
    match lengths.len() {
        _ if seen < AGREEING && seen == lengths.len() => Addressing::Undecided,
        count if count < AGREEING => Addressing::Timeline,
        count => {
            let micros = (sum.as_micros() + count as u128 / 2) / count as u128;
            Addressing::Numbers(Duration::from_micros(micros as u64))
        }
    }
}
