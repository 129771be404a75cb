//! Received streams as FLV.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openrtmp_core::client::{Media, MediaKind};
use openrtmp_protocol::AmfLimits;
use openrtmp_protocol::amf::{Decoder, Encoder, Encoding, Object, Value};
use openrtmp_protocol::chunk::Payload;
use openrtmp_protocol::flv;

use super::Written;
use super::output::Output;
use crate::exit::Failure;
use crate::media::{is_metadata, tag_type};

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

impl FlvFile {
    pub(super) fn new(output: Output) -> FlvFile {
        FlvFile {
            output,
            held: Vec::new(),
            held_bytes: 0,
            metadata: None,
            started: false,
            audio: false,
            video: false,
            buffer: BytesMut::new(),
        }
    }

    /// Writes a message at `position`, milliseconds since the first frame.
    pub(super) fn write(
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
    pub(super) fn finish(mut self, duration: Duration) -> Result<(), Failure> {
        let flags = u8::from(self.audio) << 2 | u8::from(self.video);
        let duration = duration.as_secs_f64().to_be_bytes();
        self.output
            .finish(&[(FLAGS_OFFSET, &[flags]), (DURATION_OFFSET, &duration)])
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
    use std::path::Path;

    use openrtmp_protocol::flv::{FlvReader, Tag};

    use super::*;
    use crate::signal::Stop;

    fn opened(path: &Path, overwrite: bool) -> Result<FlvFile, Failure> {
        Output::open(path, overwrite, &Stop::default()).map(FlvFile::new)
    }

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
        let mut file = opened(&path, false).unwrap();
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
        let mut file = opened(&path, false).unwrap();
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
        assert!(matches!(opened(&path, false), Err(Failure::Usage(_))));
        let mut file = opened(&path, true).unwrap();
        file.write(&media(MediaKind::Audio, &AAC_FRAME), 0, true)
            .unwrap();
        file.finish(Duration::ZERO).unwrap();
        assert_eq!(tags(&std::fs::read(&path).unwrap()).len(), 2);
    }

    #[test]
    fn nothing_is_left_where_nothing_came() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("camera.flv");
        let mut file = opened(&path, false).unwrap();
        file.write(&media(MediaKind::Audio, &AAC_HEADER), 0, false)
            .unwrap();
        file.finish(Duration::ZERO).unwrap();
        assert!(!path.exists());
    }
}
