//! The handshake, both sides: simple and digest (schemes 0 and 1).

use bytes::BytesMut;

/// Bytes of C1, S1, C2 and S2.
pub const PACKET_SIZE: usize = 1536;

/// Which handshake the peers settled on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
pub struct HandshakeSummary {
    /// The kind.
    pub kind: HandshakeKind,
    /// False if the peer's last packet did not answer ours; common with
    /// hardware encoders and harmless.
    pub echo_matched: bool,
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer's version byte is not 3.
    #[error("version {0} asked for, only 3 is spoken")]
    Version(u8),
    /// C2 (or S2) does not answer what we sent, and `strict` is set.
    #[error("the peer's last handshake packet does not echo ours")]
    Echo,
}

/// The server's side.
pub struct ServerHandshake {
    _private: (),
}

impl ServerHandshake {
    /// A handshake that waits for C0. `random` fills S1's data; `strict` makes a
    /// C2 that does not echo S1 an error.
    pub fn new(random: &mut dyn FnMut(&mut [u8]), strict: bool) -> ServerHandshake {
        let _ = (random, strict);
        todo!()
    }

    /// Feeds bytes; returns how many were used (all of them until the handshake
    /// is done) and the summary once it is. Appends the answer to `output`.
    pub fn handle_input(
        &mut self,
        input: &[u8],
        output: &mut BytesMut,
    ) -> Result<(usize, Option<HandshakeSummary>), HandshakeError> {
        let _ = (input, output);
        todo!()
    }
}

/// The client's side.
pub struct ClientHandshake {
    _private: (),
}

impl ClientHandshake {
    /// Starts a handshake: appends C0 and C1 to `output`. `digest` asks for the
    /// digest handshake (scheme 1), which a simple server answers simply.
    pub fn new(
        random: &mut dyn FnMut(&mut [u8]),
        digest: bool,
        output: &mut BytesMut,
    ) -> ClientHandshake {
        let _ = (random, digest, output);
        todo!()
    }

    /// Feeds bytes; as [`ServerHandshake::handle_input`].
    pub fn handle_input(
        &mut self,
        input: &[u8],
        output: &mut BytesMut,
    ) -> Result<(usize, Option<HandshakeSummary>), HandshakeError> {
        let _ = (input, output);
        todo!()
    }
}
