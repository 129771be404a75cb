//! `cargo xtask fuzz`: runs the fuzz targets, one after the other.
//!
//! The corpus is what every checkout replays, so it only changes when asked to:
//! what a run finds goes into cargo's target folder, and is read by the next run.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::probe::answers;
use crate::{EXIT_SETUP, workspace};

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// How long each target runs.
    seconds: u64,
    /// Empty means all.
    targets: Vec<String>,
    /// Take over what was found into the corpus.
    merge: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            seconds: 60,
            targets: Vec::new(),
            merge: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => {
                    let number = arguments.next().and_then(|text| text.parse().ok());
                    options.seconds = number.ok_or("--seconds needs a number")?;
                }
                "--target" => {
                    let name = arguments.next().ok_or("--target needs a name")?;
                    options.targets.push(name.clone());
                }
                "--merge" => options.merge = true,
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        Ok(options)
    }
}

/// Runs the targets; one that fails does not keep the others from running.
pub(crate) fn run(options: &Options) -> ExitCode {
    let targets = match chosen(options).and_then(|targets| provide().map(|()| targets)) {
        Ok(targets) => targets,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(EXIT_SETUP);
        }
    };
    let built = cargo_fuzz("build", &[]).status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("error: the targets could not be built");
        return ExitCode::FAILURE;
    }
    let mut failed = false;
    println!(
        "{:<16} {:>12} {:>8} {:>8} {:>6}  result",
        "target", "executions", "per s", "coverage", "new"
    );
    for target in &targets {
        let report = fuzz(target, options).unwrap_or_else(|error| Report {
            trouble: Some(error.to_string()),
            ..Report::default()
        });
        println!("{target:<16} {}", report.line());
        failed |= report.trouble.is_some();
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// The names of the targets to run.
fn chosen(options: &Options) -> Result<Vec<String>, String> {
    let folder = folder().join("fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut all: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    all.sort();
    if options.targets.is_empty() {
        return Ok(all);
    }
    match options.targets.iter().find(|name| !all.contains(name)) {
        Some(unknown) => Err(format!(
            "no target `{unknown}`; there are {}",
            all.join(", ")
        )),
        None => Ok(options.targets.clone()),
    }
}

/// Says what is missing. Nothing is installed: a second compiler is the user's choice.
fn provide() -> Result<(), String> {
    for (command, remedy) in [
        (
            rustup(&["cargo", "--version"]),
            "rustup toolchain install nightly",
        ),
        (
            rustup(&["cargo", "fuzz", "--version"]),
            "cargo install cargo-fuzz",
        ),
    ] {
        let mut command = command;
        if !answers(&mut command) {
            return Err(format!("a tool is missing; please run\n  {remedy}"));
        }
    }
    Ok(())
}

/// The package of cargo-fuzz.
fn folder() -> PathBuf {
    workspace::root().join("tests").join("fuzz")
}

/// A command of the nightly toolchain, which libFuzzer needs.
fn rustup(arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly"]).args(arguments);
    command.current_dir(workspace::root());
    command
}

fn cargo_fuzz(subcommand: &str, arguments: &[&OsStr]) -> Command {
    let mut command = rustup(&["cargo", "fuzz", subcommand, "--fuzz-dir"]);
    command.arg(folder()).args(arguments);
    command
}

/// What libFuzzer said of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    executions: u64,
    per_second: u64,
    /// Edges of the code that were reached.
    coverage: u64,
    new: u64,
    /// Where it keeps the input that failed.
    artifact: Option<PathBuf>,
    trouble: Option<String>,
}

impl Report {
    fn read(&mut self, line: &str) {
        let after = |label: &str| {
            let (_, rest) = line.split_once(label)?;
            rest.split_whitespace().next()
        };
        let number = |label: &str| after(label).and_then(|text| text.parse().ok());
        if let Some(coverage) = number(" cov: ") {
            self.coverage = coverage;
        }
        for (label, field) in [
            ("stat::number_of_executed_units:", &mut self.executions),
            ("stat::average_exec_per_sec:", &mut self.per_second),
            ("stat::new_units_added:", &mut self.new),
        ] {
            if let Some(value) = number(label) {
                *field = value;
            }
        }
        if let Some(path) = after("Test unit written to ") {
            self.artifact = Some(PathBuf::from(path));
        }
    }

    fn line(&self) -> String {
        format!(
            "{:>12} {:>8} {:>8} {:>6}  {}",
            self.executions,
            self.per_second,
            self.coverage,
            self.new,
            self.trouble.as_deref().unwrap_or("passed")
        )
    }
}

/// Inputs that take longer, in seconds, are failures too.
const TIMEOUT: u64 = 10;

/// Lines of its output that are shown when a target fails.
const LINES: usize = 150;

fn fuzz(target: &str, options: &Options) -> io::Result<Report> {
    let corpus = folder().join("corpus").join(target);
    let found = workspace::target().join("fuzz").join(target);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&found)?;
    let mut command = cargo_fuzz(
        "run",
        &[
            target.as_ref(),
            found.as_ref(),
            corpus.as_ref(),
            "--".as_ref(),
        ],
    );
    command.arg(format!("-max_total_time={}", options.seconds));
    command.arg(format!("-timeout={TIMEOUT}"));
    command.arg("-print_final_stats=1");
    let mut report = Report::default();
    let mut last = VecDeque::new();
    let success = each_line(command, |line| {
        report.read(&line);
        if last.len() == LINES {
            last.pop_front();
        }
        last.push_back(line);
    })?;
    if !success {
        last.iter().for_each(|line| eprintln!("{line}"));
        report.trouble = Some(match report.artifact.take() {
            Some(artifact) => {
                let input = minimised(target, &artifact).unwrap_or(artifact);
                reproduce(target, &input)
            }
            None => "could not be run".to_owned(),
        });
    } else if options.merge {
        merge(target, &corpus, &found)?;
    }
    Ok(report)
}

