//! The clocks of publishers whose streams are joined to one.
//!
//! An encoder that sends several streams counts them by one clock, and a picture has the same
//! time in all: nothing is to be done. Encoders that began at different times count from
//! different moments: theirs are put side by side by when frames come, which is as near as can
//! be known.

/// Clocks that are no further apart than this are one, in microseconds: what is between them is
/// what encoders, lines and the beginning of a connection take. It is more than the packager
/// takes for lateness, even behind the time from one picture to the next: where a shift begins,
/// ends or becomes another it sees a clock that jumps.
const ONE_CLOCK: i64 = 1_100_000;
/// Without pictures it is looked at so often, in microseconds.
const TURN: i64 = 1_000_000;

/// One publisher's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// From its time to that of the joined stream, in microseconds.
    shift: i64,
    /// By how much its frames were ahead of this machine's clock, at best: within the GOP that
    /// is coming, which tells more than a frame that was held up, and within the one before.
    ahead: Option<i64>,
    before: Option<i64>,
    /// When the first frame of that GOP came; or sound, without pictures.
    turned: Option<i64>,
    has_pictures: bool,
}

impl Clock {
    /// What is to be added to its times.
    pub(super) fn shift(&self) -> i64 {
        self.shift
    }

    /// A picture of this time came now; both in microseconds. Whether it is the turn to go by
    /// another clock.
    pub(super) fn heard(&mut self, time: i64, now: i64, is_key: bool) -> bool {
        self.has_pictures = true;
        self.count(time, now, is_key);
        is_key
    }

    /// Sound came, which tells of the clock as long as no pictures do.
    pub(super) fn heard_sound(&mut self, time: i64, now: i64) -> bool {
        let is_due = |turned: i64| now.saturating_sub(turned) >= TURN;
        let is_turn = !self.has_pictures && self.turned.is_none_or(is_due);
        if !self.has_pictures {
            self.count(time, now, is_turn);
        }
        is_turn
    }

    fn count(&mut self, time: i64, now: i64, is_turn: bool) {
        let ahead = time.saturating_sub(now);
        let best = self.ahead.map_or(ahead, |best| best.max(ahead));
        if is_turn {
            (self.ahead, self.before) = (Some(ahead), Some(best));
            self.turned = Some(now);
        } else {
            self.ahead = Some(best);
        }
    }

    /// Goes by another clock, if it does not yet. It stays with what it has as long as that is
    /// good, and leaves it for no shift when both are one clock beyond doubt.
    pub(super) fn follow(&mut self, other: &Clock) {
        let (Some(own), Some(told)) = (self.told(), other.told()) else {
            return;
        };
        let apart = own.saturating_sub(told.saturating_add(other.shift));
        let off = apart.saturating_add(self.shift).saturating_abs();
        let apart_by = apart.saturating_abs();
        if off > ONE_CLOCK || apart_by <= ONE_CLOCK / 2 {
            self.shift = if apart_by <= ONE_CLOCK {
                0
            } else {
                apart.saturating_neg()
            };
        }
    }

    fn told(&self) -> Option<i64> {
        match (self.before, self.ahead) {
            (Some(before), Some(ahead)) => Some(before.max(ahead)),
            (before, ahead) => before.or(ahead),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frames each 40 ms from this time of its own on, with a key frame each second; each
    /// comes so many milliseconds after it was made.
    fn play(clock: &mut Clock, other: Option<&Clock>, from: i64, now: i64, late: &[i64]) {
        for (number, late) in late.iter().enumerate() {
            let (time, is_key) = (number as i64 * 40, number % 25 == 0);
            let moment = (now + time + late) * 1000;
            clock.heard((from + time) * 1000, moment, is_key);
            if let Some(other) = other.filter(|_| is_key) {
                clock.follow(other);
            }
        }
    }

    #[test]
    fn one_encoder_has_one_clock_whatever_the_lines_do() {
        let mut one = Clock::default();
        play(&mut one, None, 0, 500, &[20; 100]);
        // It begins later, held up at first, and then again; the times are those of the first.
        let mut late = [60; 100];
        (late[0], late[30], late[50]) = (1500, 900, 2500);
        let mut other = Clock::default();
        play(&mut other, Some(&one), 2000, 2500, &late[..25]);
        assert_eq!(
            other.shift(),
            1_480_000,
            "all that is known is a frame that was held up"
        );
        play(&mut other, Some(&one), 2000, 2500, &late);
        assert_eq!(other.shift(), 0);
    }

    #[test]
    fn another_encoder_is_put_where_it_comes() {
        let mut one = Clock::default();
        play(&mut one, None, 90_000, 500, &[20; 100]);
        let mut other = Clock::default();
        play(&mut other, Some(&one), 0, 2500, &[20; 100]);
        assert_eq!(other.shift(), 92_000_000);
        // And stays there as long as it is nearly so.
        play(&mut other, Some(&one), 0, 2500, &[400; 100]);
        assert_eq!(other.shift(), 92_000_000);
        play(&mut other, Some(&one), 0, 2500, &[2000; 100]);
        assert_eq!(other.shift(), 93_980_000);
        // Whoever goes by it goes by the same.
        let mut third = Clock::default();
        play(&mut third, Some(&other), 90_000, 500, &[20; 100]);
        assert_eq!(third.shift(), 0);
    }

    #[test]
    fn a_clock_at_the_limit_stays_as_it_is() {
        let mut one = Clock::default();
        play(&mut one, None, 0, 0, &[20; 100]);
        for limit in [350, 550, 700, 1100] {
            let mut other = Clock::default();
            let mut shifts = Vec::new();
            for by in [10, -10, 10, -10, 10] {
                play(&mut other, Some(&one), 0, 0, &[20 + limit + by; 100]);
                shifts.push(other.shift());
            }
            shifts.dedup();
            assert_eq!(shifts.len(), 1, "{shifts:?}");
        }
        // One that is off for good is another, and one that is not is the same in the end.
        let mut other = Clock::default();
        for (late, shift) in [(900, 0), (1320, 1300), (1000, 1300), (400, 0), (1000, 0)] {
            play(&mut other, Some(&one), 0, 0, &[late; 100]);
            assert_eq!(other.shift(), shift * 1000, "{late}");
        }
    }

    proptest! {
        /// The packager takes what moves by less for lateness: a second, behind a picture that
        /// is up to 100 ms before.
        #[test]
        fn a_shift_moves_by_more_than_what_is_late(lates in prop::collection::vec(-4000i64..4000, 1..40)) {
            let mut one = Clock::default();
            play(&mut one, None, 0, 0, &[0; 100]);
            let mut other = Clock::default();
            for late in lates {
                // What was told of the GOP before counts for one more.
                for _ in 0..2 {
                    let before = other.shift();
                    play(&mut other, Some(&one), 0, 0, &[late; 25]);
                    let moved = (other.shift() - before).abs();
                    prop_assert!(moved == 0 || moved > 1_100_000, "{moved}");
                }
                let off = (other.shift() - late * 1000).abs();
                prop_assert!(off <= ONE_CLOCK, "{off}");
            }
        }
    }

    #[test]
    fn no_time_is_too_far() {
        let mut clocks = [Clock::default(), Clock::default()];
        clocks[0].heard(i64::MIN, i64::MAX, true);
        clocks[1].heard(i64::MAX, i64::MIN, true);
        let [one, other] = &mut clocks;
        other.follow(one);
        other.follow(one);
    }
}
