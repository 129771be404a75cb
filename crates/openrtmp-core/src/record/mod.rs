//! Recording streams to FLV files.
//!
//! The recorder is a tap like any other, on a thread of its own: a slow disk
//! fills its queue and nobody else's. Each stream it follows becomes a file, or
//! several when recordings are split. A failing file ends that recording with an
//! event, never the stream.

mod flv_file;
mod template;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use log::Level;
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::MediaKind;

use crate::config::RecordConfig;
use crate::events::Event;
use crate::id::StreamId;
use crate::log_limit::Cause;
use crate::platform::Platform;
use crate::secret::StreamName;
use crate::shared::Shared;
use crate::stream::class::Class;
use crate::stream::packet::{Packet, SharedPacket};
use crate::stream::tap_queue::{Signal, TapItem, TapStream, Tapped};
use flv_file::FlvFile;

/// What was taken from the queue reaches the file within this time (R: a crash
/// loses at most a second).
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Items written before buffers are flushed, however fast they come.
const BATCH: usize = 256;

/// A file name that exists gets a number; so many are tried.
const NAME_ATTEMPTS: u32 = 1000;

/// Writes what a tap yields to files. [`Recorder::run`] is its thread; a
/// simulation calls [`Recorder::turn`].
pub(crate) struct Recorder<P: Platform> {
    platform: Arc<P>,
    config: RecordConfig,
    tapped: Arc<Tapped>,
    signal: Arc<Signal>,
    shared: Arc<Shared>,
    recordings: BTreeMap<StreamId, Recording<P::File>>,
}

/// A stream being recorded.
struct Recording<F> {
    stream: Arc<TapStream>,
    /// `None` before the first key frame, and after a failure.
    file: Option<OpenFile<F>>,
    failed: bool,
    /// Number of the next part.
    index: u32,
    metadata: Option<SharedPacket>,
    headers: Vec<SharedPacket>,
    has_video: bool,
}

struct OpenFile<F> {
    flv: FlvFile<F>,
    path: PathBuf,
}

impl<P: Platform> Recorder<P> {
    pub(crate) fn new(
        platform: Arc<P>,
        config: RecordConfig,
        tapped: Arc<Tapped>,
        signal: Arc<Signal>,
        shared: Arc<Shared>,
    ) -> Recorder<P> {
        Recorder {
            platform,
            config,
            tapped,
            signal,
            shared,
            recordings: BTreeMap::new(),
        }
    }

    /// Which streams a configuration records.
    pub(crate) fn filter(config: &RecordConfig) -> Box<dyn Fn(&StreamName) -> bool + Send + Sync> {
        let apps = config.apps.clone();
        Box::new(move |name| apps.is_empty() || apps.iter().any(|app| app == name.app()))
    }

    /// Records until the tap is closed, then completes every file.
    pub(crate) fn run(&mut self) {
        loop {
            let closed = self.tapped.is_closed();
            while self.turn() {}
            if closed {
                break;
            }
            let idle = self.recordings.values().all(|r| r.file.is_none());
            self.signal.wait((!idle).then_some(FLUSH_INTERVAL));
        }
        self.finish_all();
    }

    /// Writes and flushes what is there. True if there may be more.
    pub(crate) fn turn(&mut self) -> bool {
        let mut taken = 0;
        while taken < BATCH
            && let Some(item) = self.tapped.take()
        {
            taken += 1;
            self.on_item(item);
        }
        for recording in self.recordings.values_mut() {
            let flushed = recording
                .file
                .as_mut()
                .map_or(Ok(()), |open| open.flv.flush());
            if let Err(e) = flushed {
                recording.fail(&e, &self.shared);
            }
        }
        taken == BATCH
    }

    /// Completes every file.
    pub(crate) fn finish_all(&mut self) {
        for (_, mut recording) in std::mem::take(&mut self.recordings) {
            recording.finish(&self.shared);
        }
    }

    fn on_item(&mut self, item: TapItem) {
        match item {
            TapItem::Started(stream) => {
                self.recordings.insert(
                    stream.id,
                    Recording {
                        stream,
                        file: None,
                        failed: false,
                        index: 0,
                        metadata: None,
                        headers: Vec::new(),
                        has_video: false,
                    },
                );
            }
            TapItem::Ended(stream) => {
                if let Some(mut recording) = self.recordings.remove(&stream.id) {
                    recording.finish(&self.shared);
                }
            }
            TapItem::Packet {
                stream,
                packet,
                time,
                ..
            } => {
                let Some(recording) = self.recordings.get_mut(&stream.id) else {
                    return;
                };
                if recording.failed {
                    return;
                }
                // Not the packet's own: metadata stands at zero on the wire.
                let time = time as u32;
                let written =
                    recording.packet(&*self.platform, &self.config, &packet, time, &self.shared);
                if let Err(e) = written {
                    recording.fail(&e, &self.shared);
                }
            }
        }
    }
}

