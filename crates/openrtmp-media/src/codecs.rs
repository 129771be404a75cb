//! Codec strings (RFC 6381, section 3.3) as the attributes CODECS of HLS and `@codecs` of
//! DASH and `MediaSource.isTypeSupported` of browsers have them.
//!
//! Each names what a decoder must be able to do, so it is made from the decoder
//! configuration, or, where a codec has none, from a frame.

use openrtmp_protocol::media::codec::{
    audio_format, audio_format_of_frame, video_format, video_format_of_keyframe,
};
use openrtmp_protocol::media::{AudioCodec, VideoCodec};

/// The string of MP3: object type 34 of MPEG-4 (ISO/IEC 14496-3, table 1.17). HLS players know it
/// by this name, and exchange it for the `mp3` that some browsers want instead; object type
/// indications 0x69 and 0x6B would say no more.
pub(crate) const MP3: &str = "mp4a.40.34";

/// The codec that a string names, without profile and level: `avc1`, `mp4a`, `opus`. What a
/// decoder can do or cannot depends on it. MP3 is one of its own, `mp4a.40.34` by any of its
/// names, for AAC has the beginning of that.
pub fn family(string: &str) -> &str {
    match string {
        MP3 | "mp4a.69" | "mp4a.6B" | "mp4a.6b" | "mp3" => MP3,
        _ => string.split('.').next().unwrap_or(string),
    }
}

/// The string of a video track: `avc1.64001f`, `hvc1.1.6.L93.B0`, `av01.0.05M.08`,
/// `vp09.00.21.08`.
///
/// `config` is the sequence header, `key_frame` a frame that decoding can start at, or
/// nothing; it tells what an AV1 configuration without a sequence header leaves open.
/// `None` if neither can be read, or the codec has no such string.
pub fn video_string(codec: VideoCodec, config: &[u8], key_frame: &[u8]) -> Option<String> {
    let of_frame = || video_format_of_keyframe(codec, key_frame)?.codec_string;
    let of_config = || video_format(codec, config)?.codec_string;
    match codec {
        // The record alone does not know colors; the sequence header in the frame does.
        VideoCodec::Av1 => of_frame().or_else(of_config),
        _ => of_config(),
    }
}

