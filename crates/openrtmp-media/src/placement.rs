//! Where a track's frames are and how long they last, in its ticks.

use crate::clock::SampleClock;
use crate::mp4::{Description, Media};

/// A picture's length where nothing tells: 30 a second.
const PICTURES_PER_SECOND: u32 = 30;
/// An audio frame's, in samples.
const SAMPLES_PER_FRAME: u32 = 1024;

/// Puts the frames of one track behind each other.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    is_video: bool,
    timescale: u32,
    clock: SampleClock,
    /// Where the last frame that was placed is.
    last: Option<u64>,
    /// How long the last one lasted whose end is known.
    duration: Option<u32>,
}

impl Placement {
    pub(crate) fn new(description: &Description) -> Placement {
        let timescale = description.timescale();
        Placement {
            is_video: matches!(description.media, Media::Video { .. }),
            timescale,
            clock: SampleClock::new(timescale),
            last: None,
            duration: None,
        }
    }

    pub(crate) fn is_video(&self) -> bool {
        self.is_video
    }

    /// Microseconds in ticks, to the nearest.
    pub(crate) fn ticks(&self, micros: i64) -> i64 {
        let ticks = i128::from(micros) * i128::from(self.timescale) + 500_000;
        i64::try_from(ticks.div_euclid(1_000_000)).unwrap_or(0)
    }

    /// Where a frame is, by its time in microseconds and its length in samples, if that is
    /// known: behind all before it.
    pub(crate) fn place(&mut self, micros: i64, samples: Option<u32>) -> u64 {
        let told = match self.is_video {
            true => self.ticks(micros),
            false => self.clock.place(micros, samples),
        };
        let least = self.last.map_or(0, |last| last.saturating_add(1));
        let place = u64::try_from(told).unwrap_or(0).max(least);
        self.last = Some(place);
        place
    }

    /// The next frame is where its time says.
    pub(crate) fn restart(&mut self) {
        self.clock = SampleClock::new(self.timescale);
    }

    /// A frame turned out to last so long.
    pub(crate) fn lasted(&mut self, duration: u32) {
        self.duration = Some(duration);
    }

    /// How long a frame lasts that nothing follows yet.
    pub(crate) fn usual(&self, samples: Option<u32>) -> u32 {
        match self.duration {
            // Not that of one before a gap.
            Some(duration) if duration < self.timescale => duration,
            _ if self.is_video => self.timescale / PICTURES_PER_SECOND,
            _ => samples.unwrap_or(SAMPLES_PER_FRAME),
        }
    }
}
