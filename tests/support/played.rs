//! What players make of a packaged stream, compared with what the encoder made.

use std::path::Path;

use crate::{FrameHashes, Media, Packet, Process, Tool};

/// Everything was played, unaltered, at its time to the millisecond that times were rounded
/// to. Only sound from before the first picture is left out.
///
/// # Panics
/// If not.
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
        let late = if name == "video 0" {
            lateness(media)
        } else {
            0
        };
        shifts.extend(own.iter().map(|shift| shift - late));
    }
    // Pictures and sound are as far from each other as they were.
    assert_constant(media, &shifts);
}

/// Everything from the first picture on was played, as it was.
///
/// # Panics
/// If not.
pub fn assert_end_played(media: Media, played: &FrameHashes) {
    let source = media.hashes();
    let first = source.stream("video 0").first();
    let first = first.map_or(0, |packet| packet.pts);
    let hashes = |packets: &[Packet]| -> Vec<String> {
        packets.iter().map(|packet| packet.hash.clone()).collect()
    };
    for name in source.stream_names() {
        let (sent, got) = (source.stream(name), played.stream(name));
        let missing = sent.len().checked_sub(got.len()).expect("nothing twice");
        let early = sent[..missing].iter().all(|packet| packet.pts < first);
        assert!(
            early,
            "{media:?} {name}: {missing} of {} missing",
            sent.len()
        );
        assert_eq!(hashes(&sent[missing..]), hashes(got), "{media:?} {name}");
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
    let mut shifts = Vec::new();
    // But for sound before the first picture; and that has its parameter sets in front of
    // it in one of the two.
    for (name, may_miss, skipped) in [("video 0", 0, 1), ("audio 0", 4, 0)] {
        let hashes = |file: &FrameHashes| -> Vec<String> {
            let packets = file.stream(name).iter().skip(skipped);
            packets.map(|packet| packet.hash.clone()).collect()
        };
        let (sent, got) = (hashes(&source), hashes(&played));
        assert!(sent.len() >= 89, "{media:?} {name}");
        assert!(sent.ends_with(&got), "{media:?} {name}");
        assert!(sent.len() - got.len() <= may_miss, "{media:?} {name}");
        let (source, played) = (source.stream(name), played.stream(name));
        let pairs = source.iter().rev().zip(played.iter().rev());
        let late = if name == "video 0" {
            lateness(media)
        } else {
            0
        };
        shifts.extend(pairs.map(|(sent, got)| got.pts - sent.pts - late));
    }
    assert_constant(media, &shifts);
}

/// How much later FFmpeg and GStreamer show pictures than they are to, in milliseconds: both
/// add the largest composition offset that is below 0 to all (`dts_shift` in FFmpeg's `mov.c`,
/// `cslg_shift` in GStreamer's `qtdemux.c`), where the file format adds each to its decoding
/// time alone (ISO/IEC 14496-12, 8.6.1.3 and 8.8.8). Ours are those of the encoder less that
/// of the first picture, so that a segment begins to be shown at its first decoding time.
fn lateness(media: Media) -> i64 {
    let source = media.hashes();
    let offsets = source.stream("video 0").iter();
    let offsets: Vec<i64> = offsets.map(|packet| packet.pts - packet.dts).collect();
    let least = offsets.iter().min().unwrap_or(&0);
    offsets.first().unwrap_or(&0) - least
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
