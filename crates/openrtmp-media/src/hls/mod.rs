//! HLS playlists (RFC 8216 and draft-pantos-hls-rfc8216bis), with low latency: text of a
//! [`Window`](crate::packager::Window), and what is answered to a request for one.
//!
//! [`media_playlist`] and [`master_playlist`] are the same for all viewers, so each is made
//! once for each state of the stream, the former by a [`PlaylistWriter`]. [`Directives`] are what a request adds: that it is to
//! wait for what comes ([`Directives::answer`]), and that what the player knows may be left
//! out ([`Form::Delta`]).
//!
//! Every rendition has its playlist in a folder below the master's, and its media in a folder
//! below that: [`Names`]. Players that know no MP4 have a transport stream instead, with
//! playlists of its own ([`transport_playlist`]). With the feature `check`, which no server
//! needs, `check` reads playlists back and says which rules they break.
//!
//! Promised is what is kept: segments are not said to be independent, since the GOPs of a
//! stream that is passed on may be longer than promised; and parts are listed only with
//! blocking reloads, without which players stall.

#[cfg(any(test, feature = "check"))]
pub mod check;
#[cfg(any(test, feature = "check"))]
pub mod contents;
mod directives;
#[cfg(test)]
mod grid;
mod master;
mod media;
#[cfg(any(test, feature = "check"))]
pub mod read;
#[cfg(any(test, feature = "check"))]
pub mod session;
#[cfg(test)]
mod tests;
mod transport;

pub use directives::{Answer, BadRequest, Directives, Edge};
pub use master::master_playlist;
pub use media::{Form, PlaylistWriter, media_playlist};
pub use transport::{transport_master, transport_playlist, transport_tracks};

use crate::mp4::TrackName;

/// Rates are told with so many hundredths more than were measured: what comes may not be
/// more than what was told.
const HEADROOM: u64 = 110;

/// Where the parts of a stream are, relative to its master playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The folder of media playlists and media: another for each run of a stream, so that no
    /// cache mixes two runs up. Of letters, digits, `-` and `_`. With a path or a URL in front
    /// of it the master playlist can be elsewhere.
    pub epoch: String,
}

impl Names {
    /// A media playlist: `v0.m3u8`, `a1.m3u8` in the folder. It is there as well: what caches
    /// keep of the playlists of two runs is not the same.
    pub fn playlist(&self, track: TrackName) -> String {
        format!("{}/{}.m3u8", self.epoch, track)
    }

    /// The media playlist of the transport stream: `ts.m3u8`.
    pub fn transport_playlist(&self) -> String {
        format!("{}/ts.m3u8", self.epoch)
    }

    /// A segment of the transport stream.
    pub fn transport_segment(&self, msn: u64) -> String {
        format!("{}/ts/{msn}.ts", self.epoch)
    }

    /// The DASH manifest of this run: beside the folder, so that what it names is below the
    /// same folder as in a manifest of the stream.
    pub fn manifest(&self) -> String {
        format!("{}.mpd", self.epoch)
    }

    /// An init segment.
    pub fn init(&self, track: TrackName, number: u32) -> String {
        format!("{}/{}/init{number}.mp4", self.epoch, track)
    }

    /// A segment.
    pub fn segment(&self, track: TrackName, msn: u64) -> String {
        format!("{}/{}/{msn}.m4s", self.epoch, track)
    }

    /// A segment by the tick at which it begins ([`Segment::span`]), as DASH names it.
    ///
    /// [`Segment::span`]: crate::packager::Segment::span
    pub fn segment_at(&self, track: TrackName, tick: u64) -> String {
        format!("{}/{}/t{tick}.m4s", self.epoch, track)
    }

    /// The same with `$Time$` where the tick stands.
    pub(crate) fn time_template(&self, track: TrackName) -> String {
        format!("{}/{}/t$Time$.m4s", self.epoch, track)
    }

    /// [`segment`](Names::segment) with `$Number$` where the number stands.
    pub(crate) fn number_template(&self, track: TrackName) -> String {
        format!("{}/{}/$Number$.m4s", self.epoch, track)
    }

    /// A part of a segment, counted from 0.
    pub fn part(&self, track: TrackName, msn: u64, part: usize) -> String {
        format!("{}/{}/{msn}.{part}.m4s", self.epoch, track)
    }
}

impl Names {
    /// One of these names as a media playlist has it, which is in the folder itself.
    fn in_playlist<'a>(&self, name: &'a str) -> &'a str {
        let below = name.strip_prefix(self.epoch.as_str());
        below
            .and_then(|name| name.strip_prefix('/'))
            .unwrap_or(name)
    }
}
