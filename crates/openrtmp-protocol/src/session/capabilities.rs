use crate::amf::Object;
use crate::media::FourCc;

/// Bits of `capsEx` (Enhanced RTMP v2).
pub mod caps_ex {
    /// Reconnect requests.
    pub const RECONNECT: u32 = 1;
    /// Multitrack.
    pub const MULTITRACK: u32 = 2;
    /// ModEx.
    pub const MOD_EX: u32 = 4;
    /// Nanosecond offsets.
    pub const TIMESTAMP_NANO_OFFSET: u32 = 8;
}

/// What a peer said of itself in `connect` (or its result).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `capsEx` bits, 0 if it spoke no Enhanced RTMP v2.
    pub caps_ex: u32,
    /// `fourCcList`; `*` is any.
    pub four_cc_list: Vec<String>,
    /// `videoFourCcInfoMap`: FourCC (or `*`) and its bits (1 decode, 2 encode, 4 forward).
    pub video: Vec<(String, u32)>,
    /// `audioFourCcInfoMap`.
    pub audio: Vec<(String, u32)>,
}

impl Capabilities {
    /// Reads them from a command object; anything odd is left out.
    pub fn from_object(object: &Object) -> Capabilities {
        let _ = object;
        todo!()
    }

    /// What this server says of itself: forwards everything, reconnect, multitrack, ModEx.
    pub fn server() -> Capabilities {
        todo!()
    }

    /// Adds the members to an object (fourCcList, videoFourCcInfoMap, ...).
    pub fn write_to(&self, object: &mut Object) {
        let _ = object;
        todo!()
    }

    /// Whether the peer can decode or forward a codec; peers that said nothing may.
    pub fn may_receive_video(&self, fourcc: FourCc) -> bool {
        let _ = fourcc;
        todo!()
    }
}
