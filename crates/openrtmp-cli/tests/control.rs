//! `openrtmp ctl` and the server that it talks to.

#![cfg(unix)]

#[cfg(target_os = "linux")]
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::Value;

fn openrtmp(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openrtmp"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server at work, ended with its test.
struct Server {
    process: Child,
    log: Lines<BufReader<ChildStderr>>,
    folder: tempfile::TempDir,
    url: String,
}

impl Server {
    /// With these settings, as YAML.
    fn start(settings: &str) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("server.yaml"), settings).expect("it is written");
        let mut command = openrtmp(&["serve", "--listen", "127.0.0.1:0"]);
        // A stop does not wait for peers.
        command.args(["--stop-timeout", "0"]);
        command
            .args([
                "--config".as_ref(),
                folder.path().join("server.yaml").as_os_str(),
            ])
            .args([
                "--control".as_ref(),
                folder.path().join("ctl.sock").as_os_str(),
            ]);
        let mut process = command.spawn().expect("the command starts");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.trim().strip_prefix("Server      ")?.to_owned()));
        let stderr = process.stderr.take().expect("a pipe");
        Server {
            process,
            log: BufReader::new(stderr).lines(),
            folder,
            url: url.expect("it tells where to publish"),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self) -> &str {
        let url = self.url.strip_prefix("rtmp://").expect("RTMP");
        url.split('/').next().expect("an address")
    }

    fn ctl(&self, arguments: &[&str]) -> Output {
        let mut command = openrtmp(&["ctl", "--control"]);
        let output = command.arg(self.at("ctl.sock")).args(arguments).output();
        output.expect("the command starts")
    }

    /// What it prints, all being well.
    fn print(&self, arguments: &[&str]) -> String {
        let output = self.ctl(arguments);
        let told = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
        text(&output.stdout)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.print(&[arguments, &["--json"]].concat());
        serde_json::from_str(&printed).expect("JSON")
    }

    fn wait_for(&mut self, part: &str) -> String {
        let mut lines = self.log.by_ref().map_while(Result::ok);
        let found = lines.find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("it ended without {part:?}"))
    }

    /// Somebody who publishes until it is told not to.
    fn publisher(&mut self, name: &str) -> Publisher {
        let movie = movie(self.folder.path());
        let url = format!("{}/{name}", self.url);
        let mut command = openrtmp(&["publish", "--loop", &movie, &url]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let publisher = Publisher(command.spawn().expect("the command starts"));
        self.wait_for("consists of");
        publisher
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Publisher(Child);

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Some AAC frames (FLV 10.1, annex E).
fn movie(folder: &Path) -> String {
    let mut flv = b"FLV\x01\x04\x00\x00\x00\x09\x00\x00\x00\x00".to_vec();
    let frames = std::iter::repeat_n(&[0xAF, 1, 0x21, 0x10][..], 40);
    let bodies = std::iter::once(&[0xAF, 0, 0x11, 0x90][..]).chain(frames);
    for (time, body) in (0_u8..).step_by(5).zip(bodies) {
        flv.extend_from_slice(&[8, 0, 0, 4, 0, 0, time, 0, 0, 0, 0]);
        flv.extend_from_slice(body);
        flv.extend_from_slice(&[0, 0, 0, 15]);
    }
    let path = folder.join("movie.flv");
    fs::write(&path, flv).expect("it is written");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn an_operator_sees_who_is_there_and_sends_them_away() {
    let mut server = Server::start("workers: 1\n");
    let mut publisher = server.publisher("cam");
    let streams = server.print(&["streams"]);
    let lines: Vec<Vec<&str>> = streams
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][..3], ["id", "stream", "state"]);
    assert_eq!(lines[1][1..3], ["live/cam", "live"]);
    let connections = server.json(&["connections"]);
    let id = connections["connections"][0]["connection_id"].to_string();
    assert_eq!(lines[1][4], id);
    assert!(server.print(&["connections"]).contains(" publishing "));
    assert!(
        server
            .print(&["health"])
            .starts_with("live   yes\nready  yes\n")
    );

    let films = server.at("films");
    let films = films.to_str().expect("UTF-8");
    server.print(&["record", "start", "live/cam", "--directory", films]);
    assert!(server.print(&["record", "list"]).contains("live/cam"));
    server.wait_for("recording");
    let made = server.json(&["record", "stop", "live/cam"]);
    assert_eq!(made["files"], 1, "{made}");

    let rule = server.print(&[
        "relay",
        "add",
        "pull",
        "far/*",
        "rtmp://127.0.0.1:9/x/{name}",
    ]);
    assert!(server.print(&["relay", "list"]).contains("operator"));
    server.print(&["relay", "remove", rule.trim()]);

    server.print(&["kick", &id, "--reason", "enough"]);
    let status = publisher.0.wait().expect("it ends");
    assert_eq!(status.code(), Some(1));
    server.wait_for("by the host: enough");
    let again = server.ctl(&["kick", &id]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(text(&again.stderr), "openrtmp: no such connection\n");
    let wrong = server.ctl(&["kick"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn keys_and_settings_hold_at_once() {
    let mut server = Server::start("gop: {max_frames: 100}\n");
    let refused = server.ctl(&["keys", "list"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("access.keys_file is not set"));

    let keys = server.at("keys.json");
    fs::write(&keys, "[]").expect("it is written");
    let settings = |frames: u32, workers: &str| {
        let keys = keys.display();
        format!("gop: {{max_frames: {frames}}}\naccess: {{keys_file: {keys}}}\n{workers}")
    };
    fs::write(server.at("server.yaml"), settings(200, "workers: 63\n")).expect("it is written");
    let reload = server.ctl(&["reload"]);
    assert_eq!(reload.status.code(), Some(1));
    assert!(text(&reload.stderr).contains("only a restart changes workers"));
    fs::write(server.at("server.yaml"), "gop: 1\n").expect("it is written");
    let reload = server.ctl(&["reload"]);
    assert_eq!(reload.status.code(), Some(1));
    assert!(text(&reload.stderr).contains("server.yaml: line 1: gop"));
    fs::write(server.at("server.yaml"), settings(200, "")).expect("it is written");
    let reloaded = server.json(&["reload"]);
    let changed = reloaded["changed"].as_array().expect("a list");
    assert!(changed.contains(&"gop.max_frames".into()), "{reloaded}");

    let publish = |key: &str| {
        let movie = movie(server.folder.path());
        let url = format!("{}/{key}", server.url);
        let output = openrtmp(&["publish", "--fast", &movie, &url]).output();
        output.expect("the command starts").status.code()
    };
    let key = server.print(&["keys", "add", "publish", "--stream", "cam"]);
    assert_eq!(publish(key.trim()), Some(0));
    assert!(!server.print(&["keys", "list"]).contains(key.trim()));
    server.print(&["keys", "revoke", "publish-cam"]);
    assert_eq!(publish(key.trim()), Some(1));
    let line = server.wait_for("control: keys_revoke");
    assert!(!line.contains(key.trim()));
}

/// As a full disk leaves it, or who writes a file in place and is seen half-way.
#[test]
fn a_file_that_was_cut_off_opens_nothing() {
    let whole = "workers: 1\naccess:\n  publish_keys: [studio]\n";
    let server = Server::start(whole);
    let movie = movie(server.folder.path());
    for cut in ["", "# all settings\n", "workers: 1\n"] {
        fs::write(server.at("server.yaml"), cut).expect("it is written");
        let reload = server.ctl(&["reload"]);
        assert_eq!(reload.status.code(), Some(1), "{cut}");
        let told = text(&reload.stderr);
        assert!(told.contains("the settings stay as they are"), "{told}");
    }
    let url = format!("{}/cam", server.url);
    let mut publish = openrtmp(&["publish", "--fast", &movie, &url]);
    let refused = publish.output().expect("the command starts");
    assert_eq!(refused.status.code(), Some(1));
    let said = "workers: 1\naccess:\n  publish_keys: []\n";
    fs::write(server.at("server.yaml"), said).expect("it is written");
    server.print(&["reload"]);
    let granted = publish.output().expect("the command starts");
    assert!(granted.status.success(), "{}", text(&granted.stderr));
}

#[test]
fn a_drained_server_ends_when_all_have_left() {
    let mut server = Server::start("workers: 1\n");
    let publisher = server.publisher("cam");
    let refused = server.ctl(&["drain", "--to", "http://b"]);
    assert_eq!(refused.status.code(), Some(1));
    server.print(&["drain", "--grace", "1h"]);
    server.wait_for("Draining: 1 connection");
    server.wait_for("draining: nobody new is taken");
    let health = server.ctl(&["health"]);
    assert_eq!(health.status.code(), Some(1));
    assert!(text(&health.stdout).contains("the server is being drained"));
    let again = server.ctl(&["drain"]);
    assert_eq!(again.status.code(), Some(1));
    let late = openrtmp(&["play", "--timeout", "60s", &format!("{}/cam", server.url)]).output();
    let late = text(&late.expect("the command starts").stderr);
    assert!(late.contains("takes nobody new"), "{late}");
    assert_eq!(server.json(&["streams"])["streams"][0]["name"], "live/cam");
    // Settings and keys hold as long as it takes.
    fs::write(
        server.at("server.yaml"),
        "workers: 1\ngop: {max_frames: 7}\n",
    )
    .expect("it is written");
    let line = server.wait_for("settings changed: ");
    assert!(line.contains("gop.max_frames"), "{line}");
    assert_eq!(server.json(&["reload"])["failed"], Value::Array(Vec::new()));
    drop(publisher);
    let status = server.process.wait().expect("it ends");
    assert!(status.success());
    assert!(!server.at("ctl.sock").exists());
}

#[test]
fn what_cannot_be_done_as_the_settings_say_is_told_and_stays_as_it_was() {
    let server = Server::start("workers: 1\n");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("it is bound");
    for (setting, told) in [
        (
            format!("metrics: {{listen: ['{taken}']}}\n"),
            "metrics are told where they were",
        ),
        (
            "log: {output: [file], file: {path: /no/such/folder/a.log}}\n".to_owned(),
            "the log stays as it is",
        ),
    ] {
        let setting = format!("workers: 1\n{setting}");
        fs::write(server.at("server.yaml"), setting).expect("it is written");
        let reload = server.ctl(&["reload"]);
        assert_eq!(reload.status.code(), Some(1), "{told}");
        let error = text(&reload.stderr);
        assert!(
            error.contains("not done: ") && error.contains(told),
            "{error}"
        );
        let reload = server.ctl(&["reload", "--json"]);
        assert!(text(&reload.stdout).contains(told), "{reload:?}");
    }
    fs::write(server.at("server.yaml"), "workers: 1\n").expect("it is written");
    server.print(&["reload"]);
}

#[test]
fn a_socket_for_operators_that_cannot_be_had_leaves_the_old_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("a.sock"), folder.path().join("b.sock"));
    let file = folder.path().join("server.yaml");
    let listen = |path: &Path, clients: usize| {
        let path = path.display();
        let text = format!("control: {{listen: '{path}', clients: {clients}}}\n");
        fs::write(&file, text).expect("it is written");
    };
    listen(&first, 8);
    let mut command = openrtmp(&["serve", "--listen", "127.0.0.1:0", "--config"]);
    let process = command.arg(&file).spawn().expect("the command starts");
    let mut process = Publisher(process);
    let banner = BufReader::new(process.0.stdout.take().expect("a pipe"));
    let mut lines = banner.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("Ctrl-C")));
    let reload = |path: &Path| {
        let mut command = openrtmp(&["ctl", "reload", "--control"]);
        command.arg(path).output().expect("the command starts")
    };
    listen(Path::new("/no/such/folder/ctl.sock"), 8);
    let told = reload(&first);
    assert_eq!(told.status.code(), Some(1));
    let error = text(&told.stderr);
    assert!(error.contains("is answered where it was"), "{error}");
    listen(&first, 9);
    assert!(reload(&first).status.success());
    listen(&second, 9);
    assert!(reload(&first).status.success());
    assert!(reload(&second).status.success());
    assert!(!first.exists());
}

#[test]
fn who_can_goes_where_a_drain_sends_it() {
    let mut old = Server::start("workers: 1\nrtmp: {handshake_timeout: 10m}\n");
    let mut new = Server::start("workers: 1\n");
    let mut publisher = old.publisher("cam");
    let file = old.at("cam.flv");
    let url = format!("{}/cam", old.url);
    let mut play = openrtmp(&["record", "--duration", "3s", &url]);
    let mut player = Publisher(play.arg(&file).spawn().expect("the command starts"));
    old.wait_for("play live/cam");
    let there = new.url.strip_suffix("/live").expect("the app").to_owned();
    // One that says nothing keeps the old server from ending.
    let silent = std::net::TcpStream::connect(old.address()).expect("it listens");
    old.print(&["drain", "--to", &there, "--grace", "1h"]);
    new.wait_for("published");
    let late = old.at("late.flv");
    let mut play = openrtmp(&["record", "--duration", "1s", &url]);
    let late_play = play.arg(&late).status().expect("the command starts");
    assert!(late_play.success());
    assert!(fs::metadata(&late).expect("it is there").len() > 1000);
    drop(silent);
    assert!(old.process.wait().expect("it ends").success());
    assert!(player.0.wait().expect("it ends").success());
    assert!(fs::metadata(&file).expect("it is there").len() > 1000);
    assert!(publisher.0.try_wait().expect("it runs").is_none());
}

#[test]
fn a_signal_ends_the_waiting_of_a_drain() {
    let mut server = Server::start("workers: 1\n");
    let _publisher = server.publisher("cam");
    server.print(&["drain", "--grace", "1h"]);
    server.wait_for("Draining: 1 connection");
    let id = server.process.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("there is a kill").success());
    assert!(server.process.wait().expect("it ends").success());
}

#[test]
fn without_a_server_it_says_where_it_looked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("none.sock");
    for by_flag in [true, false] {
        let mut command = openrtmp(&["ctl", "streams"]);
        match by_flag {
            true => command.arg("--control").arg(&path),
            false => command.env("OPENRTMP_CONTROL__LISTEN", &path),
        };
        let output = command.output().expect("the command starts");
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        let expected = format!("openrtmp: {}: no server answers", path.display());
        assert!(told.starts_with(&expected), "{told}");
    }
}

