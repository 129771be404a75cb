//! The edge between C and Rust. Every export is one call of [`status`], [`value`]
//! or [`nothing`]: no panic crosses, and every failure has a code and a message.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Failure, OPENRTMP_ERROR_PANIC, OPENRTMP_OK, remember};
use crate::server;

thread_local! {
    static PANIC: Cell<bool> = const { Cell::new(false) };
}

/// For tests: the next export called on this thread panics inside.
#[doc(hidden)]
pub fn panic_on_purpose() {
    PANIC.set(true);
}

/// Runs an export that returns a code.
pub(crate) fn status(body: impl FnOnce() -> Result<(), Failure>) -> i32 {
    match guarded(body) {
        Some(Ok(())) => OPENRTMP_OK,
        Some(Err(failure)) => {
            remember(&failure.message);
            failure.code
        }
        None => OPENRTMP_ERROR_PANIC,
    }
}

/// Runs an export that returns something else; `fallback` after a panic.
pub(crate) fn value<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    guarded(body).unwrap_or(fallback)
}

/// Runs an export that returns nothing.
pub(crate) fn nothing(body: impl FnOnce()) {
    value((), body);
}

fn guarded<T>(body: impl FnOnce() -> T) -> Option<T> {
    // What a body was changing is behind locks that outlive poisoning, or is the
    // caller's own handle, which is documented to work on.
    let result = catch_unwind(AssertUnwindSafe(|| {
        assert!(!PANIC.take(), "on purpose");
        body()
    }));
    result
        .map_err(|panic| {
            let message = format!("a bug in openrtmp: {}", describe(&*panic));
            log::error!("{message}");
            remember(&message);
            server::report_bug(&message);
        })
        .ok()
}

fn describe(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
}
