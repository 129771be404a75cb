//! Many players on one thread.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use openrtmp_protocol::chunk::ChunkReader;
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::{ClientEvent, ClientMode, ClientSession, MediaKind};
use openrtmp_protocol::{Limits, Time};
use rustls::ClientConfig;
use serde::Serialize;

use crate::payload::{Clock, Frames};
use crate::target::{CHUNK_SIZE, Target, session};
use crate::tls::Wire;

/// Bytes read at once.
const READ_BUFFER: usize = 256 * 1024;

/// The play command's name as AMF0 string: tells when it is sent.
const PLAY: &[u8] = b"\x02\x00\x04play";

/// Players of one target, driven by [`Players::run_until`].
pub(crate) struct Players {
    /// What is played: each player takes the next one, from the first again.
    targets: Vec<Target>,
    tls: Option<Arc<ClientConfig>>,
    address: SocketAddr,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    players: Vec<Player>,
    frames: Arc<Frames>,
    clock: Clock,
    /// Latencies, nanoseconds, while recording.
    samples: Vec<u64>,
    recording: bool,
    bytes: u64,
    /// What those were told that were replaced.
    retired: Verdict,
}

/// What was wrong with what players got; all zero for a right server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Faults {
    /// Connections that ended or failed.
    pub(crate) lost_players: u64,
    /// Players that never got a frame.
    pub(crate) silent_players: u64,
    /// Frames between two that came.
    pub(crate) missing_frames: u64,
    /// Frames after the last that came.
    pub(crate) missing_at_end: u64,
    /// Frames that came again or too late.
    pub(crate) disordered_frames: u64,
    /// Messages that are not as sent.
    pub(crate) corrupt_messages: u64,
    /// Players that began without sequence header or key frame.
    pub(crate) bad_starts: u64,
}

/// Frames that did not come: from the one expected to before the one that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) expected: u64,
    pub(crate) came: u64,
}

/// What is known of players besides what is at their end.
#[derive(Default)]
struct Verdict {
    faults: Faults,
    gaps: Vec<Gap>,
    /// Frames that came, whole and right.
    frames: u64,
}

impl Verdict {
    fn add(&mut self, other: &Verdict) {
        self.faults.add(&other.faults);
        self.gaps.extend(&other.gaps);
        self.frames += other.frames;
    }
}

impl Faults {
    pub(crate) fn add(&mut self, other: &Faults) {
        self.lost_players += other.lost_players;
        self.silent_players += other.silent_players;
        self.missing_frames += other.missing_frames;
        self.missing_at_end += other.missing_at_end;
        self.disordered_frames += other.disordered_frames;
        self.corrupt_messages += other.corrupt_messages;
        self.bad_starts += other.bad_starts;
    }
}

/// How a player's connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// The end of the stream, as when a program ends.
    Close,
    /// A reset, as when a machine is gone.
    Reset,
}

struct Player {
    stream: Wire,
    inlet: Inlet,
    unsent: Vec<u8>,
    opened: u64,
    connected: Option<u64>,
    play_sent: Option<u64>,
    first_frame: Option<u64>,
    header_seen: bool,
    /// The number of the frame that must come next.
    next: Option<u64>,
    lost: Option<String>,
    /// It no longer reads.
    stuck: bool,
    /// Made to misbehave: what it misses is its own doing.
    abused: bool,
    verdict: Verdict,
}

enum Inlet {
    Rtmp(Box<ClientSession>),
    Floor(Box<ChunkReader>),
}

