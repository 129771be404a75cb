//! Methods of publishers.

use std::collections::HashMap;
use std::sync::Mutex;

use jni::objects::{JByteArray, JByteBuffer, JClass, JString};
use jni::sys::{jboolean, jint, jlong};
use jni::{Env, NativeMethod, native_method};
use openrtmp_core::protocol::media::{
    AudioCodec, AudioPacketKind, FourCc, FrameType, VideoCodec, VideoPacketKind,
};
use openrtmp_core::protocol::session::MediaKind;
use openrtmp_core::{AudioPacket, Publisher, VideoPacket};

use crate::codec::{fourcc, prefixed, with_bytes};
use crate::failure::{Failure, Throw};
use crate::handles::{Handles, lock};
use crate::host::HOSTS;

pub(crate) const METHODS: &[NativeMethod] = &[
    native_method! {
        static fn publisher_open(server: jlong, stream: java.lang.String) -> jlong,
        fn = publisher_open, error_policy = Throw
    },
    native_method! {
        static fn publisher_close(publisher: jlong), fn = publisher_close, error_policy = Throw
    },
    native_method! {
        static fn publisher_configure(
            publisher: jlong, video: jboolean, track: jint, codec: jint, config: jbyte[],
            dts: jlong
        ), fn = publisher_configure, error_policy = Throw
    },
    native_method! {
        static fn publisher_write(
            publisher: jlong, video: jboolean, track: jint, key: jboolean, dts: jlong, pts: jlong,
            buffer: java.nio.ByteBuffer, array: jbyte[], offset: jint, length: jint,
            annex_b: jboolean
        ), fn = publisher_write, error_policy = Throw
    },
    native_method! {
        static fn publisher_message(
            publisher: jlong, kind: jint, timestamp_ms: jlong, buffer: java.nio.ByteBuffer,
            array: jbyte[], offset: jint, length: jint
        ), fn = publisher_message, error_policy = Throw
    },
];

static PUBLISHERS: Handles<Mutex<Output>> = Handles::new("publisher");

struct Output {
    publisher: Publisher,
    /// Codecs of tracks, video ones (true) and audio ones.
    codecs: HashMap<(bool, u8), FourCc>,
}

fn publisher_open<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    stream: JString<'l>,
) -> Result<jlong, Failure> {
    let stream = stream.try_to_string(env)?;
    let publisher = HOSTS.get(server)?.running()?.publish(&stream)?;
    Ok(PUBLISHERS.insert_with(|_| {
        Mutex::new(Output {
            publisher,
            codecs: HashMap::new(),
        })
    }))
}

fn publisher_close<'l>(_: &mut Env<'l>, _: JClass<'l>, publisher: jlong) -> Result<(), Failure> {
    drop(PUBLISHERS.remove(publisher));
    Ok(())
}

fn publisher_configure<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    publisher: jlong,
    video: jboolean,
    track: jint,
    codec: jint,
    config: JByteArray<'l>,
    dts: jlong,
) -> Result<(), Failure> {
    let publisher = PUBLISHERS.get(publisher)?;
    let config = env.convert_byte_array(&config)?;
    let (track, timestamp) = (track_id(track)?, milliseconds(dts)?);
    let codec = fourcc(codec);
    if codec.to_u32() == 0 {
        return Err(Failure::argument("a track has a codec"));
    }
    let mut output = lock(&publisher);
    match video {
        _ if config.is_empty() => {}
        true => output.publisher.write_video(&VideoPacket {
            codec: VideoCodec::from(codec),
            track,
            frame_type: FrameType::Key,
            kind: VideoPacketKind::SequenceStart,
            timestamp,
            composition_time: 0,
            body: &config,
        })?,
        false => output.publisher.write_audio(&AudioPacket {
            codec: AudioCodec::from(codec),
            track,
            kind: AudioPacketKind::SequenceStart,
            timestamp,
            body: &config,
        })?,
    }
    output.codecs.insert((video, track), codec);
    Ok(())
}

fn publisher_write<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    publisher: jlong,
    video: jboolean,
    track: jint,
    key: jboolean,
    dts: jlong,
    pts: jlong,
    buffer: JByteBuffer<'l>,
    array: JByteArray<'l>,
    offset: jint,
    length: jint,
    annex_b: jboolean,
) -> Result<(), Failure> {
    let publisher = PUBLISHERS.get(publisher)?;
    let (track, timestamp) = (track_id(track)?, milliseconds(dts)?);
    let composition_time = composition_time(dts, pts)?;
    with_bytes(env, (&buffer, &array), (offset, length), |bytes| {
        let converted = match annex_b {
            true => Some(prefixed(bytes)?),
            false => None,
        };
        let body = converted.as_deref().unwrap_or(bytes);
        let mut output = lock(&publisher);
        let codec = output.codecs.get(&(video, track)).copied();
        let codec =
            codec.ok_or_else(|| Failure::state(format!("track {track} was not configured")))?;
        match video {
            true => output.publisher.write_video(&VideoPacket {
                codec: VideoCodec::from(codec),
                track,
                frame_type: if key {
                    FrameType::Key
                } else {
                    FrameType::Inter
                },
                kind: VideoPacketKind::Frame,
                timestamp,
                composition_time,
                body,
            })?,
            false => output.publisher.write_audio(&AudioPacket {
                codec: AudioCodec::from(codec),
                track,
                kind: AudioPacketKind::Frame,
                timestamp,
                body,
            })?,
        }
        Ok(())
    })
}

fn publisher_message<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    publisher: jlong,
    kind: jint,
    timestamp_ms: jlong,
    buffer: JByteBuffer<'l>,
    array: JByteArray<'l>,
    offset: jint,
    length: jint,
) -> Result<(), Failure> {
    let publisher = PUBLISHERS.get(publisher)?;
    let kind = match kind {
        1 => MediaKind::Audio,
        2 => MediaKind::Video,
        3 => MediaKind::Data,
        other => return Err(Failure::argument(format!("no message of kind {other}"))),
    };
    let timestamp = u64::try_from(timestamp_ms).map_err(|_| before_zero())? as u32;
    with_bytes(env, (&buffer, &array), (offset, length), |body| {
        let mut output = lock(&publisher);
        output.publisher.write_parts(kind, timestamp, &[body])?;
        Ok(())
    })
}

fn track_id(track: jint) -> Result<u8, Failure> {
    u8::try_from(track).map_err(|_| Failure::argument("a track is from 0 to 255"))
}

/// RTMP's clock: 32 bits that wrap after 49.7 days.
fn milliseconds(micros: jlong) -> Result<u32, Failure> {
    let micros = u64::try_from(micros).map_err(|_| before_zero())?;
    Ok((micros / 1000) as u32)
}

fn before_zero() -> Failure {
    Failure::argument("a time is before 0")
}

fn composition_time(dts: jlong, pts: jlong) -> Result<i32, Failure> {
    // Between the two as they are carried, so that rounding does not add up.
    let apart = pts.div_euclid(1000).checked_sub(dts.div_euclid(1000));
    let apart = apart.and_then(|millis| i32::try_from(millis).ok());
    apart.ok_or_else(|| Failure::argument("decoding and presentation are too far apart"))
}
