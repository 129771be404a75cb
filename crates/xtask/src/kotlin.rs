//! `cargo xtask kotlin`: the Kotlin and Java library built by Maven over the native one,
//! with its example and the README's code, and its tests on a Java virtual machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::runner::{self, Tally};
use crate::{tools, workspace};

/// The chapter of the README whose code is compiled.
const CHAPTER: &str = "## In your Android app\n";

/// What the virtual machine says of calls that break its rules, under `-Xcheck:jni`.
const COMPLAINTS: [&str; 3] = [
    "WARNING in native method",
    "FATAL ERROR in native method",
    "WARNING: JNI",
];

/// The only symbol that the native library gives away.
const SYMBOL: &str = "JNI_OnLoad";

pub(crate) fn run() -> ExitCode {
    match check() {
        Ok(tally) => {
            println!("{tally}");
            match tally.failed {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<Tally, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--package", "openrtmp-jni"]);
    if !cargo.status().map_err(said)?.success() {
        return Err("the native library does not build".to_owned());
    }
    let library = workspace::target().join("debug");
    #[cfg(target_os = "linux")]
    check_symbols(&library.join("libopenrtmp_jni.so"))?;

    let output = workspace::target().join("kotlin/build");
    let readme = output.join("readme");
    let reports = output.join("surefire-reports");
    // Classes and reports of tests that are gone would be run, and counted.
    let _ = fs::remove_dir_all(&output);
    fs::create_dir_all(&readme).map_err(said)?;
    let text = fs::read_to_string(workspace::root().join("README.md")).map_err(said)?;
    let code = code_of(&text).ok_or("the README has no Kotlin in its chapter about Android")?;
    fs::write(
        readme.join("Readme.kt"),
        format!("package readme\n\n{code}"),
    )
    .map_err(said)?;

    let outcome = runner::run(maven(&library, &output)).map_err(said)?;
    let tally = count(&reports).map_err(said)?;
    if let Some(complaint) = complaint(&reports).map_err(said)? {
        return Err(format!("the virtual machine complains: {complaint}"));
    }
    if !outcome.success && tally.failed == 0 {
        return Err("Maven failed".to_owned());
    }
    if tally.passed == 0 {
        return Err("no test was run".to_owned());
    }
    Ok(tally)
}

fn maven(library: &Path, output: &Path) -> Command {
    let repository = workspace::target().join("kotlin/repository");
    let mut maven = Command::new("mvn");
    maven
        .current_dir(workspace::root().join("bindings/kotlin"))
        .args(["--batch-mode", "--quiet", "--no-transfer-progress"])
        .arg(define("maven.repo.local", &repository))
        .arg(define("native.folder", library))
        .arg(define("output.folder", output));
    if !tools::may_install() {
        maven.arg("--offline");
    }
    maven.arg("package");
    maven
}

fn define(name: &str, value: &Path) -> String {
    format!("-D{name}={}", value.display())
}

/// The first Kotlin of the chapter.
fn code_of(readme: &str) -> Option<&str> {
    let (_, chapter) = readme.split_once(CHAPTER)?;
    let chapter = chapter.split("\n## ").next()?;
    let (_, code) = chapter.split_once("```kotlin\n")?;
    Some(code.split_once("```")?.0)
}

#[cfg(target_os = "linux")]
fn check_symbols(library: &Path) -> Result<(), String> {
    let output = Command::new("nm")
        .args(["--dynamic", "--defined-only", "--format=just-symbols"])
        .arg(library)
        .output()
        .map_err(|error| format!("nm: {error}"))?;
    let symbols = String::from_utf8_lossy(&output.stdout);
    let symbols: Vec<&str> = symbols.lines().collect();
    match symbols.as_slice() {
        [SYMBOL] => Ok(()),
        others => Err(format!("exported beside {SYMBOL}: {others:?}")),
    }
}

/// What Maven's reports count.
fn count(reports: &Path) -> std::io::Result<Tally> {
    let mut tally = Tally::default();
    for path in files(reports)? {
        let name = path.file_name().map(|name| name.to_string_lossy());
        if name.is_some_and(|name| name.starts_with("TEST-") && name.ends_with(".xml")) {
            tally.add(suite(&fs::read_to_string(path)?));
        }
    }
    Ok(tally)
}

/// The numbers in a report's first element.
fn suite(report: &str) -> Tally {
    let element = report.split_once("<testsuite").map_or("", |(_, rest)| rest);
    let element = element.split('>').next().unwrap_or_default();
    let number = |name: &str| -> u64 {
        let value = element.split_once(&format!(" {name}=\""));
        let value = value.and_then(|(_, rest)| rest.split('"').next());
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    let failed = number("errors") + number("failures");
    let skipped = number("skipped");
    Tally {
        passed: number("tests").saturating_sub(failed + skipped),
        failed,
        skipped,
    }
}

/// What the virtual machine said against a native method, in whatever file it stands.
fn complaint(reports: &Path) -> std::io::Result<Option<String>> {
    for path in files(reports)? {
        let text = fs::read(&path)?;
        let text = String::from_utf8_lossy(&text);
        let line = text
            .lines()
            .find(|line| COMPLAINTS.iter().any(|complaint| line.contains(complaint)));
        if let Some(line) = line {
            return Ok(Some(format!("{line} ({})", path.display())));
        }
    }
    Ok(None)
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_code_for_android() {
        let readme = fs::read_to_string(workspace::root().join("README.md")).unwrap();
        assert!(code_of(&readme).is_some_and(|code| code.contains("OpenRtmpServer")));
    }

    #[test]
    fn reports_are_counted() {
        let report = "<?xml version=\"1.0\"?>\n<testsuite xmlns:x=\"tests\" name=\"a.B\" \
            time=\"1.2\" tests=\"9\" errors=\"1\" skipped=\"2\" failures=\"3\">\n<testcase/>";
        let tally = Tally {
            passed: 3,
            failed: 4,
            skipped: 2,
        };
        assert_eq!(suite(report), tally);
        assert_eq!(suite(""), Tally::default());
    }
}
