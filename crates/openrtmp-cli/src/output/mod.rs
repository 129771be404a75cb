//! What is written for people and programs, by threads of its own.
//!
//! Each place that something is written to has a thread, and a bounded queue in front of
//! it. Whoever reads may stop reading (a full pipe, a terminal after Ctrl-S), a disk may
//! hang or be full: then lines are lost, and counted, and nobody who had something to say
//! has waited.

mod queue;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use queue::{Next, Queue};

/// What a thread writes to.
pub(crate) trait Sink: Send + 'static {
    /// When writing fails, it is tried again after so long; what comes meanwhile is lost.
    const PAUSE: Duration = Duration::from_secs(1);

    /// Writes a line, its end included. May block for as long as it takes.
    fn line(&mut self, text: &str) -> io::Result<()>;

    /// Writes that lines are missing here, and why.
    fn lost(&mut self, lines: u64, why: &str) -> io::Result<()>;

    /// A line was lost; those before it were not. It may be told elsewhere.
    fn failed(&mut self, _error: &io::Error) {}

    /// It works again, after so many lines were lost.
    fn works_again(&mut self, _lost: u64) {}

    /// Shows this in the last line, or nothing.
    fn foot(&mut self, _text: Option<&str>) {}
}

/// Why lines are lost in front of a writer.
const TOO_MANY: &str = "more came than could be written";

/// A queue and the thread that writes what is in it, until the last handle is dropped and
/// the queue is empty.
pub(crate) struct QueuedWriter(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Lines lost so far, wherever.
    lost: AtomicU64,
}

