//! Finds what the tests need and installs what is missing.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::workspace;

/// A program or part of one that some step needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Rustfmt,
    Clippy,
    /// The distribution's ffmpeg and ffprobe.
    Ffmpeg,
    /// A current ffmpeg, which knows Enhanced RTMP.
    FfmpegCurrent,
    Rtmpdump,
    GstLaunch,
    GstBase,
    GstGood,
    GstBad,
    /// Fetches and unpacks the wheel that carries the current ffmpeg.
    Pip,
    /// A C++ compiler; its package brings the sanitizers of the C compiler too.
    Cxx,
    Cmake,
    PkgConfig,
    Valgrind,
    /// Makes the tree that wine runs in.
    Debootstrap,
    /// Linkers of other systems.
    Mingw,
    Aarch64Gcc,
    /// Runs programs of 64-bit ARM.
    Qemu,
}

/// What the interop tests need.
pub(crate) const INTEROP: &[Tool] = &[
    Tool::Ffmpeg,
    Tool::Cxx,
    Tool::Rtmpdump,
    Tool::GstLaunch,
    Tool::GstBase,
    Tool::GstGood,
    Tool::GstBad,
    Tool::FfmpegCurrent,
];

/// What trying out the C library needs, beside a compiler.
pub(crate) const CAPI: &[Tool] = &[Tool::Cmake, Tool::PkgConfig, Tool::Valgrind];

/// What builds for other systems need.
pub(crate) const CROSS: &[Tool] = &[Tool::Clippy, Tool::Mingw, Tool::Aarch64Gcc];

/// What running programs of other systems needs, except a Debian tree with wine,
/// which not every machine can have.
pub(crate) const FOREIGN: &[Tool] = &[
    Tool::Mingw,
    Tool::Aarch64Gcc,
    Tool::Qemu,
    Tool::PkgConfig,
    Tool::Ffmpeg,
];

/// Set for the chores that `test --no-install` runs.
pub(crate) const NO_INSTALL: &str = "OPENRTMP_NO_INSTALL";

/// Whether chores may install what they miss.
pub(crate) fn may_install() -> bool {
    env::var_os(NO_INSTALL).is_none()
}

/// The wheel that carries a current static ffmpeg. The version is fixed so that
/// a new ffmpeg is met when somebody means to, not when CI happens to run.
const FFMPEG_WHEEL: &str = "imageio-ffmpeg==0.8.1";

/// Sees to it that every tool of `needed` is there, or says what is not.
pub(crate) fn provide(needed: &[Tool], install: bool) -> Result<(), String> {
    let mut missing = missing(needed);
    if missing.contains(&Tool::FfmpegCurrent) && !Tool::Pip.is_there() {
        missing.push(Tool::Pip);
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !install {
        return Err(instructions(&missing));
    }
    let packages = packages(&missing);
    if !packages.is_empty() {
        println!("\n=== installing {}", packages.join(" "));
        if !apt_install(&packages) {
            return Err(instructions(&missing));
        }
    }
    if missing.contains(&Tool::FfmpegCurrent) {
        println!("\n=== fetching {FFMPEG_WHEEL}");
        if let Err(error) = fetch_ffmpeg() {
            return Err(format!("{FFMPEG_WHEEL} could not be fetched: {error}"));
        }
    }
    let missing: Vec<Tool> = missing
        .into_iter()
        .filter(|tool| !tool.is_there())
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(instructions(&missing))
    }
}

impl Tool {
    /// Tried, not looked up: what answers is there, whoever installed it.
    fn is_there(self) -> bool {
        match self {
            Tool::Rustfmt => answers(workspace::cargo().args(["fmt", "--version"])),
            Tool::Clippy => answers(workspace::cargo().args(["clippy", "--version"])),
            Tool::Ffmpeg => ["ffmpeg", "ffprobe"]
                .iter()
                .all(|program| answers(Command::new(program).arg("-version"))),
            Tool::FfmpegCurrent => is_fetched(),
            Tool::Rtmpdump => answers(Command::new("rtmpdump").arg("--help")),
            Tool::GstLaunch => answers(Command::new("gst-launch-1.0").arg("--version")),
            Tool::GstBase => has_element("queue") && has_element("typefind"),
            Tool::GstGood => has_element("flvmux"),
            Tool::GstBad => has_element("rtmp2src"),
            Tool::Cxx => answers(Command::new("c++").arg("--version")),
            Tool::Cmake => answers(Command::new("cmake").arg("--version")),
            Tool::PkgConfig => answers(Command::new("pkg-config").arg("--version")),
            Tool::Valgrind => answers(Command::new("valgrind").arg("--version")),
            Tool::Debootstrap => answers(Command::new("debootstrap").arg("--version")),
            Tool::Mingw => links("x86_64-w64-mingw32-gcc"),
            Tool::Aarch64Gcc => links("aarch64-linux-gnu-gcc"),
            Tool::Qemu => answers(Command::new("qemu-aarch64").arg("--version")),
            Tool::Pip => answers(Command::new("python3").args(["-m", "pip", "--version"])),
        }
    }

