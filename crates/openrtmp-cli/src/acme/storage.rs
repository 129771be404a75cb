//! The folder in which is kept what an authority gave.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use openrtmp_core::{private_file, regular_file};

/// The account's key and its URL.
pub(super) const ACCOUNT: &str = "account.json";

/// An order on its way: its URL, and the key that its certificate will be for.
pub(super) const ORDER: &str = "order.json";

/// A folder whose files nobody else may read, each of which is there as a whole or as it was
/// before.
#[derive(Debug)]
pub(super) struct Storage {
    folder: PathBuf,
}

impl Storage {
    /// Opens the folder, and makes it if it is not there.
    pub(super) fn open(folder: PathBuf) -> io::Result<Storage> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder)?;
        Ok(Storage { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What stands in a file, or nothing.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<String>> {
        let text = regular_file::open(&self.folder.join(name)).and_then(io::read_to_string);
        match text {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Puts a text in a file, so that a crash or a power cut leaves this or what was there.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        private_file::replace(&self.folder.join(name), text.as_bytes())
    }

    /// Removes a file, if it is there.
    pub(super) fn forget(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.folder.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_as_a_whole_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Storage::open(folder.path().join("a/b")).expect("it can be made");
        assert_eq!(storage.read(ACCOUNT).expect("readable"), None);
        for text in ["one", "two"] {
            storage.write(ACCOUNT, text).expect("it is ours");
            assert_eq!(
                storage.read(ACCOUNT).expect("readable").as_deref(),
                Some(text)
            );
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;

            let mode = |path: &Path| {
                let metadata = fs::metadata(path).expect("it is there");
                metadata.permissions().mode() & 0o777
            };
            assert_eq!(mode(&storage.folder().join(ACCOUNT)), 0o600);
            assert_eq!(mode(storage.folder()), 0o700);
        }
        let files = fs::read_dir(storage.folder()).expect("readable").count();
        assert_eq!(files, 1);
        storage.forget(ACCOUNT).expect("it is ours");
        storage.forget(ACCOUNT).expect("it is not there");
        assert_eq!(storage.read(ACCOUNT).expect("readable"), None);
    }
}
