//! What a platform supplies.
//!
//! The server reaches the world through these traits only:
//!
//! | need | item |
//! |---|---|
//! | readiness of sockets, wake-ups | [`Poller`], [`Wake`] |
//! | listening and connected sockets | [`Listener`], [`Stream`] |
//! | connecting, host names | [`Platform::connect`], [`Platform::resolve`] |
//! | the error of a lost listener | [`listener_is_gone`] |
//! | monotonic and wall clock, time zone | [`Platform::now`], [`Platform::wall_clock`], [`Platform::local_offset`] |
//! | entropy | [`Platform::fill_random`] |
//! | network interfaces | [`Platform::interfaces`] |
//! | files | [`Platform::create_file`], [`Platform::remove_file`], [`File`] |
//!
//! Two implementations exist: [`native`] (mio: epoll, kqueue, IOCP) and [`sim`],
//! an in-memory network with a virtual clock and seeded faults.
//!
//! None of this is part of the API, though it is reachable: [`Server`](crate::Server)
//! runs on [`native`] and takes no other platform, so one written elsewhere would have
//! nothing to run. It changes without notice. Beside the crate itself only the
//! program that counts instructions uses it, through the feature `internals`.

#[cfg(test)]
mod contract;
mod errors;
pub mod native;
pub mod sim;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use openrtmp_protocol::Time;

pub use errors::{is_out_of_descriptors, listener_is_gone};

/// What [`Platform::resolve`] found, for the one who asked. It may be called on
/// any thread and must not block: it hands the addresses over and wakes.
pub type Answer = Box<dyn FnOnce(io::Result<Vec<SocketAddr>>) + Send>;

/// An operating system, or the simulation of one.
pub trait Platform: Send + Sync + 'static {
    /// Waits for readiness.
    type Poller: Poller<Listener = Self::Listener, Stream = Self::Stream> + Send;
    /// Interrupts a [`Poller`] from any thread.
    type Waker: Wake;
    /// A listening socket.
    type Listener: Listener<Stream = Self::Stream> + Send;
    /// A connected socket.
    type Stream: Stream + Send;
    /// An open file.
    type File: File + Send;

    /// A new poller and the waker that interrupts it.
    fn poller(&self) -> io::Result<(Self::Poller, Self::Waker)>;

    /// Binds and listens. IPv6 sockets are IPv6 only, so that `0.0.0.0` and
    /// `[::]` can stand side by side on one port. Port 0 takes a free one.
    fn listen(&self, address: SocketAddr) -> io::Result<Self::Listener>;

    /// Begins to connect. The stream becomes writable when the attempt has ended,
    /// well or not: [`Stream::connected`] tells. Until then it must not be read or
    /// written. It has the options of an accepted one. Dropping it gives up.
    ///
    /// # Errors
    /// What is known at once, for example `NetworkUnreachable` for an IPv6 address
    /// on a machine without IPv6.
    fn connect(&self, address: SocketAddr) -> io::Result<Self::Stream>;

    /// Finds the addresses of a host, in the order in which the system would try
    /// them (RFC 6724), and hands them to `answer` with `port`. It never blocks.
    /// The answer comes once: before this returns if `host` is an IP address or
    /// the look-up cannot begin, otherwise from another thread, late, or never if
    /// the resolver hangs. It has no time-out: the asker has a deadline of its own
    /// and drops an answer that comes after it.
    ///
    /// # Errors
    /// Given to `answer`: the resolver's own, and `WouldBlock` if too many
    /// look-ups wait already. An answer without an error has an address.
    fn resolve(&self, host: &str, port: u16, answer: Answer);

    /// Monotonic time since the platform was made.
    fn now(&self) -> Time;

    /// Time of day, for file names and logs.
    fn wall_clock(&self) -> SystemTime;

    /// How far local time is ahead of UTC, in seconds, so many seconds after 1970-01-01 in
    /// UTC; 0 where there is no time zone.
    fn local_offset(&self, unix_seconds: i64) -> i32;

    /// Random bytes fit for keys.
    fn fill_random(&self, bytes: &mut [u8]) -> io::Result<()>;

    /// Addresses of the interfaces that are up, loopback included.
    fn interfaces(&self) -> io::Result<Vec<Interface>>;

    /// Creates a file for writing, with its parent folders; fails with
    /// `AlreadyExists` rather than overwrite.
    fn create_file(&self, path: &Path) -> io::Result<Self::File>;

    /// Removes a file that this created and that is no longer open; its folders stay.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
}

