//! One stream being recorded: where its files begin and end.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use log::Level;
use openrtmp_protocol::session::MediaKind;

use super::muxer::{Format, Item, Muxer, Start, Summary};
use super::{RecorderTap, may_log, template};
use crate::config::{RecordConfig, TimeZone};
use crate::events::Event;
use crate::platform::Platform;
use crate::shared::Shared;
use crate::stream::class::Class;
use crate::stream::packet::SharedPacket;
use crate::stream::tap_queue::{Loss, TapStream};
use crate::stream::tracks::Track;

/// A file name that exists gets a number; so many are tried.
const NAME_ATTEMPTS: u32 = 1000;

/// A file waits so long for the key frame of a video that was announced, or that has
/// stopped, before audio begins one. Milliseconds on the stream's clock.
const VIDEO_WAIT: i64 = 1000;

/// Nor does it wait for more messages than this.
const HELD_PACKETS: usize = 1024;

/// Audio further behind than this has stopped: no stream's clock lets tracks be further
/// apart. Milliseconds.
const AUDIO_BEHIND: i64 = 10_000;

/// What the recordings of a recorder work with.
pub(super) struct Terms<P: Platform> {
    pub(super) platform: Arc<P>,
    pub(super) format: Box<dyn Format<P::File>>,
    pub(super) config: RecordConfig,
    pub(super) shared: Arc<Shared>,
    pub(super) tap: Arc<RecorderTap>,
}

/// A stream being recorded.
pub(super) struct Recording {
    stream: Arc<TapStream>,
    /// `None` before the first key frame, and after a failure.
    file: Option<OpenFile>,
    failed: bool,
    /// Number of the next part.
    index: u32,
    metadata: Option<SharedPacket>,
    headers: Vec<SharedPacket>,
    /// Tracks of the publisher whose frames come, by their codecs.
    codecs: Vec<(bool, u8, String)>,
    /// Video came, or was announced.
    has_video: bool,
    /// Audio that came since the last message of video, in milliseconds: whatever the
    /// distance between the two is.
    silence: i64,
    /// What came while there was no file to put it in, of [`VIDEO_WAIT`] at most: audio,
    /// or a key frame and all that follows it.
    held: Vec<(SharedPacket, i64)>,
    holds_key: bool,
    /// Times of the last audio frame, and of the one that is to be expected.
    audio_at: Option<i64>,
    audio_due: i64,
}

struct OpenFile {
    muxer: Box<dyn Muxer>,
    path: PathBuf,
    /// It began with audio: video joins at a key frame.
    waits_for_key: bool,
}

impl Recording {
    pub(super) fn new(stream: Arc<TapStream>) -> Recording {
        Recording {
            stream,
            file: None,
            failed: false,
            index: 0,
            metadata: None,
            headers: Vec::new(),
            codecs: Vec::new(),
            has_video: false,
            silence: 0,
            held: Vec::new(),
            holds_key: false,
            audio_at: None,
            audio_due: 0,
        }
    }

    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// A message of the stream, at its time in milliseconds.
    pub(super) fn take<P: Platform>(&mut self, terms: &Terms<P>, packet: &SharedPacket, time: i64) {
        if self.failed {
            return;
        }
        #[cfg(test)]
        {
            use crate::sim_tests::{RECORDER, RECORDER_RESTART, note_panic, panic_in};
            note_panic(packet.payload());
            panic_in(RECORDER, packet.payload());
            panic_in(RECORDER_RESTART, packet.payload());
        }
        if let Err(e) = self.try_take(terms, packet, time) {
            self.fail(terms, &e);
        }
    }

