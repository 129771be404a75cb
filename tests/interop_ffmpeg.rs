//! Streams published by the distribution's ffmpeg, which knows the legacy
//! codecs only, and played by every program.

use openrtmp_tests::{Media, Player, Publisher, publish_and_play};

#[test]
fn h264_and_aac_arrive_unaltered() {
    publish_and_play(Publisher::Ffmpeg, Media::H264Aac, &Player::ALL);
}

#[test]
fn b_frames_arrive_with_their_composition_times() {
    publish_and_play(Publisher::Ffmpeg, Media::BFrames, &Player::ALL);
}

#[test]
fn audio_only_arrives_unaltered() {
    publish_and_play(Publisher::Ffmpeg, Media::AudioOnly, &Player::ALL);
}

#[test]
fn video_only_arrives_unaltered() {
    publish_and_play(Publisher::Ffmpeg, Media::VideoOnly, &Player::ALL);
}

#[test]
fn twenty_megabits_a_second_arrive_unaltered() {
    publish_and_play(Publisher::Ffmpeg, Media::TwentyMegabits, &Player::ALL);
}

#[test]
fn frames_on_both_sides_of_a_resolution_change_arrive_unaltered() {
    publish_and_play(Publisher::Ffmpeg, Media::ResolutionChange, &Player::ALL);
}
