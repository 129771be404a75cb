//! A host in C that delivers streams over HTTP, under AddressSanitizer and
//! UndefinedBehaviorSanitizer.
#![cfg(target_os = "linux")]

mod support;

use std::process::Command;

use support::{SANITIZE, build, crate_dir, run};

#[test]
fn a_host_in_c_delivers_what_ffmpeg_publishes_and_no_thread_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("delivery");
    let source = crate_dir().join("tests/programs/delivery.c");
    build(
        &source,
        &program,
        &[SANITIZE, &["-D_DEFAULT_SOURCE"]].concat(),
    );
    let output = run(Command::new("timeout").arg("240").arg(&program));
    assert!(output.stdout.ends_with(b"ok\n"));
}
