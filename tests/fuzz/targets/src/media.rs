//! Audio and video messages, Enhanced RTMP and multitrack, and what codecs say of
//! themselves.
//!
//! - Bodies lie within the message, one behind the other.
//! - A packet written by us reads back as it was.
//! - Sizes and rates that are told are numbers that make sense.

use std::ops::Range;

use arbitrary::Unstructured;
use openrtmp_media::captions::Captions;
use openrtmp_media::cues::Cue;
use openrtmp_protocol::flv;
use openrtmp_protocol::media::codec::{
    AudioFormat, LENGTH_SIZE, VideoFormat, audio_format, audio_format_of_frame,
    legacy_audio_format, length_size, picture, video_format, video_format_of_keyframe,
};
use openrtmp_protocol::media::{
    AudioCodec, AudioPacketKind, AudioTag, ChannelLayout, FourCc, MultichannelConfig, VideoCodec,
    VideoPacketKind, VideoTag, write_audio, write_video,
};

use crate::input::take;
use crate::memory;

/// What it is (video and audio messages, video and audio records and frames, channel
/// layouts, metadata), a codec, then the bytes.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let what: u8 = take(&mut input);
    let codec: u8 = take(&mut input);
    let body = input.take_rest();
    // A message holds at most 256 packets, and codecs hold a few texts.
    let allowed = 64 * 1024 + 16 * body.len();
    match what % 6 {
        0 => memory::within(allowed, || video(body)),
        1 => memory::within(allowed, || audio(body)),
        2 => memory::within(allowed, || {
            video_codec(VIDEO[usize::from(codec) % VIDEO.len()], body)
        }),
        3 => memory::within(allowed, || {
            audio_codec(AUDIO[usize::from(codec) % AUDIO.len()], body)
        }),
        4 => channels(body),
        _ => {
            drop(flv::stream_members(body));
            let _ = Cue::of_message(body);
        }
    }
}

/// Codecs by the number that a seed names them with.
pub const VIDEO: [VideoCodec; 8] = [
    VideoCodec::Avc,
    VideoCodec::Hevc,
    VideoCodec::Vvc,
    VideoCodec::Av1,
    VideoCodec::Vp8,
    VideoCodec::Vp9,
    VideoCodec::Legacy(2),
    VideoCodec::Other(FourCc(*b"abcd")),
];

/// As [`VIDEO`].
pub const AUDIO: [AudioCodec; 8] = [
    AudioCodec::Aac,
    AudioCodec::Mp3,
    AudioCodec::Opus,
    AudioCodec::Flac,
    AudioCodec::Ac3,
    AudioCodec::Eac3,
    AudioCodec::Legacy(11),
    AudioCodec::Other(FourCc(*b"abcd")),
];

fn video(message: &[u8]) {
    let Ok(tag) = VideoTag::parse(message) else {
        return;
    };
    assert!(tag.nanos < 1_000_000);
    assert_eq!(Some(tag.first()), tag.packets().next());
    in_order(tag.packets().map(|packet| packet.body.clone()), message);
    for packet in tag.packets() {
        let body = &message[packet.body.clone()];
        assert!((-0x80_0000..0x80_0000).contains(&packet.composition_time));
        video_codec(packet.codec, body);
        let written = write_video(
            packet.codec,
            packet.track,
            tag.frame_type,
            packet.kind,
            packet.composition_time,
            body,
        );
        let again = VideoTag::parse(&written).expect("we read what we write");
        assert_eq!(again.packets().count(), 1);
        let read = again.first();
        assert_eq!(&written[read.body.clone()], body);
        assert_eq!(read.kind, packet.kind);
        if packet.kind != VideoPacketKind::Command {
            assert_eq!((read.codec, read.track), (packet.codec, packet.track));
            assert_eq!(read.composition_time, packet.composition_time);
            assert_eq!(again.frame_type, tag.frame_type);
        }
    }
}

fn audio(message: &[u8]) {
    let Ok(tag) = AudioTag::parse(message) else {
        return;
    };
    assert!(tag.nanos < 1_000_000);
    assert_eq!(tag.first().is_none(), message.is_empty());
    in_order(tag.packets().map(|packet| packet.body.clone()), message);
    for packet in tag.packets() {
        let body = &message[packet.body.clone()];
        audio_codec(packet.codec, body);
        if packet.kind == AudioPacketKind::MultichannelConfig {
            channels(body);
        }
        let written = write_audio(packet.codec, packet.track, packet.kind, body);
        let again = AudioTag::parse(&written).expect("we read what we write");
        assert_eq!(again.packets().count(), 1);
        let read = again.first().expect("it has one");
        assert_eq!(&written[read.body.clone()], body);
        assert_eq!((read.kind, read.codec), (packet.kind, packet.codec));
        assert_eq!(read.track, packet.track);
    }
}

fn in_order(bodies: impl Iterator<Item = Range<usize>>, message: &[u8]) {
    let mut end = 0;
    for body in bodies {
        assert!(
            end <= body.start && body.start <= body.end,
            "{body:?} after {end}"
        );
        end = body.end;
    }
    assert!(end <= message.len());
}

fn video_codec(codec: VideoCodec, body: &[u8]) {
    let sane = |format: &VideoFormat| {
        assert!(
            format
                .frame_rate
                .is_none_or(|rate| rate.is_finite() && rate > 0.0),
            "{format:?}"
        );
        assert!(
            format.width != Some(0) && format.height != Some(0),
            "{format:?}"
        );
        plain(format.codec_string.as_deref());
    };
    let _ = video_format(codec, body).inspect(sane);
    let _ = video_format_of_keyframe(codec, body).inspect(sane);
    let size = length_size(codec, body).unwrap_or(LENGTH_SIZE);
    assert!((1..=4).contains(&size));
    let _ = picture(codec, body, size);
    for size in 1..=4 {
        let _ = Captions::of_frame(codec, size, body);
    }
    assert_eq!(codec, legacy_again(codec));
}

fn legacy_again(codec: VideoCodec) -> VideoCodec {
    codec.legacy_id().map_or(codec, VideoCodec::from_legacy_id)
}

fn audio_codec(codec: AudioCodec, body: &[u8]) {
    let sane = |format: &AudioFormat| {
        assert!(
            format.sample_rate != Some(0) && format.channels != Some(0),
            "{format:?}"
        );
        plain(format.codec_string.as_deref());
    };
    let _ = audio_format(codec, body).inspect(sane);
    let _ = audio_format_of_frame(codec, body).inspect(sane);
    if let Some(first) = body.first() {
        sane(&legacy_audio_format(*first));
    }
    let again = codec.legacy_id().map_or(codec, AudioCodec::from_legacy_id);
    assert_eq!(codec, again);
}

/// Codec strings go into manifests and logs.
fn plain(text: Option<&str>) {
    let text = text.unwrap_or("none");
    assert!(
        !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()),
        "{text:?}"
    );
}

fn channels(body: &[u8]) {
    if let Ok(config) = MultichannelConfig::parse(body)
        && let ChannelLayout::Custom(channels) = config.layout
    {
        assert_eq!(channels.len(), usize::from(config.channels));
    }
}
