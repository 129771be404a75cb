//! How it goes, in one line at the foot of the terminal.

use std::time::{Duration, Instant};

use crate::console;
use crate::units::{bit_rate, bits_per_second, clock};

/// How often the line changes, at most.
const INTERVAL: Duration = Duration::from_millis(100);
/// Cells of the bar.
const CELLS: u64 = 20;

/// A line at the foot of the terminal, with a bar where the end is known. Nothing where
/// there is no terminal.
pub(crate) struct Progress {
    length: Option<u64>,
    position: u64,
    rate: Rate,
    shown: Option<Instant>,
}

impl Progress {
    /// Of work that ends at `length` (of any unit), if it ends.
    pub(crate) fn new(length: Option<u64>) -> Progress {
        Progress {
            length,
            position: 0,
            rate: Rate::new(Instant::now()),
            shown: None,
        }
    }

    /// How far it has come, in the unit of the length.
    pub(crate) fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    /// Shows the time in the stream, the current bit rate of a byte counter that
    /// stands at `bytes`, and some more words.
    pub(crate) fn show(&mut self, position: Duration, bytes: u64, more: impl FnOnce() -> String) {
        let now = Instant::now();
        self.rate.update(now, bytes);
        let rate = self.rate.bits_per_second;
        self.show_text(|| format!("{}  {}  {}", clock(position), bit_rate(rate), more()));
    }

    /// Shows these words.
    pub(crate) fn show_text(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        let early = |shown| now.saturating_duration_since(shown) < INTERVAL;
        if !console::has_foot() || self.shown.is_some_and(early) {
            return;
        }
        self.shown = Some(now);
        let text = match self.length {
            Some(length) => format!("{}  {}", bar(self.position, length), text()),
            None => text(),
        };
        console::show(Some(text));
    }
}

impl Drop for Progress {
    /// Takes the line away.
    fn drop(&mut self) {
        if self.shown.is_some() {
            console::show(None);
        }
    }
}

/// `[=====>    ]  42 %`.
fn bar(position: u64, length: u64) -> String {
    let length = length.max(1);
    let position = u128::from(position.min(length));
    let part = |of: u64| (position * u128::from(of) / u128::from(length)) as usize;
    let full = "=".repeat(part(CELLS));
    format!(
        "[{full:<width$}] {:>3} %",
        part(100),
        width = CELLS as usize
    )
}

/// The bit rate of a byte counter, measured anew every second.
struct Rate {
    since: Instant,
    bytes: u64,
    bits_per_second: f64,
}

impl Rate {
    fn new(now: Instant) -> Rate {
        Rate {
            since: now,
            bytes: 0,
            bits_per_second: 0.0,
        }
    }

    fn update(&mut self, now: Instant, bytes: u64) {
        let passed = now.saturating_duration_since(self.since);
        if passed >= Duration::from_secs(1) {
            self.bits_per_second = bits_per_second(bytes.saturating_sub(self.bytes), passed);
            self.since = now;
            self.bytes = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_up_and_no_further() {
        assert_eq!(bar(0, 0), "[                    ]   0 %");
        assert_eq!(bar(21, 50), "[========            ]  42 %");
        assert_eq!(bar(u64::MAX, 50), "[====================] 100 %");
        assert_eq!(bar(u64::MAX - 1, u64::MAX), "[=================== ]  99 %");
    }

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        rate.update(start + Duration::from_millis(500), 1_000);
        assert_eq!(rate.bits_per_second, 0.0, "too early to tell");
        rate.update(start + Duration::from_secs(1), 125_000);
        assert_eq!(rate.bits_per_second, 1e6);
        rate.update(start + Duration::from_secs(3), 125_000);
        assert_eq!(rate.bits_per_second, 0.0);
    }
}
