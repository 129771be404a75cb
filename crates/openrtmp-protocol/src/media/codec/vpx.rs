//! VP8 and VP9: VPCodecConfigurationRecord (VP codecs in ISO BMFF) and the
//! frame headers (RFC 6386, 9.1; VP9 bitstream specification, 6.2).

use super::bits::BitReader;
use super::{Color, Picture, VideoFormat};

/// The record has no size in it. `fourcc` is `vp08` or `vp09`.
pub(super) fn format(fourcc: &str, config: &[u8]) -> Option<VideoFormat> {
    // FFmpeg puts version and flags of the box `vpcC` before the record.
    let record = match config {
        [1, 0, 0, 0, record @ ..] if record.len() >= RECORD_LENGTH => record,
        record => record,
    };
    let &[
        profile,
        level,
        depth_chroma_range,
        primaries,
        transfer,
        matrix,
        ..,
    ] = record.first_chunk::<RECORD_LENGTH>()?;
    let depth = depth_chroma_range >> 4;
    let chroma = depth_chroma_range >> 1 & 7;
    let color = Color {
        primaries,
        transfer,
        matrix,
        full_range: depth_chroma_range & 1 == 1,
    };
    let mut string = format!("{fourcc}.{profile:02}.{level:02}.{depth:02}");
    // What a player takes for granted is 4:2:0 and BT.709; the fields behind the bit
    // depth come all or none.
    if chroma > 1 || !color.is_ordinary() {
        let full_range = u8::from(color.full_range);
        string.push_str(&format!(
            ".{chroma:02}.{primaries:02}.{transfer:02}.{matrix:02}.{full_range:02}"
        ));
    }
    Some(VideoFormat {
        codec_string: Some(string),
        color: Some(color),
        ..VideoFormat::default()
    })
}

/// Bit 0 of the frame tag. A frame without bytes is one that was dropped.
pub(super) fn vp8_picture(frame: &[u8]) -> Picture {
    match frame.first() {
        None => Picture::Absent,
        Some(tag) if tag & 1 == 0 => Picture::Access,
        Some(_) => Picture::Inter,
    }
}

pub(super) fn vp8_format_of_keyframe(frame: &[u8]) -> Option<VideoFormat> {
    // Frame tag of three bytes, start code, then 14 bits of size and 2 of scale
    // each.
    let &[tag, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = frame.first_chunk()? else {
        return None;
    };
    let size = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    let (width, height) = (size(w0, w1), size(h0, h1));
    (tag & 1 == 0 && width > 0 && height > 0).then(|| sized(width, height))
}

pub(super) fn vp9_picture(frame: &[u8]) -> Picture {
    match read_vp9_start(&mut BitReader::new(frame)) {
        None if frame.is_empty() => Picture::Absent,
        None => Picture::Unknown,
        Some(start) if start.keyframe => Picture::Access,
        Some(_) => Picture::Inter,
    }
}

pub(super) fn vp9_format_of_keyframe(frame: &[u8]) -> Option<VideoFormat> {
    const SYNC_CODE: u32 = 0x49_8342;
    const SRGB: u32 = 7;
    let mut reader = BitReader::new(frame);
    let start = read_vp9_start(&mut reader)?;
    // show_frame, error_resilient_mode
    reader.skip(2)?;
    if !start.keyframe || reader.bits(24)? != SYNC_CODE {
        return None;
    }
    // color_config
    if start.profile >= 2 {
        reader.skip(1)?;
    }
    let subsampling_told = start.profile % 2 == 1;
    if reader.bits(3)? == SRGB {
        reader.skip(u32::from(subsampling_told))?;
    } else {
        reader.skip(if subsampling_told { 4 } else { 1 })?;
    }
    // frame_width_minus_1, frame_height_minus_1
    let width = reader.bits(16)? + 1;
    let height = reader.bits(16)? + 1;
    Some(sized(width, height))
}

const RECORD_LENGTH: usize = 8;

struct Vp9Start {
    profile: u32,
    keyframe: bool,
}

/// uncompressed_header up to frame_type.
fn read_vp9_start(reader: &mut BitReader<'_>) -> Option<Vp9Start> {
    const FRAME_MARKER: u32 = 2;
    const KEY_FRAME: bool = false;
    if reader.bits(2)? != FRAME_MARKER {
        return None;
    }
    let profile = reader.bits(1)? | reader.bits(1)? << 1;
    if profile == 3 {
        reader.skip(1)?;
    }
    let show_existing_frame = reader.flag()?;
    Some(Vp9Start {
        profile,
        keyframe: !show_existing_frame && reader.flag()? == KEY_FRAME,
    })
}

fn sized(width: u32, height: u32) -> VideoFormat {
    VideoFormat {
        width: Some(width),
        height: Some(height),
        ..VideoFormat::default()
    }
}
