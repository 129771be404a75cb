//! The server and client sessions as their callers see them: one file per
//! behaviour, inputs written by hand from the specifications.

mod commands;
mod connect;
mod control;
mod handshake;
mod media;

mod peer;
mod play;

mod publish;
mod timeouts;
mod wire;
