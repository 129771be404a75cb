//! The log of the system: datagrams to a local socket (RFC 3164).

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use log::Level;
use openrtmp_core::LogFormat;

use super::entry::{Entry, Head, Style};
use super::{OURS, missing, tell_on_stderr};
use crate::output::Sink;

/// Where it listens.
const SOCKET: &str = "/dev/log";

/// What settings call it.
pub(super) const NAME: &str = "syslog";

/// How lines are written there.
pub(super) fn style(format: LogFormat) -> Style {
    Style {
        head: Head::Syslog,
        ..Style::plain(format)
    }
}

/// The error is that nobody listens there.
pub(super) fn open(format: LogFormat) -> Result<Syslog, String> {
    Syslog::open(Path::new(SOCKET), format).map_err(|e| format!("syslog at {SOCKET}: {e}"))
}

pub(super) struct Syslog {
    path: PathBuf,
    format: LogFormat,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    fn open(path: &Path, format: LogFormat) -> io::Result<Syslog> {
        Ok(Syslog {
            path: path.to_owned(),
            format,
            socket: Some(connect(path)?),
        })
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(connect(&self.path)?),
        };
        for line in text.lines() {
            socket.send(line.as_bytes())?;
        }
        Ok(())
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

impl Sink for Syslog {
    fn line(&mut self, text: &str) -> io::Result<()> {
        let sent = self.send(text);
        if sent.is_err() {
            // Whoever listened may have begun anew, with another socket.
            self.socket = None;
        }
        sent
    }

    fn lost(&mut self, lines: u64, why: &str) -> io::Result<()> {
        let entry = Entry::new(Level::Warn, OURS, missing(lines, why));
        self.line(&entry.written(style(self.format)))
    }

    fn failed(&mut self, error: &io::Error) {
        let message = format!("syslog cannot be written: {error}; lines are lost until it can");
        tell_on_stderr(Level::Error, message);
    }

    fn works_again(&mut self, lost: u64) {
        let message = format!("syslog is written again, {lost} lines later");
        tell_on_stderr(Level::Warn, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 4096];
        let count = socket.recv(&mut bytes).expect("it was sent");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[test]
    fn a_line_is_a_datagram_with_its_priority_and_who_says_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let listener = UnixDatagram::bind(&path).expect("a socket");
        let mut syslog = Syslog::open(&path, LogFormat::Text).expect("it listens");
        let entry = Entry::new(Level::Warn, OURS, "one\ntwo").with_backtrace("0: main".to_owned());
        let text = entry.written(style(LogFormat::Text));
        syslog.line(&text).expect("it is sent");
        let head = format!("<28>openrtmp[{}]: ", std::process::id());
        assert_eq!(
            received(&listener),
            format!("{head}WARN  openrtmp: one\\ntwo")
        );
        assert_eq!(received(&listener), format!("{head}    0: main"));

        // It goes, and comes back as another.
        drop(listener);
        syslog.line(&text).expect_err("nobody listens");
        std::fs::remove_file(&path).expect("it is there");
        let listener = UnixDatagram::bind(&path).expect("a socket");
        syslog.line(&text).expect("it is sent");
        assert!(received(&listener).starts_with(&head));
    }
}
