//! What a codec's configuration record says: size, frame rate, channels,
//! sample rate; and whether a frame is a key frame when the tag does not tell.

use super::{AudioCodec, VideoCodec};

/// What is known of a video track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoFormat {
    /// Width in pixels, cropping applied.
    pub width: Option<u32>,
    /// Height in pixels, cropping applied.
    pub height: Option<u32>,
    /// Frames per second, if the configuration says (VUI timing).
    pub frame_rate: Option<f64>,
    /// RFC 6381 codec string, e.g. `avc1.64001f`.
    pub codec_string: Option<String>,
}

/// What is known of an audio track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudioFormat {
    /// Samples per second (the output rate with SBR).
    pub sample_rate: Option<u32>,
    /// Channels.
    pub channels: Option<u32>,
    /// RFC 6381 codec string, e.g. `mp4a.40.2`.
    pub codec_string: Option<String>,
}

/// Reads a video sequence header (decoder configuration record). `None` if it
/// cannot be read; never an error, for streams pass through whatever they are.
pub fn video_format(codec: VideoCodec, config: &[u8]) -> Option<VideoFormat> {
    let _ = (codec, config);
    None
}

/// Reads an audio sequence header.
pub fn audio_format(codec: AudioCodec, config: &[u8]) -> Option<AudioFormat> {
    let _ = (codec, config);
    None
}

/// The first byte of a legacy audio tag names rate and channels for codecs
/// without sequence header (MP3, G.711, Speex).
pub fn legacy_audio_format(first_byte: u8) -> AudioFormat {
    let _ = first_byte;
    AudioFormat::default()
}

/// Whether a frame's own bytes make it a random access point (IDR, IRAP, AV1
/// key frame with sequence header, ...); `None` if the bytes do not tell.
pub fn is_keyframe(codec: VideoCodec, frame: &[u8]) -> Option<bool> {
    let _ = (codec, frame);
    None
}

/// VP8 and VP9 key frames carry their size; used when no sequence header does.
pub fn video_format_of_keyframe(codec: VideoCodec, frame: &[u8]) -> Option<VideoFormat> {
    let _ = (codec, frame);
    None
}
