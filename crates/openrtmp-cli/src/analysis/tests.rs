use bytes::Bytes;
use openrtmp_core::client::Media;
use openrtmp_protocol::media::{write_audio, write_video};

use super::*;
use crate::media::is_frame;

/// A decoder configuration record (ISO/IEC 14496-15, section 5.3.3.1) as x264
/// writes it for 1280x720: constrained baseline, level 3.1.
const AVC_720P: [u8; 38] = [
    0x01, 0x42, 0xC0, 0x1F, 0xFF, 0xE1, 0x00, 0x17, // version, profile, level, one SPS of 23
    0x67, 0x42, 0xC0, 0x1F, 0xDA, 0x01, 0x40, 0x16, 0xEC, 0x04, 0x40, 0x00, // SPS
    0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0C, 0x83, 0xC6, 0x0C, 0xA8, // SPS, continued
    0x01, 0x00, 0x04, 0x68, 0xCE, 0x0F, 0xC8, // one PPS of 4
];

/// AAC LC, 48 kHz, stereo (ISO/IEC 14496-3, section 1.6.2.1).
const AAC_48K: [u8; 2] = [0x11, 0x90];

struct Feed {
    analysis: Analysis,
    arrived: Duration,
}

impl Feed {
    fn new() -> Feed {
        Feed {
            analysis: Analysis::default(),
            arrived: Duration::from_millis(100),
        }
    }

    fn message(&mut self, kind: MediaKind, position: u64, payload: Bytes) {
        let media = Media {
            stream: 1,
            kind,
            timestamp: position as u32,
            payload: payload.into(),
        };
        self.analysis.add(&Received {
            media: &media,
            position,
            frame: is_frame(kind, &media.payload),
            arrived: self.arrived,
        });
        self.arrived += Duration::from_millis(1);
    }

    fn video(&mut self, position: u64, frame: FrameType, kind: VideoPacketKind, body: &[u8]) {
        let payload = write_video(VideoCodec::Avc, 0, frame, kind, 0, body);
        self.message(MediaKind::Video, position, payload);
    }

    fn audio(&mut self, position: u64, kind: AudioPacketKind, body: &[u8]) {
        let payload = write_audio(AudioCodec::Aac, 0, kind, body);
        self.message(MediaKind::Audio, position, payload);
    }
}

/// `seconds` of 25 frames a second of 1,000 bytes, a keyframe every `gop` frames.
fn pictures(feed: &mut Feed, seconds: u64, gop: u64) {
    feed.video(0, FrameType::Key, VideoPacketKind::SequenceStart, &AVC_720P);
    for frame in 0..seconds * 25 {
        let kind = if frame % gop == 0 {
            FrameType::Key
        } else {
            FrameType::Inter
        };
        feed.video(frame * 40, kind, VideoPacketKind::Frame, &[0; 1_000]);
    }
}

#[test]
fn a_video_track_is_measured_by_its_own_timestamps() {
    let mut feed = Feed::new();
    pictures(&mut feed, 4, 50);
    let track = &feed.analysis.video[&0];
    assert_eq!(track.codec, VideoCodec::Avc);
    assert!(!track.enhanced);
    assert_eq!((track.frames.count, track.keyframes), (100, 2));
    assert_eq!(track.frames.rate(), Some(25.0));
    assert_eq!(track.frames.bit_rate(), Some(200_000.0));
    assert_eq!(track.gops.mean(), Some(2_000.0));
    assert_eq!(track.gops.mean_frames(), Some(50.0));
    assert!(!track.reordered);
    assert_eq!(feed.analysis.length(), Duration::from_millis(3_960));
}

#[test]
fn the_size_is_that_of_the_sequence_header() {
    let mut feed = Feed::new();
    pictures(&mut feed, 1, 25);
    let format = &feed.analysis.video[&0].format;
    assert_eq!((format.width, format.height), (Some(1280), Some(720)));
    assert_eq!(format.codec_string.as_deref(), Some("avc1.42c01f"));
}

