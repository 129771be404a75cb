//! What the NAL unit codecs share: units behind length fields, and the parts of
//! the VUI that H.264 and H.265 have in common.

use super::bits::BitReader;
use super::{Color, Picture, VideoFormat};

/// What a frame says by the first of its NAL units, each behind a length of so many
/// bytes, of which something can be said. Empty units, which some encoders write, say
/// nothing; bytes that are no units leave it unknown.
pub(super) fn picture(
    mut frame: &[u8],
    length_size: usize,
    mut judge: impl FnMut(&[u8]) -> Option<Picture>,
) -> Picture {
    while !frame.is_empty() {
        let Some((length, rest)) = frame.split_at_checked(length_size) else {
            return Picture::Unknown;
        };
        let length = length
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        let Some((unit, rest)) = rest.split_at_checked(length) else {
            return Picture::Unknown;
        };
        if !unit.is_empty()
            && let Some(picture) = judge(unit)
        {
            return picture;
        }
        frame = rest;
    }
    Picture::Absent
}

/// Splits a parameter set with a 16-bit length off the front of `bytes`.
pub(super) fn parameter_set<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (unit, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bytes = rest;
    Some(unit)
}

/// Reads a cropping or conformance window behind its flag and takes it from the
/// coded size. Its offsets count chroma samples (H.264 and H.265, table 6-1), of
/// frames with `fields` 1 and of fields with 2. `None` if nothing is left.
pub(super) fn cropped_size(
    reader: &mut BitReader<'_>,
    (width, height): (u32, u32),
    chroma_format: u32,
    fields: u32,
) -> Option<(u32, u32)> {
    let (sub_width, sub_height) = match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let [mut left, mut right, mut top, mut bottom] = [0; 4];
    if reader.flag()? {
        for offset in [&mut left, &mut right, &mut top, &mut bottom] {
            *offset = reader.ue()?;
        }
    }
    let crop = |size: u32, start: u32, end: u32, unit: u32| {
        let cut = start.checked_add(end)?.checked_mul(unit)?;
        size.checked_sub(cut).filter(|&left| left > 0)
    };
    Some((
        crop(width, left, right, sub_width)?,
        crop(height, top, bottom, sub_height * fields)?,
    ))
}

/// Sample aspect ratios by their code from 1 on (H.264, table E-1; H.265, table E.1).
const ASPECTS: [(u16, u16); 16] = [
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];

/// The start of vui_parameters up to chroma_loc_info, the same in H.264 (E.1.1)
/// and H.265 (E.2.1): the shape of pixels and what they mean.
pub(super) fn read_vui_start(reader: &mut BitReader<'_>, format: &mut VideoFormat) -> Option<()> {
    const EXTENDED_SAR: u32 = 255;
    const UNSPECIFIED: u8 = 2;
    if reader.flag()? {
        let aspect = match reader.bits(8)? {
            EXTENDED_SAR => Some((reader.bits(16)? as u16, reader.bits(16)? as u16)),
            code => ASPECTS.get((code as usize).wrapping_sub(1)).copied(),
        };
        format.pixel_aspect = aspect.filter(|&(width, height)| width > 0 && height > 0);
    }
    // overscan_info_present_flag, overscan_appropriate_flag
    if reader.flag()? {
        reader.skip(1)?;
    }
    // video_signal_type_present_flag
    if reader.flag()? {
        // video_format
        reader.skip(3)?;
        let full_range = reader.flag()?;
        let [mut primaries, mut transfer, mut matrix] = [UNSPECIFIED; 3];
        // colour_description_present_flag
        if reader.flag()? {
            for code in [&mut primaries, &mut transfer, &mut matrix] {
                *code = reader.bits(8)? as u8;
            }
        }
        format.color = Some(Color {
            primaries,
            transfer,
            matrix,
            full_range,
        });
    }
    // chroma_loc_info_present_flag
    if reader.flag()? {
        reader.ue()?;
        reader.ue()?;
    }
    Some(())
}

/// num_units_in_tick and time_scale as ticks per second, if the flag before them
/// is set and they mean something.
pub(super) fn ticks_per_second(reader: &mut BitReader<'_>) -> Option<f64> {
    if !reader.flag()? {
        return None;
    }
    let units = reader.bits(32)?;
    let scale = reader.bits(32)?;
    (units > 0 && scale > 0).then(|| f64::from(scale) / f64::from(units))
}
