//! An HTTP server is asked who may do what, and told of what is over.

#![cfg(feature = "tls")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

fn openrtmp(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openrtmp"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
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

/// One that plays by now, what is published by now: both are asked about before they
/// begin, and what has not begun is never told of as over.
fn player(url: &str) -> Running {
    let play = openrtmp(&["play", "--output", "-", url]).spawn();
    let mut player = Running(play.expect("the command starts"));
    let output = player.0.stdout.as_mut().expect("it is piped");
    output.read_exact(&mut [0]).expect("it plays");
    player
}

/// A server at work, ended with its test.
struct Server {
    process: Child,
    url: String,
    /// Where streams are played over HTTP, if they are.
    viewers: Option<String>,
}

impl Server {
    /// With these settings beside `access.callback.url`, by their variables.
    fn start(web: &Web, settings: &[(&str, &str)]) -> Server {
        Server::with(web, settings, |_| {})
    }

    fn with(web: &Web, settings: &[(&str, &str)], change: impl FnOnce(&mut Command)) -> Server {
        let mut command = openrtmp(&["serve", "--listen", "127.0.0.1:0"]);
        let url = format!("http://{}/rtmp", web.address);
        command.env("OPENRTMP_ACCESS__CALLBACK__URL", url);
        command.env("OPENRTMP_ACCESS__FAILED_ATTEMPTS__LIMIT", "0");
        for (name, value) in settings {
            command.env(format!("OPENRTMP_ACCESS__CALLBACK__{name}"), value);
        }
        change(&mut command);
        let mut process = command.spawn().expect("the command starts");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let (mut url, mut viewers) = (None, None);
        for line in stdout.lines().map_while(Result::ok) {
            let line = line.trim();
            if let Some(told) = line.strip_prefix("Server      ") {
                url.get_or_insert_with(|| told.to_owned());
            }
            if let Some(at) = line
                .find("http://")
                .filter(|_| line.ends_with("/index.m3u8"))
            {
                let host = line[at..].split('/').nth(2);
                viewers = host.map(str::to_owned);
            }
            if line.starts_with("Ctrl-C") {
                break;
            }
        }
        Server {
            process,
            url: url.expect("it tells where to publish"),
            viewers,
        }
    }

    fn publish(&self, movie: &str, name: &str) -> Output {
        let url = format!("{}/{name}", self.url);
        let mut command = openrtmp(&["publish", "--fast", movie, &url]);
        let output = command.stderr(Stdio::piped()).output();
        output.expect("the command starts")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A request that came.
struct Asked {
    head: String,
    body: String,
}

enum Reply {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// None, and no end.
    Nothing,
}

fn reply(status: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
    Reply::Bytes(text.into_bytes())
}

/// An HTTP server that says what a test says.
struct Web {
    address: String,
    asked: Receiver<Asked>,
}

impl Web {
    fn start(answer: impl Fn(&Asked) -> Reply + Send + 'static) -> Web {
        Web::start_with(None, answer)
    }

    /// With TLS, if there is something to show.
    fn start_with(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Asked) -> Reply + Send + 'static,
    ) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (sender, asked) = channel();
        thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let mut stream: Box<dyn Peer> = match &tls {
                    Some(tls) => {
                        let connection = ServerConnection::new(tls.clone()).expect("TLS");
                        Box::new(StreamOwned::new(connection, stream))
                    }
                    None => Box::new(stream),
                };
                let Some(request) = read(&mut stream) else {
                    continue;
                };
                let reply = answer(&request);
                // Before it is answered: who has an answer has asked.
                if sender.send(request).is_err() {
                    return;
                }
                match reply {
                    // Whoever asked may have had enough.
                    Reply::Bytes(bytes) => drop(stream.write_all(&bytes)),
                    Reply::Nothing => silent.push(stream),
                }
            }
        });
        Web { address, asked }
    }
}

trait Peer: Read + Write {}

impl<T: Read + Write> Peer for T {}

