//! `openrtmp serve` and the clients of the same command, end to end.

#[cfg(target_os = "linux")]
mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

fn openrtmp(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openrtmp"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    openrtmp(arguments).output().expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command at work, ended with its test.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let mut command = openrtmp(arguments);
        Running(
            command
                .stderr(Stdio::null())
                .spawn()
                .expect("the command starts"),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server.
struct Server {
    #[cfg_attr(not(unix), expect(dead_code, reason = "held"))]
    process: Running,
    #[cfg_attr(not(unix), expect(dead_code))]
    stdout: BufReader<ChildStdout>,
    /// What it printed until it was ready.
    banner: Vec<String>,
}

impl Server {
    fn start(flags: &[&str]) -> Server {
        Server::with(flags, |_| {})
    }

    /// One that listens on a free port, unless the flags say where.
    fn with(flags: &[&str], change: impl FnOnce(&mut Command)) -> Server {
        let mut arguments = vec!["serve", "--log", "off"];
        if !flags.contains(&"--listen") {
            arguments.extend_from_slice(&["--listen", "127.0.0.1:0"]);
        }
        arguments.extend_from_slice(flags);
        let mut command = openrtmp(&arguments);
        change(command.stderr(Stdio::null()));
        let mut process = Running(command.spawn().expect("the command starts"));
        let stdout = process.0.stdout.take().expect("its output is a pipe");
        let mut stdout = BufReader::new(stdout);
        let mut banner = Vec::new();
        while banner
            .last()
            .is_none_or(|line: &String| !line.starts_with("Ctrl-C"))
        {
            let mut line = String::new();
            let count = stdout.read_line(&mut line).expect("its output is UTF-8");
            assert!(count > 0, "the server ended: {banner:?}");
            banner.push(line.trim_end().to_owned());
        }
        Server {
            process,
            stdout,
            banner,
        }
    }

    /// The line of the banner that starts so, without that.
    fn told(&self, start: &str) -> String {
        let found = self.banner.iter().find_map(|line| line.strip_prefix(start));
        found
            .unwrap_or_else(|| panic!("no {start:?} in {:?}", self.banner))
            .to_owned()
    }

    /// Where to publish, put together as a user of OBS would.
    fn publish_url(&self) -> String {
        format!(
            "{}/{}",
            self.told("  Server      "),
            self.told("  Stream Key  ")
        )
    }

    fn play_url(&self) -> String {
        self.told("  rtmp://").replacen("", "rtmp://", 1)
    }
}

/// Sixty AAC frames of 23 ms (FLV 10.1, annex E).
fn movie(folder: &Path) -> String {
    let mut flv = b"FLV\x01\x04\x00\x00\x00\x09\x00\x00\x00\x00".to_vec();
    let mut tag = |timestamp: u32, body: &[u8]| {
        let [t3, t2, t1, t0] = timestamp.to_be_bytes();
        flv.extend_from_slice(&[8, 0, 0, body.len() as u8, t2, t1, t0, t3, 0, 0, 0]);
        flv.extend_from_slice(body);
        flv.extend_from_slice(&(11 + body.len() as u32).to_be_bytes());
    };
    tag(0, &[0xAF, 0, 0x11, 0x90]);
    for frame in 0..60 {
        tag(frame * 23, &[0xAF, 1, 0x21, 0x10, frame as u8]);
    }
    let path = folder.join("movie.flv");
    std::fs::write(&path, flv).unwrap();
    path.to_str()
        .expect("the folder's name is ASCII")
        .to_owned()
}

#[cfg(unix)]
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[cfg(unix)]
fn only_file(folder: &Path) -> Vec<u8> {
    let files = files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    std::fs::read(&files[0]).unwrap()
}

/// Bodies of the audio tags in an FLV file.
#[cfg(unix)]
fn audio(flv: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut rest = &flv[13..];
    while let [kind, a, b, c, ..] = *rest {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let body = &rest[11..11 + length];
        if kind == 8 {
            bodies.push(body.to_vec());
        }
        rest = &rest[11 + length + 4..];
    }
    bodies
}

#[test]
fn what_is_published_can_be_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let movie = movie(folder.path());
    let recording = folder.path().join("recording.flv");
    let server = Server::start(&[]);
    let url = server.publish_url();
    assert_eq!(url, server.play_url(), "an open server needs no key");

    let _publisher = Running::start(&["publish", "--loop", &movie, &url]);
    let recorded = run(&[
        "record",
        &url,
        recording.to_str().unwrap(),
        "--duration",
        "2s",
    ]);
    let probed = run(&["probe", "--json", "--duration", "1s", &url]);

    assert!(recorded.status.success(), "{}", text(&recorded.stderr));
    let content = std::fs::read(&recording).unwrap();
    assert!(content.starts_with(b"FLV\x01\x04"), "audio only");
    let duration = content
        .windows(9)
        .position(|w| w == b"duration\x00")
        .unwrap()
        + 9;
    let duration = f64::from_be_bytes(content[duration..duration + 8].try_into().unwrap());
    assert!((1.9..=2.0).contains(&duration), "{duration}");

    assert!(probed.status.success(), "{}", text(&probed.stderr));
    let report: serde_json::Value = serde_json::from_slice(&probed.stdout).unwrap();
    assert_eq!(report["audio"][0]["fourcc"], "mp4a");
    assert_eq!(report["audio"][0]["sample_rate"], 48_000);
    assert_eq!(report["video"], serde_json::json!([]));
}

#[test]
fn a_player_before_its_publisher_gets_the_stream_and_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let movie = movie(folder.path());
    let server = Server::start(&[]);
    let url = server.play_url();
    let mut player = Running::start(&["play", "-o", "-", &url]);
    let mut publisher = Running::start(&["publish", "--loop", &movie, &url]);
    let mut output = player.0.stdout.take().expect("its output is a pipe");
    let mut start = [0; 5];
    output.read_exact(&mut start).unwrap();
    assert_eq!(start[..4], *b"FLV\x01");
    publisher.0.kill().unwrap();
    output.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(player.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_server_with_keys_refuses_others_and_tells_no_key_to_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let movie = movie(folder.path());
    let server = Server::start(&["--publish-key", "secret"]);
    // Standard output is no terminal.
    assert_eq!(server.told("  Stream Key  "), "stream?key=***");

    let refused = run(&["publish", "--fast", &movie, &server.play_url()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("NetStream.Publish."),
        "{}",
        text(&refused.stderr)
    );
    let url = format!("{}?key=secret", server.play_url());
    let granted = run(&["publish", "--fast", &movie, &url]);
    assert!(granted.status.success(), "{}", text(&granted.stderr));
}

#[test]
#[cfg(unix)]
fn a_server_records_what_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let movie = movie(folder.path());
    let films = folder.path().join("films");
    let mut server = Server::start(&["--record", films.to_str().unwrap()]);
    let published = run(&["publish", "--fast", &movie, &server.publish_url()]);
    assert!(published.status.success(), "{}", text(&published.stderr));
    assert!(text(&published.stderr).starts_with("published 0:01.3 "));
    stop(&mut server);
    assert!(only_file(&films.join("live")).starts_with(b"FLV"));
}

#[test]
fn a_server_with_play_keys_tells_none_to_a_pipe() {
    let server = Server::start(&["--play-key", "guest"]);
    assert!(server.play_url().ends_with("/live/stream?key=***"));
    let url = server.play_url().replace("***", "wrong");
    let refused = run(&["play", &url]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(!text(&refused.stderr).contains("wrong"));
}

#[test]
fn a_stream_that_is_not_there_is_waited_for_aloud_and_given_up_when_told() {
    let server = Server::start(&[]);
    let url = server.play_url();
    for command in ["play", "probe"] {
        let waited = run(&[command, "--timeout", "3s", &url]);
        assert_eq!(waited.status.code(), Some(1), "{command}");
        let told = text(&waited.stderr);
        let lines: Vec<_> = told.lines().collect();
        assert!(lines[0].ends_with("waiting for the stream"), "{told}");
        assert_eq!(lines[1..], ["openrtmp: no media for 3 s"], "{told}");
    }
}

#[test]
fn a_player_tries_again_until_there_is_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let movie = movie(folder.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    drop(taken);
    let url = format!("rtmp://{address}/live/stream");
    let mut player = openrtmp(&["play", "--retry=100ms", "-o", "-", &url]);
    let mut player = Running(player.spawn().expect("the command starts"));
    let mut told = BufReader::new(player.0.stderr.take().expect("a pipe")).lines();
    let first = told.next().unwrap().unwrap();
    assert!(first.ends_with("; again in 0.1 s"), "{first}");
    // What it tells from now on is read, so that it can go on.
    let told = std::thread::spawn(move || told.for_each(drop));
    let _server = Server::start(&["--listen", &address]);
    let mut publisher = openrtmp(&["publish", "--retry", "--loop", &movie, &url]);
    let _publisher = Running(publisher.spawn().expect("the command starts"));
    let mut output = player.0.stdout.take().expect("its output is a pipe");
    let mut start = [0; 5];
    output.read_exact(&mut start).unwrap();
    assert_eq!(start[..4], *b"FLV\x01");
    drop((output, player));
    told.join().unwrap();
}

/// A server that is gone while a file is under way: the rest goes to the next one, with
/// what is needed to decode it.
#[test]
#[cfg(unix)]
fn a_publisher_that_tries_again_goes_on_in_the_middle_of_its_file() {
    use std::io::Write;

    /// FLV's header, the tag of the configuration, and half of the tags of frames.
    const HALF: usize = 13 + (15 + 4) + 30 * (16 + 4);
    let folder = tempfile::tempdir().unwrap();
    let movie = std::fs::read(movie(folder.path())).unwrap();
    let films = folder.path().join("films");
    let first = Server::start(&[]);
    let url = first.publish_url();
    let address = url.split('/').nth(2).unwrap().to_owned();
    let player = openrtmp(&["play", "-o", "-", &url]).spawn();
    let mut player = Running(player.expect("the command starts"));
    // It is there before the first frame, and has them all.
    let waits = player.0.stderr.take().expect("a pipe");
    let waits = BufReader::new(waits).lines().next().unwrap().unwrap();
    assert!(waits.ends_with("waiting for the stream"), "{waits}");
    let mut publisher = openrtmp(&["publish", "--fast", "--retry=100ms", "-", &url]);
    let publisher = publisher.stdin(Stdio::piped()).spawn();
    let mut publisher = Running(publisher.expect("the command starts"));
    let mut file = publisher.0.stdin.take().expect("a pipe");
    file.write_all(&movie[..HALF]).unwrap();
    let mut seen = player.0.stdout.take().expect("its output is a pipe");
    // What it begins with, and some frames.
    seen.read_exact(&mut [0; 400]).unwrap();
    drop((first, player));
    let mut told = BufReader::new(publisher.0.stderr.take().expect("a pipe")).lines();
    let broken = told.next().unwrap().unwrap();
    assert!(broken.ends_with("; again in 0.1 s"), "{broken}");
    let told = std::thread::spawn(move || told.map_while(Result::ok).last());
    let films_flag = ["--record", films.to_str().unwrap()];
    let mut second = Server::start(&[&["--listen", &address], &films_flag[..]].concat());
    file.write_all(&movie[HALF..]).unwrap();
    drop(file);
    assert!(publisher.0.wait().unwrap().success());
    let told = told.join().unwrap().expect("it tells what it did");
    assert!(told.starts_with("published 0:01.3 "), "{told}");
    stop(&mut second);
    let bodies = audio(&only_file(&films.join("live")));
    assert_eq!(bodies[0], [0xAF, 0, 0x11, 0x90], "the configuration, again");
    let frames: Vec<u8> = bodies[1..].iter().map(|body| body[4]).collect();
    let rest: Vec<u8> = (frames[0]..60).collect();
    assert_eq!(frames, rest, "from where it broke off to the end");
    assert!((1..=30).contains(&frames[0]), "{}", frames[0]);
}

/// Where `--output` leads that is no file, and standard output by another name.
#[test]
#[cfg(unix)]
fn a_stream_is_played_into_fifos_devices_and_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let movie = movie(folder.path());
    let server = Server::start(&[]);
    let url = server.play_url();
    let _publisher = Running::start(&["publish", "--loop", &movie, &url]);
    let fifo = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let path = fifo.to_str().unwrap();
    let player = Running::start(&["play", "-o", path, &url]);
    // Opening waits for the writer, which waits for us.
    let mut start = [0; 5];
    let mut end = std::fs::File::open(&fifo).unwrap();
    end.read_exact(&mut start).unwrap();
    assert_eq!(start[..4], *b"FLV\x01");
    drop((end, player));

    let into_nothing = run(&["play", "-o", "/dev/null", "--duration", "100ms", &url]);
    let told = text(&into_nothing.stderr);
    assert!(into_nothing.status.success(), "{told}");
    assert!(told.starts_with("played 0:00."), "{told}");
    // It is there still, and a device.
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());

    for name in ["/dev/stdout", "/dev/fd/1", "-"] {
        let piped = run(&["play", "-o", name, "--duration", "100ms", &url]);
        assert!(piped.status.success(), "{name}: {}", text(&piped.stderr));
        assert!(piped.stdout.starts_with(b"FLV\x01"), "{name}");
        assert!(audio(&piped.stdout).len() > 2, "{name}");
    }
    // A file behind standard output is appended to, as the shell's `>>` has it.
    let file = folder.path().join("appended");
    std::fs::write(&file, b"before").unwrap();
    let appended = std::fs::OpenOptions::new()
        .append(true)
        .open(&file)
        .unwrap();
    let mut player = openrtmp(&["play", "-o", "/dev/stdout", "--duration", "100ms", &url]);
    let played = player.stdout(appended).output().expect("it starts");
    assert!(played.status.success(), "{}", text(&played.stderr));
    assert!(std::fs::read(&file).unwrap().starts_with(b"beforeFLV\x01"));
}

