//! Frames and configurations in the forms of decoders and encoders.

use jni::objects::{JByteArray, JByteBuffer, JClass, JObjectArray, JString};
use jni::sys::{jboolean, jint};
use jni::{Env, NativeMethod, native_method};
use openrtmp_core::protocol::media::codec;
use openrtmp_core::protocol::media::{AudioCodec, FourCc, VideoCodec};
use serde_json::json;

use crate::failure::{Failure, Throw};

pub(crate) const METHODS: &[NativeMethod] = &[
    native_method! {
        static fn to_annex_b(
            buffer: java.nio.ByteBuffer, array: jbyte[], offset: jint, length: jint,
            length_size: jint
        ) -> jbyte[], fn = to_annex_b, error_policy = Throw
    },
    native_method! {
        static fn from_annex_b(
            buffer: java.nio.ByteBuffer, array: jbyte[], offset: jint, length: jint
        ) -> jbyte[], fn = from_annex_b, error_policy = Throw
    },
    native_method! {
        static fn decoder_parts(video: jboolean, codec: jint, config: jbyte[]) -> jbyte[][],
        fn = decoder_parts, error_policy = Throw
    },
    native_method! {
        static fn media_format(video: jboolean, codec: jint, config: jbyte[]) -> java.lang.String,
        fn = media_format, error_policy = Throw
    },
    native_method! {
        static fn config_of_sets(codec: jint, sets: jbyte[]) -> jbyte[],
        fn = config_of_sets, error_policy = Throw
    },
];

/// Lends bytes that Java holds to `body`: those of a direct buffer as they are, or, if
/// there is none, a copy of an array's.
pub(crate) fn with_bytes<T>(
    env: &mut Env<'_>,
    (buffer, array): (&JByteBuffer<'_>, &JByteArray<'_>),
    (offset, length): (jint, jint),
    body: impl FnOnce(&[u8]) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let outside = || Failure::argument("the range is not within the bytes");
    let offset = usize::try_from(offset).map_err(|_| outside())?;
    let length = usize::try_from(length).map_err(|_| outside())?;
    let end = offset.checked_add(length).ok_or_else(outside)?;
    if length == 0 {
        return body(&[]);
    }
    if buffer.is_null() {
        if end > array.len(env)? {
            return Err(outside());
        }
        let mut bytes = vec![0_i8; length];
        array.get_region(env, offset as jint, &mut bytes)?;
        // SAFETY: both are bytes, of the same size and alignment.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), length) };
        return body(bytes);
    }
    if end > env.get_direct_buffer_capacity(buffer)? {
        return Err(outside());
    }
    let address = env.get_direct_buffer_address(buffer)?;
    // SAFETY: within the buffer, which the caller's reference keeps; a program that writes
    // it meanwhile sends what it likes.
    let bytes = unsafe { std::slice::from_raw_parts(address.add(offset), length) };
    body(bytes)
}

fn to_annex_b<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    buffer: JByteBuffer<'l>,
    array: JByteArray<'l>,
    offset: jint,
    length: jint,
    length_size: jint,
) -> Result<JByteArray<'l>, Failure> {
    let size = usize::try_from(length_size).unwrap_or(0);
    if !(1..=4).contains(&size) {
        return Err(Failure::argument("lengths have 1 to 4 bytes"));
    }
    let bytes = (&buffer, &array);
    let stream = with_bytes(env, bytes, (offset, length), |frame| {
        let stream = codec::to_annex_b(frame, size);
        stream.ok_or_else(|| Failure::argument("these are no units behind lengths"))
    })?;
    Ok(env.byte_array_from_slice(&stream)?)
}

fn from_annex_b<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    buffer: JByteBuffer<'l>,
    array: JByteArray<'l>,
    offset: jint,
    length: jint,
) -> Result<JByteArray<'l>, Failure> {
    let bytes = (&buffer, &array);
    let frame = with_bytes(env, bytes, (offset, length), prefixed)?;
    Ok(env.byte_array_from_slice(&frame)?)
}

/// Units with lengths in place of start codes.
pub(crate) fn prefixed(stream: &[u8]) -> Result<Vec<u8>, Failure> {
    let frame = codec::from_annex_b(stream);
    frame.ok_or_else(|| Failure::argument("these are no units behind start codes"))
}

fn decoder_parts<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    video: jboolean,
    codec: jint,
    config: JByteArray<'l>,
) -> Result<JObjectArray<'l, JByteArray<'l>>, Failure> {
    let (config, fourcc) = (env.convert_byte_array(&config)?, fourcc(codec));
    let parts = match video {
        true => codec::video_decoder_parts(VideoCodec::from(fourcc), &config),
        false => codec::audio_decoder_parts(AudioCodec::from(fourcc), &config),
    };
    let parts = parts.unwrap_or_default();
    let array = JObjectArray::<JByteArray<'l>>::new(env, parts.len(), JByteArray::null())?;
    for (index, part) in parts.iter().enumerate() {
        let part = env.byte_array_from_slice(part)?;
        array.set_element(env, index, &part)?;
    }
    Ok(array)
}

fn media_format<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    video: jboolean,
    codec: jint,
    config: JByteArray<'l>,
) -> Result<JString<'l>, Failure> {
    let (config, fourcc) = (env.convert_byte_array(&config)?, fourcc(codec));
    let format = match video {
        true => {
            let codec = VideoCodec::from(fourcc);
            let format = codec::video_format(codec, &config).unwrap_or_default();
            json!({
                "codec_string": format.codec_string,
                "width": format.width,
                "height": format.height,
                "frame_rate": format.frame_rate,
                "length_size": codec::length_size(codec, &config),
            })
        }
        false => {
            let format = codec::audio_format(AudioCodec::from(fourcc), &config).unwrap_or_default();
            json!({
                "codec_string": format.codec_string,
                "sample_rate": format.sample_rate,
                "channels": format.channels,
            })
        }
    };
    Ok(env.new_string(format.to_string())?)
}

fn config_of_sets<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    codec: jint,
    sets: JByteArray<'l>,
) -> Result<JByteArray<'l>, Failure> {
    let sets = env.convert_byte_array(&sets)?;
    let config = codec::video_config_of_sets(VideoCodec::from(fourcc(codec)), &sets);
    let config = config.ok_or_else(|| {
        Failure::argument("these are no parameter sets of H.264 or H.265, or some are missing")
    })?;
    Ok(env.byte_array_from_slice(&config)?)
}

/// The number that Kotlin has of a codec.
pub(crate) fn fourcc(code: jint) -> FourCc {
    FourCc::from_u32(code as u32)
}
