//! What a publisher says of its tracks of sound, for people to choose by.
//!
//! Enhanced RTMP (version 2, "Metadata Frame") has `audioTrackIdInfoMap` in `onMetaData`: an
//! object for each track, by its id. What is in them is free; what is looked for here is what
//! it is called (`name`, `title` or `label`), its language (`language` or `lang`, BCP 47), and
//! what it is for (`characteristics`, those of HLS). It is text of strangers, of which nothing
//! is taken that is not short and plain.

use std::collections::BTreeMap;

use openrtmp_protocol::AmfLimits;
use openrtmp_protocol::amf::{Decoder, Object};

use crate::mp4::TrackName;

/// An AMF0 string: marker, length, text.
pub(crate) const ON_METADATA: &[u8] = b"\x02\x00\x0aonMetaData";
/// Where tracks are told of.
const TRACKS: &str = "audioTrackIdInfoMap";
/// Tracks that are told of, at most.
const MOST: usize = 16;
/// Characters of a name.
const LONGEST_NAME: usize = 64;
/// Bytes of a language: what an implementation of BCP 47 has to take (RFC 5646, 4.4.1).
const LONGEST_LANGUAGE: usize = 35;
/// Bytes of what a track is for.
const LONGEST_CHARACTERISTICS: usize = 128;

/// What people are told of a track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// What it is called: without quotation marks and control characters.
    pub name: Option<String>,
    /// Its language, as BCP 47 has it.
    pub language: Option<String>,
    /// What it is for, as `CHARACTERISTICS` of HLS tells it, such as
    /// `public.accessibility.describes-video`.
    pub characteristics: Option<String>,
}

/// What a data message (AMF0 values, the first of which is `onMetaData`) says of the tracks of
/// sound. Nothing, if it is another message, or says nothing of them.
pub fn labels(message: &[u8]) -> Vec<(TrackName, Label)> {
    let mut found = BTreeMap::new();
    let told = message.strip_prefix(ON_METADATA).unwrap_or_default();
    let mut values = Decoder::new(told, &AmfLimits::default());
    while !values.is_empty() {
        let Ok(value) = values.value() else { break };
        let tracks = value.as_object().and_then(|it| it.get(TRACKS)?.as_object());
        for (id, told) in tracks.iter().flat_map(|tracks| &tracks.members) {
            if let (Ok(id), Some(told)) = (id.parse(), told.as_object()) {
                found.insert(TrackName::Audio(id), Label::of(told));
            }
        }
    }
    found.into_iter().take(MOST).collect()
}

impl Label {
    fn of(told: &Object) -> Label {
        let text = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| told.get(name)?.as_str());
            values.next()
        };
        Label {
            name: text(&["name", "title", "label"]).and_then(plain),
            language: text(&["language", "lang"]).and_then(language),
            characteristics: text(&["characteristics"]).and_then(characteristics),
        }
    }
}

/// Text that can stand in quotation marks, on one line, and in XML. Braces are what HLS puts
/// variables in (RFC 8216bis, 4.3).
fn plain(text: &str) -> Option<String> {
    let is_bad = |c: char| {
        c.is_control() || matches!(c, '"' | '{' | '}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffd}' | '\u{fffe}' | '\u{ffff}')
        // What turns the direction of the text around it.
        || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    let kept = text.chars().map(|c| if is_bad(c) { ' ' } else { c });
    let kept: String = kept.take(LONGEST_NAME * 4).collect();
    let words: Vec<&str> = kept.split_whitespace().collect();
    let short: String = words.join(" ").chars().take(LONGEST_NAME).collect();
    let short = short.trim_end();
    (!short.is_empty()).then(|| short.to_owned())
}

/// A tag as RFC 5646 has it, as far as its form goes.
fn language(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let first = parts.next()?;
    let is_first =
        (2..=8).contains(&first.len()) && first.bytes().all(|it| it.is_ascii_alphabetic());
    let is_part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|it| it.is_ascii_alphanumeric())
    };
    let is_tag = text.len() <= LONGEST_LANGUAGE && is_first && parts.all(is_part);
    is_tag.then(|| text.to_owned())
}

