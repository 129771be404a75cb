use std::time::Duration;

use bytes::Bytes;

use super::{Capabilities, Media, MediaKind, SessionError};
use crate::command::Status;
use crate::handshake::HandshakeSummary;
use crate::{Limits, RtmpUrl, Time};

/// Publish or play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMode {
    /// Send a stream.
    Publish,
    /// Receive a stream.
    Play,
}

/// Settings of a client session.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// What to publish or play.
    pub url: RtmpUrl,
    /// Publish or play.
    pub mode: ClientMode,
    /// Chunk size we write, bytes.
    pub chunk_size: u32,
    /// Ask for the digest handshake.
    pub digest_handshake: bool,
    /// From the start to `Ready`.
    pub timeout: Duration,
    /// `flashVer` to send.
    pub flash_version: String,
    /// What we say of ourselves.
    pub capabilities: Capabilities,
    /// Limits for what the server sends.
    pub limits: Limits,
}

impl ClientConfig {
    /// Defaults for a URL.
    pub fn new(url: RtmpUrl, mode: ClientMode) -> ClientConfig {
        ClientConfig {
            url,
            mode,
            chunk_size: 60_000,
            digest_handshake: false,
            timeout: Duration::from_secs(20),
            flash_version: format!("OpenRTMP/{}", env!("CARGO_PKG_VERSION")),
            capabilities: Capabilities::default(),
            limits: Limits::default(),
        }
    }
}

/// What happened. Drain with [`ClientSession::poll_event`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The handshake is over.
    HandshakeDone(HandshakeSummary),
    /// `connect` was accepted; what the server said of itself.
    Connected(Capabilities),
    /// Publishing: media may be sent. Playing: the server started.
    Ready,
    /// A message of the stream being played.
    Media(Media),
    /// A status that is neither the awaited success nor fatal
    /// (PublishNotify, UnpublishNotify, Play.Reset, ...).
    Status(Status),
    /// StreamEOF of the played stream.
    StreamEof,
    /// The server asks to connect again, at this tcUrl if it names one.
    ReconnectRequest(Option<String>),
}

/// The client's side of a connection. See the [module](super) for the grammar.
pub struct ClientSession {
    _private: (),
}

impl ClientSession {
    /// A session whose C0 and C1 are ready to be sent.
    pub fn new(
        config: ClientConfig,
        now: Time,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> ClientSession {
        let _ = (config, now, random);
        todo!()
    }

    /// Feeds bytes; returns how many were used, as [`super::ServerSession::handle_input`].
    pub fn handle_input(&mut self, now: Time, input: &[u8]) -> Result<usize, SessionError> {
        let _ = (now, input);
        todo!()
    }

    /// To be called when the deadline of `poll_timeout` has come.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), SessionError> {
        let _ = now;
        todo!()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        todo!()
    }

    /// Bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        todo!()
    }

    /// The deadline, until `Ready`.
    pub fn poll_timeout(&self) -> Option<Time> {
        todo!()
    }

    /// Sends a message of the published stream; data payloads are AMF0 values,
    /// `onMetaData` is wrapped in `@setDataFrame`. False before `Ready`.
    pub fn send(&mut self, kind: MediaKind, timestamp: u32, payload: &[u8]) -> bool {
        let _ = (kind, timestamp, payload);
        todo!()
    }

    /// Says goodbye: FCUnpublish, deleteStream.
    pub fn close(&mut self) {
        todo!()
    }
}
