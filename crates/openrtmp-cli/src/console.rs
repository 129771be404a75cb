//! Standard output and error, for people: lines, and a line at the foot of the
//! terminal that shows how it goes.
//!
//! Each of the two is written by a thread of its own, out of a bounded queue. Whoever
//! reads may stop reading (a full pipe, a terminal after Ctrl-S): then lines are lost,
//! and counted, and nobody who had something to say has waited.

use std::io::{self, IsTerminal, Write};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use queue::{Next, Queue};

mod queue;

/// How long the last lines may take to be written when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Between two attempts to write to a terminal or pipe that does not wait by itself.
const NOT_YET: Duration = Duration::from_millis(20);

static OUT: LazyLock<&Outlet> = LazyLock::new(|| Outlet::start("stdout", plain(io::stdout())));
static ERR: LazyLock<&Outlet> = LazyLock::new(|| Outlet::start("stderr", Screen::default()));

/// Prints a line to standard error.
pub(crate) fn say(line: &str) {
    ERR.put(format!("{line}\n"));
}

/// Prints text that ends with a line to standard output.
pub(crate) fn print(text: &str) {
    OUT.put(text.to_owned());
}

/// Shows this text in one line at the foot of the terminal, in place of the one before,
/// or nothing.
pub(crate) fn show(foot: Option<String>) {
    ERR.show(foot);
}

/// Whether there is a terminal at whose foot a line can be shown.
pub(crate) fn has_foot() -> bool {
    static TERMINAL: LazyLock<bool> = LazyLock::new(|| io::stderr().is_terminal());
    *TERMINAL
}

/// Waits until all was written, if somebody reads it.
pub(crate) fn finish() {
    let until = Instant::now() + LAST_WORDS;
    show(None);
    for outlet in [*OUT, *ERR] {
        outlet.finish(until);
    }
}

/// Standard error for the logger, which writes one record at a time.
pub(crate) struct LogOutput;

impl Write for LogOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        ERR.put(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a thread writes to.
trait Sink: Send + 'static {
    /// May block for as long as nobody reads. An error is nobody's business: whoever
    /// read has gone, and the work goes on all the same.
    fn line(&mut self, text: &str);
    fn foot(&mut self, text: Option<&str>);
}

