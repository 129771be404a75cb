//! Fragmented MP4 (ISO/IEC 14496-12; in the shape of CMAF, ISO/IEC 23000-19).
//!
//! A file is an [`init_segment`], then fragments: a [`fragment_header`] and the bytes of its
//! samples, track after track. It can end behind any fragment. [`index`] is what a file that
//! is complete ends with, so that players need not look for its key frames. [`Mp4Writer`]
//! makes all of it from frames as they come.
//!
//! The boxes are written here and not by a library: what publishers send as sequence headers
//! is, byte for byte, what the boxes hold, so that there is nothing to parse and put together
//! again, and nothing to lose by it.
//!
//! Fragments have no edit lists, composition offsets with a sign, decoding times of 64 bits,
//! and offsets that count from their own beginning: each can be moved, or left out.

mod boxes;
mod entry;
mod fragment;
mod index;
mod init;
pub(crate) mod read;
#[cfg(test)]
pub(crate) mod tests;
mod writer;
#[cfg(test)]
mod writer_tests;

pub use entry::{Description, Media};
pub use fragment::{Access, EventMessage, Run, Sample, fragment_header, producer_reference};
pub use index::{Entry, index};
pub use init::{Init, Track, init_segment};
pub use writer::{Closing, Codec, Content, Frame, Mp4Writer, Piece, Refused, TrackName};
