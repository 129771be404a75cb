//! Segments in files, for viewers who go further back than memory does.
//!
//! Each is a file, in a folder of the server's own within the one of `http.dvr.directory`. One
//! thread writes and removes them, so that no stream waits for the disk: what is to be written
//! is in memory meanwhile, as long as it is listed. A file is there as long as anybody has its
//! [`Stored`]; the oldest of all streams go sooner, where there would be more than
//! `http.dvr.bytes`, or the disk is full.
//!
//! No file is of use to another run: the names of what playlists list end with a run. What one
//! that crashed has left is removed at the next start, which a lock keeps from happening under a
//! server that runs.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use openrtmp_core::{Server, spawn_thread};
use openrtmp_media::hls::Names;
use openrtmp_media::mp4::TrackName;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{Budget, Kept};

/// The folder of the server's own.
const FOLDER: &str = "openrtmp-dvr";
/// Whoever has this file locked has the folder.
const LOCK: &str = "lock";
/// What the names of segments end with.
const EXTENSION: &str = ".m4s";
/// Segments that wait to be written, at most.
const MOST_WAITING: usize = 4096;
/// So many read at once, each in a thread. Others wait: a disk that does not answer takes no more.
pub(crate) const MOST_READING: usize = 4;
/// A disk that is slow is waited for so long at the end.
const LAST: Duration = Duration::from_secs(5);

/// The files of a server.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    jobs: Sender<Job>,
    /// Where what is read is counted, as long as anybody has it.
    budget: Arc<Budget>,
    readers: Arc<Semaphore>,
    /// Segments that are to be written.
    waiting: AtomicUsize,
    /// Bytes of all files.
    bytes: AtomicU64,
    /// Files that were removed while somebody had them.
    removed: AtomicU64,
    thread: Mutex<Option<Running>>,
}

/// The thread, and who hears that it has ended.
type Running = (JoinHandle<()>, Receiver<()>);

/// What the thread is to do.
#[derive(Debug)]
enum Job {
    /// Write a segment, if it is still listed then.
    Write(String, Weak<Kept>),
    /// Remove a file of so many bytes.
    Remove(String, u64),
    /// Remove all, and end.
    End,
}

/// A segment in a file, which is removed with this.
#[derive(Debug)]
pub(crate) struct Stored {
    spool: Arc<Spool>,
    name: String,
    len: u64,
    is_gone: AtomicBool,
}

impl Spool {
    /// Takes a folder in this one, which is made if it is missing. What another run left there is
    /// removed.
    pub(crate) fn start(
        directory: &Path,
        server: &Arc<Server>,
        budget: &Arc<Budget>,
    ) -> io::Result<Arc<Spool>> {
        let folder = directory.join(FOLDER);
        make(&folder)?;
        let lock = lock(&folder)?;
        clear(&folder)?;
        let (jobs, taken) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let spool = Arc::new(Spool {
            folder,
            jobs,
            budget: budget.clone(),
            readers: Arc::new(Semaphore::new(MOST_READING)),
            waiting: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            thread: Mutex::new(None),
        });
        let writer = Writer {
            spool: spool.clone(),
            server: server.clone(),
            written: VecDeque::new(),
            left: Vec::new(),
            is_over: false,
            is_full: false,
            can_write: true,
            _lock: lock,
        };
        let work = move || {
            writer.run(&taken);
            let _ = ending.send(());
        };
        let thread = spawn_thread("openrtmp-dvr", Box::new(work))?;
        *spool.lock() = Some((thread, ended));
        Ok(spool)
    }

    /// Writes a segment of a track, some time.
    pub(super) fn write(&self, names: &Names, track: TrackName, kept: &Arc<Kept>) {
        let name = format!("{}-{track}-{}{EXTENSION}", names.epoch, kept.msn);
        let is_full = self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING;
        let job = Job::Write(name, Arc::downgrade(kept));
        if is_full || self.jobs.send(job).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            kept.set_written(None);
        }
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts the files that were removed while somebody had them.
    pub(super) fn removed(&self) -> u64 {
        self.removed.load(Ordering::Acquire)
    }

