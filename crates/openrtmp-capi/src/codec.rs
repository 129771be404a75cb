//! Frames and configurations in the forms of decoders and encoders.

use std::ffi::c_char;

use openrtmp_core::protocol::media::codec::{
    self, audio_decoder_parts, video_config_of_sets, video_decoder_parts,
};
use openrtmp_core::protocol::media::{AudioCodec, FourCc, VideoCodec};

use crate::boundary;
use crate::convert::{Versioned, bytes, check_buffer, copy_bytes_out, copy_out, fill, fillable};
use crate::error::Failure;
use crate::tap::{OPENRTMP_MEDIA_AUDIO, OPENRTMP_MEDIA_VIDEO};

/// Bytes of the longest frame, and of the longest configuration, that is taken.
const MOST: usize = (16 << 20) - 1;

/// What a decoder configuration says. What it does not say is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpMediaFormat {
    /// sizeof(openrtmp_media_format).
    pub struct_size: u32,
    /// Bytes of the length before each NAL unit of a frame: 1, 2 or 4; 0 for codecs without.
    pub length_size: u32,
    /// Pixels, cropping applied.
    pub width: u32,
    /// The same.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: f64,
    /// Samples per second, as they are heard.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u32,
}

// SAFETY: numbers without padding.
unsafe impl Versioned for OpenrtmpMediaFormat {
    const FIRST: usize = size_of::<OpenrtmpMediaFormat>();
}

/// Of which media a configuration is.
enum Codec {
    Video(VideoCodec),
    Audio(AudioCodec),
}

impl Codec {
    fn of(kind: u32, fourcc: u32) -> Result<Codec, Failure> {
        let fourcc = FourCc::from_u32(fourcc);
        match kind {
            OPENRTMP_MEDIA_VIDEO => Ok(Codec::Video(VideoCodec::from(fourcc))),
            OPENRTMP_MEDIA_AUDIO => Ok(Codec::Audio(AudioCodec::from(fourcc))),
            other => Err(Failure::argument(format!("kind {other} has no decoder"))),
        }
    }
}

fn unreadable() -> Failure {
    Failure::argument("this is no configuration of that codec")
}

/// Writes a frame of H.264, H.265 or H.266 with start codes (Annex B), as many decoders take
/// them, in place of the lengths of so many bytes (1 to 4) that openrtmp_frame.payload has:
/// openrtmp_decoder_config_format() tells how many. At most 16 MiB - 1. Writes bytes as others
/// write text, but without a NUL. OPENRTMP_ERROR_INVALID_ARGUMENT if the bytes are no such units.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_annex_b_of_frame(
    body: *const u8,
    body_length: usize,
    length_size: u32,
    buffer: *mut u8,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let frame = unsafe { bytes(body, body_length, MOST)? };
        check_buffer(buffer.cast(), capacity)?;
        let size = usize::try_from(length_size).unwrap_or(0);
        if !(1..=4).contains(&size) {
            return Err(Failure::argument("lengths have 1 to 4 bytes"));
        }
        let stream = codec::to_annex_b(frame, size);
        let stream =
            stream.ok_or_else(|| Failure::argument("these are no units behind lengths"))?;
        // SAFETY: the contract of the header.
        unsafe { copy_bytes_out(&stream, buffer, capacity, out_length) }
    })
}

/// The other way: units behind start codes, as many encoders give them, with lengths of 4
/// bytes in their place, as openrtmp_media.payload has them. OPENRTMP_ERROR_INVALID_ARGUMENT
/// if the bytes do not begin with a start code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_annex_b_to_frame(
    body: *const u8,
    body_length: usize,
    buffer: *mut u8,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let stream = unsafe { bytes(body, body_length, MOST)? };
        check_buffer(buffer.cast(), capacity)?;
        let frame = codec::from_annex_b(stream);
        let frame =
            frame.ok_or_else(|| Failure::argument("these are no units behind start codes"))?;
        // SAFETY: the contract of the header.
        unsafe { copy_bytes_out(&frame, buffer, capacity, out_length) }
    })
}

