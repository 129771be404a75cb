//! What all recorders of a server lost.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::stream::tap_queue::Loss;

/// What all recorders of a server lost.
#[derive(Debug, Default)]
pub(crate) struct RecordingLosses {
    frames: AtomicU64,
    bytes: AtomicU64,
}

impl RecordingLosses {
    pub(super) fn add(&self, loss: &Loss) {
        self.frames.fetch_add(loss.frames, Ordering::Relaxed);
        self.bytes.fetch_add(loss.bytes, Ordering::Relaxed);
    }

    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