/// Names with the time of the place where the server is, if that is wanted.
#[test]
#[cfg(unix)]
fn recordings_are_named_by_local_time_where_the_settings_say_so() {
    use std::time::{SystemTime, UNIX_EPOCH};

    const DAY: u64 = 86_400;
    let folder = tempfile::tempdir().unwrap();
    let movie = movie(folder.path());
    let films = folder.path().join("films");
    let settings = folder.path().join("server.yaml");
    let text = format!(
        "record: {{directory: '{}', template: '{{time}}', time_zone: local}}\n",
        films.display()
    );
    std::fs::write(&settings, text).unwrap();
    let seconds = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap().as_secs()
    };
    let before = seconds();
    // 13 hours and 45 minutes ahead of UTC, which POSIX writes the other way about.
    let mut server = Server::with(&["--config", settings.to_str().unwrap()], |command| {
        command.env("TZ", "XXX-13:45");
    });
    let published = run(&["publish", "--fast", &movie, &server.publish_url()]);
    assert!(published.status.success());
    stop(&mut server);
    let after = seconds();
    let [file] = &files(&films)[..] else {
        panic!("{:?}", files(&films));
    };
    let name = file.file_stem().unwrap().to_str().unwrap();
    let numbers: Vec<u64> = name.split('-').map(|part| part.parse().unwrap()).collect();
    let shown = numbers.iter().fold(0, |sum, number| sum * 60 + number);
    let since_before = (shown + DAY - (before + 13 * 3600 + 45 * 60) % DAY) % DAY;
    assert!(since_before <= after - before, "{name}");
}

