//! Numbers as text for Prometheus (its text format 0.0.4).
//!
//! Series are of the server and of its streams, of which there are no more than the settings
//! allow: publishers choose their names. A counter never falls as long as its series is
//! there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Write as _};

use crate::metrics::{Metrics, StreamMetrics, StreamTotals};
use crate::secret::StreamName;

/// Characters of a stream's name that stand in a label.
const LONGEST_LABEL: usize = 128;

/// What a number is (the types of the format).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Counter,
    Gauge,
    Summary,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Summary => "summary",
        }
    }
}

use Type::{Counter, Gauge, Summary};

/// The streams that have series of their own: those that came when there was room for them,
/// until they are over. So no stream moves from one series to another.
#[derive(Debug, Default)]
pub(crate) struct Series(HashSet<String>);

impl Series {
    /// A stream begins, of which `most` may have some. What to give back, if it has.
    pub(crate) fn take(&mut self, name: &StreamName, most: usize) -> Option<String> {
        let label = label(name);
        let has_room = self.0.len() < most;
        (has_room && self.0.insert(label.clone())).then_some(label)
    }

    /// A stream that had some is over.
    pub(crate) fn give_back(&mut self, label: &str) {
        self.0.remove(label);
    }
}

/// One number of each stream: its name, what it tells, and where it is.
type Column<Of, Number> = (&'static str, &'static str, fn(&Of) -> Number);

/// How things are with each stream: those of streams that share a line are added up.
const GAUGES: &[Column<StreamMetrics, f64>] = &[
    (
        "openrtmp_stream_live",
        "Streams of this name with a publisher.",
        |s| f64::from(u8::from(s.live)),
    ),
    (
        "openrtmp_stream_uptime_seconds",
        "Since the stream began.",
        |s| s.uptime_seconds,
    ),
    (
        "openrtmp_stream_subscribers",
        "Players of the stream.",
        |s| s.subscribers.len() as f64,
    ),
    (
        "openrtmp_stream_taps",
        "Taps on the stream, recordings included.",
        |s| s.taps as f64,
    ),
    (
        "openrtmp_stream_gop_bytes",
        "Bytes in the GOP cache.",
        |s| s.gop_bytes as f64,
    ),
];

/// What was counted of each stream. What streams counted that are over stays with those that
/// have no series of their own.
const COUNTERS: &[Column<StreamTotals, u64>] = &[
    (
        "openrtmp_stream_received_bytes_total",
        "Payload bytes published.",
        |s| s.bytes,
    ),
    (
        "openrtmp_stream_video_frames_total",
        "Video frames published.",
        |s| s.video_frames,
    ),
    (
        "openrtmp_stream_audio_frames_total",
        "Audio frames published.",
        |s| s.audio_frames,
    ),
    (
        "openrtmp_stream_keyframes_total",
        "Key frames published.",
        |s| s.keyframes,
    ),
    (
        "openrtmp_stream_gaps_total",
        "Gaps of a track over a second.",
        |s| s.gaps,
    ),
    (
        "openrtmp_stream_clock_resets_total",
        "Times that the clock of a track was set anew.",
        |s| s.rebases,
    ),
    (
        "openrtmp_stream_stray_frames_total",
        "Frames whose timestamps were replaced.",
        |s| s.strays,
    ),
    (
        "openrtmp_stream_starved_frames_total",
        "Frames refused for lack of memory.",
        |s| s.starved_frames,
    ),
    (
        "openrtmp_stream_unfed_frames_total",
        "Messages that another worker did not keep up with.",
        |s| s.unfed_frames,
    ),
];

