//! What the server writes to the log of a test's process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// Lines that are warnings or worse, in the order in which they came, each with the stream that
/// it is about. What dependencies say of themselves is no business of a library's: whether
/// rustls does hangs on what else is built, and the command holds it back.
#[derive(Debug)]
pub struct Journal(Mutex<Vec<String>>);

static JOURNAL: Journal = Journal(Mutex::new(Vec::new()));

impl Journal {
    /// The one of this process, kept from the first call on.
    pub fn kept() -> &'static Journal {
        // It fails where it is kept already, or where a test has a logger of its own.
        if log::set_logger(&JOURNAL).is_ok() {
            log::set_max_level(LevelFilter::Warn);
        }
        &JOURNAL
    }

    /// Takes what is there.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines())
    }

    /// Those that are there and have a word in them.
    pub fn with(&self, word: &str) -> Vec<String> {
        let lines = self.lines();
        let lines = lines.iter().filter(|line| line.contains(word));
        lines.cloned().collect()
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn && metadata.target().starts_with("openrtmp")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let stream = record.key_values().get("stream".into());
            let stream = stream.map(|name| format!(" ({name})"));
            let line = format!("{}{}", record.args(), stream.unwrap_or_default());
            self.lines().push(line);
        }
    }

    fn flush(&self) {}
}
