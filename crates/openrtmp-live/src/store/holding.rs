//! What an answer under way holds on to.

use std::sync::Weak;
use std::time::Duration;

use openrtmp_media::mp4::TrackName;

use super::{Stream, ring};

/// What an answer under way holds on to, so that it is not freed.
#[derive(Clone, Debug)]
pub(crate) enum Holding {
    /// A segment, or parts of it, by its sequence number.
    Segment(Weak<Stream>, TrackName, u64),
    /// A playlist, of a snapshot with this version.
    Playlist(Weak<Stream>, u64),
    /// FLV tags, or a picture: what is there for a moment.
    Passing,
}

impl Holding {
    /// Whether nobody else needs it: the stream has other things by now, or is gone. `age`: since when
    /// it is not taken.
    pub(crate) fn is_outlived(&self, age: Duration) -> bool {
        match self {
            Holding::Segment(stream, track, msn) => stream.upgrade().is_none_or(|stream| {
                let snapshot = stream.snapshot();
                snapshot.track(*track).is_none_or(|track| !track.has(*msn))
            }),
            Holding::Playlist(stream, version) => stream
                .upgrade()
                .is_none_or(|stream| stream.snapshot().version != *version),
            Holding::Passing => age.as_millis() > ring::MOST_BEHIND as u128,
        }
    }
}
