//! Output into a pipe or a device, whose reader may stop reading: written by a thread of
//! its own, so that a signal is heeded all the same.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::signal::Handler;

/// Bytes that may wait for the reader before the writer waits too.
const WAITING: usize = 1024 * 1024;
/// How long the reader may take for what waits once it was given up.
const LAST: Duration = Duration::from_millis(300);

/// A pipe or a device being written to.
pub(crate) struct Pipe(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    writing: bool,
    /// Nobody waits for the reader any more.
    abandoned: bool,
    /// Why nothing more can be written.
    failure: Option<io::Error>,
    closed: bool,
}

impl Pipe {
    /// Opens it in its thread: a FIFO is not open before somebody reads it.
    pub(crate) fn start<W: Write>(
        open: impl FnOnce() -> io::Result<W> + Send + 'static,
    ) -> io::Result<Pipe> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        });
        let pipe = Pipe(shared.clone());
        let run = move || {
            if let Err(error) = open().and_then(|output| shared.write(output)) {
                shared.lock().failure = Some(error);
            }
            shared.changed.notify_all();
        };
        let thread = thread::Builder::new().name("openrtmp-output".to_owned());
        thread.spawn(run).map(|_| pipe)
    }

    /// Writes this after all that was put before; waits while much waits. An error of
    /// kind `BrokenPipe` if the reader has gone.
    pub(crate) fn put(&self, bytes: Bytes) -> io::Result<()> {
        let mut state = self.0.lock();
        while state.bytes >= WAITING && !state.abandoned && state.failure.is_none() {
            state = self.0.wait(state);
        }
        state.fail()?;
        state.bytes += bytes.len();
        state.waiting.push_back(bytes);
        self.0.changed.notify_all();
        Ok(())
    }

    /// Waits until all is written.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.changed.notify_all();
        let mut until = None;
        while state.failure.is_none() && (!state.waiting.is_empty() || state.writing) {
            if !state.abandoned {
                state = self.0.wait(state);
                continue;
            }
            let until = *until.get_or_insert_with(|| Instant::now() + LAST);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.fail()
    }

    /// Makes others stop waiting for the reader.
    pub(crate) fn abandon(&self) -> Handler {
        let shared = self.0.clone();
        Box::new(move || {
            shared.lock().abandoned = true;
            shared.changed.notify_all();
        })
    }
}

impl Shared {
    fn write(&self, mut output: impl Write) -> io::Result<()> {
        loop {
            let mut state = self.lock();
            state.writing = false;
            self.changed.notify_all();
            while state.waiting.is_empty() {
                if state.closed {
                    return Ok(());
                }
                state = self.wait(state);
            }
            let all = std::mem::take(&mut state.waiting);
            state.bytes = 0;
            state.writing = true;
            drop(state);
            self.changed.notify_all();
            for bytes in all {
                output.write_all(&bytes)?;
            }
            // A player on the other end wants it now.
            output.flush()?;
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fail(&self) -> io::Result<()> {
        match &self.failure {
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Takes a write once the test allows it.
    struct Reader(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
            self.0.recv().map_err(|_| gone())?;
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (Pipe, Sender<()>, Receiver<Vec<u8>>) {
        let ((allow, allowed), (read, seen)) = (channel(), channel());
        let pipe = Pipe::start(move || Ok(Reader(allowed, read))).unwrap();
        (pipe, allow, seen)
    }

    #[test]
    fn all_is_written_in_order() {
        let (pipe, allow, seen) = pipe();
        for n in 0..10u8 {
            allow.send(()).unwrap();
            pipe.put(Bytes::from(vec![n; 3])).unwrap();
        }
        pipe.finish().unwrap();
        assert_eq!(
            seen.try_iter().flatten().map(u32::from).sum::<u32>(),
            3 * 45
        );
    }

    #[test]
    fn a_signal_ends_waiting_for_a_reader_that_stopped() {
        let (pipe, _allow, _seen) = pipe();
        let abandon = pipe.abandon();
        let chunk = Bytes::from(vec![0; WAITING]);
        let (tell, told) = channel();
        let writer = thread::spawn(move || {
            for _ in 0..3 {
                // The first may be with the thread, the second waits, the third has to.
                pipe.put(chunk.clone()).unwrap();
                let _ = tell.send(());
            }
            pipe.finish()
        });
        told.recv().unwrap();
        abandon();
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn a_reader_that_has_gone_is_told() {
        let (pipe, allow, _seen) = pipe();
        drop(allow);
        pipe.put(Bytes::from_static(b"lost")).unwrap();
        let error = pipe.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let error = pipe.put(Bytes::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_cannot_be_opened_is_an_error() {
        let open = || Err::<Vec<u8>, _>(io::Error::from(io::ErrorKind::PermissionDenied));
        let pipe = Pipe::start(open).unwrap();
        pipe.put(Bytes::from_static(b"x")).ok();
        let error = pipe.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
