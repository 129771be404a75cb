mod banner;
mod listen;
mod stopping;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openrtmp_core::{Config, Metrics, RecordConfig, Server, StartError, Summary, reachable_hosts};

use self::listen::Listening;
use crate::console::print;
use crate::exit::Failure;
use crate::progress::Progress;
use crate::signal::Stop;
use crate::units::{bit_rate, clock, parse_duration, size};

/// Flags of `openrtmp serve`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Settings, as JSON or YAML (.yaml, .yml); the other flags win over it. SIGHUP
    /// reads it again
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen: 1935, localhost:1935, 192.168.1.5:1935, [::1]:1935; may be
    /// repeated [default: 1935, on every interface]
    #[arg(long, value_name = "ADDR:PORT", value_parser = Listening::parse)]
    listen: Vec<Listening>,
    /// Record every stream to an FLV file in this folder
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// A key that may publish; may be repeated [default: everybody may]
    #[arg(long = "publish-key", value_name = "KEY")]
    publish_keys: Vec<String>,
    /// A key that may play; may be repeated [default: everybody may]
    #[arg(long = "play-key", value_name = "KEY")]
    play_keys: Vec<String>,
    /// How long publishers, and players that can connect again elsewhere, may take to
    /// leave when the server stops; 0 does not wait
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5s")]
    stop_timeout: Duration,
    /// Threads that serve connections [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,
}

/// Serves until a signal comes.
pub(crate) fn run(arguments: &Arguments, stop: &Stop) -> Result<(), Failure> {
    #[cfg(unix)]
    raise_descriptors();
    let server = Arc::new(start(arguments)?);
    let forced = Arc::clone(&server);
    stop.handle(vec![Box::new(|| {}), Box::new(move || forced.force())]);
    #[cfg(unix)]
    if arguments.config.is_some() {
        let (arguments, server) = (arguments.clone(), Arc::clone(&server));
        stop.on_hang_up(move || reload(&server, &arguments));
    }
    let config = server.config();
    print(&banner::text(
        &reachable(&server),
        &server.addresses(),
        &shown_keys(&config.access.publish_keys),
        &shown_keys(&config.access.play_keys),
        config.record.as_ref().map(|r| r.directory.as_path()),
    ));
    watch(&server, stop);
    let summary = stopping::stop(&server, arguments.stop_timeout)?;
    print(&format!("{}\n", summary_line(&summary)));
    Ok(())
}

/// What is not read at a terminal may be kept, and read by others.
fn shown_keys(keys: &[String]) -> Vec<String> {
    match io::stdout().is_terminal() || keys.is_empty() {
        true => keys.to_vec(),
        false => vec!["***".to_owned()],
    }
}

/// Every connection is a descriptor, and many systems allow few unless asked.
#[cfg(unix)]
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// What Apple's systems allow at most, whatever the hard limit says.
    const OPEN_MAX: u64 = 10_240;
    let limit = getrlimit(Resource::Nofile);
    let raised = |current| Rlimit { current, ..limit };
    let result = setrlimit(Resource::Nofile, raised(limit.maximum))
        .or_else(|_| setrlimit(Resource::Nofile, raised(Some(OPEN_MAX))));
    if let Err(error) = result {
        log::debug!(
            "the limit of open files stays at {:?}: {error}",
            limit.current
        );
    }
}

