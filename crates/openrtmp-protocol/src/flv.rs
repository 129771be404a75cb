//! FLV files over byte slices (FLV 10.1, annex E): reading and writing tags.
//!
//! A file is [`write_header`], then for each tag [`write_tag_header`], its body
//! and [`tag_trailer`]. Positions follow from [`FILE_HEADER_LENGTH`] and
//! [`TAG_OVERHEAD`].

use crate::AmfLimits;
use crate::amf::{Decoder, Value};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of the file header with the first PreviousTagSize.
pub const FILE_HEADER_LENGTH: usize = SHORTEST_HEADER + TRAILER;
/// Bytes that a tag takes besides its body: header and trailer.
pub const TAG_OVERHEAD: usize = TAG_HEADER + TRAILER;
/// Largest body of a tag, in bytes: the same as that of an RTMP message.
pub const MAX_BODY_LENGTH: usize = 0xFF_FFFF;

/// Tag types are the message types 8, 9, 18 (and 15). Closed on purpose: the format has no more
/// in its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 8 audio, 9 video, 18 script data, 15 script data in AMF3.
    pub kind: u8,
    /// Milliseconds.
    pub timestamp: u32,
    /// The body.
    pub payload: Bytes,
}

/// Appends the file header and the first PreviousTagSize.
pub fn write_header(audio: bool, video: bool, output: &mut impl BufMut) {
    let flags = u8::from(audio) << 2 | u8::from(video);
    output.put_slice(&[b'F', b'L', b'V', 1, flags]);
    output.put_u32(SHORTEST_HEADER as u32);
    output.put_u32(0);
}

/// Appends a tag's 11 byte header. The body and [`tag_trailer`] follow.
///
/// # Panics
/// If `length` is above [`MAX_BODY_LENGTH`], which no RTMP message is.
pub fn write_tag_header(kind: u8, timestamp: u32, length: usize, output: &mut impl BufMut) {
    assert!(
        length <= MAX_BODY_LENGTH,
        "a tag's size has 24 bits, {length} needs more"
    );
    output.put_u8(kind);
    output.put_uint(length as u64, 3);
    output.put_uint(u64::from(timestamp & 0xFF_FFFF), 3);
    output.put_u8((timestamp >> 24) as u8);
    // StreamID, always 0.
    output.put_uint(0, 3);
}

/// PreviousTagSize after a body of `length` bytes.
pub fn tag_trailer(length: usize) -> [u8; 4] {
    ((TAG_HEADER + length) as u32).to_be_bytes()
}

/// Member of a recording's `onMetaData` that keeps room for its index.
pub const SPARE_MEMBER: &str = "spare";

/// Members of `onMetaData` that describe a file and not a stream.
const FILE_MEMBERS: [&str; 12] = [
    "duration",
    "filesize",
    "lasttimestamp",
    "hasKeyframes",
    "canSeekToEnd",
    "keyframes",
    SPARE_MEMBER,
    "datasize",
    "audiosize",
    "videosize",
    "lastkeyframetimestamp",
    "lastkeyframelocation",
];

/// True for a member of `onMetaData` that describes a file and not a stream.
pub(crate) fn is_of_file(member: &str) -> bool {
    FILE_MEMBERS.contains(&member)
}

/// The members of an `onMetaData` (AMF0, the name first) that describe the
/// stream. Those that describe the file it came from are left out: they are
/// wrong for a live stream and for any other file. Empty if it cannot be read.
pub fn stream_members(payload: &[u8]) -> Vec<(String, Value)> {
    let limits = AmfLimits::default();
    let mut decoder = Decoder::new(payload, &limits);
    if decoder.value().ok().as_ref().and_then(Value::as_str) != Some("onMetaData") {
        return Vec::new();
    }
    match decoder.value() {
        Ok(Value::Object(object) | Value::EcmaArray(object)) => {
            let mut members = object.members;
            members.retain(|(name, _)| !is_of_file(name));
            members
        }
        _ => Vec::new(),
    }
}

