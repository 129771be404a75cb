//! Log lines that tell the life of connections and streams: who came and with what, who
//! left, after how long, how much passed, and why.

use std::fmt;
use std::time::Duration;

use log::kv::Value;

use super::connection::Connection;
use super::context::Context;
use crate::access::{AccessAction, Attempt};
use crate::events::CloseReason;
use crate::log_limit::Cause;
use crate::platform::{Platform, Stream as Socket};
use crate::secret::StreamName;
use crate::stream::stream::Stream;
use crate::stream::tracks::Track;

/// A line whose fields depend on what is known.
#[derive(Default)]
struct Line<'a>(Vec<(&'static str, Value<'a>)>);

impl<'a> Line<'a> {
    /// What a connection's lines begin with.
    fn of<S: Socket>(connection: &'a Connection<S>) -> Line<'a> {
        Line::default()
            .shown("peer", &connection.cold.peer)
            .shown("connection", &connection.cold.id)
    }

    fn field(mut self, name: &'static str, value: impl Into<Value<'a>>) -> Line<'a> {
        self.0.push((name, value.into()));
        self
    }

    fn shown<T: fmt::Display>(self, name: &'static str, value: &'a T) -> Line<'a> {
        self.field(name, Value::from_display(value))
    }

    fn write(self, level: log::Level, message: fmt::Arguments<'_>) {
        let fields = &self.0[..];
        let record = log::Record::builder()
            .level(level)
            .target(module_path!())
            .module_path_static(Some(module_path!()))
            .args(message)
            .key_values(&fields)
            .build();
        log::logger().log(&record);
    }

    /// What an attempt is about, and of whom.
    fn about(self, attempt: &'a Attempt, target: &'a StreamName, software: &'a str) -> Line<'a> {
        let what = match attempt.action {
            AccessAction::Connect => "app",
            AccessAction::Publish | AccessAction::Play => "stream",
        };
        let line = self
            .field("action", attempt.action.as_str())
            .shown(what, target)
            .field("software", software);
        match attempt.claimed_user() {
            Some(user) => line.field("user", user),
            None => line,
        }
    }
}

/// A request was granted. The last names what the connection does from then on.
pub(super) fn report_granted<P: Platform>(
    context: &Context<P>,
    connection: &mut Connection<P::Stream>,
    attempt: &Attempt,
    target: &StreamName,
) {
    let what = format!("{} {target}", attempt.action.as_str());
    let level = log::Level::Info;
    // Who only connects does not hide who publishes.
    let cause = match attempt.action {
        AccessAction::Connect => Cause::Connected,
        AccessAction::Publish | AccessAction::Play => Cause::Granted,
    };
    if context.may_log(cause, level) {
        let software = connection.cold.software.as_ref();
        let mut line = Line::of(connection)
            .about(attempt, target, software)
            .field("outcome", "granted");
        if attempt.action == AccessAction::Connect {
            line = line.field("handshake_ms", connection.cold.handshake.as_millis() as u64);
            if let Some(version) = connection.transport.tls_version() {
                line = line.field("tls", version);
            }
        }
        line.write(level, format_args!("{what}"));
    }
    connection.cold.does = Some(what.into());
}

/// A request was refused: why, and the code of the status that the peer gets, if any.
pub(super) fn report_refused<P: Platform>(
    context: &Context<P>,
    connection: &Connection<P::Stream>,
    attempt: &Attempt,
    target: &StreamName,
    reason: &str,
    code: &str,
) {
    let level = log::Level::Warn;
    if !context.may_log(Cause::Refused, level) {
        return;
    }
    let mut line = Line::of(connection)
        .about(attempt, target, &connection.cold.software)
        .field("outcome", "refused")
        .field("reason", reason);
    if !code.is_empty() {
        line = line.field("code", code);
    }
    let action = attempt.action.as_str();
    line.write(level, format_args!("{action} {target} refused: {reason}"));
}

/// A connection is over.
pub(super) fn report_closed<P: Platform>(
    context: &Context<P>,
    connection: &Connection<P::Stream>,
    reason: &CloseReason,
) {
    let of_note = connection.cold.does.is_some() || matches!(reason, CloseReason::Host(_));
    let level = match of_note {
        true => log::Level::Info,
        false => log::Level::Debug,
    };
    if !context.may_log(Cause::Connection, level) {
        return;
    }
    let lasted = context.now.since(connection.cold.opened);
    let (time, bytes_in, bytes_out) = (
        Seconds(lasted),
        connection.cold.bytes_in,
        connection.bytes_out,
    );
    let (received, sent) = (Bytes(bytes_in), Bytes(bytes_out));
    Line::of(connection)
        .field("did", connection.cold.does.as_deref().unwrap_or("nothing"))
        .field("duration_ms", lasted.as_millis() as u64)
        .field("bytes_in", bytes_in)
        .field("bytes_out", bytes_out)
        .field("code", reason.kind())
        .shown("reason", reason)
        .write(
            level,
            format_args!("connection closed after {time}, {received} in, {sent} out: {reason}"),
        );
}

