use std::fmt;

use serde::Serialize;

/// How values of one kind are spread, milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of durations in nanoseconds.
    pub(crate) fn of(nanos: &mut [u64]) -> Spread {
        nanos.sort_unstable();
        let at = |quantile: f64| {
            let rank = (nanos.len() as f64 * quantile).ceil() as usize;
            let value = nanos.get(rank.saturating_sub(1)).copied();
            value.unwrap_or(0) as f64 / 1e6
        };
        Spread {
            count: nanos.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread {
            p50,
            p99,
            p999,
            max,
            ..
        } = self;
        write!(
            f,
            "p50 {p50:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2} ms"
        )
    }
}

/// The middle value; of an even number of them the upper one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let mut nanos: Vec<u64> = (1..=1000).rev().map(|n| n * 1_000_000).collect();
        let spread = Spread::of(&mut nanos);
        assert_eq!(
            (spread.p50, spread.p99, spread.p999, spread.max),
            (500.0, 990.0, 999.0, 1000.0)
        );
        assert_eq!(Spread::of(&mut []).max, 0.0);
    }

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
    }
}
