//! The folder of one server, locked as long as that uses it.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The folder of the server's own.
pub(super) const FOLDER: &str = "openrtmp-dvr";
/// Whoever has this file locked has the folder.
pub(super) const LOCK: &str = "lock";
/// What the names of segments end with.
pub(super) const EXTENSION: &str = ".m4s";
/// How Windows says that a file is another's.
const SHARING_VIOLATION: i32 = 32;

/// The folder of a server's own within another, until this is dropped, however the process ends.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held; only Unix is asked about it.
    #[cfg_attr(not(unix), allow(dead_code))]
    lock: File,
    /// The disk on which the folder above it is.
    #[cfg(unix)]
    pub(super) disk: u64,
}

impl Folder {
    /// Takes it, and makes it if it is missing.
    pub(super) fn take(path: PathBuf) -> io::Result<Folder> {
        make(&path)?;
        let lock = lock(&path)?;
        Ok(Folder {
            #[cfg(unix)]
            disk: disk_above(&path)?,
            path,
            lock,
        })
    }

    /// Takes what is in its place by now.
    pub(super) fn take_again(&mut self) -> io::Result<()> {
        // Where the folder above it is missing, or is on another disk, one may be not mounted:
        // another is not to be filled in its place.
        #[cfg(unix)]
        if disk_above(&self.path)? != self.disk {
            let what = "another disk is in its place, or none is mounted there";
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        #[cfg(not(unix))]
        if let Some(above) = self.path.parent() {
            fs::metadata(above)?;
        }
        *self = Folder::take(self.path.clone())?;
        Ok(())
    }

    /// Whether it is where it was, and nobody else's. Otherwise nothing there is this server's.
    pub(super) fn is_ours(&self) -> io::Result<bool> {
        // Windows moves and removes no folder in which a file is open.
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let there = match self.path.join(LOCK).symlink_metadata() {
                Err(error) if is_absent(&error) => return Ok(false),
                there => there?,
            };
            let held = self.lock.metadata()?;
            if (there.dev(), there.ino()) != (held.dev(), held.ino()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what a server wrote there, but for these, and nothing else: all that can be.
    pub(super) fn clear(&self, but: &HashSet<String>) -> io::Result<()> {
        let mut result = Ok(());
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_left = |name: &str| is_segment(name) && !but.contains(name);
            if entry.file_type()?.is_file() && name.to_str().is_some_and(is_left) {
                result = result.and(fs::remove_file(entry.path()));
            }
        }
        result
    }
}

/// Nothing is there, nor can be before somebody makes room for it.
pub(super) fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// The disk on which the folder above this one is.
#[cfg(unix)]
fn disk_above(folder: &Path) -> io::Result<u64> {
    let above = folder.parent().unwrap_or(folder);
    Ok(std::os::unix::fs::MetadataExt::dev(&fs::metadata(above)?))
}

/// A folder that is this user's alone, and no link to one.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let metadata = folder.symlink_metadata()?;
    if !metadata.is_dir() {
        let what = format!("{FOLDER} in it is a link");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            let what = format!("{FOLDER} in it is somebody else's");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Takes a folder for this server alone, until the file is closed, however the process ends.
fn lock(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    }
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
    let file = options.open(folder.join(LOCK));
    #[cfg(unix)]
    let file = file.and_then(|file| {
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    });
    // Of what else may be wrong here the system tells as it is.
    let is_taken = |error: &io::Error| {
        let is_shared = cfg!(windows) && error.raw_os_error() == Some(SHARING_VIOLATION);
        error.kind() == io::ErrorKind::WouldBlock || is_shared
    };
    file.map_err(|error| match is_taken(&error) {
        true => io::Error::new(io::ErrorKind::ResourceBusy, "another server uses it"),
        false => error,
    })
}

/// Whether segments are called so: `18f0-0-v0-17.m4s`.
fn is_segment(name: &str) -> bool {
    let name = name.strip_suffix(EXTENSION).unwrap_or("");
    let fields: Vec<&str> = name.split('-').collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_hexdigit());
    match fields[..] {
        [time, count, track, msn] => {
            let id = track.strip_prefix(['v', 'a']).unwrap_or("");
            is_hex(time) && is_hex(count) && is_number(id) && is_number(msn)
        }
        _ => false,
    }
}
