//! `cargo xtask soak`: load with faults over real sockets, see `openrtmp-bench soak`.

use std::process::{Command, ExitCode};

use crate::steps::FEATURES;
use crate::{EXIT_SETUP, workspace};

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    seconds: u64,
    /// The development profile, as the tests have built it.
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
    let mut build = workspace::cargo();
    build.args(["build", "--bin", "openrtmp-bench"]);
    let folder = match options.development {
        // With the features of all the others, as the tests have built it.
        true => {
            build.args(["--workspace", "--features", FEATURES]);
            "debug"
        }
        false => {
            build.args(["--package", "openrtmp-bench", "--release"]);
            "release"
        }
    };
    let name = format!("openrtmp-bench{}", std::env::consts::EXE_SUFFIX);
    let mut soak = Command::new(workspace::target().join(folder).join(name));
    soak.args(["soak", "--seconds", &options.seconds.to_string()]);
    soak.args(&options.others);
    for (name, command) in [("cargo", &mut build), ("openrtmp-bench", &mut soak)] {
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(_) => return ExitCode::FAILURE,
            Err(error) => {
                eprintln!("error: {name} could not be run: {error}");
                return ExitCode::from(EXIT_SETUP);
            }
        }
    }
    ExitCode::SUCCESS
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