    fn try_take<P: Platform>(
        &mut self,
        terms: &Terms<P>,
        packet: &SharedPacket,
        time: i64,
    ) -> io::Result<()> {
        self.note_times(packet, time);
        match packet.class {
            Class::Metadata => self.metadata = Some(packet.clone()),
            Class::Header => self.take_header(terms, packet)?,
            _ => {}
        }
        // A track without a header, or one whose header led to nothing.
        let has_place = |open: &OpenFile| open.muxer.takes(packet);
        if packet.class.is_timed() && !self.file.as_ref().is_none_or(has_place) {
            self.end_file(terms)?;
        }
        let begins = self.may_begin(packet, time);
        if begins && self.is_full(&terms.config) {
            self.finish(terms);
        }
        if self.file.is_none() {
            if !begins && !self.holds_key {
                if packet.class == Class::Audio {
                    self.held.push((packet.clone(), time));
                }
                return Ok(());
            }
            if self.awaits_audio(time) {
                self.holds_key = true;
                self.held.push((packet.clone(), time));
                return Ok(());
            }
            self.begin(terms, time, packet.class == Class::Audio)?;
        }
        self.write(packet, time)
    }

    fn note_times(&mut self, packet: &SharedPacket, time: i64) {
        if packet.class == Class::Audio && packet.is_of_default_track() {
            let step = self.audio_at.map_or(0, |last| time - last);
            self.silence += step;
            self.audio_at = Some(time);
            self.audio_due = time + step;
        }
        if packet.kind != MediaKind::Video {
            return;
        }
        self.has_video = true;
        self.silence = 0;
    }

    /// Whether a file may begin here: at a key frame, or at audio without video.
    fn may_begin(&self, packet: &SharedPacket, time: i64) -> bool {
        match packet.class {
            Class::Key => packet.is_entry(),
            Class::Audio => {
                let waited = self.held.first().map_or(0, |(_, first)| time - first);
                !self.has_video || waited.max(self.silence) >= VIDEO_WAIT
            }
            _ => false,
        }
    }

    fn is_full(&self, config: &RecordConfig) -> bool {
        self.file.as_ref().is_some_and(|open| {
            let (duration, bytes) = (open.muxer.duration(), open.muxer.bytes());
            (!config.split_duration.is_zero() && duration >= config.split_duration)
                || (config.split_bytes > 0 && bytes >= config.split_bytes)
        })
    }

    /// Audio was announced and its times are not known: it may be behind the video, and
    /// the file is to begin with the earliest.
    fn awaits_audio(&self, time: i64) -> bool {
        let is_announced = self.headers.iter().any(|h| h.kind == MediaKind::Audio);
        let since = self.held.first().map_or(0, |(_, first)| time - first);
        is_announced
            && self.audio_at.is_none()
            && since < VIDEO_WAIT
            && self.held.len() < HELD_PACKETS
    }

    /// A header: the file ends here if frames that follow need another decoder than those
    /// before it.
    fn take_header<P: Platform>(
        &mut self,
        terms: &Terms<P>,
        packet: &SharedPacket,
    ) -> io::Result<()> {
        let Some(slot) = packet.slot else {
            return Ok(());
        };
        let place = self.headers.iter().position(|h| h.slot == Some(slot));
        let changes = match place {
            Some(place) => !slot.refinement && self.headers[place].payload() != packet.payload(),
            None => {
                let file = self.file.as_ref();
                file.is_some_and(|open| !slot.refinement && !open.muxer.takes(packet))
            }
        };
        if changes {
            self.end_file(terms)?;
        }
        match place {
            Some(place) => self.headers[place] = packet.clone(),
            None => self.headers.push(packet.clone()),
        }
        Ok(())
    }

    /// What the stream consists of now: the file ends here if a track has another codec.
    pub(super) fn take_tracks<P: Platform>(&mut self, terms: &Terms<P>, tracks: &[Track]) {
        for track in tracks {
            let is_same = |c: &(bool, u8, String)| (c.0, c.1) == (track.video, track.id);
            let Some(known) = self.codecs.iter().position(is_same) else {
                let track = (track.video, track.id, track.codec.clone());
                self.codecs.push(track);
                continue;
            };
            if self.codecs[known].2 == track.codec {
                continue;
            }
            self.codecs[known].2.clone_from(&track.codec);
            self.end(terms);
            // Its header is of no use to the new codec's frames.
            let kind = match track.video {
                true => MediaKind::Video,
                false => MediaKind::Audio,
            };
            let is_other = |h: &SharedPacket| (h.kind, h.track) != (kind, track.id);
            self.headers.retain(is_other);
        }
    }

