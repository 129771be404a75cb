//! How long frames were in the server: measured per connection, told as percentiles.

use std::time::Duration;

use openrtmp_protocol::Time;
use serde::{Serialize, Serializer};

/// Percentiles are of the window that goes on and of the one before it.
const WINDOW: Duration = Duration::from_secs(60);

/// Percentiles of a delay in milliseconds, to within a quarter, over the last one to two
/// minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DelayPercentiles {
    /// Half of the frames were faster.
    #[serde(rename = "delay_p50_us", serialize_with = "microseconds")]
    pub p50_ms: f64,
    /// 95 % were.
    #[serde(rename = "delay_p95_us", serialize_with = "microseconds")]
    pub p95_ms: f64,
    /// 99 % were.
    #[serde(rename = "delay_p99_us", serialize_with = "microseconds")]
    pub p99_ms: f64,
    /// Frames counted.
    #[serde(rename = "delay_frames")]
    pub frames: u64,
}

fn microseconds<S: Serializer>(milliseconds: &f64, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64((milliseconds * 1000.0) as u64)
}

/// Counts delays in buckets that grow by about a quarter: four to an octave from
/// 16 us to 17 s.
#[derive(Clone, Debug)]
pub(crate) struct DelayHistogram {
    buckets: [u32; DelayHistogram::BUCKETS],
}

/// Frames that were delayed, and for how long all together. It never falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delayed {
    pub(crate) frames: u64,
    pub(crate) micros: u64,
}

impl Delayed {
    pub(crate) fn add(&mut self, other: Delayed) {
        self.frames += other.frames;
        self.micros += other.micros;
    }

    /// What has come to it since it was this.
    pub(crate) fn since(self, before: Delayed) -> Delayed {
        Delayed {
            frames: self.frames - before.frames,
            micros: self.micros - before.micros,
        }
    }
}

/// Messages of streams that a connection was sent whole.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) messages: u64,
    /// Of their payload.
    pub(crate) bytes: u64,
}

/// Measures how long a player's frames were in the server.
///
/// With hundreds of players the histograms have left the caches from one frame to the
/// next: one is written to for many frames at once.
#[derive(Debug, Default)]
pub(crate) struct DelayMeter {
    /// What arrived by then was kept for whoever joins, and has no delay to speak of.
    joined: Time,
    /// When the window that goes on is over.
    until: Time,
    recent: Recent,
    sent: Sent,
    delayed_micros: u64,
    windows: Box<Windows>,
}

/// The newest frames, which the histogram does not have yet, by their buckets: three bits for
/// each bucket from 16 us to 23 ms, in which a player that keeps up has them.
#[derive(Clone, Copy, Debug, Default)]
struct Recent([u64; 2]);

#[derive(Debug, Default)]
struct Windows {
    /// Messages that had been kept for the player when it joined.
    kept: u64,
    newer: DelayHistogram,
    older: DelayHistogram,
}

impl Recent {
    const FIRST: u8 = DelayHistogram::bucket(16);
    const BUCKETS: u8 = 2 * Self::IN_WORD;
    const IN_WORD: u8 = 21;
    const MAX: u64 = 0b111;

    /// Counts a frame. False if there is no room for it.
    #[inline]
    fn add(&mut self, bucket: u8) -> bool {
        let place = bucket.wrapping_sub(Self::FIRST);
        let (word, place) = match place.checked_sub(Self::IN_WORD) {
            None => (&mut self.0[0], place),
            Some(place) if place < Self::IN_WORD => (&mut self.0[1], place),
            Some(_) => return false,
        };
        let shift = place * 3;
        let is_full = *word >> shift & Self::MAX == Self::MAX;
        if !is_full {
            *word += 1 << shift;
        }
        !is_full
    }

    /// There is a place for this bucket.
    fn has(bucket: u8) -> bool {
        bucket.wrapping_sub(Self::FIRST) < Self::BUCKETS
    }

