//! AAC: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).

use super::AudioFormat;
use super::bits::BitReader;

pub(super) fn format(config: &[u8]) -> Option<AudioFormat> {
    let mut reader = BitReader::new(config);
    let mut object_type = read_object_type(&mut reader)?;
    let core_rate = read_sample_rate(&mut reader)?;
    let mut sample_rate = core_rate;
    let channel_configuration = reader.bits(4)?;
    // Explicit hierarchical signalling: the extension comes first, then the
    // object type of what is extended.
    let mut extension = None;
    if object_type == SBR || object_type == PS {
        extension = Some(object_type);
        sample_rate = read_sample_rate(&mut reader)?;
        object_type = read_object_type(&mut reader)?;
        if object_type == ER_BSAC {
            reader.skip(4)?;
        }
    }
    let mut channels = channels_of(channel_configuration);
    let mut core_samples = None;
    if GENERAL_AUDIO.contains(&object_type) {
        let in_program = read_general_audio(&mut reader, object_type, channel_configuration);
        channels = channels.or(in_program.and_then(|general| general.channels));
        core_samples = in_program.and_then(|general| general.frame_samples);
        // Explicit backward compatible signalling: the extension stands behind
        // everything else. It can only follow a readable configuration.
        if extension.is_none()
            && in_program.is_some()
            && let Some((kind, rate)) = read_sync_extension(&mut reader)
        {
            extension = Some(kind);
            sample_rate = rate;
        }
    }
    if extension == Some(PS) && channels == Some(1) {
        // Parametric stereo makes two channels of one.
        channels = Some(2);
    }
    // Replication of bands makes more samples of each.
    let frame_samples = match (core_samples, core_rate, sample_rate) {
        (Some(samples), Some(core), Some(rate)) if rate % core == 0 => {
            samples.checked_mul(rate / core)
        }
        _ => None,
    };
    Some(AudioFormat {
        sample_rate,
        channels,
        frame_samples,
        codec_string: Some(format!("mp4a.40.{}", extension.unwrap_or(object_type))),
    })
}

const SBR: u32 = 5;
const ER_BSAC: u32 = 22;
const PS: u32 = 29;
/// Object types that carry a GASpecificConfig.
const GENERAL_AUDIO: [u32; 12] = [1, 2, 3, 4, 6, 7, 17, 19, 20, ER_BSAC, 21, 23];

/// GetAudioObjectType: 31 escapes to six bits more.
fn read_object_type(reader: &mut BitReader<'_>) -> Option<u32> {
    match reader.bits(5)? {
        31 => Some(32 + reader.bits(6)?),
        object_type => Some(object_type),
    }
}

/// samplingFrequencyIndex: 15 escapes to the frequency itself, 13 and 14 are
/// reserved. The outer `None` is the end of the bytes.
fn read_sample_rate(reader: &mut BitReader<'_>) -> Option<Option<u32>> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];
    match reader.bits(4)? {
        15 => Some(Some(reader.bits(24)?).filter(|&rate| rate > 0)),
        index => Some(RATES.get(index as usize).copied()),
    }
}

/// channelConfiguration (table 1.19); 0 leaves it to a program_config_element.
fn channels_of(configuration: u32) -> Option<u32> {
    match configuration {
        1..=6 => Some(configuration),
        7 | 12 | 14 => Some(8),
        11 => Some(7),
        13 => Some(24),
        _ => None,
    }
}

/// What a GASpecificConfig tells.
#[derive(Clone, Copy)]
struct GeneralAudio {
    /// By its program_config_element, if it has one.
    channels: Option<u32>,
    /// At the rate of the core, of object types whose frames are all as long.
    frame_samples: Option<u32>,
}

/// GASpecificConfig (4.4.1).
fn read_general_audio(
    reader: &mut BitReader<'_>,
    object_type: u32,
    channel_configuration: u32,
) -> Option<GeneralAudio> {
    /// AAC Main, LC, SSR and LTP.
    const PLAIN: [u32; 4] = [1, 2, 3, 4];
    // frameLengthFlag
    let is_short = reader.flag()?;
    let frame_samples = PLAIN
        .contains(&object_type)
        .then_some(if is_short { 960 } else { 1024 });
    // dependsOnCoreCoder, coreCoderDelay
    if reader.flag()? {
        reader.skip(14)?;
    }
    let extended = reader.flag()?;
    let mut channels = None;
    if channel_configuration == 0 {
        channels = Some(read_program_channels(reader)?).filter(|&channels| channels > 0);
    }
    if object_type == 6 || object_type == 20 {
        // layerNr
        reader.skip(3)?;
    }
    if extended {
        match object_type {
            // numOfSubFrame, layer_length
            ER_BSAC => reader.skip(5 + 11)?,
            // Error resilience flags
            17 | 19 | 20 | 23 => reader.skip(3)?,
            _ => {}
        }
        // extensionFlag3
        reader.skip(1)?;
    }
    Some(GeneralAudio {
        channels,
        frame_samples,
    })
}

/// program_config_element (4.4.1.1): each element is one channel or a pair.
fn read_program_channels(reader: &mut BitReader<'_>) -> Option<u32> {
    // element_instance_tag, object_type, sampling_frequency_index
    reader.skip(4 + 2 + 4)?;
    let mut elements = 0;
    // Front, side, back.
    for _ in 0..3 {
        elements += reader.bits(4)?;
    }
    let low_frequency = reader.bits(2)?;
    let associated_data = reader.bits(3)?;
    let coupling = reader.bits(4)?;
    // Mono, stereo and matrix mixdown, each behind its flag.
    for bits in [4, 4, 3] {
        if reader.flag()? {
            reader.skip(bits)?;
        }
    }
    let mut channels = low_frequency;
    for _ in 0..elements {
        channels += 1 + u32::from(reader.flag()?);
        reader.skip(4)?;
    }
    reader.skip(4 * low_frequency + 4 * associated_data + 5 * coupling)?;
    skip_to_byte_and_comment(reader)?;
    Some(channels)
}

fn skip_to_byte_and_comment(reader: &mut BitReader<'_>) -> Option<()> {
    reader.align();
    let comment = reader.bits(8)?;
    reader.skip(8 * comment)
}

/// syncExtensionType and what follows it: the extension's object type and the
/// output rate.
fn read_sync_extension(reader: &mut BitReader<'_>) -> Option<(u32, Option<u32>)> {
    const SBR_FOLLOWS: u32 = 0x2B7;
    const PS_FOLLOWS: u32 = 0x548;
    if reader.bits(11)? != SBR_FOLLOWS || read_object_type(reader)? != SBR || !reader.flag()? {
        return None;
    }
    let rate = read_sample_rate(reader)?;
    let parametric = reader.bits(11) == Some(PS_FOLLOWS) && reader.flag() == Some(true);
    Some((if parametric { PS } else { SBR }, rate))
}