/// Reads an FLV file as its bytes come. It holds what was pushed and not yet
/// returned, and never more than one unfinished tag besides.
///
/// Steps over what writers of FLV leave behind: a file header where a tag would begin
/// (recordings that were appended to one another), and whole tags of types that are
/// reserved or encrypted (FLV 10.1, annex E.4.1). StreamID and PreviousTagSize tell such a
/// tag from damage.
#[derive(Debug)]
pub struct FlvReader {
    buffer: BytesMut,
    /// Where in the file the buffer starts.
    position: u64,
    /// The end of the last tag known to be whole, trailer included.
    whole: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    FileHeader,
    /// Fields of a longer file header that are stepped over.
    Skip(u32),
    Trailer,
    Tag,
    /// A tag of a type that is not read: its type, where it begins, its length.
    Unknown(u8, u64, usize),
}

impl FlvReader {
    /// A reader at the start of a file.
    pub fn new() -> FlvReader {
        FlvReader {
            buffer: BytesMut::new(),
            position: 0,
            whole: 0,
            state: State::FileHeader,
        }
    }

    /// Appends bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole tag, `None` if more bytes are needed. At the end of a file
    /// `None` means that it was read or that a crash cut off its tail.
    ///
    /// # Errors
    /// [`FlvError`] where the bytes are no FLV; every further call returns it
    /// again.
    pub fn next_tag(&mut self) -> Result<Option<Tag>, FlvError> {
        while self.step()? {
            if matches!(self.state, State::Tag)
                && let Some(tag) = self.read_tag()
            {
                return Ok(Some(tag));
            }
        }
        Ok(None)
    }

    /// Where the last whole tag ends, its PreviousTagSize included: a file cut
    /// off by a crash is good up to here, and tags may be appended here. 0 if
    /// not even the file header is whole.
    pub fn offset(&self) -> u64 {
        match self.state {
            State::Trailer if self.buffer.len() >= TRAILER => self.position + TRAILER as u64,
            _ => self.whole,
        }
    }

    /// Steps over what stands before the next tag. False if bytes are missing.
    fn step(&mut self) -> Result<bool, FlvError> {
        match self.state {
            State::FileHeader => {
                let seen = self.buffer.len().min(SIGNATURE.len());
                if self.buffer[..seen] != SIGNATURE[..seen] {
                    return Err(FlvError::Signature);
                }
                let Some(header) = self.buffer.first_chunk::<SHORTEST_HEADER>() else {
                    return Ok(false);
                };
                let [.., a, b, c, d] = *header;
                let size = u32::from_be_bytes([a, b, c, d]);
                let Some(skip) = size.checked_sub(SHORTEST_HEADER as u32) else {
                    return Err(FlvError::HeaderSize(size));
                };
                self.advance(SHORTEST_HEADER);
                self.state = State::Skip(skip);
            }
            State::Skip(0) => self.state = State::Trailer,
            State::Skip(left) => {
                let skipped = self.buffer.len().min(left as usize);
                if skipped == 0 {
                    return Ok(false);
                }
                self.advance(skipped);
                self.state = State::Skip(left - skipped as u32);
            }
            State::Trailer => {
                // Its value is not looked at: many writers get it wrong, and a
                // reader that goes forward does not need it.
                if self.buffer.len() < TRAILER {
                    return Ok(false);
                }
                self.advance(TRAILER);
                self.whole = self.position;
                self.state = State::Tag;
            }
            State::Tag => return self.begin_tag(),
            State::Unknown(kind, offset, length) => {
                let end = length + TRAILER;
                let Some(trailer) = self.buffer.get(length..end) else {
                    return Ok(false);
                };
                if trailer != (length as u32).to_be_bytes() {
                    return Err(FlvError::TagType { kind, offset });
                }
                self.advance(end);
                self.whole = self.position;
                self.state = State::Tag;
            }
        }
        Ok(true)
    }

