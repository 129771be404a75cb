//! Log lines that tell the life of connections and streams: who came and with what, who
//! left, after how long, how much passed, and why.

use std::fmt;
use std::time::Duration;

use super::connection::Connection;
use super::context::Context;
use crate::access::AccessAction;
use crate::events::CloseReason;
use crate::log_limit::Cause;
use crate::platform::Platform;
use crate::secret::StreamName;
use crate::stream::stream::Stream;
use crate::stream::tracks::Track;

/// A request was granted. Publishing and playing are what an operator looks for, and
/// name the connection from then on; each begins with a connect.
pub(super) fn granted<P: Platform>(
    context: &Context<P>,
    connection: &mut Connection<P::Stream>,
    action: AccessAction,
    target: &StreamName,
) {
    let level = match action {
        AccessAction::Connect => log::Level::Debug,
        AccessAction::Publish | AccessAction::Play => log::Level::Info,
    };
    let what = format!("{} {target}", action.as_str());
    if context.may_log(Cause::Granted, level) {
        let (peer, id) = (connection.peer, connection.id);
        let software = connection.software.as_ref();
        log::log!(level, peer:% = peer, connection:% = id, software = software; "{what}");
    }
    if action != AccessAction::Connect {
        connection.does = Some(what.into());
    }
}

/// A connection is over.
pub(super) fn closed<P: Platform>(
    context: &Context<P>,
    connection: &Connection<P::Stream>,
    reason: &CloseReason,
) {
    let of_note = connection.does.is_some() || matches!(reason, CloseReason::Host(_));
    let level = match of_note {
        true => log::Level::Info,
        false => log::Level::Debug,
    };
    if !context.may_log(Cause::Connection, level) {
        return;
    }
    let (peer, id) = (connection.peer, connection.id);
    let time = Seconds(context.now.since(connection.opened));
    let (received, sent) = (Bytes(connection.bytes_in), Bytes(connection.bytes_out));
    let what = connection.does.as_deref().unwrap_or("nothing");
    log::log!(
        level,
        peer:% = peer, connection:% = id, did = what;
        "connection closed after {time}, {received} in, {sent} out: {reason}"
    );
}

/// A stream has a publisher, in place of another one if there was one.
pub(super) fn published<P: Platform>(
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
            log::info!(stream:% = name, connection:% = by; "published, in place of connection {before}");
        }
        None => log::info!(stream:% = name, connection:% = by; "published"),
    }
}

/// A stream has no publisher any more, which vanished if it was `lost`.
pub(super) fn unpublished<P: Platform>(context: &Context<P>, stream: &Stream, lost: bool) {
    if !context.may_log(Cause::Stream, log::Level::Info) {
        return;
    }
    let time = Seconds(context.now.since(stream.started));
    let (bytes, stats) = (Bytes(stream.stats.bytes), &stream.stats);
    let (video, audio) = (stats.video_frames, stats.audio_frames);
    let what = if lost {
        "publisher lost"
    } else {
        "unpublished"
    };
    log::info!(
        stream:% = stream.name;
        "{what}, {time} after it began: {bytes}, {video} video and {audio} audio frames"
    );
}

/// What a stream consists of became known, or is another.
pub(super) fn tracks<P: Platform>(context: &Context<P>, stream: &Stream) {
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
