//! `cargo xtask soak`: load with faults over real sockets, see `openrtmp-bench soak`.

use std::process::ExitCode;

use crate::{EXIT_SETUP, workspace};

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    seconds: u64,
    /// The development profile, which the tests have built already.
    development: bool,
    /// Options of `openrtmp-bench soak`.
    others: Vec<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            seconds: 600,
            development: false,
            others: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = || -> Result<u64, String> {
                let text = arguments.next();
                let number = text.and_then(|text| text.parse().ok());
                number.ok_or(format!("{argument} needs a number"))
            };
            match argument.as_str() {
                "--minutes" => options.seconds = number()?.saturating_mul(60),
                "--seconds" => options.seconds = number()?,
                "--dev" => options.development = true,
                "--players" | "--publishers" | "--bitrate" | "--workers" | "--seed" => {
                    let value = number()?.to_string();
                    options.others.extend([argument.clone(), value]);
                }
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let mut command = workspace::cargo();
    command.args([
        "run",
        "--package",
        "openrtmp-bench",
        "--bin",
        "openrtmp-bench",
    ]);
    if !options.development {
        command.arg("--release");
    }
    command.args(["--", "soak", "--seconds", &options.seconds.to_string()]);
    match command.args(&options.others).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: cargo could not be run: {error}");
            ExitCode::from(EXIT_SETUP)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        Options::parse(&arguments)
    }

    #[test]
    fn minutes_are_seconds_and_the_rest_is_passed_on() {
        let options = parse(&["--minutes", "2", "--seed", "7", "--dev"]).unwrap();
        assert_eq!(options.seconds, 120);
        assert!(options.development);
        assert_eq!(options.others, ["--seed", "7"]);
        assert_eq!(parse(&[]).unwrap().seconds, 600);
    }

    #[test]
    fn what_is_no_number_or_unknown_is_refused() {
        assert!(parse(&["--minutes"]).is_err());
        assert!(parse(&["--players", "many"]).is_err());
        assert!(parse(&["--hours", "1"]).is_err());
    }
}