impl Players {
    /// Players of these streams of one server.
    pub(crate) fn new(
        targets: &[Target],
        tls: Option<Arc<ClientConfig>>,
        frames: Arc<Frames>,
        clock: Clock,
    ) -> io::Result<Players> {
        let first = targets.first().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Players {
            address: first.address()?,
            targets: targets.to_vec(),
            tls,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            buffer: vec![0; READ_BUFFER],
            players: Vec::new(),
            frames,
            clock,
            samples: Vec::new(),
            recording: false,
            bytes: 0,
            retired: Verdict::default(),
        })
    }

    /// Starts to connect this many more at once.
    pub(crate) fn add(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let player = self.connect(Token(self.players.len()))?;
            self.players.push(player);
        }
        Ok(())
    }

    fn connect(&self, token: Token) -> io::Result<Player> {
        let opened = self.clock.nanos();
        let mut stream = TcpStream::connect(self.address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, token, interest)?;
        let (inlet, unsent) = match &self.targets[token.0 % self.targets.len()] {
            Target::Rtmp(url) => {
                let mut session = session(url, ClientMode::Play);
                let hello = session.poll_transmit().unwrap_or_default();
                (Inlet::Rtmp(Box::new(session)), hello.to_vec())
            }
            Target::Floor(_) => {
                let mut reader = ChunkReader::new(&Limits::default());
                reader
                    .set_chunk_size(CHUNK_SIZE)
                    .map_err(io::Error::other)?;
                (Inlet::Floor(Box::new(reader)), b"S".to_vec())
            }
        };
        Ok(Player {
            stream: Wire::client(stream, self.tls.as_ref())?,
            inlet,
            unsent,
            opened,
            connected: None,
            play_sent: None,
            first_frame: None,
            header_seen: false,
            next: None,
            lost: None,
            stuck: false,
            abused: false,
            verdict: Verdict::default(),
        })
    }

    /// True if a player has frames and nothing was done to it.
    pub(crate) fn is_healthy(&self, index: usize) -> bool {
        let player = &self.players[index];
        player.first_frame.is_some() && player.lost.is_none() && !player.abused
    }

    /// A player reads no more.
    pub(crate) fn stall(&mut self, index: usize) {
        self.players[index].stall();
    }

    /// A player sends what is not RTMP. False once its connection is gone.
    pub(crate) fn flood(&mut self, index: usize, garbage: &[u8]) -> bool {
        let player = &mut self.players[index];
        player.abused = true;
        player.unsent.extend_from_slice(garbage);
        if let Err(e) = player.flush() {
            player.lost.get_or_insert(e.to_string());
        }
        player.lost.is_none()
    }

    /// Ends a player's connection and puts a new player in its place.
    pub(crate) fn replace(&mut self, index: usize, ending: Ending) -> io::Result<()> {
        let new = self.connect(Token(index))?;
        let old = std::mem::replace(&mut self.players[index], new);
        self.retired.add(&old.verdict());
        if let Ending::Reset = ending {
            socket2::SockRef::from(old.stream.socket()).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    /// Frames that came so far, whole and right.
    pub(crate) fn frames(&self) -> u64 {
        let now: u64 = self.players.iter().map(|p| p.verdict.frames).sum();
        self.retired.frames + now
    }

    /// Connects this many more, `at_once` at a time. False if not all did in time.
    pub(crate) fn join(
        &mut self,
        count: usize,
        at_once: usize,
        patience: Duration,
    ) -> io::Result<bool> {
        let wanted = self.players.len() + count;
        let end = Instant::now() + patience;
        while self.players.len() < wanted {
            self.add((wanted - self.players.len()).min(at_once.max(1)))?;
            let done = |p: &Player| p.connected.is_some() || p.lost.is_some();
            if !self.run_until(end, |players| players.iter().all(done))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until every player plays: it has a frame, or is lost.
    pub(crate) fn wait_for_frames(&mut self, patience: Duration) -> io::Result<bool> {
        let done = |p: &Player| p.first_frame.is_some() || p.lost.is_some();
        self.run_until(Instant::now() + patience, |players| {
            players.iter().all(done)
        })
    }

    /// Waits until every player has as many frames as were sent of its stream, counted
    /// from the stream's start.
    pub(crate) fn wait_for_end(&mut self, sent: &[u64], patience: Duration) -> io::Result<bool> {
        let done = |(index, p): (usize, &Player)| {
            let sent = sent[index % sent.len()];
            p.abused || p.lost.is_some() || p.next.is_none_or(|next| next >= sent)
        };
        self.run_until(Instant::now() + patience, |players| {
            players.iter().enumerate().all(done)
        })
    }

    /// Serves the sockets for a time.
    pub(crate) fn run_for(&mut self, duration: Duration) -> io::Result<()> {
        self.run_until(Instant::now() + duration, |_| false)?;
        Ok(())
    }

    /// The last ones of the players read no more.
    pub(crate) fn get_stuck(&mut self, count: usize) {
        let players = self.players.iter_mut().rev();
        players.take(count).for_each(Player::stall);
    }

    pub(crate) fn record(&mut self, on: bool) {
        self.recording = on;
    }

    /// Bytes read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn latencies(&mut self) -> &mut [u64] {
        &mut self.samples
    }

    /// From the TCP connect to the answer to `connect`, nanoseconds.
    pub(crate) fn connect_times(&self) -> Vec<u64> {
        let connected = self.players.iter();
        connected
            .filter_map(|p| Some(p.connected? - p.opened))
            .collect()
    }

    /// From sending `play` to having the first key frame whole, nanoseconds.
    pub(crate) fn join_times(&self) -> Vec<u64> {
        let playing = self.players.iter();
        playing
            .filter_map(|p| p.first_frame?.checked_sub(p.play_sent?))
            .collect()
    }

    /// What was wrong, so many frames of each stream having been published.
    pub(crate) fn faults(&self, sent: &[u64]) -> Faults {
        self.faults_but(sent, |_| false)
    }

    /// The same, where some gaps are as they should be.
    pub(crate) fn faults_but(&self, sent: &[u64], is_excused: impl Fn(Gap) -> bool) -> Faults {
        let mut all = Verdict::default();
        all.add(&self.retired);
        let mut tails = 0;
        for (index, player) in self.players.iter().enumerate() {
            all.add(&player.verdict());
            if !player.abused {
                let sent = sent[index % sent.len()];
                all.faults.silent_players += u64::from(player.next.is_none());
                tails += player.next.map_or(0, |next| sent.saturating_sub(next));
            }
        }
        let gaps = all.gaps.iter().filter(|gap| !is_excused(**gap));
        let missing: u64 = gaps.map(|gap| gap.came - gap.expected).sum();
        all.faults.missing_frames += missing;
        all.faults.missing_at_end += tails;
        all.faults
    }

    /// Why the first of the lost players was lost.
    pub(crate) fn first_loss(&self) -> Option<&str> {
        self.players.iter().find_map(|p| p.lost.as_deref())
    }

    fn run_until(&mut self, end: Instant, done: impl Fn(&[Player]) -> bool) -> io::Result<bool> {
        while !done(&self.players) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.turn(left)?;
        }
        Ok(true)
    }

    fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let player = &mut self.players[event.token().0];
            if player.lost.is_some() || player.stuck {
                continue;
            }
            let mut context = Context {
                frames: &self.frames,
                samples: self.recording.then_some(&mut self.samples),
            };
            let mut outcome = Ok(0);
            if event.is_writable() {
                outcome = player.flush().map(|()| 0);
            }
            if outcome.is_ok() && (event.is_readable() || event.is_read_closed()) {
                outcome = player.read(&mut self.buffer, self.clock, &mut context);
            }
            match outcome {
                Ok(bytes) => self.bytes += bytes,
                Err(e) => player.lost = Some(e.to_string()),
            }
        }
        Ok(())
    }
}

