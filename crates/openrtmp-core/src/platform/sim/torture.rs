//! Failing one call: every way from the server to the platform passes here and
//! can be made to fail, by its number or by its kind.

use std::io;

use super::Sim;
use super::world::World;

/// A kind of call that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// [`Platform::poller`](crate::platform::Platform::poller).
    Poller,
    /// [`Platform::listen`](crate::platform::Platform::listen).
    Listen,
    /// [`Platform::connect`](crate::platform::Platform::connect).
    Connect,
    /// [`Platform::resolve`](crate::platform::Platform::resolve).
    Resolve,
    /// [`Platform::fill_random`](crate::platform::Platform::fill_random).
    Random,
    /// [`Platform::create_file`](crate::platform::Platform::create_file).
    Create,
    /// [`Platform::remove_file`](crate::platform::Platform::remove_file).
    Remove,
    /// [`Poller::poll`](crate::platform::Poller::poll).
    Poll,
    /// Adding a listener or a connection to a poller.
    Watch,
    /// Taking one off.
    Unwatch,
    /// [`Poller::watch_writable`](crate::platform::Poller::watch_writable).
    WatchWritable,
    /// [`Wake::wake`](crate::platform::Wake::wake).
    Wake,
    /// [`Listener::accept`](crate::platform::Listener::accept).
    Accept,
    /// [`Listener::probe`](crate::platform::Listener::probe).
    Probe,
    /// [`Stream::connected`](crate::platform::Stream::connected).
    Connected,
    /// Asking a socket for its address.
    Address,
    /// Reading from a connection.
    Read,
    /// Writing to one.
    Write,
    /// [`Stream::shutdown_write`](crate::platform::Stream::shutdown_write).
    Shutdown,
    /// Writing to a file.
    FileWrite,
    /// Seeking in one.
    Seek,
    /// [`File::sync`](crate::platform::File::sync).
    Sync,
    /// [`File::truncate`](crate::platform::File::truncate).
    Truncate,
}

/// Which calls fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Torture {
    /// None.
    #[default]
    None,
    /// The call of this number, counted from 0.
    Nth(u64),
    /// Every call of a kind from this number on.
    From(Call, u64),
}

/// The calls made so far, and what becomes of the next.
#[derive(Debug, Default)]
pub(super) struct Calls {
    torture: Torture,
    made: u64,
    failed: Option<Call>,
}

impl Sim {
    /// Chooses the calls that fail from now on.
    pub fn torture(&self, torture: Torture) {
        self.0.lock().calls.torture = torture;
    }

    /// Fallible calls that the server has made.
    pub fn calls(&self) -> u64 {
        self.0.lock().calls.made
    }

    /// The call that was made to fail last.
    pub fn tortured(&self) -> Option<Call> {
        self.0.lock().calls.failed
    }
}

impl World {
    /// Counts a call, and fails it if its turn has come.
    pub(super) fn attempt(&mut self, call: Call) -> io::Result<()> {
        let calls = &mut self.calls;
        let number = calls.made;
        calls.made += 1;
        let fails = match calls.torture {
            Torture::None => false,
            Torture::Nth(wanted) => number == wanted,
            Torture::From(kind, first) => call == kind && number >= first,
        };
        if !fails {
            return Ok(());
        }
        calls.failed = Some(call);
        self.note("torture", [number, call as u64]);
        Err(io::Error::other(format!("made to fail: {call:?}")))
    }
}
