//! What programs write, line by line in the log.

use std::io::{PipeReader, Read};
use std::time::{Duration, Instant};

use openrtmp_core::StreamName;

use super::environment::encoded;

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
        let secrets = Secrets::of(&self.name);
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
                Ok(count) => lines.take(&buffer[..count], Instant::now(), |line| {
                    self.line(&secrets, line)
                }),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        lines.finish(Instant::now(), |line| self.line(&secrets, line));
    }

    fn line(&self, secrets: &Secrets, line: &str) {
        let (hook, process) = (self.hook, self.process);
        log::info!("{hook}[{process}]: {}", escaped(&secrets.masked(line)));
    }
}

/// The parts of a name that are keys, in each form in which a program is told of them or may
/// write them, and what stands for them. They are not shown, whoever writes them.
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn of(name: &StreamName) -> Secrets {
        Secrets::between(name.reveal(), name.shown())
    }

    fn between(path: &str, shown: &str) -> Secrets {
        let mut secrets = Vec::new();
        let parts = path.split('/').zip(shown.split('/'));
        for (part, mask) in parts.filter(|(part, mask)| part != mask && !part.is_empty()) {
            let in_url = encoded(part);
            for form in [
                part.to_owned(),
                in_url.replace('%', "%25"),
                lower_escapes(&in_url),
                in_url,
            ] {
                secrets.push((form, mask.to_owned()));
            }
        }
        // One may be a part of another.
        secrets.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        Secrets(secrets)
    }

    fn masked(&self, line: &str) -> String {
        let secrets = self.0.iter();
        secrets.fold(line.to_owned(), |line, (form, mask)| {
            line.replace(form, mask)
        })
    }
}

/// Escapes of a URL with small letters, which are the same (RFC 3986 section 2.1).
fn lower_escapes(url: &str) -> String {
    let mut pieces = url.split('%');
    let mut lower = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        lower += &format!("%{}{rest}", digits.to_ascii_lowercase());
    }
    lower
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
    /// When the second began by which they are counted.
    second: Option<Instant>,
    passed: u32,
    held_back: u64,
}

impl Lines {
    fn new(most: u32) -> Lines {
        Lines {
            bytes: Vec::new(),
            most,
            second: None,
            passed: 0,
            held_back: 0,
        }
    }

    /// Takes bytes in. A carriage return ends a line too: programs show progress so.
    fn take(&mut self, bytes: &[u8], now: Instant, mut pass: impl FnMut(&str)) {
        for &byte in bytes {
            match byte {
                b'\n' | b'\r' => self.end_line(now, &mut pass),
                _ => self.bytes.push(byte),
            }
            if self.bytes.len() >= LINE {
                self.end_line(now, &mut pass);
            }
        }
    }

    fn end_line(&mut self, now: Instant, pass: &mut impl FnMut(&str)) {
        let bytes = std::mem::take(&mut self.bytes);
        let line = String::from_utf8_lossy(&bytes);
        if line.trim().is_empty() {
            return;
        }
        if self
            .second
            .is_none_or(|second| now - second >= Duration::from_secs(1))
        {
            self.tell_held_back(pass);
            (self.second, self.passed) = (Some(now), 0);
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

    fn finish(mut self, now: Instant, mut pass: impl FnMut(&str)) {
        self.end_line(now, &mut pass);
        self.tell_held_back(&mut pass);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(most: u32, parts: &[&[u8]]) -> Vec<String> {
        let (mut seen, now) = (Vec::new(), Instant::now());
        let mut lines = Lines::new(most);
        for part in parts {
            lines.take(part, now, |line| seen.push(line.to_owned()));
        }
        lines.finish(now, |line| seen.push(line.to_owned()));
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
    fn a_key_is_masked_in_every_form() {
        let secrets = Secrets::between("live/sE cret\u{e9}?/cam", "live/***1f3a/cam");
        for (line, expected) in [
            ("sE cret\u{e9}?", "***1f3a"),
            ("a live/sE cret\u{e9}?/cam b", "a live/***1f3a/cam b"),
            (
                "rtmp://h/live/sE%20cret%C3%A9%3F/cam",
                "rtmp://h/live/***1f3a/cam",
            ),
            (
                "rtmp://h/live/sE%20cret%c3%a9%3f/cam",
                "rtmp://h/live/***1f3a/cam",
            ),
            ("u=live%2FsE%2520cret%25C3%25A9%253F", "u=live%2F***1f3a"),
            ("xsE cret\u{e9}?-2026.flv", "x***1f3a-2026.flv"),
            ("cam, live and secret", "cam, live and secret"),
        ] {
            assert_eq!(secrets.masked(line), expected);
        }
        let longer = Secrets::between("key/key2", "***1/***2");
        assert_eq!(longer.masked("key2 key"), "***2 ***1");
    }

    #[test]
    fn a_flood_is_counted() {
        let many = b"line\n".repeat(1000);
        assert_eq!(
            passed(3, &[&many]),
            ["line", "line", "line", "(997 lines more)"]
        );
        assert!(passed(0, &[&many]).is_empty());
        let (mut lines, mut seen) = (Lines::new(1), Vec::new());
        let begun = Instant::now();
        for after in [0, 999, 1000, 1001] {
            let now = begun + Duration::from_millis(after);
            let line = format!("{after}\n");
            lines.take(line.as_bytes(), now, |line| seen.push(line.to_owned()));
        }
        lines.finish(begun, |line| seen.push(line.to_owned()));
        assert_eq!(seen, ["0", "(1 lines more)", "1000", "(1 lines more)"]);
    }
}
