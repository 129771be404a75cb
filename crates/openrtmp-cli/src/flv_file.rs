//! Received streams as FLV, to a file or to standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openrtmp_core::client::{Media, MediaKind};
use openrtmp_protocol::AmfLimits;
use openrtmp_protocol::amf::{Decoder, Encoder, Encoding, Object, Value};
use openrtmp_protocol::chunk::Payload;
use openrtmp_protocol::flv;

use crate::console::say;
use crate::exit::Failure;
use crate::media::{is_metadata, tag_type};
use crate::pipe::Pipe;
use crate::signal::Stop;

/// An FLV being written.
///
/// Nothing is written before the first frame: by then the metadata and the
/// sequence headers are known, and metadata can come first with room for the
/// duration, which is filled in at the end.
pub(crate) struct FlvFile {
    output: Output,
    /// Metadata and sequence headers that came before the first frame.
    held: Vec<Media>,
    held_bytes: usize,
    /// As received: servers repeat it.
    metadata: Option<Payload>,
    started: bool,
    audio: bool,
    video: bool,
    buffer: BytesMut,
}

enum Output {
    /// Standard output, a FIFO, a device: what is written stays as it is.
    Pipe { pipe: Pipe, name: String },
    File {
        /// `None` before there is something to write: however we end, no empty file stays.
        file: Option<BufWriter<File>>,
        path: PathBuf,
        overwrite: bool,
    },
}

/// How a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Well.
    Done,
    /// Whoever read our output has gone.
    NoReader,
}

impl FlvFile {
    /// Opens the file, or standard output for `-` and `/dev/stdout`. An existing file is
    /// an error unless `overwrite`, and stays as it is until the first frame comes; a
    /// FIFO or a device is written to. A signal ends waiting for its reader.
    pub(crate) fn open(path: &Path, overwrite: bool, stop: &Stop) -> Result<FlvFile, Failure> {
        let name = path.display().to_string();
        let output = if STDOUT.contains(&name.as_str()) {
            if io::stdout().is_terminal() {
                return Err(Failure::Usage(
                    "standard output is a terminal: pipe it into a player or a file".into(),
                ));
            }
            Output::pipe("standard output".to_owned(), stop, || Ok(io::stdout()))?
        } else if std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
            let path = path.to_owned();
            let open = move || OpenOptions::new().write(true).open(path);
            Output::pipe(name, stop, open)?
        } else {
            tell_format(path);
            Output::open_file(path, overwrite)?
        };
        Ok(FlvFile {
            output,
            held: Vec::new(),
            held_bytes: 0,
            metadata: None,
            started: false,
            audio: false,
            video: false,
            buffer: BytesMut::new(),
        })
    }

    /// Writes a message at `position`, milliseconds since the first frame.
    pub(crate) fn write(
        &mut self,
        media: &Media,
        position: u64,
        frame: bool,
    ) -> Result<Written, Failure> {
        /// Enough for the headers of many tracks; a stream without any frame
        /// cannot make us hold more.
        const HELD: usize = 256;
        const HELD_BYTES: usize = 4 * 1024 * 1024;
        match media.kind {
            MediaKind::Audio => self.audio = true,
            MediaKind::Video => self.video = true,
            MediaKind::Data => {}
        }
        if is_metadata(media.kind, &media.payload) {
            let known = self.metadata.replace(media.payload.clone());
            if known.as_ref() == Some(&media.payload) {
                return Ok(Written::Done);
            }
        }
        if !self.started {
            let bytes = self.held_bytes + media.payload.len();
            if !frame && self.held.len() < HELD && bytes <= HELD_BYTES {
                self.held.push(media.clone());
                self.held_bytes = bytes;
                return Ok(Written::Done);
            }
            self.start();
        }
        self.tag(media.kind, position, &media.payload);
        self.output.write(&mut self.buffer)
    }

    /// Completes the file: duration, and what the header says of its tracks.
    pub(crate) fn finish(mut self, duration: Duration) -> Result<(), Failure> {
        let flags = u8::from(self.audio) << 2 | u8::from(self.video);
        self.output.finish(self.started, flags, duration)
    }

    fn start(&mut self) {
        self.started = true;
        let held = std::mem::take(&mut self.held);
        flv::write_header(true, true, &mut self.buffer);
        let metadata = held.iter().rev().find_map(metadata_of).unwrap_or_default();
        self.tag(MediaKind::Data, 0, &metadata_with_duration(metadata));
        for media in held.iter().filter(|media| metadata_of(media).is_none()) {
            self.tag(media.kind, 0, &media.payload);
        }
    }

    fn tag(&mut self, kind: MediaKind, position: u64, payload: &[u8]) {
        // FLV's clock has 32 bits, like RTMP's.
        let timestamp = position as u32;
        flv::write_tag_header(tag_type(kind), timestamp, payload.len(), &mut self.buffer);
        self.buffer.extend_from_slice(payload);
        self.buffer
            .extend_from_slice(&flv::tag_trailer(payload.len()));
    }
}

