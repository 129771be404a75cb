//! How targets read their input.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Bytes with their length before them: 16 bits, least significant byte first. A
/// length beyond the end of the input means the rest of it.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a>(pub &'a [u8]);

impl<'a> Arbitrary<'a> for Piece<'a> {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Piece<'a>> {
        let length = usize::from(u16::arbitrary(input)?);
        input.bytes(length.min(input.len())).map(Piece)
    }
}

impl Piece<'_> {
    /// As text, what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.0).into_owned()
    }

    /// The same as an input holds it, for those who make one.
    pub fn write(bytes: &[u8], output: &mut Vec<u8>) {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        output.extend_from_slice(&length.to_le_bytes());
        output.extend_from_slice(&bytes[..usize::from(length)]);
    }
}

/// How a stream of bytes is cut into what a socket gives at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cuts(pub u16);

impl<'a> Arbitrary<'a> for Cuts {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Cuts> {
        u16::arbitrary(input).map(Cuts)
    }
}

impl Cuts {
    /// All at once.
    pub const NONE: Cuts = Cuts(0);

    /// `bytes` in pieces, none of them empty. 0 leaves them whole, 1 gives single
    /// bytes, and everything else some of 1 to 200 bytes.
    pub fn of(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut rest = bytes;
        let mut state = u32::from(self.0);
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let length = match self.0 {
                0 => rest.len(),
                1 => 1,
                _ => {
                    // Numerical Recipes' generator; its upper bits are the better ones.
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    match state >> 30 {
                        0 => 1,
                        1 => 1 + (state >> 8) as usize % 4,
                        _ => 1 + (state >> 8) as usize % 200,
                    }
                }
            };
            let (piece, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            Some(piece)
        })
    }
}

/// Reads a value from what is left of the input. Where nothing is left it is zero.
pub fn take<'a, T: Arbitrary<'a>>(input: &mut Unstructured<'a>) -> T {
    // Only types that read integers and bytes are taken, and those do not fail:
    // integers are filled up with zeros and pieces end with the input.
    input.arbitrary().expect("zeros make a value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_reads_back_and_ends_with_the_input() {
        let mut bytes = Vec::new();
        Piece::write(b"abc", &mut bytes);
        bytes.extend([9, 0, b'd']);
        let mut input = Unstructured::new(&bytes);
        assert_eq!(take::<Piece<'_>>(&mut input).0, b"abc");
        assert_eq!(take::<Piece<'_>>(&mut input).0, b"d");
        assert_eq!(take::<Piece<'_>>(&mut input).0, b"");
    }

    #[test]
    fn cuts_lose_nothing() {
        let bytes: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
        for cuts in [0, 1, 2, 3, u16::MAX].map(Cuts) {
            assert_eq!(cuts.of(&bytes).collect::<Vec<_>>().concat(), bytes);
        }
        assert_eq!(Cuts::NONE.of(&bytes).count(), 1);
        assert_eq!(Cuts(1).of(&bytes).count(), 1000);
    }
}
