//! `cargo xtask sanitize`: the tests again, under tools that see what no assertion
//! does: undefined behaviour, races, leaks, and orders of events that a machine
//! rarely produces.

use std::env;
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::runner::{self, SKIPPED};
use crate::{nightly, tools, workspace};

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Names of the checks to run; empty means all, or all quick ones.
    only: Vec<String>,
    /// The part that every run of the tests can afford.
    quick: bool,
    install: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            only: Vec::new(),
            quick: false,
            install: tools::may_install(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--no-install" => options.install = false,
                "--only" => {
                    let name = arguments.next().ok_or("--only needs the name of a check")?;
                    if !CHECKS.iter().any(|check| check.name == name) {
                        let names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
                        return Err(format!("no check `{name}`; there are {}", names.join(", ")));
                    }
                    options.only.push(name.clone());
                }
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        Ok(options)
    }

    /// What to run of a check; nothing if it was not asked for.
    fn runs(&self, check: &Check) -> Vec<&'static [&'static str]> {
        if !self.only.is_empty() && !self.only.iter().any(|name| name == check.name) {
            return Vec::new();
        }
        let runs = if self.quick { check.quick } else { check.full };
        runs.to_vec()
    }
}

struct Check {
    name: &'static str,
    what: &'static str,
    toolchain: Toolchain,
    rustflags: &'static str,
    environment: &'static [(&'static str, &'static str)],
    /// Arguments of cargo, one list a run.
    full: &'static [&'static [&'static str]],
    quick: &'static [&'static [&'static str]],
}

enum Toolchain {
    /// The one that builds everything.
    Ours,
    /// Nightly with these components.
    Nightly(&'static [&'static str]),
    /// The same, for a target of its own: build scripts must not be sanitized.
    NightlyForTarget(&'static [&'static str]),
}

/// TLS has no threads of its own, and takes a minute to build.
const MODELS: &[&[&str]] = &[&[
    "test",
    "-p",
    "openrtmp-core",
    "--no-default-features",
    "--lib",
    "loom_models",
]];

/// The crates that have threads or unsafe code, over real sockets too.
const THREADED: &[&str] = &[
    "test",
    "-p",
    "openrtmp-core",
    "-p",
    "openrtmp-capi",
    "-p",
    "openrtmp-tests",
    "--lib",
    "--tests",
    "--no-fail-fast",
];

/// All unsafe code that can run in an interpreter, which TLS, partly in assembly, cannot.
const C_INTERFACE: &[&str] = &[
    "miri",
    "test",
    "-p",
    "openrtmp-capi",
    "--no-default-features",
    "--lib",
    "--test",
    "handles",
    "--test",
    "panic",
];

const CHECKS: &[Check] = &[
    Check {
        name: "loom",
        what: "every interleaving of the models in openrtmp-core",
        toolchain: Toolchain::Ours,
        rustflags: "--cfg loom",
        environment: &[],
        full: MODELS,
        quick: MODELS,
    },
    Check {
        name: "miri",
        what: "undefined behaviour in the protocol and the C interface, interpreted",
        toolchain: Toolchain::Nightly(&["miri", "rust-src"]),
        rustflags: "",
        environment: &[
            // Golden vectors are files.
            ("MIRIFLAGS", "-Zmiri-disable-isolation"),
            ("PROPTEST_CASES", "2"),
        ],
        full: &[
            C_INTERFACE,
            &[
                "miri",
                "test",
                "-p",
                "openrtmp-protocol",
                "--lib",
                "--tests",
                "--no-fail-fast",
            ],
        ],
        quick: &[
            C_INTERFACE,
            &[
                "miri",
                "test",
                "-p",
                "openrtmp-protocol",
                "--lib",
                "message::",
            ],
        ],
    },
    Check {
        name: "asan",
        what: "memory errors and leaks",
        toolchain: Toolchain::NightlyForTarget(&[]),
        rustflags: "-Zsanitizer=address -Cforce-frame-pointers=yes",
        environment: &[],
        full: &[THREADED],
        quick: &[],
    },
    Check {
        name: "tsan",
        what: "data races",
        // The standard library has to be instrumented too, or its locks are not seen.
        toolchain: Toolchain::NightlyForTarget(&["rust-src"]),
        rustflags: "-Zsanitizer=thread",
        environment: &[(
            "CARGO_UNSTABLE_BUILD_STD",
            "std,panic_unwind,test,proc_macro",
        )],
        full: &[THREADED],
        quick: &[],
    },
];