impl Output {
    /// A file that could be written now.
    fn open_file(path: &Path, overwrite: bool) -> Result<Output, Failure> {
        let existed = path.exists();
        let opened = open(path, overwrite).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Failure::Usage(format!(
                "{} exists already; --force overwrites it",
                path.display()
            )),
            _ => Failure::Usage(format!("cannot write {}: {e}", path.display())),
        })?;
        drop(opened);
        if !existed {
            // If it stays, the stream will find it.
            let _ = std::fs::remove_file(path);
        }
        Ok(Output::File {
            file: None,
            path: path.to_owned(),
            overwrite,
        })
    }

    fn write(&mut self, buffer: &mut BytesMut) -> Result<Written, Failure> {
        let result = match self {
            Output::Pipe { pipe, .. } => pipe.put(buffer.split().freeze()),
            Output::File {
                file,
                path,
                overwrite,
            } => write_to(file, path, *overwrite, buffer),
        };
        buffer.clear();
        self.judge(result)
    }

    fn finish(&mut self, started: bool, flags: u8, duration: Duration) -> Result<(), Failure> {
        let result = match self {
            Output::Pipe { pipe, .. } => {
                let result = pipe.finish();
                return self.judge(result).map(|_| ());
            }
            Output::File {
                file: Some(file), ..
            } if started => complete(file, flags, duration),
            Output::File { .. } => Ok(()),
        };
        result.map_err(|e| self.failed(&e))
    }

    fn pipe<W: Write>(
        name: String,
        stop: &Stop,
        open: impl FnOnce() -> io::Result<W> + Send + 'static,
    ) -> Result<Output, Failure> {
        let pipe = Pipe::start(open)
            .map_err(|e| Failure::Runtime(format!("cannot start a thread: {e}")))?;
        stop.on_first(pipe.abandon());
        Ok(Output::Pipe { pipe, name })
    }

    fn judge(&self, result: io::Result<()>) -> Result<Written, Failure> {
        match (result, self) {
            (Ok(()), _) => Ok(Written::Done),
            (Err(e), Output::Pipe { .. }) if e.kind() == io::ErrorKind::BrokenPipe => {
                Ok(Written::NoReader)
            }
            (Err(e), output) => Err(output.failed(&e)),
        }
    }

    fn failed(&self, error: &io::Error) -> Failure {
        match self {
            Output::Pipe { name, .. } => Failure::Runtime(format!("cannot write {name}: {error}")),
            Output::File { path, .. } => {
                Failure::Runtime(format!("cannot write {}: {error}", path.display()))
            }
        }
    }
}

fn open(path: &Path, overwrite: bool) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(overwrite)
        .create_new(!overwrite)
        .truncate(false)
        .open(path)
}

/// Writes to a file, which the first bytes open.
fn write_to(
    file: &mut Option<BufWriter<File>>,
    path: &Path,
    overwrite: bool,
    bytes: &[u8],
) -> io::Result<()> {
    if file.is_none() {
        *file = Some(BufWriter::new(open(path, overwrite)?));
    }
    file.iter_mut().try_for_each(|file| file.write_all(bytes))
}

/// Names of standard output. As a file it would be opened anew, and written from its
/// beginning.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Says what will be in a file whose name says otherwise.
fn tell_format(path: &Path) {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    if let Some(other) = extension.filter(|extension| extension != "flv") {
        let path = path.display();
        say(&format!(
            "openrtmp: {path} will be an FLV file: {other} is not written yet"
        ));
    }
}

/// Fixes what was not known at the start.
fn complete(file: &mut BufWriter<File>, flags: u8, duration: Duration) -> io::Result<()> {
    file.flush()?;
    let file = file.get_mut();
    let end = file.stream_position()?;
    // An overwritten file may have been longer.
    file.set_len(end)?;
    file.seek(SeekFrom::Start(FLAGS_OFFSET))?;
    file.write_all(&[flags])?;
    file.seek(SeekFrom::Start(DURATION_OFFSET))?;
    file.write_all(&duration.as_secs_f64().to_be_bytes())?;
    file.sync_all()
}

/// TypeFlags in the file header (FLV 10.1, annex E.2).
const FLAGS_OFFSET: u64 = 4;
/// The eight bytes of `duration` in the first tag: file header 9, first
/// PreviousTagSize 4, tag header 11, "onMetaData" 13, ECMA array head 5, member
/// name 2 + 8, number marker 1.
const DURATION_OFFSET: u64 = 9 + 4 + 11 + 13 + 5 + 10 + 1;

/// The object of an `onMetaData` message.
fn metadata_of(media: &Media) -> Option<Object> {
    if !is_metadata(media.kind, &media.payload) {
        return None;
    }
    let mut decoder = Decoder::new(&media.payload, &AmfLimits::default());
    let _name = decoder.value().ok()?;
    decoder.value().ok()?.as_object().cloned()
}

