//! The examples, built as their users build them, with a real encoder and player.
#![cfg(target_os = "linux")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::{build, frames, root, run};

/// Lines that a running example prints; it is killed if the test is over before it.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(program: &Path, arguments: &[&str]) -> Running {
        let mut child = Command::new("timeout")
            .arg("60")
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines }
    }

    /// The first line to come that holds a text.
    fn line_with(&mut self, text: &str) -> String {
        for line in &mut self.lines {
            let line = line.unwrap();
            if line.contains(text) {
                return line;
            }
        }
        panic!("it ended without a line with {text}");
    }

    /// The URL at the end of the first line that has one.
    fn url(&mut self) -> String {
        let line = self.line_with("rtmp://");
        line[line.find("rtmp://").unwrap()..].to_owned()
    }

    fn finish(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

fn example(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    build(&root().join("examples").join(name), &program, &[]);
    (folder, program)
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]);
    command
}

const PICTURE: [&str; 4] = [
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=160x120:rate=25:duration=2",
];
const SOUND: [&str; 4] = ["-f", "lavfi", "-i", "sine=duration=2"];
const CODECS: [&str; 10] = [
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-g",
    "25",
    "-pix_fmt",
    "yuv420p",
    "-c:a",
    "aac",
];

fn publish(url: &str) -> Command {
    let mut command = ffmpeg();
    command.args(PICTURE).args(SOUND).args(CODECS);
    command.args(["-f", "flv", url]);
    command
}

fn serves(name: &str) {
    let (_folder, program) = example(name);
    let mut server = Running::start(&program, &["127.0.0.1:0"]);
    let url = server.url();
    run(&mut publish(&url));
    server.line_with("stream_tracks");
    server.line_with("stream_ended");
    let elsewhere = url.replace("/live/", "/other/");
    let refused = publish(&elsewhere).output().unwrap();
    assert!(!refused.status.success());
    let line = server.line_with("\"granted\":false");
    assert!(line.contains("use the app live"), "{line}");
    server.finish();
}

#[test]
fn the_c_server_takes_a_stream_and_refuses_another_app() {
    serves("c/server.c");
}

#[test]
fn the_cpp_server_takes_a_stream_and_refuses_another_app() {
    serves("cpp/server.cpp");
}

#[test]
fn the_tap_writes_what_ffmpeg_decodes() {
    let (folder, program) = example("cpp/tap.cpp");
    let file = folder.path().join("out.h264");
    let file = file.to_str().unwrap();
    let mut tap = Running::start(&program, &[file, "127.0.0.1:0"]);
    let url = tap.url();
    run(&mut publish(&url));
    assert_eq!(tap.line_with("frames"), "50 frames");
    tap.finish();
    assert_eq!(frames(file), 50);
}

#[test]
fn what_is_published_in_process_is_played() {
    let (folder, program) = example("cpp/publish.cpp");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (source, played) = (path("in.flv"), path("out.flv"));
    run(ffmpeg().args(PICTURE).args(SOUND).args(CODECS).arg(&source));
    let mut publisher = Running::start(&program, &[&source, "127.0.0.1:0"]);
    let url = publisher.url();
    run(ffmpeg().args(["-i", &url, "-c", "copy", &played]));
    publisher.line_with("messages");
    publisher.finish();
    // It joins within the first moments, at the cached key frame.
    assert!(frames(&played) >= 45, "{}", frames(&played));
}
