mod banner;
#[cfg(feature = "tls")]
mod callback;
mod delivery;
mod hooks;
mod host;
mod listen;
mod lives;
mod log_flags;
mod metrics;
mod operating;
mod qr;
mod reload;
mod settings;
mod stopping;
mod tls;
mod watch;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use openrtmp_core::{Config, Metrics, Server, StartError, Summary, reachable_hosts};
use openrtmp_live::Delivery;

use self::host::Audience;
use self::listen::Listening;
use self::operating::Wish;
use self::reload::Reloading;
pub(crate) use self::settings::effective;
#[cfg(feature = "tls")]
use crate::acme::Acme;
use crate::console::print;
use crate::control::Control;
use crate::exit::Failure;
use crate::logs;
use crate::progress::Progress;
use crate::service::notify::{self, Watchdog};
use crate::signal::Stop;
use crate::units::{bit_rate, clock, parse_duration, size};

/// Flags of `openrtmp serve`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Settings, as JSON or YAML (.yaml, .yml); variables such as
    /// OPENRTMP_STREAMS__REPUBLISH_GRACE win over it, and flags over both. It is read
    /// again when it changes, and on SIGHUP
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen: 1935, localhost:1935, 192.168.1.5:1935, [::1]:1935, with TLS
    /// rtmps://1936 and so on; may be repeated [default: 1935, on every interface]
    #[arg(long, value_name = "ADDR:PORT", value_parser = Listening::parse)]
    listen: Vec<Listening>,
    #[command(flatten)]
    tls: tls::Flags,
    #[command(flatten)]
    delivery: delivery::Viewing,
    /// Record every stream to a file in this folder
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
    /// Tell numbers and health over HTTP: /metrics (for Prometheus), /healthz, /readyz. An
    /// address as with --listen; may be repeated
    #[arg(long, value_name = "ADDR:PORT", value_parser = metrics::parse)]
    metrics: Vec<Listening>,
    /// Where `openrtmp ctl` finds it: the path of a Unix socket, on Windows \\.\pipe\NAME;
    /// auto, off [default: auto, which is /run/openrtmp/ctl.sock if that can be had, on
    /// Windows \\.\pipe\openrtmp]
    #[arg(long, value_name = "PATH")]
    control: Option<String>,
    /// Threads that serve connections [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,
    /// Show the URL that others most likely reach as a QR code too, without any key
    #[arg(long)]
    qr: bool,
    /// Write that QR code to a file, as its name ends: .png or .svg
    #[arg(long, value_name = "FILE", value_parser = qr::File::parse)]
    qr_file: Option<qr::File>,
    #[command(flatten)]
    log: log_flags::Logging,
}

impl Arguments {
    /// With the level of `--log`, which all commands have.
    pub(crate) fn with_level(mut self, level: Option<log::LevelFilter>) -> Arguments {
        self.log.level = level;
        self
    }
}

