//! The handshake, both sides: simple (RTMP 1.0, section 5.2) and digest
//! (schemes 0 and 1).
//!
//! The digest handshake hides an HMAC-SHA256 digest in the random data of C1 and
//! S1, and signs C2 and S2 with a key made from the other side's digest. A
//! nonzero version field announces it, but the digest itself is what counts.

mod digest;
#[cfg(test)]
mod tests;

use bytes::BytesMut;
use std::fmt;

use digest::{Role, Scheme};

/// Bytes of C1, S1, C2 and S2.
pub const PACKET_SIZE: usize = 1536;

/// The only version of the protocol, C0 and S0.
const VERSION: u8 = 3;

/// Time and version stand before the random data.
const DATA: usize = 8;

/// The version field of C1 that asks for digests: a Flash Player that knew them.
const CLIENT_VERSION: [u8; 4] = [9, 0, 124, 2];

/// The version field of S1 with a digest: clients look for 3 or more.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];

type Packet = [u8; PACKET_SIZE];

/// Which handshake the peers settled on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeKind {
    /// RTMP 1.0: echo.
    Simple,
    /// HMAC-SHA256 digests with the digest block second (base 772).
    Digest0,
    /// HMAC-SHA256 digests with the digest block first (base 8).
    Digest1,
}

/// How a finished handshake went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeSummary {
    /// The kind.
    pub kind: HandshakeKind,
    /// False if the peer's last packet did not answer ours; common with
    /// hardware encoders and harmless.
    pub echo_matched: bool,
}

/// Why a handshake failed. The connection is of no further use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer's version byte is not 3. The text names another protocol if the byte
    /// gives it away.
    #[error("{}", other_protocol(*.0))]
    Version(u8),
    /// C2 does not answer what we sent, and `strict` is set.
    #[error("the peer's last handshake packet does not echo ours")]
    Echo,
}

/// What a peer speaks whose first byte is not our version. Versions end at 31 so that
/// RTMP can be told from protocols of text, which begin with a letter (RTMP 1.0 section
/// 5.2.2).
fn other_protocol(first: u8) -> String {
    /// ContentTypes of a TLS record that holds an alert, which is what a server with TLS
    /// answers, or a ClientHello (RFC 8446 section 5.1).
    const TLS: [u8; 2] = [21, 22];
    /// Adobe's encrypted RTMP, of two kinds.
    const RTMPE: [u8; 2] = [6, 8];
    match first {
        first if TLS.contains(&first) => {
            "this is TLS (rtmps, https), not plain RTMP: one side has to say rtmps, or the other \
             rtmp, or it is the wrong port"
                .to_owned()
        }
        first if RTMPE.contains(&first) => {
            format!("encrypted RTMP (RTMPE, version {first}) is not spoken, only version 3")
        }
        // The first letters of all methods of HTTP in use, and of its answers.
        b'C' | b'D' | b'G' | b'H' | b'O' | b'P' | b'T' => {
            "this looks like HTTP, not RTMP".to_owned()
        }
        first if first.is_ascii_graphic() => "this is a protocol of text, not RTMP".to_owned(),
        version => format!("version {version} asked for, only 3 is spoken"),
    }
}

/// The server's side.
pub struct ServerHandshake {
    strict: bool,
    /// `None` once the handshake is over: 3 KiB less for an idle connection.
    exchange: Option<Box<Exchange>>,
}

impl fmt::Debug for ServerHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandshake")
            .field("strict", &self.strict)
            .field("over", &self.exchange.is_none())
            .finish_non_exhaustive()
    }
}

impl ServerHandshake {
    /// A handshake that waits for C0. `random` fills S1's data; `strict` makes a
    /// C2 that does not echo S1 an error.
    pub fn new(random: &mut dyn FnMut(&mut [u8]), strict: bool) -> ServerHandshake {
        ServerHandshake {
            strict,
            exchange: Some(Exchange::new(random)),
        }
    }

    /// Feeds bytes; returns how many were used (all of them until the handshake
    /// is done, none after) and the summary once it is. Appends the answer to
    /// `output`: S0, S1 and S2 as soon as C1 is whole.
    pub fn handle_input(
        &mut self,
        input: &[u8],
        output: &mut BytesMut,
    ) -> Result<(usize, Option<HandshakeSummary>), HandshakeError> {
        let mut rest = input;
        while let Some(exchange) = &mut self.exchange {
            match exchange.receive(&mut rest)? {
                Received::Nothing => break,
                Received::First => exchange.answer_c1(output),
                Received::Second => {
                    let summary = exchange.summary(Role::Client);
                    self.exchange = None;
                    if self.strict && !summary.echo_matched {
                        return Err(HandshakeError::Echo);
                    }
                    return Ok((input.len() - rest.len(), Some(summary)));
                }
            }
        }
        Ok((input.len() - rest.len(), None))
    }
}

/// The client's side.
pub struct ClientHandshake {
    digest: bool,
    /// `None` once the handshake is over.
    exchange: Option<Box<Exchange>>,
}

impl fmt::Debug for ClientHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandshake")
            .field("digest", &self.digest)
            .field("over", &self.exchange.is_none())
            .finish_non_exhaustive()
    }
}

