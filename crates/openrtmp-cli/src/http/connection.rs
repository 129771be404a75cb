//! One connection: requests in, answers out, one at a time.

use std::io::{self, IoSlice, Read, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf, Bytes};

use super::request::{self, Head};
use super::server::Limits;
use super::{Answer, Routes, Status};

/// Answers that a connection is given before others have their turn.
const ANSWERS_AT_ONCE: usize = 16;

/// Reads of what is thrown away before others have their turn.
const READS_AT_ONCE: usize = 16;

/// What carries a connection.
pub(super) trait Socket: Read + Write {
    /// Ends the sending direction.
    fn end_sending(&mut self) -> io::Result<()>;
}

/// What a connection wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The system will tell when there is more to do.
    Wait,
    /// There is more to do now, after others.
    Again,
    /// Nothing: it is over.
    Over,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Between requests.
    Idle,
    /// A request has begun.
    Asking,
    /// Its answer is on its way.
    Answering,
    /// All was said. What the peer still says is thrown away for a while, so that the
    /// connection is not reset before it has read (RFC 9112 section 9.6).
    Lingering,
}

pub(super) struct Connection<S> {
    socket: S,
    peer: IpAddr,
    phase: Phase,
    /// The end of the phase.
    deadline: Instant,
    /// What came of a request.
    input: Vec<u8>,
    head: Bytes,
    body: Bytes,
    /// Bytes of the answer as they are counted among those of all connections.
    held: usize,
    requests: u32,
    /// Nothing is read after this answer.
    is_last: bool,
    /// Bytes that may still be thrown away.
    to_waste: usize,
}

/// What connections share.
pub(super) struct Surroundings<'a> {
    pub(super) now: Instant,
    pub(super) limits: &'a Limits,
    pub(super) routes: &'a Routes,
    /// Bytes of answers that wait for peers.
    pub(super) held: &'a mut usize,
}

impl<S: Socket> Connection<S> {
    pub(super) fn new(socket: S, peer: IpAddr, now: Instant, limits: &Limits) -> Connection<S> {
        Connection {
            socket,
            peer,
            phase: Phase::Idle,
            deadline: now + limits.http.idle_timeout,
            input: Vec::new(),
            head: Bytes::new(),
            body: Bytes::new(),
            held: 0,
            requests: 0,
            is_last: false,
            to_waste: limits.linger_bytes,
        }
    }

