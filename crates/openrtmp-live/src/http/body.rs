//! Bytes of several pieces, one behind the other, without a copy.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// So much is given at a time, so that what is not taken is seen not to be.
pub(super) const PIECE: usize = 64 << 10;

/// The bytes of pieces that are within a range of the whole.
#[derive(Debug)]
pub(super) struct Rope {
    pieces: VecDeque<Bytes>,
    left: u64,
}

impl Rope {
    /// All of them.
    pub(super) fn whole(pieces: &[Bytes]) -> Rope {
        Rope::new(pieces, 0..u64::MAX)
    }

    /// Bytes of it.
    pub(super) fn len(&self) -> u64 {
        self.left
    }

    pub(super) fn new(pieces: &[Bytes], range: Range<u64>) -> Rope {
        let mut rope = Rope {
            pieces: VecDeque::new(),
            left: 0,
        };
        let mut start = 0;
        for piece in pieces {
            let end = start + piece.len() as u64;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                // Within the piece.
                let within = (from - start) as usize..(to - start) as usize;
                rope.left += to - from;
                rope.pieces.push_back(piece.slice(within));
            }
            start = end;
        }
        rope
    }
}

impl From<Rope> for Body {
    fn from(rope: Rope) -> Body {
        Body::new(rope)
    }
}

impl HttpBody for Rope {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(mut piece) = self.pieces.pop_front() else {
            return Poll::Ready(None);
        };
        if piece.len() > PIECE {
            let rest = piece.split_off(PIECE);
            self.pieces.push_front(rest);
        }
        self.left -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_pieces_is_that_range_of_the_whole() {
        let whole: Vec<u8> = (0..255).collect();
        let pieces: Vec<Bytes> = whole.chunks(50).map(Bytes::copy_from_slice).collect();
        for (from, to) in [(0, 255), (0, 1), (49, 51), (50, 100), (120, 255), (7, 7)] {
            let rope = Rope::new(&pieces, from as u64..to as u64);
            assert_eq!(rope.left, (to - from) as u64);
            let joined: Vec<u8> = rope.pieces.iter().flatten().copied().collect();
            assert_eq!(joined, whole[from..to]);
        }
    }
}
