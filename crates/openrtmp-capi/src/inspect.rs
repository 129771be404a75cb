//! Streams, connections, players, taps and publishers: seeing them, ending them.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use openrtmp_core::{ConnectionId, StreamId};

use crate::boundary;
use crate::convert::{OpenrtmpStr, borrow, check_buffer, copy_out, text};
use crate::error::Failure;
use crate::event::codecs;
use crate::metrics::micros;
use crate::server::{OpenrtmpServer, required};

/// One stream. Lives as long as the visit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpStreamInfo {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// 1 while it has a publisher, 0 within the grace after that left.
    pub live: u32,
    /// Which.
    pub stream_id: u64,
    /// Its path, for example "live/cam", keys masked, as in "live/***1f3a";
    /// openrtmp_server_stream_name() tells the whole.
    pub name: OpenrtmpStr,
    /// Codec strings (RFC 6381) of its tracks, with commas between them.
    pub codecs: OpenrtmpStr,
    /// Pixels of the first video track, 0 if not known.
    pub width: u32,
    /// Pixels of the first video track, 0 if not known.
    pub height: u32,
    /// Since it began.
    pub uptime_ms: u64,
    /// Payload bytes published.
    pub bytes: u64,
    /// Bit/s published, over the last seconds.
    pub bitrate: u64,
    /// Video frames.
    pub video_frames: u64,
    /// Audio frames.
    pub audio_frames: u64,
    /// Key frames.
    pub keyframes: u64,
    /// Players.
    pub subscribers: u64,
    /// Who publishes it; 0: an openrtmp_publisher, or nobody.
    pub connection_id: u64,
    /// Taps on it, recordings included.
    pub taps: u64,
    /// From a frame's arrival to its last byte handed to a player's socket, half of all
    /// frames of the last one to two minutes, to within a quarter.
    pub delay_p50_us: u64,
    /// 95 % of them.
    pub delay_p95_us: u64,
    /// 99 % of them.
    pub delay_p99_us: u64,
    /// How many they are, all players together.
    pub delay_frames: u64,
}

/// One connection. Lives as long as the visit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpConnectionInfo {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Which.
    pub connection_id: u64,
    /// The peer's address and port.
    pub peer: OpenrtmpStr,
    /// How far it has come: "handshake", "connect", "connected", "publishing", "playing".
    pub stage: OpenrtmpStr,
    /// Since it was accepted.
    pub uptime_ms: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Bytes waiting to be written.
    pub queue_bytes: u64,
    /// A stream that it publishes; 0: none. The JSON of openrtmp_server_metrics_json() has
    /// all, where it is more than one.
    pub publishes: u64,
    /// A stream that it plays; 0: none.
    pub plays: u64,
}

/// One player of a stream. Lives as long as the visit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpSubscriberInfo {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Its connection.
    pub connection_id: u64,
    /// Packets waiting to be written.
    pub queue_packets: u64,
    /// Bytes waiting to be written.
    pub queue_bytes: u64,
    /// How long the oldest frame that may be dropped has waited.
    pub queue_delay_ms: u64,
    /// Frames it did not get because it was too slow.
    pub dropped_frames: u64,
    /// From play to the first key frame queued; UINT64_MAX before that.
    pub join_ms: u64,
    /// Messages of streams that its connection was sent whole.
    pub messages: u64,
    /// Their payload's bytes.
    pub bytes: u64,
    /// From a frame's arrival to its last byte handed to the socket, half of the frames that
    /// its connection was sent in the last one to two minutes, to within a quarter.
    pub delay_p50_us: u64,
    /// 95 % of them.
    pub delay_p95_us: u64,
    /// 99 % of them.
    pub delay_p99_us: u64,
    /// How many they are.
    pub delay_frames: u64,
}

/// One tap. Lives as long as the visit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpTapInfo {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// 1: a recorder's; 0: an openrtmp_tap.
    pub recording: u32,
    /// The stream that it is on, its path, keys masked; empty: every stream, or several.
    pub stream: OpenrtmpStr,
    /// Streams that are live for it.
    pub live: u64,
    /// Bytes that wait to be taken.
    pub waiting_bytes: u64,
}

/// One publisher at work. Lives as long as the visit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpPublisherInfo {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// The stream.
    pub stream_id: u64,
    /// Its path, keys masked.
    pub stream: OpenrtmpStr,
    /// Which connection publishes it; 0: an openrtmp_publisher.
    pub connection_id: u64,
    /// How long nothing has come from it, once that is "streams.publisher_timeout" and
    /// another may have its place; 0 until then.
    pub silence_ms: u64,
}

