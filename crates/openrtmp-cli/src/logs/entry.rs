//! One entry of a log, and what it looks like.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};
use openrtmp_core::{LogFormat, current_server};
use openrtmp_protocol::text::in_one_line;

/// Fields for programs alone: the message of each entry that has one says it in words.
const SAID: [&str; 8] = [
    "action",
    "app",
    "bytes_in",
    "bytes_out",
    "code",
    "duration_ms",
    "outcome",
    "reason",
];

/// Something to tell, whatever it will look like.
pub(crate) struct Entry {
    time: DateTime<Utc>,
    pub(super) level: Level,
    target: Cow<'static, str>,
    message: String,
    /// The server that it is of; 0: none.
    server: u64,
    fields: Vec<(String, Field)>,
    /// Lines of the way that led there.
    backtrace: Option<String>,
}

/// The value of a field.
enum Field {
    /// As JSON has it: a number, true or false.
    Plain(String),
    Text(String),
}

/// How an entry is written to one place.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) format: LogFormat,
    /// Levels are in colour.
    pub(super) colour: bool,
    /// What a line begins with.
    pub(super) head: Head,
}

/// What a line begins with, in place of its time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// That is all there is.
    Time,
    /// Its priority: for the journal (sd-daemon(3)), which has times of its own.
    Priority,
    /// Priority, facility and who says it: for syslog (RFC 3164), which has them too.
    #[cfg_attr(
        any(
            not(unix),
            all(target_vendor = "apple", feature = "oslog"),
            all(target_os = "android", feature = "android_logger")
        ),
        expect(dead_code)
    )]
    Syslog,
}

impl Style {
    /// For a file.
    pub(super) fn plain(format: LogFormat) -> Style {
        Style {
            format,
            colour: false,
            head: Head::Time,
        }
    }
}

impl Entry {
    /// One of the command's own.
    pub(super) fn new(level: Level, target: &'static str, message: impl Into<String>) -> Entry {
        Entry {
            time: Utc::now(),
            level,
            target: target.into(),
            message: message.into(),
            server: current_server(),
            fields: Vec::new(),
            backtrace: None,
        }
    }

    pub(super) fn of(record: &Record<'_>) -> Entry {
        let mut fields = Fields(Vec::new());
        // The visitor never fails; a source that does has told what it could.
        let _ = record.key_values().visit(&mut fields);
        Entry {
            target: record.target().to_owned().into(),
            fields: fields.0,
            ..Entry::new(record.level(), "", record.args().to_string())
        }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Entry {
        let field = Field::Text(value.into());
        self.fields.push((name.to_owned(), field));
        self
    }

    pub(super) fn with_backtrace(mut self, lines: String) -> Entry {
        self.backtrace = Some(lines);
        self
    }

    /// The lines of it, their ends included: one, and in text those of a backtrace. No
    /// character of what was told ends or forges one.
    pub(super) fn written(&self, style: Style) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_head(&mut text, style.head);
        let _ = match style.format {
            LogFormat::Json => self.write_json(&mut text),
            _ => self.write_text(&mut text, style),
        };
        text.push('\n');
        if style.format != LogFormat::Json {
            for line in self.backtrace.iter().flat_map(|lines| lines.lines()) {
                let _ = self.write_head(&mut text, style.head);
                let _ = writeln!(text, "    {}", in_one_line(line));
            }
        }
        text
    }

    fn write_head(&self, out: &mut String, head: Head) -> std::fmt::Result {
        /// That of system daemons.
        const DAEMON: u8 = 3 << 3;
        let priority = priority(self.level);
        match head {
            Head::Time => Ok(()),
            Head::Priority => write!(out, "<{priority}>"),
            Head::Syslog => {
                let id = std::process::id();
                write!(out, "<{}>openrtmp[{id}]: ", DAEMON | priority)
            }
        }
    }

    fn write_text(&self, out: &mut String, style: Style) -> std::fmt::Result {
        if style.head == Head::Time {
            write!(out, "{} ", self.time())?;
        }
        let (begin, end) = match style.colour {
            true => (colour(self.level), "\x1b[0m"),
            false => ("", ""),
        };
        let target = in_one_line(&self.target);
        write!(out, "{begin}{:<5}{end} {target}: ", self.level.as_str())?;
        write!(out, "{}", in_one_line(&self.message))?;
        for (name, field) in &self.fields {
            if SAID.contains(&name.as_str()) {
                continue;
            }
            match field {
                Field::Plain(value) => write!(out, " {name}={value}")?,
                Field::Text(value) if value.is_empty() || value.contains([' ', '"', '=']) => {
                    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                    write!(out, " {name}=\"{}\"", in_one_line(&value))?;
                }
                Field::Text(value) => write!(out, " {name}={}", in_one_line(value))?,
            }
        }
        Ok(())
    }

