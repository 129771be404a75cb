use std::io;
use std::time::Duration;

use openrtmp_protocol::handshake::HandshakeError;
use openrtmp_protocol::session::{AuthError, SessionError, Stage};
use openrtmp_protocol::text::shown;

use crate::dial::ConnectFailures;
#[cfg(feature = "tls")]
use crate::tls::TlsError;

/// Why a [`Client`](super::Client) could not connect, or could not go on. The
/// connection is over, except after `Interrupted` and `NotPublishing`.
///
/// The text of an error holds the server's own words only as
/// [`text::shown`](openrtmp_protocol::text::shown) makes them; the fields hold them as
/// they came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL asks for TLS, and this library was built without it.
    #[error("rtmps:// is not spoken: built without TLS")]
    NoTls,
    /// What the settings say of TLS is of no use.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS failed, in the handshake or later: what was wrong, and what to do about it.
    #[error("{0}")]
    TlsFailed(String),
    /// The host name has no address.
    #[error("cannot find the host {host:?}: {source}")]
    Resolve {
        /// The host of the URL.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address of the host took the connection.
    #[error("cannot connect to {0}")]
    Connect(#[source] ConnectFailures),
    /// [`ClientWaker::wake`](super::ClientWaker::wake) was used while connecting or
    /// sending. A client that was sending goes on with the next call.
    #[error("interrupted")]
    Interrupted,
    /// The deadline of [`Client::close`](super::Client::close) came before everything
    /// was sent.
    #[error("{bytes} bytes could not be sent in time")]
    Unsent {
        /// What was left, protocol included.
        bytes: usize,
    },
    /// The peer does not speak RTMP.
    #[error("handshake: {0}")]
    Handshake(#[source] HandshakeError),
    /// The server refused connect, publish or play.
    #[error("the server refused: {} ({})", shown(.code), shown(.description))]
    Refused {
        /// Status code, for example `NetStream.Publish.BadName`.
        code: String,
        /// The server's words.
        description: String,
        /// Where it sends its clients instead (`ex.redirect`), if anywhere. Nobody goes
        /// there by itself: [`RtmpUrl::redirected`](openrtmp_protocol::RtmpUrl::redirected)
        /// makes a URL of it, for which
        /// [`TlsClientConfig::for_redirect`](crate::TlsClientConfig::for_redirect) holds
        /// if it is of another server.
        redirect: Option<String>,
    },
    /// The server asked for a user name and a password, and did not get in.
    #[error("the server refused: {0}")]
    Unauthenticated(#[from] AuthError),
    /// The server ended a stream it had accepted.
    #[error("the server ended the stream: {} ({})", shown(.code), shown(.description))]
    Ended {
        /// Status code, for example `NetStream.Publish.Unauthorized`.
        code: String,
        /// The server's words.
        description: String,
    },
    /// The server closed the connection without a word.
    #[error("the server closed the connection ({stage})")]
    Closed {
        /// How far it had come.
        stage: Stage,
    },
    /// No answer in time.
    #[error("no answer within {} s ({stage})", seconds(limit))]
    Timeout {
        /// What was waited for.
        stage: Stage,
        /// The time allowed.
        limit: Duration,
    },
    /// The server took no bytes for [`ClientConfig::send_timeout`](super::ClientConfig).
    #[error("the server took no data for {} s", seconds(limit))]
    Stalled {
        /// The time allowed.
        limit: Duration,
    },
    /// The server broke the protocol.
    #[error(transparent)]
    Protocol(SessionError),
    /// Media can be sent only by a client that publishes.
    #[error("this connection does not publish")]
    NotPublishing,
    /// The operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// As people read it: no finer than a millisecond.
fn seconds(limit: &Duration) -> f64 {
    (limit.as_secs_f64() * 1e3).round() / 1e3
}

impl From<SessionError> for ClientError {
    fn from(error: SessionError) -> ClientError {
        match error {
            SessionError::Handshake(e) => ClientError::Handshake(e),
            SessionError::Refused {
                code,
                description,
                redirect,
            } => ClientError::Refused {
                code,
                description,
                redirect,
            },
            SessionError::Unauthenticated(error) => ClientError::Unauthenticated(error),
            SessionError::Timeout { stage, seconds } => ClientError::Timeout {
                stage,
                limit: Duration::from_secs(seconds),
            },
            other => ClientError::Protocol(other),
        }
    }
}
