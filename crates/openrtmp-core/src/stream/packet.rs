use std::sync::{Arc, OnceLock};

use openrtmp_protocol::Time;
use openrtmp_protocol::chunk::{Payload, WireMessage};
use openrtmp_protocol::media::{
    AudioTag, FourCc, PlainForm, VideoTag, write_plain_audio, write_plain_video,
};
use openrtmp_protocol::session::MediaKind;

use super::class::{Class, Classified, HeaderSlot};
use crate::budget::{PacketCharge, StreamMemory};

/// The message stream id nearly every player has: the first it created. Headers
/// are made for it once per packet; players with another id get their own copy.
pub(crate) const COMMON_MESSAGE_STREAM: u32 = 1;

/// One message of a stream, made once and shared by all who get it.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) kind: MediaKind,
    pub(crate) class: Class,
    /// Of several tracks in it, the default one, or the first; 0 without multitrack.
    pub(crate) track: u8,
    /// That track is the default one of its kind.
    leads: bool,
    form: PlainForm,
    /// Made for the first who needs it.
    plain: OnceLock<SharedPacket>,
    /// Joiners need the newest of each slot.
    pub(crate) slot: Option<HeaderSlot>,
    /// Milliseconds on the stream's clock, as sent.
    pub(crate) timestamp: u32,
    /// When the server had it whole.
    pub(crate) received: Time,
    /// As it goes out on [`COMMON_MESSAGE_STREAM`].
    pub(crate) message: WireMessage,
    charge: PacketCharge,
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
        memory: &Arc<StreamMemory>,
    ) -> Option<SharedPacket> {
        // A small part of what came must not keep all of it.
        let payload = payload.try_compact()?;
        let charge = PacketCharge::new(memory, payload.held_bytes() + Packet::OVERHEAD);
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
            leads: classified.leads,
            form: classified.form,
            plain: OnceLock::new(),
            slot: classified.slot,
            timestamp,
            received,
            message,
            charge,
            origin: None,
        }))
    }

    /// The same packet at another time, with the same payload, and whatever else has
    /// become of it.
    pub(crate) fn restamped(
        self: &Arc<Self>,
        classified: Classified,
        timestamp: u32,
        received: Time,
    ) -> SharedPacket {
        Arc::new(Packet {
            kind: self.kind,
            class: classified.class,
            track: classified.track,
            leads: classified.leads,
            form: classified.form,
            plain: OnceLock::new(),
            slot: classified.slot,
            timestamp,
            received,
            message: self.message.with_timestamp(timestamp),
            charge: PacketCharge::new(&self.charge.stream, Packet::OVERHEAD),
            origin: Some(self.origin.as_ref().unwrap_or(self).clone()),
        })
    }

    /// The same packet with another payload. `None` if there is no memory for it.
    pub(crate) fn with_payload(&self, payload: Payload) -> Option<SharedPacket> {
        let classified = Classified {
            class: self.class,
            track: self.track,
            leads: self.leads,
            form: self.form,
            slot: self.slot,
        };
        let (time, received) = (self.timestamp, self.received);
        Packet::new(
            self.kind,
            classified,
            time,
            received,
            payload,
            &self.charge.stream,
        )
    }

    /// Whether everybody gets it as it is.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.form == PlainForm::Same
    }

    /// What those get who know one track only: made once, for all of them. `None` if
    /// there is nothing for them, or no memory for it.
    #[cold]
    pub(crate) fn plain_form(self: &Arc<Self>) -> Option<&SharedPacket> {
        match self.form {
            PlainForm::Same => return Some(self),
            PlainForm::Omitted => return None,
            PlainForm::Rewritten => {}
        }
        if self.plain.get().is_none() {
            let classified = Classified {
                class: self.class,
                track: self.track,
                leads: self.leads,
                form: PlainForm::Same,
                slot: self.slot,
            };
            let (time, received) = (self.timestamp, self.received);
            let of_this_track =
                |origin: &&SharedPacket| (origin.form, origin.track) == (self.form, self.track);
            let plain = match self.origin.as_ref().filter(of_this_track) {
                Some(origin) => {
                    let plain = origin.plain_form()?;
                    Some(plain.restamped(classified, time, received))
                }
                None => {
                    let payload = match self.kind {
                        MediaKind::Audio => write_plain_audio(self.payload(), self.track),
                        _ => write_plain_video(self.payload(), self.track),
                    }?;
                    let payload = payload.into();
                    Packet::new(
                        self.kind,
                        classified,
                        time,
                        received,
                        payload,
                        &self.charge.stream,
                    )
                }
            };
            // Another worker may have been quicker: then its own is as good.
            let _ = self.plain.set(plain?);
        }
        self.plain.get()
    }

    /// Whether it is of the track of its kind that players of one track get.
    pub(crate) fn is_of_default_track(&self) -> bool {
        self.leads
    }

    /// Of a header of the default track: the codec, if only a FourCC names it, else
    /// `None`. Of anything else nothing.
    pub(crate) fn announced_codec(&self) -> Option<Option<FourCc>> {
        let slot = self.slot.filter(|slot| self.leads && !slot.refinement)?;
        Some(match slot.kind {
            MediaKind::Video => {
                let tag = VideoTag::parse(self.payload()).ok()?;
                let codec = tag.packets().find(|p| p.track == self.track)?.codec;
                tag.enhanced.then(|| codec.fourcc())
            }
            _ => {
                let tag = AudioTag::parse(self.payload()).ok()?;
                let codec = tag.packets().find(|p| p.track == self.track)?.codec;
                tag.enhanced.then(|| codec.fourcc())
            }
        })
    }

    /// Whether a joiner may begin here: a key frame of the track that all begin with.
    pub(crate) fn is_entry(&self) -> bool {
        self.class == Class::Key && self.leads
    }

    /// True for what a slow subscriber can do without.
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
