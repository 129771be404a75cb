//! What threads meet in: locks, atomics, channels and threads.
//!
//! The standard library's, but for a build with `--cfg loom`: there they are
//! replaced by those of a model checker, so that `loom_models` tries every
//! interleaving of the very code that runs in production. Code whose
//! correctness rests on how threads meet takes them from here.

#[cfg(loom)]
mod model;

#[cfg(loom)]
pub(crate) use model::{Condvar, Mutex, MutexGuard, atomic, mpsc, thread};
#[cfg(not(loom))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic, mpsc},
    thread,
};

/// Locks whatever its last holder was doing when it panicked: what these locks guard
/// is whole at every step.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
