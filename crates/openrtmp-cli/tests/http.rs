//! Who asks over HTTP, behind proxies.

// Elsewhere a machine has one loopback address unless it is given more.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use socket2::{Domain, Socket, Type};

/// What is answered to a request that comes from an address.
fn ask(to: SocketAddr, from: &str, fields: &str) -> String {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from: SocketAddr = format!("{from}:0").parse().expect("an address");
    socket.bind(&from.into()).expect("a loopback address");
    socket.connect(&to.into()).expect("it listens");
    let mut stream = TcpStream::from(socket);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().expect("a status").to_owned()
}

#[test]
fn a_blocked_address_is_refused_also_behind_a_trusted_proxy() {
    let openrtmp = env!("CARGO_BIN_EXE_openrtmp");
    let mut server = Command::new(openrtmp)
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--metrics",
            "127.0.0.1:0",
        ])
        .args(["--publish-key", "right-key", "--log", "debug"])
        .env("OPENRTMP_ACCESS__TRUSTED_PROXIES", "127.0.0.2")
        .env("OPENRTMP_ACCESS__FAILED_ATTEMPTS__LIMIT", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let stdout = BufReader::new(server.stdout.take().expect("a pipe"));
    let mut log = BufReader::new(server.stderr.take().expect("a pipe")).lines();
    let mut wait_for = |part: &str| {
        let mut lines = log.by_ref().map_while(Result::ok);
        let found = lines.find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("it ended without {part:?}"))
    };
    let told = wait_for("metrics at http://");
    let address = told
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let http: SocketAddr = address.expect("an address").parse().expect("an address");
    let mut lines = stdout.lines().map_while(Result::ok);
    let url = lines.find_map(|line| Some(line.trim().strip_prefix("Server      ")?.to_owned()));
    let url = url.expect("it tells where to publish");

    assert!(ask(http, "127.0.0.1", "").contains("200"));
    let folder = tempfile::tempdir().expect("a folder");
    let movie = folder.path().join("movie.flv");
    let mut flv = b"FLV\x01\x04\x00\x00\x00\x09\x00\x00\x00\x00".to_vec();
    flv.extend_from_slice(&[
        8, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0xAF, 0, 0x11, 0x90, 0, 0, 0, 15,
    ]);
    std::fs::write(&movie, flv).expect("written");
    let guess = Command::new(openrtmp)
        .arg("publish")
        .args([
            movie.to_str().expect("UTF-8"),
            &format!("{url}/cam?key=wrong-key"),
        ])
        .output()
        .expect("the command starts");
    assert!(!guess.status.success());
    wait_for("127.0.0.1 is blocked");

    let forwarded = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    assert!(ask(http, "127.0.0.1", "").contains("403"));
    // Who is no proxy speaks for nobody else.
    assert!(ask(http, "127.0.0.1", &forwarded("192.0.2.7")).contains("403"));
    assert!(ask(http, "127.0.0.2", &forwarded("192.0.2.7")).contains("200"));
    assert!(ask(http, "127.0.0.2", &forwarded("192.0.2.7, 127.0.0.1")).contains("403"));
    assert!(ask(http, "127.0.0.2", &forwarded("::ffff:127.0.0.1")).contains("403"));
    let line = wait_for("peer=192.0.2.7");
    assert!(line.contains("HTTP \"/healthz\": 200"), "{line}");
    server.kill().expect("it runs");
    server.wait().expect("it is ours");
}
