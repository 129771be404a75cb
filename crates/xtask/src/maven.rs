//! Maven: how it is called, where it keeps what it fetches, and what its reports say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::install::succeed;
use crate::runner::Tally;
use crate::{runner, tools, workspace};

/// What the virtual machine says of calls that break its rules, under `-Xcheck:jni`.
const COMPLAINTS: [&str; 3] = [
    "WARNING in native method",
    "FATAL ERROR in native method",
    "WARNING: JNI",
];

/// The Kotlin library's, which names group and version for all.
pub(crate) const POM: &str = "bindings/kotlin/pom.xml";

/// What Maven fetches and installs; nothing of it is the user's.
pub(crate) fn repository() -> PathBuf {
    workspace::target().join("kotlin/repository")
}

/// A call in a folder of the project.
pub(crate) fn maven(folder: &Path) -> Command {
    let mut maven = Command::new("mvn");
    maven
        .current_dir(folder)
        .args(["--batch-mode", "--quiet", "--no-transfer-progress"])
        .arg(define("maven.repo.local", repository()))
        .stdin(Stdio::null());
    if !tools::may_install() {
        maven.arg("--offline");
    }
    maven
}

pub(crate) fn define(name: &str, value: impl AsRef<Path>) -> String {
    format!("-D{name}={}", value.as_ref().display())
}

/// Runs a build whose tests report into a folder.
pub(crate) fn test(maven: Command, reports: &Path) -> Result<Tally, String> {
    let said = |error: std::io::Error| error.to_string();
    let outcome = runner::run(maven).map_err(said)?;
    let tally = count(reports).map_err(said)?;
    if let Some(complaint) = complaint(reports).map_err(said)? {
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

/// Fetches an artifact, `group:name:version[:kind]`, as `to/name-version.jar`.
pub(crate) fn fetch(artifact: &str, to: &Path) -> Result<(), String> {
    let mut command = maven(workspace::root());
    command
        .arg("org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy")
        .arg(format!("-Dartifact={artifact}"))
        .arg(define("outputDirectory", to));
    succeed(&mut command)
}

/// What stands in the first element of this name: `version` of a POM is its project's.
pub(crate) fn element<'a>(pom: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = pom.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0.trim())
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
    fn every_part_is_of_one_group_and_version() {
        let read = |path: &str| fs::read_to_string(workspace::root().join(path)).unwrap();
        let (whole, android) = (read(POM), read("bindings/kotlin/android/pom.xml"));
        for name in ["groupId", "version"] {
            assert!(element(&whole, name).is_some(), "{name}");
            assert_eq!(element(&whole, name), element(&android, name), "{name}");
        }
        assert_eq!(element(&whole, "version"), Some(env!("CARGO_PKG_VERSION")));
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
