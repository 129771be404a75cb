//! Events for a host that fetches them, beside or in place of a callback.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use openrtmp_core::Event;

use crate::bell::Bell;
use crate::boundary;
use crate::convert::{borrow, output};
use crate::error::{Failure, OPENRTMP_ERROR_TIMEOUT};
use crate::event::{OpenrtmpEvent, Record};
use crate::process::Process;
use crate::server::OpenrtmpServer;

/// Events that may wait.
const QUEUE: usize = if cfg!(miri) { 64 } else { 4096 };

/// What they may keep alive together, bytes.
const QUEUE_BYTES: usize = if cfg!(miri) { 64 << 10 } else { 4 << 20 };

/// A queue of a server's events.
pub struct OpenrtmpEvents {
    queue: Arc<EventQueue>,
    /// What was told last, which the host has.
    told: Mutex<Option<Arc<Record>>>,
    process: Process,
}

/// Opens a queue of a server's events, for a host that fetches them: from the next start
/// on, and through all that follow. Several may be open, beside on_event. A queue that
/// falls 4,096 events behind, or 4 MiB of them, loses some, and tells how many where they are missing
/// (OPENRTMP_EVENT_LOST). OPENRTMP_ERROR_STATE while the server is not stopped. Close it
/// with openrtmp_events_close(), before or after the server is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_events_open(
    server: *mut OpenrtmpServer,
    out_events: *mut *mut OpenrtmpEvents,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, out) = unsafe { (borrow(server)?, output(out_events)?) };
        let queue = Arc::new(EventQueue::default());
        server.add_queue(&queue)?;
        out.write(Box::into_raw(Box::new(OpenrtmpEvents {
            queue,
            told: Mutex::new(None),
            process: Process::this(),
        })));
        Ok(())
    })
}

/// Waits up to timeout_ms for the next event, and lends it until the next call on this
/// queue. One thread at a time may fetch. OPENRTMP_ERROR_TIMEOUT if none came,
/// OPENRTMP_ERROR_STATE once the server was freed and all were told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_events_next(
    events: *mut OpenrtmpEvents,
    timeout_ms: u32,
    out_event: *mut *const OpenrtmpEvent,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (events, out) = unsafe { (borrow(events)?, output(out_event)?) };
        events.process.check()?;
        let record = events
            .queue
            .next(Duration::from_millis(timeout_ms.into()))?;
        out.write(record.head());
        *lock(&events.told) = Some(record);
        Ok(())
    })
}

/// Writes what an event loop may wait for: a file descriptor, on Windows a SOCKET, which
/// is readable while openrtmp_events_next() has something to tell. It belongs to the queue:
/// it is neither read nor closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_events_descriptor(
    events: *mut OpenrtmpEvents,
    out_descriptor: *mut isize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (events, out) = unsafe { (borrow(events)?, output(out_descriptor)?) };
        events.process.check()?;
        out.write(events.queue.descriptor()?);
        Ok(())
    })
}

/// Closes a queue and frees it, and the event that it lent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_events_close(events: *mut OpenrtmpEvents) {
    boundary::nothing(|| {
        if !events.is_null() {
            // SAFETY: from openrtmp_events_open and not closed, the header demands.
            drop(unsafe { Box::from_raw(events) });
        }
    });
}

/// Events between the thread that tells them and the host's.
#[derive(Default)]
pub(crate) struct EventQueue {
    state: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Each with how many were lost just before it.
    records: VecDeque<(u64, Arc<Record>)>,
    /// What those keep alive, as if nobody else did.
    bytes: usize,
    /// Lost behind the last of them.
    lost: u64,
    /// No more will come.
    closed: bool,
    bell: Option<Bell>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.lost == 0
    }
}

