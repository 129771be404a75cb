//! What players make of a packaged stream, compared with what the encoder made.

use std::path::Path;

use crate::{FrameHashes, Media, Packet, Process, Tool};

/// Everything was played, unaltered, at its time to the millisecond that times were rounded
/// to. Only sound from before the first picture is left out.
///
/// # Panics
/// If not.
///
/// FFmpeg shows pictures later by the largest offset that is below 0 (`dts_shift` in its
/// `mov.c`), so where there are such it says nothing of tracks together.
pub fn assert_played(media: Media, played: &FrameHashes) {
    let source = media.hashes();
    let names: Vec<&str> = source.stream_names().collect();
    assert_eq!(
        names,
        played.stream_names().collect::<Vec<_>>(),
        "{media:?}"
    );
    let first_picture = source
        .stream("video 0")
        .first()
        .map_or(0, |packet| packet.pts);
    let mut shifts = Vec::new();
    for name in names {
        let (sent, played) = (source.stream(name), played.stream(name));
        let left_out = sent.len().checked_sub(played.len()).expect("nothing twice");
        assert!(
            sent[..left_out]
                .iter()
                .all(|packet| packet.pts < first_picture),
            "{media:?} {name}: {left_out} of {} left out",
            sent.len()
        );
        let mut own = Vec::new();
        for (before, after) in sent[left_out..].iter().zip(played) {
            assert_eq!(
                before.hash, after.hash,
                "{media:?} {name} {before:?} {after:?}"
            );
            own.push(after.pts - before.pts);
        }
        assert_constant(media, &own);
        shifts.extend(own);
    }
    let is_in_order = |packet: &Packet| packet.pts == packet.dts;
    if source.stream("video 0").iter().all(is_in_order) {
        assert_constant(media, &shifts);
    }
}

/// To a millisecond on both sides.
fn assert_constant(media: Media, shifts: &[i64]) {
    let (least, most) = (shifts.iter().min().unwrap(), shifts.iter().max().unwrap());
    assert!(most - least <= 2, "{media:?}: {least} to {most} ms");
}

/// GStreamer plays what is at this URL, unaltered. It puts H.264 into another form, so what
/// the encoder made is put into the same. Files of it go into `folder`.
///
/// # Panics
/// If it does not.
pub fn assert_played_by_gstreamer(media: Media, url: &str, folder: &Path) {
    let source = format!("file://{}", media.file().display());
    let source = read_by_gstreamer(&source, &folder.join("source.flv"));
    let played = read_by_gstreamer(url, &folder.join("played.flv"));
    // But for sound before the first picture; and that has its parameter sets in front of
    // it in one of the two.
    for (name, may_miss, skipped) in [("video 0", 0, 1), ("audio 0", 4, 0)] {
        let hashes = |file: &FrameHashes| -> Vec<String> {
            let packets = file.stream(name).iter().skip(skipped);
            packets.map(|packet| packet.hash.clone()).collect()
        };
        let (sent, played) = (hashes(&source), hashes(&played));
        assert!(sent.len() >= 89, "{media:?} {name}");
        assert!(sent.ends_with(&played), "{media:?} {name}");
        assert!(sent.len() - played.len() <= may_miss, "{media:?} {name}");
    }
}

/// The packets that GStreamer finds there.
fn read_by_gstreamer(url: &str, file: &Path) -> FrameHashes {
    let mut command = Tool::GstLaunch.command();
    command.args(["-q", "flvmux", "name=mux", "!", "filesink"]);
    command.arg(format!("location={}", file.display()));
    command.arg("uridecodebin3").arg(format!("uri={url}"));
    command.args(["caps=video/x-h264;audio/mpeg", "name=streams"]);
    let form = "video/x-h264,stream-format=byte-stream,alignment=au";
    command.args(["streams.video_0", "!", "queue", "!", "h264parse", "!", form]);
    command.args(["!", "h264parse", "!", "mux."]);
    command.args([
        "streams.audio_0",
        "!",
        "queue",
        "!",
        "aacparse",
        "!",
        "mux.",
    ]);
    Process::start(format!("GStreamer reading {url}"), command)
        .wait()
        .expect_success();
    FrameHashes::of(file)
}

/// What ffprobe says is wrong when it reads every packet of a playlist or manifest.
///
/// # Panics
/// If it cannot be read.
pub fn complaints(playlist: &Path) -> Vec<String> {
    let mut command = Tool::Ffprobe.command();
    command.args([
        "-v",
        "warning",
        "-of",
        "csv",
        "-show_entries",
        "format=nothing",
    ]);
    command.arg("-count_packets").arg(playlist);
    let finished = Process::start("ffprobe", command).wait().expect_success();
    let lines = finished
        .output
        .iter()
        .filter(|line| !line.starts_with("format"));
    lines.cloned().collect()
}
