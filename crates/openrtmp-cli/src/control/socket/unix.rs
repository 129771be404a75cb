//! Unix sockets.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

/// What a socket is called until it has its rights.
const MADE: &str = "s";

/// Accepts connections until it is told to end.
pub(crate) struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// The file that was made: another may have replaced it by the end.
    file: (u64, u64),
    /// Bytes here end it.
    end: UnixStream,
    ended: UnixStream,
}

/// A connection.
pub(crate) struct Stream(UnixStream);

/// Whether there can be a socket of this name without anything being made for it.
pub(crate) fn is_possible(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    path.parent()
        .is_some_and(|folder| access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

pub(crate) fn connect(path: &Path, _time: Duration) -> io::Result<Stream> {
    UnixStream::connect(path).map(Stream)
}

impl Listener {
    /// Makes a socket that only the process's user can open. One that is there already is
    /// replaced if nobody answers on it.
    pub(crate) fn bind(path: &Path) -> io::Result<Listener> {
        // Made where nobody else can reach it, until it has its rights. The name is short:
        // a socket's path is some 100 bytes at most.
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        let private = folder.join(format!(".{}", std::process::id()));
        for name in [path, &private.join(MADE)] {
            SocketAddr::from_pathname(name).map_err(|error| {
                let bytes = name.as_os_str().len();
                let what = format!("{bytes} bytes are no name of a socket: {error}");
                io::Error::new(io::ErrorKind::InvalidInput, what)
            })?;
        }
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                let what = "there is a file of this name, which is no socket";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            Ok(_) => match UnixStream::connect(path).map_err(|error| (error.kind(), error)) {
                Ok(_) => {
                    let what = "another process answers there";
                    return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
                }
                // Left behind, or gone by now.
                Err((io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound, _)) => {}
                // Whose it is cannot be told.
                Err((_, error)) => return Err(error),
            },
            Err(_) => {}
        }
        match fs::remove_dir_all(&private) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        fs::DirBuilder::new().mode(0o700).create(&private)?;
        let made = Listener::bind_in(&private, path);
        // Of no use any more, and empty unless that failed.
        let _ = fs::remove_dir_all(&private);
        made
    }

    fn bind_in(private: &Path, path: &Path) -> io::Result<Listener> {
        let made = private.join(MADE);
        let socket = UnixListener::bind(&made)?;
        fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
        let file = fs::symlink_metadata(&made)?;
        socket.set_nonblocking(true)?;
        let (end, ended) = UnixStream::pair()?;
        fs::rename(&made, path)?;
        Ok(Listener {
            socket,
            path: path.to_owned(),
            file: (file.dev(), file.ino()),
            end,
            ended,
        })
    }

    /// The next connection; `None` once it was told to end.
    pub(crate) fn accept(&self) -> io::Result<Option<Stream>> {
        loop {
            let mut both = [
                PollFd::new(&self.socket, PollFlags::IN),
                PollFd::new(&self.ended, PollFlags::IN),
            ];
            match poll(&mut both, None) {
                Err(rustix::io::Errno::INTR) => continue,
                polled => polled?,
            };
            if !both[1].revents().is_empty() {
                return Ok(None);
            }
            match self.socket.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok(Some(Stream(stream)));
                }
                // Whoever came has gone again.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// From another thread: nobody is accepted any more.
    pub(crate) fn end(&self) {
        // Full is as good as written.
        let _ = (&self.end).write(&[0]);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path);
        if there.is_ok_and(|file| (file.dev(), file.ino()) == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Stream {
    /// Reads what is there; 0 at the end. `WouldBlock` or `TimedOut` after that time.
    pub(crate) fn read(&self, buffer: &mut [u8], time: Duration) -> io::Result<usize> {
        self.0.set_read_timeout(Some(time))?;
        (&self.0).read(buffer)
    }

    /// Writes everything; each part of it that the system takes within that time.
    pub(crate) fn write_all(&self, bytes: &[u8], time: Duration) -> io::Result<()> {
        self.0.set_write_timeout(Some(time))?;
        (&self.0).write_all(bytes)
    }

    /// From another thread: nothing more is read.
    pub(crate) fn stop_reading(&self) {
        // It may be over already.
        let _ = self.0.shutdown(Shutdown::Read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_the_owner_may_open_it_and_it_goes_with_its_listener() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ctl.sock");
        let listener = Listener::bind(&path).expect("a socket");
        let mode = fs::symlink_metadata(&path).expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = Listener::bind(&path).err().expect("somebody answers");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let client = connect(&path, SECOND).expect("it listens");
        // The first was the other listener's look.
        let accept = || listener.accept().expect("no error").expect("not ended");
        let (_, server) = (accept(), accept());
        client.write_all(b"hello", SECOND).expect("it takes it");
        let mut buffer = [0; 8];
        assert_eq!(server.read(&mut buffer, SECOND).expect("5 bytes"), 5);
        server.stop_reading();
        assert_eq!(server.read(&mut buffer, SECOND).expect("the end"), 0);
        listener.end();
        assert!(listener.accept().expect("no error").is_none());
        drop(listener);
        let left = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_socket_that_nobody_answers_on_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ctl.sock");
        drop(UnixListener::bind(&path).expect("a socket"));
        let first = Listener::bind(&path).expect("a stale one is replaced");
        // Somebody else's by the time that it ends.
        fs::remove_file(&path).expect("it is there");
        let second = Listener::bind(&path).expect("there is none");
        drop(first);
        assert!(path.exists());
        drop(second);
        fs::write(&path, "a file").expect("it is written");
        let error = Listener::bind(&path).err().expect("it is no socket");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("it is there"), b"a file");
        // Nobody can tell whether somebody answers on it.
        let other = folder.path().join("other.sock");
        let _other = std::os::unix::net::UnixDatagram::bind(&other).expect("a socket");
        assert!(Listener::bind(&other).is_err());
        assert!(other.exists());
    }

    #[test]
    fn a_name_that_no_socket_can_have_is_said_before_anything_is_made() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["x".repeat(120), format!("{}/s", "x".repeat(120))] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
            let error = Listener::bind(&path).err().expect("it is too long");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("name of a socket"), "{error}");
            let folder = fs::read_dir(path.parent().expect("a folder"));
            let left = folder.expect("it is there").filter_map(Result::ok);
            assert!(
                left.map(|e| e.file_name())
                    .all(|name| !name.as_encoded_bytes().starts_with(b"."))
            );
        }
    }
}
