//! `cargo xtask kotlin`: the Kotlin and Java library built by Maven over the native one,
//! with its example and the README's code, and its tests on a Java virtual machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::maven::{self, define};
use crate::runner::Tally;
use crate::workspace;

/// The chapter of the README whose code is compiled.
const CHAPTER: &str = "## In your Android app\n";

/// The only symbol that the native library gives away.
const SYMBOL: &str = "JNI_OnLoad";

pub(crate) fn run() -> ExitCode {
    exit(check())
}

/// Builds the native library for this machine; the folder that it is in.
pub(crate) fn native_library() -> Result<PathBuf, String> {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--package", "openrtmp-jni"]);
    if !cargo.status().map_err(|error| error.to_string())?.success() {
        return Err("the native library does not build".to_owned());
    }
    Ok(workspace::target().join("debug"))
}

/// Tells what was counted, or what went wrong.
pub(crate) fn exit(done: Result<Tally, String>) -> ExitCode {
    match done {
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
    let library = native_library()?;
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

    let mut command = maven::maven(&workspace::root().join("bindings/kotlin"));
    command
        .arg(define("native.folder", &library))
        .arg(define("output.folder", &output))
        // For what is built upon it: cargo xtask android.
        .arg("install");
    maven::test(command, &reports)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_code_for_android() {
        let readme = fs::read_to_string(workspace::root().join("README.md")).unwrap();
        assert!(code_of(&readme).is_some_and(|code| code.contains("OpenRtmpServer")));
    }
}
