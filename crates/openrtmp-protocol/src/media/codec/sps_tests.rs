//! Sequence parameter sets with the optional parts that no encoder at hand writes,
//! put together after the syntax tables of H.264 (7.3.2.1) and H.265 (7.3.2.2). What
//! stands after an optional part reads right only if all of the part was skipped.

use super::{Color, VideoFormat, video_format};
use crate::media::VideoCodec;

/// Bits as the syntax tables name them.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn u(&mut self, count: u32, value: u64) -> &mut Bits {
        self.0
            .extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn flag(&mut self, value: bool) -> &mut Bits {
        self.u(1, value.into())
    }

    /// Exp-Golomb, 9.1 and 9.2.
    fn ue(&mut self, value: u64) -> &mut Bits {
        let length = (value + 1).ilog2();
        self.u(length, 0).u(length + 1, value + 1)
    }

    fn se(&mut self, value: i64) -> &mut Bits {
        let magnitude = value.unsigned_abs();
        self.ue(if value > 0 {
            2 * magnitude - 1
        } else {
            2 * magnitude
        })
    }

    /// With the stop bit, and emulation prevention (7.4.1).
    fn nal(&self) -> Vec<u8> {
        let mut bits = self.0.clone();
        bits.push(true);
        bits.resize(bits.len().next_multiple_of(8), false);
        let mut unit: Vec<u8> = Vec::new();
        for byte in bits.chunks(8) {
            let byte = byte.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
            if unit.ends_with(&[0, 0]) && byte <= 3 {
                unit.push(3);
            }
            unit.push(byte);
        }
        unit
    }
}

/// vui_parameters up to chroma_loc_info with all of it, the same in both.
fn whole_vui_start(bits: &mut Bits) {
    bits.flag(true).u(8, 255).u(16, 64).u(16, 45); // Extended_SAR
    bits.flag(true).flag(true); // overscan
    bits.flag(true).u(3, 5).flag(false); // video_format, full range
    bits.flag(true).u(8, 9).u(8, 16).u(8, 9); // colour description
    bits.flag(true).ue(2).ue(2); // chroma_loc_info
}

fn assert_vui_start(format: &VideoFormat) {
    let color = Color {
        primaries: 9,
        transfer: 16,
        matrix: 9,
        full_range: false,
    };
    assert_eq!(format.pixel_aspect, Some((64, 45)));
    assert_eq!(format.color, Some(color));
}

fn timing(bits: &mut Bits, units: u64, scale: u64) {
    bits.flag(true).u(32, units).u(32, scale);
}

fn hevc(sps: &Bits) -> VideoFormat {
    let unit = sps.nal();
    let mut record = vec![0; 22];
    record[0] = 1;
    record.extend([1, 33, 0, 1]);
    record.extend((unit.len() as u16).to_be_bytes());
    record.extend(unit);
    video_format(VideoCodec::Hevc, &record).expect("a whole record")
}

fn avc(sps: &Bits) -> VideoFormat {
    let unit = sps.nal();
    let mut record = vec![1, 244, 0, 40, 0xFF, 0xE1];
    record.extend((unit.len() as u16).to_be_bytes());
    record.extend(unit);
    record.push(0);
    video_format(VideoCodec::Avc, &record).expect("a whole record")
}

/// Up to the ordering information, with sub-layers of their own profile and level.
fn hevc_start(bits: &mut Bits, sub_layers: u64) {
    bits.u(16, 0x4201).u(4, 0).u(3, sub_layers).flag(true);
    bits.u(32, 0x0160_0000).u(32, 0).u(24, 0).u(8, 120); // general part
    for layer in 0..sub_layers {
        bits.flag(layer == 0).flag(true);
    }
    if sub_layers > 0 {
        bits.u(2 * (8 - sub_layers as u32), 0);
    }
    for layer in 0..sub_layers {
        if layer == 0 {
            bits.u(44, 0).u(44, 0);
        }
        bits.u(8, 90);
    }
    bits.ue(0).ue(3).flag(false); // 4:4:4, no separate planes
    bits.ue(1280).ue(728);
    bits.flag(true).ue(0).ue(0).ue(0).ue(8); // conformance window
    bits.ue(0).ue(0).ue(4); // depths, 8 bits of picture order count
    bits.flag(true);
    for _ in 0..=sub_layers {
        bits.ue(4).ue(2).ue(0);
    }
    bits.ue(0).ue(3).ue(0).ue(3).ue(0).ue(0); // block sizes
}

/// From vui_parameters_present_flag to the end.
fn hevc_end(bits: &mut Bits) {
    bits.flag(true);
    whole_vui_start(bits);
    bits.u(3, 0);
    bits.flag(true).ue(0).ue(0).ue(0).ue(4); // default display window
    timing(bits, 1001, 60_000);
    bits.u(4, 0);
}

fn assert_hevc(bits: &Bits) {
    let format = hevc(bits);
    assert_eq!((format.width, format.height), (Some(1280), Some(720)));
    let rate = format.frame_rate.expect("the timing was reached");
    assert!((rate - 59.94).abs() < 0.001, "{rate}");
    assert_vui_start(&format);
}

