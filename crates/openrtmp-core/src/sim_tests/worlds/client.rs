//! The peers of a world: encoders, players and attackers, with links of their own.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use bytes::Bytes;
use openrtmp_protocol::amf::Value;
use openrtmp_protocol::command::code;
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::{ClientConfig, ClientEvent, ClientMode, ClientSession, Media};
use openrtmp_protocol::session::{MediaKind, SessionError};
use openrtmp_protocol::{RtmpUrl, Time};

use super::super::line::Line;
use super::super::panicking_data;
use super::super::world::{ADDRESS, World};
use super::lives::{Class, Feeder, Lives};
use super::plan::{KEYS, Link, STREAMS, Source};
use super::witness::{Broken, Witness, broken};
use crate::platform::Platform;
use crate::platform::sim::Sim;
#[cfg(feature = "tls")]
use crate::tls::ClientTls;

/// How often a client that was cut off comes back.
const COMEBACKS: u32 = 4;

/// An encoder with so many unsent bytes waits.
const BACKLOG: usize = 256 * 1024;

/// From one sip of a slow reader to the next.
const SIP: Duration = Duration::from_millis(10);

pub(super) enum Role {
    Encoder {
        source: Source,
        feeder: Option<Feeder>,
    },
    Player(Player),
    Attacker(Vec<u8>),
}

pub(super) struct Player {
    stream: usize,
    key: u32,
    /// It paused or chose: what is missing says nothing.
    lenient: bool,
    /// Streams it asked for and was not yet told that they start.
    asked: VecDeque<usize>,
    /// What it got, of one play after the other on this connection.
    pub(super) plays: Vec<(usize, Witness)>,
    /// To be played again then.
    again: Option<(Time, usize)>,
    /// From its stop to its play, and how many times more.
    gap: u32,
    more: u32,
}

/// What a connection amounted to once it is over.
pub(super) struct Closed {
    pub(super) port: u16,
    pub(super) plays: Vec<(usize, Witness)>,
}

impl Player {
    pub(super) fn is_lenient(&self) -> bool {
        self.lenient
    }

    /// It is between two plays.
    pub(super) fn plays_again(&self) -> bool {
        self.again.is_some() || !self.asked.is_empty()
    }
}

pub(super) struct Client {
    pub(super) role: Role,
    link: Link,
    socket: Option<Line>,
    /// What it speaks, if it is not plain.
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
    session: Option<ClientSession>,
    out: VecDeque<u8>,
    /// Bytes in both directions.
    touched: u32,
    pub(super) reading: bool,
    /// Neither reads nor writes any more.
    mute: bool,
    leaving: bool,
    next_bite: Time,
    next_sip: Time,
    pub(super) since: Time,
    pub(super) ready: bool,
    /// What ended its session.
    pub(super) failure: Option<SessionError>,
    /// Lenient from the start: memory may be short.
    lenient: bool,
    comeback: Option<Time>,
    comebacks: u32,
    pub(super) port: u16,
    /// Requests it made on this connection.
    pub(super) asks: usize,
    pub(super) closed: Vec<Closed>,
    /// Media it got altogether.
    pub(super) messages: u64,
}

impl Client {
    pub(super) fn new(role: Role, link: Link, lenient: bool, world: &World) -> Client {
        let sim = &world.sim;
        let now = sim.now();
        let mut client = Client {
            role,
            link,
            socket: None,
            #[cfg(feature = "tls")]
            tls: world.client_tls.clone(),
            session: None,
            out: VecDeque::new(),
            touched: 0,
            reading: true,
            mute: false,
            leaving: false,
            next_bite: now,
            next_sip: now,
            since: now,
            ready: false,
            failure: None,
            lenient,
            comeback: None,
            comebacks: COMEBACKS,
            port: 0,
            asks: 0,
            closed: Vec::new(),
            messages: 0,
        };
        client.connect(sim);
        client
    }

    pub(super) fn encoder(source: &Source) -> Role {
        Role::Encoder {
            source: source.clone(),
            feeder: None,
        }
    }

    pub(super) fn player(stream: u32, key: u32) -> Role {
        Role::Player(Player {
            stream: stream as usize % STREAMS.len(),
            key,
            lenient: false,
            asked: VecDeque::new(),
            plays: Vec::new(),
            again: None,
            gap: 0,
            more: 0,
        })
    }

