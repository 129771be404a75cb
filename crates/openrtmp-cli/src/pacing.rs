//! Where on the clock a message stands, and when to send it.

use std::time::Duration;

use openrtmp_core::client::MediaKind;
use openrtmp_protocol::Time;

/// Moves a stream's timestamps so that its first frame stands at zero, and keeps
/// them growing over the 32-bit wrap.
///
/// Audio and video have a clock each, whose distance is kept: it may be seconds. A clock
/// that jumps is set anew, by the other one if that has jumped too, else to where it
/// was. Sequence headers and data often carry a time of their own (zero,
/// mostly), so they take the place of the last frame unless their timestamp is close to
/// it.
#[derive(Debug, Default)]
pub(crate) struct Rebase {
    audio: Clock,
    video: Clock,
    /// The furthest that a frame stood.
    newest: i64,
}

/// One kind's clock.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    /// Timestamp and position of its last frame.
    last: Option<(u32, i64)>,
}

/// A header, or the other kind's clock, further away than this is on another clock.
const NEAR: i64 = 1_000;
const OTHER_KIND: i64 = 10_000;
/// A clock that goes further in one step, beyond the time that has passed, has jumped.
const AHEAD: i64 = 10_000;
const BACK: i64 = 1_000;

impl Rebase {
    /// Milliseconds since the first frame. `passed` is the time since the last frame
    /// came, for a live stream; a file's clock may have holes of any length.
    pub(crate) fn place(
        &mut self,
        kind: MediaKind,
        timestamp: u32,
        frame: bool,
        passed: Option<Duration>,
    ) -> u64 {
        let (own, other) = match kind {
            MediaKind::Audio => (self.audio, self.video),
            _ => (self.video, self.audio),
        };
        let near =
            |clock: Clock, limit| clock.at(timestamp).filter(|(step, _)| step.abs() <= limit);
        if !frame {
            let near = near(own, NEAR).or(near(other, NEAR));
            return clamped(near.map_or(self.newest, |(_, position)| position));
        }
        let ahead = passed.map_or(i64::MAX, |passed| {
            AHEAD.saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
        });
        let believed = |step: i64| (-BACK..=ahead).contains(&step);
        let position = match own.last {
            None => near(other, OTHER_KIND).map_or(self.newest, |(_, position)| position),
            Some((_, last)) => {
                let own = own.at(timestamp).filter(|(step, _)| believed(*step));
                let by_other = || near(other, OTHER_KIND).filter(|(_, at)| believed(at - last));
                own.or_else(by_other).map_or(last, |(_, position)| position)
            }
        };
        self.newest = self.newest.max(position);
        let clock = match kind {
            MediaKind::Audio => &mut self.audio,
            _ => &mut self.video,
        };
        clock.last = Some((timestamp, position));
        clamped(position)
    }

    /// What follows is on other clocks and goes on where this stands.
    pub(crate) fn restart(&mut self) {
        self.audio = Clock::default();
        self.video = Clock::default();
    }
}

impl Clock {
    /// The step to a timestamp, the shorter way round the 32-bit circle, and the position
    /// there.
    fn at(self, timestamp: u32) -> Option<(i64, i64)> {
        let (last, position) = self.last?;
        let step = i64::from(timestamp.wrapping_sub(last).cast_signed());
        Some((step, position + step))
    }
}

fn clamped(position: i64) -> u64 {
    u64::try_from(position).unwrap_or(0)
}

/// One clock for a file that is sent again and again.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pass: Rebase,
    /// Where this pass starts.
    start: u64,
    audio: Track,
    video: Track,
}

/// The end of one kind of media in a pass.
#[derive(Debug, Default)]
struct Track {
    last: Option<u64>,
    /// How long its last frame lasts: as long as the one before.
    frame: u64,
}

impl Timeline {
    /// Milliseconds since the first frame of the first pass.
    pub(crate) fn place(&mut self, kind: MediaKind, timestamp: u32, frame: bool) -> u64 {
        let position = self.pass.place(kind, timestamp, frame, None);
        if frame {
            match kind {
                MediaKind::Audio => self.audio.extend(position),
                MediaKind::Video => self.video.extend(position),
                MediaKind::Data => {}
            }
        }
        self.start + position
    }

