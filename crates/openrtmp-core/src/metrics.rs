//! Numbers: one snapshot, typed, and as JSON.
//!
//! Counters live where they are counted, as plain integers of one worker; a
//! snapshot asks each worker for its part, so that counting costs nothing.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde::{Serialize, Serializer};

pub use crate::delay::DelayPercentiles;
use crate::delay::{DelayHistogram, Delayed};
use crate::id::{ConnectionId, StreamId};
use crate::mobile::terms::PowerStats;
use crate::secret::StreamName;
use crate::stream::stream::StreamStats;
use crate::stream::tracks::Track;

/// The server at one moment. Counters grow from the start and never reset.
///
/// In JSON, numbers have the names that they have in C: times in whole milliseconds (`_ms`)
/// or microseconds (`_us`), `errors_`, `ignored_`, `relays_` and `delay_` in front of what is
/// in those groups, and `_list` behind lists whose length has the name alone.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Since the start, seconds.
    #[serde(rename = "uptime_ms", serialize_with = "milliseconds")]
    pub uptime_seconds: f64,
    /// Connections now.
    pub connections: usize,
    /// Publishers now, the host's own included.
    pub publishers: usize,
    /// Players now, waiting ones included.
    pub subscribers: usize,
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
    /// Frames that recordings miss because the disk was too slow.
    pub recording_lost_frames: u64,
    /// Bytes of those.
    pub recording_lost_bytes: u64,
    /// Bytes held for peers (queues, caches, unfinished messages).
    pub memory: usize,
    /// Errors by category.
    #[serde(flatten)]
    pub errors: ErrorCounts,
    /// Messages that came to nothing, of peers that were put up with.
    #[serde(flatten)]
    pub ignored: IgnoredCounts,
    /// Log lines that were held back (`limits.log_lines`).
    pub log_lines_suppressed: u64,
    /// From a frame's arrival to its last byte handed to a player's socket, over the last
    /// one to two minutes of the players that there are. What a player gets from the cache as
    /// it joins is not counted.
    #[serde(flatten)]
    pub delay: DelayPercentiles,
    /// The same since the start, of all that there ever were.
    #[serde(skip)]
    pub(crate) delayed: Delayed,
    /// Streams passed on to other servers and fetched from them.
    #[serde(flatten)]
    pub relays: RelayCounts,
    /// Per worker.
    #[serde(rename = "workers_list")]
    pub workers: Vec<WorkerMetrics>,
    /// Streams now.
    #[serde(rename = "streams")]
    pub stream_count: usize,
    /// Streams that are live or within their grace.
    #[serde(rename = "streams_list")]
    pub streams: Vec<StreamMetrics>,
    /// Counts of streams that are over and had no series of their own.
    #[serde(skip)]
    pub(crate) ended: StreamTotals,
    /// Connections.
    pub connections_list: Vec<ConnectionMetrics>,
    /// Certificates that are shown.
    pub certificates_list: Vec<CertificateMetrics>,
}

