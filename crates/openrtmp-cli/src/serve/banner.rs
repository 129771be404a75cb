//! What to type into OBS, FFmpeg and players.

use std::fmt::Write;
use std::path::Path;

use openrtmp_core::{DEFAULT_PORT, Listen};

use super::tls::is_tls;

pub(super) const APP: &str = "live";
pub(super) const STREAM: &str = "stream";

/// `rtmp://host[:port]` or `rtmps://host[:port]`.
pub(super) fn base(host: &str, listen: Listen) -> String {
    /// That of HTTPS, which `rtmps` shares.
    const TLS_PORT: u16 = 443;
    let (scheme, usual) = match is_tls(listen) {
        true => ("rtmps", TLS_PORT),
        false => ("rtmp", DEFAULT_PORT),
    };
    match listen.address.port() {
        port if port == usual => format!("{scheme}://{host}"),
        port => format!("{scheme}://{host}:{port}"),
    }
}

/// The whole text. `reachable` is the beginning of the URLs of every interface, the one
/// that other machines most likely reach first, `web` the same of what is delivered over
/// HTTP; `pin` that of the certificate's key.
pub(super) fn text(
    reachable: &[String],
    web: &[String],
    listen: &[Listen],
    pin: Option<&str>,
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
    if let Some(pin) = pin {
        lines.add(format_args!("Pin of the certificate  {pin}"));
    }
    if let Some(folder) = record {
        lines.add(format_args!("Recording to {}", folder.display()));
    }

    let keys = with_keys(publish_keys);
    lines.add(format_args!(
        "\nPublish with OBS (Settings > Stream > Service: Custom...)"
    ));
    for host in reachable.iter().take(1) {
        lines.add(format_args!("  Server      {host}/{APP}"));
    }
    for key in &keys {
        lines.add(format_args!("  Stream Key  {key}"));
    }
    lines.add(format_args!("\nPublish with FFmpeg"));
    for (host, key) in reachable.iter().zip(&keys).take(1) {
        lines.add(format_args!(
            "  ffmpeg -re -i FILE -c:v libx264 -c:a aac -f flv \"{host}/{APP}/{key}\""
        ));
    }
    lines.add(format_args!("\nPlay with VLC, ffplay, ..."));
    for host in reachable {
        for stream in with_keys(play_keys) {
            lines.add(format_args!("  {host}/{APP}/{stream}"));
        }
    }
    if !web.is_empty() {
        lines.add(format_args!("\nWatch in a browser"));
    }
    for host in web {
        for key in with_keys_behind(play_keys) {
            lines.add(format_args!("  {host}/{key}"));
        }
    }
    if !web.is_empty() {
        lines.add(format_args!("\nPlay with what knows HLS"));
    }
    for host in web {
        for key in with_keys_behind(play_keys) {
            lines.add(format_args!("  {host}/{APP}/{STREAM}/index.m3u8{key}"));
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

/// What stands behind a path, with each of the keys.
fn with_keys_behind(keys: &[String]) -> Vec<String> {
    if keys.is_empty() {
        return vec![String::new()];
    }
    keys.iter().map(|key| format!("?key={key}")).collect()
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

    fn listen() -> Vec<Listen> {
        vec!["0.0.0.0:1935".parse().unwrap()]
    }

    #[test]
    fn an_open_server_is_told_in_what_obs_asks_for() {
        let reachable = ["rtmp://192.168.1.5", "rtmp://127.0.0.1"].map(str::to_owned);
        let web = ["http://192.168.1.5:8080".to_owned()];
        let text = text(&reachable, &web, &listen(), None, &[], &[], None);
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
        let page = "  http://192.168.1.5:8080/";
        assert!(lines.contains(&page), "{text}");
        let hls = "  http://192.168.1.5:8080/live/stream/index.m3u8";
        assert!(lines.contains(&hls), "{text}");
        assert!(!text.contains("Recording"), "{text}");
    }

    #[test]
    fn keys_are_part_of_what_they_are_for() {
        let keys = ["one".to_owned(), "two".to_owned()];
        let folder = Path::new("films");
        let host = ["rtmp://[::1]:1936".to_owned()];
        let text =
            |play: &[String]| super::text(&host, &[], &listen(), None, &keys, play, Some(folder));
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
        let base = |host: &str, listen: &str| super::base(host, listen.parse().unwrap());
        assert_eq!(base("10.0.0.7", "0.0.0.0:1935"), "rtmp://10.0.0.7");
        assert_eq!(base("[::1]", "[::]:1936"), "rtmp://[::1]:1936");
        assert_eq!(base("[::1]", "rtmps://[::]:443"), "rtmps://[::1]");
        assert_eq!(base("h", "rtmps://[::]:1935"), "rtmps://h:1935");
    }
}
