//! Which streams a tap is on, as data.

use std::sync::Arc;

use openrtmp_protocol::Secret;

use crate::id::StreamId;
use crate::secret::StreamName;

/// One stream. Made from its path (`app/name`) or its id wherever a call takes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamSelector {
    /// By its path, whether anything is published there yet or not.
    Name(Secret),
    /// By the id that events and metrics tell. It lasts as long as anybody publishes,
    /// plays, taps or waits for the stream; afterwards it finds nothing.
    Id(StreamId),
}

impl From<&str> for StreamSelector {
    fn from(name: &str) -> StreamSelector {
        StreamSelector::Name(name.into())
    }
}

impl From<&String> for StreamSelector {
    fn from(name: &String) -> StreamSelector {
        name.as_str().into()
    }
}

impl From<String> for StreamSelector {
    fn from(name: String) -> StreamSelector {
        name.as_str().into()
    }
}

impl From<&StreamName> for StreamSelector {
    fn from(name: &StreamName) -> StreamSelector {
        StreamSelector::Name(name.reveal().into())
    }
}

impl From<StreamId> for StreamSelector {
    fn from(id: StreamId) -> StreamSelector {
        StreamSelector::Id(id)
    }
}

/// The streams a tap is on, those still to come included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TapStreams {
    /// Every stream.
    All,
    /// One.
    Stream(StreamSelector),
    /// Every stream of an app.
    App(String),
    /// Those streams whose [`shard_of`] among `count` is `index`: taps on all `count`
    /// shards share the streams out, each to one of them.
    Shard {
        /// 0 to `count` - 1; no stream has another.
        index: u32,
        /// 1 or more; of 0 shards none has a stream.
        count: u32,
    },
    /// The same by what streams belong to: those with the same path but for one of these
    /// endings ([`without_ending`]) are in one shard.
    Groups {
        /// As of a shard.
        index: u32,
        /// As of shards.
        count: u32,
        /// What paths end with.
        endings: Arc<[String]>,
    },
}

impl<S: Into<StreamSelector>> From<S> for TapStreams {
    fn from(stream: S) -> TapStreams {
        TapStreams::Stream(stream.into())
    }
}

/// The shard of a stream's path (`app/name`) among `count`: its FNV-1a hash of 64 bits
/// modulo `count`, the same in every process and version. `None` if `count` is 0.
pub fn shard_of(name: &str, count: u32) -> Option<u32> {
    // Offset basis and prime: Fowler, Noll, Vo; RFC 9923 section 2.
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    u32::try_from(hash.checked_rem(count.into())?).ok()
}

/// What a stream's path (`app/name`) is without the longest of these endings that it has, and
/// the place of that among them. `None` if it has none, or nothing of its name would be left.
pub fn without_ending<'a>(name: &'a str, endings: &[String]) -> Option<(&'a str, usize)> {
    let rest = |ending: &String| {
        let rest = name.strip_suffix(ending.as_str())?;
        let is_name = !ending.is_empty() && !rest.is_empty() && !rest.ends_with('/');
        is_name.then_some(rest)
    };
    let found = endings.iter().enumerate();
    let found = found.filter_map(|(place, ending)| Some((rest(ending)?, place)));
    found.min_by_key(|(rest, _)| rest.len())
}

/// A selection by names alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// One stream; its directory entry has the tap.
    Stream(StreamName),
    /// Those of these apps; all if there are none.
    Apps(Vec<String>),
    Shard {
        index: u32,
        count: u32,
    },
    Groups {
        index: u32,
        count: u32,
        endings: Arc<[String]>,
    },
    /// As `Apps`, those of them whose publishers want to be recorded.
    Asked(Vec<String>),
}

impl Selection {
    pub(crate) const ALL: Selection = Selection::Apps(Vec::new());

