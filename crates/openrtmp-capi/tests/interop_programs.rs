//! Programs in C and C++ over the library: built with strict warnings, run under
//! AddressSanitizer and UndefinedBehaviorSanitizer.
#![cfg(target_os = "linux")]

mod support;

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use openrtmp::version::OPENRTMP_ABI_VERSION;
use support::{C, SANITIZE, build, crate_dir, include_dir, library_dir, root, run};

/// NULL is given on purpose.
const MISUSE: &[&str] = &["-Wno-nonnull"];

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
    let (_folder, program) = program("misuse.c", MISUSE);
    let output = run(timed(&program).env("OPENRTMP_EXACT_RSS", "1"));
    assert!(output.stdout.ends_with(b"ok\n"));
}

#[test]
fn frames_and_configurations_are_put_into_the_forms_of_decoders_from_c() {
    let (_folder, program) = program("codec.c", &[SANITIZE, MISUSE].concat());
    let output = run(&mut timed(&program));
    assert!(output.stdout.ends_with(b"ok\n"));
}

#[test]
fn misuse_from_c_is_clean_under_sanitizers() {
    let (_folder, program) = program("misuse.c", &[SANITIZE, MISUSE].concat());
    run(timed(&program).arg("200"));
}

/// The library as it is shipped, without ThreadSanitizer in it, and what it is to be told.
#[test]
fn races_of_a_host_are_found_and_none_is_invented() {
    let folder = tempfile::tempdir().unwrap();
    let (library, program) = (
        folder.path().join("libopenrtmp.so"),
        folder.path().join("host"),
    );
    symlink(library_dir().join("libopenrtmp.so"), &library).unwrap();
    let named = folder
        .path()
        .join(format!("libopenrtmp.so.{OPENRTMP_ABI_VERSION}"));
    symlink(&library, named).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    run(Command::new(compiler)
        .args(C)
        .args(["-fsanitize=thread", "-I"])
        .arg(include_dir())
        .arg(crate_dir().join("tests/programs/tsan.c"))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(folder.path())
        .args(["-lopenrtmp", "-lpthread"]));
    let suppressions = root().join("bindings/tsan.supp");
    // The sanitizer's memory lies where some kernels put a program's, unless they are told
    // to leave addresses in order; some containers do not let that be said.
    let mut order = Command::new("setarch");
    let can_be_ordered = order.args(["-R", "true"]).status();
    let can_be_ordered = can_be_ordered.is_ok_and(|status| status.success());
    let host = || {
        let mut host = match can_be_ordered {
            true => Command::new("setarch"),
            false => Command::new("env"),
        };
        host.args(can_be_ordered.then_some("-R"))
            .args(["timeout", "120"])
            .arg(&program)
            .env("LD_LIBRARY_PATH", folder.path())
            .env(
                "TSAN_OPTIONS",
                format!("suppressions={}", suppressions.display()),
            );
        host
    };
    let clean = run(&mut host());
    assert!(clean.stdout.ends_with(b"ok\n"));
    let races = host().arg("races").output().unwrap();
    let told = String::from_utf8_lossy(&races.stderr);
    assert!(!races.status.success(), "{told}");
    assert!(told.contains("data race"), "{told}");
    assert!(told.contains("tsan.c"), "{told}");
}

#[test]
fn ownership_in_cpp_is_clean_under_sanitizers() {
    let (_folder, program) = program("raii.cpp", SANITIZE);
    run(&mut timed(&program));
}
