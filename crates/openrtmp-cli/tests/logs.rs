//! The log of `openrtmp serve`: what a line looks like, and where it goes when that is moved,
//! full, or read by nobody.

#![cfg_attr(not(unix), expect(dead_code))]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

fn openrtmp(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openrtmp"));
    command.args(arguments);
    piped(command)
}

fn piped(mut command: Command) -> Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A server at work, ended with its test.
struct Server {
    process: Child,
    address: SocketAddr,
    /// Lines of standard error, as they come.
    stderr: Receiver<String>,
}

impl Server {
    fn start(flags: &[&str], settings: &[(&str, &str)]) -> Server {
        Server::spawn(openrtmp(&with_listen(flags)), settings)
    }

    /// `settings`: those of the environment.
    fn spawn(mut command: Command, settings: &[(&str, &str)]) -> Server {
        for (name, value) in settings {
            command.env(format!("OPENRTMP_{name}"), value);
        }
        let mut process = command.spawn().expect("the command starts");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let told = process
            .stderr
            .take()
            .map(lines)
            .unwrap_or_else(|| channel().1);
        let mut lines = stdout.lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let (_, address) = line.split_once("listening on ")?;
            address.parse().ok()
        });
        // It goes on writing there.
        thread::spawn(move || lines.for_each(drop));
        Server {
            process,
            address: address.expect("it tells where it listens"),
            stderr: told,
        }
    }

    /// Somebody comes and goes, which is a line at the level of debug.
    fn knock(&self) {
        drop(TcpStream::connect(self.address).expect("it is served"));
    }

    /// Knocks until something is so.
    fn knock_until<T>(&self, what: &str, mut so: impl FnMut() -> Option<T>) -> T {
        // Half a minute, if each takes as long as it seldom does.
        for _ in 0..3000 {
            self.knock();
            if let Some(found) = so() {
                return found;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{what}: it never is");
    }

    fn publish(&self, folder: &Path) -> Output {
        let url = format!("rtmp://{}/live/cam", self.address);
        let output = openrtmp(&["publish", "--fast", &movie(folder), &url]).output();
        output.expect("the command starts")
    }

    /// Waits for a line of standard error with this in it.
    fn wait_for(&self, text: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.stderr.recv_timeout(Duration::from_secs(60)) {
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        panic!("no {text:?} in {seen:?}");
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, signal).expect("it runs");
    }

    /// Stops it as systemd does. What it wrote to standard error since.
    #[cfg(unix)]
    fn stop(mut self) -> Vec<String> {
        self.signal(rustix::process::Signal::TERM);
        let status = self.process.wait().expect("it ends");
        assert!(status.success(), "{status}");
        self.stderr.iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn with_listen<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0"];
    arguments.extend_from_slice(flags);
    arguments
}

fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = channel();
    let lines = BufReader::new(stderr).lines().map_while(Result::ok);
    thread::spawn(move || {
        for line in lines {
            // The test may have seen enough.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Some AAC frames (FLV 10.1, annex E).
fn movie(folder: &Path) -> String {
    let mut flv = b"FLV\x01\x04\x00\x00\x00\x09\x00\x00\x00\x00".to_vec();
    let bodies = std::iter::once(vec![0xAF, 0, 0x11, 0x90]);
    let bodies = bodies.chain(std::iter::repeat_n(vec![0xAF, 1, 0x21, 0x10], 20));
    for (time, body) in (0_u8..).zip(bodies) {
        flv.extend_from_slice(&[8, 0, 0, body.len() as u8, 0, 0, time, 0, 0, 0, 0]);
        flv.extend_from_slice(&body);
        flv.extend_from_slice(&(11 + body.len() as u32).to_be_bytes());
    }
    let path = folder.join("movie.flv");
    fs::write(&path, flv).expect("a file");
    path.to_str().expect("its name is ASCII").to_owned()
}

fn object(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    for member in ["time", "level", "target", "message"] {
        assert!(value[member].is_string(), "no {member} in {line}");
    }
    value
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The files of a folder whose names are so.
fn files(folder: &Path, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let named = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(&fits);
    entries.filter(named).map(|entry| entry.path()).collect()
}

/// All that may be logged, and none of it held back.
const ALL: (&str, &str) = ("LIMITS__LOG_LINES", "0");

#[cfg(unix)]
#[test]
fn json_is_an_object_a_line_from_the_first_to_the_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&["--log-format", "json"], &[]);
    assert!(server.publish(folder.path()).status.success());
    let closed = object(&server.wait_for("connection closed"));
    assert!(
        closed["connection"].is_string() && closed["peer"].is_string(),
        "{closed}"
    );
    assert!(closed["server"].is_u64(), "{closed}");
    for line in server.stop() {
        object(&line);
    }
    // A failure is an object too.
    let output = openrtmp(&with_listen(&[
        "--log-format",
        "json",
        "--listen",
        "192.0.2.1:1",
    ]));
    let output = { output }.output().expect("the command starts");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).expect("text");
    let last = object(told.lines().last().expect("a line"));
    assert_eq!(last["level"], "error");
    let message = last["message"].as_str().expect("a text");
    assert!(message.contains("192.0.2.1:1"), "{message}");
}

#[test]
fn old_files_are_compressed_and_so_many_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("openrtmp.log");
    let server = Server::start(
        &[
            "--log",
            "debug",
            "--log-file",
            log.to_str().expect("a name"),
        ],
        &[
            ALL,
            ("LOG__FILE__MAX_BYTES", "4096"),
            ("LOG__FILE__KEEP", "2"),
        ],
    );
    let old = |end: &'static str| {
        files(folder.path(), move |name: &str| {
            name.starts_with("openrtmp.log.") && name.ends_with(end)
        })
    };
    let first = server.knock_until("one is compressed", || old(".gz").pop());
    server.knock_until("it is too old", || (!first.exists()).then_some(()));
    server.knock_until("no more are kept", || {
        (old(".gz").len() == 2 && old("").len() == 2).then_some(())
    });
    for file in old(".gz") {
        let file = File::open(file);
        // It may be deleted meanwhile.
        let Ok(file) = file else { continue };
        let mut text = String::new();
        let read = flate2::read::GzDecoder::new(file).read_to_string(&mut text);
        let bytes = read.expect("gzip");
        assert!(bytes <= 4096 && text.ends_with('\n'), "{text}");
    }
    assert!(text(&log).len() <= 4096);
}

#[cfg(unix)]
#[test]
fn a_file_that_is_moved_or_deleted_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("openrtmp.log");
    let flags = [
        "--log",
        "debug",
        "--log-file",
        log.to_str().expect("a name"),
    ];
    let server = Server::start(&flags, &[ALL]);
    server.knock_until("it is logged", || {
        text(&log).contains("accepted").then_some(())
    });
    fs::remove_file(&log).expect("it is there");
    server.knock_until("it is there again", || {
        text(&log).contains("accepted").then_some(())
    });
    // As logrotate does, and then sends a signal.
    let moved = folder.path().join("openrtmp.log.1");
    fs::rename(&log, &moved).expect("it is there");
    server.signal(rustix::process::Signal::HUP);
    server.knock_until("it is told", || {
        text(&log).contains("no setting has changed").then_some(())
    });
    assert!(text(&moved).ends_with('\n'));
    assert!(
        server.stop().is_empty(),
        "nothing is told on standard error"
    );
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_grow_is_told_of_once_and_what_it_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("openrtmp.log");
    let mut command = Command::new("sh");
    // A file of the process may have 8 times 512 bytes, or 1024.
    command.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_openrtmp"));
    let path = log.to_str().expect("a name");
    command.args(with_listen(&["--log-file", path, "--log-format", "json"]));
    command.args(["--log", "debug"]);
    let server = Server::spawn(piped(command), &[ALL]);
    let told = server.knock_until("it is told", || server.stderr.try_recv().ok());
    let told = object(&told);
    assert_eq!(told["level"], "error");
    let message = told["message"].as_str().expect("a text");
    assert!(
        message.contains(path) && message.contains("lines are lost"),
        "{message}"
    );
    assert!(server.publish(folder.path()).status.success(), "it goes on");
    let full = text(&log);
    // No part of a line is left.
    full.lines().for_each(|line| drop(object(line)));
    fs::remove_file(&log).expect("it is there");
    let told = server.knock_until("it works again", || server.stderr.try_recv().ok());
    assert!(told.contains("is written again"), "{told}");
    let text = text(&log);
    let first = object(text.lines().next().expect("a line"));
    let message = first["message"].as_str().expect("a text");
    assert!(message.contains("were lost here"), "{message}");
}

