//! The command with TLS: its server's certificates, and whom its clients believe.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

fn openrtmp(arguments: &[&str], state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openrtmp"));
    command
        .args(arguments)
        .env_remove("STATE_DIRECTORY")
        .env("XDG_STATE_HOME", state)
        .env("LOCALAPPDATA", state)
        .env("HOME", state)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    let output = openrtmp(arguments, Path::new("")).output();
    output.expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command at work, ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server with TLS on a port of its own.
struct Server {
    process: Running,
    log: Lines<BufReader<ChildStderr>>,
    /// Without the path.
    url: String,
    /// Where streams are played over HTTPS, if they are: a master playlist.
    viewers: String,
    pin: String,
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start(flags: &[&str], state: &Path) -> Server {
        let mut arguments = vec!["serve", "--listen", "rtmps://127.0.0.1:0"];
        arguments.extend_from_slice(flags);
        let mut command = openrtmp(&arguments, state);
        let mut process = Running(command.spawn().expect("the command starts"));
        let stdout = process.0.stdout.take().expect("a pipe");
        let stderr = process.0.stderr.take().expect("a pipe");
        let mut stdout = BufReader::new(stdout);
        let (mut url, mut viewers, mut pin) = (String::new(), String::new(), String::new());
        let mut line = String::new();
        while !line.starts_with("Ctrl-C") {
            line.clear();
            let count = stdout.read_line(&mut line).expect("text");
            assert!(count > 0, "the server ended");
            if let Some(told) = line.trim().strip_prefix("Server      ") {
                told.trim_end_matches("/live").clone_into(&mut url);
            }
            if let Some(at) = line
                .find("https://")
                .filter(|_| line.contains("/index.m3u8"))
            {
                line[at..].trim().clone_into(&mut viewers);
            }
            if let Some(told) = line.trim().strip_prefix("Pin of the certificate  ") {
                told.clone_into(&mut pin);
            }
        }
        assert!(url.starts_with("rtmps://127.0.0.1:"), "{url}");
        Server {
            process,
            log: BufReader::new(stderr).lines(),
            url,
            viewers,
            pin,
            _stdout: stdout,
        }
    }

    /// Waits for a line of its log.
    fn wait_for(&mut self, part: &str) {
        let found = self.log.by_ref().map_while(Result::ok);
        assert!(
            found.into_iter().any(|line| line.contains(part)),
            "no {part:?}"
        );
    }
}

/// A certificate and its key, in files.
fn files(folder: &Path, name: &str, from: SystemTime, to: SystemTime) -> (String, String) {
    let names = vec!["127.0.0.1".to_owned()];
    let mut params = rcgen::CertificateParams::new(names).expect("a name");
    (params.not_before, params.not_after) = (from.into(), to.into());
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let file = |end: &str, text: String| {
        let path = folder.join(format!("{name}.{end}"));
        fs::write(&path, text).expect("it is written");
        path.to_str().expect("ASCII").to_owned()
    };
    (
        file("pem", certificate.pem()),
        file("key", key.serialize_pem()),
    )
}

fn good_files(folder: &Path, name: &str) -> (String, String) {
    let now = SystemTime::now();
    files(folder, name, now - DAY, now + DAY * 9)
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
    fs::write(&path, flv).expect("it is written");
    path.to_str().expect("ASCII").to_owned()
}

#[test]
fn a_pin_serves_for_publishing_recording_and_probing_and_lasts() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let server = Server::start(&["--tls-self-signed"], folder.path());
    let (url, pin) = (format!("{}/live/stream", server.url), server.pin.clone());
    let publish = ["publish", "--loop", "--pin", &pin, &movie, &url];
    let mut publisher = openrtmp(&publish, folder.path());
    let _publisher = Running(publisher.spawn().expect("the command starts"));
    let recording = folder.path().join("recording.flv");
    let recording = recording.to_str().expect("ASCII");
    let recorded = run(&["record", "--pin", &pin, &url, recording, "--duration", "1s"]);
    assert!(recorded.status.success(), "{}", text(&recorded.stderr));
    let probed = run(&["probe", "--json", "--duration", "1s", "--pin", &pin, &url]);
    assert!(probed.status.success(), "{}", text(&probed.stderr));
    let played = run(&["play", "--insecure", "--duration", "1s", &url]);
    assert!(played.status.success(), "{}", text(&played.stderr));
    assert!(text(&played.stderr).contains("is insecure"));

    let other = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let refused = run(&["play", "--pin", other, &url]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("none of those that are pinned"));
    let unknown = run(&["play", &url]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        text(&unknown.stderr).contains("--tls-ca"),
        "{}",
        text(&unknown.stderr)
    );
    drop(server);

    let again = Server::start(&["--tls-self-signed"], folder.path());
    assert_eq!(again.pin, pin);
}

