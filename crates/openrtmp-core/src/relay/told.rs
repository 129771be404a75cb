//! What relays are told and asked, and what they want done.

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::session::ClientMode;

use crate::events::Event;
use crate::id::{ConnectionId, RelayId};
use crate::secret::StreamName;

/// One stream of one rule. By stream first: what happens to a stream concerns its own.
pub(crate) type LinkKey = (StreamName, RelayId);

/// What is to be done for relays.
#[derive(Debug)]
pub(crate) enum Order {
    /// To make a connection, and to tell [`Relays::connecting`] of it, or
    /// [`Relays::failed`].
    Connect {
        link: LinkKey,
        mode: ClientMode,
        url: Box<RtmpUrl>,
        /// Another server than the rule's, which that one sent us to.
        is_redirect: bool,
        via: Vec<u64>,
    },
    Disconnect(ConnectionId),
    Emit(Box<Event>),
}

/// How a connection ended, for its relay.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) reason: String,
    /// What it published elsewhere is over.
    pub(crate) is_done: bool,
}

/// What the other server said before a connection to it ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Refusal {
    /// Its status code.
    pub(crate) code: String,
    /// Where it sent us to.
    pub(crate) redirect: Option<RtmpUrl>,
}

/// What is asked of the directory.
pub(crate) trait Streams {
    /// Whether a stream has a publisher.
    fn is_live(&self, name: &StreamName) -> bool;
    /// Whether anybody plays it.
    fn is_played(&self, name: &StreamName) -> bool;
}
