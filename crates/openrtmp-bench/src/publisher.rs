//! One publisher on a thread of its own.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use openrtmp_protocol::Time;
use openrtmp_protocol::chunk::ChunkWriter;
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::{ClientEvent, ClientMode, ClientSession, MediaKind};

use crate::payload::{Clock, Frames};
use crate::process::thread_cpu;
use crate::target::{CHUNK_SIZE, Target, session};

/// How long to wait for a server that says or takes nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running publisher.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    thread: JoinHandle<io::Result<Published>>,
}

#[derive(Default)]
struct Shared {
    /// Send no more.
    stop: AtomicBool,
    /// Disconnect.
    close: AtomicBool,
    /// Frames sent.
    sent: AtomicU64,
}

/// What a publisher did.
pub(crate) struct Published {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// From the first frame to the last.
    pub(crate) elapsed: Duration,
    /// The latest that a frame was sent after its time.
    pub(crate) lateness: Duration,
    pub(crate) cpu: Duration,
}

/// When frames are due.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// This many a second.
    RealTime(u32),
    /// One after the other.
    Unlimited,
}

impl Publisher {
    /// Connects, and starts to send.
    pub(crate) fn start(
        target: &Target,
        frames: Arc<Frames>,
        clock: Clock,
        pace: Pace,
    ) -> io::Result<Publisher> {
        let mut outlet = Outlet::connect(target)?;
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("publisher".into())
            .spawn(move || publish(&mut outlet, &frames, clock, pace, &theirs))?;
        Ok(Publisher { shared, thread })
    }

    /// Stops sending; returns how many frames were sent.
    pub(crate) fn stop(&self) -> u64 {
        self.shared.stop.store(true, Ordering::Release);
        loop {
            // The thread may be about to send one more.
            let sent = self.shared.sent.load(Ordering::Acquire);
            if sent & STOPPED != 0 || self.thread.is_finished() {
                return sent & !STOPPED;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Disconnects.
    pub(crate) fn finish(self) -> io::Result<Published> {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.close.store(true, Ordering::Release);
        self.thread
            .join()
            .map_err(|_| io::Error::other("the publisher panicked"))?
    }
}

/// In `Shared::sent`: no more will come.
const STOPPED: u64 = 1 << 63;

fn publish(
    outlet: &mut Outlet,
    frames: &Frames,
    clock: Clock,
    pace: Pace,
    shared: &Shared,
) -> io::Result<Published> {
    let mut body = Vec::new();
    let mut done = Published {
        frames: 0,
        bytes: 0,
        elapsed: Duration::ZERO,
        lateness: Duration::ZERO,
        cpu: Duration::ZERO,
    };
    outlet.send(0, frames.sequence_header())?;
    let start = Instant::now();
    let cpu = thread_cpu();
    while !shared.stop.load(Ordering::Acquire) {
        let due = match pace {
            Pace::RealTime(fps) => Duration::from_secs(done.frames) / fps,
            Pace::Unlimited => start.elapsed(),
        };
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        done.lateness = done.lateness.max(start.elapsed().saturating_sub(due));
        frames.write(done.frames, clock.nanos(), &mut body);
        done.bytes += outlet.send(due.as_millis() as u32, &body)? as u64;
        done.frames += 1;
        shared.sent.store(done.frames, Ordering::Release);
        if matches!(pace, Pace::RealTime(_)) || done.frames.is_multiple_of(64) {
            outlet.drain()?;
        }
    }
    done.elapsed = start.elapsed();
    done.cpu = thread_cpu().saturating_sub(cpu);
    shared.sent.store(done.frames | STOPPED, Ordering::Release);
    while !shared.close.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(1));
        outlet.drain()?;
    }
    outlet.close();
    Ok(done)
}

/// The connection frames are sent on.
struct Outlet {
    stream: TcpStream,
    link: Link,
}

enum Link {
    Rtmp(Box<ClientSession>),
    /// Each message with its length before it, so that the fan-out need not
    /// understand chunks.
    Floor(ChunkWriter),
}

impl Outlet {
    fn connect(target: &Target) -> io::Result<Outlet> {
        let mut stream = TcpStream::connect_timeout(&target.address()?, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let link = match target {
            Target::Rtmp(url) => {
                let mut session = session(url, ClientMode::Publish);
                make_ready(&mut stream, &mut session)?;
                Link::Rtmp(Box::new(session))
            }
            Target::Floor(_) => {
                stream.write_all(b"P")?;
                let mut writer = ChunkWriter::new();
                writer.set_chunk_size(CHUNK_SIZE);
                Link::Floor(writer)
            }
        };
        Ok(Outlet { stream, link })
    }

    /// Sends a video message; returns its bytes on the wire.
    fn send(&mut self, timestamp: u32, body: &[u8]) -> io::Result<usize> {
        let mut total = 0;
        match &mut self.link {
            Link::Rtmp(session) => {
                if !session.send(MediaKind::Video, timestamp, body) {
                    return Err(io::Error::other("the publish has ended"));
                }
                while let Some(bytes) = session.poll_transmit() {
                    total += bytes.len();
                    self.stream.write_all(&bytes)?;
                }
            }
            Link::Floor(writer) => {
                let mut wire = BytesMut::zeroed(4);
                writer.write(6, kind::VIDEO, 1, timestamp, body, &mut wire);
                total = wire.len() - 4;
                wire[..4].copy_from_slice(&(total as u32).to_le_bytes());
                self.stream.write_all(&wire)?;
            }
        }
        Ok(total)
    }

    /// Reads what the server says, without waiting.
    fn drain(&mut self) -> io::Result<()> {
        let Link::Rtmp(session) = &mut self.link else {
            return Ok(());
        };
        self.stream.set_nonblocking(true)?;
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer);
        self.stream.set_nonblocking(false)?;
        match read {
            Ok(0) => return Err(io::Error::other("the server closed the publisher")),
            Ok(n) => feed(session, &buffer[..n], |_| {})?,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        flush(&mut self.stream, session)
    }

    fn close(&mut self) {
        if let Link::Rtmp(session) = &mut self.link {
            session.close();
            // The server may be gone; the connection is over either way.
            let _ = flush(&mut self.stream, session);
        }
    }
}

fn make_ready(stream: &mut TcpStream, session: &mut ClientSession) -> io::Result<()> {
    let mut ready = false;
    let mut buffer = [0; 8192];
    while !ready {
        flush(stream, session)?;
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Err(io::Error::other("the server closed the publisher"));
        }
        feed(session, &buffer[..n], |event| {
            ready |= event == ClientEvent::Ready;
        })?;
    }
    flush(stream, session)
}

fn feed(
    session: &mut ClientSession,
    mut bytes: &[u8],
    mut on_event: impl FnMut(ClientEvent),
) -> io::Result<()> {
    while !bytes.is_empty() {
        let used = session
            .handle_input(Time::ZERO, bytes)
            .map_err(io::Error::other)?;
        bytes = &bytes[used..];
        while let Some(event) = session.poll_event() {
            on_event(event);
        }
    }
    Ok(())
}

fn flush(stream: &mut TcpStream, session: &mut ClientSession) -> io::Result<()> {
    while let Some(bytes) = session.poll_transmit() {
        stream.write_all(&bytes)?;
    }
    Ok(())
}
