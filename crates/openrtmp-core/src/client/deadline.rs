use std::time::{Duration, Instant};

/// When a wait is over, whatever happens meanwhile.
///
/// It is a point of time, not a pause: a peer that says something again and again,
/// nothing of use among it, does not put it off. Waits that share one deadline are over
/// together.
///
/// ```
/// use std::time::Duration;
/// use openrtmp_core::client::Deadline;
///
/// let whole = Deadline::after(Duration::from_secs(10));
/// let step = whole.earlier(Deadline::after(Duration::from_secs(3)));
/// assert!(step.left().unwrap() <= Duration::from_secs(3));
/// assert!(Deadline::after(Duration::ZERO).is_over());
/// assert!(!Deadline::NEVER.is_over());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// It does not come.
    pub const NEVER: Deadline = Deadline(None);

    /// So long from now; never, if no clock reaches that far.
    pub fn after(time: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(time))
    }

    /// Whichever comes first.
    #[must_use]
    pub fn earlier(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Deadline(Some(a.min(b))),
            (a, b) => Deadline(a.or(b)),
        }
    }

    /// True once it has come.
    pub fn is_over(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    /// The time until it comes, zero once it has; `None` if it never does.
    pub fn left(self) -> Option<Duration> {
        let at = self.0?;
        Some(at.saturating_duration_since(Instant::now()))
    }
}

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Deadline {
        Deadline(Some(at))
    }
}
