//! The `openrtmp` command: one module per subcommand.
//!
//! It is a library so that the ready server of `examples/server.rs` is the same
//! code as `openrtmp serve`. Nothing here is meant for other programs; they use
//! `openrtmp-core`.
//!
//! Messages to people go to standard error, data to standard output.

#[cfg(feature = "tls")]
mod acme;
mod analysis;
mod args;
mod config;
mod connection;
mod console;
mod control;
mod ctl;
mod exit;
mod http;
mod import;
mod logs;
mod manual;
mod media;
mod media_file;
mod output;
mod pacing;
mod pipe;
mod play;
mod probe;
mod progress;
mod publish;
mod receive;
mod record;
mod relay;
mod serve;
mod service;
mod signal;
mod source;
mod token;
mod units;

use std::process::ExitCode;

/// Runs `openrtmp` with the process's arguments.
pub fn main() -> ExitCode {
    exit::code(args::run(std::env::args_os()))
}

/// Runs the ready server alone: `openrtmp serve` under a name of its own.
pub fn server_main() -> ExitCode {
    exit::code(args::run_server(std::env::args_os()))
}
