//! What programs write, line by line in the log.

use std::io::{PipeReader, Read};
use std::time::{Duration, Instant};

use openrtmp_core::StreamName;

/// Bytes of a line; a longer one is taken for several.
const LINE: usize = 1024;

/// Times that what a program wrote is read after its end, `LINE` bytes each: something
/// that it left behind may write for ever.
const LAST: u32 = 64;

/// Whose lines they are.
pub(super) struct Writer {
    /// The setting.
    pub(super) hook: &'static str,
    pub(super) process: u32,
    pub(super) name: StreamName,
    /// Lines a second.
    pub(super) lines: u32,
}

impl Writer {
    /// Logs what comes until nothing can come any more, or `stop` ends.
    pub(super) fn log(self, mut output: PipeReader, stop: &PipeReader) {
        let mut lines = Lines::new(self.lines);
        let mut buffer = [0; LINE];
        let mut last = LAST;
        loop {
            let (is_more, is_over) = super::process::has_more(&output, stop);
            last -= u32::from(is_over);
            if !is_more || last == 0 {
                break;
            }
            match output.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => lines.take(&buffer[..count], |line| self.line(line)),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        lines.finish(|line| self.line(line));
    }

    fn line(&self, line: &str) {
        // A name that is a key is not shown, whoever writes it.
        let line = line.replace(self.name.reveal(), self.name.shown());
        let (hook, process) = (self.hook, self.process);
        log::info!("{hook}[{process}]: {}", escaped(&line));
    }
}

/// A line without what a terminal or a reader of logs would take for more than text.
fn escaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        // What is not shown, or changes the direction of what is: Unicode's format
        // characters.
        match c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        {
            true => text.extend(c.escape_default()),
            false => text.push(c),
        }
    }
    text
}

/// Bytes on their way to lines, of which some are passed on each second.
struct Lines {
    bytes: Vec<u8>,
    most: u32,
    second: Instant,
    passed: u32,
    held_back: u64,
}

impl Lines {
    fn new(most: u32) -> Lines {
        Lines {
            bytes: Vec::new(),
            most,
            second: Instant::now(),
            passed: 0,
            held_back: 0,
        }
    }

    /// Takes bytes in. A carriage return ends a line too: programs show progress so.
    fn take(&mut self, bytes: &[u8], mut pass: impl FnMut(&str)) {
        for &byte in bytes {
            match byte {
                b'\n' | b'\r' => self.end_line(&mut pass),
                _ => self.bytes.push(byte),
            }
            if self.bytes.len() >= LINE {
                self.end_line(&mut pass);
            }
        }
    }

    fn end_line(&mut self, pass: &mut impl FnMut(&str)) {
        let bytes = std::mem::take(&mut self.bytes);
        let line = String::from_utf8_lossy(&bytes);
        if line.trim().is_empty() {
            return;
        }
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.tell_held_back(pass);
            (self.second, self.passed) = (Instant::now(), 0);
        }
        if self.passed < self.most {
            self.passed += 1;
            pass(&line);
        } else {
            self.held_back += 1;
        }
    }

    fn tell_held_back(&mut self, pass: &mut impl FnMut(&str)) {
        let count = std::mem::take(&mut self.held_back);
        if count > 0 && self.most > 0 {
            pass(&format!("({count} lines more)"));
        }
    }

    fn finish(mut self, mut pass: impl FnMut(&str)) {
        self.end_line(&mut pass);
        self.tell_held_back(&mut pass);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(most: u32, parts: &[&[u8]]) -> Vec<String> {
        let mut seen = Vec::new();
        let mut lines = Lines::new(most);
        for part in parts {
            lines.take(part, |line| seen.push(line.to_owned()));
        }
        lines.finish(|line| seen.push(line.to_owned()));
        seen
    }

    #[test]
    fn bytes_become_lines_whatever_ends_them() {
        let parts: [&[u8]; 4] = [b"on", b"e\r\ntwo\rthree\n\n", b"\xFF", b" four"];
        assert_eq!(
            passed(100, &parts),
            ["one", "two", "three", "\u{FFFD} four"]
        );
        let long = passed(100, &[&[b'x'; 2500]]);
        assert_eq!(
            long.iter().map(String::len).collect::<Vec<_>>(),
            [1024, 1024, 452]
        );
    }

    #[test]
    fn a_line_is_text_and_nothing_else() {
        assert_eq!(escaped("é a\tb"), "é a\\tb");
        assert_eq!(escaped("\x1b[2J\u{202E}x"), "\\u{1b}[2J\\u{202e}x");
    }

    #[test]
    fn a_flood_is_counted() {
        let many = b"line\n".repeat(1000);
        let seen = passed(3, &[&many]);
        // A second may be over meanwhile.
        assert!(seen.len() < 900, "{}", seen.len());
        assert!(
            seen.last()
                .is_some_and(|last| last.ends_with("lines more)"))
        );
        assert!(passed(0, &[&many]).is_empty());
    }
}
