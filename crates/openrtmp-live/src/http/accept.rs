//! Connections of viewers: accepted, counted, spoken to, and ended.
//!
//! Over TLS what is spoken is agreed on (ALPN): HTTP/2, or HTTP/1.1. Without TLS no browser
//! speaks HTTP/2; programs that begin with it are served all the same.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;
use openrtmp_core::{Config, Limit, Server};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tower_service::Service;

use super::noted::Noted;
use super::peer::{Due, Peer};
use crate::store::{Places, has_room};

/// After an error of the listening socket (no more descriptors, say).
const RETRY: Duration = Duration::from_millis(250);
/// A connection that is to end may say what is left for so long.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes of frames of HTTP/2 that wait for the peer, of each stream; a part and more.
const SEND_BUFFER: usize = 1 << 20;
/// A connection with HTTP/2 is asked so often whether it is there, and waited for.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));
/// Streams that a peer reset and that are not forgotten yet, at most (CVE-2023-44487).
const RESETS: usize = 20;
/// Streams that were reset for what the peer did, at most: then the connection ends.
const OWN_RESETS: usize = 128;
/// The least that hyper takes for the head of a request.
const LEAST_HEAD: usize = 8 << 10;
/// What is agreed on in TLS, the best first.
#[cfg(feature = "tls")]
const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// What connections are served with.
#[derive(Clone, Debug)]
pub(crate) struct Acceptor {
    pub(crate) server: Arc<Server>,
    pub(crate) router: Router,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) counts: Arc<Counts>,
}

/// Connections that there are.
#[derive(Debug)]
pub(crate) struct Counts {
    numbers: Mutex<Numbers>,
    /// One ended.
    ended: Notify,
    /// As many as the system's limits leave room for.
    most: usize,
}

#[derive(Debug, Default)]
struct Numbers {
    places: Places,
    /// By numbers of their own.
    peers: HashMap<u64, Weak<Peer>>,
    next: u64,
}

/// A connection that is counted, as long as this is there.
#[derive(Debug)]
pub(super) struct Counted(Arc<Counts>, IpAddr, u64);

impl Counts {
    /// None yet, of as many as this process may have: half of its descriptors stay for
    /// everything else, RTMP above all.
    pub(crate) fn new() -> Counts {
        Counts {
            numbers: Mutex::default(),
            ended: Notify::new(),
            most: descriptors().map_or(usize::MAX, |all| all / 2),
        }
    }

    /// Locks the numbers.
    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more from this address, if there may be. Behind a proxy everybody comes from one.
    ///
    /// # Errors
    /// What there are enough of, and how many that is.
    fn count(
        self: &Arc<Counts>,
        address: IpAddr,
        is_proxy: bool,
        config: &Config,
    ) -> Result<Counted, (Limit, usize)> {
        let viewers = &config.http.viewers;
        let most = viewers.connections.min(self.most);
        let mut numbers = self.lock();
        let (own, all) = (numbers.places.of(address), numbers.places.all());
        if all >= most {
            return Err((Limit::ViewersConnections, most));
        }
        let has_room = match viewers.connections_per_address {
            _ if is_proxy => true,
            0 => has_room(own, all, most),
            per_address => own < per_address,
        };
        if !has_room {
            return Err((Limit::ViewersConnectionsPerAddress, own));
        }
        numbers.places.give(address);
        numbers.next += 1;
        Ok(Counted(self.clone(), address, numbers.next))
    }

    /// The connection that has this place, to be found as long as it is there.
    fn know(&self, place: u64, peer: &Arc<Peer>) {
        let mut numbers = self.lock();
        numbers.peers.insert(place, Arc::downgrade(peer));
    }

