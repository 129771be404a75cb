//! Streams published by GStreamer's `rtmp2sink`, played by every program.

use openrtmp_tests::{Ending, Media, Player, Publisher, Server, publish_and_play};

#[test]
fn h264_and_aac_arrive_unaltered() {
    publish_and_play(Publisher::Gstreamer, Media::H264Aac, &Player::ALL);
}

/// `flvmux` writes the first decoding times of a stream with B-frames as 0, so
/// that only what comes later can be compared with the file.
#[test]
fn b_frames_arrive_with_their_composition_times() {
    let server = Server::start();
    let url = server.url("live/b");
    let folder = tempfile::tempdir().unwrap();
    let media = Media::BFrames;
    let publishing = Publisher::Gstreamer.start(media, &url);
    let mut scout = Player::FfmpegCurrent.start(&url, folder.path());
    scout.wait_until_received(700);
    let playing = Player::ALL.map(|player| player.start(&url, folder.path()));
    publishing.wait();
    for player in playing {
        player.wait_and_check(media, Ending::Complete);
    }
}

#[test]
fn audio_only_arrives_unaltered() {
    publish_and_play(Publisher::Gstreamer, Media::AudioOnly, &Player::ALL);
}

#[test]
fn video_only_arrives_unaltered() {
    publish_and_play(Publisher::Gstreamer, Media::VideoOnly, &Player::ALL);
}
