//! Whether memory grows: a line through what was seen.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::process::Process;

/// What was seen at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Since the start.
    pub(super) at: Duration,
    /// Resident memory.
    pub(super) mebibytes: f64,
    /// The part of it that is no file.
    pub(super) anonymous: f64,
    pub(super) descriptors: usize,
}

impl Sample {
    pub(super) fn of(process: &Process, at: Duration) -> Sample {
        let memory = process.memory();
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Sample {
            at,
            mebibytes: mebibytes(memory.resident),
            anonymous: mebibytes(memory.anonymous),
            descriptors: process.descriptors(),
        }
    }
}

/// The slope of resident memory by least squares, MiB an hour.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Growth {
    pub(super) first_mebibytes: f64,
    pub(super) last_mebibytes: f64,
    pub(super) slope: f64,
    /// The true slope is between this and `high` with 95 % confidence.
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Samples that follow each other closely are alike and would feign confidence:
/// the line goes through the means of this many stretches of time.
const STRETCHES: usize = 16;

/// The 97.5 % quantile of Student's t with [`STRETCHES`] - 2 degrees of freedom.
const STUDENT: f64 = 2.145;

impl Growth {
    /// Of the samples after `warm_up`.
    pub(super) fn of(samples: &[Sample], warm_up: Duration) -> Growth {
        let from = samples.partition_point(|sample| sample.at < warm_up);
        let samples = &samples[from..];
        let points: Vec<(f64, f64)> = samples
            .chunks_exact((samples.len() / STRETCHES).max(1))
            .take(STRETCHES)
            .map(mean)
            .collect();
        if points.len() < STRETCHES {
            return Growth {
                low: f64::NEG_INFINITY,
                high: f64::INFINITY,
                ..Growth::default()
            };
        }
        let (slope, error) = line(&points);
        Growth {
            first_mebibytes: points[0].1,
            last_mebibytes: points[STRETCHES - 1].1,
            slope,
            low: slope - STUDENT * error,
            high: slope + STUDENT * error,
        }
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} MiB after warming up, {:.2} MiB at the end: {:+.2} MiB/h, \
             95 % confidence {:+.2} to {:+.2}",
            self.first_mebibytes, self.last_mebibytes, self.slope, self.low, self.high
        )
    }
}

/// Hours and MiB.
fn mean(samples: &[Sample]) -> (f64, f64) {
    let count = samples.len() as f64;
    let hours: f64 = samples.iter().map(|s| s.at.as_secs_f64() / 3600.0).sum();
    let mebibytes: f64 = samples.iter().map(|s| s.mebibytes).sum();
    (hours / count, mebibytes / count)
}

/// Slope and its standard error. Memory wanders: what is off the line at one time is
/// off it the same way a little later, which makes for fewer observations than
/// points. The error is widened as for a first-order autoregression, whose
/// coefficient a short series makes look too small (Kendall's correction).
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|p| p.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|p| p.1).sum::<f64>() / count;
    let square_x: f64 = points.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    let product: f64 = points.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum();
    let slope = product / square_x;
    let off: Vec<f64> = points
        .iter()
        .map(|p| p.1 - mean_y - slope * (p.0 - mean_x))
        .collect();
    let rest: f64 = off.iter().map(|off| off * off).sum();
    let neighbours: f64 = off.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let alike = if rest > 0.0 { neighbours / rest } else { 0.0 };
    let alike = ((count * alike + 2.0) / (count - 4.0)).clamp(0.0, 0.95);
    let error = (rest / (count - 2.0) / square_x).sqrt();
    (slope, error * ((1.0 + alike) / (1.0 - alike)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples over ten minutes.
    fn samples(mebibytes: impl Fn(f64) -> f64) -> Vec<Sample> {
        let at = |half_seconds: u32| Duration::from_millis(500) * half_seconds;
        let sample = |at: Duration| Sample {
            at,
            mebibytes: mebibytes(at.as_secs_f64() / 3600.0),
            anonymous: 0.0,
            descriptors: 0,
        };
        (0..1200).map(|n| sample(at(n))).collect()
    }

    #[test]
    fn a_steady_growth_is_found_whatever_the_start_was_like() {
        let samples = samples(|hours| {
            if hours < 0.02 {
                5.0
            } else {
                30.0 + 12.0 * hours
            }
        });
        let growth = Growth::of(&samples, Duration::from_secs(120));
        assert!((growth.slope - 12.0).abs() < 1e-6, "{growth:?}");
        assert!(growth.low > 11.9 && growth.high < 12.1, "{growth:?}");
    }

    #[test]
    fn noise_is_not_taken_for_growth() {
        let samples = samples(|hours| 30.0 + (hours * 40_000.0).sin());
        let growth = Growth::of(&samples, Duration::from_secs(120));
        assert!(growth.low < 0.0 && growth.high > 0.0, "{growth:?}");
    }

    #[test]
    fn one_step_is_not_taken_for_growth() {
        let samples = samples(|hours| if hours < 0.1 { 8.2 } else { 8.6 });
        let growth = Growth::of(&samples, Duration::from_secs(120));
        assert!(growth.slope > 1.0 && growth.low < 0.0, "{growth:?}");
    }

    #[test]
    fn growth_is_found_in_noise() {
        let samples = samples(|hours| 30.0 + 24.0 * hours + 0.5 * (hours * 40_000.0).sin());
        let growth = Growth::of(&samples, Duration::from_secs(120));
        assert!(growth.low > 1.0 && growth.high < 48.0, "{growth:?}");
    }

    #[test]
    fn too_few_samples_say_nothing() {
        let growth = Growth::of(&samples(|_| 1.0)[..10], Duration::ZERO);
        assert!(growth.low < -1e9 && growth.high > 1e9, "{growth:?}");
    }
}
