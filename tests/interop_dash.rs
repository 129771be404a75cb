//! Streams of encoders, packaged into folders of segments with a manifest, are what others
//! play: FFmpeg, ffprobe, GStreamer.

use openrtmp_tests::packaged::{packaged, serve};
use openrtmp_tests::played::{assert_played, assert_played_by_gstreamer, complaints};
use openrtmp_tests::{FrameHashes, Media};

#[test]
fn ffmpeg_plays_what_encoders_make() {
    for media in [
        Media::H264Aac,
        Media::BFrames,
        Media::AudioOnly,
        Media::VideoOnly,
        Media::Hevc,
        Media::Av1Opus,
        Media::Vp9,
        Media::TwoAudioTracks,
        Media::Ac3,
        Media::Flac,
        Media::Hdr,
        Media::Av1Hdr,
    ] {
        let folder = tempfile::tempdir().unwrap();
        packaged(media, folder.path());
        let manifest = folder.path().join("index.mpd");
        assert_played(media, &FrameHashes::of(&manifest));
        assert_eq!(complaints(&manifest), [""; 0], "{media:?}");
    }
}

#[test]
fn gstreamer_plays_the_same() {
    for media in [Media::H264Aac, Media::BFrames] {
        let folder = tempfile::tempdir().unwrap();
        packaged(media, folder.path());
        let url = format!("{}/index.mpd", serve(folder.path()));
        assert_played_by_gstreamer(media, &url, folder.path());
    }
}
