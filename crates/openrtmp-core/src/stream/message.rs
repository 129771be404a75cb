//! What travels to and from a stream between threads, beside packets.

use openrtmp_protocol::chunk::Payload;
use openrtmp_protocol::session::MediaKind;

use crate::close_reason::CloseReason;
use crate::id::StreamId;

/// A message of a publisher.
pub(crate) struct PublisherMessage {
    pub(crate) stream: StreamId,
    /// Counts the stream's publishers: what an earlier one still sends is not taken.
    pub(crate) epoch: u32,
    pub(crate) kind: MediaKind,
    /// Milliseconds mod 2^32, as on the wire.
    pub(crate) timestamp: u32,
    pub(crate) payload: Payload,
}

/// How a publisher left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// It said so, or we sent it away: it does not come back at once.
    Goodbye,
    /// It vanished, and may be on its way back.
    Lost,
}

impl Departure {
    /// That of a publisher whose connection ends for this reason.
    pub(crate) fn of(reason: &CloseReason) -> Departure {
        match reason {
            CloseReason::Peer
            | CloseReason::Network(_)
            | CloseReason::Protocol(_)
            | CloseReason::TooSlow(_)
            | CloseReason::Suspended
            | CloseReason::SocketLost
            | CloseReason::Internal => Departure::Lost,
            CloseReason::Refused(_)
            | CloseReason::Limit(_)
            | CloseReason::Host(_)
            | CloseReason::StreamEnded
            | CloseReason::ServerStopped => Departure::Goodbye,
        }
    }
}

/// What became of a stream, for those who play it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamNews {
    /// One that was waited for has begun.
    Began,
    /// It goes on with another publisher.
    Restarted,
    /// It is over; its players wait for it to come back.
    Ended,
}
