use bytes::Bytes;

use super::{FourCc, MediaError, TrackPacket};

/// Audio codecs, legacy ids and FourCCs under one roof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AudioCodec {
    /// AAC (legacy id 10, `mp4a`).
    Aac,
    /// MP3 (legacy ids 2 and 14, `.mp3`).
    Mp3,
    /// Opus (`Opus`).
    Opus,
    /// FLAC (`fLaC`).
    Flac,
    /// AC-3 (`ac-3`).
    Ac3,
    /// E-AC-3 (`ec-3`).
    Eac3,
    /// Another legacy sound format of FLV (7/8 G.711, 11 Speex, ...).
    Legacy(u8),
    /// Another FourCC.
    Other(FourCc),
}

impl AudioCodec {
    /// The FourCC this project reports the codec by.
    pub fn fourcc(self) -> FourCc {
        todo!()
    }

    /// A name for people.
    pub fn name(self) -> &'static str {
        todo!()
    }
}

/// What the body of an audio packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioPacketKind {
    /// AudioSpecificConfig, Opus header, ...
    SequenceStart,
    /// A coded frame; empty means silence.
    Frame,
    /// End of sequence.
    SequenceEnd,
    /// Channel layout.
    MultichannelConfig,
}

/// An audio message's header, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioTag {
    /// True for Enhanced RTMP headers.
    pub enhanced: bool,
    /// Nanoseconds to add to the message's timestamp (ModEx), 0 to 999,999.
    pub nanos: u32,
}

impl AudioTag {
    /// Reads the header(s) of an audio message. An empty payload is silence: a tag
    /// without packets.
    pub fn parse(payload: &[u8]) -> Result<AudioTag, MediaError> {
        let _ = payload;
        todo!()
    }

    /// The packets in order.
    pub fn packets(&self) -> impl Iterator<Item = &TrackPacket<AudioCodec, AudioPacketKind>> {
        std::iter::empty()
    }
}

/// Writes an audio message for one packet: legacy AAC headers for
/// [`AudioCodec::Aac`] and legacy MP3 headers for [`AudioCodec::Mp3`] on track
/// 0, Enhanced RTMP headers for everything else.
pub fn write_audio(codec: AudioCodec, track: u8, kind: AudioPacketKind, body: &[u8]) -> Bytes {
    let _ = (codec, track, kind, body);
    todo!()
}
