//! When to try again.

use std::time::Duration;

/// The shortest pause and the longest: `relay.retry_min`, `relay.retry_max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pauses {
    pub(crate) shortest: Duration,
    pub(crate) longest: Duration,
}

/// Pauses that double with each failure, each longer or shorter by up to a quarter so that
/// many that failed at once do not come back at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure. `random`: evenly distributed over all values.
    pub(crate) fn after_failure(&mut self, pauses: Pauses, random: u64) -> Duration {
        let Pauses { shortest, longest } = pauses;
        let doubled = shortest.saturating_mul(1 << self.failures.min(30));
        self.failures = self.failures.saturating_add(1);
        let base = doubled.min(longest).as_micros() as u64;
        // From 0 to base / 2.
        let spread = random % (base / 2 + 1);
        let pause = Duration::from_micros(base - base / 4 + spread);
        pause.clamp(shortest, longest.max(shortest))
    }

    /// It went well.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAUSES: Pauses = Pauses {
        shortest: Duration::from_millis(500),
        longest: Duration::from_secs(30),
    };

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let middle = |pause: Duration| (pause.as_micros() / 4) as u64;
        let mut pauses = Vec::new();
        for base in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            // A quarter above three quarters.
            let base = Duration::from_millis(base);
            pauses.push(backoff.after_failure(PAUSES, middle(base)));
            assert_eq!(pauses.last(), Some(&base));
        }
        backoff.reset();
        let first = backoff.after_failure(PAUSES, middle(PAUSES.shortest));
        assert_eq!(first, pauses[0]);
    }

    proptest! {
        #[test]
        fn no_pause_is_out_of_bounds(
            randoms in prop::collection::vec(any::<u64>(), 1..40),
            shortest in 10u64..3_600_000,
            more in 0u64..86_400_000,
        ) {
            let mut backoff = Backoff::default();
            let pauses = Pauses {
                shortest: Duration::from_millis(shortest),
                longest: Duration::from_millis(shortest + more),
            };
            for random in randoms {
                let pause = backoff.after_failure(pauses, random);
                prop_assert!((pauses.shortest..=pauses.longest).contains(&pause));
            }
        }
    }
}
