//! Asks a server.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::answer;
use super::request::Request;
use super::socket::{Stream, connect};
use crate::exit::Failure;

/// How long an answer may take: longer than anything that a server does for one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer.
const LONGEST: usize = 256 << 20;

/// What the server answers.
///
/// # Errors
/// There is no server, it does not answer, or it refuses.
pub(crate) fn ask(path: &Path, request: &Request) -> Result<Value, Failure> {
    let at = path.display();
    let stream = connect(path, PATIENCE).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "no server answers".to_owned()
            }
            io::ErrorKind::PermissionDenied => "it belongs to another user".to_owned(),
            _ => error.to_string(),
        };
        let hint = "is one running, with this --control?";
        Failure::Runtime(format!("{at}: {why}; {hint}"))
    })?;
    let broken = |error: io::Error| Failure::Runtime(format!("{at}: {error}"));
    // Only maps with other keys than text cannot be written; there are none.
    let mut line = serde_json::to_string(request).unwrap_or_default();
    line.push('\n');
    // One that is turned away has its answer, though it does not take the request.
    let sent = stream.write_all(line.as_bytes(), PATIENCE);
    let answer = match read_line(&stream) {
        Ok(answer) => answer,
        Err(error) => return Err(sent.err().map_or(broken(error), broken)),
    };
    match answer::read(&answer) {
        Some(Ok(result)) => Ok(result),
        Some(Err(refusal)) => Err(Failure::Runtime(refusal.to_string())),
        None => Err(Failure::Runtime(format!(
            "{at}: what answers there is no server of this version"
        ))),
    }
}

fn read_line(stream: &Stream) -> io::Result<String> {
    let until = Instant::now() + PATIENCE;
    let (mut line, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        }
        let count = match stream.read(&mut buffer, left) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if count == 0 {
            let what = "the server went away without an answer";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        line.extend_from_slice(&buffer[..count]);
        if buffer[..count].contains(&b'\n') {
            return String::from_utf8(line).map_err(io::Error::other);
        }
        if line.len() > LONGEST {
            return Err(io::Error::other("the answer has no end"));
        }
    }
}
