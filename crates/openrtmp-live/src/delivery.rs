//! The whole of the delivery, as its host has it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openrtmp_core::{
    HttpListen, Server, THREAD_STACK, ThreadLife, explain_listening, goes_without_saying,
    reachable_hosts,
};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

use crate::feed::Feed;
use crate::http::{self, Acceptor, App};
use crate::store::{Budget, Directory, MOST_READING, Spool};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// The name of each thread of the runtime.
const THREAD: &str = "openrtmp-http";
/// What is still going on at the end of a stop has so long to notice.
const LAST: Duration = Duration::from_millis(500);

/// Why nothing is delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", explain_listening(source))]
    Listen {
        /// Which; port 0 if it is not about one.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Segments cannot be kept in the folder of `http.dvr.directory`.
    #[error("cannot keep segments in {}: {source}", directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Streams of a server on their way to viewers, until it is stopped or dropped. All methods
/// may be called from any thread that is not of a runtime of tokio's.
#[derive(Debug)]
pub struct Delivery {
    running: Mutex<Option<Running>>,
    listeners: Vec<HttpListen>,
    counts: Arc<http::Counts>,
    answers: Arc<http::Answers>,
    directory: Arc<Directory>,
    budget: Arc<Budget>,
    spool: Option<Arc<Spool>>,
    stopping: watch::Sender<bool>,
    /// A stop waits for nobody any more.
    forced: Notify,
}

/// What a delivery keeps, in bytes; see `http.memory` and `http.dvr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// What can be fetched of streams, or comes to be.
    pub streams: u64,
    /// What is listed no longer, and there for answers that have not been taken.
    pub answers: u64,
    /// Segments in files.
    pub files: u64,
}

/// The files of `http.dvr.directory`, and what became of them since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DvrFiles {
    /// Segments in files.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Segments that wait to be written.
    pub waiting: u64,
    /// Tries to write one that came to nothing: because the disk is full, for example.
    pub failures: u64,
    /// Files that went while they were listed, as the disk was full or as somebody removed them.
    /// Those beyond `http.dvr.bytes` are not counted: with these all goes as it is set.
    pub removed: u64,
}

#[derive(Debug)]
struct Running {
    runtime: Runtime,
    feed: Feed,
}

impl Delivery {
    /// Delivers the streams of a server on these addresses, as its settings say
    /// ([`openrtmp_core::HttpConfig`]). What [`HttpListen::Auto`] stands for is told in the
    /// log if it cannot be had. Without an address to deliver on it does nothing, and has no
    /// threads.
    ///
    /// # Errors
    /// An address that cannot be had, a folder for segments that cannot, or a system without
    /// threads to give.
    pub fn start(server: &Arc<Server>, listen: &[HttpListen]) -> Result<Delivery, DeliveryError> {
        let _here = server.works_for();
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let failed = |address| move |source| DeliveryError::Listen { address, source };
        let sockets = bound(server, listen)?;
        let (stopping, stops) = watch::channel(false);
        let directory = Arc::new(Directory::default());
        let budget = Arc::new(Budget::default());
        let counts = Arc::new(http::Counts::new());
        let answers = Arc::new(http::Answers::default());
        let mut delivery = Delivery {
            running: Mutex::default(),
            listeners: Vec::new(),
            counts: counts.clone(),
            answers: answers.clone(),
            directory: directory.clone(),
            budget: budget.clone(),
            spool: None,
            stopping,
            forced: Notify::new(),
        };
        if sockets.is_empty() {
            return Ok(delivery);
        }
        delivery.spool = spool(server, &budget)?;
        let runtime = runtime().map_err(failed(nowhere))?;
        let app = App::new(
            server.clone(),
            directory.clone(),
            budget.clone(),
            answers,
            stops.clone(),
        );
        let acceptor = Acceptor {
            server: server.clone(),
            router: http::router(Arc::new(app.map_err(failed(nowhere))?)),
            stopping: stops,
            counts: counts.clone(),
        };
        let feed = Feed::start(server, &directory, &budget, delivery.spool.as_ref());
        let feed = feed.map_err(failed(nowhere))?;
        let entered = runtime.enter();
        runtime.spawn(http::relieve(server.clone(), budget, counts));
        for (socket, tls) in sockets {
            let address = socket.local_addr().map_err(failed(nowhere))?;
            let listener = tokio::net::TcpListener::from_std(socket).map_err(failed(address))?;
            runtime.spawn(http::serve(listener, tls, acceptor.clone()));
            let listener = HttpListen::At { address, tls };
            delivery.listeners.push(listener);
        }
        drop(entered);
        delivery.running = Mutex::new(Some(Running { runtime, feed }));
        Ok(delivery)
    }

