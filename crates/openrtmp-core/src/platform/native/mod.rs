//! The operating system, through mio.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | clocks, entropy, interfaces |
//! | `poller.rs` | readiness (epoll, kqueue, IOCP) and wake-ups |
//! | `socket.rs` | listening and connected sockets and their options |
//! | `resolver.rs` | host names |
//! | `sys.rs` | what neither mio nor socket2 offers; the only unsafe code |
//! | `file.rs` | files |

mod file;
mod poller;
mod resolver;
mod socket;
mod sys;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Instant, SystemTime};

use openrtmp_protocol::Time;

use super::{Answer, Interface, Platform};

pub use file::NativeFile;
pub use poller::{NativePoller, NativeWaker};
pub use socket::{NativeListener, NativeStream};

/// The operating system this program runs on.
#[derive(Clone, Copy, Debug)]
pub struct Native {
    origin: Instant,
}

impl Native {
    /// The operating system, its monotonic clock starting at zero now.
    pub fn new() -> Native {
        Native {
            origin: Instant::now(),
        }
    }
}

impl Default for Native {
    fn default() -> Native {
        Native::new()
    }
}

/// Takes one more descriptor from the system, and gives it back: fails if a connection
/// that came now would find none.
#[cfg(unix)]
pub(crate) fn spare_descriptor() -> io::Result<()> {
    match std::fs::File::open("/dev/null") {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => Err(e),
        // What else is wrong with it says nothing about descriptors.
        _ => Ok(()),
    }
}

/// There are as many as there is memory for.
#[cfg(not(unix))]
pub(crate) fn spare_descriptor() -> io::Result<()> {
    Ok(())
}

impl Platform for Native {
    type Poller = NativePoller;
    type Waker = NativeWaker;
    type Listener = NativeListener;
    type Stream = NativeStream;
    type File = NativeFile;

    fn poller(&self) -> io::Result<(NativePoller, NativeWaker)> {
        NativePoller::new()
    }

    fn listen(&self, address: SocketAddr) -> io::Result<NativeListener> {
        NativeListener::bind(address)
    }

    fn connect(&self, address: SocketAddr) -> io::Result<NativeStream> {
        NativeStream::connect(address)
    }

    fn resolve(&self, host: &str, port: u16, answer: Answer) {
        resolver::RESOLVER.resolve(host, port, answer);
    }

    fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> io::Result<()> {
        Ok(getrandom::fill(bytes)?)
    }

    fn interfaces(&self) -> io::Result<Vec<Interface>> {
        let found = if_addrs::get_if_addrs()?;
        Ok(found
            .into_iter()
            .filter(|interface| interface.is_oper_up())
            .map(|interface| Interface {
                address: interface.ip(),
                loopback: interface.is_loopback(),
                name: interface.name,
            })
            .collect())
    }

    fn create_file(&self, path: &Path) -> io::Result<NativeFile> {
        NativeFile::create(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests;
