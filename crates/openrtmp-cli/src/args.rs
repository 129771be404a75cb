use std::ffi::OsString;
use std::io::{self, IsTerminal};

use clap::{Parser, Subcommand};
use env_logger::{Target, WriteStyle};
use log::LevelFilter;

use crate::console::LogOutput;
use crate::exit::{EXIT_CODES, Failure};
use crate::signal::Stop;
use crate::{play, probe, publish, record, serve};

/// Serve, publish, play, record and probe RTMP streams
#[derive(Debug, Parser)]
#[command(name = "openrtmp", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// What to log to standard error: off, error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<LevelFilter>,
}

/// OpenRTMP server: receives live streams and hands them to players
#[derive(Debug, Parser)]
#[command(name = "server", version, after_help = EXIT_CODES)]
struct ServerArguments {
    #[command(flatten)]
    serve: serve::Arguments,
    /// What to log to standard error: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log: Option<LevelFilter>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server
    #[command(after_help = EXIT_CODES)]
    Serve(serve::Arguments),
    /// Send an FLV file to a server
    #[command(after_help = EXIT_CODES)]
    Publish(publish::Arguments),
    /// Receive a stream: to a file, to standard output, or just count it
    #[command(after_help = EXIT_CODES)]
    Play(play::Arguments),
    /// Record a stream to an FLV file
    #[command(after_help = EXIT_CODES)]
    Record(record::Arguments),
    /// Tell what a stream is made of
    #[command(after_help = EXIT_CODES)]
    Probe(probe::Arguments),
}

/// Reads the arguments and does what they say.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let arguments = Arguments::try_parse_from(arguments).map_err(Failure::Arguments)?;
    let default = match arguments.command {
        Command::Serve(_) => SERVER_LOG,
        _ => LevelFilter::Warn,
    };
    log_to_stderr(arguments.log.unwrap_or(default));
    let stop = Stop::on_signals()?;
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments, &stop),
        Command::Publish(arguments) => publish::run(&arguments, &stop),
        Command::Play(arguments) => play::run(&arguments, &stop),
        Command::Record(arguments) => record::run(&arguments, &stop),
        Command::Probe(arguments) => probe::run(&arguments, &stop),
    }
}

/// The same for the server alone.
pub(crate) fn run_server(arguments: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let arguments = ServerArguments::try_parse_from(arguments).map_err(Failure::Arguments)?;
    log_to_stderr(arguments.log.unwrap_or(SERVER_LOG));
    serve::run(&arguments.serve, &Stop::on_signals()?)
}

/// A server tells who comes and goes; the other commands speak when something is
/// wrong.
const SERVER_LOG: LevelFilter = LevelFilter::Info;

fn log_to_stderr(level: LevelFilter) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    env_logger::Builder::new()
        .filter_level(level)
        .write_style(if colour {
            WriteStyle::Always
        } else {
            WriteStyle::Never
        })
        .target(Target::Pipe(Box::new(LogOutput)))
        .init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
        ServerArguments::command().debug_assert();
    }
}
