//! Finds the programs the tests run.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A program the tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The distribution's ffmpeg, which may not know Enhanced RTMP.
    Ffmpeg,
    /// The distribution's ffprobe.
    Ffprobe,
    /// A current ffmpeg, fetched by `cargo xtask test --all`.
    FfmpegCurrent,
    /// rtmpdump.
    Rtmpdump,
    /// GStreamer's pipeline runner.
    GstLaunch,
    /// curl, which speaks HTTP/2.
    Curl,
    /// What looks at every packet of a transport stream.
    Tsreport,
    /// The command of OpenSSL.
    Openssl,
    /// testssl.sh.
    Testssl,
    /// sslscan.
    Sslscan,
    /// HAProxy.
    Haproxy,
    /// stunnel.
    Stunnel,
    /// What checks text for Prometheus.
    Promtool,
    /// What reads JSON.
    Jq,
    /// What puts the files of logs aside.
    Logrotate,
    /// Pebble, an authority for certificates.
    Pebble,
    /// The name server that comes with it.
    PebbleNames,
    /// What runs JavaScript.
    Node,
    /// VLC, without its window.
    Vlc,
    /// mpv.
    Mpv,
}

impl Tool {
    /// A command that runs it.
    ///
    /// # Panics
    /// If the current ffmpeg has not been fetched.
    pub fn command(self) -> Command {
        match self {
            Tool::Ffmpeg => Command::new("ffmpeg"),
            Tool::Ffprobe => Command::new("ffprobe"),
            Tool::FfmpegCurrent => Command::new(ffmpeg_current()),
            Tool::Rtmpdump => Command::new("rtmpdump"),
            Tool::GstLaunch => Command::new("gst-launch-1.0"),
            Tool::Curl => Command::new("curl"),
            Tool::Tsreport => Command::new("tsreport"),
            Tool::Openssl => Command::new("openssl"),
            Tool::Testssl => Command::new("testssl"),
            Tool::Sslscan => Command::new("sslscan"),
            // Debian has it where the users of a system do not look.
            Tool::Haproxy => Command::new("/usr/sbin/haproxy"),
            Tool::Stunnel => Command::new("stunnel4"),
            Tool::Promtool => Command::new("promtool"),
            Tool::Jq => Command::new("jq"),
            Tool::Logrotate => Command::new("/usr/sbin/logrotate"),
            Tool::Pebble => Command::new("pebble"),
            Tool::PebbleNames => Command::new("pebble-challtestsrv"),
            Tool::Node => Command::new("node"),
            Tool::Vlc => vlc(),
            Tool::Mpv => Command::new("mpv"),
        }
    }
}

/// It refuses to be run by root: then it is run by nobody.
fn vlc() -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command.arg("cvlc").env("HOME", "/nonexistent");
    command
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

fn ffmpeg_current() -> PathBuf {
    let program = target_folder()
        .join("tools")
        .join("ffmpeg-current")
        .join("ffmpeg");
    assert!(
        program.is_file(),
        "{} is missing: `cargo xtask test --all --only interop` fetches it",
        program.display()
    );
    program
}

/// The folder of the packages that browsers are driven with.
///
/// # Panics
/// If they have not been fetched.
pub fn browser_packages() -> PathBuf {
    packages("browsers")
}

/// The folder of readers of MP4.
///
/// # Panics
/// If they have not been fetched.
pub fn reader_packages() -> PathBuf {
    packages("readers")
}

/// Shaka Packager, one of those.
///
/// # Panics
/// If it has not been fetched.
pub fn shaka_packager() -> Command {
    let mut command = Tool::Node.command();
    command.arg(reader_packages().join("node_modules/shaka-packager/index.js"));
    command
}

/// A folder of packages that `cargo xtask test --all` fetches for the step of its name.
fn packages(step: &str) -> PathBuf {
    let folder = target_folder().join("tools").join(step);
    assert!(
        folder.join("node_modules").is_dir(),
        "{} is missing: `cargo xtask test --all --only {step}` fetches it",
        folder.display()
    );
    folder
}

/// Cargo's target folder: the one this test was built in.
///
/// # Panics
/// If it runs from elsewhere.
pub fn target_folder() -> PathBuf {
    let program = env::current_exe().expect("a running test knows its own path");
    let folder = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    folder
        .expect("tests run from cargo's target folder")
        .to_path_buf()
}