#[test]
fn hevc_scaling_lists_of_every_size_are_skipped() {
    let mut bits = Bits::default();
    hevc_start(&mut bits, 2);
    bits.flag(true).flag(true);
    for size in 0..4 {
        for matrix in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if matrix == 0 {
                bits.flag(false).ue(0); // as the default one
                continue;
            }
            bits.flag(true);
            if size > 1 {
                bits.se(-3); // DC
            }
            for coefficient in 0..64.min(1 << (4 + 2 * size)) {
                bits.se([2, 0, -1][coefficient % 3]);
            }
        }
    }
    bits.u(2, 0b11).flag(false).ue(0).flag(false).u(2, 0b11);
    hevc_end(&mut bits);
    assert_hevc(&bits);
}

#[test]
fn hevc_pcm_and_reference_pictures_of_every_kind_are_skipped() {
    let mut bits = Bits::default();
    hevc_start(&mut bits, 0);
    bits.flag(true).flag(false); // default scaling lists
    bits.u(2, 0b11);
    bits.flag(true).u(8, 0x77).ue(0).ue(1).flag(true); // PCM
    bits.ue(3); // short-term sets
    bits.ue(2).ue(1);
    for _ in 0..3 {
        bits.ue(1).flag(true);
    }
    // By its difference from the first, which has three pictures: of four flags one
    // is used, one only its delta, two neither.
    bits.flag(true).flag(false).ue(0);
    bits.flag(true).u(2, 0b01).u(2, 0b00).u(2, 0b00);
    // From that one, which has two pictures.
    bits.flag(true).flag(true).ue(1);
    bits.flag(true).flag(true).flag(true);
    bits.flag(true).ue(2); // long-term pictures
    for _ in 0..2 {
        bits.u(8, 0xA5).flag(true);
    }
    bits.u(2, 0b11);
    hevc_end(&mut bits);
    assert_hevc(&bits);
}

#[test]
fn hevc_sets_of_more_pictures_than_a_buffer_holds_end_the_reading() {
    let mut bits = Bits::default();
    hevc_start(&mut bits, 0);
    bits.flag(false).u(2, 0).flag(false);
    bits.ue(1).ue(16).ue(1);
    for _ in 0..17 {
        bits.ue(0).flag(true);
    }
    bits.flag(false).u(2, 0);
    hevc_end(&mut bits);
    let format = hevc(&bits);
    assert_eq!((format.width, format.frame_rate), (Some(1280), None));
}

fn avc_444(bits: &mut Bits) {
    bits.u(8, 0x67).u(8, 244).u(16, 40).ue(0);
    bits.ue(3).flag(false).ue(0).ue(0).flag(false); // 4:4:4, 8 bits
}

/// From log2_max_frame_num_minus4 on.
fn avc_end(bits: &mut Bits, units: u64) {
    bits.ue(0).ue(2).ue(1).flag(false);
    bits.ue(79).ue(44).flag(true).flag(true); // 1280x720
    bits.flag(false).flag(true);
    whole_vui_start(bits);
    timing(bits, units, 50);
}

#[test]
fn avc_scaling_lists_are_skipped_whether_whole_or_ended_early() {
    let mut bits = Bits::default();
    avc_444(&mut bits);
    bits.flag(true);
    for list in 0..12 {
        match list {
            0 => bits.flag(false),
            // The second delta makes the next scale 0: the rest is as the last.
            1 | 7 => bits.flag(true).se(8).se(-16),
            _ => {
                bits.flag(true);
                for _ in 0..if list < 6 { 16 } else { 64 } {
                    bits.se(1);
                }
                &mut bits
            }
        };
    }
    avc_end(&mut bits, 1);
    let format = avc(&bits);
    assert_eq!((format.width, format.height), (Some(1280), Some(720)));
    assert_eq!(format.frame_rate, Some(25.0));
    assert_vui_start(&format);
}

#[test]
fn a_clock_without_ticks_tells_no_frame_rate() {
    let mut bits = Bits::default();
    avc_444(&mut bits);
    bits.flag(false);
    avc_end(&mut bits, 0);
    let format = avc(&bits);
    assert_eq!((format.width, format.frame_rate), (Some(1280), None));
}

#[test]
fn aspects_by_code_and_colors_left_unsaid_are_read() {
    let with_vui = |write: &dyn Fn(&mut Bits)| {
        let mut bits = Bits::default();
        avc_444(&mut bits);
        bits.flag(false).ue(0).ue(2).ue(1).flag(false);
        bits.ue(79)
            .ue(44)
            .flag(true)
            .flag(true)
            .flag(false)
            .flag(true);
        write(&mut bits);
        avc(&bits)
    };
    // Table E-1: 2 is 12:11, 16 is 2:1; 0 is unspecified and 17 reserved.
    for (code, aspect) in [
        (2, Some((12, 11))),
        (16, Some((2, 1))),
        (0, None),
        (17, None),
    ] {
        let format = with_vui(&|bits| {
            bits.flag(true).u(8, code).u(4, 0);
        });
        assert_eq!(
            (format.pixel_aspect, format.color),
            (aspect, None),
            "{code}"
        );
    }
    let none = with_vui(&|bits| {
        bits.flag(true).u(8, 255).u(16, 0).u(16, 1).u(4, 0);
    });
    assert_eq!(none.pixel_aspect, None);
    let range = with_vui(&|bits| {
        bits.u(2, 0)
            .flag(true)
            .u(3, 5)
            .flag(true)
            .flag(false)
            .flag(false);
    });
    let color = Color {
        primaries: 2,
        transfer: 2,
        matrix: 2,
        full_range: true,
    };
    assert_eq!(range.color, Some(color));
}