/// Visits the streams, on the calling thread, before it returns. All of them:
/// OPENRTMP_ERROR_TIMEOUT, and no visit, if a worker thread is busy for more than 1 s.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_streams(
    server: *const OpenrtmpServer,
    visit: Option<unsafe extern "C" fn(user_data: *mut c_void, stream: *const OpenrtmpStreamInfo)>,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        let visit = required(visit)?;
        for stream in server.snapshot()?.streams {
            let video = stream.tracks.iter().find(|t| t.video);
            let codecs = codecs(&stream.tracks);
            let info = OpenrtmpStreamInfo {
                struct_size: size_of::<OpenrtmpStreamInfo>() as u32,
                live: stream.live.into(),
                stream_id: stream.id.as_u64(),
                name: OpenrtmpStr::new(stream.name.shown()),
                codecs: OpenrtmpStr::new(&codecs),
                width: video.and_then(|t| t.width).unwrap_or(0),
                height: video.and_then(|t| t.height).unwrap_or(0),
                uptime_ms: (stream.uptime_seconds * 1000.0) as u64,
                bytes: stream.bytes,
                bitrate: stream.bitrate,
                video_frames: stream.video_frames,
                audio_frames: stream.audio_frames,
                keyframes: stream.keyframes,
                subscribers: stream.subscribers.len() as u64,
                connection_id: stream.connection.map_or(0, |id| id.as_u64()),
                taps: stream.taps as u64,
                delay_p50_us: micros(stream.delay.p50_ms),
                delay_p95_us: micros(stream.delay.p95_ms),
                delay_p99_us: micros(stream.delay.p99_ms),
                delay_frames: stream.delay.frames,
            };
            // SAFETY: the host's function; the struct outlives the call.
            unsafe { visit(user_data, &info) };
        }
        Ok(())
    })
}

/// Visits the connections, on the calling thread, before it returns. All of them:
/// OPENRTMP_ERROR_TIMEOUT, and no visit, if a worker thread is busy for more than 1 s.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_connections(
    server: *const OpenrtmpServer,
    visit: Option<
        unsafe extern "C" fn(user_data: *mut c_void, connection: *const OpenrtmpConnectionInfo),
    >,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        let visit = required(visit)?;
        for connection in server.snapshot()?.connections_list {
            let peer = connection.peer.to_string();
            let info = OpenrtmpConnectionInfo {
                struct_size: size_of::<OpenrtmpConnectionInfo>() as u32,
                reserved: 0,
                connection_id: connection.id.as_u64(),
                peer: OpenrtmpStr::new(&peer),
                stage: OpenrtmpStr::new(connection.stage),
                uptime_ms: (connection.uptime_seconds * 1000.0) as u64,
                bytes_in: connection.bytes_in,
                bytes_out: connection.bytes_out,
                queue_bytes: connection.queue_bytes as u64,
                publishes: first(&connection.publishes),
                plays: first(&connection.plays),
            };
            // SAFETY: the host's function; the struct outlives the call.
            unsafe { visit(user_data, &info) };
        }
        Ok(())
    })
}

/// Visits the players of a stream ("app/name"), on the calling thread, before it
/// returns. OPENRTMP_ERROR_NOT_FOUND if there is no such stream; OPENRTMP_ERROR_TIMEOUT as
/// openrtmp_server_streams().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_subscribers(
    server: *const OpenrtmpServer,
    stream: OpenrtmpStr,
    visit: Option<
        unsafe extern "C" fn(user_data: *mut c_void, subscriber: *const OpenrtmpSubscriberInfo),
    >,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, name) = unsafe { (borrow(server)?.running()?, text(stream)?) };
        let visit = required(visit)?;
        let streams = server.snapshot()?.streams;
        let stream = streams
            .iter()
            .find(|s| s.name == name)
            .ok_or_else(no_stream)?;
        for subscriber in &stream.subscribers {
            let info = OpenrtmpSubscriberInfo {
                struct_size: size_of::<OpenrtmpSubscriberInfo>() as u32,
                reserved: 0,
                connection_id: subscriber.connection.as_u64(),
                queue_packets: subscriber.queue_packets as u64,
                queue_bytes: subscriber.queue_bytes as u64,
                queue_delay_ms: subscriber.queue_delay_ms,
                dropped_frames: subscriber.dropped_frames,
                join_ms: subscriber.join_ms.unwrap_or(u64::MAX),
                messages: subscriber.messages,
                bytes: subscriber.bytes,
                delay_p50_us: micros(subscriber.delay.p50_ms),
                delay_p95_us: micros(subscriber.delay.p95_ms),
                delay_p99_us: micros(subscriber.delay.p99_ms),
                delay_frames: subscriber.delay.frames,
            };
            // SAFETY: the host's function; the struct outlives the call.
            unsafe { visit(user_data, &info) };
        }
        Ok(())
    })
}

