//! A platform of memory: sockets are buffers, the clock stands still until it is
//! moved. It does as little as it can, so that what is counted is the server.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use openrtmp_core::platform::{
    Answer, File, Interface, Listener, Platform, Poller, Readiness, Stream, Token, Wake,
};
use openrtmp_core::protocol::Time;

/// The server's side of the platform, and a client's way in.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Shared>);

#[derive(Default)]
struct Shared {
    micros: AtomicU64,
    listener: AtomicUsize,
    arriving: Mutex<Vec<Socket>>,
    ready: Mutex<Vec<Readiness>>,
}

/// What the server says beyond this is only counted: copying it would be most
/// of what is counted.
pub(crate) const KEPT: usize = 8192;

/// One connection, held by both ends.
#[derive(Clone)]
pub(crate) struct Socket(Arc<Buffers>);

struct Buffers {
    token: AtomicUsize,
    /// On its way to the server.
    input: Mutex<Vec<u8>>,
    /// What the server said, as long as somebody wants to read it: [`KEPT`] bytes.
    output: Mutex<Option<Vec<u8>>>,
    written: AtomicUsize,
}

impl Memory {
    /// Lets time pass.
    pub(crate) fn advance(&self, micros: u64) {
        self.0.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// A new connection, which waits to be accepted.
    pub(crate) fn connect(&self) -> Socket {
        let socket = Socket(Arc::new(Buffers {
            token: AtomicUsize::new(usize::MAX),
            input: Mutex::default(),
            output: Mutex::new(Some(Vec::new())),
            written: AtomicUsize::new(0),
        }));
        lock(&self.0.arriving).push(socket.clone());
        self.tell(self.0.listener.load(Ordering::Relaxed));
        socket
    }

    /// Bytes for the server.
    pub(crate) fn send(&self, socket: &Socket, bytes: &[u8]) {
        lock(&socket.0.input).extend_from_slice(bytes);
        self.tell(socket.0.token.load(Ordering::Relaxed));
    }

    fn tell(&self, token: usize) {
        lock(&self.0.ready).push(Readiness {
            token: Token(token),
            readable: true,
            writable: false,
        });
    }
}

impl Socket {
    /// What the server said since the last call.
    pub(crate) fn take_output(&self) -> Vec<u8> {
        let mut output = lock(&self.0.output);
        output.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// From now on what the server says is only counted.
    pub(crate) fn count_only(&self) {
        *lock(&self.0.output) = None;
    }

    /// Bytes the server has written in all.
    pub(crate) fn written(&self) -> usize {
        self.0.written.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Platform for Memory {
    type Poller = Memory;
    type Waker = Memory;
    type Listener = Memory;
    type Stream = Socket;
    type File = NoFile;

    fn poller(&self) -> io::Result<(Memory, Memory)> {
        Ok((self.clone(), self.clone()))
    }

    fn listen(&self, _: SocketAddr) -> io::Result<Memory> {
        Ok(self.clone())
    }

    fn connect(&self, _: SocketAddr) -> io::Result<Socket> {
        Err(io::ErrorKind::NetworkUnreachable.into())
    }

    fn resolve(&self, _: &str, _: u16, answer: Answer) {
        answer(Err(io::ErrorKind::NetworkUnreachable.into()));
    }

    fn now(&self) -> Time {
        Time::from_micros(self.0.micros.load(Ordering::Relaxed))
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn local_offset(&self, _: i64) -> i32 {
        0
    }

    fn fill_random(&self, bytes: &mut [u8]) -> io::Result<()> {
        bytes.fill(0x5A);
        Ok(())
    }

    fn interfaces(&self) -> io::Result<Vec<Interface>> {
        Ok(Vec::new())
    }

    fn create_file(&self, _: &Path) -> io::Result<NoFile> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove_file(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Poller for Memory {
    type Listener = Memory;
    type Stream = Socket;

    fn poll(&mut self, _: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        ready.append(&mut lock(&self.0.ready));
        Ok(())
    }

    fn add_listener(&mut self, _: &mut Memory, token: Token) -> io::Result<()> {
        self.0.listener.store(token.0, Ordering::Relaxed);
        Ok(())
    }

    fn remove_listener(&mut self, _: &mut Memory) -> io::Result<()> {
        Ok(())
    }

    fn add_stream(&mut self, stream: &mut Socket, token: Token) -> io::Result<()> {
        stream.0.token.store(token.0, Ordering::Relaxed);
        if !lock(&stream.0.input).is_empty() {
            self.tell(token.0);
        }
        Ok(())
    }

    fn watch_writable(&mut self, _: &mut Socket, _: Token, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn remove_stream(&mut self, _: &mut Socket) -> io::Result<()> {
        Ok(())
    }
}

impl Wake for Memory {
    fn wake(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Listener for Memory {
    type Stream = Socket;

    fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        let socket = lock(&self.0.arriving).pop();
        let socket = socket.ok_or(io::ErrorKind::WouldBlock)?;
        Ok((socket, address()))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(address())
    }

    fn probe(&self) -> io::Result<()> {
        Ok(())
    }
}

fn address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1935).into()
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut input = lock(&self.0.input);
        if input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = input.len().min(bytes.len());
        bytes[..count].copy_from_slice(&input[..count]);
        input.drain(..count);
        Ok(count)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(output) = &mut *lock(&self.0.output)
            && output.len() + bytes.len() <= KEPT
        {
            output.extend_from_slice(bytes);
        }
        self.0.written.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut total = 0;
        for slice in slices {
            total += self.write(slice)?;
        }
        Ok(total)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Socket {
    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(address())
    }

    fn peer_address(&self) -> io::Result<SocketAddr> {
        Ok(address())
    }

    fn connected(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_unsent_limit(&self, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn set_unacknowledged_limit(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing is recorded.
pub(crate) struct NoFile;

impl Write for NoFile {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for NoFile {
    fn seek(&mut self, _: io::SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl File for NoFile {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}
