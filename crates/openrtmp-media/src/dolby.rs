//! The records that MP4 keeps of AC-3 and E-AC-3 (ETSI TS 102 366, annex F), made from the
//! first frame: Enhanced RTMP has no sequence header for either.

use openrtmp_protocol::media::codec::BitReader;

const SYNC_WORD: u32 = 0x0B77;

/// AC3SpecificBox's content (F.4), three bytes.
pub(crate) fn ac3_record(frame: &[u8]) -> Option<[u8; 3]> {
    let mut reader = BitReader::new(frame);
    if reader.bits(16)? != SYNC_WORD {
        return None;
    }
    // crc1
    reader.skip(16)?;
    let fscod = reader.bits(2)?;
    let frmsizecod = reader.bits(6)?;
    let bsid = reader.bits(5)?;
    let bsmod = reader.bits(3)?;
    let acmod = reader.bits(3)?;
    // Mix levels stand where their channels are (ATSC A/52, 5.3.2).
    let has_three_fronts = acmod & 1 != 0 && acmod != 1;
    for present in [has_three_fronts, acmod & 4 != 0, acmod == 2] {
        if present {
            reader.skip(2)?;
        }
    }
    let lfeon = reader.bits(1)?;
    let bit_rate_code = frmsizecod >> 1;
    let record = fscod << 22 | bsid << 17 | bsmod << 14 | acmod << 11 | lfeon << 10;
    let [_, a, b, c] = (record | bit_rate_code << 5).to_be_bytes();
    Some([a, b, c])
}

/// EC3SpecificBox's content (F.6), for the independent substreams of an access unit and what
/// depends on them.
pub(crate) fn eac3_record(frame: &[u8]) -> Option<Vec<u8>> {
    /// num_ind_sub has three bits.
    const MOST: usize = 8;
    let mut programs: Vec<Program> = Vec::new();
    let mut bits_per_second = 0;
    let mut rest = frame;
    while !rest.is_empty() {
        // What follows a whole substream and is none ends the reading.
        let Some(substream) = Substream::read(rest) else {
            break;
        };
        bits_per_second += substream.bits_per_second();
        match programs.last_mut() {
            Some(program) if substream.is_dependent => {
                program.dependents += 1;
                program.locations |= substream.locations;
            }
            None if substream.is_dependent => return None,
            _ => programs.push(Program {
                substream,
                dependents: 0,
                locations: 0,
            }),
        }
        if programs.len() == MOST {
            break;
        }
        rest = rest.get(substream.bytes..).unwrap_or_default();
    }
    let last = programs.len().checked_sub(1)? as u16;
    // data_rate in kbit/s, 13 bits, and num_ind_sub, less one.
    let rate = (bits_per_second / 1000).min(0x1FFF) as u16;
    let mut record = (rate << 3 | last).to_be_bytes().to_vec();
    for program in &programs {
        let Substream {
            fscod,
            bsid,
            acmod,
            lfeon,
            ..
        } = program.substream;
        // Reserved bit, asvc and bsmod are 0: a complete main programme.
        let fields = fscod << 22 | bsid << 17 | acmod << 9 | lfeon << 8;
        let fields = fields | program.dependents.min(0xF) << 1;
        let [_, a, b, c] = fields.to_be_bytes();
        record.extend([a, b, c]);
        if program.dependents > 0 {
            // The upper bit of chan_loc is in the place of the reserved bit.
            if let Some(last) = record.last_mut() {
                *last |= (program.locations >> 8) as u8 & 1;
            }
            record.push(program.locations as u8);
        }
    }
    Some(record)
}

/// An independent substream and what depends on it.
struct Program {
    substream: Substream,
    dependents: u32,
    /// chan_loc: which channels the dependent ones bring.
    locations: u16,
}

#[derive(Clone, Copy)]
struct Substream {
    is_dependent: bool,
    bytes: usize,
    fscod: u32,
    sample_rate: u32,
    samples: u32,
    acmod: u32,
    lfeon: u32,
    bsid: u32,
    locations: u16,
}

impl Substream {
    /// syncinfo and the start of bsi (ATSC A/52, E.2.2.1 and E.2.2.2).
    fn read(frame: &[u8]) -> Option<Substream> {
        const DEPENDENT: u32 = 1;
        const RATES: [u32; 3] = [48_000, 44_100, 32_000];
        const BLOCKS: [u32; 4] = [1, 2, 3, 6];
        const SAMPLES_PER_BLOCK: u32 = 256;
        let mut reader = BitReader::new(frame);
        if reader.bits(16)? != SYNC_WORD {
            return None;
        }
        let is_dependent = reader.bits(2)? == DEPENDENT;
        // substreamid
        reader.skip(3)?;
        let bytes = 2 * (reader.bits(11)? as usize + 1);
        let fscod = reader.bits(2)?;
        let code = reader.bits(2)? as usize;
        let (sample_rate, blocks) = match fscod {
            // fscod2: half the rate, and six blocks always
            3 => (*RATES.get(code)? / 2, 6),
            fscod => (RATES[fscod as usize], BLOCKS[code]),
        };
        let acmod = reader.bits(3)?;
        let lfeon = reader.bits(1)?;
        let bsid = reader.bits(5)?;
        let locations = match is_dependent {
            true => read_locations(&mut reader, acmod)?,
            false => 0,
        };
        (bsid > 10).then_some(Substream {
            is_dependent,
            bytes,
            fscod,
            sample_rate,
            samples: blocks * SAMPLES_PER_BLOCK,
            acmod,
            lfeon,
            bsid,
            locations,
        })
    }

