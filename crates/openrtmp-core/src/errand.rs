//! What a connection to another server is made for.

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::session::{ClientLogin, ClientMode};

use crate::secret::StreamName;

/// What an outgoing connection is for.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    /// To play a stream there and publish it here, or to publish there what is here.
    pub(crate) mode: ClientMode,
    /// The stream there.
    pub(crate) url: RtmpUrl,
    /// The stream here.
    pub(crate) name: StreamName,
    /// The servers that it has come through before this one.
    pub(crate) via: Vec<u64>,
    /// True if a relay wants it, which hears what becomes of it.
    pub(crate) is_relay: bool,
    /// True if no rule names the server, but another one sends us there.
    #[cfg_attr(
        not(feature = "tls"),
        expect(dead_code, reason = "it is told apart by TLS alone")
    )]
    pub(crate) is_redirect: bool,
    /// What the other server wants to hear of who we are.
    pub(crate) login: ClientLogin,
}