    /// Removes all files, and ends.
    pub(crate) fn stop(&self) {
        let Some((thread, ended)) = self.lock().take() else {
            return;
        };
        let _ = self.jobs.send(Job::End);
        match ended.recv_timeout(LAST) {
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let folder = self.folder.display();
                log::warn!("{folder} is left as it is: the disk does not answer");
            }
            // It has told its panic.
            _ => drop(thread.join()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    /// Bytes of it.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// It was removed.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }

    /// Does what may wait for the disk in a thread for that, once there is one.
    pub(crate) async fn apart<T: Send + 'static>(
        self: Arc<Stored>,
        act: impl FnOnce(&Stored) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let turn = self.spool.readers.clone().acquire_owned().await;
        let turn = turn.map_err(io::Error::other)?;
        let acted = spawn_blocking(move || {
            let _turn = turn;
            act(&self)
        });
        acted.await.map_err(io::Error::other)?
    }

    /// Whether it is there as it was written. It may wait for the disk.
    pub(crate) fn is_there(&self) -> io::Result<bool> {
        match self.open().and_then(|file| file.metadata()) {
            Ok(metadata) => Ok(metadata.is_file() && metadata.len() == self.len),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Bytes of it, which count as an answer's. It may wait for the disk. The file is open no
    /// longer than that: there may be more readers than a process may have files.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut file = self.open()?;
        file.seek(SeekFrom::Start(range.start))?;
        let size = (range.end - range.start) as usize;
        let mut bytes = vec![0; size];
        file.read_exact(&mut bytes)?;
        Ok(self.spool.budget.counted(bytes.into(), size))
    }

    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            // A link is none of the server's, and a pipe would be waited for.
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits() as i32);
        }
        options.open(self.spool.folder.join(&self.name))
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if !self.is_gone() {
            let name = std::mem::take(&mut self.name);
            // One that has ended has removed it.
            let _ = self.spool.jobs.send(Job::Remove(name, self.len));
        }
    }
}

