//! Opus: the identification header (RFC 7845, 5.1).

use super::AudioFormat;

/// An empty configuration is allowed and says nothing but that it is Opus.
pub(super) fn format(config: &[u8]) -> Option<AudioFormat> {
    let channels = match config {
        [] => None,
        _ => {
            let [_version, channels, ..] = *config.strip_prefix(b"OpusHead")? else {
                return None;
            };
            (channels > 0).then_some(u32::from(channels))
        }
    };
    Some(AudioFormat {
        // Opus decodes at this rate whatever the encoder was given; the rate in
        // the header is only for information.
        sample_rate: Some(48_000),
        channels,
        // Each frame says by its first byte.
        frame_samples: None,
        codec_string: Some("opus".to_owned()),
    })
}
