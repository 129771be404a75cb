//! Where the lines of a log go.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::document::milliseconds;
use super::tls::text_or_none;
use crate::system_log::{IS_BUILT_IN, MISSING, SystemLog};

/// The log of the `openrtmp` command. The library writes to the `log` facade, and its host
/// decides where that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LogConfig {
    /// The least important level that is written.
    pub level: LogLevel,
    /// What a line looks like.
    pub format: LogFormat,
    /// Where lines go, see [`LogConfig::OUTPUTS`]; none: nowhere.
    pub output: Vec<String>,
    /// The file of the output `file`.
    pub file: LogFileConfig,
}

/// Levels, the fewest lines first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Something failed that should not.
    Error,
    /// Something to look at.
    Warn,
    /// What goes on.
    #[default]
    Info,
    /// For finding faults.
    Debug,
    /// Everything.
    Trace,
}

/// What a line of a log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object, for programs.
    Json,
}

/// A file that lines of a log go to, and those of before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LogFileConfig {
    /// Its name. The folder has to be there.
    #[serde(with = "text_or_none")]
    pub path: Option<PathBuf>,
    /// A line with which it would have more bytes begins a new file, 4 KiB or more; zero:
    /// none does.
    pub max_bytes: u64,
    /// The same for a file older than this, 1 s to 10 years; zero: none is too old.
    #[serde(with = "milliseconds")]
    pub max_age: Duration,
    /// Files of before that are kept, the newest, up to 10,000.
    pub keep: usize,
    /// They are compressed.
    pub gzip: bool,
}

impl LogConfig {
    /// What [`LogConfig::output`] may name.
    pub const OUTPUTS: [&'static str; 6] =
        ["stderr", "file", "syslog", "eventlog", "oslog", "logcat"];

    /// Whether lines go there.
    pub fn goes_to(&self, output: &str) -> bool {
        self.output.iter().any(|named| named == output)
    }

    /// What is wrong with it: a path, a value and what is allowed.
    pub(super) fn faults(&self) -> Vec<(&'static str, String, String)> {
        let mut faults = Vec::new();
        let known = |output: &&String| LogConfig::OUTPUTS.contains(&output.as_str());
        if let Some(output) = self.output.iter().find(|output| !known(output)) {
            let allowed = format!("names among {}", LogConfig::OUTPUTS.join(", "));
            faults.push(("log.output", output.clone(), allowed));
        }
        // A build has one log that the system keeps.
        let is_own = |name| IS_BUILT_IN && name == SystemLog::NAME;
        for (name, is_here, why) in [
            (
                "syslog",
                cfg!(unix) && !IS_BUILT_IN,
                "this system has no syslog",
            ),
            ("eventlog", cfg!(windows), "the event log is one of Windows"),
            ("oslog", is_own("oslog"), MISSING),
            ("logcat", is_own("logcat"), MISSING),
        ] {
            if !is_here && self.goes_to(name) {
                faults.push(("log.output", name.to_owned(), format!("others: {why}")));
            }
        }
        if self.goes_to("file") && self.file.path.is_none() {
            let allowed = "a file's name, because log.output has file".to_owned();
            faults.push(("log.file.path", "none".to_owned(), allowed));
        }
        faults
    }
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            level: LogLevel::Info,
            format: LogFormat::Text,
            output: vec!["stderr".to_owned()],
            file: LogFileConfig::default(),
        }
    }
}

impl Default for LogFileConfig {
    fn default() -> LogFileConfig {
        LogFileConfig {
            path: None,
            max_bytes: 100 << 20,
            max_age: Duration::ZERO,
            keep: 10,
            gzip: true,
        }
    }
}

impl From<LogLevel> for log::LevelFilter {
    fn from(level: LogLevel) -> log::LevelFilter {
        match level {
            LogLevel::Off => log::LevelFilter::Off,
            LogLevel::Error => log::LevelFilter::Error,
            LogLevel::Warn => log::LevelFilter::Warn,
            LogLevel::Info => log::LevelFilter::Info,
            LogLevel::Debug => log::LevelFilter::Debug,
            LogLevel::Trace => log::LevelFilter::Trace,
        }
    }
}

impl From<log::LevelFilter> for LogLevel {
    fn from(level: log::LevelFilter) -> LogLevel {
        match level {
            log::LevelFilter::Off => LogLevel::Off,
            log::LevelFilter::Error => LogLevel::Error,
            log::LevelFilter::Warn => LogLevel::Warn,
            log::LevelFilter::Info => LogLevel::Info,
            log::LevelFilter::Debug => LogLevel::Debug,
            log::LevelFilter::Trace => LogLevel::Trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::IS_BUILT_IN;

    #[test]
    fn a_file_has_a_name_and_an_output_is_one_that_there_is() {
        let mut config = Config::desktop();
        config.log.output = vec!["stderr".to_owned(), "file".to_owned()];
        let error = config.validate().expect_err("no file is named");
        assert_eq!(error.path, "log.file.path");
        config.log.file.path = Some("a.log".into());
        assert_eq!(config.validate(), Ok(()));
        config.log.output.push("journal".to_owned());
        let error = config.validate().expect_err("there is none").to_string();
        assert_eq!(
            error,
            "log.output = journal: expected names among stderr, file, syslog, eventlog, oslog, logcat"
        );
    }

    #[test]
    fn an_output_of_another_system_is_refused() {
        let mut config = Config::desktop();
        for (output, is_here) in [
            ("syslog", cfg!(unix) && !IS_BUILT_IN),
            ("eventlog", cfg!(windows)),
            ("oslog", IS_BUILT_IN && cfg!(target_vendor = "apple")),
            ("logcat", IS_BUILT_IN && cfg!(target_os = "android")),
        ] {
            config.log.output = vec![output.to_owned()];
            let error = config.validate().err();
            assert_eq!(error.is_none(), is_here, "{output}: {error:?}");
            if let Some(error) = error {
                assert_eq!((error.path, &*error.value), ("log.output", output));
            }
        }
    }
}
