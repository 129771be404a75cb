//! Configurations taken apart, put together again, and units in both forms.

use proptest::prelude::*;

use super::*;
use crate::media::FourCc;
use crate::media::golden;

const VIDEO_CONFIG: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/golden/codec/video_config.txt"
));

/// The configurations of a codec that encoders made, with their names.
fn configs(codec: &str) -> Vec<(String, Vec<u8>)> {
    let all = golden::cases(VIDEO_CONFIG).into_iter();
    let of_codec = all.filter(|case| case.values("codec") == [codec]);
    of_codec
        .map(|case| (case.name.clone(), case.bytes.clone()))
        .collect()
}

#[test]
fn avc_configurations_are_what_their_sets_make() {
    let mut seen = 0;
    for (name, config) in configs("avc1") {
        let Some(parts) = video_decoder_parts(VideoCodec::Avc, &config) else {
            continue;
        };
        let [sequences, pictures] = parts.as_slice() else {
            panic!("{name}: {} parts", parts.len());
        };
        if sequences.is_empty() || pictures.is_empty() {
            continue;
        }
        assert_eq!(sequences[..4], [0, 0, 0, 1], "{name}");
        // Encoders give the sets in any order.
        let sets = [pictures.clone(), sequences.clone()].concat();
        let made = video_config_of_sets(VideoCodec::Avc, &sets);
        assert_eq!(made, Some(config), "{name}");
        seen += 1;
    }
    assert!(seen >= 6, "{seen}");
}

#[test]
fn hevc_configurations_say_the_same_when_made_of_their_sets() {
    let mut seen = 0;
    for (name, config) in configs("hvc1") {
        let parts = video_decoder_parts(VideoCodec::Hevc, &config);
        let Some([sets]) = parts.as_deref() else {
            continue;
        };
        if sets.is_empty() {
            continue;
        }
        let made = video_config_of_sets(VideoCodec::Hevc, sets)
            .unwrap_or_else(|| panic!("{name}: no record"));
        // Version, profile, tier, level; then chroma format, depths, layers, length.
        assert_eq!(made[..13], config[..13], "{name}");
        assert_eq!(made[16..19], config[16..19], "{name}");
        assert_eq!(made[21], config[21] | 3, "{name}");
        let format = |config| video_format(VideoCodec::Hevc, config);
        assert_eq!(format(&made), format(&config), "{name}");
        let kept = video_decoder_parts(VideoCodec::Hevc, &made)
            .unwrap()
            .concat();
        let is_set = |unit: &&[u8]| (32..=34).contains(&(unit[0] >> 1 & 0x3F));
        let before: Vec<&[u8]> = annex_b_units(sets).unwrap().filter(is_set).collect();
        let after: Vec<&[u8]> = annex_b_units(&kept).unwrap().collect();
        assert_eq!(after, before, "{name}");
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn what_lacks_a_set_is_no_configuration() {
    let (_, config) = configs("avc1").remove(0);
    let parts = video_decoder_parts(VideoCodec::Avc, &config).unwrap();
    for sets in &parts {
        assert_eq!(video_config_of_sets(VideoCodec::Avc, sets), None);
    }
    assert_eq!(video_config_of_sets(VideoCodec::Av1, &parts.concat()), None);
    assert_eq!(video_config_of_sets(VideoCodec::Avc, &config), None);
}

#[test]
fn opus_tells_what_to_skip_and_what_to_decode_before() {
    // RFC 7845, 5.1: version 1, 2 channels, pre-skip 312, 48 kHz, no gain, family 0.
    let head = *b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0";
    let parts = audio_decoder_parts(AudioCodec::Opus, &head).unwrap();
    assert_eq!(parts[0], head);
    assert_eq!(parts[1], 6_500_000_u64.to_ne_bytes());
    assert_eq!(parts[2], 80_000_000_u64.to_ne_bytes());
    assert_eq!(audio_decoder_parts(AudioCodec::Opus, b""), Some(Vec::new()));
    assert_eq!(audio_decoder_parts(AudioCodec::Opus, b"OpusTags"), None);
    let config = [0x11, 0x90];
    let parts = audio_decoder_parts(AudioCodec::Aac, &config).unwrap();
    assert_eq!(parts, [config]);
}

#[test]
fn start_codes_of_both_lengths_begin_units() {
    let stream = [
        0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x65, 0, 0, 3, 1, 0, 0, 0, 0, 1, 0x41,
    ];
    let units: Vec<&[u8]> = annex_b_units(&stream).unwrap().collect();
    let expected: [&[u8]; 3] = [&[9, 0xF0], &[0x65, 0, 0, 3, 1], &[0x41]];
    assert_eq!(units, expected);
    for no_stream in [&[][..], &[0, 0], &[0, 1, 9], &[1, 9], &[0, 0, 2, 9]] {
        assert!(annex_b_units(no_stream).is_none(), "{no_stream:?}");
        assert_eq!(from_annex_b(no_stream), None);
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    assert_eq!(to_annex_b(&[0, 0, 0, 2, 9], 4), None);
    assert_eq!(to_annex_b(&[0, 0], 4), None);
    assert_eq!(to_annex_b(&[2, 9, 1], 1), Some(vec![0, 0, 0, 1, 9, 1]));
    assert_eq!(to_annex_b(&[], 4), Some(Vec::new()));
}

/// A NAL unit: three bytes in it are no start code, and the last is not zero.
fn unit() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(1_u8.., 1..40)
}

proptest! {
    #[test]
    fn units_are_the_same_in_both_forms(
        units in proptest::collection::vec(unit(), 1..8),
        length_size in 1_usize..=4,
    ) {
        let mut frame = Vec::new();
        let mut plain = Vec::new();
        for unit in &units {
            let length = (unit.len() as u32).to_be_bytes();
            frame.extend(&length[4 - length_size..]);
            frame.extend(unit);
            plain.extend(length);
            plain.extend(unit);
        }
        let stream = to_annex_b(&frame, length_size).unwrap();
        prop_assert_eq!(annex_b_units(&stream).unwrap().collect::<Vec<_>>(), units);
        prop_assert_eq!(from_annex_b(&stream), Some(plain));
    }

    #[test]
    fn any_bytes_are_looked_at_without_harm(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        length_size in 1_usize..=4,
    ) {
        let _ = to_annex_b(&bytes, length_size);
        let _ = from_annex_b(&bytes);
        let stream = [&[0, 0, 0, 1][..], &bytes].concat();
        for fourcc in [b"avc1", b"hvc1", b"av01"] {
            let codec = VideoCodec::from(FourCc(*fourcc));
            let _ = video_decoder_parts(codec, &bytes);
            let _ = video_config_of_sets(codec, &stream);
        }
        let _ = audio_decoder_parts(AudioCodec::Opus, &bytes);
    }
}