    /// `asked`: its publisher wants it to be recorded.
    pub(crate) fn includes(&self, name: &StreamName, asked: bool) -> bool {
        let is_of = |apps: &[String]| apps.is_empty() || apps.iter().any(|app| app == name.app());
        match self {
            Selection::Stream(wanted) => wanted == name,
            Selection::Apps(apps) => is_of(apps),
            Selection::Asked(apps) => asked && is_of(apps),
            Selection::Shard { index, count } => shard_of(name.reveal(), *count) == Some(*index),
            Selection::Groups {
                index,
                count,
                endings,
            } => {
                let name = name.reveal();
                let group = without_ending(name, endings).map_or(name, |(rest, _)| rest);
                shard_of(group, *count) == Some(*index)
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// RFC 9923 appendix A has these values of FNV-1a for 64 bits.
    #[test]
    fn shards_are_those_of_fnv_1a() {
        let whole = |text| {
            let high = u64::from(shard_of(text, u32::MAX).expect("a count"));
            let low = u64::from(shard_of(text, 1 << 31).expect("a count"));
            (high, low)
        };
        for (text, hash) in [
            ("", 0xCBF2_9CE4_8422_2325_u64),
            ("a", 0xAF63_DC4C_8601_EC8C),
            ("foobar", 0x8594_4171_F739_67E8),
        ] {
            assert_eq!(whole(text), (hash % 0xFFFF_FFFF, hash % (1 << 31)));
        }
        assert_eq!(shard_of("live/cam", 0), None);
    }

    #[test]
    fn every_stream_is_in_one_shard_and_shards_are_of_a_size() {
        let mut sizes = [0; 8];
        for n in 0..4000 {
            let name = StreamName::plain(&format!("live/camera-{n}"));
            let holds = |&index: &u32| Selection::Shard { index, count: 8 }.includes(&name, false);
            let homes: Vec<u32> = (0..8).filter(holds).collect();
            assert_eq!(homes.len(), 1);
            sizes[homes[0] as usize] += 1;
        }
        assert!(
            sizes.iter().all(|size| (400..600).contains(size)),
            "{sizes:?}"
        );
    }

    #[test]
    fn streams_that_belong_together_are_in_one_shard() {
        let endings: Arc<[String]> = ["_low", "_very_low", "/x"].map(str::to_owned).into();
        for (name, rest) in [
            ("live/cam_low", Some(("live/cam", 0))),
            ("live/cam_very_low", Some(("live/cam", 1))),
            ("live/cam", None),
            ("live/_low", None),
            ("live/cam/x", Some(("live/cam", 2))),
            ("_low", None),
            ("", None),
        ] {
            assert_eq!(without_ending(name, &endings), rest, "{name}");
        }
        for n in 0..100 {
            let home = |ending: &str| {
                let name = StreamName::plain(&format!("live/camera-{n}{ending}"));
                let holds = |&index: &u32| {
                    let endings = endings.clone();
                    let count = 8;
                    let groups = Selection::Groups {
                        index,
                        count,
                        endings,
                    };
                    groups.includes(&name, false)
                };
                let homes: Vec<u32> = (0..8).filter(holds).collect();
                assert_eq!(homes.len(), 1);
                homes[0]
            };
            assert_eq!(home(""), home("_low"));
            assert_eq!(home(""), home("_very_low"));
        }
    }

    #[test]
    fn apps_are_chosen_whole() {
        let name = StreamName::plain;
        let live = Selection::Apps(vec!["live".to_owned()]);
        assert!(live.includes(&name("live/a"), false));
        assert!(!live.includes(&name("liver/a"), false));
        let asked = Selection::Asked(vec!["live".to_owned()]);
        assert!(asked.includes(&name("live/a"), true));
        assert!(!asked.includes(&name("live/a"), false));
        assert!(!asked.includes(&name("liver/a"), true));
        assert!(Selection::ALL.includes(&name("liver/a"), false));
        let one = Selection::Stream(name("live/a"));
        assert!(one.includes(&name("live/a"), false) && !one.includes(&name("live/ab"), false));
    }
}
