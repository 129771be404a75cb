//! What a codec's configuration record says: size, frame rate, channels,
//! sample rate; whether decoding can start at a frame, whatever its tag says; and the
//! forms in which decoders and encoders have both.

mod aac;
mod ac3;
mod annex_b;
mod av1;
mod avc;
mod bits;
mod decoder;
#[cfg(test)]
mod decoder_tests;
mod flac;
mod hevc;
mod mp3;
mod nal;
mod opus;
#[cfg(test)]
mod sps_tests;
#[cfg(test)]
mod tests;
mod vpx;
mod vvc;

pub use annex_b::{annex_b_units, from_annex_b, to_annex_b};
pub use bits::BitReader;
pub use decoder::{audio_decoder_parts, video_config_of_sets, video_decoder_parts};

use super::{AudioCodec, VideoCodec};

/// What is known of a video track.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct VideoFormat {
    /// Width in pixels, cropping applied.
    pub width: Option<u32>,
    /// Height in pixels, cropping applied.
    pub height: Option<u32>,
    /// Frames per second, if the configuration says (VUI timing).
    pub frame_rate: Option<f64>,
    /// Width and height of a pixel, if the configuration says: square if they are equal.
    /// Neither is 0.
    pub pixel_aspect: Option<(u16, u16)>,
    /// What the samples mean, if the configuration says.
    pub color: Option<Color>,
    /// RFC 6381 codec string, e.g. `avc1.64001f`.
    pub codec_string: Option<String>,
}

/// What samples mean, in the code points of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Color {
    /// ColourPrimaries: 1 is BT.709, 2 unspecified, 9 BT.2020.
    pub primaries: u8,
    /// TransferCharacteristics: 1 is BT.709, 2 unspecified, 16 PQ, 18 HLG.
    pub transfer: u8,
    /// MatrixCoefficients: 0 is RGB, 1 BT.709, 2 unspecified, 9 BT.2020.
    pub matrix: u8,
    /// Samples take the full range of their bits.
    pub full_range: bool,
}

impl Color {
    /// Whether a player that was told nothing would show these colors right: BT.709, or
    /// whatever the player takes for it, in the limited range.
    fn is_ordinary(&self) -> bool {
        const BT709: u8 = 1;
        const UNSPECIFIED: u8 = 2;
        let codes = [self.primaries, self.transfer, self.matrix];
        let is_ordinary = |code: &u8| matches!(*code, BT709 | UNSPECIFIED);
        !self.full_range && codes.iter().all(is_ordinary)
    }
}

/// What is known of an audio track.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AudioFormat {
    /// Samples per second (the output rate with SBR).
    pub sample_rate: Option<u32>,
    /// Channels.
    pub channels: Option<u32>,
    /// Samples of a channel in each frame, at `sample_rate`, where all frames have as many.
    pub frame_samples: Option<u32>,
    /// RFC 6381 codec string, e.g. `mp4a.40.2`.
    pub codec_string: Option<String>,
}

/// Reads a video sequence header (decoder configuration record). `None` if it
/// cannot be read; never an error, for streams pass through whatever they are.
///
/// VP8 and VP9 records tell no size, nor does an AV1 record without a sequence
/// header in it: there [`video_format_of_keyframe`] does.
pub fn video_format(codec: VideoCodec, config: &[u8]) -> Option<VideoFormat> {
    match codec {
        VideoCodec::Avc => avc::format(config),
        VideoCodec::Hevc => hevc::format(config),
        VideoCodec::Vvc => vvc::format(config),
        VideoCodec::Av1 => av1::format(config),
        VideoCodec::Vp8 => vpx::format("vp08", config),
        VideoCodec::Vp9 => vpx::format("vp09", config),
        VideoCodec::Legacy(_) | VideoCodec::Other(_) => None,
    }
}

/// Reads an audio sequence header. AC-3, E-AC-3 and MP3 have none: there
/// [`audio_format_of_frame`] tells.
pub fn audio_format(codec: AudioCodec, config: &[u8]) -> Option<AudioFormat> {
    match codec {
        AudioCodec::Aac => aac::format(config),
        AudioCodec::Opus => opus::format(config),
        AudioCodec::Flac => flac::format(config),
        _ => None,
    }
}

/// Whether the body of a sequence start can be the codec's configuration, by its
/// length: what is too short to be one must not take the place of one that is. VP8
/// and VP9 frames decode without, and their body may be empty.
pub fn is_video_config(codec: VideoCodec, body: &[u8]) -> bool {
    // Fixed fields of ISO/IEC 14496-15 sections 5.3.3.1 and 8.3.3.1 and of the AV1
    // binding to ISOBMFF, section 2.3.
    body.len()
        >= match codec {
            VideoCodec::Avc => 7,
            VideoCodec::Hevc => 23,
            VideoCodec::Av1 => 4,
            VideoCodec::Vp8 | VideoCodec::Vp9 => 0,
            VideoCodec::Vvc | VideoCodec::Legacy(_) | VideoCodec::Other(_) => 1,
        }
}

