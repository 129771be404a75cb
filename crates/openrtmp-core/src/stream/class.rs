//! What a message is to those who queue, cache and drop it.

use openrtmp_protocol::session::MediaKind;

/// What a packet means to whoever may have to drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// onMetaData.
    Metadata,
    /// Decoder configuration, or the end of a sequence.
    Header,
    /// A video frame that decoding can start at.
    Key,
    /// Any other video frame.
    Inter,
    /// An audio frame.
    Audio,
    /// Other data.
    Data,
}

/// What a message is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classified {
    pub(crate) class: Class,
    pub(crate) track: u8,
    /// A header that joiners need, and the slot it takes among them.
    pub(crate) slot: Option<HeaderSlot>,
}

/// Joiners get the newest message of each slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderSlot {
    pub(crate) kind: MediaKind,
    pub(crate) track: u8,
    /// Sequence headers first, then what refines them.
    pub(crate) refinement: bool,
}

/// A message of the default track that joiners do not need.
pub(crate) fn plain(class: Class) -> Classified {
    Classified {
        class,
        track: 0,
        slot: None,
    }
}
