//! A client of HTTP/2 by hand (RFC 9113): what is sent is what a test says, frame by frame.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::Tool;
use crate::wire::{Place, Spoken};

/// Nothing is waited for any longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// Kinds of frames (6 of the RFC).
pub const DATA: u8 = 0;
/// The head of a request.
pub const HEADERS: u8 = 1;
/// What was to be first.
pub const PRIORITY: u8 = 2;
/// The end of a stream by force.
pub const RST_STREAM: u8 = 3;
/// What a side wants.
pub const SETTINGS: u8 = 4;
/// Whether the other side is there.
pub const PING: u8 = 6;
/// The end of a connection.
pub const GOAWAY: u8 = 7;
/// Room for more.
pub const WINDOW_UPDATE: u8 = 8;
/// More of a head.
pub const CONTINUATION: u8 = 9;

/// A flag of [`HEADERS`] and [`DATA`]: nothing follows in the stream.
pub const END_STREAM: u8 = 1;
/// A flag of [`SETTINGS`] and [`PING`]: it is an answer.
pub const ACK: u8 = 1;
/// A flag of [`HEADERS`]: the head is whole.
pub const END_HEADERS: u8 = 4;

/// `:status: 200`, as it is in the static table (RFC 7541, A).
pub const OK: u8 = 0x88;

/// A connection.
pub struct H2 {
    /// What speaks TLS for it.
    program: Option<Child>,
    out: Box<dyn Write + Send>,
    answers: Box<dyn Read + Send>,
}

impl std::fmt::Debug for H2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H2").finish_non_exhaustive()
    }
}

impl H2 {
    /// Connects without TLS, which no browser does.
    ///
    /// # Errors
    /// The connection's. Whether it is kept is seen by what is asked on it.
    pub fn plain(address: SocketAddr) -> io::Result<H2> {
        H2::at(&Place::plain(address))
    }

    /// Connects, with TLS where it is spoken.
    ///
    /// # Errors
    /// The connection's. Whether it is kept is seen by what is asked on it.
    pub fn at(place: &Place) -> io::Result<H2> {
        let stream = place.connect(Spoken::Http2)?;
        stream.set_patience(DEADLINE)?;
        let out = stream.try_clone()?;
        Ok(H2::begin(None, Box::new(out), Box::new(stream)))
    }

    /// Connects with TLS, which OpenSSL speaks.
    ///
    /// # Panics
    /// If it is not there.
    pub fn secure(address: SocketAddr) -> H2 {
        let mut command = Tool::Openssl.command();
        let address = address.to_string();
        command.args(["s_client", "-connect", &address, "-alpn", "h2", "-quiet"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut program = command.spawn().expect("OpenSSL is there");
        let out = program.stdin.take().expect("a pipe");
        let answers = program.stdout.take().expect("a pipe");
        H2::begin(Some(program), Box::new(out), Box::new(answers))
    }

    fn begin(
        program: Option<Child>,
        out: Box<dyn Write + Send>,
        answers: Box<dyn Read + Send>,
    ) -> H2 {
        let mut connected = H2 {
            program,
            out,
            answers,
        };
        // Who is turned away sees it when it asks.
        let _ = connected.out.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let _ = connected.send(SETTINGS, 0, 0, b"");
        connected
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The connection's.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.out.write_all(&frame(kind, flags, stream, payload))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection's.
    pub fn send_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Asks for a path with GET, all at once.
    ///
    /// # Errors
    /// The connection's.
    pub fn ask(&mut self, stream: u32, path: &str) -> io::Result<()> {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &request(path))
    }

    /// The next frame: its kind and payload; none if the connection is closed. Pings of the
    /// server are answered and no such frames: who is silent is not there.
    ///
    /// # Panics
    /// If neither comes in a minute.
    pub fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let begun = Instant::now();
        loop {
            let mut header = [0; 9];
            self.read_whole(&mut header)?;
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let mut payload = vec![0; length as usize];
            self.read_whole(&mut payload)?;
            let (kind, flags) = (header[3], header[4]);
            if kind != PING || flags & ACK != 0 {
                return Some((kind, payload));
            }
            // Where it is closed, that is read next.
            let _ = self.send(PING, ACK, 0, &payload);
            let is_late = begun.elapsed() > DEADLINE;
            assert!(!is_late, "nothing but pings in {DEADLINE:?}");
        }
    }

    fn read_whole(&mut self, buffer: &mut [u8]) -> Option<()> {
        use io::ErrorKind::{TimedOut, WouldBlock};
        let read = self
            .answers
            .read_exact(buffer)
            .map_err(|error| error.kind());
        let is_late = matches!(read, Err(TimedOut | WouldBlock));
        assert!(!is_late, "neither a frame nor an end in {DEADLINE:?}");
        read.ok()
    }

    /// The next frame of this kind, if one comes.
    pub fn next(&mut self, wanted: u8) -> Option<Vec<u8>> {
        loop {
            let (kind, payload) = self.frame()?;
            if kind == wanted {
                return Some(payload);
            }
        }
    }

    /// The head of the next answer, compressed (RFC 7541).
    pub fn head(&mut self) -> Option<Vec<u8>> {
        self.next(HEADERS)
    }

    /// Reads frames until the connection is closed: the code of GOAWAY, if one came.
    pub fn end(mut self) -> Option<u32> {
        let mut code = None;
        while let Some((kind, payload)) = self.frame() {
            if kind == GOAWAY {
                let bytes = payload.get(4..8).and_then(|it| it.try_into().ok());
                code = bytes.map(u32::from_be_bytes);
            }
        }
        code
    }
}

/// What the server says, as it comes.
impl Read for H2 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.answers.read(buffer)
    }
}

impl Drop for H2 {
    fn drop(&mut self) {
        if let Some(program) = &mut self.program {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// A frame as it is sent.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The head of `GET https://x` of a path of up to 126 bytes, nothing of which is remembered
/// (RFC 7541).
///
/// # Panics
/// If the path is longer.
pub fn request(path: &str) -> Vec<u8> {
    assert!(path.len() < 127, "{path}");
    let mut head = vec![0x82, 0x87, 0x04, path.len() as u8];
    head.extend_from_slice(path.as_bytes());
    head.extend_from_slice(b"\x01\x01x");
    head
}
