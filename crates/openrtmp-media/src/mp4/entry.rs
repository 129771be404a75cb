//! Sample entries: what a decoder is told of a track before its first sample.

use openrtmp_protocol::media::codec::{
    AudioFormat, VideoFormat, audio_format, audio_format_of_frame, video_format,
    video_format_of_keyframe,
};
use openrtmp_protocol::media::{AudioCodec, VideoCodec};

use super::boxes::{put, put_full, put_u16, put_u32, put_zeros};
use crate::clock::opus_samples;
use crate::{codecs, dolby};

/// What the samples of a track are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Video or audio.
    pub media: Media,
    /// RFC 6381 codec string.
    pub codec_string: String,
    /// How numbers of a picture become light, by its code point (ITU-T H.273, table 3), if
    /// the stream tells.
    pub transfer: Option<u8>,
    /// The sample entry box.
    pub(super) entry: Vec<u8>,
    frame: FrameLength,
}

/// How many samples an audio frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameLength {
    Unknown,
    /// All as many.
    Fixed(u32),
    /// An Opus packet tells.
    OfOpus,
}

/// What kind of track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Pictures.
    Video {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
        /// Width and height of a pixel.
        pixel_aspect: (u16, u16),
    },
    /// Sound.
    Audio {
        /// Samples per second.
        sample_rate: u32,
        /// Channels.
        channels: u16,
    },
}

impl Description {
    /// A video track. `config` is the sequence header as Enhanced RTMP has it, `key_frame`
    /// the first frame, or nothing if there is none yet: VP9, VP8 and some AV1 headers do
    /// not tell the size.
    ///
    /// `None` if MP4 has no place for the codec or the header cannot be read.
    pub fn video(codec: VideoCodec, config: &[u8], key_frame: &[u8]) -> Option<Description> {
        let mut format = video_format(codec, config)?;
        let of_frame = video_format_of_keyframe(codec, key_frame).unwrap_or_default();
        format.width = format.width.or(of_frame.width);
        format.height = format.height.or(of_frame.height);
        format.color = format.color.or(of_frame.color);
        let (name, configuration) = video_configuration(codec, config)?;
        let width = u16::try_from(format.width?).ok()?;
        let height = u16::try_from(format.height?).ok()?;
        let mut entry = Vec::new();
        put(&mut entry, name, |out| {
            // Reserved, data_reference_index, reserved.
            put_zeros(out, 6);
            put_u16(out, 1);
            put_zeros(out, 16);
            put_u16(out, width);
            put_u16(out, height);
            // 72 dots per inch, in 16.16.
            put_u32(out, 0x48_0000);
            put_u32(out, 0x48_0000);
            put_u32(out, 0);
            // frame_count, no compressor's name, colors without alpha.
            put_u16(out, 1);
            put_zeros(out, 32);
            put_u16(out, 0x18);
            put_u16(out, 0xFFFF);
            out.extend(&configuration);
            put_picture_boxes(out, &format);
        });
        Some(Description {
            media: Media::Video {
                width,
                height,
                pixel_aspect: format.pixel_aspect.unwrap_or((1, 1)),
            },
            codec_string: codecs::video_string(codec, config, key_frame)?,
            transfer: format.color.map(|color| color.transfer),
            entry,
            frame: FrameLength::Unknown,
        })
    }

    /// An audio track. `config` is the sequence header as Enhanced RTMP has it, `frame` the
    /// first frame, or nothing if there is none yet: of AC-3, E-AC-3 and MP3 it is all
    /// that tells.
    ///
    /// `None` if MP4 has no place for the codec, or what is needed cannot be read.
    pub fn audio(codec: AudioCodec, config: &[u8], frame: &[u8]) -> Option<Description> {
        let of_config = audio_format(codec, config);
        let format = of_config.or_else(|| audio_format_of_frame(codec, frame))?;
        let AudioFormat {
            sample_rate: Some(sample_rate),
            channels,
            frame_samples,
            ..
        } = format
        else {
            return None;
        };
        // Who says nothing else of Opus means two (RFC 7845, 5.1.1), and AAC without a
        // channel configuration is told by its frames.
        let channels = u16::try_from(channels.unwrap_or(2)).ok()?;
        let (name, configuration) = audio_configuration(codec, config, frame, channels)?;
        let mut entry = Vec::new();
        put(&mut entry, name, |out| {
            put_zeros(out, 6);
            put_u16(out, 1);
            put_zeros(out, 8);
            put_u16(out, channels);
            put_u16(out, sample_bits(codec, config));
            put_u32(out, 0);
            put_u32(out, rate_in_entry(sample_rate) << 16);
            out.extend(&configuration);
        });
        Some(Description {
            media: Media::Audio {
                sample_rate,
                channels,
            },
            codec_string: codecs::audio_string(codec, config, frame)?,
            transfer: None,
            entry,
            frame: match (codec, frame_samples) {
                (AudioCodec::Opus, _) => FrameLength::OfOpus,
                (_, Some(samples)) => FrameLength::Fixed(samples),
                (_, None) => FrameLength::Unknown,
            },
        })
    }

