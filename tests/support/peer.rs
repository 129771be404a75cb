//! A server of RTMP by hand, for tests of what a server should not do.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use openrtmp_core::protocol::amf::{Encoding, Object, Value};
use openrtmp_core::protocol::command::{Command, Status, code};

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves who connects, one after the other, until the test is over: nobody waits for the
/// thread. What becomes of a client is the client's business.
///
/// # Panics
/// If no port is free.
pub fn serve(
    serve: impl Fn(&mut TcpStream, SocketAddr) -> io::Result<()> + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for socket in listener.incoming() {
            let _ = socket.and_then(|mut socket| {
                socket.set_read_timeout(Some(PATIENCE))?;
                serve(&mut socket, address)
            });
        }
    });
    address
}

/// A server that refuses every `connect` and sends who connects to a `tcUrl`
/// (`ex.redirect`).
pub fn redirector(to: &str) -> SocketAddr {
    let to = to.to_owned();
    serve(move |socket, _| {
        shake_hands(socket)?;
        hear(socket)?;
        refuse(socket, &to)
    })
}

/// The simple handshake (section 5.2).
///
/// # Errors
/// Those of the socket.
pub fn shake_hands(socket: &mut TcpStream) -> io::Result<()> {
    let mut hello = vec![0; 1537];
    socket.read_exact(&mut hello)?;
    let answer = [&[3][..], &[0; 1536], &hello[1..]].concat();
    socket.write_all(&answer)?;
    socket.read_exact(&mut hello[..1536])
}

/// Waits for a `connect`; there is more of it than this.
///
/// # Errors
/// Those of the socket.
pub fn hear(socket: &mut TcpStream) -> io::Result<()> {
    socket.read_exact(&mut [0; 64])
}

/// Refuses `connect`, leads elsewhere, and waits until that is read.
///
/// # Errors
/// Those of the socket.
pub fn refuse(socket: &mut TcpStream, to: &str) -> io::Result<()> {
    let ex = Object::new().with("code", 302.0).with("redirect", to);
    let refusal = Status::error(code::CONNECT_REJECTED, "elsewhere").to_object();
    let error = Command {
        name: "_error".to_owned(),
        transaction: 1.0,
        object: Value::Null,
        arguments: vec![refusal.with("ex", Value::from(ex)).into()],
    };
    socket.write_all(&message(&error))?;
    let mut rest = [0; 512];
    while socket.read(&mut rest)? > 0 {}
    Ok(())
}

/// A command in chunks of 128 bytes (section 5.3.1).
pub fn message(command: &Command) -> Vec<u8> {
    let body = command.encode(Encoding::Amf0);
    let length = (body.len() as u32).to_be_bytes();
    let mut bytes = [&[3, 0, 0, 0][..], &length[1..], &[20, 0, 0, 0, 0]].concat();
    for (index, part) in body.chunks(128).enumerate() {
        bytes.extend((index > 0).then_some(0xC3));
        bytes.extend(part);
    }
    bytes
}
