//! Socket options by system. `SIGPIPE` matters because this library lives in
//! programs that may not ignore it: Linux suppresses it per send, Apple per socket,
//! Windows has none.

use std::ffi::c_int;
use std::io;

use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use socket2::SockRef;

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
    SockRef::from(stream).set_nosigpipe(true)
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
    SockRef::from(stream).set_tcp_notsent_lowat(bytes)
}

#[cfg(target_vendor = "apple")]
pub(super) fn set_unsent_limit(stream: &TcpStream, bytes: u32) -> io::Result<()> {
    /// From netinet/tcp.h, which the libc crate does not cover here.
    const TCP_NOTSENT_LOWAT: c_int = 0x201;

    set_tcp_option(stream, TCP_NOTSENT_LOWAT, bytes)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn set_unsent_limit(_: &TcpStream, _: u32) -> io::Result<()> {
    Ok(())
}

/// Bounds how long sent data may stay unacknowledged.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn set_unacknowledged_limit(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    // Zero means the system's own limit.
    let limit = limit.max(Duration::from_millis(1));
    SockRef::from(stream).set_tcp_user_timeout(Some(limit))
}

#[cfg(target_vendor = "apple")]
pub(super) fn set_unacknowledged_limit(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    /// From netinet/tcp.h, which the libc crate does not cover: seconds of
    /// retransmission after which the connection is dropped.
    const TCP_RXT_CONNDROPTIME: c_int = 0x80;

    set_tcp_option(stream, TCP_RXT_CONNDROPTIME, whole_seconds(limit))
}

#[cfg(windows)]
pub(super) fn set_unacknowledged_limit(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    /// From ws2ipdef.h: seconds of retransmission after which the connection is
    /// dropped.
    const TCP_MAXRT: c_int = 5;

    set_tcp_option(stream, TCP_MAXRT, whole_seconds(limit))
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    windows
)))]
pub(super) fn set_unacknowledged_limit(_: &TcpStream, _: Duration) -> io::Result<()> {
    Ok(())
}

/// Rounded up, and never the zero that means "the system's own".
#[cfg(any(target_vendor = "apple", windows))]
fn whole_seconds(limit: Duration) -> u32 {
    let up = u64::from(limit.subsec_nanos() > 0);
    let seconds = limit.as_secs().saturating_add(up).max(1);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// Sets a 32-bit option of TCP.
#[cfg(target_vendor = "apple")]
fn set_tcp_option(stream: &TcpStream, option: c_int, value: u32) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let value = c_int::try_from(value).unwrap_or(c_int::MAX);
    // SAFETY: the descriptor is open as long as `stream` lives, and the option is
    // an int, read only during the call.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets a 32-bit option of TCP.
#[cfg(windows)]
fn set_tcp_option(stream: &TcpStream, option: c_int, value: u32) -> io::Result<()> {
    use std::os::windows::io::AsRawSocket;

    use windows_sys::Win32::Networking::WinSock::{IPPROTO_TCP, SOCKET, setsockopt};

    let bytes = value.to_ne_bytes();
    // SAFETY: the socket is open as long as `stream` lives, and the option is four
    // bytes, read only during the call.
    #[allow(unsafe_code)]
    let result = unsafe {
        setsockopt(
            stream.as_raw_socket() as SOCKET,
            IPPROTO_TCP,
            option,
            bytes.as_ptr(),
            bytes.len() as c_int,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether a socket still listens.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn listens(listener: &TcpListener, _backlog: c_int) -> io::Result<bool> {
    SockRef::from(listener).is_listener()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn listens(listener: &TcpListener, backlog: c_int) -> io::Result<bool> {
    SockRef::from(listener).listen(backlog).map(|()| true)
}