/// Runs the checks; a failed one does not keep the others from running, and one
/// that cannot run here is named.
pub(crate) fn run(options: &Options) -> ExitCode {
    let mut failed = Vec::new();
    for check in CHECKS {
        let runs = options.runs(check);
        if runs.is_empty() {
            continue;
        }
        println!("\n=== {}: {}", check.name, check.what);
        if let Err(why) = check.provide(options.install) {
            println!("{SKIPPED}{}: {why}", check.name);
            continue;
        }
        let started = Instant::now();
        let succeeded = |arguments: &&[&str]| match runner::run(check.command(arguments)) {
            Ok(outcome) => outcome.success,
            Err(error) => {
                eprintln!("error: cargo could not be run: {error}");
                false
            }
        };
        // All of them, even after a failure.
        let failures = runs.iter().filter(|run| !succeeded(run)).count();
        let verdict = if failures == 0 { "passed" } else { "FAILED" };
        let seconds = started.elapsed().as_secs_f64();
        println!("=== {} {verdict} in {seconds:.1} s", check.name);
        if failures > 0 {
            failed.push(check.name);
        }
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        println!("\nfailed: {}", failed.join(", "));
        ExitCode::FAILURE
    }
}

impl Check {
    fn provide(&self, install: bool) -> Result<(), String> {
        match self.toolchain {
            Toolchain::Ours => Ok(()),
            Toolchain::Nightly(components) => nightly::provide(components, install),
            Toolchain::NightlyForTarget(_)
                if !cfg!(any(target_os = "linux", target_os = "macos")) =>
            {
                Err("this system has no such sanitizer".to_owned())
            }
            Toolchain::NightlyForTarget(components) => nightly::provide(components, install),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.toolchain {
            Toolchain::Ours => workspace::cargo(),
            Toolchain::Nightly(_) | Toolchain::NightlyForTarget(_) => nightly::cargo(),
        };
        command
            .args(arguments)
            // Other flags than the ordinary build's: a folder of its own keeps both.
            .env("CARGO_TARGET_DIR", workspace::target().join(self.name))
            .envs(self.environment.iter().copied());
        if !self.rustflags.is_empty() {
            let given = env::var("RUSTFLAGS").unwrap_or_default();
            command.env("RUSTFLAGS", format!("{given} {}", self.rustflags));
        }
        if let Toolchain::NightlyForTarget(_) = self.toolchain
            && let Some(host) = nightly::host()
        {
            command.args(["--target", &host]);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        Options::parse(&arguments)
    }

    fn names(options: &Options) -> Vec<&'static str> {
        let asked = CHECKS
            .iter()
            .filter(|check| !options.runs(check).is_empty());
        asked.map(|check| check.name).collect()
    }

    #[test]
    fn all_checks_run_unless_some_are_named() {
        assert_eq!(
            names(&parse(&[]).unwrap()),
            ["loom", "miri", "asan", "tsan"]
        );
        let some = parse(&["--only", "tsan", "--only", "loom"]).unwrap();
        assert_eq!(names(&some), ["loom", "tsan"]);
        assert_eq!(names(&parse(&["--quick"]).unwrap()), ["loom", "miri"]);
    }

    #[test]
    fn unknown_checks_and_options_are_refused() {
        assert!(parse(&["--only"]).is_err());
        assert!(parse(&["--only", "msan"]).unwrap_err().contains("asan"));
        assert!(parse(&["--slow"]).is_err());
    }
}
