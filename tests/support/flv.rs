//! The tags of an FLV file, read and written without the code under test.
//!
//! Adobe Flash Video File Format 10.1, annex E; Enhanced RTMP v2.

use std::fs;
use std::path::Path;

/// Script data: onMetaData and its like.
pub const SCRIPT: u8 = 18;
/// A video message.
pub const VIDEO: u8 = 9;
/// An audio message.
pub const AUDIO: u8 = 8;

/// One tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// [`SCRIPT`], [`VIDEO`] or [`AUDIO`].
    pub kind: u8,
    /// Milliseconds.
    pub time: u32,
    /// What RTMP carries as the message's payload.
    pub body: Vec<u8>,
}

impl Tag {
    /// True for a codec configuration, in the legacy or the Enhanced form.
    pub fn is_sequence_header(&self) -> bool {
        let [first, rest @ ..] = self.body.as_slice() else {
            return false;
        };
        let second = rest.first().copied();
        match self.kind {
            VIDEO if first & 0x80 != 0 => first & 0x0f == 0 || multitrack(first, 6, second, 0),
            VIDEO => matches!(first & 0x0f, 7 | 12) && second == Some(0),
            AUDIO if first >> 4 == 9 => first & 0x0f == 0 || multitrack(first, 5, second, 0),
            AUDIO => first >> 4 == 10 && second == Some(0),
            _ => false,
        }
    }

    /// True for a video message with a frame in it: no sequence header or end,
    /// metadata or command.
    pub fn is_video_frame(&self) -> bool {
        let [first, rest @ ..] = self.body.as_slice() else {
            return false;
        };
        let second = rest.first().copied();
        if self.kind != VIDEO || (first >> 4) & 7 == 5 {
            false
        } else if first & 0x80 != 0 {
            matches!(first & 0x0f, 1 | 3)
                || multitrack(first, 6, second, 1)
                || multitrack(first, 6, second, 3)
        } else {
            !matches!(first & 0x0f, 7 | 12) || second == Some(1)
        }
    }

    /// True for an audio message with sound in it: no sequence header or end, and
    /// no channel layout.
    pub fn is_audio_frame(&self) -> bool {
        let [first, rest @ ..] = self.body.as_slice() else {
            return false;
        };
        let second = rest.first().copied();
        if self.kind != AUDIO {
            false
        } else if first >> 4 == 9 {
            first & 0x0f == 1 || multitrack(first, 5, second, 1)
        } else {
            first >> 4 != 10 || second == Some(1)
        }
    }

    /// True for what Enhanced RTMP tells of frames that are decoded without it: colors
    /// (`VideoPacketType.Metadata`), channels (`AudioPacketType.MultichannelConfig`).
    pub fn is_hint(&self) -> bool {
        let first = self.body.first().copied().unwrap_or_default();
        let is_enhanced = match self.kind {
            VIDEO => first & 0x80 != 0,
            AUDIO => first >> 4 == 9,
            _ => false,
        };
        is_enhanced && first & 0x0f == 4
    }

    /// True for a video frame that can be decoded by itself.
    pub fn is_keyframe(&self) -> bool {
        self.is_video_frame() && (self.body[0] >> 4) & 7 == 1
    }

    /// The name a script tag begins with, for example `onMetaData`.
    pub fn script_name(&self) -> Option<&str> {
        // AMF0 string: marker 2, 16-bit length, text.
        let (&[2, high, low], text) = self.body.split_first_chunk::<3>()? else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        std::str::from_utf8(text.get(..length)?).ok()
    }
}

/// True for a multitrack message (Enhanced RTMP v2, packet type `multi`) whose
/// second byte names the packet type `wanted`.
fn multitrack(first: &u8, multi: u8, second: Option<u8>, wanted: u8) -> bool {
    first & 0x0f == multi && second.is_some_and(|byte| byte & 0x0f == wanted)
}

