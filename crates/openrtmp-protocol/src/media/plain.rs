//! The plain form of audio and video messages, for players that know one track and
//! little of Enhanced RTMP: the default track alone, with FLV's own headers wherever
//! they can say the same.

use bytes::Bytes;

use super::{
    AudioCodec, AudioPacketKind, AudioTag, VideoCodec, VideoPacketKind, VideoTag, write_audio,
    write_video,
};

/// How a message reads in its plain form. Closed on purpose: whoever asks has to do something
/// about each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainForm {
    /// As it is.
    Same,
    /// Otherwise: [`write_plain_video`] and [`write_plain_audio`] make it.
    Rewritten,
    /// There is none: the message is of other tracks, or of a kind that only Enhanced
    /// RTMP has and that players can do without.
    Omitted,
}

/// Packet types from here on are wrapped around others: multitrack and ModEx (Enhanced
/// RTMP v2, VideoPacketType and AudioPacketType).
const VIDEO_WRAPPERS: u8 = 6;
const AUDIO_WRAPPERS: u8 = 5;

/// The plain form of a video message whose tag was read from `payload`, `track` being
/// the default track.
pub fn plain_video_form(tag: &VideoTag, payload: &[u8], track: u8) -> PlainForm {
    let Some(packet) = tag.packets().find(|packet| packet.track == track) else {
        return PlainForm::Omitted;
    };
    if !tag.enhanced {
        return PlainForm::Same;
    }
    let is_wrapped = payload[0] & 0x0F >= VIDEO_WRAPPERS;
    match packet.kind {
        VideoPacketKind::Metadata | VideoPacketKind::Command => PlainForm::Omitted,
        VideoPacketKind::Mpeg2TsSequenceStart if is_wrapped => PlainForm::Rewritten,
        _ if is_wrapped || packet.codec == VideoCodec::Avc => PlainForm::Rewritten,
        _ => PlainForm::Same,
    }
}

/// The same for an audio message. Silence is plain.
pub fn plain_audio_form(tag: &AudioTag, payload: &[u8], track: u8) -> PlainForm {
    if tag.first().is_none() {
        return PlainForm::Same;
    }
    let Some(packet) = tag.packets().find(|packet| packet.track == track) else {
        return PlainForm::Omitted;
    };
    if !tag.enhanced {
        return PlainForm::Same;
    }
    let is_wrapped = payload[0] & 0x0F >= AUDIO_WRAPPERS;
    match (packet.kind, packet.codec) {
        (AudioPacketKind::MultichannelConfig, _) => PlainForm::Omitted,
        // FLV has no such messages of these.
        (AudioPacketKind::SequenceEnd, AudioCodec::Aac | AudioCodec::Mp3)
        | (AudioPacketKind::SequenceStart, AudioCodec::Mp3) => PlainForm::Omitted,
        (_, AudioCodec::Aac | AudioCodec::Mp3) => PlainForm::Rewritten,
        _ if is_wrapped => PlainForm::Rewritten,
        _ => PlainForm::Same,
    }
}

/// The message of one track of a video message alone; `None` if there is none in it.
pub fn write_plain_video(payload: &[u8], track: u8) -> Option<Bytes> {
    let tag = VideoTag::parse(payload).ok()?;
    let packet = tag.packets().find(|packet| packet.track == track)?;
    let body = payload.get(packet.body.clone())?;
    let (kind, time) = (packet.kind, packet.composition_time);
    Some(write_video(
        packet.codec,
        0,
        tag.frame_type,
        kind,
        time,
        body,
    ))
}