#[test]
fn a_stream_is_relayed_from_one_server_to_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    // They share a folder, and so a key.
    let [from, to] = [(); 2].map(|()| Server::start(&["--tls-self-signed"], folder.path()));
    assert_eq!(from.pin, to.pin);
    let [from_url, to_url] = [&from, &to].map(|server| format!("{}/live/stream", server.url));
    let pin = from.pin.as_str();
    let running = |arguments: &[&str]| {
        let mut command = openrtmp(arguments, folder.path());
        Running(command.spawn().expect("the command starts"))
    };
    let _publisher = running(&["publish", "--loop", "--pin", pin, &movie, &from_url]);
    let _relay = running(&["relay", "--pin", pin, &from_url, &to_url]);
    let probed = run(&[
        "probe",
        "--duration",
        "1s",
        "--timeout",
        "30s",
        "--pin",
        pin,
        &to_url,
    ]);
    assert!(probed.status.success(), "{}", text(&probed.stderr));
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_with_its_file_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = SystemTime::now();
    let (good, key) = good_files(folder.path(), "good");
    let (_, other_key) = good_files(folder.path(), "other");
    let (expired, expired_key) = files(folder.path(), "expired", now - DAY * 9, now - DAY * 3);
    let (early, early_key) = files(folder.path(), "early", now + DAY * 3, now + DAY * 9);
    let junk = folder.path().join("junk.pem");
    let text_of = fs::read_to_string(&good).expect("it is there");
    fs::write(&junk, text_of.replace("\nMII", "\n%%%")).expect("it is written");
    let junk = junk.to_str().expect("ASCII");
    for (certificate, key, file, fault) in [
        (&*good, "no/such.key", "no/such.key", ""),
        ("no/such.pem", &*key, "no/such.pem", ""),
        (
            &good,
            &other_key,
            &other_key,
            "is not the key of the certificate",
        ),
        (&good, &good, &good, "holds no private key"),
        (&key, &key, &key, "holds no certificate"),
        (&expired, &expired_key, &expired, "expired 3 days ago"),
        (&early, &early_key, &early, "not valid before"),
        (junk, &key, junk, "is not well-formed PEM"),
    ] {
        let flags = ["--tls-certificate", certificate, "--tls-key", key];
        let mut arguments = vec!["serve", "--listen", "rtmps://127.0.0.1:0"];
        arguments.extend(flags);
        let output = run(&arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{certificate}: {said}");
        assert!(
            said.contains(file) && said.contains(fault),
            "{fault}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let unknown = run(&[
        "play",
        "--tls-ca",
        "no/such.pem",
        "rtmps://127.0.0.1:1/live/a",
    ]);
    assert_eq!(unknown.status.code(), Some(2));
    let unknown = run(&["play", "--pin", "abc", "rtmps://127.0.0.1:1/live/a"]);
    assert_eq!(unknown.status.code(), Some(2));
}

/// Whether a client that believes this authority alone is let in by the server.
fn believes(server: &Server, authority: &str) -> bool {
    let url = format!("{}/live/stream", server.url);
    let probed = run(&["probe", "--timeout", "1s", "--tls-ca", authority, &url]);
    // Nobody publishes: it fails either way.
    !text(&probed.stderr).contains("TLS")
}

#[test]
fn certificates_that_change_are_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = good_files(folder.path(), "used");
    let flags = ["--tls-certificate", &certificate, "--tls-key", &key];
    let mut server = Server::start(&flags, folder.path());
    let elsewhere = tempfile::tempdir().expect("a folder");
    let (other, other_key) = good_files(elsewhere.path(), "other");
    let old = elsewhere.path().join("old.pem");
    let old = old.to_str().expect("ASCII");
    fs::copy(&certificate, old).expect("it is copied");
    assert!(believes(&server, old) && !believes(&server, &other));
    fs::copy(&other_key, &key).expect("it is copied");
    fs::copy(&other, &certificate).expect("it is copied");
    server.wait_for("certificates read again, others than before");
    assert!(believes(&server, &other) && !believes(&server, old));
    // What is broken is said, and the old ones stay.
    fs::write(&certificate, "junk").expect("it is written");
    server.wait_for("the certificates stay as they are");
    assert!(believes(&server, &other));
}

