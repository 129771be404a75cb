//! Standard output and error: lines, and a line at the foot of the terminal that shows how
//! it goes.

use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::logs;
use crate::output::{QueuedWriter, Sink};

/// Between two attempts to write to a terminal or pipe that does not wait by itself.
const NOT_YET: Duration = Duration::from_millis(20);

static OUT: LazyLock<QueuedWriter> = LazyLock::new(|| QueuedWriter::start("stdout", Out));
static ERR: LazyLock<QueuedWriter> =
    LazyLock::new(|| QueuedWriter::start("stderr", Screen::default()));

/// Prints a line to standard error.
pub(crate) fn say(line: &str) {
    ERR.put(logs::spoken(line));
}

/// Prints text that ends with a line to standard output.
pub(crate) fn print(text: &str) {
    OUT.put(text.to_owned());
}

/// Prints a line of the log, its end included, to standard error.
pub(crate) fn log(line: String) {
    ERR.put(line);
}

/// Lines that standard error did not get.
pub(crate) fn lost() -> u64 {
    ERR.lost()
}

/// Writes all of this to standard output, as fast as whoever reads takes it. Somebody who
/// had enough of it is no error.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(bytes) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e),
        _ => Ok(()),
    }
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
pub(crate) fn finish(until: Instant) {
    show(None);
    for writer in [&*OUT, &*ERR] {
        writer.finish(until);
    }
}

/// Standard output. Whoever read may have gone: the work goes on all the same.
struct Out;

impl Sink for Out {
    fn line(&mut self, text: &str) -> io::Result<()> {
        write_all(&mut io::stdout(), text.as_bytes())
    }

    fn lost(&mut self, lines: u64, why: &str) -> io::Result<()> {
        self.line(&format!("openrtmp: {}\n", logs::missing(lines, why)))
    }
}

/// Standard error with a line at its foot, if it is a terminal. The line is cut where
/// the terminal ends.
#[derive(Default)]
struct Screen {
    all: MultiProgress,
    foot: Option<ProgressBar>,
}

impl Sink for Screen {
    fn line(&mut self, text: &str) -> io::Result<()> {
        self.all
            .suspend(|| write_all(&mut io::stderr(), text.as_bytes()))
    }

    fn lost(&mut self, lines: u64, why: &str) -> io::Result<()> {
        let told = format!("openrtmp: {}", logs::missing(lines, why));
        self.line(&logs::spoken(&told))
    }

    fn failed(&mut self, error: &io::Error) {
        logs::stderr_failed(error);
    }

    fn works_again(&mut self, lost: u64) {
        logs::stderr_works_again(lost);
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

/// All of it. A terminal that another program has set not to block is waited for as well.
fn write_all(output: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => thread::sleep(NOT_YET),
            Err(e) => return Err(e),
        }
    }
    output.flush()
}
