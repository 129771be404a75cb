//! Programs that are run when something happens, with a shell script as the program.

#![cfg(unix)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

fn openrtmp(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openrtmp"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A process that is ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that runs scripts.
struct Server {
    process: Running,
    log: Lines<BufReader<ChildStderr>>,
    url: String,
    /// Where streams are played over HTTP, if they are.
    watched: Option<String>,
    folder: tempfile::TempDir,
}

impl Server {
    /// With these settings, in which `{script NAME}` stands for a script in a list.
    fn start(scripts: &[(&str, &str)], settings: &str) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = settings.to_owned();
        for (name, text) in scripts {
            let path = folder.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("it is written");
            let executable = fs::Permissions::from_mode(0o700);
            fs::set_permissions(&path, executable).expect("it is ours");
            let path = path.to_str().expect("UTF-8");
            settings = settings.replace(&format!("{{script {name}}}"), path);
        }
        let settings = settings.replace("{folder}", folder.path().to_str().expect("UTF-8"));
        let file = folder.path().join("server.yaml");
        fs::write(&file, settings).expect("it is written");
        let mut command = openrtmp(&["serve", "--listen", "127.0.0.1:0"]);
        // A stop does not wait for peers.
        command.args(["--stop-timeout", "0", "--config"]);
        // The server's own: no script sees it.
        command.env("OPENRTMP_STREAMS__REPUBLISH_GRACE", "1s");
        let mut process = command.arg(&file).spawn().expect("the command starts");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let mut told = lines
            .by_ref()
            .take_while(|line| !line.starts_with("Ctrl-C"));
        let (mut url, mut watched) = (None, None);
        for line in told.by_ref().map(|line| line.trim().to_owned()) {
            if let Some(at) = line.strip_prefix("Server      ") {
                url.get_or_insert(at.to_owned());
            }
            if line.ends_with("/index.m3u8") {
                watched.get_or_insert(line);
            }
        }
        let stderr = process.stderr.take().expect("a pipe");
        Server {
            process: Running(process),
            log: BufReader::new(stderr).lines(),
            url: url.expect("it tells where to publish"),
            watched,
            folder,
        }
    }

    fn wait_for(&mut self, part: &str) -> String {
        let mut lines = self.log.by_ref().map_while(Result::ok);
        let found = lines.find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("it ended without {part:?}"))
    }

    fn spawn(&self, arguments: &[&str]) -> Running {
        let mut command = openrtmp(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().expect("the command starts"))
    }

    fn publisher(&self, name: &str) -> Running {
        let movie = movie(self.folder.path());
        self.spawn(&["publish", "--loop", &movie, &format!("{}/{name}", self.url)])
    }

    fn player(&self, name: &str) -> Running {
        self.spawn(&["play", &format!("{}/{name}", self.url)])
    }

    fn signal(&self, signal: &str) {
        let id = self.process.0.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("there is a kill").success());
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

fn alive(pid: &str) -> bool {
    // A zombie has ended.
    let mut status = Command::new("ps");
    let status = status.args(["-o", "stat=", "-p", pid.trim()]);
    let status = status.output().expect("there is a ps").stdout;
    status
        .trim_ascii()
        .first()
        .is_some_and(|state| *state != b'Z')
}

const TELL: &str = r#"env | grep ^OPENRTMP_ | sort | tr '\n' ' '; echo "args: $@""#;

