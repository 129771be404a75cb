//! A peer of a simulated server: a client, or raw bytes.

use std::io::{ErrorKind, Read, Write};

use bytes::{Bytes, BytesMut};
use openrtmp_protocol::Time;
use openrtmp_protocol::amf::{Encoding, Object, Value};
use openrtmp_protocol::chunk::ChunkWriter;
use openrtmp_protocol::command::Command;
use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::{ClientEvent, ClientSession, MediaKind, SessionError};

use super::line::Line;
use super::media::{self, Piece};
use super::world::FRAME;

/// A client.
pub(super) struct Peer {
    pub(super) socket: Option<Line>,
    pub(super) session: Option<ClientSession>,
    pub(super) out: Vec<u8>,
    /// Whether it takes what the server sends.
    pub(super) reading: bool,
    pub(super) leaving: bool,
    /// Of a raw client.
    pub(super) received: Vec<u8>,
    pub(super) events: Vec<(Time, ClientEvent)>,
    pub(super) media: Vec<Piece>,
    /// When each of them came.
    pub(super) arrivals: Vec<Time>,
    pub(super) sent: Vec<Piece>,
    /// What ended its session.
    pub(super) failure: Option<SessionError>,
    /// When the server closed it.
    pub(super) closed: Option<Time>,
    pub(super) started: Time,
}

impl Peer {
    /// The port it came from.
    pub(super) fn port(&self) -> u16 {
        let socket = self.socket.as_ref().expect("it is connected");
        socket.local_address().expect("it has one").port()
    }

    /// Takes so many bytes, whatever they are: a reader as slow as it likes.
    pub(super) fn read_some(&mut self, count: usize) {
        if let Some(socket) = &mut self.socket {
            // Nothing there, or closed: nothing taken.
            let _ = socket.read(&mut vec![0; count]);
        }
    }

    /// Bytes it has yet to send.
    pub(super) fn unsent(&self) -> usize {
        self.out.len()
    }

    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Sends a command on message stream 1, as a client's session would not.
    pub(super) fn command(&mut self, name: &str, arguments: &[Value]) {
        self.command_on(1, name, arguments);
    }

    pub(super) fn command_on(&mut self, stream: u32, name: &str, arguments: &[Value]) {
        let command = Command {
            name: name.to_owned(),
            transaction: 9.0,
            object: Value::Null,
            arguments: arguments.to_vec(),
        };
        let payload = command.encode(Encoding::Amf0);
        self.message(kind::COMMAND_AMF0, stream, &payload);
    }

    /// Sends a command with an object, on message stream 0.
    pub(super) fn command_object(
        &mut self,
        name: &str,
        transaction: f64,
        members: &[(&str, &str)],
    ) {
        let object = members
            .iter()
            .fold(Object::new(), |o, (k, v)| o.with(k, *v));
        let command = Command {
            name: name.to_owned(),
            transaction,
            object: object.into(),
            arguments: Vec::new(),
        };
        self.message(kind::COMMAND_AMF0, 0, &command.encode(Encoding::Amf0));
    }

    /// Sends a message in chunks of the initial size, as long as no other is in force.
    pub(super) fn message(&mut self, kind: u8, stream: u32, payload: &[u8]) {
        let mut bytes = BytesMut::new();
        ChunkWriter::new().write(3, kind, stream, 0, payload, &mut bytes);
        self.say(&bytes);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.time_of(|e| *e == ClientEvent::Ready).is_some()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    pub(super) fn time_of(&self, fits: impl Fn(&ClientEvent) -> bool) -> Option<Time> {
        self.events.iter().find(|(_, e)| fits(e)).map(|(at, _)| *at)
    }

    /// When this status first came.
    pub(super) fn status(&self, code: &str) -> Option<Time> {
        self.time_of(|e| matches!(e, ClientEvent::Status(s) if s.code == code))
    }

    /// Whether it was told this code, as whatever.
    pub(super) fn heard(&self, code: &str) -> bool {
        let mut said = self.received.windows(code.len());
        said.any(|bytes| bytes == code.as_bytes())
            || self.refusal() == Some(code)
            || self.status(code).is_some()
    }

    pub(super) fn end_of_stream(&self) -> Option<Time> {
        self.time_of(|e| *e == ClientEvent::StreamEof)
    }

    /// The code it was refused with.
    pub(super) fn refusal(&self) -> Option<&str> {
        match &self.failure {
            Some(SessionError::Refused { code, .. }) => Some(code),
            _ => None,
        }
    }

    pub(super) fn send(&mut self, kind: MediaKind, timestamp: u32, payload: Bytes) {
        let Some(session) = &mut self.session else {
            return;
        };
        if self.socket.is_some() && session.send(kind, timestamp, &payload) {
            self.sent.push(Piece::new(kind, timestamp, payload));
        }
    }

    /// Video frame `n` and the audio after it.
    pub(super) fn frame(&mut self, n: u32, size: usize) {
        let timestamp = n * FRAME as u32;
        let picture = media::video(n.is_multiple_of(10), n, size);
        self.send(MediaKind::Video, timestamp, picture);
        self.send(MediaKind::Audio, timestamp + 5, media::audio(n));
    }

    pub(super) fn act(&mut self, now: Time) -> bool {
        let mut busy = false;
        if let Some(session) = &mut self.session {
            while let Some(bytes) = session.poll_transmit() {
                self.out.extend_from_slice(&bytes);
            }
        }
        if let Some(socket) = &mut self.socket {
            // What TLS had to say first.
            let _ = socket.flush();
            while !self.out.is_empty() {
                match socket.write(&self.out) {
                    Ok(n) => drop(self.out.drain(..n)),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    // What the server said before is still to be read.
                    Err(_) => self.out.clear(),
                }
                busy = true;
            }
        }
        if self.leaving
            && self.out.is_empty()
            && let Some(socket) = self.socket.take_if(|socket| socket.is_flushed())
        {
            socket.leave();
        }
        if self.reading {
            busy |= self.read(now);
        }
        busy
    }

    pub(super) fn read(&mut self, now: Time) -> bool {
        let mut busy = false;
        let mut buffer = [0; 16 * 1024];
        while let Some(socket) = &mut self.socket {
            let count = match socket.read(&mut buffer) {
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => 0,
            };
            busy = true;
            if count == 0 {
                self.closed = Some(now);
                self.socket = None;
                break;
            }
            match &mut self.session {
                Some(_) => self.feed(now, &buffer[..count]),
                None => self.received.extend_from_slice(&buffer[..count]),
            }
        }
        busy
    }

    pub(super) fn feed(&mut self, now: Time, mut bytes: &[u8]) {
        while let Some(session) = &mut self.session
            && !bytes.is_empty()
        {
            match session.handle_input(now, bytes) {
                Ok(used) => bytes = &bytes[used..],
                Err(error) => {
                    self.failure.get_or_insert(error);
                }
            }
            while let Some(event) = session.poll_event() {
                match event {
                    ClientEvent::Media(m) => {
                        self.arrivals.push(now);
                        self.media
                            .push(Piece::new(m.kind, m.timestamp, m.payload.into_bytes()));
                    }
                    event => self.events.push((now, event)),
                }
            }
        }
    }
}