    fn connect(&mut self, sim: &Sim) {
        let now = sim.now();
        let address = ADDRESS.parse().expect("an address");
        let Ok(socket) = sim.connect(address) else {
            // The server is stopping, or its worker is being restarted.
            self.come_back_later(now);
            return;
        };
        self.port = socket.local_address().map_or(0, |address| address.port());
        #[cfg(feature = "tls")]
        let line = match &self.tls {
            Some(tls) => Line::secure(socket, tls, "127.0.0.1"),
            None => Line::Plain(socket),
        };
        #[cfg(not(feature = "tls"))]
        let line = Line::Plain(socket);
        self.socket = Some(line);
        self.since = now;
        self.touched = 0;
        self.failure = None;
        self.out.clear();
        let (mode, stream, key) = match &mut self.role {
            Role::Attacker(script) => {
                self.out.extend(script.iter());
                return;
            }
            Role::Encoder { source, .. } => (ClientMode::Publish, source.stream, source.key),
            Role::Player(player) => {
                player.asked = VecDeque::from([player.stream]);
                (ClientMode::Play, player.stream as u32, player.key)
            }
        };
        self.asks = 2;
        let name = STREAMS[stream as usize % STREAMS.len()];
        let url = RtmpUrl::parse(&format!("rtmp://{ADDRESS}/{name}{}", query(key)));
        let config = ClientConfig::new(url.expect("a URL"), mode);
        self.session = Some(ClientSession::new(config, now, &mut |bytes| bytes.fill(7)));
    }

    fn come_back_later(&mut self, now: Time) {
        if self.link.back > 0 && self.comebacks > 0 && !self.leaving {
            self.comebacks -= 1;
            self.comeback = Some(now + ms(self.link.back));
        }
    }

    /// The connection is over, whoever ended it.
    fn cut(&mut self, now: Time) {
        self.socket = None;
        self.session = None;
        self.ready = false;
        self.mute = false;
        let plays = match &mut self.role {
            Role::Encoder { feeder, .. } => {
                *feeder = None;
                Vec::new()
            }
            Role::Player(player) => {
                player.again = None;
                player.more = 0;
                std::mem::take(&mut player.plays)
            }
            Role::Attacker(_) => Vec::new(),
        };
        self.closed.push(Closed {
            port: self.port,
            plays,
        });
        self.come_back_later(now);
    }
}

/// What it is told to do.
impl Client {
    pub(super) fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    pub(super) fn is_mute(&self) -> bool {
        self.mute
    }

    /// The life it is sending, if it may send.
    pub(super) fn feeder(&self) -> Option<&Feeder> {
        match &self.role {
            Role::Encoder { feeder, .. } => feeder.as_ref(),
            _ => None,
        }
    }

    pub(super) fn leave(&mut self) {
        self.leaving = true;
        self.comeback = None;
        if let Some(session) = &mut self.session {
            session.close();
        }
        if let Role::Encoder { feeder, .. } = &mut self.role {
            *feeder = None;
        }
    }

    pub(super) fn close(&mut self, now: Time) {
        if self.socket.is_some() {
            self.cut(now);
        }
    }

    pub(super) fn kill(&mut self, now: Time) {
        if let Some(socket) = self.socket.take() {
            socket.reset();
            self.cut(now);
        }
    }

    /// No more faults of its own, and it stays as it is.
    pub(super) fn calm(&mut self) {
        self.link = Link::default();
        self.reading = true;
        self.comeback = None;
        if let Role::Player(player) = &mut self.role {
            player.more = 0;
        }
    }

    pub(super) fn set_speed(&mut self, bytes: u32) {
        self.link.speed = bytes;
    }

