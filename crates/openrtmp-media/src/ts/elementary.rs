//! Frames in the forms that elementary streams have them.

use super::NoStream;
use super::packets::Element;
use crate::mp4::read::{TrackHeader, decoder, units};

const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Sampling rates by their index (ISO/IEC 14496-3, table 1.18).
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
    7350,
];
/// An ADTS frame has no more bytes, its head included.
const LONGEST_ADTS: usize = 0x1FFF;
/// No other frame of sound has as many: the length of what is sent together has 16 bits.
const LONGEST_OTHER: usize = 0xF000;

/// What a track's frames are to be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// H.264: bytes of the lengths of NAL units, and parameter sets with start codes.
    Avc(usize, Vec<u8>),
    /// The same of HEVC.
    Hevc(usize, Vec<u8>),
    /// AAC: profile, index of the rate and channels, as ADTS has them.
    Aac(u8, u8, u8),
    /// MP3, by its stream type.
    Mp3(u8),
    /// AC-3 or E-AC-3, by its stream type and whose it is.
    Dolby(u8, [u8; 4]),
}

impl Coding {
    pub(super) fn new(header: &TrackHeader<'_>) -> Result<Coding, NoStream> {
        let none = NoStream::Coding(header.coding);
        let configuration = header.configuration;
        match &header.coding {
            b"avc1" => avc(configuration).ok_or(none),
            b"hvc1" => hevc(configuration).ok_or(none),
            b"mp4a" => mpeg_audio(configuration).ok_or(none),
            b"ac-3" => Ok(Coding::Dolby(0x81, *b"AC-3")),
            b"ec-3" => Ok(Coding::Dolby(0x87, *b"EAC3")),
            _ => Err(none),
        }
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self, Coding::Avc(..) | Coding::Hevc(..))
    }

    pub(super) fn element(&self) -> Element {
        const VIDEO: u8 = 0xE0;
        const AUDIO: u8 = 0xC0;
        const PRIVATE: u8 = 0xBD;
        let (kind, stream, registration) = match self {
            Coding::Avc(..) => (0x1B, VIDEO, None),
            Coding::Hevc(..) => (0x24, VIDEO, Some(*b"HEVC")),
            Coding::Aac(..) => (0x0F, AUDIO, None),
            Coding::Mp3(kind) => (*kind, AUDIO, None),
            Coding::Dolby(kind, whose) => (*kind, PRIVATE, Some(*whose)),
        };
        Element {
            kind,
            stream,
            registration,
        }
    }

    /// Adds a frame to what is sent together.
    pub(super) fn put(
        &self,
        frame: &[u8],
        is_key: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), NoStream> {
        match self {
            Coding::Avc(length, sets) => {
                // An access unit delimiter, of any kind of picture.
                out.extend(START_CODE);
                out.extend([9, 0xF0]);
                let kind = |unit: &[u8]| unit[0] & 0x1F;
                let has_sets = units(frame, *length).any(|unit| kind(unit) == 7);
                if is_key && !has_sets {
                    out.extend(sets);
                }
                put_units(units(frame, *length).filter(|unit| kind(unit) != 9), out);
            }
            Coding::Hevc(length, sets) => {
                out.extend(START_CODE);
                out.extend([35 << 1, 1, 0x50]);
                let kind = |unit: &[u8]| unit[0] >> 1 & 0x3F;
                let has_sets = units(frame, *length).any(|unit| kind(unit) == 33);
                if is_key && !has_sets {
                    out.extend(sets);
                }
                put_units(units(frame, *length).filter(|unit| kind(unit) != 35), out);
            }
            Coding::Aac(profile, rate, channels) => {
                let length = frame.len() + 7;
                if length > LONGEST_ADTS {
                    return Err(NoStream::Coding(*b"mp4a"));
                }
                // MPEG-4, no checksum (ISO/IEC 14496-3, 1.A.2.2); fullness not told.
                out.extend([0xFF, 0xF1]);
                out.push(profile << 6 | rate << 2 | channels >> 2);
                out.push(channels << 6 | (length >> 11) as u8);
                out.push((length >> 3) as u8);
                out.extend([(length << 5) as u8 | 0x1F, 0xFC]);
                out.extend(frame);
            }
            Coding::Mp3(_) | Coding::Dolby(..) if frame.len() > LONGEST_OTHER => {
                return Err(NoStream::Unreadable);
            }
            Coding::Mp3(_) | Coding::Dolby(..) => out.extend(frame),
        }
        Ok(())
    }
}

