//! `cargo xtask foreign`: tests and the C example on systems this machine can
//! imitate, so that what is built for them was run once.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use crate::install::{self, Kind, succeed};
use crate::library::{self, Profile, Refusal, Target};
use crate::runner::{self, Tally};
use crate::{wine, workspace};

/// A system, and what runs its programs.
struct System {
    name: &'static str,
    target: &'static str,
    cc: &'static str,
    runner: fn() -> Result<Vec<String>, String>,
    /// Where, below an installation, a program finds the shared library.
    programs: &'static str,
    /// What is run, of all that could be.
    tests: &'static [&'static [&'static str]],
    /// Tests left out, and why.
    skips: &'static [(&'static str, &'static str)],
}

/// They take minutes under qemu, name files by the paths of Unix, and run the same code
/// as here: the simulated platform stands where the system would.
const SIMULATION: (&str, &str) = ("sim_tests::", "simulations touch nothing of the system");

/// An imitated system takes minutes to fill its send buffer with what answers a ping.
const ANSWERS: (&str, &str) = (
    "a_server_that_asks_and_takes_no_answers_is_given_up",
    "fills the system's buffers 18 bytes at a time",
);

const SYSTEMS: &[System] = &[
    System {
        name: "Windows under wine",
        target: "x86_64-pc-windows-gnu",
        cc: "x86_64-w64-mingw32-gcc",
        runner: in_wine,
        programs: "bin",
        tests: &[PROTOCOL, CORE, OVER_SOCKETS],
        skips: &[
            SIMULATION,
            ANSWERS,
            (
                "platform::native::tests::loopback_is_an_interface",
                "wine 10 lists no interfaces when address prefixes are asked for",
            ),
            (
                "have_their_options",
                "wine 10 does not know TCP_MAXRT (WSAENOPROTOOPT)",
            ),
            (
                "have_the_options_of_accepted_ones",
                "wine 10 does not know TCP_MAXRT (WSAENOPROTOOPT)",
            ),
            (
                "native::tests::a_connection_to_a_host_comes_about",
                "wine 10 does not know TCP_MAXRT (WSAENOPROTOOPT)",
            ),
            (
                "who_asks_without_end_and_never_reads_is_closed",
                "wine 10 sends no reset when a socket that could send no more is closed",
            ),
        ],
    },
    System {
        name: "64-bit ARM Linux under qemu",
        target: "aarch64-unknown-linux-gnu",
        cc: "aarch64-linux-gnu-gcc",
        runner: in_qemu,
        programs: "lib",
        // The core is that of this machine's Linux, and building its tests takes minutes.
        tests: &[PROTOCOL, OVER_SOCKETS],
        skips: &[SIMULATION, ANSWERS],
    },
];

const PROTOCOL: &[&str] = &["--package", "openrtmp-protocol"];

const CORE: &[&str] = &["--package", "openrtmp-core"];

/// The server over real sockets. Not the tests that count threads and descriptors, which the imitation adds to,
/// nor those that need a compiler or other programs where they run.
const OVER_SOCKETS: &[&str] = &[
    "--package",
    "openrtmp-tests",
    "--lib",
    "--test",
    "session",
    "--test",
    "hostile_peers",
    "--test",
    "write_coalesce",
];

/// The tests of `openrtmp-tests` itself start shells.
const SUPPORT: &str = "process::tests";

pub(crate) fn run() -> ExitCode {
    let mut failed = false;
    for system in SYSTEMS {
        println!("=== {}", system.name);
        match try_out(system) {
            Ok(()) => {}
            Err(Refusal::Unavailable(why)) => {
                println!("{}{}: {why}", runner::SKIPPED, system.name);
            }
            Err(Refusal::Failed(why)) => {
                failed = true;
                println!("{}: {why}", system.name);
            }
        }
    }
    match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn try_out(system: &System) -> Result<(), Refusal> {
    let target = library::target(system.target).map_err(Refusal::Failed)?;
    let runner = (system.runner)().map_err(Refusal::Unavailable)?;
    let tested = test(system, target, &runner);
    let folder = workspace::target().join("foreign").join(system.target);
    // What an older run left must not be what this one finds.
    let _ = fs::remove_dir_all(&folder);
    let prefix = folder.join("prefix");
    install::install(&install::Options {
        prefix: prefix.clone(),
        profile: Profile::Dev,
        target: Some(target),
        live: false,
    })?;
    let mut tally = Tally::default();
    for kind in [Kind::Shared, Kind::Static] {
        match example(system, &prefix, kind, &folder, &runner) {
            Ok(()) => tally.passed += 1,
            Err(why) => {
                tally.failed += 1;
                println!("C example, {kind:?}: {why}");
            }
        }
    }
    println!("C example, shared and static, fed by ffmpeg: {tally}");
    tested?;
    match tally.failed {
        0 => Ok(()),
        _ => Err(Refusal::Failed("the C example failed".to_owned())),
    }
}

fn test(system: &System, target: &Target, runner: &[String]) -> Result<(), Refusal> {
    let (mut command, _) = library::cargo_for(target, "test")?;
    // As TOML has it, strings are quoted like Rust's.
    let setting = format!("target.{}.runner = {runner:?}", target.name);
    command
        .args(["--no-fail-fast", "--config", &setting])
        .args(system.tests.concat())
        .args(["--", "--skip", SUPPORT]);
    for (test, why) in system.skips {
        println!("{}{}: {test}: {why}", runner::SKIPPED, system.name);
        command.args(["--skip", test]);
    }
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Refusal::Failed("tests failed".to_owned())),
        Err(e) => Err(Refusal::Failed(format!("cargo: {e}"))),
    }
}