    /// Lets an encoder that may send do something.
    pub(super) fn feed(
        &mut self,
        lives: &mut Lives,
        act: impl FnOnce(&mut Feeder, &mut Lives, super::lives::Send<'_>),
    ) {
        let Role::Encoder {
            feeder: Some(feeder),
            ..
        } = &mut self.role
        else {
            return;
        };
        let Some(session) = &mut self.session else {
            return;
        };
        act(feeder, lives, &mut |kind, timestamp, payload: &Bytes| {
            session.send(kind, timestamp, payload)
        });
    }

    /// Sends what makes the code that serves it panic.
    pub(super) fn send_panic(&mut self) {
        if let (Some(session), true) = (&mut self.session, self.ready) {
            session.send(MediaKind::Data, 0, &panicking_data());
        }
    }

    pub(super) fn pause(&mut self, on: bool) {
        self.be_lenient();
        self.say("pause", &[on.into(), 0.0.into()]);
    }

    pub(super) fn want(&mut self, audio: bool, video: bool) {
        self.be_lenient();
        self.say("receiveAudio", &[audio.into()]);
        self.say("receiveVideo", &[video.into()]);
    }

    fn be_lenient(&mut self) {
        if let Role::Player(player) = &mut self.role {
            player.lenient = true;
            if let Some((_, witness)) = player.plays.last_mut() {
                witness.lenient = true;
            }
        }
    }

    /// Ends its play, and plays again a little later.
    pub(super) fn play_again(&mut self, stream: u32, gap: u32, more: u32, now: Time) {
        let Role::Player(player) = &mut self.role else {
            return;
        };
        if !self.ready || player.plays_again() {
            return;
        }
        (player.gap, player.more) = (gap, more.min(50));
        // Streams of its app only: the name is the last part.
        let stream = match player.stream {
            0 | 1 => stream as usize % 2,
            other => other,
        };
        player.again = Some((now + ms(gap), stream));
        if gap > 0 {
            self.say("closeStream", &[]);
        }
    }

    fn say(&mut self, name: &str, arguments: &[Value]) {
        if self.ready && self.failure.is_none() {
            self.pump();
            let mut bytes = Vec::new();
            let command = openrtmp_attacks::command(name, arguments);
            openrtmp_attacks::message(kind::COMMAND_AMF0, 1, &command, &mut bytes);
            self.out.extend(bytes);
        }
    }
}

/// Acting.
impl Client {
    /// When it next does something by itself.
    pub(super) fn wake(&self) -> Option<Time> {
        let mut wakes = [self.comeback, None, None, None, None];
        if let Some(socket) = &self.socket
            && !self.mute
        {
            match &self.role {
                Role::Encoder { feeder, .. } if self.out.len() < BACKLOG => {
                    wakes[1] = feeder.as_ref().and_then(Feeder::due);
                }
                Role::Player(player) => wakes[2] = player.again.map(|(at, _)| at),
                _ => {}
            }
            if self.link.bite > 0 && !self.out.is_empty() && socket.writable() {
                wakes[3] = Some(self.next_bite);
            }
            if self.link.speed > 0 && self.reading && socket.readable() {
                wakes[4] = Some(self.next_sip);
            }
        }
        wakes.into_iter().flatten().min()
    }

    /// Does what there is to do. False if there was nothing.
    pub(super) fn act(&mut self, sim: &Sim, lives: &mut Lives) -> Result<bool, Broken> {
        let now = sim.now();
        if self.comeback.is_some_and(|at| at <= now) {
            self.comeback = None;
            self.connect(sim);
        }
        if self.mute || self.socket.is_none() {
            return Ok(false);
        }
        if self.out.len() < BACKLOG {
            self.feed(lives, |feeder, lives, send| feeder.act(lives, now, send));
        }
        self.go_on_playing(now);
        self.pump();
        let mut busy = self.write(now);
        if self.leaving
            && self.out.is_empty()
            && let Some(socket) = self.socket.take_if(|socket| socket.is_flushed())
        {
            socket.leave();
            self.cut(now);
            return Ok(true);
        }
        if self.reading {
            busy |= self.read(now, lives)?;
        }
        // An encoder that is refused is closed by the server.
        if self.failure.is_some() && matches!(self.role, Role::Player(_)) && self.is_connected() {
            self.cut(now);
        }
        Ok(busy)
    }

    fn go_on_playing(&mut self, now: Time) {
        let Role::Player(player) = &mut self.role else {
            return;
        };
        let Some((_, stream)) = player.again.take_if(|(at, _)| *at <= now) else {
            return;
        };
        player.asked.push_back(stream);
        let name = STREAMS[stream].rsplit('/').next().unwrap_or_default();
        let name = format!("{name}{}", query(player.key));
        self.asks += 1;
        self.say("play", &[name.as_str().into()]);
    }

    fn pump(&mut self) {
        if let Some(session) = &mut self.session {
            while let Some(bytes) = session.poll_transmit() {
                self.out.extend(&bytes);
            }
        }
    }

    /// Bytes it may still move before its link ends.
    fn allowance(&self) -> usize {
        match self.link.ends_after {
            0 => usize::MAX,
            after => after.saturating_sub(self.touched) as usize,
        }
    }

    /// Its link ends as the plan has it.
    fn end(&mut self, now: Time) {
        match self.link.ends_by % 3 {
            0 => self.kill(now),
            1 => self.cut(now),
            _ => self.mute = true,
        }
    }

    fn moved(&mut self, count: usize, now: Time) {
        self.touched = self.touched.saturating_add(count as u32);
        if self.allowance() == 0 {
            self.end(now);
        }
    }

