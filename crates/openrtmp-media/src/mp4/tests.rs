use proptest::prelude::*;

use super::*;
use openrtmp_protocol::media::{AudioCodec, VideoCodec};

/// x264: High, level 1.3, 320x180.
pub(crate) const AVC: [u8; 45] = [
    1, 0x64, 0, 0x0D, 0xFF, 0xE1, 0, 0x1A, 0x67, 0x64, 0, 0x0D, 0xAC, 0xD9, 0x41, 0x41, 0x9F, 0x9F,
    1, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0xC0, 0xF1, 0x42, 0x99, 0x60, 1, 0, 4, 0x68, 0xEF, 0x8F,
    0xCB, 0xFD, 0xF8, 0xF8, 0,
];
/// FFmpeg: AAC-LC, 48 kHz, mono.
pub(crate) const AAC: [u8; 5] = [0x11, 0x88, 0x56, 0xE5, 0];

fn track(id: u32, description: Option<Description>) -> Track {
    let description = description.expect("it can be described");
    Track {
        id,
        timescale: description.timescale(),
        description,
    }
}

fn avc(id: u32) -> Track {
    track(id, Description::video(VideoCodec::Avc, &AVC, &[]))
}

fn aac(id: u32) -> Track {
    track(id, Description::audio(AudioCodec::Aac, &AAC, &[]))
}

/// The boxes side by side in there, by type.
pub(crate) fn boxes(mut bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let size = u32::from_be_bytes(*bytes.first_chunk().expect("a whole size")) as usize;
        let (this, rest) = bytes.split_at(size);
        found.push((&this[4..8], &this[8..]));
        bytes = rest;
    }
    found
}

/// The content of the box at this path, the first of each type.
pub(crate) fn at<'a>(mut bytes: &'a [u8], path: &str) -> &'a [u8] {
    for kind in path.split('/') {
        let found = boxes(bytes)
            .into_iter()
            .find(|(is, _)| *is == kind.as_bytes());
        bytes = found.unwrap_or_else(|| panic!("{path}: no {kind}")).1;
    }
    bytes
}

#[test]
fn an_init_segment_holds_the_configurations_as_they_came() {
    let init = init_segment(&[avc(1), aac(2)]).bytes;
    let kinds: Vec<&[u8]> = boxes(&init).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [&b"ftyp"[..], b"moov"]);
    assert_eq!(at(&init, "ftyp"), b"iso6\0\0\0\0iso6mp41");
    // Behind version, flags and the count: the entry, whose fixed fields end where the
    // boxes begin.
    let entries = &at(&init, "moov/trak/mdia/minf/stbl/stsd")[8..];
    let entry = at(entries, "avc1");
    assert_eq!(entry[24..28], [1, 0x40, 0, 0xB4]);
    assert_eq!(at(&entry[78..], "avcC"), AVC);
    // Pixels that are square, as the parameter set says.
    assert_eq!(at(&entry[78..], "pasp"), [0, 0, 0, 1, 0, 0, 0, 1]);
    let moov = at(&init, "moov");
    let audio = boxes(moov)
        .into_iter()
        .filter(|(kind, _)| *kind == b"trak")
        .nth(1)
        .unwrap()
        .1;
    let entries = &at(audio, "mdia/minf/stbl/stsd")[8..];
    let entry = at(entries, "mp4a");
    // One channel, 16 bits, 48,000 Hz in 16.16.
    assert_eq!(entry[16..28], [0, 1, 0, 16, 0, 0, 0, 0, 0xBB, 0x80, 0, 0]);
    let esds = at(&entry[28..], "esds");
    assert!(
        esds.windows(10)
            .any(|part| part == [&[5, 0x80, 0x80, 0x80, 5], &AAC[..]].concat())
    );
    // MPEG-4 audio, a stream of audio.
    assert_eq!(esds[17..19], [0x40, 0x15]);
    assert_eq!(at(&init, "moov/mvex/trex")[4..12], [0, 0, 0, 1, 0, 0, 0, 1]);
}

#[test]
fn the_duration_has_a_place_to_be_written() {
    let init = init_segment(&[aac(1)]);
    let mut bytes = init.bytes;
    bytes[init.duration_at..init.duration_at + 8].copy_from_slice(&5000u64.to_be_bytes());
    assert_eq!(
        at(&bytes, "moov/mvex/mehd"),
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x13, 0x88]
    );
}

#[test]
fn of_several_tracks_of_a_kind_the_first_is_on_and_all_are_alternatives() {
    let init = init_segment(&[avc(1), aac(2), aac(3)]).bytes;
    let headers: Vec<&[u8]> = boxes(at(&init, "moov"))
        .iter()
        .filter(|(kind, _)| *kind == b"trak")
        .map(|(_, track)| at(track, "tkhd"))
        .collect();
    let flags_and_group = |header: &&[u8]| (header[3], header[35]);
    let told: Vec<(u8, u8)> = headers.iter().map(flags_and_group).collect();
    assert_eq!(told, [(3, 0), (3, 2), (2, 2)]);
}

