//! What the server records is what ffmpeg plays.

use std::fs;
use std::path::{Path, PathBuf};

use openrtmp_core::RecordConfig;
use openrtmp_tests::{
    Ending, FrameHashes, Media, Process, Publisher, Server, ServerProcess, Tool, duration_ms,
};

#[test]
fn a_recording_holds_the_whole_stream_and_its_duration() {
    let folder = tempfile::tempdir().unwrap();
    for (publisher, media) in [
        (Publisher::Ffmpeg, Media::BFrames),
        (Publisher::FfmpegCurrent, Media::Av1Opus),
        (Publisher::Ffmpeg, Media::AudioOnly),
    ] {
        let file = record(publisher, media, &folder.path().join(format!("{media:?}")));
        let recorded = FrameHashes::of(&file);
        media
            .hashes()
            .check_played(&media.keyframes(), &recorded, Ending::Complete)
            .unwrap_or_else(|why| panic!("{media:?}: {why}"));
        let difference = duration_ms(&file) - duration_ms(&media.file());
        assert!(
            difference.abs() < 100.0,
            "{media:?}: duration differs by {difference} ms"
        );
    }
}

#[test]
fn a_recording_can_be_sought() {
    let folder = tempfile::tempdir().unwrap();
    let media = Media::H264Aac;
    let file = record(Publisher::Ffmpeg, media, folder.path());
    let (keyframes, published) = (media.keyframes(), media.hashes());
    let keyframes: Vec<&str> = keyframes
        .iter()
        .map(|&place| published.stream("video 0")[place].hash.as_str())
        .collect();

    // A keyframe every half second: the last one before 1.6 s is the fourth.
    assert_eq!(
        first_after_seek(Tool::FfmpegCurrent, &file, folder.path()),
        keyframes[3]
    );
    // An ffmpeg of the 5.1 series may go to another one, whoever wrote the index.
    let found = first_after_seek(Tool::Ffmpeg, &file, folder.path());
    assert!(keyframes[1..].contains(&found.as_str()));
}

#[test]
fn a_recording_survives_kill_9_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let media = Media::H264Aac;
    let server = ServerProcess::start(&["--record", folder.path().to_str().unwrap()]);
    let mut publishing = Publisher::Ffmpeg.start(media, &server.url("live/crash"));
    publishing.wait_until_sent(2000);
    server.kill();
    publishing.kill();

    let file = only_file(folder.path());
    let recorded = FrameHashes::of(&file);
    media
        .hashes()
        .check_played(&media.keyframes(), &recorded, Ending::Cut)
        .unwrap();
    let last = recorded.stream("video 0").last().unwrap();
    assert!(
        last.dts > 1000 - 100,
        "at most the last second is lost: {last:?}"
    );
    let mut command = Tool::Ffmpeg.command();
    command
        .args(["-nostdin", "-v", "fatal", "-i"])
        .arg(&file)
        .args(["-f", "null", "-"]);
    Process::start("ffmpeg decoding the remains", command)
        .wait()
        .expect_success();
}

/// Hash of the first picture that `tool` finds when it seeks to 1.6 s.
fn first_after_seek(tool: Tool, file: &Path, folder: &Path) -> String {
    let found = folder.join(format!("{tool:?}.found"));
    let mut command = tool.command();
    command
        .args(["-nostdin", "-v", "error", "-ss", "1.6", "-i"])
        .arg(file);
    command
        .args(["-map", "0:v", "-c", "copy", "-frames:v", "1", "-f", "flv"])
        .arg(&found);
    let finished = Process::start("seeking ffmpeg", command)
        .wait()
        .expect_success();
    assert!(
        finished.output.is_empty(),
        "ffmpeg complains: {:?}",
        finished.output
    );
    FrameHashes::of(&found).stream("video 0")[0].hash.clone()
}

/// Publishes `media` to a server that records into `folder`; the recording.
fn record(publisher: Publisher, media: Media, folder: &Path) -> PathBuf {
    let server = Server::start_with(|config| config.record = Some(RecordConfig::new(folder)));
    publisher.start(media, &server.url("live/recorded")).wait();
    server.wait_until_recorded();
    only_file(folder)
}

/// The only FLV file in or below `folder`.
fn only_file(folder: &Path) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "flv") {
                files.push(path);
            }
        }
    }
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}
