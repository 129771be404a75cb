//! Process groups.

use std::io::{self, PipeReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// The leader of a group of its own. Until it is reaped its number is nobody else's.
pub(crate) struct Process {
    child: Child,
    group: Pid,
}

/// The end of a process.
pub(crate) struct Ending(Pid);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Process> {
        let child = command.process_group(0).spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = group.ok_or_else(|| io::Error::other("a process without a number"))?;
        Ok(Process { child, group })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ending(&self) -> io::Result<Ending> {
        Ok(Ending(self.group))
    }

    /// Asks it to end (SIGTERM).
    pub(crate) fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it (SIGKILL).
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Takes back what is left of it once it has ended, and ends what it has left behind.
    pub(crate) fn reap(mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.child.wait()
    }

    fn signal(&self, signal: Signal) {
        // A group that is no more needs none.
        let _ = kill_process_group(self.group, signal);
    }
}

impl Ending {
    /// Waits for it, and leaves it to be reaped.
    pub(crate) fn wait(self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(self.0), options) {}
    }
}

/// Waits until there is something to be read, or `stop` ends: which of the two it is. What
/// a program has started may keep the other end open for ever.
pub(crate) fn has_more(output: &PipeReader, stop: &PipeReader) -> (bool, bool) {
    loop {
        let mut both = [
            PollFd::new(output, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        match poll(&mut both, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return (false, true),
            Ok(_) => return (!both[0].revents().is_empty(), !both[1].revents().is_empty()),
        }
    }
}
