//! One monotonic clock per stream, shared by audio, video and data.

use std::time::Duration;

use openrtmp_protocol::Time;
use openrtmp_protocol::session::MediaKind;

/// Frames of different kinds arrive interleaved, not sorted: one that is this
/// much behind the newest, in milliseconds, is late; more is a clock that was
/// set back.
const BACKWARD_TOLERANCE: i64 = 3_000;

/// A gap worth a log line, in milliseconds.
const GAP: i64 = 1_000;

/// What was odd about a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Irregularity {
    /// The clock went on by more than a second at once: by so many milliseconds.
    Gap(i64),
    /// The clock was set back by so many milliseconds; rebased.
    Backward(i64),
}

/// Maps a publisher's timestamps to the stream's: 32-bit wraps undone, negative
/// starts and jumps back rebased, republishing continued.
#[derive(Debug)]
pub(crate) struct StreamClock {
    /// The publisher's last timestamp on a 64-bit axis; `None` before its first.
    last_in: Option<i64>,
    /// Added to the publisher's time to get the stream's.
    offset: i64,
    /// The newest stream time handed out.
    newest: Option<i64>,
    newest_at: Time,
    /// Last stream time per kind and track, for monotonicity of each.
    tracks: Vec<(MediaKind, u8, i64)>,
}

impl StreamClock {
    pub(crate) fn new() -> StreamClock {
        StreamClock {
            last_in: None,
            offset: 0,
            newest: None,
            newest_at: Time::ZERO,
            tracks: Vec::new(),
        }
    }

    /// Another publisher takes over: its first frame continues the clock.
    pub(crate) fn restart(&mut self) {
        self.last_in = None;
    }

    /// The newest stream time in milliseconds.
    pub(crate) fn newest(&self) -> i64 {
        self.newest.unwrap_or(0)
    }

    /// The stream time of a frame, and what was odd about it.
    pub(crate) fn stamp(
        &mut self,
        kind: MediaKind,
        track: u8,
        timestamp: u32,
        now: Time,
    ) -> (u32, Option<Irregularity>) {
        let mut odd = None;
        let time_in = match self.last_in {
            // Nearest to the last one, so that a wrap at 2^32 is a step like any other.
            Some(last) => last + i64::from(timestamp.wrapping_sub(last as u32) as i32),
            None => self.first(timestamp, now),
        };
        let mut out = time_in + self.offset;
        if let Some(newest) = self.newest {
            let step = out - newest;
            if step < -BACKWARD_TOLERANCE {
                odd = Some(Irregularity::Backward(-step));
                self.offset += self.continuation(now) - out;
                out = time_in + self.offset;
            } else if step > GAP && self.last_in.is_some() {
                odd = Some(Irregularity::Gap(step));
            }
        }
        self.last_in = Some(time_in);
        let out = self.monotonic(kind, track, out.max(0));
        if self.newest.is_none_or(|newest| out > newest) {
            self.newest = Some(out);
            self.newest_at = now;
        }
        // The wire carries 32 bits; the mask is the wrap of RTMP 1.0 section 5.3.1.1.
        ((out & 0xFFFF_FFFF) as u32, odd)
    }

    /// The stream time of a message that is no frame. Encoders put headers and
    /// metadata at zero in the middle of a stream: such a time says nothing, and
    /// the newest frame's serves instead.
    pub(crate) fn stamp_headers(&self, timestamp: u32) -> u32 {
        let out = self
            .last_in
            .map(|last| last + i64::from(timestamp.wrapping_sub(last as u32) as i32) + self.offset);
        let newest = self.newest();
        let near = out.filter(|out| (newest - GAP..=newest + GAP).contains(out));
        (near.unwrap_or(newest) & 0xFFFF_FFFF) as u32
    }

    /// A publisher's first timestamp: negative ones (DJI) start at zero, and a
    /// republish continues where the stream was.
    fn first(&mut self, timestamp: u32, now: Time) -> i64 {
        let time_in = i64::from(timestamp as i32);
        self.offset = match self.newest {
            Some(_) => self.continuation(now) - time_in,
            None if time_in < 0 => -time_in,
            None => 0,
        };
        time_in
    }

    /// Where the stream's clock stands now: the newest frame's time plus the time
    /// that passed since, at least a millisecond.
    fn continuation(&self, now: Time) -> i64 {
        let passed = now.since(self.newest_at).max(Duration::from_millis(1));
        self.newest() + i64::try_from(passed.as_millis()).unwrap_or(i64::MAX / 2)
    }

