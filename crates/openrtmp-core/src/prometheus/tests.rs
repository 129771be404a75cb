use std::collections::BTreeSet;

use super::*;
use crate::delay::DelayPercentiles;
use crate::id::Ids;

fn stream(ids: &Ids, name: &str, bytes: u64) -> StreamMetrics {
    StreamMetrics {
        id: ids.stream(),
        name: StreamName::plain(name),
        uptime_seconds: 1.5,
        live: true,
        connection: None,
        taps: 0,
        bytes,
        bitrate: 0,
        video_frames: 0,
        audio_frames: 0,
        keyframes: 0,
        gaps: 0,
        rebases: 0,
        strays: 0,
        starved_frames: 0,
        unfed_frames: 0,
        gop_bytes: 0,
        gop_frames: 0,
        delay: DelayPercentiles::default(),
        has_series: false,
        tracks: Vec::new(),
        subscribers: Vec::new(),
    }
}

fn text(names: &[&str], most: usize) -> String {
    let ids = Ids::default();
    let streams = names.iter().zip(1..);
    let mut series = Series::default();
    let streams = streams.map(|(name, n)| {
        let mut stream = stream(&ids, name, n);
        stream.has_series = series.take(&stream.name, most).is_some();
        stream
    });
    let metrics = Metrics {
        streams: streams.collect(),
        ..Metrics::default()
    };
    metrics.to_prometheus()
}

/// Lines of one number, without its name.
fn samples<'a>(text: &'a str, name: &'a str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']))
        .collect()
}

/// Reads a sample: its name with its labels, and its value.
fn read(line: &str) -> Option<(&str, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let name = series.split('{').next()?;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_right = !name.is_empty() && name.chars().all(is_name);
    Some((series, value.parse().ok().filter(|_| is_right)?))
}

const BYTES: &str = "openrtmp_stream_received_bytes_total";

#[test]
fn each_series_is_there_once_behind_its_help_and_type() {
    let text = text(&["live/a", "live/b"], 10);
    let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
    let mut family = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().expect("a name");
            assert!(families.insert(family), "{family} twice");
            let of = lines.next().expect("its type");
            let rest = of.strip_prefix(&format!("# TYPE {family} "));
            let is_counter = rest == Some("counter");
            assert!(rest.is_some(), "{of}");
            assert_eq!(is_counter, family.ends_with("_total"), "{family}");
        } else {
            let (name, value) = read(line).unwrap_or_else(|| panic!("{line}"));
            assert!(name.starts_with(family), "{line}");
            assert!(value.is_finite() && series.insert(name), "{line}");
        }
    }
    assert_eq!(
        samples(&text, BYTES),
        ["{stream=\"live/a\"} 1", "{stream=\"live/b\"} 2",]
    );
    assert_eq!(samples(&text, "openrtmp_connections"), [" 0"]);
    assert!(families.len() > 30 && text.ends_with('\n'));
}

