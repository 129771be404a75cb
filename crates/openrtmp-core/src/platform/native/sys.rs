//! Socket options by system. `SIGPIPE` matters because this library lives in
//! programs that may not ignore it: Linux suppresses it per send, Apple per socket,
//! Windows has none.

use std::ffi::c_int;
use std::io;

use mio::net::TcpStream;

/// Flags of every send.
pub(super) const SEND_FLAGS: c_int = send_flags();

#[cfg(all(unix, not(target_vendor = "apple")))]
const fn send_flags() -> c_int {
    libc::MSG_NOSIGNAL
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
const fn send_flags() -> c_int {
    0
}

/// Keeps a write to a closed connection from raising `SIGPIPE`.
#[cfg(target_vendor = "apple")]
pub(super) fn disable_sigpipe(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_nosigpipe(true)
}

#[cfg(not(target_vendor = "apple"))]
pub(super) fn disable_sigpipe(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// The error of a failed write. Windows has a code of its own for a write after
/// `shutdown_write`, to which the standard library gives no kind.
#[cfg(windows)]
pub(super) fn write_error(error: io::Error) -> io::Error {
    const WSAESHUTDOWN: i32 = 10058;
    match error.raw_os_error() {
        Some(WSAESHUTDOWN) => io::Error::new(io::ErrorKind::BrokenPipe, error),
        _ => error,
    }
}

#[cfg(not(windows))]
pub(super) fn write_error(error: io::Error) -> io::Error {
    error
}

/// Bounds the bytes that wait in the kernel and were not yet sent.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn set_unsent_limit(stream: &TcpStream, bytes: u32) -> io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(bytes)
}

#[cfg(target_vendor = "apple")]
pub(super) fn set_unsent_limit(stream: &TcpStream, bytes: u32) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    /// From netinet/tcp.h, which the libc crate does not cover here.
    const TCP_NOTSENT_LOWAT: c_int = 0x201;

    let value = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    // SAFETY: the descriptor is open as long as `stream` lives, and the option is
    // an int, read only during the call.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            TCP_NOTSENT_LOWAT,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn set_unsent_limit(_: &TcpStream, _: u32) -> io::Result<()> {
    Ok(())
}
