//! Steps that code takes, counted in test builds only: what something costs, whether or
//! not it says so in units of work.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// A packet put before a player, in steps.
pub(crate) const DELIVERY: usize = 10;

/// Something is done for each of so many entries.
#[inline(always)]
pub(crate) fn walk(entries: usize) {
    #[cfg(test)]
    STEPS.with(|steps| steps.set(steps.get() + entries as u64));
    #[cfg(not(test))]
    let _ = entries;
}

/// Steps of this thread so far.
#[cfg(test)]
pub(crate) fn taken() -> u64 {
    STEPS.with(Cell::get)
}