/// One address of a network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Name, for example `eth0`.
    pub name: String,
    /// Address.
    pub address: IpAddr,
    /// True for loopback.
    pub loopback: bool,
    /// There is one other end, as in a tunnel: nobody is reached by broadcast.
    pub point_to_point: bool,
}

/// The caller's name for a registered socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub usize);

/// A socket that became ready. Readiness is edge-triggered: whoever is told
/// reads or writes until `WouldBlock`, or remembers that it has not. Until then
/// the socket may not be reported again. A report may be false: the call then
/// returns `WouldBlock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Which socket.
    pub token: Token,
    /// Bytes, a connection, the end or an error can be read.
    pub readable: bool,
    /// Bytes can be written (or the error be met).
    pub writable: bool,
}

/// Waits for sockets to become ready.
pub trait Poller {
    /// A listening socket.
    type Listener;
    /// A connected socket.
    type Stream;

    /// Waits until a socket is ready, the waker was used or `timeout` passed
    /// (`None`: for ever), then appends to `ready`. May return early with nothing.
    fn poll(&mut self, timeout: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()>;

    /// Watches a listener for connections.
    fn add_listener(&mut self, listener: &mut Self::Listener, token: Token) -> io::Result<()>;

    /// Stops watching a listener.
    fn remove_listener(&mut self, listener: &mut Self::Listener) -> io::Result<()>;

    /// Watches a connection for reading.
    fn add_stream(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()>;

    /// Also watches it for writing, or no longer does. Turning it on reports the
    /// socket at once if it is writable.
    fn watch_writable(
        &mut self,
        stream: &mut Self::Stream,
        token: Token,
        on: bool,
    ) -> io::Result<()>;

    /// Stops watching a connection.
    fn remove_stream(&mut self, stream: &mut Self::Stream) -> io::Result<()>;
}

/// Interrupts a poller.
pub trait Wake: Send + Sync + 'static {
    /// Makes the current or next `poll` return, even if the waker is dropped
    /// before that.
    fn wake(&self) -> io::Result<()>;
}

/// A listening socket, non-blocking.
pub trait Listener {
    /// A connected socket.
    type Stream;

    /// The next connection; `WouldBlock` if there is none. The socket comes
    /// non-blocking with TCP_NODELAY and keep-alive set.
    ///
    /// # Errors
    /// Any other error leaves the connection where it is and no new edge tells of
    /// it: when descriptors run out, for one, try again after a pause.
    fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;

    /// Where it listens, the real port if 0 was asked for.
    fn local_address(&self) -> io::Result<SocketAddr>;

    /// Asks the system, without traffic, whether this still listens. A system may
    /// take a listening socket from a program without a word: iOS does it to one
    /// that it suspends, and then `accept` says `WouldBlock` for ever.
    ///
    /// # Errors
    /// One for which [`listener_is_gone`] is true if it does not listen any more.
    /// The socket is then of no use: drop it and bind anew.
    fn probe(&self) -> io::Result<()>;
}

/// A connected or connecting socket, non-blocking. Dropping it closes it.
pub trait Stream: io::Read + io::Write {
    /// Our end.
    fn local_address(&self) -> io::Result<SocketAddr>;

    /// The other end. `NotConnected` while the attempt to connect lasts.
    fn peer_address(&self) -> io::Result<SocketAddr>;

    /// Whether the attempt of [`Platform::connect`] succeeded; false while it lasts.
    /// To be asked whenever the stream is reported as writable, until it is true.
    ///
    /// # Errors
    /// Why the attempt failed, told once: `ConnectionRefused`, `TimedOut`,
    /// `HostUnreachable` and so on. The stream is then of no use.
    fn connected(&self) -> io::Result<bool>;

    /// Ends the sending direction: the peer reads what was sent, then the end.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Bytes the kernel may hold unsent before the socket stops being writable
    /// (TCP_NOTSENT_LOWAT where there is one; elsewhere nothing).
    fn set_unsent_limit(&self, bytes: u32) -> io::Result<()>;

    /// How long the peer may leave sent data unacknowledged before the connection
    /// fails with `TimedOut`, where the system can be told (RFC 5482; Linux and
    /// Android to the millisecond, Apple and Windows in whole seconds, rounded up);
    /// elsewhere nothing, and the system's own limit holds, usually some 15 minutes. Keep-alive
    /// does not help here: it probes only while nothing is unacknowledged.
    fn set_unacknowledged_limit(&self, limit: Duration) -> io::Result<()>;
}

/// An open file.
pub trait File: io::Write + io::Seek {
    /// Makes what was written survive a power cut.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file off after so many bytes. Where it is written next does not
    /// change.
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;
}
