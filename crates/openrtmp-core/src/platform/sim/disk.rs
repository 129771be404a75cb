use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::torture::Call;
use super::world::Shared;
use crate::platform::File;

/// A file in memory. What it holds outlives it: see [`Sim::file`](super::Sim::file).
#[derive(Debug)]
pub struct SimFile {
    world: Shared,
    path: PathBuf,
    position: u64,
}

impl SimFile {
    pub(super) fn new(world: Shared, path: &Path) -> SimFile {
        SimFile {
            world,
            path: path.to_owned(),
            position: 0,
        }
    }
}

impl Write for SimFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.world.lock();
        world.attempt(Call::FileWrite)?;
        let capacity = world.faults().disk_capacity;
        let length = world
            .disk
            .write(&self.path, self.position, bytes, capacity)?;
        self.position += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for SimFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let mut world = self.world.lock();
        world.attempt(Call::Seek)?;
        let end = world.disk.length(&self.path);
        drop(world);
        let target = match position {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => end.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl File for SimFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut world = self.world.lock();
        world.attempt(Call::Sync)?;
        world.disk.sync(&self.path);
        Ok(())
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        let mut world = self.world.lock();
        world.attempt(Call::Truncate)?;
        world.disk.truncate(&self.path, bytes);
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.world.lock().disk.open -= 1;
    }
}

/// Every file of a simulation.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: BTreeMap<PathBuf, Content>,
    /// Handles that are open.
    pub(super) open: usize,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// How to undo what was written since the last sync, oldest first.
    unsynced: Vec<Undo>,
}

#[derive(Debug)]
struct Undo {
    offset: usize,
    overwritten: Vec<u8>,
    length: usize,
}

impl Disk {
    pub(super) fn create(&mut self, path: &Path) -> io::Result<()> {
        if path
            .ancestors()
            .skip(1)
            .any(|folder| self.files.contains_key(folder))
        {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let taken = |other: &PathBuf| other.starts_with(path);
        if self.files.keys().any(taken) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.files.insert(path.to_owned(), Content::default());
        self.open += 1;
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let removed = self.files.remove(path);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    pub(super) fn read(&self, path: &Path) -> Option<&[u8]> {
        self.files.get(path).map(|content| content.bytes.as_slice())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.keys()
    }

    pub(super) fn power_cut(&mut self) {
        for content in self.files.values_mut() {
            while let Some(undo) = content.unsynced.pop() {
                let end = undo.offset + undo.overwritten.len();
                if content.bytes.len() < end {
                    content.bytes.resize(end, 0);
                }
                content.bytes[undo.offset..end].copy_from_slice(&undo.overwritten);
                content.bytes.truncate(undo.length);
            }
        }
    }

    fn length(&self, path: &Path) -> u64 {
        self.read(path).map_or(0, |bytes| bytes.len() as u64)
    }

    fn sync(&mut self, path: &Path) {
        if let Some(content) = self.files.get_mut(path) {
            content.unsynced.clear();
        }
    }

    /// Only ever makes a file shorter: longer would be a hole.
    fn truncate(&mut self, path: &Path, bytes: u64) {
        let Some(content) = self.files.get_mut(path) else {
            return;
        };
        let length = content.bytes.len();
        let offset = usize::try_from(bytes).unwrap_or(length).min(length);
        content.unsynced.push(Undo {
            offset,
            overwritten: content.bytes.split_off(offset),
            length,
        });
    }

    /// Writes what fits, holes included, and fails if nothing does.
    fn write(
        &mut self,
        path: &Path,
        position: u64,
        bytes: &[u8],
        capacity: Option<u64>,
    ) -> io::Result<usize> {
        let used: u64 = self
            .files
            .values()
            .map(|file| file.bytes.len() as u64)
            .sum();
        let room = capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(used));
        let content = self.files.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let length = content.bytes.len();
        let reach = (length as u64).saturating_add(room);
        let fits = reach.saturating_sub(position).min(bytes.len() as u64);
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let bytes = &bytes[..fits as usize];
        let start = usize::try_from(position).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = start
            .checked_add(bytes.len())
            .ok_or(io::ErrorKind::FileTooLarge)?;
        if end > length {
            let growth = content.bytes.try_reserve(end - length);
            growth.map_err(|_| io::ErrorKind::FileTooLarge)?;
            content.bytes.resize(end, 0);
        }
        let offset = start.min(length);
        content.unsynced.push(Undo {
            offset,
            overwritten: content.bytes[offset..end.min(length).max(offset)].to_vec(),
            length,
        });
        content.bytes[start..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}
