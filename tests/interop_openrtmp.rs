//! The `openrtmp` command among programs we did not write.

use openrtmp_tests::{
    ALL_TRACKS, Media, Player, Publisher, publish_and_ask, publish_and_play, publish_and_probe,
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
        let found = publish_and_probe(publisher, media);
        let tracks = |kind: &str| found[kind].as_array().map_or(0, Vec::len);
        let counts = (tracks("video"), tracks("audio"));
        assert_eq!(counts, (1, usize::from(audio.is_some())), "{found}");

        let picture = &found["video"][0];
        assert_eq!(picture["fourcc"], video, "{found}");
        assert_eq!(picture["width"], 320, "{found}");
        assert_eq!(picture["height"], 180, "{found}");
        let rate = picture["frame_rate"].as_f64().expect("it is measured");
        assert!((29.0..31.0).contains(&rate), "{rate} fps");
        // As in the file: an encoder that reorders has them at uneven distances.
        let keyframes = media.keyframes();
        let lengths = keyframes.windows(2).map(|pair| (pair[1] - pair[0]) as f64);
        let mean = picture["gop"]["mean_frames"]
            .as_f64()
            .expect("two were seen");
        let (least, most) = (lengths.clone().reduce(f64::min), lengths.reduce(f64::max));
        assert!(least.is_some_and(|least| mean >= least), "{found}");
        assert!(most.is_some_and(|most| mean <= most), "{found}");
        let reorders = matches!(media, Media::BFrames | Media::Hevc);
        assert_eq!(picture["reordered"], reorders, "{found}");
        if let Some(fourcc) = audio {
            let sound = &found["audio"][0];
            assert_eq!(sound["fourcc"], fourcc, "{found}");
            assert_eq!(sound["sample_rate"], 48_000, "{found}");
        }
        assert_eq!(found["unreadable_messages"], 0, "{found}");
    }
}
