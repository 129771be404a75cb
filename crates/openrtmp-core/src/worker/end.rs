//! How far a connection's end has come.

use openrtmp_protocol::Time;

use crate::events::CloseReason;

/// What a connection that ends still owes its peer, and until when.
///
/// The usual connection goes on, and each frame to it asks whether: two words of memory.
#[derive(Debug, Default)]
pub(super) enum End {
    /// It goes on.
    #[default]
    Open,
    /// What waits is sent, until then.
    Sending(Box<Ending>),
    /// Everything was sent, and the peer may read it until then. We read on, so that it
    /// is not lost to a reset.
    Lingering(Box<Ending>),
    /// Nothing is owed: it is closed as soon as its turn is over.
    Due(Box<CloseReason>),
}

/// An end that takes time.
#[derive(Debug)]
pub(super) struct Ending {
    reason: CloseReason,
    /// It is over by then.
    pub(super) until: Time,
    /// Bytes of the peer that were thrown away since the end was decided.
    discarded: usize,
}

impl End {
    /// What waits is still to be sent, until `until`. The first reason stays.
    pub(super) fn begin(&mut self, reason: CloseReason, until: Time) {
        if let End::Open = self {
            *self = End::Sending(Box::new(Ending {
                reason,
                until,
                discarded: 0,
            }));
        }
    }

    /// Everything is sent: the peer has until `until` to read it.
    pub(super) fn linger(&mut self, until: Time) {
        if let End::Sending(mut ending) = std::mem::take(self) {
            ending.until = until;
            *self = End::Lingering(ending);
        }
    }

    /// It is over, whatever is still owed. The first reason stays.
    pub(super) fn finish(&mut self, reason: CloseReason) {
        *self = End::Due(Box::new(std::mem::take(self).into_reason(reason)));
    }

    /// Why it ends, if it does.
    pub(super) fn reason(&self) -> Option<&CloseReason> {
        match self {
            End::Open => None,
            End::Sending(ending) | End::Lingering(ending) => Some(&ending.reason),
            End::Due(reason) => Some(reason),
        }
    }

    /// Why it ends: the first reason, or `reason` if there was none.
    pub(super) fn into_reason(self, reason: CloseReason) -> CloseReason {
        match self {
            End::Open => reason,
            End::Sending(ending) | End::Lingering(ending) => ending.reason,
            End::Due(first) => *first,
        }
    }

    /// True once the end was decided: nothing the peer says matters any more.
    pub(super) fn is_decided(&self) -> bool {
        !matches!(self, End::Open)
    }

    /// True once nothing more will be written.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, End::Lingering(_) | End::Due(_))
    }

    /// True if it is to be closed.
    pub(super) fn is_due(&self) -> bool {
        matches!(self, End::Due(_))
    }

    /// When it is over at the latest, if that is still to come.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self {
            End::Sending(ending) | End::Lingering(ending) => Some(ending.until),
            End::Open | End::Due(_) => None,
        }
    }

    /// Counts bytes that are read and thrown away; returns how many there were so far.
    pub(super) fn discard(&mut self, bytes: usize) -> usize {
        match self {
            End::Sending(ending) | End::Lingering(ending) => {
                ending.discarded += bytes;
                ending.discarded
            }
            End::Open | End::Due(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn an_end_sends_lingers_and_is_due_for_its_first_reason() {
        let mut end = End::default();
        assert!(!end.is_decided());
        end.begin(CloseReason::ServerStopped, at(5));
        end.begin(CloseReason::Internal, at(9));
        assert_eq!((end.deadline(), end.is_silent()), (Some(at(5)), false));
        assert_eq!((end.discard(3), end.discard(4)), (3, 7));
        end.linger(at(7));
        assert_eq!((end.deadline(), end.is_silent()), (Some(at(7)), true));
        assert_eq!(end.discard(1), 8);
        end.finish(CloseReason::Peer);
        assert!(end.is_due() && end.deadline().is_none());
        assert_eq!(
            end.into_reason(CloseReason::Peer),
            CloseReason::ServerStopped
        );
    }

    #[test]
    fn an_open_connection_ends_at_once_for_the_reason_given() {
        let mut end = End::default();
        end.linger(at(1));
        assert!(!end.is_decided(), "nothing to linger over");
        assert_eq!(end.into_reason(CloseReason::Peer), CloseReason::Peer);
    }
}
