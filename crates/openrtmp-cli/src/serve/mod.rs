mod banner;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openrtmp_core::config::RecordConfig;
use openrtmp_core::{Config, Metrics, Server, StartError, Summary, reachable_hosts};

use crate::exit::Failure;
use crate::progress::{Progress, say};
use crate::signal::Stop;
use crate::units::{bit_rate, clock, size};

/// How long publishers and players may take to leave after Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);

/// Flags of `openrtmp serve`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Settings, as JSON or YAML (.yaml, .yml); the other flags win over it. SIGHUP
    /// reads it again
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; may be repeated [default: 0.0.0.0:1935 and [::]:1935]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<SocketAddr>,
    /// Record every stream to an FLV file in this folder
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// A key that may publish; may be repeated [default: everybody may]
    #[arg(long = "publish-key", value_name = "KEY")]
    publish_keys: Vec<String>,
    /// Threads that serve connections [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,
}

/// Serves until a signal comes.
pub(crate) fn run(arguments: &Arguments, stop: &Stop) -> Result<(), Failure> {
    let server = Arc::new(start(arguments)?);
    let forced = Arc::clone(&server);
    stop.handle(vec![Box::new(|| {}), Box::new(move || forced.force())]);
    #[cfg(unix)]
    if arguments.config.is_some() {
        let (arguments, server) = (arguments.clone(), Arc::clone(&server));
        stop.on_hang_up(move || reload(&server, &arguments));
    }
    let config = server.config();
    let mut keys = config.access.publish_keys.clone();
    // What is not read at a terminal may be kept, and read by others.
    if !keys.is_empty() && !io::stdout().is_terminal() {
        keys = vec!["***".to_owned()];
    }
    print(&banner::text(
        &reachable(&server),
        &server.addresses(),
        &keys,
        config.record.as_ref().map(|r| r.directory.as_path()),
    ))?;
    watch(&server, stop);
    say("Stopping; Ctrl-C again does not wait for connections to leave.");
    let summary = server.stop(GRACE);
    print(&format!("{}\n", summary_line(&summary)))
}

fn start(arguments: &Arguments) -> Result<Server, Failure> {
    let config = config(arguments).map_err(Failure::Usage)?;
    let nobody_asked = config.listen == Config::desktop().listen;
    let result = match Server::start(config.clone()) {
        // Not every machine has IPv6, and nobody asked for it by name.
        Err(StartError::Listen { address, source })
            if nobody_asked && address.is_ipv6() && source.kind() != io::ErrorKind::AddrInUse =>
        {
            log::warn!("IPv4 only: cannot listen on {address}: {source}");
            Server::start(ipv4_only(config))
        }
        result => result,
    };
    result.map_err(|error| match error {
        StartError::Config(_) | StartError::Listen { .. } | StartError::RecordDirectory { .. } => {
            Failure::Usage(error.to_string())
        }
        error => Failure::Runtime(error.to_string()),
    })
}

/// Reads the settings again. What is wrong with them is logged, and changes nothing.
#[cfg(unix)]
fn reload(server: &Server, arguments: &Arguments) {
    let read = config(arguments).map(|config| {
        let no_ipv6 = server.config().listen.iter().all(|l| l.address.is_ipv4());
        match no_ipv6 && config.listen == Config::desktop().listen {
            true => ipv4_only(config),
            false => config,
        }
    });
    let result = read.and_then(|config| server.reconfigure(config).map_err(|e| e.to_string()));
    match result {
        Ok(done) if done.changed.is_empty() => log::info!("no setting has changed"),
        // The server logs what has.
        Ok(_) => {}
        Err(error) => log::error!("the settings stay as they are: {error}"),
    }
}

/// The settings, or one line on what is wrong with their file.
fn config(arguments: &Arguments) -> Result<Config, String> {
    let mut config = Config::desktop();
    if let Some(file) = &arguments.config {
        config.merge_file(file).map_err(|e| e.to_string())?;
    }
    if !arguments.listen.is_empty() {
        config.listen = arguments.listen.iter().map(|&a| a.into()).collect();
    }
    if let Some(workers) = arguments.workers {
        config.workers = workers.into();
    }
    if !arguments.publish_keys.is_empty() {
        config
            .access
            .publish_keys
            .clone_from(&arguments.publish_keys);
    }
    if let Some(directory) = &arguments.record {
        let record = config.record.take();
        config.record = Some(RecordConfig {
            directory: directory.clone(),
            ..record.unwrap_or_else(|| RecordConfig::new(directory))
        });
    }
    Ok(config)
}

fn ipv4_only(mut config: Config) -> Config {
    config.listen.retain(|l| l.address.is_ipv4());
    config
}

/// `host[:port]` of everything that reaches the server, best first.
fn reachable(server: &Server) -> Vec<String> {
    server
        .addresses()
        .into_iter()
        .flat_map(|address| {
            reachable_hosts(address)
                .into_iter()
                .map(move |host| banner::authority(&host, address.port()))
        })
        .collect()
}

