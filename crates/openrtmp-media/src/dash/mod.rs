//! DASH manifests (ISO/IEC 23009-1): text of a [`Window`](crate::packager::Window), beside
//! the HLS playlists of the same media.
//!
//! [`manifest`] is the same for all viewers, so it is made once for each state of the stream: it
//! does not tell the time itself, which would be wrong by as long as caches keep it, but where
//! to ask for it. Its segments are named by where they begin, in a timeline
//! that lists those that are complete: what encoders send has GOPs of any length.
//!
//! **Low latency** is for who asks for it ([`low_latency_dash`]) and sends segments that are
//! equally long: those are named by their numbers, as HLS names them, and can be asked for
//! as soon as their first part is there. The server is then to send what is there of a
//! segment, and the rest as it comes. A manifest has all that belongs to that, or nothing of
//! it. When lengths are no longer equal, another period begins that has a timeline, and one
//! with numbers again once they have been equal for a while.
//!
//! [`low_latency_dash`]: crate::packager::Settings::low_latency_dash
//!
//! A [`Period`](crate::packager::Period) begins with each discontinuity and wherever a track
//! joins. Media time goes on through all of them, and `presentationTimeOffset` says where in
//! it each begins; what wall time a publisher was away for lies between two.
//!
//! A manifest that is not where its names are relative to says where that is ([`relocated`]).
//!
//! With the feature `check`, which no server needs, `check` reads manifests back and says which
//! rules they break.

#[cfg(any(test, feature = "check"))]
pub mod check;
mod mpd;
#[cfg(any(test, feature = "check"))]
pub mod read;
#[cfg(test)]
mod tests;
mod xml;

pub use mpd::{Clock, manifest, relocated};
