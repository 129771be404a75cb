//! H.266: VvcDecoderConfigurationRecord (ISO/IEC 14496-15, 11.2.4.2).

use super::bits::BitReader;
use super::nal;
use super::{Picture, VideoFormat};

pub(super) fn format(config: &[u8]) -> Option<VideoFormat> {
    let mut reader = BitReader::new(config);
    // reserved, LengthSizeMinusOne
    reader.skip(5 + 2)?;
    if !reader.flag()? {
        // Without ptl_present_flag the record says nothing of this.
        return Some(VideoFormat::default());
    }
    // ols_idx
    reader.skip(9)?;
    let sub_layers = reader.bits(3)?;
    // constant_frame_rate, chroma_format_idc, bit_depth_minus8, reserved
    reader.skip(2 + 2 + 3 + 5)?;
    let mut format = VideoFormat {
        codec_string: Some(read_profile_tier_level(&mut reader, sub_layers)?),
        ..VideoFormat::default()
    };
    let known = |value: u32| (value > 0).then_some(value);
    format.width = known(reader.bits(16)?);
    format.height = known(reader.bits(16)?);
    // avg_frame_rate, frames in 256 seconds
    format.frame_rate = known(reader.bits(16)?).map(|average| f64::from(average) / 256.0);
    Some(format)
}

/// The first slice decides. CRA pictures count: decoders start there.
pub(super) fn picture(frame: &[u8], length_size: usize) -> Picture {
    const IDR_W_RADL: u8 = 7;
    const CRA: u8 = 9;
    const LAST_SLICE: u8 = 11;
    nal::picture(frame, length_size, |unit| {
        match unit.get(1).map(|byte| byte >> 3) {
            None => Some(Picture::Unknown),
            Some(kind) if kind > LAST_SLICE => None,
            Some(IDR_W_RADL..=CRA) => Some(Picture::Access),
            Some(_) => Some(Picture::Inter),
        }
    })
}

/// LengthSizeMinusOne and one.
pub(super) fn length_size(config: &[u8]) -> Option<usize> {
    Some(usize::from(config.first()? >> 1 & 3) + 1)
}

/// VvcPTLRecord, as the codec string of ISO/IEC 14496-15, annex E: profile, tier
/// and level, constraints in base 32 unless they are all zero.
fn read_profile_tier_level(reader: &mut BitReader<'_>, sub_layers: u32) -> Option<String> {
    reader.skip(2)?;
    let constraint_bytes = reader.bits(6)?;
    let profile = reader.bits(7)?;
    let tier = if reader.flag()? { 'H' } else { 'L' };
    let level = reader.bits(8)?;
    let mut string = format!("vvc1.{profile}.{tier}{level}");
    let mut constraints = Vec::new();
    for _ in 0..constraint_bytes {
        constraints.push(reader.bits(8)? as u8);
    }
    if let Some(last) = constraints.iter().rposition(|&byte| byte != 0) {
        string.push_str(".C");
        push_base32(&constraints[..=last], &mut string);
    }
    let mut levels = 0;
    for _ in 1..sub_layers {
        levels += u32::from(reader.flag()?);
    }
    if sub_layers > 1 {
        // Reserved bits up to the next byte.
        reader.skip(9 - sub_layers)?;
    }
    reader.skip(8 * levels)?;
    let sub_profiles = reader.bits(8)?;
    reader.skip(32 * sub_profiles)?;
    Some(string)
}

/// Base 32 of RFC 4648 without padding.
fn push_base32(bytes: &[u8], string: &mut String) {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    for group in bytes.chunks(5) {
        let mut padded = [0; 8];
        padded[3..][..group.len()].copy_from_slice(group);
        let value = u64::from_be_bytes(padded);
        for digit in 0..(group.len() * 8).div_ceil(5) {
            let index = (value >> (35 - 5 * digit)) & 31;
            string.push(char::from(ALPHABET[index as usize]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::push_base32;

    #[test]
    fn base_32_follows_the_test_vectors_of_rfc_4648() {
        for (text, expected) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            let mut string = String::new();
            push_base32(text.as_bytes(), &mut string);
            assert_eq!(string, expected);
        }
    }
}
