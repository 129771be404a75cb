//! Streams in the forms that players take, without I/O: codec strings, MP4 (CMAF)
//! headers, fragments and recordings, MPEG transport streams, the clock that their audio goes by, streams cut into
//! CMAF parts and segments, and the HLS playlists and DASH manifests of those.
//!
//! What an Enhanced RTMP publisher sends goes in, sequence headers and frames as
//! [`openrtmp_protocol::media`] reads them; bytes for files and HTTP come out. No clock, no
//! randomness, no thread: the same frames make the same bytes.
//!
//! Its types are closed on purpose: whoever makes one says each part, and whoever reads one
//! looks at each.

#![forbid(unsafe_code)]
#![deny(missing_debug_implementations)]

mod announced;
pub mod captions;
pub mod clock;
pub mod codecs;
pub mod cues;
pub mod dash;
mod date;
mod dolby;
pub mod hls;
mod keyframes;
mod labels;
pub mod mp4;
pub mod packager;
mod placement;
pub mod ts;

pub use announced::announced_rates;
pub use date::date;
#[cfg(any(test, feature = "check"))]
pub use date::parse as parse_date;
pub use keyframes::KeyframeIndex;
pub use labels::{Label, labels};
