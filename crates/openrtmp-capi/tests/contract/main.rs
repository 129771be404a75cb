//! What the header promises, tried on servers that run, as a program in C calls them.

#![allow(unsafe_code, reason = "it calls the library as C does")]

mod access;
mod arguments;
mod events;
#[cfg(unix)]
mod fork;
mod host;
mod http;
mod life;
mod logs;
mod phone;
mod publishing;
mod relays;
mod taps;
#[cfg(feature = "tls")]
mod tls;
