//! The nightly toolchain, which some checks need and not every machine has.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::probe::answers;
use crate::workspace;

/// Sees to it that the nightly toolchain is there with these components. The error
/// says what is missing and how to install it.
pub(crate) fn provide(components: &[&str], install: bool) -> Result<(), String> {
    if !answers(Command::new("rustup").arg("--version")) {
        return Err("rustup is not installed".to_owned());
    }
    if !answers(run("rustc").arg("--version")) {
        let add = ["toolchain", "install", "nightly", "--profile", "minimal"];
        if !(install && rustup(&add) && answers(run("rustc").arg("--version"))) {
            return Err(advice(&add));
        }
    }
    let missing: Vec<&str> = components
        .iter()
        .copied()
        .filter(|component| !has_component(component))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut add = vec!["component", "add", "--toolchain", "nightly"];
    add.extend(&missing);
    if install && rustup(&add) && missing.iter().all(|component| has_component(component)) {
        Ok(())
    } else {
        Err(advice(&add))
    }
}

/// Cargo of the nightly toolchain, in the repository's root.
pub(crate) fn cargo() -> Command {
    let mut command = run("cargo");
    command.current_dir(workspace::root());
    command
}

/// A program of the nightly toolchain.
pub(crate) fn run(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]);
    // Cargo's own, for this toolchain.
    command.env_remove("CARGO").env_remove("RUSTC");
    workspace::as_by_hand(&mut command);
    command
}

/// The folder of the toolchain.
pub(crate) fn sysroot() -> Option<PathBuf> {
    let output = run("rustc").args(["--print", "sysroot"]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(path.trim()))
}

/// What the compiler calls this machine.
pub(crate) fn host() -> Option<String> {
    let output = run("rustc").arg("-vV").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "))?;
    Some(host.to_owned())
}

fn has_component(name: &str) -> bool {
    let list = ["component", "list", "--toolchain", "nightly", "--installed"];
    let output = Command::new("rustup").args(list).output();
    output.is_ok_and(|output| {
        let names = String::from_utf8_lossy(&output.stdout);
        names.lines().any(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    })
}

/// Has rustup do something.
pub(crate) fn rustup(arguments: &[&str]) -> bool {
    println!("\n=== rustup {}", arguments.join(" "));
    let mut command = Command::new("rustup");
    command.args(arguments).stdin(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What would bring what is missing.
pub(crate) fn advice(arguments: &[&str]) -> String {
    format!("needs `rustup {}`", arguments.join(" "))
}