    /// Ends the file, if there is or should be one; the next begins where one may.
    fn end_file<P: Platform>(&mut self, terms: &Terms<P>) -> io::Result<()> {
        self.begin_with_held(terms)?;
        self.finish(terms);
        Ok(())
    }

    fn begin_with_held<P: Platform>(&mut self, terms: &Terms<P>) -> io::Result<()> {
        match self.held.first() {
            Some(&(_, time)) if self.file.is_none() => self.begin(terms, time, true),
            _ => Ok(()),
        }
    }

    /// Opens the next file, and puts in it what was held for it.
    fn begin<P: Platform>(
        &mut self,
        terms: &Terms<P>,
        time: i64,
        waits_for_key: bool,
    ) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.holds_key = false;
        let earliest = held.iter().map(|(_, time)| *time).min();
        let mut time = earliest.map_or(time, |earliest| earliest.min(time));
        // Audio that is behind the video has its place too.
        if self.audio_at.is_some() && time - self.audio_due < AUDIO_BEHIND {
            time = time.min(self.audio_due);
        }
        let (file, path) = self.create(terms)?;
        let start = Start {
            stream: &self.stream,
            metadata: self.metadata.as_ref(),
            headers: &self.headers,
            time,
        };
        let muxer = guarded(|| terms.format.begin(file, &start)).map_err(|e| {
            // What did not begin is no recording. The error that tells is the first.
            let _ = terms.platform.remove_file(&path);
            named(&e, &path)
        })?;
        let name = &self.stream.name;
        if may_log(&terms.shared, Level::Info) {
            log::info!(stream:% = name, path:% = path.display(); "recording started");
        }
        terms.shared.events.send(Event::RecordingStarted {
            name: name.clone(),
            path: path.clone(),
        });
        self.file = Some(OpenFile {
            muxer,
            path,
            waits_for_key,
        });
        for (packet, time) in held {
            self.write(&packet, time)?;
        }
        Ok(())
    }

    /// Seconds since 1970-01-01 by the clock that the file's name shows.
    fn time_for_name<P: Platform>(terms: &Terms<P>) -> i64 {
        let utc = template::unix_seconds(terms.platform.wall_clock());
        let offset = match terms.config.time_zone {
            TimeZone::Utc => 0,
            TimeZone::Local => terms.platform.local_offset(utc),
        };
        utc + i64::from(offset)
    }

    fn create<P: Platform>(&mut self, terms: &Terms<P>) -> io::Result<(P::File, PathBuf)> {
        // Keys are no part of a file's name.
        let (app, name) = self.stream.name.shown_parts();
        let seconds = Recording::time_for_name(terms);
        let mut attempt = 0;
        loop {
            let path = template::file_path(
                &terms.config.directory,
                &terms.config.template,
                app,
                name,
                seconds,
                self.index,
                terms.format.extension(),
            );
            let created = terms.platform.create_file(&path);
            self.index += 1;
            match created {
                Ok(file) => return Ok((file, path)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && attempt < NAME_ATTEMPTS => {
                    attempt += 1;
                }
                Err(e) => {
                    self.index -= 1;
                    return Err(named(&e, &path));
                }
            }
        }
    }

    fn write(&mut self, packet: &SharedPacket, time: i64) -> io::Result<()> {
        let Some(open) = &mut self.file else {
            return Ok(());
        };
        match packet.class {
            Class::Key => open.waits_for_key = false,
            Class::Inter | Class::Prelude if open.waits_for_key => return Ok(()),
            _ => {}
        }
        let item = Item {
            packet,
            time,
            is_sync: packet.is_entry(),
        };
        guarded(|| {
            #[cfg(test)]
            crate::sim_tests::panic_in(crate::sim_tests::MUXER, packet.payload());
            open.muxer.write(&item)
        })
    }

    pub(super) fn flush<P: Platform>(&mut self, terms: &Terms<P>) {
        if let Some(open) = &mut self.file
            && let Err(e) = guarded(|| open.muxer.flush())
        {
            self.fail(terms, &e);
        }
    }

    /// What was written so far is on the disk. False after a failure.
    pub(super) fn sync<P: Platform>(&mut self, terms: &Terms<P>) -> bool {
        if let Some(open) = &mut self.file
            && let Err(e) = guarded(|| open.muxer.sync())
        {
            self.fail(terms, &e);
        }
        !self.failed
    }

    /// Frames are missing from here on.
    pub(super) fn report_loss<P: Platform>(&self, terms: &Terms<P>, loss: &Loss) {
        if self.failed {
            return;
        }
        let path = self.file.as_ref().map(|open| open.path.clone());
        let path = path.unwrap_or_default();
        let milliseconds = loss.span().as_millis();
        terms.tap.add_loss(loss);
        terms.shared.recording_losses.add(loss);
        if may_log(&terms.shared, Level::Warn) {
            log::warn!(
                stream:% = self.stream.name, path:% = path.display(), frames = loss.frames,
                bytes = loss.bytes, milliseconds = milliseconds as u64;
                "recording is too slow; frames are missing"
            );
        }
        terms.shared.events.send(Event::RecordingLost {
            name: self.stream.name.clone(),
            path,
            frames: loss.frames,
            bytes: loss.bytes,
            span: loss.span(),
        });
    }

    /// The stream is over, or is not to be recorded any longer, or goes on with another
    /// codec.
    pub(super) fn end<P: Platform>(&mut self, terms: &Terms<P>) {
        if !self.failed
            && let Err(e) = self.end_file(terms)
        {
            self.fail(terms, &e);
        }
    }

    fn finish<P: Platform>(&mut self, terms: &Terms<P>) {
        let Some(open) = self.file.take() else {
            return;
        };
        let (path, completed) = complete(terms, open);
        match completed {
            Ok(Summary { duration, bytes }) => {
                if may_log(&terms.shared, Level::Info) {
                    log::info!(
                        stream:% = self.stream.name, path:% = path.display(), bytes = bytes;
                        "recording finished"
                    );
                }
                terms.tap.add_file(&path, duration, bytes);
                terms.shared.events.send(Event::RecordingFinished {
                    name: self.stream.name.clone(),
                    path,
                    duration,
                    bytes,
                });
            }
            Err(e) => self.report_failure(terms, path, &e),
        }
    }

    /// The disk is full, or gone, or the muxer fails: this recording ends, the stream
    /// does not.
    fn fail<P: Platform>(&mut self, terms: &Terms<P>, error: &io::Error) {
        self.failed = true;
        self.held.clear();
        self.holds_key = false;
        let path = self.file.take().map(|open| {
            // The index may still fit; what is in the file plays without it too.
            complete(terms, open).0
        });
        self.report_failure(terms, path.unwrap_or_default(), error);
    }

    fn report_failure<P: Platform>(&self, terms: &Terms<P>, path: PathBuf, error: &io::Error) {
        if may_log(&terms.shared, Level::Error) {
            log::error!(stream:% = self.stream.name, path:% = path.display(); "recording stopped: {error}");
        }
        terms.tap.note_error(error);
        terms.shared.events.send(Event::RecordingFailed {
            name: self.stream.name.clone(),
            path,
            error: error.to_string(),
        });
    }
}

/// Completes a file. One that nothing came into is no recording, and goes.
fn complete<P: Platform>(terms: &Terms<P>, open: OpenFile) -> (PathBuf, io::Result<Summary>) {
    let OpenFile { muxer, path, .. } = open;
    let completed = guarded(|| Ok(muxer.finish())).and_then(|(summary, result)| {
        if summary.bytes > 0 {
            return result.map(|()| summary);
        }
        // The error that tells is the first.
        let _ = terms.platform.remove_file(&path);
        result.and_then(|()| Err(io::Error::other("nothing came that the file could hold")))
    });
    (path, completed)
}

fn named(error: &io::Error, path: &std::path::Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A muxer's panic is an error of its file.
fn guarded<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(io::Error::other("a bug: the muxer panicked")))
}