impl EventQueue {
    /// A full queue loses it, and counts it.
    pub(crate) fn push(&self, record: &Arc<Record>) {
        let bytes = record.held_bytes();
        let mut state = lock(&self.state);
        let is_full = state.records.len() >= QUEUE || state.bytes + bytes > QUEUE_BYTES;
        if is_full || state.records.try_reserve(1).is_err() {
            state.lost += 1;
        } else {
            let lost = std::mem::take(&mut state.lost);
            state.bytes += bytes;
            state.records.push_back((lost, record.clone()));
        }
        self.tell(&state);
    }

    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        self.tell(&state);
    }

    fn tell(&self, state: &Waiting) {
        if let Some(bell) = &state.bell {
            bell.ring();
        }
        self.arrived.notify_one();
    }

    fn next(&self, timeout: Duration) -> Result<Arc<Record>, Failure> {
        let deadline = Instant::now() + timeout;
        let mut state = lock(&self.state);
        loop {
            let lost = match state.records.front_mut() {
                Some((lost, _)) => std::mem::take(lost),
                None => std::mem::take(&mut state.lost),
            };
            let next = match lost {
                0 => state.records.pop_front().map(|(_, record)| {
                    state.bytes -= record.held_bytes();
                    record
                }),
                count => Some(Record::new(Event::Lost { count })),
            };
            if let Some(record) = next {
                if state.is_empty()
                    && !state.closed
                    && let Some(bell) = &state.bell
                {
                    bell.hush();
                }
                return Ok(record);
            }
            if state.closed {
                return Err(Failure::state("the server was freed"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::new(OPENRTMP_ERROR_TIMEOUT, "no event came"));
            }
            let waited = self.arrived.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn descriptor(&self) -> Result<isize, Failure> {
        let mut state = lock(&self.state);
        if state.bell.is_none() {
            let bell = Bell::new()?;
            if !state.is_empty() || state.closed {
                bell.ring();
            }
            state.bell = Some(bell);
        }
        Ok(state.bell.as_ref().map_or(-1, Bell::descriptor))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::OPENRTMP_EVENT_LOST;

    fn number(record: &Record) -> (u32, u64) {
        (record.head().kind, record.head().number)
    }

    #[test]
    fn long_events_fill_it_before_they_are_many() {
        let queue = EventQueue::default();
        let record = Record::new(Event::InternalError {
            message: "x".repeat(QUEUE_BYTES / 5),
        });
        let fit = QUEUE_BYTES / record.held_bytes();
        for _ in 0..fit + 2 {
            queue.push(&record);
        }
        let next = || queue.next(Duration::ZERO).unwrap();
        for _ in 0..fit {
            assert_eq!(number(&next()), number(&record));
        }
        let lost = next();
        assert_eq!(number(&lost), (OPENRTMP_EVENT_LOST, 2));
    }

    #[test]
    fn a_queue_that_overflows_tells_how_many_are_missing_where_they_are() {
        use crate::event::OPENRTMP_EVENT_WORKER_RESTARTED as RESTARTED;

        let queue = EventQueue::default();
        let push = |numbers: std::ops::Range<usize>| {
            for worker in numbers {
                queue.push(&Record::new(Event::WorkerRestarted { worker }));
            }
        };
        let next = || queue.next(Duration::ZERO).map(|record| number(&record));
        push(0..QUEUE + 5);
        assert_eq!(next().unwrap(), (RESTARTED, 0));
        push(QUEUE + 5..QUEUE + 8);
        for worker in 1..QUEUE as u64 {
            assert_eq!(next().unwrap(), (RESTARTED, worker));
        }
        assert_eq!(next().unwrap(), (OPENRTMP_EVENT_LOST, 5));
        assert_eq!(next().unwrap(), (RESTARTED, QUEUE as u64 + 5));
        assert_eq!(next().unwrap(), (OPENRTMP_EVENT_LOST, 2));
        assert_eq!(next().unwrap_err().code, OPENRTMP_ERROR_TIMEOUT);
        queue.close();
        assert_ne!(next().unwrap_err().code, OPENRTMP_ERROR_TIMEOUT);
    }
}
