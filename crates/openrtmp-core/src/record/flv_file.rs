//! One recording: an FLV file that plays whenever writing it stops.
//!
//! The file begins with an `onMetaData` tag that keeps its size for good. It is
//! written with an empty key frame index and spare room, and again, in place, at
//! the end. Everything else is only ever appended, whole tags at a time.

use std::io::{self, SeekFrom, Write};
use std::time::Duration;

use openrtmp_media::KeyframeIndex;
use openrtmp_protocol::amf::{Encoder, Encoding, Object, Value};
use openrtmp_protocol::flv;
use openrtmp_protocol::message::kind;

use crate::platform::File;

/// Key frames that the index has room for: more than two hours at one every two
/// seconds, for 72,000 bytes at the head of the file. Even, as the index wants it.
const INDEX_CAPACITY: usize = 4000;
/// Bytes gathered before they go to the file unasked.
const BUFFER_BYTES: usize = 256 * 1024;
/// DataSize of a tag has 24 bits (FLV 10.1, E.4.1).
const MAX_PAYLOAD_BYTES: usize = 0xFF_FFFF;
/// Offset of the header's TypeFlags (E.2).
const FLAGS_OFFSET: u64 = 4;
/// Offset of the first tag's body: header, PreviousTagSize0, tag header.
const METADATA_OFFSET: u64 = 9 + 4 + 11;
/// Member that holds the room the index does not need yet.
const SPARE: &str = flv::SPARE_MEMBER;
/// An FLV file that is being recorded.
///
/// What is written is on its way to the file after [`flush`](FlvFile::flush) or
/// once 256 KiB have gathered; a process that is killed loses what came after.
pub(crate) struct FlvFile<F> {
    file: F,
    /// Whole tags that the file does not have yet.
    buffer: Vec<u8>,
    buffered: Vec<BufferedTag>,
    /// What the publisher says about the stream.
    members: Vec<(String, Value)>,
    /// Size of the `onMetaData` body, which never changes.
    metadata_bytes: usize,
    stored: Stored,
    clock: Clock,
    /// A write failed: the file may end inside a tag, nothing can follow.
    failed: bool,
}

/// What a finished recording holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlvSummary {
    /// Highest timestamp.
    pub(crate) duration: Duration,
    /// Bytes up to the end of the last whole tag.
    pub(crate) bytes: u64,
    /// Key frames of different times, whether the index lists them or not.
    pub(crate) keyframes: u64,
}

impl<F: File> FlvFile<F> {
    /// Starts a recording in an empty file. `metadata` is the AMF0 payload of
    /// the publisher's `onMetaData`, without `@setDataFrame`; if it cannot be read the
    /// recording goes without.
    pub(crate) fn create(mut file: F, metadata: Option<&[u8]>) -> io::Result<FlvFile<F>> {
        let mut stored = Stored::default();
        let mut members = metadata.map_or_else(Vec::new, flv::stream_members);
        let mut payload = metadata_payload(&members, &stored);
        if payload.len() > MAX_PAYLOAD_BYTES {
            members.clear();
            payload = metadata_payload(&members, &stored);
        }

        let mut head = Vec::new();
        // Which of the two will come is not known yet.
        flv::write_header(true, true, &mut head);
        append_tag(kind::DATA_AMF0, 0, &payload, &mut head);
        if let Err(error) = file.write_all(&head) {
            // Nothing is better than a head that breaks off.
            let _ = file.truncate(0);
            return Err(error);
        }
        stored.bytes = head.len() as u64;

        Ok(FlvFile {
            file,
            buffer: Vec::new(),
            buffered: Vec::new(),
            members,
            metadata_bytes: payload.len(),
            stored,
            clock: Clock::default(),
            failed: false,
        })
    }