/// The string of an audio track: `mp4a.40.2`, `mp4a.40.34`, `opus`, `fLaC`, `ac-3`, `ec-3`.
///
/// `config` is the sequence header, `frame` any frame; AC-3, E-AC-3 and MP3 have no header.
/// `None` if what is needed cannot be read, or the codec has no such string.
pub fn audio_string(codec: AudioCodec, config: &[u8], frame: &[u8]) -> Option<String> {
    let of_frame = || audio_format_of_frame(codec, frame);
    match codec {
        AudioCodec::Aac => audio_format(codec, config)?.codec_string,
        AudioCodec::Mp3 => of_frame().map(|_| MP3.to_owned()),
        // In small letters, as in WebM, where the name comes from; the sample entry is `Opus`.
        AudioCodec::Opus => audio_format(codec, config)?.codec_string,
        // The sample entry's name, as "Encapsulation of FLAC in ISOBMFF" has it.
        AudioCodec::Flac => audio_format(codec, config).map(|_| "fLaC".to_owned()),
        AudioCodec::Ac3 | AudioCodec::Eac3 => of_frame()?.codec_string,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HEVCDecoderConfigurationRecord up to the level, and the rest of its fixed fields.
    fn hevc(profile: u8, compatibility: [u8; 4], constraints: [u8; 6], level: u8) -> Vec<u8> {
        let mut record = vec![1, profile];
        record.extend(compatibility);
        record.extend(constraints);
        record.push(level);
        record.resize(23, 0);
        record
    }

    #[test]
    fn video_strings_are_those_of_the_specifications() {
        let main = hevc(0x01, [0x60, 0, 0, 0], [0xB0, 0, 0, 0, 0, 0], 93);
        // Profile space A, high tier, constraint bytes with zeros behind them.
        let rare = hevc(0x64, [0x82, 0, 0, 0], [0xB0, 0x23, 0, 0, 0, 0], 120);
        let inner_zero = hevc(0x02, [0x20, 0, 0, 0], [0x90, 0, 8, 0, 0, 0], 153);
        for (codec, config, expected) in [
            // RFC 6381, 3.3: High, level 3.1.
            (
                VideoCodec::Avc,
                &[1, 0x64, 0, 0x1F, 0xFF, 0xE0, 0][..],
                "avc1.64001f",
            ),
            (
                VideoCodec::Avc,
                &[1, 0x42, 0xC0, 0x0D, 0xFF, 0xE0, 0],
                "avc1.42c00d",
            ),
            // ISO/IEC 14496-15, annex E.
            (VideoCodec::Hevc, &main, "hvc1.1.6.L93.B0"),
            (VideoCodec::Hevc, &rare, "hvc1.A4.41.H120.B0.23"),
            (VideoCodec::Hevc, &inner_zero, "hvc1.2.4.L153.90.0.8"),
            // AV1 in ISOBMFF, section 5, the record alone.
            (VideoCodec::Av1, &[0x81, 0x04, 0x4C, 0], "av01.0.04M.10"),
            (VideoCodec::Av1, &[0x81, 0x2D, 0xCC, 0], "av01.1.13H.10"),
            // libaom and SVT-AV1, colors not told.
            (
                VideoCodec::Av1,
                &[
                    0x81, 0, 0x0C, 0, 0x0A, 0x0B, 0, 0, 0, 4, 0x3C, 0xFE, 0xCC, 0xDA, 0xF9, 0, 0x40,
                ],
                "av01.0.00M.08",
            ),
            // SVT-AV1 with the matrix of BT.2020: shaka-packager reads the same.
            (
                VideoCodec::Av1,
                &[
                    0x81, 0, 0x4C, 0, 0x0A, 0x0E, 2, 0, 0, 5, 0x21, 0xE7, 0xF6, 0x60, 0x17, 0xC2,
                    0x81, 1, 4, 0x82,
                ],
                "av01.0.00M.10.0.110.02.02.09.0",
            ),
            // VP codecs in ISOBMFF: 4:2:0, BT.709; then 4:4:4; then PQ.
            (
                VideoCodec::Vp9,
                &[0, 10, 0x82, 1, 1, 1, 0, 0],
                "vp09.00.10.08",
            ),
            (
                VideoCodec::Vp9,
                &[1, 10, 0x86, 1, 1, 1, 0, 0],
                "vp09.01.10.08.03.01.01.01.00",
            ),
            (
                VideoCodec::Vp9,
                &[1, 0, 0, 0, 2, 10, 0xA2, 9, 16, 9, 0, 0],
                "vp09.02.10.10.01.09.16.09.00",
            ),
        ] {
            assert_eq!(video_string(codec, config, &[]).as_deref(), Some(expected));
        }
        for codec in [
            VideoCodec::Avc,
            VideoCodec::Hevc,
            VideoCodec::Vp9,
            VideoCodec::Legacy(2),
        ] {
            assert_eq!(video_string(codec, &[1, 0x64], &[]), None);
        }
    }

    #[test]
    fn a_frame_tells_of_av1_what_its_record_leaves_out() {
        let record = [0x81, 0x1F, 0x4C, 0];
        let header = [
            0x0A, 0x0E, 2, 0, 0, 5, 0x21, 0xE7, 0xF6, 0x60, 0x17, 0xC2, 0x81, 1, 4, 0x82,
        ];
        let string = |frame: &[u8]| video_string(VideoCodec::Av1, &record, frame);
        assert_eq!(string(&[]).as_deref(), Some("av01.0.31M.10"));
        assert_eq!(
            string(&header).as_deref(),
            Some("av01.0.00M.10.0.110.02.02.09.0")
        );
    }

    #[test]
    fn a_codec_is_the_same_in_every_profile() {
        for (string, expected) in [
            ("avc1.64001f", "avc1"),
            ("mp4a.40.2", "mp4a"),
            ("mp4a.40.29", "mp4a"),
            ("mp4a.40.34", "mp4a.40.34"),
            ("mp4a.6B", "mp4a.40.34"),
            ("opus", "opus"),
            ("ec-3", "ec-3"),
        ] {
            assert_eq!(family(string), expected);
        }
    }

    #[test]
    fn audio_strings_are_those_of_the_specifications() {
        let flac = [4, 0, 4, 0, 0, 0, 0xFD, 0, 1, 0x8C, 0x0B, 0xB8, 1, 0x70];
        let flac = [&flac[..], &[0; 20]].concat();
        for (codec, config, frame, expected) in [
            (AudioCodec::Aac, &[0x12, 0x10][..], &[][..], "mp4a.40.2"),
            // Replication told in front, behind, and with parametric stereo.
            (AudioCodec::Aac, &[0x2B, 0x92, 0x08, 0], &[], "mp4a.40.5"),
            (
                AudioCodec::Aac,
                &[0x13, 0x90, 0x56, 0xE5, 0xA0],
                &[],
                "mp4a.40.5",
            ),
            (AudioCodec::Aac, &[0xEB, 0x8A, 0x08, 0], &[], "mp4a.40.29"),
            (
                AudioCodec::Mp3,
                &[],
                &[0xFF, 0xFB, 0x90, 0x64],
                "mp4a.40.34",
            ),
            (
                AudioCodec::Opus,
                b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0",
                &[],
                "opus",
            ),
            (AudioCodec::Flac, &flac, &[], "fLaC"),
            (
                AudioCodec::Ac3,
                &[],
                &[0x0B, 0x77, 0, 0, 0x14, 0x40, 0x43],
                "ac-3",
            ),
            (
                AudioCodec::Eac3,
                &[],
                &[0x0B, 0x77, 1, 0x7F, 0x3F, 0x86, 0],
                "ec-3",
            ),
        ] {
            assert_eq!(
                audio_string(codec, config, frame).as_deref(),
                Some(expected)
            );
        }
        for codec in [
            AudioCodec::Aac,
            AudioCodec::Mp3,
            AudioCodec::Ac3,
            AudioCodec::Legacy(11),
        ] {
            assert_eq!(audio_string(codec, &[], &[]), None, "{codec:?}");
        }
    }
}
