//! What can be fetched, of all streams.

mod bell;
mod budget;
mod holding;
mod kept;
mod manifest;
mod picture;
mod places;
pub(crate) mod ring;
mod snapshot;
mod spool;
mod text;
mod transport;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use openrtmp_core::StreamName;
use openrtmp_media::hls::Names;
use tokio::sync::watch;

pub(crate) use bell::{Awaiting, Bell};
pub(crate) use budget::{Budget, Charge, Shares};
pub(crate) use holding::Holding;
pub(crate) use kept::{Kept, Media};
pub(crate) use manifest::Manifest;
use picture::Pictures;
pub(crate) use places::{Places, has_room};
use ring::Ring;
pub(crate) use snapshot::{Photographer, Snapshot, Track};
#[cfg(test)]
pub(crate) use spool::tests as spooled;
pub(crate) use spool::{MOST_READING, Spool, Stored};
pub(crate) use text::Text;
pub(crate) use transport::{Transport, Transported};

/// One run of a stream, from its first publisher to the end of its last.
pub(crate) struct Stream {
    pub(crate) name: StreamName,
    pub(crate) names: Names,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Segments can be asked for, and are sent, before they are complete.
    pub(crate) grows: bool,
    /// Segments of its transport stream.
    pub(crate) transported: Transported,
    /// Its messages as FLV tags.
    pub(crate) ring: Ring,
    /// Its newest picture.
    pub(crate) pictures: Pictures,
    /// When it began.
    pub(crate) began: SystemTime,
    /// Requests that wait for it.
    waiting: Mutex<Places>,
}

impl Stream {
    pub(crate) fn new(name: StreamName, names: Names, grows: bool, budget: &Arc<Budget>) -> Stream {
        Stream {
            name,
            names,
            grows,
            snapshot: watch::Sender::new(Arc::default()),
            transported: Transported::default(),
            ring: Ring::new(budget),
            pictures: Pictures::default(),
            began: SystemTime::now(),
            waiting: Mutex::default(),
        }
    }

    /// When it began, in milliseconds since 1970.
    pub(crate) fn began(&self) -> i64 {
        let since = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_millis() as i64
    }

    /// What can be fetched from now on.
    pub(crate) fn show(&self, snapshot: Snapshot) {
        self.snapshot.send_replace(Arc::new(snapshot));
    }

    /// What can be fetched now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// For who waits for what comes.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// Somebody at this address waits, if there is room for it among so many.
    pub(crate) fn wait(self: &Arc<Stream>, address: IpAddr, most: usize) -> Option<Waiting> {
        let is_let = self.waiting().take(address, most);
        is_let.then(|| Waiting(self.clone(), address))
    }

    fn waiting(&self) -> MutexGuard<'_, Places> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("name", &self.name)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// Somebody who waits for a stream.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Stream>, IpAddr);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting().leave(self.1);
    }
}

/// The streams that can be fetched, by their paths.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    streams: RwLock<HashMap<String, Runs>>,
    /// How many there have been.
    begun: watch::Sender<u64>,
    /// For who waits for one of them, or for what one brings.
    bell: Arc<Bell>,
}

/// The runs of a stream, the newest last.
type Runs = Vec<Arc<Stream>>;

impl Directory {
    /// The newest run of a stream.
    pub(crate) fn newest(&self, path: &str) -> Option<Arc<Stream>> {
        self.read().get(path)?.last().cloned()
    }

    /// The run of a stream with this name.
    pub(crate) fn run(&self, path: &str, epoch: &str) -> Option<Arc<Stream>> {
        let streams = self.read();
        let mut runs = streams.get(path)?.iter().rev();
        runs.find(|run| run.names.epoch == epoch).cloned()
    }

    /// All that there are, the newest run of each.
    pub(crate) fn list(&self) -> Vec<Arc<Stream>> {
        let streams = self.read();
        streams
            .values()
            .filter_map(|runs| runs.last().cloned())
            .collect()
    }

    pub(crate) fn add(&self, stream: Arc<Stream>) {
        let path = stream.name.reveal().to_owned();
        self.write().entry(path).or_default().push(stream);
        self.begun.send_modify(|begun| *begun += 1);
    }

    /// For who waits for one that is not there.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.begun.subscribe()
    }

    /// Whether anybody waits for what streams bring.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    pub(crate) fn remove(&self, stream: &Arc<Stream>) {
        let mut streams = self.write();
        let path = stream.name.reveal();
        if let Some(runs) = streams.get_mut(path) {
            runs.retain(|run| !Arc::ptr_eq(run, stream));
            if runs.is_empty() {
                streams.remove(path);
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Runs>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Runs>> {
        self.streams.write().unwrap_or_else(PoisonError::into_inner)
    }
}