/// Reads all whole tags of a file; one that is cut off at the end is left out.
///
/// # Panics
/// If the file cannot be read or is not FLV.
pub fn read(path: &Path) -> Vec<Tag> {
    let name = path.display();
    tags(&fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// The same of the bytes of a file.
///
/// # Panics
/// If they are not FLV.
pub fn tags(bytes: &[u8]) -> Vec<Tag> {
    assert!(
        bytes.starts_with(b"FLV\x01"),
        "it does not begin like an FLV file"
    );
    // Header of 9 bytes, then the size of no previous tag: 4 bytes.
    let mut rest = bytes.get(13..).unwrap_or_default();
    let mut tags = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<11>() {
        let size = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        let size = usize::try_from(size).expect("24 bits fit");
        let (Some(body), Some(next)) = (after.get(..size), after.get(size + 4..)) else {
            break;
        };
        tags.push(Tag {
            kind: header[0] & 0x1f,
            time: u32::from_be_bytes([header[7], header[4], header[5], header[6]]),
            body: body.to_vec(),
        });
        rest = next;
    }
    tags
}

/// Writes a file with sound and picture.
///
/// # Panics
/// If the file cannot be written or a tag is too large.
pub fn write(path: &Path, tags: &[Tag]) {
    let mut bytes = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00".to_vec();
    for tag in tags {
        let size = u32::try_from(tag.body.len()).expect("a tag is smaller than 4 GiB");
        assert!(size < 1 << 24, "a tag of {size} bytes does not fit");
        let time = tag.time.to_be_bytes();
        bytes.push(tag.kind);
        bytes.extend(&size.to_be_bytes()[1..]);
        bytes.extend([time[1], time[2], time[3], time[0], 0, 0, 0]);
        bytes.extend(&tag.body);
        bytes.extend((size + 11).to_be_bytes());
    }
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(kind: u8, body: &[u8]) -> Tag {
        Tag {
            kind,
            time: 0,
            body: body.to_vec(),
        }
    }

    #[test]
    fn written_tags_read_back_and_a_cut_one_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.flv");
        let mut tags = vec![tag(SCRIPT, b"\x02\x00\x02hi"), tag(VIDEO, &[7; 300])];
        tags[1].time = 0x0102_0304;
        write(&path, &tags);
        assert_eq!(read(&path), tags);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        assert_eq!(read(&path), tags[..1]);
    }

    #[test]
    fn messages_are_told_apart() {
        let avc_config = tag(VIDEO, &[0x17, 0, 0, 0, 0]);
        assert!(avc_config.is_sequence_header() && !avc_config.is_video_frame());
        assert!(tag(VIDEO, &[0x17, 1]).is_keyframe());
        assert!(!tag(VIDEO, &[0x27, 1]).is_keyframe());
        assert!(tag(VIDEO, &[0x27, 1]).is_video_frame());
        assert!(!tag(VIDEO, &[0x17, 2]).is_video_frame());
        assert!(tag(VIDEO, b"\x90hvc1").is_sequence_header());
        assert!(tag(VIDEO, b"\x91hvc1").is_keyframe());
        assert!(tag(VIDEO, b"\xa3av01").is_video_frame());
        assert!(!tag(VIDEO, b"\xa3av01").is_keyframe());
        assert!(tag(AUDIO, &[0xaf, 0, 0x12]).is_sequence_header());
        assert!(!tag(AUDIO, &[0xaf, 1, 0x12]).is_sequence_header());
        assert!(tag(AUDIO, &[0xaf, 1, 0x12]).is_audio_frame());
        assert!(!tag(AUDIO, &[0xaf, 0, 0x12]).is_audio_frame());
        assert!(tag(AUDIO, b"\x90Opus").is_sequence_header());
        assert!(tag(AUDIO, b"\x91Opus").is_audio_frame());
        assert!(!tag(AUDIO, b"\x94Opus\x01\x01").is_audio_frame());
        assert!(tag(AUDIO, b"\x95\x00mp4a\x01").is_sequence_header());
        assert!(!tag(AUDIO, b"\x95\x01mp4a\x01").is_sequence_header());
        assert_eq!(tag(SCRIPT, b"\x02\x00\x02hi\x08").script_name(), Some("hi"));
        assert_eq!(tag(SCRIPT, b"\x02\x00\x09hi").script_name(), None);
    }
}
