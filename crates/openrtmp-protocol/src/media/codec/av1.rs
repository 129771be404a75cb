//! AV1: AV1CodecConfigurationRecord (AV1 in ISO BMFF, 2.3.3) and open bitstream
//! units (AV1 bitstream specification, 5.3 to 5.9).

use super::bits::BitReader;
use super::{Picture, VideoFormat};

pub(super) fn format(config: &[u8]) -> Option<VideoFormat> {
    let (&[marker, profile_level, depth, _], units) = config.split_first_chunk()?;
    // marker 1, version 1
    if marker != 0x81 {
        return None;
    }
    let in_units = format_in_units(units).unwrap_or_default();
    Some(VideoFormat {
        codec_string: Some(codec_string(
            u32::from(profile_level >> 5),
            u32::from(profile_level & 0x1F),
            depth & 0x80 != 0,
            match depth & 0x60 {
                0x60 => 12,
                0x40 => 10,
                _ => 8,
            },
        )),
        ..in_units
    })
}

/// The format by the sequence header among the units, if there is one.
pub(super) fn format_in_units(data: &[u8]) -> Option<VideoFormat> {
    let (_, header) = units(data).find(|&(kind, _)| kind == OBU_SEQUENCE_HEADER)?;
    read_sequence_header(header)
}

/// The first frame of the temporal unit decides: one that is shown and needs no other.
pub(super) fn picture(mut temporal_unit: &[u8]) -> Picture {
    while !temporal_unit.is_empty() {
        match unit(&mut temporal_unit) {
            None => return Picture::Unknown,
            Some((OBU_FRAME_HEADER | OBU_FRAME, header)) => {
                return match is_shown_key_frame(header) {
                    Some(true) => Picture::Access,
                    Some(false) => Picture::Inter,
                    None => Picture::Unknown,
                };
            }
            Some(_) => {}
        }
    }
    Picture::Absent
}

fn is_shown_key_frame(header: &[u8]) -> Option<bool> {
    const KEY_FRAME: u32 = 0;
    let mut reader = BitReader::new(header);
    let show_existing_frame = reader.flag()?;
    Some(!show_existing_frame && reader.bits(2)? == KEY_FRAME && reader.flag()?)
}

const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_FRAME_HEADER: u8 = 3;
const OBU_FRAME: u8 = 6;

/// Type and payload of each unit, up to the first that does not fit.
fn units(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || unit(&mut data))
}

/// Takes a unit off the front.
fn unit<'a>(data: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&header, mut rest) = data.split_first()?;
    if header & 0x04 != 0 {
        // obu_extension_header
        rest = rest.get(1..)?;
    }
    let size = match header & 0x02 {
        0 => rest.len(),
        _ => leb128(&mut rest)?,
    };
    let payload;
    (payload, *data) = rest.split_at_checked(size)?;
    Some((header >> 3 & 0x0F, payload))
}

/// leb128 (4.10.5): at most eight bytes, and 32 bits of value.
fn leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut value: u64 = 0;
    for index in 0..8 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return usize::try_from(u32::try_from(value).ok()?).ok();
        }
    }
    None
}

/// Codecs parameter string (AV1 in ISO BMFF, section 5).
fn codec_string(profile: u32, level: u32, high_tier: bool, depth: u32) -> String {
    let tier = if high_tier { 'H' } else { 'M' };
    format!("av01.{profile}.{level:02}{tier}.{depth:02}")
}

/// sequence_header_obu (5.5.1) up to the bit depth.
fn read_sequence_header(header: &[u8]) -> Option<VideoFormat> {
    let mut reader = BitReader::new(header);
    let profile = reader.bits(3)?;
    // still_picture
    reader.skip(1)?;
    let reduced = reader.flag()?;
    let mut points = OperatingPoints::default();
    if reduced {
        points.level = reader.bits(5)?;
    } else {
        points.read(&mut reader)?;
    }
    let width_bits = reader.bits(4)? + 1;
    let height_bits = reader.bits(4)? + 1;
    let width = reader.bits(width_bits)? + 1;
    let height = reader.bits(height_bits)? + 1;
    let depth = read_bit_depth(&mut reader, profile, reduced);
    Some(VideoFormat {
        width: Some(width),
        height: Some(height),
        frame_rate: points.frame_rate,
        codec_string: depth
            .map(|depth| codec_string(profile, points.level, points.high_tier, depth)),
    })
}

#[derive(Default)]
struct OperatingPoints {
    frame_rate: Option<f64>,
    /// seq_level_idx of the first operating point, the one that players take.
    level: u32,
    high_tier: bool,
}

impl OperatingPoints {
    fn read(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        let mut delay_bits = None;
        // timing_info_present_flag
        if reader.flag()? {
            self.frame_rate = read_timing(reader)?;
            // decoder_model_info_present_flag
            if reader.flag()? {
                delay_bits = Some(reader.bits(5)? + 1);
                reader.skip(32 + 5 + 5)?;
            }
        }
        let display_delay = reader.flag()?;
        let last = reader.bits(5)?;
        for point in 0..=last {
            // operating_point_idc
            reader.skip(12)?;
            let level = reader.bits(5)?;
            let high_tier = level > 7 && reader.flag()?;
            if point == 0 {
                self.level = level;
                self.high_tier = high_tier;
            }
            // decoder_model_present_for_this_op, operating_parameters_info
            if let Some(bits) = delay_bits
                && reader.flag()?
            {
                reader.skip(2 * bits + 1)?;
            }
            if display_delay && reader.flag()? {
                reader.skip(4)?;
            }
        }
        Some(())
    }
}

/// timing_info (5.5.3): a frame rate only if pictures are equally spaced.
fn read_timing(reader: &mut BitReader<'_>) -> Option<Option<f64>> {
    let units = reader.bits(32)?;
    let scale = reader.bits(32)?;
    if !reader.flag()? {
        return Some(None);
    }
    // num_ticks_per_picture_minus_1, a uvlc (4.10.3), which codes like ue(v).
    let ticks = f64::from(reader.ue()?) + 1.0;
    let rate = f64::from(scale) / (f64::from(units) * ticks);
    Some((units > 0 && scale > 0).then_some(rate))
}

/// From frame_id_numbers_present_flag to the bit depth in color_config (5.5.2).
fn read_bit_depth(reader: &mut BitReader<'_>, profile: u32, reduced: bool) -> Option<u32> {
    if !reduced && reader.flag()? {
        // delta_frame_id_length_minus_2, additional_frame_id_length_minus_1
        reader.skip(4 + 3)?;
    }
    // 128x128 superblocks, filter intra, intra edge filter
    reader.skip(3)?;
    if !reduced {
        // Inter-intra, masked and warped motion, dual filter
        reader.skip(4)?;
        let order_hint = reader.flag()?;
        if order_hint {
            reader.skip(2)?;
        }
        // seq_choose_screen_content_tools; chosen per frame, or one bit says
        let screen_content = reader.flag()? || reader.flag()?;
        // seq_choose_integer_mv; chosen per frame, or one bit says
        if screen_content && !reader.flag()? {
            reader.skip(1)?;
        }
        if order_hint {
            reader.skip(3)?;
        }
    }
    // Super-resolution, CDEF, loop restoration
    reader.skip(3)?;
    let high_bit_depth = reader.flag()?;
    Some(match (profile, high_bit_depth) {
        (2, true) if reader.flag()? => 12,
        (_, true) => 10,
        (_, false) => 8,
    })
}
