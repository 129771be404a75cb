//! Packages from npm that tests use: fetched below the target folder, in versions that are
//! fixed so that a new one is met when somebody means to.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::probe;
use crate::tools::succeeds;

/// Packages in a folder of their own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Npm {
    /// Below that of what was fetched.
    name: &'static str,
    packages: &'static [&'static str],
    /// The step that uses them.
    pub(crate) step: &'static str,
}

/// What browsers are driven with, and players of others that are tried in them. Those that the
/// page has are in the project.
pub(crate) const BROWSERS: Npm = Npm {
    name: "browsers",
    packages: &[
        "puppeteer-core@24.43.1",
        "hls.js@1.7.4",
        "shaka-player@5.2.12",
        "video.js@8.24.1",
        "dashjs@5.2.1",
        "rx-player@4.5.0",
        "mpegts.js@1.8.2",
    ],
    step: "browsers",
};

/// Readers of MP4: one in JavaScript, and one as a program for Linux, macOS and Windows.
pub(crate) const READERS: Npm = Npm {
    name: "readers",
    packages: &["mp4box@2.4.1", "shaka-packager@3.4.2"],
    step: "readers",
};

/// Names what is there, in its folder.
const PACKAGES: &str = "packages.txt";

impl Npm {
    /// All of them in one line.
    pub(crate) fn line(&self) -> String {
        self.packages.join(" ")
    }

    fn folder(&self) -> PathBuf {
        probe::fetched().join(self.name)
    }

    /// Whether just these were fetched.
    pub(crate) fn look(&self) -> Result<(), String> {
        let there = fs::read_to_string(self.folder().join(PACKAGES));
        match there.is_ok_and(|there| there == self.line()) {
            true => Ok(()),
            false => Err(format!("{} is not fetched", self.line())),
        }
    }

    /// Puts them where the tests look for them. No script of theirs is run.
    pub(crate) fn fetch(&self) -> io::Result<()> {
        let folder = self.folder();
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-save", "--ignore-scripts", "--no-audit"])
            .args(["--no-fund", "--omit=optional", "--prefix"])
            .arg(&folder)
            .args(self.packages)
            .stdin(Stdio::null());
        if !succeeds(&mut npm) {
            return Err(io::Error::other("npm failed"));
        }
        fs::write(folder.join(PACKAGES), self.line())
    }
}
