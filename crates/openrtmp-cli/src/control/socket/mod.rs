//! A socket of this machine that its owner alone can open: a Unix socket, on Windows a
//! named pipe.
//!
//! Each system has the same three: a `Listener` (`bind`, `accept`, `end`), a `Stream`
//! (`read`, `write_all`, each within a time, and `stop_reading` from another thread) and
//! `connect`.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{Listener, Stream, connect, is_possible};
#[cfg(windows)]
pub(super) use windows::{Listener, Stream, connect, is_possible};
