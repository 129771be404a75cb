//! The thread that serves connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use openrtmp_core::{Config, HttpConfig, Proxies, explain_listening};

use super::Routes;
use super::connection::{Connection, Next, Socket, Surroundings};
use crate::service::sockets;

/// What peers may cost.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(super) http: HttpConfig,
    pub(super) proxies: Proxies,
    /// How long a connection that is over on this side may take, and how many bytes of it
    /// are thrown away.
    pub(super) linger: Duration,
    pub(super) linger_bytes: usize,
    /// After accepting failed, until the next try.
    pub(super) accept_retry: Duration,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Limits {
        Limits {
            http: config.http.clone(),
            proxies: Proxies::new(&config.access),
            linger: config.limits.linger,
            linger_bytes: config.limits.linger_bytes,
            accept_retry: config.limits.accept_retry,
        }
    }
}

/// A server that serves until it is dropped.
pub(crate) struct HttpServer {
    addresses: Vec<SocketAddr>,
    stopping: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

/// Why it does not serve: an address, and what the system said.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for HTTP on {address}: {}", explain_listening(source))]
pub(crate) struct BindError {
    pub(crate) address: SocketAddr,
    pub(crate) source: io::Error,
}

impl HttpServer {
    /// Listens on these addresses, and answers what is asked there.
    pub(crate) fn start(
        addresses: &[SocketAddr],
        routes: Routes,
        limits: Limits,
    ) -> Result<HttpServer, BindError> {
        let anywhere = addresses.first().copied();
        let failed = |address: SocketAddr| move |source| BindError { address, source };
        let mut listeners = Vec::new();
        for &address in addresses {
            listeners.push(bind(address).map_err(failed(address))?);
        }
        let failed = failed(anywhere.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))));
        Self::serve(listeners, routes, limits).map_err(failed)
    }

    fn serve(
        mut listeners: Vec<TcpListener>,
        routes: Routes,
        limits: Limits,
    ) -> io::Result<HttpServer> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut addresses = Vec::new();
        for (index, listener) in listeners.iter_mut().enumerate() {
            poll.registry()
                .register(listener, Token(index), Interest::READABLE)?;
            addresses.push(listener.local_addr()?);
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let mut serving = Serving {
            poll,
            listeners,
            accept_at: None,
            places: Vec::new(),
            free: Vec::new(),
            open: 0,
            happened: 0,
            again: Vec::new(),
            held: 0,
            next_look: None,
            routes,
            limits,
        };
        let stopped = stopping.clone();
        let thread = thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || serving.run(&stopped))?;
        Ok(HttpServer {
            addresses,
            stopping,
            waker,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // It has ended if it cannot be woken.
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // Its panic was told already.
            let _ = thread.join();
        }
    }
}

const WAKER: Token = Token(usize::MAX);

/// Connections that wait to be accepted, as the standard library has it.
const BACKLOG: i32 = 128;

/// Connections accepted before others have their turn.
const ACCEPTS_AT_ONCE: usize = 64;

/// The least time between two looks at all deadlines.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// An IPv6 socket is IPv6 only, like those for RTMP.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};

    if let Some(socket) = sockets::given().http_socket(address) {
        let socket = socket?;
        socket.set_nonblocking(true)?;
        return Ok(TcpListener::from_std(socket));
    }
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Elsewhere it lets two listen on one port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

