//! Bytes that are kept for viewers, of all streams together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is kept, of all streams together.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicU64);

impl Budget {
    /// Bytes that are kept.
    pub(crate) fn held(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream's part of it, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    pub(crate) fn new(budget: &Arc<Budget>) -> Charge {
        Charge {
            budget: budget.clone(),
            bytes: 0,
        }
    }

    /// So much is kept now.
    pub(crate) fn set(&mut self, bytes: u64) {
        match bytes >= self.bytes {
            true => self
                .budget
                .0
                .fetch_add(bytes - self.bytes, Ordering::Relaxed),
            false => self
                .budget
                .0
                .fetch_sub(self.bytes - bytes, Ordering::Relaxed),
        };
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted_until_it_is_given_back() {
        let budget = Arc::new(Budget::default());
        let (mut one, mut other) = (Charge::new(&budget), Charge::new(&budget));
        one.set(10);
        other.set(5);
        one.set(7);
        assert_eq!(budget.held(), 12);
        drop(one);
        assert_eq!(budget.held(), 5);
        drop(other);
        assert_eq!(budget.held(), 0);
    }
}
