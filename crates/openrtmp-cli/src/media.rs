//! Which message is a picture or sound, and which only describes them.

use openrtmp_core::client::MediaKind;
use openrtmp_protocol::media::{AudioPacketKind, AudioTag, VideoPacketKind, VideoTag};
use openrtmp_protocol::message::kind;

/// True for coded frames, whose timestamps are the stream's clock; false for
/// sequence headers, metadata and data, whose timestamps often are not. What
/// cannot be read counts as a frame.
pub(crate) fn is_frame(kind: MediaKind, payload: &[u8]) -> bool {
    match kind {
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

/// True for `onMetaData`.
pub(crate) fn is_metadata(kind: MediaKind, payload: &[u8]) -> bool {
    // AMF0: a string of ten bytes.
    kind == MediaKind::Data && payload.starts_with(b"\x02\x00\x0AonMetaData")
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