fn start(arguments: &Arguments) -> Result<Server, Failure> {
    let config = config(arguments).map_err(Failure::Usage)?;
    if let Some(address) = listen::twice(config.listen.iter().map(|l| l.address)) {
        return Err(Failure::Usage(format!(
            "{address} is named twice among the addresses to listen on"
        )));
    }
    let result = match Server::start(config.clone()) {
        // Not every machine has IPv6.
        Err(StartError::Listen { address, source })
            if is_dispensable(address, arguments, &config)
                && source.kind() != io::ErrorKind::AddrInUse =>
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

/// Whether nobody asked for this address by itself: it is one that a name, a bare port
/// or the default stands for.
fn is_dispensable(address: SocketAddr, arguments: &Arguments, config: &Config) -> bool {
    let mut flags = arguments.listen.iter();
    let asked = match arguments.listen.is_empty() {
        true => config.listen != Config::desktop().listen,
        false => flags.any(|l| l.literal && l.addresses.contains(&address)),
    };
    address.is_ipv6() && !asked && config.listen.iter().any(|l| l.address.is_ipv4())
}

/// Reads the settings again. What is wrong with them is logged, and changes nothing.
#[cfg(unix)]
fn reload(server: &Server, arguments: &Arguments) {
    let read = config(arguments).map(|config| {
        let no_ipv6 = server.config().listen.iter().all(|l| l.address.is_ipv4());
        let mut addresses = config.listen.iter().map(|l| l.address);
        match no_ipv6 && addresses.all(|a| a.is_ipv4() || is_dispensable(a, arguments, &config)) {
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
        let addresses = arguments.listen.iter().flat_map(|l| &l.addresses);
        config.listen = addresses.map(|&address| address.into()).collect();
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
    if !arguments.play_keys.is_empty() {
        config.access.play_keys.clone_from(&arguments.play_keys);
    }
    if let Some(directory) = &arguments.record {
        config
            .record
            .get_or_insert_with(|| RecordConfig::new(directory))
            .directory
            .clone_from(directory);
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
    let mut progress = Progress::new(None);
    while !stop.wait(Some(INTERVAL)) {
        progress.show_text(|| status_line(&server.metrics()));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> Arguments {
        Arguments {
            config: None,
            listen: Vec::new(),
            record: None,
            publish_keys: Vec::new(),
            play_keys: Vec::new(),
            stop_timeout: Duration::ZERO,
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
            listen: vec![
                Listening::parse("127.0.0.1:1936").unwrap(),
                Listening::parse(":1937").unwrap(),
            ],
            record: Some("films".into()),
            publish_keys: vec!["secret".into()],
            play_keys: vec!["guest".into()],
            workers: Some(3),
            ..arguments()
        })
        .unwrap();
        let listen: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:1936", "0.0.0.0:1937", "[::]:1937"]);
        assert_eq!(config.access.play_keys, ["guest"]);
        assert_eq!(config.record, Some(RecordConfig::new("films")));
        assert_eq!(config.access.publish_keys, ["secret"]);
        assert_eq!(config.workers, 3);
    }

    #[test]
    fn an_address_is_given_up_only_if_nobody_asked_for_it() {
        let any = "[::]:1937".parse().unwrap();
        for (flags, given_up) in [
            (&["1937"][..], true),
            (&["[::]:1937", "0.0.0.0:1937"], false),
            (&["1937", "[::]:1937"], false),
        ] {
            let listen = flags.iter().map(|flag| Listening::parse(flag).unwrap());
            let arguments = Arguments {
                listen: listen.collect(),
                ..arguments()
            };
            let config = config(&arguments).unwrap();
            assert_eq!(
                is_dispensable(any, &arguments, &config),
                given_up,
                "{flags:?}"
            );
        }
        let default = "[::]:1935".parse().unwrap();
        let config = config(&arguments()).unwrap();
        assert!(is_dispensable(default, &arguments(), &config));
        assert!(!is_dispensable(default, &arguments(), &ipv4_only(config)));
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
            error.contains("server.yml: line 1: worker: no such setting"),
            "{error}"
        );
    }

    #[test]
    fn the_status_is_one_line() {
        let mut metrics = Metrics::default();
        metrics.uptime_seconds = 61.0;
        metrics.publishers = 1;
        metrics.subscribers = 3;
        metrics.bitrate_in = 5_000_000;
        metrics.bitrate_out = 15_000_000;
        metrics.dropped_frames = 12;
        assert_eq!(
            status_line(&metrics),
            "1:01.0  0 streams  1 publisher  3 players  in 5.00 Mbit/s  out 15.00 Mbit/s  \
             12 frames dropped"
        );
    }

    #[test]
    fn the_summary_is_one_line() {
        let mut summary = Summary::default();
        summary.uptime = Duration::from_secs(90);
        (summary.accepted, summary.forced) = (7, 1);
        (summary.publishers, summary.subscribers) = (1, 2);
        (summary.bytes_in, summary.bytes_out) = (2_000_000, 3_500_000_000);
        assert_eq!(
            summary_line(&summary),
            "Stopped after 1:30.0: 7 connections had been accepted, 1 publisher and 2 players \
             were there, 1 connection closed by force; 2.0 MB in, 3.50 GB out."
        );
    }
}
