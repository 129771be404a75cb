use crate::amf::{Object, Value};
use crate::media::{AudioCodec, FourCc, VideoCodec};

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

/// Bits of the FourCC info maps (Enhanced RTMP v2).
const CAN_DECODE: u32 = 1;
const CAN_FORWARD: u32 = 4;

/// Any codec.
const ANY: &str = "*";

/// Entries kept of each list: far more than there are codecs, and a bound on
/// what a peer can make a connection remember.
const ENTRIES: usize = 32;

/// What a peer said of itself in `connect` (or its result).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
        Capabilities {
            caps_ex: object.get("capsEx").and_then(bits).unwrap_or(0),
            four_cc_list: object.get("fourCcList").map(codes).unwrap_or_default(),
            video: object
                .get("videoFourCcInfoMap")
                .map(info_map)
                .unwrap_or_default(),
            audio: object
                .get("audioFourCcInfoMap")
                .map(info_map)
                .unwrap_or_default(),
        }
    }

    /// What this server says of itself: forwards everything, reconnect,
    /// multitrack, ModEx with nanosecond offsets.
    pub fn server() -> Capabilities {
        Capabilities {
            caps_ex: caps_ex::RECONNECT
                | caps_ex::MULTITRACK
                | caps_ex::MOD_EX
                | caps_ex::TIMESTAMP_NANO_OFFSET,
            four_cc_list: vec![ANY.to_owned()],
            video: vec![(ANY.to_owned(), CAN_FORWARD)],
            audio: vec![(ANY.to_owned(), CAN_FORWARD)],
        }
    }

    /// Adds the members to an object (fourCcList, videoFourCcInfoMap, ...);
    /// empty ones are left out.
    pub fn write_to(&self, object: &mut Object) {
        let mut add = |name: &str, value: Value| object.members.push((name.to_owned(), value));
        if self.caps_ex != 0 {
            add("capsEx", f64::from(self.caps_ex).into());
        }
        if !self.four_cc_list.is_empty() {
            let codes = self.four_cc_list.iter().map(|code| code.as_str().into());
            add("fourCcList", Value::StrictArray(codes.collect()));
        }
        for (name, map) in [
            ("videoFourCcInfoMap", &self.video),
            ("audioFourCcInfoMap", &self.audio),
        ] {
            if !map.is_empty() {
                let entries = map.iter().fold(Object::new(), |object, (code, bits)| {
                    object.with(code, f64::from(*bits))
                });
                add(name, entries.into());
            }
        }
    }

    /// Whether the peer knows messages of several tracks: it says so, or it names codecs
    /// as only Enhanced RTMP v2 does, which has them.
    pub fn knows_multitrack(&self) -> bool {
        self.caps_ex & caps_ex::MULTITRACK != 0 || !self.video.is_empty() || !self.audio.is_empty()
    }

    /// Whether the peer can decode or forward a codec of video that only a FourCC names.
    /// Peers that said nothing of video may.
    pub fn may_receive_video(&self, fourcc: FourCc) -> bool {
        let is_video = |code| !matches!(VideoCodec::from(code), VideoCodec::Other(_));
        self.may_receive(fourcc, &self.video, is_video)
    }

    /// The same of audio.
    pub fn may_receive_audio(&self, fourcc: FourCc) -> bool {
        let is_audio = |code| !matches!(AudioCodec::from(code), AudioCodec::Other(_));
        self.may_receive(fourcc, &self.audio, is_audio)
    }

    /// A list of codecs of another kind, as those of Enhanced RTMP v1 are of video, says
    /// nothing.
    fn may_receive(
        &self,
        fourcc: FourCc,
        map: &[(String, u32)],
        is_of_kind: impl Fn(FourCc) -> bool,
    ) -> bool {
        let text = fourcc.as_string();
        let fits = |code: &str| code == ANY || code == text;
        let code_of = |code: &str| code.as_bytes().try_into().ok().map(FourCc);
        let mut listed = self.four_cc_list.iter();
        let says_something = !map.is_empty()
            || listed.any(|code| code == ANY || code_of(code).is_some_and(&is_of_kind));
        !says_something
            || self.four_cc_list.iter().any(|code| fits(code))
            || map
                .iter()
                .any(|(code, bits)| fits(code) && bits & (CAN_DECODE | CAN_FORWARD) != 0)
    }
}

/// A number as bits; fractions, negative and too large ones are odd.
fn bits(value: &Value) -> Option<u32> {
    let number = value.as_f64()?;
    let bits = number as u32;
    (f64::from(bits) == number).then_some(bits)
}

fn is_code(text: &str) -> bool {
    text == ANY || text.len() == 4
}