/// Files as recorders leave them: appended to one another, and with tags that FLV keeps
/// for later.
#[test]
fn a_file_of_two_recordings_is_published_whole() {
    let folder = tempfile::tempdir().unwrap();
    let one = std::fs::read(movie(folder.path())).unwrap();
    let reserved = b"\x07\0\0\x03\0\0\0\0\0\0\0abc\0\0\0\x0e";
    let both = folder.path().join("both.flv");
    std::fs::write(&both, [&one[..], reserved, &one].concat()).unwrap();
    let server = Server::start(&[]);
    let url = server.publish_url();
    let published = run(&["publish", "--fast", both.to_str().unwrap(), &url]);
    let told = text(&published.stderr);
    assert!(published.status.success(), "{told}");
    // Both times the header and sixty frames.
    assert!(told.contains(": 122 messages, "), "{told}");
}

/// A log that nobody reads: a pipe that is full. The server goes on.
#[test]
#[cfg(unix)]
fn a_reader_that_stops_does_not_stop_the_server() {
    use openrtmp_core::client::{Client, ClientConfig, ClientMode};
    use openrtmp_core::protocol::RtmpUrl;

    /// Lines of hundreds of bytes: more than a pipe and the queue behind it hold.
    const STRANGERS: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let movie = movie(folder.path());
    let settings = folder.path().join("server.yaml");
    std::fs::write(&settings, "limits: {log_lines: 0, connections: 5000}\n").unwrap();
    let mut process = openrtmp(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--log",
        "trace",
        "--stop-timeout",
        "0",
        "--config",
        settings.to_str().unwrap(),
    ]);
    let mut process = Running(process.spawn().expect("the command starts"));
    let mut log = process.0.stderr.take().expect("a pipe");
    let mut stdout = BufReader::new(process.0.stdout.take().expect("a pipe"));
    let url = loop {
        let mut line = String::new();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "it ended");
        if let Some(url) = line.trim().strip_prefix("rtmp://") {
            break format!("rtmp://{url}");
        }
    };
    for n in 0..STRANGERS {
        let url = RtmpUrl::parse(&format!("{url}-{}-{n}", "x".repeat(100))).unwrap();
        Client::connect(ClientConfig::new(url, ClientMode::Play)).expect("it is served");
    }
    let published = run(&["publish", "--fast", &movie, &url]);
    assert!(published.status.success(), "{}", text(&published.stderr));
    signal("TERM", &process);
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        log.read_to_end(&mut all).map(|_| text(&all))
    });
    stdout.read_to_string(&mut String::new()).unwrap();
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
    let told = reader.join().unwrap().unwrap();
    assert!(
        told.contains(" lines were lost here: more came"),
        "{}",
        told.len()
    );
}

