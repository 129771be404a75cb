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

use std::sync::{LockResult, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What a lock guards, whatever its last holder was doing when it panicked: what the
/// locks of this crate guard is whole at every step. For locks of a model too, and for
/// what a condition variable gives back.
pub(crate) fn unpoisoned<G>(guard: LockResult<G>) -> G {
    guard.unwrap_or_else(PoisonError::into_inner)
}

/// Locks, see [`unpoisoned`].
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// Locks for reading, see [`unpoisoned`].
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    unpoisoned(lock.read())
}

/// Locks for writing, see [`unpoisoned`].
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    unpoisoned(lock.write())
}
