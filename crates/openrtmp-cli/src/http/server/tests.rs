//! The server over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::http::{Answer, Status, TEXT};

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::from(&Config::desktop());
    change(&mut limits);
    limits
}

fn start(limits: Limits) -> HttpServer {
    let routes = Routes::default().below("/long", |_| {
        Answer::new(Status::OK, TEXT, vec![b'x'; 10 << 20])
    });
    let routes = routes.below("/", |request| {
        Answer::new(Status::OK, TEXT, request.path.to_owned())
    });
    HttpServer::start(
        &["127.0.0.1:0".parse().expect("an address")],
        routes,
        limits,
    )
    .expect("a free port")
}

fn connect(server: &HttpServer) -> TcpStream {
    TcpStream::connect(server.addresses()[0]).expect("it listens")
}

/// All that comes until the server closes; nothing if it resets the connection.
fn rest(mut socket: &TcpStream) -> String {
    let mut text = Vec::new();
    let _ = socket.read_to_end(&mut text);
    String::from_utf8(text).expect("text")
}

fn ask(server: &HttpServer) -> String {
    let mut socket = connect(server);
    let said = socket.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    said.expect("it listens");
    rest(&socket)
}

#[test]
fn who_is_slow_or_silent_is_closed_and_others_are_served_beside_it() {
    let server = start(limits(|limits| {
        limits.http.request_timeout = Duration::from_millis(100);
        limits.http.idle_timeout = Duration::from_millis(100);
    }));
    let silent = connect(&server);
    let mut slow = connect(&server);
    slow.write_all(b"GET / HT").expect("it listens");
    assert!(ask(&server).ends_with("\r\n\r\n/x"));
    assert_eq!(rest(&silent), "");
    assert!(rest(&slow).starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_newcomer_takes_the_place_of_who_has_asked_for_nothing_longest() {
    let server = start(limits(|limits| limits.http.connections = 3));
    let idle: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
    assert!(ask(&server).ends_with("/x"));
    // All but the last two and the one that asked had to go.
    for socket in &idle[..17] {
        assert_eq!(rest(socket), "");
    }
    assert!(ask(&server).ends_with("/x"));
}

#[test]
fn answers_that_are_never_read_hold_up_nobody_and_no_more_than_allowed() {
    let server = start(limits(|limits| limits.http.answer_bytes = 25 << 20));
    let greedy: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut socket = connect(&server);
            let requests = "GET /long HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
            socket.write_all(requests.as_bytes()).expect("it listens");
            socket
        })
        .collect();
    assert!(ask(&server).ends_with("/x"));
    // Two answers fit. The others are told so, unless the system took theirs.
    let mut refused = 0;
    for mut socket in greedy {
        let mut status = [0; 12];
        socket.read_exact(&mut status).expect("an answer");
        refused += usize::from(&status == b"HTTP/1.1 503");
    }
    assert!(refused >= 1, "{refused}");
    assert!(ask(&server).ends_with("/x"));
}

#[test]
fn it_ends_with_its_value_and_says_what_it_cannot_have() {
    let server = start(limits(|_| {}));
    let address = server.addresses()[0];
    let socket = connect(&server);
    let taken = HttpServer::start(&[address], Routes::default(), limits(|_| {}));
    let error = taken.err().expect("it is taken").to_string();
    assert!(
        error.contains(&format!("cannot listen for HTTP on {address}")),
        "{error}"
    );
    drop(server);
    assert_eq!(rest(&socket), "");
    assert!(TcpStream::connect(address).is_err());
}