#[test]
fn colors_and_the_shape_of_pixels_are_told() {
    // FFmpeg's form of a VP9 record: BT.2020, PQ, limited range.
    let config = [1, 0, 0, 0, 2, 10, 0xA2, 9, 16, 9, 0, 0];
    let key = vp9_key_frame();
    let init = init_segment(&[track(1, Description::video(VideoCodec::Vp9, &config, &key))]).bytes;
    let entry = at(&at(&init, "moov/trak/mdia/minf/stbl/stsd")[8..], "vp09");
    assert_eq!(entry[24..28], [1, 0x60, 1, 0x20]);
    assert_eq!(at(&entry[78..], "vpcC"), config);
    assert_eq!(at(&entry[78..], "colr"), b"nclx\0\x09\0\x10\0\x09\0");
    // The size is nowhere else.
    assert_eq!(Description::video(VideoCodec::Vp9, &config, &[]), None);
}

/// uncompressed_header of a key frame of profile 0, 352x288.
fn vp9_key_frame() -> Vec<u8> {
    // frame_marker 2, profile 0, no existing frame, key frame, shown, no resilience; the
    // sync code; color space 1 and the range; width and height less one.
    let mut bits = String::from("10000010");
    bits += "010010011000001101000010";
    bits += "0010";
    bits += &format!("{:016b}{:016b}", 351, 287);
    bits.as_bytes()
        .chunks(8)
        .map(|byte| {
            byte.iter()
                .enumerate()
                .fold(0, |all, (at, bit)| all | (bit - b'0') << (7 - at))
        })
        .collect()
}

#[test]
fn opus_and_flac_get_boxes_of_their_own() {
    let head = b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\xFE\xFF\0";
    let of = |codec, config: &[u8]| {
        let track = track(1, Description::audio(codec, config, &[]));
        at(
            &init_segment(&[track]).bytes,
            "moov/trak/mdia/minf/stbl/stsd",
        )[8..]
            .to_vec()
    };
    let opus = of(AudioCodec::Opus, head);
    assert_eq!(
        at(&at(&opus, "Opus")[28..], "dOps"),
        [0, 2, 1, 0x38, 0, 0, 0xBB, 0x80, 0xFF, 0xFE, 0]
    );
    // Six channels, family 1: streams, coupled ones, and the order.
    let mut six = b"OpusHead\x01\x06\x38\x01\x80\xBB\0\0\0\0\x01".to_vec();
    six.extend([4, 2, 0, 4, 1, 2, 3, 5]);
    let opus = of(AudioCodec::Opus, &six);
    assert_eq!(
        at(&at(&opus, "Opus")[28..], "dOps")[10..],
        [1, 4, 2, 0, 4, 1, 2, 3, 5]
    );
    let plain = of(AudioCodec::Opus, &[]);
    assert_eq!(
        at(&at(&plain, "Opus")[28..], "dOps"),
        [0, 2, 0, 0, 0, 0, 0xBB, 0x80, 0, 0, 0]
    );

    // 96 kHz, two channels, 24 bits: the entry has half the rate.
    let mut info = vec![0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x17, 0x70, 0x03, 0x70];
    info.resize(34, 7);
    let flac = of(AudioCodec::Flac, &[b"fLaC\x80\0\0\x22", &info[..]].concat());
    let entry = at(&flac, "fLaC");
    assert_eq!(entry[16..28], [0, 2, 0, 24, 0, 0, 0, 0, 0xBB, 0x80, 0, 0]);
    assert_eq!(
        at(&entry[28..], "dfLa"),
        [&[0, 0, 0, 0, 0x80, 0, 0, 34], &info[..]].concat()
    );
}

#[test]
fn parameter_sets_of_hevc_are_marked_complete() {
    let mut config = vec![1; 22];
    config.push(3);
    // VPS and a prefix SEI message, then an SPS of 320x180 that is whole.
    let sps = [
        0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x3C, 0xA0, 0x0A, 8, 0x0C,
        0x1F, 0x3E, 0x59, 0x59, 0x52, 0x93, 0x0B, 0xC0, 0x5A, 2, 0, 0, 3, 0, 2, 0, 0, 3, 0, 0x3C,
        0x10,
    ];
    config.extend([
        32,
        0,
        1,
        0,
        2,
        0x40,
        1,
        39,
        0,
        1,
        0,
        2,
        0x4E,
        1,
        33,
        0,
        1,
        0,
        sps.len() as u8,
    ]);
    config.extend(sps);
    let init = init_segment(&[track(1, Description::video(VideoCodec::Hevc, &config, &[]))]).bytes;
    let entry = at(&at(&init, "moov/trak/mdia/minf/stbl/stsd")[8..], "hvc1");
    let kept = at(&entry[78..], "hvcC");
    let changed: Vec<(usize, u8)> = (0..)
        .zip(kept.iter().zip(&config))
        .filter(|(_, (kept, came))| kept != came)
        .map(|(place, (kept, _))| (place, *kept))
        .collect();
    assert_eq!(changed, [(23, 0x80 | 32), (37, 0x80 | 33)]);
}

