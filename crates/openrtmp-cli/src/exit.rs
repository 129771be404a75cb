//! How a command ends: exit codes and the one line that explains them.

use std::process::ExitCode;

use clap::error::ErrorKind;
use openrtmp_core::client::ClientError;
use openrtmp_protocol::RtmpUrl;

use crate::progress::say;

/// Shown at the end of every `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done, or stopped with Ctrl-C
  1  it failed while running: refused, stream not found, connection lost, ...
  2  it could not start as told: bad flag or URL, unreadable or unwritable file,
     port taken";

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not start as told.
    Usage(String),
    /// It failed while running.
    Runtime(String),
    /// clap's own words: an error, or the help that was asked for.
    Arguments(clap::Error),
}

impl Failure {
    /// Without the key that may be in the URL, which servers repeat.
    pub(crate) fn masked(self, url: &RtmpUrl) -> Failure {
        match self {
            Failure::Runtime(message) => Failure::Runtime(url.masked_in(&message)),
            other => other,
        }
    }
}

/// Prints the failure, if any, and turns it into the process's exit code.
pub(crate) fn code(result: Result<(), Failure>) -> ExitCode {
    let (code, message) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Runtime(message)) => (1, message),
        Err(Failure::Usage(message)) => (2, message),
        Err(Failure::Arguments(error)) if is_help(&error) => {
            // Nobody is left to be told if this fails.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
        Err(Failure::Arguments(error)) => (2, in_one_line(&error)),
    };
    say(&format!("openrtmp: {message}"));
    ExitCode::from(code)
}

fn is_help(error: &clap::Error) -> bool {
    !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// clap adds usage and tips below an empty line.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let line = lines.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    format!("{line} (--help explains)")
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Tls => Failure::Usage(error.to_string()),
            error => Failure::Runtime(error.to_string()),
        }
    }
}