/// A stream has a publisher, in place of another one if there was one.
pub(super) fn report_published<P: Platform>(
    context: &Context<P>,
    stream: &Stream,
    replaced: Option<impl fmt::Display>,
) {
    if !context.may_log(Cause::Stream, log::Level::Info) {
        return;
    }
    let name = &stream.name;
    let by: &dyn fmt::Display = match &stream.connection() {
        Some(connection) => &connection.to_string(),
        None => &"host",
    };
    match replaced {
        Some(before) => {
            log::info!(connection:% = by, stream:% = name; "published, in place of connection {before}");
        }
        None => log::info!(connection:% = by, stream:% = name; "published"),
    }
}

/// A stream has no publisher any more, which vanished if it was `lost`.
pub(super) fn report_unpublished<P: Platform>(context: &Context<P>, stream: &Stream, lost: bool) {
    if !context.may_log(Cause::Stream, log::Level::Info) {
        return;
    }
    let lasted = context.now.since(stream.started);
    let (time, bytes, stats) = (Seconds(lasted), Bytes(stream.stats.bytes), &stream.stats);
    let (video, audio) = (stats.video_frames, stats.audio_frames);
    let what = if lost {
        "publisher lost"
    } else {
        "unpublished"
    };
    Line::default()
        .shown("stream", &stream.name)
        .field("duration_ms", lasted.as_millis() as u64)
        .field("bytes_in", stats.bytes)
        .write(
            log::Level::Info,
            format_args!(
                "{what}, {time} after it began: {bytes}, {video} video and {audio} audio frames"
            ),
        );
}

/// What a stream consists of became known, or is another.
pub(super) fn report_tracks<P: Platform>(context: &Context<P>, stream: &Stream) {
    if !context.may_log(Cause::Stream, log::Level::Info) {
        return;
    }
    let tracks: Vec<_> = stream.tracks().list().iter().map(described).collect();
    log::info!(stream:% = stream.name; "consists of {}", tracks.join(", "));
}

fn described(track: &Track) -> String {
    let kind = if track.video { "video" } else { "audio" };
    let codec = track.codec_string.as_ref().unwrap_or(&track.codec);
    let mut text = format!("{kind} {codec}");
    if let (Some(width), Some(height)) = (track.width, track.height) {
        text += &format!(" {width}x{height}");
    }
    if let Some(rate) = track.frame_rate {
        text += &format!(" {rate:.2} fps");
    }
    if let Some(rate) = track.sample_rate {
        text += &format!(" {rate} Hz");
    }
    if let Some(channels) = track.channels {
        text += &format!(" {channels} ch");
    }
    text
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 as f64 {
            bytes if bytes >= 1e9 => write!(f, "{:.2} GB", bytes / 1e9),
            bytes if bytes >= 1e6 => write!(f, "{:.1} MB", bytes / 1e6),
            bytes => write!(f, "{:.1} kB", bytes / 1e3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(Seconds(Duration::from_millis(61_250)).to_string(), "61.2 s");
        assert_eq!(Bytes(1_500).to_string(), "1.5 kB");
        assert_eq!(Bytes(12_345_678).to_string(), "12.3 MB");
        assert_eq!(Bytes(1_500_000_000).to_string(), "1.50 GB");
    }

    #[test]
    fn tracks_are_described_by_what_is_known() {
        let video = Track {
            video: true,
            id: 0,
            codec: "avc1".to_owned(),
            codec_string: Some("avc1.64001f".to_owned()),
            width: Some(1280),
            height: Some(720),
            frame_rate: Some(29.97),
            sample_rate: None,
            channels: None,
        };
        assert_eq!(described(&video), "video avc1.64001f 1280x720 29.97 fps");
        let audio = Track {
            video: false,
            codec: "mp4a".to_owned(),
            codec_string: None,
            sample_rate: Some(48_000),
            channels: Some(2),
            width: None,
            height: None,
            frame_rate: None,
            ..video
        };
        assert_eq!(described(&audio), "audio mp4a 48000 Hz 2 ch");
    }
}
