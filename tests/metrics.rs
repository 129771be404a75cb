//! Numbers and health over HTTP, as those who watch a server see them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use openrtmp_core::client::{Client, ClientConfig, ClientEvent, ClientMode, Deadline, MediaKind};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_tests::{Process, Tool, Web, free_ports, openrtmp};

/// A server, and where it tells its numbers.
struct Watched {
    process: Process,
    rtmp: u16,
    http: u16,
}

impl Watched {
    fn start(more: &[&str]) -> Watched {
        let [rtmp, http] = free_ports();
        let mut command = openrtmp();
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{rtmp}")])
            .args(["--metrics", &format!("127.0.0.1:{http}")])
            .args(more);
        let mut process = Process::start("openrtmp serve", command);
        process.wait_for("readiness", |line| line.contains("Ctrl-C stops"));
        Watched {
            process,
            rtmp,
            http,
        }
    }

    fn client(&self, name: &str, mode: ClientMode) -> Client {
        let url = format!("rtmp://127.0.0.1:{}/live/{name}", self.rtmp);
        let url = RtmpUrl::parse(&url).expect("a URL");
        Client::connect(ClientConfig::new(url, mode)).expect("the server accepts")
    }

    /// Status, head and body of an answer.
    fn get(&self, path: &str) -> (u16, String, String) {
        let mut socket = TcpStream::connect(("127.0.0.1", self.http)).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("it listens");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.expect("a status"), head.to_owned(), body.to_owned())
    }

    /// What it tells once that is in it: numbers are made anew once a second.
    fn metrics_with(&self, part: &str) -> String {
        let begun = std::time::Instant::now();
        loop {
            let (status, head, text) = self.get("/metrics");
            assert_eq!(status, 200);
            assert!(
                head.contains("Content-Type: text/plain; version=0.0.4"),
                "{head}"
            );
            if text.contains(part) {
                return text;
            }
            let is_late = begun.elapsed() > std::time::Duration::from_secs(30);
            assert!(!is_late, "{part} is not in\n{text}");
        }
    }
}

/// What promtool finds: nothing, or it says so.
fn check(text: &str) {
    let mut command = Tool::Promtool.command();
    command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool is there");
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn promtool_finds_nothing_wrong_whatever_streams_are_called() {
    let server = Watched::start(&[]);
    check(&server.metrics_with("\nopenrtmp_connections 0\n"));
    let names = ["cam", "a\"} 1", "b\\", "c\nopenrtmp_connections 77", "ünï"];
    let mut publishers: Vec<Client> = names
        .iter()
        .map(|name| server.client(name, ClientMode::Publish))
        .collect();
    let _player = server.client("cam", ClientMode::Play);
    for publisher in &mut publishers {
        let sent = publisher.send(MediaKind::Audio, 0, b"\xAF\x01sound");
        sent.and_then(|()| publisher.flush()).expect("it is taken");
    }
    server.metrics_with("\nopenrtmp_stream_subscribers{stream=\"live/cam\"} 1\n");
    let text = server.metrics_with("\nopenrtmp_streams 5\n");
    check(&text);
    let of_streams = text
        .lines()
        .filter(|line| line.starts_with("openrtmp_stream_live{"));
    assert_eq!(of_streams.count(), names.len());
    assert!(text.contains("\nopenrtmp_connections 6\n"), "{text}");
}

#[test]
fn a_server_tells_that_it_is_well_and_ready_and_when_it_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = openrtmp_tests::tls::file(folder.path(), "s.yml", "limits: {connections: 1}\n");
    let server = Watched::start(&["--config", file.to_str().expect("ASCII")]);
    for path in ["/healthz", "/readyz"] {
        let (status, _, text) = server.get(path);
        assert_eq!((status, text.as_str()), (200, "ok\n"));
    }
    assert_eq!(server.get("/").0, 404);
    assert_eq!(server.get("/metrics/x").0, 404);
    let _one = server.client("cam", ClientMode::Publish);
    server.metrics_with("\nopenrtmp_connections 1\n");
    let begun = std::time::Instant::now();
    let text = loop {
        let (status, _, text) = server.get("/readyz");
        match status {
            503 => break text,
            _ => assert!(begun.elapsed().as_secs() < 30, "{text}"),
        }
    };
    assert!(text.contains("limits.connections is reached"), "{text}");
    let (status, _, text) = server.get("/healthz");
    assert_eq!(status, 200, "{text}");
}

