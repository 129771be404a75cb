//! A child process that cannot outlive its test.

use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// No program of these tests has a reason to run longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running program. Its output is collected line by line; dropping the guard
/// kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// Of one that is told something.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    output: Vec<String>,
    deadline: Instant,
    limit: Duration,
}

/// A program that came to its end.
#[derive(Debug)]
pub struct Finished {
    /// Name given at the start, for messages.
    pub name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, both streams, line by line.
    pub output: Vec<String>,
}

impl Process {
    /// Starts `command`; `name` stands for it in messages.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(name: impl Into<String>, command: Command) -> Process {
        Process::start_within(name, command, DEADLINE)
    }

    /// The same for one that may take longer than most.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_within(name: impl Into<String>, command: Command, limit: Duration) -> Process {
        Process::spawn(name.into(), command, limit, Stdio::null())
    }

    /// The same for one that is told something ([`Process::tell`]).
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_told(name: impl Into<String>, command: Command, limit: Duration) -> Process {
        Process::spawn(name.into(), command, limit, Stdio::piped())
    }

    fn spawn(name: String, mut command: Command, limit: Duration, input: Stdio) -> Process {
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {command:?} cannot be started: {error}"));
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("stdout was piped");
        let stderr = child.stderr.take().expect("stderr was piped");
        let also = sender.clone();
        thread::spawn(move || send_lines(stdout, &also));
        thread::spawn(move || send_lines(stderr, &sender));
        Process {
            name,
            input: child.stdin.take(),
            child,
            lines,
            output: Vec::new(),
            deadline: Instant::now() + limit,
            limit,
        }
    }

    /// The first line, from here on, of which `fits` is true.
    ///
    /// # Panics
    /// If the program ends without it or the deadline passes.
    pub fn wait_for(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        while let Some(line) = self.next_line() {
            if fits(&line) {
                return line;
            }
        }
        panic!(
            "{} ended without {what}\n{}",
            self.name,
            self.output.join("\n")
        );
    }

    /// Writes a line to its standard input.
    ///
    /// # Panics
    /// If it does not listen.
    pub fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it was started to be told");
        writeln!(input, "{line}").expect("it listens");
    }

    /// Waits for the program to end by itself.
    ///
    /// # Panics
    /// If the deadline passes.
    pub fn wait(mut self) -> Finished {
        while self.next_line().is_some() {}
        self.reap()
    }

    /// Ends the program with SIGKILL, however long it has run.
    pub fn kill(mut self) -> Finished {
        // An error means that it has already ended.
        let _ = self.child.kill();
        // The limit is for what ends by itself. What is left to wait for is the
        // end of its output.
        self.deadline = Instant::now() + DEADLINE;
        while self.next_line().is_some() {}
        self.reap()
    }

    /// It runs still.
    ///
    /// # Panics
    /// If it does not.
    pub fn expect_running(&mut self) {
        let Some(status) = self.child.try_wait().expect("a child can be asked") else {
            return;
        };
        while self.next_line().is_some() {}
        let (name, output) = (&self.name, self.output.join("\n"));
        panic!("{name} ended with {status}\n{output}");
    }

    /// Process id, for signals other than SIGKILL.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line, or `None` when the program has closed its output.
    fn next_line(&mut self) -> Option<String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.output.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                let (name, output) = (&self.name, self.output.join("\n"));
                panic!("{name} had not ended after {:?}\n{output}", self.limit);
            }
        }
    }

    fn reap(&mut self) -> Finished {
        let status = self.child.wait().expect("a child can be waited for");
        Finished {
            name: self.name.clone(),
            status,
            output: std::mem::take(&mut self.output),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// Passes itself on if the program ended with success.
    ///
    /// # Panics
    /// If it did not.
    pub fn expect_success(self) -> Finished {
        let (name, status) = (&self.name, self.status);
        assert!(
            status.success(),
            "{name} ended with {status}\n{}",
            self.output.join("\n")
        );
        self
    }
}

/// What `look` finds in the end, which looks again and again.
///
/// # Panics
/// If it finds nothing within a minute.
pub fn found_at_last<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} in {DEADLINE:?}");
        thread::yield_now();
    }
}

/// Lines end with a newline or, in progress displays, with a carriage return.
fn send_lines(from: impl Read, to: &Sender<String>) {
    let mut line = Vec::new();
    for byte in BufReader::new(from).bytes().map_while(Result::ok) {
        if byte != b'\n' && byte != b'\r' {
            line.push(byte);
        } else if !line.is_empty() {
            // The receiver is gone when nobody reads on: no reason to stop
            // draining, or the program would block on a full pipe.
            let _ = to.send(String::from_utf8_lossy(&line).into_owned());
            line.clear();
        }
    }
    if !line.is_empty() {
        let _ = to.send(String::from_utf8_lossy(&line).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("shell", command)
    }

    #[test]
    fn lines_of_both_streams_are_collected() {
        let finished = shell("printf 'one\\rtwo\\n'; printf three >&2")
            .wait()
            .expect_success();
        let mut output = finished.output;
        output.sort();
        assert_eq!(output, ["one", "three", "two"]);
    }

    #[test]
    fn a_line_is_waited_for_while_the_program_runs() {
        let mut process = shell("echo ready 7; exec sleep 600");
        assert_eq!(
            process.wait_for("readiness", |line| line.starts_with("ready")),
            "ready 7"
        );
        assert!(!process.kill().status.success());
    }

    #[test]
    #[should_panic(expected = "shell ended without a word")]
    fn a_line_that_never_comes_fails_when_the_program_ends() {
        shell("echo something else").wait_for("a word", |line| line == "word");
    }
}
