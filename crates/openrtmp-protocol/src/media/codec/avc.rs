//! H.264: AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1) and sequence
//! parameter sets (ITU-T H.264, 7.3.2.1.1).

use super::bits::BitReader;
use super::decoder::{push_sets, sets_of};
use super::nal;
use super::{LENGTH_SIZE, Picture, VideoFormat};

pub(super) fn format(config: &[u8]) -> Option<VideoFormat> {
    let (&[_version, profile, compatibility, level, _length, sets], mut rest) =
        config.split_first_chunk()?;
    let mut format = VideoFormat {
        codec_string: Some(format!("avc1.{profile:02x}{compatibility:02x}{level:02x}")),
        ..VideoFormat::default()
    };
    if sets & 0x1F > 0
        && let Some(sps) = nal::parameter_set(&mut rest)
        && let Some((&header, sps)) = sps.split_first()
        && header & 0x1F == NAL_SPS
    {
        read_sps(sps, &mut format);
    }
    Some(format)
}

/// The first slice decides; an I picture that is no IDR picture counts if a
/// recovery point says that decoding may start there at once (open GOP).
pub(super) fn picture(frame: &[u8], length_size: usize) -> Picture {
    let mut recovers = false;
    nal::picture(frame, length_size, |unit| match unit[0] & 0x1F {
        NAL_SLICE | NAL_PARTITION_A | NAL_IDR if unit.len() < 2 => Some(Picture::Unknown),
        NAL_IDR => Some(Picture::Access),
        NAL_SLICE | NAL_PARTITION_A if recovers => Some(Picture::Access),
        NAL_SLICE | NAL_PARTITION_A => Some(Picture::Inter),
        NAL_SEI => {
            recovers |= recovers_at_once(&unit[1..]).unwrap_or(false);
            None
        }
        _ => None,
    })
}

/// lengthSizeMinusOne and one.
pub(super) fn length_size(config: &[u8]) -> Option<usize> {
    Some(usize::from(config.get(4)? & 3) + 1)
}

/// The sequence parameter sets and the picture parameter sets, with start codes.
pub(super) fn decoder_parts(config: &[u8]) -> Option<[Vec<u8>; 2]> {
    let (&[_, _, _, _, _, count], mut rest) = config.split_first_chunk()?;
    let sequences = sets_of((count & 0x1F).into(), &mut rest)?;
    let (&count, mut rest) = rest.split_first()?;
    Some([sequences, sets_of(count.into(), &mut rest)?])
}

/// The record for these units.
pub(super) fn config_of(units: &[&[u8]]) -> Option<Vec<u8>> {
    let of_kind = |kind| {
        let fits = units.iter().filter(move |unit| unit[0] & 0x1F == kind);
        fits.copied().collect::<Vec<&[u8]>>()
    };
    let (sequences, pictures) = (of_kind(NAL_SPS), of_kind(NAL_PPS));
    let first = *sequences.first()?;
    let &[_, profile, compatibility, level, ..] = first else {
        return None;
    };
    if pictures.is_empty() || sequences.len() > 0x1F {
        return None;
    }
    // Reserved bits are set: six beside the length's size, three beside the count.
    let length = 0xFC | (LENGTH_SIZE - 1) as u8;
    let count = 0xE0 | sequences.len() as u8;
    let mut config = vec![1, profile, compatibility, level, length, count];
    push_sets(&mut config, &sequences)?;
    config.push(u8::try_from(pictures.len()).ok()?);
    push_sets(&mut config, &pictures)?;
    // 5.3.3.1.2: profiles whose sets tell them have the chroma format and bit depths behind
    // the sets, and the number of sets that extend them.
    if HIGH_PROFILES.contains(&profile.into()) {
        let mut reader = BitReader::of_nal(&first[1..]);
        // profile_idc, constraint flags, level_idc, seq_parameter_set_id
        reader.skip(24)?;
        reader.ue()?;
        let chroma_format = reader.ue()?;
        if chroma_format == 3 {
            reader.skip(1)?;
        }
        let depths = (reader.ue()?, reader.ue()?);
        if chroma_format > 3 || depths.0 > 7 || depths.1 > 7 {
            return None;
        }
        config.push(0xFC | chroma_format as u8);
        config.extend([0xF8 | depths.0 as u8, 0xF8 | depths.1 as u8, 0]);
    }
    Some(config)
}