/// What a decoder configuration says: that of a frame with OPENRTMP_FRAME_CONFIG, by its kind
/// and codec. OPENRTMP_ERROR_INVALID_ARGUMENT if it cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_decoder_config_format(
    kind: u32,
    codec: u32,
    body: *const u8,
    body_length: usize,
    out_format: *mut OpenrtmpMediaFormat,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let config = unsafe { bytes(body, body_length, MOST)? };
        // SAFETY: the same.
        unsafe { fillable(out_format)? };
        let mut format = OpenrtmpMediaFormat {
            struct_size: size_of::<OpenrtmpMediaFormat>() as u32,
            length_size: 0,
            width: 0,
            height: 0,
            frame_rate: 0.0,
            sample_rate: 0,
            channels: 0,
        };
        match Codec::of(kind, codec)? {
            Codec::Video(codec) => {
                let said = codec::video_format(codec, config).ok_or_else(unreadable)?;
                format.width = said.width.unwrap_or(0);
                format.height = said.height.unwrap_or(0);
                format.frame_rate = said.frame_rate.unwrap_or(0.0);
                let size = codec::length_size(codec, config);
                format.length_size = size.map_or(0, |size| size as u32);
            }
            Codec::Audio(codec) => {
                let said = codec::audio_format(codec, config).ok_or_else(unreadable)?;
                format.sample_rate = said.sample_rate.unwrap_or(0);
                format.channels = said.channels.unwrap_or(0);
            }
        }
        // SAFETY: the contract of the header.
        unsafe { fill(out_format, &format) }
    })
}

/// Writes what RFC 6381 calls the codec, such as "avc1.640028" or "mp4a.40.2"; an empty text if
/// the configuration does not say it. OPENRTMP_ERROR_INVALID_ARGUMENT if it cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_decoder_config_codec_string(
    kind: u32,
    codec: u32,
    body: *const u8,
    body_length: usize,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let config = unsafe { bytes(body, body_length, MOST)? };
        check_buffer(buffer, capacity)?;
        let name = match Codec::of(kind, codec)? {
            Codec::Video(codec) => codec::video_format(codec, config).map(|it| it.codec_string),
            Codec::Audio(codec) => codec::audio_format(codec, config).map(|it| it.codec_string),
        };
        let name = name.ok_or_else(unreadable)?.unwrap_or_default();
        // SAFETY: the contract of the header.
        unsafe { copy_out(&name, buffer, capacity, out_length) }
    })
}

/// Writes one of the parts of a decoder configuration that Android's MediaCodec calls csd-0,
/// csd-1 and so on: of H.264 the sequence parameter sets, then the picture parameter sets, of
/// H.265 all sets in one, with start codes; of AAC the AudioSpecificConfig; of Opus its
/// identification header and two numbers; of others the configuration itself.
/// OPENRTMP_ERROR_NOT_FOUND beyond the last, OPENRTMP_ERROR_INVALID_ARGUMENT if it cannot be
/// read. Writes bytes as others write text, but without a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_decoder_config_part(
    kind: u32,
    codec: u32,
    body: *const u8,
    body_length: usize,
    index: usize,
    buffer: *mut u8,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let config = unsafe { bytes(body, body_length, MOST)? };
        check_buffer(buffer.cast(), capacity)?;
        let parts = match Codec::of(kind, codec)? {
            Codec::Video(codec) => video_decoder_parts(codec, config),
            Codec::Audio(codec) => audio_decoder_parts(codec, config),
        };
        let parts = parts.ok_or_else(unreadable)?;
        let part = parts
            .get(index)
            .ok_or_else(|| Failure::not_found(format!("no part {index} of {}", parts.len())))?;
        // SAFETY: the contract of the header.
        unsafe { copy_bytes_out(part, buffer, capacity, out_length) }
    })
}

/// Writes the decoder configuration for parameter sets with start codes, as encoders give
/// them, in any order: what openrtmp_track.config takes. For H.264 and H.265; frames have
/// lengths of 4 bytes then, as openrtmp_annex_b_to_frame() writes them.
/// OPENRTMP_ERROR_INVALID_ARGUMENT if a set is missing or cannot be read, and for other codecs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_decoder_config_of_sets(
    codec: u32,
    body: *const u8,
    body_length: usize,
    buffer: *mut u8,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let sets = unsafe { bytes(body, body_length, MOST)? };
        check_buffer(buffer.cast(), capacity)?;
        let config = video_config_of_sets(VideoCodec::from(FourCc::from_u32(codec)), sets);
        let config = config.ok_or_else(|| {
            Failure::argument("these are no parameter sets of that codec, or some are missing")
        })?;
        // SAFETY: the contract of the header.
        unsafe { copy_bytes_out(&config, buffer, capacity, out_length) }
    })
}
