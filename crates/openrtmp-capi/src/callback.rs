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

/// Which callback of an object a thread is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// The last.
    Closed,
    /// Any other.
    Other,
}

thread_local! {
    /// The object whose callback this thread is inside of.
    static INSIDE: Cell<(usize, Call)> = const { Cell::new((0, Call::Other)) };
}

/// Marks this thread as inside a callback of `object` while `call` runs.
pub(crate) fn inside<T>(object: usize, which: Call, call: impl FnOnce() -> T) -> T {
    let before = INSIDE.replace((object, which));
    let result = call();
    INSIDE.set(before);
    result
}

/// The callback of `object` that this thread is inside of.
pub(crate) fn inside_of(object: usize) -> Option<Call> {
    let (inside, which) = INSIDE.get();
    (inside == object).then_some(which)
}

/// Refuses what would wait for the callback that it was called from.
pub(crate) fn refuse_inside(object: usize, what: &str) -> Result<(), Failure> {
    match inside_of(object) {
        None => Ok(()),
        Some(_) => Err(recursive(what)),
    }
}

/// That something waits for the callback it was called from.
pub(crate) fn recursive(what: &str) -> Failure {
    let message = format!("{what} waits for the callback it was called from");
    Failure::new(OPENRTMP_ERROR_RECURSIVE, message)
}