/// Serves until a signal comes.
pub(crate) fn run(arguments: &Arguments, stop: &Stop) -> Result<(), Failure> {
    #[cfg(unix)]
    raise_descriptors();
    #[cfg(unix)]
    survive_limits_of_files()?;
    let panics = logs::tell_panics();
    let (server, audience) = start(arguments)?;
    // There is one server.
    let _ = panics.set(Arc::downgrade(&server));
    settings::warn_of_unknown_variables();
    let forced = Arc::clone(&server);
    stop.handle(vec![Box::new(|| {}), Box::new(move || forced.force())]);
    #[cfg(feature = "tls")]
    let acme = Arc::new(Acme::start(&server).map_err(Failure::Usage)?);
    // An address that was asked for and cannot be had is an error.
    let delivery = Delivery::start(&server, &server.config().http.listen);
    let delivery = Arc::new(delivery.map_err(|error| Failure::Usage(error.to_string()))?);
    let (heard, delivering) = (Arc::clone(&audience), Arc::downgrade(&delivery));
    let own = Arc::new(move || metrics::Beside {
        callback: heard.callback_status(),
        viewers: delivering
            .upgrade()
            .and_then(|it| metrics::Viewers::of(&it)),
    });
    let told = Arc::new(metrics::Told::start(&server, own).map_err(Failure::Usage)?);
    let control = Arc::new(OnceLock::new());
    let reloading = {
        let told = Arc::downgrade(&told);
        let control = Arc::downgrade(&control);
        let settled = Arc::downgrade(&server);
        #[cfg(feature = "tls")]
        let (acme, mut seen) = (Arc::downgrade(&acme), server.config().tls.acme.clone());
        Reloading::begin(arguments, &server, move |asked| {
            #[cfg(not(feature = "tls"))]
            let _ = asked;
            let mut failed = Vec::new();
            let Some(server) = settled.upgrade() else {
                return failed;
            };
            if let Some(Err(error)) = told.upgrade().map(|told| told.follow()) {
                failed.push(format!("metrics are told where they were: {error}"));
            }
            if let Err(error) = logs::follow(&server.config()) {
                failed.push(format!("the log stays as it is: {error}"));
            }
            let control = control.upgrade();
            let followed = control.as_deref().and_then(OnceLock::get);
            let followed = followed.map(|it: &Control| it.follow(&server.config().control));
            if let Some(Err(error)) = followed {
                failed.push(format!("openrtmp ctl is answered where it was: {error}"));
            }
            #[cfg(feature = "tls")]
            if let Some(acme) = acme.upgrade() {
                // An authority counts what it is asked: another file is no reason.
                let now = server.config().tls.acme.clone();
                if std::mem::replace(&mut seen, now.clone()) != now || asked {
                    acme.look_again();
                }
            }
            failed
        })?
    };
    #[cfg(unix)]
    stop.on_hang_up({
        let reload = reloading.on_demand();
        move || {
            logs::reopen();
            reload();
        }
    });
    let wish = Wish::default();
    let answering = operating::start(&server, reloading.asking(), wish.clone(), stop);
    // Nobody else sets it.
    let _ = control.set(answering.map_err(Failure::Usage)?);
    let config = server.config();
    print(&banner::text(
        &reachable(&server),
        &delivery.urls(),
        &server.listeners(),
        pin(&server).as_deref(),
        &shown_keys(&config.access.publish_keys),
        &shown_keys(&config.access.play_keys),
        config.record.as_ref().map(|r| r.directory.as_path()),
    ));
    if arguments.qr {
        print(&qr::text(&server, io::stdout().is_terminal()));
    }
    if let Some(file) = &arguments.qr_file {
        match file.write(&server) {
            Ok(Some(path)) => print(&format!("\nQR code in {}\n", path.display())),
            Ok(None) => print(qr::NO_NETWORK),
            Err(error) => {
                return Err(Failure::Runtime(format!(
                    "the QR code cannot be written: {error}"
                )));
            }
        }
    }
    let watchdog = Watchdog::start(&server)
        .map_err(|e| Failure::Runtime(format!("cannot start a thread: {e}")))?;
    notify::tell(&format!("READY=1\nSTATUS=on {}", listeners(&server)));
    watch(&server, stop);
    let begun = Instant::now();
    let summary = match wish.get().filter(|_| !stop.signalled()) {
        // Stopping has a time of its own with service managers; this takes as long as it does.
        Some(options) => {
            notify::tell("STATUS=draining");
            let summary = stopping::drain(&server, &options, stop, arguments.stop_timeout)?;
            notify::tell("STOPPING=1");
            delivery.begin_stop();
            summary
        }
        None => {
            notify::tell("STOPPING=1");
            delivery.begin_stop();
            stopping::stop(&server, arguments.stop_timeout)?
        }
    };
    // Both have one time.
    let left = arguments.stop_timeout.saturating_sub(begun.elapsed());
    delivery.stop(left);
    // Until here: keys and certificates may be others while a server is drained, for hours.
    drop(reloading);
    #[cfg(feature = "tls")]
    drop(acme);
    audience.finish(&server.config());
    drop(watchdog);
    // Who watches it sees it stop.
    drop(told);
    drop(control);
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

/// Where it listens, in one line.
fn listeners(server: &Server) -> String {
    let listeners = server.listeners();
    let listeners: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    listeners.join(", ")
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

/// A file that may not grow is an error where it is written, not the end of the process
/// (setrlimit(2), `RLIMIT_FSIZE`).
#[cfg(unix)]
fn survive_limits_of_files() -> Result<(), Failure> {
    use signal_hook::consts::SIGXFSZ;

    let seen = Arc::default();
    let handled = signal_hook::flag::register(SIGXFSZ, seen);
    let handled = handled.map_err(|e| Failure::Runtime(format!("cannot handle a signal: {e}")));
    handled.map(drop)
}

fn start(arguments: &Arguments) -> Result<(Arc<Server>, Arc<Audience>), Failure> {
    let config = settings::effective(arguments).map_err(Failure::Usage)?;
    let wrong = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    config.validate().map_err(|error| wrong(&error))?;
    logs::follow(&config).map_err(Failure::Usage)?;
    crate::service::sockets::given().tell();
    if let Some(address) = listen::twice(config.listen.iter().map(|l| l.address)) {
        return Err(Failure::Usage(format!(
            "{address} is named twice among the addresses to listen on"
        )));
    }
    let result = match host::start(config.clone()) {
        // Not every machine has IPv6.
        Err(StartError::Listen { address, source })
            if is_dispensable(address, arguments, &config)
                && source.kind() != io::ErrorKind::AddrInUse =>
        {
            log::warn!("IPv4 only: cannot listen on {address}: {source}");
            host::start(ipv4_only(config))
        }
        result => result,
    };
    result.map_err(|error| match error {
        StartError::Config(_)
        | StartError::Keys(_)
        | StartError::Listen { .. }
        | StartError::RecordDirectory { .. } => Failure::Usage(error.to_string()),
        #[cfg(feature = "tls")]
        StartError::Tls(_) => Failure::Usage(error.to_string()),
        error => Failure::Runtime(error.to_string()),
    })
}

/// Whether nobody asked for this address by itself: it is one that a name, a bare port
/// or the default stands for.
fn is_dispensable(address: SocketAddr, arguments: &Arguments, config: &Config) -> bool {
    let mut flags = arguments.listen.iter();
    let asked = match arguments.listen.is_empty() {
        true => {
            let named = config.listen.iter().filter(|l| !arguments.tls.adds(**l));
            !named.eq(&Config::desktop().listen)
        }
        false => flags.any(|l| l.literal && l.addresses.contains(&address)),
    };
    address.is_ipv6() && !asked && config.listen.iter().any(|l| l.address.is_ipv4())
}

fn ipv4_only(mut config: Config) -> Config {
    config.listen.retain(|l| l.address.is_ipv4());
    config
}

/// URLs, without a path, of everything that reaches the server, best first.
fn reachable(server: &Server) -> Vec<String> {
    server
        .listeners()
        .into_iter()
        .flat_map(|listen| {
            reachable_hosts(listen.address)
                .into_iter()
                .map(move |host| banner::base(&host, listen))
        })
        .collect()
}

/// The pin of the certificate, if there is one.
#[cfg(feature = "tls")]
fn pin(server: &Server) -> Option<String> {
    server.certificate_pin()
}

#[cfg(not(feature = "tls"))]
fn pin(_: &Server) -> Option<String> {
    None
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
pub(super) mod tests {
    use super::settings::from_file_and_flags as config;
    use super::*;

    pub(super) fn arguments() -> Arguments {
        Arguments {
            config: None,
            listen: Vec::new(),
            tls: tls::Flags::default(),
            delivery: delivery::Viewing::default(),
            record: None,
            publish_keys: Vec::new(),
            play_keys: Vec::new(),
            stop_timeout: Duration::ZERO,
            metrics: Vec::new(),
            control: None,
            workers: None,
            qr: false,
            qr_file: None,
            log: log_flags::Logging::default(),
        }
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
