//! What tests of the command share.

use std::time::{Duration, Instant};

/// What a test waits for is there by then, on a machine with other work too.
const DEADLINE: Duration = Duration::from_secs(60);

/// Looks again and again until something is so that nobody tells of.
///
/// # Panics
/// If it is not within a minute.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(
            Instant::now() < deadline,
            "waited {DEADLINE:?} until {what}"
        );
        std::thread::yield_now();
    }
}