struct Context<'a> {
    frames: &'a Frames,
    samples: Option<&'a mut Vec<u64>>,
}

impl Player {
    fn stall(&mut self) {
        self.stuck = true;
        self.abused = true;
    }

    /// What this player was told, less what it brought upon itself.
    fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        verdict.add(&self.verdict);
        if self.abused {
            verdict.gaps.clear();
        } else {
            verdict.faults.lost_players += u64::from(self.lost.is_some());
        }
        verdict
    }

    fn read(
        &mut self,
        buffer: &mut [u8],
        clock: Clock,
        context: &mut Context<'_>,
    ) -> io::Result<u64> {
        let mut total = 0;
        loop {
            let n = match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::other("closed by the server")),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            };
            total += n as u64;
            self.input(&buffer[..n], clock.nanos(), context)?;
            self.transmit(clock.nanos())?;
            // TLS gives what it has of the records that came.
            if n < buffer.len() && self.stream.is_plain() {
                break;
            }
        }
        // The handshake of TLS may have ended, before which nothing was taken.
        self.flush()?;
        Ok(total)
    }

    fn input(&mut self, mut bytes: &[u8], now: u64, context: &mut Context<'_>) -> io::Result<()> {
        while !bytes.is_empty() {
            match &mut self.inlet {
                Inlet::Floor(reader) => {
                    let message = reader.read(&mut bytes).map_err(io::Error::other)?;
                    if let Some(message) = message.filter(|m| m.kind == kind::VIDEO) {
                        self.on_video(&message.payload, now, context);
                    }
                }
                Inlet::Rtmp(session) => {
                    let used = session
                        .handle_input(Time::ZERO, bytes)
                        .map_err(io::Error::other)?;
                    bytes = &bytes[used..];
                    while let Inlet::Rtmp(session) = &mut self.inlet
                        && let Some(event) = session.poll_event()
                    {
                        match event {
                            ClientEvent::Connected(_) => self.connected = Some(now),
                            ClientEvent::Media(media) => match media.kind {
                                MediaKind::Video => self.on_video(&media.payload, now, context),
                                // nginx-rtmp begins with an empty audio message.
                                MediaKind::Audio if media.payload.is_empty() => {}
                                MediaKind::Audio => self.verdict.faults.corrupt_messages += 1,
                                MediaKind::Data => {}
                            },
                            _ => {}
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn on_video(&mut self, body: &[u8], now: u64, context: &mut Context<'_>) {
        if body == context.frames.sequence_header() {
            self.header_seen = true;
            return;
        }
        let Ok(stamp) = context.frames.verify(body) else {
            self.verdict.faults.corrupt_messages += 1;
            return;
        };
        match self.next {
            None => {
                let good = self.header_seen && context.frames.is_key(stamp.number);
                self.verdict.faults.bad_starts += u64::from(!good);
                self.first_frame = Some(now);
            }
            Some(next) if stamp.number < next => {
                self.verdict.faults.disordered_frames += 1;
                return;
            }
            Some(next) if stamp.number > next => self.verdict.gaps.push(Gap {
                expected: next,
                came: stamp.number,
            }),
            Some(_) => {}
        }
        self.verdict.frames += 1;
        self.next = Some(stamp.number + 1);
        // What was sent before the join comes from the cache: no latency.
        let live = self.play_sent.unwrap_or(self.opened) < stamp.clock;
        if let (true, Some(samples)) = (live, &mut context.samples) {
            samples.push(now.saturating_sub(stamp.clock));
        }
    }

    fn transmit(&mut self, now: u64) -> io::Result<()> {
        let Inlet::Rtmp(session) = &mut self.inlet else {
            return Ok(());
        };
        while let Some(bytes) = session.poll_transmit() {
            if self.play_sent.is_none() && bytes.windows(PLAY.len()).any(|w| w == PLAY) {
                self.play_sent = Some(now);
            }
            self.unsent.extend_from_slice(&bytes);
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(n) => {
                    self.unsent.drain(..n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::NotConnected => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        if self.stream.wants_write() {
            match self.stream.flush() {
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                _ => {}
            }
        }
        // The bare fan-out answers nothing.
        if let Inlet::Floor(_) = self.inlet {
            self.connected.get_or_insert(self.opened);
        }
        Ok(())
    }
}
