//! The log of Macs and phones: os_log, and Logcat.

use std::io;

use log::Level;
use openrtmp_core::{LogFormat, SystemLog};

use super::entry::{Entry, Head, Style, split_priority};
use super::{OURS, missing};
use crate::output::Sink;

/// What settings call it.
pub(super) const NAME: &str = SystemLog::NAME;

/// How entries are handed to it: the priority in front becomes its kind, and the time is its
/// own.
pub(super) fn style(format: LogFormat) -> Style {
    Style {
        head: Head::Priority,
        ..Style::plain(format)
    }
}

/// The error is one line.
pub(super) fn open(format: LogFormat) -> Result<Kept, String> {
    let log = SystemLog::open().map_err(|error| error.to_string())?;
    Ok(Kept { log, format })
}

/// Writes each line of an entry as one of the system's.
pub(super) struct Kept {
    log: SystemLog,
    format: LogFormat,
}

impl Sink for Kept {
    fn line(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            let (priority, line) = split_priority(line);
            self.log.write(level(priority), line);
        }
        Ok(())
    }

    fn lost(&mut self, lines: u64, why: &str) -> io::Result<()> {
        let entry = Entry::new(Level::Warn, OURS, missing(lines, why));
        self.line(&entry.written(style(self.format)))
    }
}

fn level(priority: Option<u8>) -> Level {
    match priority {
        Some(0..=3) => Level::Error,
        Some(4) => Level::Warn,
        Some(7) => Level::Debug,
        _ => Level::Info,
    }
}
