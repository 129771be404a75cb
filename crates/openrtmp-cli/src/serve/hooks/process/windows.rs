//! Job objects.

#![expect(unsafe_code, reason = "the system's functions for jobs")]

use std::io::{self, PipeReader};
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle};
use std::process::{Child, Command, ExitStatus};
use std::ptr::null;

use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{INFINITE, WaitForSingleObject};

/// A process in a job of its own, which ends with this.
pub(crate) struct Process {
    child: Child,
    job: OwnedHandle,
}

/// The end of a process.
pub(crate) struct Ending(OwnedHandle);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Process> {
        // SAFETY: no attributes and no name.
        let job = unsafe { CreateJobObjectW(null(), null()) };
        if job.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a handle that is open and nobody else's.
        let job = unsafe { OwnedHandle::from_raw_handle(job) };
        // SAFETY: integers, and pointers that may be null.
        let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = unsafe { std::mem::zeroed() };
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        // SAFETY: the struct lives during the call, and is of that kind and size.
        let set = unsafe {
            SetInformationJobObject(
                job.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size_of_val(&limits) as u32,
            )
        };
        if set == 0 {
            return Err(io::Error::last_os_error());
        }
        let mut child = command.spawn()?;
        // SAFETY: two handles that are open.
        let assigned =
            unsafe { AssignProcessToJobObject(job.as_raw_handle(), child.as_raw_handle()) };
        if assigned == 0 {
            let error = io::Error::last_os_error();
            // It is not let run out of our hands.
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        Ok(Process { child, job })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ending(&self) -> io::Result<Ending> {
        self.child.as_handle().try_clone_to_owned().map(Ending)
    }

    /// There is no way to ask that every program understands: ends it.
    pub(crate) fn ask_to_end(&self) {
        self.kill();
    }

    /// Ends it and all that it has started.
    pub(crate) fn kill(&self) {
        // SAFETY: a handle that is open. A job that is over needs it not.
        unsafe { TerminateJobObject(self.job.as_raw_handle(), 1) };
    }

    /// Takes back what is left of it once it has ended, and ends what it has left behind.
    pub(crate) fn reap(mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.child.wait()
    }
}

impl Ending {
    /// Waits for it.
    pub(crate) fn wait(self) {
        // SAFETY: a handle that is open.
        unsafe { WaitForSingleObject(self.0.as_raw_handle(), INFINITE) };
    }
}

/// Reading waits by itself: all that could write ends with the job.
pub(crate) fn has_more(_output: &PipeReader, _stop: &PipeReader) -> (bool, bool) {
    (true, false)
}
