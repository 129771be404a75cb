//! When the next certificate is asked for.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use super::authority::Failure;

/// After a first failure to reach an authority. It costs nobody anything.
const FIRST_UNREACHABLE: Duration = Duration::from_secs(5);

/// After a first refusal: authorities count them, by name and hour.
const FIRST_REFUSED: Duration = Duration::from_secs(120);

const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// Waits that grow while one failure follows another.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after a failure: twice that of before, up to 6 h, and up to a half more or
    /// less of it, so that those who failed together do not come back together.
    pub(super) fn after(&mut self, failure: &Failure) -> Duration {
        let random = RandomState::new().build_hasher().finish();
        self.after_with(failure, random as f64 / u64::MAX as f64)
    }

    fn after_with(&mut self, failure: &Failure, random: f64) -> Duration {
        let first = match failure {
            Failure::Refused(_) | Failure::NoAccount => FIRST_REFUSED,
            Failure::Unreachable(_) | Failure::Here(_) | Failure::Stopped => FIRST_UNREACHABLE,
        };
        // More doublings than fit in the longest.
        let doubled = first.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        doubled.min(LONGEST).mul_f64(0.5 + random)
    }

    /// It went well, or somebody wants it at once.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_most_and_begin_anew() {
        let refused = Failure::Refused(String::new());
        let unreachable = Failure::Unreachable(String::new());
        let waits = |failure: &Failure, random: f64| -> Vec<u64> {
            let mut backoff = Backoff::default();
            let wait = |_| backoff.after_with(failure, random).as_secs();
            (0..100).map(wait).collect()
        };
        assert_eq!(waits(&refused, 0.5)[..4], [120, 240, 480, 960]);
        assert_eq!(waits(&unreachable, 0.5)[..4], [5, 10, 20, 40]);
        assert_eq!(waits(&refused, 0.0)[..3], [60, 120, 240]);
        assert_eq!(waits(&refused, 1.0)[..3], [180, 360, 720]);
        for failure in [&refused, &unreachable] {
            assert_eq!(waits(failure, 0.5)[99], LONGEST.as_secs());
        }
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.after(&refused);
        }
        backoff.reset();
        let (least, most) = (FIRST_REFUSED / 2, FIRST_REFUSED * 3 / 2);
        assert!((least..=most).contains(&backoff.after(&refused)));
    }

    #[test]
    fn waits_are_not_the_same_everywhere() {
        let unreachable = Failure::Unreachable(String::new());
        let waits = (0..20).map(|_| Backoff::default().after(&unreachable));
        let mut waits: Vec<Duration> = waits.collect();
        waits.sort();
        waits.dedup();
        assert!(waits.len() > 15, "{waits:?}");
    }
}
