//! Programs in C and C++ over the library: built with strict warnings, run under
//! AddressSanitizer and UndefinedBehaviorSanitizer.
#![cfg(target_os = "linux")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use support::{SANITIZE, build, crate_dir, run};

fn program(name: &str, flags: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let source = crate_dir().join("tests/programs").join(name);
    build(&source, &program, flags);
    (folder, program)
}

/// A program that hangs is ended, and fails.
fn timed(program: &PathBuf) -> Command {
    let mut command = Command::new("timeout");
    command.arg("120").arg(program);
    command
}

#[test]
fn misuse_from_c_is_told_and_a_thousand_cycles_leak_nothing() {
    let (_folder, program) = program("misuse.c", &[]);
    let output = run(timed(&program).env("OPENRTMP_EXACT_RSS", "1"));
    assert!(output.stdout.ends_with(b"ok\n"));
}

#[test]
fn misuse_from_c_is_clean_under_sanitizers() {
    let (_folder, program) = program("misuse.c", SANITIZE);
    run(timed(&program).arg("200"));
}

#[test]
fn ownership_in_cpp_is_clean_under_sanitizers() {
    let (_folder, program) = program("raii.cpp", SANITIZE);
    run(&mut timed(&program));
}
