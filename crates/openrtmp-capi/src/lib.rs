//! `libopenrtmp`: the C ABI over `openrtmp-core`.
//!
//! The contract is written where its users read it: at the top of
//! `include/openrtmp.h`, which is made from this crate by `cbindgen.toml` and
//! `tests/header.rs`. One file per object of C. What they share:
//!
//! - [`boundary`]: every export runs in one of its functions, which catch panics
//!   and turn results into codes;
//! - [`convert`]: what comes from C is checked there, and only there;
//! - [`callback`]: what calls into C.

#![allow(
    unsafe_code,
    reason = "C hands over raw pointers; every use of one states why it holds"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the documentation becomes the C header, which states the contract once"
)]

#[cfg(all(target_os = "android", feature = "own-unwinder"))]
extern crate unwinding as _;

mod bell;
mod boundary;
mod callback;
mod convert;
mod process;

// In the order of the header, which a sorted list would not be.
pub mod version;

pub mod error;

pub mod config;

pub mod server;

pub mod reach;

pub mod host;

pub mod drain;

pub mod event;

pub mod events;

pub mod access;

pub mod logging;

pub mod inspect;

pub mod metrics;

pub mod http;

pub mod keys;

pub mod relay;

pub mod tls;

pub mod tap;

pub mod fetch;

pub mod codec;

pub mod publisher;

pub mod recording;

pub mod threads;

pub use boundary::panic_on_purpose;
pub use convert::OpenrtmpStr;