impl Metrics {
    /// As text for Prometheus (`text/plain; version=0.0.4`), names by its conventions: those
    /// of the server, and of as many streams as `metrics.streams` says, those that came first.
    /// The others share series of their own, which have the label `others` in place of
    /// `stream`, and keep what was counted of those that are over.
    ///
    /// In a label stands what is shown of a stream's name: keys masked, control characters
    /// escaped, cut after 128 characters.
    pub fn to_prometheus(&self) -> String {
        let mut text = Text::default();
        self.write_server(&mut text);
        let rows = Rows::new(&self.streams);
        for &(name, help, value) in GAUGES {
            text.family(name, Gauge, help);
            let sum = |members: &[&StreamMetrics]| members.iter().map(|s| value(s)).sum();
            for (label, members) in &rows.named {
                text.sample(name, "", &[("stream", label)], sum(members));
            }
            if !rows.others.is_empty() {
                text.sample(name, "", &[("others", "true")], sum(&rows.others));
            }
        }
        let total = |members: &[&StreamMetrics], before: StreamTotals| {
            let mut total = before;
            members
                .iter()
                .for_each(|stream| total.add(&(*stream).into()));
            total
        };
        let named: Vec<(&String, StreamTotals)> = rows
            .named
            .iter()
            .map(|(label, members)| (label, total(members, StreamTotals::default())))
            .collect();
        let others = total(&rows.others, self.ended);
        let has_others = !rows.others.is_empty() || self.ended != StreamTotals::default();
        for &(name, help, value) in COUNTERS {
            text.family(name, Counter, help);
            for (label, total) in &named {
                text.sample(name, "", &[("stream", label)], value(total) as f64);
            }
            if has_others {
                text.sample(name, "", &[("others", "true")], value(&others) as f64);
            }
        }
        let name = "openrtmp_stream_delay_seconds";
        text.family(
            name,
            Summary,
            "As openrtmp_delay_seconds, of the stream's players now.",
        );
        for (label, members) in &rows.named {
            // Streams that show the same are one in a thousand.
            if let [stream] = members[..]
                && stream.delay.frames > 0
            {
                let d = &stream.delay;
                for (quantile, ms) in [("0.5", d.p50_ms), ("0.99", d.p99_ms)] {
                    let labels = [("stream", label.as_str()), ("quantile", quantile)];
                    text.sample(name, "", &labels, ms / 1000.0);
                }
            }
        }
        text.0
    }

    fn write_server(&self, text: &mut Text) {
        let version = env!("CARGO_PKG_VERSION");
        let name = "openrtmp_build_info";
        text.family(name, Gauge, "The version, as a label.");
        text.sample(name, "", &[("version", version)], 1.0);
        for (name, help, value) in [
            (
                "openrtmp_uptime_seconds",
                "Since the start.",
                self.uptime_seconds,
            ),
            (
                "openrtmp_workers",
                "Workers that answer.",
                self.workers.len() as f64,
            ),
            (
                "openrtmp_connections",
                "Connections now.",
                self.connections as f64,
            ),
            (
                "openrtmp_publishers",
                "Publishers now.",
                self.publishers as f64,
            ),
            (
                "openrtmp_subscribers",
                "Players now, waiting ones included.",
                self.subscribers as f64,
            ),
            ("openrtmp_streams", "Streams now.", self.stream_count as f64),
            (
                "openrtmp_relay_rules",
                "Rules by which streams are relayed.",
                self.relays.rules as f64,
            ),
            (
                "openrtmp_memory_bytes",
                "Bytes held for peers.",
                self.memory as f64,
            ),
        ] {
            text.family(name, Gauge, help);
            text.sample(name, "", &[], value);
        }
        for (name, help, value) in [
            (
                "openrtmp_connections_accepted_total",
                "Connections accepted.",
                self.accepted,
            ),
            (
                "openrtmp_connections_refused_total",
                "Connections refused at a limit.",
                self.refused,
            ),
            (
                "openrtmp_received_bytes_total",
                "Bytes read from sockets.",
                self.bytes_in,
            ),
            (
                "openrtmp_sent_bytes_total",
                "Bytes written to sockets.",
                self.bytes_out,
            ),
            (
                "openrtmp_dropped_frames_total",
                "Frames that slow players did not get.",
                self.dropped_frames,
            ),
            (
                "openrtmp_recording_lost_frames_total",
                "Frames that recordings miss because the disk was too slow.",
                self.recording_lost_frames,
            ),
            (
                "openrtmp_recording_lost_bytes_total",
                "Bytes of those.",
                self.recording_lost_bytes,
            ),
            (
                "openrtmp_wrong_keys_total",
                "Requests refused for a wrong key or none.",
                self.errors.wrong_keys,
            ),
            (
                "openrtmp_relay_attempts_total",
                "Connections to other servers that relays tried.",
                self.relays.attempts,
            ),
            (
                "openrtmp_relay_failures_total",
                "Those that failed or broke.",
                self.relays.failures,
            ),
            (
                "openrtmp_log_lines_suppressed_total",
                "Log lines that were held back (limits.log_lines).",
                self.log_lines_suppressed,
            ),
        ] {
            text.family(name, Counter, help);
            text.sample(name, "", &[], value as f64);
        }
        let r = &self.relays;
        let name = "openrtmp_relayed_streams";
        text.family(name, Gauge, "Streams of relays by state.");
        for (state, count) in [
            ("waiting", r.waiting),
            ("connecting", r.connecting),
            ("running", r.running),
            ("parked", r.parked),
        ] {
            text.sample(name, "", &[("state", state)], count as f64);
        }
        let name = "openrtmp_relayed_messages_total";
        text.family(name, Counter, "Messages of media that relays moved.");
        for (direction, count) in [("in", r.messages_in), ("out", r.messages_out)] {
            text.sample(name, "", &[("direction", direction)], count as f64);
        }
        let name = "openrtmp_certificate_expiry_timestamp_seconds";
        text.family(
            name,
            Gauge,
            "The last moment at which a certificate is good.",
        );
        // One line for those that look alike: that which is over first.
        let mut ends = BTreeMap::new();
        for c in &self.certificates_list {
            let end = ends
                .entry((&c.certificate, &c.source))
                .or_insert(c.expires_at);
            *end = c.expires_at.min(*end);
        }
        for ((certificate, source), end) in ends {
            let labels = [("certificate", certificate.as_str()), ("source", source)];
            text.sample(name, "", &labels, end as f64);
        }
        let e = &self.errors;
        let kinds = [
            ("protocol", e.protocol),
            ("timeout", e.timeout),
            ("network", e.network),
            ("refused", e.refused),
            ("too_slow", e.too_slow),
            ("internal", e.internal),
        ];
        text.kinds("openrtmp_errors_total", "Errors by category.", &kinds);
        let i = &self.ignored;
        let kinds = [
            ("unknown", i.unknown),
            ("unreadable", i.unreadable),
            ("dropped", i.dropped),
        ];
        let name = "openrtmp_ignored_messages_total";
        text.kinds(name, "Messages that came to nothing.", &kinds);
        let name = "openrtmp_delay_seconds";
        let help = "From a frame's arrival to its last byte handed to a player's socket.";
        text.family(name, Summary, help);
        let d = &self.delay;
        for (quantile, ms) in [("0.5", d.p50_ms), ("0.95", d.p95_ms), ("0.99", d.p99_ms)] {
            text.sample(name, "", &[("quantile", quantile)], ms / 1000.0);
        }
        let delayed = self.delayed;
        text.sample(name, "_sum", &[], delayed.micros as f64 / 1e6);
        text.sample(name, "_count", &[], delayed.frames as f64);
    }
}

