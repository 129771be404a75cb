//! The bare TCP fan-out: what the same bytes cost with no protocol at all.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;

use crate::tls::Wire;

const LISTENER: Token = Token(usize::MAX);
const TLS_LISTENER: Token = Token(usize::MAX - 1);

/// Slices of one vectored write.
const SLICES: usize = 64;

/// Serves until the publisher has come and gone. A connection says first what it
/// is: `P` sends messages with their length (32 bits, little endian) before
/// them; `S` gets them without it. With `tls` it listens for that on another port too.
pub(crate) fn serve(
    listen: SocketAddr,
    merge: Duration,
    tls: Option<Arc<ServerConfig>>,
    on_listening: impl FnOnce(&[SocketAddr]),
) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut addresses = Vec::new();
    let mut listeners = Vec::new();
    for token in [Some(LISTENER), tls.as_ref().map(|_| TLS_LISTENER)] {
        let Some(token) = token else { continue };
        let mut listener = TcpListener::bind(listen)?;
        poll.registry()
            .register(&mut listener, token, Interest::READABLE)?;
        addresses.push(listener.local_addr()?);
        listeners.push(listener);
    }
    on_listening(&addresses);
    let mut events = Events::with_capacity(1024);
    let mut peers: Vec<Peer> = Vec::new();
    let mut source = Source::default();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let timeout = source
            .due
            .map(|due| due.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listeners[0], None, &poll, &mut peers)?;
                continue;
            }
            if event.token() == TLS_LISTENER {
                accept(&listeners[1], tls.as_ref(), &poll, &mut peers)?;
                continue;
            }
            let peer = &mut peers[event.token().0];
            if event.is_writable() {
                peer.flush();
            }
            if event.is_readable() && !peer.read(&mut buffer, &mut source) {
                return Ok(());
            }
        }
        if source.due.is_none() && !source.frames.is_empty() {
            source.due = Some(Instant::now() + merge);
        }
        if source.due.is_some_and(|due| due <= Instant::now()) {
            source.due = None;
            let frames = std::mem::take(&mut source.frames);
            for peer in peers.iter_mut().filter(|p| p.role == Role::Subscriber) {
                peer.queue.extend(frames.iter().cloned());
                peer.flush();
            }
        }
    }
}

/// What came from the publisher.
#[derive(Default)]
struct Source {
    partial: Vec<u8>,
    /// Whole messages that wait for their window's end.
    frames: Vec<Arc<[u8]>>,
    due: Option<Instant>,
}

#[derive(PartialEq)]
enum Role {
    Unknown,
    Publisher,
    Subscriber,
}

struct Peer {
    stream: Wire,
    role: Role,
    queue: VecDeque<Arc<[u8]>>,
    /// Bytes of the first message that are sent.
    cursor: usize,
}

fn accept(
    listener: &TcpListener,
    tls: Option<&Arc<ServerConfig>>,
    poll: &Poll,
    peers: &mut Vec<Peer>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        };
        stream.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(peers.len());
        poll.registry().register(&mut stream, token, interest)?;
        peers.push(Peer {
            stream: Wire::server(stream, tls)?,
            role: Role::Unknown,
            queue: VecDeque::new(),
            cursor: 0,
        });
    }
}

impl Peer {
    /// False once the publisher is gone.
    fn read(&mut self, buffer: &mut [u8], source: &mut Source) -> bool {
        loop {
            let n = match self.stream.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Ok(0) | Err(_) => return self.role != Role::Publisher,
                Ok(n) => n,
            };
            let mut bytes = &buffer[..n];
            if self.role == Role::Unknown {
                self.role = match bytes[0] {
                    b'P' => Role::Publisher,
                    _ => Role::Subscriber,
                };
                bytes = &bytes[1..];
            }
            if self.role == Role::Publisher {
                source.partial.extend_from_slice(bytes);
                source.split();
            }
        }
    }

    fn flush(&mut self) {
        // What TLS has taken is not sent yet.
        if self.stream.wants_write() && (self.stream.flush().is_err() || self.stream.wants_write())
        {
            return;
        }
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.queue.len().min(SLICES);
            let mut offered = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.queue) {
                let skip = if offered == 0 { self.cursor } else { 0 };
                *slice = IoSlice::new(&frame[skip..]);
                offered += frame.len() - skip;
            }
            let Ok(written) = self.stream.write_vectored(&slices[..count]) else {
                return;
            };
            self.cursor += written;
            while self.queue.front().is_some_and(|f| self.cursor >= f.len()) {
                self.cursor -= self.queue.pop_front().map_or(0, |f| f.len());
            }
            // TLS takes a part of a long message at once.
            if self.stream.wants_write() || self.stream.is_plain() && written < offered {
                return;
            }
        }
    }
}

impl Source {
    fn split(&mut self) {
        let mut rest = &self.partial[..];
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let Some((frame, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize)
            else {
                break;
            };
            self.frames.push(frame.into());
            rest = after;
        }
        let used = self.partial.len() - rest.len();
        self.partial.drain(..used);
    }
}