fn read(stream: &mut impl Read) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut lengths = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; lengths.next().unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    Some(Asked { head, body })
}

/// Some AAC frames (FLV 10.1, annex E).
fn movie(folder: &Path) -> String {
    let mut flv = b"FLV\x01\x04\x00\x00\x00\x09\x00\x00\x00\x00".to_vec();
    for (time, body) in (0_u8..20).zip(
        std::iter::once(&[0xAF, 0, 0x11, 0x90][..])
            .chain(std::iter::repeat(&[0xAF, 1, 0x21, 0x10][..])),
    ) {
        flv.extend_from_slice(&[8, 0, 0, 4, 0, 0, time, 0, 0, 0, 0]);
        flv.extend_from_slice(body);
        flv.extend_from_slice(&[0, 0, 0, 15]);
    }
    let path = folder.join("movie.flv");
    fs::write(&path, flv).expect("it is written");
    path.to_str().expect("UTF-8").to_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_answer_allows_refuses_and_renames_and_what_is_over_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let web = Web::start(|asked| match &asked.body {
        body if body.contains("\"action\":\"connect\"") => reply("200 OK", "", ""),
        body if body.contains("good") => reply("204 No Content", "", ""),
        body if body.contains("other") => reply("302 Found", "Location: renamed\r\n", ""),
        body if body.contains("far") => {
            reply("302 Found", "Location: rtmp://127.0.0.1/live/far\r\n", "")
        }
        body if body.contains("_done") => reply("200 OK", "", ""),
        _ => reply("403 Forbidden", "", "no such key\n"),
    });
    let server = Server::start(&web, &[("SECRET", "hush")]);
    let output = server.publish(&movie, "cam?key=bad");
    assert!(
        stderr(&output).contains("no such key"),
        "{}",
        stderr(&output)
    );
    let output = server.publish(&movie, "cam?key=far");
    assert!(
        stderr(&output).contains("another server"),
        "{}",
        stderr(&output)
    );
    let output = server.publish(&movie, "cam?key=good");
    assert!(output.status.success(), "{}", stderr(&output));
    let output = server.publish(&movie, "cam?key=other");
    assert!(output.status.success(), "{}", stderr(&output));
    let mut bodies = Vec::new();
    for asked in web.asked.iter() {
        assert!(
            asked.head.starts_with("POST /rtmp HTTP/1.1"),
            "{}",
            asked.head
        );
        let signed = asked.head.to_lowercase().contains("openrtmp-signature: t=");
        assert!(signed, "{}", asked.head);
        let body: serde_json::Value = serde_json::from_str(&asked.body).expect("JSON");
        let last = body["action"] == "publish_done" && body["stream"] == "renamed";
        bodies.push(body);
        if last {
            break;
        }
    }
    let actions: Vec<&str> = bodies
        .iter()
        .filter_map(|body| body["action"].as_str())
        .collect();
    let count = |action| actions.iter().filter(|of| **of == action).count();
    assert_eq!(
        (count("connect"), count("publish"), count("publish_done")),
        (4, 4, 2)
    );
    let publish = bodies
        .iter()
        .find(|body| body["action"] == "publish")
        .expect("one");
    assert_eq!(publish["app"], "live");
    assert_eq!(publish["stream"], "cam");
    assert_eq!(publish["query"], "key=bad");
    assert_eq!(publish["protocol"], "rtmp");
    let address = publish["address"].as_str().expect("a text");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
}