    /// Buckets with frames, and how many each has.
    fn counts(self) -> impl Iterator<Item = (u8, u64)> {
        let words = [Self::FIRST, Self::FIRST + Self::IN_WORD]
            .into_iter()
            .zip(self.0);
        words.flat_map(|(first, mut word)| {
            std::iter::from_fn(move || {
                let place = (word != 0).then(|| word.trailing_zeros() as u8 / 3)?;
                let count = word >> (place * 3) & Self::MAX;
                word &= !(Self::MAX << (place * 3));
                Some((first + place, count))
            })
        })
    }
}

impl DelayMeter {
    /// The player joins: it gets what was kept.
    pub(crate) fn join(&mut self, now: Time) {
        self.joined = now;
    }

    /// A message with so many bytes of payload that arrived at one time was sent at another.
    #[inline]
    pub(crate) fn record_sent(&mut self, bytes: usize, received: Time, now: Time) {
        self.sent.messages += 1;
        self.sent.bytes += bytes as u64;
        if received <= self.joined {
            self.windows.kept += 1;
            return;
        }
        let micros = now.as_micros().saturating_sub(received.as_micros());
        self.delayed_micros += micros;
        let bucket = DelayHistogram::bucket(micros);
        if now >= self.until || !self.recent.add(bucket) {
            self.settle(bucket, now);
        }
    }

    /// The histogram gets a frame that has no room among the newest ones, and these if it is
    /// for them. The next window begins once the one that goes on is over.
    #[cold]
    fn settle(&mut self, bucket: u8, now: Time) {
        let Windows { newer, older, .. } = &mut *self.windows;
        if now >= self.until || Recent::has(bucket) {
            newer.add_all(std::mem::take(&mut self.recent));
        }
        if now >= self.until {
            *older = std::mem::take(newer);
            if now >= self.until + WINDOW {
                *older = DelayHistogram::default();
            }
            self.until = now + WINDOW;
        }
        newer.add(bucket, 1);
    }

    pub(crate) fn sent(&self) -> Sent {
        self.sent
    }

    /// Since it was made.
    pub(crate) fn delayed(&self) -> Delayed {
        Delayed {
            frames: self.sent.messages - self.windows.kept,
            micros: self.delayed_micros,
        }
    }

    /// Of the last one to two windows.
    pub(crate) fn histogram(&self, now: Time) -> DelayHistogram {
        let mut histogram = DelayHistogram::default();
        if now < self.until {
            histogram.merge(&self.windows.older);
        }
        if now < self.until + WINDOW {
            histogram.merge(&self.windows.newer);
            histogram.add_all(self.recent);
        }
        histogram
    }
}

impl DelayHistogram {
    const BUCKETS: usize = 82;

    /// The place of a delay: four to each doubling, from 16 microseconds on. Never the
    /// first, which stays empty.
    const fn bucket(micros: u64) -> u8 {
        let micros = if micros < 16 { 16 } else { micros };
        let octave = micros.ilog2();
        let quarter = (micros >> (octave - 2)) & 3;
        let index = (octave as u64 - 4) * 4 + quarter + 1;
        let last = Self::BUCKETS as u64 - 1;
        if index < last {
            index as u8
        } else {
            last as u8
        }
    }

    fn add_all(&mut self, frames: Recent) {
        for (bucket, count) in frames.counts() {
            self.add(bucket, count);
        }
    }

    fn add(&mut self, bucket: u8, frames: u64) {
        if let Some(total) = self.buckets.get_mut(usize::from(bucket)) {
            *total = total.saturating_add(frames as u32);
        }
    }

    pub(crate) fn merge(&mut self, other: &DelayHistogram) {
        for (a, b) in self.buckets.iter_mut().zip(&other.buckets) {
            *a = a.saturating_add(*b);
        }
    }

    pub(crate) fn percentiles(&self) -> DelayPercentiles {
        let frames: u64 = self.buckets.iter().map(|&n| u64::from(n)).sum();
        let at = |share: f64| {
            let rank = (frames as f64 * share).ceil() as u64;
            let mut seen = 0;
            for (index, &n) in self.buckets.iter().enumerate() {
                seen += u64::from(n);
                if n > 0 && seen >= rank {
                    let (octave, quarter) = ((index - 1) / 4 + 4, (index - 1) % 4);
                    // The bucket's upper end: never promise less than was seen.
                    return ((1u64 << octave) as f64 * (1.0 + (quarter + 1) as f64 / 4.0)) / 1000.0;
                }
            }
            0.0
        };
        DelayPercentiles {
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            frames,
        }
    }
}