impl Metrics {
    /// As one JSON object.
    pub fn to_json(&self) -> String {
        // Only maps with non-string keys and failing Serialize impls can fail; there are none.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Adds what the workers report, as they answer.
    pub(crate) fn with(mut self, reports: impl Iterator<Item = WorkerReport>) -> Metrics {
        let mut delay = DelayHistogram::default();
        let mut subscribers = Vec::new();
        for mut report in reports {
            subscribers.append(&mut report.subscribers);
            self.add_worker(report);
        }
        for subscriber in &subscribers {
            // Once for each connection.
            if subscriber.is_first {
                delay.merge(&subscriber.delay);
            }
        }
        self.delay = delay.percentiles();
        self.subscribers = subscribers.len();
        self.stream_count = self.streams.len();
        self.add_subscribers(subscribers);
        self.workers.sort_by_key(|w| w.worker);
        self
    }

    fn add_worker(&mut self, part: WorkerReport) {
        let w = &part.worker;
        self.connections += w.connections;
        self.bytes_in += w.bytes_in;
        self.bytes_out += w.bytes_out;
        self.bitrate_in += w.bitrate_in;
        self.bitrate_out += w.bitrate_out;
        self.errors.add(&part.errors);
        self.dropped_frames += part.dropped_frames;
        let counts = &part.of_connections;
        self.ignored.add(&counts.ignored);
        self.delayed.add(counts.delayed);
        self.relays.messages_in += counts.relayed_in;
        self.relays.messages_out += counts.relayed_out;
        self.ended.add(&part.ended);
        self.workers.push(part.worker);
        self.streams.extend(part.streams);
        self.connections_list.extend(part.connections);
    }

    /// Puts subscribers, which may live on other workers, to their streams.
    fn add_subscribers(&mut self, subscribers: Vec<SubscriberReport>) {
        let places = self.streams.iter().enumerate();
        let places: HashMap<StreamId, usize> = places.map(|(at, s)| (s.id, at)).collect();
        let mut delays: HashMap<StreamId, DelayHistogram> = HashMap::new();
        for report in subscribers {
            let Some(&place) = places.get(&report.stream) else {
                continue;
            };
            delays
                .entry(report.stream)
                .or_default()
                .merge(&report.delay);
            self.streams[place].subscribers.push(report.subscriber);
        }
        for stream in &mut self.streams {
            if let Some(delay) = delays.remove(&stream.id) {
                stream.delay = delay.percentiles();
            }
        }
    }
}

/// One worker.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Which.
    pub worker: usize,
    /// Connections it serves.
    pub connections: usize,
    /// Turns of its loop: returns from waiting.
    pub turns: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Bit/s read, over the last seconds.
    pub bitrate_in: u64,
    /// Bit/s written, over the last seconds.
    pub bitrate_out: u64,
}

/// Errors by category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErrorCounts {
    /// Peers that broke the protocol.
    #[serde(rename = "errors_protocol")]
    pub protocol: u64,
    /// Peers that did not get on in time.
    #[serde(rename = "errors_timeout")]
    pub timeout: u64,
    /// Sockets that failed.
    #[serde(rename = "errors_network")]
    pub network: u64,
    /// Requests refused.
    #[serde(rename = "errors_refused")]
    pub refused: u64,
    /// Of them, those that came with a wrong key, or with none where one is needed.
    #[serde(rename = "errors_wrong_keys")]
    pub wrong_keys: u64,
    /// Players disconnected for taking nothing.
    #[serde(rename = "errors_too_slow")]
    pub too_slow: u64,
    /// Panics caught: bugs of ours.
    #[serde(rename = "errors_internal")]
    pub internal: u64,
}

impl ErrorCounts {
    fn add(&mut self, other: &ErrorCounts) {
        self.protocol += other.protocol;
        self.timeout += other.timeout;
        self.network += other.network;
        self.refused += other.refused;
        self.wrong_keys += other.wrong_keys;
        self.too_slow += other.too_slow;
        self.internal += other.internal;
    }
}

/// Messages that came to nothing though the connection went on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IgnoredCounts {
    /// Of a type that is not known.
    #[serde(rename = "ignored_unknown")]
    pub unknown: u64,
    /// Commands that cannot be read.
    #[serde(rename = "ignored_unreadable")]
    pub unreadable: u64,
    /// Media where nothing is published, more of it than may wait, and data that no
    /// player can read.
    #[serde(rename = "ignored_dropped")]
    pub dropped: u64,
}

impl IgnoredCounts {
    pub(crate) fn add(&mut self, other: &IgnoredCounts) {
        self.unknown += other.unknown;
        self.unreadable += other.unreadable;
        self.dropped += other.dropped;
    }
}

/// Streams passed on to other servers and fetched from them, see
/// [`Server::relays`](crate::Server::relays) for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RelayCounts {
    /// Rules now.
    #[serde(rename = "relays_rules")]
    pub rules: usize,
    /// Streams of theirs that are tried again soon.
    #[serde(rename = "relays_waiting")]
    pub waiting: usize,
    /// Those whose connection is being made.
    #[serde(rename = "relays_connecting")]
    pub connecting: usize,
    /// Those that the other server granted.
    #[serde(rename = "relays_running")]
    pub running: usize,
    /// Those for which nothing is tried.
    #[serde(rename = "relays_parked")]
    pub parked: usize,
    /// Connections that were tried, since the start.
    #[serde(rename = "relays_attempts")]
    pub attempts: u64,
    /// Those that failed or broke, since the start.
    #[serde(rename = "relays_failures")]
    pub failures: u64,
    /// Messages of media that came from other servers, since the start.
    #[serde(rename = "relays_messages_in")]
    pub messages_in: u64,
    /// Those that were passed on to them.
    #[serde(rename = "relays_messages_out")]
    pub messages_out: u64,
}

