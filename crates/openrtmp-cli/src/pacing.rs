//! Where on the clock a message stands, and when to send it.

use std::time::Duration;

use openrtmp_core::client::MediaKind;
use openrtmp_protocol::Time;

/// Moves a stream's timestamps so that its first frame stands at zero, and keeps
/// them growing over the 32-bit wrap.
///
/// The clock is that of the frames. Sequence headers and data often carry another
/// (zero, mostly), so they take the place of the frame before them unless their
/// timestamp is close to it.
#[derive(Debug, Default)]
pub(crate) struct Rebase {
    last: Option<u32>,
    /// Of the last frame; negative if it was older than the first one.
    position: i64,
}

impl Rebase {
    /// Milliseconds since the first frame.
    pub(crate) fn place(&mut self, timestamp: u32, frame: bool) -> u64 {
        /// A header further away than this is on another clock.
        const NEAR: i64 = 1_000;
        let Some(last) = self.last else {
            if frame {
                self.last = Some(timestamp);
            }
            return 0;
        };
        // The shorter way round the 32-bit circle.
        let step = i64::from(timestamp.wrapping_sub(last).cast_signed());
        if frame {
            self.last = Some(timestamp);
            self.position += step;
        } else if step.abs() <= NEAR {
            return clamped(self.position + step);
        }
        clamped(self.position)
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
        let position = self.pass.place(timestamp, frame);
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
        assert_eq!(clock.place(0, false), 0);
        assert_eq!(clock.place(5_000_000, true), 0);
        assert_eq!(clock.place(5_000_040, true), 40);
        assert_eq!(clock.place(0, false), 40, "a header on a clock of its own");
        assert_eq!(
            clock.place(5_000_050, false),
            50,
            "data on the stream's clock"
        );
        assert_eq!(clock.place(5_000_080, true), 80);
    }

    #[test]
    fn timestamps_go_on_over_the_wrap_and_never_below_zero() {
        let mut clock = Rebase::default();
        assert_eq!(clock.place(u32::MAX - 19, true), 0);
        assert_eq!(clock.place(20, true), 40);
        assert_eq!(
            clock.place(u32::MAX - 29, true),
            0,
            "older than the first frame"
        );
        assert_eq!(clock.place(60, true), 80);
        let mut position = 80;
        let mut timestamp = 60u32;
        for _ in 0..5 {
            timestamp = timestamp.wrapping_add(1 << 30);
            position += 1u64 << 30;
            assert_eq!(clock.place(timestamp, true), position);
        }
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