/// The thread.
struct Writer {
    spool: Arc<Spool>,
    server: Arc<Server>,
    /// What was written, the oldest first.
    written: VecDeque<Weak<Stored>>,
    /// Files that nobody has and that could not be removed, with their bytes.
    left: Vec<(String, u64)>,
    /// It was told that `http.dvr.bytes` are reached.
    is_over: bool,
    /// It was told that the disk is full.
    is_full: bool,
    /// What was told last of how it goes.
    can_write: bool,
    _lock: File,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut writes = VecDeque::new();
        // What could not be written is tried again with the next, as long as it is listed.
        let mut has_failed = false;
        loop {
            let job = match writes.is_empty() || has_failed {
                true => jobs.recv().map_err(|_| TryRecvError::Disconnected),
                false => jobs.try_recv(),
            };
            match job {
                Ok(Job::Write(name, kept)) => {
                    writes.push_back((name, kept));
                    has_failed = false;
                }
                // First, as it makes room.
                Ok(Job::Remove(name, bytes)) => {
                    self.left.push((name, bytes));
                    self.remove_left();
                }
                Ok(Job::End) | Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    let first = writes.front();
                    has_failed = first.is_some_and(|(name, kept)| !self.write(name, kept));
                    if !has_failed {
                        self.spool.waiting.fetch_sub(1, Ordering::Relaxed);
                        writes.pop_front();
                    }
                }
            }
        }
        if let Err(error) = clear(&self.spool.folder) {
            let folder = self.spool.folder.display();
            log::warn!("not all segments in {folder} are removed: {error}");
        }
        self.spool.bytes.store(0, Ordering::Relaxed);
    }

    /// Writes a segment, if it is still listed. Whether that is done.
    fn write(&mut self, name: &str, kept: &Weak<Kept>) -> bool {
        let Some(kept) = kept.upgrade() else {
            return true;
        };
        let stored = self.store(name, &kept);
        let is_written = stored.is_some();
        kept.set_written(stored);
        is_written
    }

    /// Writes a segment. Nothing if it cannot be.
    fn store(&mut self, name: &str, kept: &Kept) -> Option<Arc<Stored>> {
        let (len, parts) = (kept.len(), kept.parts()?);
        self.remove_left();
        let most = self.server.config().http.dvr.bytes;
        let is_over = |spool: &Spool| spool.bytes().saturating_add(len) > most;
        while len <= most && is_over(&self.spool) {
            if !std::mem::replace(&mut self.is_over, true) {
                let folder = self.spool.folder.display();
                log::info!(
                    "the oldest segments in {folder} are removed from now on: http.dvr.bytes are in it"
                );
            }
            match self.remove_oldest() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return self.failed(&error),
            }
        }
        if is_over(&self.spool) {
            let what = "it has more than http.dvr.bytes";
            return self.failed(&io::Error::new(io::ErrorKind::QuotaExceeded, what));
        }
        let path = self.spool.folder.join(name);
        let mut was_full = false;
        while let Err(error) = write(&path, parts) {
            was_full = matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            );
            if !was_full || !self.remove_oldest().is_ok_and(|removed| removed) {
                return self.failed(&error);
            }
        }
        if was_full && !self.is_full {
            let folder = self.spool.folder.display();
            log::warn!(
                "the oldest segments in {folder} were removed before their time: the disk is full"
            );
        }
        self.is_full = was_full;
        self.spool.bytes.fetch_add(len, Ordering::Relaxed);
        let stored = Arc::new(Stored {
            spool: self.spool.clone(),
            name: name.to_owned(),
            len,
            is_gone: AtomicBool::new(false),
        });
        while self
            .written
            .front()
            .is_some_and(|it| it.strong_count() == 0)
        {
            self.written.pop_front();
        }
        self.written.push_back(Arc::downgrade(&stored));
        if !std::mem::replace(&mut self.can_write, true) {
            let folder = self.spool.folder.display();
            log::info!("segments are written to {folder} again");
        }
        Some(stored)
    }

    /// Tells that it did not, once until it does.
    fn failed(&mut self, error: &io::Error) -> Option<Arc<Stored>> {
        if std::mem::replace(&mut self.can_write, false) {
            let folder = self.spool.folder.display();
            log::warn!(
                "viewers can go back less: a segment cannot be written to {folder}: {error}"
            );
        }
        None
    }

    /// Removes the oldest file that somebody has. Whether there was one. One that cannot be
    /// removed can be read on.
    fn remove_oldest(&mut self) -> io::Result<bool> {
        while let Some(oldest) = self.written.front() {
            if let Some(stored) = oldest.upgrade() {
                self.remove(&stored.name, stored.len)?;
                stored.is_gone.store(true, Ordering::Relaxed);
                self.spool.removed.fetch_add(1, Ordering::Release);
                self.written.pop_front();
                return Ok(true);
            }
            self.written.pop_front();
        }
        Ok(false)
    }

    /// Removes the files that nobody has, up to one that cannot be now.
    fn remove_left(&mut self) {
        while let Some((name, bytes)) = self.left.last() {
            if let Err(error) = self.remove(name, *bytes) {
                log::debug!("{name} is not removed yet: {error}");
                return;
            }
            self.left.pop();
        }
    }

    fn remove(&self, name: &str, bytes: u64) -> io::Result<()> {
        match fs::remove_file(self.spool.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                self.spool.bytes.fetch_sub(bytes, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

/// A file that nobody else reads, as a whole or not at all.
fn write(path: &Path, parts: &[Bytes]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = parts.iter().try_for_each(|part| file.write_all(part));
    if written.is_err() {
        drop(file);
        let _ = fs::remove_file(path);
    }
    written
}

/// A folder that is this user's alone, and no link to one.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let metadata = folder.symlink_metadata()?;
    if !metadata.is_dir() {
        let what = format!("{FOLDER} in it is a link");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            let what = format!("{FOLDER} in it is somebody else's");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Takes a folder for this server alone, until the file is closed, however the process ends.
fn lock(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    }
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
    let file = options.open(folder.join(LOCK));
    #[cfg(unix)]
    let file = file.and_then(|file| {
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    });
    // Of what else may be wrong here the system tells as it is.
    let is_taken = |error: &io::Error| {
        let is_shared = cfg!(windows) && error.raw_os_error() == Some(SHARING_VIOLATION);
        error.kind() == io::ErrorKind::WouldBlock || is_shared
    };
    file.map_err(|error| match is_taken(&error) {
        true => io::Error::new(io::ErrorKind::ResourceBusy, "another server uses it"),
        false => error,
    })
}

/// How Windows says that a file is another's.
const SHARING_VIOLATION: i32 = 32;

/// Removes what a server wrote into a folder, and nothing else: all that can be.
fn clear(folder: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name().to_str().is_some_and(is_segment) {
            result = result.and(fs::remove_file(entry.path()));
        }
    }
    result
}

/// Whether segments are called so: `18f0-0-v0-17.m4s`.
fn is_segment(name: &str) -> bool {
    let name = name.strip_suffix(EXTENSION).unwrap_or("");
    let fields: Vec<&str> = name.split('-').collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_hexdigit());
    match fields[..] {
        [time, count, track, msn] => {
            let id = track.strip_prefix(['v', 'a']).unwrap_or("");
            is_hex(time) && is_hex(count) && is_number(id) && is_number(msn)
        }
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests;
