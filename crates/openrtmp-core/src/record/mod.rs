//! Recording streams to files.
//!
//! The recorder is a tap like any other, on a thread of its own: a slow disk
//! fills its queue and nobody else's. Each stream it follows becomes a file, or
//! several when recordings are split. A failing file ends that recording with an
//! event, never the stream; a recorder that panics is told of and begins again.

mod flv;
mod flv_file;
mod muxer;
mod recording;
mod template;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use log::Level;
use openrtmp_protocol::Time;

use crate::config::RecordConfig;
use crate::events::Event;
use crate::id::StreamId;
use crate::log_limit::Cause;
use crate::platform::Platform;
use crate::shared::Shared;
use crate::stream::tap_queue::{Bound, Selection, TapItem, TapNews, TapQueue};
use crate::sync::lock;
use flv::Flv;
use muxer::Format;
use recording::{Recording, Terms};

/// What was taken from the queue reaches the file within this time (R: a crash
/// loses at most a second).
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Items written before buffers are flushed, however fast they come.
const BATCH: usize = 256;

/// A recorder that panicked waits so long before it goes on, and twice as long each
/// time, up to the longest; one that then works so long starts anew.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Writes what a tap yields to files. [`Recorder::run`] is its thread; a
/// simulation calls [`Recorder::turn`].
pub(crate) struct Recorder<P: Platform> {
    platform: Arc<P>,
    format: Box<dyn Format<P::File>>,
    config: RecordConfig,
    shared: Arc<Shared>,
    tap: Arc<RecorderTap>,
    /// The present one of `tap`.
    queue: Arc<TapQueue>,
    recordings: BTreeMap<StreamId, Recording>,
    /// The last panic's.
    pause: Duration,
    /// Until then it takes nothing, after a panic.
    paused_until: Time,
}

/// A recorder's way to its streams, for whoever ends it. A recorder that begins again
/// has another queue.
pub(crate) struct RecorderTap(Mutex<Arc<TapQueue>>);

impl RecorderTap {
    fn queue(&self) -> Arc<TapQueue> {
        lock(&self.0).clone()
    }

    /// Puts it on its streams, live or still to come.
    pub(crate) fn attach(&self, shared: &Shared) {
        shared.attach_tap(&self.queue());
    }

    /// No stream that comes is recorded.
    pub(crate) fn detach(&self, shared: &Shared) {
        shared.directory.lock().untap(&self.queue());
    }

    /// The recorder completes its files and ends.
    pub(crate) fn close(&self) {
        lock(&self.0).close();
    }

    /// Another queue on the same streams, from their newest key frames on. One that was
    /// closed is closed again.
    fn renew(&self, shared: &Shared) -> Arc<TapQueue> {
        let mut present = lock(&self.0);
        let next = present.renewed();
        shared.directory.lock().untap(&present);
        if present.is_closed() {
            next.close();
        } else {
            shared.attach_tap(&next);
        }
        present.abandon();
        present.clone_from(&next);
        next
    }
}

impl<P: Platform> Recorder<P> {
    pub(crate) fn new(
        platform: Arc<P>,
        config: RecordConfig,
        selection: Selection,
        shared: Arc<Shared>,
    ) -> Recorder<P> {
        let bound = Bound {
            bytes: config.queue_bytes,
            delay: None,
        };
        let queue = TapQueue::new(selection, bound);
        Recorder {
            platform,
            format: Box::new(Flv),
            config,
            shared,
            tap: Arc::new(RecorderTap(Mutex::new(queue.clone()))),
            queue,
            recordings: BTreeMap::new(),
            pause: Duration::ZERO,
            paused_until: Time::ZERO,
        }
    }

    pub(crate) fn tap(&self) -> Arc<RecorderTap> {
        self.tap.clone()
    }

    /// Records until the tap is closed, then completes every file.
    pub(crate) fn run(&mut self) {
        loop {
            let closed = self.queue.is_closed();
            while self.turn() {}
            if closed {
                break;
            }
            let pause = self.paused_until.since(self.shared.now());
            let has_files = self.recordings.values().any(Recording::has_file);
            self.queue.wait(match pause.is_zero() {
                true => has_files.then_some(FLUSH_INTERVAL),
                false => Some(pause),
            });
        }
        self.finish_all();
    }

    /// Writes and flushes what is there. True if there may be more. A panic is told; the
    /// recorder goes on with what is published now, after a pause.
    pub(crate) fn turn(&mut self) -> bool {
        if self.shared.now() < self.paused_until && !self.queue.is_closed() {
            return false;
        }
        catch_unwind(AssertUnwindSafe(|| self.work())).unwrap_or_else(|_| {
            self.restart();
            false
        })
    }

    fn work(&mut self) -> bool {
        let mut taken = 0;
        while taken < BATCH
            && let Some(item) = self.queue.take()
        {
            taken += 1;
            self.take(item);
        }
        for recording in self.recordings.values_mut() {
            recording.flush(&self.shared);
        }
        taken == BATCH
    }

    fn restart(&mut self) {
        let now = self.shared.now();
        let worked = now.since(self.paused_until) > LONGEST_PAUSE;
        self.pause = match worked {
            true => FIRST_PAUSE,
            false => (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
        };
        self.paused_until = now + self.pause;
        log::error!("recording failed and goes on in {:?}: a bug", self.pause);
        self.shared.events.send(Event::RecorderRestarted {
            pause: self.pause,
        });
        // What comes during the pause waits in the new queue.
        self.queue = self.tap.renew(&self.shared);
        self.finish_all();
    }

    /// Completes every file.
    pub(crate) fn finish_all(&mut self) {
        let terms = Terms {
            platform: &*self.platform,
            format: &*self.format,
            config: &self.config,
            shared: &self.shared,
        };
        for (_, mut recording) in std::mem::take(&mut self.recordings) {
            // One that cannot be ended keeps no other from it.
            let ended = catch_unwind(AssertUnwindSafe(|| recording.end(&terms)));
            if ended.is_err() {
                log::error!("a recording could not be completed: a bug");
            }
        }
    }

    fn take(&mut self, item: TapItem) {
        let terms = Terms {
            platform: &*self.platform,
            format: &*self.format,
            config: &self.config,
            shared: &self.shared,
        };
        let TapItem { stream, news } = item;
        let id = stream.id;
        if let TapNews::Started = news {
            self.recordings.insert(id, Recording::new(stream));
            return;
        }
        let Some(recording) = self.recordings.get_mut(&id) else {
            return;
        };
        match news {
            TapNews::Started => {}
            TapNews::Packet { packet, time, .. } => recording.take(&terms, &packet, time),
            TapNews::Tracks(tracks) => recording.take_tracks(&terms, &tracks),
            // What differs shows in its tracks and headers.
            TapNews::Republished => {}
            TapNews::Lost(loss) => recording.report_loss(&self.shared, &loss),
            TapNews::Ended => {
                recording.end(&terms);
                self.recordings.remove(&id);
            }
        }
    }
}

/// Whoever publishes causes these lines.
fn may_log(shared: &Shared, level: Level) -> bool {
    log::log_enabled!(level) && shared.log_limit.admits(Cause::Recording, shared.now())
}
