//! `cargo xtask test`: checks and tests everything, with the tools it needs.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::runner::{self, Outcome, Tally};
use crate::tools::{self, Tool};
use crate::{EXIT_SETUP, workspace};

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    install: bool,
    /// Names of the steps to run; empty means all.
    only: Vec<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            install: true,
            only: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--no-install" => options.install = false,
                "--only" => {
                    let name = arguments.next().ok_or("--only needs the name of a step")?;
                    if !STEPS.iter().any(|step| step.name == name) {
                        let names = step_names();
                        return Err(format!("no step `{name}`; there are {names}"));
                    }
                    options.only.push(name.clone());
                }
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        Ok(options)
    }

    fn wants(&self, step: &Step) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == step.name)
    }
}

/// The names `--only` takes.
pub(crate) fn step_names() -> String {
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    names.join(", ")
}

/// Runs the steps; a failed one does not keep the others from running.
pub(crate) fn run(options: &Options) -> ExitCode {
    let steps: Vec<&Step> = STEPS.iter().filter(|step| options.wants(step)).collect();
    let started = Instant::now();
    let needed: Vec<Tool> = steps.iter().flat_map(|step| step.needs).copied().collect();
    if let Err(message) = tools::provide(&needed, options.install) {
        eprintln!("error: {message}");
        return ExitCode::from(EXIT_SETUP);
    }
    let prepared = started.elapsed();

    let results: Vec<StepResult> = steps
        .into_iter()
        .map(|step| run_step(step, options.install))
        .collect();
    print_summary(prepared, &results);
    if results.iter().all(|result| result.passed) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

struct Step {
    name: &'static str,
    what: &'static str,
    needs: &'static [Tool],
    /// Arguments of cargo, one list a run; a run that fails is the last.
    runs: &'static [&'static [&'static str]],
    environment: &'static [(&'static str, &'static str)],
}

/// The whole workspace with the same features everywhere, so that one step's
/// build serves the next.
const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        what: "formatting",
        needs: &[Tool::Rustfmt],
        runs: &[&["fmt", "--all", "--check"]],
        environment: &[],
    },
    Step {
        name: "clippy",
        what: "lints, warnings are errors",
        needs: &[Tool::Clippy],
        runs: &[&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            "openrtmp-tests/interop,openrtmp-capi/interop",
            "--",
            "-D",
            "warnings",
        ]],
        environment: &[],
    },
    Step {
        name: "test",
        what: "unit, property, simulation, golden, integration and doc tests",
        needs: &[],
        runs: &[&["test", "--workspace", "--no-fail-fast"]],
        environment: &[],
    },
    Step {
        name: "interop",
        what: "tests with ffmpeg, rtmpdump, GStreamer, and programs in C and C++",
        needs: tools::INTEROP,
        runs: &[
            // Some start it, and cargo builds a package's programs for the tests of that
            // package only.
            &["build", "--package", "openrtmp-cli", "--bin", "openrtmp"],
            // Live streams mostly wait for the clock: four at a time suit two cores.
            &[
                "test",
                "--workspace",
                "--no-fail-fast",
                "--features",
                "openrtmp-tests/interop,openrtmp-capi/interop",
                "--test",
                "interop_*",
                "--",
                "--test-threads=4",
            ],
        ],
        environment: &[],
    },
    Step {
        name: "capi",
        what: "the C library installed, found by CMake and pkg-config, under valgrind",
        needs: tools::CAPI,
        runs: &[&["xtask", "capi"]],
        environment: &[],
    },
    Step {
        name: "cross",
        what: "the C library's crates linted for every system",
        needs: tools::CROSS,
        runs: &[&["xtask", "build", "--all", "--check"]],
        environment: &[],
    },
    Step {
        name: "size",
        what: "the shared library as it is shipped, against its size budget",
        needs: tools::CROSS,
        runs: &[&[
            "xtask",
            "build",
            "--target",
            "x86_64-unknown-linux-gnu",
            "--target",
            "x86_64-pc-windows-gnu",
        ]],
        environment: &[],
    },
    Step {
        name: "foreign",
        what: "tests and the C example on Windows (wine) and 64-bit ARM (qemu)",
        needs: tools::FOREIGN,
        runs: &[&["xtask", "foreign"]],
        environment: &[],
    },
    Step {
        name: "instructions",
        what: "instruction counts of the hot paths against their baseline",
        needs: &[Tool::Valgrind],
        runs: &[&["xtask", "instructions"]],
        environment: &[],
    },
    Step {
        name: "sanitize",
        what: "thread models under loom, the C interface under Miri",
        needs: &[],
        runs: &[&["xtask", "sanitize", "--quick"]],
        environment: &[],
    },
    Step {
        name: "soak",
        what: "a server under players and publishers that misbehave",
        needs: &[],
        runs: &[&["xtask", "soak", "--seconds", "25", "--dev"]],
        environment: &[],
    },
    Step {
        name: "doc",
        what: "documentation builds without warnings",
        needs: &[],
        runs: &[&["doc", "--no-deps", "--workspace"]],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
];

