//! Inside audio and video messages: FLV tag bodies and Enhanced RTMP v2
//! headers, read without copying and written for those who make frames.

mod audio;
pub mod codec;
mod enhanced;
mod fourcc;
#[cfg(test)]
pub(crate) mod golden;
mod multichannel;
mod plain;
#[cfg(test)]
mod tests;
mod video;

pub use audio::{AudioCodec, AudioPacketKind, AudioTag, audio_header, write_audio};
pub use fourcc::FourCc;
pub use multichannel::{ChannelLayout, MultichannelConfig};
pub use plain::{
    PlainForm, plain_audio_form, plain_video_form, write_plain_audio, write_plain_video,
};
pub use video::{FrameType, VideoCodec, VideoPacketKind, VideoTag, video_header, write_video};

use std::ops::{Deref, Range};

use bytes::{Bytes, BytesMut};

/// Tracks one message may hold: track ids are one byte, so more than this means
/// that ids repeat.
const TRACKS_PER_MESSAGE: usize = 256;

/// One track's packet inside a message. Multitrack messages hold several.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackPacket<C, K> {
    /// Track id; 0 is the default track and the only one without multitrack.
    pub track: u8,
    /// Codec.
    pub codec: C,
    /// What the body is.
    pub kind: K,
    /// Composition time offset in milliseconds, -8,388,608 to 8,388,607
    /// (video; 0 otherwise).
    pub composition_time: i32,
    /// Where in the message's payload the codec's own bytes stand.
    pub body: Range<usize>,
}

/// What stands in front of the codec's own bytes in a message with one packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct MediaHeader {
    bytes: [u8; MediaHeader::MAX_LENGTH],
    length: usize,
}

impl MediaHeader {
    /// Bytes of the longest: byte 0, layout, FourCC, track, composition time.
    pub const MAX_LENGTH: usize = 10;

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn extend(&mut self, bytes: impl IntoIterator<Item = u8>) {
        bytes.into_iter().for_each(|byte| self.push(byte));
    }

    /// A message: this and the body.
    fn followed_by(&self, body: &[u8]) -> Bytes {
        let mut message = BytesMut::with_capacity(self.length + body.len());
        message.extend_from_slice(self);
        message.extend_from_slice(body);
        message.freeze()
    }
}

impl Deref for MediaHeader {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
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
    /// More tracks than track ids.
    #[error("the message holds more than {TRACKS_PER_MESSAGE} tracks")]
    TooManyTracks,
}

/// Packets of a message: the first inline, further ones on the heap, so that
/// ordinary messages allocate nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Packets<C, K> {
    first: TrackPacket<C, K>,
    rest: Vec<TrackPacket<C, K>>,
}

impl<C, K> Packets<C, K> {
    fn one(first: TrackPacket<C, K>) -> Packets<C, K> {
        Packets {
            first,
            rest: Vec::new(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &TrackPacket<C, K>> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    fn push(&mut self, packet: TrackPacket<C, K>) -> Result<(), MediaError> {
        if 1 + self.rest.len() == TRACKS_PER_MESSAGE {
            return Err(MediaError::TooManyTracks);
        }
        self.rest.push(packet);
        Ok(())
    }
}

/// Reads fields off the front of a payload and knows where it stands.
struct Cursor<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(payload: &'a [u8]) -> Cursor<'a> {
        Cursor { payload, at: 0 }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], MediaError> {
        let rest = &self.payload[self.at..];
        let taken = rest.get(..count).ok_or(MediaError::Truncated)?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MediaError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, MediaError> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, MediaError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u24(&mut self) -> Result<u32, MediaError> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    fn si24(&mut self) -> Result<i32, MediaError> {
        let [a, b, c] = self.array()?;
        // An arithmetic shift back down extends the sign.
        Ok(i32::from_be_bytes([a, b, c, 0]) >> 8)
    }

    fn fourcc(&mut self) -> Result<FourCc, MediaError> {
        Ok(FourCc(self.array()?))
    }

    fn left(&self) -> usize {
        self.payload.len() - self.at
    }

    /// The position and all that follows, as a range of the payload.
    fn rest(&self) -> Range<usize> {
        self.at..self.payload.len()
    }
}