#[test]
fn uneven_groups_show_their_extremes() {
    let mut feed = Feed::new();
    for (position, key) in [(0, true), (500, false), (1_000, true), (4_000, true)] {
        let kind = if key {
            FrameType::Key
        } else {
            FrameType::Inter
        };
        feed.video(position, kind, VideoPacketKind::Frame, &[0; 10]);
    }
    let gops = &feed.analysis.video[&0].gops;
    assert_eq!((gops.count, gops.shortest, gops.longest), (2, 1_000, 3_000));
    assert_eq!(gops.mean(), Some(2_000.0));
    assert_eq!(gops.mean_frames(), Some(1.5));
}

#[test]
fn the_join_ends_with_the_first_keyframe() {
    let mut feed = Feed::new();
    feed.video(0, FrameType::Key, VideoPacketKind::SequenceStart, &AVC_720P);
    assert_eq!(feed.analysis.join_time(), None, "nothing can be shown yet");
    feed.video(0, FrameType::Inter, VideoPacketKind::Frame, &[0; 10]);
    feed.video(40, FrameType::Key, VideoPacketKind::Frame, &[0; 10]);
    feed.video(80, FrameType::Key, VideoPacketKind::Frame, &[0; 10]);
    assert_eq!(feed.analysis.first_media, Some(Duration::from_millis(100)));
    assert_eq!(feed.analysis.join_time(), Some(Duration::from_millis(102)));
}

#[test]
fn sound_alone_joins_with_its_first_message() {
    let mut feed = Feed::new();
    feed.audio(0, AudioPacketKind::SequenceStart, &AAC_48K);
    for frame in 0..48 {
        feed.audio(frame * 125, AudioPacketKind::Frame, &[0; 250]);
    }
    let track = &feed.analysis.audio[&0];
    assert_eq!(track.codec, AudioCodec::Aac);
    assert_eq!(track.format.sample_rate, Some(48_000));
    assert_eq!(track.format.channels, Some(2));
    assert_eq!(track.frames.bit_rate(), Some(16_000.0));
    assert_eq!(feed.analysis.join_time(), Some(Duration::from_millis(100)));
    assert!(feed.analysis.is_enough(), "5 s of sound");
}

#[test]
fn a_probe_stops_after_two_groups_or_some_seconds() {
    let enough = |seconds, gop| {
        let mut feed = Feed::new();
        pictures(&mut feed, seconds, gop);
        feed.analysis.is_enough()
    };
    assert!(!enough(1, 10), "two groups, but only one second");
    assert!(enough(3, 25));
    assert!(!enough(4, 75), "one group of 3 s");
    assert!(enough(6, 75));
    assert!(!enough(6, 1_000), "no group seen whole");
    assert!(enough(13, 1_000));
}

#[test]
fn a_composition_time_means_reordered_frames() {
    let mut feed = Feed::new();
    let payload = write_video(
        VideoCodec::Hevc,
        0,
        FrameType::Key,
        VideoPacketKind::Frame,
        80,
        &[0; 10],
    );
    feed.message(MediaKind::Video, 0, payload);
    let track = &feed.analysis.video[&0];
    assert!(track.reordered && track.enhanced);
    assert_eq!(track.codec, VideoCodec::Hevc);
}

#[test]
fn one_frame_has_no_rate() {
    let mut feed = Feed::new();
    feed.video(0, FrameType::Key, VideoPacketKind::Frame, &[0; 10]);
    let frames = &feed.analysis.video[&0].frames;
    assert_eq!((frames.rate(), frames.bit_rate()), (None, None));
}

#[test]
fn what_cannot_be_read_is_counted() {
    let mut feed = Feed::new();
    feed.message(MediaKind::Video, 0, Bytes::new());
    assert_eq!(feed.analysis.unreadable, 1);
    assert!(feed.analysis.video.is_empty());
}

#[test]
fn metadata_is_kept() {
    let mut feed = Feed::new();
    // "onMetaData", then an ECMA array { framerate: 25.0 } (AMF0, sections 2.4, 2.10).
    let mut payload = b"\x02\x00\x0AonMetaData\x08\x00\x00\x00\x01\x00\x09framerate\x00".to_vec();
    payload.extend_from_slice(&25f64.to_be_bytes());
    payload.extend_from_slice(&[0, 0, 9]);
    feed.message(MediaKind::Data, 0, payload.into());
    assert_eq!(
        declared(feed.analysis.metadata.as_ref(), "framerate"),
        Some(25.0)
    );
    assert_eq!(declared(feed.analysis.metadata.as_ref(), "width"), None);
}