/// A strict array of codes; some peers send an ECMA array instead.
fn codes(value: &Value) -> Vec<String> {
    let code = |value: &Value| {
        value
            .as_str()
            .filter(|code| is_code(code))
            .map(str::to_owned)
    };
    match value {
        Value::StrictArray(values) => values.iter().filter_map(code).take(ENTRIES).collect(),
        Value::EcmaArray(object) => {
            let values = object.members.iter().map(|(_, value)| value);
            values.filter_map(code).take(ENTRIES).collect()
        }
        _ => Vec::new(),
    }
}

fn info_map(value: &Value) -> Vec<(String, u32)> {
    let Some(object) = value.as_object() else {
        return Vec::new();
    };
    let entries = object.members.iter().filter(|(code, _)| is_code(code));
    entries
        .filter_map(|(code, value)| Some((code.clone(), bits(value)?)))
        .take(ENTRIES)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_strict_array_and_both_kinds_of_map() {
        let object = Object::new()
            .with("capsEx", 15.0)
            .with(
                "fourCcList",
                Value::StrictArray(vec!["av01".into(), "hvc1".into()]),
            )
            .with("videoFourCcInfoMap", Object::new().with("hvc1", 5.0))
            .with(
                "audioFourCcInfoMap",
                Value::EcmaArray(Object::new().with("Opus", 4.0)),
            );
        let read = Capabilities::from_object(&object);
        assert_eq!(read.caps_ex, 15);
        assert_eq!(read.four_cc_list, ["av01", "hvc1"]);
        assert_eq!(read.video, [("hvc1".to_owned(), 5)]);
        assert_eq!(read.audio, [("Opus".to_owned(), 4)]);
    }

    #[test]
    fn leaves_odd_things_out() {
        let codes = (0..100)
            .map(|n| format!("c{n:03}").into())
            .collect::<Vec<Value>>();
        let object = Object::new()
            .with("capsEx", -1.0)
            .with("fourCcList", Value::StrictArray(codes))
            .with(
                "videoFourCcInfoMap",
                Object::new()
                    .with("hvc1", "yes")
                    .with("too long", 1.0)
                    .with("av01", 0.5),
            )
            .with("audioFourCcInfoMap", 3.0);
        let read = Capabilities::from_object(&object);
        assert_eq!(read.caps_ex, 0);
        assert_eq!(read.four_cc_list.len(), ENTRIES);
        assert_eq!(read.video, []);
        assert_eq!(read.audio, []);
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut object = Object::new();
        Capabilities::server().write_to(&mut object);
        assert_eq!(Capabilities::from_object(&object), Capabilities::server());
        assert_eq!(object.get("capsEx"), Some(&Value::Number(15.0)));

        let mut object = Object::new();
        Capabilities::default().write_to(&mut object);
        assert_eq!(object.members, []);
    }

    #[test]
    fn who_speaks_enhanced_rtmp_v2_knows_multitrack() {
        assert!(!Capabilities::default().knows_multitrack());
        let named = Capabilities {
            four_cc_list: vec!["hvc1".to_owned()],
            caps_ex: caps_ex::RECONNECT,
            ..Capabilities::default()
        };
        assert!(!named.knows_multitrack());
        let multitrack = Capabilities {
            caps_ex: caps_ex::MULTITRACK,
            ..Capabilities::default()
        };
        assert!(multitrack.knows_multitrack());
        let mapped = Capabilities {
            audio: vec![("Opus".to_owned(), CAN_DECODE)],
            ..Capabilities::default()
        };
        assert!(mapped.knows_multitrack());
        assert!(Capabilities::server().knows_multitrack());
    }

    #[test]
    fn a_peer_receives_what_it_named_or_anything_if_it_named_nothing() {
        let hevc = FourCc(*b"hvc1");
        let peer = |list: &[&str], video: &[(&str, u32)]| Capabilities {
            four_cc_list: list.iter().map(|code| (*code).to_owned()).collect(),
            video: video
                .iter()
                .map(|(code, bits)| ((*code).to_owned(), *bits))
                .collect(),
            ..Capabilities::default()
        };
        assert!(peer(&[], &[]).may_receive_video(hevc));
        assert!(peer(&["hvc1"], &[]).may_receive_video(hevc));
        assert!(peer(&["*"], &[]).may_receive_video(hevc));
        assert!(peer(&[], &[("hvc1", 1)]).may_receive_video(hevc));
        assert!(peer(&[], &[("*", 4)]).may_receive_video(hevc));
        assert!(!peer(&["av01"], &[]).may_receive_video(hevc));
        assert!(!peer(&[], &[("hvc1", 2)]).may_receive_video(hevc));
        let opus = FourCc(*b"Opus");
        assert!(peer(&["Opus"], &[]).may_receive_video(hevc), "not of video");
        assert!(peer(&["av01"], &[("av01", 1)]).may_receive_audio(opus));
        assert!(peer(&["Opus"], &[]).may_receive_audio(opus));
        assert!(!peer(&["fLaC"], &[]).may_receive_audio(opus));
        assert!(peer(&["*"], &[]).may_receive_audio(opus));
    }
}
