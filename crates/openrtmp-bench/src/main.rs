//! Measures RTMP servers side by side and checks every frame they deliver, so that
//! a fast wrong server cannot win. Linux: it reads `/proc`.

mod attackers;
mod compare;
mod delivery;
mod floor;
mod handshakes;
mod measure;
mod payload;
mod phone;
mod players;
mod process;
mod publisher;
mod relays;
mod server;
mod siege;
mod soak;
mod stats;
mod target;
mod tls;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, Parser, Subcommand};
use openrtmp_protocol::RtmpUrl;
use serde::Serialize;

use compare::Plan;
use measure::FanOut;
use process::Process;
use server::{Contender, Own, Running};
use siege::Siege;
use soak::Soak;
use target::{Ends, Target};

/// Measure RTMP servers.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One publisher, many players, in real time.
    Fanout {
        #[command(flatten)]
        server: ServerArguments,
        #[command(flatten)]
        load: LoadArguments,
    },
    /// One stream as fast as the server reads it.
    Ingest {
        #[command(flatten)]
        server: ServerArguments,
        /// Bytes of a frame; key frames have eight times as many.
        #[arg(long, default_value_t = 64 * 1024)]
        frame_bytes: usize,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Players of a stream that is not there.
    Idle {
        #[arg(long)]
        url: String,
        /// Process under test.
        #[arg(long)]
        pid: u32,
        #[arg(long, default_value_t = 100)]
        players: usize,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// The bare TCP fan-out of the same bytes, in a process of its own.
    Floor {
        #[command(flatten)]
        load: LoadArguments,
        /// Merge writes over this many milliseconds.
        #[arg(long, default_value_t = 0)]
        coalesce: u64,
    },
    /// Ours, the floor and, where installed, nginx-rtmp, interleaved.
    Compare {
        #[command(flatten)]
        load: LoadArguments,
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Merge windows to measure, ms; 0 is one write per frame.
        #[arg(long, value_delimiter = ',', default_value = "0")]
        coalesce: Vec<u64>,
        /// Workers of our server; 0 is its own default.
        #[arg(long, value_delimiter = ',', default_value = "1")]
        workers: Vec<usize>,
        /// Also measure idle connections, this many seconds each; 0 does not.
        #[arg(long, default_value_t = 0)]
        idle_seconds: u64,
        /// Also measure ingest, this many seconds; 0 does not.
        #[arg(long, default_value_t = 0)]
        ingest_seconds: u64,
        /// Players speak TLS 1.3; nginx has its stream module before it.
        #[arg(long)]
        tls: bool,
    },
    /// Connections with TLS and the handshake of RTMP, one after the other: ours and,
    /// where installed, nginx's stream module before nginx-rtmp.
    Handshakes {
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Of each kind.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
    /// Our server under players, publishers and attackers that misbehave. Exits
    /// with 1 if anything was lost, or anything is left.
    Soak(SoakArguments),
    /// Our server under each kind of attack in turn, beside a stream. Exits with 1 if
    /// it held more than its limit of memory allows, or the stream lost a frame.
    Siege {
        /// Of each kind.
        #[arg(long, default_value_t = 4)]
        seconds: u64,
        /// Attackers at once.
        #[arg(long, default_value_t = 4)]
        attackers: usize,
        /// The server's limit of memory, MiB.
        #[arg(long, default_value_t = 64)]
        memory: u64,
        #[arg(long, default_value_t = 1)]
        workers: usize,
        /// Kinds whose names begin so; all without it.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Our server under complete handshakes with TLS, against a key of RSA, beside a
    /// stream without TLS on the same worker.
    TlsSiege {
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Clients at once.
        #[arg(long, default_value_t = 4)]
        attackers: usize,
    },
    /// A stream that is passed on to another server many times, beside one that as many
    /// play.
    Relays {
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        targets: u16,
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Of each.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Our server as on a phone: what it costs idle, and with one publisher and one player in
    /// front and in the background, and how soon it is back after a suspension.
    Phone {
        /// Of each.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        #[arg(long, default_value_t = 100)]
        suspensions: usize,
    },
    /// What the delivery over HTTP costs: whole segments beside nginx, viewers with low
    /// latency, streams that nobody watches, players over RTMP with HTTP and without.
    Delivery {
        /// Parts of it; all without.
        #[arg(long, value_delimiter = ',')]
        only: Vec<delivery::What>,
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Of each measurement.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// How many with low latency.
        #[arg(long, value_delimiter = ',', default_value = "100,200")]
        viewers: Vec<usize>,
        /// How many requests wait for a part.
        #[arg(long, default_value_t = 10_000)]
        waiting: usize,
    },
    /// Streams that come and go, each watched over HTTP, for as long as it takes to see whether
    /// memory grows. Exits with 1 if it does, or if anything is left or refused.
    Passing {
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// At once.
        #[arg(long, default_value_t = 50)]
        streams: u64,
        /// Chooses when they come and go; without it the clock does.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Our server with its delivery over HTTP, until standard input ends.
    #[command(hide = true)]
    Deliver {
        #[arg(long)]
        no_http: bool,
        /// Seconds that viewers can go back.
        #[arg(long, default_value_t = 30)]
        window: u64,
        #[arg(long)]
        certificate: PathBuf,
        #[arg(long)]
        key: PathBuf,
    },
    /// Our server, until standard input ends; then it prints its numbers.
    Serve {
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        #[arg(long, default_value_t = 1)]
        workers: usize,
        /// Merge writes over this many milliseconds.
        #[arg(long, default_value_t = 0)]
        coalesce: u64,
        /// Keep the players of a stream whose publisher is gone for this many
        /// milliseconds.
        #[arg(long, default_value_t = 0)]
        grace: u64,
        /// Keep the limits that the library has by default; without it one peer may do
        /// what the machine can.
        #[arg(long)]
        limits: bool,
        /// The limit of memory, MiB.
        #[arg(long)]
        memory: Option<usize>,
        /// Pass every stream on to this URL; may be given more than once.
        #[arg(long)]
        push: Vec<String>,
        #[command(flatten)]
        tls: TlsArguments,
    },
    /// The bare TCP fan-out, until its publisher is gone.
    #[command(hide = true)]
    FloorServer {
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        #[arg(long, default_value_t = 0)]
        coalesce: u64,
        #[command(flatten)]
        tls: TlsArguments,
    },
}

#[derive(Args)]
struct TlsArguments {
    /// PEM; listens for TLS on another port too.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key.
    #[arg(long)]
    key: Option<PathBuf>,
}

impl TlsArguments {
    fn files(self) -> Option<(PathBuf, PathBuf)> {
        self.certificate.zip(self.key)
    }
}

#[derive(Args)]
struct SoakArguments {
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    #[arg(long, default_value_t = 300)]
    players: usize,
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    publishers: u64,
    /// Bit/s of each stream.
    #[arg(long, default_value_t = 600_000)]
    bitrate: u64,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Chooses what goes wrong and when; without it the clock does.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Args)]
struct ServerArguments {
    /// Where to publish and play.
    #[arg(long)]
    url: String,
    /// Process under test, children included.
    #[arg(long)]
    pid: Option<u32>,
}

#[derive(Args)]
struct LoadArguments {
    #[arg(long, default_value_t = 200)]
    players: usize,
    /// Streams that the players are shared among.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    streams: u16,
    /// Players that connect at once.
    #[arg(long, default_value_t = 100)]
    at_once: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Bit/s of the stream.
    #[arg(long, default_value_t = 2_500_000)]
    bitrate: u64,
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    fps: u32,
    /// Seconds from one key frame to the next.
    #[arg(long, default_value_t = 2.0)]
    gop: f64,
    /// Of the players, those that stop reading once they play; what they miss is
    /// not counted against the server.
    #[arg(long, default_value_t = 0)]
    stuck: usize,
}

impl LoadArguments {
    fn load(&self) -> Result<FanOut, Box<dyn Error>> {
        Ok(FanOut {
            players: self.players,
            streams: usize::from(self.streams),
            at_once: self.at_once,
            duration: Duration::from_secs(self.seconds),
            bitrate: self.bitrate,
            fps: self.fps,
            gop: Duration::try_from_secs_f64(self.gop)?,
            stuck: self.stuck,
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { json, command } = Arguments::parse();
    match command {
        Command::Fanout { server, load } => {
            let process = server.pid.map(Process::tree);
            let target = parse(&server.url)?;
            show(
                json,
                &measure::fan_out(&Ends::plain(target), process.as_ref(), &load.load()?)?,
            )
        }
        Command::Ingest {
            server,
            frame_bytes,
            seconds,
        } => {
            let process = server.pid.map(Process::tree);
            let target = parse(&server.url)?;
            let duration = Duration::from_secs(seconds);
            show(
                json,
                &measure::ingest(&target, process.as_ref(), frame_bytes, duration)?,
            )
        }
        Command::Idle {
            url,
            pid,
            players,
            seconds,
        } => {
            let process = Process::tree(pid);
            let duration = Duration::from_secs(seconds);
            show(
                json,
                &measure::idle(&Ends::plain(parse(&url)?), &process, players, duration)?,
            )
        }
        Command::Floor { load, coalesce } => {
            let running = Running::start(&Contender::Floor { merge_ms: coalesce }, None)?;
            let process = running.process();
            show(
                json,
                &measure::fan_out(running.ends(), Some(&process), &load.load()?)?,
            )
        }
        Command::Compare {
            load,
            rounds,
            coalesce,
            workers,
            idle_seconds,
            ingest_seconds,
            tls,
        } => {
            let seconds = |n: u64| (n > 0).then(|| Duration::from_secs(n));
            let plan = Plan {
                contenders: contenders(&coalesce, &workers, load.streams),
                rounds,
                load: load.load()?,
                idle: seconds(idle_seconds),
                ingest: seconds(ingest_seconds),
                tls,
            };
            show(json, &compare::compare(&plan, progress)?)
        }
        Command::Handshakes { rounds, seconds } => {
            let duration = Duration::from_secs(seconds);
            show(json, &handshakes::run(rounds, duration, progress)?)
        }
        Command::Soak(arguments) => {
            let soak = Soak {
                duration: Duration::from_secs(arguments.seconds),
                players: arguments.players,
                publishers: arguments.publishers,
                bitrate: arguments.bitrate,
                workers: arguments.workers,
                seed: arguments.seed.unwrap_or_else(seed_of_the_clock),
            };
            let result = soak::run(&soak, progress)?;
            show(json, &result)?;
            match result.failures.is_empty() {
                true => Ok(()),
                false => std::process::exit(1),
            }
        }
        Command::Siege {
            seconds,
            attackers,
            memory,
            workers,
            only,
        } => {
            let siege = Siege {
                only,
                duration: Duration::from_secs(seconds),
                attackers,
                memory,
                workers,
            };
            let result = siege::run(&siege, progress)?;
            show(json, &result)?;
            match result.is_good() {
                true => Ok(()),
                false => std::process::exit(1),
            }
        }
        Command::TlsSiege { seconds, attackers } => {
            let duration = Duration::from_secs(seconds);
            show(json, &siege::handshakes(attackers, duration)?)
        }
        Command::Relays {
            targets,
            rounds,
            seconds,
        } => {
            let (targets, duration) = (usize::from(targets), Duration::from_secs(seconds));
            show(json, &relays::run(targets, rounds, duration, progress)?)
        }
        Command::Phone {
            seconds,
            suspensions,
        } => {
            let duration = Duration::from_secs(seconds);
            show(json, &phone::run(duration, suspensions, progress)?)
        }
        Command::Delivery {
            only,
            rounds,
            seconds,
            viewers,
            waiting,
        } => {
            let plan = delivery::Plan {
                what: only,
                rounds,
                duration: Duration::from_secs(seconds),
                viewers,
                waiting,
            };
            let measured = delivery::run(&plan, progress);
            show(
                json,
                &measured.map_err(|error| -> Box<dyn Error> { error })?,
            )
        }
        Command::Passing {
            seconds,
            streams,
            seed,
        } => {
            let (seed, duration) = (
                seed.unwrap_or_else(seed_of_the_clock),
                Duration::from_secs(seconds),
            );
            let result = soak::passing::run(streams, duration, seed, progress);
            let result = result.map_err(|error| -> Box<dyn Error> { error })?;
            show(json, &result)?;
            match result.failures.is_empty() {
                true => Ok(()),
                false => std::process::exit(1),
            }
        }
        Command::Deliver {
            no_http,
            window,
            certificate,
            key,
        } => {
            let own = delivery::serve::Delivered {
                tls: (certificate, key),
                http: !no_http,
                window: Duration::from_secs(window),
            };
            let served = delivery::serve::serve(&own, say_addresses);
            served.map_err(|error| -> Box<dyn Error> { error })
        }
        Command::Serve {
            listen,
            workers,
            coalesce,
            grace,
            limits,
            memory,
            push,
            tls,
        } => {
            let own = Own {
                push,
                tls: tls.files(),
                listen,
                workers,
                merge: Duration::from_millis(coalesce),
                grace: Duration::from_millis(grace),
                limits,
                memory: memory.map(|mebibytes| mebibytes << 20),
            };
            let metrics = server::serve(&own, say_addresses)?;
            // Whoever started this program may be gone.
            let _ = writeln!(io::stdout(), "{}", metrics.to_json());
            Ok(())
        }
        Command::FloorServer {
            listen,
            coalesce,
            tls,
        } => {
            let files = tls.files();
            let tls = files.map(|(certificate, key)| tls::server(&certificate, &key));
            let merge = Duration::from_millis(coalesce);
            Ok(floor::serve(
                listen,
                merge,
                tls.transpose()?,
                say_addresses,
            )?)
        }
    }
}

/// nginx-rtmp's own default, and what saves it most of its work: a chunk size that
/// most frames fit into, as our server has.
const NGINX_CHUNKS: [u32; 2] = [4096, 60_000];

/// The floor, which knows one stream only, before what is held against it, window by
/// window.
fn contenders(merge: &[u64], workers: &[usize], streams: u16) -> Vec<Contender> {
    let mut all = Vec::new();
    for &merge_ms in merge {
        if streams == 1 {
            all.push(Contender::Floor { merge_ms });
        }
        all.extend(
            workers
                .iter()
                .map(|&workers| Contender::OpenRtmp { workers, merge_ms }),
        );
        if merge_ms == 0 {
            all.extend(NGINX_CHUNKS.map(|chunk_size| Contender::Nginx { chunk_size }));
        }
    }
    all
}

fn parse(url: &str) -> Result<Target, Box<dyn Error>> {
    let url = RtmpUrl::parse(url)?;
    if url.tls {
        return Err("rtmps is not measured: give an rtmp:// URL".into());
    }
    Ok(Target::Rtmp(url))
}

fn show<T: Display + Serialize>(json: bool, result: &T) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, result)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{result}")?;
    }
    Ok(())
}

/// Progress must not spoil the result on standard output.
fn progress(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn seed_of_the_clock() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}

/// Whoever started this program waits for the line.
fn say_addresses(addresses: &[SocketAddr]) {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let _ = writeln!(io::stdout(), "{}", addresses.join(" "));
}