/// One stream.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StreamMetrics {
    /// Which.
    #[serde(rename = "stream_id")]
    pub id: StreamId,
    /// Its path.
    pub name: StreamName,
    /// Seconds since it began.
    #[serde(rename = "uptime_ms", serialize_with = "milliseconds")]
    pub uptime_seconds: f64,
    /// False within the grace after a publisher left.
    pub live: bool,
    /// Who publishes it; `None` for the host itself, and for nobody.
    #[serde(rename = "connection_id")]
    pub connection: Option<ConnectionId>,
    /// Taps on it, recordings included.
    pub taps: usize,
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
    /// Gaps of a track over a second.
    pub gaps: u64,
    /// Times that the clock of a track was set, or was far from the other tracks', and
    /// the stream's went on.
    pub rebases: u64,
    /// Frames whose timestamps were far off and were replaced.
    pub strays: u64,
    /// Frames refused for lack of memory.
    pub starved_frames: u64,
    /// Messages that players on other workers did not get because their worker did not
    /// keep up; counted once for each such worker.
    pub unfed_frames: u64,
    /// Bytes in the GOP cache.
    pub gop_bytes: usize,
    /// Frames in the GOP cache.
    pub gop_frames: usize,
    /// As [`Metrics::delay`], of its players. What a connection gets that plays several
    /// streams counts for each of them.
    #[serde(flatten)]
    pub delay: DelayPercentiles,
    /// It has series of its own in the text for Prometheus.
    #[serde(skip)]
    pub(crate) has_series: bool,
    /// What it consists of.
    pub tracks: Vec<Track>,
    /// Who plays it.
    #[serde(rename = "subscribers_list")]
    pub subscribers: Vec<SubscriberMetrics>,
}

/// One connection.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ConnectionMetrics {
    /// Which.
    #[serde(rename = "connection_id")]
    pub id: ConnectionId,
    /// From where.
    pub peer: SocketAddr,
    /// How far it has come: handshake, connect, connected, publishing, playing.
    pub stage: &'static str,
    /// Seconds since it was accepted.
    #[serde(rename = "uptime_ms", serialize_with = "milliseconds")]
    pub uptime_seconds: f64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Bytes waiting to be written.
    pub queue_bytes: usize,
    /// Streams that it publishes.
    pub publishes: Vec<StreamId>,
    /// Streams that it plays.
    pub plays: Vec<StreamId>,
}

/// One player of one stream.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SubscriberMetrics {
    /// Its connection.
    #[serde(rename = "connection_id")]
    pub connection: ConnectionId,
    /// Packets waiting to be written.
    pub queue_packets: usize,
    /// Bytes waiting to be written.
    pub queue_bytes: usize,
    /// Milliseconds that the oldest droppable frame has waited.
    pub queue_delay_ms: u64,
    /// Frames it did not get because it was too slow.
    pub dropped_frames: u64,
    /// Messages of streams that its connection was sent whole.
    pub messages: u64,
    /// Their payload's bytes.
    pub bytes: u64,
    /// Milliseconds from `play` to the first key frame (or audio frame) queued.
    pub join_ms: Option<u64>,
    /// As [`Metrics::delay`], of its connection.
    #[serde(flatten)]
    pub delay: DelayPercentiles,
}

/// A certificate that is shown to peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CertificateMetrics {
    /// What it is for: the first of its names.
    pub certificate: String,
    /// Where it comes from.
    pub source: String,
    /// The last moment at which it is good, in seconds since 1970.
    pub expires_at: u64,
}

fn milliseconds<S: Serializer>(seconds: &f64, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64((seconds * 1000.0) as u64)
}

