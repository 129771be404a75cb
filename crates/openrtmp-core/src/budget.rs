//! The memory that peers can make the server hold, counted against one limit.

use std::sync::Arc;

use crate::sync::atomic::{AtomicUsize, Ordering};

/// A limit and what is used of it. Relaxed atomics: a sum, not a lock.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Budget> {
        Arc::new(Budget {
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        })
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// True once nothing more should be taken on.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.used() >= self.limit()
    }
}

/// Bytes taken from a [`Budget`], given back on drop.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    pub(crate) fn new(budget: &Arc<Budget>, bytes: usize) -> Charge {
        budget.used.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            budget: budget.clone(),
            bytes,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes the amount, for holders that grow and shrink.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.budget
                .used
                .fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else if bytes < self.bytes {
            self.budget
                .used
                .fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes that one producer has on their way to a worker.
#[derive(Debug, Default)]
pub(crate) struct InFlight(AtomicUsize);

/// Bytes in flight, given back on drop: when the worker has taken them.
#[derive(Debug)]
pub(crate) struct Credit {
    in_flight: Arc<InFlight>,
    bytes: usize,
}

impl Credit {
    /// `None` while more than `limit` bytes are on their way.
    pub(crate) fn take(in_flight: &Arc<InFlight>, bytes: usize, limit: usize) -> Option<Credit> {
        let before = in_flight.0.fetch_add(bytes, Ordering::Relaxed);
        let credit = Credit {
            in_flight: in_flight.clone(),
            bytes,
        };
        (before <= limit).then_some(credit)
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.in_flight.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_come_back() {
        let budget = Budget::new(100);
        let mut a = Charge::new(&budget, 60);
        let b = Charge::new(&budget, 40);
        assert!(budget.is_exhausted());
        drop(b);
        a.set(10);
        assert_eq!(budget.used(), 10);
        drop(a);
        assert_eq!(budget.used(), 0);
    }
}