    /// Where it listens, with the real ports.
    pub fn listeners(&self) -> &[HttpListen] {
        &self.listeners
    }

    /// URLs, without a path, under which other devices, then this one, reach it.
    pub fn urls(&self) -> Vec<String> {
        let url = |listen: &HttpListen| {
            let &HttpListen::At { address, tls } = listen else {
                return Vec::new();
            };
            let hosts = reachable_hosts(address).into_iter();
            hosts.map(|host| base(&host, address.port(), tls)).collect()
        };
        self.listeners.iter().flat_map(url).collect()
    }

    /// Viewers' connections that there are.
    pub fn connections(&self) -> usize {
        self.counts.all()
    }

    /// Viewers' connections that there have been, those that there are included.
    pub fn accepted(&self) -> u64 {
        self.counts.accepted()
    }

    /// Answers that were begun, by the class of their status: 1xx first, 5xx last. What is no
    /// request of HTTP, or has too long a head, is refused before it can be one.
    pub fn answers(&self) -> [u64; 5] {
        self.answers.all()
    }

    /// Streams that can be fetched, or come to be; an ended one is for a while.
    pub fn streams(&self) -> usize {
        self.directory.list().len()
    }

    /// What it keeps now.
    pub fn held(&self) -> Held {
        Held {
            streams: self.budget.held(),
            answers: self.budget.outlived(),
            files: self.spool.as_ref().map_or(0, |spool| spool.bytes()),
        }
    }

    /// How it goes with `http.dvr.directory`; nothing where there is none.
    pub fn dvr_files(&self) -> Option<DvrFiles> {
        self.spool.as_ref().map(|spool| DvrFiles {
            segments: spool.files(),
            bytes: spool.bytes(),
            waiting: spool.waiting(),
            failures: spool.failures(),
            removed: spool.lost(),
        })
    }

    /// Takes nobody new and asks viewers to leave: what waits is answered, what is being
    /// sent is sent, connections are closed. Playlists are not ended: the streams may be, or
    /// be again, elsewhere. Returns at once.
    pub fn begin_stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Cuts short a stop that another thread waits in, or is about to.
    pub fn force(&self) {
        self.forced.notify_one();
    }

    /// Stops: [`Delivery::begin_stop`], and after `grace` at the latest by force. All its
    /// threads have ended then, but for those in which a function of the host, its logger for
    /// example, does not return: after a second and a half these are left to themselves.
    /// Removing the files of `http.dvr.directory` takes as long as the disk does, up to 5 s more.
    pub fn stop(&self, grace: Duration) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Running { runtime, mut feed }) = running else {
            return;
        };
        self.begin_stop();
        feed.stop();
        // Whoever has not left is cut off.
        runtime.block_on(async {
            tokio::select! {
                _ = tokio::time::timeout(grace, self.counts.none()) => {}
                () = self.forced.notified() => {}
            }
        });
        runtime.shutdown_timeout(LAST);
        self.remove_files();
    }

    /// Nobody can ask for them any longer.
    fn remove_files(&self) {
        if let Some(spool) = &self.spool {
            spool.stop();
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
        // One that did not begin has none but these.
        self.remove_files();
    }
}

