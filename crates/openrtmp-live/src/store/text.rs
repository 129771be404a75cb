//! Text that many are told.

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// How hard it is compressed: beyond, little is won.
const LEVEL: u32 = 5;

/// A text, compressed once for all who take it so.
#[derive(Debug)]
pub(crate) struct Text {
    plain: Bytes,
    gzip: OnceLock<Bytes>,
}

impl Text {
    pub(crate) fn new(text: String) -> Text {
        Text {
            plain: text.into(),
            gzip: OnceLock::new(),
        }
    }

    /// As it is.
    pub(crate) fn plain(&self) -> Bytes {
        self.plain.clone()
    }

    /// Compressed (RFC 1952).
    pub(crate) fn gzip(&self) -> Bytes {
        let compressed = self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
            // Writing to memory cannot fail.
            let _ = encoder.write_all(&self.plain);
            encoder.finish().unwrap_or_default().into()
        });
        compressed.clone()
    }
}
