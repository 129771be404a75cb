//! Text that many are told.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::Budget;

/// The bytes of a text, one piece behind the other.
type Pieces = [Bytes; 2];

/// How hard it is compressed: beyond, little is won.
const LEVEL: u32 = 5;

/// A text, compressed once for all who take it so, or as it is the same way.
#[derive(Debug)]
pub(crate) struct Text {
    plain: OnceLock<Pieces>,
    gzip: OnceLock<Bytes>,
    /// Where it is counted.
    budget: Option<Arc<Budget>>,
}

impl Text {
    /// One for a single answer.
    pub(crate) fn new(text: String) -> Text {
        Text {
            plain: OnceLock::from([text.into(), Bytes::new()]),
            gzip: OnceLock::new(),
            budget: None,
        }
    }

    /// One that is kept, and counted as long as somebody has it.
    pub(crate) fn counted(text: String, budget: &Arc<Budget>) -> Text {
        Text::behind(Bytes::new(), text, budget)
    }

    /// The same behind what is counted already, and kept by others as well.
    pub(crate) fn behind(before: Bytes, text: String, budget: &Arc<Budget>) -> Text {
        let size = text.len();
        let text = budget.counted(text.into(), size);
        Text {
            plain: OnceLock::from([before, text]),
            gzip: OnceLock::new(),
            budget: Some(budget.clone()),
        }
    }

    /// Bytes of it.
    pub(crate) fn len(&self) -> usize {
        let pieces = self.plain.get();
        pieces.map_or(0, |pieces| pieces.iter().map(Bytes::len).sum())
    }

    /// Of what is compressed already.
    pub(crate) fn compressed(gzip: &'static [u8]) -> Text {
        Text {
            plain: OnceLock::new(),
            gzip: OnceLock::from(Bytes::from_static(gzip)),
            budget: None,
        }
    }

    /// As it is, in pieces.
    pub(crate) fn pieces(&self) -> &[Bytes] {
        self.plain.get_or_init(|| {
            let gzip = self.gzip.get().map_or(&[][..], |gzip| gzip);
            let mut plain = Vec::new();
            // What was compressed here can be read.
            let _ = GzDecoder::new(gzip).read_to_end(&mut plain);
            [plain.into(), Bytes::new()]
        })
    }

    /// As it is.
    pub(crate) fn plain(&self) -> Bytes {
        match self.pieces() {
            [whole, rest] | [rest, whole] if rest.is_empty() => whole.clone(),
            pieces => pieces.concat().into(),
        }
    }

    /// Compressed (RFC 1952).
    pub(crate) fn gzip(&self) -> Bytes {
        let compressed = self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
            for piece in self.pieces() {
                // Writing to memory cannot fail.
                let _ = encoder.write_all(piece);
            }
            let bytes = Bytes::from(encoder.finish().unwrap_or_default());
            let size = bytes.len();
            match &self.budget {
                Some(budget) => budget.counted(bytes, size),
                None => bytes,
            }
        });
        compressed.clone()
    }
}