impl Socket for TcpStream {
    fn end_sending(&mut self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
}

struct Place {
    connection: Connection<TcpStream>,
    /// When it came or last had a request answered, among all that happened.
    active: u64,
}

struct Serving {
    poll: Poll,
    listeners: Vec<TcpListener>,
    /// When accepting is tried again: it failed, or there were too many at once.
    accept_at: Option<Instant>,
    places: Vec<Option<Place>>,
    free: Vec<usize>,
    open: usize,
    /// Counts those that came and requests that were answered.
    happened: u64,
    /// Those that have more to do.
    again: Vec<usize>,
    held: usize,
    /// When deadlines are looked at.
    next_look: Option<Instant>,
    routes: Routes,
    limits: Limits,
}

impl Serving {
    fn run(&mut self, stopping: &AtomicBool) {
        let mut events = Events::with_capacity(256);
        while !stopping.load(Ordering::Acquire) {
            let timeout = self.timeout(Instant::now());
            match self.poll.poll(&mut events, timeout) {
                Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                    log::error!("the HTTP server ends: {e}");
                    return;
                }
                _ => {}
            }
            let now = Instant::now();
            let mut turns = std::mem::take(&mut self.again);
            let mut accepts = self.accept_at.is_some_and(|at| at <= now);
            for event in &events {
                match event.token().0 {
                    index if index < self.listeners.len() => accepts = true,
                    index if event.token() != WAKER => turns.push(index - self.listeners.len()),
                    _ => {}
                }
            }
            for index in turns {
                self.serve(index, now, Connection::take_turn);
            }
            self.look_at_deadlines(now);
            if accepts {
                self.accept(now);
            }
        }
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = self.accept_at.into_iter().chain(self.next_look).min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Lets a connection have its turn, and sees to what it wants then.
    fn serve(
        &mut self,
        index: usize,
        now: Instant,
        turn: impl FnOnce(&mut Connection<TcpStream>, &mut Surroundings<'_>) -> Next,
    ) {
        let Some(place) = self.places.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let mut around = Surroundings {
            now,
            limits: &self.limits,
            routes: &self.routes,
            held: &mut self.held,
        };
        let before = place.connection.answers();
        let turn = turn(&mut place.connection, &mut around);
        if place.connection.answers() > before {
            self.happened += 1;
            place.active = self.happened;
        }
        let deadline = place.connection.deadline().max(now + LOOK_INTERVAL);
        self.next_look = Some(self.next_look.map_or(deadline, |next| next.min(deadline)));
        match turn {
            Next::Wait => {}
            Next::Again => self.again.push(index),
            Next::Over => self.close(index),
        }
    }

    fn close(&mut self, index: usize) {
        if let Some(mut place) = self.places.get_mut(index).and_then(Option::take) {
            place.connection.release(&mut self.held);
            // It goes with its descriptor anyway.
            let _ = place
                .connection
                .socket_mut()
                .deregister(self.poll.registry());
            self.free.push(index);
            self.open -= 1;
        }
    }

    fn look_at_deadlines(&mut self, now: Instant) {
        if self.next_look.is_none_or(|at| at > now) {
            return;
        }
        self.next_look = None;
        for index in 0..self.places.len() {
            let place = self.places[index].as_ref();
            let Some(deadline) = place.map(|place| place.connection.deadline()) else {
                continue;
            };
            match deadline <= now {
                true => self.serve(index, now, Connection::expire),
                false => {
                    let next = self.next_look.map_or(deadline, |next| next.min(deadline));
                    self.next_look = Some(next.max(now + LOOK_INTERVAL));
                }
            }
        }
    }

    fn accept(&mut self, now: Instant) {
        self.accept_at = None;
        let mut left = ACCEPTS_AT_ONCE;
        for index in 0..self.listeners.len() {
            loop {
                if left == 0 {
                    // What the poller told is told once.
                    self.accept_at = Some(now);
                    return;
                }
                left -= 1;
                match self.listeners[index].accept() {
                    Ok((socket, peer)) => self.admit(socket, peer.ip(), now),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    // The peer has left already, or a signal came.
                    Err(e) if is_passing(&e) => {}
                    Err(e) => {
                        log::debug!("accepting for HTTP failed: {e}");
                        self.accept_at = Some(now + self.limits.accept_retry);
                        break;
                    }
                }
            }
        }
    }

    fn admit(&mut self, mut socket: TcpStream, peer: IpAddr, now: Instant) {
        if self.open >= self.limits.http.connections {
            let places = self.places.iter().enumerate();
            let there = places.filter_map(|(index, place)| Some((place.as_ref()?.active, index)));
            if let Some((_, index)) = there.min() {
                self.close(index);
            }
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        let token = Token(index + self.listeners.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self
            .poll
            .registry()
            .register(&mut socket, token, interest)
            .is_err()
        {
            self.free.push(index);
            return;
        }
        self.open += 1;
        self.happened += 1;
        self.places[index] = Some(Place {
            connection: Connection::new(socket, peer, now, &self.limits),
            active: self.happened,
        });
        self.serve(index, now, Connection::take_turn);
    }
}

/// True for what says nothing of the next connection.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests;
