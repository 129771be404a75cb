//! The transport stream of one stream: its playlists, and the segments that were made of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use openrtmp_media::mp4::TrackName;
use openrtmp_media::ts::{self, NoStream, Source};

use super::spool::is_missing;
use super::{Budget, Snapshot, Text};

/// Segments that were made are kept as long as what they were made of is in memory, up to so many
/// bytes of a stream; the newest are. Of what is in files they are made again for each who asks:
/// who goes back takes nothing from who does not.
const MOST_KEPT: u64 = 64 << 20;

/// What can be played of a stream as a transport stream, at one moment.
#[derive(Debug)]
pub(crate) struct Transport {
    /// Counts its states.
    pub(crate) version: u64,
    /// The first has the clock.
    pub(super) tracks: Vec<TrackName>,
    /// Relative to the stream's folder.
    pub(crate) master: Text,
    pub(crate) playlist: Text,
}

type Made = Result<Bytes, NoStream>;

/// Segments that were made, each once for all who ask for it.
#[derive(Debug, Default)]
pub(crate) struct Transported {
    slots: Mutex<BTreeMap<u64, Slot>>,
    /// How often one was made.
    #[cfg(test)]
    pub(crate) muxed: std::sync::atomic::AtomicU64,
}

/// Where a segment is, or is to be; or why what it is made of cannot be read.
type Slot = Arc<OnceLock<Result<Made, io::ErrorKind>>>;

impl Transported {
    /// A segment of what can be fetched now, which may be made now. `None` if there is none, an
    /// error if what it is made of cannot be read now.
    pub(crate) fn segment(
        &self,
        snapshot: &Snapshot,
        msn: u64,
        budget: &Arc<Budget>,
    ) -> Option<io::Result<Made>> {
        let tracks = &snapshot.transport.as_ref()?.tracks;
        let mut found = Vec::new();
        let mut version = 0u32;
        for (place, name) in tracks.iter().enumerate() {
            let track = snapshot.track(*name)?;
            let Some(kept) = track.segment(msn) else {
                // Sound may have begun later, or be over. Otherwise it is to be waited for.
                if place == 0 || track.may_complete(msn) {
                    return None;
                }
                continue;
            };
            version = version.wrapping_add(kept.init).wrapping_add(1);
            found.push((track.init(kept.init)?, kept));
        }
        let leading = snapshot.track(*tracks.first()?)?;
        let is_in_memory = found.iter().all(|(_, kept)| kept.parts().is_some());
        let slot = self.slot(msn, leading.oldest_in_memory());
        let make = || {
            #[cfg(test)]
            self.muxed
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut read = Vec::new();
            for (init, kept) in &found {
                let parts = kept.read().map_err(|error| error.kind())?;
                read.push((*init, parts, kept.reorder));
            }
            let sources: Vec<Source<'_>> = read
                .iter()
                .map(|(init, parts, reorder)| Source {
                    init,
                    parts,
                    reorder: *reorder,
                })
                .collect();
            let made = ts::segment(&sources, version as u8).map(Bytes::from);
            Ok(made.map(|made| {
                let length = made.len();
                budget.counted(made, length)
            }))
        };
        let made = slot.get_or_init(make).clone();
        if !is_in_memory {
            self.lock().remove(&msn);
        }
        self.trim();
        match made.map_err(io::Error::from) {
            Err(error) if is_missing(&error) => None,
            made => Some(made),
        }
    }

    /// Bytes that are kept.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.lock().values().map(bytes).sum()
    }

    /// The slot of a segment. Those are forgotten that are before the oldest in memory, unless
    /// they are being made.
    fn slot(&self, msn: u64, oldest: Option<u64>) -> Slot {
        let mut slots = self.lock();
        let is_old = |msn: u64| oldest.is_none_or(|oldest| msn < oldest);
        slots.retain(|msn, slot| !is_old(*msn) || slot.get().is_none());
        slots.entry(msn).or_default().clone()
    }

    /// Keeps what may be kept.
    fn trim(&self) {
        let mut slots = self.lock();
        let mut held: u64 = slots.values().map(bytes).sum();
        while held > MOST_KEPT
            && let Some((_, gone)) = slots.pop_first()
        {
            held -= bytes(&gone);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(slot: &Slot) -> u64 {
    let made = slot
        .get()
        .and_then(|made| made.as_ref().ok()?.as_ref().ok());
    made.map_or(0, |bytes| bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_kept_within_bounds() {
        let kept = Transported::default();
        let put = |msn, oldest, length: usize| {
            let made = || Ok(Ok(Bytes::from(vec![0; length])));
            let slot = kept.slot(msn, Some(oldest));
            assert!(slot.get_or_init(made).is_ok());
            drop(slot);
            kept.trim();
            kept.held_bytes()
        };
        assert_eq!(put(1, 1, 100), 100);
        assert_eq!(put(2, 1, 100), 200);
        assert_eq!(put(2, 1, 900), 200, "it is made once");
        assert_eq!(put(3, 2, 100), 200, "the first is gone");
        // Of what is too much the oldest goes.
        assert_eq!(put(4, 2, 40 << 20), (40 << 20) + 200);
        assert_eq!(put(5, 2, 40 << 20), 40 << 20);
        assert_eq!(put(6, 2, 80 << 20), 0);
    }
}
