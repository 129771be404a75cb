//! Measures RTMP servers side by side and checks every frame they deliver, so that
//! a fast wrong server cannot win. Linux: it reads `/proc`.

mod compare;
mod floor;
mod measure;
mod payload;
mod players;
mod process;
mod publisher;
mod server;
mod soak;
mod stats;
mod target;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use clap::{Args, Parser, Subcommand};
use openrtmp_protocol::RtmpUrl;
use serde::Serialize;

use compare::Plan;
use measure::FanOut;
use process::Process;
use server::{Contender, Running};
use soak::Soak;
use target::Target;

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
    },
    /// Our server under players, publishers and attackers that misbehave. Exits
    /// with 1 if anything was lost, or anything is left.
    Soak(SoakArguments),
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
    },
    /// The bare TCP fan-out, until its publisher is gone.
    #[command(hide = true)]
    FloorServer {
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        #[arg(long, default_value_t = 0)]
        coalesce: u64,
    },
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
                &measure::fan_out(&target, process.as_ref(), &load.load()?)?,
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
                &measure::idle(&parse(&url)?, &process, players, duration)?,
            )
        }
        Command::Floor { load, coalesce } => {
            let running = Running::start(&Contender::Floor { merge_ms: coalesce })?;
            let process = running.process();
            show(
                json,
                &measure::fan_out(running.target(), Some(&process), &load.load()?)?,
            )
        }
        Command::Compare {
            load,
            rounds,
            coalesce,
            workers,
            idle_seconds,
            ingest_seconds,
        } => {
            let seconds = |n: u64| (n > 0).then(|| Duration::from_secs(n));
            let plan = Plan {
                contenders: contenders(&coalesce, &workers, load.streams),
                rounds,
                load: load.load()?,
                idle: seconds(idle_seconds),
                ingest: seconds(ingest_seconds),
            };
            show(json, &compare::compare(&plan, progress)?)
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
        Command::Serve {
            listen,
            workers,
            coalesce,
            grace,
        } => {
            let (merge, grace) = (
                Duration::from_millis(coalesce),
                Duration::from_millis(grace),
            );
            let metrics = server::serve(listen, workers, merge, grace, say_address)?;
            // Whoever started this program may be gone.
            let _ = writeln!(io::stdout(), "{}", metrics.to_json());
            Ok(())
        }
        Command::FloorServer { listen, coalesce } => Ok(floor::serve(
            listen,
            Duration::from_millis(coalesce),
            say_address,
        )?),
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
fn say_address(address: SocketAddr) {
    let _ = writeln!(io::stdout(), "{address}");
}
