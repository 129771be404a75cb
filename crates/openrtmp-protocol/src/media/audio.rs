use bytes::Bytes;

use super::enhanced::{self, Body};
use super::{Cursor, FourCc, MediaError, MediaHeader, Packets, TrackPacket};

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
    /// The codec of a legacy sound format, 0 to 15 without 9.
    pub fn from_legacy_id(id: u8) -> AudioCodec {
        match id {
            LEGACY_MP3 | LEGACY_MP3_8K => AudioCodec::Mp3,
            LEGACY_AAC => AudioCodec::Aac,
            id => AudioCodec::Legacy(id),
        }
    }

    /// The legacy sound format, `None` for codecs that have only a FourCC.
    pub fn legacy_id(self) -> Option<u8> {
        match self {
            AudioCodec::Mp3 => Some(LEGACY_MP3),
            AudioCodec::Aac => Some(LEGACY_AAC),
            AudioCodec::Legacy(id) => Some(id),
            _ => None,
        }
    }

    /// The FourCC this project reports the codec by (`mp4a` also for legacy id
    /// 10); legacy codecs have codes of the field's habit, e.g. `alaw`, `spex`.
    pub fn fourcc(self) -> FourCc {
        FourCc(match self {
            AudioCodec::Aac => *b"mp4a",
            AudioCodec::Mp3 => *b".mp3",
            AudioCodec::Opus => *b"Opus",
            AudioCodec::Flac => *b"fLaC",
            AudioCodec::Ac3 => *b"ac-3",
            AudioCodec::Eac3 => *b"ec-3",
            AudioCodec::Legacy(0 | 3) => *b"lpcm",
            AudioCodec::Legacy(1) => *b"SWFA",
            AudioCodec::Legacy(4..=6) => *b"NELL",
            AudioCodec::Legacy(7) => *b"alaw",
            AudioCodec::Legacy(8) => *b"ulaw",
            AudioCodec::Legacy(11) => *b"spex",
            AudioCodec::Legacy(id) => [b'F', b'A', b'0' + id / 10 % 10, b'0' + id % 10],
            AudioCodec::Other(fourcc) => return fourcc,
        })
    }

    /// A name for people: `AAC`, `Opus`, ...
    pub fn name(self) -> &'static str {
        match self {
            AudioCodec::Aac => "AAC",
            AudioCodec::Mp3 => "MP3",
            AudioCodec::Opus => "Opus",
            AudioCodec::Flac => "FLAC",
            AudioCodec::Ac3 => "AC-3",
            AudioCodec::Eac3 => "E-AC-3",
            AudioCodec::Legacy(0 | 3) => "PCM",
            AudioCodec::Legacy(1) => "ADPCM",
            AudioCodec::Legacy(4..=6) => "Nellymoser",
            AudioCodec::Legacy(7) => "G.711 A-law",
            AudioCodec::Legacy(8) => "G.711 mu-law",
            AudioCodec::Legacy(11) => "Speex",
            AudioCodec::Legacy(_) | AudioCodec::Other(_) => "unknown",
        }
    }
}

impl From<FourCc> for AudioCodec {
    fn from(fourcc: FourCc) -> AudioCodec {
        match &fourcc.0 {
            b"mp4a" => AudioCodec::Aac,
            b".mp3" => AudioCodec::Mp3,
            b"Opus" => AudioCodec::Opus,
            b"fLaC" => AudioCodec::Flac,
            b"ac-3" => AudioCodec::Ac3,
            b"ec-3" => AudioCodec::Eac3,
            _ => AudioCodec::Other(fourcc),
        }
    }
}

/// What the body of an audio packet is. Closed on purpose: whoever gets one has to do something
/// about each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioPacketKind {
    /// AudioSpecificConfig, Opus header, ...
    SequenceStart,
    /// A coded frame; empty means silence.
    Frame,
    /// End of sequence.
    SequenceEnd,
    /// Channel layout, read by [`MultichannelConfig::parse`].
    ///
    /// [`MultichannelConfig::parse`]: super::MultichannelConfig::parse
    MultichannelConfig,
}

/// An audio message's header, read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioTag {
    /// True for Enhanced RTMP headers.
    pub enhanced: bool,
    /// Nanoseconds to add to the message's timestamp (ModEx), 0 to 999,999.
    pub nanos: u32,
    pub(super) packets: Option<Packets<AudioCodec, AudioPacketKind>>,
}

impl AudioTag {
    /// Reads the header(s) of an audio message. An empty payload is silence: a tag
    /// without packets.
    ///
    /// # Errors
    /// A [`MediaError`] if a header is cut off or names a packet type or layout
    /// that is not known. An unknown FourCC is no error.
    pub fn parse(payload: &[u8]) -> Result<AudioTag, MediaError> {
        let mut cursor = Cursor::new(payload);
        if payload.is_empty() {
            return Ok(AudioTag {
                enhanced: false,
                nanos: 0,
                packets: None,
            });
        }
        let first = cursor.u8()?;
        let enhanced = first >> 4 == EX_HEADER;
        let (nanos, packets) = if enhanced {
            parse_enhanced(cursor, first & 0x0F)?
        } else {
            let codec = AudioCodec::from_legacy_id(first >> 4);
            (0, Packets::one(parse_legacy(cursor, codec)?))
        };
        Ok(AudioTag {
            enhanced,
            nanos,
            packets: Some(packets),
        })
    }