    /// Appends a tag. `kind` is 8, 9 or 18; `keyframe` says that decoding can
    /// start here.
    ///
    /// `time` is in milliseconds. The first becomes 0 of the file, so decoder
    /// configuration that comes first has to carry the time of the frame that follows
    /// it. A track that begins before that moves what follows on by as much, up to 10 s;
    /// other earlier times become 0 too.
    ///
    /// Fails with `InvalidInput`, and changes nothing, if the payload is larger
    /// than a tag can be (16 MiB - 1). After any other error the recording can
    /// only be finished.
    pub(crate) fn write(
        &mut self,
        kind: u8,
        time: i64,
        payload: &[u8],
        keyframe: bool,
    ) -> io::Result<()> {
        self.check()?;
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let room = self.buffer.try_reserve(payload.len() + flv::TAG_OVERHEAD);
        room.map_err(|_| io::ErrorKind::OutOfMemory)?;
        let time = self.clock.rebase(time, kind != kind::DATA_AMF0);
        // The field has 32 bits, as that of a message: it wraps alike.
        append_tag(kind, time as u32, payload, &mut self.buffer);
        self.buffered.push(BufferedTag {
            end: self.buffer.len(),
            kind,
            time,
            keyframe,
        });
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands everything written so far to the file.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        let (written, result) = write_counted(&mut self.file, &self.buffer);
        let mut start = 0;
        for tag in self.buffered.drain(..) {
            if tag.end <= written {
                self.stored.add(&tag, (tag.end - start) as u64);
                start = tag.end;
            }
        }
        // One giant tag should not hold its memory for the rest of the stream.
        if self.buffer.capacity() > 4 * BUFFER_BYTES {
            self.buffer = Vec::new();
        } else {
            self.buffer.clear();
        }
        self.failed = result.is_err();
        result
    }

    /// The same, and syncs the file.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync()
    }

    /// Time from the first to the latest tag written.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_millis(self.clock.latest)
    }

    /// Size of the file, what is still buffered included.
    pub(crate) fn bytes(&self) -> u64 {
        self.stored.bytes + self.buffer.len() as u64
    }

    /// Ends the recording: writes what is buffered, the metadata with duration
    /// and index, and the flags of the header, and syncs.
    ///
    /// After a failed write what it left of a tag is cut off, and the metadata
    /// describes what the file holds; this needs no room on the disk. Every step
    /// is tried even if one before it failed; the first error is returned.
    ///
    /// The tags are synced before the metadata tells of them. The metadata itself
    /// takes several pages of the disk: a power cut between them can leave a mix
    /// of old and new, in a tag that keeps its place and size. Players skip what
    /// they cannot read there, and lose the index and the duration, no more.
    pub(crate) fn finish(mut self) -> io::Result<FlvSummary> {
        let flushed = if self.failed { Ok(()) } else { self.flush() };
        let cut = match self.failed {
            true => self.file.truncate(self.stored.bytes),
            false => Ok(()),
        };
        let tags_synced = self.file.sync();
        let rewritten = self.rewrite_head();
        let synced = self.file.sync();
        flushed
            .and(cut)
            .and(tags_synced)
            .and(rewritten)
            .and(synced)?;
        Ok(FlvSummary {
            duration: Duration::from_millis(self.stored.latest),
            bytes: self.stored.bytes,
            keyframes: self.stored.index.seen(),
        })
    }

    fn rewrite_head(&mut self) -> io::Result<()> {
        let payload = metadata_payload(&self.members, &self.stored);
        if payload.len() != self.metadata_bytes {
            // Would run into the tags behind it.
            return Err(io::ErrorKind::InvalidData.into());
        }
        let flags = u8::from(self.stored.audio) << 2 | u8::from(self.stored.video);
        self.file.seek(SeekFrom::Start(FLAGS_OFFSET))?;
        self.file.write_all(&[flags])?;
        self.file.seek(SeekFrom::Start(METADATA_OFFSET))?;
        self.file.write_all(&payload)?;
        self.file.flush()
    }

    fn check(&self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write to the recording failed"));
        }
        Ok(())
    }
}

