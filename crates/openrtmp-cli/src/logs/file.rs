//! A file that lines of a log go to: opened again when somebody has moved it, and begun
//! anew when it is too large or too old.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use log::Level;
use openrtmp_core::{LogFileConfig, LogFormat};

use super::entry::{Entry, Style};
use super::old_files::{self, OldFiles};
use super::{OURS, missing, tell_on_stderr, unwritable};
use crate::output::{QueuedWriter, Sink};

/// How often it is looked whether the file is still the one of its name.
const LOOK: Duration = Duration::from_secs(1);

/// Where a file cannot be put aside, that is tried again after so long.
const ROTATE_AGAIN: Duration = Duration::from_secs(60);

/// The file, with its thread.
pub(super) struct FileOutput {
    writer: QueuedWriter,
    reopen: Arc<AtomicBool>,
}

impl FileOutput {
    /// The error is that of the system: lines cannot go there.
    pub(super) fn open(
        path: &Path,
        config: &LogFileConfig,
        format: LogFormat,
    ) -> io::Result<FileOutput> {
        let reopen = Arc::new(AtomicBool::new(false));
        let file = LogFile::open(path, config, format, reopen.clone())?;
        Ok(FileOutput {
            writer: QueuedWriter::start("log", file),
            reopen,
        })
    }

    pub(super) fn put(&self, text: String) {
        self.writer.put(text);
    }

    pub(super) fn lost(&self) -> u64 {
        self.writer.lost()
    }

    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }

    pub(super) fn finish(&self, until: Instant) {
        self.writer.finish(until);
    }
}

struct LogFile {
    path: PathBuf,
    max_bytes: u64,
    max_age: Duration,
    format: LogFormat,
    old: OldFiles,
    reopen: Arc<AtomicBool>,
    current: Option<Current>,
    /// It cannot be put aside; not tried before.
    stays_until: Option<Instant>,
}

/// The file that is open.
struct Current {
    file: File,
    bytes: u64,
    begun: SystemTime,
    /// A device or a pipe is never put aside.
    is_file: bool,
    looked: Instant,
}

impl LogFile {
    fn open(
        path: &Path,
        config: &LogFileConfig,
        format: LogFormat,
        reopen: Arc<AtomicBool>,
    ) -> io::Result<LogFile> {
        let current = Current::open(path)?;
        Ok(LogFile {
            path: path.to_owned(),
            max_bytes: config.max_bytes,
            max_age: config.max_age,
            format,
            old: OldFiles::new(path, config),
            reopen,
            current: Some(current),
            stays_until: None,
        })
    }

    fn try_write(&mut self, text: &str) -> io::Result<()> {
        if self.reopen.swap(false, Ordering::Relaxed) {
            self.current = None;
        }
        if let Some(current) = &mut self.current
            && !current.is_still_at(&self.path)
        {
            self.current = None;
        }
        if self.is_due(text.len() as u64) {
            self.rotate();
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(Current::open(&self.path)?),
        };
        current.write(text)
    }

    /// Whether the next line begins another file.
    fn is_due(&self, more: u64) -> bool {
        let Some(current) = &self.current else {
            return false;
        };
        let age = current.begun.elapsed().unwrap_or_default();
        let too_large = self.max_bytes > 0 && current.bytes + more > self.max_bytes;
        let too_old = !self.max_age.is_zero() && age >= self.max_age;
        let stays = self.stays_until.is_some_and(|until| Instant::now() < until);
        (too_large || too_old) && current.is_file && current.bytes > 0 && !stays
    }

    /// Puts the file aside. One that cannot be goes on growing.
    fn rotate(&mut self) {
        match old_files::put_aside(&self.path) {
            Ok(()) => {
                self.current = None;
                self.old.tidy();
            }
            Err(error) => {
                self.stays_until = Some(Instant::now() + ROTATE_AGAIN);
                let path = self.path.display();
                let message = format!("the log file {path} cannot be put aside: {error}");
                tell_on_stderr(Level::Warn, message);
            }
        }
    }
}

impl Sink for LogFile {
    fn line(&mut self, text: &str) -> io::Result<()> {
        let written = self.try_write(text);
        if written.is_err() {
            // What is wrong with an open file may not be with another.
            self.current = None;
        }
        written
    }

    fn lost(&mut self, lines: u64, why: &str) -> io::Result<()> {
        let entry = Entry::new(Level::Warn, OURS, missing(lines, why));
        self.line(&entry.written(Style::plain(self.format)))
    }

    fn failed(&mut self, error: &io::Error) {
        let what = unwritable(&self.path, error);
        tell_on_stderr(Level::Error, format!("{what}; lines are lost until it can"));
    }

    fn works_again(&mut self, lost: u64) {
        let path = self.path.display();
        let message = format!("the log file {path} is written again, {lost} lines later");
        tell_on_stderr(Level::Warn, message);
    }
}