/// A queue and the thread that writes what is in it.
struct Outlet {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Outlet {
    fn start(name: &str, mut sink: impl Sink) -> &'static Outlet {
        let outlet: &'static Outlet = Box::leak(Box::new(Outlet {
            queue: Mutex::new(Queue::default()),
            changed: Condvar::new(),
        }));
        let run = move || {
            loop {
                match outlet.next() {
                    Next::Line(text) => sink.line(&text),
                    Next::Lost(lines) => sink.line(&lost(lines)),
                    Next::Foot(text) => sink.foot(text.as_deref()),
                }
                outlet.lock().written();
                outlet.changed.notify_all();
            }
        };
        let thread = thread::Builder::new().name(format!("openrtmp-{name}"));
        if thread.spawn(run).is_err() {
            // Without a thread there is nobody to write: all of it counts as lost.
            outlet.lock().close();
        }
        outlet
    }

    fn put(&self, text: String) {
        self.lock().put(text);
        self.changed.notify_all();
    }

    fn show(&self, foot: Option<String>) {
        self.lock().show(foot);
        self.changed.notify_all();
    }

    /// Waits for something to write.
    fn next(&self) -> Next {
        let mut queue = self.lock();
        loop {
            if let Some(next) = queue.next() {
                return next;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until everything is written.
    fn finish(&self, until: Instant) {
        let mut queue = self.lock();
        while !queue.is_idle() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self
                .changed
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Each change of the queue is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost(lines: u64) -> String {
    let (lines, were) = match lines {
        1 => ("1 line".to_owned(), "was"),
        n => (format!("{n} lines"), "were"),
    };
    format!("openrtmp: {lines} {were} lost here: nobody read for too long\n")
}

/// Lines alone.
struct Plain<W>(W);

fn plain<W: Write>(output: W) -> Plain<W> {
    Plain(output)
}

impl<W: Write + Send + 'static> Sink for Plain<W> {
    fn line(&mut self, text: &str) {
        write_all(&mut self.0, text.as_bytes());
    }

    fn foot(&mut self, _text: Option<&str>) {}
}

/// Standard error with a line at its foot, if it is a terminal. The line is cut where
/// the terminal ends.
#[derive(Default)]
struct Screen {
    all: MultiProgress,
    foot: Option<ProgressBar>,
}

impl Sink for Screen {
    fn line(&mut self, text: &str) {
        self.all
            .suspend(|| write_all(&mut io::stderr(), text.as_bytes()));
    }

    fn foot(&mut self, text: Option<&str>) {
        match (text, &self.foot) {
            (Some(text), Some(foot)) => foot.set_message(text.to_owned()),
            (Some(text), None) => {
                let foot = ProgressBar::new_spinner().with_message(text.to_owned());
                // The template is constant; a wrong one would only look plain.
                if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                    foot.set_style(style);
                }
                let foot = self.all.add(foot);
                foot.tick();
                self.foot = Some(foot);
            }
            (None, _) => {
                if let Some(foot) = self.foot.take() {
                    foot.finish_and_clear();
                    self.all.remove(&foot);
                }
            }
        }
    }
}

/// As much as is taken. A terminal that another program has set not to block is waited
/// for as well.
fn write_all(output: &mut impl Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return,
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => thread::sleep(NOT_YET),
            Err(_) => return,
        }
    }
    // As above: a reader that has gone is no news.
    let _ = output.flush();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A sink whose reader reads a line when the test says so.
    struct Reader {
        come: Sender<()>,
        go: Receiver<()>,
        read: Sender<String>,
    }

    impl Sink for Reader {
        fn line(&mut self, text: &str) {
            let _ = self.come.send(());
            let _ = self.go.recv();
            let _ = self.read.send(text.to_owned());
        }

        fn foot(&mut self, text: Option<&str>) {
            self.line(text.unwrap_or("nothing"));
        }
    }

    /// An outlet whose reader has a line before it and does not read.
    fn stopped() -> (&'static Outlet, Sender<()>, Receiver<String>) {
        let ((come, waits), (allow, go), (read, seen)) = (channel(), channel(), channel());
        let outlet = Outlet::start("test", Reader { come, go, read });
        outlet.put("first\n".to_owned());
        waits.recv().unwrap();
        (outlet, allow, seen)
    }

    #[test]
    fn nobody_waits_for_a_reader_that_stopped_and_what_was_lost_is_told_in_its_place() {
        const LINES: usize = 10_000;
        let (outlet, allow, seen) = stopped();
        let line = |n: usize| format!("{n:0999}\n");
        for n in 0..LINES {
            outlet.put(line(n));
        }
        for _ in 0..LINES {
            allow.send(()).unwrap();
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
        let told = format!("openrtmp: {lost} lines were lost here: nobody read for too long\n");
        assert_eq!(text, told);
        outlet.put(line(LINES));
        assert_eq!(seen.recv().unwrap(), line(LINES));
    }

    #[test]
    fn the_end_waits_for_a_reader_and_not_for_one_that_stopped() {
        let (outlet, allow, seen) = stopped();
        outlet.finish(Instant::now());
        allow.send(()).unwrap();
        outlet.finish(Instant::now() + Duration::from_secs(60));
        assert_eq!(seen.try_recv().unwrap(), "first\n");
    }

    #[test]
    fn the_foot_shows_the_newest_and_is_never_queued() {
        let (outlet, allow, seen) = stopped();
        for n in 0..1000 {
            outlet.show(Some(format!("{n} frames")));
        }
        allow.send(()).unwrap();
        allow.send(()).unwrap();
        assert_eq!(seen.recv().unwrap(), "first\n");
        assert_eq!(seen.recv().unwrap(), "999 frames");
        outlet.finish(Instant::now() + Duration::from_secs(60));
    }
}
