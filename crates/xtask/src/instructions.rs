//! `cargo xtask instructions`: how many instructions the hot paths take.
//!
//! Unlike times, counts are the same on a busy machine. They differ a little by
//! compiler and C library: the baseline says what it was taken with.

use std::fs;
use std::process::{Command, ExitCode};

use crate::{EXIT_SETUP, workspace};

const PATHS: &[&str] = &["fan-out", "connect", "join", "amf"];

/// Lines of name and count; `#` begins a comment.
const BASELINE: &str = "crates/openrtmp-instructions/baseline.txt";

/// Growth that fails, in percent.
const TOLERANCE: u64 = 5;

/// Whether a new baseline is to be written.
pub(crate) fn parse(options: &[String]) -> Result<bool, String> {
    match options {
        [] => Ok(false),
        [option] if option == "--bless" => Ok(true),
        other => Err(format!("unknown options `{}`", other.join(" "))),
    }
}

pub(crate) fn run(bless: bool) -> ExitCode {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        println!("skipped: the baseline is of x86_64 Linux");
        println!("0 passed, 0 failed, {} skipped", PATHS.len());
        return ExitCode::SUCCESS;
    }
    match count_all() {
        Ok(counts) if bless => write(&counts),
        Ok(counts) => judge(&counts),
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(EXIT_SETUP)
        }
    }
}

fn count_all() -> Result<Vec<u64>, String> {
    let mut build = workspace::cargo();
    // A package of its own, so that nothing but the core is built for it.
    build.args(["build", "--release", "--package", "openrtmp-instructions"]);
    build.args(["--features", "counted"]);
    match build.status() {
        Ok(status) if status.success() => {}
        Ok(_) => return Err("the program to count did not build".to_owned()),
        Err(error) => return Err(format!("cargo could not be run: {error}")),
    }
    PATHS.iter().map(|path| count(path)).collect()
}

fn count(path: &str) -> Result<u64, String> {
    let output = Command::new("valgrind")
        // glibc joins small free chunks in one go, every now and then; whether it does
        // so in the part that is counted depends on the length of the program's path.
        .env("GLIBC_TUNABLES", "glibc.malloc.mxfast=0")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*measured_*")
        .arg(workspace::target().join("release/openrtmp-instructions"))
        .arg(path)
        .output()
        .map_err(|error| format!("valgrind could not be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, number)| number.trim().parse().ok())
        .filter(|&count| output.status.success() && count > 0);
    collected.ok_or_else(|| format!("nothing was counted of {path}:\n{said}"))
}

fn write(counts: &[u64]) -> ExitCode {
    let before = committed();
    let mut text = format!(
        "# Instructions of the hot paths, counted by `cargo xtask instructions`, which\n\
         # fails when one grows by more than {TOLERANCE} % and takes a new baseline with --bless.\n\
         # The second figure is the most that it may ever take: what it took on 2026-11-21 and\n\
         # 1 % (fan-out, join) or 5 %. No blessing changes it.\n\
         # Taken with {}.\n",
        version()
    );
    for (path, count) in PATHS.iter().zip(counts) {
        text += &match ceiling(&before, path) {
            Some(most) => format!("{path} {count} {most}\n"),
            None => format!("{path} {count}\n"),
        };
    }
    match fs::write(workspace::root().join(BASELINE), &text) {
        Ok(()) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {BASELINE}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn judge(counts: &[u64]) -> ExitCode {
    let text = committed();
    let mut failed = 0;
    for (path, &count) in PATHS.iter().zip(counts) {
        let verdict = match (count, baseline(&text, path)) {
            (_, None) => Err("has no baseline".to_owned()),
            (count, _) if ceiling(&text, path).is_some_and(|most| count > most) => {
                Err("is more than it may ever be".to_owned())
            }
            (count, Some(base)) if grown(count, base) => {
                Err(format!("grew from {base} by more than {TOLERANCE} %"))
            }
            (count, Some(base)) if grown(base, count) => {
                Ok(format!("{base} before: make it the baseline with --bless"))
            }
            (_, Some(base)) => Ok(format!("{base} before")),
        };
        match verdict {
            Ok(note) => println!("{path}: {count} instructions, {note}"),
            Err(complaint) => {
                failed += 1;
                println!("{path}: {count} instructions: FAILED: {complaint}");
            }
        }
    }
    println!("{} passed, {failed} failed", counts.len() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn committed() -> String {
    fs::read_to_string(workspace::root().join(BASELINE)).unwrap_or_default()
}

fn baseline(text: &str, path: &str) -> Option<u64> {
    figure(text, path, 0)
}

/// The most that a path may take, whatever was blessed since.
fn ceiling(text: &str, path: &str) -> Option<u64> {
    figure(text, path, 1)
}

fn figure(text: &str, path: &str, place: usize) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, figures) = lines.find(|(name, _)| *name == path)?;
    figures.split(' ').nth(place)?.trim().parse().ok()
}

fn grown(count: u64, base: u64) -> bool {
    count.saturating_mul(100) > base.saturating_mul(100 + TOLERANCE)
}

fn version() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or_else(
        |_| "an unknown compiler".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_more_is_allowed_and_no_more() {
        assert!(!grown(105, 100));
        assert!(grown(106, 100));
        assert!(!grown(50, 100));
    }

    #[test]
    fn a_baseline_is_found_by_its_name() {
        let text = "# fan-out 7\nfan-out 12 14\njoin x\n";
        assert_eq!(baseline(text, "fan-out"), Some(12));
        assert_eq!(ceiling(text, "fan-out"), Some(14));
        assert_eq!(baseline(text, "join"), None);
        assert_eq!(baseline(text, "connect"), None);
    }

    #[test]
    fn the_committed_baseline_names_every_path() {
        let text = fs::read_to_string(workspace::root().join(BASELINE)).expect("it is there");
        let has = |path| baseline(&text, path).is_some() && ceiling(&text, path).is_some();
        assert!(PATHS.iter().all(|path| has(path)));
    }
}
