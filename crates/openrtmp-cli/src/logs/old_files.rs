//! Files of a log that were put aside: named by the time, compressed, and so many kept.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use chrono::{TimeDelta, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use openrtmp_core::LogFileConfig;

/// What stands behind the name of the log, in UTC. In this order of characters the older
/// come first.
const TIME: &str = "%Y%m%dT%H%M%S%.3fZ";

/// What ends the name of a compressed file, and of one that is not complete.
const COMPRESSED: &str = ".gz";
const INCOMPLETE: &str = ".gz.part";

/// Names that are tried, a millisecond apart.
const NAMES: i64 = 1000;

/// Gives a file the name of one that was put aside.
pub(super) fn put_aside(path: &Path) -> io::Result<()> {
    let now = Utc::now();
    for later in 0..NAMES {
        let time = now + TimeDelta::milliseconds(later);
        let name = with_end(path, &format!(".{}", time.format(TIME)));
        let compressed = with_end(&name, COMPRESSED);
        if !name.try_exists()? && !compressed.try_exists()? {
            return fs::rename(path, name);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Who compresses and deletes them, on a thread of its own: the log goes on meanwhile.
pub(super) struct OldFiles(SyncSender<()>);

impl OldFiles {
    /// What is there from before is tidied up at once.
    pub(super) fn new(path: &Path, config: &LogFileConfig) -> OldFiles {
        let (wake, wakes) = sync_channel(1);
        let (path, keep, gzip) = (path.to_owned(), config.keep, config.gzip);
        let run = move || {
            while wakes.recv().is_ok() {
                if let Err(error) = tidy(&path, keep, gzip) {
                    let path = path.display();
                    log::warn!("files of the log {path} that were put aside: {error}");
                }
            }
        };
        let thread = thread::Builder::new().name("openrtmp-old-logs".to_owned());
        if let Err(error) = thread.spawn(run) {
            log::warn!("files of the log stay as they are: {error}");
        }
        let files = OldFiles(wake);
        files.tidy();
        files
    }

    /// Another one is there.
    pub(super) fn tidy(&self) {
        // If it is to wake up already, it will find this one too.
        let _ = self.0.try_send(());
    }
}

/// Compresses what is not compressed yet, and deletes all but the newest.
fn tidy(path: &Path, keep: usize, gzip: bool) -> io::Result<()> {
    loop {
        let mut old = Vec::new();
        for (file, end) in put_aside_before(path)? {
            match end {
                // Of a process that ended over it.
                End::Incomplete => fs::remove_file(&file)?,
                End::Plain | End::Compressed => old.push((file, end)),
            }
        }
        old.sort_by(|(a, _), (b, _)| b.cmp(a));
        let gone = old.split_off(keep.min(old.len()));
        for (file, _) in gone {
            fs::remove_file(file)?;
        }
        let plain = old.iter().find(|(_, end)| *end == End::Plain);
        match plain.filter(|_| gzip) {
            Some((file, _)) => compress(file)?,
            None => return Ok(()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Plain,
    Compressed,
    Incomplete,
}

/// The files that were put aside of a log.
fn put_aside_before(path: &Path) -> io::Result<Vec<(PathBuf, End)>> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.file_name();
        let rest = file.to_str().and_then(|file| file.strip_prefix(name));
        if let Some(end) = rest.and_then(|rest| rest.strip_prefix('.')).and_then(end) {
            found.push((folder.join(file), end));
        }
    }
    Ok(found)
}

/// How a name ends behind that of the log, if it is one that was given here.
fn end(rest: &str) -> Option<End> {
    const SHAPE: &[u8] = b"00000000T000000.000Z";
    let (time, end) = rest.split_at_checked(SHAPE.len())?;
    let fits = |(given, shape): (u8, &u8)| match shape {
        b'0' => given.is_ascii_digit(),
        _ => given == *shape,
    };
    match end {
        _ if !time.bytes().zip(SHAPE).all(fits) => None,
        "" => Some(End::Plain),
        COMPRESSED => Some(End::Compressed),
        INCOMPLETE => Some(End::Incomplete),
        _ => None,
    }
}

/// Puts a compressed file in place of a file. Whoever looks sees one of the two as a whole.
fn compress(file: &Path) -> io::Result<()> {
    let part = with_end(file, INCOMPLETE);
    let mut plain = File::open(file)?;
    let out = File::create(&part)?;
    out.set_permissions(plain.metadata()?.permissions())?;
    let mut encoder = GzEncoder::new(out, Compression::default());
    io::copy(&mut plain, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&part, with_end(file, COMPRESSED))?;
    fs::remove_file(file)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry).into_string().expect("text"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_are_kept_and_compressed_and_no_other_file_is_touched() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let log = at("a.log");
        let others = [
            "a.log",
            "a.log.1",
            "a.log.20261129T100000.000Z.txt",
            "b.log.20261129T100000.000Z",
        ];
        let old = [
            "a.log.20261129T100000.000Z.gz",
            "a.log.20261129T100000.001Z",
            "a.log.20261129T100000.001Z.gz.part",
            "a.log.20261129T110000.000Z",
            "a.log.20261130T000000.000Z",
        ];
        for name in others.iter().chain(&old) {
            fs::write(at(name), name).expect("a file");
        }
        tidy(&log, 2, true).expect("all goes well");
        let mut expected: Vec<String> = others.map(str::to_owned).into();
        let kept = ["a.log.20261129T110000.000Z", "a.log.20261130T000000.000Z"];
        expected.extend(kept.map(|name| format!("{name}.gz")));
        expected.sort();
        assert_eq!(names(folder.path()), expected);
        let mut text = String::new();
        let compressed = File::open(at(&format!("{}.gz", kept[0]))).expect("it is there");
        let read = GzDecoder::new(compressed).read_to_string(&mut text);
        assert_eq!(read.expect("gzip"), kept[0].len());
        assert_eq!(text, kept[0]);
        tidy(&log, 0, true).expect("all goes well");
        assert_eq!(names(folder.path()).len(), others.len());
    }

    #[test]
    fn names_that_are_taken_are_not_taken_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("a.log");
        for _ in 0..20 {
            fs::write(&log, "x").expect("a file");
            put_aside(&log).expect("a name");
        }
        assert_eq!(names(folder.path()).len(), 20);
        let ends = put_aside_before(&log).expect("a folder");
        assert!(ends.iter().all(|(_, end)| *end == End::Plain));
        assert_eq!(ends.len(), 20);
    }
}
