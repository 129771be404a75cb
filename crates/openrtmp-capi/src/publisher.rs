//! Publishing the host's own frames.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openrtmp_core::protocol::chunk::MAX_MESSAGE_LENGTH;
use openrtmp_core::protocol::media::{
    AudioCodec, AudioPacketKind, FourCc, FrameType, MediaHeader, VideoCodec, VideoPacketKind,
    audio_header, video_header,
};
use openrtmp_core::protocol::session::MediaKind;
use openrtmp_core::{AudioPacket, Publisher, VideoPacket};

use crate::boundary;
use crate::convert::{OpenrtmpStr, Versioned, borrow, bytes, output, text, versioned};
use crate::error::{Failure, OPENRTMP_ERROR_MEMORY};
use crate::process::Process;
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
pub struct OpenrtmpPublisher {
    process: Process,
    output: Mutex<Output>,
}

struct Output {
    publisher: Publisher,
    /// Codecs by kind and track.
    codecs: HashMap<(u32, u8), FourCc>,
    lent: Option<Lent>,
}

/// A buffer that the host fills, with room in front for a message's header.
struct Lent(Vec<u8>);

impl Lent {
    fn new(capacity: usize) -> Result<Lent, Failure> {
        let mut buffer = Vec::new();
        let room = MediaHeader::MAX_LENGTH;
        if buffer.try_reserve_exact(room + capacity).is_err() {
            return Err(Failure::new(
                OPENRTMP_ERROR_MEMORY,
                "no memory for a buffer",
            ));
        }
        buffer.resize(room, 0);
        Ok(Lent(buffer))
    }

    /// Where the host writes.
    fn place(&mut self) -> *mut u8 {
        self.0.spare_capacity_mut().as_mut_ptr().cast()
    }

    /// The message, with this header in front of as many bytes as the host has filled.
    ///
    /// # Safety
    /// So many were written.
    unsafe fn filled(mut self, header: &[u8], filled: usize) -> Bytes {
        let begin = self.0.len() - header.len();
        self.0[begin..].copy_from_slice(header);
        // SAFETY: they are within the capacity, which the caller checks, and written.
        unsafe { self.0.set_len(self.0.len() + filled) };
        Bytes::from(self.0).slice(begin..)
    }

    fn holds(&self, filled: usize) -> bool {
        filled <= self.0.capacity() - self.0.len()
    }
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
        out.write(Box::into_raw(Box::new(OpenrtmpPublisher {
            process: Process::this(),
            output: Mutex::new(Output {
                publisher,
                codecs: HashMap::new(),
                lent: None,
            }),
        })));
        Ok(())
    })
}

/// Ends the stream and frees the publisher, and its buffer. When it returns the name, and
/// its place in "limits.publishers", are free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_publisher_free(publisher: *mut OpenrtmpPublisher) {
    boundary::nothing(|| {
        // SAFETY: from openrtmp_publisher_open and not freed, the header demands.
        let ours = unsafe { publisher.as_ref() }.is_some_and(|p| p.process.check().is_ok());
        if ours {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(publisher) });
        }
    });
}

/// Lends a buffer of so many bytes, at most 16 MiB less a header: one frame is written
/// there, and handed in by openrtmp_publisher_write() with it as payload, which copies
/// nothing. Then it is the library's. One at a time: lending again, or freeing the
/// publisher, takes it back. OPENRTMP_ERROR_MEMORY if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_publisher_lend(
    publisher: *mut OpenrtmpPublisher,
    capacity: usize,
    out_buffer: *mut *mut u8,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (publisher, out) = unsafe { (borrow(publisher)?, output(out_buffer)?) };
        let mut output = publisher.lock()?;
        if capacity == 0 || capacity > MAX_MESSAGE_LENGTH {
            return Err(Failure::argument(format!(
                "{capacity} is not from 1 to {MAX_MESSAGE_LENGTH}"
            )));
        }
        output.lent = None;
        out.write(output.lent.insert(Lent::new(capacity)?).place());
        Ok(())
    })
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
        let config = unsafe { bytes(track.config, track.config_length, MAX_MESSAGE_LENGTH)? };
        let (id, timestamp) = (track_id(track.track)?, milliseconds(track.dts_us)?);
        let codec = FourCc::from_u32(track.codec);
        let mut output = publisher.lock()?;
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