#[test]
fn a_name_forges_nothing() {
    let evil = [
        "live/a\"} 1\nopenrtmp_connections 99999\n# ",
        "live/\\",
        "live/\\\" x",
        "live/\r\u{1b}[2J\0",
        "live/ünï{code=\"x\"}",
    ];
    let text = text(&evil, 10);
    assert_eq!(samples(&text, "openrtmp_connections"), [" 0"]);
    assert_eq!(
        samples(&text, BYTES),
        [
            "{stream=\"live/a\\\"} 1\\\\nopenrtmp_connections 99999\\\\n# \"} 1",
            "{stream=\"live/\\\\\"} 2",
            "{stream=\"live/\\\\\\\" x\"} 3",
            "{stream=\"live/\\\\r\\\\u{1b}[2J\\\\u{0}\"} 4",
            "{stream=\"live/ünï{code=\\\"x\\\"}\"} 5",
        ]
    );
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn there_are_no_more_series_than_allowed_however_many_streams() {
    let names: Vec<String> = (1..=5000).map(|n| format!("live/{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shown = samples(&text(&names, 3), BYTES).join("\n");
    let others: u64 = (4..=5000).sum();
    let expected = format!(
        "{{stream=\"live/1\"}} 1\n{{stream=\"live/2\"}} 2\n{{stream=\"live/3\"}} 3\n\
         {{others=\"true\"}} {others}"
    );
    assert_eq!(shown, expected);
    assert_eq!(
        samples(&text(&names[..1], 0), BYTES),
        ["{others=\"true\"} 1"]
    );
    assert_eq!(samples(&text(&[], 3), BYTES).len(), 0);
}

#[test]
fn of_streams_that_show_the_same_one_has_series() {
    let long = format!("live/{}", "x".repeat(4000));
    let longer = format!("{long}y");
    let text = text(&[&long, "live/b", &longer], 3);
    let cut = &long[..LONGEST_LABEL];
    let expected = [
        format!("{{stream=\"{cut}\"}} 1"),
        "{stream=\"live/b\"} 2".to_owned(),
        "{others=\"true\"} 3".to_owned(),
    ];
    assert_eq!(samples(&text, BYTES), expected);
}

#[test]
fn no_counter_falls_when_a_stream_ends_and_none_moves_to_another_series() {
    let (ids, mut series) = (Ids::default(), Series::default());
    let name = StreamName::plain;
    let first = series.take(&name("live/a"), 1).expect("there is room");
    assert_eq!(series.take(&name("live/b"), 1), None, "there is none");
    let (mut a, b) = (stream(&ids, "live/a", 5), stream(&ids, "live/b", 7));
    a.has_series = true;
    let mut metrics = Metrics {
        streams: vec![a, b],
        ..Metrics::default()
    };
    let both = ["{stream=\"live/a\"} 5", "{others=\"true\"} 7"];
    assert_eq!(samples(&metrics.to_prometheus(), BYTES), both);
    // Its room is for who comes next, not for who is there.
    series.give_back(&first);
    metrics.streams.remove(0);
    assert_eq!(samples(&metrics.to_prometheus(), BYTES), both[1..]);
    metrics.ended.add(&(&metrics.streams[0]).into());
    metrics.streams.clear();
    assert_eq!(samples(&metrics.to_prometheus(), BYTES), both[1..]);
    assert!(series.take(&name("live/c"), 1).is_some());
}

#[test]
fn a_stream_s_delay_is_told_while_somebody_plays() {
    let ids = Ids::default();
    let mut stream = stream(&ids, "live/a", 1);
    stream.has_series = true;
    (stream.delay.frames, stream.delay.p99_ms) = (3, 250.0);
    let mut metrics = Metrics {
        streams: vec![stream],
        ..Metrics::default()
    };
    (metrics.delayed.frames, metrics.delayed.micros) = (1000, 2_500_000);
    let text = metrics.to_prometheus();
    let told = samples(&text, "openrtmp_stream_delay_seconds");
    assert_eq!(told[1], "{stream=\"live/a\",quantile=\"0.99\"} 0.25");
    assert_eq!(samples(&text, "openrtmp_delay_seconds_sum"), [" 2.5"]);
    assert_eq!(samples(&text, "openrtmp_delay_seconds_count"), [" 1000"]);
    metrics.streams[0].delay.frames = 0;
    let text = metrics.to_prometheus();
    assert!(samples(&text, "openrtmp_stream_delay_seconds").is_empty());
}

#[test]
fn relays_are_told_of_by_state() {
    let mut metrics = Metrics::default();
    (metrics.relays.running, metrics.relays.failures) = (3, 7);
    let text = metrics.to_prometheus();
    let states = samples(&text, "openrtmp_relayed_streams");
    assert_eq!(states.len(), 4);
    assert!(states.contains(&"{state=\"running\"} 3"), "{states:?}");
    assert_eq!(samples(&text, "openrtmp_relay_failures_total"), [" 7"]);
}
