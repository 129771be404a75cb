//! A host in C++ that serves ffmpeg, under AddressSanitizer and
//! UndefinedBehaviorSanitizer.
#![cfg(target_os = "linux")]

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use support::{SANITIZE, build, crate_dir, frames, run};
use tempfile::TempDir;

/// Built once for all cases.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("live");
        build(
            &crate_dir().join("tests/programs/live.cpp"),
            &program,
            SANITIZE,
        );
        (folder, program)
    });
    program
}

/// What a case printed; one that hangs is ended, and fails.
fn run_case(arguments: &[&str]) -> String {
    let output = run(Command::new("timeout")
        .arg("120")
        .arg(program())
        .args(arguments));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs a case that records; how many pictures are in the file.
fn recorded(case: &str) -> u32 {
    let folder = tempfile::tempdir().unwrap();
    frames(&run_case(&[case, folder.path().to_str().unwrap()]))
}

#[test]
fn a_recording_is_a_whole_file() {
    assert_eq!(recorded("recording"), 50);
}

#[test]
fn access_is_decided_later_by_another_thread() {
    run_case(&["access"]);
}

#[test]
fn connections_are_seen_and_ended() {
    run_case(&["connections"]);
}

#[test]
fn callbacks_that_block_for_five_seconds_delay_no_player() {
    run_case(&["blocked"]);
}

#[test]
fn a_server_is_freed_while_it_streams() {
    assert!(recorded("freed") >= 10);
}

#[test]
fn two_servers_serve_in_one_process() {
    run_case(&["two_servers"]);
}

#[test]
fn keys_open_and_close() {
    run_case(&["keys"]);
}

#[test]
fn a_host_publisher_is_told_that_its_stream_is_gone() {
    run_case(&["host_publishers"]);
}

#[test]
fn settings_change_under_live_streams() {
    assert!(recorded("reconfigured") > 0);
}

#[test]
fn a_host_in_c_records_mp4_that_plays_and_seeks() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("record");
    let source = crate_dir().join("tests/programs/record.c");
    build(
        &source,
        &program,
        &[SANITIZE, &["-D_DEFAULT_SOURCE"]].concat(),
    );
    let recordings = folder.path().join("recordings");
    let mut command = Command::new("timeout");
    let output = run(command.arg("120").arg(&program).arg(&recordings));
    let file = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(file.ends_with(".mp4"), "{file}");
    assert_eq!(frames(&file), 100);
    // Not from the beginning on: what is shown is what stands there, to the frame.
    let picture = |seek: &[&str]| {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error"]).args(seek);
        let output = run(command.args(["-frames:v", "1", "-an", "-f", "md5", "-"]));
        String::from_utf8(output.stdout).unwrap()
    };
    let sought = picture(&["-ss", "2.6", "-i", &file]);
    assert_eq!(sought, picture(&["-i", &file, "-ss", "2.6"]));
    assert_ne!(sought, picture(&["-i", &file]));
}
