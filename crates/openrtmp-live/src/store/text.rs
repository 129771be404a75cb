//! Text that many are told.

use std::io::{Read, Write};
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// How hard it is compressed: beyond, little is won.
const LEVEL: u32 = 5;

/// A text, compressed once for all who take it so, or as it is the same way.
#[derive(Debug)]
pub(crate) struct Text {
    plain: OnceLock<Bytes>,
    gzip: OnceLock<Bytes>,
}

impl Text {
    pub(crate) fn new(text: String) -> Text {
        Text {
            plain: OnceLock::from(Bytes::from(text)),
            gzip: OnceLock::new(),
        }
    }

    /// Of what is compressed already.
    pub(crate) fn compressed(gzip: &'static [u8]) -> Text {
        Text {
            plain: OnceLock::new(),
            gzip: OnceLock::from(Bytes::from_static(gzip)),
        }
    }

    /// As it is.
    pub(crate) fn plain(&self) -> Bytes {
        let plain = self.plain.get_or_init(|| {
            let gzip = self.gzip.get().map_or(&[][..], |gzip| gzip);
            let mut plain = Vec::new();
            // What was compressed here can be read.
            let _ = GzDecoder::new(gzip).read_to_end(&mut plain);
            plain.into()
        });
        plain.clone()
    }

    /// Compressed (RFC 1952).
    pub(crate) fn gzip(&self) -> Bytes {
        let compressed = self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
            // Writing to memory cannot fail.
            let _ = encoder.write_all(&self.plain());
            encoder.finish().unwrap_or_default().into()
        });
        compressed.clone()
    }
}
