//! The log of the command: entries of the `log` facade, written to standard error, to a file
//! and to the log that the system keeps: syslog, on Windows the event log, on macOS os_log and
//! on Android Logcat where these are compiled in.
//!
//! Nobody who has something to tell waits for a place where it is written ([`crate::output`]).
//! One that fails is told of through another, once, and what it lost when it works again.

mod entry;
#[cfg(windows)]
mod event_log;
mod file;
mod limit;
mod old_files;
mod panics;
#[cfg(all(
    unix,
    not(any(
        all(target_vendor = "apple", feature = "oslog"),
        all(target_os = "android", feature = "android_logger")
    ))
))]
mod syslog;
#[cfg(any(
    all(target_vendor = "apple", feature = "oslog"),
    all(target_os = "android", feature = "android_logger")
))]
mod system_log;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record};
use openrtmp_core::{Config, LogConfig, LogFormat};

use self::entry::{Entry, Head, Style};
#[cfg(windows)]
use self::event_log as system;
use self::file::FileOutput;
pub(crate) use self::limit::LineLimit;
pub(crate) use self::panics::tell_panics;
#[cfg(all(
    unix,
    not(any(
        all(target_vendor = "apple", feature = "oslog"),
        all(target_os = "android", feature = "android_logger")
    ))
))]
use self::syslog as system;
#[cfg(any(
    all(target_vendor = "apple", feature = "oslog"),
    all(target_os = "android", feature = "android_logger")
))]
use self::system_log as system;
use crate::console;
use crate::output::QueuedWriter;

/// What the command's own entries are called by.
const OURS: &str = "openrtmp";

/// How long the last lines may take to be written when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

static LOGGER: Logger = Logger;

/// Where entries go.
static OUTPUTS: LazyLock<RwLock<Outputs>> = LazyLock::new(|| {
    let config = LogConfig::default();
    RwLock::new(Outputs {
        format: config.format,
        stderr: true,
        file: None,
        system: None,
        config,
    })
});

/// What others say of themselves, which peers can make them: rustls has a warning for each
/// message that does not belong where it comes.
static OTHERS: LineLimit = LineLimit::new("what libraries say of themselves");

/// `limits.log_lines`.
static LINES: LazyLock<AtomicU32> =
    LazyLock::new(|| AtomicU32::new(Config::desktop().limits.log_lines));

/// Lines that were lost by what is written no longer: files, and the system's log.
static LOST_BEFORE: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

struct Outputs {
    format: LogFormat,
    stderr: bool,
    file: Option<FileOutput>,
    /// The log that the system keeps.
    system: Option<QueuedWriter>,
    /// What it was made of.
    config: LogConfig,
}

/// Begins with standard error alone.
pub(crate) fn begin(level: LevelFilter) {
    // A process has one command, and that begins once.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
}

/// Begins with the event log alone, as a service that is called so. The error is one line.
#[cfg(windows)]
pub(crate) fn begin_service(name: &str, level: LevelFilter) -> Result<(), String> {
    event_log::is_default_of(name);
    begin(level);
    let mut config = Config::desktop();
    config.log.output = default_output();
    config.log.level = level.into();
    follow(&config)
}

/// Where entries go, unless the settings say it.
pub(crate) fn default_output() -> Vec<String> {
    #[cfg(windows)]
    if event_log::is_default() {
        return vec![event_log::NAME.to_owned()];
    }
    LogConfig::default().output
}

/// Does as the settings say from now on. The error names what cannot be had, and nothing has
/// changed then.
pub(crate) fn follow(config: &Config) -> Result<(), String> {
    LINES.store(config.limits.log_lines, Ordering::Relaxed);
    let config = &config.log;
    if read().config == *config {
        return Ok(());
    }
    let path = config.file.path.as_deref();
    let file = match path.filter(|_| config.goes_to("file")) {
        Some(path) => {
            let file = FileOutput::open(path, &config.file, config.format);
            Some(file.map_err(|error| unwritable(path, &error))?)
        }
        None => None,
    };
    let system = match config.goes_to(system::NAME) {
        true => Some(QueuedWriter::start(
            system::NAME,
            system::open(config.format)?,
        )),
        false => None,
    };
    let outputs = Outputs {
        format: config.format,
        stderr: config.goes_to("stderr"),
        file,
        system,
        config: config.clone(),
    };
    let mut current = OUTPUTS.write().unwrap_or_else(PoisonError::into_inner);
    let before = std::mem::replace(&mut *current, outputs);
    drop(current);
    for (lost, before) in before.lost().into_iter().zip(&LOST_BEFORE) {
        before.fetch_add(lost, Ordering::Relaxed);
    }
    log::set_max_level(config.level.into());
    Ok(())
}

/// Opens the file of the log again with the next line: somebody has moved it.
#[cfg_attr(not(unix), expect(dead_code))]
pub(crate) fn reopen() {
    if let Some(file) = &read().file {
        file.reopen();
    }
}

/// Whether this is the file of the log, or one of before that stands beside it. The path is
/// absolute.
pub(crate) fn is_file(path: &Path) -> bool {
    let outputs = read();
    let own = outputs.config.file.path.as_ref();
    let own = own.filter(|_| outputs.file.is_some());
    own.and_then(|own| std::path::absolute(own).ok())
        .is_some_and(|own| is_of(path, &own))
}

