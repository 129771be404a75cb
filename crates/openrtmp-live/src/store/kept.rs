//! A segment that can be fetched.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use openrtmp_media::packager::{Part, Segment};

use super::spool::Stored;

/// A segment that can be fetched, or whose parts can be.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) msn: u64,
    /// The wall time at which it begins, in milliseconds since 1970.
    pub(crate) wall: i64,
    /// The ticks at which what there is of it begins and ends, once there is something.
    pub(super) span: Option<(u64, u64)>,
    /// The init segment that it needs.
    pub(super) init: u32,
    /// By so many ticks encoders have pictures decoded earlier than parts tell.
    pub(super) reorder: u32,
    pub(crate) media: Media,
    /// The file that it was written to as well.
    written: OnceLock<Arc<Stored>>,
    /// It is never written.
    has_failed: AtomicBool,
}

/// Where bytes are.
#[derive(Debug)]
pub(crate) enum Media {
    /// In pieces; those of a segment are its parts.
    Memory(Vec<Bytes>),
    /// In a file.
    Disk(Arc<Stored>),
}

impl Media {
    /// Bytes of the whole.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Media::Memory(parts) => parts.iter().map(|part| part.len() as u64).sum(),
            Media::Disk(stored) => stored.len(),
        }
    }
}

impl From<Bytes> for Media {
    fn from(bytes: Bytes) -> Media {
        Media::Memory(vec![bytes])
    }
}

impl Kept {
    pub(super) fn of(segment: &Segment) -> Kept {
        let bytes = |part: &Part| part.bytes.clone();
        let mut there = segment.parts.iter().filter(|part| !part.is_gap);
        let reorder = there.next().map(|part| part.reorder);
        Kept {
            msn: segment.beginning.msn,
            wall: segment.beginning.wall,
            span: segment.span(),
            init: segment.beginning.init,
            reorder: reorder.unwrap_or(0),
            media: Media::Memory(segment.parts.iter().map(bytes).collect()),
            written: OnceLock::new(),
            has_failed: AtomicBool::new(false),
        }
    }

    /// The same without what is in memory.
    pub(super) fn moved_to(&self, stored: &Arc<Stored>) -> Kept {
        Kept {
            media: Media::Disk(stored.clone()),
            written: OnceLock::new(),
            has_failed: AtomicBool::new(false),
            ..*self
        }
    }

    /// It is in this file too, or in none for good.
    pub(super) fn set_written(&self, stored: Option<Arc<Stored>>) {
        match stored {
            // It is written once.
            Some(stored) => drop(self.written.set(stored)),
            None => self.has_failed.store(true, Ordering::Relaxed),
        }
    }

    /// The file that it is in too, once it is; nothing in it if it never is.
    pub(super) fn written(&self) -> Option<Option<&Arc<Stored>>> {
        match self.written.get() {
            Some(stored) => Some(Some(stored)),
            None => self.has_failed.load(Ordering::Relaxed).then_some(None),
        }
    }

    /// It was in a file, and cannot be fetched any longer.
    pub(super) fn is_gone(&self) -> bool {
        match &self.media {
            Media::Memory(_) => false,
            Media::Disk(stored) => stored.is_gone(),
        }
    }

    /// Its parts, if they are in memory.
    pub(super) fn parts(&self) -> Option<&[Bytes]> {
        match &self.media {
            Media::Memory(parts) => Some(parts),
            Media::Disk(_) => None,
        }
    }

    /// Bytes of the whole.
    pub(crate) fn len(&self) -> u64 {
        self.media.len()
    }

    /// All of it, in pieces. It may wait for the disk.
    pub(super) fn read(&self) -> io::Result<Vec<Bytes>> {
        Ok(match &self.media {
            Media::Memory(parts) => parts.clone(),
            Media::Disk(stored) => vec![stored.read(0..stored.len())?],
        })
    }
}