#[test]
fn viewers_over_http_are_asked_about_by_what_they_come_over() {
    let web = Web::start(|asked| match asked.body.contains("key=good") {
        true => reply("200 OK", "", ""),
        false => reply("403 Forbidden", "", "no such key\n"),
    });
    let viewing = |command: &mut Command| {
        command.args(["--http", "127.0.0.1:0"]);
    };
    let server = Server::with(&web, &[], viewing);
    let viewers = server.viewers.as_ref().expect("it delivers");
    let get = |path: &str| {
        let mut stream = TcpStream::connect(viewers).expect("it listens");
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: here.example\r\nUser-Agent: player\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    for (path, protocol) in [
        ("index.m3u8", "hls"),
        ("ts/index.m3u8", "hls"),
        ("manifest.mpd", "dash"),
        (".flv", "flv"),
    ] {
        let path = match path.starts_with('.') {
            true => format!("/live/cam{path}"),
            false => format!("/live/cam/{path}"),
        };
        for (key, status) in [("bad", "403"), ("good", "404")] {
            let answer = get(&format!("{path}?key={key}"));
            // Nobody publishes: who may play is told so.
            let expected = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(&expected), "{path}: {answer}");
            if key == "bad" {
                assert!(answer.ends_with("no such key\n"), "{answer}");
            }
            let asked = web.asked.try_recv().expect("it was asked");
            let body: serde_json::Value = serde_json::from_str(&asked.body).expect("JSON");
            assert_eq!(body["action"], "play", "{body}");
            assert_eq!(body["protocol"], protocol, "{path}: {body}");
            assert_eq!(
                (&body["app"], &body["stream"]),
                (&"live".into(), &"cam".into())
            );
            assert_eq!(body["query"], format!("key={key}"));
            assert!(web.asked.try_recv().is_err(), "once: {path}");
        }
    }
}

#[test]
fn consent_is_kept_and_only_what_is_wanted_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let web = Web::start(|asked| match asked.body.contains("key=last") {
        true => reply("403 Forbidden", "", ""),
        false => reply("200 OK", "", ""),
    });
    let settings = [("CACHE", "1h"), ("EVENTS", "publish"), ("FORMAT", "nginx")];
    let server = Server::start(&web, &settings);
    for name in ["cam?key=a", "cam?key=a", "cam?key=b", "cam?key=a"] {
        let output = server.publish(&movie, name);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    // A refusal is not kept.
    assert!(!server.publish(&movie, "cam?key=last").status.success());
    assert!(!server.publish(&movie, "cam?key=last").status.success());
    let bodies: Vec<String> = web.asked.iter().take(4).map(|asked| asked.body).collect();
    let ends: Vec<&str> = bodies.iter().map(|body| &body[body.len() - 5..]).collect();
    assert_eq!(ends, ["key=a", "key=b", "=last", "=last"], "{bodies:?}");
    assert!(
        bodies[0].starts_with("call=publish&app=live&addr=127.0.0.1&"),
        "{bodies:?}"
    );
    assert!(web.asked.try_recv().is_err());
}

type Answer = fn(&Asked) -> Reply;

/// What servers do that is no answer.
fn no_answers() -> Vec<(&'static str, Answer)> {
    vec![
        ("silence", |_| Reply::Nothing),
        ("an end", |_| Reply::Bytes(Vec::new())),
        ("garbage", |_| Reply::Bytes(vec![0xA5; 4096])),
        ("a failure", |_| {
            reply("500 Internal Server Error", "", "no such key")
        }),
        ("a redirect", |_| {
            reply("302 Found", "Location: http://127.0.0.1:1/\r\n", "")
        }),
        ("half an answer", |_| {
            Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf".to_vec())
        }),
        ("endless headers", |_| {
            let line = format!("X-Much: {}\r\n", "x".repeat(8000));
            Reply::Bytes(format!("HTTP/1.1 200 OK\r\n{}", line.repeat(1000)).into_bytes())
        }),
    ]
}