    fn write(&mut self, now: Time) -> bool {
        let mut busy = false;
        if let Some(socket) = &mut self.socket {
            // What TLS had to say first. A failure is met by the next read.
            let _ = socket.flush();
        }
        while !self.out.is_empty() && !self.mute {
            let allowance = self.allowance();
            let Some(socket) = &mut self.socket else {
                break;
            };
            if self.link.bite > 0 && self.next_bite > now {
                break;
            }
            let (front, _) = self.out.as_slices();
            let bite = match self.link.bite {
                0 => usize::MAX,
                bite => bite as usize,
            };
            let most = bite.min(front.len()).min(allowance);
            match socket.write(&front[..most]) {
                Ok(n) => {
                    self.out.drain(..n);
                    if self.link.bite > 0 {
                        self.next_bite = now + ms(self.link.pause.max(1));
                    }
                    busy = true;
                    self.moved(n, now);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                // What the server said before is still to be read.
                Err(_) => self.out.clear(),
            }
        }
        busy
    }

    fn read(&mut self, now: Time, lives: &mut Lives) -> Result<bool, Broken> {
        let mut busy = false;
        let mut buffer = [0; 16 * 1024];
        while !self.mute {
            let allowance = self.allowance();
            let Some(socket) = &mut self.socket else {
                break;
            };
            if self.link.speed > 0 && self.next_sip > now {
                break;
            }
            let sip = match self.link.speed {
                0 => buffer.len(),
                speed => buffer.len().min(speed as usize),
            };
            let most = sip.min(allowance);
            let count = match socket.read(&mut buffer[..most]) {
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => 0,
            };
            busy = true;
            if count == 0 {
                self.cut(now);
                break;
            }
            if self.link.speed > 0 {
                self.next_sip = now + SIP;
            }
            self.take(now, &buffer[..count], lives)?;
            self.moved(count, now);
        }
        Ok(busy)
    }

    fn take(&mut self, now: Time, mut bytes: &[u8], lives: &mut Lives) -> Result<(), Broken> {
        while let Some(session) = &mut self.session
            && !bytes.is_empty()
        {
            match session.handle_input(now, bytes) {
                Ok(used) => bytes = &bytes[used..],
                Err(error) => {
                    if !matches!(error, SessionError::Refused { .. }) {
                        return broken("protocol", error.to_string());
                    }
                    self.failure.get_or_insert(error);
                    bytes = &[];
                }
            }
            while let Some(event) = self.session.as_mut().and_then(ClientSession::poll_event) {
                self.on_event(now, event, lives)?;
            }
        }
        Ok(())
    }

    fn on_event(&mut self, now: Time, event: ClientEvent, lives: &mut Lives) -> Result<(), Broken> {
        match event {
            ClientEvent::Ready => {
                self.ready = true;
                self.publish(now, lives);
                Ok(())
            }
            // Comes before Play.Start, and unlike that with nothing else.
            ClientEvent::Status(status) if status.code == code::PLAY_RESET => self.play(now),
            ClientEvent::Status(status) if status.code == code::PLAY_PUBLISH_NOTIFY => {
                self.with_witness(Witness::announce);
                Ok(())
            }
            ClientEvent::StreamEof => {
                self.with_witness(Witness::end_of_stream);
                Ok(())
            }
            ClientEvent::Media(media) => self.on_media(&media, lives),
            _ => Ok(()),
        }
    }

    fn with_witness(&mut self, act: impl FnOnce(&mut Witness)) {
        if let Role::Player(player) = &mut self.role
            && let Some((_, witness)) = player.plays.last_mut()
        {
            act(witness);
        }
    }

    fn publish(&mut self, now: Time, lives: &mut Lives) {
        if let Role::Encoder { source, feeder } = &mut self.role {
            *feeder = Some(Feeder::new(source, lives, now));
        }
    }

    /// A play starts.
    fn play(&mut self, now: Time) -> Result<(), Broken> {
        if let Role::Player(player) = &mut self.role {
            let Some(stream) = player.asked.pop_front() else {
                return broken("answered once", "Play.Reset and nothing was asked");
            };
            let lenient = self.lenient || player.lenient;
            player.plays.push((stream, Witness::lenient(lenient)));
            let (gap, more) = (player.gap, player.more);
            if more > 0 {
                // Now and then the other one of the two streams of its app.
                let other = u32::from(more.is_multiple_of(4));
                self.play_again(stream as u32 + other, gap, more - 1, now);
            }
        }
        Ok(())
    }

    fn on_media(&mut self, media: &Media, lives: &Lives) -> Result<(), Broken> {
        let Role::Player(player) = &mut self.role else {
            return broken("never asked", "media for an encoder");
        };
        let Some((stream, witness)) = player.plays.last_mut() else {
            return broken("never asked", "media before Play.Reset");
        };
        self.messages += 1;
        let Some(class) = Class::of(media.kind, &media.payload) else {
            return broken("never sent", format!("{media:?}"));
        };
        let time = Some(media.timestamp);
        witness.take(lives, *stream, class, time, &media.payload, 0)
    }
}

fn query(key: u32) -> String {
    match key {
        0 => String::new(),
        key => format!("?key={}", KEYS[(key as usize - 1) % KEYS.len()]),
    }
}

fn ms(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}
