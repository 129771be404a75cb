//! Named pipes of Windows, read and written with a time (overlapped I/O).

#![expect(unsafe_code, reason = "the system's functions for pipes")]

use std::ffi::c_void;
use std::fs::OpenOptions;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_BROKEN_PIPE, ERROR_IO_PENDING, ERROR_NO_DATA, ERROR_PIPE_BUSY,
    ERROR_PIPE_CONNECTED, ERROR_PIPE_NOT_CONNECTED, HANDLE, INVALID_HANDLE_VALUE, LocalFree,
    WAIT_OBJECT_0, WAIT_TIMEOUT,
};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, PIPE_ACCESS_DUPLEX, ReadFile,
    SECURITY_IDENTIFICATION, WriteFile,
};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::{
    ConnectNamedPipe, CreateNamedPipeW, DisconnectNamedPipe, PIPE_READMODE_BYTE,
    PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_BYTE, PIPE_UNLIMITED_INSTANCES, PIPE_WAIT,
    WaitNamedPipeW,
};
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, SetEvent, WaitForMultipleObjects,
};

/// What the names of pipes of this machine begin with.
const PIPES: &str = r"\\.\pipe\";

/// The owner, the system and administrators may do everything, nobody else anything
/// (Security Descriptor String Format).
const RIGHTS: &str = "D:P(A;;GA;;;OW)(A;;GA;;;SY)(A;;GA;;;BA)";

/// Bytes that the system keeps for either side.
const BUFFER: u32 = 64 << 10;

/// Accepts connections until it is told to end.
pub(crate) struct Listener {
    name: Vec<u16>,
    /// The end of a pipe that somebody may open next: while there is one the name is ours.
    next: Mutex<OwnedHandle>,
    end: Event,
}

/// A connection.
pub(crate) struct Stream {
    pipe: OwnedHandle,
    /// Nothing more is to be read.
    stop: Event,
}

/// Nothing has to be there for a pipe.
pub(crate) fn is_possible(_path: &Path) -> bool {
    true
}

pub(crate) fn connect(path: &Path, time: Duration) -> io::Result<Stream> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    // Whoever made the pipe may see who we are, and not act as such.
    options.custom_flags(FILE_FLAG_OVERLAPPED);
    options.security_qos_flags(SECURITY_IDENTIFICATION);
    loop {
        match options.open(path) {
            Ok(pipe) => {
                return Ok(Stream {
                    pipe: pipe.into(),
                    stop: Event::new()?,
                });
            }
            Err(e) if is(&e, ERROR_PIPE_BUSY) => {
                let name = wide(path);
                // SAFETY: a text that ends with NUL.
                if unsafe { WaitNamedPipeW(name.as_ptr(), milliseconds(time)) } == 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Err(e) => return Err(e),
        }
    }
}

impl Listener {
    /// Makes a pipe that only the process's user, the system and administrators can open.
    /// It ends with its process: there is none that nobody answers on.
    pub(crate) fn bind(path: &Path) -> io::Result<Listener> {
        let is_pipe = path.to_str().is_some_and(|path| {
            let start = path.get(..PIPES.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(PIPES)) && path.len() > PIPES.len()
        });
        if !is_pipe {
            let what = format!("a pipe's name begins with {PIPES}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let name = wide(path);
        let first = instance(&name, FILE_FLAG_FIRST_PIPE_INSTANCE);
        let next = first.map_err(|e| match is(&e, ERROR_ACCESS_DENIED) {
            true => {
                let what = "another process answers there";
                io::Error::new(io::ErrorKind::AddrInUse, what)
            }
            false => e,
        })?;
        Ok(Listener {
            name,
            next: Mutex::new(next),
            end: Event::new()?,
        })
    }

    /// The next connection; `None` once it was told to end.
    pub(crate) fn accept(&self) -> io::Result<Option<Stream>> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let pipe = next.as_raw_handle();
            // SAFETY: a pipe of ours, and a request that lives until it is over.
            let begin = |request: &mut OVERLAPPED| unsafe { ConnectNamedPipe(pipe, request) };
            match within(pipe, &self.end, None, begin) {
                Ok(Done::Stopped) => return Ok(None),
                Ok(_) => {}
                // Whoever came was quicker than we.
                Err(e) if is(&e, ERROR_PIPE_CONNECTED) => {}
                // Or has gone again.
                Err(e) if is(&e, ERROR_NO_DATA) => {
                    // SAFETY: a pipe of ours.
                    unsafe { DisconnectNamedPipe(pipe) };
                    continue;
                }
                Err(e) => return Err(e),
            }
            let another = instance(&self.name, 0)?;
            let pipe = std::mem::replace(&mut *next, another);
            let stop = Event::new()?;
            return Ok(Some(Stream { pipe, stop }));
        }
    }

    /// From another thread: nobody is accepted any more.
    pub(crate) fn end(&self) {
        self.end.set();
    }
}

impl Stream {
    /// Reads what is there; 0 at the end. `TimedOut` after that time.
    pub(crate) fn read(&self, buffer: &mut [u8], time: Duration) -> io::Result<usize> {
        let pipe = self.pipe.as_raw_handle();
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let to = buffer.as_mut_ptr();
        let begin = |request: &mut OVERLAPPED| {
            // SAFETY: the buffer and the request live until it is over.
            unsafe { ReadFile(pipe, to, length, null_mut(), request) }
        };
        match within(pipe, &self.stop, Some(time), begin) {
            Ok(Done::Moved(count)) => Ok(count),
            Ok(Done::Stopped) => Ok(0),
            Err(e) if is(&e, ERROR_BROKEN_PIPE) || is(&e, ERROR_PIPE_NOT_CONNECTED) => Ok(0),
            Err(e) => Err(e),
        }
    }