#[test]
fn without_an_answer_the_fallback_holds_and_the_server_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let events = ("EVENTS", "publish");
    for (what, answer) in no_answers() {
        let web = Web::start(answer);
        // A question that a busy machine puts too late is not put at all.
        let timeout = match what {
            "silence" => "1s",
            _ => "30s",
        };
        let server = Server::start(&web, &[events, ("TIMEOUT", timeout)]);
        for _ in 0..7 {
            let output = server.publish(&movie, "cam?key=5ecret");
            let told = stderr(&output);
            assert!(
                told.contains("cannot decide at the moment"),
                "{what}: {told}"
            );
            assert!(!told.contains("no such key"), "{what}: {told}");
        }
        // It may be about what was asked by one who comes again and again: that is no reason
        // not to ask for others.
        assert_eq!(web.asked.try_iter().count(), 7, "{what}");
    }
    for (what, answer) in no_answers() {
        let web = Web::start(answer);
        let settings = [events, ("TIMEOUT", "200ms"), ("FALLBACK", "allow")];
        let server = Server::start(&web, &settings);
        let output = server.publish(&movie, "cam?key=5ecret");
        assert!(output.status.success(), "{what}: {}", stderr(&output));
    }
}

#[test]
fn failures_are_told_so_often_and_the_others_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let web = Web::start(|_| reply("500 Internal Server Error", "", ""));
    let mut server = Server::with(&web, &[("EVENTS", "publish")], |command| {
        command.env("OPENRTMP_LIMITS__LOG_LINES", "1");
        command.stderr(Stdio::piped());
    });
    let log = server.process.stderr.take().expect("a pipe");
    let (sender, lines) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(log).lines().map_while(Result::ok);
        lines.for_each(|line| drop(sender.send(line)));
    });
    let (mut asked, mut told, mut counted) = (0, 0, None);
    // The first line behind the second in which more than one failed tells of the others.
    support::wait_until("lines were held back", || {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(!server.publish(&movie, "cam").status.success()));
            }
        });
        asked += 4;
        for line in lines.try_iter() {
            told += usize::from(line.contains("access.callback.url: "));
            if line.contains("more lines suppressed: failures of access.callback.url") {
                counted = Some(line);
            }
        }
        counted.is_some()
    });
    assert!(told < asked, "{told} of {asked}: {counted:?}");
}

#[test]
fn of_a_long_answer_the_beginning_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let web = Web::start(|_| {
        reply(
            "403 Forbidden",
            "",
            &format!("no such key\n{}", "x".repeat(10 << 20)),
        )
    });
    let server = Server::start(&web, &[("EVENTS", "publish")]);
    let output = server.publish(&movie, "cam?key=a");
    assert!(
        stderr(&output).contains("no such key"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_words_of_others_are_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let web = Web::start(|asked| match asked.body.contains("key=good") {
        true => reply("200 OK", "", "{\"code\": 0}"),
        false => reply("200 OK", "", "{\"code\": 403, \"msg\": \"go away\"}"),
    });
    let server = Server::start(&web, &[("FORMAT", "srs"), ("EVENTS", "publish")]);
    assert!(server.publish(&movie, "cam?key=good").status.success());
    let output = server.publish(&movie, "cam?key=bad");
    assert!(stderr(&output).contains("go away"), "{}", stderr(&output));
    let asked = web.asked.recv().expect("it was asked");
    assert!(
        asked.body.contains("\"action\":\"on_publish\""),
        "{}",
        asked.body
    );
}

#[test]
fn what_goes_on_is_asked_about_again_and_ends_when_it_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let web = Web::start(|asked| match asked.body.contains("\"action\":\"update\"") {
        true => reply("403 Forbidden", "", "the show is over"),
        false => reply("200 OK", "", ""),
    });
    let server = Server::start(&web, &[("UPDATE_INTERVAL", "1s")]);
    let url = format!("{}/cam?key=a", server.url);
    let mut command = openrtmp(&["publish", "--loop", &movie, &url]);
    let output = command.stderr(Stdio::piped()).output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let mut bodies = web.asked.iter().map(|asked| {
        let body: serde_json::Value = serde_json::from_str(&asked.body).expect("JSON");
        body
    });
    let granted = bodies
        .find(|body| body["action"] == "publish")
        .expect("it was asked");
    let again = bodies
        .find(|body| body["action"] == "update")
        .expect("it was asked");
    assert_eq!(again["of"], "publish");
    assert!(
        again["seconds"]
            .as_u64()
            .is_some_and(|seconds| seconds >= 1),
        "{again}"
    );
    for same in [
        "connection",
        "app",
        "stream",
        "query",
        "tc_url",
        "client",
        "address",
    ] {
        assert_eq!(again[same], granted[same], "{same}");
    }
    assert_eq!(again["query"], "key=a");
    assert_eq!(granted["tc_url"], server.url);
    // Nobody asks about what is over.
    let left = bodies
        .find(|body| body["action"] != "update")
        .expect("it was told");
    assert_eq!(left["action"], "publish_done");
}

