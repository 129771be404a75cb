//! `cargo xtask sim`: simulated worlds, more of them than the ordinary test runs,
//! or a single one again.

use std::process::ExitCode;

use crate::{EXIT_SETUP, workspace};

/// The test that runs them; it reads what to do from its environment.
const CAMPAIGN: &str = "sim_tests::worlds::campaign";

/// What the user asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    environment: Vec<(&'static str, String)>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--seeds" => options.set("OPENRTMP_SIM_SEEDS", number(argument, value()?)?),
                "--from" => options.set("OPENRTMP_SIM_FROM", number(argument, value()?)?),
                "--go-on" => options.set("OPENRTMP_SIM_GO_ON", "1".to_owned()),
                "--replay" => {
                    let value = value()?;
                    match number(argument, value) {
                        Ok(seed) => {
                            options.set("OPENRTMP_SIM_FROM", seed);
                            options.set("OPENRTMP_SIM_SEEDS", "1".to_owned());
                        }
                        Err(_) => options.set("OPENRTMP_SIM_REPLAY", absolute(value)?),
                    }
                }
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        Ok(options)
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.environment.push((name, value));
    }
}

fn number(option: &str, value: &str) -> Result<String, String> {
    match value.parse::<u64>() {
        Ok(_) => Ok(value.to_owned()),
        Err(_) => Err(format!("{option} takes a number, not `{value}`")),
    }
}

/// The test runs in the folder of its package.
fn absolute(file: &str) -> Result<String, String> {
    let path = std::path::absolute(file).map_err(|error| format!("{file}: {error}"))?;
    match path.is_file() {
        true => Ok(path.display().to_string()),
        false => Err(format!("there is no file {file}")),
    }
}

/// Runs worlds. One that breaks a rule is shown with its seed, made small.
pub(crate) fn run(options: &Options) -> ExitCode {
    let mut command = workspace::cargo();
    command.args(["test", "--package", "openrtmp-core", "--lib", "--"]);
    command.args(["--ignored", "--exact", CAMPAIGN, "--nocapture"]);
    command.envs(
        options
            .environment
            .iter()
            .map(|(name, value)| (name, value)),
    );
    match command.status() {
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
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        Options::parse(&arguments)
    }

    fn with(environment: &[(&'static str, &str)]) -> Options {
        let owned = environment
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Options {
            environment: owned.collect(),
        }
    }

    #[test]
    fn seeds_are_passed_on() {
        let expected = with(&[("OPENRTMP_SIM_SEEDS", "50"), ("OPENRTMP_SIM_FROM", "7")]);
        assert_eq!(parse(&["--seeds", "50", "--from", "7"]), Ok(expected));
    }

    #[test]
    fn a_seed_is_run_again() {
        let expected = with(&[("OPENRTMP_SIM_FROM", "12"), ("OPENRTMP_SIM_SEEDS", "1")]);
        assert_eq!(parse(&["--replay", "12"]), Ok(expected));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(parse(&["--seeds"]).is_err());
        assert!(parse(&["--seeds", "many"]).is_err());
        assert!(parse(&["--replay", "no such file"]).is_err());
        assert!(parse(&["--seed", "1"]).is_err());
    }
}
