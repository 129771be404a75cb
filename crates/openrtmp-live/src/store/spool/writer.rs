//! The thread that writes and removes.
//!
//! What cannot be written is tried again, behind all else that waits and after a while that
//! becomes longer, as long as it is listed.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openrtmp_core::Server;

use super::folder::{Folder, is_absent};
use super::{Job, Kept, Spool, Stored, Task};

/// What could not be written is tried again after this, and each time after twice as much, up to
/// the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// Nothing is to be done until something is said.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The thread.
pub(super) struct Writer {
    spool: Arc<Spool>,
    server: Arc<Server>,
    folder: Folder,
    /// What is to be written.
    waiting: VecDeque<Task>,
    /// When, and how long that was put off.
    next: Instant,
    pause: Duration,
    /// What was written, with its number; the oldest first, whenever that was written.
    written: VecDeque<(u64, Weak<Stored>)>,
    /// Files that nobody has and that could not be removed, with their bytes.
    left: VecDeque<(String, u64)>,
    /// It was told that the disk is full, and so many bytes were written since it was.
    since_full: Option<u64>,
    /// It was told that `http.dvr.bytes` are reached.
    is_over: bool,
    /// Of these it was told that a segment has more.
    too_few: Option<u64>,
    /// What was told last of how it goes.
    can_write: bool,
}

