//! Runs a program, passes its output on as it comes, and counts what libtest
//! says about its tests.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How a line begins by which a chore says what it left out, and why.
pub(crate) const SKIPPED: &str = "skipped: ";

/// After so long without a line of the program's, one of ours shows that it is at work.
const QUIET: Duration = Duration::from_secs(60);

/// Tests passed, failed and skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Reads a line such as
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ...`.
    fn from_line(line: &str) -> Option<Tally> {
        let (_, counts) = line.split_once("test result: ")?;
        let count = |word: &str| -> Option<u64> {
            let (before, _) = counts.split_once(word)?;
            before.split_whitespace().next_back()?.parse().ok()
        };
        Some(Tally {
            passed: count(" passed")?,
            failed: count(" failed")?,
            skipped: count(" ignored")?,
        })
    }
}

/// As libtest says it, so that one chore counts what another did.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.failed == 0 { "ok" } else { "FAILED" };
        let Tally {
            passed,
            failed,
            skipped,
        } = self;
        write!(
            f,
            "test result: {verdict}. {passed} passed; {failed} failed; {skipped} ignored"
        )
    }
}

/// What became of a program.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) tally: Tally,
    /// What it said it skipped.
    pub(crate) skipped: Vec<String>,
}

impl Outcome {
    /// Joins what became of the program run next.
    pub(crate) fn add(&mut self, next: Outcome) {
        self.success &= next.success;
        self.tally.add(next.tally);
        self.skipped.extend(next.skipped);
    }

    fn hear(&mut self, line: &str) {
        if let Some(found) = Tally::from_line(line) {
            self.tally.add(found);
        }
        if let Some(name) = line.strip_prefix(SKIPPED) {
            self.tally.skipped += 1;
            self.skipped.push(name.trim_end().to_owned());
        }
    }
}

/// Runs `command` to its end.
pub(crate) fn run(mut command: Command) -> io::Result<Outcome> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().expect("stdout was piped");
    let stderr = child.stderr.take().expect("stderr was piped");
    let (spoke, heard) = channel();
    let also = spoke.clone();
    let watch = thread::spawn(move || tell_when_quiet(&heard, QUIET, io::stdout()));
    let errors = thread::spawn(move || pass_on(stderr, io::stderr(), &also));
    let mut outcome = pass_on(stdout, io::stdout(), &spoke)?;
    drop(spoke);
    errors.join().expect("passing lines on does not panic")?;
    watch.join().expect("watching does not panic")?;
    outcome.success = child.wait()?.success();
    Ok(outcome)
}

fn pass_on(from: impl Read, mut to: impl Write, spoke: &Sender<()>) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        // Nobody listens when nobody could be told any more.
        let _ = spoke.send(());
        outcome.hear(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(outcome)
}

/// Writes a line whenever nothing was heard for `quiet`, until all speakers are gone.
fn tell_when_quiet(heard: &Receiver<()>, quiet: Duration, mut to: impl Write) -> io::Result<()> {
    let mut last = Instant::now();
    loop {
        match heard.recv_timeout(quiet) {
            Ok(()) => last = Instant::now(),
            Err(RecvTimeoutError::Timeout) => {
                let seconds = last.elapsed().as_secs();
                writeln!(to, "... at work, without a line for {seconds} s")?;
                to.flush()?;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; \
                    7 filtered out; finished in 0.01s";
        let expected = Tally {
            passed: 12,
            failed: 3,
            skipped: 1,
        };
        assert_eq!(Tally::from_line(line), Some(expected));
        assert_eq!(Tally::from_line(&expected.to_string()), Some(expected));
    }

    #[test]
    fn other_lines_are_not_counted() {
        for line in [
            "test passes ... ok",
            "test result: unknown",
            "",
            "3 passed; 0 failed",
        ] {
            assert_eq!(Tally::from_line(line), None, "{line:?}");
        }
    }

    #[test]
    fn output_is_passed_on_unchanged_and_summed_up() {
        let output = b"running 1 test\n\xff\ntest result: ok. 1 passed; 0 failed; 0 ignored\n\
            skipped: tsan: no nightly\n\
            test result: ok. 2 passed; 0 failed; 4 ignored\nno newline at the end";
        let mut seen = Vec::new();
        let (spoke, heard) = channel();
        let outcome = pass_on(&output[..], &mut seen, &spoke).unwrap();
        assert_eq!(heard.try_iter().count(), 6, "one for each line");
        assert_eq!(seen, output);
        assert_eq!(outcome.skipped, ["tsan: no nightly"]);
        let expected = Tally {
            passed: 3,
            failed: 0,
            skipped: 5,
        };
        assert_eq!(outcome.tally, expected);
    }

    /// Hands on what is written to it.
    struct Wire(Sender<Vec<u8>>);

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_owned()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_says_nothing_is_told_to_be_at_work_until_it_ends() {
        let (spoke, heard) = channel();
        let (to, written) = channel();
        let quiet = Duration::from_millis(1);
        let watch = thread::spawn(move || tell_when_quiet(&heard, quiet, Wire(to)));
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.extend(written.recv().unwrap());
        }
        let line = String::from_utf8(line).unwrap();
        assert!(
            line.starts_with("... at work, without a line for "),
            "{line}"
        );
        drop(spoke);
        watch.join().unwrap().unwrap();
    }
}
