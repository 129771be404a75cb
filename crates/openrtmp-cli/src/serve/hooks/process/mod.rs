//! A program that runs, with everything that it starts: a process group, on Windows a job.
//!
//! Each system has `Process` (`spawn`, `ask_to_end`, `kill`, `reap`), `Ending`, which waits
//! for its end on a thread of its own, and `has_more`, which waits for what it writes.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{Process, has_more};
#[cfg(windows)]
pub(super) use windows::{Process, has_more};

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};
    use std::process::Command;

    use super::*;

    /// What does not end by itself.
    fn endless() -> Command {
        let mut command;
        if cfg!(windows) {
            command = Command::new("cmd");
            command.args(["/c", "for /l %i in (0,0,1) do @rem"]);
        } else {
            command = Command::new("sleep");
            command.arg("1000");
        }
        command
    }

    #[test]
    fn a_program_ends_when_it_is_asked_to_and_when_it_is_killed() {
        for end in [Process::ask_to_end, Process::kill] {
            let process = Process::spawn(&mut endless()).expect("it can be run");
            let ending = process.ending().expect("it can be waited for");
            end(&process);
            ending.wait();
            let status = process.reap().expect("it has ended");
            assert!(!status.success());
        }
        let missing = Process::spawn(&mut Command::new("no-such-program"));
        assert!(missing.is_err());
    }

    #[test]
    fn what_it_writes_is_read_to_its_end() {
        let (mut output, written) = pipe().expect("a pipe");
        let (stopped, stop) = pipe().expect("a pipe");
        let mut command;
        if cfg!(windows) {
            command = Command::new("cmd");
            command.args(["/c", "echo told"]);
        } else {
            command = Command::new("echo");
            command.arg("told");
        }
        let process = Process::spawn(command.stdout(written)).expect("it can be run");
        drop(command);
        process.ending().expect("it can be waited for").wait();
        assert!(process.reap().expect("it has ended").success());
        drop(stop);
        let (is_more, _) = has_more(&output, &stopped);
        assert!(is_more);
        let mut text = String::new();
        output.read_to_string(&mut text).expect("text");
        assert_eq!(text.trim(), "told");
    }
}
