//! Calling into C.

use std::cell::Cell;
use std::ffi::c_void;

use crate::error::{Failure, OPENRTMP_ERROR_RECURSIVE};

/// The host's pointer, as opaque here as it is to C.
#[derive(Clone, Copy)]
pub(crate) struct UserData(pub(crate) *mut c_void);

// SAFETY: it is never followed here; the header tells which threads it reaches.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

thread_local! {
    /// The object whose callback this thread is inside of.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// Marks this thread as inside a callback of `object` while `call` runs.
pub(crate) fn inside<T>(object: usize, call: impl FnOnce() -> T) -> T {
    let before = INSIDE.replace(object);
    let result = call();
    INSIDE.set(before);
    result
}

/// Refuses what would wait for the callback that it was called from.
pub(crate) fn refuse_inside(object: usize, what: &str) -> Result<(), Failure> {
    if INSIDE.get() != object {
        return Ok(());
    }
    let message = format!("{what} waits for the callback it was called from");
    Err(Failure::new(OPENRTMP_ERROR_RECURSIVE, message))
}