/// An `onMetaData` body whose first member is the duration, still zero. What the
/// publisher said of the size and length of its own file does not hold here.
fn metadata_with_duration(metadata: Object) -> Bytes {
    const OF_THE_FILE: [&str; 3] = ["duration", "filesize", "keyframes"];
    let mut object = Object::new().with("duration", 0.0);
    object.members.extend(
        metadata
            .members
            .into_iter()
            .filter(|(name, _)| !OF_THE_FILE.contains(&name.as_str())),
    );
    let mut encoder = Encoder::new(Encoding::Amf0);
    encoder.value(&"onMetaData".into());
    encoder.value(&Value::EcmaArray(object));
    encoder.finish().into()
}

#[cfg(test)]
mod tests {
    use openrtmp_protocol::flv::{FlvReader, Tag};

    use super::*;

    fn media(kind: MediaKind, payload: &[u8]) -> Media {
        Media {
            stream: 1,
            kind,
            timestamp: 0,
            payload: Payload::copy_from_slice(payload),
        }
    }

    fn metadata(object: Object) -> Media {
        let mut encoder = Encoder::new(Encoding::Amf0);
        encoder.value(&"onMetaData".into());
        encoder.value(&Value::EcmaArray(object));
        media(MediaKind::Data, &encoder.finish())
    }

    fn tags(file: &[u8]) -> Vec<Tag> {
        let mut reader = FlvReader::new();
        reader.push(file);
        std::iter::from_fn(|| reader.next_tag().unwrap()).collect()
    }

    const AAC_HEADER: [u8; 4] = [0xAF, 0, 0x12, 0x10];
    const AAC_FRAME: [u8; 3] = [0xAF, 1, 0x21];

    #[test]
    fn the_duration_is_filled_in_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("camera.flv");
        let mut file = FlvFile::open(&path, false, &Stop::default()).unwrap();
        let header = media(MediaKind::Audio, &AAC_HEADER);
        let frame = media(MediaKind::Audio, &AAC_FRAME);
        let said = metadata(Object::new().with("duration", 99.0).with("width", 640.0));
        file.write(&header, 0, false).unwrap();
        file.write(&said, 0, false).unwrap();
        file.write(&frame, 0, true).unwrap();
        file.write(&frame, 23, true).unwrap();
        file.finish(Duration::from_millis(46)).unwrap();

        let content = std::fs::read(&path).unwrap();
        assert_eq!(content[4], 4, "audio only");
        let tags = tags(&content);
        let kinds: Vec<_> = tags.iter().map(|tag| (tag.kind, tag.timestamp)).collect();
        assert_eq!(kinds, [(18, 0), (8, 0), (8, 0), (8, 23)]);
        assert_eq!(tags[1].payload[..], AAC_HEADER);
        assert_eq!(tags[3].payload[..], AAC_FRAME);
        let found = metadata_of(&media(MediaKind::Data, &tags[0].payload)).unwrap();
        assert_eq!(found.get("width").and_then(Value::as_f64), Some(640.0));
        let durations: Vec<_> = found
            .members
            .iter()
            .filter(|(name, _)| name == "duration")
            .map(|(_, value)| value.as_f64())
            .collect();
        assert_eq!(durations, [Some(0.046)]);
    }

    #[test]
    fn a_stream_without_metadata_still_gets_a_duration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("camera.flv");
        let mut file = FlvFile::open(&path, false, &Stop::default()).unwrap();
        file.write(&media(MediaKind::Audio, &AAC_FRAME), 0, true)
            .unwrap();
        file.finish(Duration::from_secs(7)).unwrap();
        let tags = tags(&std::fs::read(&path).unwrap());
        let found = metadata_of(&media(MediaKind::Data, &tags[0].payload)).unwrap();
        assert_eq!(found.get("duration").and_then(Value::as_f64), Some(7.0));
    }

    #[test]
    fn an_overwritten_file_keeps_nothing_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("camera.flv");
        std::fs::write(&path, vec![0x1F; 10_000]).unwrap();
        assert!(matches!(
            FlvFile::open(&path, false, &Stop::default()),
            Err(Failure::Usage(_))
        ));
        let mut file = FlvFile::open(&path, true, &Stop::default()).unwrap();
        file.write(&media(MediaKind::Audio, &AAC_FRAME), 0, true)
            .unwrap();
        file.finish(Duration::ZERO).unwrap();
        assert_eq!(tags(&std::fs::read(&path).unwrap()).len(), 2);
    }

    #[test]
    fn nothing_is_left_where_nothing_came() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("camera.flv");
        let mut file = FlvFile::open(&path, false, &Stop::default()).unwrap();
        file.write(&media(MediaKind::Audio, &AAC_HEADER), 0, false)
            .unwrap();
        file.finish(Duration::ZERO).unwrap();
        assert!(!path.exists());
    }
}
