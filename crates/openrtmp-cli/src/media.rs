//! Which message is a picture or sound, and which only describes them.

use bytes::Bytes;
use openrtmp_core::client::MediaKind;
use openrtmp_protocol::amf::{Encoder, Encoding, Object, Value};
use openrtmp_protocol::flv;
use openrtmp_protocol::media::{AudioPacketKind, AudioTag, FrameType, VideoPacketKind, VideoTag};
use openrtmp_protocol::message::kind;

/// True for coded frames, whose timestamps are the stream's clock; false for
/// sequence headers, metadata and data, whose timestamps often are not. What
/// cannot be read counts as a frame, unless there is nothing in it.
pub(crate) fn is_frame(kind: MediaKind, payload: &[u8]) -> bool {
    match kind {
        _ if payload.len() <= HEADER_BYTES => false,
        MediaKind::Audio => AudioTag::parse(payload).map_or(true, |tag| {
            let mut packets = tag.packets().peekable();
            packets.peek().is_none() || packets.any(|p| p.kind == AudioPacketKind::Frame)
        }),
        MediaKind::Video => VideoTag::parse(payload).map_or(true, |tag| {
            tag.packets().any(|p| p.kind == VideoPacketKind::Frame)
        }),
        MediaKind::Data => false,
    }
}

/// Whether a video message holds a key frame.
pub(crate) fn is_key_frame(payload: &[u8]) -> bool {
    VideoTag::parse(payload).is_ok_and(|tag| tag.frame_type == FrameType::Key)
}

/// An audio or video message of no more has no room for a picture or sound behind its
/// first byte.
const HEADER_BYTES: usize = 1;

/// True for `onMetaData`.
pub(crate) fn is_metadata(kind: MediaKind, payload: &[u8]) -> bool {
    // AMF0: a string of ten bytes.
    kind == MediaKind::Data && payload.starts_with(b"\x02\x00\x0AonMetaData")
}

/// A file's `onMetaData` as a live stream has it: without what describes the file.
pub(crate) fn live_metadata(payload: &[u8]) -> Bytes {
    let mut object = Object::new();
    object.members = flv::stream_members(payload);
    let mut encoder = Encoder::new(Encoding::Amf0);
    encoder.value(&Value::from("onMetaData"));
    encoder.value(&Value::EcmaArray(object));
    encoder.finish().into()
}

/// The FLV tag type of a message.
pub(crate) fn tag_type(media: MediaKind) -> u8 {
    match media {
        MediaKind::Audio => kind::AUDIO,
        MediaKind::Video => kind::VIDEO,
        MediaKind::Data => kind::DATA_AMF0,
    }
}

/// The message that carries an FLV tag; `None` for AMF3 script data, which
/// hardly any file holds and RTMP frames differently.
pub(crate) fn message_kind(tag_type: u8) -> Option<MediaKind> {
    match tag_type {
        kind::AUDIO => Some(MediaKind::Audio),
        kind::VIDEO => Some(MediaKind::Video),
        kind::DATA_AMF0 => Some(MediaKind::Data),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_what_holds_pictures_and_sound() {
        let frame = [0x17, 1, 0, 0, 0, 0x65];
        assert!(is_frame(MediaKind::Video, &frame));
        assert!(is_frame(MediaKind::Audio, &[0xAF, 1, 0x21]));
        for (kind, payload) in [
            (MediaKind::Video, &[0x17, 0, 0, 0, 0, 1][..]),
            (MediaKind::Audio, &[0xAF, 0, 0x12, 0x10]),
            (MediaKind::Audio, &[]),
            (MediaKind::Video, &[0x27]),
            (MediaKind::Data, b"\x02\x00\x01a"),
        ] {
            assert!(!is_frame(kind, payload), "{payload:?}");
        }
    }

    #[test]
    fn a_live_stream_has_no_duration_and_no_index() {
        let mut encoder = Encoder::new(Encoding::Amf0);
        encoder.value(&Value::from("onMetaData"));
        let object = Object::new()
            .with("duration", 60.0)
            .with("width", 640.0)
            .with("keyframes", Object::new());
        encoder.value(&Value::EcmaArray(object));
        let live = live_metadata(&encoder.finish());
        assert!(is_metadata(MediaKind::Data, &live));
        let members = flv::stream_members(&live);
        assert_eq!(members, [("width".to_owned(), Value::Number(640.0))]);
        let text = String::from_utf8_lossy(&live);
        assert!(!text.contains("duration") && !text.contains("keyframes"));
    }
}
