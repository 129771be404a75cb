//! Publishing the host's own frames.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openrtmp_core::protocol::media::{
    AudioCodec, AudioPacketKind, FourCc, FrameType, VideoCodec, VideoPacketKind,
};
use openrtmp_core::protocol::session::MediaKind;
use openrtmp_core::{AudioPacket, Publisher, VideoPacket};

use crate::boundary;
use crate::convert::{OpenrtmpStr, Versioned, borrow, bytes, output, text, versioned};
use crate::error::Failure;
use crate::server::OpenrtmpServer;
use crate::tap::{
    OPENRTMP_FRAME_KEY, OPENRTMP_MEDIA_AUDIO, OPENRTMP_MEDIA_DATA, OPENRTMP_MEDIA_VIDEO,
};

/// A track and its decoder configuration.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpTrack {
    /// sizeof(openrtmp_track).
    pub struct_size: u32,
    /// OPENRTMP_MEDIA_AUDIO or OPENRTMP_MEDIA_VIDEO.
    pub kind: u32,
    /// Track, 0 to 255; 0 is the default track, the only one many players know.
    pub track: u32,
    /// OPENRTMP_FOURCC_*, or another FourCC.
    pub codec: u32,
    /// The decoder configuration: for H.264 an AVCDecoderConfigurationRecord, for
    /// H.265 an HEVCDecoderConfigurationRecord, for AAC an AudioSpecificConfig, ...
    /// NULL for codecs that have none.
    pub config: *const u8,
    /// Bytes.
    pub config_length: usize,
    /// Time of the first frame it is for.
    pub dts_us: i64,
}

// SAFETY: pointers and integers without padding.
unsafe impl Versioned for OpenrtmpTrack {
    const FIRST: usize = size_of::<OpenrtmpTrack>();
}

/// A frame to publish.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpMedia {
    /// sizeof(openrtmp_media).
    pub struct_size: u32,
    /// OPENRTMP_MEDIA_AUDIO or OPENRTMP_MEDIA_VIDEO.
    pub kind: u32,
    /// Track, 0 to 255, which was configured.
    pub track: u32,
    /// OPENRTMP_FRAME_KEY where a decoder can start.
    pub flags: u32,
    /// Decoding time, 0 or later. RTMP carries milliseconds.
    pub dts_us: i64,
    /// Presentation time.
    pub pts_us: i64,
    /// The codec's bytes: H.264 and H.265 as NAL units with length prefixes, AAC
    /// without ADTS.
    pub payload: *const u8,
    /// Bytes, at most 16 MiB less a header.
    pub payload_length: usize,
}

// SAFETY: pointers and integers without padding.
unsafe impl Versioned for OpenrtmpMedia {
    const FIRST: usize = size_of::<OpenrtmpMedia>();
}

/// Publishes a stream from inside the process.
pub struct OpenrtmpPublisher(Mutex<Output>);

struct Output {
    publisher: Publisher,
    /// Codecs by kind and track.
    codecs: HashMap<(u32, u8), FourCc>,
}

/// Opens a stream ("app/name") for publishing. OPENRTMP_ERROR_BUSY if it has a
/// publisher. Free it with openrtmp_publisher_free(), which ends the stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_publisher_open(
    server: *mut OpenrtmpServer,
    stream: OpenrtmpStr,
    out_publisher: *mut *mut OpenrtmpPublisher,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, stream, out) = unsafe {
            (
                borrow(server)?.running()?,
                text(stream)?,
                output(out_publisher)?,
            )
        };
        let publisher = server.publish(stream)?;
        out.write(Box::into_raw(Box::new(OpenrtmpPublisher(Mutex::new(
            Output {
                publisher,
                codecs: HashMap::new(),
            },
        )))));
        Ok(())
    })
}

/// Ends the stream and frees the publisher.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_publisher_free(publisher: *mut OpenrtmpPublisher) {
    boundary::nothing(|| {
        if !publisher.is_null() {
            // SAFETY: from openrtmp_publisher_open and not freed, the header demands.
            drop(unsafe { Box::from_raw(publisher) });
        }
    });
}

