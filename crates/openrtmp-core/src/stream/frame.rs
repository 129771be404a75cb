//! A stream's messages as frames: one of each track that a message holds.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use openrtmp_protocol::media::codec::{self, Picture};
use openrtmp_protocol::media::{
    AudioPacketKind, AudioTag, FourCc, VideoCodec, VideoPacketKind, VideoTag,
};
use openrtmp_protocol::session::MediaKind;

use super::class::Class;
use super::packet::SharedPacket;
use super::tap_queue::TapStream;

/// One frame of one track.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Frame {
    /// The stream.
    pub stream: Arc<TapStream>,
    /// Audio, video or data.
    pub kind: MediaKind,
    /// Track id; 0 is the default track.
    pub track: u8,
    /// Codec; `None` for data and for what cannot be read.
    pub codec: Option<FourCc>,
    /// What the payload is.
    pub content: FrameContent,
    /// Decoding time in microseconds on the stream's clock, which does not wrap as
    /// RTMP's does after 49.7 days.
    pub dts_micros: i64,
    /// Presentation time in microseconds: decoding time plus composition time.
    pub pts_micros: i64,
    /// The codec's bytes, by reference: a configuration record, a frame (AVC and
    /// HEVC: NAL units with length prefixes), or AMF0 values for data.
    pub payload: Bytes,
    /// Frames of the stream that this tap lost so far because it was too slow, those of
    /// a gap that goes on included.
    pub dropped: u64,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameContent {
    /// Decoder configuration (sequence header).
    Header,
    /// A frame that decoding can start at, for players as for taps; every audio frame
    /// is one.
    Key,
    /// A frame that needs earlier ones.
    Inter,
    /// onMetaData, other data messages, HDR metadata, channel layouts.
    Metadata,
    /// The end of a sequence.
    End,
    /// Something else: a command to players (start and end of a seek), silence without
    /// a codec, or a message that cannot be read; then the payload is all of it.
    Other,
}

/// Appends the frames of a message, one at least. Which of them are key frames the
/// stream has decided, for all who get them.
pub(crate) fn split(
    stream: &Arc<TapStream>,
    packet: &SharedPacket,
    time: i64,
    dropped: u64,
    frames: &mut VecDeque<Frame>,
) {
    let dts = time * 1000;
    let whole = Frame {
        stream: stream.clone(),
        kind: packet.kind,
        track: packet.track,
        codec: None,
        content: FrameContent::Other,
        dts_micros: dts,
        pts_micros: dts,
        payload: packet.message.payload_slice(0..packet.len()),
        dropped,
    };
    let before = frames.len();
    match packet.kind {
        MediaKind::Data => frames.push_back(Frame {
            content: FrameContent::Metadata,
            ..whole.clone()
        }),
        MediaKind::Video => {
            let Ok(tag) = VideoTag::parse(packet.payload()) else {
                return frames.push_back(whole);
            };
            let base = dts + i64::from(tag.nanos) / 1000;
            let is_alone = tag.packets().nth(1).is_none();
            for part in tag.packets() {
                let payload = packet.message.payload_slice(part.body.clone());
                let content = match part.kind {
                    VideoPacketKind::SequenceStart | VideoPacketKind::Mpeg2TsSequenceStart => {
                        FrameContent::Header
                    }
                    VideoPacketKind::Metadata => FrameContent::Metadata,
                    VideoPacketKind::SequenceEnd => FrameContent::End,
                    VideoPacketKind::Command => FrameContent::Other,
                    VideoPacketKind::Frame if is_alone => content_of(packet),
                    VideoPacketKind::Frame => {
                        let leads = part.track == packet.track;
                        picture(packet.class, leads, part.codec, &payload)
                    }
                };
                frames.push_back(Frame {
                    track: part.track,
                    codec: (part.kind != VideoPacketKind::Command).then(|| part.codec.fourcc()),
                    content,
                    pts_micros: base + i64::from(part.composition_time) * 1000,
                    payload,
                    ..whole.clone()
                });
            }
        }
        MediaKind::Audio => {
            let Ok(tag) = AudioTag::parse(packet.payload()) else {
                return frames.push_back(whole);
            };
            for part in tag.packets() {
                frames.push_back(Frame {
                    track: part.track,
                    codec: Some(part.codec.fourcc()),
                    content: match part.kind {
                        AudioPacketKind::SequenceStart => FrameContent::Header,
                        AudioPacketKind::MultichannelConfig => FrameContent::Metadata,
                        AudioPacketKind::SequenceEnd => FrameContent::End,
                        AudioPacketKind::Frame => FrameContent::Key,
                    },
                    pts_micros: dts + i64::from(tag.nanos) / 1000,
                    payload: packet.message.payload_slice(part.body.clone()),
                    ..whole.clone()
                });
            }
        }
    }
    if frames.len() == before {
        frames.push_back(whole);
    }
}

/// What a message with several tracks is, is said of the one it goes by. Of the others
/// each picture's own bytes tell, or nothing does.
fn picture(class: Class, leads: bool, codec: VideoCodec, picture: &[u8]) -> FrameContent {
    let is_key = match codec::picture(codec, picture, codec::LENGTH_SIZE) {
        _ if leads => class == Class::Key,
        Picture::Access => true,
        Picture::Unknown => class == Class::Key,
        Picture::Inter | Picture::Absent => false,
    };
    match is_key {
        true => FrameContent::Key,
        false => FrameContent::Inter,
    }
}

/// What a whole message is.
pub(crate) fn content_of(packet: &SharedPacket) -> FrameContent {
    match packet.class {
        Class::Key | Class::Audio => FrameContent::Key,
        Class::Inter | Class::Prelude => FrameContent::Inter,
        Class::Metadata | Class::Data => FrameContent::Metadata,
        Class::Header => FrameContent::Header,
    }
}