impl Current {
    fn open(path: &Path) -> io::Result<Current> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // Addresses of people are in it. A pipe that nobody reads is an error; who writes
            // to one does not wait for its reader.
            options.mode(0o640);
            options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        }
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        let bytes = metadata.len();
        let since = metadata.created().or_else(|_| metadata.modified());
        let begun = match since {
            Ok(since) if bytes > 0 => since,
            _ => SystemTime::now(),
        };
        Ok(Current {
            file,
            bytes,
            begun,
            is_file: metadata.is_file(),
            looked: Instant::now(),
        })
    }

    /// Whether it is the file that has the name; it may have been moved, taken away or
    /// shortened. Looked at once in a while.
    fn is_still_at(&mut self, path: &Path) -> bool {
        if self.looked.elapsed() < LOOK {
            return true;
        }
        self.looked = Instant::now();
        let Ok(there) = fs::metadata(path) else {
            return false;
        };
        self.bytes = there.len();
        self.file.metadata().is_ok_and(|own| is_same(&own, &there))
    }

    /// All of a line, or none of it.
    fn write(&mut self, text: &str) -> io::Result<()> {
        let written = self.file.write_all(text.as_bytes());
        match &written {
            Ok(()) => self.bytes += text.len() as u64,
            // If the rest cannot be taken back, a part of a line stays.
            Err(_) if self.is_file => drop(self.file.set_len(self.bytes)),
            Err(_) => {}
        }
        written
    }
}

#[cfg(unix)]
fn is_same(own: &fs::Metadata, there: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

/// What tells files apart is not to be had from the standard library; an open file can hardly
/// be replaced there.
#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn nobody_waits_for_who_reads_a_pipe() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("there is a mkfifo").success());
        assert!(Current::open(&pipe).is_err());
    }

    fn config(max_bytes: u64, max_age: Duration) -> LogFileConfig {
        let mut config = LogFileConfig::default();
        (config.max_bytes, config.max_age) = (max_bytes, max_age);
        (config.keep, config.gzip) = (100, false);
        config
    }

    fn open(path: &Path, config: &LogFileConfig) -> LogFile {
        LogFile::open(path, config, LogFormat::Text, Arc::default()).expect("a file")
    }

    /// What is in all files of a folder, by their names.
    fn contents(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        // The one without a time is the newest.
        paths.sort_by_key(|path| (path.ends_with("a.log"), path.clone()));
        let read = |path| fs::read_to_string(path).expect("text");
        paths.into_iter().map(read).collect()
    }

    #[test]
    fn a_line_that_would_make_it_too_large_begins_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        let mut file = open(&path, &config(10, Duration::ZERO));
        for line in [
            "12345\n",
            "123\n",
            "67890\n",
            "longer than all of it\n",
            "x\n",
        ] {
            file.line(line).expect("it is written");
        }
        let expected = ["12345\n123\n", "67890\n", "longer than all of it\n", "x\n"];
        assert_eq!(contents(folder.path()), expected);
    }

    #[test]
    fn one_that_is_too_old_is_put_aside_also_if_another_process_began_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        fs::write(&path, "before\n").expect("a file");
        let mut file = open(&path, &config(0, Duration::from_secs(3600)));
        file.line("one\n").expect("it is written");
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        file.current.as_mut().expect("it is open").begun = hour_ago;
        file.line("two\n").expect("it is written");
        file.line("three\n").expect("it is written");
        assert_eq!(contents(folder.path()), ["before\none\n", "two\nthree\n"]);
    }

    #[test]
    fn one_that_cannot_be_put_aside_grows() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        let mut file = open(&path, &config(10, Duration::ZERO));
        file.line("1234567890\n").expect("it is written");
        // What is no longer there cannot be renamed, and is still open.
        file.path = folder.path().join("gone/a.log");
        file.line("1234567890\n").expect("it is written");
        assert_eq!(contents(folder.path()), ["1234567890\n1234567890\n"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_gone_or_another_is_opened_again_when_it_is_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        let mut file = open(&path, &config(0, Duration::ZERO));
        let look = |file: &mut LogFile| {
            let current = file.current.as_mut().expect("it is open");
            current.looked = Instant::now().checked_sub(LOOK).expect("a time");
        };
        file.line("one\n").expect("it is written");
        fs::rename(&path, folder.path().join("0.log")).expect("a name");
        file.line("two\n").expect("it is written");
        look(&mut file);
        file.line("three\n").expect("it is written");
        fs::remove_file(&path).expect("it is there");
        look(&mut file);
        file.line("four\n").expect("it is written");
        // As SIGHUP does.
        fs::rename(&path, folder.path().join("1.log")).expect("a name");
        file.reopen.store(true, Ordering::Relaxed);
        file.line("five\n").expect("it is written");
        assert_eq!(contents(folder.path()), ["one\ntwo\n", "four\n", "five\n"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_cut_short_beside_us_goes_on_at_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        let mut file = open(&path, &config(12, Duration::ZERO));
        file.line("1234567890\n").expect("it is written");
        // As logrotate does with copytruncate.
        File::create(&path).expect("it is there");
        let current = file.current.as_mut().expect("it is open");
        current.looked = Instant::now().checked_sub(LOOK).expect("a time");
        file.line("one\n").expect("it is written");
        assert_eq!(contents(folder.path()), ["one\n"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_what_is_no_file_is_never_put_aside() {
        let mut file = open(Path::new("/dev/full"), &config(10, Duration::from_secs(60)));
        for _ in 0..2 {
            let error = file.line("longer than allowed\n").expect_err("no space");
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
        // It is opened anew each time.
        file.path = "/nowhere/at/all".into();
        let error = file.line("three\n").expect_err("no folder");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