impl QueuedWriter {
    pub(crate) fn start(name: &str, sink: impl Sink) -> QueuedWriter {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            changed: Condvar::new(),
            lost: AtomicU64::new(0),
        });
        let thread = thread::Builder::new().name(format!("openrtmp-{name}"));
        let writing = Writing {
            shared: shared.clone(),
            sink,
            trouble: None,
        };
        if thread.spawn(move || writing.run()).is_err() {
            // Without a thread there is nobody to write: all of it counts as lost.
            shared.lock().close();
        }
        QueuedWriter(shared)
    }

    pub(crate) fn put(&self, text: String) {
        if !self.0.lock().put(text) {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.0.changed.notify_all();
    }

    pub(crate) fn show(&self, foot: Option<String>) {
        self.0.lock().show(foot);
        self.0.changed.notify_all();
    }

    /// Lines that were put and not written.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Waits until everything is written.
    pub(crate) fn finish(&self, until: Instant) {
        let mut queue = self.0.lock();
        while !queue.is_idle() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self
                .0
                .changed
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for QueuedWriter {
    fn drop(&mut self) {
        self.0.lock().end();
        self.0.changed.notify_all();
    }
}

impl Shared {
    /// Waits for something to write; `None` once there will be no more.
    fn next(&self) -> Option<Next> {
        let mut queue = self.lock();
        loop {
            if let Some(next) = queue.next() {
                return Some(next);
            }
            if queue.has_ended() {
                return None;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Each change of the queue is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread works on.
struct Writing<S> {
    shared: Arc<Shared>,
    sink: S,
    /// Writing fails, at the moment.
    trouble: Option<Trouble>,
}

struct Trouble {
    lost: u64,
    why: String,
    /// When to try again.
    again: Instant,
}

impl<S: Sink> Writing<S> {
    fn run(mut self) {
        while let Some(next) = self.shared.next() {
            match next {
                Next::Line(text) => self.write(1, |sink| sink.line(&text)),
                // They are counted already.
                Next::Lost(lines) => self.write(0, |sink| sink.lost(lines, TOO_MANY)),
                Next::Foot(text) => self.sink.foot(text.as_deref()),
            }
            self.shared.lock().written();
            self.shared.changed.notify_all();
        }
    }

    /// Writes, after what was lost before was told in its place.
    fn write(&mut self, lines: u64, write: impl FnOnce(&mut S) -> io::Result<()>) {
        if let Some(trouble) = &mut self.trouble {
            let is_soon = Instant::now() < trouble.again;
            if is_soon || self.sink.lost(trouble.lost, &trouble.why).is_err() {
                if !is_soon {
                    trouble.again = Instant::now() + S::PAUSE;
                }
                trouble.lost += lines;
                self.shared.lost.fetch_add(lines, Ordering::Relaxed);
                return;
            }
            let lost = trouble.lost;
            self.trouble = None;
            self.sink.works_again(lost);
        }
        if let Err(error) = write(&mut self.sink) {
            self.shared.lost.fetch_add(lines, Ordering::Relaxed);
            self.sink.failed(&error);
            self.trouble = Some(Trouble {
                lost: lines,
                why: error.to_string(),
                again: Instant::now() + S::PAUSE,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A sink whose reader reads a line when the test says so, and whether that works.
    struct Reader {
        come: Sender<()>,
        go: Receiver<bool>,
        read: Sender<String>,
    }

    impl Sink for Reader {
        const PAUSE: Duration = Duration::ZERO;

        fn line(&mut self, text: &str) -> io::Result<()> {
            let _ = self.come.send(());
            if self.go.recv() == Ok(false) {
                return Err(io::Error::other("full"));
            }
            let _ = self.read.send(text.to_owned());
            Ok(())
        }

        fn lost(&mut self, lines: u64, why: &str) -> io::Result<()> {
            self.line(&format!("{lines} lost: {why}"))
        }

        fn failed(&mut self, error: &io::Error) {
            let _ = self.read.send(format!("failed: {error}"));
        }

        fn works_again(&mut self, lost: u64) {
            let _ = self.read.send(format!("works again after {lost}"));
        }

        fn foot(&mut self, text: Option<&str>) {
            let _ = self.line(text.unwrap_or("nothing"));
        }
    }

    /// A writer whose reader has a line before it and does not read.
    fn stopped() -> (QueuedWriter, Sender<bool>, Receiver<String>) {
        let ((come, waits), (allow, go), (read, seen)) = (channel(), channel(), channel());
        let writer = QueuedWriter::start("test", Reader { come, go, read });
        writer.put("first\n".to_owned());
        waits.recv().unwrap();
        (writer, allow, seen)
    }

    #[test]
    fn nobody_waits_for_a_reader_that_stopped_and_what_was_lost_is_told_in_its_place() {
        const LINES: usize = 10_000;
        let (writer, allow, seen) = stopped();
        let line = |n: usize| format!("{n:0999}\n");
        for n in 0..LINES {
            writer.put(line(n));
        }
        for _ in 0..LINES {
            allow.send(true).unwrap();
        }
        assert_eq!(seen.recv().unwrap(), "first\n");
        let mut kept = 0;
        let mut text = seen.recv().unwrap();
        while text == line(kept) {
            kept += 1;
            text = seen.recv().unwrap();
        }
        let lost = LINES - kept;
        assert!(lost > 1, "the queue has no end");
        assert_eq!(text, format!("{lost} lost: {TOO_MANY}"));
        assert_eq!(writer.lost(), lost as u64);
        writer.put(line(LINES));
        assert_eq!(seen.recv().unwrap(), line(LINES));
    }

    #[test]
    fn a_sink_that_fails_is_told_of_once_and_what_it_lost_when_it_works_again() {
        let (writer, allow, seen) = stopped();
        for n in 2..=4 {
            writer.put(format!("{n}\n"));
        }
        // The first line fails, then twice what tells that it is missing.
        for works in [false, false, false, true, true] {
            allow.send(works).unwrap();
        }
        let expected = ["failed: full", "3 lost: full", "works again after 3", "4\n"];
        for text in expected {
            assert_eq!(seen.recv().unwrap(), text);
        }
        assert_eq!(writer.lost(), 3);
    }

    #[test]
    fn what_fails_is_not_tried_all_the_time() {
        /// Counts how often it was tried.
        struct Broken(Arc<AtomicU64>);
        impl Sink for Broken {
            const PAUSE: Duration = Duration::from_secs(3600);

            fn line(&mut self, _: &str) -> io::Result<()> {
                self.0.fetch_add(1, Ordering::Relaxed);
                Err(io::Error::other("full"))
            }

            fn lost(&mut self, _: u64, _: &str) -> io::Result<()> {
                self.line("")
            }
        }
        let tried = Arc::new(AtomicU64::new(0));
        let writer = QueuedWriter::start("test", Broken(tried.clone()));
        (0..100).for_each(|n| writer.put(format!("{n}\n")));
        writer.finish(Instant::now() + Duration::from_secs(60));
        assert_eq!((tried.load(Ordering::Relaxed), writer.lost()), (1, 100));
    }

    #[test]
    fn the_end_waits_for_a_reader_and_not_for_one_that_stopped() {
        let (writer, allow, seen) = stopped();
        writer.finish(Instant::now());
        allow.send(true).unwrap();
        writer.finish(Instant::now() + Duration::from_secs(60));
        assert_eq!(seen.try_recv().unwrap(), "first\n");
    }

    #[test]
    fn a_writer_that_nobody_has_any_more_writes_what_it_was_given_and_ends() {
        let (writer, allow, seen) = stopped();
        writer.put("last\n".to_owned());
        drop(writer);
        allow.send(true).unwrap();
        allow.send(true).unwrap();
        // Until the sink is dropped, with its thread.
        assert_eq!(seen.iter().collect::<Vec<_>>(), ["first\n", "last\n"]);
    }

    #[test]
    fn the_foot_shows_the_newest_and_is_never_queued() {
        let (writer, allow, seen) = stopped();
        for n in 0..1000 {
            writer.show(Some(format!("{n} frames")));
        }
        allow.send(true).unwrap();
        allow.send(true).unwrap();
        assert_eq!(seen.recv().unwrap(), "first\n");
        assert_eq!(seen.recv().unwrap(), "999 frames");
        writer.finish(Instant::now() + Duration::from_secs(60));
    }
}
