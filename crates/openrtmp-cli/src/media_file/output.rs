//! Where a received stream is written: a file, or whoever reads our output.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::BytesMut;

use super::Written;
use crate::exit::Failure;
use crate::pipe::Pipe;
use crate::signal::Stop;

/// An output.
pub(super) enum Output {
    /// Standard output, a FIFO, a device: what is written stays as it is.
    Pipe { pipe: Pipe, name: String },
    File {
        /// `None` before there is something to write: however we end, no empty file stays.
        file: Option<BufWriter<File>>,
        path: PathBuf,
        overwrite: bool,
    },
}

impl Output {
    /// Opens the file, or standard output for `-` and `/dev/stdout`. An existing file is
    /// an error unless `overwrite`, and stays as it is until the first bytes come; a
    /// FIFO or a device is written to. A signal ends waiting for its reader.
    pub(super) fn open(path: &Path, overwrite: bool, stop: &Stop) -> Result<Output, Failure> {
        if STDOUT.iter().any(|name| path == Path::new(name)) {
            if io::stdout().is_terminal() {
                return Err(Failure::Usage(
                    "standard output is a terminal: pipe it into a player or a file".into(),
                ));
            }
            Output::pipe("standard output".to_owned(), stop, || Ok(io::stdout()))
        } else if std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
            let name = path.display().to_string();
            let path = path.to_owned();
            let open = move || OpenOptions::new().write(true).open(path);
            Output::pipe(name, stop, open)
        } else {
            Output::open_file(path, overwrite)
        }
    }

    /// Whether it is a file, which can be written to in another place than at its end.
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Output::File { .. })
    }

    /// A file that could be written now.
    fn open_file(path: &Path, overwrite: bool) -> Result<Output, Failure> {
        let existed = path.exists();
        let opened = open(path, overwrite).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Failure::Usage(format!(
                "{} exists already; --force overwrites it",
                path.display()
            )),
            _ => Failure::Usage(format!("cannot write {}: {e}", path.display())),
        })?;
        drop(opened);
        if !existed {
            // If it stays, the stream will find it.
            let _ = std::fs::remove_file(path);
        }
        Ok(Output::File {
            file: None,
            path: path.to_owned(),
            overwrite,
        })
    }

    /// Appends what is in the buffer, and empties it.
    pub(super) fn write(&mut self, buffer: &mut BytesMut) -> Result<Written, Failure> {
        let result = match self {
            Output::Pipe { pipe, .. } => pipe.put(buffer.split().freeze()),
            Output::File {
                file,
                path,
                overwrite,
            } => write_to(file, path, *overwrite, buffer),
        };
        buffer.clear();
        self.judge(result)
    }

    /// What was written so far is in the file if this process is killed.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let result = match self {
            Output::File {
                file: Some(file), ..
            } => file.flush(),
            _ => Ok(()),
        };
        result.map_err(|e| self.failed(&e))
    }

    /// Completes a file: bytes to be written over what was not known at the start, and
    /// where. A pipe stays as it is.
    pub(super) fn finish(&mut self, fixes: &[(u64, &[u8])]) -> Result<(), Failure> {
        let result = match self {
            Output::Pipe { pipe, .. } => {
                let result = pipe.finish();
                return self.judge(result).map(|_| ());
            }
            Output::File {
                file: Some(file), ..
            } => complete(file, fixes),
            Output::File { .. } => Ok(()),
        };
        result.map_err(|e| self.failed(&e))
    }

    fn pipe<W: Write>(
        name: String,
        stop: &Stop,
        open: impl FnOnce() -> io::Result<W> + Send + 'static,
    ) -> Result<Output, Failure> {
        let pipe = Pipe::start(open)
            .map_err(|e| Failure::Runtime(format!("cannot start a thread: {e}")))?;
        stop.on_first(pipe.abandon());
        Ok(Output::Pipe { pipe, name })
    }

    fn judge(&self, result: io::Result<()>) -> Result<Written, Failure> {
        match (result, self) {
            (Ok(()), _) => Ok(Written::Done),
            (Err(e), Output::Pipe { .. }) if e.kind() == io::ErrorKind::BrokenPipe => {
                Ok(Written::NoReader)
            }
            (Err(e), output) => Err(output.failed(&e)),
        }
    }

    fn failed(&self, error: &io::Error) -> Failure {
        match self {
            Output::Pipe { name, .. } => Failure::Runtime(format!("cannot write {name}: {error}")),
            Output::File { path, .. } => {
                Failure::Runtime(format!("cannot write {}: {error}", path.display()))
            }
        }
    }
}

fn open(path: &Path, overwrite: bool) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(overwrite)
        .create_new(!overwrite)
        .truncate(false)
        .open(path)
}

fn complete(file: &mut BufWriter<File>, fixes: &[(u64, &[u8])]) -> io::Result<()> {
    file.flush()?;
    let file = file.get_mut();
    let end = file.stream_position()?;
    // An overwritten file may have been longer.
    file.set_len(end)?;
    for (offset, bytes) in fixes {
        file.seek(SeekFrom::Start(*offset))?;
        file.write_all(bytes)?;
    }
    file.sync_all()
}

/// Writes to a file, which the first bytes open.
fn write_to(
    file: &mut Option<BufWriter<File>>,
    path: &Path,
    overwrite: bool,
    bytes: &[u8],
) -> io::Result<()> {
    if file.is_none() {
        *file = Some(BufWriter::new(open(path, overwrite)?));
    }
    file.iter_mut().try_for_each(|file| file.write_all(bytes))
}

/// Names of standard output. As a file it would be opened anew, and written from its
/// beginning.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
