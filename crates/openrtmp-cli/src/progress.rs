//! The terminal: a line at its foot that shows how it goes, and messages that
//! pass above it.

use std::io::{self, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::units::{bit_rate, bits_per_second, clock};

/// Standard error. Whatever is written there goes through it, lest it end up in
/// the middle of the line. Draws nothing unless standard error is a terminal.
static SCREEN: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Prints a line for people.
pub(crate) fn say(line: &str) {
    // Standard error may be closed; the work goes on all the same.
    let _ = SCREEN.suspend(|| writeln!(io::stderr(), "{line}"));
}

/// Standard error for the logger.
pub(crate) struct LogOutput;

impl Write for LogOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SCREEN.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// A line at the foot of the terminal, with a bar where the end is known.
pub(crate) struct Progress {
    bar: ProgressBar,
    rate: Rate,
}

impl Progress {
    /// Of work that ends at `length` (of any unit), if it ends.
    pub(crate) fn new(length: Option<u64>) -> Progress {
        let (bar, template) = match length {
            Some(length) => (
                ProgressBar::new(length),
                "{bar:30.cyan/blue} {percent:>3} %  {msg}",
            ),
            None => (ProgressBar::new_spinner(), "{msg}"),
        };
        let bar = SCREEN.add(bar);
        // The templates are constants; a wrong one would only look plain.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress {
            bar,
            rate: Rate::new(Instant::now()),
        }
    }

    /// How far it has come, in the unit of the length.
    pub(crate) fn set_position(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Shows the time in the stream, the current bit rate of a byte counter that
    /// stands at `bytes`, and some more words.
    pub(crate) fn show(&mut self, position: Duration, bytes: u64, more: &str) {
        self.rate.update(Instant::now(), bytes);
        let rate = bit_rate(self.rate.bits_per_second);
        self.show_text(|| format!("{}  {rate}  {more}", clock(position)));
    }

    /// Shows these words.
    pub(crate) fn show_text(&self, text: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            self.bar.set_message(text());
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
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