impl Writer {
    pub(super) fn new(spool: &Arc<Spool>, server: &Arc<Server>, folder: Folder) -> Writer {
        Writer {
            spool: spool.clone(),
            server: server.clone(),
            folder,
            waiting: VecDeque::new(),
            next: Instant::now(),
            pause: Duration::ZERO,
            written: VecDeque::new(),
            left: VecDeque::new(),
            since_full: None,
            is_over: false,
            too_few: None,
            can_write: true,
        }
    }

    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let patience = match self.waiting.is_empty() {
                true => LONGEST_WAIT,
                false => self.next.saturating_duration_since(Instant::now()),
            };
            match jobs.recv_timeout(patience) {
                Ok(Job::Write(task)) => self.waiting.push_back(task),
                // First, as it makes room.
                Ok(Job::Remove(name, bytes)) => {
                    self.left.push_front((name, bytes));
                    self.remove_left();
                }
                Ok(Job::Look(name)) => self.look_after(|stored| stored.name == name),
                Ok(Job::End) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.write_next(),
            }
        }
        let is_ours = self.folder.is_ours();
        let cleared = is_ours.and_then(|is_ours| match is_ours {
            true => self.folder.clear(&HashSet::new()),
            // What is there is somebody else's.
            false => Ok(()),
        });
        if let Err(error) = cleared {
            let folder = self.folder.path().display();
            log::warn!("not all segments in {folder} are removed: {error}");
        }
        self.spool.files.store(0, Ordering::Relaxed);
        self.spool.bytes.store(0, Ordering::Relaxed);
    }

    /// Writes what comes next, if it is still listed.
    fn write_next(&mut self) {
        let Some(task) = self.waiting.pop_front() else {
            return;
        };
        if let Some(kept) = task.listed.upgrade() {
            let most = self.server.config().http.dvr.bytes;
            if kept.len() > most {
                self.is_too_large(most);
                kept.set_written(None);
            } else {
                match self.store(&task, &kept, most) {
                    Ok(stored) => kept.set_written(Some(stored)),
                    // Others may be luckier.
                    Err(error) => {
                        self.waiting.push_back(task);
                        return self.failed(&error);
                    }
                }
                self.succeeded();
            }
        }
        self.spool.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Writes a segment, which may cost the oldest.
    pub(super) fn store(&mut self, task: &Task, kept: &Kept, most: u64) -> io::Result<Arc<Stored>> {
        let parts = kept.parts().ok_or(io::ErrorKind::InvalidInput)?;
        let len = kept.len();
        self.hold()?;
        self.remove_left();
        self.make_room(len, most)?;
        self.with_room(|writer| writer.create(&task.name, parts))?;
        self.spool.bytes.fetch_add(len, Ordering::Relaxed);
        self.has_room(len);
        let stored = Arc::new(Stored {
            spool: self.spool.clone(),
            name: task.name.clone(),
            len,
            is_gone: AtomicBool::new(false),
            was_missed: AtomicBool::new(false),
        });
        while (self.written.front()).is_some_and(|(_, it)| it.strong_count() == 0) {
            self.written.pop_front();
        }
        // One that had to be tried again is older than what was written meanwhile.
        let older = |(number, _): &(u64, _)| *number < task.number;
        let place = self.written.partition_point(older);
        let it = (task.number, Arc::downgrade(&stored));
        self.written.insert(place, it);
        Ok(stored)
    }

    /// Does what takes room on the disk, and once more with less of what was written if that is
    /// full. No more than a tenth goes at a time: what is removed may give nothing back, as where
    /// snapshots of the disk have it too, or others take it at once.
    pub(super) fn with_room(
        &mut self,
        mut create: impl FnMut(&mut Writer) -> io::Result<()>,
    ) -> io::Result<()> {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        match create(self) {
            Err(error) if matches!(error.kind(), StorageFull | QuotaExceeded) => {
                match self.use_less()? {
                    true => create(self),
                    false => Err(error),
                }
            }
            created => created,
        }
    }

    /// Writes a file that nobody else reads, as a whole or not at all.
    fn create(&mut self, name: &str, parts: &[Bytes]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(self.folder.path().join(name))?;
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        drop(file);
        self.spool.files.fetch_add(1, Ordering::Relaxed);
        if written.is_err() {
            // The next try is not to meet it.
            self.left.push_front((name.to_owned(), 0));
            self.remove_left();
        }
        written
    }

    /// Sees to it that what is written comes to a folder of this server's, and that of what is
    /// not there any longer nothing is listed.
    fn hold(&mut self) -> io::Result<()> {
        if self.folder.is_ours()? {
            return Ok(());
        }
        let folder = self.folder.path().display().to_string();
        self.look_after(|_| true);
        self.folder.take_again()?;
        log::warn!("{folder} is taken again: it was taken away, or another is in its place");
        let kept = self.written().map(|stored| stored.name.clone());
        self.folder.clear(&kept.collect())
    }

    /// Removes the oldest where there would be too much with so many bytes more.
    fn make_room(&mut self, len: u64, most: u64) -> io::Result<()> {
        while self.spool.bytes().saturating_add(len) > most {
            if !std::mem::replace(&mut self.is_over, true) {
                let folder = self.folder.path().display();
                log::info!(
                    "the oldest segments in {folder} are removed from now on: http.dvr.bytes are in it"
                );
            }
            if !self.remove_oldest()? {
                let what = "what is to be removed there cannot be";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
            }
        }
        Ok(())
    }

    /// The disk is full: removes a tenth of what is used of it, so that it is not full for others
    /// each time. Whether there was anything to be removed.
    fn use_less(&mut self) -> io::Result<bool> {
        let most = self.spool.bytes() / 10 * 9;
        let mut has_removed = false;
        while self.spool.bytes() > most && self.remove_oldest()? {
            has_removed = true;
            self.spool.lost.fetch_add(1, Ordering::Relaxed);
        }
        if has_removed && self.since_full.replace(0).is_none() {
            let folder = self.folder.path().display();
            log::warn!(
                "the oldest segments in {folder} are removed before their time: the disk is full"
            );
        }
        Ok(has_removed)
    }

    /// So much was written. Once that is all that there is, the disk has room for it.
    fn has_room(&mut self, len: u64) {
        let Some(since) = &mut self.since_full else {
            return;
        };
        *since = since.saturating_add(len);
        if *since > self.spool.bytes() {
            self.since_full = None;
            let folder = self.folder.path().display();
            log::info!("there is room again on the disk of {folder}");
        }
    }

    /// It wrote. That is told once nothing is left that it did not.
    fn succeeded(&mut self) {
        self.pause = Duration::ZERO;
        if !self.waiting.is_empty() {
            return;
        }
        let could_write = std::mem::replace(&mut self.can_write, true);
        let was_behind = self.spool.is_behind.swap(false, Ordering::Relaxed);
        if !could_write || was_behind {
            let folder = self.folder.path().display();
            log::info!("segments are written to {folder} again");
        }
    }

    /// It did not write. That is told once until it does.
    fn failed(&mut self, error: &io::Error) {
        self.spool.failures.fetch_add(1, Ordering::Relaxed);
        self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
        self.next = Instant::now() + self.pause;
        if std::mem::replace(&mut self.can_write, false) {
            let folder = self.folder.path().display();
            log::warn!(
                "viewers can go back less: a segment cannot be written to {folder}: {error}"
            );
        }
    }

    /// A segment has more than may be in files: it is never written.
    fn is_too_large(&mut self, most: u64) {
        self.spool.failures.fetch_add(1, Ordering::Relaxed);
        if self.too_few.replace(most) != Some(most) {
            log::warn!("viewers can go back less: a segment has more than http.dvr.bytes ({most})");
        }
    }

    /// What was written and somebody has.
    fn written(&self) -> impl Iterator<Item = Arc<Stored>> {
        self.written.iter().filter_map(|(_, is)| is.upgrade())
    }

    /// Of those files of which this holds, the ones that are not there any longer are gone.
    fn look_after(&mut self, is_meant: impl Fn(&Stored) -> bool) {
        let is_lost = |stored: &Stored| {
            if !is_meant(stored) || stored.is_gone() {
                return false;
            }
            // Whoever misses it from now on says so again: it may be there by now, and go later.
            stored.was_missed.store(false, Ordering::Relaxed);
            matches!(stored.is_as_written(), Ok(false))
        };
        let lost: Vec<Arc<Stored>> = self.written().filter(|is| is_lost(is)).collect();
        for stored in &lost {
            self.discount(stored.len);
            self.gone(stored);
            self.spool.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.written
            .retain(|(_, is)| is.upgrade().is_some_and(|is| !is.is_gone()));
    }

    /// Removes the oldest file that somebody has. Whether there was one. One that cannot be
    /// removed can be read on.
    fn remove_oldest(&mut self) -> io::Result<bool> {
        while let Some((_, oldest)) = self.written.front() {
            if let Some(stored) = oldest.upgrade() {
                self.remove(&stored.name, stored.len)?;
                self.gone(&stored);
                self.written.pop_front();
                return Ok(true);
            }
            self.written.pop_front();
        }
        Ok(false)
    }

    /// Removes the files that nobody has, up to one that cannot be now. That waits for all others.
    fn remove_left(&mut self) {
        while let Some((name, bytes)) = self.left.pop_front() {
            if let Err(error) = self.remove(&name, bytes) {
                log::debug!("{name} is not removed yet: {error}");
                self.left.push_back((name, bytes));
                return;
            }
        }
    }

    fn remove(&self, name: &str, bytes: u64) -> io::Result<()> {
        match fs::remove_file(self.folder.path().join(name)) {
            Err(error) if !is_absent(&error) => Err(error),
            _ => {
                self.discount(bytes);
                Ok(())
            }
        }
    }

    /// Whoever has this file hears that it cannot be read.
    fn gone(&self, stored: &Stored) {
        stored.is_gone.store(true, Ordering::Relaxed);
        self.spool.removed.fetch_add(1, Ordering::Release);
    }

    /// A file of so many bytes is there no longer.
    fn discount(&self, bytes: u64) {
        self.spool.files.fetch_sub(1, Ordering::Relaxed);
        self.spool.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
