//! A small blocking RTMP client: publish or play one stream over one connection.
//!
//! It drives a [`ClientSession`] over TCP on the caller's thread. The only other
//! thread is one that looks up a host name, and ends with the answer. Whatever the
//! caller waits for, the client goes on reading what the server sends
//! (acknowledgements, pings, statuses), so neither side can block the other for good.
//!
//! # Time
//!
//! Every wait has an end that the server has no influence on: a [`Deadline`], or a
//! time of [`ClientConfig`]. A server that talks without end, says nothing of use, or
//! reads nothing, puts none of them off. [`ClientWaker::wake`] ends any wait at once.
//!
//! # Publish
//!
//! ```no_run
//! use openrtmp_core::client::{Client, ClientConfig, ClientMode, Deadline, MediaKind};
//! use openrtmp_protocol::RtmpUrl;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let url = RtmpUrl::parse("rtmp://localhost/live/camera")?;
//! let mut client = Client::connect(ClientConfig::new(url, ClientMode::Publish))?;
//! let aac_configuration = [0xAF, 0x00, 0x12, 0x10];
//! client.send(MediaKind::Audio, 0, &aac_configuration)?;
//! client.close(Deadline::NEVER)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Play
//!
//! ```no_run
//! use std::time::Duration;
//! use openrtmp_core::client::{Client, ClientConfig, ClientEvent, ClientMode, Deadline};
//! use openrtmp_protocol::RtmpUrl;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let url = RtmpUrl::parse("rtmp://localhost/live/camera")?;
//! let mut client = Client::connect(ClientConfig::new(url, ClientMode::Play))?;
//! let minute = Deadline::after(Duration::from_secs(60));
//! while let Some(event) = client.next_event(minute)? {
//!     match event {
//!         ClientEvent::Media(media) => {
//!             let _ = (media.kind, media.timestamp, media.payload.len());
//!         }
//!         ClientEvent::StreamEof => break,
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod connecting;
mod deadline;
#[cfg(test)]
mod endless_tests;
mod error;
#[cfg(test)]
mod tests;
#[cfg(all(test, feature = "tls"))]
mod tls_tests;
mod waker;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use openrtmp_protocol::command::{Status, code};
use openrtmp_protocol::session::{self, ClientSession, SessionError, Stage};
use openrtmp_protocol::{RtmpUrl, Time};

use crate::config::TlsClientConfig;
use crate::platform::native::{Native, NativePoller, NativeStream};
use crate::platform::{Platform, Poller, Readiness, Token};
use crate::transport::{self, Transport};

pub use crate::dial::ConnectFailures;
pub use connecting::Connecting;
pub use deadline::Deadline;
pub use error::ClientError;
// What a program handles of the session: it names no other module for it.
pub use openrtmp_protocol::session::{ClientEvent, ClientMode, Media, MediaKind};
pub use waker::ClientWaker;

/// Settings of a [`Client`]: those of its session, whose type of this name knows no socket, and
/// what is around it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// What to publish or play, and how to speak.
    pub session: session::ClientConfig,
    /// For `rtmps`: whose certificate is believed, and which one is shown.
    pub tls: TlsClientConfig,
    /// From the beginning until media may flow: looking up the host, connecting,
    /// handshake and commands together. The session's own timeout, which starts
    /// once there is a connection, counts if it comes first.
    pub connect_timeout: Duration,
    /// How long the server may take no bytes at all, while some wait to be sent, before
    /// the client gives up.
    pub send_timeout: Duration,
    /// Bytes that [`Client::send`] may leave to be sent later. Beyond them it
    /// blocks, which is how a slow network slows down the caller.
    pub unsent_bytes: usize,
}

impl ClientConfig {
    /// Defaults: 20 s to connect, 10 s without progress, 1 MiB unsent.
    pub fn new(url: RtmpUrl, mode: ClientMode) -> ClientConfig {
        ClientConfig {
            session: session::ClientConfig::new(url, mode),
            tls: TlsClientConfig::default(),
            connect_timeout: Duration::from_secs(20),
            send_timeout: Duration::from_secs(10),
            unsent_bytes: 1024 * 1024,
        }
    }
}

