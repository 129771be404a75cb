//! Where things are, and a C compiler.
#![allow(
    dead_code,
    reason = "each test program uses the part of it that it needs"
)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn root() -> PathBuf {
    crate_dir().ancestors().nth(2).unwrap().to_owned()
}

pub(crate) fn include_dir() -> PathBuf {
    root().join("include")
}

/// Where cargo put the libraries of this very build: beside the test program.
pub(crate) fn library_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.parent().unwrap().to_owned()
}

/// Runs a command; panics with its output if it fails.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

pub(crate) const C: &[&str] = &["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-g"];
pub(crate) const CPP: &[&str] = &[
    "-std=c++17",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
    "-g",
];
pub(crate) const SANITIZE: &[&str] = &[
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
];

/// Compiles a program against the static library of this build.
pub(crate) fn build(source: &Path, output: &Path, flags: &[&str]) {
    let is_c = source.extension() == Some(OsStr::new("c"));
    let (variable, default, language) = match is_c {
        true => ("CC", "cc", C),
        false => ("CXX", "c++", CPP),
    };
    let compiler = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    run(Command::new(compiler)
        .args(language)
        .args(flags)
        .arg("-I")
        .arg(include_dir())
        .arg(source)
        .arg("-o")
        .arg(output)
        .arg(library_dir().join("libopenrtmp.a"))
        // What `rustc --print native-static-libs` names for Linux.
        .args(["-lpthread", "-ldl", "-lm", "-lgcc_s", "-lrt", "-lutil"]));
}

/// Frames of video in a file or stream.
pub(crate) fn frames(input: &str) -> u32 {
    let output = run(Command::new("ffprobe").args([
        "-v",
        "error",
        "-count_frames",
        "-select_streams",
        "v:0",
        "-show_entries",
        "stream=nb_read_frames",
        "-of",
        "csv=p=0",
        input,
    ]));
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().trim_end_matches(',').parse().unwrap()
}
