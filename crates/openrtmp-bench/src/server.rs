//! Servers started to be measured.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use openrtmp_core::{Config, Metrics, Server};
use openrtmp_protocol::RtmpUrl;
use tempfile::TempDir;

use crate::process::Process;
use crate::target::Target;

const NGINX: &str = "/usr/sbin/nginx";
const NGINX_RTMP: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Something to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// This project's server, merging writes over this time.
    OpenRtmp { workers: usize, merge_ms: u64 },
    /// The bare fan-out.
    Floor { merge_ms: u64 },
    /// nginx with its RTMP module, as Debian installs it.
    Nginx { chunk_size: u32 },
}

impl Contender {
    pub(crate) fn name(&self) -> String {
        let merged = |name: &str, ms: &u64| match ms {
            0 => name.to_owned(),
            ms => format!("{name}, {ms} ms"),
        };
        match self {
            Contender::OpenRtmp {
                workers: 1,
                merge_ms,
            } => merged("openrtmp", merge_ms),
            Contender::OpenRtmp { workers, merge_ms } => {
                merged(&format!("openrtmp x{workers}"), merge_ms)
            }
            Contender::Floor { merge_ms } => merged("floor", merge_ms),
            Contender::Nginx { chunk_size } => format!("nginx-rtmp, chunks of {chunk_size}"),
        }
    }

    /// A server, set to send every frame as it comes.
    pub(crate) fn writes_at_once(&self) -> bool {
        match self {
            Contender::OpenRtmp { merge_ms, .. } => *merge_ms == 0,
            Contender::Floor { .. } => false,
            Contender::Nginx { .. } => true,
        }
    }

    pub(crate) fn is_installed(&self) -> bool {
        !matches!(self, Contender::Nginx { .. })
            || [NGINX, NGINX_RTMP]
                .iter()
                .all(|path| PathBuf::from(path).exists())
    }
}

/// A running server; dropping it ends it.
pub(crate) struct Running {
    child: Child,
    /// What our own programs say.
    says: Option<BufReader<ChildStdout>>,
    target: Target,
    nginx: Option<TempDir>,
}

impl Running {
    pub(crate) fn start(contender: &Contender) -> io::Result<Running> {
        match contender {
            Contender::OpenRtmp { workers, merge_ms } => {
                let (workers, merge) = (workers.to_string(), merge_ms.to_string());
                let arguments = ["serve", "--workers", &workers, "--coalesce", &merge];
                Running::start_server(&arguments)
            }
            Contender::Floor { merge_ms } => {
                let merge = merge_ms.to_string();
                let (mut running, address) = start_own(&["floor-server", "--coalesce", &merge])?;
                running.target = Target::Floor(address);
                Ok(running)
            }
            Contender::Nginx { chunk_size } => start_nginx(*chunk_size),
        }
    }

    /// This program as a server, with the arguments that make it one.
    pub(crate) fn start_server(arguments: &[&str]) -> io::Result<Running> {
        Ok(start_own(arguments)?.0)
    }

    /// Tells our server to stop; what it says of itself before it does.
    pub(crate) fn last_words(&mut self) -> io::Result<String> {
        drop(self.child.stdin.take());
        let mut words = String::new();
        if let Some(says) = &mut self.says {
            says.read_to_string(&mut words)?;
        }
        Ok(words)
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn process(&self) -> Process {
        Process::tree(self.child.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Killing nginx's master would leave its worker: it is told to stop.
        let told = self.nginx.as_ref().is_some_and(|folder| {
            let stop = nginx_command(folder).args(["-s", "stop"]).status();
            stop.is_ok_and(|status| status.success())
        });
        if !told {
            // Only fails if it has ended already.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// This program's own server, until standard input ends. Returns its numbers then.
pub(crate) fn serve(
    listen: SocketAddr,
    workers: usize,
    merge: Duration,
    grace: Duration,
    on_listening: impl FnOnce(SocketAddr),
) -> Result<Metrics, Box<dyn std::error::Error>> {
    let mut config = Config::desktop();
    config.listen = vec![listen.into()];
    config.workers = workers;
    config.queue.write_coalesce = merge;
    (config.streams.republish_grace, config.streams.goodbye_grace) = (grace, grace);
    // What one publisher can do is what is measured.
    (config.limits.connection_work, config.limits.message_rate) = (Duration::ZERO, 0);
    config.limits.connections = 100_000;
    config.limits.publisher_bitrate = 0;
    config.limits.outgoing_bitrate = 0;
    // Players of nothing stay.
    config.rtmp.idle_timeout = Duration::from_secs(3600);
    let server = Server::start(config)?;
    on_listening(server.addresses()[0]);
    io::copy(&mut io::stdin(), &mut io::sink())?;
    // Streams whose publisher has left are there until its grace is over.
    let end = Instant::now() + grace * 2;
    let mut metrics = server.metrics();
    while !metrics.streams.is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
        metrics = server.metrics();
    }
    server.stop(Duration::ZERO);
    Ok(metrics)
}

/// Starts this program with other arguments; it says where it listens.
fn start_own(arguments: &[&str]) -> io::Result<(Running, SocketAddr)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut says = child.stdout.take().map(BufReader::new);
    let mut line = String::new();
    if let Some(says) = &mut says {
        says.read_line(&mut line)?;
    }
    match line.trim().parse() {
        Ok(address) => {
            let running = Running {
                child,
                says,
                target: Target::Rtmp(url(address)),
                nginx: None,
            };
            Ok((running, address))
        }
        Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(io::Error::other("the server did not start"))
        }
    }
}

fn start_nginx(chunk_size: u32) -> io::Result<Running> {
    let folder = tempfile::tempdir()?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let configuration = format!(
        "load_module {NGINX_RTMP};\n\
         daemon off;\n\
         worker_processes 1;\n\
         pid nginx.pid;\n\
         error_log error.log warn;\n\
         events {{ worker_connections 4096; }}\n\
         rtmp {{\n\
         \x20 access_log off;\n\
         \x20 server {{\n\
         \x20   listen {address};\n\
         \x20   chunk_size {chunk_size};\n\
         \x20   application live {{ live on; wait_key on; wait_video on; }}\n\
         \x20 }}\n\
         }}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), configuration)?;
    let child = nginx_command(&folder).stdin(Stdio::null()).spawn()?;
    let running = Running {
        child,
        says: None,
        target: Target::Rtmp(url(address)),
        nginx: Some(folder),
    };
    let end = Instant::now() + START_PATIENCE;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > end || !running.process().is_alive() {
            return Err(io::Error::other("nginx did not start"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(running)
}

fn nginx_command(folder: &TempDir) -> Command {
    let mut command = Command::new(NGINX);
    command.arg("-p").arg(folder.path());
    command.arg("-c").arg(folder.path().join("nginx.conf"));
    command.arg("-e").arg(folder.path().join("error.log"));
    command
}

fn url(address: SocketAddr) -> RtmpUrl {
    RtmpUrl {
        tls: false,
        host: address.ip().to_string(),
        port: address.port(),
        app: "live".to_owned(),
        stream: "bench".to_owned(),
    }
}
