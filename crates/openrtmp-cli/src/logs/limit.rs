//! Lines of the command's own that somebody else causes: so many a second, as those of the
//! server (`limits.log_lines`).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What `limits.log_lines` counts by.
const WINDOW: Duration = Duration::from_secs(1);

/// Lines of one kind.
pub(crate) struct LineLimit {
    /// What they tell of.
    what: &'static str,
    window: Mutex<Window>,
}

struct Window {
    begun: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl LineLimit {
    pub(crate) const fn new(what: &'static str) -> LineLimit {
        let window = Window {
            begun: None,
            lines: 0,
            suppressed: 0,
        };
        LineLimit {
            what,
            window: Mutex::new(window),
        }
    }

    /// Whether a line may be written now; zero a second is no limit. How many were held back
    /// is told with the next that may.
    pub(crate) fn admits(&self, per_second: u32, now: Instant) -> bool {
        if per_second == 0 {
            return true;
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held_back = 0;
        if window.begun.is_none_or(|begun| now >= begun + WINDOW) {
            held_back = window.suppressed;
            *window = Window {
                begun: Some(now),
                lines: 0,
                suppressed: 0,
            };
        }
        let admitted = window.lines < per_second;
        match admitted {
            true => window.lines += 1,
            false => window.suppressed += 1,
        }
        drop(window);
        if held_back > 0 {
            let what = self.what;
            log::warn!(lines = held_back; "{held_back} more lines suppressed: {what}");
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_are_written_and_the_next_goes_on() {
        let limit = LineLimit::new("trouble");
        let begun = Instant::now();
        let admitted = |at: Duration| (0..9).filter(|_| limit.admits(3, begun + at)).count();
        assert_eq!(admitted(Duration::ZERO), 3);
        assert_eq!(admitted(Duration::from_millis(999)), 0);
        assert_eq!(admitted(WINDOW), 3);
        assert!((0..99).all(|_| limit.admits(0, begun + WINDOW)), "no limit");
    }
}
