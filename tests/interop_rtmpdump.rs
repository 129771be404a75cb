//! rtmpdump writes down what it receives, byte for byte: what a player is sent
//! can be seen message by message.

use std::path::Path;

use openrtmp_tests::flv::{self, Tag};
use openrtmp_tests::{Media, Player, Process, Publisher, Server, Tool};

#[test]
fn messages_arrive_byte_for_byte() {
    for (publisher, media) in [
        (Publisher::Ffmpeg, Media::BFrames),
        (Publisher::FfmpegCurrent, Media::Hevc),
        (Publisher::FfmpegCurrent, Media::TwoAudioTracks),
    ] {
        let server = Server::start();
        let folder = tempfile::tempdir().unwrap();
        let playing = Player::Rtmpdump.start(&server.url("live/bytes?tracks=all"), folder.path());
        server.wait_for_players("live/bytes", 1);
        let publishing = publisher.start(media, &server.url("live/bytes"));
        publishing.wait();
        let (played, published) = (flv::read(&playing.wait()), flv::read(&media.file()));
        for kind in [flv::AUDIO, flv::VIDEO] {
            let (played, published) = (bodies(&played, kind), bodies(&published, kind));
            // Not assert_eq: nobody reads megabytes of numbers.
            let same = played
                .iter()
                .zip(&published)
                .take_while(|(a, b)| a == b)
                .count();
            assert!(
                same == published.len() && same == played.len(),
                "{media:?}: of {} messages of type {kind}, {} arrived, the first {same} unaltered",
                published.len(),
                played.len()
            );
        }
    }
}

#[test]
fn a_late_player_gets_metadata_then_every_sequence_header_then_a_keyframe() {
    for (publisher, media, headers) in [
        (Publisher::Ffmpeg, Media::H264Aac, 2),
        (Publisher::FfmpegCurrent, Media::Av1Opus, 2),
        (Publisher::FfmpegCurrent, Media::TwoAudioTracks, 3),
    ] {
        let server = Server::start();
        let folder = tempfile::tempdir().unwrap();
        let mut publishing = publisher.start(media, &server.url("live/late"));
        publishing.wait_until_sent(1000);
        let playing = Player::Rtmpdump.start(&server.url("live/late?tracks=all"), folder.path());
        publishing.wait();
        let tags = flv::read(&playing.wait());

        let position = |fits: &dyn Fn(&Tag) -> bool| tags.iter().position(fits);
        let is_frame = |tag: &Tag| tag.is_video_frame() || tag.is_audio_frame();
        let metadata = position(&|tag| tag.script_name() == Some("onMetaData"));
        let first_header = position(&Tag::is_sequence_header).expect("sequence headers come");
        let first_frame = position(&is_frame).expect("frames come");
        let before = &tags[..first_frame];
        let headers_before = before.iter().filter(|tag| tag.is_sequence_header()).count();
        assert!(
            metadata.is_some_and(|place| place < first_header),
            "{media:?}: metadata first"
        );
        assert_eq!(
            headers_before, headers,
            "{media:?}: headers before any frame"
        );
        let first_picture = tags
            .iter()
            .find(|tag| tag.is_video_frame())
            .expect("pictures come");
        assert!(
            first_picture.is_keyframe(),
            "{media:?}: the first picture is a keyframe"
        );
        assert!(
            tags[first_frame].is_keyframe(),
            "{media:?}: no frame before the keyframe"
        );
    }
}

#[test]
fn a_resolution_change_brings_its_sequence_header_before_its_first_frame() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let playing = Player::Rtmpdump.start(&server.url("live/change"), folder.path());
    server.wait_for_players("live/change", 1);
    Publisher::Ffmpeg
        .start(Media::ResolutionChange, &server.url("live/change"))
        .wait();
    let tags = flv::read(&playing.wait());

    let video: Vec<&Tag> = tags.iter().filter(|tag| tag.kind == flv::VIDEO).collect();
    let headers: Vec<usize> = (0..video.len())
        .filter(|&place| video[place].is_sequence_header())
        .collect();
    assert_eq!(headers.len(), 2, "one for each resolution");
    assert_ne!(video[headers[0]].body, video[headers[1]].body);
    assert!(video[headers[1] + 1].is_keyframe());
}

#[test]
fn apps_with_slashes_and_names_with_queries_are_found() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let mut publishing = Publisher::Ffmpeg.start(
        Media::H264Aac,
        &server.url("live/studio/one/main?token=abc"),
    );
    publishing.wait_until_sent(100);
    let file = folder.path().join("slashes.flv");
    // It says itself what is app and what is name, which no URL tells.
    let playing = dump(&server, "live/studio/one", "main?viewer=7", &file);
    publishing.wait();
    playing.wait().expect_success();
    assert!(flv::read(&file).iter().any(Tag::is_keyframe));
}

fn dump(server: &Server, app: &str, name: &str, file: &Path) -> Process {
    let mut command = Tool::Rtmpdump.command();
    command.args([
        "--live",
        "--rtmp",
        &server.url(app),
        "--app",
        app,
        "--playpath",
        name,
    ]);
    command
        .args(["--tcUrl", &server.url(app), "--flv"])
        .arg(file);
    Process::start("rtmpdump", command)
}

/// Sequence headers and frames. What else there is, a publisher may write anew
/// (colour and channel information), and rtmpdump leaves out messages of a few
/// bytes (the end of a sequence).
fn bodies(tags: &[Tag], kind: u8) -> Vec<&[u8]> {
    let counts =
        |tag: &&Tag| tag.is_sequence_header() || tag.is_video_frame() || tag.is_audio_frame();
    let tags = tags.iter().filter(|tag| tag.kind == kind).filter(counts);
    tags.map(|tag| tag.body.as_slice()).collect()
}
