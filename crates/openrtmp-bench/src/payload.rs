//! Frames that prove themselves: what a player gets tells its number and when it
//! was sent, and every byte of it follows from the number.

use std::time::Instant;

/// FLV video header (5), NAL unit length (4), NAL unit header (1).
const PREFIX: usize = 10;

/// Number (8), clock (8), length (4), check of the three (8).
const STAMP: usize = 28;

/// A key frame is this many times as long as the others.
const KEY_FACTOR: usize = 8;

/// AVCDecoderConfigurationRecord of a 1280x720 High stream, in an FLV body.
const SEQUENCE_HEADER: &[u8] = &[
    0x17, 0, 0, 0, 0, // key frame, AVC; sequence header; composition time
    1, 0x64, 0, 0x1F, 0xFF, 0xE1, // version, profile, level, 4-byte lengths, one SPS
    0, 26, 0x67, 0x64, 0x00, 0x1F, 0xAC, 0xD9, 0x40, 0x50, 0x05, 0xBB, 0x01, 0x10, 0x00, 0x00,
    0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xC0, 0xF1, 0x83, 0x19, 0x60, // SPS
    1, 0, 6, 0x68, 0xEB, 0xE3, 0xCB, 0x22, 0xC0, // one PPS
];

/// The clock of publisher and players: nanoseconds since the start.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn nanos(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What a frame says of itself.
pub(crate) struct Stamp {
    pub(crate) number: u64,
    pub(crate) clock: u64,
    length: u32,
}

impl Stamp {
    /// Reads one, behind the header of a NAL unit. `None`: it was changed.
    pub(crate) fn read(bytes: &[u8]) -> Option<Stamp> {
        let (&number, rest) = bytes.split_first_chunk()?;
        let (&clock, rest) = rest.split_first_chunk()?;
        let (&length, rest) = rest.split_first_chunk()?;
        let (&claimed, _) = rest.split_first_chunk()?;
        let (number, clock) = (u64::from_le_bytes(number), u64::from_le_bytes(clock));
        let length = u32::from_le_bytes(length);
        let is_right = u64::from_le_bytes(claimed) == check(number, clock, length);
        is_right.then_some(Stamp {
            number,
            clock,
            length,
        })
    }
}

/// Makes and checks the frames of one stream.
pub(crate) struct Frames {
    /// Noise that frame contents are cut from.
    pool: Vec<u8>,
    gop: u64,
    inter_len: usize,
    key_len: usize,
}

impl Frames {
    /// Frames of a stream of `bitrate` bit/s with a key frame every `gop` frames.
    pub(crate) fn new(bitrate: u64, fps: u32, gop: u64) -> Frames {
        let gop = gop.max(1);
        let bytes_per_gop = bitrate / 8 * gop / u64::from(fps.max(1));
        let units = gop - 1 + KEY_FACTOR as u64;
        Frames::of_length((bytes_per_gop / units) as usize, gop)
    }

    /// Frames of `inter_len` bytes.
    pub(crate) fn of_length(inter_len: usize, gop: u64) -> Frames {
        let inter_len = inter_len.max(PREFIX + STAMP);
        let key_len = inter_len * KEY_FACTOR;
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let words = (2 * key_len).div_ceil(8);
        let pool = (0..words)
            .flat_map(|_| {
                state = mix(state);
                state.to_le_bytes()
            })
            .collect();
        Frames {
            pool,
            gop,
            inter_len,
            key_len,
        }
    }

    pub(crate) fn sequence_header(&self) -> &'static [u8] {
        SEQUENCE_HEADER
    }

    pub(crate) fn is_key(&self, number: u64) -> bool {
        number.is_multiple_of(self.gop)
    }

    /// Writes a frame, replacing what `body` held.
    pub(crate) fn write(&self, number: u64, clock: u64, body: &mut Vec<u8>) {
        let len = self.len(number);
        let key = self.is_key(number);
        body.clear();
        body.extend([if key { 0x17 } else { 0x27 }, 1, 0, 0, 0]);
        body.extend((len as u32 - 9).to_be_bytes());
        body.push(if key { 0x65 } else { 0x41 });
        body.extend(number.to_le_bytes());
        body.extend(clock.to_le_bytes());
        body.extend((len as u32).to_le_bytes());
        body.extend(check(number, clock, len as u32).to_le_bytes());
        body.extend(self.content(number, len));
    }

    /// Reads a frame's stamp; says what is wrong if one byte of it is.
    pub(crate) fn verify(&self, body: &[u8]) -> Result<Stamp, &'static str> {
        let (prefix, rest) = body.split_at_checked(PREFIX).ok_or("too short")?;
        let (stamp, content) = rest.split_at_checked(STAMP).ok_or("too short")?;
        let stamp = Stamp::read(stamp).ok_or("the stamp does not check")?;
        let number = stamp.number;
        if stamp.length as usize != body.len() || body.len() != self.len(number) {
            return Err("the length is wrong");
        }
        let expected = if self.is_key(number) { 0x17 } else { 0x27 };
        if prefix[0] != expected || content != self.content(number, body.len()) {
            return Err("the content is wrong");
        }
        Ok(stamp)
    }

    fn len(&self, number: u64) -> usize {
        if self.is_key(number) {
            self.key_len
        } else {
            self.inter_len
        }
    }

    fn content(&self, number: u64, len: usize) -> &[u8] {
        let start = (mix(number) % self.key_len as u64) as usize;
        &self.pool[start..start + len - PREFIX - STAMP]
    }
}

fn check(number: u64, clock: u64, len: u32) -> u64 {
    mix(mix(mix(number) ^ clock) ^ u64::from(len))
}

/// The finaliser of SplitMix64: every input bit changes half the output bits.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_tells_its_number_and_clock() {
        let frames = Frames::new(2_500_000, 30, 60);
        let mut body = Vec::new();
        for number in [0, 1, 59, 60, 12_345] {
            frames.write(number, number * 7, &mut body);
            let stamp = frames.verify(&body).expect("as written");
            assert_eq!((stamp.number, stamp.clock), (number, number * 7));
        }
    }

    #[test]
    fn one_changed_byte_is_noticed_wherever_it_is() {
        let frames = Frames::of_length(100, 10);
        let mut body = Vec::new();
        frames.write(3, 4, &mut body);
        // The composition time, length and NAL header are not ours to check.
        for at in (0..1).chain(PREFIX..body.len()) {
            body[at] ^= 1;
            assert!(frames.verify(&body).is_err(), "byte {at}");
            body[at] ^= 1;
        }
        assert!(frames.verify(&body[..99]).is_err());
    }

    #[test]
    fn the_bit_rate_is_as_asked() {
        let frames = Frames::new(2_500_000, 30, 60);
        let bytes: usize = (0..60).map(|n| frames.len(n)).sum();
        assert!(bytes.abs_diff(2 * 2_500_000 / 8) < 100, "{bytes}");
    }
}