    /// Writes everything; each part of it that the system takes within that time.
    pub(crate) fn write_all(&self, mut bytes: &[u8], time: Duration) -> io::Result<()> {
        let pipe = self.pipe.as_raw_handle();
        // Of nobody: an answer that is being made is written though nothing more is read.
        let never = Event::new()?;
        while !bytes.is_empty() {
            let part = &bytes[..bytes.len().min(BUFFER as usize)];
            let begin = |request: &mut OVERLAPPED| {
                // SAFETY: the bytes and the request live until it is over.
                unsafe { WriteFile(pipe, part.as_ptr(), part.len() as u32, null_mut(), request) }
            };
            match within(pipe, &never, Some(time), begin)? {
                Done::Moved(count) if count > 0 => bytes = &bytes[count..],
                _ => return Err(io::ErrorKind::WriteZero.into()),
            }
        }
        Ok(())
    }

    /// From another thread: nothing more is read.
    pub(crate) fn stop_reading(&self) {
        self.stop.set();
    }
}

/// What became of a request.
enum Done {
    /// It is over, and so many bytes were moved.
    Moved(usize),
    /// It was not wanted any more.
    Stopped,
}

/// Begins a request to the system and waits until it is over, or `stop` is set, or that
/// time is: then it is taken back first.
fn within(
    pipe: HANDLE,
    stop: &Event,
    time: Option<Duration>,
    begin: impl FnOnce(&mut OVERLAPPED) -> i32,
) -> io::Result<Done> {
    let over = Event::new()?;
    // SAFETY: integers, and handles that may be null.
    let mut request: OVERLAPPED = unsafe { std::mem::zeroed() };
    request.hEvent = over.0.as_raw_handle();
    let mut waited = WAIT_OBJECT_0;
    if begin(&mut request) == 0 {
        let error = io::Error::last_os_error();
        if !is(&error, ERROR_IO_PENDING) {
            return Err(error);
        }
        let both = [over.0.as_raw_handle(), stop.0.as_raw_handle()];
        let time = time.map_or(INFINITE, milliseconds);
        // SAFETY: two handles that are open.
        waited = unsafe { WaitForMultipleObjects(2, both.as_ptr(), 0, time) };
        if waited != WAIT_OBJECT_0 {
            // SAFETY: the request is under way, or just over.
            unsafe { CancelIoEx(pipe, &request) };
        }
    }
    let mut moved = 0;
    // SAFETY: it is over, or taken back, and waited for: nothing writes to it afterwards.
    let done = unsafe { GetOverlappedResult(pipe, &request, &mut moved, 1) };
    // What was done before it could be taken back is done.
    match (done, waited) {
        (1.., _) => Ok(Done::Moved(moved as usize)),
        (_, WAIT_TIMEOUT) => Err(io::ErrorKind::TimedOut.into()),
        (_, WAIT_OBJECT_0) => Err(io::Error::last_os_error()),
        _ => Ok(Done::Stopped),
    }
}

/// One more end of a pipe that somebody may open.
fn instance(name: &[u16], flags: u32) -> io::Result<OwnedHandle> {
    let rights: Vec<u16> = RIGHTS.encode_utf16().chain([0]).collect();
    let mut descriptor = null_mut();
    // SAFETY: a text that ends with NUL, and a place for what is made of it.
    let made = unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            rights.as_ptr(),
            SDDL_REVISION_1,
            &mut descriptor,
            null_mut(),
        )
    };
    if made == 0 {
        return Err(io::Error::last_os_error());
    }
    let attributes = SECURITY_ATTRIBUTES {
        nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
        lpSecurityDescriptor: descriptor,
        bInheritHandle: 0,
    };
    // SAFETY: a text that ends with NUL, and attributes that live during the call.
    let pipe = unsafe {
        CreateNamedPipeW(
            name.as_ptr(),
            PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | flags,
            PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
            PIPE_UNLIMITED_INSTANCES,
            BUFFER,
            BUFFER,
            0,
            &attributes,
        )
    };
    let error = io::Error::last_os_error();
    // SAFETY: what was made above, of no use any more.
    unsafe { LocalFree(descriptor.cast::<c_void>()) };
    match pipe {
        INVALID_HANDLE_VALUE => Err(error),
        // SAFETY: a handle that is open and nobody else's.
        pipe => Ok(unsafe { OwnedHandle::from_raw_handle(pipe) }),
    }
}

/// Something that can be waited for, set once.
struct Event(OwnedHandle);

impl Event {
    fn new() -> io::Result<Event> {
        // SAFETY: no attributes and no name.
        let event = unsafe { CreateEventW(null(), 1, 0, null()) };
        match event.is_null() {
            true => Err(io::Error::last_os_error()),
            // SAFETY: a handle that is open and nobody else's.
            false => Ok(Event(unsafe { OwnedHandle::from_raw_handle(event) })),
        }
    }

    fn set(&self) {
        // SAFETY: the handle is open.
        unsafe { SetEvent(self.0.as_raw_handle()) };
    }
}

/// A name as the system has it.
fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// As the system counts; never what stands for no end.
fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis())
        .unwrap_or(INFINITE - 1)
        .min(INFINITE - 1)
}

fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == Some(code as i32)
}
