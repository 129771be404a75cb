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

mod aar;
mod android;
mod bench;
mod build;
mod capi;
mod coverage;
mod deb;
mod foreign;
mod fuzz;
mod hls_check;
mod install;
mod instructions;
mod kotlin;
mod library;
mod maven;
mod msrv;
mod nightly;
mod npm;
mod probe;
mod runner;
mod sanitize;
mod service;
mod sim;
mod soak;
mod steps;
mod swift;
mod test;
mod tools;
mod wheel;
mod wine;
mod winservice;
mod workspace;
mod xcframework;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <command>

Commands:
  test   Check, build and test with the programs that are there; installs nothing,
         downloads nothing but crates, and names what it left out
         --all          everything; says what it installs and downloads, and does
         --no-install   with --all: install nothing; say what is missing and stop
         --only STEP    run one step, repeatable; with --all it may install for it
         --list         every step with its minutes, packages and downloads
  bench  Measure our server beside the bare TCP fan-out and nginx-rtmp; options
         are those of `openrtmp-bench compare`
  instructions  Count the instructions of the hot paths under callgrind and compare
         them to the baseline; --bless writes a new one
  sim    Run simulated worlds; what breaks a rule is shown, made small
         --seeds N      so many, from
         --from S       this seed on; 2,000 from 0 unless said otherwise
         --go-on        do not stop at the first that breaks a rule
         --replay X     run a seed again, or a world from a file
  install --prefix DIR   Install the C library, its headers, and what CMake and
                         pkg-config need; --debug for the development profile,
                         --target T for another system, --live with streams over HTTP
  build  Build the C library for other systems and compare its size to the budget
         --target T     one system, repeatable; --all: all there are
         --check        run clippy instead
  deb    Make a Debian package of the command, below dist in the target folder; --debug
         for the development profile
  service   Install that package (of a fast build; --dist: as it is shipped) in a Debian tree
         that systemd runs, and look at all that a service manager does with it (takes
         root)
  foreign   Run tests and the C example as programs of Windows, under wine, and of
         64-bit ARM Linux, under qemu
  winservice   Run the command as a service of Windows, under wine, and look at what becomes
         of it when it is installed, started, stopped, uninstalled (takes root)
  wine PROGRAM [ARGUMENT...]   Run a Windows program in a Debian tree with wine,
         which is made below the target folder if it is not there (takes root)
  capi   Install the C library into the target folder, build programs against it
         with CMake and pkg-config, and run it under valgrind
  kotlin Build the Kotlin and Java library, what the README shows of it and its
         example, and test them on a Java virtual machine; takes Maven
  android  Compile its part for Android, with manifest and resources, and test that
         with Robolectric on a Java virtual machine; after kotlin
  aar    The Kotlin library as a Maven repository, below dist in the target folder, with
         the native ones for Android's processors; checked by its headers, by a
         project that uses it, after ProGuard, and on an Android's C library; ABI...: for
         these processors alone; --link: the native ones alone; --tls: with TLS, as with
         an NDK; --debug for the development profile
  swift  Build the Swift package, what the README shows of it and its example, and test
         them in a Debian tree with Swift, which is made below the target folder if it is
         not there (takes root); --tsan: under ThreadSanitizer
  xcframework  The Swift package for Xcode, with the library for iOS, its simulator and
         macOS in it, as far as that can be made and looked at here: target/dist/swift;
         --debug for the development profile
  sanitize  The tests again under loom, Miri, AddressSanitizer, ThreadSanitizer
         --only CHECK   one of loom, miri, asan, tsan; repeatable
         --quick        what `test` runs of it
         --no-install   install no toolchain or component
  msrv   Check what users build with the oldest Rust that is promised
  soak   A server under hundreds of players while some, and its publishers, are
         killed, stalled and flooded; --minutes N (10), --seconds N, --players N,
         --publishers N, --bitrate N, --workers N, --seed N; --dev: not optimised
  hls-check URL|DIR   Hold the playlists of a stream against the rules of HLS, for 10 s or
         as long as --duration TIME says; --save DIR keeps them, for another time
  coverage  Lines and branches of protocol and core that the tests reach, by file
  fuzz   Run the fuzz targets of tests/fuzz in turn, with the nightly compiler
         --seconds N    how long each runs, by default 60
         --target T     one target, repeatable
         --merge        take over into the corpus what reaches new code

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
        "sim" => match sim::Options::parse(options) {
            Ok(options) => sim::run(&options),
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
        "sanitize" => match sanitize::Options::parse(options) {
            Ok(options) => sanitize::run(&options),
            Err(message) => refuse(&message),
        },
        "msrv" if options.is_empty() => msrv::run(),
        "soak" => match soak::Options::parse(options) {
            Ok(options) => soak::run(&options),
            Err(message) => refuse(&message),
        },
        "hls-check" if !options.is_empty() => hls_check::run(options),
        "coverage" if options.is_empty() => coverage::run(),
        "capi" if options.is_empty() => capi::run(),
        "kotlin" if options.is_empty() => kotlin::run(),
        "android" if options.is_empty() => android::run(),
        "aar" => aar::run(options),
        "swift" => swift::run(options),
        "xcframework" => xcframework::run(options),
        "fuzz" => match fuzz::Options::parse(options) {
            Ok(options) => fuzz::run(&options),
            Err(message) => refuse(&message),
        },
        "deb" => deb::run(options),
        "service" => service::run(options),
        "foreign" if options.is_empty() => foreign::run(),
        "winservice" if options.is_empty() => winservice::run(),
        "wine" if !options.is_empty() => wine::run(options),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        other => refuse(&format!("unknown command `{other}`")),
    }
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("error: {message}\n\n{USAGE}");
    ExitCode::from(EXIT_SETUP)
}