#[test]
fn programs_are_told_what_it_is_about_and_run_while_it_lasts() {
    let stay = format!("trap 'echo bye; exit 0' TERM; {TELL}; while :; do sleep 0.1; done");
    let mut server = Server::start(
        &[("stay", &stay), ("tell", TELL)],
        "hooks:\n  on_publish: ['{script stay}', 'a b', '$HOME;x']\n  \
         on_publish_done: ['{script tell}']\n  on_play: ['{script stay}']\n  \
         on_record_done: ['{script tell}']\nrecord: {directory: '{folder}/films'}\n",
    );
    let publisher = server.publisher("cam?key=SECRET");
    let line = server.wait_for("OPENRTMP_EVENT=on_publish ");
    let url = server.url.replace("localhost", "127.0.0.1");
    for part in [
        "OPENRTMP_APP=live ",
        "OPENRTMP_STREAM=cam ",
        "OPENRTMP_ADDRESS=127.0.0.1:",
        "OPENRTMP_CONNECTION=",
        &format!("OPENRTMP_URL={url}/cam "),
        "args: a b $HOME;x",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(
        !line.contains("GRACE") && !line.contains("SECRET"),
        "{line}"
    );
    let player = server.player("cam");
    server.wait_for("OPENRTMP_EVENT=on_play ");
    drop(player);
    server.wait_for("on_play[");
    drop(publisher);
    let mut left = vec![
        "on_publish[",
        "OPENRTMP_EVENT=on_publish_done ",
        "OPENRTMP_FILE=",
    ];
    while !left.is_empty() {
        let line = server.wait_for("hooks.");
        left.retain(|part| !line.contains(part));
    }
}

#[test]
fn a_name_that_is_a_key_is_not_shown_whoever_writes_it() {
    let mut server = Server::start(
        &[(
            "tell",
            "echo \"told: $OPENRTMP_STREAM $OPENRTMP_APP/$OPENRTMP_STREAM $OPENRTMP_URL\"",
        )],
        "access: {secret_names: true}\nhooks: {on_publish: ['{script tell}']}\n",
    );
    let _publisher = server.publisher("s3%20cret");
    let line = server.wait_for("told: ");
    assert!(
        line.contains("told: ***") && line.contains("live/***"),
        "{line}"
    );
    assert!(!line.contains("s3") && !line.contains("cret"), "{line}");
}

#[test]
fn what_does_not_end_is_killed_with_all_that_it_started() {
    // The child is of the same group, and heeds nothing either.
    let deaf = "trap '' TERM; sh -c \"trap '' TERM; while :; do sleep 0.1; done\" & \
                echo pids $$ $!; wait";
    let mut server = Server::start(
        &[("deaf", deaf)],
        "hooks: {on_publish: ['{script deaf}'], stop_timeout: 100ms}\n",
    );
    let publisher = server.publisher("cam");
    let line = server.wait_for("pids ");
    let (_, pids) = line.split_once("pids ").expect("it is there");
    let pids: Vec<&str> = pids.split_whitespace().collect();
    assert!(pids.iter().all(|pid| alive(pid)), "{line}");
    drop(publisher);
    server.wait_for("does not end, and is killed");
    support::wait_until("all are gone", || !pids.iter().any(|pid| alive(pid)));
}

#[test]
fn there_are_so_many_at_once_and_what_there_is_not_is_told() {
    let mut server = Server::start(
        &[("stay", "exec sleep 1000")],
        "hooks: {on_publish: ['{script stay}'], on_play: ['no-such-program', KEY], processes: 1}\n",
    );
    let _publisher = server.publisher("cam");
    server.wait_for("consists of");
    let player = server.player("cam");
    server.wait_for("hooks.on_play is not run for live/cam: 1 run (hooks.processes)");
    drop(player);
    fs::write(
        server.folder.path().join("server.yaml"),
        "hooks: {on_play: ['no-such-program', KEY]}\n",
    )
    .expect("it is written");
    let line = server.wait_for("settings changed: ");
    assert!(!line.contains("KEY"), "{line}");
    let _player = server.player("cam");
    let line = server.wait_for("cannot run no-such-program");
    assert!(!line.contains("KEY"), "{line}");
}

#[test]
fn a_stop_ends_them_and_runs_the_last() {
    let mut server = Server::start(
        &[
            ("stay", "echo pid $$; exec sleep 1000"),
            ("last", "sleep 0.2; echo the last"),
        ],
        "hooks: {on_publish: ['{script stay}'], on_publish_done: ['{script last}']}\n",
    );
    let _publisher = server.publisher("cam");
    let line = server.wait_for("pid ");
    let (_, pid) = line.split_once("pid ").expect("it is there");
    server.signal("-TERM");
    server.wait_for("the last");
    assert!(server.process.0.wait().expect("it ends").success());
    assert!(!alive(pid));
}

#[test]
fn a_stream_is_made_when_somebody_asks_for_it_and_while_somebody_plays() {
    // What is passed on to it is not played for that.
    let mut other = Server::start(&[], "workers: 1\n");
    let own = env!("CARGO_BIN_EXE_openrtmp");
    let made = format!("echo made $$; exec {own} publish --loop \"$MOVIE\" \"$OPENRTMP_URL\"");
    let folder = tempfile::tempdir().expect("a folder");
    let movie: PathBuf = movie(folder.path()).into();
    let made = format!("MOVIE={}; {made}", movie.display());
    let mut server = Server::start(
        &[("made", &made)],
        &format!(
            "hooks: {{on_demand: ['{{script made}}'], on_play: [no-such-program], idle_timeout: 0ms}}\n\
             relay: {{push: [{{match: 'live/*', to: '{}/copy'}}]}}\n",
            other.url
        ),
    );
    let url = format!("{}/far", server.url);
    let record = |file: &str| {
        let file = folder.path().join(file);
        let file = file.to_str().expect("UTF-8");
        let mut command = openrtmp(&["record", &url, file, "--duration", "1s"]);
        let played = command.output().expect("the command starts");
        let told = String::from_utf8_lossy(&played.stderr);
        assert!(played.status.success(), "{told}");
    };
    record("first.flv");
    other.wait_for("stream=live/copy");
    let line = server.wait_for("made ");
    let (_, pid) = line.split_once("made ").expect("it is there");
    server.wait_for("unpublished");
    support::wait_until("it is gone", || !alive(pid.trim()));
    record("second.flv");
    server.wait_for("made ");
}

#[test]
fn a_stream_is_made_when_somebody_asks_for_it_over_http() {
    let folder = tempfile::tempdir().expect("a folder");
    let (own, movie) = (env!("CARGO_BIN_EXE_openrtmp"), movie(folder.path()));
    let made = format!("echo made $$; exec {own} publish --loop {movie} \"$OPENRTMP_URL\"");
    let mut server = Server::start(
        &[("made", &made)],
        "http: {listen: ['http://127.0.0.1:0']}\nhooks: {on_demand: ['{script made}']}\n",
    );
    let told = server.watched.clone().expect("it tells where to watch");
    let rest = told.strip_prefix("http://").expect("plain");
    let (address, _) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .write_all(b"GET /live/far.flv HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("it listens");
    let mut head = [0; 12];
    stream.read_exact(&mut head).expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200");
    server.wait_for("made ");
}

#[test]
fn nobody_waits_for_ever_for_what_is_not_made() {
    let mut server = Server::start(
        &[("idle", "echo begun; exec sleep 1000")],
        "hooks: {on_demand: ['{script idle}'], demand_timeout: 1s}\n",
    );
    let mut player = server.player("far");
    server.wait_for("begun");
    server.wait_for("nobody publishes live/far in time");
    assert_eq!(player.0.wait().expect("it ends").code(), Some(1));
}
