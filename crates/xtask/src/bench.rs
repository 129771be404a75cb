//! `cargo xtask bench`: our server, the bare fan-out and nginx-rtmp side by side.

use std::process::{Command, ExitCode};
use std::{env, fs, thread};

use crate::{EXIT_SETUP, workspace};

/// What is measured unless the user says otherwise.
const DEFAULTS: &[&str] = &[
    "--rounds",
    "5",
    "--coalesce",
    "0,100,350",
    "--idle-seconds",
    "10",
    "--ingest-seconds",
    "5",
];

/// Builds `openrtmp-bench` for measuring and runs its `compare`, after a line
/// that says where: a result without its machine and commit is worth nothing.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let mut command = workspace::cargo();
    command.args(["run", "--release", "--package", "openrtmp-bench", "--"]);
    command.arg("compare");
    match arguments {
        [] => command.args(DEFAULTS),
        given => command.args(given),
    };
    println!(
        "{}, {} {}, {} cores ({}), commit {}",
        output("date", &["-u", "+%F %R UTC"]),
        env::consts::OS,
        env::consts::ARCH,
        thread::available_parallelism().map_or(0, usize::from),
        processor(),
        output("git", &["describe", "--always", "--dirty"]),
    );
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: cargo could not be run: {error}");
            ExitCode::from(EXIT_SETUP)
        }
    }
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(": "));
    name.map_or("unknown", |(_, name)| name).to_owned()
}

/// What a program says, or `unknown`.
fn output(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root());
    match command.output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}