fn put_units<'a>(units: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    for unit in units {
        out.extend(START_CODE);
        out.extend(unit);
    }
}

/// Takes so many units, each with a length of 16 bits, from the front.
fn take_sets(rest: &mut &[u8], count: usize, out: &mut Vec<u8>) -> Option<()> {
    for _ in 0..count {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let (set, behind) = behind.split_at_checked(u16::from_be_bytes(*length).into())?;
        put_units([set].into_iter().filter(|set| !set.is_empty()), out);
        *rest = behind;
    }
    Some(())
}

/// AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).
fn avc(record: &[u8]) -> Option<Coding> {
    let (head, mut rest) = record.split_first_chunk::<6>()?;
    let mut sets = Vec::new();
    take_sets(&mut rest, usize::from(head[5] & 0x1F), &mut sets)?;
    let (count, behind) = rest.split_first()?;
    rest = behind;
    take_sets(&mut rest, usize::from(*count), &mut sets)?;
    Some(Coding::Avc(usize::from(head[4] & 3) + 1, sets))
}

/// HEVCDecoderConfigurationRecord (8.3.3.1).
fn hevc(record: &[u8]) -> Option<Coding> {
    let (head, mut rest) = record.split_first_chunk::<23>()?;
    let mut sets = Vec::new();
    for _ in 0..head[22] {
        let ([_, high, low], behind) = rest.split_first_chunk::<3>()?;
        rest = behind;
        let count = u16::from_be_bytes([*high, *low]);
        take_sets(&mut rest, usize::from(count), &mut sets)?;
    }
    Some(Coding::Hevc(usize::from(head[21] & 3) + 1, sets))
}

/// AAC or MP3, as an `esds` says.
fn mpeg_audio(descriptor: &[u8]) -> Option<Coding> {
    match decoder(descriptor)? {
        (0x6B, _) => Some(Coding::Mp3(3)),
        (0x69, _) => Some(Coding::Mp3(4)),
        (0x40, specific) => aac(specific),
        _ => None,
    }
}

/// AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1). Of what is told besides of spectral bands
/// and parametric stereo, frames tell too.
fn aac(config: &[u8]) -> Option<Coding> {
    const EXTENDED: [u32; 2] = [5, 29];
    let mut bits = Bits(config, 0);
    let mut object = bits.object_type()?;
    let rate = bits.rate()?;
    let channels = bits.take(4)?;
    if EXTENDED.contains(&object) {
        bits.rate()?;
        object = bits.object_type()?;
    }
    // ADTS has two bits for the profile, and no place for a list of channels.
    let profile = u8::try_from(object.checked_sub(1)?).ok();
    let profile = profile.filter(|profile| *profile < 4)?;
    let channels = u8::try_from(channels).ok();
    let channels = channels.filter(|channels| (1..=7).contains(channels))?;
    Some(Coding::Aac(profile, rate, channels))
}

/// Bits of bytes, and how many were taken.
struct Bits<'a>(&'a [u8], usize);

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.0.get(self.1 / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.1 % 8) & 1);
            self.1 += 1;
        }
        Some(value)
    }

    fn object_type(&mut self) -> Option<u32> {
        match self.take(5)? {
            31 => Some(32 + self.take(6)?),
            object => Some(object),
        }
    }

    /// The index of a rate.
    fn rate(&mut self) -> Option<u8> {
        let index = self.take(4)?;
        if index == 15 {
            let rate = self.take(24)?;
            let index = RATES.iter().position(|is| *is == rate)?;
            return u8::try_from(index).ok();
        }
        u8::try_from(index).ok().filter(|index| *index < 13)
    }
}
