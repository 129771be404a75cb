//! Numbers.

use std::ffi::c_char;

use crate::boundary;
use crate::convert::{Versioned, borrow, copy_out, fill, fillable};
use crate::server::OpenrtmpServer;

/// A server at one moment. Counters grow from its start.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpMetrics {
    /// sizeof(openrtmp_metrics).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Since the start.
    pub uptime_ms: u64,
    /// Connections now.
    pub connections: u64,
    /// Publishers now, those of openrtmp_publisher_open() included.
    pub publishers: u64,
    /// Players now, waiting ones included.
    pub subscribers: u64,
    /// Streams now.
    pub streams: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused at a limit.
    pub refused: u64,
    /// Bytes read from sockets.
    pub bytes_in: u64,
    /// Bytes written to sockets.
    pub bytes_out: u64,
    /// Bit/s read, over the last seconds.
    pub bitrate_in: u64,
    /// Bit/s written, over the last seconds.
    pub bitrate_out: u64,
    /// Frames that slow players did not get.
    pub dropped_frames: u64,
    /// Bytes held for peers.
    pub memory: u64,
    /// Peers that broke the protocol.
    pub errors_protocol: u64,
    /// Peers that did not get on in time.
    pub errors_timeout: u64,
    /// Sockets that failed.
    pub errors_network: u64,
    /// Requests refused.
    pub errors_refused: u64,
    /// Players disconnected for taking nothing.
    pub errors_too_slow: u64,
    /// Bugs of this library, caught.
    pub errors_internal: u64,
    /// From a frame's arrival to its last byte handed to a player's socket, half of all
    /// frames of the last one to two minutes, to within a quarter.
    pub delay_p50_us: u64,
    /// 95 % of them.
    pub delay_p95_us: u64,
    /// 99 % of them.
    pub delay_p99_us: u64,
    /// How many they are.
    pub delay_frames: u64,
    /// Of errors_refused, those that came with a wrong key, or with none where one is
    /// needed.
    pub errors_wrong_keys: u64,
    /// Rules by which streams are relayed, now.
    pub relays_rules: u64,
    /// Streams of theirs that are tried again soon.
    pub relays_waiting: u64,
    /// Those whose connection is being made.
    pub relays_connecting: u64,
    /// Those that the other server granted.
    pub relays_running: u64,
    /// Those for which nothing is tried.
    pub relays_parked: u64,
    /// Connections to other servers that relays tried.
    pub relays_attempts: u64,
    /// Those that failed or broke.
    pub relays_failures: u64,
    /// Messages of media that came from other servers.
    pub relays_messages_in: u64,
    /// Those that were passed on to other servers.
    pub relays_messages_out: u64,
    /// Messages of a type that is not known, left out.
    pub ignored_unknown: u64,
    /// Commands that cannot be read, left out.
    pub ignored_unreadable: u64,
    /// Media where nothing is published, more of it than may wait, and data that no player
    /// can read, left out.
    pub ignored_dropped: u64,
    /// Log records that were held back ("limits.log_lines").
    pub log_lines_suppressed: u64,
}

// SAFETY: integers without padding.
unsafe impl Versioned for OpenrtmpMetrics {
    const FIRST: usize = size_of::<OpenrtmpMetrics>();
}

pub(crate) fn micros(milliseconds: f64) -> u64 {
    (milliseconds * 1000.0) as u64
}

/// Takes the numbers. Asks each worker thread, and waits at most 1 s for one that is
/// busy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_metrics(
    server: *const OpenrtmpServer,
    out_metrics: *mut OpenrtmpMetrics,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe {
            fillable(out_metrics)?;
            borrow(server)?.running()?
        };
        let m = server.metrics();
        let filled = OpenrtmpMetrics {
            struct_size: 0,
            reserved: 0,
            uptime_ms: (m.uptime_seconds * 1000.0) as u64,
            connections: m.connections as u64,
            publishers: m.publishers as u64,
            subscribers: m.subscribers as u64,
            streams: m.streams.len() as u64,
            accepted: m.accepted,
            refused: m.refused,
            bytes_in: m.bytes_in,
            bytes_out: m.bytes_out,
            bitrate_in: m.bitrate_in,
            bitrate_out: m.bitrate_out,
            dropped_frames: m.dropped_frames,
            memory: m.memory as u64,
            errors_protocol: m.errors.protocol,
            errors_timeout: m.errors.timeout,
            errors_network: m.errors.network,
            errors_refused: m.errors.refused,
            errors_too_slow: m.errors.too_slow,
            errors_internal: m.errors.internal,
            delay_p50_us: micros(m.delay.p50_ms),
            delay_p95_us: micros(m.delay.p95_ms),
            delay_p99_us: micros(m.delay.p99_ms),
            delay_frames: m.delay.frames,
            errors_wrong_keys: m.errors.wrong_keys,
            relays_rules: m.relays.rules as u64,
            relays_waiting: m.relays.waiting as u64,
            relays_connecting: m.relays.connecting as u64,
            relays_running: m.relays.running as u64,
            relays_parked: m.relays.parked as u64,
            relays_attempts: m.relays.attempts,
            relays_failures: m.relays.failures,
            relays_messages_in: m.relays.messages_in,
            relays_messages_out: m.relays.messages_out,
            ignored_unknown: m.ignored.unknown,
            ignored_unreadable: m.ignored.unreadable,
            ignored_dropped: m.ignored.dropped,
            log_lines_suppressed: m.log_lines_suppressed,
        };
        // SAFETY: the contract of the header.
        unsafe { fill(out_metrics, &filled) }
    })
}

/// Writes all numbers, those of each worker, stream, connection and player too, as a
/// JSON object. They change from call to call: give the buffer room to spare.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_metrics_json(
    server: *const OpenrtmpServer,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        let json = server.metrics().to_json();
        // SAFETY: the contract of the header.
        unsafe { copy_out(&json, buffer, capacity, out_length) }
    })
}

/// Writes the numbers of the server and of its streams as text for Prometheus (text format
/// 0.0.4). "metrics.streams" streams have series of their own, those that came first; the
/// others share series. In labels stands what the names of streams show: keys masked, cut
/// after 128 characters, nothing that could be taken for another line. They change from call
/// to call: give the buffer room to spare.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_metrics_text(
    server: *const OpenrtmpServer,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        let text = server.metrics().to_prometheus();
        // SAFETY: the contract of the header.
        unsafe { copy_out(&text, buffer, capacity, out_length) }
    })
}
