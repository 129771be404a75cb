//! `openrtmp serve` and the streams that it delivers over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// A server at work, ended with its test.
struct Server(Child);

impl Server {
    fn start(flags: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openrtmp"));
        command.arg("serve").args(flags);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Server(command.spawn().expect("the command starts"))
    }

    /// What it prints until it is ready.
    fn banner(&mut self) -> Vec<String> {
        let stdout = BufReader::new(self.0.stdout.take().expect("a pipe"));
        let mut lines = Vec::new();
        for line in stdout.lines().map_while(Result::ok) {
            lines.push(line);
            if lines.last().is_some_and(|line| line.starts_with("Ctrl-C")) {
                break;
            }
        }
        lines
    }

    /// The first line of its log in which this is.
    fn logs(&mut self, part: &str) -> String {
        let stderr = self.0.stderr.as_mut().expect("a pipe");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let found = lines.find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("it ended without {part:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The URL that the banner tells of.
fn told(banner: &[String]) -> Option<&str> {
    let lines = banner.iter().map(|line| line.trim());
    lines.into_iter().find(|line| line.ends_with("/index.m3u8"))
}

#[test]
fn it_says_where_streams_are_played_and_answers_there() {
    let mut server = Server::start(&["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let banner = server.banner();
    let url = told(&banner).unwrap_or_else(|| panic!("{banner:#?}"));
    let rest = url.strip_prefix("http://").expect("plain");
    let (address, path) = rest.split_once('/').expect("a path");
    assert_eq!(path, "live/stream/index.m3u8");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn over_https_it_is_told_where_and_nothing_is_spoken_as_it_is() {
    let state = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_openrtmp"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--https", "127.0.0.1:0"]);
    command.arg("--tls-self-signed");
    command.env("OPENRTMP_TLS__STATE_DIRECTORY", state.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Server(command.stderr(Stdio::null()).spawn().expect("it starts"));
    let banner = server.banner();
    let url = told(&banner).unwrap_or_else(|| panic!("{banner:#?}"));
    let rest = url.strip_prefix("https://").expect("with TLS");
    let (address, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = Vec::new();
    // An alert, or nothing.
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[test]
fn nothing_is_delivered_where_that_is_not_wanted() {
    let none: &[&[&str]] = &[
        &["--listen", "127.0.0.1:0", "--no-http"],
        // A fixed port would surprise who asks for a free one.
        &["--listen", "127.0.0.1:0"],
    ];
    for flags in none {
        let banner = Server::start(flags).banner();
        assert!(banner.len() > 3 && told(&banner).is_none(), "{banner:#?}");
    }
}

#[test]
fn an_address_that_was_asked_for_and_is_taken_ends_it_with_2() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let mut server = Server::start(&["--listen", "127.0.0.1:0", "--http", &taken]);
    assert_eq!(server.0.wait().expect("it ends").code(), Some(2));
    let line = server.logs(&format!("cannot listen on {taken}"));
    assert!(
        line.contains("the port is taken by another program"),
        "{line}"
    );
}

#[test]
#[cfg(unix)]
fn viewers_leave_descriptors_for_rtmp() {
    // Some are the server's own.
    const LIMIT: usize = 160;
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {LIMIT} && exec \"$0\" \"$@\"")]);
    command.arg(env!("CARGO_BIN_EXE_openrtmp")).arg("serve");
    command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Server(command.stderr(Stdio::null()).spawn().expect("a shell"));
    let banner = server.banner();
    let at = |url: &str| {
        let (_, rest) = url.split_once("://").expect("a URL");
        rest.split('/').next().expect("an address").to_owned()
    };
    let viewed = at(told(&banner).expect("it delivers"));
    let published = banner.iter().find(|line| line.contains("rtmp://"));
    let published = published.expect("it listens");
    let published = at(&published[published.find("rtmp://").expect("a URL")..]);
    let viewers: Vec<TcpStream> = (0..LIMIT)
        .map(|_| TcpStream::connect(&viewed).expect("it listens"))
        .collect();
    // The last of them was turned away, so that all of them were seen.
    let mut last = viewers.last().expect("many");
    assert_eq!(last.read(&mut [0; 1]).unwrap_or(0), 0);
    // C0 and C1 (RTMP 5.2): S0 comes back.
    let mut publisher = TcpStream::connect(published).expect("it listens");
    let mut hello = vec![0; 1537];
    hello[0] = 3;
    publisher.write_all(&hello).expect("it is taken");
    let mut answer = [0; 1];
    publisher.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, [3]);
}

#[test]
fn the_usual_port_that_is_taken_is_told_and_no_more() {
    // If somebody has it already, it is taken as well.
    let _taken = TcpListener::bind("127.0.0.1:8080");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let rtmp = free.local_addr().expect("it is bound").to_string();
    drop(free);
    let mut server = Server::start(&["--listen", &rtmp]);
    let line = server.logs("nothing is delivered over HTTP on 127.0.0.1:8080");
    assert!(line.contains("WARN"), "{line}");
    assert!(told(&server.banner()).is_none());
}
