//! Sound whose times are off: whether they are wrong, or sound is missing.
//!
//! Encoders give a frame now and then a time that is none of its, and the next again one that
//! is; where that is earlier, it arrives as one that is a millisecond later, and so on until time
//! has caught up. Were such times believed, a hole would be listed, and frames behind it would be
//! too late for their places. So a frame that is not where those before it end waits for two more:
//! if they go on from it, each by the length of the one before, that is where sound is from there
//! on; otherwise its place is the end of those before. Where times are never even those of another
//! place are believed when they have been so for a second.

use std::collections::VecDeque;

use super::track::Held;

/// A frame may be so far from the end of those before it: microseconds.
const TOLERANCE: i64 = 60_000;
/// So many frames in a row are believed that are elsewhere, and go on from each other.
const AGREEING: usize = 3;

/// The times of one track of sound, counted in samples.
#[derive(Debug)]
pub(super) struct Steady<D> {
    count: Option<Count>,
    /// Those that are ready first.
    frames: VecDeque<Timed<D>>,
    /// So many have their time.
    ready: usize,
    /// Samples of those in a row that were elsewhere and are not believed.
    astray: u64,
}

#[derive(Debug)]
struct Timed<D> {
    held: Held<D>,
    /// When it came.
    wall: i64,
    samples: u32,
}

impl<D> Timed<D> {
    fn told(&self) -> i64 {
        self.held.frame.dts
    }
}

/// Samples from a time on that was told.
#[derive(Clone, Copy, Debug)]
struct Count {
    /// The publisher's time, in microseconds.
    since: i64,
    samples: u64,
    rate: u32,
}

impl Count {
    fn from(since: i64, rate: u32) -> Count {
        Count {
            since,
            samples: 0,
            rate,
        }
    }

    /// Where the samples end: the publisher's time, in microseconds.
    fn end(&self) -> i64 {
        let micros = u128::from(self.samples) * 1_000_000 / u128::from(self.rate.max(1));
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        self.since.saturating_add(micros)
    }

    fn plus(mut self, samples: u32) -> Count {
        self.samples = self.samples.saturating_add(samples.into());
        self
    }

    /// How far this time is from the end.
    fn off(&self, told: i64) -> u64 {
        told.abs_diff(self.end())
    }
}

impl<D> Default for Steady<D> {
    fn default() -> Steady<D> {
        Steady {
            count: None,
            frames: VecDeque::new(),
            ready: 0,
            astray: 0,
        }
    }
}

impl<D: AsRef<[u8]>> Steady<D> {
    /// A frame came at this wall time. `length` is that of the frame in samples, and how many
    /// there are in a second; where it is not known the time is what is told. A clock that is
    /// elsewhere by more than `jump` microseconds is another from there on.
    pub(super) fn push(&mut self, held: Held<D>, wall: i64, length: Option<(u32, u32)>, jump: i64) {
        let told = held.frame.dts;
        let (samples, rate) = length.unwrap_or_default();
        let frame = Timed {
            held,
            wall,
            samples,
        };
        let due = self.count.map(|count| {
            let waiting = self.frames.iter().skip(self.ready);
            waiting.fold(count, |count, frame| count.plus(frame.samples))
        });
        let is_same = |due: &Count| length.is_some() && due.off(told) <= jump.unsigned_abs();
        match due.filter(is_same) {
            None => {
                self.settle();
                self.count = length.map(|_| Count::from(told, rate));
                self.frames.push_back(frame);
                self.settle();
            }
            Some(due) => {
                self.frames.push_back(frame);
                if due.off(told) <= TOLERANCE.unsigned_abs() {
                    self.settle();
                } else if self.frames.len() - self.ready >= AGREEING {
                    self.decide(rate);
                }
            }
        }
    }

    /// As many frames in a row as are believed are off.
    fn decide(&mut self, rate: u32) {
        let waiting = || self.frames.iter().skip(self.ready);
        let are_even = waiting().zip(waiting().skip(1)).all(|(one, next)| {
            let length = Count::from(0, rate).plus(one.samples).end();
            let apart = next.told().saturating_sub(one.told());
            apart.abs_diff(length) <= length.unsigned_abs() / 2
        });
        let Some(first) = waiting().next() else {
            return;
        };
        if are_even || self.astray >= rate.into() {
            self.count = Some(Count::from(first.told(), rate));
            self.settle();
        } else {
            self.astray += u64::from(first.samples);
            self.place_next();
        }
    }

    /// Those that wait go on from those before them.
    pub(super) fn settle(&mut self) {
        self.astray = 0;
        while self.ready < self.frames.len() {
            self.place_next();
        }
    }

    /// The first one that waits goes on from those before it.
    fn place_next(&mut self) {
        let Some(next) = self.frames.get_mut(self.ready) else {
            return;
        };
        self.ready += 1;
        if let Some(count) = &mut self.count {
            let frame = &mut next.held.frame;
            let later = frame.pts.saturating_sub(frame.dts);
            frame.dts = count.end();
            frame.pts = frame.dts.saturating_add(later);
            *count = count.plus(next.samples);
        }
    }

    /// The next frame that has its time, with the wall time at which it came.
    pub(super) fn pop(&mut self) -> Option<(Held<D>, i64)> {
        self.ready = self.ready.checked_sub(1)?;
        let next = self.frames.pop_front()?;
        Some((next.held, next.wall))
    }

    /// Bytes of what waits.
    pub(super) fn held_bytes(&self) -> usize {
        self.frames.iter().map(|frame| frame.held.bytes()).sum()
    }
}
