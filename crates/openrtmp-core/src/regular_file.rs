//! Files that are read as a whole: settings, keys, certificates.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens a file to read it, and nothing else: a pipe (FIFO) or a device may be without an end,
/// or keep whoever opens it waiting for ever.
///
/// # Errors
/// What the system says; [`io::ErrorKind::InvalidInput`] for what is no file.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => {
            let what = "it is a folder, a pipe or a device, not a file";
            Err(io::Error::new(io::ErrorKind::InvalidInput, what))
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::access::KeyRecord;
    use crate::config::Config;

    #[test]
    fn nobody_waits_for_what_is_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a");
        std::fs::write(&file, "text").expect("it is written");
        let mut text = String::new();
        let mut opened = open(&file).expect("a file");
        opened.read_to_string(&mut text).expect("text");
        assert_eq!(text, "text");
        let pipe = folder.path().join("pipe.yaml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("there is a mkfifo").success());
        for path in [&*pipe, folder.path(), Path::new("/dev/zero")] {
            let error = open(path).expect_err("no file");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        assert!(Config::desktop().merge_file(&pipe).is_err());
        assert!(KeyRecord::read_file(&pipe).is_err());
        let variable = ("OPENRTMP_WORKERS_FILE".into(), pipe.clone().into());
        assert!(Config::desktop().merge_environment([variable]).is_err());
        #[cfg(feature = "tls")]
        {
            let mut config = Config::desktop();
            config.tls.certificate = Some(crate::config::Pem::File(pipe.clone()));
            config.tls.key = Some(crate::config::Pem::File(pipe));
            config.listen = vec!["rtmps://127.0.0.1:0".parse().expect("an address")];
            assert!(config.check_files().is_err());
        }
    }
}
