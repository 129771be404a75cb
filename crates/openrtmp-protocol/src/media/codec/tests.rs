use proptest::prelude::*;

use super::*;
use crate::media::FourCc;
use crate::media::golden::{self, Case};

macro_rules! golden_file {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/golden/codec/",
            $name
        ))
    };
}

const VIDEO_CONFIG: &str = golden_file!("video_config.txt");
const VIDEO_FRAME: &str = golden_file!("video_frame.txt");
const AUDIO_CONFIG: &str = golden_file!("audio_config.txt");
const AUDIO_FRAME: &str = golden_file!("audio_frame.txt");

#[test]
fn video_sequence_headers_tell_size_rate_and_codec_string() {
    for case in golden::cases(VIDEO_CONFIG) {
        let format = video_format(fourcc(&case).into(), &case.bytes);
        let format: Vec<String> = format.iter().map(video_line).collect();
        assert_eq!(format, case.values("expect"), "{}", case.name);
    }
}

#[test]
fn frames_tell_whether_they_are_key_frames_and_their_size() {
    for case in golden::cases(VIDEO_FRAME) {
        let codec = VideoCodec::from(fourcc(&case));
        let key = match picture(codec, &case.bytes, LENGTH_SIZE) {
            Picture::Access => "true",
            Picture::Inter => "false",
            Picture::Absent => "absent",
            Picture::Unknown => "unknown",
        };
        assert_eq!(case.values("key"), [key], "{}", case.name);
        let format = video_format_of_keyframe(codec, &case.bytes);
        let format: Vec<String> = format.iter().map(video_line).collect();
        assert_eq!(format, case.values("expect"), "{}", case.name);
    }
}

#[test]
fn audio_sequence_headers_tell_rate_channels_and_codec_string() {
    for case in golden::cases(AUDIO_CONFIG) {
        let format = audio_format(fourcc(&case).into(), &case.bytes);
        let format: Vec<String> = format.iter().map(audio_line).collect();
        assert_eq!(format, case.values("expect"), "{}", case.name);
    }
}

#[test]
fn audio_frames_tell_rate_channels_and_codec_string() {
    for case in golden::cases(AUDIO_FRAME) {
        let format = audio_format_of_frame(fourcc(&case).into(), &case.bytes);
        let format: Vec<String> = format.iter().map(audio_line).collect();
        assert_eq!(format, case.values("expect"), "{}", case.name);
    }
}

#[test]
fn legacy_audio_headers_tell_rate_and_channels_where_they_may() {
    // FLV 10.1, E.4.2.1.
    for (first_byte, expected) in [
        (0x2F, "44100 2 mp3"),
        (0x26, "11025 1 mp3"),
        (0xE2, "8000 1 mp3"),
        (0x3D, "44100 2 -"),
        (0x10, "5512 1 -"),
        (0x4F, "16000 1 -"),
        (0x5F, "8000 1 -"),
        (0x6A, "22050 1 -"),
        (0x7F, "8000 2 -"),
        (0x82, "8000 1 -"),
        (0xB6, "16000 1 -"),
        (0xAF, "- - -"),
    ] {
        assert_eq!(audio_line(&legacy_audio_format(first_byte)), expected);
    }
}

