use bytes::Bytes;

use super::enhanced::{self, Body};
use super::{Cursor, FourCc, MediaError, MediaHeader, Packets, TrackPacket};

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
    /// The codec of a legacy codec id, 0 to 15.
    pub fn from_legacy_id(id: u8) -> VideoCodec {
        match id {
            LEGACY_AVC => VideoCodec::Avc,
            LEGACY_HEVC => VideoCodec::Hevc,
            id => VideoCodec::Legacy(id),
        }
    }

    /// The legacy codec id, `None` for codecs that have only a FourCC.
    pub fn legacy_id(self) -> Option<u8> {
        match self {
            VideoCodec::Avc => Some(LEGACY_AVC),
            VideoCodec::Hevc => Some(LEGACY_HEVC),
            VideoCodec::Legacy(id) => Some(id),
            _ => None,
        }
    }

    /// The FourCC this project reports the codec by (`avc1` also for legacy id 7);
    /// legacy codecs have codes of the field's habit, e.g. `H263`, `VP6F`.
    pub fn fourcc(self) -> FourCc {
        FourCc(match self {
            VideoCodec::Avc => *b"avc1",
            VideoCodec::Hevc => *b"hvc1",
            VideoCodec::Vvc => *b"vvc1",
            VideoCodec::Av1 => *b"av01",
            VideoCodec::Vp8 => *b"vp08",
            VideoCodec::Vp9 => *b"vp09",
            VideoCodec::Legacy(2) => *b"H263",
            VideoCodec::Legacy(3) => *b"FSV1",
            VideoCodec::Legacy(4) => *b"VP6F",
            VideoCodec::Legacy(5) => *b"VP6A",
            VideoCodec::Legacy(6) => *b"FSV2",
            VideoCodec::Legacy(id) => [b'F', b'V', b'0' + id / 10 % 10, b'0' + id % 10],
            VideoCodec::Other(fourcc) => return fourcc,
        })
    }

    /// A name for people: `H.264`, `HEVC`, `AV1`, ...
    pub fn name(self) -> &'static str {
        match self {
            VideoCodec::Avc => "H.264",
            VideoCodec::Hevc => "HEVC",
            VideoCodec::Vvc => "VVC",
            VideoCodec::Av1 => "AV1",
            VideoCodec::Vp8 => "VP8",
            VideoCodec::Vp9 => "VP9",
            VideoCodec::Legacy(2) => "Sorenson H.263",
            VideoCodec::Legacy(3) => "Screen Video",
            VideoCodec::Legacy(4) => "VP6",
            VideoCodec::Legacy(5) => "VP6 with alpha",
            VideoCodec::Legacy(6) => "Screen Video 2",
            VideoCodec::Legacy(_) | VideoCodec::Other(_) => "unknown",
        }
    }

    /// Whether CodedFrames of this codec start with a composition time
    /// (Enhanced RTMP v2, ExVideoTagBody).
    fn has_composition_time(self) -> bool {
        matches!(self, VideoCodec::Avc | VideoCodec::Hevc | VideoCodec::Vvc)
    }
}

impl From<FourCc> for VideoCodec {
    fn from(fourcc: FourCc) -> VideoCodec {
        match &fourcc.0 {
            b"avc1" => VideoCodec::Avc,
            b"hvc1" => VideoCodec::Hevc,
            b"vvc1" => VideoCodec::Vvc,
            b"av01" => VideoCodec::Av1,
            b"vp08" => VideoCodec::Vp8,
            b"vp09" => VideoCodec::Vp9,
            _ => VideoCodec::Other(fourcc),
        }
    }
}

/// FLV frame type. Closed on purpose: the wire has no other.
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

impl FrameType {
    fn from_bits(bits: u8) -> FrameType {
        match bits {
            1 => FrameType::Key,
            2 => FrameType::Inter,
            3 => FrameType::Disposable,
            4 => FrameType::GeneratedKey,
            5 => FrameType::Command,
            reserved => FrameType::Reserved(reserved),
        }
    }

    fn bits(self) -> u8 {
        match self {
            FrameType::Key => 1,
            FrameType::Inter => 2,
            FrameType::Disposable => 3,
            FrameType::GeneratedKey => 4,
            FrameType::Command => 5,
            FrameType::Reserved(bits) => bits & 7,
        }
    }
}

/// What the body of a video packet is. Closed on purpose: whoever gets one has to do something
/// about each.
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
    /// Frame type 5: one command byte (0 start of seek, 1 end of seek). With an
    /// enhanced header no codec is named, and [`TrackPacket::codec`] is
    /// [`VideoCodec::Other`] of four zero bytes.
    Command,
}

