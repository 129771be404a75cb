//! Bodies of bytes that are all there: in memory, without a copy, or in a file.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::store::Stored;

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

/// What is being read.
type Piece = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

/// A range of a file, of which a piece at a time is in memory.
pub(super) struct Reading {
    stored: Arc<Stored>,
    /// What was not given.
    rest: Range<u64>,
    piece: Option<Piece>,
}

impl Reading {
    pub(super) fn new(stored: Arc<Stored>, range: Range<u64>) -> Reading {
        Reading {
            stored,
            rest: range,
            piece: None,
        }
    }
}

impl HttpBody for Reading {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let (stored, from) = (self.stored.clone(), self.rest.start);
        let to = self.rest.end.min(from + PIECE as u64);
        let read = move |stored: &Stored| stored.read(from..to);
        let piece = self
            .piece
            .get_or_insert_with(|| Box::pin(stored.apart(read)));
        let read = ready!(piece.as_mut().poll(context));
        self.piece = None;
        Poll::Ready(Some(match read {
            Ok(bytes) => {
                self.rest.start = to;
                Ok(Frame::data(bytes))
            }
            // Nothing follows, so that what was sent is not taken for the whole.
            Err(error) => {
                self.rest.start = self.rest.end;
                Err(error)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.end - self.rest.start)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::store::spooled::{Place, segment, written};

    async fn next(reading: &mut Reading) -> Option<io::Result<Bytes>> {
        let frame = poll_fn(|context| Pin::new(&mut *reading).poll_frame(context)).await?;
        Some(frame.map(|frame| frame.into_data().unwrap()))
    }

    #[tokio::test]
    async fn a_file_is_given_in_pieces_and_what_is_gone_is_no_end() {
        let place = Place::new(1 << 20);
        let spool = place.spool().unwrap();
        let kept = segment(1, 3 * PIECE);
        let stored = written(&spool, &kept).unwrap();
        let whole = stored.read(0..3 * PIECE as u64).unwrap();
        let range = 100..2 * PIECE as u64;
        let mut reading = Reading::new(stored.clone(), range.clone());
        let mut got = Vec::new();
        while let Some(piece) = next(&mut reading).await {
            let piece = piece.unwrap();
            assert!(piece.len() <= PIECE);
            got.extend_from_slice(&piece);
            let left = range.end - range.start - got.len() as u64;
            assert_eq!(reading.size_hint().exact(), Some(left));
            assert_eq!(reading.is_end_stream(), left == 0);
        }
        assert!(got == whole[100..2 * PIECE]);
        let mut reading = Reading::new(stored.clone(), 0..3 * PIECE as u64);
        let piece = next(&mut reading).await.unwrap().unwrap();
        std::fs::remove_file(place.folder().join("18f0-0-v0-1.m4s")).unwrap();
        assert!(next(&mut reading).await.unwrap().is_err());
        assert!(next(&mut reading).await.is_none());
        // What was taken by nobody yet is counted, and nothing else.
        drop((got, whole, reading));
        assert_eq!(place.budget.outlived(), PIECE as u64);
        drop(piece);
        assert_eq!(place.budget.outlived(), 0);
        spool.stop();
    }

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
