use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};
use log::LevelFilter;

use crate::exit::{EXIT_CODES, Failure};
use crate::signal::Stop;
use crate::{
    config, ctl, logs, manual, play, probe, publish, record, relay, serve, service, token,
};

/// Serve, publish, play, record and probe RTMP streams
#[derive(Debug, Parser)]
#[command(name = "openrtmp", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// What to log: off, error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<LevelFilter>,
}

/// OpenRTMP server: receives live streams and hands them to players
#[derive(Debug, Parser)]
#[command(name = "server", version, after_help = EXIT_CODES)]
struct ServerArguments {
    #[command(flatten)]
    serve: serve::Arguments,
    /// What to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log: Option<LevelFilter>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server
    #[command(after_help = EXIT_CODES)]
    Serve(Box<serve::Arguments>),
    /// Send an FLV file to a server
    #[command(after_help = EXIT_CODES)]
    Publish(publish::Arguments),
    /// Receive a stream: to a file, to standard output, or just count it
    #[command(after_help = EXIT_CODES)]
    Play(play::Arguments),
    /// Record a stream to an FLV or MP4 file
    #[command(after_help = EXIT_CODES)]
    Record(record::Arguments),
    /// Pass a stream on from one server to another, until Ctrl-C
    #[command(after_help = EXIT_CODES)]
    Relay(relay::Arguments),
    /// Tell what a stream is made of
    #[command(after_help = EXIT_CODES)]
    Probe(probe::Arguments),
    /// Make a token for viewers of a stream that is not public
    #[command(after_help = EXIT_CODES)]
    Token(token::Arguments),
    /// Tell what can be set, what is in force, and whether a file of settings is right
    #[command(after_help = EXIT_CODES)]
    Config(config::Arguments),
    /// Run the server as a service of the system, with settings of its own
    #[command(after_help = EXIT_CODES)]
    Service(service::Arguments),
    /// What the service control manager starts
    #[cfg(windows)]
    #[command(hide = true)]
    ServiceMain(Box<service::scm::MainArguments>),
    /// Operate a running server: see what is there, end it, change it
    #[command(after_help = EXIT_CODES)]
    Ctl(ctl::Arguments),
    /// Print what a shell needs to complete this command
    Completions(manual::Completions),
    /// Write the manual pages of this command
    Man(manual::Pages),
}

/// Reads the arguments and does what they say.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    // Before anything is opened.
    service::sockets::given();
    let stop = Stop::on_signals()?;
    let arguments = Arguments::try_parse_from(arguments).map_err(Failure::Arguments)?;
    let default = match arguments.command {
        Command::Serve(_) => SERVER_LOG,
        #[cfg(windows)]
        Command::ServiceMain(_) => SERVER_LOG,
        _ => LevelFilter::Warn,
    };
    let level = arguments.log;
    match &arguments.command {
        #[cfg(windows)]
        Command::ServiceMain(service) => {
            let begun = logs::begin_service(&service.service_name, level.unwrap_or(default));
            begun.map_err(Failure::Runtime)?;
        }
        _ => logs::begin(level.unwrap_or(default)),
    }
    let is_server = match arguments.command {
        Command::Serve(_) => true,
        #[cfg(windows)]
        Command::ServiceMain(_) => true,
        _ => false,
    };
    if !is_server {
        stop.stop_on_hang_up();
    }
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments.with_level(level), &stop),
        Command::Publish(arguments) => publish::run(&arguments, &stop),
        Command::Play(arguments) => play::run(&arguments, &stop),
        Command::Record(arguments) => record::run(&arguments, &stop),
        Command::Relay(arguments) => relay::run(&arguments, &stop),
        Command::Probe(arguments) => probe::run(&arguments, &stop),
        Command::Token(arguments) => token::run(&arguments),
        Command::Config(arguments) => config::run(arguments, level),
        Command::Service(arguments) => service::run(&arguments),
        #[cfg(windows)]
        Command::ServiceMain(arguments) => service::scm::run(&arguments.with_level(level), &stop),
        Command::Ctl(arguments) => ctl::run(&arguments),
        Command::Completions(wanted) => manual::completions(&wanted, Arguments::command()),
        Command::Man(wanted) => manual::pages(&wanted, Arguments::command()),
    }
}

/// The same for the server alone.
pub(crate) fn run_server(arguments: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    // Before anything is opened.
    service::sockets::given();
    let stop = Stop::on_signals()?;
    let arguments = ServerArguments::try_parse_from(arguments).map_err(Failure::Arguments)?;
    logs::begin(arguments.log.unwrap_or(SERVER_LOG));
    serve::run(&arguments.serve.with_level(arguments.log), &stop)
}

/// A server tells who comes and goes, until its settings say otherwise; the other commands
/// speak when something is wrong.
const SERVER_LOG: LevelFilter = LevelFilter::Info;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
        ServerArguments::command().debug_assert();
    }
}
