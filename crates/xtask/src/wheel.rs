//! The current ffmpeg, which Debian does not have: it comes in a wheel of Python's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::probe;
use crate::tools::succeeds;

/// The wheel that carries a current static ffmpeg. The version is fixed so that
/// a new ffmpeg is met when somebody means to, not when CI happens to run.
pub(crate) const FFMPEG_WHEEL: &str = "imageio-ffmpeg==0.8.1";

/// Puts the current ffmpeg where the interop tests look for it, and beside it the name
/// of the wheel that it came in.
pub(crate) fn fetch() -> io::Result<()> {
    let folder = probe::fetched().join("ffmpeg-current");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let unpacked = folder.join("wheel");
    fs::create_dir_all(&unpacked)?;

    // Only downloaded, never installed: Python's own packages stay untouched.
    run_python(&[
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--progress-bar=off",
        "--disable-pip-version-check",
        "--dest",
        text(&folder)?,
        FFMPEG_WHEEL,
    ])?;
    let wheel = find(&folder, |name| name.ends_with(".whl"))?;
    run_python(&["-m", "zipfile", "-e", text(&wheel)?, text(&unpacked)?])?;
    let binaries = unpacked.join("imageio_ffmpeg").join("binaries");
    let program = find(&binaries, |name| name.starts_with("ffmpeg-"))?;
    fs::rename(program, folder.join("ffmpeg"))?;
    make_executable(&folder.join("ffmpeg"))?;
    fs::remove_file(wheel)?;
    fs::remove_dir_all(unpacked)?;
    fs::write(folder.join("wheel.txt"), FFMPEG_WHEEL)
}

fn run_python(arguments: &[&str]) -> io::Result<()> {
    if succeeds(Command::new("python3").args(arguments).stdin(Stdio::null())) {
        Ok(())
    } else {
        let line = arguments.join(" ");
        Err(io::Error::other(format!("`python3 {line}` failed")))
    }
}

fn find(folder: &Path, fits: impl Fn(&str) -> bool) -> io::Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&fits) {
            return Ok(entry.path());
        }
    }
    let message = format!("{} does not hold the file expected", folder.display());
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str()
        .ok_or_else(|| io::Error::other(format!("{} is not UTF-8", path.display())))
}

#[cfg(unix)]
fn make_executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> io::Result<()> {
    Ok(())
}