    /// Samples in an audio frame at the track's rate, if it is known: what its length is in
    /// ticks of [`timescale`](Description::timescale).
    pub fn samples_of_frame(&self, frame: &[u8]) -> Option<u32> {
        match self.frame {
            FrameLength::Unknown => None,
            FrameLength::Fixed(samples) => Some(samples),
            FrameLength::OfOpus => opus_samples(frame),
        }
    }

    /// Ticks per second that suit the track: times of RTMP fit video's without rounding, and
    /// audio is counted in samples.
    pub fn timescale(&self) -> u32 {
        match self.media {
            Media::Video { .. } => 90_000,
            Media::Audio { sample_rate, .. } => sample_rate,
        }
    }
}

/// VPCodecConfigurationRecord without data for initialization.
const VP_RECORD: usize = 8;

/// The sample entry's name and the box that holds the decoder configuration.
fn video_configuration(codec: VideoCodec, config: &[u8]) -> Option<(&'static [u8; 4], Vec<u8>)> {
    let mut out = Vec::new();
    let name = match codec {
        VideoCodec::Avc => {
            put(&mut out, b"avcC", |out| out.extend(config));
            b"avc1"
        }
        VideoCodec::Hevc => {
            put(&mut out, b"hvcC", |out| out.extend(complete_arrays(config)));
            b"hvc1"
        }
        VideoCodec::Av1 => {
            put(&mut out, b"av1C", |out| out.extend(config));
            b"av01"
        }
        VideoCodec::Vp8 | VideoCodec::Vp9 => {
            // FFmpeg sends version and flags of the box too.
            let record = match config {
                [1, 0, 0, 0, record @ ..] if record.len() >= VP_RECORD => record,
                record => record,
            };
            put_full(&mut out, b"vpcC", 1, 0, |out| out.extend(record));
            match codec {
                VideoCodec::Vp8 => b"vp08",
                _ => b"vp09",
            }
        }
        _ => return None,
    };
    Some((name, out))
}

/// An HEVCDecoderConfigurationRecord whose arrays of parameter sets are marked complete, as
/// `hvc1` demands (ISO/IEC 14496-15, 8.4.1.1): decoders need not look for sets in samples.
fn complete_arrays(config: &[u8]) -> Vec<u8> {
    const ARRAYS: usize = 23;
    const COMPLETE: u8 = 0x80;
    /// VPS, SPS and PPS.
    const PARAMETER_SETS: [u8; 3] = [32, 33, 34];
    let mut config = config.to_vec();
    let mut at = ARRAYS;
    while let Some(&[kind, high, low]) = config.get(at..).and_then(|rest| rest.first_chunk()) {
        if PARAMETER_SETS.contains(&(kind & 0x3F)) {
            config[at] |= COMPLETE;
        }
        at += 3;
        for _ in 0..u16::from_be_bytes([high, low]) {
            let Some(&length) = config.get(at..).and_then(|rest| rest.first_chunk()) else {
                return config;
            };
            at += 2 + usize::from(u16::from_be_bytes(length));
        }
    }
    config
}

/// Colors and the shape of pixels, where the configuration says.
fn put_picture_boxes(out: &mut Vec<u8>, format: &VideoFormat) {
    if let Some(color) = format.color {
        put(out, b"colr", |out| {
            out.extend(b"nclx");
            for code in [color.primaries, color.transfer, color.matrix] {
                put_u16(out, u16::from(code));
            }
            out.push(u8::from(color.full_range) << 7);
        });
    }
    if let Some((width, height)) = format.pixel_aspect {
        put(out, b"pasp", |out| {
            put_u32(out, u32::from(width));
            put_u32(out, u32::from(height));
        });
    }
}

fn audio_configuration(
    codec: AudioCodec,
    config: &[u8],
    frame: &[u8],
    channels: u16,
) -> Option<(&'static [u8; 4], Vec<u8>)> {
    let mut out = Vec::new();
    let name = match codec {
        AudioCodec::Aac => {
            put_esds(&mut out, OBJECT_MPEG4_AUDIO, config);
            b"mp4a"
        }
        AudioCodec::Mp3 => {
            // ID, of MPEG-1 and not of the lower sampling frequencies.
            let is_mpeg1 = frame.get(1)? & 0x18 == 0x18;
            let object = if is_mpeg1 {
                OBJECT_MPEG1_AUDIO
            } else {
                OBJECT_MPEG2_AUDIO
            };
            put_esds(&mut out, object, &[]);
            b"mp4a"
        }
        AudioCodec::Opus => {
            put(&mut out, b"dOps", |out| put_opus(out, config, channels));
            b"Opus"
        }
        AudioCodec::Flac => {
            let info = flac_stream_info(config)?;
            put_full(&mut out, b"dfLa", 0, 0, |out| {
                // The last metadata block, STREAMINFO, 34 bytes.
                out.extend([0x80, 0, 0, info.len() as u8]);
                out.extend(info);
            });
            b"fLaC"
        }
        AudioCodec::Ac3 => {
            let record = dolby::ac3_record(frame)?;
            put(&mut out, b"dac3", |out| out.extend(record));
            b"ac-3"
        }
        AudioCodec::Eac3 => {
            let record = dolby::eac3_record(frame)?;
            put(&mut out, b"dec3", |out| out.extend(record));
            b"ec-3"
        }
        _ => return None,
    };
    Some((name, out))
}