/// Adds a track, or changes its configuration. Before the first frame of it. The
/// configuration is copied. Fails as openrtmp_publisher_write().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_publisher_configure(
    publisher: *mut OpenrtmpPublisher,
    track: *const OpenrtmpTrack,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (publisher, track) = unsafe { (borrow(publisher)?, versioned(track)?) };
        // SAFETY: the contract of the header.
        let config = unsafe { bytes(track.config, track.config_length)? };
        let (id, timestamp) = (track_id(track.track)?, milliseconds(track.dts_us)?);
        let codec = FourCc::from_u32(track.codec);
        let mut output = publisher.lock();
        match track.kind {
            _ if track.codec == 0 => return Err(Failure::argument("a track has a codec")),
            OPENRTMP_MEDIA_VIDEO | OPENRTMP_MEDIA_AUDIO if config.is_empty() => {}
            OPENRTMP_MEDIA_VIDEO => output.publisher.write_video(&VideoPacket {
                codec: VideoCodec::from(codec),
                track: id,
                frame_type: FrameType::Key,
                kind: VideoPacketKind::SequenceStart,
                timestamp,
                composition_time: 0,
                body: config,
            })?,
            OPENRTMP_MEDIA_AUDIO => output.publisher.write_audio(&AudioPacket {
                codec: AudioCodec::from(codec),
                track: id,
                kind: AudioPacketKind::SequenceStart,
                timestamp,
                body: config,
            })?,
            other => return Err(Failure::argument(format!("no track of kind {other}"))),
        }
        output.codecs.insert((track.kind, id), codec);
        Ok(())
    })
}

/// Writes a frame; the payload is copied. OPENRTMP_ERROR_STATE if its track was not
/// configured or the server has stopped; OPENRTMP_ERROR_GONE if another publisher took
/// the stream over or openrtmp_server_end_stream() ended it; OPENRTMP_ERROR_WOULD_BLOCK
/// if 16 MiB wait: drop it, or try again later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_publisher_write(
    publisher: *mut OpenrtmpPublisher,
    media: *const OpenrtmpMedia,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (publisher, media) = unsafe { (borrow(publisher)?, versioned(media)?) };
        // SAFETY: the contract of the header.
        let payload = unsafe { bytes(media.payload, media.payload_length)? };
        let (id, timestamp) = (track_id(media.track)?, milliseconds(media.dts_us)?);
        if !matches!(media.kind, OPENRTMP_MEDIA_VIDEO | OPENRTMP_MEDIA_AUDIO) {
            return Err(Failure::argument(format!(
                "no frame of kind {}",
                media.kind
            )));
        }
        let mut output = publisher.lock();
        let codec = *output
            .codecs
            .get(&(media.kind, id))
            .ok_or_else(|| Failure::state(format!("track {id} was not configured")))?;
        match media.kind {
            OPENRTMP_MEDIA_VIDEO => output.publisher.write_video(&VideoPacket {
                codec: VideoCodec::from(codec),
                track: id,
                frame_type: match media.flags & OPENRTMP_FRAME_KEY {
                    0 => FrameType::Inter,
                    _ => FrameType::Key,
                },
                kind: VideoPacketKind::Frame,
                timestamp,
                composition_time: composition_time(media.dts_us, media.pts_us)?,
                body: payload,
            })?,
            _ => output.publisher.write_audio(&AudioPacket {
                codec: AudioCodec::from(codec),
                track: id,
                kind: AudioPacketKind::Frame,
                timestamp,
                body: payload,
            })?,
        }
        Ok(())
    })
}

/// Writes the body of an RTMP message as it is (OPENRTMP_MEDIA_*): an FLV or Enhanced
/// RTMP audio or video tag body, or AMF0 values, the name first. The body is copied.
/// Needs no configured track. Fails as openrtmp_publisher_write().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_publisher_write_message(
    publisher: *mut OpenrtmpPublisher,
    kind: u32,
    timestamp_ms: u32,
    body: *const u8,
    body_length: usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (publisher, body) = unsafe { (borrow(publisher)?, bytes(body, body_length)?) };
        let kind = match kind {
            OPENRTMP_MEDIA_AUDIO => MediaKind::Audio,
            OPENRTMP_MEDIA_VIDEO => MediaKind::Video,
            OPENRTMP_MEDIA_DATA => MediaKind::Data,
            other => return Err(Failure::argument(format!("no message of kind {other}"))),
        };
        let body = Bytes::copy_from_slice(body);
        Ok(publisher
            .lock()
            .publisher
            .write_message(kind, timestamp_ms, body)?)
    })
}

impl OpenrtmpPublisher {
    fn lock(&self) -> MutexGuard<'_, Output> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn track_id(track: u32) -> Result<u8, Failure> {
    u8::try_from(track).map_err(|_| Failure::argument(format!("track {track} is over 255")))
}

/// RTMP's clock: 32 bits that wrap after 49.7 days.
fn milliseconds(micros: i64) -> Result<u32, Failure> {
    u64::try_from(micros)
        .map(|micros| (micros / 1000) as u32)
        .map_err(|_| Failure::argument("a time is before 0"))
}

fn composition_time(dts: i64, pts: i64) -> Result<i32, Failure> {
    // Between the two as they are carried, so that rounding does not add up.
    pts.div_euclid(1000)
        .checked_sub(dts.div_euclid(1000))
        .and_then(|ms| i32::try_from(ms).ok())
        .ok_or_else(|| Failure::argument("pts_us and dts_us are too far apart"))
}
