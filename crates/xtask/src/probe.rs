//! Whether a tool does what it is needed for.
//!
//! A program may answer `--version` and still lack what makes it useful: a compiler its
//! C library, a player its plugins. So each tool is tried with a little of its real work.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::npm::Npm;
use crate::wheel::FFMPEG_WHEEL;
use crate::workspace;

/// A little work, done in an empty folder.
#[derive(Debug)]
pub(crate) enum Probe {
    /// A program and its arguments; its standard input is empty.
    Program(&'static [&'static str]),
    /// Commands of a POSIX shell, each of which has to succeed. `$TOOLS` is the folder
    /// of what was fetched, `$FFMPEG_WHEEL` what is to be in it.
    Script(&'static str),
    /// These packages were fetched.
    Npm(&'static Npm),
}

impl Probe {
    /// Does the work. The error is the first line that was said about its failure.
    pub(crate) fn run(&self) -> Result<(), String> {
        let words = match self {
            Probe::Npm(npm) => return npm.look(),
            Probe::Program(words) => words,
            Probe::Script(script) => &["sh", "-ec", script][..],
        };
        let folder = folder();
        let outcome = fs::create_dir_all(&folder).and_then(|()| command(words, &folder).output());
        // What cannot be removed is below the target folder, and in nobody's way.
        let _ = fs::remove_dir_all(&folder);
        let program = words.first().unwrap_or(&"");
        let output = outcome.map_err(|error| format!("{program}: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().map(str::trim).find(|line| !line.is_empty());
        Err(first.map_or_else(|| output.status.to_string(), ToOwned::to_owned))
    }
}

fn command(words: &[&str], folder: &Path) -> Command {
    let (program, arguments) = words.split_first().unwrap_or((&"", &[]));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env("PATH", path())
        .env("TOOLS", fetched())
        .env("FFMPEG_WHEEL", FFMPEG_WHEEL)
        .stdin(Stdio::null());
    command
}

/// Where tools are kept that no package brings.
pub(crate) fn fetched() -> PathBuf {
    workspace::target().join("tools")
}

/// A folder of its own for each probe: two test commands may run at once.
fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    fetched().join(format!("probe-{}-{number}", process::id()))
}

/// Some tools are run as root, whose path has folders that a user's lacks.
fn path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    if cfg!(unix) {
        path.push(":/usr/sbin:/sbin");
    }
    path
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_does_not_answer() {
        assert!(!answers(&mut Command::new("no-such-program-here")));
        let error = Probe::Program(&["no-such-program-here"]).run().unwrap_err();
        assert!(error.starts_with("no-such-program-here: "), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn one_failing_command_of_a_script_fails_it_and_is_quoted() {
        assert_eq!(Probe::Script("true; test -d .").run(), Ok(()));
        let script = "echo one; echo 'no crti.o' >&2; echo so >&2; false; true";
        assert_eq!(Probe::Script(script).run(), Err("no crti.o".to_owned()));
    }

    #[cfg(unix)]
    #[test]
    fn each_works_in_an_empty_folder_and_leaves_none() {
        let script = "test -z \"$(ls -A)\"; echo left > behind; pwd >&2; false";
        let folder = Probe::Script(script).run().unwrap_err();
        assert!(folder.contains("probe-"), "{folder}");
        assert!(!Path::new(&folder).exists());
    }
}
