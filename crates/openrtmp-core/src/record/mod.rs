//! Recording streams to files.
//!
//! The recorder is a tap like any other, on a thread of its own: a slow disk
//! fills its queue and nobody else's. Each stream it follows becomes a file, or
//! several when recordings are split. A failing file ends that recording with an
//! event, never the stream; a recorder that panics is told of and begins again.

mod flv;
mod flv_file;
pub(crate) mod losses;
mod mp4;
mod muxer;
mod recording;
pub(crate) mod template;
#[cfg(test)]
mod thread_tests;

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use log::Level;
use openrtmp_protocol::Time;

use crate::config::{RecordConfig, RecordFormat, RecordStreams};
use crate::events::Event;
use crate::id::StreamId;
use crate::log_limit::Cause;
use crate::platform::Platform;
use crate::shared::Shared;
use crate::stream::tap_queue::{Bound, Loss, Selection, TapItem, TapNews, TapQueue};
use crate::sync::lock;
use flv::Flv;
use mp4::Mp4;
use muxer::Format;
use recording::{Recording, Terms};

/// What was taken from the queue reaches the file within this time: a crash loses a second
/// at most.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Items written before buffers are flushed, however fast they come.
const BATCH: usize = 256;

/// A recorder that panicked waits so long before it goes on, and twice as long each
/// time, up to the longest; one that then works so long starts anew.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Writes what a tap yields to files. [`Recorder::run`] is its thread; a simulation
/// gives it its turns.
pub(crate) struct Recorder<P: Platform> {
    terms: Terms<P>,
    /// The present one of its tap.
    queue: Arc<TapQueue>,
    recordings: BTreeMap<StreamId, Recording>,
    /// The last panic's.
    pause: Duration,
    /// Until then it takes nothing, after a panic.
    paused_until: Time,
}

/// What became of a recorder's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guarded {
    /// What it returned.
    Done(bool),
    Panicked,
}

/// What a recorder has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordingSummary {
    /// Files completed.
    pub files: u64,
    /// The last of them.
    pub last: Option<PathBuf>,
    /// Time in them.
    pub duration: Duration,
    /// Bytes in them.
    pub bytes: u64,
    /// Frames that are missing because the disk was too slow.
    pub lost_frames: u64,
    /// Bytes of those.
    pub lost_bytes: u64,
    /// Why the last file that failed did, if one did.
    pub error: Option<String>,
}

/// The streams that are recorded by themselves.
pub(crate) fn selected(record: &RecordConfig) -> Selection {
    match record.streams {
        RecordStreams::All => Selection::Apps(record.apps.clone()),
        RecordStreams::Asked => Selection::Asked(record.apps.clone()),
    }
}

/// A recorder's way to its streams, for whoever ends it.
pub(crate) struct RecorderTap {
    /// A recorder that begins again has another.
    queue: Mutex<Arc<TapQueue>>,
    done: Mutex<RecordingSummary>,
}

impl RecorderTap {
    fn new(queue: Arc<TapQueue>) -> RecorderTap {
        RecorderTap {
            queue: Mutex::new(queue),
            done: Mutex::default(),
        }
    }

    fn queue(&self) -> Arc<TapQueue> {
        lock(&self.queue).clone()
    }

    /// What it has done so far.
    pub(crate) fn summary(&self) -> RecordingSummary {
        lock(&self.done).clone()
    }

    fn add_file(&self, path: &Path, duration: Duration, bytes: u64) {
        let mut done = lock(&self.done);
        done.files += 1;
        done.last = Some(path.to_owned());
        done.duration += duration;
        done.bytes += bytes;
    }

    fn add_loss(&self, loss: &Loss) {
        let mut done = lock(&self.done);
        done.lost_frames += loss.frames;
        done.lost_bytes += loss.bytes;
    }

    fn note_error(&self, error: &io::Error) {
        lock(&self.done).error = Some(error.to_string());
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
        lock(&self.queue).close();
    }

    /// Another queue on the same streams, from their newest key frames on. One that was
    /// closed is closed again.
    fn renew(&self, shared: &Shared) -> Arc<TapQueue> {
        let mut present = lock(&self.queue);
        let next = present.renewed();
        if present.is_closed() {
            next.close();
        } else {
            // Before the old one goes, so that the stream keeps its id.
            shared.attach_tap(&next);
        }
        shared.directory.lock().untap(&present);
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
        let queue = TapQueue::of_recorder(selection, bound, &shared.budget);
        Recorder {
            terms: Terms {
                platform,
                format: format_of::<P>(config.format),
                config,
                shared,
                tap: Arc::new(RecorderTap::new(queue.clone())),
            },
            queue,
            recordings: BTreeMap::new(),
            pause: Duration::ZERO,
            paused_until: Time::ZERO,
        }
    }

    pub(crate) fn tap(&self) -> Arc<RecorderTap> {
        self.terms.tap.clone()
    }

