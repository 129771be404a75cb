//! What to type into OBS, FFmpeg and players.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use openrtmp_core::DEFAULT_PORT;

const APP: &str = "live";
const STREAM: &str = "stream";

/// `host[:port]` as URLs write it.
pub(super) fn authority(host: &str, port: u16) -> String {
    if port == DEFAULT_PORT {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

/// The whole text. `reachable` is the `host[:port]` of every interface, the one
/// that other machines most likely reach first.
pub(super) fn text(
    reachable: &[String],
    listen: &[SocketAddr],
    publish_keys: &[String],
    play_keys: &[String],
    record: Option<&Path>,
) -> String {
    let listen: Vec<_> = listen.iter().map(ToString::to_string).collect();
    let version = env!("CARGO_PKG_VERSION");
    let mut lines = Lines(format!(
        "OpenRTMP {version}, listening on {}\n",
        listen.join(", ")
    ));
    if let Some(folder) = record {
        lines.add(format_args!("Recording to {}", folder.display()));
    }

    let keys = with_keys(publish_keys);
    lines.add(format_args!(
        "\nPublish with OBS (Settings > Stream > Service: Custom...)"
    ));
    for host in reachable.iter().take(1) {
        lines.add(format_args!("  Server      rtmp://{host}/{APP}"));
    }
    for key in &keys {
        lines.add(format_args!("  Stream Key  {key}"));
    }
    lines.add(format_args!("\nPublish with FFmpeg"));
    for (host, key) in reachable.iter().zip(&keys).take(1) {
        lines.add(format_args!(
            "  ffmpeg -re -i FILE -c:v libx264 -c:a aac -f flv \"rtmp://{host}/{APP}/{key}\""
        ));
    }
    lines.add(format_args!("\nPlay with VLC, ffplay, ..."));
    for host in reachable {
        for stream in with_keys(play_keys) {
            lines.add(format_args!("  rtmp://{host}/{APP}/{stream}"));
        }
    }
    lines.add(format_args!("\nCtrl-C stops the server.\n"));
    lines.0
}

/// What stands for the stream: its name, with each of the keys.
fn with_keys(keys: &[String]) -> Vec<String> {
    if keys.is_empty() {
        return vec![STREAM.to_owned()];
    }
    keys.iter()
        .map(|key| format!("{STREAM}?key={key}"))
        .collect()
}

struct Lines(String);

impl Lines {
    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen() -> Vec<SocketAddr> {
        vec!["0.0.0.0:1935".parse().unwrap()]
    }

    #[test]
    fn an_open_server_is_told_in_what_obs_asks_for() {
        let reachable = ["192.168.1.5".to_owned(), "127.0.0.1".to_owned()];
        let text = text(&reachable, &listen(), &[], &[], None);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].ends_with("listening on 0.0.0.0:1935"), "{text}");
        assert!(
            lines.contains(&"  Server      rtmp://192.168.1.5/live"),
            "{text}"
        );
        assert!(lines.contains(&"  Stream Key  stream"), "{text}");
        assert!(
            lines.contains(&"  rtmp://192.168.1.5/live/stream"),
            "{text}"
        );
        assert!(lines.contains(&"  rtmp://127.0.0.1/live/stream"), "{text}");
        assert!(!text.contains("Recording"), "{text}");
    }

    #[test]
    fn keys_are_part_of_what_they_are_for() {
        let keys = ["one".to_owned(), "two".to_owned()];
        let folder = Path::new("films");
        let host = ["[::1]:1936".to_owned()];
        let text = |play: &[String]| super::text(&host, &listen(), &keys, play, Some(folder));
        let lines = text(&["guest".to_owned()]);
        let url = "  rtmp://[::1]:1936/live/stream?key=guest";
        assert!(lines.lines().any(|line| line == url), "{lines}");
        let text = text(&[]);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.contains(&"  Stream Key  stream?key=one"), "{text}");
        assert!(lines.contains(&"  Stream Key  stream?key=two"), "{text}");
        assert!(
            text.contains("\"rtmp://[::1]:1936/live/stream?key=one\""),
            "{text}"
        );
        assert!(lines.contains(&"  rtmp://[::1]:1936/live/stream"), "{text}");
        assert!(lines.contains(&"Recording to films"), "{text}");
    }

    #[test]
    fn only_an_unusual_port_is_named() {
        assert_eq!(authority("10.0.0.7", 1935), "10.0.0.7");
        assert_eq!(authority("[::1]", 1936), "[::1]:1936");
    }
}