// objectTypeIndication (ISO/IEC 14496-1, table 5).
const OBJECT_MPEG4_AUDIO: u8 = 0x40;
const OBJECT_MPEG2_AUDIO: u8 = 0x69;
const OBJECT_MPEG1_AUDIO: u8 = 0x6B;

/// ES descriptor (ISO/IEC 14496-1, 7.2.6.5; ISO/IEC 14496-14, 3.1.2).
fn put_esds(out: &mut Vec<u8>, object: u8, config: &[u8]) {
    const STREAM: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;
    const SYNC_LAYER: u8 = 6;
    const AUDIO_STREAM: u8 = 5;
    let mut specific = Vec::new();
    if !config.is_empty() {
        put_descriptor(&mut specific, DECODER_SPECIFIC, config);
    }
    // Buffer size and bit rates are not known before the last frame: 0 says so.
    let mut decoder = vec![object, AUDIO_STREAM << 2 | 1];
    put_zeros(&mut decoder, 3 + 4 + 4);
    decoder.extend(specific);
    // ES_ID 0, as the file format prescribes, and no flags.
    let mut stream = vec![0; 3];
    put_descriptor(&mut stream, DECODER_CONFIG, &decoder);
    // predefined: for use in MP4 files.
    put_descriptor(&mut stream, SYNC_LAYER, &[2]);
    put_full(out, b"esds", 0, 0, |out| {
        put_descriptor(out, STREAM, &stream)
    });
}

/// A tag, its length in four groups of seven bits, its content.
fn put_descriptor(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    for shift in [21, 14, 7, 0] {
        let more = if shift > 0 { 0x80 } else { 0 };
        out.push((content.len() >> shift) as u8 & 0x7F | more);
    }
    out.extend(content);
}

/// OpusSpecificBox ("Encapsulation of Opus in ISO BMFF", 4.3.2): the identification header
/// with its numbers turned round.
fn put_opus(out: &mut Vec<u8>, config: &[u8], channels: u16) {
    const MAGIC: &[u8] = b"OpusHead";
    const RATE: u32 = 48_000;
    // Version 0 of the box.
    out.push(0);
    let fields = config
        .strip_prefix(MAGIC)
        .and_then(|head| head.split_first_chunk());
    let Some((&[_version, count, s0, s1, r0, r1, r2, r3, g0, g1, family], table)) = fields else {
        // Without a header: no pre-skip, no gain, mono or stereo.
        out.push(channels as u8);
        put_u16(out, 0);
        put_u32(out, RATE);
        put_zeros(out, 2 + 1);
        return;
    };
    out.push(count);
    put_u16(out, u16::from_le_bytes([s0, s1]));
    put_u32(out, u32::from_le_bytes([r0, r1, r2, r3]));
    put_u16(out, u16::from_le_bytes([g0, g1]));
    // Streams, coupled streams and a place for each channel, unless the family needs none.
    let length = 2 + usize::from(count);
    match table.get(..length) {
        Some(table) if family != 0 => {
            out.push(family);
            out.extend(table);
        }
        _ => out.push(0),
    }
}

/// The block STREAMINFO, with or without the signature and the block's header.
fn flac_stream_info(config: &[u8]) -> Option<&[u8]> {
    const LENGTH: usize = 34;
    let config = config.strip_prefix(b"fLaC").unwrap_or(config);
    match config.len() {
        LENGTH => Some(config),
        _ => config.get(4..4 + LENGTH),
    }
}

/// Bits of a sample before coding: those of FLAC count (13.7 of its header), for the others
/// it is 16 (ISO/IEC 14496-12, 12.2.3.2).
fn sample_bits(codec: AudioCodec, config: &[u8]) -> u16 {
    match (codec, flac_stream_info(config)) {
        // Bits per sample less one stand in bits 103 to 107 (RFC 9639, 8.2).
        (AudioCodec::Flac, Some(info)) => u16::from((info[12] & 1) << 4 | info[13] >> 4) + 1,
        _ => 16,
    }
}

/// The field has 16 bits: of a higher rate the largest even part ("Encapsulation of FLAC in
/// ISOBMFF", 3.3.1). The timescale has the whole.
fn rate_in_entry(mut rate: u32) -> u32 {
    while rate > u32::from(u16::MAX) {
        rate /= 2;
    }
    rate
}