#[test]
fn a_second_server_does_not_take_the_first_ones_socket() {
    let server = Server::start("workers: 1\n");
    let mut command = openrtmp(&["serve", "--listen", "127.0.0.1:0", "--control"]);
    let second = command.arg(server.at("ctl.sock")).output();
    let second = second.expect("the command starts");
    assert_eq!(second.status.code(), Some(2));
    assert!(text(&second.stderr).contains("another process answers there"));
    assert!(server.ctl(&["health"]).status.success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_hang_up_in_its_first_moment_is_remembered() {
    let mut process = openrtmp(&["serve", "--listen", "127.0.0.1:0"])
        .spawn()
        .expect("the command starts");
    let id = process.id().to_string();
    // From then on it is caught: long before there are settings to be read again.
    let catches = || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.expect("it is there").trim(), 16);
        caught.expect("signals") & 1 != 0
    };
    support::wait_until("it catches a hang-up", catches);
    let sent = Command::new("kill").args(["-HUP", &id]).status();
    assert!(sent.expect("there is a kill").success());
    let log = BufReader::new(process.stderr.take().expect("a pipe"));
    let mut lines = log.lines().map_while(Result::ok);
    let told = lines.any(|line| line.contains("no setting has changed"));
    let _ = process.kill();
    let status = process.wait().expect("it ends");
    assert!(told, "{status}");
}