/// Ctrl-C while whoever should read the stream has stopped.
#[test]
#[cfg(unix)]
fn a_player_whose_reader_stopped_heeds_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let movie = movie(folder.path());
    let server = Server::start(&[]);
    let url = server.play_url();
    let mut player = Running::start(&["play", "-o", "-", &url]);
    // More than the pipe and the queue before it hold, several times.
    let _publisher = Running::start(&["publish", "--loop", "--fast", &movie, &url]);
    let mut output = player.0.stdout.take().expect("its output is a pipe");
    output.read_exact(&mut [0; 1024]).unwrap();
    signal("INT", &player);
    assert_eq!(player.0.wait().unwrap().code(), Some(0));
    drop(output);
}

#[test]
#[cfg(target_os = "linux")]
fn the_limit_of_open_files_is_raised() {
    let command = format!(
        "ulimit -S -n 64; exec {} serve --listen 127.0.0.1:0 --log off",
        env!("CARGO_BIN_EXE_openrtmp")
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).stdout(Stdio::piped());
    let mut server = Running(shell.spawn().expect("there is a shell"));
    let mut stdout = BufReader::new(server.0.stdout.take().expect("a pipe"));
    stdout.read_line(&mut String::new()).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.0.id())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let mut numbers = line.unwrap().split_whitespace().skip(3);
    assert_eq!(numbers.next(), numbers.next(), "{limits}");
}