    /// The file ended and starts again: what follows continues right after it.
    pub(crate) fn next_pass(&mut self) {
        let length = self.audio.end().max(self.video.end());
        self.start += length;
        self.pass = Rebase::default();
        self.audio = Track::default();
        self.video = Track::default();
    }
}

impl Track {
    fn extend(&mut self, position: u64) {
        /// A longer gap is a hole in the file, not a frame.
        const LONGEST_FRAME: u64 = 1_000;
        if let Some(last) = self.last {
            let step = position.saturating_sub(last);
            if (1..=LONGEST_FRAME).contains(&step) {
                self.frame = step;
            }
        }
        self.last = Some(self.last.map_or(position, |last| last.max(position)));
    }

    /// Never equal to a frame's own place, so that the clock moves on.
    fn end(&self) -> u64 {
        self.last.map_or(0, |last| last + self.frame.max(1))
    }
}

/// Sends in real time: says when a message is due.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    anchor: Option<(u64, Time)>,
    last: u64,
}

impl Pacer {
    /// When the message at `position` (milliseconds) is due. Late messages are due
    /// in the past, so that a sender who was held up catches up.
    pub(crate) fn due(&mut self, position: u64, now: Time) -> Time {
        /// Beyond these the file's clock jumped, and waiting for it would stall
        /// the stream.
        const LONGEST_WAIT: u64 = 10_000;
        const FURTHEST_BACK: u64 = 1_000;
        let jumped = position > self.last.saturating_add(LONGEST_WAIT)
            || position.saturating_add(FURTHEST_BACK) < self.last;
        self.last = position;
        match self.anchor {
            Some((from, at)) if !jumped => {
                at + Duration::from_millis(position.saturating_sub(from))
            }
            _ => {
                self.anchor = Some((position, now));
                now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO: MediaKind = MediaKind::Audio;
    const VIDEO: MediaKind = MediaKind::Video;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1_000)
    }

    #[test]
    fn the_first_frame_stands_at_zero_whatever_the_headers_say() {
        let mut clock = Rebase::default();
        let mut place = |timestamp, frame| clock.place(VIDEO, timestamp, frame, None);
        assert_eq!(place(0, false), 0);
        assert_eq!(place(5_000_000, true), 0);
        assert_eq!(place(5_000_040, true), 40);
        assert_eq!(place(0, false), 40, "a header on a clock of its own");
        assert_eq!(place(5_000_050, false), 50, "data on the stream's clock");
        assert_eq!(place(5_000_080, true), 80);
    }

    #[test]
    fn timestamps_go_on_over_the_wrap_and_never_below_zero() {
        let mut clock = Rebase::default();
        let mut place = |timestamp| clock.place(VIDEO, timestamp, true, None);
        assert_eq!(place(u32::MAX - 19), 0);
        assert_eq!(place(20), 40);
        assert_eq!(place(u32::MAX - 29), 0, "older than the first frame");
        assert_eq!(place(60), 80);
        let mut position = 80;
        let mut timestamp = 60u32;
        for _ in 0..5 {
            timestamp = timestamp.wrapping_add(1 << 30);
            position += 1u64 << 30;
            assert_eq!(place(timestamp), position, "a hole in a file");
        }
    }

    const LIVE: Option<Duration> = Some(Duration::from_millis(40));

    #[test]
    fn the_distance_of_the_tracks_is_kept() {
        for distance in [-5_000i32, -40, 0, 3_200, 9_000] {
            let mut clock = Rebase::default();
            for n in 0..250u32 {
                let (video, audio) = (
                    10_000 + n * 40,
                    (10_000 + n * 40).wrapping_add_signed(distance),
                );
                assert_eq!(clock.place(VIDEO, video, true, LIVE), u64::from(n) * 40);
                let expected = i64::from(n) * 40 + i64::from(distance);
                let position = clock.place(AUDIO, audio, true, LIVE);
                assert_eq!(position, expected.max(0).cast_unsigned(), "{distance}");
            }
        }
    }

    #[test]
    fn a_live_clock_that_jumps_goes_on_where_it_was() {
        for jump in [-3_600_000i32, -2_000, 20_000, i32::MAX - 100] {
            let mut clock = Rebase::default();
            for n in 0..100u32 {
                let shift = if n < 50 { 0 } else { jump };
                let timestamp = (5_000_000 + n * 40).wrapping_add_signed(shift);
                let lost = if n < 50 { 0 } else { 40 };
                let expected = u64::from(n) * 40 - lost;
                assert_eq!(
                    clock.place(VIDEO, timestamp, true, LIVE),
                    expected,
                    "{jump}"
                );
                // Both jump together.
                assert_eq!(clock.place(AUDIO, timestamp + 5, true, LIVE), expected + 5);
            }
        }
    }

    #[test]
    fn a_stray_frame_moves_nothing_but_itself() {
        let mut clock = Rebase::default();
        for n in 0..100u32 {
            let stray = if n == 50 { 3_600_000 } else { 0 };
            let position = clock.place(VIDEO, 1_000 + n * 40 + stray, true, LIVE);
            let expected = u64::from(if n == 50 { 49 } else { n }) * 40;
            assert_eq!(position, expected);
            let position = clock.place(AUDIO, 1_020 + n * 40, true, LIVE);
            assert_eq!(position, u64::from(n) * 40 + 20);
        }
    }

    #[test]
    fn a_pause_that_really_passed_is_no_jump() {
        let mut clock = Rebase::default();
        let pause = Some(Duration::from_secs(60));
        assert_eq!(clock.place(VIDEO, 0, true, LIVE), 0);
        assert_eq!(clock.place(VIDEO, 60_000, true, pause), 60_000);
        assert_eq!(
            clock.place(VIDEO, 120_000, true, LIVE),
            60_000,
            "not this one"
        );
    }

    #[test]
    fn another_connection_goes_on_where_the_last_one_ended() {
        let mut clock = Rebase::default();
        assert_eq!(clock.place(VIDEO, 500, true, LIVE), 0);
        assert_eq!(clock.place(VIDEO, 540, true, LIVE), 40);
        clock.restart();
        assert_eq!(clock.place(VIDEO, 0, false, LIVE), 40);
        assert_eq!(clock.place(VIDEO, 9_000_000, true, LIVE), 40);
        assert_eq!(clock.place(AUDIO, 9_000_010, true, LIVE), 50);
    }

    #[test]
    fn a_second_pass_continues_where_the_longer_track_ends() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.place(VIDEO, 0, false), 0);
        assert_eq!(timeline.place(VIDEO, 100, true), 0);
        assert_eq!(timeline.place(AUDIO, 103, true), 3);
        assert_eq!(timeline.place(VIDEO, 140, true), 40);
        assert_eq!(timeline.place(AUDIO, 126, true), 26);
        timeline.next_pass();
        // Video ends at 40 + 40, audio at 26 + 23.
        assert_eq!(
            timeline.place(VIDEO, 0, false),
            80,
            "the header is sent again"
        );
        assert_eq!(timeline.place(VIDEO, 100, true), 80);
        assert_eq!(timeline.place(VIDEO, 140, true), 120);
        timeline.next_pass();
        assert_eq!(timeline.place(VIDEO, 100, true), 160);
    }

    #[test]
    fn a_file_of_one_frame_still_moves_on() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.place(VIDEO, 7, true), 0);
        timeline.next_pass();
        assert_eq!(timeline.place(VIDEO, 7, true), 1);
        timeline.next_pass();
        assert_eq!(timeline.place(VIDEO, 7, true), 2);
    }

    #[test]
    fn frames_are_due_in_real_time_from_the_first_one() {
        let mut pacer = Pacer::default();
        assert_eq!(pacer.due(0, at(500)), at(500));
        assert_eq!(pacer.due(40, at(501)), at(540));
        assert_eq!(pacer.due(23, at(541)), at(523));
    }

    #[test]
    fn a_sender_who_was_held_up_catches_up() {
        let mut pacer = Pacer::default();
        pacer.due(0, at(0));
        assert_eq!(pacer.due(40, at(3_000)), at(40));
        assert_eq!(pacer.due(4_000, at(3_000)), at(4_000));
    }

    #[test]
    fn a_jump_of_the_clock_starts_a_new_pace() {
        let mut pacer = Pacer::default();
        pacer.due(0, at(0));
        assert_eq!(pacer.due(3_600_000, at(10)), at(10), "an hour ahead");
        assert_eq!(pacer.due(3_600_040, at(20)), at(50));
        assert_eq!(pacer.due(1_000, at(60)), at(60), "an hour back");
        assert_eq!(pacer.due(1_040, at(61)), at(100));
    }
}
