//! The library for 64-bit ARM on a real Android's C library, that of Android 6 (API 23), in
//! an emulator of the processor and of Dalvik's native interface: it is loaded, registers its
//! methods, and some are called. Threads, and with them a server's start, are not emulated.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::folder;
use super::pack::names;
use crate::install::succeed;
use crate::maven::{self, define};
use crate::workspace;

/// The kind of processor that is emulated.
pub(crate) const ABI: &str = "arm64-v8a";

/// What is to be told at the end.
const DONE: &str = "loaded, and called, on an Android's C library";

pub(crate) fn run(library: &Path) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let work = folder("bionic");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).map_err(said)?;
    let classes = work.join("class-path");
    let mut command = maven::maven(&workspace::root().join("bindings/kotlin/bionic"));
    command
        .arg(define("output.folder", &work))
        .arg(define("mdep.outputFile", &classes))
        .args(["compile", "dependency:build-classpath"]);
    succeed(&mut command)?;
    let path = fs::read_to_string(&classes).map_err(said)?;
    let path = format!("{}:{}", work.join("classes").display(), path.trim());
    // It unpacks Android's files there.
    let output = Command::new("timeout")
        .args(["--signal=KILL", "300", "java"])
        .arg(define("java.io.tmpdir", &work))
        .args(["-cp", &path, "bionic.Bionic"])
        .arg(library)
        .arg(names()?.version)
        .stdin(Stdio::null())
        .output()
        .map_err(said)?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() && told.contains(DONE) {
        true => Ok(()),
        false => Err(format!(
            "{}\n{told}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}
