//! Whole segments, as fast as they can be had: ours beside nginx, which sends the same bytes
//! from files in memory.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, StreamOwned};
use tempfile::TempDir;

use super::BoxError;
use super::viewers::Audience;
use crate::payload::Clock;
use crate::process::Process;
use crate::tls::{self, Identity};

const NGINX: &str = "/usr/sbin/nginx";
/// Connections that each load on its own.
const CONNECTIONS: usize = 4;
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Memory that looks like a disk.
const MEMORY: &str = "/dev/shm";

/// Bytes of answers that are there without a look at anything: of parts at low and at high
/// bitrates.
pub(super) const SIZES: [usize; 3] = [15_000, 60_000, 300_000];
/// They are made of pieces of so many bytes.
const PIECE: usize = 3000;

/// Where nginx has an answer of so many bytes.
pub(super) fn fixed(size: usize) -> String {
    format!("/fixed/{size}")
}

/// nginx with files; it ends with this.
pub(crate) struct Nginx {
    child: Child,
    folder: TempDir,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
}

impl Nginx {
    pub(crate) fn is_installed() -> bool {
        Path::new(NGINX).exists() && Path::new(MEMORY).exists()
    }

    /// One worker, with these files below its root.
    pub(crate) fn start(files: &[(String, Vec<u8>)], tls: &Identity) -> io::Result<Nginx> {
        let folder = tempfile::tempdir_in(MEMORY)?;
        for (path, bytes) in files {
            let file = folder
                .path()
                .join("root")
                .join(path.trim_start_matches('/'));
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(file, bytes)?;
        }
        let any = || std::net::TcpListener::bind("127.0.0.1:0")?.local_addr();
        let (http, https) = (any()?, any()?);
        // Text is written as it is to be sent, in pieces that fit into its configuration.
        let piece = "x".repeat(PIECE);
        let answer = |size: &usize| {
            let text = "$piece".repeat(size / PIECE);
            format!("location = {} {{ return 200 \"{text}\"; }}\n", fixed(*size))
        };
        let answers: String = SIZES.iter().map(answer).collect();
        let configuration = format!(
            "user root; daemon off; worker_processes 1; pid nginx.pid; error_log error.log warn;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n\
             client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;\n\
             uwsgi_temp_path u; scgi_temp_path s;\n\
             ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3;\n\
             server {{ listen {http}; listen {https} ssl http2; root root;\n\
             set $piece \"{piece}\"; {answers} }} }}\n",
            tls.certificate().display(),
            tls.key().display(),
        );
        fs::write(folder.path().join("nginx.conf"), configuration)?;
        let mut command = Command::new(NGINX);
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg("nginx.conf");
        command.arg("-e").arg("error.log").stdin(Stdio::null());
        let child = command.spawn()?;
        let nginx = Nginx {
            child,
            folder,
            http,
            https,
        };
        // A connection is there before the process that answers on it.
        let end = Instant::now() + PATIENCE;
        let answers = || Client::connect(http, None)?.get(&fixed(SIZES[0]), |_| ());
        while let Err(error) = answers() {
            if Instant::now() > end {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }

    pub(crate) fn process(&self) -> Process {
        Process::tree(self.child.id())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it only if it is told to stop.
        let mut stop = Command::new(NGINX);
        stop.arg("-p")
            .arg(self.folder.path())
            .args(["-c", "nginx.conf", "-s", "stop"]);
        stop.arg("-e").arg("error.log");
        if !stop.status().is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Processor time of a server for each GB (10^9 bytes) of these files, got one after the other.
pub(crate) fn cost(
    process: &Process,
    address: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    paths: &[String],
    duration: Duration,
) -> Result<f64, BoxError> {
    let run = |duration: Duration| -> Result<u64, BoxError> {
        let end = Instant::now() + duration;
        let loads: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                let (paths, tls) = (paths.to_vec(), tls.cloned());
                thread::spawn(move || load(address, tls.as_ref(), &paths, first, end))
            })
            .collect();
        let mut bytes = 0;
        for load in loads {
            bytes += load.join().map_err(|_| "a client panicked")??;
        }
        Ok(bytes)
    };
    // Code and memory that are touched for the first time.
    run(duration / 10)?;
    let before = process.cpu();
    let bytes = run(duration)?;
    let used = process.cpu() - before;
    Ok(used.as_secs_f64() / (bytes as f64 / 1e9))
}

fn load(
    address: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    paths: &[String],
    first: usize,
    end: Instant,
) -> io::Result<u64> {
    let mut client = Client::connect(address, tls)?;
    let mut bytes = 0;
    for path in paths.iter().cycle().skip(first) {
        if Instant::now() >= end {
            break;
        }
        bytes += client.get(path, |_| ())?;
    }
    Ok(bytes)
}

/// The same over HTTP/2 with TLS.
pub(super) fn cost_h2(
    process: &Process,
    address: SocketAddr,
    tls: &ClientConfig,
    paths: &[String],
    duration: Duration,
) -> Result<f64, BoxError> {
    let audience = Arc::new(Audience::new(Clock::start(), address, tls));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let run = |duration: Duration| {
        runtime.block_on(async {
            let end = Instant::now() + duration;
            let loads: Vec<_> = (0..CONNECTIONS)
                .map(|first| {
                    let (audience, paths) = (audience.clone(), paths.to_vec());
                    tokio::spawn(async move {
                        let mut connected = audience.connect(address).await?;
                        let mut bytes = 0;
                        for path in paths.iter().cycle().skip(first) {
                            if Instant::now() >= end {
                                break;
                            }
                            let body = audience.get(&mut connected.requests, path).await?;
                            bytes += body.len() as u64;
                        }
                        Ok::<u64, BoxError>(bytes)
                    })
                })
                .collect();
            let mut bytes = 0;
            for load in loads {
                bytes += load.await??;
            }
            Ok::<u64, BoxError>(bytes)
        })
    };
    run(duration / 10)?;
    let before = process.cpu();
    let bytes = run(duration)?;
    let used = process.cpu() - before;
    Ok(used.as_secs_f64() / (bytes as f64 / 1e9))
}

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// A connection of HTTP/1.1.
pub(crate) struct Client {
    wire: BufReader<Box<dyn Wire>>,
    host: SocketAddr,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(
        address: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
    ) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let wire: Box<dyn Wire> = match tls {
            None => Box::new(stream),
            Some(tls) => Box::new(StreamOwned::new(tls::client_connection(tls)?, stream)),
        };
        Ok(Client {
            wire: BufReader::with_capacity(16 << 10, wire),
            host: address,
            buffer: vec![0; 256 << 10],
        })
    }

    /// Gives the body, which has to be there, piece by piece; tells its length.
    pub(crate) fn get(&mut self, path: &str, mut take: impl FnMut(&[u8])) -> io::Result<u64> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        let wire = self.wire.get_mut();
        wire.write_all(request.as_bytes())?;
        wire.flush()?;
        let (mut is_first, mut length) = (true, None);
        loop {
            let mut line = String::new();
            if self.wire.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if is_first && !line.contains(" 200 ") {
                return Err(io::Error::other(format!("{path}: {}", line.trim_end())));
            }
            is_first = false;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse::<u64>().ok();
            }
        }
        let length = length.ok_or_else(|| io::Error::other("an answer without a length"))?;
        let mut left = length;
        while left > 0 {
            let most = self
                .buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = self.wire.read(&mut self.buffer[..most])?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(&self.buffer[..got]);
            left -= got as u64;
        }
        Ok(length)
    }

    pub(crate) fn text(&mut self, path: &str) -> io::Result<String> {
        let mut body = Vec::new();
        self.get(path, |piece| body.extend_from_slice(piece))?;
        String::from_utf8(body).map_err(io::Error::other)
    }
}