/// As many threads as there are cores, and once there is long work as many for that, and some that
/// wait for a disk. They are the library's as all others.
fn runtime() -> io::Result<Runtime> {
    let life = ThreadLife::new(THREAD);
    let begin = {
        let life = life.clone();
        move || life.begin()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // Said, and not left to a variable of the environment.
    let builder = builder.worker_threads(cores);
    let builder = builder.max_blocking_threads(cores + MOST_READING);
    let builder = builder.thread_name(THREAD).thread_stack_size(THREAD_STACK);
    let builder = builder.on_thread_start(begin);
    let builder = builder.on_thread_stop(move || life.end());
    let builder = builder.enable_all();
    ThreadLife::without_signals(|| builder.build())
}

/// The place for segments that are older than what is in memory, if there is one.
fn spool(server: &Arc<Server>, budget: &Arc<Budget>) -> Result<Option<Arc<Spool>>, DeliveryError> {
    let Some(directory) = server.config().http.dvr.directory.clone() else {
        return Ok(None);
    };
    match Spool::start(&directory, server, budget) {
        Ok(spool) => Ok(Some(spool)),
        Err(source) => Err(DeliveryError::Directory { directory, source }),
    }
}

/// A URL without a path.
fn base(host: &str, port: u16, tls: bool) -> String {
    match (tls, port) {
        (true, 443) => format!("https://{host}"),
        (true, port) => format!("https://{host}:{port}"),
        (false, 80) => format!("http://{host}"),
        (false, port) => format!("http://{host}:{port}"),
    }
}

/// Sockets for these addresses, and whether TLS is spoken there.
fn bound(
    server: &Server,
    listen: &[HttpListen],
) -> Result<Vec<(TcpListener, bool)>, DeliveryError> {
    let mut sockets = Vec::new();
    let asked = || {
        listen.iter().filter_map(|listen| match listen {
            HttpListen::At { address, .. } => Some(*address),
            _ => None,
        })
    };
    for &listener in listen {
        let HttpListen::At { address, tls } = listener else {
            sockets.extend(automatic(server).into_iter().map(|socket| (socket, false)));
            continue;
        };
        match bind(address) {
            Ok(socket) => sockets.push((socket, tls)),
            // Not every machine has IPv6.
            Err(error) if goes_without_saying(address, &error, asked()) => {
                let why = explain_listening(&error);
                log::warn!("HTTP over IPv4 only: cannot listen on {address}: {why}");
            }
            Err(source) => return Err(DeliveryError::Listen { address, source }),
        }
    }
    Ok(sockets)
}

/// What nobody asked for by itself: the usual port where RTMP is spoken. Where that is on
/// any free port, a fixed one would surprise.
fn automatic(server: &Server) -> Vec<TcpListener> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for mut address in server.config().listen.iter().map(|listen| listen.address) {
        let takes_any = address.port() == 0;
        address.set_port(HttpListen::DEFAULT_PORT);
        if !takes_any && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let bound = addresses.into_iter().filter_map(|address| match bind(address) {
        Ok(socket) => Some(socket),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let why = explain_listening(&error);
            log::warn!("nothing is delivered over HTTP on {address}: {why} (http.listen says where, or that it is not wanted)");
            None
        }
        Err(error) => {
            let why = explain_listening(&error);
            log::info!("nothing is delivered over HTTP on {address}: {why}");
            None
        }
    });
    bound.collect()
}

/// IPv6 sockets are IPv6 only, so that both families can be asked for.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};

    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // On Windows it would let another program have the port as well.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_goes_without_saying_is_not_said() {
        assert_eq!(base("a", 80, false), "http://a");
        assert_eq!(base("[::1]", 8080, false), "http://[::1]:8080");
        assert_eq!(base("a", 443, true), "https://a");
        assert_eq!(base("a", 80, true), "https://a:80");
    }
}
