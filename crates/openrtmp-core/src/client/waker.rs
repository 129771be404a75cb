use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::platform::Wake;
use crate::platform::native::NativeWaker;

/// Interrupts [`Client::next_event`](super::Client::next_event),
/// [`Client::send`](super::Client::send), [`Client::flush`](super::Client::flush) and
/// [`Connecting::finish`](super::Connecting::finish), from any thread.
#[derive(Clone, Debug)]
pub struct ClientWaker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// A poll also ends for other reasons.
    asked: AtomicBool,
    poller: NativeWaker,
}

impl ClientWaker {
    pub(super) fn new(poller: NativeWaker) -> ClientWaker {
        let asked = AtomicBool::new(false);
        ClientWaker(Arc::new(Shared { asked, poller }))
    }

    /// Ends the current or the next wait, whatever comes from the server meanwhile.
    pub fn wake(&self) {
        self.0.asked.store(true, Ordering::Release);
        self.end_poll();
    }

    /// Makes the current or next poll return.
    pub(super) fn end_poll(&self) {
        // It fails only when the system is out of resources; then the wait
        // returns at its deadline.
        let _ = self.0.poller.wake();
    }

    /// True if it was used since the last call.
    pub(super) fn take(&self) -> bool {
        self.0.asked.swap(false, Ordering::AcqRel)
    }
}
