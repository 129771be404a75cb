//! What decoders of a system are given before the first frame, and what encoders give: the
//! configuration of RTMP (and of MP4) taken apart and put together.
//!
//! The parts are those that Android's MediaCodec calls `csd-0`, `csd-1` and `csd-2`;
//! Apple's functions take the parameter sets in them, or the configuration itself.

use super::annex_b::{annex_b_units, push_unit};
use super::{AudioCodec, VideoCodec, avc, hevc, nal};

/// The parts of a video configuration:
///
/// - H.264: sequence parameter sets, then picture parameter sets, each with start codes;
/// - H.265: all parameter sets in one, with start codes;
/// - AV1, VP9 and others: the configuration as it is, unless it is empty.
///
/// `None` if it cannot be read.
pub fn video_decoder_parts(codec: VideoCodec, config: &[u8]) -> Option<Vec<Vec<u8>>> {
    match codec {
        VideoCodec::Avc => avc::decoder_parts(config).map(Vec::from),
        VideoCodec::Hevc => hevc::decoder_parts(config).map(|sets| vec![sets]),
        _ => Some(whole(config)),
    }
}

/// The parts of an audio configuration:
///
/// - AAC: the AudioSpecificConfig;
/// - Opus: the identification header (RFC 7845, 5.1), its pre-skip, and the 80 ms that are
///   decoded before a place that was sought (4.6), both in nanoseconds, as 64-bit numbers
///   in the machine's own order;
/// - FLAC and others: the configuration as it is, unless it is empty.
///
/// `None` if it cannot be read.
pub fn audio_decoder_parts(codec: AudioCodec, config: &[u8]) -> Option<Vec<Vec<u8>>> {
    /// Opus counts its pre-skip in samples at 48 kHz (RFC 7845, 5.1).
    const NANOS: u64 = 1_000_000_000;
    const RATE: u64 = 48_000;
    const SEEK_PRE_ROLL: u64 = 80_000_000;
    match codec {
        AudioCodec::Opus if !config.is_empty() => {
            let skip = config.strip_prefix(b"OpusHead")?.get(2..4)?;
            let samples = u64::from(u16::from_le_bytes([skip[0], skip[1]]));
            let nanos = samples * NANOS / RATE;
            let numbers = [nanos, SEEK_PRE_ROLL].map(|n| n.to_ne_bytes().to_vec());
            Some([vec![config.to_vec()], numbers.to_vec()].concat())
        }
        _ => Some(whole(config)),
    }
}

fn whole(config: &[u8]) -> Vec<Vec<u8>> {
    match config {
        [] => Vec::new(),
        config => vec![config.to_vec()],
    }
}

/// The configuration (AVCDecoderConfigurationRecord, HEVCDecoderConfigurationRecord) for
/// parameter sets with start codes, as encoders give them, in any order and with anything
/// else among them. Units have lengths of [`LENGTH_SIZE`](super::LENGTH_SIZE) bytes then,
/// as [`from_annex_b`](super::from_annex_b) makes them. `None` if a set is missing or
/// cannot be read, and for other codecs.
pub fn video_config_of_sets(codec: VideoCodec, sets: &[u8]) -> Option<Vec<u8>> {
    let units: Vec<&[u8]> = annex_b_units(sets)?.collect();
    match codec {
        VideoCodec::Avc => avc::config_of(&units),
        VideoCodec::Hevc => hevc::config_of(&units),
        _ => None,
    }
}

/// All parameter sets of a list, each behind 16 bits of length, with start codes.
pub(super) fn sets_of(count: u16, rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut sets = Vec::new();
    for _ in 0..count {
        push_unit(&mut sets, nal::parameter_set(rest)?);
    }
    Some(sets)
}

/// Appends parameter sets, each behind 16 bits of length.
pub(super) fn push_sets(config: &mut Vec<u8>, sets: &[&[u8]]) -> Option<()> {
    for set in sets {
        config.extend(u16::try_from(set.len()).ok()?.to_be_bytes());
        config.extend(*set);
    }
    Some(())
}
