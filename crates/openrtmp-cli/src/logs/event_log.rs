//! The event log of Windows, where a service has no standard error.

use std::io;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use log::Level;
use openrtmp_core::LogFormat;
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE,
    REPORT_EVENT_TYPE, RegisterEventSourceW, ReportEventW,
};

use super::entry::{Entry, Head, Style, split_priority};
use super::{OURS, missing, tell_on_stderr};
use crate::output::Sink;

/// What settings call it.
pub(super) const NAME: &str = "eventlog";

/// UTF-16 units of one event: beyond 31,839 it is refused.
const LONGEST: usize = 30_000;

/// The name of the service that this is, if it is one: its events have that as their source.
static SERVICE: OnceLock<String> = OnceLock::new();

/// This is a service: what the settings do not send elsewhere goes here.
pub(super) fn is_default_of(service: &str) {
    // Once per process.
    let _ = SERVICE.set(service.to_owned());
}

/// Whether it is the default here.
pub(super) fn is_default() -> bool {
    SERVICE.get().is_some()
}

/// How entries are handed to it: the priority in front becomes the kind of the event, and the
/// time is the event's.
pub(super) fn style(format: LogFormat) -> Style {
    Style {
        head: Head::Priority,
        ..Style::plain(format)
    }
}

/// The error is one line.
pub(super) fn open(format: LogFormat) -> Result<EventLog, String> {
    let mut log = EventLog {
        format,
        source: None,
    };
    match log.source() {
        Ok(_) => Ok(log),
        Err(error) => Err(format!("the event log is not to be had: {error}")),
    }
}

/// At once, and if this is a service: nobody reads what it writes to standard error.
pub(super) fn tell_of_service(entry: &Entry) {
    if is_default()
        && let Ok(mut log) = open(LogFormat::Text)
    {
        // It was the last place.
        let _ = log.line(&entry.written(style(log.format)));
    }
}

/// Writes each entry as an event.
pub(super) struct EventLog {
    format: LogFormat,
    source: Option<Source>,
}

impl EventLog {
    fn source(&mut self) -> io::Result<&Source> {
        Ok(match &mut self.source {
            Some(source) => source,
            none => {
                let name = SERVICE.get().map_or(OURS, String::as_str);
                none.insert(Source::register(name)?)
            }
        })
    }
}

impl Sink for EventLog {
    fn line(&mut self, text: &str) -> io::Result<()> {
        let written = self.source()?.report(&Event::of(text));
        if written.is_err() {
            // Who kept the log may have begun anew.
            self.source = None;
        }
        written
    }

    fn lost(&mut self, lines: u64, why: &str) -> io::Result<()> {
        let entry = Entry::new(Level::Warn, OURS, missing(lines, why));
        self.line(&entry.written(style(self.format)))
    }

    fn failed(&mut self, error: &io::Error) {
        let message =
            format!("the event log cannot be written: {error}; lines are lost until it can");
        tell_on_stderr(Level::Error, message);
    }

    fn works_again(&mut self, lost: u64) {
        let message = format!("the event log is written again, {lost} lines later");
        tell_on_stderr(Level::Warn, message);
    }
}

/// What becomes of an entry.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    kind: REPORT_EVENT_TYPE,
    /// Of the message in EventCreate.exe, which has 1 to 1000: each is the text alone.
    id: u32,
    text: String,
}

impl Event {
    /// Of an entry as [`style`] writes it: `<PRIORITY>` in front of each of its lines.
    fn of(written: &str) -> Event {
        let mut priority = None;
        let mut text = String::with_capacity(written.len());
        for line in written.lines() {
            let (of_line, rest) = split_priority(line);
            priority = priority.or(of_line);
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            text.push_str(rest);
        }
        let (kind, id) = match priority {
            Some(0..=3) => (EVENTLOG_ERROR_TYPE, 3),
            Some(4) => (EVENTLOG_WARNING_TYPE, 2),
            _ => (EVENTLOG_INFORMATION_TYPE, 1),
        };
        Event { kind, id, text }
    }
}

/// Who is named as the one who says it.
struct Source(HANDLE);

// SAFETY: it is a handle of the system, which may be used on any thread.
#[allow(unsafe_code)]
unsafe impl Send for Source {}

impl Source {
    fn register(name: &str) -> io::Result<Source> {
        let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
        // SAFETY: `name` ends with a zero and outlives the call.
        #[allow(unsafe_code)]
        let source = unsafe { RegisterEventSourceW(null(), name.as_ptr()) };
        match source.is_null() {
            true => Err(io::Error::last_os_error()),
            false => Ok(Source(source)),
        }
    }

    fn report(&self, event: &Event) -> io::Result<()> {
        let text = event.text.encode_utf16().filter(|unit| *unit != 0);
        let text: Vec<u16> = text.take(LONGEST).chain([0]).collect();
        let texts = [text.as_ptr()];
        // SAFETY: the handle is open, and there is one text, which ends with a zero and
        // outlives the call, as does the list of it.
        #[allow(unsafe_code)]
        let reported = unsafe {
            ReportEventW(
                self.0,
                event.kind,
                0,
                event.id,
                null_mut(),
                1,
                0,
                texts.as_ptr(),
                null(),
            )
        };
        match reported {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and nobody uses it from here on.
        #[allow(unsafe_code)]
        let _ = unsafe { DeregisterEventSource(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_event_of_its_kind_without_a_time() {
        for (level, kind, id) in [
            (Level::Error, EVENTLOG_ERROR_TYPE, 3),
            (Level::Warn, EVENTLOG_WARNING_TYPE, 2),
            (Level::Info, EVENTLOG_INFORMATION_TYPE, 1),
            (Level::Debug, EVENTLOG_INFORMATION_TYPE, 1),
        ] {
            let entry = Entry::new(level, OURS, "<1>one\ntwo").with_backtrace("0: main".to_owned());
            let event = Event::of(&entry.written(style(LogFormat::Text)));
            assert_eq!((event.kind, event.id), (kind, id));
            let text = format!("{level:<5} openrtmp: <1>one\\ntwo\r\n    0: main");
            assert_eq!(event.text, text);
        }
        let entry = Entry::new(Level::Warn, OURS, "one");
        let event = Event::of(&entry.written(style(LogFormat::Json)));
        assert_eq!((event.kind, event.id), (EVENTLOG_WARNING_TYPE, 2));
        assert!(event.text.starts_with("{\"time\":"), "{}", event.text);
    }

    #[test]
    fn the_system_takes_an_event_however_long() {
        let mut log = open(LogFormat::Text).expect("a source");
        let entry = Entry::new(Level::Info, OURS, "\u{1f4fa}".repeat(100_000));
        log.line(&entry.written(style(LogFormat::Text)))
            .expect("it is taken");
    }
}
