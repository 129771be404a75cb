use std::sync::Arc;

use openrtmp_protocol::Time;
use openrtmp_protocol::chunk::{Payload, WireMessage};
use openrtmp_protocol::session::MediaKind;

use super::class::{Class, Classified, HeaderSlot};
use crate::budget::{Budget, Charge};

/// The message stream id nearly every player has: the first it created. Headers
/// are made for it once per packet; players with another id get their own copy.
pub(crate) const COMMON_MESSAGE_STREAM: u32 = 1;

/// One message of a stream, made once and shared by all who get it.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) kind: MediaKind,
    pub(crate) class: Class,
    /// Track of the message's first packet; 0 without multitrack.
    pub(crate) track: u8,
    /// Joiners need the newest of each slot.
    pub(crate) slot: Option<HeaderSlot>,
    /// Milliseconds on the stream's clock, as sent.
    pub(crate) timestamp: u32,
    /// When the server had it whole.
    pub(crate) received: Time,
    /// As it goes out on [`COMMON_MESSAGE_STREAM`].
    pub(crate) message: WireMessage,
    _charge: Charge,
    /// The one whose buffer this is, and whose charge goes on as long as that is held.
    origin: Option<SharedPacket>,
}

/// A packet as it travels.
pub(crate) type SharedPacket = Arc<Packet>;

impl Packet {
    /// What a packet takes beside its payload: itself, the counts of who holds it and
    /// its buffer, and what an allocator adds to the three.
    pub(crate) const OVERHEAD: usize = size_of::<Packet>() + 96;

    /// `None` if there is no memory for it.
    pub(crate) fn new(
        kind: MediaKind,
        classified: Classified,
        timestamp: u32,
        received: Time,
        payload: Payload,
        budget: &Arc<Budget>,
    ) -> Option<SharedPacket> {
        // A small part of what came must not keep all of it.
        let payload = payload.try_compact()?;
        let charge = Charge::new(budget, payload.held_bytes() + Packet::OVERHEAD);
        let message = WireMessage::new(
            kind.chunk_stream(),
            kind.message_kind(),
            COMMON_MESSAGE_STREAM,
            timestamp,
            payload,
        )?;
        Some(Arc::new(Packet {
            kind,
            class: classified.class,
            track: classified.track,
            slot: classified.slot,
            timestamp,
            received,
            message,
            _charge: charge,
            origin: None,
        }))
    }

    /// The same packet at another time, with the same payload.
    pub(crate) fn restamped(
        self: &Arc<Self>,
        timestamp: u32,
        received: Time,
        budget: &Arc<Budget>,
    ) -> SharedPacket {
        Arc::new(Packet {
            kind: self.kind,
            class: self.class,
            track: self.track,
            slot: self.slot,
            timestamp,
            received,
            message: self.message.with_timestamp(timestamp),
            _charge: Charge::new(budget, Packet::OVERHEAD),
            origin: Some(self.origin.as_ref().unwrap_or(self).clone()),
        })
    }

    /// The same packet with another payload. `None` if there is no memory for it.
    pub(crate) fn with_payload(
        &self,
        payload: Payload,
        budget: &Arc<Budget>,
    ) -> Option<SharedPacket> {
        let classified = Classified {
            class: self.class,
            track: self.track,
            slot: self.slot,
        };
        Packet::new(
            self.kind,
            classified,
            self.timestamp,
            self.received,
            payload,
            budget,
        )
    }

    /// True for what a slow subscriber can do without (S7).
    pub(crate) fn is_droppable(&self) -> bool {
        self.class == Class::Inter
    }

    /// Bytes it counts for in queues and caches.
    pub(crate) fn len(&self) -> usize {
        self.payload().len()
    }

    pub(crate) fn payload(&self) -> &[u8] {
        self.message.payload()
    }
}
