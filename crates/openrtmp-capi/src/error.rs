//! Error codes and their texts.

use std::cell::UnsafeCell;
use std::ffi::c_char;

use openrtmp_core::ErrorCode;

use crate::boundary;

/// Success.
pub const OPENRTMP_OK: i32 = 0;
/// An argument is NULL that must not be, or has a value that means nothing.
pub const OPENRTMP_ERROR_INVALID_ARGUMENT: i32 = -1;
/// A text is not UTF-8.
pub const OPENRTMP_ERROR_INVALID_UTF8: i32 = -2;
/// struct_size is smaller than the first version of the struct, or the struct asks
/// for something that this library does not know.
pub const OPENRTMP_ERROR_STRUCT_SIZE: i32 = -3;
/// The buffer cannot hold the text; its length was told.
pub const OPENRTMP_ERROR_BUFFER_TOO_SMALL: i32 = -4;
/// There is no such thing, or no longer.
pub const OPENRTMP_ERROR_NOT_FOUND: i32 = -5;
/// Not possible in this state: not started, already started, not configured.
pub const OPENRTMP_ERROR_STATE: i32 = -6;
/// Called from inside a callback that the call would have to wait for.
pub const OPENRTMP_ERROR_RECURSIVE: i32 = -7;
/// A setting is unknown or its value is not allowed; the message names the path.
pub const OPENRTMP_ERROR_CONFIG: i32 = -8;
/// An address cannot be listened on.
pub const OPENRTMP_ERROR_LISTEN: i32 = -9;
/// A file, or another thing of the system, failed.
pub const OPENRTMP_ERROR_IO: i32 = -10;
/// Somebody else has it: the stream has a publisher, or is being recorded.
pub const OPENRTMP_ERROR_BUSY: i32 = -11;
/// A limit is reached.
pub const OPENRTMP_ERROR_LIMIT: i32 = -12;
/// Too much is waiting; try again later.
pub const OPENRTMP_ERROR_WOULD_BLOCK: i32 = -13;
/// A bug in this library, caught. The handle still works.
pub const OPENRTMP_ERROR_PANIC: i32 = -14;
/// A publisher's stream is another's now, or was ended: the publisher is of no more
/// use. The message tells which.
pub const OPENRTMP_ERROR_GONE: i32 = -15;
/// Only a restart can change these settings; the message names their paths.
pub const OPENRTMP_ERROR_NEEDS_RESTART: i32 = -16;

/// The system has no memory for it.
pub const OPENRTMP_ERROR_MEMORY: i32 = -17;
/// Nobody answered, or nothing came, in time. What was asked for may still happen.
pub const OPENRTMP_ERROR_TIMEOUT: i32 = -18;
/// This library was built without it.
pub const OPENRTMP_ERROR_UNSUPPORTED: i32 = -19;

/// Why a call failed: its code, and the detail for `openrtmp_last_error_message`.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Failure {
        Failure::new(OPENRTMP_ERROR_INVALID_ARGUMENT, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Failure {
        Failure::new(OPENRTMP_ERROR_NOT_FOUND, message)
    }

    pub(crate) fn state(message: impl Into<String>) -> Failure {
        Failure::new(OPENRTMP_ERROR_STATE, message)
    }
}

openrtmp_core::failures_of_errors! { Failure, |code: ErrorCode, message| {
    Failure::new(code as i32, message)
}}

/// Bytes that a message may have, its NUL included. A longer one is cut.
const MESSAGE: usize = 1024;

thread_local! {
    /// Always in the same place, and there to the thread's very end: a caller may ask
    /// for it in the same expression in which the call fails.
    static LAST: UnsafeCell<[u8; MESSAGE]> = const { UnsafeCell::new([0; MESSAGE]) };
}

