//! The model checker's counterparts of the standard library's types.
//!
//! Time does not pass in a model: a wait with a timeout ends only when what it
//! waits for has come, so that a wake-up that is lost shows as a deadlock.

pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
pub(crate) use loom::thread;

use std::sync::LockResult;
use std::time::Duration;

/// A condition variable with the two waits that are used.
#[derive(Debug, Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar::default()
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut *guard) {
            guard = self.0.wait(guard)?;
        }
        Ok(guard)
    }

    pub(crate) fn wait_timeout_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, ())> {
        // A lock of the model is never poisoned.
        self.wait_while(guard, condition)
            .map(|guard| (guard, ()))
            .map_err(|_| unreachable!("a lock of the model is never poisoned"))
    }
}

/// A channel that promises no more than the standard library's does: what was
/// sent is seen by whoever is ordered after the sending. The model checker's own
/// shows every message at once, and would hide a missing ordering.
pub(crate) mod mpsc {
    use std::cell::Cell;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::atomic::{AtomicBool, AtomicUsize, Ordering};
    use super::thread;

    pub(crate) use std::sync::mpsc::{RecvTimeoutError, SendError, TryRecvError};

    /// Messages that a channel may carry in its life: models are small.
    const SLOTS: usize = 4;

    struct Channel<T> {
        slots: Vec<Slot<T>>,
        taken: AtomicUsize,
        senders: AtomicUsize,
        received_by_nobody: AtomicBool,
    }

    struct Slot<T> {
        full: AtomicBool,
        message: Mutex<Option<T>>,
    }

    pub(crate) struct Sender<T>(Arc<Channel<T>>);

    pub(crate) struct Receiver<T> {
        channel: Arc<Channel<T>>,
        next: Cell<usize>,
    }

    pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let slot = || Slot {
            full: AtomicBool::new(false),
            message: Mutex::new(None),
        };
        let channel = Arc::new(Channel {
            slots: std::iter::repeat_with(slot).take(SLOTS).collect(),
            taken: AtomicUsize::new(0),
            senders: AtomicUsize::new(1),
            received_by_nobody: AtomicBool::new(false),
        });
        let next = Cell::new(0);
        (Sender(channel.clone()), Receiver { channel, next })
    }

    impl<T> Sender<T> {
        pub(crate) fn send(&self, message: T) -> Result<(), SendError<T>> {
            if self.0.received_by_nobody.load(Ordering::Acquire) {
                return Err(SendError(message));
            }
            let slot = &self.0.slots[self.0.taken.fetch_add(1, Ordering::Relaxed)];
            *slot.message.lock().expect("held for this line only") = Some(message);
            slot.full.store(true, Ordering::Release);
            Ok(())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.senders.fetch_sub(1, Ordering::AcqRel);
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
            let senders = self.channel.senders.load(Ordering::Acquire);
            let slot = self.channel.slots.get(self.next.get());
            match slot.filter(|slot| slot.full.load(Ordering::Acquire)) {
                Some(slot) => {
                    self.next.set(self.next.get() + 1);
                    let message = slot.message.lock().expect("held for this line only").take();
                    Ok(message.expect("a full slot holds a message until it is passed"))
                }
                None if senders == 0 => Err(TryRecvError::Disconnected),
                None => Err(TryRecvError::Empty),
            }
        }

        pub(crate) fn recv_timeout(&self, _: Duration) -> Result<T, RecvTimeoutError> {
            loop {
                match self.try_recv() {
                    Ok(message) => return Ok(message),
                    Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                    Err(TryRecvError::Empty) => thread::yield_now(),
                }
            }
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            self.channel
                .received_by_nobody
                .store(true, Ordering::Release);
        }
    }
}