/// Visits the taps that are open, on the calling thread, before it returns: those of
/// openrtmp_tap_open(), and those of recordings. Waits for nobody.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_tap_list(
    server: *const OpenrtmpServer,
    visit: Option<unsafe extern "C" fn(user_data: *mut c_void, tap: *const OpenrtmpTapInfo)>,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        let visit = required(visit)?;
        for tap in server.taps() {
            let stream = tap.stream.as_ref().map_or("", |name| name.shown());
            let info = OpenrtmpTapInfo {
                struct_size: size_of::<OpenrtmpTapInfo>() as u32,
                recording: tap.recording.into(),
                stream: OpenrtmpStr::new(stream),
                live: tap.live as u64,
                waiting_bytes: tap.waiting_bytes as u64,
            };
            // SAFETY: the host's function; the struct outlives the call.
            unsafe { visit(user_data, &info) };
        }
        Ok(())
    })
}

/// Visits the publishers at work, connections and those of openrtmp_publisher_open(), on
/// the calling thread, before it returns. Waits for nobody.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_publisher_list(
    server: *const OpenrtmpServer,
    visit: Option<
        unsafe extern "C" fn(user_data: *mut c_void, publisher: *const OpenrtmpPublisherInfo),
    >,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        let visit = required(visit)?;
        for publisher in server.publishers() {
            let info = OpenrtmpPublisherInfo {
                struct_size: size_of::<OpenrtmpPublisherInfo>() as u32,
                reserved: 0,
                stream_id: publisher.stream.as_u64(),
                stream: OpenrtmpStr::new(publisher.name.shown()),
                connection_id: publisher.connection.map_or(0, |id| id.as_u64()),
                silence_ms: u64::try_from(publisher.silence.as_millis()).unwrap_or(u64::MAX),
            };
            // SAFETY: the host's function; the struct outlives the call.
            unsafe { visit(user_data, &info) };
        }
        Ok(())
    })
}

/// Ends a connection, publishing or playing. OPENRTMP_ERROR_NOT_FOUND if there is none
/// of this id, or no longer; OPENRTMP_ERROR_TIMEOUT if its worker thread is busy for more
/// than 1 s, which ends it all the same. The reason is for logs and events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_disconnect(
    server: *mut OpenrtmpServer,
    connection_id: u64,
    reason: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, reason) = unsafe { (borrow(server)?.running()?, text(reason)?) };
        let id = ConnectionId::from_u64(connection_id);
        if !server.disconnect(id, reason)? {
            return Err(no_connection(id));
        }
        Ok(())
    })
}

/// Goes back to "queue.write_coalesce", for openrtmp_server_set_write_coalesce().
pub const OPENRTMP_COALESCE_DEFAULT: u32 = u32::MAX;

/// Collects packets for one player for 0 to 350 ms before they are written together, in
/// place of "queue.write_coalesce"; or OPENRTMP_COALESCE_DEFAULT. It may be set as soon
/// as the connection is there. OPENRTMP_ERROR_NOT_FOUND if there is none of this id, or
/// no longer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_set_write_coalesce(
    server: *mut OpenrtmpServer,
    connection_id: u64,
    window_ms: u32,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)?.running()? };
        let id = ConnectionId::from_u64(connection_id);
        let window = match window_ms {
            OPENRTMP_COALESCE_DEFAULT => None,
            ms => Some(Duration::from_millis(ms.into())),
        };
        if !server.set_write_coalesce(id, window)? {
            return Err(no_connection(id));
        }
        Ok(())
    })
}

fn first(streams: &[StreamId]) -> u64 {
    streams.first().map_or(0, |id| id.as_u64())
}

fn no_connection(id: ConnectionId) -> Failure {
    Failure::not_found(format!("there is no connection {id}"))
}

/// Ends a stream ("app/name"): the connection that publishes it is closed, or, if that
/// is an openrtmp_publisher, its next write is OPENRTMP_ERROR_GONE. Returns before
/// that; events tell when it is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_end_stream(
    server: *mut OpenrtmpServer,
    stream: OpenrtmpStr,
    reason: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, stream, reason) =
            unsafe { (borrow(server)?.running()?, text(stream)?, text(reason)?) };
        if !server.end_stream(stream, reason) {
            return Err(no_stream());
        }
        Ok(())
    })
}

/// openrtmp_server_end_stream() of a stream by its id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_end_stream_id(
    server: *mut OpenrtmpServer,
    stream_id: u64,
    reason: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, reason) = unsafe { (borrow(server)?.running()?, text(reason)?) };
        if !server.end_stream(StreamId::from_u64(stream_id), reason) {
            return Err(no_stream());
        }
        Ok(())
    })
}

/// Writes the whole name of a stream, key included where it is one: what events, frames
/// and the visit of streams mask. OPENRTMP_ERROR_NOT_FOUND once nobody publishes, plays,
/// taps or waits for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_stream_name(
    server: *const OpenrtmpServer,
    stream_id: u64,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        check_buffer(buffer, capacity)?;
        let name = server.stream_name(StreamId::from_u64(stream_id));
        let name = name.ok_or_else(no_stream)?;
        // SAFETY: the contract of the header.
        unsafe { copy_out(name.reveal(), buffer, capacity, out_length) }
    })
}

// Named by no more than that: the host's own text may hold a key.
fn no_stream() -> Failure {
    Failure::not_found("there is no such stream")
}