impl ClientHandshake {
    /// Starts a handshake: appends C0 and C1 to `output`. `digest` asks for the
    /// digest handshake (scheme 1), which a simple server answers simply.
    pub fn new(
        random: &mut dyn FnMut(&mut [u8]),
        digest: bool,
        output: &mut BytesMut,
    ) -> ClientHandshake {
        let mut exchange = Exchange::new(random);
        if digest {
            exchange.own[4..DATA].copy_from_slice(&CLIENT_VERSION);
            exchange.own_digest = digest::embed(Role::Client, Scheme::One, &mut exchange.own);
        }
        output.extend_from_slice(&[VERSION]);
        output.extend_from_slice(&exchange.own);
        ClientHandshake {
            digest,
            exchange: Some(exchange),
        }
    }

    /// Feeds bytes; as [`ServerHandshake::handle_input`]. Appends C2 as soon as
    /// S1 is whole. An S2 that does not answer C1 shows in the summary only.
    pub fn handle_input(
        &mut self,
        input: &[u8],
        output: &mut BytesMut,
    ) -> Result<(usize, Option<HandshakeSummary>), HandshakeError> {
        let mut rest = input;
        while let Some(exchange) = &mut self.exchange {
            match exchange.receive(&mut rest)? {
                Received::Nothing => break,
                Received::First => exchange.answer_s1(self.digest, output),
                Received::Second => {
                    let summary = exchange.summary(Role::Server);
                    self.exchange = None;
                    return Ok((input.len() - rest.len(), Some(summary)));
                }
            }
        }
        Ok((input.len() - rest.len(), None))
    }
}

/// What both sides hold while it lasts.
struct Exchange {
    version_seen: bool,
    first_seen: bool,
    /// Bytes of `peer` received.
    filled: usize,
    /// What the peer's first packet turned out to be; `None`: simple.
    scheme: Option<Scheme>,
    /// The digest inside `own`, if there is one.
    own_digest: digest::Digest,
    /// C1 of a client, S1 of a server.
    own: Packet,
    /// The peer's first packet, then its second.
    peer: Packet,
}

enum Received {
    Nothing,
    First,
    Second,
}

impl Exchange {
    fn new(random: &mut dyn FnMut(&mut [u8])) -> Box<Exchange> {
        let mut exchange = Box::new(Exchange {
            version_seen: false,
            first_seen: false,
            filled: 0,
            scheme: None,
            own_digest: [0; digest::SIZE],
            own: [0; PACKET_SIZE],
            peer: [0; PACKET_SIZE],
        });
        random(&mut exchange.own[DATA..]);
        exchange
    }

    /// Takes bytes up to the end of the peer's next packet.
    fn receive(&mut self, input: &mut &[u8]) -> Result<Received, HandshakeError> {
        if !self.version_seen {
            match input.split_first() {
                None => return Ok(Received::Nothing),
                Some((&VERSION, rest)) => *input = rest,
                Some((&version, _)) => return Err(HandshakeError::Version(version)),
            }
            self.version_seen = true;
        }
        let count = input.len().min(PACKET_SIZE - self.filled);
        let (bytes, rest) = input.split_at(count);
        self.peer[self.filled..self.filled + count].copy_from_slice(bytes);
        self.filled += count;
        *input = rest;
        if self.filled < PACKET_SIZE {
            return Ok(Received::Nothing);
        }
        self.filled = 0;
        if self.first_seen {
            return Ok(Received::Second);
        }
        self.first_seen = true;
        Ok(Received::First)
    }

    fn answer_c1(&mut self, output: &mut BytesMut) {
        if let Some((scheme, peer_digest)) = digest::find(Role::Client, &self.peer) {
            self.scheme = Some(scheme);
            self.own[4..DATA].copy_from_slice(&SERVER_VERSION);
            self.own_digest = digest::embed(Role::Server, scheme, &mut self.own);
            digest::sign(Role::Server, &peer_digest, &mut self.peer);
        }
        output.reserve(1 + 2 * PACKET_SIZE);
        output.extend_from_slice(&[VERSION]);
        output.extend_from_slice(&self.own);
        output.extend_from_slice(&self.peer);
    }

    fn answer_s1(&mut self, digest: bool, output: &mut BytesMut) {
        if digest && let Some((scheme, peer_digest)) = digest::find(Role::Server, &self.peer) {
            self.scheme = Some(scheme);
            digest::sign(Role::Client, &peer_digest, &mut self.peer);
        }
        output.extend_from_slice(&self.peer);
    }

    /// Judges the peer's second packet. A digest peer that merely echoes has
    /// answered too.
    fn summary(&self, peer: Role) -> HandshakeSummary {
        // Not the first 8 bytes: the second field is the time the echoing side
        // read ours, and some set the first one as well.
        let echoed = self.peer[DATA..] == self.own[DATA..];
        let signed = self.scheme.is_some() && digest::is_signed(peer, &self.own_digest, &self.peer);
        HandshakeSummary {
            kind: match self.scheme {
                None => HandshakeKind::Simple,
                Some(Scheme::Zero) => HandshakeKind::Digest0,
                Some(Scheme::One) => HandshakeKind::Digest1,
            },
            echo_matched: echoed || signed,
        }
    }
}
