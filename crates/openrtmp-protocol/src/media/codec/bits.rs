/// Reads bits, the most significant first, as every codec header here has them.
/// `None` at the end of the bytes.
#[derive(Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bytes taken, emulation prevention bytes included.
    at: usize,
    current: u8,
    /// Bits of `current` not yet read.
    left: u32,
    /// Zero bytes just read, up to two; `None` if nothing is to be removed.
    zeros: Option<u8>,
}

impl<'a> BitReader<'a> {
    /// Reads these bytes as they are.
    pub fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader {
            bytes,
            at: 0,
            current: 0,
            left: 0,
            zeros: None,
        }
    }

    /// Reads a NAL unit, stepping over its emulation_prevention_three_bytes
    /// (ITU-T H.264 and H.265, 7.3.1.1; H.266, 7.3.1).
    pub fn of_nal(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader {
            zeros: Some(0),
            ..BitReader::new(bytes)
        }
    }

    /// Up to 32 bits as a number.
    pub fn bits(&mut self, count: u32) -> Option<u32> {
        debug_assert!(count <= 32);
        let mut value: u64 = 0;
        let mut missing = count;
        while missing > 0 {
            if self.left == 0 {
                self.next_byte()?;
            }
            let taken = missing.min(self.left);
            let upper = u64::from(self.current) >> (self.left - taken);
            value = value << taken | upper & ((1 << taken) - 1);
            self.left -= taken;
            missing -= taken;
        }
        // `count` is at most 32, and so is what was gathered.
        Some(value as u32)
    }

    /// One bit.
    pub fn flag(&mut self) -> Option<bool> {
        Some(self.bits(1)? == 1)
    }

    /// Steps over so many bits.
    pub fn skip(&mut self, mut count: u32) -> Option<()> {
        while count > 0 {
            let taken = count.min(32);
            self.bits(taken)?;
            count -= taken;
        }
        Some(())
    }

    /// Steps to the next byte boundary.
    pub fn align(&mut self) {
        self.left = 0;
    }

    /// ue(v): unsigned Exp-Golomb (H.264, 9.1), up to 2^32 - 2.
    pub fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros == 32 {
                return None;
            }
        }
        let rest = self.bits(zeros)?;
        Some((1u32 << zeros) - 1 + rest)
    }

    /// se(v): signed Exp-Golomb (H.264, 9.1.1).
    pub fn se(&mut self) -> Option<i64> {
        let code = i64::from(self.ue()?);
        Some(if code % 2 == 1 {
            code / 2 + 1
        } else {
            -(code / 2)
        })
    }

    fn next_byte(&mut self) -> Option<()> {
        let mut byte = *self.bytes.get(self.at)?;
        self.at += 1;
        if let Some(zeros) = &mut self.zeros {
            if *zeros == 2 && byte == 3 {
                byte = *self.bytes.get(self.at)?;
                self.at += 1;
                *zeros = 0;
            }
            *zeros = if byte == 0 { (*zeros + 1).min(2) } else { 0 };
        }
        self.current = byte;
        self.left = 8;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_across_bytes() {
        let mut reader = BitReader::new(&[0b1010_0101, 0xFF, 0x00, 0x12, 0x34, 0x80]);
        assert_eq!(reader.bits(3), Some(0b101));
        assert_eq!(reader.bits(7), Some(0b001_0111));
        assert_eq!(reader.bits(0), Some(0));
        assert_eq!(reader.bits(32), Some(0xFC00_48D2));
        assert_eq!(reader.bits(6), Some(0));
        assert_eq!(reader.flag(), None);
    }

    #[test]
    fn exp_golomb_codes_follow_table_9_2() {
        // 1, 010, 011, 00100, 00101: code numbers 0 to 4.
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut reader = BitReader::new(&bytes);
        let codes: Vec<_> = (0..5).map(|_| reader.ue()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4].map(Some));
        let mut reader = BitReader::new(&bytes);
        let signed: Vec<_> = (0..5).map(|_| reader.se()).collect();
        assert_eq!(signed, [0, 1, -1, 2, -2].map(Some));
    }

    #[test]
    fn the_longest_exp_golomb_code_is_read_and_a_longer_one_refused() {
        let longest = [0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(BitReader::new(&longest).ue(), Some(u32::MAX - 1));
        assert_eq!(BitReader::new(&[0, 0, 0, 0, 0x80, 0, 0, 0, 0]).ue(), None);
        assert_eq!(BitReader::new(&[0]).ue(), None);
    }

    #[test]
    fn emulation_prevention_bytes_are_stepped_over() {
        let bytes = [0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 0, 3];
        let read = |mut reader: BitReader<'_>| -> Vec<u32> {
            std::iter::from_fn(|| reader.bits(8)).collect()
        };
        assert_eq!(read(BitReader::of_nal(&bytes)), [0, 0, 1, 0, 0, 0, 0, 0, 3]);
        assert_eq!(read(BitReader::new(&bytes)).len(), bytes.len());
        // A NAL unit may end with one (cabac_zero_words).
        assert_eq!(read(BitReader::of_nal(&[0, 0, 3])), [0, 0]);
    }
}
