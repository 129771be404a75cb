//! Numbers: one snapshot, typed, and as JSON.
//!
//! Counters live where they are counted, as plain integers of one worker; a
//! snapshot asks each worker for its part, so that counting costs nothing.

use std::net::SocketAddr;
use std::time::Duration;

use openrtmp_protocol::Time;
use serde::{Serialize, Serializer};

use crate::id::{ConnectionId, StreamId};
use crate::secret::StreamName;
use crate::stream::tracks::Track;

/// The server at one moment. Counters grow from the start and never reset.
///
/// In JSON, numbers have the names that they have in C: times in whole milliseconds (`_ms`)
/// or microseconds (`_us`), `errors_` and `delay_` in front of what is in those groups, and
/// `_list` behind lists whose length has the name alone.
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
    pub ignored: IgnoredCounts,
    /// From a frame's arrival to its last byte handed to a player's socket. What a player
    /// gets from the cache as it joins is not counted.
    #[serde(flatten)]
    pub delay: DelayPercentiles,
    /// Per worker.
    #[serde(rename = "workers_list")]
    pub workers: Vec<WorkerMetrics>,
    /// Streams now.
    #[serde(rename = "streams")]
    pub stream_count: usize,
    /// Streams that are live or within their grace.
    #[serde(rename = "streams_list")]
    pub streams: Vec<StreamMetrics>,
    /// Connections.
    pub connections_list: Vec<ConnectionMetrics>,
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
            delay.merge(&report.delay);
            subscribers.append(&mut report.subscribers);
            self.add_worker(report);
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
        self.ignored.add(&part.ignored);
        self.dropped_frames += part.dropped_frames;
        self.workers.push(part.worker);
        self.streams.extend(part.streams);
        self.connections_list.extend(part.connections);
    }

    /// Puts subscribers, which may live on other workers, to their streams.
    fn add_subscribers(&mut self, subscribers: Vec<(StreamId, SubscriberMetrics)>) {
        for (id, subscriber) in subscribers {
            if let Some(stream) = self.streams.iter_mut().find(|s| s.id == id) {
                stream.subscribers.push(subscriber);
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
pub struct IgnoredCounts {
    /// Of a type that is not known.
    pub unknown: u64,
    /// Commands that cannot be read.
    pub unreadable: u64,
    /// Media where nothing is published, more of it than may wait, and data that no
    /// player can read.
    pub dropped: u64,
}

impl IgnoredCounts {
    pub(crate) fn add(&mut self, other: &IgnoredCounts) {
        self.unknown += other.unknown;
        self.unreadable += other.unreadable;
        self.dropped += other.dropped;
    }
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
    /// Milliseconds from `play` to the first key frame (or audio frame) queued.
    pub join_ms: Option<u64>,
    /// From a frame's arrival to its last byte handed to the socket.
    #[serde(flatten)]
    pub delay: DelayPercentiles,
}

fn milliseconds<S: Serializer>(seconds: &f64, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64((seconds * 1000.0) as u64)
}

fn microseconds<S: Serializer>(milliseconds: &f64, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64((milliseconds * 1000.0) as u64)
}

/// What one worker knows.
#[derive(Debug, Default)]
pub(crate) struct WorkerReport {
    pub(crate) worker: WorkerMetrics,
    pub(crate) errors: ErrorCounts,
    pub(crate) ignored: IgnoredCounts,
    pub(crate) dropped_frames: u64,
    pub(crate) delay: DelayHistogram,
    pub(crate) streams: Vec<StreamMetrics>,
    pub(crate) connections: Vec<ConnectionMetrics>,
    pub(crate) subscribers: Vec<(StreamId, SubscriberMetrics)>,
}

/// Percentiles of a delay in milliseconds, to within a quarter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DelayPercentiles {
    /// Half of the frames were faster.
    #[serde(rename = "delay_p50_us", serialize_with = "microseconds")]
    pub p50_ms: f64,
    /// 95 % were.
    #[serde(rename = "delay_p95_us", serialize_with = "microseconds")]
    pub p95_ms: f64,
    /// 99 % were.
    #[serde(rename = "delay_p99_us", serialize_with = "microseconds")]
    pub p99_ms: f64,
    /// Frames counted.
    #[serde(rename = "delay_frames")]
    pub frames: u64,
}

/// Counts delays in buckets that grow by about a quarter: four to an octave from
/// 16 us to 17 s.
#[derive(Clone, Debug)]
pub(crate) struct DelayHistogram {
    buckets: [u32; DelayHistogram::BUCKETS],
    /// What arrived by then was kept for whoever joins, and has no delay to speak of.
    joined: Time,
}

impl DelayHistogram {
    const BUCKETS: usize = 81;

    /// A player joins: it gets what was kept.
    pub(crate) fn join(&mut self, now: Time) {
        self.joined = now;
    }

    /// A frame that arrived at one time was sent at another.
    pub(crate) fn record_sent(&mut self, received: Time, now: Time) {
        if received > self.joined {
            self.record(now.since(received));
        }
    }

    fn record(&mut self, delay: Duration) {
        let micros = (delay.as_micros() as u64).max(16);
        let octave = micros.ilog2();
        let quarter = (micros >> (octave - 2)) & 3;
        let index = ((octave - 4) as usize * 4 + quarter as usize).min(Self::BUCKETS - 1);
        self.buckets[index] = self.buckets[index].saturating_add(1);
    }

    pub(crate) fn merge(&mut self, other: &DelayHistogram) {
        for (a, b) in self.buckets.iter_mut().zip(&other.buckets) {
            *a = a.saturating_add(*b);
        }
    }

    pub(crate) fn percentiles(&self) -> DelayPercentiles {
        let frames: u64 = self.buckets.iter().map(|&n| u64::from(n)).sum();
        let at = |share: f64| {
            let rank = (frames as f64 * share).ceil() as u64;
            let mut seen = 0;
            for (index, &n) in self.buckets.iter().enumerate() {
                seen += u64::from(n);
                if n > 0 && seen >= rank {
                    let (octave, quarter) = (index / 4 + 4, index % 4);
                    // The bucket's upper end: never promise less than was seen.
                    return ((1u64 << octave) as f64 * (1.0 + (quarter + 1) as f64 / 4.0)) / 1000.0;
                }
            }
            0.0
        };
        DelayPercentiles {
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            frames,
        }
    }
}

impl Default for DelayHistogram {
    fn default() -> DelayHistogram {
        DelayHistogram {
            buckets: [0; DelayHistogram::BUCKETS],
            joined: Time::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_quarter() {
        let mut histogram = DelayHistogram::default();
        for ms in 1..=100 {
            histogram.record(Duration::from_millis(ms));
        }
        let p = histogram.percentiles();
        assert!((50.0..=62.5).contains(&p.p50_ms), "{p:?}");
        assert!((99.0..=124.0).contains(&p.p99_ms), "{p:?}");
        assert_eq!(p.frames, 100);
    }

    #[test]
    fn extremes_have_a_bucket() {
        let mut histogram = DelayHistogram::default();
        histogram.record(Duration::ZERO);
        histogram.record(Duration::from_secs(3600));
        assert_eq!(histogram.percentiles().frames, 2);
    }

    #[test]
    fn a_snapshot_is_json() {
        let json: serde_json::Value =
            serde_json::from_str(&Metrics::default().to_json()).expect("valid JSON");
        assert_eq!(json["connections"], 0);
    }
}
