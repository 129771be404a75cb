//! The `openrtmp` command among programs we did not write.

use openrtmp_tests::{ALL_TRACKS, Media, Player, Publisher, publish_and_ask, publish_and_play};

#[test]
fn what_it_publishes_arrives_unaltered() {
    publish_and_play(Publisher::Openrtmp, Media::BFrames, &Player::ALL);
}

#[test]
fn what_it_publishes_with_two_audio_tracks_arrives_unaltered() {
    let players = [Player::FfmpegCurrent, Player::Rtmpdump, Player::Openrtmp];
    let (publisher, media) = (Publisher::Openrtmp, Media::TwoAudioTracks);
    publish_and_ask(publisher, media, &players, ALL_TRACKS);
    publish_and_play(publisher, media, &players);
}

#[test]
fn what_it_plays_is_unaltered() {
    for (publisher, media) in [
        (Publisher::Ffmpeg, Media::H264Aac),
        (Publisher::Gstreamer, Media::VideoOnly),
        (Publisher::FfmpegCurrent, Media::Av1Opus),
    ] {
        publish_and_play(publisher, media, &[Player::Openrtmp]);
    }
}
