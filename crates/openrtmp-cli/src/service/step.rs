//! What is done to make a service, one after the other.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A file that is the same on all machines.
    Write { path: PathBuf, text: String },
    /// A file that somebody may have changed.
    WriteNew { path: PathBuf, text: String },
    /// A folder, with those around it.
    Folder(PathBuf),
    /// A file that need not be there.
    Remove(PathBuf),
    /// A program; a failure is the end.
    Run(Vec<String>),
    /// A program that fails where there is nothing to do.
    Try(Vec<String>),
    /// What the service control manager of Windows is asked of the service of this name. It is
    /// waited for until it is so: `sc.exe` asks and returns, and so does the `net.exe` of wine.
    Control(Wish, String),
}

/// What is to become of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It serves. One that runs already is an error.
    Started,
    /// It has ended. One that does not run is an error.
    Stopped,
    /// It does not run, whatever it did.
    Ended,
}

/// A program with its arguments.
pub(super) fn run(words: &[&str]) -> Step {
    Step::Run(words.iter().map(ToString::to_string).collect())
}

/// The same, whether or not there is something to do.
pub(super) fn attempt(words: &[&str]) -> Step {
    Step::Try(words.iter().map(ToString::to_string).collect())
}

impl Step {
    /// Does it, or says what failed.
    pub(super) fn take(&self) -> Result<(), String> {
        let failed = |path: &PathBuf| {
            let path = path.display().to_string();
            move |error: std::io::Error| format!("{path}: {error}")
        };
        match self {
            Step::Write { path, text } => fs::write(path, text).map_err(failed(path)),
            Step::WriteNew { path, .. } if path.exists() => Ok(()),
            Step::WriteNew { path, text } => fs::write(path, text).map_err(failed(path)),
            Step::Folder(path) => fs::create_dir_all(path).map_err(failed(path)),
            Step::Remove(path) => match fs::remove_file(path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed(path)(e)),
                _ => Ok(()),
            },
            Step::Run(words) => match status(words)? {
                status if status.success() => Ok(()),
                status => Err(format!("{}: {status}", words.join(" "))),
            },
            Step::Try(words) => status(words).map(drop),
            #[cfg(windows)]
            Step::Control(wish, name) => super::scm::control(*wish, name),
            #[cfg(not(windows))]
            Step::Control(_, name) => Err(format!("{name} is a service of Windows")),
        }
    }
}

fn status(words: &[String]) -> Result<std::process::ExitStatus, String> {
    let (program, arguments) = words.split_first().ok_or("no program")?;
    let status = Command::new(program).args(arguments).status();
    status.map_err(|e| format!("{program}: {e}"))
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |words: &[String]| {
            let quoted = words.iter().map(|word| match word.contains(' ') {
                true => format!("'{word}'"),
                false => word.clone(),
            });
            quoted.collect::<Vec<_>>().join(" ")
        };
        let indented = |text: &str| {
            let lines = text.trim_end().lines().map(|line| match line {
                "" => String::new(),
                line => format!("    {line}"),
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        match self {
            Step::Write { path, text } => {
                write!(f, "write {}:\n{}", path.display(), indented(text))
            }
            Step::WriteNew { path, text } => {
                write!(
                    f,
                    "write, unless it is there: {}\n{}",
                    path.display(),
                    indented(text)
                )
            }
            Step::Folder(path) => write!(f, "make the folder {}", path.display()),
            Step::Remove(path) => write!(f, "remove {}", path.display()),
            Step::Run(words) => write!(f, "run {}", quoted(words)),
            Step::Try(words) => write!(f, "run {}   # it may fail", quoted(words)),
            Step::Control(Wish::Started, name) => {
                write!(f, "start the service {name}, and wait until it serves")
            }
            Step::Control(Wish::Stopped, name) => {
                write!(f, "stop the service {name}, and wait until it has ended")
            }
            Step::Control(Wish::Ended, name) => {
                write!(
                    f,
                    "stop the service {name} if it runs, and wait until it has ended"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_kept_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("a/b");
        let path = below.join("c");
        let text = |text: &str| (path.clone(), text.to_owned());
        let write = |(path, text)| Step::Write { path, text };
        let write_new = |(path, text)| Step::WriteNew { path, text };
        write(text("one")).take().expect_err("no folder");
        Step::Folder(below).take().expect("made");
        write_new(text("one")).take().expect("written");
        write_new(text("two")).take().expect("kept");
        assert_eq!(fs::read_to_string(&path).expect("there"), "one");
        write(text("three")).take().expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), "three");
        for _ in 0..2 {
            Step::Remove(path.clone()).take().expect("gone");
        }
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_fails_is_named() {
        run(&["true"]).take().expect("it does");
        attempt(&["false"]).take().expect("it may");
        let error = run(&["false", "a"]).take().expect_err("it fails");
        assert!(error.starts_with("false a: "), "{error}");
        let error = attempt(&["/nowhere/program"])
            .take()
            .expect_err("it is not there");
        assert!(error.starts_with("/nowhere/program: "), "{error}");
    }
}
