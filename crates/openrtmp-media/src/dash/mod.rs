//! DASH manifests (ISO/IEC 23009-1): text of a [`Window`](crate::packager::Window), beside
//! the HLS playlists of the same media.
//!
//! [`manifest`] is the same for all viewers but for the time that it tells, so it is made once
//! for each state of the stream. Its segments are named by where they begin, in a timeline
//! that lists those that are complete: what encoders send has GOPs of any length.
//!
//! A [`Period`](crate::packager::Period) begins with each discontinuity and wherever a track
//! joins. Media time goes on through all of them, and `presentationTimeOffset` says where in
//! it each begins; what wall time a publisher was away for lies between two.
//!
//! [`check`] reads manifests back and says which rules they break.

pub mod check;
mod mpd;
pub mod read;
#[cfg(test)]
mod tests;
mod xml;

pub use mpd::{Clock, manifest};