#[test]
fn a_configuration_that_breaks_off_anywhere_is_read_as_far_as_it_goes() {
    for case in golden::cases(VIDEO_CONFIG) {
        let codec = VideoCodec::from(fourcc(&case));
        let whole = video_format(codec, &case.bytes);
        for end in 0..case.bytes.len() {
            let cut = video_format(codec, &case.bytes[..end]);
            // What is told of a part is never something else.
            if let (Some(cut), Some(whole)) = (cut, &whole) {
                assert!(cut.width.is_none() || cut.width == whole.width);
                assert!(cut.height.is_none() || cut.height == whole.height);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn damaged_headers_and_frames_are_read_or_refused(
        bytes in golden::damaged(&[VIDEO_CONFIG, VIDEO_FRAME, AUDIO_CONFIG, AUDIO_FRAME]),
    ) {
        read_as_everything(&bytes);
    }
}

fn read_as_everything(bytes: &[u8]) {
    for fourcc in [
        b"avc1", b"hvc1", b"vvc1", b"av01", b"vp08", b"vp09", b"????",
    ] {
        let codec = VideoCodec::from(FourCc(*fourcc));
        for format in [
            video_format(codec, bytes),
            video_format_of_keyframe(codec, bytes),
        ] {
            let format = format.unwrap_or_default();
            assert!(format.width != Some(0) && format.height != Some(0));
            let rate = format.frame_rate;
            assert!(rate.is_none_or(|rate| rate.is_finite() && rate > 0.0));
        }
        for length_size in 1..=4 {
            picture(codec, bytes, length_size);
        }
        assert!(length_size(codec, bytes).is_none_or(|size| (1..=4).contains(&size)));
    }
    for fourcc in [
        b"mp4a", b"Opus", b"fLaC", b"ac-3", b"ec-3", b".mp3", b"????",
    ] {
        let codec = AudioCodec::from(FourCc(*fourcc));
        for format in [
            audio_format(codec, bytes),
            audio_format_of_frame(codec, bytes),
        ] {
            assert_ne!(format.and_then(|format| format.channels), Some(0));
        }
    }
}

fn fourcc(case: &Case) -> FourCc {
    let [code] = case.values("codec")[..] else {
        panic!("{}: one codec is needed", case.name);
    };
    FourCc(code.as_bytes().try_into().expect("four characters"))
}

fn video_line(format: &VideoFormat) -> String {
    format!(
        "{} {} {} {}",
        or_dash(&format.width),
        or_dash(&format.height),
        or_dash(&format.frame_rate.map(|rate| format!("{rate:.3}"))),
        or_dash(&format.codec_string)
    )
}

fn audio_line(format: &AudioFormat) -> String {
    format!(
        "{} {} {}",
        or_dash(&format.sample_rate),
        or_dash(&format.channels),
        or_dash(&format.codec_string)
    )
}

fn or_dash<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or("-".to_owned(), T::to_string)
}

#[test]
fn a_body_too_short_for_a_configuration_is_none() {
    use AudioCodec::{Aac, Ac3, Eac3, Mp3, Opus};
    use VideoCodec::{Av1, Avc, Hevc, Vp9};
    for (codec, least) in [(Avc, 7), (Hevc, 23), (Av1, 4), (Vp9, 0)] {
        for length in 0..30 {
            let fits = is_video_config(codec, &vec![1; length]);
            assert_eq!(fits, length >= least, "{codec:?} of {length} bytes");
        }
    }
    for (codec, least) in [(Aac, 2), (Opus, 0), (Ac3, 0), (Eac3, 0), (Mp3, 0)] {
        for length in 0..4 {
            let fits = is_audio_config(codec, &vec![1; length]);
            assert_eq!(fits, length >= least, "{codec:?} of {length} bytes");
        }
    }
}

#[test]
fn units_are_found_by_lengths_of_every_size() {
    let units: [&[u8]; 4] = [
        &[0x09, 0xF0],
        &[],
        &[0x06, 5, 1, 0, 0x80],
        &[0x65, 0x88, 0x84],
    ];
    for size in 1..=4 {
        let mut frame = Vec::new();
        for unit in units {
            frame.extend(&(unit.len() as u32).to_be_bytes()[4 - size..]);
            frame.extend(unit);
        }
        assert_eq!(picture(VideoCodec::Avc, &frame, size), Picture::Access);
        let avc = [1, 0x42, 0xC0, 30, 0xFC | (size as u8 - 1), 0xE0, 0];
        assert_eq!(length_size(VideoCodec::Avc, &avc), Some(size));
        let mut hevc = [0; 23];
        hevc[21] = 0x0C | (size as u8 - 1);
        assert_eq!(length_size(VideoCodec::Hevc, &hevc), Some(size));
        let vvc = [0xF8 | (size as u8 - 1) << 1];
        assert_eq!(length_size(VideoCodec::Vvc, &vvc), Some(size));
    }
    // A configuration that says otherwise than the frames.
    let frame = [0, 0, 0, 3, 0x41, 0x9A, 0x80];
    assert_eq!(picture(VideoCodec::Avc, &frame, 2), Picture::Inter);
    assert_eq!(length_size(VideoCodec::Avc, &[1, 2, 3, 4]), None);
    assert_eq!(length_size(VideoCodec::Av1, &[0; 40]), None);
}

#[test]
fn what_carries_no_picture_is_told_from_what_cannot_be_read() {
    use VideoCodec::{Av1, Avc, Hevc, Legacy, Vp8, Vp9, Vvc};
    for codec in [Avc, Hevc, Vvc, Av1, Vp8, Vp9, Legacy(2)] {
        assert_eq!(
            picture(codec, &[], LENGTH_SIZE),
            Picture::Absent,
            "{codec:?}"
        );
    }
    let absent: [(VideoCodec, &[u8]); 6] = [
        (Avc, &[0; 4]),
        (Avc, &[0, 0, 0, 3, 0x67, 1, 2, 0, 0, 0, 2, 0x68, 1]),
        (Hevc, &[0, 0, 0, 3, 0x40, 1, 1, 0, 0, 0, 3, 0x42, 1, 1]),
        (Hevc, &[0, 0, 0, 3, 0x4E, 1, 5]),
        (Vvc, &[0, 0, 0, 3, 0, 0x79, 1]),
        (Av1, &[0x12, 0, 0x0A, 1, 0]),
    ];
    for (codec, frame) in absent {
        let found = picture(codec, frame, LENGTH_SIZE);
        assert_eq!(found, Picture::Absent, "{codec:?} {frame:02X?}");
    }
    let unknown: [(VideoCodec, &[u8]); 4] = [
        // Start codes, as in a file of its own.
        (Avc, &[0, 0, 0, 1, 0x65, 0x88, 0x84, 0x21, 0xA0]),
        (Avc, &[0, 0, 0]),
        (Av1, &[0x12, 0, 0x0A, 200]),
        (Legacy(2), &[0, 0, 0x84]),
    ];
    for (codec, frame) in unknown {
        let found = picture(codec, frame, LENGTH_SIZE);
        assert_eq!(found, Picture::Unknown, "{codec:?} {frame:02X?}");
    }
}
