//! What the fuzz targets do. Each module is one target, and its `run` the whole of
//! it: the programs of cargo-fuzz in the folder above call it with what libFuzzer
//! makes up, and `tests/replay.rs` with every file of the corpus, on any toolchain.
//!
//! A target fails by panicking. Beyond "no panic" each one states, at its head,
//! what has to hold for any input.
//!
//! Inputs are read front to back (see [`input`]), so that a file can be put
//! together by hand: `examples/seeds.rs` makes the first ones of the golden vectors
//! and of what real programs sent.

mod aggregate;
pub mod amf0;
pub mod amf3;
mod amf_oracle;
pub mod capi;
pub mod chunk_read;
pub mod chunk_write;
pub mod client_session;
pub mod config;
pub mod dash;
pub mod flv;
pub mod handshake;
pub mod hls;
pub mod input;
pub mod media;
pub mod memory;
pub mod message;
pub mod mp4;
pub mod packager;
mod peer;
pub mod relay;
pub mod server_session;
pub mod session_pair;
pub mod tls;
pub mod url;
pub mod viewer;
