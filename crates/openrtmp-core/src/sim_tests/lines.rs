//! The log lines of one test: a simulation runs on the thread of its test.

use std::cell::RefCell;
use std::sync::Once;

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};

thread_local! {
    static LINES: RefCell<Option<Vec<(Level, String)>>> = const { RefCell::new(None) };
    /// What stands beside the lines.
    static VALUES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Values;

impl<'kvs> VisitSource<'kvs> for Values {
    fn visit_pair(&mut self, _: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        VALUES.with_borrow_mut(|values| values.push(value.to_string()));
        Ok(())
    }
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        LINES.with_borrow(Option::is_some)
    }

    fn log(&self, record: &Record<'_>) {
        LINES.with_borrow_mut(|lines| {
            if let Some(lines) = lines {
                lines.push((record.level(), record.args().to_string()));
                record
                    .key_values()
                    .visit(&mut Values)
                    .expect("all can be shown");
            }
        });
    }

    fn flush(&self) {}
}

/// What is logged on this thread from now on, until this is dropped.
pub(super) struct Lines(());

impl Lines {
    pub(super) fn capture() -> Lines {
        static LOGGER: Once = Once::new();
        LOGGER.call_once(|| {
            log::set_logger(&Logger).expect("no other test sets a logger");
            log::set_max_level(LevelFilter::Debug);
        });
        LINES.set(Some(Vec::new()));
        VALUES.take();
        Lines(())
    }

    /// The lines since the last call.
    pub(super) fn take(&self) -> Vec<(Level, String)> {
        LINES.with_borrow_mut(|lines| lines.as_mut().map(std::mem::take).unwrap_or_default())
    }

    /// The values that stood beside the lines, since the last call.
    pub(super) fn take_values(&self) -> Vec<String> {
        VALUES.take()
    }

    /// How many of them hold a text.
    pub(super) fn count(lines: &[(Level, String)], text: &str) -> usize {
        lines.iter().filter(|(_, line)| line.contains(text)).count()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        LINES.set(None);
    }
}
