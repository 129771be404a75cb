//! What one producer has on its way to a worker, and how much it may have.

use std::sync::Arc;

use crate::budget::{Budget, Charge};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a message takes at most in the queue of a worker, beside itself.
pub(crate) const COMMAND_BYTES: usize = 128;

/// How much one producer may have on its way at once. What reaches it still goes: one
/// message more than that may be on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
}

/// What one producer has on its way to a worker.
#[derive(Debug)]
pub(crate) struct InFlight {
    bytes: AtomicUsize,
    messages: AtomicUsize,
    allowance: Allowance,
    /// The producer waits for credit, and is to be told of it.
    waited_for: AtomicBool,
}

/// How much of its allowance a producer has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// There is credit.
    Within,
    /// All of it.
    Spent,
    /// Twice as much.
    FarBeyond,
}

/// A message in flight, given back on drop: when the worker has taken it.
#[derive(Debug)]
pub(crate) struct Credit {
    in_flight: Arc<InFlight>,
    bytes: usize,
    _charge: Charge,
}

impl InFlight {
    pub(crate) fn new(allowance: Allowance) -> Arc<InFlight> {
        Arc::new(InFlight {
            bytes: AtomicUsize::new(0),
            messages: AtomicUsize::new(0),
            allowance,
            waited_for: AtomicBool::new(false),
        })
    }

    pub(crate) fn level(&self) -> Level {
        let bytes = self.bytes.load(Ordering::SeqCst) / self.allowance.bytes.max(1);
        let messages = self.messages.load(Ordering::SeqCst) / self.allowance.messages.max(1);
        match bytes.max(messages) {
            0 => Level::Within,
            1 => Level::Spent,
            _ => Level::FarBeyond,
        }
    }

    /// True if it is its messages that are too many, whatever its bytes.
    pub(crate) fn is_full_of_messages(&self) -> bool {
        self.messages.load(Ordering::SeqCst) >= self.allowance.messages
    }

    /// Takes credit for a message, whether there is any or not. While it is in flight,
    /// `charged` bytes are counted.
    pub(crate) fn take(
        self: &Arc<Self>,
        bytes: usize,
        charged: usize,
        budget: &Arc<Budget>,
    ) -> Credit {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.messages.fetch_add(1, Ordering::SeqCst);
        Credit {
            in_flight: self.clone(),
            bytes,
            _charge: Charge::new(budget, charged + COMMAND_BYTES),
        }
    }

    /// True if there is no credit: then the producer is to wait, and whoever gives some
    /// back is told so by [`Credit::give_back`].
    pub(crate) fn must_wait(&self) -> bool {
        if self.level() == Level::Within {
            return false;
        }
        self.waited_for.store(true, Ordering::SeqCst);
        // All may have been given back before the flag was up.
        if self.has_plenty() && self.waited_for.swap(false, Ordering::SeqCst) {
            return false;
        }
        true
    }

    /// True while the producer waits.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waited_for.load(Ordering::SeqCst)
    }

    /// At most half of it is used: enough for more than one message.
    fn has_plenty(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) <= self.allowance.bytes / 2
            && self.messages.load(Ordering::SeqCst) <= self.allowance.messages / 2
    }
}

impl Credit {
    /// Gives it back. True if the producer waits and may go on: it is to be told.
    pub(crate) fn give_back(self) -> bool {
        let in_flight = self.in_flight.clone();
        drop(self);
        in_flight.is_waited_for()
            && in_flight.has_plenty()
            && in_flight.waited_for.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.in_flight.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        self.in_flight.messages.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_messages_are_given_as_credit_and_given_back() {
        let budget = Budget::new(usize::MAX);
        for allowance in [(1000, 10), (10, 1000)] {
            let (bytes, messages) = allowance;
            let in_flight = InFlight::new(Allowance { bytes, messages });
            let mut taken = Vec::new();
            for n in 0..20 {
                let level = in_flight.level();
                assert_eq!(level == Level::Within, n < 10);
                assert_eq!(in_flight.must_wait(), n >= 10);
                taken.push(in_flight.take(1, 100, &budget));
            }
            assert_eq!(in_flight.level(), Level::FarBeyond);
            assert!(budget.used() >= 20 * 100);
            let told = taken.drain(..).map(Credit::give_back);
            let told: Vec<bool> = told.collect();
            let first = told.iter().position(|told| *told);
            assert_eq!(first, Some(14), "once half of it is there again");
            assert_eq!(told.iter().filter(|told| **told).count(), 1);
            assert_eq!((in_flight.level(), budget.used()), (Level::Within, 0));
        }
    }
}