#[test]
fn what_mp4_has_no_place_for_is_refused() {
    assert_eq!(Description::video(VideoCodec::Legacy(2), &AVC, &[]), None);
    assert_eq!(Description::audio(AudioCodec::Legacy(11), &AAC, &[]), None);
    assert_eq!(Description::video(VideoCodec::Avc, &[], &[]), None);
    assert_eq!(Description::audio(AudioCodec::Mp3, &[], &[]), None);
}

fn sample(duration: u32, size: u32, composition_offset: i32, is_sync: bool) -> Sample {
    Sample {
        duration,
        size,
        composition_offset,
        access: if is_sync { Access::Sync } else { Access::None },
    }
}

#[test]
fn a_fragment_tells_where_and_when_each_sample_is() {
    let video = Run {
        track: 1,
        decode_time: 0x1_0000_0002,
        samples: vec![sample(3000, 500, 0, true), sample(3000, 20, -6000, false)],
    };
    let audio = Run {
        track: 2,
        decode_time: 7,
        samples: vec![sample(1024, 30, 0, true); 3],
    };
    assert_eq!(video.duration(), 6000);
    let header = fragment_header(9, &[video, audio]).unwrap();
    let (moof, mdat) = header.split_at(header.len() - 8);
    assert_eq!(mdat, [&(8 + 610u32).to_be_bytes(), &b"mdat"[..]].concat());
    assert_eq!(at(moof, "moof/mfhd"), [0, 0, 0, 0, 0, 0, 0, 9]);
    let tracks = boxes(at(moof, "moof"));
    let first = tracks[1].1;
    // The base is the moof; both last as long.
    assert_eq!(
        at(first, "tfhd"),
        [0, 2, 0, 8, 0, 0, 0, 1, 0, 0, 0x0B, 0xB8]
    );
    assert_eq!(at(first, "tfdt"), [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
    let words = |bytes: &[u8]| -> Vec<u32> {
        let words = bytes
            .chunks(4)
            .map(|word| word.try_into().expect("four bytes"));
        words.map(u32::from_be_bytes).collect()
    };
    let data = header.len() as u32;
    // Version 1, offset, sizes, flags and composition offsets.
    let expected = [
        0x0100_0E01,
        2,
        data,
        500,
        0x0200_0000,
        0,
        20,
        0x0101_0000,
        -6000i32 as u32,
    ];
    assert_eq!(words(at(first, "trun")), expected);
    // All alike: nothing but their number.
    let second = tracks[2].1;
    assert_eq!(
        words(at(second, "tfhd")),
        [0x0002_0038, 2, 1024, 30, 0x0200_0000]
    );
    assert_eq!(words(at(second, "trun")), [0x0100_0001, 3, data + 520]);
}

#[test]
fn a_fragment_larger_than_its_offsets_tell_is_refused() {
    let run = |size| Run {
        track: 1,
        decode_time: 0,
        samples: vec![sample(1, size, 0, true); 2],
    };
    assert!(fragment_header(1, &[run(0x3FFF_0000)]).is_some());
    assert_eq!(fragment_header(1, &[run(0x4000_0000)]), None);
}

#[test]
fn the_index_is_found_from_the_end() {
    let entries = [Entry {
        time: 90_000,
        fragment: 0x1_0000_0000,
        run: 1,
        sample: 3,
    }];
    let index = index(&[(1, &entries)]);
    let size = u32::from_be_bytes(*index.last_chunk().unwrap());
    assert_eq!(size as usize, index.len());
    let table = at(&index, "mfra/tfra");
    assert_eq!(table[4..16], [0, 0, 0, 1, 0, 0, 0, 0x3F, 0, 0, 0, 1]);
    assert_eq!(
        table[16..32],
        [0, 0, 0, 0, 0, 1, 0x5F, 0x90, 0, 0, 0, 1, 0, 0, 0, 0]
    );
    assert_eq!(table[32..], [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3]);
}

proptest! {
    #[test]
    fn any_bytes_are_described_or_refused(
        config in proptest::collection::vec(any::<u8>(), 0..120),
        frame in proptest::collection::vec(any::<u8>(), 0..40),
        prefix in 0usize..6,
    ) {
        let prefixes: [&[u8]; 6] = [b"", b"OpusHead", b"fLaC\x80\0\0\x22", &[1, 0, 0, 0], &[0x81], &[0x0B, 0x77]];
        let config = [prefixes[prefix], &config].concat();
        let frame = [prefixes[prefix], &frame].concat();
        for codec in [VideoCodec::Avc, VideoCodec::Hevc, VideoCodec::Av1, VideoCodec::Vp8, VideoCodec::Vp9] {
            if let Some(description) = Description::video(codec, &config, &frame) {
                init_segment(&[track(1, Some(description))]);
            }
        }
        for codec in [AudioCodec::Aac, AudioCodec::Mp3, AudioCodec::Opus, AudioCodec::Flac, AudioCodec::Ac3, AudioCodec::Eac3] {
            if let Some(description) = Description::audio(codec, &config, &frame) {
                init_segment(&[track(1, Some(description))]);
            }
        }
    }
}
