//! What a server answers, as people read it.

use std::fmt;
use std::time::Duration;

use openrtmp_core::protocol::text::shown;
use serde_json::Value;

use crate::units::{bit_rate, clock, size};

/// Columns under their names.
pub(super) struct Table {
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new<'a>(
        head: &'static [&'static str],
        list: &'a Value,
        row: impl Fn(&'a Value) -> Vec<String>,
    ) -> Table {
        let rows = list.as_array().into_iter().flatten().map(row).collect();
        Table { head, rows }
    }

    pub(super) fn of_streams(result: &Value) -> Table {
        let head = &[
            "id", "stream", "state", "time", "by", "players", "rate", "tracks",
        ];
        Table::new(head, &result["streams"], |stream| {
            let live = stream["live"] == true;
            vec![
                text(&stream["stream_id"]),
                text(&stream["name"]),
                if live { "live" } else { "waits" }.to_owned(),
                time(&stream["uptime_ms"]),
                match &stream["connection_id"] {
                    Value::Null if live => "host".to_owned(),
                    id => text(id),
                },
                length(&stream["subscribers_list"]),
                bit_rate(stream["bitrate"].as_f64().unwrap_or_default()),
                joined(&stream["tracks"], track),
            ]
        })
    }

    pub(super) fn of_connections(result: &Value) -> Table {
        let head = &[
            "id",
            "peer",
            "stage",
            "time",
            "in",
            "out",
            "waiting",
            "publishes",
            "plays",
        ];
        Table::new(head, &result["connections"], |connection| {
            vec![
                text(&connection["connection_id"]),
                text(&connection["peer"]),
                text(&connection["stage"]),
                time(&connection["uptime_ms"]),
                bytes(&connection["bytes_in"]),
                bytes(&connection["bytes_out"]),
                bytes(&connection["queue_bytes"]),
                joined(&connection["publishes"], text),
                joined(&connection["plays"], text),
            ]
        })
    }

    pub(super) fn of_keys(result: &Value) -> Table {
        Table::new(
            &["id", "kind", "streams", "expires"],
            &result["keys"],
            |key| {
                let (app, stream) = (text(&key["app"]), text(&key["stream"]));
                vec![
                    text(&key["id"]),
                    text(&key["kind"]),
                    format!("{app}/{stream}"),
                    key["expires"].as_str().unwrap_or("never").to_owned(),
                ]
            },
        )
    }

    /// A row for each stream, and for each rule that has none.
    pub(super) fn of_relays(result: &Value) -> Table {
        let head = &[
            "id",
            "way",
            "match",
            "url",
            "by",
            "stream",
            "state",
            "last error",
        ];
        let mut rows = Vec::new();
        for rule in result["relays"].as_array().into_iter().flatten() {
            let by = match rule["configured"] == true {
                true => "settings",
                false => "operator",
            };
            let front = [
                text(&rule["relay"]),
                text(&rule["direction"]),
                text(&rule["match"]),
                text(&rule["url"]),
                by.to_owned(),
            ];
            let streams = rule["streams"].as_array().into_iter().flatten();
            let mut of_streams: Vec<[String; 3]> = streams
                .map(|stream| {
                    let state = text(&stream["state"]);
                    let state = match stream["retry_in_ms"].as_u64() {
                        Some(ms) => format!("{state} {:.1?}", Duration::from_millis(ms)),
                        None => state,
                    };
                    [text(&stream["name"]), state, text(&stream["last_error"])]
                })
                .collect();
            if of_streams.is_empty() {
                of_streams.push(<[String; 3]>::default());
            }
            rows.extend(of_streams.into_iter().map(|rest| {
                let mut row = front.to_vec();
                row.extend(rest);
                row
            }));
        }
        Table { head, rows }
    }

    pub(super) fn of_recordings(result: &Value) -> Table {
        Table::new(&["stream"], &result["streams"], |name| vec![text(name)])
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head: Vec<String> = self.head.iter().map(|&name| name.to_owned()).collect();
        let all = || std::iter::once(&head).chain(&self.rows);
        let widths: Vec<usize> = (0..head.len())
            .map(|column| all().map(|row| row[column].chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        for row in all() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line += &format!("{cell:<width$}  ");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// One line on what a recording has made.
pub(super) fn recording(result: &Value) -> String {
    let files = result["files"].as_u64().unwrap_or_default();
    let mut line = format!(
        "{files} file{}, {}, {}",
        if files == 1 { "" } else { "s" },
        time(&result["duration_ms"]),
        bytes(&result["bytes"]),
    );
    if let Some(last) = result["last"].as_str() {
        line += &format!(", the last {}", shown(last));
    }
    if let Some(error) = result["error"].as_str() {
        line += &format!("; {}", shown(error));
    }
    line
}

/// One line on what came of reading everything again.
pub(super) fn reloaded(result: &Value) -> String {
    let changed = joined(&result["changed"], text);
    match (changed.is_empty(), result["certificates"] == true) {
        (false, false) => format!("changed: {changed}"),
        (false, true) => format!("changed: {changed}, and certificates"),
        (true, true) => "changed: certificates".to_owned(),
        (true, false) => "nothing has changed".to_owned(),
    }
}

pub(super) fn health(result: &Value) -> String {
    let is = |name: &str| if result[name] == true { "yes" } else { "no" };
    let mut lines = format!("live   {}\nready  {}\n", is("live"), is("ready"));
    for reason in result["reasons"].as_array().into_iter().flatten() {
        lines += &format!("       {}\n", text(reason));
    }
    lines
}

/// A text as it may be shown, or a number.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text).to_string(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn joined(list: &Value, item: impl Fn(&Value) -> String) -> String {
    let items: Vec<String> = list.as_array().into_iter().flatten().map(item).collect();
    items.join(", ")
}

fn length(list: &Value) -> String {
    list.as_array().map_or(0, Vec::len).to_string()
}

fn time(ms: &Value) -> String {
    clock(Duration::from_millis(ms.as_u64().unwrap_or_default()))
}

fn bytes(count: &Value) -> String {
    size(count.as_u64().unwrap_or_default())
}

fn track(track: &Value) -> String {
    let codec = text(&track["codec"]);
    match (track["width"].as_u64(), track["height"].as_u64()) {
        (Some(width), Some(height)) => format!("{codec} {width}x{height}"),
        _ => codec,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let result = json!({"streams": [
            {
                "stream_id": 7, "name": "live/cam\n2", "live": true, "uptime_ms": 61_000,
                "connection_id": 12, "bitrate": 2_500_000, "subscribers_list": [{}, {}],
                "tracks": [
                    {"codec": "avc1", "width": 1280, "height": 720},
                    {"codec": "mp4a", "width": null, "height": null},
                ],
            },
            {
                "stream_id": 10, "name": "a", "live": false, "uptime_ms": 0,
                "connection_id": null, "bitrate": 0, "subscribers_list": [], "tracks": [],
            },
        ]});
        assert_eq!(
            Table::of_streams(&result).to_string(),
            "id  stream       state  time    by  players  rate         tracks\n\
             7   live/cam\\n2  live   1:01.0  12  2        2.50 Mbit/s  avc1 1280x720, mp4a\n\
             10  a            waits  0:00.0      0        0 kbit/s\n"
        );
    }

    #[test]
    fn a_rule_without_streams_has_a_row_of_its_own() {
        let result = json!({"relays": [
            {"relay": 1, "direction": "push", "match": "live/*", "url": "rtmp://h/***",
             "configured": true, "streams": []},
            {"relay": 2, "direction": "pull", "match": "a/b", "url": "rtmp://h/***",
             "configured": false, "streams": [
                {"name": "a/b", "state": "waiting", "retry_in_ms": 1500, "last_error": "no"},
            ]},
        ]});
        let table = Table::of_relays(&result).to_string();
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows[1], ["1", "push", "live/*", "rtmp://h/***", "settings"]);
        assert_eq!(rows[2][4..], ["operator", "a/b", "waiting", "1.5s", "no"]);
    }

    #[test]
    fn lines_tell_what_came_of_it() {
        for (changed, certificates, line) in [
            (json!([]), false, "nothing has changed"),
            (
                json!(["gop.max_frames", "listen"]),
                true,
                "changed: gop.max_frames, listen, and certificates",
            ),
            (json!([]), true, "changed: certificates"),
        ] {
            let result = json!({"changed": changed, "certificates": certificates});
            assert_eq!(reloaded(&result), line);
        }
        let made =
            json!({"files": 1, "duration_ms": 2000, "bytes": 1500, "last": "a.flv", "error": null});
        assert_eq!(recording(&made), "1 file, 0:02.0, 1.5 kB, the last a.flv");
        let well = json!({"live": true, "ready": false, "reasons": ["it is drained"]});
        assert_eq!(
            health(&well),
            "live   yes\nready  no\n       it is drained\n"
        );
    }
}
