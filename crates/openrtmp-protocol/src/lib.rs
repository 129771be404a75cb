//! RTMP and Enhanced RTMP v2 without I/O: bytes in, events and bytes out.
//!
//! No socket, no clock, no thread and no `unsafe` lives here. A session is fed
//! with `handle_*` (bytes, time, decisions) and drained with `poll_*` (events,
//! bytes to send, the next deadline); see [`session`] for the whole grammar.
//!
//! # Where one message travels
//!
//! [`handshake`] first; then every byte goes to [`chunk::ChunkReader`], which
//! assembles one buffer per chunk stream and yields a [`chunk::Message`]. The
//! session interprets it: [`message`] for control messages, [`amf`] and
//! [`command`] for commands; audio, video and data come out as they are, as
//! [`session::Media`] with the payload in that buffer. [`media`] looks inside a
//! payload without copying it.
#![forbid(unsafe_code)]
#![deny(missing_debug_implementations)]

pub mod amf;
pub mod chunk;
pub mod command;
mod credentials;
pub mod flv;
#[cfg(test)]
mod golden;
pub mod handshake;
mod limits;
pub mod media;
pub mod message;
mod name;
mod secret;
pub mod session;
pub mod text;
mod time;
mod url;

pub use credentials::Credentials;
pub use limits::{AmfLimits, Limits};
pub use name::StreamName;
pub use secret::Secret;
pub use time::Time;
pub use url::{RtmpUrl, UrlError};
