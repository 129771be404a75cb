//! Host code runs here, never on a worker: a bounded queue and a thread that
//! calls one callback.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{fmt, io};

use crate::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use crate::sync::thread::{self, JoinHandle, ThreadId};
use crate::sync::{Condvar, Mutex, MutexGuard, unpoisoned};
#[cfg(not(loom))]
use crate::threads::spawn_thread;

/// Items that may wait for a slow callback; few enough in a model to meet the limit.
const QUEUE: usize = if cfg!(loom) { 1 } else { 4096 };

/// What they may keep alive together, bytes.
const QUEUE_BYTES: usize = 4 << 20;

/// Puts items before a callback. Never waits for it.
pub(crate) struct Dispatcher<T>(Option<Arc<Queue<T>>>);

struct Queue<T> {
    state: Mutex<QueueState<T>>,
    /// What an item keeps alive that nothing else counts, bytes.
    weigh: fn(&T) -> usize,
    arrived: Condvar,
    /// The thread that runs the callback.
    thread: OnceLock<ThreadId>,
}

struct QueueState<T> {
    /// Each with how many were lost just before it.
    items: VecDeque<(u64, T)>,
    /// What those weigh.
    bytes: usize,
    /// Lost behind the last of them.
    lost: u64,
    closed: bool,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, QueueState<T>> {
        unpoisoned(self.state.lock())
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

/// A thread of the model has no stack, signals or hooks of its own.
#[cfg(loom)]
fn spawn_thread(name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// A thread that somebody may wait for, but not for ever.
#[doc(hidden)]
pub struct AwaitedThread {
    /// Nothing is ever sent: the end is the sender's drop.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for AwaitedThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitedThread").finish_non_exhaustive()
    }
}

impl AwaitedThread {
    /// Starts the thread, as [`spawn_thread`](crate::spawn_thread) does.
    pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<AwaitedThread> {
        let (alive, ended) = channel::<()>();
        let work = Box::new(move || {
            work();
            drop(alive);
        });
        let thread = spawn_thread(name, work)?;
        Ok(AwaitedThread { ended, thread })
    }

    /// As [`AwaitedThread::wait`], until a moment.
    pub fn wait_until(self, deadline: Instant) -> Result<(), AwaitedThread> {
        self.wait(deadline.saturating_duration_since(Instant::now()))
    }

    /// Waits until the thread is gone; gives it back if that takes longer.
    pub(crate) fn wait(self, timeout: Duration) -> Result<(), AwaitedThread> {
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(timeout) {
            return Err(self);
        }
        // Only its last instructions are left. A panic was told where it was.
        let _ = self.thread.join();
        Ok(())
    }
}

impl<T: Send + 'static> Dispatcher<T> {
    /// Nobody listens.
    pub(crate) fn none() -> Dispatcher<T> {
        Dispatcher(None)
    }

    /// For items that weigh nothing.
    pub(crate) fn new(
        callback: Box<dyn FnMut(T) + Send>,
        lost_item: Option<fn(u64) -> T>,
    ) -> (Dispatcher<T>, Inlet<T>) {
        Dispatcher::weighing(|_| 0, callback, lost_item)
    }

    pub(crate) fn weighing(
        weigh: fn(&T) -> usize,
        callback: Box<dyn FnMut(T) + Send>,
        lost_item: Option<fn(u64) -> T>,
    ) -> (Dispatcher<T>, Inlet<T>) {
        let queue = Arc::new(Queue {
            weigh,
            state: Mutex::new(QueueState {
                items: VecDeque::new(),
                bytes: 0,
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
        let weight = (queue.weigh)(&item);
        let mut state = queue.lock();
        // For want of memory an item is lost as for want of room.
        let full = state.items.len() >= QUEUE
            || state.bytes + weight > QUEUE_BYTES
            || state.items.try_reserve(1).is_err();
        if state.closed || full {
            // Behind the end nothing is missing.
            state.lost += u64::from(!state.closed);
            drop(state);
            // Dropping an item may call back into us: not with the lock held.
            drop(item);
            return;
        }
        let lost = std::mem::take(&mut state.lost);
        state.bytes += weight;
        state.items.push_back((lost, item));
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

    /// Drops what waits: no call of the callback begins any more.
    pub(crate) fn cut(&self) {
        let Some(queue) = &self.0 else { return };
        let mut state = queue.lock();
        state.closed = true;
        (state.lost, state.bytes) = (0, 0);
        let dropped = std::mem::take(&mut state.items);
        drop(state);
        queue.arrived.notify_one();
        // Dropping an item may call back into us: not with the lock held.
        drop(dropped);
    }

    /// Lets `thread`, which runs the callback, end: what waits is delivered until
    /// `delivery`, and a call that runs is waited for until `deadline`. False if it runs
    /// on. From inside the callback, that call is the last, and not waited for.
    pub(crate) fn finish(
        &self,
        thread: AwaitedThread,
        delivery: Instant,
        deadline: Instant,
    ) -> bool {
        if self.is_current_thread() {
            self.cut();
            return true;
        }
        self.close();
        let Err(thread) = thread.wait_until(delivery) else {
            return true;
        };
        self.cut();
        thread.wait_until(deadline).is_ok()
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
    pub(crate) fn spawn(mut self, name: &str) -> io::Result<AwaitedThread> {
        // The host's callback is dropped with the closure, before the end is told:
        // what it holds is released by the time a stop returns.
        AwaitedThread::spawn(name, move || {
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
        let is_waiting = |s: &mut QueueState<T>| s.items.is_empty() && !s.closed;
        let state = unpoisoned(self.queue.arrived.wait_while(state, is_waiting));
        !state.items.is_empty()
    }

    /// Delivers what is there.
    pub(crate) fn drain(&mut self) {
        while let Some(item) = self.next() {
            self.deliver(item);
        }
    }

    /// The next item; where some are missing, the one that tells how many.
    fn next(&self) -> Option<T> {
        let mut state = self.queue.lock();
        let lost = match state.items.front_mut() {
            Some((lost, _)) => std::mem::take(lost),
            None => std::mem::take(&mut state.lost),
        };
        if lost > 0
            && let Some(make) = self.lost_item
        {
            return Some(make(lost));
        }
        let (_, item) = state.items.pop_front()?;
        state.bytes -= (self.queue.weigh)(&item);
        Some(item)
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
    fn a_slow_callback_loses_the_newest_and_hears_how_many_where_they_are_missing() {
        const LOST: u64 = 1_000_000;
        let queue = QUEUE as u64;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let (dispatcher, mut inlet) = Dispatcher::new(
            Box::new(move |n: u64| sink.lock().unwrap().push(n)),
            Some(|lost| LOST + lost),
        );
        let send = |numbers: std::ops::Range<u64>| numbers.for_each(|n| dispatcher.send(n));
        send(0..queue + 5);
        // One is taken, and there is room for one.
        let first = inlet.next().unwrap();
        inlet.deliver(first);
        send(queue + 5..queue + 8);
        inlet.drain();
        send(queue + 8..queue + 9);
        inlet.drain();
        let mut expected: Vec<u64> = (0..queue).collect();
        expected.extend([LOST + 5, queue + 5, LOST + 2, queue + 8]);
        assert_eq!(*seen.lock().unwrap(), expected);
    }

    #[test]
    fn heavy_items_fill_it_before_they_are_many() {
        let (dispatcher, mut inlet) = Dispatcher::weighing(
            |item: &Option<usize>| item.unwrap_or_default(),
            Box::new(|_| ()),
            Some(|_| None),
        );
        for _ in 0..5 {
            dispatcher.send(Some(QUEUE_BYTES / 4));
        }
        let delivered: Vec<_> = std::iter::from_fn(|| inlet.next()).collect();
        assert_eq!(delivered.len(), 5);
        assert_eq!(delivered[4], None, "one is missing");
        dispatcher.send(Some(QUEUE_BYTES));
        assert_eq!(inlet.next(), Some(Some(QUEUE_BYTES)), "there is room again");
        dispatcher.send(Some(QUEUE_BYTES));
        dispatcher.cut();
        inlet.drain();
    }

    #[test]
    fn after_a_cut_no_call_begins() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let held = Arc::new(());
        let (dispatcher, mut inlet) = Dispatcher::new(
            Box::new(move |(n, _): (u64, Arc<()>)| sink.lock().unwrap().push(n)),
            Some(|lost| (lost, Arc::default())),
        );
        dispatcher.send((1, held.clone()));
        inlet.drain();
        for n in 0..QUEUE as u64 + 5 {
            dispatcher.send((n, held.clone()));
        }
        dispatcher.cut();
        assert_eq!(Arc::strong_count(&held), 1, "what waited was dropped");
        dispatcher.send((2, held));
        inlet.drain();
        assert_eq!(*seen.lock().unwrap(), [1]);
    }

    #[test]
    fn whoever_finishes_waits_for_the_call_that_runs_and_for_no_other() {
        let (entered, inside) = std::sync::mpsc::channel();
        let (leave, left) = std::sync::mpsc::channel::<()>();
        let (dispatcher, inlet) = Dispatcher::new(
            Box::new(move |n: u64| {
                entered.send(n).unwrap();
                let _ = left.recv();
            }),
            None,
        );
        dispatcher.send(1);
        dispatcher.send(2);
        let thread = inlet.spawn("test").unwrap();
        assert_eq!(inside.recv(), Ok(1));
        let now = Instant::now();
        assert!(!dispatcher.finish(thread, now, now), "it hangs");
        drop(leave);
        // Its end is the end of the sender.
        assert!(inside.recv().is_err(), "the second call does not begin");
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
        assert!(thread.wait(Duration::from_secs(10)).is_ok());
        assert_eq!(*seen.lock().unwrap(), [1, 2]);
    }
}
