//! A client of HTTP/1.1 by hand: what is sent is what a test says, byte for byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use crate::wire::{Place, Spoken, Wire};

/// No answer takes longer.
const DEADLINE: Duration = Duration::from_secs(30);

/// A connection, kept open between requests.
#[derive(Debug)]
pub struct Web {
    stream: BufReader<Wire>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(is, _)| is.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// All headers, as they came.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Makes it another answer, of whoever passes it on: with this header, or without one of
    /// that name.
    pub fn set_header(&mut self, name: &str, value: Option<&str>) {
        let is_other = |(is, _): &(String, String)| !is.eq_ignore_ascii_case(name);
        self.headers.retain(is_other);
        let header = value.map(|value| (name.to_owned(), value.to_owned()));
        self.headers.extend(header);
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

impl Web {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn connect(address: SocketAddr) -> Web {
        Web::at(&Place::plain(address))
    }

    /// Connects, with TLS where it is spoken.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn at(place: &Place) -> Web {
        let stream = place.connect(Spoken::Http1).expect("somebody listens");
        stream.set_patience(DEADLINE).expect("a time is set");
        Web {
            stream: BufReader::new(stream),
        }
    }

    /// One request on a connection of its own.
    pub fn fetch(address: SocketAddr, path: &str) -> Answer {
        Web::connect(address).get(path, &[])
    }

    /// Asks with GET.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers)
    }

    /// Asks.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(head(method, path, headers).as_bytes())
            .expect("it can be asked");
        self.answer(method == "HEAD").expect("an answer")
    }

    /// Asks. `None`: the connection was not taken.
    pub fn ask_if_taken(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Option<Answer> {
        self.send(head(method, path, headers).as_bytes()).ok()?;
        self.answer(method == "HEAD").ok()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection's.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// The connection's, or its end.
    pub fn answer(&mut self, is_head: bool) -> io::Result<Answer> {
        let mut answer = self.head()?;
        if !is_head && !matches!(answer.status, 101 | 204 | 304) {
            self.take_body(&mut answer)?;
        }
        Ok(answer)
    }

    /// Asks with GET, and reads the answer but for its body.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn begin(&mut self, path: &str) -> Answer {
        self.send(head("GET", path, &[]).as_bytes())
            .expect("it can be asked");
        self.head().expect("an answer")
    }

    /// Reads the body of an answer, or what is left of it.
    ///
    /// # Errors
    /// The connection's, or its end.
    pub fn take_body(&mut self, answer: &mut Answer) -> io::Result<()> {
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                answer.body.extend_from_slice(&chunk);
            }
            return Ok(());
        }
        let length = answer.header("content-length");
        let length = length.and_then(|text| text.parse().ok());
        answer.body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut answer.body)
    }

    fn head(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
        let mut answer = Answer {
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => answer.headers.push((name.to_owned(), value.to_owned())),
                None => break,
            }
        }
        Ok(answer)
    }

    /// Reads until these bytes came, and what came with them; no more than a player would
    /// look through for its beginning.
    ///
    /// # Errors
    /// The connection's, its end, or that they do not stand in the first MiB.
    pub fn read_until(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        while !read.windows(bytes.len()).any(|window| window == bytes) {
            let buffered = self.stream.fill_buf()?;
            let length = buffered.len();
            if length == 0 || read.len() > 1 << 20 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read.extend_from_slice(buffered);
            self.stream.consume(length);
        }
        Ok(read)
    }

    /// Reads a chunk of a body whose length is not told (RFC 9112, 7.1); `None` at its end.
    ///
    /// # Errors
    /// The connection's, or its end.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim_end(), 16);
        let length = length.map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk)?;
        chunk.truncate(length);
        Ok((length > 0).then_some(chunk))
    }

    /// Reads until the other side ends.
    ///
    /// # Errors
    /// The connection's.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }
}

fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}