    /// All of them.
    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        let numbers = self.lock();
        numbers.peers.values().filter_map(Weak::upgrade).collect()
    }

    /// Waits until there are none.
    pub(crate) async fn none(&self) {
        loop {
            let changed = self.ended.notified();
            if self.all() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// How many there are.
    pub(crate) fn all(&self) -> usize {
        self.lock().places.all()
    }

    /// How many there have been.
    pub(crate) fn accepted(&self) -> u64 {
        self.lock().next
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Counted(counts, address, place) = self;
        let mut numbers = counts.lock();
        numbers.places.leave(*address);
        numbers.peers.remove(place);
        drop(numbers);
        counts.ended.notify_waiters();
    }
}

/// Files and sockets that this process may have open, if there is a limit.
#[cfg(unix)]
fn descriptors() -> Option<usize> {
    use rustix::process::{Resource, getrlimit};

    let limit = getrlimit(Resource::Nofile).current?;
    usize::try_from(limit).ok()
}

#[cfg(not(unix))]
fn descriptors() -> Option<usize> {
    None
}

/// Accepts connections until the server stops.
pub(crate) async fn serve(listener: TcpListener, is_tls: bool, acceptor: Acceptor) {
    let mut stopping = acceptor.stopping.clone();
    // A line for each kind of trouble, not for each try.
    let mut trouble = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        match accepted {
            Ok((socket, address)) => {
                trouble = None;
                let config = acceptor.server.config();
                let ip = address.ip();
                let is_proxy = acceptor.server.is_trusted_proxy(ip);
                let counted = match acceptor.counts.count(ip, is_proxy, &config) {
                    Ok(counted) => counted,
                    Err((limit, value)) => {
                        acceptor.server.report_limit_at(limit, value as u64);
                        if acceptor.may_detail() {
                            log::debug!(peer:% = address; "a viewer is turned away: {limit}");
                        }
                        continue;
                    }
                };
                let acceptor = acceptor.clone();
                let place = counted.2;
                // A WebSocket goes on when the connection's end was seen here.
                let peer = Arc::new(Peer::new(address, is_tls, is_proxy, counted));
                acceptor.counts.know(place, &peer);
                tokio::spawn(async move {
                    acceptor.connection(socket, peer, config).await;
                });
            }
            // Who gave up while it waited.
            Err(error) if is_of_one(&error) => {}
            Err(error) => {
                if trouble.replace(error.kind()) != Some(error.kind()) {
                    log::warn!(error:%; "viewers cannot be accepted");
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Errors of one connection: the next may be fine.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Whether a connection ended as its peer went away, in the middle of something too.
fn has_left(error: &(dyn Error + 'static)) -> bool {
    let left = |error: &hyper::Error| error.is_incomplete_message() || error.is_canceled();
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<io::Error>() || error.downcast_ref().is_some_and(left) {
            return true;
        }
        next = error.source();
    }
    false
}

impl Acceptor {
    /// Tells why a viewer is served no longer, as far as the log has room for it.
    fn report_closed(&self, peer: SocketAddr, why: fmt::Arguments<'_>) {
        if self.may_report() {
            log::warn!(peer:% = peer; "a viewer's connection is closed: {why}");
        }
    }

    /// Tells that a viewer asked for what it may not, or for nothing that there could be. Not
    /// for what: a token may be in that. The former is usual, as when a token is over.
    fn report_refused(&self, peer: SocketAddr, status: StatusCode) {
        if status == StatusCode::FORBIDDEN {
            if self.may_detail() {
                log::debug!(peer:% = peer; "a viewer may not have what it asks for");
            }
        } else if self.may_report() {
            log::warn!(peer:% = peer; "a viewer's request is refused");
        }
    }

    fn may_report(&self) -> bool {
        log::log_enabled!(log::Level::Warn) && self.server.admits_viewer_line()
    }

    /// The same of what is usual.
    fn may_detail(&self) -> bool {
        log::log_enabled!(log::Level::Debug) && self.server.admits_connection_line()
    }

    async fn connection(&self, socket: TcpStream, peer: Arc<Peer>, config: Arc<Config>) {
        // Parts are to leave at once. A socket that cannot serves all the same.
        let _ = socket.set_nodelay(true);
        if !peer.is_tls {
            return self.speak(socket, false, peer, config).await;
        }
        #[cfg(feature = "tls")]
        {
            let Some(tls) = self.server.tls_for(PROTOCOLS) else {
                return;
            };
            let accepting = tokio_rustls::TlsAcceptor::from(tls).accept(socket);
            let (within, address) = (config.tls.handshake_timeout, peer.address);
            match tokio::time::timeout(within, accepting).await {
                Ok(Ok(stream)) => {
                    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(PROTOCOLS[0]);
                    // Large, and on its way to where it is used it would take its room
                    // several times for as long as the connection lasts.
                    self.speak(Box::new(stream), is_h2, peer, config).await;
                }
                Ok(Err(error)) => self.report_closed(address, format_args!("no TLS: {error}")),
                Err(_) => self.report_closed(address, format_args!("no TLS in time")),
            }
        }
    }

    async fn speak<S>(&self, stream: S, is_h2: bool, peer: Arc<Peer>, config: Arc<Config>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let io = TokioIo::new(Noted::new(stream, peer.clone()));
        let (router, acceptor) = (self.router.clone(), self.clone());
        let told = peer.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            // Here, where it is taken from what was read, and not when it is its turn: until
            // then all that comes with it counts as something else.
            told.allowance.asked(&request);
            request.extensions_mut().insert(told.clone());
            let (mut router, acceptor, address) = (router.clone(), acceptor.clone(), told.address);
            async move {
                let answer = router.call(request.map(Body::new)).await;
                if let Ok(status @ (StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN)) =
                    answer.as_ref().map(Response::status)
                {
                    acceptor.report_refused(address, status);
                }
                answer
            }
        });
        // In a box, for it is moved more than once, and a future keeps each place for good.
        if is_h2 {
            let connection = h2_builder(&config).serve_connection(io, service);
            self.see_through(Box::pin(connection), &peer, &config).await;
        } else {
            let builder = builder(&config);
            let connection = builder
                .serve_connection_with_upgrades(io, service)
                .into_owned();
            self.see_through(Box::pin(connection), &peer, &config).await;
        }
    }

    /// Serves a connection to its end, or until it is too slow, or the server stops.
    async fn see_through<C>(&self, mut connection: Pin<Box<C>>, peer: &Peer, config: &Config)
    where
        C: GracefulConnection,
        C::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut stopping = self.stopping.clone();
        let (first, idle) = (config.http.request_timeout, config.http.idle_timeout);
        let stalled = config.http.answer_timeout;
        loop {
            let until = match peer.due(first, idle, stalled) {
                Due::At(until) => until,
                Due::Idle => break,
                Due::Slow => {
                    let why = format_args!("it does not end its request, or take its answer");
                    self.report_closed(peer.address, why);
                    return;
                }
            };
            // Deadlines that come meanwhile are seen in time.
            let until = until.max(Instant::now() + Duration::from_millis(50));
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended.map_err(Into::into) {
                        if !has_left(&*error) {
                            self.report_closed(peer.address, format_args!("{error}"));
                        } else if self.may_detail() {
                            log::debug!(peer:% = peer.address, error:%; "a viewer has left");
                        }
                    }
                    return;
                }
                () = tokio::time::sleep_until(until.into()) => {}
                () = peer.is_cut_off() => return,
                _ = stopping.wait_for(|stopping| *stopping) => break,
            }
        }
        // GOAWAY, or the end behind the answer that is under way.
        connection.as_mut().graceful_shutdown();
        let farewell = match *self.stopping.borrow() {
            true => idle.max(FAREWELL),
            false => FAREWELL,
        };
        // Beyond that it ends here.
        let _ = tokio::time::timeout(farewell, connection).await;
    }
}