/// Until somebody is asked about this, which takes its time.
fn asked_about(web: &Web, action: &str) -> serde_json::Value {
    loop {
        let asked = web.asked.recv_timeout(Duration::from_secs(60));
        let asked = asked.unwrap_or_else(|_| panic!("nobody asks about {action}"));
        let body: serde_json::Value = serde_json::from_str(&asked.body).expect("JSON");
        if body["action"] == action {
            return body;
        }
    }
}

#[test]
fn what_is_called_otherwise_is_asked_about_again_and_its_consent_ends_with_a_refusal() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let web = Web::start(|asked| match &asked.body {
        body if body.contains("\"action\":\"update\"") => reply("403 Forbidden", "", "over"),
        body if body.contains("\"action\":\"publish\"") => {
            reply("302 Found", "Location: cam5.flv\r\n", "")
        }
        _ => reply("200 OK", "", ""),
    });
    let server = Server::start(&web, &[("UPDATE_INTERVAL", "1s"), ("CACHE", "1h")]);
    let url = format!("{}/secret", server.url);
    for _ in 0..2 {
        let publish = openrtmp(&["publish", "--loop", &movie, &url]).spawn();
        let mut publish = Running(publish.expect("the command starts"));
        asked_about(&web, "publish");
        let again = asked_about(&web, "update");
        assert_eq!(again["of"], "publish");
        let done = asked_about(&web, "publish_done");
        assert_eq!(done["stream"], "cam5", "{done}");
        assert_eq!(publish.0.wait().expect("it ends").code(), Some(1));
    }
}

#[test]
fn notices_that_fail_keep_nobody_from_being_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let web = Web::start(|asked| match asked.body.contains("_done") {
        true => Reply::Bytes(vec![0xA5; 64]),
        false => reply("200 OK", "", ""),
    });
    let server = Server::start(&web, &[("EVENTS", "publish,publish_done")]);
    for number in 0..8 {
        let output = server.publish(&movie, &format!("cam{number}"));
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let bodies: Vec<String> = web.asked.iter().take(13).map(|asked| asked.body).collect();
    let questions = bodies.iter().filter(|body| !body.contains("_done"));
    assert_eq!(questions.count(), 8, "{bodies:?}");
}

#[test]
fn nobody_is_sent_on_to_another_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let other = Web::start(|_| reply("200 OK", "", ""));
    let location = format!("Location: http://{}/rtmp\r\n", other.address);
    for status in [
        "301 Moved",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let location = location.clone();
        let web = Web::start(move |_| reply(status, &location, ""));
        let server = Server::start(&web, &[("EVENTS", "publish")]);
        let output = server.publish(&movie, "cam?key=5ecret");
        let told = stderr(&output);
        assert!(
            told.contains("cannot decide at the moment"),
            "{status}: {told}"
        );
        assert_eq!(web.asked.try_iter().count(), 1, "{status}");
    }
    assert_eq!(other.asked.try_iter().count(), 0);
}

/// An authority of its own, as PEM, and what a server shows that has its certificate there.
fn authority() -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("an authority");
    let pem = certificate.pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let shown = params.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![shown.der().clone()], key);
    (pem, Arc::new(config.expect("a certificate and its key")))
}

