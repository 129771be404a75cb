//! Streams of encoders, packaged into folders of segments and playlists, are what others
//! play: FFmpeg, ffprobe, GStreamer.

use std::fs;

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
        let master = folder.path().join("index.m3u8");
        let played = FrameHashes::of(&master);
        assert_played(media, &played);
        assert_eq!(complaints(&master), [""; 0], "{media:?}");
        let is_hdr = matches!(media, Media::Hdr | Media::Av1Hdr);
        let told = fs::read_to_string(&master).unwrap();
        assert_eq!(told.contains(",VIDEO-RANGE=PQ"), is_hdr, "{told}");
    }
}

/// GStreamer knows playlists over HTTP alone.
#[test]
fn gstreamer_plays_the_same() {
    for media in [Media::H264Aac, Media::BFrames] {
        let folder = tempfile::tempdir().unwrap();
        packaged(media, folder.path());
        let url = format!("{}/index.m3u8", serve(folder.path()));
        assert_played_by_gstreamer(media, &url, folder.path());
    }
}
