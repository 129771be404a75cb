//! NAL units in the two forms there are: behind lengths, as RTMP has them (ISO/IEC
//! 14496-15, 4.3.3), and behind start codes, as many decoders and encoders do (Annex B of
//! ITU-T H.264, H.265 and H.266).

use super::LENGTH_SIZE;

/// What stands before each unit; the zero byte in front (B.1.1) is written for all.
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// A frame of units behind lengths of so many bytes, with start codes in their place.
/// `None` if the bytes are no such units. Empty units are left out.
pub fn to_annex_b(frame: &[u8], length_size: usize) -> Option<Vec<u8>> {
    let mut stream = Vec::with_capacity(frame.len() + START_CODE.len());
    let mut rest = frame;
    while !rest.is_empty() {
        let (length, behind) = rest.split_at_checked(length_size)?;
        let length = length.iter().try_fold(0_usize, |sum, &byte| {
            sum.checked_mul(256)?.checked_add(usize::from(byte))
        })?;
        let (unit, behind) = behind.split_at_checked(length)?;
        push_unit(&mut stream, unit);
        rest = behind;
    }
    Some(stream)
}

/// A frame behind start codes, with lengths of [`LENGTH_SIZE`] bytes in their place.
/// `None` if it does not begin with a start code.
pub fn from_annex_b(stream: &[u8]) -> Option<Vec<u8>> {
    let mut frame = Vec::with_capacity(stream.len() + LENGTH_SIZE);
    for unit in annex_b_units(stream)? {
        frame.extend(u32::try_from(unit.len()).ok()?.to_be_bytes());
        frame.extend(unit);
    }
    Some(frame)
}

/// The units of a frame behind start codes, without the zero bytes around them. `None` if
/// it does not begin with a start code.
pub fn annex_b_units(stream: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let begin = stream.iter().position(|&byte| byte != 0)?;
    if begin < 2 || stream[begin] != 1 {
        return None;
    }
    let mut rest = Some(&stream[begin + 1..]);
    Some(
        std::iter::from_fn(move || {
            let here = rest?;
            let next = here.windows(3).position(|window| window == [0, 0, 1]);
            let unit = &here[..next.unwrap_or(here.len())];
            rest = next.map(|at| &here[at + 3..]);
            // A unit ends with a bit that is set (7.4.1): zeros behind it are no part of it.
            let end = unit.iter().rposition(|&byte| byte != 0);
            Some(&unit[..end.map_or(0, |last| last + 1)])
        })
        .filter(|unit| !unit.is_empty()),
    )
}

/// Appends a unit behind a start code; an empty one is none.
pub(super) fn push_unit(stream: &mut Vec<u8>, unit: &[u8]) {
    if !unit.is_empty() {
        stream.extend(START_CODE);
        stream.extend(unit);
    }
}
