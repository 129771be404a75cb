//! `cargo xtask build`: the C library for other systems, from a Linux box.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::install::succeed;
use crate::library::{self, Linker, Profile, Refusal, TARGETS, Target};
use crate::runner::{self, Tally};
use crate::workspace;

/// What the user asked for.
pub(crate) struct Options {
    targets: Vec<&'static Target>,
    check: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            targets: Vec::new(),
            check: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--all" => options.targets = TARGETS.iter().collect(),
                "--check" => options.check = true,
                "--target" => {
                    let name = arguments.next().ok_or("--target needs a name")?;
                    options.targets.push(library::target(name)?);
                }
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        match options.targets.is_empty() {
            true => Err("build needs --target T or --all".to_owned()),
            false => Ok(options),
        }
    }
}

/// What was done for one target.
struct Done {
    what: String,
    /// What was left out, and why.
    without: Option<String>,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let mut tally = Tally::default();
    let mut lines = Vec::new();
    let mut skips = Vec::new();
    for target in &options.targets {
        println!("=== {}", target.name);
        let outcome = match options.check {
            true => check(target),
            false => build(target),
        };
        let result = match outcome {
            Ok(done) => {
                tally.passed += 1;
                skips.extend(done.without.map(|what| format!("{} {what}", target.name)));
                done.what
            }
            Err(Refusal::Unavailable(why)) => {
                skips.push(format!("{}: {why}", target.name));
                "skipped".to_owned()
            }
            Err(Refusal::Failed(why)) => {
                tally.failed += 1;
                format!("FAILED: {why}")
            }
        };
        lines.push(format!("{:<28} {result}", target.name));
    }
    println!("\n{}", lines.join("\n"));
    for skip in &skips {
        println!("{}{skip}", runner::SKIPPED);
    }
    println!("{tally}");
    match tally.failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// The library's crates.
const LIBRARY: [&str; 5] = [
    "openrtmp-protocol",
    "openrtmp-media",
    "openrtmp-core",
    "openrtmp-capi",
    "openrtmp-jni",
];

/// The command.
const COMMAND: &str = "openrtmp-cli";

/// Lints the library's crates for a target, with the log of its system; for Windows, macOS
/// and Android (Termux) the command; and what the command tests on Windows alone.
fn check(target: &Target) -> Result<Done, Refusal> {
    let mut packages = LIBRARY.to_vec();
    let has_command = ["windows", "android", "darwin"];
    if has_command.iter().any(|name| target.name.contains(name)) {
        packages.push(COMMAND);
    }
    lint(target, &packages, &[])?;
    if target.name == "x86_64-pc-windows-gnu" {
        // Those of its own modules; programs that start it are written for Unix.
        lint(target, &[COMMAND], &["--lib", "--profile", "test"])?;
    }
    Ok(Done {
        what: "clippy is content".to_owned(),
        without: None,
    })
}

fn lint(target: &Target, packages: &[&str], options: &[&str]) -> Result<(), Refusal> {
    let (mut command, _) = library::cargo_for(target, "clippy")?;
    command.args(options);
    for package in packages {
        command.args(["-p", package]);
    }
    if let Some(feature) = system_log(target.name) {
        let packages = packages.iter().filter(|package| has_system_log(package));
        let features: Vec<String> = packages.map(|name| format!("{name}/{feature}")).collect();
        command.args(["--features", &features.join(",")]);
    }
    command.args(["--", "-D", "warnings"]);
    if target.name.contains("android") {
        // It does not see the `const` in what the macro expands to there.
        command.args(["-A", "clippy::missing-const-for-thread-local"]);
    }
    succeed(&mut command).map_err(Refusal::Failed)
}

/// The feature with which the system's log is written to.
fn system_log(target: &str) -> Option<&'static str> {
    let systems = [("apple", "oslog"), ("android", "android_logger")];
    let mut systems = systems.iter().filter(|(system, _)| target.contains(system));
    systems.next().map(|(_, feature)| *feature)
}

fn has_system_log(package: &str) -> bool {
    ["openrtmp-core", "openrtmp-capi", COMMAND].contains(&package)
}

fn build(target: &Target) -> Result<Done, Refusal> {
    let built = library::build(Some(target), Profile::Dist, &[])?;
    let archive = size(&built.folder.join(built.files.archive))?;
    let mut what = format!("static {}", mebibytes(archive));
    match built.linker {
        Linker::Native | Linker::Program(_) => {}
        Linker::Nothing(why) => {
            let what = format!("{what}, no shared library: {why}");
            return Ok(Done {
                what,
                without: None,
            });
        }
        Linker::Missing(why) => {
            let without = Some(format!("shared library: {why}"));
            return Ok(Done { what, without });
        }
    }
    let bytes = size(&built.folder.join(built.files.shared))?;
    what.push_str(&format!(", shared {}", mebibytes(bytes)));
    if let Some(most) = budget(target.name) {
        what.push_str(&format!(" of {}", mebibytes(most)));
        if bytes > most {
            return Err(Refusal::Failed(format!("{what}: over its budget")));
        }
    }
    Ok(Done {
        what,
        without: None,
    })
}

fn size(file: &Path) -> Result<u64, Refusal> {
    fs::metadata(file)
        .map(|m| m.len())
        .map_err(|e| Refusal::Failed(format!("{}: {e}", file.display())))
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}

/// What a target's shared library may have.
fn budget(target: &str) -> Option<u64> {
    let file = workspace::root().join("crates/openrtmp-capi/size-budget.txt");
    allowed(&fs::read_to_string(file).ok()?, target)
}

fn allowed(file: &str, target: &str) -> Option<u64> {
    file.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [name, "shared", bytes] if name == target => bytes.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_found_by_target() {
        let file = "# shared\na-b shared 100\nc-d shared 200\n";
        assert_eq!(allowed(file, "c-d"), Some(200));
        assert_eq!(allowed(file, "e-f"), None);
    }

    #[test]
    fn every_target_of_the_budget_is_there() {
        let file = include_str!("../../openrtmp-capi/size-budget.txt");
        let lines = file.lines().filter(|line| !line.starts_with('#'));
        for line in lines {
            let name = line.split(' ').next().unwrap();
            assert!(library::target(name).is_ok(), "{line}");
            assert!(allowed(file, name).is_some(), "{line}");
        }
    }

    #[test]
    fn what_to_build_must_be_said() {
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&w| w.to_owned()).collect();
            Options::parse(&words)
        };
        assert!(parse(&["--check"]).is_err());
        assert!(parse(&["--target", "pdp11"]).is_err());
        assert_eq!(parse(&["--all"]).unwrap().targets.len(), TARGETS.len());
    }
}