#[test]
fn authorities_are_read_again_when_their_file_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let (other, _) = authority();
    let (pem, tls) = authority();
    let file = folder.path().join("ca.pem");
    fs::write(&file, other).expect("written");
    let web = Web::start_with(Some(tls), |_| reply("200 OK", "", ""));
    let url = format!("https://{}/rtmp", web.address);
    let ca = file.to_str().expect("UTF-8");
    let settings = [("URL", &*url), ("CA", ca), ("EVENTS", "publish")];
    let server = Server::start(&web, &settings);
    let output = server.publish(&movie, "cam");
    assert!(
        stderr(&output).contains("cannot decide"),
        "{}",
        stderr(&output)
    );
    fs::write(&file, pem).expect("written");
    let output = server.publish(&movie, "cam");
    assert!(output.status.success(), "{}", stderr(&output));
    // What is not right leaves those in use.
    fs::write(&file, "-----BEGIN junk").expect("written");
    let output = server.publish(&movie, "cam");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(web.asked.try_iter().count(), 2);
}

/// Waits for a notice about a stream.
fn notice(web: &Web, action: &str, stream: &str) -> serde_json::Value {
    let bodies = web.asked.iter().map(|asked| {
        let body: serde_json::Value = serde_json::from_str(&asked.body).expect("JSON");
        body
    });
    let mut wanted = bodies.filter(|body| body["action"] == action && body["stream"] == stream);
    wanted.next().expect("it is told")
}

#[test]
fn who_is_replaced_is_told_of_as_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let web = Web::start(|_| reply("200 OK", "", ""));
    let takeover = folder.path().join("server.yaml");
    fs::write(&takeover, "streams: {second_publisher: takeover}\n").expect("it is written");
    let server = Server::with(&web, &[], |command| {
        command.arg("--config").arg(&takeover);
    });
    let url = format!("{}/cam", server.url);
    let publisher = || {
        let mut command = openrtmp(&["publish", "--loop", &movie, &url]);
        Running(command.spawn().expect("the command starts"))
    };
    let _first = publisher();
    let first = notice(&web, "publish", "cam");
    let _second = publisher();
    let second = notice(&web, "publish", "cam");
    let done = notice(&web, "publish_done", "cam");
    assert_eq!(done["connection"], first["connection"]);
    assert_eq!(done["address"], first["address"]);
    assert_ne!(done["connection"], second["connection"]);
}

#[cfg(unix)]
#[test]
fn what_is_over_with_a_stop_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let web = Web::start(|_| reply("200 OK", "", ""));
    let mut server = Server::start(&web, &[]);
    let url = format!("{}/cam", server.url);
    let mut publish = openrtmp(&["publish", "--loop", &movie, &url]);
    let _publisher = Running(publish.spawn().expect("the command starts"));
    notice(&web, "publish", "cam");
    let _player = player(&url);
    notice(&web, "play", "cam");
    let id = server.process.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("there is a kill").success());
    assert!(server.process.wait().expect("it ends").success());
    // In any order; and whatever was told is here by now.
    let told: Vec<Asked> = web.asked.try_iter().collect();
    for done in ["publish_done", "play_done"] {
        let is_it = |asked: &&Asked| asked.body.contains(done);
        assert_eq!(told.iter().filter(is_it).count(), 1, "{done}");
    }
}

#[cfg(unix)]
#[test]
fn who_does_not_answer_does_not_hold_up_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let movie = movie(folder.path());
    let web = Web::start(|asked| match asked.body.contains("_done") {
        true => Reply::Nothing,
        false => reply("200 OK", "", ""),
    });
    let mut server = Server::start(&web, &[("TIMEOUT", "2s")]);
    let url = format!("{}/cam", server.url);
    let mut publish = openrtmp(&["publish", "--loop", &movie, &url]);
    let _publisher = Running(publish.spawn().expect("the command starts"));
    notice(&web, "publish", "cam");
    let _player = player(&url);
    let id = server.process.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("there is a kill").success());
    assert!(server.process.wait().expect("it ends").success());
    notice(&web, "publish_done", "cam");
}