    pub(super) fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Requests that were answered.
    pub(super) fn answers(&self) -> u32 {
        self.requests
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Reads, answers and writes as far as the system goes along.
    pub(super) fn take_turn(&mut self, around: &mut Surroundings<'_>) -> Next {
        let mut answers = 0;
        loop {
            let step = match self.phase {
                Phase::Idle | Phase::Asking if answers == ANSWERS_AT_ONCE => return Next::Again,
                Phase::Idle | Phase::Asking => self.ask(around),
                Phase::Answering => {
                    answers += 1;
                    self.answer(around)
                }
                Phase::Lingering => return self.linger(),
            };
            match step {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Next::Wait,
                Err(_) => return Next::Over,
            }
        }
    }

    /// Its time is over. A request that was begun is told so.
    pub(super) fn expire(&mut self, around: &mut Surroundings<'_>) -> Next {
        match self.phase {
            Phase::Asking => {
                self.refuse(Status::REQUEST_TIMEOUT, around);
                self.take_turn(around)
            }
            _ => Next::Over,
        }
    }

    /// Gives back what it holds of what all share.
    pub(super) fn release(&mut self, held: &mut usize) {
        *held -= std::mem::take(&mut self.held);
        (self.head, self.body) = (Bytes::new(), Bytes::new());
    }

    fn enter(&mut self, phase: Phase, time: Duration, now: Instant) {
        self.phase = phase;
        self.deadline = now + time;
    }

    /// Looks at what came, and for more of it if that is not enough.
    fn ask(&mut self, around: &mut Surroundings<'_>) -> io::Result<()> {
        let http = &around.limits.http;
        if !self.input.is_empty() {
            if self.phase == Phase::Idle {
                self.enter(Phase::Asking, http.request_timeout, around.now);
            }
            match request::read(&self.input, http.headers, self.peer, &around.limits.proxies) {
                request::Read::Complete(head) => {
                    let answer = around.routes.answer(&head.request);
                    let (path, status) = (head.request.path, answer.status.0);
                    log::debug!(peer:% = head.request.address; "HTTP {path:?}: {status}");
                    let Head {
                        is_head,
                        is_last,
                        length,
                        ..
                    } = head;
                    self.input.drain(..length);
                    self.requests += 1;
                    self.is_last = is_last || self.requests >= http.requests;
                    self.begin(answer, is_head, around);
                    return Ok(());
                }
                request::Read::Refused(status) => {
                    self.refuse(status, around);
                    return Ok(());
                }
                request::Read::Partial if self.input.len() >= http.header_bytes => {
                    self.refuse(Status::FIELDS_TOO_LARGE, around);
                    return Ok(());
                }
                request::Read::Partial => {}
            }
        }
        let (begin, most) = (self.input.len(), http.header_bytes);
        let mut bytes = [0; 4096];
        let room = bytes.len().min(most - begin);
        match self.socket.read(&mut bytes[..room])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.input.extend_from_slice(&bytes[..count]);
                Ok(())
            }
        }
    }

    /// The last that is said on a connection.
    fn refuse(&mut self, status: Status, around: &mut Surroundings<'_>) {
        self.input = Vec::new();
        self.is_last = true;
        self.begin(Answer::status(status), false, around);
    }

    /// An answer goes on its way, unless too many bytes of others wait already.
    fn begin(&mut self, answer: Answer, is_head: bool, around: &mut Surroundings<'_>) {
        let limits = &around.limits.http;
        let is_too_much = *around.held + answer.body.len() > limits.answer_bytes;
        let answer = match is_too_much && !is_head {
            true => {
                self.is_last = true;
                Answer::status(Status::UNAVAILABLE)
            }
            false => answer,
        };
        self.head = head(&answer, self.is_last).into();
        self.body = if is_head { Bytes::new() } else { answer.body };
        self.held = self.head.len() + self.body.len();
        *around.held += self.held;
        self.enter(Phase::Answering, limits.answer_timeout, around.now);
    }

    fn answer(&mut self, around: &mut Surroundings<'_>) -> io::Result<()> {
        while !self.head.is_empty() || !self.body.is_empty() {
            let slices = [IoSlice::new(&self.head), IoSlice::new(&self.body)];
            let count = self.socket.write_vectored(&slices)?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let of_head = count.min(self.head.len());
            self.head.advance(of_head);
            self.body.advance(count - of_head);
        }
        self.release(around.held);
        match self.is_last {
            true => {
                self.socket.end_sending()?;
                self.enter(Phase::Lingering, around.limits.linger, around.now);
            }
            false => self.enter(Phase::Idle, around.limits.http.idle_timeout, around.now),
        }
        Ok(())
    }

    fn linger(&mut self) -> Next {
        let mut bytes = [0; 4096];
        for _ in 0..READS_AT_ONCE {
            match self.socket.read(&mut bytes) {
                Ok(count) if count > 0 && count <= self.to_waste => self.to_waste -= count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Next::Wait,
                _ => return Next::Over,
            }
        }
        Next::Again
    }
}

/// The head of an answer (RFC 9112 section 4), for a peer that is asked to keep nothing.
fn head(answer: &Answer, is_last: bool) -> String {
    let Status(code, phrase) = answer.status;
    let date = httpdate::fmt_http_date(SystemTime::now());
    let (content_type, length) = (answer.content_type, answer.body.len());
    let mut head = format!(
        "HTTP/1.1 {code} {phrase}\r\nDate: {date}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n"
    );
    if answer.status == Status::METHOD_NOT_ALLOWED {
        head.push_str("Allow: GET, HEAD\r\n");
    }
    if is_last {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    head
}

#[cfg(test)]
mod tests;
