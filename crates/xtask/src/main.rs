//! The project's own chores, run as `cargo xtask <command>`.
//!
//! It uses nothing but the standard library, so that it builds in a moment on a
//! box that has nothing yet. One file per command; what commands share stands in
//! `workspace` (where things are), `runner` (running and counting) and `tools`
//! (finding and installing what the tests need).
#![allow(
    clippy::print_stdout,
    reason = "a command line program reports on standard output"
)]

mod bench;
mod build;
mod capi;
mod foreign;
mod install;
mod instructions;
mod library;
mod runner;
mod test;
mod tools;
mod wine;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <command>

Commands:
  test   Check, build and test everything; installs what is missing
         --only STEP    run one step, repeatable
         --no-install   install nothing; say what is missing and stop
  bench  Measure our server beside the bare TCP fan-out and nginx-rtmp; options
         are those of `openrtmp-bench compare`
  instructions  Count the instructions of the hot paths under callgrind and compare
         them to the baseline; --bless writes a new one
  install --prefix DIR   Install the C library, its headers, and what CMake and
                         pkg-config need; --debug for the development profile,
                         --target T for another system
  build  Build the C library for other systems and compare its size to the budget
         --target T     one system, repeatable; --all: all there are
         --check        run clippy instead
  foreign   Run tests and the C example as programs of Windows, under wine, and of
         64-bit ARM Linux, under qemu
  wine PROGRAM [ARGUMENT...]   Run a Windows program in a Debian tree with wine,
         which is made below the target folder if it is not there (takes root)
  capi   Install the C library into the target folder, build programs against it
         with CMake and pkg-config, and run it under valgrind

Exit codes: 0 all passed, 1 something failed, 2 wrong usage or a tool is missing";

/// Something the user must put right before the command can do its work.
const EXIT_SETUP: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, options)) = arguments.split_first() else {
        return refuse("no command given");
    };
    match command.as_str() {
        "test" => match test::Options::parse(options) {
            Ok(options) => test::run(&options),
            Err(message) => refuse(&message),
        },
        "bench" => bench::run(options),
        "instructions" => match instructions::parse(options) {
            Ok(bless) => instructions::run(bless),
            Err(message) => refuse(&message),
        },
        "install" => match install::Options::parse(options) {
            Ok(options) => install::run(&options),
            Err(message) => refuse(&message),
        },
        "build" => match build::Options::parse(options) {
            Ok(options) => build::run(&options),
            Err(message) => refuse(&message),
        },
        "capi" if options.is_empty() => capi::run(),
        "foreign" if options.is_empty() => foreign::run(),
        "wine" if !options.is_empty() => wine::run(options),
        "help" | "--help" | "-h" => {
            println!("{USAGE}\n\nSteps of test: {}", test::step_names());
            ExitCode::SUCCESS
        }
        other => refuse(&format!("unknown command `{other}`")),
    }
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("error: {message}\n\n{USAGE}");
    ExitCode::from(EXIT_SETUP)
}