    fn write_json(&self, out: &mut String) -> std::fmt::Result {
        write!(out, "{{\"time\":\"{}\"", self.time())?;
        let level = self.level.as_str().to_ascii_lowercase();
        let texts = [
            ("level", level.as_str()),
            ("target", &self.target),
            ("message", &self.message),
        ];
        for (name, text) in texts {
            write!(out, ",\"{name}\":{}", json(text))?;
        }
        if self.server != 0 {
            write!(out, ",\"server\":{}", self.server)?;
        }
        for (name, field) in &self.fields {
            write!(out, ",{}:", json(name))?;
            match field {
                Field::Plain(value) => out.push_str(value),
                Field::Text(text) => out.push_str(&json(text)),
            }
        }
        if let Some(lines) = &self.backtrace {
            let lines: Vec<String> = lines.lines().map(|line| json(line.trim())).collect();
            write!(out, ",\"backtrace\":[{}]", lines.join(","))?;
        }
        out.push('}');
        Ok(())
    }

    /// RFC 3339, in UTC, with milliseconds.
    fn time(&self) -> String {
        self.time.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

struct Fields(Vec<(String, Field)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let is_plain = value.to_u64().is_some()
            || value.to_i64().is_some()
            || value.to_bool().is_some()
            // JSON has no other numbers.
            || value.to_f64().is_some_and(f64::is_finite);
        let field = match is_plain {
            true => Field::Plain(value.to_string()),
            false => Field::Text(value.to_string()),
        };
        self.0.push((key.to_string(), field));
        Ok(())
    }
}

/// A text as JSON has it.
fn json(text: &str) -> String {
    // A text can always be written.
    serde_json::to_string(&in_one_line(text).to_string()).unwrap_or_default()
}

/// The priority of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// A line that [`Head::Priority`] begins: its priority, and what follows.
#[cfg(any(
    test,
    windows,
    all(target_vendor = "apple", feature = "oslog"),
    all(target_os = "android", feature = "android_logger")
))]
pub(super) fn split_priority(line: &str) -> (Option<u8>, &str) {
    let split = line.strip_prefix('<').and_then(|line| line.split_once('>'));
    let split = split.and_then(|(head, rest)| Some((head.parse().ok()?, rest)));
    split.map_or((None, line), |(priority, rest)| (Some(priority), rest))
}

/// The beginning of a colour (ECMA-48 section 8.3.117).
fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[31m",
        Level::Warn => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Debug => "\x1b[34m",
        Level::Trace => "\x1b[36m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: &str) -> Entry {
        let args = format_args!("{message}");
        let fields: [(&str, Value<'_>); 5] = [
            ("peer", Value::from("10.0.0.7:1")),
            ("software", Value::from("a \"b\"\nc")),
            ("lines", Value::from(3_u64)),
            ("reason", Value::from("peer")),
            ("user", Value::from("")),
        ];
        let fields = &fields[..];
        let record = Record::builder()
            .level(Level::Warn)
            .target("openrtmp")
            .args(args)
            .key_values(&fields)
            .build();
        let mut entry = Entry::of(&record);
        entry.time = DateTime::from_timestamp_millis(1_000).expect("a time");
        entry
    }

    fn parsed(line: &str) -> serde_json::Value {
        serde_json::from_str(line).expect("one object")
    }

    #[test]
    fn text_is_for_people() {
        let line = entry("it fails").written(Style::plain(LogFormat::Text));
        let expected = "1970-01-01T00:00:01.000Z WARN  openrtmp: it fails peer=10.0.0.7:1 \
                        software=\"a \\\"b\\\"\\nc\" lines=3 user=\"\"\n";
        assert_eq!(line, expected);
    }

    #[test]
    fn json_is_an_object_a_line_with_numbers_as_numbers() {
        let line = entry("it fails").written(Style::plain(LogFormat::Json));
        let value = parsed(&line);
        assert_eq!(value["time"], "1970-01-01T00:00:01.000Z");
        assert_eq!(value["level"], "warn");
        assert_eq!(value["message"], "it fails");
        assert_eq!(value["lines"], 3);
        assert_eq!(value["reason"], "peer");
        assert_eq!(value["software"], "a \"b\"\\nc");
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn no_character_forges_a_line_or_drives_a_terminal() {
        let evil = "a\r\n<3>2026 ERROR \u{1b}[2J\u{9b}2J\u{7f}\u{202e}\0";
        for format in [LogFormat::Text, LogFormat::Json] {
            let told = entry(evil).with_backtrace(format!("0: {}\u{1b}", evil.replace('\n', "")));
            let text = told.written(Style::plain(format));
            let is_raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.chars().any(is_raw), "{text:?}");
            let lines = if format == LogFormat::Json { 1 } else { 2 };
            assert_eq!(text.matches('\n').count(), lines, "{text:?}");
        }
    }

    #[test]
    fn the_journal_is_told_the_priority_of_each_line_and_no_time() {
        let style = Style {
            head: Head::Priority,
            ..Style::plain(LogFormat::Text)
        };
        let told = entry("it fails").with_backtrace("0: main\n1: start".to_owned());
        let text = told.written(style);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("<4>WARN  openrtmp: it fails peer="),
            "{text}"
        );
        assert_eq!(lines[1..], ["<4>    0: main", "<4>    1: start"]);
        assert_eq!(split_priority(lines[1]), (Some(4), "    0: main"));
        assert_eq!(split_priority("<it> fails"), (None, "<it> fails"));
    }
}