impl Default for DelayHistogram {
    fn default() -> DelayHistogram {
        DelayHistogram {
            buckets: [0; DelayHistogram::BUCKETS],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Time {
        Time::from_micros(1 + seconds * 1_000_000)
    }

    fn of(delays: impl IntoIterator<Item = Duration>) -> DelayMeter {
        let mut meter = DelayMeter::default();
        for delay in delays {
            meter.record_sent(10, after(0), after(0) + delay);
        }
        meter
    }

    fn percentiles(meter: &DelayMeter, seconds: u64) -> DelayPercentiles {
        meter.histogram(after(seconds)).percentiles()
    }

    #[test]
    fn percentiles_are_within_a_quarter() {
        let p = percentiles(&of((1..=100).map(Duration::from_millis)), 1);
        assert!((50.0..=62.5).contains(&p.p50_ms), "{p:?}");
        assert!((99.0..=124.0).contains(&p.p99_ms), "{p:?}");
        assert_eq!(p.frames, 100);
    }

    #[test]
    fn every_frame_is_counted_wherever_it_waits_to_be() {
        for frames in 0..40 {
            let meter = of((0..frames).map(Duration::from_millis));
            assert_eq!(percentiles(&meter, 1).frames, frames);
            assert_eq!(meter.delayed().frames, frames);
            assert_eq!(meter.delayed().micros, (0..frames).sum::<u64>() * 1000);
            assert_eq!(
                (meter.sent().messages, meter.sent().bytes),
                (frames, 10 * frames)
            );
        }
    }

    #[test]
    fn extremes_have_a_bucket() {
        for delay in [Duration::ZERO, Duration::from_secs(3600)] {
            assert_eq!(percentiles(&of([delay]), delay.as_secs()).frames, 1);
        }
    }

    #[test]
    fn as_many_frames_of_one_delay_as_there_are_have_that_delay() {
        // In and above what is counted apart from the histogram.
        for micros in [16, 20, 700, 22_000, 25_000, 100_000] {
            for frames in [1, 6, 7, 8, 9, 100] {
                let p = percentiles(&of(vec![Duration::from_micros(micros); frames]), 1);
                let exact = micros as f64 / 1000.0;
                assert!(
                    p.p50_ms >= exact && p.p99_ms <= exact * 1.25,
                    "{micros} {p:?}"
                );
                assert_eq!(p.frames, frames as u64);
            }
        }
    }

    #[test]
    fn what_was_kept_for_a_player_that_joins_has_no_delay() {
        let mut meter = DelayMeter::default();
        meter.join(after(5));
        meter.record_sent(10, after(5), after(9));
        assert_eq!(percentiles(&meter, 9).frames, 0);
        assert_eq!(meter.sent().messages, 1);
    }

    #[test]
    fn percentiles_forget_what_is_two_windows_old_and_counts_do_not() {
        let mut meter = DelayMeter::default();
        let mut second = |from: u64, delay: Duration| {
            // As many as are counted at once.
            for _ in 0..8 {
                let sent = after(from);
                let received = Time::from_micros(sent.as_micros() - delay.as_micros() as u64);
                meter.record_sent(1, received, sent);
            }
            (percentiles(&meter, from), meter.delayed().frames)
        };
        let (slow, fast) = (Duration::from_millis(800), Duration::from_millis(1));
        assert_eq!(second(100, slow).0.frames, 8);
        let (both, _) = second(165, fast);
        assert_eq!(both.frames, 16);
        assert!(both.p99_ms > 700.0, "{both:?}");
        let (now, ever) = second(230, fast);
        assert_eq!((now.frames, ever), (16, 24));
        assert!(now.p99_ms < 2.0, "{now:?}");
        // Nothing is sent any more.
        assert_eq!(percentiles(&meter, 230 + 61).frames, 8);
        assert_eq!(percentiles(&meter, 230 + 121).frames, 0);
    }
}
