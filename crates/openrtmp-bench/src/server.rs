//! Servers started to be measured.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use openrtmp_core::{Config, Listen, Metrics, Pem, PushRule, Server};
use openrtmp_protocol::RtmpUrl;
use tempfile::TempDir;

use crate::process::Process;
use crate::target::{Ends, Target};
use crate::tls::Identity;

const NGINX: &str = "/usr/sbin/nginx";
const NGINX_RTMP: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
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
    ends: Ends,
    nginx: Option<TempDir>,
}

impl Running {
    /// Starts one; if there is an identity, players speak TLS with it.
    pub(crate) fn start(contender: &Contender, tls: Option<&Identity>) -> io::Result<Running> {
        match contender {
            Contender::OpenRtmp { workers, merge_ms } => {
                let (workers, merge) = (workers.to_string(), merge_ms.to_string());
                let arguments = ["serve", "--workers", &workers, "--coalesce", &merge];
                let (mut running, addresses) = start_own(&arguments, tls)?;
                running.ends = ends(&addresses, |a| Target::Rtmp(url(a)), tls)?;
                Ok(running)
            }
            Contender::Floor { merge_ms } => {
                let merge = merge_ms.to_string();
                let arguments = ["floor-server", "--coalesce", &merge];
                let (mut running, addresses) = start_own(&arguments, tls)?;
                running.ends = ends(&addresses, Target::Floor, tls)?;
                Ok(running)
            }
            Contender::Nginx { chunk_size } => start_nginx(*chunk_size, tls),
        }
    }

    /// This program as a server, with the arguments that make it one.
    pub(crate) fn start_server(arguments: &[&str]) -> io::Result<Running> {
        Ok(start_own(arguments, None)?.0)
    }

    /// The same with a certificate, and all that it says it listens on.
    pub(crate) fn start_listening(
        arguments: &[&str],
        tls: &Identity,
    ) -> io::Result<(Running, Vec<SocketAddr>)> {
        start_own(arguments, Some(tls))
    }

    /// The same, where RTMP is spoken over TLS too.
    pub(crate) fn start_server_with(arguments: &[&str], tls: &Identity) -> io::Result<Running> {
        let (mut running, addresses) = start_own(arguments, Some(tls))?;
        running.ends = ends(&addresses, |a| Target::Rtmp(url(a)), Some(tls))?;
        Ok(running)
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
        &self.ends.publish
    }

    pub(crate) fn ends(&self) -> &Ends {
        &self.ends
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

/// How this program's own server is set.
pub(crate) struct Own {
    pub(crate) listen: SocketAddr,
    pub(crate) workers: usize,
    /// Merge writes over this time.
    pub(crate) merge: Duration,
    /// For the players of a stream whose publisher is gone.
    pub(crate) grace: Duration,
    /// Keep the limits that the library has by default.
    pub(crate) limits: bool,
    /// `limits.memory`, bytes.
    pub(crate) memory: Option<usize>,
    /// Where streams are passed on to.
    pub(crate) push: Vec<String>,
    /// Certificate and key, to listen for TLS too.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
}

/// This program's own server, until standard input ends. Returns its numbers then.
pub(crate) fn serve(
    own: &Own,
    on_listening: impl FnOnce(&[SocketAddr]),
) -> Result<Metrics, Box<dyn std::error::Error>> {
    let mut config = Config::desktop();
    let grace = own.grace;
    config.listen = vec![own.listen.into()];
    if let Some((certificate, key)) = &own.tls {
        config.listen.push(Listen::from(own.listen).with_tls());
        config.tls.certificate = Some(Pem::File(certificate.clone()));
        config.tls.key = Some(Pem::File(key.clone()));
    }
    let rules = own.push.iter().map(|to| PushRule::new("*", to));
    config.relay.push = rules.collect();
    config.workers = own.workers;
    config.queue.write_coalesce = own.merge;
    (config.streams.republish_grace, config.streams.goodbye_grace) = (grace, grace);
    if !own.limits {
        // What one publisher can do is what is measured.
        (config.limits.connection_work, config.limits.message_rate) = (Duration::ZERO, 0);
        config.limits.connections = 100_000;
        (
            config.limits.publishers,
            config.limits.publishers_per_address,
        ) = (1000, 1000);
        config.limits.publisher_bitrate = 0;
        config.limits.outgoing_bitrate = 0;
        // Players of nothing stay.
        config.rtmp.idle_timeout = Duration::from_secs(3600);
    }
    if let Some(memory) = own.memory {
        config.limits.memory = memory;
    }
    let server = Server::start(config)?;
    on_listening(&server.addresses());
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

/// The addresses that a server said it has: one, and another for TLS.
fn ends(
    addresses: &[SocketAddr],
    target: impl Fn(SocketAddr) -> Target,
    tls: Option<&Identity>,
) -> io::Result<Ends> {
    let mut targets = addresses.iter().map(|&address| target(address));
    let publish = targets.next().ok_or(io::ErrorKind::InvalidData)?;
    Ok(match tls {
        None => Ends::plain(publish),
        Some(identity) => Ends {
            publish,
            play: targets.next().ok_or(io::ErrorKind::InvalidData)?,
            tls: Some(identity.client(true)?),
        },
    })
}

/// Starts this program with other arguments; it says where it listens.
fn start_own(arguments: &[&str], tls: Option<&Identity>) -> io::Result<(Running, Vec<SocketAddr>)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    if let Some(identity) = tls {
        command.arg("--certificate").arg(identity.certificate());
        command.arg("--key").arg(identity.key());
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut says = child.stdout.take().map(BufReader::new);
    let mut line = String::new();
    if let Some(says) = &mut says {
        says.read_line(&mut line)?;
    }
    let addresses = line.split_whitespace().map(str::parse);
    match addresses.collect::<Result<Vec<SocketAddr>, _>>() {
        Ok(addresses) if !addresses.is_empty() => {
            let running = Running {
                child,
                says,
                ends: Ends::plain(Target::Rtmp(url(addresses[0]))),
                nginx: None,
            };
            Ok((running, addresses))
        }
        _ => {
            let _ = child.kill();
            let _ = child.wait();
            Err(io::Error::other("the server did not start"))
        }
    }
}

/// With its `stream` module before it, if TLS is asked for.
fn start_nginx(chunk_size: u32, tls: Option<&Identity>) -> io::Result<Running> {
    let folder = tempfile::tempdir()?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let tls_address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (module, before) = match tls {
        None => (String::new(), String::new()),
        Some(identity) => (
            format!("load_module {NGINX_STREAM};\n"),
            format!(
                "stream {{\n\
                 \x20 server {{\n\
                 \x20   listen {tls_address} ssl;\n\
                 \x20   ssl_certificate {};\n\
                 \x20   ssl_certificate_key {};\n\
                 \x20   ssl_protocols TLSv1.3;\n\
                 \x20   ssl_session_cache shared:rtmps:10m;\n\
                 \x20   proxy_pass {address};\n\
                 \x20 }}\n\
                 }}\n",
                identity.certificate().display(),
                identity.key().display()
            ),
        ),
    };
    let configuration = format!(
        "load_module {NGINX_RTMP};\n\
         {module}\
         daemon off;\n\
         worker_processes 1;\n\
         pid nginx.pid;\n\
         error_log error.log warn;\n\
         events {{ worker_connections 4096; }}\n\
         {before}\
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
        ends: ends(&[address, tls_address], |a| Target::Rtmp(url(a)), tls)?,
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
        credentials: None,
        host: address.ip().to_string(),
        port: address.port(),
        app: "live".to_owned(),
        stream: "bench".to_owned(),
    }
}
