//! Streams of encoders, packaged into folders of segments and playlists, are what others
//! play: FFmpeg, ffprobe, GStreamer.

use std::fs;

use openrtmp_protocol::media::{VideoCodec, VideoTag};
use openrtmp_tests::packaged::{EVERY, each, serve};
use openrtmp_tests::played::{assert_played, assert_played_by_gstreamer, complaints};
use openrtmp_tests::{FrameHashes, Media, flv};

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

/// The first bytes of the NAL units of a picture.
fn kinds(mut units: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (length, rest) = units.split_first_chunk::<4>()?;
        let (unit, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        units = rest;
        unit.first().copied()
    })
}

/// Segments begin at pictures that are no sync samples, and are not said to be; all is played.
#[test]
fn ffmpeg_plays_open_gops() {
    const IDR: u8 = 5;
    const IDR_W_RADL: u8 = 19;
    const IDR_N_LP: u8 = 20;
    each([Media::OpenGop, Media::HevcOpenGop], |media, folder| {
        let tags = flv::read(&media.file());
        let keys = tags
            .iter()
            .filter(|tag| tag.is_video_frame() && tag.is_keyframe());
        let keys: Vec<bool> = keys
            .map(|tag| {
                let parsed = VideoTag::parse(&tag.body).unwrap();
                let packet = parsed.packets().next().unwrap();
                kinds(&tag.body[packet.body.clone()]).any(|kind| match packet.codec {
                    VideoCodec::Avc => kind & 0x1F == IDR,
                    _ => matches!(kind >> 1 & 0x3F, IDR_W_RADL | IDR_N_LP),
                })
            })
            .collect();
        assert!(keys.len() > 4 && keys[0], "{keys:?}");
        assert!(keys[1..].iter().all(|is_idr| !is_idr), "{keys:?}");
        let master = folder.join("index.m3u8");
        assert_played(media, &FrameHashes::of(&master));
        assert_eq!(complaints(&master), [""; 0], "{media:?}");
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
