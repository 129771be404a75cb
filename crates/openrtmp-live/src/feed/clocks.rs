//! The clocks of publishers whose streams are joined to one.
//!
//! An encoder that sends several streams counts them by one clock, and a picture has the same
//! time in all: nothing is to be done. Encoders that began at different times count from
//! different moments: theirs are put side by side by when frames come, which is as near as can
//! be known.

/// Clocks that are no further apart than this are one, in microseconds: what is between them is
/// what encoders, lines and the beginning of a connection take.
const ONE_CLOCK: i64 = 700_000;

/// One publisher's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// From its time to that of the joined stream, in microseconds.
    shift: i64,
    /// By how much its frames were ahead of this machine's clock, at best: within the GOP that
    /// is coming, which tells more than a frame that was held up, and within the one before.
    ahead: Option<i64>,
    before: Option<i64>,
}

impl Clock {
    /// What is to be added to its times.
    pub(super) fn shift(&self) -> i64 {
        self.shift
    }

    /// A frame of this time came now; both in microseconds.
    pub(super) fn heard(&mut self, time: i64, now: i64, is_key: bool) {
        let ahead = time.saturating_sub(now);
        let best = self.ahead.map_or(ahead, |best| best.max(ahead));
        match is_key {
            true => (self.ahead, self.before) = (Some(ahead), Some(best)),
            false => self.ahead = Some(best),
        }
    }

    /// Goes by another clock, if it does not yet.
    pub(super) fn follow(&mut self, other: &Clock) {
        let (Some(own), Some(told)) = (self.told(), other.told()) else {
            return;
        };
        let apart = own.saturating_sub(told.saturating_add(other.shift));
        if apart.saturating_abs() <= ONE_CLOCK {
            self.shift = 0;
        } else if apart.saturating_add(self.shift).saturating_abs() > ONE_CLOCK {
            self.shift = apart.saturating_neg();
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
    fn no_time_is_too_far() {
        let mut clocks = [Clock::default(), Clock::default()];
        clocks[0].heard(i64::MIN, i64::MAX, true);
        clocks[1].heard(i64::MAX, i64::MIN, true);
        let [one, other] = &mut clocks;
        other.follow(one);
        other.follow(one);
    }
}
