//! Host code runs here, never on a worker: a bounded queue and a thread that
//! calls one callback.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use crate::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use crate::sync::thread::{self, JoinHandle, ThreadId};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// Items that may wait for a slow callback; few enough in a model to meet the limit.
const QUEUE: usize = if cfg!(loom) { 1 } else { 4096 };

/// Puts items before a callback. Never waits for it.
pub(crate) struct Dispatcher<T>(Option<Arc<Queue<T>>>);

struct Queue<T> {
    state: Mutex<QueueState<T>>,
    arrived: Condvar,
    /// The thread that runs the callback.
    thread: OnceLock<ThreadId>,
}

struct QueueState<T> {
    items: VecDeque<T>,
    lost: u64,
    closed: bool,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Dispatcher<T> {
    fn clone(&self) -> Self {
        Dispatcher(self.0.clone())
    }
}

/// The other end: [`Inlet::spawn`] gives it a thread; a simulation drains it.
pub(crate) struct Inlet<T> {
    queue: Arc<Queue<T>>,
    callback: Box<dyn FnMut(T) + Send>,
    /// Makes the item that tells how many were lost, where there is one.
    lost_item: Option<fn(u64) -> T>,
}

/// A thread that somebody may wait for, but not for ever.
pub(crate) struct Patient {
    /// Nothing is ever sent: the end is the sender's drop.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Patient {
    /// Starts the thread.
    pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Patient> {
        let (alive, ended) = channel::<()>();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                work();
                drop(alive);
            })?;
        Ok(Patient { ended, thread })
    }

    /// Waits until the thread is gone; false if that takes longer.
    pub(crate) fn wait(self, timeout: Duration) -> bool {
        let in_time = !matches!(
            self.ended.recv_timeout(timeout),
            Err(RecvTimeoutError::Timeout)
        );
        if in_time {
            // Only its last instructions are left. A panic was told where it was.
            let _ = self.thread.join();
        }
        in_time
    }
}

impl<T: Send + 'static> Dispatcher<T> {
    /// Nobody listens.
    pub(crate) fn none() -> Dispatcher<T> {
        Dispatcher(None)
    }

    pub(crate) fn new(
        callback: Box<dyn FnMut(T) + Send>,
        lost_item: Option<fn(u64) -> T>,
    ) -> (Dispatcher<T>, Inlet<T>) {
        let queue = Arc::new(Queue {
            state: Mutex::new(QueueState {
                items: VecDeque::new(),
                lost: 0,
                closed: false,
            }),
            arrived: Condvar::new(),
            thread: OnceLock::new(),
        });
        (
            Dispatcher(Some(queue.clone())),
            Inlet {
                queue,
                callback,
                lost_item,
            },
        )
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// A full queue loses the item, and counts it.
    pub(crate) fn send(&self, item: T) {
        let Some(queue) = &self.0 else { return };
        let mut state = queue.lock();
        // For want of memory an item is lost as for want of room.
        if state.closed || state.items.len() >= QUEUE || state.items.try_reserve(1).is_err() {
            state.lost += 1;
            drop(state);
            // Dropping an item may call back into us: not with the lock held.
            drop(item);
            return;
        }
        state.items.push_back(item);
        if state.items.len() == 1 {
            queue.arrived.notify_one();
        }
    }

    /// The thread ends once it has delivered what is there.
    pub(crate) fn close(&self) {
        if let Some(queue) = &self.0 {
            queue.lock().closed = true;
            queue.arrived.notify_one();
        }
    }

    /// True on the thread that runs the callback: the host calls us from inside it.
    pub(crate) fn is_current_thread(&self) -> bool {
        let current = thread::current().id();
        self.0
            .as_ref()
            .is_some_and(|queue| queue.thread.get() == Some(&current))
    }
}

impl<T: Send + 'static> Inlet<T> {
    /// Runs on a thread of its own until the dispatcher is closed.
    pub(crate) fn spawn(mut self, name: &str) -> io::Result<Patient> {
        // The host's callback is dropped with the closure, before the end is told:
        // what it holds is released by the time a stop returns.
        Patient::spawn(name, move || {
            let _ = self.queue.thread.set(thread::current().id());
            while self.wait() {
                self.drain();
            }
            drop(self);
        })
    }

    /// Waits for items; false once there are none and will be none.
    fn wait(&self) -> bool {
        let state = self.queue.lock();
        let state = self
            .queue
            .arrived
            .wait_while(state, |s| s.items.is_empty() && !s.closed)
            .unwrap_or_else(PoisonError::into_inner);
        !state.items.is_empty()
    }

    /// Delivers what is there.
    pub(crate) fn drain(&mut self) {
        loop {
            let mut state = self.queue.lock();
            let lost = std::mem::take(&mut state.lost);
            let item = state.items.pop_front();
            drop(state);
            if lost > 0
                && let Some(make) = self.lost_item
            {
                self.deliver(make(lost));
            }
            match item {
                Some(item) => self.deliver(item),
                None => return,
            }
        }
    }

    fn deliver(&mut self, item: T) {
        // The host's panic is the host's: it must not end what it observes.
        if catch_unwind(AssertUnwindSafe(|| (self.callback)(item))).is_err() {
            log::error!("a callback of the host panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_callback_loses_the_newest_and_hears_how_many() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let (dispatcher, mut inlet) = Dispatcher::new(
            Box::new(move |n: u64| sink.lock().unwrap().push(n)),
            Some(|lost| 1_000_000 + lost),
        );
        for n in 0..QUEUE as u64 + 5 {
            dispatcher.send(n);
        }
        inlet.drain();
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0], 1_000_005);
        assert_eq!(seen.len(), QUEUE + 1);
        assert_eq!(seen.last(), Some(&(QUEUE as u64 - 1)));
    }

    #[test]
    fn a_panicking_callback_goes_on() {
        let seen = Arc::new(Mutex::new(0));
        let sink = seen.clone();
        let (dispatcher, mut inlet) = Dispatcher::new(
            Box::new(move |n: u64| {
                assert_ne!(n, 1);
                *sink.lock().unwrap() += n;
            }),
            None,
        );
        for n in [1, 2, 3] {
            dispatcher.send(n);
        }
        inlet.drain();
        assert_eq!(*seen.lock().unwrap(), 5);
    }

    #[test]
    fn closing_delivers_what_is_there_and_ends_the_thread() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let (dispatcher, inlet) =
            Dispatcher::new(Box::new(move |n: u64| sink.lock().unwrap().push(n)), None);
        dispatcher.send(1);
        dispatcher.send(2);
        dispatcher.close();
        let thread = inlet.spawn("test").unwrap();
        assert!(thread.wait(Duration::from_secs(10)));
        assert_eq!(*seen.lock().unwrap(), [1, 2]);
    }
}
