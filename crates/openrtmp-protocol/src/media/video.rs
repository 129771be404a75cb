use bytes::Bytes;

use super::{FourCc, MediaError, TrackPacket};

/// Video codecs, legacy ids and FourCCs under one roof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VideoCodec {
    /// H.264 (legacy id 7, `avc1`).
    Avc,
    /// H.265 (legacy id 12 by convention, `hvc1`).
    Hevc,
    /// H.266 (`vvc1`).
    Vvc,
    /// AV1 (`av01`).
    Av1,
    /// VP8 (`vp08`).
    Vp8,
    /// VP9 (`vp09`).
    Vp9,
    /// Another legacy codec id of FLV (2 H.263, 3 screen, 4 VP6, ...).
    Legacy(u8),
    /// Another FourCC.
    Other(FourCc),
}

impl VideoCodec {
    /// The FourCC this project reports the codec by (`avc1` also for legacy id 7);
    /// legacy codecs have codes of the field's habit, e.g. `H263`, `VP6F`.
    pub fn fourcc(self) -> FourCc {
        todo!()
    }

    /// A name for people: `H.264`, `HEVC`, `AV1`, ...
    pub fn name(self) -> &'static str {
        todo!()
    }
}

/// FLV frame type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameType {
    /// 1: a player can start here.
    Key,
    /// 2
    Inter,
    /// 3: no other frame refers to it.
    Disposable,
    /// 4
    GeneratedKey,
    /// 5: a command, not a frame.
    Command,
    /// Anything else, treated as inter.
    Reserved(u8),
}

/// What the body of a video packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoPacketKind {
    /// Decoder configuration record (AVC/HEVC/... sequence header).
    SequenceStart,
    /// A coded frame.
    Frame,
    /// End of sequence.
    SequenceEnd,
    /// AMF metadata (HDR colorInfo).
    Metadata,
    /// AV1 in MPEG-2 TS carriage: sequence start.
    Mpeg2TsSequenceStart,
    /// Frame type 5: one command byte.
    Command,
}

/// A video message's header, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoTag {
    /// Frame type of the message.
    pub frame_type: FrameType,
    /// True for Enhanced RTMP headers.
    pub enhanced: bool,
    /// Nanoseconds to add to the message's timestamp (ModEx), 0 to 999,999.
    pub nanos: u32,
    /// The packets, one per track. Usually one: read [`VideoTag::first`] then.
    pub packets: Packets,
}

/// Packets of a message: the first inline, further ones on the heap, so that
/// ordinary messages allocate nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packets {
    _private: (),
}

impl VideoTag {
    /// Reads the header(s) of a video message. An empty payload is Truncated.
    pub fn parse(payload: &[u8]) -> Result<VideoTag, MediaError> {
        let _ = payload;
        todo!()
    }

    /// The packets in order.
    pub fn packets(&self) -> impl Iterator<Item = &TrackPacket<VideoCodec, VideoPacketKind>> {
        std::iter::empty()
    }
}

/// Writes a video message for one packet: legacy AVC headers for
/// [`VideoCodec::Avc`] on track 0, Enhanced RTMP headers for everything else
/// (multitrack, one-track layout, if `track` is not 0).
pub fn write_video(
    codec: VideoCodec,
    track: u8,
    frame_type: FrameType,
    kind: VideoPacketKind,
    composition_time: i32,
    body: &[u8],
) -> Bytes {
    let _ = (codec, track, frame_type, kind, composition_time, body);
    todo!()
}