    /// Looks at what begins where a tag may. False if bytes are missing.
    fn begin_tag(&mut self) -> Result<bool, FlvError> {
        let Some(&kind) = self.buffer.first() else {
            return Ok(false);
        };
        if TAG_TYPES.contains(&kind) {
            let length = self.tag_length();
            return Ok(length.is_some_and(|length| self.buffer.len() >= length));
        }
        let seen = self.buffer.len().min(SIGNATURE.len());
        if self.buffer[..seen] == SIGNATURE[..seen] {
            if seen == SIGNATURE.len() {
                self.state = State::FileHeader;
            }
            return Ok(seen == SIGNATURE.len());
        }
        let Some(length) = self.tag_length() else {
            return Ok(false);
        };
        let offset = self.position;
        // Always zero, and the sooner damage is told the less is read of it.
        if self.buffer[TAG_HEADER - STREAM_ID..TAG_HEADER] != [0; STREAM_ID] {
            return Err(FlvError::TagType { kind, offset });
        }
        self.state = State::Unknown(kind, offset, length);
        Ok(true)
    }

    /// Length of the tag that begins here, trailer excluded, once its header is there.
    fn tag_length(&self) -> Option<usize> {
        let [_, s0, s1, s2, ..] = *self.buffer.first_chunk::<TAG_HEADER>()?;
        Some(TAG_HEADER + u32::from_be_bytes([0, s0, s1, s2]) as usize)
    }

    /// The tag that begins here, if it is one and whole.
    fn read_tag(&mut self) -> Option<Tag> {
        let is_tag = self
            .buffer
            .first()
            .is_some_and(|kind| TAG_TYPES.contains(kind));
        let end = self
            .tag_length()
            .filter(|&end| is_tag && self.buffer.len() >= end)?;
        let [kind, _, _, _, t0, t1, t2, upper, ..] = *self.buffer.first_chunk::<TAG_HEADER>()?;
        self.advance(TAG_HEADER);
        let payload = self.buffer.split_to(end - TAG_HEADER).freeze();
        self.position += payload.len() as u64;
        self.state = State::Trailer;
        Some(Tag {
            kind,
            timestamp: u32::from_be_bytes([upper, t0, t1, t2]),
            payload,
        })
    }

    fn advance(&mut self, count: usize) {
        self.buffer.advance(count);
        self.position += count as u64;
    }
}

impl Default for FlvReader {
    fn default() -> FlvReader {
        FlvReader::new()
    }
}

/// Not an FLV file, or a broken one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlvError {
    /// The file does not start with `FLV`.
    #[error("not an FLV file: it does not start with \"FLV\"")]
    Signature,
    /// The file header says that it is shorter than its own fields.
    #[error("the file header claims {0} bytes, fewer than its own fields take")]
    HeaderSize(u32),
    /// Neither a tag nor a file header: the file is damaged here.
    #[error("damaged at byte {offset}: tag type {kind} does not exist")]
    TagType {
        /// The type.
        kind: u8,
        /// Where.
        offset: u64,
    },
}