/// Writes a frame; the payload is copied, unless it is the buffer of
/// openrtmp_publisher_lend(), which is taken, or after a failure stays lent.
/// OPENRTMP_ERROR_STATE if its track was not configured or the server has stopped;
/// OPENRTMP_ERROR_GONE if another publisher took the stream over or
/// openrtmp_server_end_stream() ended it; OPENRTMP_ERROR_WOULD_BLOCK if 16 MiB wait, and
/// OPENRTMP_ERROR_MEMORY if there is none: drop it, or try again later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_publisher_write(
    publisher: *mut OpenrtmpPublisher,
    media: *const OpenrtmpMedia,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (publisher, media) = unsafe { (borrow(publisher)?, versioned(media)?) };
        let (id, timestamp) = (track_id(media.track)?, milliseconds(media.dts_us)?);
        let kind = match media.kind {
            OPENRTMP_MEDIA_VIDEO => MediaKind::Video,
            OPENRTMP_MEDIA_AUDIO => MediaKind::Audio,
            other => return Err(Failure::argument(format!("no frame of kind {other}"))),
        };
        let mut output = publisher.lock()?;
        let codec = *output
            .codecs
            .get(&(media.kind, id))
            .ok_or_else(|| Failure::state(format!("track {id} was not configured")))?;
        let header = match kind {
            MediaKind::Video => video_header(
                VideoCodec::from(codec),
                id,
                match media.flags & OPENRTMP_FRAME_KEY {
                    0 => FrameType::Inter,
                    _ => FrameType::Key,
                },
                VideoPacketKind::Frame,
                composition_time(media.dts_us, media.pts_us)?,
            ),
            _ => audio_header(AudioCodec::from(codec), id, AudioPacketKind::Frame),
        };
        let Output {
            publisher,
            lent: slot,
            ..
        } = &mut *output;
        let length = media.payload_length;
        if let Some(lent) = slot.take_if(|lent| lent.place().cast_const() == media.payload) {
            if !lent.holds(length) {
                *slot = Some(lent);
                return Err(Failure::argument(
                    "it is longer than the buffer that was lent",
                ));
            }
            let credit = match publisher.admit(header.len() + length) {
                Ok(credit) => credit,
                Err(error) => {
                    *slot = Some(lent);
                    return Err(error.into());
                }
            };
            // SAFETY: the host has filled them, the header demands.
            let message = unsafe { lent.filled(&header, length) };
            publisher.write_admitted(credit, kind, timestamp, message);
            return Ok(());
        }
        // SAFETY: the contract of the header.
        let payload = unsafe { bytes(media.payload, length, MAX_MESSAGE_LENGTH)? };
        Ok(publisher.write_parts(kind, timestamp, &[&header, payload])?)
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
        let publisher = unsafe { borrow(publisher)? };
        // SAFETY: the contract of the header.
        let body = unsafe { bytes(body, body_length, MAX_MESSAGE_LENGTH)? };
        let kind = match kind {
            OPENRTMP_MEDIA_AUDIO => MediaKind::Audio,
            OPENRTMP_MEDIA_VIDEO => MediaKind::Video,
            OPENRTMP_MEDIA_DATA => MediaKind::Data,
            other => return Err(Failure::argument(format!("no message of kind {other}"))),
        };
        let mut output = publisher.lock()?;
        Ok(output.publisher.write_parts(kind, timestamp_ms, &[body])?)
    })
}

impl OpenrtmpPublisher {
    fn lock(&self) -> Result<MutexGuard<'_, Output>, Failure> {
        self.process.check()?;
        Ok(self.output.lock().unwrap_or_else(PoisonError::into_inner))
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
