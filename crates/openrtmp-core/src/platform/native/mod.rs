//! The operating system, through mio.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | clocks, time zone, entropy, interfaces |
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
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use chrono::{DateTime, Local, MappedLocalTime, NaiveTime, TimeZone};
use openrtmp_protocol::Time;

use super::{Answer, Interface, Platform};

pub use file::NativeFile;
pub use poller::{NativePoller, NativeWaker};
pub use socket::{NativeListener, NativeStream};

/// The operating system this program runs on.
#[derive(Clone, Debug)]
pub struct Native {
    origin: Instant,
    /// Sockets that listen already.
    given: Arc<[TcpListener]>,
}

impl Native {
    /// The operating system, its monotonic clock starting at zero now.
    pub fn new() -> Native {
        Native::with_sockets(Vec::new())
    }

    /// The same with sockets that listen already: whoever asks for the address of one has
    /// that, again and again, as long as this or a copy of it lives.
    pub fn with_sockets(given: Vec<TcpListener>) -> Native {
        Native {
            origin: Instant::now(),
            given: given.into(),
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

/// No time zone sets its clocks then.
const NOON: NaiveTime = match NaiveTime::from_hms_opt(12, 0, 0) {
    Some(noon) => noon,
    None => NaiveTime::MIN,
};

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
        let is_it = |socket: &&TcpListener| socket.local_addr().is_ok_and(|at| at == address);
        match self.given.iter().find(is_it) {
            Some(socket) => NativeListener::adopt(socket.try_clone()?),
            None => NativeListener::bind(address),
        }
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

    fn local_offset(&self, unix_seconds: i64) -> i32 {
        // A clock beyond all calendars has no time zone.
        let Some(utc) = DateTime::from_timestamp(unix_seconds, 0) else {
            return 0;
        };
        let utc = utc.naive_utc();
        // A system may know of none, which is asked of a time that each day has: chrono
        // panics where the offset of a time in UTC is not known.
        let noon = utc.date().and_time(NOON);
        match Local.offset_from_local_datetime(&noon) {
            MappedLocalTime::None => 0,
            _ => Local.offset_from_utc_datetime(&utc).local_minus_utc(),
        }
    }

    fn fill_random(&self, bytes: &mut [u8]) -> io::Result<()> {
        Ok(getrandom::fill(bytes)?)
    }

    fn interfaces(&self) -> io::Result<Vec<Interface>> {
        // An interpreter has no system that could be asked.
        if cfg!(miri) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let found = if_addrs::get_if_addrs()?;
        Ok(found
            .into_iter()
            .filter(|interface| interface.is_oper_up())
            .map(|interface| Interface {
                address: interface.ip(),
                loopback: interface.is_loopback(),
                point_to_point: interface.is_p2p(),
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