/// How to see a failure again.
fn reproduce(target: &str, input: &Path) -> String {
    let input = input.strip_prefix(workspace::root()).unwrap_or(input);
    let input = input.display();
    format!(
        "FAILED on {input}; again: \
         cargo +nightly fuzz run --fuzz-dir tests/fuzz {target} {input}"
    )
}

/// A smaller input that fails too, if one is found within a minute.
fn minimised(target: &str, artifact: &Path) -> Option<PathBuf> {
    let mut command = cargo_fuzz("tmin", &[target.as_ref(), artifact.as_ref()]);
    command.args(["--", "-max_total_time=60"]);
    let mut smaller = None;
    // It ends with failure as its target does; what counts is what it leaves.
    each_line(command, |line| {
        if let Some((_, path)) = line.rsplit_once("minimized-from-") {
            let name = path.trim_end_matches(['\'', '`', '.', ' ']);
            let name = format!("minimized-from-{name}");
            smaller = Some(artifact.with_file_name(name)).filter(|path| path.is_file());
        }
    })
    .ok()?;
    smaller
}

/// Adds to the corpus what was found and reaches what nothing there does.
fn merge(target: &str, corpus: &Path, found: &Path) -> io::Result<()> {
    let mut command = cargo_fuzz(
        "run",
        &[
            target.as_ref(),
            corpus.as_ref(),
            found.as_ref(),
            "--".as_ref(),
        ],
    );
    command.arg("-merge=1");
    match each_line(command, drop)? {
        true => Ok(()),
        false => Err(io::Error::other("what was found could not be merged")),
    }
}

/// Runs a command whose lines of standard error are looked at. True if it succeeds.
fn each_line(mut command: Command, mut look: impl FnMut(String)) -> io::Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = child.stderr.take().expect("stderr was piped");
    for line in BufReader::new(stderr).split(b'\n') {
        look(String::from_utf8_lossy(&line?).into_owned());
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        Options::parse(&arguments)
    }

    #[test]
    fn time_and_targets_may_be_given() {
        let options = parse(&["--seconds", "5", "--target", "url", "--target", "flv"]).unwrap();
        assert_eq!(options.seconds, 5);
        assert_eq!(chosen(&options).unwrap(), ["url", "flv"]);
        assert!(chosen(&parse(&[]).unwrap()).unwrap().len() > 10);
    }

    #[test]
    fn unknown_options_and_targets_are_refused() {
        assert!(parse(&["--seconds"]).is_err());
        assert!(parse(&["--seconds", "many"]).is_err());
        assert!(parse(&["--fast"]).is_err());
        let options = parse(&["--target", "nonsense"]).unwrap();
        assert!(chosen(&options).unwrap_err().contains("chunk_read"));
    }

    #[test]
    fn what_libfuzzer_says_is_read() {
        let mut report = Report::default();
        for line in [
            "#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 30Mb",
            "#900\tNEW    cov: 42 ft: 60 corp: 7/90b lim: 4 exec/s: 0 rss: 31Mb L: 2/9",
            "stat::number_of_executed_units: 12345",
            "stat::average_exec_per_sec:     2469",
            "stat::new_units_added:          6",
            "artifact_prefix='a/'; Test unit written to a/crash-12ab",
        ] {
            report.read(line);
        }
        let expected = Report {
            executions: 12_345,
            per_second: 2469,
            coverage: 42,
            new: 6,
            artifact: Some("a/crash-12ab".into()),
            trouble: None,
        };
        assert_eq!(report, expected);
    }

    #[test]
    fn a_failure_is_told_with_the_line_that_shows_it_again() {
        let line = reproduce("url", &folder().join("artifacts/url/crash-1"));
        let again = "cargo +nightly fuzz run --fuzz-dir tests/fuzz url \
                     tests/fuzz/artifacts/url/crash-1";
        assert!(line.ends_with(again), "{line}");
    }
}
