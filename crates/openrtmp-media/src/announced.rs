//! What a publisher says of how many bits per second its tracks have.
//!
//! `onMetaData` has `videodatarate` and `audiodatarate`, in kbit/s (FLV, E.5), and of Enhanced
//! RTMP (version 2, "Metadata Frame") the same for each track by its id, in
//! `videoTrackIdInfoMap` and `audioTrackIdInfoMap`. Encoders that do not know it say 0, and some
//! count in other units: what no track has is left out.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use openrtmp_protocol::AmfLimits;
use openrtmp_protocol::amf::{Decoder, Object};

use crate::labels::ON_METADATA;
use crate::mp4::TrackName;

/// Tracks that are told of, at most.
const MOST: usize = 32;

/// What is said of a kind of tracks.
struct Kind {
    /// The rate of the first one.
    rate: &'static str,
    /// That of each, in objects by their ids.
    tracks: &'static str,
    name: fn(u8) -> TrackName,
    /// Rates that such tracks have, in kbit/s.
    believed: RangeInclusive<f64>,
}

const KINDS: [Kind; 2] = [
    Kind {
        rate: "videodatarate",
        tracks: "videoTrackIdInfoMap",
        name: TrackName::Video,
        believed: 1.0..=100_000.0,
    },
    Kind {
        rate: "audiodatarate",
        tracks: "audioTrackIdInfoMap",
        name: TrackName::Audio,
        believed: 1.0..=10_000.0,
    },
];

/// The bits per second that a data message (AMF0 values, the first of which is `onMetaData`) says
/// tracks have. Nothing, if it is another message, or says nothing of them.
pub fn announced_rates(message: &[u8]) -> Vec<(TrackName, u64)> {
    let mut found = BTreeMap::new();
    let told = message.strip_prefix(ON_METADATA).unwrap_or_default();
    let mut values = Decoder::new(told, &AmfLimits::default());
    while !values.is_empty() {
        let Ok(value) = values.value() else { break };
        let Some(all) = value.as_object() else {
            continue;
        };
        for kind in &KINDS {
            let mut hear = |id: u8, told: &Object| {
                let told = told.get(kind.rate).and_then(|it| it.as_f64());
                if let Some(told) = told.filter(|told| kind.believed.contains(told)) {
                    found.insert((kind.name)(id), (told * 1000.0) as u64);
                }
            };
            // What is said of none in particular is said of the first.
            hear(0, all);
            let tracks = all.get(kind.tracks).and_then(|it| it.as_object());
            for (id, told) in tracks.iter().flat_map(|tracks| &tracks.members) {
                if let (Ok(id), Some(told)) = (id.parse(), told.as_object()) {
                    hear(id, told);
                }
            }
        }
    }
    found.into_iter().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use openrtmp_protocol::amf::{Encoder, Encoding, Value};
    use proptest::prelude::*;

    use super::*;

    fn message(name: &str, told: Object) -> Vec<u8> {
        let mut encoder = Encoder::new(Encoding::Amf0);
        encoder.value(&Value::from(name));
        encoder.value(&Value::from(told));
        encoder.finish()
    }

    #[test]
    fn rates_are_told_of_the_first_tracks_and_of_each() {
        let small = Object::new().with("videodatarate", 800.5);
        let told = Object::new()
            .with("videodatarate", 6000.0)
            .with("audiodatarate", 160.0)
            .with("width", 1920.0)
            .with(
                "videoTrackIdInfoMap",
                Object::new().with("1", small.clone()).with("256", small),
            );
        let expected = [
            (TrackName::Video(0), 6_000_000),
            (TrackName::Video(1), 800_500),
            (TrackName::Audio(0), 160_000),
        ];
        assert_eq!(
            announced_rates(&message("onMetaData", told.clone())),
            expected
        );
        assert_eq!(announced_rates(&message("onCuePoint", told)), []);
        assert_eq!(announced_rates(b""), []);
    }

    #[test]
    fn what_no_track_has_is_not_believed() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 2_500_000.0, 0.5] {
            let told = Object::new().with("videodatarate", rate);
            assert_eq!(announced_rates(&message("onMetaData", told)), [], "{rate}");
        }
        // Bits in place of a thousand.
        let told = Object::new().with("audiodatarate", 128_000.0);
        assert_eq!(announced_rates(&message("onMetaData", told)), []);
        let told = Object::new().with("videodatarate", "6000");
        assert_eq!(announced_rates(&message("onMetaData", told)), []);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            announced_rates(&bytes);
            announced_rates(&[ON_METADATA, &bytes].concat());
        }
    }
}
