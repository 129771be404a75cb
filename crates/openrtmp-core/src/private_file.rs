//! Files with keys in them: nobody else may read one, and it is there as a whole or as it was
//! before, whatever ends the process or the power half-way.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Puts something in a file, in place of what is there; whoever reads sees the one or the
/// other. What a link leads to is replaced, and the link stays. On Unix the file belongs to
/// whom the other belonged to, who alone can read it.
pub fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let draft = Draft::write(&file, content, fs::metadata(&file).ok().as_ref())?;
    fs::rename(&draft.0, &file)?;
    sync_folder(&file)
}

/// The same of a file that nobody has yet: [`io::ErrorKind::AlreadyExists`] if somebody does.
pub fn create(file: &Path, content: &[u8]) -> io::Result<()> {
    let draft = Draft::write(file, content, None)?;
    match fs::hard_link(&draft.0, file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Not every file system has links.
        Err(_) if file.symlink_metadata().is_ok() => {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Err(_) => fs::rename(&draft.0, file)?,
        Ok(()) => {}
    }
    sync_folder(file)
}

/// What is to become a file, beside it. It is gone with this value.
struct Draft(PathBuf);

impl Draft {
    /// `before`: whose it shall be.
    fn write(file: &Path, content: &[u8], before: Option<&fs::Metadata>) -> io::Result<Draft> {
        let mut name = OsString::from(file);
        name.push(format!(".{}.new", std::process::id()));
        let path = PathBuf::from(name);
        // What is left of another time may be a link, or be read by others.
        let _ = fs::remove_file(&path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut opened = options.open(&path)?;
        let draft = Draft(path);
        opened.write_all(content)?;
        #[cfg(unix)]
        if let Some(before) = before {
            use std::os::unix::fs::{MetadataExt, fchown};
            let now = opened.metadata()?;
            if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
                fchown(&opened, Some(before.uid()), Some(before.gid()))?;
            }
        }
        #[cfg(not(unix))]
        let _ = before;
        opened.sync_all()?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It is where it belongs by now, or of no use.
        let _ = fs::remove_file(&self.0);
    }
}

/// A name is in its folder. Windows opens none.
fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match cfg!(unix) {
        true => File::open(folder)?.sync_all(),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_read_by_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("keys");
        for text in ["one", "two"] {
            replace(&file, text.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&file).expect("there"), text);
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&file).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let link = folder.path().join("link");
            std::os::unix::fs::symlink("keys", &link).expect("a link");
            replace(&link, b"three").expect("written");
            assert_eq!(fs::read_to_string(&file).expect("there"), "three");
            assert!(link.is_symlink());
            fs::remove_file(&link).expect("there");
        }
        replace(&folder.path().join("no/where"), b"").expect_err("no folder");
        let files = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(files, 1, "nothing else is left behind");
    }

    #[test]
    fn a_file_that_is_there_is_not_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        create(&file, b"one").expect("made");
        let error = create(&file, b"two").expect_err("there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).expect("there"), "one");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