/// The bounds of HTTP/2, for two types of builders that have the same functions.
macro_rules! bound_h2 {
    ($builder:expr, $http:expr) => {
        $builder
            .timer(TokioTimer::new())
            .max_concurrent_streams($http.viewers.requests)
            // Beyond, a request is answered with 431; of what continues it no more is read
            // than fits (CVE-2024-27316).
            .max_header_list_size($http.header_bytes as u32)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(OWN_RESETS)
            .max_send_buf_size(SEND_BUFFER)
            // Bodies of requests are not taken.
            .initial_stream_window_size(64 << 10)
            .initial_connection_window_size(64 << 10)
            .keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1)
    };
}

/// How a connection is spoken to whose first bytes show whether that is HTTP/1.1 or HTTP/2.
fn builder(config: &Config) -> auto::Builder<TokioExecutor> {
    let http = &config.http;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // A head that does not come to its end is no request: see `Peer::due`.
        .header_read_timeout(None)
        .max_headers(http.headers)
        .max_buf_size(http.header_bytes.max(LEAST_HEAD));
    bound_h2!(builder.http2(), http);
    builder
}

/// How one is that agreed on HTTP/2.
fn h2_builder(config: &Config) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    // What a viewer says differs from request to request in its path: to remember it would
    // take some KiB for each, and nothing be saved.
    bound_h2!(builder, config.http).header_table_size(0);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many connections as there can be from an address, and what the next one reaches.
    fn taken(
        counts: &Arc<Counts>,
        (address, is_proxy): (&str, bool),
        config: &Config,
    ) -> (Vec<Counted>, (Limit, usize)) {
        let address = address.parse().unwrap();
        let mut taken = Vec::new();
        loop {
            match counts.count(address, is_proxy, config) {
                Ok(counted) => taken.push(counted),
                Err(reached) => return (taken, reached),
            }
        }
    }

    fn counts(most: usize) -> Arc<Counts> {
        Arc::new(Counts {
            numbers: Mutex::default(),
            ended: Notify::new(),
            most,
        })
    }

    #[test]
    fn an_address_has_its_share_or_what_is_set_and_a_proxy_has_all() {
        use Limit::{ViewersConnections as All, ViewersConnectionsPerAddress as Own};

        let mut config = Config::default();
        config.http.viewers.connections = 100;
        let counts = counts(80);
        let (own, reached) = taken(&counts, ("192.0.2.1", false), &config);
        assert_eq!((own.len(), reached), (40, (Own, 40)));
        let (proxied, reached) = taken(&counts, ("192.0.2.2", true), &config);
        assert_eq!((proxied.len(), reached), (40, (All, 80)));
        let (none, reached) = taken(&counts, ("192.0.2.3", false), &config);
        assert_eq!((none.len(), reached), (0, (All, 80)));
        drop((own, proxied));
        assert_eq!(counts.all(), 0);
        // What is set stands in place of the share.
        config.http.viewers.connections_per_address = 70;
        let (own, reached) = taken(&counts, ("192.0.2.1", false), &config);
        assert_eq!((own.len(), reached), (70, (Own, 70)));
        let (others, reached) = taken(&counts, ("192.0.2.2", false), &config);
        assert_eq!((others.len(), reached), (10, (All, 80)));
    }
}