struct StepResult {
    name: &'static str,
    passed: bool,
    tally: Tally,
    /// What could not run here, and why.
    skipped: Vec<String>,
    took: Duration,
}

fn run_step(step: &Step, install: bool) -> StepResult {
    println!("\n=== {}: {}", step.name, step.what);
    let started = Instant::now();
    let mut outcome = Outcome {
        success: true,
        ..Outcome::default()
    };
    for arguments in step.runs {
        let mut command: Command = workspace::cargo();
        command
            .args(*arguments)
            .envs(step.environment.iter().copied());
        if !install {
            command.env(tools::NO_INSTALL, "1");
        }
        outcome.add(runner::run(command).unwrap_or_else(|error| {
            eprintln!("error: cargo could not be run: {error}");
            Outcome::default()
        }));
        if !outcome.success {
            break;
        }
    }
    let took = started.elapsed();
    let verdict = if outcome.success { "passed" } else { "FAILED" };
    println!("=== {} {verdict} in {}", step.name, seconds(took));
    StepResult {
        name: step.name,
        passed: outcome.success,
        tally: counted(&outcome),
        skipped: outcome.skipped,
        took,
    }
}

/// A step without tests of its own counts as one; so does a failure that no
/// test accounts for, such as code that does not compile.
fn counted(outcome: &Outcome) -> Tally {
    let mut tally = outcome.tally;
    if outcome.success {
        if tally == Tally::default() {
            tally.passed = 1;
        }
    } else if tally.failed == 0 {
        tally.failed = 1;
    }
    tally
}

fn print_summary(prepared: Duration, results: &[StepResult]) {
    let mut total = Tally::default();
    let mut time = prepared;
    println!("\n{:<10} {:<8} {:>10}  counts", "step", "result", "time");
    println!("{:<10} {:<8} {:>10}", "tools", "passed", seconds(prepared));
    for result in results {
        let verdict = if result.passed { "passed" } else { "FAILED" };
        let (name, took, tally) = (result.name, seconds(result.took), tally_line(result.tally));
        println!("{name:<10} {verdict:<8} {took:>10}  {tally}");
        total.add(result.tally);
        time += result.took;
    }
    println!("{:<10} {:<8} {:>10}", "all", "", seconds(time));
    for result in results {
        for skipped in &result.skipped {
            println!("{}{}: {skipped}", runner::SKIPPED, result.name);
        }
    }
    println!("\n{}", tally_line(total));
}

fn tally_line(tally: Tally) -> String {
    let mut line = format!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.skipped > 0 {
        line.push_str(&format!(", {} skipped", tally.skipped));
    }
    line
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        Options::parse(&arguments)
    }

    fn outcome(success: bool, passed: u64, failed: u64) -> Outcome {
        let tally = Tally {
            passed,
            failed,
            skipped: 0,
        };
        Outcome {
            success,
            tally,
            ..Outcome::default()
        }
    }

    #[test]
    fn all_steps_run_unless_some_are_named() {
        let all = parse(&[]).unwrap();
        assert!(STEPS.iter().all(|step| all.wants(step)));
        let some = parse(&["--only", "fmt", "--no-install", "--only", "doc"]).unwrap();
        let wanted: Vec<&str> = STEPS
            .iter()
            .filter(|step| some.wants(step))
            .map(|step| step.name)
            .collect();
        assert_eq!(wanted, ["fmt", "doc"]);
        assert!(!some.install);
    }

    #[test]
    fn unknown_steps_and_options_are_refused() {
        assert!(parse(&["--only"]).is_err());
        assert!(parse(&["--only", "nonsense"]).unwrap_err().contains("fmt"));
        assert!(parse(&["--fast"]).is_err());
    }

    #[test]
    fn every_failure_is_counted() {
        assert_eq!(counted(&outcome(true, 0, 0)).passed, 1);
        assert_eq!(counted(&outcome(true, 5, 0)).passed, 5);
        assert_eq!(counted(&outcome(false, 5, 2)).failed, 2);
        assert_eq!(counted(&outcome(false, 5, 0)).failed, 1);
    }

    #[test]
    fn the_last_line_names_skipped_tests_only_when_there_are_any() {
        let mut tally = Tally {
            passed: 3,
            failed: 1,
            skipped: 0,
        };
        assert_eq!(tally_line(tally), "3 passed, 1 failed");
        tally.skipped = 2;
        assert_eq!(tally_line(tally), "3 passed, 1 failed, 2 skipped");
    }
}
