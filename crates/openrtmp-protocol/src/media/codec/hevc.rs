//! H.265: HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.2.1) and
//! sequence parameter sets (ITU-T H.265, 7.3.2.2).

use super::bits::BitReader;
use super::decoder::{push_sets, sets_of};
use super::nal;
use super::{LENGTH_SIZE, Picture, VideoFormat};

pub(super) fn format(config: &[u8]) -> Option<VideoFormat> {
    let (header, arrays) = config.split_first_chunk::<23>()?;
    let mut format = VideoFormat {
        codec_string: Some(codec_string(header)),
        ..VideoFormat::default()
    };
    if let Some(sps) = find_sps(header[22], arrays) {
        read_sps(sps, &mut format);
    }
    if format.frame_rate.is_none() {
        // avgFrameRate, frames in 256 seconds; 0 says nothing.
        let average = u16::from_be_bytes([header[19], header[20]]);
        format.frame_rate = (average > 0).then(|| f64::from(average) / 256.0);
    }
    Some(format)
}

/// The first slice decides. CRA and BLA pictures count: decoders start there.
pub(super) fn picture(frame: &[u8], length_size: usize) -> Picture {
    const FIRST_IRAP: u8 = 16;
    const LAST_CRA: u8 = 21;
    const LAST_SLICE: u8 = 31;
    nal::picture(frame, length_size, |unit| match unit[0] >> 1 & 0x3F {
        kind if kind > LAST_SLICE => None,
        _ if unit.len() < 2 => Some(Picture::Unknown),
        FIRST_IRAP..=LAST_CRA => Some(Picture::Access),
        _ => Some(Picture::Inter),
    })
}

/// lengthSizeMinusOne and one.
pub(super) fn length_size(config: &[u8]) -> Option<usize> {
    Some(usize::from(config.get(21)? & 3) + 1)
}

/// All parameter sets, with start codes.
pub(super) fn decoder_parts(config: &[u8]) -> Option<Vec<u8>> {
    let (header, mut rest) = config.split_first_chunk::<23>()?;
    let mut sets = Vec::new();
    for _ in 0..header[22] {
        let (&[_kind, count_high, count_low], units) = rest.split_first_chunk()?;
        rest = units;
        let count = u16::from_be_bytes([count_high, count_low]);
        sets.extend(sets_of(count, &mut rest)?);
    }
    Some(sets)
}

/// The record for these units. What only other units could tell (segmentation,
/// parallelism, the frame rate) is left unsaid, as the record allows.
pub(super) fn config_of(units: &[&[u8]]) -> Option<Vec<u8>> {
    let of_kind = |kind| {
        let fits = units.iter().filter(move |unit| unit[0] >> 1 & 0x3F == kind);
        fits.copied().collect::<Vec<&[u8]>>()
    };
    let kinds = [NAL_VPS, NAL_SPS, NAL_PPS];
    let sets = kinds.map(of_kind);
    if sets.iter().any(Vec::is_empty) {
        return None;
    }
    let mut reader = BitReader::of_nal(sets[1][0]);
    // NAL unit header, sps_video_parameter_set_id
    reader.skip(16 + 4)?;
    let sub_layers = reader.bits(3)?;
    let nested = reader.bits(1)?;
    // General profile, compatibility, constraints and level, as the record has them.
    let mut config = vec![1];
    for _ in 0..12 {
        config.push(reader.bits(8)? as u8);
    }
    skip_sub_layers(&mut reader, sub_layers)?;
    reader.ue()?;
    let chroma_format = reader.ue()?;
    if chroma_format == 3 {
        reader.skip(1)?;
    }
    reader.ue()?;
    reader.ue()?;
    // conformance_window_flag
    if reader.flag()? {
        for _ in 0..4 {
            reader.ue()?;
        }
    }
    let depths = (reader.ue()?, reader.ue()?);
    if chroma_format > 3 || depths.0 > 7 || depths.1 > 7 {
        return None;
    }
    // 8.3.3.1.2: min_spatial_segmentation_idc and parallelismType 0, reserved bits set.
    config.extend([0xF0, 0, 0xFC]);
    config.push(0xFC | chroma_format as u8);
    config.extend([0xF8 | depths.0 as u8, 0xF8 | depths.1 as u8]);
    // avgFrameRate and constantFrameRate 0, then temporal layers and the length's size.
    let layers = (sub_layers + 1) << 3 | nested << 2;
    config.extend([0, 0, layers as u8 | (LENGTH_SIZE - 1) as u8]);
    config.push(kinds.len() as u8);
    for (kind, sets) in kinds.iter().zip(&sets) {
        // array_completeness is not claimed: frames may bring other sets.
        config.push(*kind);
        config.extend(u16::try_from(sets.len()).ok()?.to_be_bytes());
        push_sets(&mut config, sets)?;
    }
    Some(config)
}

const NAL_VPS: u8 = 32;
const NAL_SPS: u8 = 33;
const NAL_PPS: u8 = 34;

/// ISO/IEC 14496-15, annex E.3: profile, compatibility flags in reverse bit
/// order, tier and level, constraint bytes without the zeros at their end.
fn codec_string(header: &[u8; 23]) -> String {
    let [
        _,
        general,
        c0,
        c1,
        c2,
        c3,
        constraints @ ..,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
    ] = *header;
    let (constraints, level) = (&constraints[..6], constraints[6]);
    let space = ["", "A", "B", "C"][usize::from(general >> 6)];
    let profile = general & 0x1F;
    let compatibility = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
    let tier = if general & 0x20 == 0 { 'L' } else { 'H' };
    let mut string = format!("hvc1.{space}{profile}.{compatibility:X}.{tier}{level}");
    let used = constraints.iter().rposition(|&byte| byte != 0);
    for byte in &constraints[..used.map_or(0, |last| last + 1)] {
        string.push_str(&format!(".{byte:X}"));
    }
    string
}