/// The terminal that it was started from is closed; `script` makes one.
#[test]
#[cfg(target_os = "linux")]
fn a_server_ends_with_its_terminal_though_it_has_settings_to_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, pid) = (folder.path().join("server.yaml"), folder.path().join("pid"));
    std::fs::write(&settings, "listen: ['127.0.0.1:0']\n").unwrap();
    let command = format!(
        "stty cols 30; echo $$ > {}; exec {} serve --config {}",
        pid.display(),
        env!("CARGO_BIN_EXE_openrtmp"),
        settings.display()
    );
    let mut terminal = Command::new("script");
    terminal
        .args(["-q", "-c", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut terminal = Running(terminal.spawn().expect("Debian has it"));
    let mut screen = BufReader::new(terminal.0.stdout.take().expect("a pipe"));
    let mut shown = Vec::new();
    // The line at the foot, at last.
    while !text(&shown).contains("0 streams") {
        assert!(screen.read_until(b's', &mut shown).unwrap() > 0, "it ended");
    }
    let pid = std::fs::read_to_string(pid).unwrap();
    // A zombie may be left: nobody here is its parent.
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert!(is_there());
    terminal.0.kill().unwrap();
    terminal.0.wait().unwrap();
    support::wait_until("it is gone", || !is_there());
    screen.read_to_end(&mut shown).unwrap();
    let shown = text(&shown);
    assert!(
        !shown.contains("dropped"),
        "wider than the terminal: {shown:?}"
    );
}

/// Ctrl-C at a terminal: how long those who are there may take is counted down, and a
/// second one does not wait.
#[test]
#[cfg(target_os = "linux")]
fn a_stop_at_a_terminal_counts_down_and_a_second_signal_forces_it() {
    let folder = tempfile::tempdir().unwrap();
    let movie = movie(folder.path());
    let command = format!(
        "echo pid $$ $$; exec {} serve --listen 127.0.0.1:0 --stop-timeout 10m",
        env!("CARGO_BIN_EXE_openrtmp"),
    );
    let mut terminal = Command::new("script");
    terminal
        .args(["-q", "-c", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut terminal = Running(terminal.spawn().expect("Debian has it"));
    let mut screen = BufReader::new(terminal.0.stdout.take().expect("a pipe"));
    let mut until = |word: &str| {
        let mut shown = Vec::new();
        // Byte by byte: the line at the foot does not end.
        while !shown.ends_with(word.as_bytes()) {
            let mut byte = [0];
            let read = screen.read_exact(&mut byte);
            assert!(read.is_ok(), "no {word:?} in {:?}", text(&shown));
            shown.extend(byte);
        }
        text(&shown)
    };
    until("pid ");
    let pid = until(" ").trim().to_owned();
    until("Play with VLC");
    until("  rtmp://");
    let url = format!("rtmp://{}", until("\r\n").trim());
    let mut publisher = openrtmp(&["publish", "--loop", &movie, &url]);
    let publisher = Running(publisher.stderr(Stdio::null()).spawn().unwrap());
    until("1 publisher");
    signal_to("INT", &pid);
    until("Stopping: 1 connection may take 600 s to leave; Ctrl-C again does not wait.");
    until("Stopping: 599 s left");
    signal_to("INT", &pid);
    until("1 connection closed by force");
    assert!(terminal.0.wait().unwrap().success());
    drop(publisher);
}

#[test]
fn the_example_settings_are_what_the_readme_shows_and_are_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("examples/server.yaml");
    let settings = std::fs::read_to_string(&file).unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains(&format!("```yaml\n{settings}```")));
    let config = openrtmp_core::Config::desktop();
    let mut read = config.clone();
    read.merge(&settings, openrtmp_core::Format::of(&file))
        .unwrap();
    assert_ne!(read, config, "it changes something");
    let films = tempfile::tempdir().unwrap();
    let film = films.path().to_str().unwrap();
    // The flags win: another folder, another port, no keys that are printed.
    let server = Server::start(&["--config", file.to_str().unwrap(), "--record", film]);
    assert_eq!(server.told("Recording to "), film);
    assert_eq!(server.told("  Stream Key  "), "stream?key=***");
}

#[test]
#[cfg(unix)]
fn a_signal_stops_the_server_with_a_summary() {
    let mut server = Server::start(&[]);
    let summary = stop(&mut server);
    assert!(summary.starts_with("Stopped after "), "{summary}");
}

#[test]
#[cfg(unix)]
fn a_hang_up_reads_the_settings_again() {
    let folder = tempfile::tempdir().unwrap();
    let movie = movie(folder.path());
    let file = folder.path().join("server.yaml");
    let settings = |text: &str| std::fs::write(&file, text).unwrap();
    settings("listen: ['127.0.0.1:0']\naccess:\n  publish_keys: [first]\n");
    let mut process = openrtmp(&["serve", "--config", file.to_str().unwrap()]);
    let mut process = Running(process.spawn().expect("the command starts"));
    let stdout = process.0.stdout.take().expect("its output is a pipe");
    let lines = BufReader::new(stdout).lines().map(Result::unwrap);
    let url = lines
        .map(|line| line.trim().to_owned())
        .find(|line| line.starts_with("rtmp://"))
        .expect("it tells where to play");
    let mut log = BufReader::new(process.0.stderr.take().expect("a pipe")).lines();
    let mut logged = |text: &str| {
        let line = log.find(|line| line.as_ref().unwrap().contains(text));
        line.unwrap_or_else(|| panic!("it ended without {text:?}"))
            .unwrap()
    };
    let publish = |key: &str| run(&["publish", "--fast", &movie, &format!("{url}?key={key}")]);
    assert!(publish("first").status.success());

    settings("listen: ['127.0.0.1:0']\naccess:\n  publish_keys: [second]\n");
    signal("HUP", &process);
    logged("settings changed: access.publish_keys");
    assert!(!publish("first").status.success());
    assert!(publish("second").status.success());

    settings("listen: ['127.0.0.1:0']\nacces:\n  publish_keys: [third]\n");
    signal("HUP", &process);
    let line = logged("the settings stay as they are");
    assert!(line.contains("did you mean access?"), "{line}");
    assert!(publish("second").status.success());
    signal("TERM", &process);
    // What it logs last is read, so that it can end.
    log.for_each(drop);
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_served_exits_with_2_and_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let file = file.to_str().unwrap();
    for (flags, word) in [
        (&["--listen", &taken][..], "taken"),
        (&["--listen", &taken, "--listen", &taken], "named twice"),
        (&["--listen", "127.0.0.1:0", "--record", file], file),
        (&["--listen", "127.0.0.1:0", "--publish-key", "a b"], "keys"),
    ] {
        let output = run(&[&["serve"], flags].concat());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(message.contains(word), "{message}");
        assert!(output.stdout.is_empty());
    }
}

/// Ends the server as a service manager would; returns what it printed last.
#[cfg(unix)]
fn stop(server: &mut Server) -> String {
    signal("TERM", &server.process);
    let mut rest = String::new();
    server.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(server.process.0.wait().unwrap().code(), Some(0));
    rest.trim().to_owned()
}

#[cfg(unix)]
fn signal(name: &str, process: &Running) {
    signal_to(name, &process.0.id().to_string());
}

#[cfg(unix)]
fn signal_to(name: &str, pid: &str) {
    // Nothing in std sends a signal.
    let kill = format!("kill -s {name} {pid}");
    let sent = Command::new("sh").args(["-c", &kill]).status();
    assert!(sent.unwrap().success());
}
