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

/// Bytes that the caller has, in another form, into the caller's buffer.
///
/// # Safety
/// The contract of the header for the three pointers.
unsafe fn rewritten<T: AsRef<[u8]>>(
    body: *const u8,
    body_length: usize,
    buffer: *mut u8,
    capacity: usize,
    out_length: *mut usize,
    form: impl FnOnce(&[u8]) -> Result<T, Failure>,
) -> Result<(), Failure> {
    // SAFETY: the contract of this function.
    let body = unsafe { bytes(body, body_length, MOST)? };
    check_buffer(buffer.cast(), capacity)?;
    let form = form(body)?;
    // SAFETY: the same.
    unsafe { copy_bytes_out(form.as_ref(), buffer, capacity, out_length) }
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
    let form = |frame: &[u8]| {
        let size = usize::try_from(length_size).unwrap_or(0);
        if !(1..=4).contains(&size) {
            return Err(Failure::argument("lengths have 1 to 4 bytes"));
        }
        let stream = codec::to_annex_b(frame, size);
        stream.ok_or_else(|| Failure::argument("these are no units behind lengths"))
    };
    // SAFETY: the contract of the header.
    boundary::status(|| unsafe { rewritten(body, body_length, buffer, capacity, out_length, form) })
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
    let form = |stream: &[u8]| {
        let frame = codec::from_annex_b(stream);
        frame.ok_or_else(|| Failure::argument("these are no units behind start codes"))
    };
    // SAFETY: the contract of the header.
    boundary::status(|| unsafe { rewritten(body, body_length, buffer, capacity, out_length, form) })
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
    let form = |config: &[u8]| {
        let parts = match Codec::of(kind, codec)? {
            Codec::Video(codec) => video_decoder_parts(codec, config),
            Codec::Audio(codec) => audio_decoder_parts(codec, config),
        };
        let mut parts = parts.ok_or_else(unreadable)?;
        let count = parts.len();
        match index < count {
            true => Ok(parts.swap_remove(index)),
            false => Err(Failure::not_found(format!("no part {index} of {count}"))),
        }
    };
    // SAFETY: the contract of the header.
    boundary::status(|| unsafe { rewritten(body, body_length, buffer, capacity, out_length, form) })
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
    let form = |sets: &[u8]| {
        let config = video_config_of_sets(VideoCodec::from(FourCc::from_u32(codec)), sets);
        config.ok_or_else(|| {
            Failure::argument("these are no parameter sets of that codec, or some are missing")
        })
    };
    // SAFETY: the contract of the header.
    boundary::status(|| unsafe { rewritten(body, body_length, buffer, capacity, out_length, form) })
}