fn find_sps(arrays: u8, mut rest: &[u8]) -> Option<&[u8]> {
    for _ in 0..arrays {
        let (&[kind, count_high, count_low], units) = rest.split_first_chunk()?;
        rest = units;
        for _ in 0..u16::from_be_bytes([count_high, count_low]) {
            let unit = nal::parameter_set(&mut rest)?;
            if kind & 0x3F == NAL_SPS {
                return Some(unit);
            }
        }
    }
    None
}

/// Fills in what can be read; a set that breaks off leaves the rest unknown.
fn read_sps(sps: &[u8], format: &mut VideoFormat) -> Option<()> {
    let mut reader = BitReader::of_nal(sps);
    // NAL unit header, sps_video_parameter_set_id
    reader.skip(16 + 4)?;
    let sub_layers = reader.bits(3)?;
    // sps_temporal_id_nesting_flag
    reader.skip(1)?;
    skip_profile_tier_level(&mut reader, sub_layers)?;
    reader.ue()?;
    let chroma_format = reader.ue()?;
    if chroma_format == 3 {
        reader.skip(1)?;
    }
    let coded = (reader.ue()?, reader.ue()?);
    let (width, height) = nal::cropped_size(&mut reader, coded, chroma_format, 1)?;
    format.width = Some(width);
    format.height = Some(height);
    skip_to_vui(&mut reader, sub_layers)?;
    if reader.flag()? {
        nal::read_vui_start(&mut reader, format)?;
        // Neutral chroma, field sequence and frame field information flags.
        reader.skip(3)?;
        // default_display_window
        if reader.flag()? {
            for _ in 0..4 {
                reader.ue()?;
            }
        }
        format.frame_rate = nal::ticks_per_second(&mut reader);
    }
    Some(())
}

/// Bits of a profile and of a level in profile_tier_level (7.3.3).
const PROFILE: u32 = 88;
const LEVEL: u32 = 8;

/// profile_tier_level with its general part.
fn skip_profile_tier_level(reader: &mut BitReader<'_>, sub_layers: u32) -> Option<()> {
    reader.skip(PROFILE + LEVEL)?;
    skip_sub_layers(reader, sub_layers)
}

/// Its part for each layer below the highest.
fn skip_sub_layers(reader: &mut BitReader<'_>, sub_layers: u32) -> Option<()> {
    let mut present = 0;
    for _ in 0..sub_layers {
        if reader.flag()? {
            present += PROFILE;
        }
        if reader.flag()? {
            present += LEVEL;
        }
    }
    if sub_layers > 0 {
        reader.skip(2 * (8 - sub_layers))?;
    }
    reader.skip(present)
}

/// From bit_depth_luma_minus8 to vui_parameters_present_flag.
fn skip_to_vui(reader: &mut BitReader<'_>, sub_layers: u32) -> Option<()> {
    reader.ue()?;
    reader.ue()?;
    let order_count_bits = reader.ue()?.checked_add(4)?;
    let ordered_sub_layers = if reader.flag()? { sub_layers + 1 } else { 1 };
    // Ordering information, three values each; then six block and transform
    // sizes.
    for _ in 0..3 * ordered_sub_layers + 6 {
        reader.ue()?;
    }
    // scaling_list_enabled_flag, sps_scaling_list_data_present_flag
    if reader.flag()? && reader.flag()? {
        skip_scaling_lists(reader)?;
    }
    // Asymmetric partitions, sample adaptive offset.
    reader.skip(2)?;
    // pcm_enabled_flag
    if reader.flag()? {
        reader.skip(8)?;
        reader.ue()?;
        reader.ue()?;
        reader.skip(1)?;
    }
    skip_reference_picture_sets(reader)?;
    // long_term_ref_pics_present_flag
    if reader.flag()? {
        for _ in 0..reader.ue()? {
            reader.skip(order_count_bits.checked_add(1)?)?;
        }
    }
    // Temporal motion vector prediction, strong intra smoothing.
    reader.skip(2)
}

/// scaling_list_data (7.3.4).
fn skip_scaling_lists(reader: &mut BitReader<'_>) -> Option<()> {
    for size in 0..4 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !reader.flag()? {
                reader.ue()?;
                continue;
            }
            // scaling_list_dc_coef_minus8
            if size > 1 {
                reader.se()?;
            }
            for _ in 0..64.min(1 << (4 + (size << 1))) {
                reader.se()?;
            }
        }
    }
    Some(())
}

/// All st_ref_pic_set structures (7.3.7): one may be described by what differs
/// from the one before it.
fn skip_reference_picture_sets(reader: &mut BitReader<'_>) -> Option<()> {
    let mut pictures: u32 = 0;
    for set in 0..reader.ue()? {
        // inter_ref_pic_set_prediction_flag
        if set > 0 && reader.flag()? {
            reader.skip(1)?;
            reader.ue()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                // used_by_curr_pic_flag, use_delta_flag
                if reader.flag()? || reader.flag()? {
                    kept += 1;
                }
            }
            pictures = kept;
        } else {
            pictures = reader.ue()?.checked_add(reader.ue()?)?;
            // sps_max_dec_pic_buffering_minus1 is at most 15.
            if pictures > 16 {
                return None;
            }
            for _ in 0..pictures {
                reader.ue()?;
                reader.skip(1)?;
            }
        }
    }
    Some(())
}
