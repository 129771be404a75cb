//! MPEG audio frame headers (ISO/IEC 11172-3, 2.4.1.3; 13818-3 for the low
//! sampling frequencies).

use super::AudioFormat;

pub(super) fn format_of_frame(frame: &[u8]) -> Option<AudioFormat> {
    let &[0xFF, b1, b2, b3] = frame.first_chunk()? else {
        return None;
    };
    let layer = b1 >> 1 & 3;
    if b1 & 0xE0 != 0xE0 || layer == 0 {
        return None;
    }
    let base = *[44_100, 48_000, 32_000].get(usize::from(b2 >> 2 & 3))?;
    // ID with the bit that MPEG 2.5 takes from the sync word.
    let sample_rate = match b1 >> 3 & 3 {
        3 => base,
        2 => base / 2,
        0 => base / 4,
        _ => return None,
    };
    // Layer III of MPEG-2 has one granule in a frame (13818-3, 2.4.2.3); the field counts
    // down from layer I.
    let frame_samples = match (layer, sample_rate < 32_000) {
        (3, _) => 384,
        (1, true) => 576,
        _ => 1152,
    };
    const SINGLE_CHANNEL: u8 = 3;
    Some(AudioFormat {
        sample_rate: Some(sample_rate),
        channels: Some(if b3 >> 6 == SINGLE_CHANNEL { 1 } else { 2 }),
        frame_samples: Some(frame_samples),
        codec_string: Some("mp3".to_owned()),
    })
}
