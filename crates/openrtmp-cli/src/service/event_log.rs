//! The event log of Windows, where a service has no standard error.

use std::fmt::Write as _;
use std::io;
use std::ptr::{null, null_mut};

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::EventLog::{
    EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE, RegisterEventSourceW,
    ReportEventW,
};

/// UTF-16 units of one event: beyond 31,839 it is refused.
const LONGEST: usize = 30_000;

/// Writes each record as an event.
pub(crate) struct EventLog {
    source: HANDLE,
    level: LevelFilter,
}

// SAFETY: it is a handle of the system, which may be used on any thread, and is open as long
// as the process.
#[allow(unsafe_code)]
unsafe impl Send for EventLog {}

// SAFETY: the same; the system takes events one at a time.
#[allow(unsafe_code)]
unsafe impl Sync for EventLog {}

impl EventLog {
    /// From now on everything is logged there, under the name of the service.
    pub(crate) fn begin(source: &str, level: LevelFilter) -> io::Result<()> {
        let name: Vec<u16> = source.encode_utf16().chain([0]).collect();
        // SAFETY: `name` ends with a zero and outlives the call.
        #[allow(unsafe_code)]
        let source = unsafe { RegisterEventSourceW(null(), name.as_ptr()) };
        if source.is_null() {
            return Err(io::Error::last_os_error());
        }
        let log = Box::new(EventLog { source, level });
        log::set_boxed_logger(log).map_err(io::Error::other)?;
        log::set_max_level(level);
        Ok(())
    }
}

impl Log for EventLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // The numbers are those of the messages in EventCreate.exe, which has 1 to 1000.
        let (kind, id) = match record.level() {
            Level::Error => (EVENTLOG_ERROR_TYPE, 3),
            Level::Warn => (EVENTLOG_WARNING_TYPE, 2),
            _ => (EVENTLOG_INFORMATION_TYPE, 1),
        };
        let mut fields = Fields(record.args().to_string());
        // What it writes to takes everything.
        let _ = record.key_values().visit(&mut fields);
        let text = fields.0.encode_utf16().filter(|unit| *unit != 0);
        let text: Vec<u16> = text.take(LONGEST).chain([0]).collect();
        let texts = [text.as_ptr()];
        // SAFETY: the handle is open, and there is one text, which ends with a zero and
        // outlives the call, as does the list of it.
        #[allow(unsafe_code)]
        let _ = unsafe {
            ReportEventW(
                self.source,
                kind,
                0,
                id,
                null_mut(),
                1,
                0,
                texts.as_ptr(),
                null(),
            )
        };
    }

    fn flush(&self) {}
}

/// A text with fields behind it.
struct Fields(String);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        // Writing to a String cannot fail.
        let _ = write!(self.0, " {key}={value}");
        Ok(())
    }
}