/// This program, which cargo then starts in a test's folder.
fn in_wine() -> Result<Vec<String>, String> {
    wine::provide()?;
    let program = env::current_exe().map_err(|e| e.to_string())?;
    Ok(vec![program.display().to_string(), "wine".to_owned()])
}

fn in_qemu() -> Result<Vec<String>, String> {
    let words = "timeout -s KILL 600 qemu-aarch64 -L /usr/aarch64-linux-gnu";
    Ok(words.split(' ').map(str::to_owned).collect())
}

/// Builds the C example as its users build it, and publishes to it.
fn example(
    system: &System,
    prefix: &Path,
    kind: Kind,
    folder: &Path,
    runner: &[String],
) -> Result<(), String> {
    let programs = prefix.join(system.programs);
    let program = programs.join(format!("server_{kind:?}.exe"));
    install::compile(system.cc, prefix, kind, folder, &program)?;
    let (first, rest) = runner.split_first().ok_or("nothing runs it")?;
    let mut command = Command::new(first);
    command
        .args(rest)
        .arg(&program)
        .arg("127.0.0.1:0")
        .env("LD_LIBRARY_PATH", &programs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut server = command.spawn().map_err(|e| format!("{first}: {e}"))?;
    let mut output = BufReader::new(server.stdout.take().ok_or("no output")?);
    // It is stopped and waited for whatever becomes of the publisher.
    let fed = publish(&mut output);
    if let Some(mut input) = server.stdin.take() {
        let _ = input.write_all(b"\n");
    }
    let mut said = String::new();
    let read = output.read_to_string(&mut said);
    let status = server.wait().map_err(|e| e.to_string())?;
    fed?;
    read.map_err(|e| e.to_string())?;
    if !status.success() || !said.contains("accepted 1 connections") {
        return Err(format!("{status}\n{said}"));
    }
    Ok(())
}

/// Waits for the URL that the server prints, and publishes a second of video there.
fn publish(output: &mut impl BufRead) -> Result<(), String> {
    let mut said = String::new();
    loop {
        let start = said.len();
        match output.read_line(&mut said) {
            Ok(0) => return Err(format!("it ended without a URL: {said}")),
            Ok(_) => {}
            Err(e) => return Err(e.to_string()),
        }
        if let Some((_, url)) = said[start..].split_once("publish to ") {
            return succeed(
                Command::new("ffmpeg")
                    .args(["-nostdin", "-v", "error", "-re", "-f", "lavfi"])
                    .args(["-i", "testsrc=size=320x180:rate=25", "-t", "1"])
                    .args(["-c:v", "flv", "-f", "flv", url.trim()]),
            );
        }
    }
}