/// Identifiers with commas between them.
fn characteristics(text: &str) -> Option<String> {
    let is_identifier = |part: &str| {
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || it == b'.' || it == b'-';
        part.contains('.') && part.bytes().all(is_plain)
    };
    let is_list = text.len() <= LONGEST_CHARACTERISTICS && text.split(',').all(is_identifier);
    is_list.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use openrtmp_protocol::amf::{Encoder, Encoding, Value};
    use proptest::prelude::*;

    use super::*;

    fn message(tracks: Object) -> Vec<u8> {
        named("onMetaData", tracks)
    }

    fn named(name: &str, tracks: Object) -> Vec<u8> {
        let mut encoder = Encoder::new(Encoding::Amf0);
        encoder.value(&Value::from(name));
        encoder.value(&Value::from(Object::new().with(TRACKS, tracks)));
        encoder.finish()
    }

    fn label(name: &str, value: &str) -> Label {
        let track = Object::new().with(name, Value::from(value));
        labels(&message(Object::new().with("3", track)))
            .pop()
            .unwrap()
            .1
    }

    #[test]
    fn what_is_said_of_each_track_is_taken() {
        let tracks = Object::new()
            .with(
                "0",
                Object::new()
                    .with("language", "de-AT")
                    .with("channels", 2.0),
            )
            .with(
                "12",
                Object::new()
                    .with("title", "Commentary")
                    .with("lang", "en")
                    .with("characteristics", "public.accessibility.describes-video"),
            )
            .with("256", Object::new().with("name", "x"))
            .with("a", Object::new().with("name", "x"))
            .with("2", 1.0);
        let german = Label {
            language: Some("de-AT".into()),
            ..Label::default()
        };
        let english = Label {
            name: Some("Commentary".into()),
            language: Some("en".into()),
            characteristics: Some("public.accessibility.describes-video".into()),
        };
        let expected = [
            (TrackName::Audio(0), german),
            (TrackName::Audio(12), english),
        ];
        assert_eq!(labels(&message(tracks.clone())), expected);
        // Other messages say nothing of tracks.
        assert_eq!(labels(&named("onCuePoint", tracks)), []);
        assert_eq!(labels(b"\x02\x00\x03abc"), []);
        assert_eq!(labels(b""), []);
    }

    #[test]
    fn text_of_strangers_is_short_and_plain() {
        for (told, kept) in [
            ("Deutsch", Some("Deutsch")),
            ("  a \t\r\n b ", Some("a b")),
            ("a\",URI=\"x", Some("a ,URI= x")),
            ("\u{202e}\u{0}", None),
            ("{$x} y", Some("$x y")),
            ("日本語 <&>'", Some("日本語 <&>'")),
            ("", None),
        ] {
            assert_eq!(label("name", told).name.as_deref(), kept, "{told:?}");
        }
        let long = label("name", &"ä ".repeat(1000)).name.unwrap();
        assert_eq!(long.chars().count(), LONGEST_NAME - 1);
        for bad in [
            "",
            "e",
            "en_US",
            "en-",
            "-en",
            "e1",
            "en\"",
            "x".repeat(36).as_str(),
        ] {
            assert_eq!(label("language", bad).language, None, "{bad}");
        }
        for bad in [
            "",
            "x",
            "a.b,",
            "a.b c.d",
            "a.\"b",
            "a.b".repeat(50).as_str(),
        ] {
            assert_eq!(label("characteristics", bad).characteristics, None, "{bad}");
        }
    }

    #[test]
    fn of_many_tracks_the_first_are_told_of_and_of_one_what_comes_last() {
        let track = |id: u32| {
            (
                id.to_string(),
                Object::new().with("name", id.to_string()).into(),
            )
        };
        let mut tracks = Object::new();
        tracks.members = (0..5000).rev().map(track).collect();
        tracks = tracks.with("7", Object::new().with("name", "last"));
        let told = labels(&message(tracks));
        let ids: Vec<TrackName> = told.iter().map(|(track, _)| *track).collect();
        assert_eq!(ids, (0..16).map(TrackName::Audio).collect::<Vec<_>>());
        assert_eq!(told[7].1.name.as_deref(), Some("last"));
        assert_eq!(told[8].1.name.as_deref(), Some("8"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            labels(&bytes);
            labels(&[ON_METADATA, &bytes].concat());
        }
    }
}