impl<F: crate::platform::File> Recording<F> {
    fn packet<P: Platform<File = F>>(
        &mut self,
        platform: &P,
        config: &RecordConfig,
        packet: &SharedPacket,
        time: u32,
        shared: &Shared,
    ) -> io::Result<()> {
        self.has_video |= packet.kind == MediaKind::Video;
        match packet.class {
            Class::Metadata => self.metadata = Some(packet.clone()),
            Class::Header => self.remember_header(packet),
            _ => {}
        }
        let starts = match packet.class {
            Class::Key => packet.track == 0,
            Class::Audio => !self.has_video,
            _ => false,
        };
        let full = self.file.as_ref().is_some_and(|open| {
            (!config.split_duration.is_zero() && open.flv.duration() >= config.split_duration)
                || (config.split_bytes > 0 && open.flv.bytes() >= config.split_bytes)
        });
        if starts && full {
            self.finish(shared);
        }
        if self.file.is_none() {
            if !starts {
                return Ok(());
            }
            self.open(platform, config, packet, shared)?;
        }
        match &mut self.file {
            Some(open) => write(&mut open.flv, packet, time),
            None => Ok(()),
        }
    }

    /// Opens the next file: metadata and every header first, at the time of the
    /// frame that follows.
    fn open<P: Platform<File = F>>(
        &mut self,
        platform: &P,
        config: &RecordConfig,
        first: &Packet,
        shared: &Shared,
    ) -> io::Result<()> {
        let name = &self.stream.name;
        // Keys are no part of a file's name.
        let (shown_app, shown_name) = name.shown_parts();
        let wall = platform.wall_clock();
        let mut attempt = 0;
        let (file, path) = loop {
            let path = template::file_path(
                &config.directory,
                &config.template,
                shown_app,
                shown_name,
                wall,
                self.index,
            );
            match platform.create_file(&path) {
                Ok(file) => break (file, path),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && attempt < NAME_ATTEMPTS => {
                    attempt += 1;
                    self.index += 1;
                }
                Err(e) => return Err(io::Error::new(e.kind(), format!("{}: {e}", path.display()))),
            }
        };
        self.index += 1;
        let metadata = self.metadata.as_ref().map(|packet| packet.payload());
        let mut flv = FlvFile::create(file, metadata)?;
        for header in &self.headers {
            write(&mut flv, header, first.timestamp)?;
        }
        if may_log(shared, Level::Info) {
            log::info!(stream:% = name, path:% = path.display(); "recording started");
        }
        shared.events.send(Event::RecordingStarted {
            name: name.clone(),
            path: path.clone(),
        });
        self.file = Some(OpenFile { flv, path });
        Ok(())
    }

    fn remember_header(&mut self, packet: &SharedPacket) {
        let Some(slot) = packet.slot else { return };
        match self.headers.iter_mut().find(|h| h.slot == Some(slot)) {
            Some(old) => *old = packet.clone(),
            None => self.headers.push(packet.clone()),
        }
    }

    fn finish(&mut self, shared: &Shared) {
        let Some(open) = self.file.take() else { return };
        match open.flv.finish() {
            Ok(summary) => {
                if may_log(shared, Level::Info) {
                    log::info!(
                        stream:% = self.stream.name, path:% = open.path.display(),
                        bytes = summary.bytes; "recording finished"
                    );
                }
                shared.events.send(Event::RecordingFinished {
                    name: self.stream.name.clone(),
                    path: open.path,
                    duration: summary.duration,
                    bytes: summary.bytes,
                });
            }
            Err(e) => self.report_failure(open.path, &e, shared),
        }
    }

    /// The disk is full, or gone: this recording ends, the stream does not (R).
    fn fail(&mut self, error: &io::Error, shared: &Shared) {
        self.failed = true;
        let path = self.file.take().map(|open| {
            // The index may still fit; what is in the file plays without it too.
            let _ = open.flv.finish();
            open.path
        });
        self.report_failure(path.unwrap_or_default(), error, shared);
    }

    fn report_failure(&self, path: PathBuf, error: &io::Error, shared: &Shared) {
        if may_log(shared, Level::Error) {
            log::error!(stream:% = self.stream.name, path:% = path.display(); "recording stopped: {error}");
        }
        shared.events.send(Event::RecordingFailed {
            name: self.stream.name.clone(),
            path,
            error: error.to_string(),
        });
    }
}

/// Whoever publishes causes these lines.
fn may_log(shared: &Shared, level: Level) -> bool {
    log::log_enabled!(level) && shared.log_limit.admits(Cause::Recording, shared.now())
}

fn write<F: crate::platform::File>(
    flv: &mut FlvFile<F>,
    packet: &Packet,
    timestamp: u32,
) -> io::Result<()> {
    let kind = match packet.kind {
        MediaKind::Audio => kind::AUDIO,
        MediaKind::Video => kind::VIDEO,
        MediaKind::Data => kind::DATA_AMF0,
    };
    let keyframe = packet.class == Class::Key && packet.track == 0;
    flv.write(kind, timestamp, packet.payload(), keyframe)
}
