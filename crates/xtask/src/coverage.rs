//! `cargo xtask coverage`: what of protocol and core the tests reach.
//!
//! Lines and branches of test code do not count: everything in files of tests, and
//! in other files what follows `#[cfg(test)]` before an inline module.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::{EXIT_SETUP, nightly, workspace};

/// Crates and the share of their branches, in per cent, that the tests are meant to
/// reach.
const GOALS: &[(&str, f64)] = &[("openrtmp-protocol", 95.0), ("openrtmp-core", 85.0)];

/// Whose tests run.
const TESTED: &[&str] = &[
    "openrtmp-protocol",
    "openrtmp-media",
    "openrtmp-core",
    "openrtmp-tests",
];

/// Exits with 1 if a goal is missed.
pub(crate) fn run() -> ExitCode {
    if let Err(why) = nightly::provide(&["llvm-tools"], true) {
        eprintln!("error: coverage of branches {why}");
        return ExitCode::from(EXIT_SETUP);
    }
    match measure() {
        Ok((files, passed)) => {
            let reached = report(&files);
            if !passed {
                println!("the tests failed: the numbers are of what ran");
            }
            match passed && reached {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the tests and reads what they reached, file by file; and whether they passed.
fn measure() -> io::Result<(BTreeMap<String, Reached>, bool)> {
    let folder = workspace::target().join("coverage");
    let profiles = folder.join("profiles");
    if profiles.exists() {
        fs::remove_dir_all(&profiles)?;
    }
    let test = |more: &[&str]| {
        let mut command = nightly::cargo();
        command.arg("test");
        command.args(TESTED.iter().flat_map(|name| ["--package", name]));
        command.args(["--lib", "--tests"]).args(more);
        command
            .env("CARGO_TARGET_DIR", &folder)
            .env(
                "RUSTFLAGS",
                "-Cinstrument-coverage -Zcoverage-options=branch",
            )
            .env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw"));
        command
    };
    let built = test(&["--no-run"]).output()?;
    let said = String::from_utf8_lossy(&built.stderr);
    if !built.status.success() {
        return Err(io::Error::other(said));
    }
    let programs = test_programs(&said);
    let passed = test(&["--no-fail-fast"]).status()?.success();

    let merged = folder.join("merged.profdata");
    let mut merge = llvm_tool("llvm-profdata")?;
    merge.args(["merge", "-sparse", "-o"]).arg(&merged);
    for entry in fs::read_dir(&profiles)? {
        merge.arg(entry?.path());
    }
    if !merge.status()?.success() {
        return Err(io::Error::other("llvm-profdata failed"));
    }
    let mut export = llvm_tool("llvm-cov")?;
    export
        .args(["export", "-format=lcov"])
        .arg(format!("-instr-profile={}", merged.display()));
    export.args(programs.iter().flat_map(|program| ["-object", program]));
    let exported = export.current_dir(workspace::root()).output()?;
    if !exported.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&exported.stderr)));
    }
    let files = read_lcov(&String::from_utf8_lossy(&exported.stdout));
    Ok((files, passed))
}

fn llvm_tool(name: &str) -> io::Result<Command> {
    let path: Option<PathBuf> = nightly::sysroot().zip(nightly::host()).map(|(root, host)| {
        let tools = root.join("lib").join("rustlib").join(host).join("bin");
        tools.join(name)
    });
    let path = path.ok_or_else(|| io::Error::other("the nightly toolchain has no folder"))?;
    Ok(Command::new(path))
}

/// From lines such as `  Executable unittests src/lib.rs (target/debug/deps/core-12ab)`.
fn test_programs(said: &str) -> Vec<String> {
    said.lines()
        .filter(|line| line.trim_start().starts_with("Executable "))
        .filter_map(|line| line.rsplit_once('(')?.1.strip_suffix(')'))
        .map(str::to_owned)
        .collect()
}

/// What was reached of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reached {
    lines: Share,
    branches: Share,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    reached: u64,
    all: u64,
}

impl Share {
    fn count(&mut self, reached: bool) {
        self.reached += u64::from(reached);
        self.all += 1;
    }

    fn add(&mut self, other: Share) {
        self.reached += other.reached;
        self.all += other.all;
    }

    /// Nothing is wholly reached.
    fn per_cent(self) -> f64 {
        match self.all {
            0 => 100.0,
            all => self.reached as f64 * 100.0 / all as f64,
        }
    }
}