    /// The Debian packages that bring it. Recommended ones are not installed, so each
    /// that is used is named.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Tool::Rustfmt | Tool::Clippy | Tool::FfmpegCurrent => &[],
            Tool::Ffmpeg => &["ffmpeg"],
            Tool::Rtmpdump => &["rtmpdump"],
            Tool::GstLaunch => &["gstreamer1.0-tools"],
            Tool::GstBase => &["gstreamer1.0-plugins-base"],
            Tool::GstGood => &["gstreamer1.0-plugins-good"],
            Tool::GstBad => &["gstreamer1.0-plugins-bad"],
            Tool::Pip => &["python3-pip"],
            Tool::Cxx => &["g++"],
            Tool::Cmake => &["cmake", "make"],
            Tool::PkgConfig => &["pkg-config"],
            Tool::Valgrind => &["valgrind"],
            Tool::Debootstrap => &["debootstrap", "debian-archive-keyring", "gpgv"],
            Tool::Mingw => &["gcc-mingw-w64-x86-64"],
            Tool::Aarch64Gcc => &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
            Tool::Qemu => &["qemu-user"],
        }
    }
}

fn missing(needed: &[Tool]) -> Vec<Tool> {
    needed
        .iter()
        .copied()
        .filter(|tool| !tool.is_there())
        .collect()
}

fn packages(missing: &[Tool]) -> Vec<&'static str> {
    missing
        .iter()
        .flat_map(|tool| tool.packages())
        .copied()
        .collect()
}

/// What the user has to type.
fn instructions(missing: &[Tool]) -> String {
    let mut lines = vec!["some tools are missing; please install them:".to_owned()];
    if missing.contains(&Tool::Rustfmt) {
        lines.push("  rustup component add rustfmt".to_owned());
    }
    if missing.contains(&Tool::Clippy) {
        lines.push("  rustup component add clippy".to_owned());
    }
    let packages = packages(missing);
    if !packages.is_empty() {
        lines.push(format!("  apt-get install {}", packages.join(" ")));
    }
    if missing.contains(&Tool::FfmpegCurrent) {
        lines.push(format!(
            "  run `cargo xtask test` without --no-install: it fetches {FFMPEG_WHEEL}"
        ));
    }
    lines.join("\n")
}

fn has_element(name: &str) -> bool {
    answers(Command::new("gst-inspect-1.0").args(["--exists", name]))
}

/// True if the compiler makes a program of a source that includes what a C library
/// brings: a compiler alone answers without one.
fn links(compiler: &str) -> bool {
    let folder = workspace::target().join("tools");
    let source = folder.join("probe.c");
    let text = "#include <stdio.h>\nint main(void) { return puts(\"\") < 0; }\n";
    fs::create_dir_all(&folder).is_ok()
        && fs::write(&source, text).is_ok()
        && answers(
            Command::new(compiler)
                .arg(&source)
                .arg("-o")
                .arg(folder.join("probe")),
        )
}

/// True if the program starts and ends with success.
pub(crate) fn answers(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn apt_install(packages: &[&str]) -> bool {
    let Some(prefix) = root_prefix() else {
        return false;
    };
    let apt = |arguments: &[&str]| {
        let words: Vec<&str> = prefix
            .iter()
            .chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .chain(arguments)
            .copied()
            .collect();
        let (program, arguments) = words.split_first().expect("apt-get is always there");
        succeeds(Command::new(program).args(arguments).stdin(Stdio::null()))
    };
    // Old package lists name versions that are gone, and a fresh box has none;
    // a failed update may still leave lists that serve.
    apt(&["update", "-q"]);
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(packages);
    apt(&install)
}

/// How to become root without being asked anything: not at all, by sudo, or not.
pub(crate) fn root_prefix() -> Option<&'static [&'static str]> {
    if !answers(Command::new("apt-get").arg("--version")) {
        return None;
    }
    let user = Command::new("id").arg("-u").output().ok()?;
    if user.stdout.trim_ascii() == b"0" {
        Some(&[])
    } else if answers(Command::new("sudo").args(["-n", "true"])) {
        Some(&["sudo", "-n"])
    } else {
        None
    }
}

/// The folder of the current ffmpeg; the interop tests look for `ffmpeg` in it.
fn ffmpeg_folder() -> PathBuf {
    workspace::target().join("tools").join("ffmpeg-current")
}

/// The file that names the wheel whose ffmpeg lies beside it.
fn fetched_mark(folder: &Path) -> PathBuf {
    folder.join("wheel.txt")
}

fn is_fetched() -> bool {
    let folder = ffmpeg_folder();
    fs::read_to_string(fetched_mark(&folder)).is_ok_and(|wheel| wheel == FFMPEG_WHEEL)
        && folder.join("ffmpeg").is_file()
}

fn fetch_ffmpeg() -> io::Result<()> {
    let folder = ffmpeg_folder();
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
    fs::write(fetched_mark(&folder), FFMPEG_WHEEL)
}

fn run_python(arguments: &[&str]) -> io::Result<()> {
    if succeeds(Command::new("python3").args(arguments).stdin(Stdio::null())) {
        Ok(())
    } else {
        let line = arguments.join(" ");
        Err(io::Error::other(format!("`python3 {line}` failed")))
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_name_every_package_once() {
        let text = instructions(&[Tool::Clippy, Tool::Ffmpeg, Tool::GstBad]);
        assert!(text.contains("rustup component add clippy"));
        assert!(text.contains("apt-get install ffmpeg gstreamer1.0-plugins-bad"));
        assert!(!text.contains("rustfmt") && !text.contains(FFMPEG_WHEEL));
    }

    #[test]
    fn a_program_that_is_not_there_does_not_answer() {
        assert!(!answers(&mut Command::new("no-such-program-here")));
    }
}
