//! Inside audio and video messages: FLV tag bodies and Enhanced RTMP v2
//! headers, read without copying and written for those who make frames.

mod audio;
pub mod codec;
mod fourcc;
mod video;

pub use audio::{AudioCodec, AudioPacketKind, AudioTag, write_audio};
pub use fourcc::FourCc;
pub use video::{FrameType, VideoCodec, VideoPacketKind, VideoTag, write_video};

use std::ops::Range;

/// One track's packet inside a message. Multitrack messages hold several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackPacket<C, K> {
    /// Track id; 0 is the default track and the only one without multitrack.
    pub track: u8,
    /// Codec.
    pub codec: C,
    /// What the body is.
    pub kind: K,
    /// Composition time offset in milliseconds (video; 0 otherwise).
    pub composition_time: i32,
    /// Where in the message's payload the codec's own bytes stand.
    pub body: Range<usize>,
}

/// A tag body that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The body ends inside a header.
    #[error("the tag ends inside its header")]
    Truncated,
    /// A track's size reaches beyond the body.
    #[error("track {track} claims {size} bytes, {left} are left")]
    TrackSize {
        /// Track id.
        track: u8,
        /// Claimed.
        size: usize,
        /// Left.
        left: usize,
    },
    /// A packet type that is not known.
    #[error("packet type {0} is not known")]
    PacketType(u8),
    /// A multitrack layout that is not known.
    #[error("multitrack layout {0} is not known")]
    Layout(u8),
}
