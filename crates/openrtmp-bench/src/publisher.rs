//! One publisher on a thread of its own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
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
    /// Send none for now.
    pause: AtomicBool,
    /// Disconnect.
    ending: OnceLock<Ending>,
    /// The number of the next frame.
    sent: AtomicU64,
}

/// How a publisher's connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// As RTMP says.
    Goodbye,
    /// The end of the stream without a word.
    Vanish,
    /// A reset in the middle of a frame.
    Reset,
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
        Publisher::start_at(target, frames, clock, pace, 0)
    }

    /// The same, with another number for the first frame.
    pub(crate) fn start_at(
        target: &Target,
        frames: Arc<Frames>,
        clock: Clock,
        pace: Pace,
        first: u64,
    ) -> io::Result<Publisher> {
        let mut connection = Connection::connect(target)?;
        let shared = Arc::new(Shared::default());
        shared.sent.store(first, Ordering::Release);
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("publisher".into())
            .spawn(move || publish(&mut connection, &frames, clock, pace, &theirs))?;
        Ok(Publisher { shared, thread })
    }

    /// Sends nothing until told otherwise.
    pub(crate) fn pause(&self, on: bool) {
        self.shared.pause.store(on, Ordering::Release);
    }

    /// The number that the next frame will have.
    pub(crate) fn next(&self) -> u64 {
        self.shared.sent.load(Ordering::Acquire) & !STOPPED
    }

    /// Stops sending; returns the number that the next frame would have had.
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
        self.end(Ending::Goodbye)
    }

    /// Disconnects in one of several ways.
    pub(crate) fn end(self, ending: Ending) -> io::Result<Published> {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.ending.get_or_init(|| ending);
        self.thread
            .join()
            .map_err(|_| io::Error::other("the publisher panicked"))?
    }
}

/// In `Shared::sent`: no more will come.
const STOPPED: u64 = 1 << 63;

fn publish(
    connection: &mut Connection,
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
    let first = shared.sent.load(Ordering::Acquire);
    connection.send(0, frames.sequence_header())?;
    let mut start = Instant::now();
    let cpu = thread_cpu();
    while !shared.stop.load(Ordering::Acquire) {
        if shared.pause.load(Ordering::Acquire) {
            let pause = Duration::from_millis(10);
            std::thread::sleep(pause);
            start += pause;
            connection.drain()?;
            continue;
        }
        let due = match pace {
            Pace::RealTime(fps) => Duration::from_secs(done.frames) / fps,
            Pace::Unlimited => start.elapsed(),
        };
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        done.lateness = done.lateness.max(start.elapsed().saturating_sub(due));
        frames.write(first + done.frames, clock.nanos(), &mut body);
        done.bytes += connection.send(due.as_millis() as u32, &body)? as u64;
        done.frames += 1;
        shared.sent.store(first + done.frames, Ordering::Release);
        if matches!(pace, Pace::RealTime(_)) || done.frames.is_multiple_of(64) {
            connection.drain()?;
        }
    }
    done.elapsed = start.elapsed();
    done.cpu = thread_cpu().saturating_sub(cpu);
    let next = first + done.frames;
    shared.sent.store(next | STOPPED, Ordering::Release);
    let ending = loop {
        if let Some(ending) = shared.ending.get() {
            break ending;
        }
        std::thread::sleep(Duration::from_millis(1));
        connection.drain()?;
    };
    match ending {
        Ending::Goodbye => connection.close(),
        Ending::Vanish => connection.leave()?,
        Ending::Reset => {
            frames.write(next, clock.nanos(), &mut body);
            connection.break_off(done.elapsed.as_millis() as u32, &body)?;
        }
    }
    Ok(done)
}

/// The connection frames are sent on.
struct Connection {
    stream: TcpStream,
    link: Link,
}

enum Link {
    Rtmp(Box<ClientSession>),
    /// Each message with its length before it, so that the fan-out need not
    /// understand chunks.
    Floor(ChunkWriter),
}

impl Connection {
    fn connect(target: &Target) -> io::Result<Connection> {
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
        Ok(Connection { stream, link })
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

    /// Sends half of a message and resets the connection.
    fn break_off(&mut self, timestamp: u32, body: &[u8]) -> io::Result<()> {
        if let Link::Rtmp(session) = &mut self.link
            && session.send(MediaKind::Video, timestamp, body)
        {
            let mut wire = Vec::new();
            while let Some(bytes) = session.poll_transmit() {
                wire.extend_from_slice(&bytes);
            }
            self.stream.write_all(&wire[..wire.len() / 2])?;
        }
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    fn close(&mut self) {
        if let Link::Rtmp(session) = &mut self.link {
            session.close();
            // The server may be gone; the connection is over either way.
            let _ = flush(&mut self.stream, session).and_then(|()| self.leave());
        }
    }

    /// Ends the sending and reads to the server's end. To close with bytes unread
    /// would be a reset, which may overtake frames.
    fn leave(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        io::copy(&mut self.stream, &mut io::sink())?;
        Ok(())
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