    /// The first packet: the only one unless the message is multitrack. `None`
    /// if the message is silence.
    pub fn first(&self) -> Option<&TrackPacket<AudioCodec, AudioPacketKind>> {
        self.packets.as_ref().map(|packets| &packets.first)
    }

    /// The packets in order.
    pub fn packets(&self) -> impl Iterator<Item = &TrackPacket<AudioCodec, AudioPacketKind>> {
        self.packets.iter().flat_map(Packets::iter)
    }
}

/// Writes an audio message for one packet: legacy headers for
/// [`AudioCodec::Aac`], [`AudioCodec::Mp3`] and [`AudioCodec::Legacy`] on track
/// 0, Enhanced RTMP headers for everything else (multitrack, one-track layout,
/// if `track` is not 0) and for what legacy headers cannot say.
///
/// Legacy headers state 44.1 kHz, 16 bit, stereo: what FLV prescribes for AAC,
/// and what decoders of the other formats find better in the frames themselves.
pub fn write_audio(codec: AudioCodec, track: u8, kind: AudioPacketKind, body: &[u8]) -> Bytes {
    audio_header(codec, track, kind).followed_by(body)
}

/// What [`write_audio`] writes in front of the body.
pub fn audio_header(codec: AudioCodec, track: u8, kind: AudioPacketKind) -> MediaHeader {
    let mut out = MediaHeader::default();
    match (codec, kind, track) {
        (AudioCodec::Aac, AudioPacketKind::SequenceStart, 0) => {
            out.extend([LEGACY_AAC << 4 | LEGACY_44K_16BIT_STEREO, 0]);
        }
        (AudioCodec::Aac, AudioPacketKind::Frame, 0) => {
            out.extend([LEGACY_AAC << 4 | LEGACY_44K_16BIT_STEREO, 1]);
        }
        (AudioCodec::Mp3, AudioPacketKind::Frame, 0) => {
            out.push(LEGACY_MP3 << 4 | LEGACY_44K_16BIT_STEREO);
        }
        (AudioCodec::Legacy(id), AudioPacketKind::Frame, 0) => {
            out.push(id << 4 | LEGACY_44K_16BIT_STEREO);
        }
        _ => out.extend(enhanced::header(
            EX_HEADER << 4,
            MULTITRACK,
            match kind {
                AudioPacketKind::SequenceStart => SEQUENCE_START,
                AudioPacketKind::Frame => CODED_FRAMES,
                AudioPacketKind::SequenceEnd => SEQUENCE_END,
                AudioPacketKind::MultichannelConfig => MULTICHANNEL_CONFIG,
            },
            codec.fourcc(),
            track,
        )),
    }
    out
}

// SoundFormat.
const LEGACY_MP3: u8 = 2;
const EX_HEADER: u8 = 9;
const LEGACY_AAC: u8 = 10;
const LEGACY_MP3_8K: u8 = 14;
/// SoundRate 3, SoundSize 1, SoundType 1 (FLV 10.1, E.4.2.1).
const LEGACY_44K_16BIT_STEREO: u8 = 0x0F;

// AudioPacketType.
const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;
const SEQUENCE_END: u8 = 2;
const MULTICHANNEL_CONFIG: u8 = 4;
const MULTITRACK: u8 = 5;

fn parse_legacy(
    mut cursor: Cursor<'_>,
    codec: AudioCodec,
) -> Result<TrackPacket<AudioCodec, AudioPacketKind>, MediaError> {
    let kind = if codec == AudioCodec::Aac {
        match cursor.u8()? {
            0 => AudioPacketKind::SequenceStart,
            1 => AudioPacketKind::Frame,
            unknown => return Err(MediaError::PacketType(unknown)),
        }
    } else {
        AudioPacketKind::Frame
    };
    Ok(TrackPacket {
        track: 0,
        codec,
        kind,
        composition_time: 0,
        body: cursor.rest(),
    })
}

fn parse_enhanced(
    mut cursor: Cursor<'_>,
    packet_type: u8,
) -> Result<(u32, Packets<AudioCodec, AudioPacketKind>), MediaError> {
    let (packet_type, nanos) = enhanced::read_mod_ex(&mut cursor, packet_type)?;
    let packets = if packet_type == MULTITRACK {
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
) -> Result<Body<AudioCodec, AudioPacketKind>, MediaError> {
    let kind = match packet_type {
        SEQUENCE_START => AudioPacketKind::SequenceStart,
        CODED_FRAMES => AudioPacketKind::Frame,
        SEQUENCE_END => AudioPacketKind::SequenceEnd,
        MULTICHANNEL_CONFIG => AudioPacketKind::MultichannelConfig,
        unknown => return Err(MediaError::PacketType(unknown)),
    };
    Ok(Body {
        codec: AudioCodec::from(fourcc),
        kind,
        composition_time: 0,
        range: cursor.rest(),
    })
}
