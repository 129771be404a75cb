//! What the end-to-end tests share.
//!
//! - [`Server`]: the server under test, on a port of its own, in this process;
//!   [`ServerProcess`]: as a program, which can be killed.
//! - [`Delivered`]: the same, with its streams delivered over HTTP.
//! - [`Publisher`], [`Player`]: programs we did not write, sending to it and
//!   receiving from it.
//! - [`Encoder`]: one whose stream changes when a test says so.
//! - [`Process`]: a program that is killed when its guard goes, with a deadline.
//! - [`Media`]: short files to publish.
//! - [`FrameHashes`]: what ffmpeg says a file holds, packet by packet; comparing
//!   two of them shows what was lost or altered on the way.
//! - [`Pulse`]: how late frames come to the server.
//! - [`Web`]: a client of HTTP by hand, and [`h2`]: one of HTTP/2.
//! - [`innocents`]: who streams and watches beside an attack.
//! - [`siege`]: who attacks meanwhile.
//! - [`journal`]: the warnings of the server's log.
//! - [`peer`]: a server by hand, for what no program does.
//! - [`packaged`]: a folder of segments, playlists and a manifest made of such a file, and
//!   [`played`]: what players make of it.
//! - [`followed`]: what a player by hand is told of a stream, held against the rules.
//! - [`browsing`]: browsers, and a stream for them.
//! - [`flv`]: the tags of an FLV file, for what ffmpeg does not show.
//! - [`skip`]: says that a test is left out.
//!
//! Nothing here sleeps: tests wait for what a program or the server reports.

pub mod acme;
pub mod browsing;
mod delivered;
mod encoder;
pub mod flv;
pub mod followed;
mod framehash;
pub mod h2;
pub mod innocents;
pub mod journal;
mod media;
pub mod packaged;
pub mod peer;
pub mod played;
mod ports;
mod process;
mod programs;
mod pulse;
mod server;
pub mod siege;
mod skipped;
pub mod tls;
mod tools;
mod web;
pub mod wire;

pub use delivered::{Delivered, PLAIN, SECURE};
pub use encoder::{Encoder, HURRIED};
pub use framehash::{Ending, FrameHashes, Packet};
pub use media::Media;
pub use ports::free_ports;
pub use process::{Finished, Process, found_at_last};
pub use programs::{
    ALL_TRACKS, Player, Playing, Publisher, Publishing, duration_ms, live, pass_through,
    pass_through_at, publish_and_ask, publish_and_play, publish_and_probe,
};
pub use pulse::{Late, Pulse};
pub use server::{Server, ServerProcess, openrtmp};
pub use skipped::skip;
pub use tools::{Tool, browser_packages, reader_packages, shaka_packager, target_folder};
pub use web::{Answer, Web};