    fn bits_per_second(&self) -> u64 {
        self.bytes as u64 * 8 * u64::from(self.sample_rate) / u64::from(self.samples)
    }
}

/// chan_loc (F.6.2.14) from the channel map of a dependent substream (E.2.3.1.8): of the
/// map's bits, the first the most significant, those of pairs and of channels that only
/// dependent substreams bring.
fn read_locations(reader: &mut BitReader<'_>, acmod: u32) -> Option<u16> {
    // dialnorm, and compr if its flag says so; twice with two programmes in one.
    for _ in 0..if acmod == 0 { 2 } else { 1 } {
        reader.skip(5)?;
        if reader.flag()? {
            reader.skip(8)?;
        }
    }
    // chanmape
    if !reader.flag()? {
        return Some(0);
    }
    let map = reader.bits(16)? as u16;
    // Bits of chanmap from the first on: 5 Lc/Rc, 6 Lrs/Rrs, 7 Cs, 8 Ts, 9 Lsd/Rsd,
    // 10 Lw/Rw, 11 Lvh/Rvh, 12 Cvh, 14 LFE2: in chan_loc from the last on.
    const PLACES: [u32; 9] = [5, 6, 7, 8, 9, 10, 11, 12, 14];
    let mut locations = 0;
    for (bit, place) in PLACES.into_iter().enumerate() {
        locations |= (map >> (15 - place) & 1) << bit;
    }
    Some(locations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ac3_frame_becomes_its_record() {
        // FFmpeg, 48 kHz mono at 96 kbit/s: frmsizecod 12, bsid 8, acmod 1.
        let frame = [0x0B, 0x77, 0x5A, 0x5A, 0x0C, 0x40, 0x2F, 0x84];
        // Bits 00 01000 000 001 0 00110 00000.
        assert_eq!(ac3_record(&frame), Some([0x10, 0x08, 0xC0]));
        // 5.1 at 448 kbit/s: frmsizecod 30, acmod 7, mix levels, low frequencies.
        let frame = [0x0B, 0x77, 0, 0, 0x1E, 0x40, 0xE1, 0x7F];
        assert_eq!(ac3_record(&frame), Some([0x10, 0x3D, 0xE0]));
        assert_eq!(ac3_record(&frame[..6]), None);
        assert_eq!(ac3_record(&[0; 8]), None);
    }

    /// A substream of so many bytes: its kind, then 48 kHz, six blocks, 3/2 channels and
    /// low frequencies.
    fn substream(kind: u8, bytes: usize, rest: &[u8]) -> Vec<u8> {
        let words = (bytes / 2 - 1) as u16;
        let mut frame = vec![0x0B, 0x77];
        frame.extend((u16::from(kind) << 14 | words).to_be_bytes());
        // fscod 0, numblkscod 3, acmod 7, lfeon; bsid 16.
        frame.extend([0x3F, 0x80]);
        frame.extend(rest);
        frame.resize(bytes, 0);
        frame
    }

    #[test]
    fn an_eac3_access_unit_becomes_its_record() {
        let unit = substream(0, 768, &[]);
        // 768 bytes in 32 ms: 192 kbit/s. Bits 00 10000 0 0 000 111 1 000 0000 0.
        assert_eq!(eac3_record(&unit), Some(vec![0x06, 0x00, 0x20, 0x0F, 0x00]));
        // Two programmes.
        let two = [unit.clone(), unit.clone()].concat();
        let expected = vec![0x0C, 0x01, 0x20, 0x0F, 0x00, 0x20, 0x0F, 0x00];
        assert_eq!(eac3_record(&two), Some(expected));
        assert_eq!(eac3_record(&unit[..5]), None);
    }

    #[test]
    fn dependent_substreams_tell_which_channels_they_bring() {
        let main = substream(0, 768, &[]);
        // The end of dialnorm, no compr, a channel map with Lrs/Rrs (bit 6) in it:
        // 00 0 1 0000, 00100000, 0000....
        let dependent = substream(1, 384, &[0x10, 0x20, 0x00]);
        let unit = [main, dependent].concat();
        // 288 kbit/s; num_dep_sub 1; chan_loc bit 1.
        let record = eac3_record(&unit).unwrap();
        assert_eq!(record, [0x09, 0x00, 0x20, 0x0F, 0x02, 0x02]);
        let alone = substream(1, 384, &[0x10, 0x20, 0x00]);
        assert_eq!(eac3_record(&alone), None);
    }
}
