//! Streams of encoders, packaged into folders of segments and playlists, are what others
//! play: FFmpeg, ffprobe, GStreamer.

use std::fs;

use openrtmp_tests::packaged::{EVERY, each, serve};
use openrtmp_tests::played::{assert_played, assert_played_by_gstreamer, complaints};
use openrtmp_tests::{FrameHashes, Media};

#[test]
fn ffmpeg_plays_what_encoders_make() {
    each(EVERY, |media, folder| {
        let master = folder.join("index.m3u8");
        assert_played(media, &FrameHashes::of(&master));
        assert_eq!(complaints(&master), [""; 0], "{media:?}");
        let is_hdr = matches!(media, Media::Hdr | Media::Av1Hdr);
        let told = fs::read_to_string(&master).unwrap();
        assert_eq!(told.contains(",VIDEO-RANGE=PQ"), is_hdr, "{told}");
    });
}

/// GStreamer knows playlists over HTTP alone.
#[test]
fn gstreamer_plays_the_same() {
    each([Media::H264Aac, Media::BFrames], |media, folder| {
        let url = format!("{}/index.m3u8", serve(folder));
        assert_played_by_gstreamer(media, &url, folder);
    });
}