/// A tag in the buffer.
struct BufferedTag {
    /// Offset of its end in the buffer.
    end: usize,
    kind: u8,
    /// Milliseconds since the start of the file.
    time: u64,
    keyframe: bool,
}

/// What the whole tags in the file amount to.
struct Stored {
    bytes: u64,
    /// Highest time, in milliseconds.
    latest: u64,
    audio: bool,
    video: bool,
    /// The last video tag is a key frame.
    ends_on_key: bool,
    index: KeyframeIndex<Keyframe>,
}

impl Default for Stored {
    fn default() -> Stored {
        Stored {
            bytes: 0,
            latest: 0,
            audio: false,
            video: false,
            ends_on_key: false,
            index: KeyframeIndex::new(INDEX_CAPACITY),
        }
    }
}

impl Stored {
    fn add(&mut self, tag: &BufferedTag, length: u64) {
        self.audio |= tag.kind == kind::AUDIO;
        if tag.kind == kind::VIDEO {
            self.video = true;
            self.ends_on_key = tag.keyframe;
        }
        if tag.keyframe {
            let keyframe = Keyframe {
                position: self.bytes,
                time: tag.time,
            };
            self.index.add(tag.time, keyframe);
        }
        self.latest = self.latest.max(tag.time);
        self.bytes += length;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Keyframe {
    /// Offset of the tag in the file.
    position: u64,
    /// Milliseconds since the start of the file.
    time: u64,
}

/// So much before the first tag a track may begin and keep its distance to the others,
/// milliseconds. A stream's clock leaves tracks no further apart.
const EARLY: i64 = 10_000;

/// Counts time from the first tag on, or from the first of a track that begins earlier,
/// as a picture may behind audio that came ahead of it.
#[derive(Default)]
struct Clock {
    first: Option<i64>,
    /// Milliseconds from the first tag to the latest.
    latest: u64,
}

impl Clock {
    fn rebase(&mut self, time: i64, is_frame: bool) -> u64 {
        let first = self.first.get_or_insert(time);
        if is_frame && (1..=EARLY).contains(&(*first - time)) {
            *first = time;
        }
        let time = u64::try_from(time - *first).unwrap_or(0);
        self.latest = self.latest.max(time);
        time
    }
}

/// The body of `onMetaData`. Its size depends on `members` alone: numbers and
/// booleans have one size, and index and spare room add up to the same count of
/// numbers. Players read arrays of numbers everywhere, unlike long strings.
fn metadata_payload(members: &[(String, Value)], stored: &Stored) -> Vec<u8> {
    let keyframes = stored.index.entries();
    let seconds = |milliseconds: u64| Value::Number(milliseconds as f64 / 1000.0);
    let positions = keyframes.iter().map(|k| Value::Number(k.position as f64));
    let times = keyframes.iter().map(|k| seconds(k.time));
    let spare = vec![Value::Number(0.0); 2 * (INDEX_CAPACITY - keyframes.len())];
    let index = Object::new()
        .with("filepositions", Value::StrictArray(positions.collect()))
        .with("times", Value::StrictArray(times.collect()));

    let mut metadata = Object::new();
    metadata.members.extend_from_slice(members);
    let metadata = metadata
        .with("duration", seconds(stored.latest))
        .with("filesize", stored.bytes as f64)
        .with("lasttimestamp", seconds(stored.latest))
        .with("hasKeyframes", !keyframes.is_empty())
        .with("canSeekToEnd", stored.ends_on_key)
        .with("keyframes", index)
        .with(SPARE, Value::StrictArray(spare));

    let mut encoder = Encoder::new(Encoding::Amf0);
    encoder.value(&Value::from("onMetaData"));
    encoder.value(&Value::EcmaArray(metadata));
    encoder.finish()
}

fn append_tag(kind: u8, timestamp: u32, payload: &[u8], output: &mut Vec<u8>) {
    flv::write_tag_header(kind, timestamp, payload.len(), output);
    output.extend_from_slice(payload);
    output.extend_from_slice(&flv::tag_trailer(payload.len()));
}

/// Writes all, or tells how much came through before the error.
fn write_counted(file: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, file.flush())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Seek};
    use std::sync::{Arc, Mutex, MutexGuard};

