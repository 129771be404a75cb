//! The ready server: `cargo run --release --example server`.
//!
//! It is `openrtmp serve` by itself; `--help` lists its flags. To put a server into
//! a program of your own, see the documentation of `openrtmp-core`.

use std::process::ExitCode;

fn main() -> ExitCode {
    openrtmp_cli::server_main()
}
