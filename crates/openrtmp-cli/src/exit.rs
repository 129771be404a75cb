//! How a command ends: exit codes and the one line that explains them.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use openrtmp_core::client::ClientError;
use openrtmp_protocol::RtmpUrl;

use crate::logs;

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
    /// The connection could not be had, or was lost: another may be better.
    Lost(String),
    /// The server sends us elsewhere: it refuses with `ex.redirect`, or asks to connect
    /// again (Enhanced RTMP v2, "Reconnect Request").
    Moved(Box<RtmpUrl>),
    /// clap's own words: an error, or the help that was asked for.
    Arguments(clap::Error),
}

impl Failure {
    /// Its exit code, and the one line that explains it.
    pub(crate) fn told(&self) -> (u8, String) {
        match self {
            Failure::Runtime(message) | Failure::Lost(message) => (1, message.clone()),
            Failure::Moved(_) => (1, "the server sends its peers elsewhere".to_owned()),
            Failure::Usage(message) => (2, message.clone()),
            Failure::Arguments(error) => (2, in_one_line(error)),
        }
    }

    /// A connection's, without the key that may be in its URL, which servers repeat:
    /// masked in what they sent, before it is cut to be shown.
    pub(crate) fn of_client(error: ClientError, url: &RtmpUrl) -> Failure {
        let masked = |text: String| url.masked_in(&text);
        match error {
            ClientError::NoTls => Failure::Usage(error.to_string()),
            #[cfg(feature = "tls")]
            ClientError::Tls(_) => Failure::Usage(error.to_string()),
            ClientError::Refused {
                code,
                description,
                redirect,
            } => {
                let error = ClientError::Refused {
                    code: masked(code),
                    description: masked(description),
                    redirect: None,
                };
                match redirect.map(|to| url.redirected(&to)) {
                    None => Failure::Lost(error.to_string()),
                    Some(Ok(url)) => Failure::Moved(Box::new(url)),
                    Some(Err(why)) => Failure::Lost(format!("{error}; {why}")),
                }
            }
            ClientError::Ended { code, description } => {
                let (code, description) = (masked(code), masked(description));
                Failure::Lost(ClientError::Ended { code, description }.to_string())
            }
            error => Failure::Lost(masked(error.to_string())),
        }
    }
}

/// Prints the failure, if any, and turns it into the process's exit code.
pub(crate) fn code(result: Result<(), Failure>) -> ExitCode {
    let (code, message) = match result {
        Ok(()) => {
            logs::finish();
            return ExitCode::SUCCESS;
        }
        Err(Failure::Arguments(error)) if is_help(&error) => {
            // Nobody is left to be told if this fails.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
        Err(failure) => failure.told(),
    };
    logs::fail(&message);
    logs::finish();
    ExitCode::from(code)
}

fn is_help(error: &clap::Error) -> bool {
    !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// A URL that was not taken may hold a key or a password.
fn without_url(error: &clap::Error, text: String) -> String {
    match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => match value.split_once("://") {
            Some((scheme, _)) => text.replace(value.as_str(), &format!("{scheme}://***")),
            None => text,
        },
        _ => text,
    }
}

/// clap adds usage and tips below an empty line; what is similar to a misspelt word is
/// worth telling.
fn in_one_line(error: &clap::Error) -> String {
    let text = without_url(error, error.render().to_string());
    let lines = text.lines().map(str::trim);
    let wrong: Vec<_> = lines.clone().take_while(|line| !line.is_empty()).collect();
    let wrong = wrong.join(" ");
    let wrong = wrong.strip_prefix("error: ").unwrap_or(&wrong);
    let mut tips = lines.filter_map(|line| line.strip_prefix("tip: "));
    let tip = tips.find(|tip| tip.contains("similar"));
    match tip {
        Some(tip) => format!("{wrong}; {tip} (--help explains)"),
        None => format!("{wrong} (--help explains)"),
    }
}
