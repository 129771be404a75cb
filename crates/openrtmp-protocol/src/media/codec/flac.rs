//! FLAC: the STREAMINFO metadata block (RFC 9639, 8.2).

use super::AudioFormat;
use super::bits::BitReader;

pub(super) fn format(config: &[u8]) -> Option<AudioFormat> {
    let mut reader = BitReader::new(stream_info(config)?);
    let (smallest, largest) = (reader.bits(16)?, reader.bits(16)?);
    // Frame sizes in bytes, smallest and largest.
    reader.skip(24 + 24)?;
    let sample_rate = reader.bits(20)?;
    let channels = reader.bits(3)? + 1;
    Some(AudioFormat {
        sample_rate: (sample_rate > 0).then_some(sample_rate),
        channels: Some(channels),
        frame_samples: (smallest == largest && largest > 0).then_some(largest),
        codec_string: Some("flac".to_owned()),
    })
}

/// Enhanced RTMP has the signature and the block with its header; FFmpeg writes
/// the 34 bytes of the block alone.
fn stream_info(config: &[u8]) -> Option<&[u8]> {
    const LENGTH: usize = 34;
    let config = config.strip_prefix(b"fLaC").unwrap_or(config);
    match config.len() {
        LENGTH => Some(config),
        // The upper bit of the block header says that the block is the last;
        // STREAMINFO is type 0.
        _ if config.first()? & 0x7F == 0 => config.get(4..)?.get(..LENGTH),
        _ => None,
    }
}