const NAL_SLICE: u8 = 1;
const NAL_PARTITION_A: u8 = 2;
const NAL_IDR: u8 = 5;
const NAL_SEI: u8 = 6;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;

/// Profiles whose parameter sets tell the chroma format and scaling lists.
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Fills in what can be read; a set that breaks off leaves the rest unknown.
fn read_sps(sps: &[u8], format: &mut VideoFormat) -> Option<()> {
    let mut reader = BitReader::of_nal(sps);
    let profile = reader.bits(8)?;
    // Constraint flags and level_idc, then seq_parameter_set_id.
    reader.skip(16)?;
    reader.ue()?;
    let mut chroma_format = 1;
    if HIGH_PROFILES.contains(&profile) {
        chroma_format = reader.ue()?;
        if chroma_format == 3 {
            // separate_colour_plane_flag
            reader.skip(1)?;
        }
        // Bit depths and qpprime_y_zero_transform_bypass_flag.
        reader.ue()?;
        reader.ue()?;
        reader.skip(1)?;
        if reader.flag()? {
            skip_scaling_matrix(&mut reader, if chroma_format == 3 { 12 } else { 8 })?;
        }
    }
    skip_picture_order(&mut reader)?;
    // max_num_ref_frames, gaps_in_frame_num_value_allowed_flag
    reader.ue()?;
    reader.skip(1)?;
    let width = reader.ue()?.checked_add(1)?.checked_mul(16)?;
    let map_units = reader.ue()?.checked_add(1)?;
    let frames_only = reader.flag()?;
    let fields = if frames_only { 1 } else { 2 };
    let height = map_units.checked_mul(16 * fields)?;
    if !frames_only {
        // mb_adaptive_frame_field_flag
        reader.skip(1)?;
    }
    // direct_8x8_inference_flag
    reader.skip(1)?;
    let (width, height) = nal::cropped_size(&mut reader, (width, height), chroma_format, fields)?;
    format.width = Some(width);
    format.height = Some(height);
    if reader.flag()? {
        nal::read_vui_start(&mut reader, format)?;
        // A tick is a field (E.2.1, DeltaTfiDivisor): two make a frame.
        format.frame_rate = nal::ticks_per_second(&mut reader).map(|ticks| ticks / 2.0);
    }
    Some(())
}

fn skip_scaling_matrix(reader: &mut BitReader<'_>, lists: usize) -> Option<()> {
    for list in 0..lists {
        if reader.flag()? {
            skip_scaling_list(reader, if list < 6 { 16 } else { 64 })?;
        }
    }
    Some(())
}

/// scaling_list (7.3.2.1.1.1): a delta of zero sum ends the list early.
fn skip_scaling_list(reader: &mut BitReader<'_>, size: usize) -> Option<()> {
    let mut scale = 8;
    for _ in 0..size {
        scale = (scale + reader.se()?).rem_euclid(256);
        if scale == 0 {
            break;
        }
    }
    Some(())
}

fn skip_picture_order(reader: &mut BitReader<'_>) -> Option<()> {
    // log2_max_frame_num_minus4, pic_order_cnt_type
    reader.ue()?;
    match reader.ue()? {
        0 => {
            reader.ue()?;
        }
        1 => {
            reader.skip(1)?;
            reader.ue()?;
            reader.ue()?;
            // Each offset takes at least a bit: the loop ends with the bytes.
            for _ in 0..reader.ue()? {
                reader.ue()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Whether an SEI NAL unit holds a recovery point with recovery_frame_cnt 0
/// (D.1.8): a decoder that starts here shows right pictures from here on.
fn recovers_at_once(sei: &[u8]) -> Option<bool> {
    const RECOVERY_POINT: u32 = 6;
    let mut reader = BitReader::of_nal(sei);
    loop {
        let kind = sei_number(&mut reader)?;
        let size = sei_number(&mut reader)?;
        if kind == RECOVERY_POINT {
            return Some(reader.ue()? == 0);
        }
        reader.skip(size.checked_mul(8)?)?;
    }
}

/// payloadType and payloadSize (7.3.2.3.1): bytes of 255 add up to the last.
fn sei_number(reader: &mut BitReader<'_>) -> Option<u32> {
    let mut number: u32 = 0;
    loop {
        let byte = reader.bits(8)?;
        number = number.checked_add(byte)?;
        if byte != 255 {
            return Some(number);
        }
    }
}
