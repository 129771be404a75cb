//! Counts what a thread allocates, so that a target can say how much memory its
//! input may cost.
#![allow(
    unsafe_code,
    reason = "an allocator is an unsafe trait; this one hands everything on"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with the bytes of each thread counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Bytes allocated less bytes freed. Below zero where a thread frees what
    /// another one allocated.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // At a thread's very end there is nothing left to count with.
    let _ = HELD.try_with(|held| {
        let now = held.get() + change;
        held.set(now);
        PEAK.set(PEAK.get().max(now));
    });
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise is the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Runs `body`; what it returns, and the most bytes that this thread held on its
/// behalf at one time.
pub fn peak_of<T>(body: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = body();
    let peak = PEAK.get() - before;
    (result, usize::try_from(peak).unwrap_or(0))
}

/// Runs `body`, which may hold at most `limit` bytes at one time.
///
/// # Panics
/// If it held more.
pub fn within<T>(limit: usize, body: impl FnOnce() -> T) -> T {
    let (result, peak) = peak_of(body);
    assert!(peak <= limit, "held {peak} bytes, {limit} are allowed");
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_at_one_time_is_counted_and_what_was_freed_is_not() {
        let ((), peak) = peak_of(|| {
            for _ in 0..10 {
                drop(vec![0u8; 10_000]);
            }
            let _two = [vec![0u8; 10_000], Vec::with_capacity(10_000)];
        });
        assert_eq!(peak, 20_000);
    }

    #[test]
    #[should_panic(expected = "held 101 bytes, 100 are allowed")]
    fn more_than_the_limit_is_told() {
        within(100, || drop(vec![0u8; 101]));
    }
}