/// Waits for a signal. On a terminal it shows how things are, once a second; if
/// not, nothing wakes it.
fn watch(server: &Server, stop: &Stop) {
    const INTERVAL: Duration = Duration::from_secs(1);
    if !io::stdout().is_terminal() {
        stop.wait(None);
        return;
    }
    let progress = Progress::new(None);
    while !stop.wait(Some(INTERVAL)) {
        progress.show_text(|| status_line(&server.metrics()));
    }
    progress.clear();
}

fn status_line(metrics: &Metrics) -> String {
    format!(
        "{}  {}  {}  {}  in {}  out {}  {} dropped",
        clock(Duration::from_secs_f64(metrics.uptime_seconds)),
        count(metrics.streams.len(), "stream"),
        count(metrics.publishers, "publisher"),
        count(metrics.subscribers, "player"),
        bit_rate(metrics.bitrate_in as f64),
        bit_rate(metrics.bitrate_out as f64),
        count(metrics.dropped_frames, "frame"),
    )
}

fn summary_line(summary: &Summary) -> String {
    format!(
        "Stopped after {}: {} had been accepted, {} and {} were there, {} closed by force; \
         {} in, {} out.",
        clock(summary.uptime),
        count(summary.accepted, "connection"),
        count(summary.publishers, "publisher"),
        count(summary.subscribers, "player"),
        count(summary.forced, "connection"),
        size(summary.bytes_in),
        size(summary.bytes_out),
    )
}

fn count(number: impl TryInto<u64>, what: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("cannot write: {e}")))
        }
        // Whoever read our output has gone; the server stays.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> Arguments {
        Arguments {
            config: None,
            listen: Vec::new(),
            record: None,
            publish_keys: Vec::new(),
            workers: None,
        }
    }

    #[test]
    fn without_flags_it_listens_on_both_families_and_is_open() {
        let config = config(&arguments()).unwrap();
        let listen: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["0.0.0.0:1935", "[::]:1935"]);
        assert!(config.access.publish_keys.is_empty() && config.record.is_none());
        let only = ipv4_only(config);
        assert_eq!(only.listen.len(), 1);
        assert!(only.listen[0].address.is_ipv4());
    }

    #[test]
    fn flags_become_settings() {
        let config = config(&Arguments {
            config: None,
            listen: vec!["127.0.0.1:1936".parse().unwrap()],
            record: Some("films".into()),
            publish_keys: vec!["secret".into()],
            workers: Some(3),
        })
        .unwrap();
        assert_eq!(config.listen, ["127.0.0.1:1936".parse().unwrap()]);
        assert_eq!(config.record, Some(RecordConfig::new("films")));
        assert_eq!(config.access.publish_keys, ["secret"]);
        assert_eq!(config.workers, 3);
    }

    #[test]
    fn flags_win_over_the_file_and_leave_the_rest_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.yml");
        let text = "workers: 2\nrecord: {directory: films, template: '{name}'}\n\
                    access: {publish_keys: [file]}\n";
        std::fs::write(&file, text).unwrap();
        let with_file = Arguments {
            config: Some(file.clone()),
            record: Some("elsewhere".into()),
            ..arguments()
        };
        let config = config(&with_file).unwrap();
        assert_eq!(config.workers, 2);
        assert_eq!(config.access.publish_keys, ["file"]);
        let record = config.record.unwrap();
        assert_eq!(record.directory, PathBuf::from("elsewhere"));
        assert_eq!(record.template, "{name}");

        std::fs::write(&file, "worker: 2\n").unwrap();
        let error = super::config(&with_file).unwrap_err();
        assert!(
            error.contains("server.yml: worker: no such setting"),
            "{error}"
        );
    }

    #[test]
    fn the_status_is_one_line() {
        let metrics = Metrics {
            uptime_seconds: 61.0,
            publishers: 1,
            subscribers: 3,
            bitrate_in: 5_000_000,
            bitrate_out: 15_000_000,
            dropped_frames: 12,
            ..Metrics::default()
        };
        assert_eq!(
            status_line(&metrics),
            "1:01.0  0 streams  1 publisher  3 players  in 5.00 Mbit/s  out 15.00 Mbit/s  \
             12 frames dropped"
        );
    }

    #[test]
    fn the_summary_is_one_line() {
        let summary = Summary {
            uptime: Duration::from_secs(90),
            accepted: 7,
            publishers: 1,
            subscribers: 2,
            forced: 1,
            bytes_in: 2_000_000,
            bytes_out: 3_500_000_000,
            ..Summary::default()
        };
        assert_eq!(
            summary_line(&summary),
            "Stopped after 1:30.0: 7 connections had been accepted, 1 publisher and 2 players \
             were there, 1 connection closed by force; 2.0 MB in, 3.50 GB out."
        );
    }
}