const SIGNATURE: &[u8] = b"FLV";
/// Audio, video, script data in AMF3 and in AMF0; the upper bits of the byte are
/// zero unless the tag is encrypted.
const TAG_TYPES: [u8; 4] = [8, 9, 15, 18];
/// The file header without PreviousTagSize0.
const SHORTEST_HEADER: usize = 9;
const TAG_HEADER: usize = 11;
/// Bytes of StreamID, the last field of a tag's header.
const STREAM_ID: usize = 3;
const TRAILER: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::golden::{self, hex};

    const FILES: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/flv/files.txt"
    ));

    #[test]
    fn files_are_read_as_specified_however_their_bytes_come() {
        for case in golden::cases(FILES) {
            for step in [1, 3, usize::MAX] {
                let name = format!("{}, {step} bytes at a time", case.name);
                let (tags, error, offset) = read(&case.bytes, step);
                let tags: Vec<String> = tags
                    .iter()
                    .map(|tag| {
                        format!("{} {} {}", tag.kind, tag.timestamp, hex(&tag.payload))
                            .trim_end()
                            .to_owned()
                    })
                    .collect();
                assert_eq!(tags, case.values("tag"), "{name}");
                let error: Vec<String> = error.iter().map(|e| format!("{e:?}")).collect();
                assert_eq!(error, case.values("error"), "{name}");
                assert_eq!(case.values("good"), [offset.to_string()], "{name}");
            }
        }
    }

    #[test]
    fn a_file_is_written_as_specified() {
        for case in golden::cases(FILES).iter().take(2) {
            let (tags, ..) = read(&case.bytes, usize::MAX);
            let flags = case.bytes[4];
            let mut file = BytesMut::new();
            write_header(flags & 4 != 0, flags & 1 != 0, &mut file);
            assert_eq!(file.len(), FILE_HEADER_LENGTH);
            for tag in tags {
                let before = file.len();
                write_tag_header(tag.kind, tag.timestamp, tag.payload.len(), &mut file);
                file.extend_from_slice(&tag.payload);
                file.extend_from_slice(&tag_trailer(tag.payload.len()));
                assert_eq!(file.len() - before, tag.payload.len() + TAG_OVERHEAD);
            }
            assert_eq!(hex(&file), hex(&case.bytes), "{}", case.name);
        }
    }

    #[test]
    fn a_tag_that_claims_much_takes_no_memory_ahead_of_its_bytes() {
        let mut reader = FlvReader::new();
        let mut file = BytesMut::new();
        write_header(true, true, &mut file);
        write_tag_header(9, 0, MAX_BODY_LENGTH, &mut file);
        reader.push(&file);
        assert_eq!(reader.next_tag(), Ok(None));
        assert!(reader.buffer.capacity() < 1024);
    }

    #[test]
    fn a_header_that_claims_much_is_not_held_in_memory() {
        let mut reader = FlvReader::new();
        reader.push(&[b'F', b'L', b'V', 1, 5, 0xFF, 0xFF, 0xFF, 0xFF]);
        for _ in 0..1024 {
            reader.push(&[0; 1024]);
            assert_eq!(reader.next_tag(), Ok(None));
        }
        assert!(reader.buffer.capacity() < 64 * 1024);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut file = BytesMut::new();
            write_header(true, true, &mut file);
            file.extend_from_slice(&bytes);
            let (_, _, offset) = read(&file, 7);
            prop_assert!(offset as usize <= file.len());
        }

        #[test]
        fn what_is_written_reads_back_and_a_cut_loses_only_the_tail(
            tags in proptest::collection::vec(
                (
                    prop_oneof![Just(8u8), Just(9), Just(18)],
                    any::<u32>(),
                    proptest::collection::vec(any::<u8>(), 0..40),
                ),
                0..8,
            ),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut file = BytesMut::new();
            write_header(true, true, &mut file);
            let mut ends = vec![0, file.len()];
            let mut written = Vec::new();
            for (kind, timestamp, body) in tags {
                write_tag_header(kind, timestamp, body.len(), &mut file);
                file.extend_from_slice(&body);
                file.extend_from_slice(&tag_trailer(body.len()));
                ends.push(file.len());
                written.push(Tag { kind, timestamp, payload: body.into() });
            }
            prop_assert_eq!(read(&file, 5), (written.clone(), None, file.len() as u64));

            let cut = cut.index(file.len() + 1);
            let (tags, error, offset) = read(&file[..cut], 5);
            prop_assert_eq!(error, None);
            prop_assert_eq!(&tags[..], &written[..tags.len()]);
            prop_assert_eq!(
                Some(offset as usize),
                ends.into_iter().filter(|&end| end <= cut).max()
            );
        }
    }

    /// All tags, the error that ended reading, and how far the file is good.
    fn read(file: &[u8], step: usize) -> (Vec<Tag>, Option<FlvError>, u64) {
        let mut reader = FlvReader::new();
        let mut tags = Vec::new();
        for bytes in file.chunks(step) {
            reader.push(bytes);
            loop {
                match reader.next_tag() {
                    Ok(Some(tag)) => tags.push(tag),
                    Ok(None) => break,
                    Err(error) => return (tags, Some(error), reader.offset()),
                }
            }
        }
        (tags, None, reader.offset())
    }
}