#[test]
fn a_file_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let no_folder = folder.path().join("file");
    fs::write(&no_folder, "").expect("a file");
    let log = no_folder.join("openrtmp.log");
    let log = log.to_str().expect("a name");
    let output = openrtmp(&with_listen(&["--log-file", log])).output();
    let output = output.expect("the command starts");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).expect("text");
    let start = format!("openrtmp: the log file {log} cannot be written: ");
    assert!(
        told.starts_with(&start) && told.lines().count() == 1,
        "{told}"
    );
}

#[cfg(unix)]
#[test]
fn nobody_has_to_read_standard_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("openrtmp.log");
    let path = log.to_str().expect("a name");
    let mut command = openrtmp(&with_listen(&["--log", "debug"]));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    command.stderr(writer);
    drop(reader);
    let settings = [
        ALL,
        ("LOG__OUTPUT", "stderr,file"),
        ("LOG__FILE__PATH", path),
    ];
    let server = Server::spawn(command, &settings);
    server.knock_until("it is told", || {
        text(&log)
            .contains("standard error cannot be written")
            .then_some(())
    });
    assert!(server.publish(folder.path()).status.success(), "it goes on");
    let told = text(&log);
    assert_eq!(told.matches("standard error cannot").count(), 1, "{told}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_journal_is_told_priorities() {
    use std::os::unix::fs::MetadataExt;

    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("journal");
    let stream = File::create(&journal).expect("a file");
    let told = stream.metadata().expect("it is open");
    let mut command = openrtmp(&with_listen(&["--log", "debug"]));
    command.stderr(stream);
    command.env("JOURNAL_STREAM", format!("{}:{}", told.dev(), told.ino()));
    let server = Server::spawn(command, &[]);
    server.knock_until("it is told", || {
        text(&journal)
            .contains("<7>DEBUG openrtmp_core")
            .then_some(())
    });
    assert!(text(&journal).lines().all(|line| line.starts_with('<')));
}

#[cfg(unix)]
#[test]
fn other_settings_hold_at_once_and_one_that_cannot_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("server.yaml");
    let log = folder.path().join("openrtmp.log");
    fs::write(&config, "log: {level: info}\n").expect("a file");
    let path = config.to_str().expect("a name");
    let server = Server::start(&["--config", path], &[]);
    let nowhere = folder.path().join("nowhere/a.log");
    let write = |path: &Path| {
        let text = format!(
            "log: {{output: [file], file: {{path: {:?}}}}}\n",
            path.display().to_string()
        );
        fs::write(&config, text).expect("a file");
        server.signal(rustix::process::Signal::HUP);
    };
    write(&nowhere);
    let told = server.wait_for("the log stays as it is");
    assert!(told.contains(nowhere.to_str().expect("a name")), "{told}");
    write(&log);
    server.knock_until("it is there", || log.exists().then_some(()));
    assert!(server.publish(folder.path()).status.success());
    server.knock_until("it is logged", || {
        text(&log).contains("publish live/cam").then_some(())
    });
    assert!(
        !server
            .stop()
            .iter()
            .any(|line| line.contains("publish live/cam"))
    );
}
