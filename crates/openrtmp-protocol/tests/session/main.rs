//! The server and client sessions as their callers see them: one file per
//! behaviour, inputs written by hand from the specifications.

mod client;
mod commands;
mod connect;
mod control;
mod handshake;
mod media;
mod pair;
mod peer;
mod play;
mod property;
mod publish;
mod timeouts;
mod tolerance;
mod wire;
mod work;