/// One connection that publishes or plays. Dropping it closes the socket without
/// saying goodbye; [`Client::close`] says it.
///
/// After an error every further call may fail; drop the client.
pub struct Client {
    session: ClientSession,
    mode: ClientMode,
    stage: Stage,
    connect_timeout: Duration,
    send_timeout: Duration,
    unsent_limit: usize,
    platform: Native,
    /// The platform's time when the session's began.
    start: Time,
    transport: Transport<NativeStream>,
    peer: SocketAddr,
    poller: NativePoller,
    ready: Vec<Readiness>,
    waker: ClientWaker,
    /// The socket may hold bytes that were not read. Readiness is edge-triggered.
    readable: bool,
    /// The kernel may take more bytes.
    writable: bool,
    read_buffer: Box<[u8]>,
    events: VecDeque<ClientEvent>,
    /// Payloads in `events`.
    event_bytes: usize,
    /// What is reported once the queued events are taken; `Closed` ever after.
    failure: Option<ClientError>,
    unsent: VecDeque<Bytes>,
    unsent_bytes: usize,
    /// When the kernel last took bytes, or there were none to take.
    progress: Instant,
    received_bytes: u64,
    sent_bytes: u64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("peer", &self.peer)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Looks up the host, connects to the first of its addresses that answers (RFC
    /// 8305), and speaks up to the point where media may be
    /// sent ([`ClientMode::Publish`]) or the server has started to play. A server
    /// may start before there is anything to play: then media come later.
    ///
    /// All of it takes at most [`ClientConfig::connect_timeout`]; [`Connecting`]
    /// does the same and can be interrupted.
    ///
    /// # Errors
    ///
    /// Any [`ClientError`] but `Ended`, `Stalled`, `NotPublishing` and
    /// `Interrupted`.
    pub fn connect(config: ClientConfig) -> Result<Client, ClientError> {
        Connecting::new(config)?.finish()
    }

    /// The next event, in the order of the wire. Blocks until there is one; `None` once
    /// the deadline has come, whatever else has, or if [`ClientWaker::wake`] was used.
    ///
    /// `HandshakeDone`, `Connected` and `Ready` are consumed by
    /// [`Client::connect`] and not seen here.
    ///
    /// # Errors
    ///
    /// `Ended` if the server sent a status of level error or, publishing, said that
    /// the stream is unpublished; `Closed` if it closed the connection; `Stalled` if it
    /// took nothing for [`ClientConfig::send_timeout`]; `Protocol` or `Io`. Events that
    /// came before the error are returned first.
    pub fn next_event(&mut self, deadline: Deadline) -> Result<Option<ClientEvent>, ClientError> {
        Ok(self.event(deadline)?.ok())
    }

    /// The next event if there is one already. Looks at the socket once and does not
    /// wait; uses of [`ClientWaker::wake`] stay for the next wait.
    ///
    /// # Errors
    ///
    /// As [`Client::next_event`].
    pub fn try_event(&mut self) -> Result<Option<ClientEvent>, ClientError> {
        if self.events.is_empty() {
            self.check()?;
            // Readiness is told to those who wait.
            self.readable = true;
            self.transfer();
        }
        match self.pop() {
            Some(event) => Ok(Some(event)),
            None => self.check().map(|()| None),
        }
    }

    /// Sends one message of the published stream. `timestamp` is in milliseconds,
    /// mod 2^32. Audio and video payloads are FLV tag bodies; data payloads are
    /// AMF0 values, the first one the name, for example `onMetaData`.
    ///
    /// Returns once the message is with the kernel or at most
    /// [`ClientConfig::unsent_bytes`] wait to be sent.
    ///
    /// # Errors
    ///
    /// `NotPublishing` for a client that plays; `Interrupted` if [`ClientWaker::wake`]
    /// was used while it blocked: the message is kept, and the next call goes on
    /// sending; `Stalled`, `Ended` and the others as [`Client::next_event`].
    pub fn send(
        &mut self,
        kind: MediaKind,
        timestamp: u32,
        payload: &[u8],
    ) -> Result<(), ClientError> {
        self.check()?;
        if !self.session.send(kind, timestamp, payload) {
            return Err(ClientError::NotPublishing);
        }
        self.drain(self.unsent_limit, Deadline::NEVER, Heed::Waker)
    }

    /// Blocks until the kernel has every byte.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.drain(0, Deadline::NEVER, Heed::Waker)
    }

