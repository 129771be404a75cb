//! AV1: AV1CodecConfigurationRecord (AV1 in ISO BMFF, 2.3.3) and open bitstream
//! units (AV1 bitstream specification, 5.3 to 5.9).

use super::bits::BitReader;
use super::{Color, Picture, VideoFormat};

pub(super) fn format(config: &[u8]) -> Option<VideoFormat> {
    let (&[marker, profile_level, tier_depth, _], units) = config.split_first_chunk()?;
    // marker 1, version 1
    if marker != 0x81 {
        return None;
    }
    let mut format = format_in_units(units).unwrap_or_default();
    // The sequence header knows more than the fields that were taken from it.
    format.codec_string.get_or_insert_with(|| {
        let profile = u32::from(profile_level >> 5);
        let level = u32::from(profile_level & 0x1F);
        let high_tier = tier_depth & 0x80 != 0;
        let depth = match tier_depth & 0x60 {
            0x60 => 12,
            0x40 => 10,
            _ => 8,
        };
        codec_string(profile, level, high_tier, depth)
    });
    Some(format)
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
    let samples = read_samples(&mut reader, profile, reduced);
    let codec_string = samples.as_ref().map(|samples| {
        let mut string = codec_string(profile, points.level, points.high_tier, samples.depth);
        samples.add_to(&mut string);
        string
    });
    Some(VideoFormat {
        width: Some(width),
        height: Some(height),
        frame_rate: points.frame_rate,
        pixel_aspect: None,
        color: samples.map(|samples| samples.color),
        codec_string,
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

/// What color_config says (5.5.2).
struct Samples {
    depth: u32,
    mono_chrome: bool,
    /// subsampling_x, subsampling_y and chroma_sample_position.
    chroma: [u32; 3],
    color: Color,
}

impl Samples {
    /// The optional part of the codecs parameter string, all of it or none: what a player
    /// takes for granted is BT.709 in 4:2:0 with chroma wherever it is.
    fn add_to(&self, string: &mut String) {
        if !self.mono_chrome && self.chroma == [1, 1, 0] && self.color.is_ordinary() {
            return;
        }
        let mono_chrome = u8::from(self.mono_chrome);
        let [x, y, position] = self.chroma;
        let Color {
            primaries,
            transfer,
            matrix,
            full_range,
        } = self.color;
        let full_range = u8::from(full_range);
        string.push_str(&format!(
            ".{mono_chrome}.{x}{y}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{full_range}"
        ));
    }
}

/// From frame_id_numbers_present_flag to the end of color_config.
fn read_samples(reader: &mut BitReader<'_>, profile: u32, reduced: bool) -> Option<Samples> {
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
    read_color_config(reader, profile)
}

fn read_color_config(reader: &mut BitReader<'_>, profile: u32) -> Option<Samples> {
    const UNSPECIFIED: u32 = 2;
    /// BT.709 primaries, sRGB transfer and the identity matrix: RGB (6.4.2).
    const SRGB: [u32; 3] = [1, 13, 0];
    let high_bit_depth = reader.flag()?;
    let depth = match (profile, high_bit_depth) {
        (2, true) if reader.flag()? => 12,
        (_, true) => 10,
        (_, false) => 8,
    };
    let mono_chrome = profile != 1 && reader.flag()?;
    let mut codes = [UNSPECIFIED; 3];
    // color_description_present_flag
    if reader.flag()? {
        for code in &mut codes {
            *code = reader.bits(8)?;
        }
    }
    let (full_range, chroma) = if mono_chrome {
        (reader.flag()?, [1, 1, 0])
    } else if codes == SRGB {
        (true, [0, 0, 0])
    } else {
        let full_range = reader.flag()?;
        let (x, y) = match profile {
            0 => (1, 1),
            1 => (0, 0),
            _ if depth == 12 => {
                let x = reader.bits(1)?;
                (x, if x == 1 { reader.bits(1)? } else { 0 })
            }
            _ => (1, 0),
        };
        // chroma_sample_position
        let position = if (x, y) == (1, 1) { reader.bits(2)? } else { 0 };
        (full_range, [x, y, position])
    };
    let [primaries, transfer, matrix] = codes.map(|code| code as u8);
    Some(Samples {
        depth,
        mono_chrome,
        chroma,
        color: Color {
            primaries,
            transfer,
            matrix,
            full_range,
        },
    })
}