    /// Records until the tap is closed, then completes every file.
    pub(crate) fn run(&mut self) {
        loop {
            let was_paused = self.is_paused();
            match self.guarded(Recorder::round) {
                Guarded::Done(true) => {}
                Guarded::Done(false) => break,
                // Not by what it writes: what makes it wait may be what panics.
                Guarded::Panicked if was_paused => std::thread::sleep(FIRST_PAUSE),
                Guarded::Panicked => {}
            }
        }
        let _ = self.guarded(|recorder| {
            recorder.finish_all();
            false
        });
    }

    /// Writes and flushes what is there. True if there may be more.
    #[cfg(test)]
    pub(crate) fn turn(&mut self) -> bool {
        self.guarded(Recorder::work_when_due) == Guarded::Done(true)
    }

    /// The one guard over all that a recorder does. A panic is told, and it goes on with
    /// what is published now, after a pause.
    fn guarded(&mut self, step: impl FnOnce(&mut Self) -> bool) -> Guarded {
        let outcome = catch_unwind(AssertUnwindSafe(|| step(self)));
        outcome.map_or_else(
            |_| {
                // What it tells runs code of the host: its logger.
                let _ = catch_unwind(AssertUnwindSafe(|| self.restart()));
                Guarded::Panicked
            },
            Guarded::Done,
        )
    }

    /// Writes what is there, and waits for more. False once the tap is closed and empty.
    fn round(&mut self) -> bool {
        let closed = self.queue.is_closed();
        while self.work_when_due() {}
        if closed {
            return false;
        }
        #[cfg(test)]
        crate::sim_tests::panic_as_noted(crate::sim_tests::RECORDER_LOOP);
        let pause = self.paused_until.since(self.terms.shared.now());
        let has_files = self.recordings.values().any(Recording::has_file);
        self.queue.wait(match pause.is_zero() {
            true => has_files.then_some(FLUSH_INTERVAL),
            false => Some(pause),
        });
        true
    }

    /// True if there may be more to write. Nothing is written during a pause.
    fn work_when_due(&mut self) -> bool {
        (!self.is_paused() || self.queue.is_closed()) && self.work()
    }

    fn is_paused(&self) -> bool {
        self.terms.shared.now() < self.paused_until
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
            recording.flush(&self.terms);
        }
        let more = taken == BATCH;
        if !more {
            self.sync();
        }
        more
    }

    /// Whoever asked for it is told that what came so far is on the disk.
    fn sync(&mut self) {
        let waiting = self.queue.take_syncs();
        if waiting.is_empty() {
            return;
        }
        let mut all = true;
        for recording in self.recordings.values_mut() {
            all &= recording.sync(&self.terms);
        }
        for answer in waiting {
            let _ = answer.send(all);
        }
    }

    fn restart(&mut self) {
        let now = self.terms.shared.now();
        let worked = now.since(self.paused_until) > LONGEST_PAUSE;
        self.pause = match worked {
            true => FIRST_PAUSE,
            false => (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
        };
        self.paused_until = now + self.pause;
        // What comes during the pause waits in the new queue.
        self.queue = self.terms.tap.renew(&self.terms.shared);
        let pause = self.pause;
        let events = &self.terms.shared.events;
        events.send(Event::RecorderRestarted { pause });
        self.finish_all();
        #[cfg(test)]
        crate::sim_tests::panic_as_noted(crate::sim_tests::RECORDER_RESTART);
        log::error!("recording failed and goes on in {pause:?}: a bug");
    }

    /// Completes every file.
    pub(crate) fn finish_all(&mut self) {
        for (_, mut recording) in std::mem::take(&mut self.recordings) {
            // One that cannot be ended keeps no other from it.
            let ended = catch_unwind(AssertUnwindSafe(|| recording.end(&self.terms)));
            if ended.is_err() {
                log::error!("a recording could not be completed: a bug");
            }
        }
    }

    fn take(&mut self, item: TapItem) {
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
            TapNews::Packet { packet, time, .. } => recording.take(&self.terms, &packet, time),
            TapNews::Tracks(tracks) => recording.take_tracks(&self.terms, &tracks),
            // What differs shows in its tracks and headers.
            TapNews::Republished => {}
            TapNews::Lost(loss) => recording.report_loss(&self.terms, &loss),
            TapNews::Ended => {
                recording.end(&self.terms);
                self.recordings.remove(&id);
            }
        }
    }
}

fn format_of<P: Platform>(format: RecordFormat) -> Box<dyn Format<P::File>> {
    match format {
        RecordFormat::Flv => Box::new(Flv),
        RecordFormat::Mp4 => Box::new(Mp4),
    }
}

/// Whoever publishes causes these lines.
fn may_log(shared: &Shared, level: Level) -> bool {
    log::log_enabled!(level) && shared.log_limit.admits(Cause::Recording, shared.now())
}