/// The same of an audio message.
pub fn write_plain_audio(payload: &[u8], track: u8) -> Option<Bytes> {
    let tag = AudioTag::parse(payload).ok()?;
    let packet = tag.packets().find(|packet| packet.track == track)?;
    let body = payload.get(packet.body.clone())?;
    Some(write_audio(packet.codec, 0, packet.kind, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(payload: &[u8], track: u8) -> (PlainForm, Option<Vec<u8>>) {
        let tag = VideoTag::parse(payload).expect("a tag");
        let written = write_plain_video(payload, track).map(|bytes| bytes.to_vec());
        (plain_video_form(&tag, payload, track), written)
    }

    fn audio(payload: &[u8], track: u8) -> (PlainForm, Option<Vec<u8>>) {
        let tag = AudioTag::parse(payload).expect("a tag");
        let written = write_plain_audio(payload, track).map(|bytes| bytes.to_vec());
        (plain_audio_form(&tag, payload, track), written)
    }

    #[test]
    fn what_flv_can_say_is_said_as_flv_says_it() {
        use PlainForm::Rewritten;
        // CodedFrames, CodedFramesX, SequenceStart and SequenceEnd of avc1.
        let cases: [(&[u8], &[u8]); 4] = [
            (b"\x91avc1\x00\x00\x21body", b"\x17\x01\x00\x00\x21body"),
            (b"\xA3avc1body", b"\x27\x01\x00\x00\x00body"),
            (b"\x90avc1conf", b"\x17\x00\x00\x00\x00conf"),
            (b"\x92avc1", b"\x17\x02\x00\x00\x00"),
        ];
        for (enhanced, plain) in cases {
            assert_eq!(video(enhanced, 0), (Rewritten, Some(plain.to_vec())));
        }
        let cases: [(&[u8], &[u8]); 3] = [
            (b"\x90mp4aconf", b"\xAF\x00conf"),
            (b"\x91mp4abody", b"\xAF\x01body"),
            (b"\x91.mp3body", b"\x2Fbody"),
        ];
        for (enhanced, plain) in cases {
            assert_eq!(audio(enhanced, 0), (Rewritten, Some(plain.to_vec())));
        }
    }

    #[test]
    fn what_flv_says_or_cannot_say_stays_as_it_is() {
        for payload in [
            &b"\x17\x01\x00\x00\x00body"[..],
            b"\x22body",
            b"\x91hvc1\x00\x00\x21body",
            b"\x90av01conf",
            b"\x92vp09",
        ] {
            assert_eq!(video(payload, 0).0, PlainForm::Same, "{payload:?}");
        }
        for payload in [
            &b""[..],
            b"\xAF\x01body",
            b"\x2Fbody",
            b"\x91Opusbody",
            b"\x90ac-3",
        ] {
            assert_eq!(audio(payload, 0).0, PlainForm::Same, "{payload:?}");
        }
    }

    #[test]
    fn of_several_tracks_the_default_one_is_left() {
        use PlainForm::{Omitted, Rewritten, Same};
        let hevc = b"\x96\x01hvc1\x03\x00\x00\x07body";
        assert_eq!(video(hevc, 0), (Omitted, None));
        let alone = b"\x91hvc1\x00\x00\x07body";
        assert_eq!(video(hevc, 3), (Rewritten, Some(alone.to_vec())));
        // ManyTracks, CodedFramesX: track 2 of two bytes, then track 0 of three.
        let many = b"\xA6\x13avc1\x02\x00\x00\x02yy\x00\x00\x00\x03zzz";
        let alone = b"\x27\x01\x00\x00\x00zzz";
        assert_eq!(video(many, 0), (Rewritten, Some(alone.to_vec())));
        assert_eq!(video(many, 1), (Omitted, None));
        // A legacy message is of track 0.
        assert_eq!(video(b"\x17\x01\x00\x00\x00body", 1), (Omitted, None));
        // ManyTracksManyCodecs: Opus on track 1, AAC on track 0.
        let many = b"\x95\x21Opus\x01\x00\x00\x01ymp4a\x00\x00\x00\x01z";
        assert_eq!(audio(many, 0), (Rewritten, Some(b"\xAF\x01z".to_vec())));
        assert_eq!(audio(many, 1), (Rewritten, Some(b"\x91Opusy".to_vec())));
        assert_eq!(audio(b"\xAF\x01z", 0).0, Same);
    }

    #[test]
    fn what_only_enhanced_rtmp_has_is_left_out() {
        for payload in [&b"\x94hvc1\x02\x00\x09colorInfo"[..], b"\xD0\x00"] {
            assert_eq!(video(payload, 0).0, PlainForm::Omitted, "{payload:?}");
        }
        for payload in [
            &b"\x94mp4a\x01\x06\x00\x00\x00\x3F"[..],
            b"\x92mp4a",
            b"\x90.mp3",
        ] {
            assert_eq!(audio(payload, 0).0, PlainForm::Omitted, "{payload:?}");
        }
    }

    #[test]
    fn nanoseconds_go_with_their_modifier() {
        // ModEx of three bytes, TimestampOffsetNano, then CodedFramesX of hvc1.
        let precise = b"\x97\x02\x00\x00\x05\x03hvc1body";
        let plain = b"\x93hvc1body";
        assert_eq!(
            video(precise, 0),
            (PlainForm::Rewritten, Some(plain.to_vec()))
        );
    }
}
