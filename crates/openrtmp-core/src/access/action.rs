//! What somebody wants to do here, and how it came.

use openrtmp_protocol::session::RequestKind;
use serde::{Deserialize, Serialize};

/// What a peer wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccessAction {
    /// Connect to an app.
    Connect,
    /// Publish a stream.
    Publish,
    /// Play a stream.
    Play,
}

impl AccessAction {
    pub(crate) fn kind(self) -> RequestKind {
        match self {
            AccessAction::Connect => RequestKind::Connect,
            AccessAction::Publish => RequestKind::Publish,
            AccessAction::Play => RequestKind::Play,
        }
    }

    /// `connect`, `publish` or `play`.
    pub fn as_str(self) -> &'static str {
        match self {
            AccessAction::Connect => "connect",
            AccessAction::Publish => "publish",
            AccessAction::Play => "play",
        }
    }
}

/// How somebody came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Protocol {
    /// RTMP over TCP.
    Rtmp,
    /// RTMP over TLS.
    Rtmps,
    /// HLS over HTTP: a viewer, once for what it plays.
    Hls,
    /// DASH over HTTP: the same.
    Dash,
    /// FLV over HTTP or a WebSocket.
    Flv,
    /// A connection that this server made to another, by the host's wish. No callback
    /// is asked about it.
    Outgoing,
}

impl Protocol {
    /// Without an RTMP connection.
    pub(crate) fn is_http(self) -> bool {
        matches!(self, Protocol::Hls | Protocol::Dash | Protocol::Flv)
    }
}