    /// Says goodbye (FCUnpublish, deleteStream), sends everything and waits up to a
    /// second for the server to close, so that nothing sent is lost. Uses of
    /// [`ClientWaker::wake`] do not shorten it; the deadline does.
    ///
    /// # Errors
    ///
    /// As [`Client::send`], if the server is gone before everything is sent, and
    /// `Unsent` if the deadline came before.
    pub fn close(mut self, deadline: Deadline) -> Result<(), ClientError> {
        self.session.close();
        // From here on "unpublished" is what the server should answer.
        self.stage = Stage::Closed;
        match self.drain(0, deadline, Heed::Nobody) {
            Err(_) if !self.has_unsent() => return Ok(()),
            result => result?,
        }
        if self.transport.close().is_err() {
            return Ok(());
        }
        // Closing a socket with unread bytes resets the connection, and a reset
        // may overtake what was sent.
        let deadline = deadline.earlier(Deadline::after(GOODBYE));
        while !deadline.is_over() && self.check().is_ok() {
            self.discard_events();
            self.transfer();
            if self.failure.is_none() && self.wait(deadline).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Ends the waits of this client, from any thread.
    pub fn waker(&self) -> ClientWaker {
        self.waker.clone()
    }

    /// The server's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Bytes received from the server, handshake included.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Bytes handed to the kernel, handshake included.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    fn new(
        config: &ClientConfig,
        platform: Native,
        mut poller: NativePoller,
        waker: ClientWaker,
        mut transport: Transport<NativeStream>,
        peer: SocketAddr,
    ) -> Result<Client, ClientError> {
        transport.register(&mut poller, SOCKET)?;
        // For good: readiness is an edge, so an idle socket that could take more is
        // not reported again.
        transport.watch_writable(&mut poller, SOCKET, true)?;
        let mut entropy = Ok(());
        let mode = config.session.mode;
        let session = ClientSession::new(config.session.clone(), Time::ZERO, &mut |bytes| {
            if let Err(error) = platform.fill_random(bytes) {
                entropy = Err(io::Error::other(format!("no random bytes: {error}")));
            }
        });
        entropy?;
        Ok(Client {
            session,
            mode,
            stage: Stage::Handshake,
            connect_timeout: config.connect_timeout,
            send_timeout: config.send_timeout,
            unsent_limit: config.unsent_bytes,
            start: platform.now(),
            platform,
            transport,
            peer,
            poller,
            ready: Vec::new(),
            waker,
            readable: true,
            writable: true,
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
            events: VecDeque::new(),
            event_bytes: 0,
            failure: None,
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            progress: Instant::now(),
            received_bytes: 0,
            sent_bytes: 0,
        })
    }

    /// Ends the connection for another, which goes on with the poller.
    fn hang_up(mut self) -> NativePoller {
        self.transport.say_goodbye();
        // Closing the socket does it too.
        let _ = self.transport.deregister(&mut self.poller);
        self.poller
    }

    /// Speaks until media may flow, at most until the platform's time is `deadline`.
    fn become_ready(&mut self, deadline: Time) -> Result<(), ClientError> {
        let deadline = Time::ZERO + deadline.since(self.start);
        loop {
            let own = self.session.poll_timeout();
            let first = own.map_or(deadline, |own| own.min(deadline));
            let left = first.since(self.now());
            match self.event(Deadline::after(left))? {
                Ok(ClientEvent::Ready) => return Ok(()),
                Ok(_) => {}
                Err(Wakeup::Caller) => return Err(ClientError::Interrupted),
                Err(_) if self.now() >= deadline => {
                    return Err(ClientError::Timeout {
                        stage: self.stage,
                        limit: self.connect_timeout,
                    });
                }
                Err(_) => self.session.handle_timeout(self.now())?,
            }
        }
    }

    /// The next event, or what ended the wait for it. The wait ends first: events may
    /// come without end.
    fn event(&mut self, deadline: Deadline) -> Result<Result<ClientEvent, Wakeup>, ClientError> {
        loop {
            if self.waker.take() {
                return Ok(Err(Wakeup::Caller));
            }
            if deadline.is_over() {
                return Ok(Err(Wakeup::Deadline));
            }
            if let Some(event) = self.pop() {
                return Ok(Ok(event));
            }
            self.check()?;
            self.transfer();
            if self.events.is_empty() && self.failure.is_none() {
                self.wait(deadline)?;
            }
        }
    }

    fn pop(&mut self) -> Option<ClientEvent> {
        let event = self.events.pop_front()?;
        self.event_bytes -= payload_bytes(&event);
        Some(event)
    }

    fn discard_events(&mut self) {
        self.events.clear();
        self.event_bytes = 0;
    }

    fn now(&self) -> Time {
        Time::ZERO + self.platform.now().since(self.start)
    }

    /// Blocks until at most `limit` bytes are unsent, reading meanwhile.
    fn drain(&mut self, limit: usize, deadline: Deadline, heed: Heed) -> Result<(), ClientError> {
        loop {
            self.check()?;
            // Nobody has waited for readiness while all went out at once.
            self.readable = true;
            self.transfer();
            self.check()?;
            if self.unsent_bytes <= limit && (limit > 0 || self.transport.is_flushed()) {
                return Ok(());
            }
            if deadline.is_over() {
                let bytes = self.unsent_bytes + self.transport.unsent_bytes();
                return Err(ClientError::Unsent { bytes });
            }
            if heed == Heed::Waker && self.waker.take() {
                return Err(ClientError::Interrupted);
            }
            self.wait(deadline)?;
        }
    }

    /// The failure, if there is one; `Closed` from then on.
    fn check(&mut self) -> Result<(), ClientError> {
        let Some(failure) = self.failure.take() else {
            return Ok(());
        };
        self.failure = Some(ClientError::Closed { stage: self.stage });
        Err(failure)
    }

    /// Waits for the socket or the waker, unless there is something to read already.
    /// May return early with nothing.
    fn wait(&mut self, deadline: Deadline) -> Result<(), ClientError> {
        let stall = self.stall();
        let overdue = stall.is_over();
        if overdue || !self.can_read() {
            self.ready.clear();
            let first = deadline.earlier(stall);
            self.poller.poll(first.left(), &mut self.ready)?;
            // Whatever else ended the wait: an edge is not told again.
            for ready in &self.ready {
                self.readable |= ready.readable;
                self.writable |= ready.writable;
            }
        }
        // Asked for just now: nobody may have called for as long as that.
        if overdue && !self.writable {
            self.failure = Some(ClientError::Stalled {
                limit: self.send_timeout,
            });
        }
        Ok(())
    }

    /// True while something waits to be with the kernel.
    fn has_unsent(&self) -> bool {
        self.unsent_bytes > 0 || self.transport.wants_write()
    }

    /// When to give up a server that takes nothing.
    fn stall(&self) -> Deadline {
        match self.has_unsent() {
            false => Deadline::NEVER,
            true => self
                .progress
                .checked_add(self.send_timeout)
                .map_or(Deadline::NEVER, Deadline::from),
        }
    }

    /// Whether there may be something to read, and room for what comes of it.
    fn can_read(&self) -> bool {
        self.readable
            && self.failure.is_none()
            && self.events.len() < EVENTS
            && self.event_bytes < EVENT_BYTES
            && self.unsent_bytes < self.unsent_limit.saturating_add(UNSENT_ANSWERS)
    }

    /// Reads what the kernel holds (within a budget) and writes what it takes, neither
    /// blocking. Errors wait in `failure`.
    ///
    /// Reading comes first: a write to a peer that has closed is answered by a reset,
    /// and some systems (Windows) then drop what it said before and was not read yet.
    fn transfer(&mut self) {
        self.receive();
        if let Err(error) = self.write() {
            // What the server said before it closed counts more than the failed
            // write that follows from it, and may not have been reported yet. No
            // more can come, so what the kernel holds is all there is to read.
            self.readable = true;
            while self.readable && self.failure.is_none() {
                self.read();
            }
            if self.failure.is_none() {
                self.failure = Some(self.lost(error));
            }
        }
    }

    fn receive(&mut self) {
        for _ in 0..READS {
            if !self.can_read() {
                return;
            }
            self.read();
            self.take_answers();
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.take_answers();
        while self.writable && self.unsent_bytes > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            for (slice, bytes) in slices.iter_mut().zip(&self.unsent) {
                *slice = IoSlice::new(bytes);
            }
            let count = self.unsent.len().min(SLICES);
            match self.transport.write_vectored(&slices[..count]) {
                Ok(written) => self.sent(written),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        // Of a transport's own: a handshake, or records of what was taken over.
        if self.writable && self.transport.wants_write() {
            match self.transport.flush() {
                Ok(()) => self.progress = Instant::now(),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// What the session has to say joins what waits to be sent.
    fn take_answers(&mut self) {
        if !self.has_unsent() {
            self.progress = Instant::now();
        }
        while let Some(bytes) = self.session.poll_transmit() {
            self.unsent_bytes += bytes.len();
            self.unsent.push_back(bytes);
        }
    }

    fn sent(&mut self, mut count: usize) {
        self.progress = Instant::now();
        self.unsent_bytes -= count;
        self.sent_bytes += count as u64;
        while let Some(first) = self.unsent.front_mut() {
            if first.len() > count {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.unsent.pop_front();
        }
    }

    fn read(&mut self) {
        match self.transport.read(&mut self.read_buffer) {
            Ok(0) => {
                self.readable = false;
                self.failure = Some(ClientError::Closed { stage: self.stage });
            }
            Ok(count) => {
                self.received_bytes += count as u64;
                self.take_input(count);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable = false,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                self.readable = false;
                self.failure = Some(self.lost(e));
            }
        }
    }

    /// Feeds the session and queues its events.
    fn take_input(&mut self, count: usize) {
        let now = self.now();
        let mut start = 0;
        while start < count && self.failure.is_none() {
            match self
                .session
                .handle_input(now, &self.read_buffer[start..count])
            {
                Ok(used) => start += used,
                Err(error) => self.failure = Some(self.broken(error)),
            }
            while let Some(event) = self.session.poll_event() {
                self.advance_stage(&event);
                match event {
                    ClientEvent::Status(status) if self.ends_stream(&status) => {
                        self.failure = Some(ClientError::Ended {
                            code: status.code,
                            description: status.description,
                        });
                        return;
                    }
                    event => {
                        self.event_bytes += payload_bytes(&event);
                        self.events.push_back(event);
                    }
                }
            }
        }
    }

    fn advance_stage(&mut self, event: &ClientEvent) {
        self.stage = match (event, self.mode) {
            (ClientEvent::HandshakeDone(_), _) => Stage::Connect,
            (ClientEvent::Connected(_), _) => Stage::Connected,
            (ClientEvent::Ready, ClientMode::Publish) => Stage::Publishing,
            (ClientEvent::Ready, ClientMode::Play) => Stage::Playing,
            _ => return,
        };
    }

    /// A status of level error is an error of the session; this one is not.
    fn ends_stream(&self, status: &Status) -> bool {
        self.stage == Stage::Publishing && status.code == code::UNPUBLISH_SUCCESS
    }

    /// What the server refuses once the stream runs, it ends.
    fn broken(&self, error: SessionError) -> ClientError {
        match (error, self.stage) {
            (
                SessionError::Refused {
                    code, description, ..
                },
                Stage::Publishing | Stage::Playing,
            ) => ClientError::Ended { code, description },
            (error, _) => error.into(),
        }
    }

    fn lost(&self, error: io::Error) -> ClientError {
        if let Some(failure) = transport::failure(&error) {
            return ClientError::TlsFailed(failure);
        }
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => ClientError::Closed { stage: self.stage },
            _ => ClientError::Io(error),
        }
    }
}

fn payload_bytes(event: &ClientEvent) -> usize {
    match event {
        ClientEvent::Media(media) => media.payload.len(),
        _ => 0,
    }
}

/// Why a wait for an event is over without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wakeup {
    Caller,
    Deadline,
}

/// Whose wish ends a call that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heed {
    Waker,
    Nobody,
}

const SOCKET: Token = Token(0);
const READ_BYTES: usize = 64 * 1024;
/// Reads in one turn, so that a fast server cannot keep a caller from its deadline.
const READS: usize = 16;
/// Events that may wait for the caller before the client stops reading.
const EVENTS: usize = 64;
/// Bytes of media in them before it does. One message more may come, of up to 16 MiB.
const EVENT_BYTES: usize = 4 * 1024 * 1024;
/// Answers (pongs, acknowledgements) to a server that takes none, beyond
/// [`ClientConfig::unsent_bytes`], before the client stops reading: a publisher has to
/// go on reading while its own media wait.
const UNSENT_ANSWERS: usize = 16 * 1024 * 1024;
/// Slices in one vectored write.
const SLICES: usize = 32;
/// How long [`Client::close`] waits for the server to close.
const GOODBYE: Duration = Duration::from_secs(1);