/// Keeps the detail for this thread.
pub(crate) fn remember(message: &str) {
    let mut end = message.len().min(MESSAGE - 1);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    LAST.with(|last| {
        // SAFETY: of this thread alone, and nothing here is called meanwhile. C reads it
        // between calls.
        let last = unsafe { &mut *last.get() };
        last[..end].copy_from_slice(&message.as_bytes()[..end]);
        // A NUL, which only a peer's or a host's own text could hold, would end it early.
        last[..end]
            .iter_mut()
            .filter(|b| **b == 0)
            .for_each(|b| *b = b' ');
        last[end] = 0;
    });
}

/// What a code means, in English. Never NULL; static.
#[unsafe(no_mangle)]
pub extern "C" fn openrtmp_strerror(code: i32) -> *const c_char {
    boundary::value(c"unknown error".as_ptr(), || {
        match code {
            OPENRTMP_OK => c"success",
            OPENRTMP_ERROR_INVALID_ARGUMENT => c"invalid argument",
            OPENRTMP_ERROR_INVALID_UTF8 => c"text is not UTF-8",
            OPENRTMP_ERROR_STRUCT_SIZE => c"struct of another version",
            OPENRTMP_ERROR_BUFFER_TOO_SMALL => c"buffer too small",
            OPENRTMP_ERROR_NOT_FOUND => c"not found",
            OPENRTMP_ERROR_STATE => c"not possible in this state",
            OPENRTMP_ERROR_RECURSIVE => c"not possible inside this callback",
            OPENRTMP_ERROR_CONFIG => c"setting not allowed",
            OPENRTMP_ERROR_LISTEN => c"cannot listen",
            OPENRTMP_ERROR_IO => c"input or output failed",
            OPENRTMP_ERROR_BUSY => c"in use by somebody else",
            OPENRTMP_ERROR_LIMIT => c"limit reached",
            OPENRTMP_ERROR_WOULD_BLOCK => c"too much is waiting",
            OPENRTMP_ERROR_PANIC => c"internal error",
            OPENRTMP_ERROR_GONE => c"the stream is gone",
            OPENRTMP_ERROR_NEEDS_RESTART => c"only a restart changes this",
            OPENRTMP_ERROR_MEMORY => c"out of memory",
            OPENRTMP_ERROR_TIMEOUT => c"not in time",
            OPENRTMP_ERROR_UNSUPPORTED => c"not in this library",
            _ => c"unknown error",
        }
        .as_ptr()
    })
}

/// The detail of the last failure on this thread, at most 1,023 bytes; empty if there was
/// none. Never NULL. The text is replaced by the next failure on this thread, and always
/// stands in the same place.
#[unsafe(no_mangle)]
pub extern "C" fn openrtmp_last_error_message() -> *const c_char {
    boundary::value(c"".as_ptr(), || {
        LAST.with(|last| last.get().cast::<c_char>().cast_const())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_all_bindings_have() {
        for (here, there) in [
            (OPENRTMP_ERROR_INVALID_ARGUMENT, ErrorCode::InvalidArgument),
            (OPENRTMP_ERROR_NOT_FOUND, ErrorCode::NotFound),
            (OPENRTMP_ERROR_STATE, ErrorCode::State),
            (OPENRTMP_ERROR_CONFIG, ErrorCode::Config),
            (OPENRTMP_ERROR_LISTEN, ErrorCode::Listen),
            (OPENRTMP_ERROR_IO, ErrorCode::Io),
            (OPENRTMP_ERROR_BUSY, ErrorCode::Busy),
            (OPENRTMP_ERROR_LIMIT, ErrorCode::Limit),
            (OPENRTMP_ERROR_WOULD_BLOCK, ErrorCode::WouldBlock),
            (OPENRTMP_ERROR_PANIC, ErrorCode::Panic),
            (OPENRTMP_ERROR_GONE, ErrorCode::Gone),
            (OPENRTMP_ERROR_NEEDS_RESTART, ErrorCode::NeedsRestart),
            (OPENRTMP_ERROR_MEMORY, ErrorCode::Memory),
            (OPENRTMP_ERROR_TIMEOUT, ErrorCode::Timeout),
            (OPENRTMP_ERROR_UNSUPPORTED, ErrorCode::Unsupported),
        ] {
            assert_eq!(here, there as i32, "{there:?}");
        }
    }
}
