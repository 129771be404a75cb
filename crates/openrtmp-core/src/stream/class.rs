//! What a message is to those who queue, cache and drop it.

use openrtmp_protocol::media::PlainForm;
use openrtmp_protocol::session::MediaKind;

/// What a packet means to whoever may have to drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// onMetaData.
    Metadata,
    /// Decoder configuration, or the end of a sequence.
    Header,
    /// What a message of its own brings for the key frame behind it: parameter sets and
    /// the like, no picture.
    Prelude,
    /// A video frame that decoding can start at.
    Key,
    /// Any other video frame.
    Inter,
    /// An audio frame.
    Audio,
    /// Other data.
    Data,
}

impl Class {
    /// Whether it describes what follows, rather than being part of it.
    pub(crate) fn is_header(self) -> bool {
        matches!(self, Class::Metadata | Class::Header)
    }

    /// Whether it has a place on its track's clock.
    pub(crate) fn is_timed(self) -> bool {
        matches!(
            self,
            Class::Prelude | Class::Key | Class::Inter | Class::Audio
        )
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classified {
    pub(crate) class: Class,
    /// Of several tracks in it, the default one, or the first.
    pub(crate) track: u8,
    /// That track is the default one of its kind.
    pub(crate) leads: bool,
    /// How it reads for who knows one track only.
    pub(crate) form: PlainForm,
    /// A header that joiners need, and the slot it takes among them.
    pub(crate) slot: Option<HeaderSlot>,
}

/// Joiners get the newest message of each slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderSlot {
    pub(crate) kind: MediaKind,
    pub(crate) track: u8,
    /// Of a message with several tracks, a number for them all; else 0.
    pub(crate) tracks: u32,
    /// Sequence headers first, then what refines them.
    pub(crate) refinement: bool,
}

/// A message of the default track that joiners do not need.
pub(crate) fn plain(class: Class) -> Classified {
    Classified {
        class,
        track: 0,
        leads: true,
        form: PlainForm::Same,
        slot: None,
    }
}
