//! How a stream is cut, and how much of it is kept.

use std::time::Duration;

/// Lengths that suit a kind of network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Parts of 0.2 s, for a network of one's own.
    Lan,
    /// Parts of 0.334 s: the smallest that the common frame rates and audio frames fill to
    /// 85 % at least, as HLS demands. Latency of 1.2 to 1.5 s.
    #[default]
    Balanced,
    /// Parts of 1 s, for networks one knows nothing of.
    Public,
}

/// How a stream is cut, and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Least part target: it is the smallest from here on, in steps of 5 ms, that frames of
    /// the stream fill to 85 %. 50 ms to 2 s.
    pub part_target: Duration,
    /// Least distance of players from the newest part; never less than three part targets.
    pub part_hold_back: Duration,
    /// A segment ends at the first key frame so far behind its start. 1 to 10 s.
    pub segment: Duration,
    /// The first segment ends here at the latest, key frame or not; so no target duration is
    /// longer. Not below `segment`, 60 s at most.
    pub longest_segment: Duration,
    /// No part has more bytes: a frame that has no room is left out, and pictures go on at
    /// the next key frame. Above 0.
    pub part_bytes: usize,
    /// Media sequence number of the first segment, above 0.
    pub first_msn: u64,
    /// So long the list of the leading track is, at least, once the stream lasted that long;
    /// those of others begin with the same segment.
    pub window: Duration,
    /// And so long with what is older than that, which need not be in memory
    /// ([`Window::release`](super::Window::release)).
    pub dvr: Duration,
    /// Nor has it more than so many segments beyond those that fill that at `segment` each;
    /// [`Settings::LEAST_SEGMENTS`] at least.
    pub window_segments: usize,
    /// Nor more bytes of what is not older than `window`, in each track, as long as [`Settings::LEAST_SEGMENTS`] are left.
    pub window_bytes: u64,
    /// DASH with low latency: parts tell what wall time they are of (`prft`), and manifests
    /// tell of segments that are not complete, as long as all are equally long to a frame, and
    /// those of all tracks begin at the same time.
    /// There is no manifest before three segments are complete.
    pub low_latency_dash: bool,
}

impl Settings {
    /// So many segments are kept in any case (HLS Authoring Specification for Apple Devices,
    /// 8.22).
    pub const LEAST_SEGMENTS: usize = 6;
    /// How long segments are, unless it is set otherwise.
    pub(super) const SEGMENT: Duration = Duration::from_secs(2);

    /// Settings of a preset: segments of 2 s, a window of 30 s.
    pub fn new(preset: Preset) -> Settings {
        let (part_target, part_hold_back) = match preset {
            Preset::Lan => (200, 600),
            Preset::Balanced => (334, 1010),
            Preset::Public => (1000, 3000),
        };
        Settings {
            part_target: Duration::from_millis(part_target),
            part_hold_back: Duration::from_millis(part_hold_back),
            segment: Settings::SEGMENT,
            longest_segment: Duration::from_secs(12),
            part_bytes: 8 << 20,
            first_msn: 1,
            window: Duration::from_secs(30),
            dvr: Duration::ZERO,
            window_segments: 2000,
            window_bytes: 256 << 20,
            low_latency_dash: false,
        }
    }

    /// How much is to be in memory in any case with this target duration.
    pub(super) fn window_of(&self, target: Duration) -> Duration {
        self.window.max(target * Settings::LEAST_SEGMENTS as u32)
    }

    /// How long lists are to be.
    pub(super) fn length_of(&self, target: Duration) -> Duration {
        self.window_of(target).max(self.dvr)
    }

    /// Segments on a list, at most: encoders may have them end early all the time.
    pub(super) fn most_segments(&self) -> usize {
        let length = self.window.max(self.dvr).as_millis();
        let filling = length / self.segment.as_millis().max(1);
        let filling = usize::try_from(filling).unwrap_or(usize::MAX);
        self.window_segments.saturating_add(filling)
    }

    /// What is listed need not all be in memory.
    pub(super) fn has_past(&self, target: Duration) -> bool {
        self.dvr > self.window_of(target)
    }

    /// The same with everything within its range.
    pub(super) fn within_range(mut self) -> Settings {
        let ms = Duration::from_millis;
        self.part_target = self.part_target.clamp(ms(50), ms(2000));
        self.segment = self.segment.clamp(ms(1000), ms(10_000));
        self.longest_segment = self.longest_segment.clamp(self.segment, ms(60_000));
        self.first_msn = self.first_msn.max(1);
        self.window_segments = self.window_segments.max(Settings::LEAST_SEGMENTS);
        self
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::new(Preset::default())
    }
}