    use super::*;
    use openrtmp_protocol::AmfLimits;
    use openrtmp_protocol::amf::Decoder;

    /// A file in memory on a disk of limited room.
    #[derive(Clone)]
    struct Disk {
        content: Arc<Mutex<Cursor<Vec<u8>>>>,
        capacity: usize,
    }

    impl Disk {
        fn new(capacity: usize) -> Disk {
            Disk {
                content: Arc::default(),
                capacity,
            }
        }

        fn lock(&self) -> MutexGuard<'_, Cursor<Vec<u8>>> {
            self.content.lock().expect("no test panics holding it")
        }

        fn bytes(&self) -> Vec<u8> {
            self.lock().get_ref().clone()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut content = self.lock();
            let room = self.capacity - content.position() as usize;
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            content.write(&bytes[..bytes.len().min(room)])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
            self.lock().seek(position)
        }
    }

    impl File for Disk {
        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn truncate(&mut self, bytes: u64) -> io::Result<()> {
            self.lock().get_mut().truncate(bytes as usize);
            Ok(())
        }
    }

    struct Tag {
        position: usize,
        kind: u8,
        timestamp: u32,
        payload: Vec<u8>,
    }

    /// Reads the whole tags after FLV 10.1, annex E, and how many bytes they
    /// and the header take.
    fn whole_tags(file: &[u8]) -> (Vec<Tag>, usize) {
        assert_eq!(file[..4], *b"FLV\x01");
        assert_eq!(file[5..13], [0, 0, 0, 9, 0, 0, 0, 0]);
        let mut tags = Vec::new();
        let mut position = 13;
        while let Some(head) = file.get(position..position + 11) {
            let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
            let end = position + 11 + size;
            let Some(trailer) = file.get(end..end + 4) else {
                break;
            };
            assert_eq!(trailer, (11 + size as u32).to_be_bytes());
            assert_eq!(head[8..11], [0, 0, 0], "StreamID");
            tags.push(Tag {
                position,
                kind: head[0],
                timestamp: u32::from_be_bytes([head[7], head[4], head[5], head[6]]),
                payload: file[position + 11..end].to_vec(),
            });
            position = end + 4;
        }
        (tags, position)
    }

    fn metadata_of(tag: &Tag) -> Object {
        assert_eq!(tag.kind, 18);
        let limits = AmfLimits::default();
        let mut decoder = Decoder::new(&tag.payload, &limits);
        assert_eq!(decoder.value(), Ok(Value::from("onMetaData")));
        let Ok(Value::EcmaArray(object)) = decoder.value() else {
            panic!("no ECMA array");
        };
        assert!(decoder.is_empty());
        object
    }

    fn number(object: &Object, name: &str) -> f64 {
        object.get(name).and_then(Value::as_f64).expect(name)
    }

    fn numbers(value: Option<&Value>) -> Vec<f64> {
        let Some(Value::StrictArray(values)) = value else {
            panic!("no array");
        };
        values.iter().filter_map(Value::as_f64).collect()
    }

    fn index_of(object: &Object) -> (Vec<f64>, Vec<f64>) {
        let index = object.get("keyframes").and_then(Value::as_object);
        let index = index.expect("an index");
        let spare = numbers(object.get("spare"));
        let (positions, times) = (
            numbers(index.get("filepositions")),
            numbers(index.get("times")),
        );
        assert_eq!(spare.len() + positions.len() + times.len(), 8000);
        (positions, times)
    }

    /// `onMetaData` of an encoder that itself reads a file: `width` 640 is about
    /// the stream, `duration` 99 and an empty `keyframes` are about its file.
    const METADATA: &[u8] = b"\x02\x00\x0AonMetaData\x08\x00\x00\x00\x03\
        \x00\x05width\x00\x40\x84\x00\x00\x00\x00\x00\x00\
        \x00\x08duration\x00\x40\x58\xC0\x00\x00\x00\x00\x00\
        \x00\x09keyframes\x03\x00\x00\x09\
        \x00\x00\x09";

    #[test]
    fn a_recording_holds_its_tags_from_time_zero() {
        let disk = Disk::new(usize::MAX);
        let mut file = FlvFile::create(disk.clone(), None).expect("room");
        file.write(9, 5000, b"\x17\x01key", true).expect("room");
        // It begins earlier: what follows keeps its distance to it.
        file.write(8, 4990, b"\xAF\x01", false).expect("room");
        file.write(8, 5020, b"\xAF\x02", false).expect("room");
        file.write(9, 4990 + 0x0123_4567, b"\x27\x01", false)
            .expect("room");
        let bytes = file.bytes();
        file.finish().expect("room");

        let content = disk.bytes();
        assert_eq!(content.len() as u64, bytes);
        let (tags, end) = whole_tags(&content);
        assert_eq!(end, content.len());
        let seen: Vec<_> = tags.iter().map(|t| (t.kind, t.timestamp)).collect();
        assert_eq!(seen, [(18, 0), (9, 0), (8, 0), (8, 30), (9, 0x0123_4567)]);
        // FLV 10.1, E.4.1: type, size, timestamp, its upper byte, stream id,
        // body, and the size of all that.
        let last = b"\x09\x00\x00\x02\x23\x45\x67\x01\x00\x00\x00\x27\x01\x00\x00\x00\x0D";
        assert!(content.ends_with(last));
    }

    #[test]
    fn an_unfinished_recording_is_whole_after_each_flush() {
        let disk = Disk::new(usize::MAX);
        let mut file = FlvFile::create(disk.clone(), Some(METADATA)).expect("room");
        let head = disk.bytes();
        let (tags, end) = whole_tags(&head);
        assert_eq!((tags.len(), end), (1, head.len()));
        assert_eq!(head[4], 5, "audio and video may both come");
        let metadata = metadata_of(&tags[0]);
        assert_eq!(number(&metadata, "duration"), 0.0);
        assert_eq!(index_of(&metadata), (vec![], vec![]));

        file.write(9, 0, &[0x17; 100], true).expect("room");
        assert_eq!(disk.bytes(), head, "buffered");
        file.flush().expect("room");
        let (tags, end) = whole_tags(&disk.bytes());
        assert_eq!((tags.len(), end as u64), (2, file.bytes()));
        assert_eq!(disk.bytes().len() as u64, file.bytes());
    }

    #[test]
    fn a_full_buffer_goes_to_the_file_unasked() {
        let disk = Disk::new(usize::MAX);
        let mut file = FlvFile::create(disk.clone(), None).expect("room");
        file.write(9, 0, &vec![0; BUFFER_BYTES], true)
            .expect("room");
        assert_eq!(disk.bytes().len() as u64, file.bytes());
    }

    #[test]
    fn metadata_is_rewritten_in_place_at_the_end() {
        let disk = Disk::new(usize::MAX);
        let mut file = FlvFile::create(disk.clone(), Some(METADATA)).expect("room");
        let head = disk.bytes().len();
        for frame in 0..100 {
            let keyframe = frame % 25 == 0;
            file.write(9, 700 + frame * 40, &[frame as u8; 10], keyframe)
                .expect("room");
        }
        assert_eq!(file.duration(), Duration::from_millis(3960));
        let summary = file.finish().expect("room");

        let content = disk.bytes();
        let expected = FlvSummary {
            duration: Duration::from_millis(3960),
            bytes: content.len() as u64,
            keyframes: 4,
        };
        assert_eq!(summary, expected);
        assert_eq!(content[4], 1, "video only");
        let (tags, _) = whole_tags(&content);
        assert_eq!(tags[1].position, head);
        let metadata = metadata_of(&tags[0]);
        assert_eq!(number(&metadata, "width"), 640.0);
        assert_eq!(number(&metadata, "duration"), 3.96);
        assert_eq!(number(&metadata, "lasttimestamp"), 3.96);
        assert_eq!(number(&metadata, "filesize"), content.len() as f64);
        assert_eq!(metadata.get("hasKeyframes"), Some(&Value::Boolean(true)));
        assert_eq!(metadata.get("canSeekToEnd"), Some(&Value::Boolean(false)));
        let named = |name| metadata.members.iter().filter(|m| m.0 == name).count();
        assert_eq!((named("duration"), named("keyframes")), (1, 1));
        let (positions, times) = index_of(&metadata);
        assert_eq!(times, [0.0, 1.0, 2.0, 3.0]);
        let keys = [1, 26, 51, 76].map(|n: usize| tags[n].position as f64);
        assert_eq!(positions, keys);
    }

    #[test]
    fn unreadable_metadata_is_left_out() {
        for payload in [
            &b""[..],
            b"\x02\x00\x0AonMeta",
            b"\x05",
            &METADATA[..13],
            b"\x02\x00\x01x\x05",
        ] {
            let disk = Disk::new(usize::MAX);
            let file = FlvFile::create(disk.clone(), Some(payload)).expect("room");
            file.finish().expect("room");
            let (tags, _) = whole_tags(&disk.bytes());
            let metadata = metadata_of(&tags[0]);
            assert_eq!(metadata.members.len(), 7);
            assert_eq!(metadata.get("hasKeyframes"), Some(&Value::Boolean(false)));
        }
    }

    #[test]
    fn later_metadata_is_a_tag_like_any_other() {
        let disk = Disk::new(usize::MAX);
        let mut file = FlvFile::create(disk.clone(), None).expect("room");
        file.write(8, 10, b"\xAF\x01", false).expect("room");
        file.write(18, 15, METADATA, false).expect("room");
        file.finish().expect("room");
        let content = disk.bytes();
        let (tags, _) = whole_tags(&content);
        assert_eq!((tags[2].kind, tags[2].timestamp), (18, 5));
        assert_eq!(tags[2].payload, METADATA);
        assert_eq!(content[4], 4, "audio only");
    }

    #[test]
    fn a_full_disk_leaves_what_was_whole() {
        let head = {
            let disk = Disk::new(usize::MAX);
            FlvFile::create(disk.clone(), None).expect("room");
            disk.bytes().len()
        };
        let tag = 11 + 100 + 4;
        // Cut inside the third tag's header, body and trailer, and between tags.
        for extra in [0, 5, 60, tag - 1] {
            let disk = Disk::new(head + 2 * tag + extra);
            let mut file = FlvFile::create(disk.clone(), None).expect("room");
            for frame in 0..4 {
                file.write(9, frame * 1000, &[9; 100], true)
                    .expect("buffered");
            }
            let error = file.flush().expect_err("no room");
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            file.write(9, 4000, &[9; 100], true)
                .expect_err("failed before");
            file.flush().expect_err("failed before");

            let whole = head + 2 * tag;
            let expected = FlvSummary {
                duration: Duration::from_secs(1),
                bytes: whole as u64,
                keyframes: 2,
            };
            assert_eq!(file.finish().expect("needs no room"), expected);
            let content = disk.bytes();
            let (tags, end) = whole_tags(&content);
            assert_eq!((tags.len(), end), (3, whole));
            assert_eq!(content.len(), whole, "no half tag is left");
            let metadata = metadata_of(&tags[0]);
            assert_eq!(number(&metadata, "duration"), 1.0);
            assert_eq!(number(&metadata, "filesize"), whole as f64);
            assert_eq!(index_of(&metadata).1, [0.0, 1.0]);
        }
    }

    #[test]
    fn a_disk_that_fills_up_at_the_end_is_told_and_the_file_finished() {
        let disk = Disk::new(80_000);
        let mut file = FlvFile::create(disk.clone(), None).expect("room");
        file.write(8, 0, &[0xAF; 1000], false).expect("buffered");
        file.write(8, 500, &[0xAF; 60_000], false)
            .expect("buffered");
        let error = file.finish().expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let content = disk.bytes();
        assert_eq!(content[4], 4);
        let (tags, end) = whole_tags(&content);
        assert_eq!(tags.len(), 2);
        assert_eq!(number(&metadata_of(&tags[0]), "filesize"), end as f64);
    }

    #[test]
    fn no_room_for_the_head_is_an_error() {
        let disk = Disk::new(100);
        let error = FlvFile::create(disk.clone(), None).err().expect("no room");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(disk.bytes().is_empty(), "no half head is left");
    }

    #[test]
    fn a_payload_that_no_tag_can_hold_is_refused_alone() {
        let disk = Disk::new(usize::MAX);
        let mut file = FlvFile::create(disk.clone(), None).expect("room");
        let error = file
            .write(9, 0, &vec![0; 1 << 24], true)
            .expect_err("24 bits");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        file.write(9, 0, &[1], true).expect("room");
        assert_eq!(file.finish().expect("room").keyframes, 1);
    }

    #[test]
    fn a_long_recording_lists_every_other_key_frame_then_every_fourth() {
        for (count, step) in [(4000, 1), (4001, 2), (8000, 2), (8001, 4), (20_000, 8)] {
            let disk = Disk::new(usize::MAX);
            let mut file = FlvFile::create(disk.clone(), None).expect("room");
            for second in 0..count {
                file.write(9, second * 1000, &[0x17], true).expect("room");
            }
            let summary = file.finish().expect("room");
            assert_eq!(summary.keyframes, count as u64);
            let content = disk.bytes();
            let (tags, _) = whole_tags(&content);
            let (positions, times) = index_of(&metadata_of(&tags[0]));
            let listed: Vec<f64> = (0..count).step_by(step).map(|n| n as f64).collect();
            assert_eq!(times, listed, "{count}");
            let places = tags[1..].iter().step_by(step);
            let places: Vec<f64> = places.map(|t| t.position as f64).collect();
            assert_eq!(positions, places);
        }
    }

    #[test]
    fn key_frames_of_several_tracks_are_listed_once() {
        let disk = Disk::new(usize::MAX);
        let mut file = FlvFile::create(disk.clone(), None).expect("room");
        for timestamp in [0, 0, 1000, 1000, 990, 2000] {
            file.write(9, timestamp, &[0x17], true).expect("room");
        }
        assert_eq!(file.finish().expect("room").keyframes, 3);
        let (tags, _) = whole_tags(&disk.bytes());
        let metadata = metadata_of(&tags[0]);
        let (positions, times) = index_of(&metadata);
        assert_eq!(times, [0.0, 1.0, 2.0]);
        assert_eq!(positions, [1, 3, 6].map(|n: usize| tags[n].position as f64));
        assert_eq!(metadata.get("canSeekToEnd"), Some(&Value::Boolean(true)));
    }

    #[test]
    fn times_beyond_32_bits_wrap_in_the_tags_alone() {
        let disk = Disk::new(usize::MAX);
        let mut file = FlvFile::create(disk.clone(), None).expect("room");
        // 60 days, from where the stream's own clock has passed 49.7.
        let (start, days) = (0xFFFF_FFF0_i64, 60 * 86_400_000);
        for time in [start, start + 0x20, start + days] {
            file.write(8, time, &[0xAF], false).expect("room");
        }
        let summary = file.finish().expect("room");
        assert_eq!(summary.duration, Duration::from_secs(60 * 86_400));
        let (tags, _) = whole_tags(&disk.bytes());
        let times = [1, 2, 3].map(|n: usize| tags[n].timestamp);
        assert_eq!(times, [0, 0x20, days as u32]);
    }
}
