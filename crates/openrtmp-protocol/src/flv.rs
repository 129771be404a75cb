//! FLV files over byte slices: reading, writing, repairing.

use bytes::{Bytes, BytesMut};

/// Tag types are the message types 8, 9, 18 (and 15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 8 audio, 9 video, 18 script data.
    pub kind: u8,
    /// Milliseconds.
    pub timestamp: u32,
    /// The body.
    pub payload: Bytes,
}

/// Appends the file header and the first PreviousTagSize.
pub fn write_header(audio: bool, video: bool, output: &mut BytesMut) {
    let flags = u8::from(audio) << 2 | u8::from(video);
    output.extend_from_slice(&[b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]);
}

/// Appends a tag's 11 byte header. The body and [`tag_trailer`] follow.
pub fn write_tag_header(kind: u8, timestamp: u32, length: usize, output: &mut BytesMut) {
    let [_, size @ ..] = (length as u32).to_be_bytes();
    let [upper, time @ ..] = timestamp.to_be_bytes();
    output.extend_from_slice(&[kind]);
    output.extend_from_slice(&size);
    output.extend_from_slice(&time);
    output.extend_from_slice(&[upper, 0, 0, 0]);
}

/// PreviousTagSize after a body of `length` bytes.
pub fn tag_trailer(length: usize) -> [u8; 4] {
    (11 + length as u32).to_be_bytes()
}

/// Reads an FLV file as its bytes come.
pub struct FlvReader {
    _private: (),
}

impl FlvReader {
    /// A reader at the start of a file.
    pub fn new() -> FlvReader {
        todo!()
    }

    /// Appends bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        let _ = bytes;
        todo!()
    }

    /// The next whole tag, `None` if more bytes are needed.
    pub fn next_tag(&mut self) -> Result<Option<Tag>, FlvError> {
        todo!()
    }

    /// Offset in the file of the first byte not yet returned as part of a whole
    /// tag: a file cut off by a crash is good up to here.
    pub fn offset(&self) -> u64 {
        todo!()
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
    /// A tag type that does not exist: the file is damaged here.
    #[error("tag type {kind} at byte {offset} does not exist")]
    TagType {
        /// The type.
        kind: u8,
        /// Where.
        offset: u64,
    },
}