#[test]
fn certificates_delays_and_who_decides_are_told_of_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let [secure, nobody] = free_ports();
    let settings = format!(
        "tls: {{self_signed: true, state_directory: {:?}}}\n\
         access: {{callback: {{url: \"http://127.0.0.1:{nobody}/\", events: [publish], \
         fallback: allow}}}}\n",
        folder.path().display().to_string()
    );
    let file = openrtmp_tests::tls::file(folder.path(), "s.yml", &settings);
    let server = Watched::start(&[
        "--config",
        file.to_str().expect("ASCII"),
        "--listen",
        &format!("rtmps://127.0.0.1:{secure}"),
    ]);
    // After five failures in a row nobody is asked any more.
    let mut publishers: Vec<Client> = (0..5)
        .map(|n| server.client(&format!("cam{n}"), ClientMode::Publish))
        .collect();
    let mut player = server.client("cam0", ClientMode::Play);
    let publisher = &mut publishers[0];
    for time in 0..50 {
        let sent = publisher.send(MediaKind::Audio, time, b"\xAF\x01sound");
        sent.and_then(|()| publisher.flush()).expect("it is taken");
        let deadline = Deadline::after(std::time::Duration::from_secs(30));
        loop {
            match player.next_event(deadline).expect("it goes on") {
                Some(ClientEvent::Media(_)) => break,
                event => assert!(event.is_some(), "nothing comes"),
            }
        }
    }
    let text = server.metrics_with("\nopenrtmp_callback_left_alone 1\n");
    check(&text);
    for told in [
        "\nopenrtmp_callback_requests_total{outcome=\"failed\"} 5\n",
        "\nopenrtmp_certificate_expiry_timestamp_seconds{certificate=\"",
        "\nopenrtmp_log_lines_lost_total{output=\"stderr\"} 0\n",
        "\nopenrtmp_stream_delay_seconds{stream=\"live/cam0\",quantile=\"0.99\"} ",
        "\nopenrtmp_relayed_messages_total{direction=\"in\"} 0\n",
        "\nopenrtmp_delay_seconds_sum ",
    ] {
        assert!(text.contains(told), "no {told} in\n{text}");
    }
    let (status, _, health) = server.get("/healthz");
    assert_eq!(status, 200);
    assert!(
        health.contains("access.callback.url does not answer"),
        "{health}"
    );
}

#[test]
fn viewers_over_http_and_what_they_were_answered_are_told_of() {
    let [viewers] = free_ports();
    let server = Watched::start(&["--http", &format!("127.0.0.1:{viewers}")]);
    check(&server.metrics_with("\nopenrtmp_http_connections 0\n"));
    let address = ([127, 0, 0, 1], viewers).into();
    let mut viewer = Web::connect(address);
    for (path, status) in [
        ("/time", 200),
        ("/api/streams", 200),
        ("/live/nothing/e/v0.m3u8", 404),
    ] {
        assert_eq!(viewer.get(path, &[]).status, status, "{path}");
    }
    let _another = Web::connect(address);
    server.metrics_with("\nopenrtmp_http_connections 2\n");
    let text = server.metrics_with("\nopenrtmp_http_connections_accepted_total 2\n");
    check(&text);
    for told in [
        "\nopenrtmp_http_answers_total{class=\"1xx\"} 0\n",
        "\nopenrtmp_http_answers_total{class=\"2xx\"} 2\n",
        "\nopenrtmp_http_answers_total{class=\"4xx\"} 1\n",
        "\nopenrtmp_http_answers_total{class=\"5xx\"} 0\n",
        "\nopenrtmp_http_streams 0\n",
        "\nopenrtmp_http_stream_bytes ",
        "\nopenrtmp_http_answer_bytes 0\n",
    ] {
        assert!(text.contains(told), "no {told} in\n{text}");
    }
    // Where nothing is delivered nothing is told of it.
    let silent = Watched::start(&["--no-http"]);
    let text = silent.metrics_with("openrtmp_connections");
    assert!(!text.contains("openrtmp_http_"), "{text}");
}

#[test]
fn scrapes_that_are_never_read_hold_nothing_up() {
    let server = Watched::start(&[]);
    let requests = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000);
    let memory = || {
        let status = format!("/proc/{}/status", server.process.id());
        let text = std::fs::read_to_string(status).expect("it runs");
        let line = text.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.and_then(|kib| kib.parse::<u64>().ok())
            .expect("a number")
    };
    server.metrics_with("openrtmp_connections");
    let before = memory();
    let greedy: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut socket = TcpStream::connect(("127.0.0.1", server.http)).expect("it listens");
            socket.set_nonblocking(true).expect("it is a socket");
            // As much as the system takes: nobody reads it.
            let _ = socket.write(requests.as_bytes());
            socket
        })
        .collect();
    server.metrics_with("openrtmp_connections");
    let after = memory();
    assert!(after < before + 40 * 1024, "{before} KiB, then {after} KiB");
    drop(greedy);
    let told = Command::new("sh")
        .args(["-c", &format!("kill -TERM {}", server.process.id())])
        .status();
    assert!(told.expect("a shell").success());
    server.process.wait().expect_success();
}
