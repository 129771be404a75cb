//! `cargo xtask capi`: what only an installed library shows: that CMake and
//! pkg-config find it, and that valgrind finds nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::install::{self, succeed};
use crate::library::{Profile, Refusal};
use crate::workspace;

/// Cycles of starting and stopping under valgrind, which is some 30 times slower.
const CYCLES: &str = "20";

pub(crate) fn run() -> ExitCode {
    match check() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<(), String> {
    let folder = workspace::target().join("capi");
    // What an older run left must not be what this one finds.
    let _ = fs::remove_dir_all(&folder);
    // An installation may be moved, and its path may hold spaces.
    let first = folder.join("first prefix");
    let prefix = folder.join("moved prefix");
    let options = install::Options {
        prefix: first.clone(),
        profile: Profile::Dev,
        target: None,
        live: false,
    };
    match install::install(&options) {
        Ok(()) => {}
        Err(Refusal::Unavailable(why) | Refusal::Failed(why)) => return Err(why),
    }
    fs::rename(&first, &prefix).map_err(|e| e.to_string())?;
    println!("installed, and moved");
    install::try_out(&prefix, &folder)?;
    println!("CMake and pkg-config, shared and static: built and run");
    valgrind(&prefix, &folder)?;
    println!("valgrind: clean");
    Ok(())
}

fn valgrind(prefix: &Path, folder: &Path) -> Result<(), String> {
    let source = "crates/openrtmp-capi/tests/programs/misuse.c";
    let program = folder.join("misuse");
    succeed(
        Command::new("cc")
            .args(["-std=c99", "-g", "-I"])
            .arg(prefix.join("include"))
            .arg(workspace::root().join(source))
            .arg("-L")
            .arg(prefix.join("lib"))
            .args(["-lopenrtmp", "-lpthread", "-o"])
            .arg(&program),
    )?;
    succeed(
        Command::new("valgrind")
            .args(["--quiet", "--leak-check=full", "--error-exitcode=9"])
            // Rust's own record of the main thread looks possibly lost.
            .args(["--errors-for-leak-kinds=definite,indirect"])
            .args(["--show-leak-kinds=definite,indirect"])
            .arg(&program)
            .arg(CYCLES)
            .env("LD_LIBRARY_PATH", prefix.join("lib")),
    )
}