/// What one worker knows.
#[derive(Debug, Default)]
pub(crate) struct WorkerReport {
    pub(crate) worker: WorkerMetrics,
    pub(crate) errors: ErrorCounts,
    pub(crate) dropped_frames: u64,
    pub(crate) power: PowerStats,
    pub(crate) of_connections: ConnectionCounts,
    pub(crate) ended: StreamTotals,
    pub(crate) streams: Vec<StreamMetrics>,
    pub(crate) connections: Vec<ConnectionMetrics>,
    pub(crate) subscribers: Vec<SubscriberReport>,
}

/// A subscriber, and what belongs to its stream, which may live on another worker.
#[derive(Debug)]
pub(crate) struct SubscriberReport {
    pub(crate) stream: StreamId,
    /// The first of its connection.
    pub(crate) is_first: bool,
    pub(crate) delay: DelayHistogram,
    pub(crate) subscriber: SubscriberMetrics,
}

/// What is counted at connections. It belongs to the worker that they are on, and stays
/// with it when they go, so that what workers tell never falls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionCounts {
    pub(crate) ignored: IgnoredCounts,
    pub(crate) delayed: Delayed,
    /// Messages of media that came from other servers, and that were passed on to them.
    pub(crate) relayed_in: u64,
    pub(crate) relayed_out: u64,
}

impl ConnectionCounts {
    pub(crate) fn add(&mut self, other: &ConnectionCounts) {
        self.ignored.add(&other.ignored);
        self.delayed.add(other.delayed);
        self.relayed_in += other.relayed_in;
        self.relayed_out += other.relayed_out;
    }

    /// What has come to it since it was this.
    pub(crate) fn since(&self, before: &ConnectionCounts) -> ConnectionCounts {
        let (now, then) = (&self.ignored, &before.ignored);
        ConnectionCounts {
            ignored: IgnoredCounts {
                unknown: now.unknown - then.unknown,
                unreadable: now.unreadable - then.unreadable,
                dropped: now.dropped - then.dropped,
            },
            delayed: self.delayed.since(before.delayed),
            relayed_in: self.relayed_in - before.relayed_in,
            relayed_out: self.relayed_out - before.relayed_out,
        }
    }
}

/// What was counted of a stream, or of several: nothing of it ever falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamTotals {
    pub(crate) bytes: u64,
    pub(crate) video_frames: u64,
    pub(crate) audio_frames: u64,
    pub(crate) keyframes: u64,
    pub(crate) gaps: u64,
    pub(crate) rebases: u64,
    pub(crate) strays: u64,
    pub(crate) starved_frames: u64,
    pub(crate) unfed_frames: u64,
}

impl StreamTotals {
    pub(crate) fn add(&mut self, other: &StreamTotals) {
        self.bytes += other.bytes;
        self.video_frames += other.video_frames;
        self.audio_frames += other.audio_frames;
        self.keyframes += other.keyframes;
        self.gaps += other.gaps;
        self.rebases += other.rebases;
        self.strays += other.strays;
        self.starved_frames += other.starved_frames;
        self.unfed_frames += other.unfed_frames;
    }
}

impl From<&StreamMetrics> for StreamTotals {
    fn from(stream: &StreamMetrics) -> StreamTotals {
        StreamTotals {
            bytes: stream.bytes,
            video_frames: stream.video_frames,
            audio_frames: stream.audio_frames,
            keyframes: stream.keyframes,
            gaps: stream.gaps,
            rebases: stream.rebases,
            strays: stream.strays,
            starved_frames: stream.starved_frames,
            unfed_frames: stream.unfed_frames,
        }
    }
}

impl From<&StreamStats> for StreamTotals {
    fn from(stats: &StreamStats) -> StreamTotals {
        StreamTotals {
            bytes: stats.bytes,
            video_frames: stats.video_frames,
            audio_frames: stats.audio_frames,
            keyframes: stats.keyframes,
            gaps: stats.gaps,
            rebases: stats.rebases,
            strays: stats.strays,
            starved_frames: stats.starved_frames,
            unfed_frames: stats.unfed_frames,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_json() {
        let json: serde_json::Value =
            serde_json::from_str(&Metrics::default().to_json()).expect("valid JSON");
        assert_eq!(json["connections"], 0);
    }
}
