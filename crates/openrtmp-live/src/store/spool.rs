//! Segments in files, for viewers who go further back than memory does.
//!
//! Each is a file, in a folder of the server's own within the one of `http.dvr.directory`. One
//! thread writes and removes them, so that no stream waits for the disk: what is to be written
//! is in memory meanwhile, as long as it is listed. A file is there as long as anybody has its
//! [`Stored`]; the oldest of all streams go sooner, where there would be more than
//! `http.dvr.bytes`, or the disk is full. What is not written, as the disk does not answer or
//! says no, is in memory as long as that may be, and listed no longer then.
//!
//! No file is of use to another run: the names of what playlists list end with a run. What one
//! that crashed has left is removed at the next start, which a lock keeps from happening under a
//! server that runs.

mod folder;
mod writer;

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
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
use folder::{EXTENSION, FOLDER, Folder, is_absent};
use writer::Writer;

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
    /// Counts the segments that were to be written.
    begun: AtomicU64,
    /// Segments that are to be written.
    waiting: AtomicUsize,
    /// It was told that more cannot wait.
    is_behind: AtomicBool,
    /// All files, and their bytes.
    files: AtomicU64,
    bytes: AtomicU64,
    /// Files that went while somebody had them.
    removed: AtomicU64,
    /// Those of them that went for another reason than `http.dvr.bytes`.
    lost: AtomicU64,
    /// Tries to write that came to nothing.
    failures: AtomicU64,
    thread: Mutex<Option<Running>>,
}

/// The thread, and who hears that it has ended.
type Running = (JoinHandle<()>, Receiver<()>);

/// What the thread is to do.
#[derive(Debug)]
enum Job {
    /// Write a segment, if it is still listed then.
    Write(Task),
    /// Remove a file of so many bytes.
    Remove(String, u64),
    /// Look after a file that was not there.
    Look(String),
    /// Remove all, and end.
    End,
}

/// A segment that is to be written.
#[derive(Debug)]
struct Task {
    name: String,
    listed: Weak<Kept>,
    /// More than that of those which came before.
    number: u64,
}

/// A segment in a file, which is removed with this.
#[derive(Debug)]
pub(crate) struct Stored {
    spool: Arc<Spool>,
    name: String,
    len: u64,
    is_gone: AtomicBool,
    /// It was not there when it was read, which is to be looked after.
    was_missed: AtomicBool,
}

impl Spool {
    /// Takes a folder in this one, which is made if it is missing. What another run left there is
    /// removed.
    pub(crate) fn start(
        directory: &Path,
        server: &Arc<Server>,
        budget: &Arc<Budget>,
    ) -> io::Result<Arc<Spool>> {
        let folder = Folder::take(directory.join(FOLDER))?;
        folder.clear(&HashSet::new())?;
        let (jobs, taken) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let spool = Arc::new(Spool {
            folder: folder.path().to_owned(),
            jobs,
            budget: budget.clone(),
            readers: Arc::new(Semaphore::new(MOST_READING)),
            begun: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            is_behind: AtomicBool::new(false),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            thread: Mutex::new(None),
        });
        let writer = Writer::new(&spool, server, folder);
        let work = move || {
            writer.run(&taken);
            let _ = ending.send(());
        };
        let thread = spawn_thread("openrtmp-dvr", Box::new(work))?;
        *spool.lock() = Some((thread, ended));
        Ok(spool)
    }

    /// Writes a segment of a track, some time. One for which there is no place to wait is in
    /// memory as long as there is room, like those that wait, and is not tried again.
    pub(super) fn write(&self, names: &Names, track: TrackName, kept: &Arc<Kept>) {
        let name = format!("{}-{track}-{}{EXTENSION}", names.epoch, kept.msn);
        let is_full = self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING;
        let task = Task {
            name,
            listed: Arc::downgrade(kept),
            number: self.begun.fetch_add(1, Ordering::Relaxed),
        };
        if !is_full && self.jobs.send(Job::Write(task)).is_ok() {
            return;
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.failures.fetch_add(1, Ordering::Relaxed);
        if !is_full {
            // The thread has ended.
            kept.set_written(None);
        } else if !self.is_behind.swap(true, Ordering::Relaxed) {
            let folder = self.folder.display();
            log::warn!(
                "viewers can go back less: the disk of {folder} does not answer, or is too slow, \
                 and {MOST_WAITING} segments wait to be written"
            );
        }
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// All files.
    pub(crate) fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Segments that are to be written.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed) as u64
    }

    /// Counts the tries to write that came to nothing.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Counts the files that went while somebody had them.
    pub(crate) fn removed(&self) -> u64 {
        self.removed.load(Ordering::Acquire)
    }

    /// Counts those of them that went as the disk was full, or by somebody else.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
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

    /// It cannot be read any longer.
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
        let is_there = self.is_as_written()?;
        if !is_there {
            self.miss();
        }
        Ok(is_there)
    }

    /// Has it looked after: whoever reads it is the first to see that somebody has taken it away.
    fn miss(&self) {
        if !self.is_gone() && !self.was_missed.swap(true, Ordering::Relaxed) {
            let _ = self.spool.jobs.send(Job::Look(self.name.clone()));
        }
    }

    fn is_as_written(&self) -> io::Result<bool> {
        match self.open().and_then(|file| file.metadata()) {
            Ok(metadata) => Ok(metadata.is_file() && metadata.len() == self.len),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Bytes of it, which count as an answer's. It may wait for the disk. The file is open no
    /// longer than that: there may be more readers than a process may have files.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let read = self.read_file(range);
        if read.as_ref().is_err_and(is_missing) {
            self.miss();
        }
        read
    }

    fn read_file(&self, range: Range<u64>) -> io::Result<Bytes> {
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

/// What was written is not there, or not all of it; anything else may be over the next time.
pub(super) fn is_missing(error: &io::Error) -> bool {
    is_absent(error) || error.kind() == io::ErrorKind::UnexpectedEof
}

#[cfg(test)]
pub(crate) mod tests;
