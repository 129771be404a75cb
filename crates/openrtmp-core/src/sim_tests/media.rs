//! Media with payloads that can be told apart, and what a player may make of it.

use bytes::Bytes;
use openrtmp_protocol::media::{
    AudioCodec, AudioPacketKind, FrameType, VideoCodec, VideoPacketKind, write_audio, write_video,
};
use openrtmp_protocol::session::MediaKind::{self, Audio, Data, Video};

/// A message, as sent or as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: MediaKind,
    pub(super) timestamp: u32,
    pub(super) payload: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Metadata,
    VideoHeader,
    AudioHeader,
    Key,
    Inter,
    Audio,
}

impl Piece {
    pub(super) fn new(kind: MediaKind, timestamp: u32, payload: Bytes) -> Piece {
        Piece {
            kind,
            timestamp,
            payload,
        }
    }

    /// By the legacy headers of FLV 10.1, annex E.4.2 and E.4.3.
    pub(super) fn class(&self) -> Class {
        match (self.kind, self.payload[0], self.payload[1]) {
            (Data, ..) => Class::Metadata,
            (Video, _, 0) => Class::VideoHeader,
            (Video, 0x17, _) => Class::Key,
            (Video, ..) => Class::Inter,
            (Audio, _, 0) => Class::AudioHeader,
            (Audio, ..) => Class::Audio,
        }
    }

    pub(super) fn is_frame(&self) -> bool {
        matches!(self.class(), Class::Key | Class::Inter | Class::Audio)
    }
}

/// `onMetaData` with a width.
pub(super) fn metadata(width: f64) -> Bytes {
    let mut bytes = b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x01\x00\x05width\x00".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(b"\x00\x00\x09");
    bytes.into()
}

/// An AVC sequence header; variants differ in their level.
pub(super) fn video_header(variant: u8) -> Bytes {
    let level = 30 + variant;
    let sps = [0x67, 0x42, 0xC0, level, 0xD9, 0x00, 0xA0, 0x47, 0xFE, 0xC8];
    let mut record = vec![1, 0x42, 0xC0, level, 0xFF, 0xE1, 0, sps.len() as u8];
    record.extend(sps);
    record.extend([1, 0, 4, 0x68, 0xCE, 0x3C, 0x80]);
    let kind = VideoPacketKind::SequenceStart;
    write_video(VideoCodec::Avc, 0, FrameType::Key, kind, 0, &record)
}

/// An AAC sequence header: AudioSpecificConfig of LC, 44.1 kHz, stereo.
pub(super) fn audio_header() -> Bytes {
    let kind = AudioPacketKind::SequenceStart;
    write_audio(AudioCodec::Aac, 0, kind, &[0x12, 0x10])
}

/// One NAL unit, an IDR or another slice, that names its frame.
pub(super) fn video(key: bool, number: u32, size: usize) -> Bytes {
    let frame_type = if key {
        FrameType::Key
    } else {
        FrameType::Inter
    };
    let mut nal = vec![if key { 0x65 } else { 0x41 }, 0x9A];
    nal.extend(number.to_be_bytes());
    nal.resize(size.max(8), number as u8 | 0x80);
    let mut body = (nal.len() as u32).to_be_bytes().to_vec();
    body.extend(nal);
    let kind = VideoPacketKind::Frame;
    write_video(VideoCodec::Avc, 0, frame_type, kind, 0, &body)
}

pub(super) fn audio(number: u32) -> Bytes {
    let mut body = number.to_be_bytes().to_vec();
    body.resize(60, 0x21);
    write_audio(AudioCodec::Aac, 0, AudioPacketKind::Frame, &body)
}

pub(super) fn frames(pieces: &[Piece]) -> Vec<&Piece> {
    pieces.iter().filter(|p| p.is_frame()).collect()
}

/// A player got, from a key frame on, every frame and every byte of it, at times
/// that differ by a constant. Returns which of the sent frames came first.
#[track_caller]
pub(super) fn assert_whole(got: &[Piece], sent: &[Piece]) -> usize {
    let (got, sent) = (frames(got), frames(sent));
    let first = got.first().expect("a player got no frame");
    assert_eq!(first.class(), Class::Key, "playback starts at a key frame");
    let start = sent.iter().position(|s| s.payload == first.payload);
    let start = start.expect("the first frame was never sent");
    let shift = first.timestamp.wrapping_sub(sent[start].timestamp);
    for (index, (got, sent)) in got.iter().zip(&sent[start..]).enumerate() {
        assert_eq!(got.payload, sent.payload, "frame {index} after the join");
        let expected = sent.timestamp.wrapping_add(shift);
        assert_eq!(got.timestamp, expected, "time of frame {index}");
    }
    assert_eq!(got.len(), sent.len() - start, "frames after the join");
    start
}

/// The pieces from the first key frame on.
pub(super) fn from_keyframe(pieces: &[Piece]) -> &[Piece] {
    let start = pieces.iter().position(|p| p.class() == Class::Key);
    &pieces[start.expect("a key frame")..]
}

/// What a player got is what was sent, in order, except video that was dropped
/// up to a key frame: after a missing video frame none follows before a key frame.
#[track_caller]
pub(super) fn assert_decodable(got: &[Piece], sent: &[Piece]) {
    let (got, sent) = (frames(got), frames(sent));
    let mut at = 0;
    let mut broken = true;
    let mut audio_began = false;
    for piece in got {
        loop {
            let expected = sent.get(at).expect("sent, and in the order it was sent");
            at += 1;
            if expected.payload == piece.payload && expected.kind == piece.kind {
                break;
            }
            match expected.class() {
                Class::Audio => assert!(!audio_began, "audio {} is missing", at - 1),
                _ => broken = true,
            }
        }
        match piece.class() {
            Class::Key => broken = false,
            Class::Inter => assert!(!broken, "frame {} cannot be decoded", at - 1),
            _ => audio_began = true,
        }
    }
}
