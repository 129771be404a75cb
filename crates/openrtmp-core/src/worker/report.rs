//! This worker's part of a metrics snapshot.

use super::Worker;
use crate::metrics::{
    ConnectionMetrics, DelayPercentiles, StreamMetrics, SubscriberMetrics, SubscriberReport,
    WorkerMetrics, WorkerReport,
};
use crate::mobile::PowerStats;
use crate::platform::Platform;

impl<P: Platform> Worker<P> {
    pub(crate) fn report(&self) -> WorkerReport {
        let context = &self.context;
        let now = context.now;
        let mut report = WorkerReport {
            worker: WorkerMetrics {
                worker: context.index,
                connections: self.connections.len()
                    + self.dialing.len()
                    + self.handoff.moving_to(context.index),
                turns: context.totals.turns,
                bytes_in: context.totals.bytes_in,
                bytes_out: context.totals.bytes_out,
                bitrate_in: context.totals.rate_in.bits_per_second(now),
                bitrate_out: context.totals.rate_out.bits_per_second(now),
            },
            errors: context.totals.errors,
            dropped_frames: context.totals.dropped_frames,
            power: PowerStats {
                wake_ups: context.totals.wake_ups,
                system_calls: context.totals.system_calls,
                active: context.totals.active,
            },
            of_connections: context.totals.of_connections,
            ended: context.totals.ended,
            ..WorkerReport::default()
        };
        for stream in self.streams.iter() {
            report.streams.push(StreamMetrics {
                id: stream.id,
                name: stream.name.clone(),
                uptime_seconds: now.since(stream.started).as_secs_f64(),
                live: stream.publisher.is_some(),
                connection: stream.connection(),
                taps: stream.taps.len(),
                bytes: stream.stats.bytes,
                bitrate: stream.stats.rate.bits_per_second(now),
                video_frames: stream.stats.video_frames,
                audio_frames: stream.stats.audio_frames,
                keyframes: stream.stats.keyframes,
                gaps: stream.stats.gaps,
                rebases: stream.stats.rebases,
                strays: stream.stats.strays,
                starved_frames: stream.stats.starved_frames,
                unfed_frames: stream.stats.unfed_frames,
                gop_bytes: stream.gop().bytes(),
                gop_frames: stream.gop().frames(),
                delay: DelayPercentiles::default(),
                has_series: stream.series.is_some(),
                tracks: stream.tracks().list().to_vec(),
                subscribers: Vec::new(),
            });
        }
        for connection in self.connections.iter() {
            report.of_connections.add(&connection.uncounted());
            report.connections.push(ConnectionMetrics {
                id: connection.cold.id,
                peer: connection.cold.peer,
                stage: connection.stage().as_str(),
                uptime_seconds: now.since(connection.cold.opened).as_secs_f64(),
                bytes_in: connection.cold.bytes_in,
                bytes_out: connection.bytes_out,
                queue_bytes: connection.queue.bytes(),
                publishes: connection
                    .cold
                    .publishing
                    .iter()
                    .map(|p| p.stream)
                    .collect(),
                plays: connection.cold.playing.iter().map(|p| p.stream).collect(),
            });
        }
        for (id, audience) in self.players.iter() {
            for subscriber in &audience.subscribers {
                report.dropped_frames += subscriber.gate.dropped();
                let Some(connection) = self.connections.get(subscriber.slot) else {
                    continue;
                };
                let Some(meter) = &connection.delay else {
                    continue;
                };
                let delay = meter.histogram(now);
                let first = connection.cold.playing.first();
                report.subscribers.push(SubscriberReport {
                    stream: id,
                    is_first: first.is_some_and(|playing| playing.join == subscriber.join),
                    subscriber: SubscriberMetrics {
                        connection: subscriber.connection,
                        queue_packets: connection.queue.len(),
                        queue_bytes: connection.queue.bytes(),
                        queue_delay_ms: connection.queue.delay(now).as_millis() as u64,
                        dropped_frames: subscriber.gate.dropped(),
                        messages: meter.sent().messages,
                        bytes: meter.sent().bytes,
                        join_ms: subscriber
                            .first_frame
                            .map(|at| at.since(subscriber.since).as_millis() as u64),
                        delay: delay.percentiles(),
                    },
                    delay,
                });
            }
        }
        report
    }
}
