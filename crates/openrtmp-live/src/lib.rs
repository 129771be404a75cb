//! Streams of an [`openrtmp_core::Server`], delivered to viewers over HTTP: HLS with low
//! latency, of MPEG-TS for what knows no MP4, DASH, and FLV over HTTP or a WebSocket.
//!
//! Media goes one way. A few threads take messages from taps of the server (`feed`, no
//! task, no runtime), cut them into CMAF parts, and put what can be fetched by now into a
//! `store` as a snapshot that never changes; whoever serves a request takes the newest one,
//! or waits for the one that has what was asked for. So a playlist is written once for each
//! state of its stream, whoever asks, and no lock is held while anybody waits.
//!
//! [`Delivery`] is the whole of it; its runtime is its own.

#![forbid(unsafe_code)]
#![deny(missing_debug_implementations)]
// What refuses a request is its answer, which is no larger than that of one that is served.
#![allow(clippy::result_large_err)]

pub mod cdn;
mod delivery;
mod feed;
mod http;
mod store;

pub use delivery::{Delivery, DeliveryError, DvrFiles, Held};
#[cfg(feature = "internals")]
#[doc(hidden)]
pub use http::internals;
pub use http::{Form, Pass};
