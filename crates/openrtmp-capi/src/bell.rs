//! What the host's own event loop waits for: readable while there is something.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(windows)]
use std::net::UdpSocket as Socket;
#[cfg(unix)]
use std::os::fd::AsRawFd;
#[cfg(unix)]
use std::os::unix::net::UnixStream as Socket;
#[cfg(windows)]
use std::os::windows::io::AsRawSocket;

/// Two ends of one connection: what is written to one makes the other readable.
pub(crate) struct Bell {
    near: Socket,
    far: Socket,
    rung: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Bell> {
        let (near, far) = pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let rung = AtomicBool::new(false);
        Ok(Bell { near, far, rung })
    }

    /// What the host waits for: a file descriptor, on Windows a SOCKET.
    pub(crate) fn descriptor(&self) -> isize {
        #[cfg(unix)]
        return self.near.as_raw_fd() as isize;
        #[cfg(windows)]
        return self.near.as_raw_socket() as isize;
    }

    /// Makes it readable.
    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // One that is full is readable already.
            let _ = send(&self.far, &[1]);
        }
    }

    /// Makes it unreadable, unless it is rung meanwhile. What it was rung for is to be
    /// looked for after this.
    pub(crate) fn hush(&self) {
        self.rung.store(false, Ordering::Release);
        let mut bytes = [0; 16];
        while receive(&self.near, &mut bytes).is_ok_and(|count| count > 0) {}
    }
}

#[cfg(unix)]
fn pair() -> io::Result<(Socket, Socket)> {
    Socket::pair()
}

#[cfg(unix)]
fn send(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    io::Write::write(&mut &*socket, bytes)
}

#[cfg(unix)]
fn receive(socket: &Socket, bytes: &mut [u8]) -> io::Result<usize> {
    io::Read::read(&mut &*socket, bytes)
}

/// There are no pairs: two datagram sockets that hear each other alone.
#[cfg(windows)]
fn pair() -> io::Result<(Socket, Socket)> {
    let (near, far) = (Socket::bind("127.0.0.1:0")?, Socket::bind("127.0.0.1:0")?);
    near.connect(far.local_addr()?)?;
    far.connect(near.local_addr()?)?;
    Ok((near, far))
}

#[cfg(windows)]
fn send(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    socket.send(bytes)
}

#[cfg(windows)]
fn receive(socket: &Socket, bytes: &mut [u8]) -> io::Result<usize> {
    socket.recv(bytes)
}
