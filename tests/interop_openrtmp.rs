//! The `openrtmp` command among programs we did not write.

use openrtmp_tests::{
    ALL_TRACKS, Media, Player, Publisher, Server, probe, publish_and_ask, publish_and_play,
};

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

/// What it finds out is what the file's recipe says.
#[test]
fn what_it_probes_is_what_others_publish() {
    for (publisher, media, video, audio) in [
        (Publisher::Ffmpeg, Media::BFrames, "avc1", Some("mp4a")),
        (Publisher::FfmpegCurrent, Media::Hevc, "hvc1", Some("mp4a")),
        (
            Publisher::FfmpegCurrent,
            Media::Av1Opus,
            "av01",
            Some("Opus"),
        ),
        (Publisher::Gstreamer, Media::VideoOnly, "avc1", None),
    ] {
        let server = Server::start();
        let path = format!("live/{media:?}");
        let publishing = publisher.start(media, &server.url(&path));
        server.wait_until_published(&path);
        let found = probe(&server.url(&path));
        publishing.wait();
        let tracks = |kind: &str| found[kind].as_array().map_or(0, Vec::len);
        let counts = (tracks("video"), tracks("audio"));
        assert_eq!(counts, (1, usize::from(audio.is_some())), "{found}");

        let picture = &found["video"][0];
        assert_eq!(picture["fourcc"], video, "{found}");
        assert_eq!(picture["width"], 320, "{found}");
        assert_eq!(picture["height"], 180, "{found}");
        let rate = picture["frame_rate"].as_f64().expect("it is measured");
        assert!((29.0..31.0).contains(&rate), "{rate} fps");
        // A key frame every fifteen, half a second.
        assert_eq!(picture["gop"]["mean_frames"], 15.0, "{found}");
        assert_eq!(picture["reordered"], media == Media::BFrames, "{found}");
        if let Some(fourcc) = audio {
            let sound = &found["audio"][0];
            assert_eq!(sound["fourcc"], fourcc, "{found}");
            assert_eq!(sound["sample_rate"], 48_000, "{found}");
        }
        assert_eq!(found["unreadable_messages"], 0, "{found}");
    }
}
