//! The log that phones and Macs keep of what their programs do: os_log on Apple's systems, by
//! the feature `oslog`, and Logcat on Android's, by the feature `android_logger`.

use std::fmt::{self, Write as _};

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use openrtmp_protocol::text::in_one_line;
use thiserror::Error;

use self::backend::Backend;

/// The system's log: os_log, where lines are of the subsystem `org.openrtmp`, or Logcat, where
/// their tag is `OpenRTMP`. Whoever writes waits for nobody. As a [`Log`] it writes records
/// with all their fields, which on Apple's systems are public like the message.
pub struct SystemLog(Backend);

/// Why there is no such log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SystemLogError {
    /// This system has none, or the library was built without the feature that it takes.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The program has a logger already.
    #[error("the program has a logger of its own")]
    Taken,
}

/// Whether it can be had in this build.
pub(crate) const IS_BUILT_IN: bool = cfg!(any(
    all(target_vendor = "apple", feature = "oslog"),
    all(target_os = "android", feature = "android_logger")
));

/// Why it cannot, if it cannot.
pub(crate) const MISSING: &str = if cfg!(target_vendor = "apple") {
    "this program was built without the feature `oslog`"
} else if cfg!(target_os = "android") {
    "this program was built without the feature `android_logger`"
} else {
    "os_log is of Apple's systems, and Logcat of Android's"
};

/// Sends all that is logged in this process, up to a level, to the system's log, for as long
/// as it runs. For programs without a logger: others give records to a [`SystemLog`] of theirs.
///
/// # Errors
/// There is no such log, or another logger.
pub fn log_to_system(level: LevelFilter) -> Result<(), SystemLogError> {
    let log = SystemLog::open()?;
    log::set_boxed_logger(Box::new(log)).map_err(|_| SystemLogError::Taken)?;
    log::set_max_level(level);
    Ok(())
}

impl SystemLog {
    /// What settings call it (`log.output`).
    pub const NAME: &'static str = if cfg!(target_os = "android") {
        "logcat"
    } else {
        "oslog"
    };

    /// # Errors
    /// There is none.
    pub fn open() -> Result<SystemLog, SystemLogError> {
        Backend::open().map(SystemLog)
    }

    /// Writes a text; what is longer than the system takes, in pieces.
    pub fn write(&self, level: Level, text: &str) {
        for piece in pieces(text, Backend::LONGEST) {
            self.0.write(level, piece);
        }
    }
}

impl fmt::Debug for SystemLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SystemLog::NAME)
    }
}

impl Log for SystemLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.write(record.level(), &line(record));
        }
    }

    fn flush(&self) {}
}

/// The part of the program, the message and the fields. No character of what was told ends the
/// line or forges another.
fn line(record: &Record<'_>) -> String {
    struct Fields(String);
    impl<'kvs> VisitSource<'kvs> for Fields {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
            // Writing to a String cannot fail.
            let _ = write!(self.0, " {key}={}", in_one_line(&value.to_string()));
            Ok(())
        }
    }
    let message = record.args().to_string();
    let mut text = Fields(format!("{}: {}", record.target(), in_one_line(&message)));
    // The visitor never fails; a source that does has told what it could.
    let _ = record.key_values().visit(&mut text);
    text.0
}

/// A text in pieces of at most so many bytes, 4 or more, each of whole characters.
fn pieces(mut text: &str, most: usize) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut end = text.len().min(most);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, rest) = text.split_at(end);
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(all(target_vendor = "apple", feature = "oslog"))]
mod backend {
    use log::Level;
    use oslog::{Level as Kind, OsLog};

    use super::SystemLogError;

    pub(super) struct Backend(OsLog);

    impl Backend {
        /// os_log cuts what is longer than 1,024 bytes.
        pub(super) const LONGEST: usize = 1_000;

        pub(super) fn open() -> Result<Backend, SystemLogError> {
            Ok(Backend(OsLog::new("org.openrtmp", "openrtmp")))
        }

        pub(super) fn write(&self, level: Level, text: &str) {
            // There is no warning among them.
            let kind = match level {
                Level::Error => Kind::Error,
                Level::Warn => Kind::Default,
                Level::Info => Kind::Info,
                Level::Debug | Level::Trace => Kind::Debug,
            };
            self.0.with_level(kind, text);
        }
    }
}

#[cfg(all(target_os = "android", feature = "android_logger"))]
mod backend {
    use android_logger::{AndroidLogger, Config};
    use log::{Level, LevelFilter, Log, Record};

    use super::SystemLogError;

    pub(super) struct Backend(AndroidLogger);

    impl Backend {
        /// Logcat cuts what is longer than some 4,000 bytes.
        pub(super) const LONGEST: usize = 3_900;

        pub(super) fn open() -> Result<Backend, SystemLogError> {
            let config = Config::default()
                .with_tag("OpenRTMP")
                .with_max_level(LevelFilter::Trace)
                .format(|out, record| out.write_fmt(*record.args()));
            Ok(Backend(AndroidLogger::new(config)))
        }

        pub(super) fn write(&self, level: Level, text: &str) {
            self.0.log(
                &Record::builder()
                    .level(level)
                    .args(format_args!("{text}"))
                    .build(),
            );
        }
    }
}

#[cfg(not(any(
    all(target_vendor = "apple", feature = "oslog"),
    all(target_os = "android", feature = "android_logger")
)))]
mod backend {
    use log::Level;

    use super::{MISSING, SystemLogError};

    /// There is none.
    pub(super) enum Backend {}

    impl Backend {
        pub(super) const LONGEST: usize = 1_000;

        pub(super) fn open() -> Result<Backend, SystemLogError> {
            Err(SystemLogError::Unsupported(MISSING))
        }

        pub(super) fn write(&self, _: Level, _: &str) {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_with_its_fields() {
        let fields: [(&str, Value<'_>); 2] =
            [("peer", Value::from("10.0.0.7:1\n")), ("n", Value::from(3))];
        let fields = &fields[..];
        let args = format_args!("it\r\nfails");
        let record = Record::builder()
            .target("openrtmp")
            .args(args)
            .key_values(&fields)
            .build();
        assert_eq!(
            line(&record),
            "openrtmp: it\\r\\nfails peer=10.0.0.7:1\\n n=3"
        );
    }

    #[test]
    fn a_long_text_comes_in_pieces_of_whole_characters() {
        let text = "a\u{1f4fa}\u{1f4fa}bc";
        let cut: Vec<&str> = pieces(text, 5).collect();
        assert_eq!(cut, ["a\u{1f4fa}", "\u{1f4fa}b", "c"]);
        assert_eq!(pieces(text, 100).collect::<Vec<_>>(), [text]);
        assert_eq!(pieces("", 5).count(), 0);
    }

    #[test]
    fn a_system_without_one_says_so_and_the_program_keeps_its_logger() {
        let missing = SystemLog::open().err();
        assert_eq!(missing.is_none(), IS_BUILT_IN);
        if let Some(error) = missing {
            assert_eq!(log_to_system(LevelFilter::Info), Err(error));
            assert_eq!(error.to_string(), MISSING);
        }
    }
}
