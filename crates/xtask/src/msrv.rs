//! The oldest compiler that is promised (`rust-version`): what users build is checked with it.

use std::process::{Command, ExitCode};

use crate::probe::answers;
use crate::runner::{self, SKIPPED};
use crate::{nightly, tools, workspace};

/// All that users build, with what is left out unless it is asked for; tests may use newer things.
const CHECK: &[&str] = &[
    "check",
    "--workspace",
    "--locked",
    "--features",
    "openrtmp-capi/live",
];

/// Checks it, or says why that cannot be done here.
pub(crate) fn run() -> ExitCode {
    let version = env!("CARGO_PKG_RUST_VERSION");
    if let Err(why) = provide(version, tools::may_install()) {
        println!("{SKIPPED}msrv: {why}");
        return ExitCode::SUCCESS;
    }
    let mut cargo = of(version, "cargo");
    cargo
        .args(CHECK)
        .current_dir(workspace::root())
        // Another compiler than the ordinary build's: a folder of its own keeps both.
        .env("CARGO_TARGET_DIR", workspace::target().join("msrv"));
    match runner::run(cargo) {
        Ok(outcome) if outcome.success => {
            println!("=== Rust {version} builds it");
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: cargo could not be run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Sees to it that the compiler is there. The error says what is missing.
fn provide(version: &str, install: bool) -> Result<(), String> {
    let is_there = || answers(of(version, "rustc").arg("--version"));
    if !answers(Command::new("rustup").arg("--version")) {
        return Err("rustup is not installed".to_owned());
    }
    let add = ["toolchain", "install", version, "--profile", "minimal"];
    if is_there() || (install && nightly::rustup(&add) && is_there()) {
        return Ok(());
    }
    Err(nightly::advice(&add))
}

/// A program of that toolchain.
fn of(version: &str, program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", version, program]);
    // Cargo's own, for this toolchain.
    command.env_remove("CARGO").env_remove("RUSTC");
    workspace::as_by_hand(&mut command);
    command
}
