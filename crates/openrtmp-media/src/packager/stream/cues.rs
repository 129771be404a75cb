//! What is said at a time, on its way into parts.

use std::sync::Arc;

use super::{BASE, FARTHEST, JUMP, Packager};
use crate::cues::Cue;
use crate::packager::TimedCue;

/// So much is said in a segment, at most.
const MOST: usize = 16;

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Cues {
    /// Before the first part, with the publisher's time.
    early: Vec<(Cue, i64)>,
    number: u32,
    /// In which segment, and how much.
    segment: (u64, usize),
}

impl Cues {
    /// What was said so far was said by somebody else.
    pub(super) fn forget_early(&mut self) {
        self.early.clear();
    }
}

impl<D: AsRef<[u8]>> Packager<D> {
    /// The publisher says something at this time, in microseconds. It goes with the next part of
    /// each track that there is; of a segment no more than 16 are taken, and the rest is left
    /// out. A time that is far from that of the frames that came last is not believed.
    pub fn tell(&mut self, cue: Cue, dts: i64) {
        let dts = dts.clamp(-FARTHEST, FARTHEST);
        if !self.is_running && self.cues.early.len() < MOST {
            self.cues.early.push((cue, dts));
        } else if self.is_running && !self.has_ended {
            self.spread(cue, dts);
        }
    }

    /// Tells what was said before the first part.
    pub(super) fn tell_early(&mut self) {
        for (cue, dts) in std::mem::take(&mut self.cues.early) {
            self.spread(cue, dts);
        }
    }

    fn spread(&mut self, cue: Cue, dts: i64) {
        let (msn, count) = &mut self.cues.segment;
        if *msn != self.msn {
            (*msn, *count) = (self.msn, 0);
        }
        if *count >= MOST {
            return;
        }
        *count += 1;
        self.cues.number = self.cues.number.wrapping_add(1);
        let reached = self.reached();
        let told = dts.saturating_add(self.tracks[0].offset);
        let is_near = !self.has_jumped && told.abs_diff(reached) <= JUMP.unsigned_abs();
        let time = if is_near { told.max(BASE) } else { reached };
        let (wall, since) = self.anchor;
        let said = TimedCue {
            number: self.cues.number,
            time,
            wall: wall.saturating_add(time.saturating_sub(since) / 1000),
            cue: Arc::new(cue),
        };
        let has_begun = self.tracks.iter_mut().filter(|track| track.open.is_some());
        let (video, audio): (Vec<_>, Vec<_>) = has_begun.partition(|track| track.is_video());
        let has_video = !video.is_empty();
        for track in video.into_iter().chain(audio) {
            let is_inband = track.is_video() || !has_video;
            track.hear(said.clone(), is_inband, MOST);
        }
    }
}