/// The records that matter: SF (file), DA (line, times), BRDA (line, block, branch,
/// times or `-`).
fn read_lcov(text: &str) -> BTreeMap<String, Reached> {
    let mut files = BTreeMap::new();
    let mut file: Option<(String, u64)> = None;
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            file = measured(Path::new(path)).map(|name| (name, code_lines(Path::new(path))));
        }
        let Some((name, end)) = &file else { continue };
        let Some((record @ ("DA" | "BRDA"), numbers)) = line.split_once(':') else {
            continue;
        };
        let mut numbers = numbers.split(',');
        let number = numbers.next().and_then(|number| number.parse().ok());
        if number.is_none_or(|number: u64| number >= *end) {
            continue;
        }
        let times = numbers.next_back().unwrap_or("-");
        let reached: &mut Reached = files.entry(name.clone()).or_default();
        match record {
            "DA" => reached.lines.count(times != "0"),
            _ => reached.branches.count(times != "0" && times != "-"),
        }
    }
    files
}

/// The name of a file whose coverage is asked for.
fn measured(path: &Path) -> Option<String> {
    let name = path.strip_prefix(workspace::root()).ok()?;
    let name = name.to_str()?.replace('\\', "/");
    let wanted = GOALS
        .iter()
        .any(|(package, _)| name.starts_with(&format!("crates/{package}/src/")));
    let is_test = [
        "/tests/",
        "/sim_tests/",
        "tests.rs",
        "/golden.rs",
        "/contract.rs",
    ]
    .iter()
    .any(|part| name.contains(part));
    (wanted && !is_test).then_some(name)
}

/// The number of the line with which a file's tests begin.
fn code_lines(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    tests_begin(&text)
}

fn tests_begin(text: &str) -> u64 {
    let lines: Vec<&str> = text.lines().collect();
    let at = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
    at.map_or(u64::MAX, |at| at as u64 + 1)
}

/// Prints the table; false if a goal is missed.
fn report(files: &BTreeMap<String, Reached>) -> bool {
    let row = |name: &str, Reached { lines, branches }: Reached| {
        println!(
            "{name:<58} {:>6}/{:<6} {:>5.1} %  {:>5}/{:<5} {:>5.1} %",
            lines.reached,
            lines.all,
            lines.per_cent(),
            branches.reached,
            branches.all,
            branches.per_cent(),
        );
    };
    println!("{:<58} {:^21}  {:^19}", "", "lines", "branches");
    let mut all_good = true;
    for &(package, goal) in GOALS {
        let mut sum = Reached::default();
        for (name, reached) in files {
            if name.starts_with(&format!("crates/{package}/")) {
                row(name, *reached);
                sum.lines.add(reached.lines);
                sum.branches.add(reached.branches);
            }
        }
        row(package, sum);
        let good = sum.branches.all > 0 && sum.branches.per_cent() >= goal;
        let verdict = if good { "reached" } else { "MISSED" };
        println!("{package}: the goal of {goal} % of its branches is {verdict}\n");
        all_good &= good;
    }
    all_good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_those_that_cargo_names() {
        let said = "   Compiling core v0.1.0 (/home/core)\n\
            \x20 Executable unittests src/lib.rs (target/debug/deps/core-12ab)\n\
            \x20 Executable tests/life.rs (target/debug/deps/life-34cd)\n";
        let expected = ["target/debug/deps/core-12ab", "target/debug/deps/life-34cd"];
        assert_eq!(test_programs(said), expected);
    }

    #[test]
    fn lines_and_branches_are_counted_where_they_are_code() {
        let file = workspace::root().join("crates/openrtmp-core/src/none.rs");
        let lcov = format!(
            "SF:{}\nDA:1,5\nDA:2,0\nDA:3,1\nBRDA:1,0,0,7\nBRDA:1,0,1,0\nBRDA:2,0,0,-\n\
             LF:0\nend_of_record\nSF:/elsewhere/lib.rs\nDA:1,1\nend_of_record\n",
            file.display()
        );
        let files = read_lcov(&lcov);
        let reached = files["crates/openrtmp-core/src/none.rs"];
        assert_eq!((reached.lines.reached, reached.lines.all), (2, 3));
        assert_eq!((reached.branches.reached, reached.branches.all), (1, 3));
        assert_eq!(files.len(), 1);
    }

    #[test]
    fn a_files_own_tests_are_not_measured() {
        assert_eq!(
            tests_begin("fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n"),
            3
        );
        assert_eq!(
            tests_begin("#[cfg(test)]\nmod contract;\nfn a() {}\n"),
            u64::MAX
        );
        let root = workspace::root();
        let name = |path: &str| measured(&root.join(path));
        assert!(name("crates/openrtmp-core/src/tap.rs").is_some());
        assert!(name("crates/openrtmp-core/src/sim_tests/world.rs").is_none());
        assert!(name("crates/openrtmp-cli/src/main.rs").is_none());
    }
}