/// The same of a viewer over HTTPS.
fn views(server: &Server, authority: &str) -> bool {
    let probed = run(&[
        "probe",
        "--timeout",
        "5s",
        "--tls-ca",
        authority,
        &server.viewers,
    ]);
    let told = text(&probed.stderr);
    // Nobody publishes, which is told to who is let in.
    let is_let_in = told.contains("answered with 404");
    assert!(is_let_in || told.contains("certificate"), "{told}");
    is_let_in
}

#[test]
fn viewers_over_https_are_shown_the_certificate_of_rtmps_and_the_next_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = good_files(folder.path(), "used");
    let flags = [
        "--tls-certificate",
        &certificate,
        "--tls-key",
        &key,
        "--https",
        "127.0.0.1:0",
    ];
    let mut server = Server::start(&flags, folder.path());
    assert!(
        server.viewers.starts_with("https://127.0.0.1:"),
        "{}",
        server.viewers
    );
    let elsewhere = tempfile::tempdir().expect("a folder");
    let (other, other_key) = good_files(elsewhere.path(), "other");
    let old = elsewhere.path().join("old.pem");
    let old = old.to_str().expect("ASCII");
    fs::copy(&certificate, old).expect("it is copied");
    assert!(views(&server, old) && believes(&server, old));
    assert!(!views(&server, &other) && !believes(&server, &other));
    fs::copy(&other_key, &key).expect("it is copied");
    fs::copy(&other, &certificate).expect("it is copied");
    server.wait_for("certificates read again, others than before");
    assert!(views(&server, &other) && believes(&server, &other));
    assert!(!views(&server, old) && !believes(&server, old));
}

/// rustls warns of each message that comes where it does not belong.
#[test]
fn what_strangers_make_libraries_say_is_held_back() {
    // A second has so many lines of a kind (`limits.log_lines`).
    const LINES: usize = 20;
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--tls-self-signed", "--https", "127.0.0.1:0"];
    let Server {
        process,
        log,
        url,
        viewers,
        _stdout,
        ..
    } = Server::start(&flags, folder.path());
    let host = |url: &str| url.split('/').nth(2).expect("a host").to_owned();
    let places = [host(&url), host(&viewers)];
    let (sender, lines) = channel();
    let reading = thread::spawn(move || {
        // Whoever counts may have seen enough.
        log.map_while(Result::ok)
            .for_each(|line| drop(sender.send(line)));
    });
    let knock = || {
        for place in &places {
            let mut socket = TcpStream::connect(place).expect("it is served");
            // A change of ciphers, of which nothing was said (RFC 8446, 5).
            let _ = socket.write_all(b"\x14\x03\x03\0\x01\x01");
            // Its end, or a reset.
            let _ = socket.read_to_end(&mut Vec::new());
        }
    };
    let begun = Instant::now();
    (0..200).for_each(|_| knock());
    let mut said = 0;
    let mut is_told = |line: String| {
        said += usize::from(line.contains(" rustls::"));
        line.contains("more lines suppressed: what libraries say")
    };
    // What is held back in a second is told in another one, once something is said then.
    while !lines.try_iter().any(&mut is_told) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not told");
        knock();
    }
    let most = (begun.elapsed().as_secs() as usize + 2) * LINES;
    assert!((1..=most).contains(&said), "{said} lines");
    drop(process);
    reading.join().expect("it ends with the server");
}

#[cfg(unix)]
#[test]
fn a_hang_up_has_certificates_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let far = tempfile::tempdir().expect("a folder");
    let (certificate, key) = good_files(far.path(), "used");
    // What links lead to is watched, too; both may read them.
    let [link, key_link] = ["used.pem", "used.key"].map(|name| folder.path().join(name));
    std::os::unix::fs::symlink(&certificate, &link).expect("a link");
    std::os::unix::fs::symlink(&key, &key_link).expect("a link");
    let [link, key_link] = [link, key_link].map(|p| p.to_str().expect("ASCII").to_owned());
    let flags = ["--tls-certificate", &link, "--tls-key", &key_link];
    let mut server = Server::start(&flags, folder.path());
    let (other, other_key) = good_files(folder.path(), "other");
    fs::copy(&other_key, &key).expect("it is copied");
    fs::copy(&other, &certificate).expect("it is copied");
    let id = server.process.0.id().to_string();
    let sent = Command::new("kill").args(["-HUP", &id]).status();
    assert!(sent.expect("there is a kill").success());
    server.wait_for("certificates read again, others than before");
    assert!(believes(&server, &other));
}