/// A video message's header, read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VideoTag {
    /// Frame type of the message. Without meaning in a
    /// [`VideoPacketKind::Metadata`] message.
    pub frame_type: FrameType,
    /// True for Enhanced RTMP headers.
    pub enhanced: bool,
    /// Nanoseconds to add to the message's timestamp (ModEx), 0 to 999,999.
    pub nanos: u32,
    pub(super) packets: Packets<VideoCodec, VideoPacketKind>,
}

impl VideoTag {
    /// Reads the header(s) of a video message.
    ///
    /// # Errors
    /// A [`MediaError`] if a header is cut off (as in an empty payload) or names
    /// a packet type or layout that is not known. An unknown FourCC is no error.
    pub fn parse(payload: &[u8]) -> Result<VideoTag, MediaError> {
        let mut cursor = Cursor::new(payload);
        let first = cursor.u8()?;
        let enhanced = first & IS_EX_HEADER != 0;
        let frame_type = FrameType::from_bits(first >> 4 & 7);
        let (nanos, packets) = if enhanced {
            parse_enhanced(cursor, frame_type, first & 0x0F)?
        } else {
            let codec = VideoCodec::from_legacy_id(first & 0x0F);
            (0, Packets::one(parse_legacy(cursor, frame_type, codec)?))
        };
        Ok(VideoTag {
            frame_type,
            enhanced,
            nanos,
            packets,
        })
    }

    /// The first packet: the only one unless the message is multitrack.
    pub fn first(&self) -> &TrackPacket<VideoCodec, VideoPacketKind> {
        &self.packets.first
    }

    /// The packets in order, at least one.
    pub fn packets(&self) -> impl Iterator<Item = &TrackPacket<VideoCodec, VideoPacketKind>> {
        self.packets.iter()
    }
}

/// Writes a video message for one packet: legacy headers for
/// [`VideoCodec::Avc`] and [`VideoCodec::Legacy`] on track 0, Enhanced RTMP
/// headers for everything else (multitrack, one-track layout, if `track` is not
/// 0) and for what legacy headers cannot say.
///
/// `composition_time` is in milliseconds, brought into the 24 bits of the wire,
/// and written only with frames of codecs that have one. The body of a
/// [`VideoPacketKind::Command`] is its one command byte.
pub fn write_video(
    codec: VideoCodec,
    track: u8,
    frame_type: FrameType,
    kind: VideoPacketKind,
    composition_time: i32,
    body: &[u8],
) -> Bytes {
    video_header(codec, track, frame_type, kind, composition_time).followed_by(body)
}

/// What [`write_video`] writes in front of the body.
pub fn video_header(
    codec: VideoCodec,
    track: u8,
    frame_type: FrameType,
    kind: VideoPacketKind,
    composition_time: i32,
) -> MediaHeader {
    let mut out = MediaHeader::default();
    let frame_type = match kind {
        VideoPacketKind::Command => FrameType::Command,
        _ => frame_type,
    };
    let frame_bits = frame_type.bits() << 4;
    let composition_time = composition_time.clamp(-0x80_0000, 0x7F_FFFF);
    match (codec, kind) {
        (VideoCodec::Avc, _) if track == 0 && legacy_packet_type(kind).is_some() => {
            out.push(frame_bits | LEGACY_AVC);
            out.extend(legacy_packet_type(kind));
            let time = match kind {
                VideoPacketKind::Frame => composition_time,
                _ => 0,
            };
            out.extend(time.to_be_bytes().into_iter().skip(1));
        }
        (VideoCodec::Legacy(id), VideoPacketKind::Frame | VideoPacketKind::Command)
            if track == 0 =>
        {
            out.push(frame_bits | id & 0x0F);
        }
        (_, VideoPacketKind::Command) => out.push(IS_EX_HEADER | frame_bits | SEQUENCE_START),
        _ => {
            let timed = kind == VideoPacketKind::Frame && codec.has_composition_time();
            let packet_type = match kind {
                VideoPacketKind::SequenceStart | VideoPacketKind::Command => SEQUENCE_START,
                VideoPacketKind::Frame if timed && composition_time == 0 => CODED_FRAMES_X,
                VideoPacketKind::Frame => CODED_FRAMES,
                VideoPacketKind::SequenceEnd => SEQUENCE_END,
                VideoPacketKind::Metadata => METADATA,
                VideoPacketKind::Mpeg2TsSequenceStart => MPEG2TS_SEQUENCE_START,
            };
            out.extend(enhanced::header(
                IS_EX_HEADER | frame_bits,
                MULTITRACK,
                packet_type,
                codec.fourcc(),
                track,
            ));
            if packet_type == CODED_FRAMES && timed {
                out.extend(composition_time.to_be_bytes().into_iter().skip(1));
            }
        }
    }
    out
}

