//! AC-3 and E-AC-3: the start of a syncframe (ATSC A/52, 5.3 and annex E, 2.2).
//! Neither has a sequence header in Enhanced RTMP.

use super::AudioFormat;
use super::bits::BitReader;

pub(super) fn format_of_frame(frame: &[u8]) -> Option<AudioFormat> {
    // bsid stands in the same place in both; above 10 it is E-AC-3.
    let &[0x0B, 0x77, .., bsid] = frame.first_chunk::<6>()? else {
        return None;
    };
    let mut reader = BitReader::new(&frame[2..]);
    match bsid >> 3 {
        bsid @ 0..=10 => read_ac3(&mut reader, bsid),
        11..=16 => read_eac3(&mut reader),
        _ => None,
    }
}

const RATES: [u32; 3] = [48_000, 44_100, 32_000];

fn read_ac3(reader: &mut BitReader<'_>, bsid: u8) -> Option<AudioFormat> {
    // crc1
    reader.skip(16)?;
    let rate = *RATES.get(reader.bits(2)? as usize)?;
    // frmsizecod, bsid, bsmod
    reader.skip(6 + 5 + 3)?;
    let mode = reader.bits(3)?;
    // cmixlev with three front channels, surmixlev with surround, dsurmod with
    // plain stereo.
    if mode & 1 != 0 && mode != 1 {
        reader.skip(2)?;
    }
    if mode & 4 != 0 {
        reader.skip(2)?;
    }
    if mode == 2 {
        reader.skip(2)?;
    }
    // bsid 9 and 10 mean half and a quarter of the rate (by convention).
    let rate = rate >> bsid.saturating_sub(8);
    Some(format(rate, SIX_BLOCKS, mode, reader.flag()?, "ac-3"))
}

fn read_eac3(reader: &mut BitReader<'_>) -> Option<AudioFormat> {
    // strmtyp, substreamid, frmsiz
    reader.skip(2 + 3 + 11)?;
    let (rate, samples) = match reader.bits(2)? {
        // fscod2: half the rate
        3 => (*RATES.get(reader.bits(2)? as usize)? / 2, SIX_BLOCKS),
        code => {
            // numblkscod: one, two, three or six
            let samples = [256, 512, 768, SIX_BLOCKS][reader.bits(2)? as usize];
            (RATES[code as usize], samples)
        }
    };
    let mode = reader.bits(3)?;
    Some(format(rate, samples, mode, reader.flag()?, "ec-3"))
}

/// Samples in a frame of six blocks.
const SIX_BLOCKS: u32 = 1536;

/// acmod (table 5.8) and lfeon.
fn format(rate: u32, samples: u32, mode: u32, low_frequency: bool, codec: &str) -> AudioFormat {
    const FULL_CHANNELS: [u32; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
    AudioFormat {
        sample_rate: Some(rate),
        channels: Some(FULL_CHANNELS[mode as usize] + u32::from(low_frequency)),
        frame_samples: Some(samples),
        codec_string: Some(codec.to_owned()),
    }
}
