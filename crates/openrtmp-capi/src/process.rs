//! fork(2): a child has its parent's handles, but not the threads behind them.

use crate::error::Failure;

/// The process that made a handle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn this() -> Process {
        Process(std::process::id())
    }

    /// Refuses to wait for threads that another process has. To be called before any
    /// lock is taken: one may be held for ever here by a thread that is there.
    pub(crate) fn check(self) -> Result<(), Failure> {
        match self == Process::this() {
            true => Ok(()),
            false => Err(Failure::state(
                "it belongs to the parent process, which has its threads",
            )),
        }
    }
}