    /// Never before the same track's previous frame.
    fn monotonic(&mut self, kind: MediaKind, track: u8, out: i64) -> i64 {
        match self
            .tracks
            .iter_mut()
            .find(|(k, t, _)| (*k, *t) == (kind, track))
        {
            Some((_, _, last)) => {
                *last = out.max(*last);
                *last
            }
            None => {
                self.tracks.push((kind, track, out));
                out
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MediaKind::{Audio, Video};

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn ordinary_timestamps_pass_unchanged() {
        let mut clock = StreamClock::new();
        for t in [0u32, 23, 40, 46, 80] {
            assert_eq!(clock.stamp(Video, 0, t, at(t.into())), (t, None));
        }
    }

    #[test]
    fn audio_and_video_may_interleave_out_of_order() {
        let mut clock = StreamClock::new();
        assert_eq!(clock.stamp(Video, 0, 1000, at(0)).0, 1000);
        assert_eq!(clock.stamp(Audio, 0, 400, at(0)), (400, None));
        assert_eq!(clock.stamp(Video, 0, 1040, at(0)).0, 1040);
    }

    #[test]
    fn a_negative_start_becomes_zero_for_all_kinds() {
        let mut clock = StreamClock::new();
        assert_eq!(clock.stamp(Video, 0, 0xFFFF_FEF7, at(0)).0, 0);
        assert_eq!(clock.stamp(Audio, 0, 0xFFFF_FEF7 + 10, at(0)).0, 10);
        assert_eq!(clock.stamp(Video, 0, 35, at(300)).0, 300);
    }

    #[test]
    fn the_32_bit_wrap_is_a_step_like_any_other() {
        let mut clock = StreamClock::new();
        clock.stamp(Video, 0, 0x7FFF_FFF0, at(0));
        assert_eq!(
            clock.stamp(Video, 0, 0x8000_0010, at(32)),
            (0x8000_0010, None)
        );
        let mut clock = StreamClock::new();
        let mut t = 0x7FFF_0000u32;
        let mut last = clock.stamp(Video, 0, t, at(0)).0;
        for _ in 0..5000 {
            t = t.wrapping_add(1_000_000);
            let (out, _) = clock.stamp(Video, 0, t, at(0));
            assert_eq!(out.wrapping_sub(last), 1_000_000);
            last = out;
        }
    }

    #[test]
    fn a_jump_back_is_rebased_once_for_audio_and_video() {
        let mut clock = StreamClock::new();
        clock.stamp(Video, 0, 60_000, at(0));
        clock.stamp(Audio, 0, 60_010, at(10));
        let (video, odd) = clock.stamp(Video, 0, 0, at(50));
        assert_eq!(video, 60_050);
        assert_eq!(odd, Some(Irregularity::Backward(60_010)));
        assert_eq!(clock.stamp(Audio, 0, 10, at(60)), (60_060, None));
    }

    #[test]
    fn a_gap_is_told_and_kept() {
        let mut clock = StreamClock::new();
        clock.stamp(Video, 0, 0, at(0));
        assert_eq!(
            clock.stamp(Video, 0, 2500, at(40)),
            (2500, Some(Irregularity::Gap(2500)))
        );
    }

    #[test]
    fn a_republish_continues_with_the_time_that_passed() {
        let mut clock = StreamClock::new();
        clock.stamp(Video, 0, 5_000, at(1_000));
        clock.restart();
        assert_eq!(clock.stamp(Video, 0, 77, at(3_000)), (7_000, None));
        assert_eq!(clock.stamp(Audio, 0, 87, at(3_010)).0, 7_010);
    }

    #[test]
    fn headers_do_not_move_the_clock() {
        let mut clock = StreamClock::new();
        assert_eq!(clock.stamp_headers(9_000), 0);
        clock.stamp(Video, 0, 60_000, at(0));
        assert_eq!(clock.stamp_headers(0), 60_000);
        assert_eq!(clock.stamp_headers(60_020), 60_020);
        assert_eq!(clock.stamp(Video, 0, 60_040, at(40)), (60_040, None));
    }

    #[test]
    fn one_track_never_goes_back() {
        let mut clock = StreamClock::new();
        clock.stamp(Video, 0, 100, at(0));
        assert_eq!(clock.stamp(Video, 0, 90, at(0)).0, 100);
        assert_eq!(clock.stamp(Video, 1, 90, at(0)).0, 90);
    }
}
