//! Streams published by a current ffmpeg: Enhanced RTMP's codecs and tracks,
//! played by every program that can take them.

use openrtmp_tests::{ALL_TRACKS, Media, Player, Publisher, publish_and_ask, publish_and_play};

/// The distribution's ffmpeg may be older than Enhanced RTMP.
const ENHANCED: [Player; 3] = [Player::FfmpegCurrent, Player::Rtmpdump, Player::Gstreamer];

#[test]
fn h264_and_aac_arrive_unaltered() {
    publish_and_play(Publisher::FfmpegCurrent, Media::H264Aac, &Player::ALL);
}

#[test]
fn hevc_arrives_unaltered() {
    publish_and_play(Publisher::FfmpegCurrent, Media::Hevc, &ENHANCED);
}

#[test]
fn av1_and_opus_arrive_unaltered() {
    publish_and_play(Publisher::FfmpegCurrent, Media::Av1Opus, &ENHANCED);
}

#[test]
fn vp9_arrives_unaltered() {
    publish_and_play(Publisher::FfmpegCurrent, Media::Vp9, &ENHANCED);
}

#[test]
fn ac3_arrives_unaltered() {
    publish_and_play(Publisher::FfmpegCurrent, Media::Ac3, &ENHANCED);
}

#[test]
fn sound_of_six_channels_arrives_at_players_old_and_new() {
    publish_and_play(Publisher::FfmpegCurrent, Media::SixChannels, &Player::ALL);
}

#[test]
fn two_audio_tracks_arrive_unaltered_at_those_who_ask_for_all() {
    let (publisher, media) = (Publisher::FfmpegCurrent, Media::TwoAudioTracks);
    publish_and_ask(publisher, media, &ENHANCED, ALL_TRACKS);
}

#[test]
fn of_two_audio_tracks_the_default_one_arrives_at_everybody() {
    publish_and_play(
        Publisher::FfmpegCurrent,
        Media::TwoAudioTracks,
        &Player::ALL,
    );
}