/// Bit 7 of byte 0.
const IS_EX_HEADER: u8 = 0x80;
const LEGACY_AVC: u8 = 7;
/// Not in any specification; what Asian encoders and CDNs agreed on.
const LEGACY_HEVC: u8 = 12;

// VideoPacketType.
const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;
const SEQUENCE_END: u8 = 2;
const CODED_FRAMES_X: u8 = 3;
const METADATA: u8 = 4;
const MPEG2TS_SEQUENCE_START: u8 = 5;
const MULTITRACK: u8 = 6;

/// AVCPacketType (FLV 10.1, E.4.3.1).
fn legacy_packet_type(kind: VideoPacketKind) -> Option<u8> {
    match kind {
        VideoPacketKind::SequenceStart => Some(0),
        VideoPacketKind::Frame => Some(1),
        VideoPacketKind::SequenceEnd => Some(2),
        _ => None,
    }
}

fn parse_legacy(
    mut cursor: Cursor<'_>,
    frame_type: FrameType,
    codec: VideoCodec,
) -> Result<TrackPacket<VideoCodec, VideoPacketKind>, MediaError> {
    let mut composition_time = 0;
    if frame_type == FrameType::Command {
        return read_command(cursor, codec);
    }
    let kind = if codec.has_composition_time() {
        let kind = match cursor.u8()? {
            0 => VideoPacketKind::SequenceStart,
            1 => VideoPacketKind::Frame,
            2 => VideoPacketKind::SequenceEnd,
            unknown => return Err(MediaError::PacketType(unknown)),
        };
        match kind {
            VideoPacketKind::Frame => composition_time = cursor.si24()?,
            // Some writers end the message right after the packet type.
            VideoPacketKind::SequenceEnd => {
                cursor.take(cursor.left().min(3))?;
            }
            _ => {
                cursor.take(3)?;
            }
        }
        kind
    } else {
        VideoPacketKind::Frame
    };
    Ok(TrackPacket {
        track: 0,
        codec,
        kind,
        composition_time,
        body: cursor.rest(),
    })
}

/// One byte, whatever comes behind it.
fn read_command(
    mut cursor: Cursor<'_>,
    codec: VideoCodec,
) -> Result<TrackPacket<VideoCodec, VideoPacketKind>, MediaError> {
    let at = cursor.at;
    cursor.u8()?;
    Ok(TrackPacket {
        track: 0,
        codec,
        kind: VideoPacketKind::Command,
        composition_time: 0,
        body: at..cursor.at,
    })
}

fn parse_enhanced(
    mut cursor: Cursor<'_>,
    frame_type: FrameType,
    packet_type: u8,
) -> Result<(u32, Packets<VideoCodec, VideoPacketKind>), MediaError> {
    let (packet_type, nanos) = enhanced::read_mod_ex(&mut cursor, packet_type)?;
    let packets = if frame_type == FrameType::Command && packet_type != METADATA {
        Packets::one(read_command(cursor, VideoCodec::Other(FourCc([0; 4])))?)
    } else if packet_type == MULTITRACK {
        enhanced::read_multitrack(cursor, read_body)?
    } else {
        enhanced::read_single(cursor, packet_type, read_body)?
    };
    Ok((nanos, packets))
}

fn read_body(
    fourcc: FourCc,
    packet_type: u8,
    cursor: &mut Cursor<'_>,
) -> Result<Body<VideoCodec, VideoPacketKind>, MediaError> {
    let codec = VideoCodec::from(fourcc);
    let mut composition_time = 0;
    let kind = match packet_type {
        SEQUENCE_START => VideoPacketKind::SequenceStart,
        CODED_FRAMES => {
            if codec.has_composition_time() {
                composition_time = cursor.si24()?;
            }
            VideoPacketKind::Frame
        }
        SEQUENCE_END => VideoPacketKind::SequenceEnd,
        CODED_FRAMES_X => VideoPacketKind::Frame,
        METADATA => VideoPacketKind::Metadata,
        MPEG2TS_SEQUENCE_START => VideoPacketKind::Mpeg2TsSequenceStart,
        unknown => return Err(MediaError::PacketType(unknown)),
    };
    Ok(Body {
        codec,
        kind,
        composition_time,
        range: cursor.rest(),
    })
}
