//! Streams of encoders, packaged into folders of segments with a manifest, are what others
//! play: FFmpeg, ffprobe, GStreamer.

use openrtmp_tests::packaged::{EVERY, each, serve};
use openrtmp_tests::played::{assert_played, assert_played_by_gstreamer, complaints};
use openrtmp_tests::{FrameHashes, Media};

#[test]
fn ffmpeg_plays_what_encoders_make() {
    each(EVERY, |media, folder| {
        let manifest = folder.join("index.mpd");
        assert_played(media, &FrameHashes::of(&manifest));
        assert_eq!(complaints(&manifest), [""; 0], "{media:?}");
    });
}

#[test]
fn gstreamer_plays_the_same() {
    each([Media::H264Aac, Media::BFrames], |media, folder| {
        let url = format!("{}/index.mpd", serve(folder));
        assert_played_by_gstreamer(media, &url, folder);
    });
}