/// The same for audio. AC-3, E-AC-3 and MP3 have no configuration, and Opus does
/// without; an AudioSpecificConfig has two bytes at least (ISO/IEC 14496-3, 1.6.2.1).
pub fn is_audio_config(codec: AudioCodec, body: &[u8]) -> bool {
    body.len()
        >= match codec {
            AudioCodec::Aac => 2,
            AudioCodec::Opus | AudioCodec::Ac3 | AudioCodec::Eac3 | AudioCodec::Mp3 => 0,
            AudioCodec::Flac | AudioCodec::Legacy(_) | AudioCodec::Other(_) => 1,
        }
}

/// What a frame says of its format, for codecs without sequence header (AC-3,
/// E-AC-3, MP3).
pub fn audio_format_of_frame(codec: AudioCodec, frame: &[u8]) -> Option<AudioFormat> {
    match codec {
        AudioCodec::Ac3 | AudioCodec::Eac3 => ac3::format_of_frame(frame),
        AudioCodec::Mp3 => mp3::format_of_frame(frame),
        _ => None,
    }
}

/// The first byte of a legacy audio tag names rate and channels for codecs
/// without sequence header (MP3, G.711, Speex).
pub fn legacy_audio_format(first_byte: u8) -> AudioFormat {
    const RATES: [u32; 4] = [5_512, 11_025, 22_050, 44_100];
    let rate = RATES[usize::from(first_byte >> 2 & 3)];
    let channels = u32::from(first_byte & 1) + 1;
    // FLV 10.1, E.4.2.1: some formats have one rate whatever the bits say, and
    // for AAC the bits say nothing.
    let (sample_rate, channels) = match first_byte >> 4 {
        4 => (Some(16_000), Some(1)),
        5 => (Some(8_000), Some(1)),
        7 | 8 | 14 => (Some(8_000), Some(channels)),
        9 | 10 => (None, None),
        11 => (Some(16_000), Some(1)),
        _ => (Some(rate), Some(channels)),
    };
    AudioFormat {
        sample_rate,
        channels,
        frame_samples: None,
        codec_string: matches!(first_byte >> 4, 2 | 14).then(|| "mp3".to_owned()),
    }
}

/// What a frame is by its own bytes. Closed on purpose: whoever asks has to do something about
/// each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// A random access point: an IDR picture or a recovery point of H.264, an IRAP
    /// picture of H.265 and H.266, a shown key frame of AV1, a key frame of VP8 and VP9.
    Access,
    /// A picture that may need earlier ones. Those of a gradual refresh and I pictures
    /// without a recovery point are among them: their bytes do not tell.
    Inter,
    /// No picture: parameter sets, SEI messages, delimiters, nothing at all.
    Absent,
    /// The bytes cannot be read, or the codec is none of these.
    Unknown,
}

/// What the body of a coded frame is. `length_size` is that of the NAL units of H.264,
/// H.265 and H.266, 1 to 4 bytes: [`length_size`] of the configuration, or 4, which is
/// also tried if the units do not fit.
pub fn picture(codec: VideoCodec, frame: &[u8], length_size: usize) -> Picture {
    let by_size = |size| match codec {
        VideoCodec::Avc => avc::picture(frame, size),
        VideoCodec::Hevc => hevc::picture(frame, size),
        VideoCodec::Vvc => vvc::picture(frame, size),
        VideoCodec::Av1 => av1::picture(frame),
        VideoCodec::Vp8 => vpx::vp8_picture(frame),
        VideoCodec::Vp9 => vpx::vp9_picture(frame),
        VideoCodec::Legacy(_) | VideoCodec::Other(_) if frame.is_empty() => Picture::Absent,
        VideoCodec::Legacy(_) | VideoCodec::Other(_) => Picture::Unknown,
    };
    match by_size(length_size) {
        Picture::Unknown if length_size != LENGTH_SIZE => by_size(LENGTH_SIZE),
        picture => picture,
    }
}

/// Bytes of the length in front of a NAL unit that nearly every encoder writes.
pub const LENGTH_SIZE: usize = 4;

/// Bytes of the length in front of each NAL unit, by a configuration of H.264, H.265 or
/// H.266; `None` for other codecs and if it is too short to tell.
pub fn length_size(codec: VideoCodec, config: &[u8]) -> Option<usize> {
    match codec {
        VideoCodec::Avc => avc::length_size(config),
        VideoCodec::Hevc => hevc::length_size(config),
        VideoCodec::Vvc => vvc::length_size(config),
        _ => None,
    }
}

/// VP8, VP9 and AV1 key frames carry their size; used when no sequence header
/// does.
pub fn video_format_of_keyframe(codec: VideoCodec, frame: &[u8]) -> Option<VideoFormat> {
    match codec {
        VideoCodec::Vp8 => vpx::vp8_format_of_keyframe(frame),
        VideoCodec::Vp9 => vpx::vp9_format_of_keyframe(frame),
        VideoCodec::Av1 => av1::format_in_units(frame),
        _ => None,
    }
}