/// Streams by the series that they have.
struct Rows<'a> {
    named: Vec<(String, Vec<&'a StreamMetrics>)>,
    others: Vec<&'a StreamMetrics>,
}

impl<'a> Rows<'a> {
    fn new(streams: &'a [StreamMetrics]) -> Rows<'a> {
        let mut by_age: Vec<&StreamMetrics> = streams.iter().collect();
        by_age.sort_by_key(|stream| stream.id);
        let mut places = HashMap::new();
        let mut rows = Rows {
            named: Vec::new(),
            others: Vec::new(),
        };
        for stream in by_age {
            if !stream.has_series {
                rows.others.push(stream);
                continue;
            }
            // What is shown of a name may be less by now.
            let label = label(&stream.name);
            match places.get(&label) {
                Some(place) => {
                    let (_, members): &mut (String, Vec<_>) = &mut rows.named[*place];
                    members.push(stream);
                }
                None => {
                    places.insert(label.clone(), rows.named.len());
                    rows.named.push((label, vec![stream]));
                }
            }
        }
        rows
    }
}

/// What of a name stands in a label. What is shown of names has no control characters.
fn label(name: &StreamName) -> String {
    let shown = name.to_string();
    shown.chars().take(LONGEST_LABEL).collect()
}

/// The text so far. Writing to a String cannot fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, of: Type, help: &str) {
        let of = of.name();
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {of}");
    }

    /// `suffix` is what stands behind the family's name.
    fn sample(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.0, "{name}{suffix}");
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", Escaped(text));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    fn kinds(&mut self, name: &str, help: &str, kinds: &[(&str, u64)]) {
        self.family(name, Counter, help);
        for (kind, value) in kinds {
            self.sample(name, "", &[("kind", kind)], *value as f64);
        }
    }
}

/// The value of a label, so that it ends where it ends.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
