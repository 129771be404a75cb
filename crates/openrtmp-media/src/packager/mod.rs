//! Streams cut into CMAF parts and segments, as HLS and DASH deliver them.
//!
//! [`Packager`] takes the frames of one stream as they come and gives [`Event`]s: what begins
//! and ends, with the bytes. It is a pure function of its frames: no clock, no randomness.
//! The same frames make the same bytes, so that a second server with the same stream can go
//! on where one ended. Wall time comes with a frame and goes to `EXT-X-PROGRAM-DATE-TIME` and
//! the starts of [`Period`]s alone. [`Window`] keeps what of it can be fetched.
//!
//! **Tracks** are apart: each, of video or audio, is a rendition with segments of its own. The
//! first video track leads, or the first audio track where there is no video: it alone decides
//! where a segment ends, and the others end theirs at their first frame from there on. So all
//! have the same media sequence numbers and discontinuities.
//!
//! **Pictures of several sizes** begin their segments with key frames of their own. Encoders
//! have those where the leading track's are, and segments begin at the same time in all. Where
//! one has them elsewhere, its segments begin with the next one that comes, up to half a
//! segment later; without one, if that would be later still. Where one has lost the key frame
//! that the leading track has, its segment ends there all the same, and with it a picture that
//! would last on. Of a leading track of which nothing comes any more the next one takes the
//! lead, at its next key frame.
//!
//! **Targets** are decided once: the part target before the first part, by the lengths of
//! the frames seen until then; the target duration when the first segment ends, by its
//! length. Players take them as promised for the life of a playlist, and die of a change.
//! Nothing is to be listed before [`Event::Targets`].
//!
//! **Segments** end at a key frame. If none comes in time, one ends without ([`Event::LongGop`]),
//! as it may not be longer than the target duration; a stream passed on is therefore never
//! promised to have independent segments.
//!
//! **Pictures out of order** have no edit list: decoding times are moved to where the first
//! key frame is shown, and composition offsets have a sign. Sound is moved as far, so that it
//! stays with its pictures. FFmpeg and GStreamer take the least of those offsets for a delay of
//! all pictures, which it is not, and show them later by that.
//!
//! **Holes** that fit into a part are bridged by the frame before. A longer one is listed as
//! parts with `GAP`; a clock that jumps by more than a second is a discontinuity, behind
//! which time goes on without a hole. If other tracks went on meanwhile, by the same clock, none
//! has jumped: there is a gap as long as the hole, and behind it a discontinuity.
//!
//! A track with another configuration begins with it at the next key frame of the leading
//! track, at a discontinuity of all. What was not there at first joins at the next segment;
//! pictures that come to sound alone lead from their first key frame on.
//!
//! **What is said** at a time ([`Packager::tell`]) stands in front of the next part of each video
//! track, or audio track where there is no video, and is listed with it in all.
//!
//! **No track waits** for what does not come: not for the next key frame, nor for the first
//! picture of an encoder that has none. After [`Packager::longest_wait`], counted by its own
//! frames, a track goes on at a discontinuity of all, and the leading one has a gap until its
//! next key frame, which begins a discontinuity again.

mod boundary;
mod open;
mod periods;
mod plan;
mod settings;
mod steady;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod timelines;
mod track;
mod window;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use periods::{Addressing, Period};
pub use settings::{Preset, Settings};
pub use stream::Packager;
pub use window::{MOST_OF_CUES, Part, Rates, Rendition, Segment, Window};

use crate::captions::Captions;
use crate::cues::Cue;
use crate::mp4::{Description, TrackName};

/// What playlists promise, for as long as they live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets {
    /// No part is longer.
    pub part: Duration,
    /// So far behind the newest part players stay.
    pub part_hold_back: Duration,
    /// Seconds. No segment is longer, rounded to the nearest.
    pub segment: u32,
}

/// Where a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Media sequence number, 1 or more, the same in all tracks.
    pub msn: u64,
    /// Time does not go on, or the coding changed.
    pub is_discontinuity: bool,
    /// Discontinuities of the stream up to here, this one included.
    pub discontinuities: u64,
    /// Which init segment of the track it needs, counted from 0.
    pub init: u32,
    /// Wall time of its first frame in milliseconds since 1970.
    pub wall: i64,
    /// Where the leading track's segment begins on the timeline that all tracks share, in
    /// microseconds: the same in all of them, and no other begins before.
    pub time: i64,
}

/// Something that the publisher said, on the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedCue {
    /// Counted from 1: the same in all tracks.
    pub number: u32,
    /// When on the timeline that all tracks share, in microseconds, as pictures are shown.
    pub time: i64,
    /// The same in wall time, in milliseconds since 1970.
    pub wall: i64,
    /// What.
    pub cue: Arc<Cue>,
}

/// What became of the frames.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Media can be listed from now on.
    Targets(Targets),
    /// An init segment of a track, which its next segments need.
    Init {
        /// Whose.
        track: TrackName,
        /// Counted from 0.
        number: u32,
        /// Codec string, size, channels.
        description: Description,
        /// `ftyp` and `moov`.
        bytes: Bytes,
    },
    /// A segment begins.
    Opened {
        /// Whose.
        track: TrackName,
        /// Where.
        beginning: Beginning,
    },
    /// The next part of the segment that is open.
    Part {
        /// Whose.
        track: TrackName,
        /// The part; one that is a gap has no bytes.
        part: Part,
    },
    /// The next part of a track is the first behind something that was said.
    Cue {
        /// Whose.
        track: TrackName,
        /// What, and when.
        cue: TimedCue,
    },
    /// Pictures of a track have captions from the next part on, these and those that they had
    /// before.
    Captions {
        /// Whose.
        track: TrackName,
        /// All that there were so far.
        captions: Captions,
    },
    /// The open segment is complete.
    Closed {
        /// Whose.
        track: TrackName,
    },
    /// A segment ended without a key frame, for there was none within the target duration.
    LongGop {
        /// The segment that begins without one.
        msn: u64,
    },
    /// A track that MP4 has no place for, or without a header that can be read, is left out.
    Unsupported {
        /// Which.
        track: TrackName,
    },
    /// Nothing more comes.
    End,
}