fn is_of(path: &Path, own: &Path) -> bool {
    let (path, own) = (path.as_os_str(), own.as_os_str());
    let rest = path.as_encoded_bytes().strip_prefix(own.as_encoded_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
}

/// Lines that were not written, by where they should have gone.
pub(crate) fn lost() -> [(&'static str, u64); 3] {
    let [file, system] = read().lost();
    let [file_before, system_before] = &LOST_BEFORE;
    [
        ("stderr", console::lost()),
        ("file", file + file_before.load(Ordering::Relaxed)),
        (system::NAME, system + system_before.load(Ordering::Relaxed)),
    ]
}

/// Why the command ends: on standard error, and in each other place that entries go to.
pub(crate) fn fail(message: &str) {
    let entry = Entry::new(Level::Error, OURS, message);
    let outputs = read();
    let style = outputs.stderr_style();
    console::log(match style.format {
        LogFormat::Text if style.head == Head::Time => format!("openrtmp: {message}\n"),
        _ => entry.written(style),
    });
    outputs.write_elsewhere(&entry);
}

/// Waits until all was written, as far as it can be.
pub(crate) fn finish() {
    let until = Instant::now() + LAST_WORDS;
    let outputs = read();
    if let Some(file) = &outputs.file {
        file.finish(until);
    }
    if let Some(system) = &outputs.system {
        system.finish(until);
    }
    drop(outputs);
    console::finish(until);
}

/// A line for people on standard error; an entry, where programs read that.
pub(crate) fn spoken(line: &str) -> String {
    match read().format {
        format @ LogFormat::Json => {
            Entry::new(Level::Info, OURS, line).written(Style::plain(format))
        }
        _ => format!("{line}\n"),
    }
}

/// That lines are missing, in words.
pub(crate) fn missing(lines: u64, why: &str) -> String {
    match lines {
        1 => format!("1 line was lost here: {why}"),
        n => format!("{n} lines were lost here: {why}"),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("the log file {} cannot be written: {error}", path.display())
}

/// Told elsewhere: nobody reads standard error.
pub(crate) fn stderr_failed(error: &io::Error) {
    let message = format!("standard error cannot be written: {error}; its lines are lost");
    read().write_elsewhere(&Entry::new(Level::Warn, OURS, message));
}

/// The same.
pub(crate) fn stderr_works_again(lost: u64) {
    let message = format!("standard error is written again, {lost} lines later");
    read().write_elsewhere(&Entry::new(Level::Warn, OURS, message));
}

/// Told on standard error, whether or not entries go there else: it is the last resort. A
/// service, which has none, tells its event log.
fn tell_on_stderr(level: Level, message: String) {
    let entry = Entry::new(level, OURS, message);
    #[cfg(windows)]
    event_log::tell_of_service(&entry);
    console::log(entry.written(read().stderr_style()));
}

fn read() -> RwLockReadGuard<'static, Outputs> {
    // Outputs are put there as a whole.
    OUTPUTS.read().unwrap_or_else(PoisonError::into_inner)
}

impl Outputs {
    fn write(&self, entry: &Entry) {
        if self.stderr {
            console::log(entry.written(self.stderr_style()));
        }
        self.write_elsewhere(entry);
    }

    /// To all places but standard error.
    fn write_elsewhere(&self, entry: &Entry) {
        if let Some(file) = &self.file {
            file.put(entry.written(Style::plain(self.format)));
        }
        if let Some(system) = &self.system {
            system.put(entry.written(system::style(self.format)));
        }
    }

    /// Lines that were not written to the file, and to the system's log.
    fn lost(&self) -> [u64; 2] {
        let file = self.file.as_ref().map_or(0, FileOutput::lost);
        let system = self.system.as_ref().map_or(0, QueuedWriter::lost);
        [file, system]
    }

    fn stderr_style(&self) -> Style {
        static COLOUR: LazyLock<bool> =
            LazyLock::new(|| io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
        static JOURNAL: LazyLock<bool> = LazyLock::new(is_journal);
        Style {
            format: self.format,
            colour: *COLOUR,
            head: match *JOURNAL {
                true => Head::Priority,
                false => Head::Time,
            },
        }
    }
}

/// Whether standard error is the journal of systemd, which says so by device and inode
/// (systemd.exec(5), `$JOURNAL_STREAM`).
#[cfg(unix)]
fn is_journal() -> bool {
    let (Ok(told), Ok(stat)) = (
        std::env::var("JOURNAL_STREAM"),
        rustix::fs::fstat(io::stderr()),
    ) else {
        return false;
    };
    told == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(not(unix))]
fn is_journal() -> bool {
    false
}

/// Whether entries of a part of the program are written at all. What others say below `info` is
/// about themselves; one that watches files says each change of each, and a line about a
/// change of the log would be one.
fn is_told(target: &str, level: Level) -> bool {
    level <= Level::Info || target.starts_with(OURS)
}

/// Whether there is room for an entry: the server and the command see to their own.
fn has_room(target: &str) -> bool {
    target.starts_with(OURS) || OTHERS.admits(LINES.load(Ordering::Relaxed), Instant::now())
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && is_told(metadata.target(), metadata.level())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) && has_room(record.target()) {
            read().write(&Entry::of(record));
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_do_not_tell_their_details() {
        let told = |target, level| is_told(target, level);
        assert!(told("openrtmp_core::worker", Level::Trace));
        assert!(told("openrtmp", Level::Debug));
        assert!(told("notify::inotify", Level::Info));
        assert!(!told("notify::inotify", Level::Debug));
        assert!(!told("rustls::client", Level::Trace));
    }

    #[test]
    fn the_log_and_those_of_before_are_its_files() {
        let own = Path::new("/var/log/a.log");
        for path in ["/var/log/a.log", "/var/log/a.log.1", "/var/log/a.log.2.gz"] {
            assert!(is_of(Path::new(path), own), "{path}");
        }
        for path in ["/var/log/a.logs", "/var/log/b.log", "/var/log"] {
            assert!(!is_of(Path::new(path), own), "{path}");
        }
    }
}
