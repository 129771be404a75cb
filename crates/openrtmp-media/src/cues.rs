//! What publishers say at a time, beside pictures and sound: cue points and text, which come as
//! data messages of RTMP (`onCuePoint`, `onTextData`). Players have them as events in DASH
//! (`emsg` in the media) and as date ranges in HLS (`EXT-X-DATERANGE`), with the value of the
//! message as JSON.

use std::fmt::Write;

use openrtmp_protocol::AmfLimits;
use openrtmp_protocol::amf::{Decoder, Value};

/// Bytes of a message that is looked at, at most.
const LONGEST_MESSAGE: usize = 4096;
/// And of the JSON that is made of it.
const LONGEST: usize = 1024;
/// Objects within objects.
const DEEPEST: usize = 8;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// Which of them.
    pub kind: CueKind,
    /// The value that the message has, as JSON: most have an object.
    pub json: String,
}

/// Messages that are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CueKind {
    /// `onCuePoint`
    CuePoint,
    /// `onTextData`
    Text,
}

impl CueKind {
    /// All there are.
    pub const ALL: [CueKind; 2] = [CueKind::CuePoint, CueKind::Text];
    /// The scheme of their events; what the message is called is its value.
    pub const SCHEME: &str = "urn:openrtmp:data";

    /// What the message is called.
    pub fn name(self) -> &'static str {
        match self {
            CueKind::CuePoint => "onCuePoint",
            CueKind::Text => "onTextData",
        }
    }
}

impl Cue {
    /// What a data message (AMF0 values, the first of which is its name) says. `None` if it is
    /// another message, says nothing, has more than 4096 bytes, or would have more than 1024 as
    /// JSON.
    pub fn of_message(message: &[u8]) -> Option<Cue> {
        if message.len() > LONGEST_MESSAGE {
            return None;
        }
        let mut values = Decoder::new(message, &AmfLimits::default());
        let name = values.value().ok()?;
        let mut kinds = CueKind::ALL.into_iter();
        let kind = kinds.find(|kind| name.as_str() == Some(kind.name()))?;
        let mut json = String::new();
        put(&mut json, &values.value().ok()?, 0)?;
        (json.len() <= LONGEST).then_some(Cue { kind, json })
    }

    /// Adds the JSON as `decodeURIComponent` of browsers reads it, without what cannot stand in
    /// quotation marks of a playlist, and what variables begin with (4.3).
    pub(crate) fn put_encoded(&self, out: &mut String) {
        for byte in self.json.bytes() {
            if is_plain(byte) {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }

    /// How many bytes that adds.
    pub(crate) fn encoded_len(&self) -> usize {
        let bytes = self.json.bytes();
        bytes.map(|byte| if is_plain(byte) { 1 } else { 3 }).sum()
    }
}

/// It stands for itself in a quoted string of a playlist.
fn is_plain(byte: u8) -> bool {
    (byte == b' ' || byte.is_ascii_graphic()) && !b"\"%{}$".contains(&byte)
}

/// Adds a value as JSON. `None` if it is too deep, or too much.
fn put(out: &mut String, value: &Value, depth: usize) -> Option<()> {
    if depth > DEEPEST || out.len() > LONGEST {
        return None;
    }
    match value {
        Value::Boolean(is) => out.push_str(if *is { "true" } else { "false" }),
        Value::Number(number) | Value::Date(number, _) => put_number(out, *number),
        Value::Integer(number) => put_number(out, f64::from(*number)),
        Value::String(text) | Value::XmlDocument(text) | Value::Xml(text) => put_text(out, text),
        Value::Object(object) | Value::EcmaArray(object) => {
            put_members(out, &object.members, depth)?;
        }
        Value::StrictArray(elements) => {
            out.push('[');
            for (place, element) in elements.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                put(out, element, depth + 1)?;
            }
            out.push(']');
        }
        Value::MixedArray { members, .. } => put_members(out, members, depth)?,
        // Nothing that JSON has.
        _ => out.push_str("null"),
    }
    Some(())
}

fn put_members(out: &mut String, members: &[(String, Value)], depth: usize) -> Option<()> {
    out.push('{');
    for (place, (name, value)) in members.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        put_text(out, name);
        out.push(':');
        put(out, value, depth + 1)?;
    }
    out.push('}');
    Some(())
}

fn put_number(out: &mut String, number: f64) {
    /// Whole numbers up to here are the same in all readers of JSON.
    const EXACT: f64 = 9e15;
    let _ = match number {
        _ if !number.is_finite() => out.write_str("null"),
        _ if number.abs() < EXACT => write!(out, "{number}"),
        _ => write!(out, "{number:e}"),
    };
}

fn put_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Line ends are such to some readers of JSON.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use openrtmp_protocol::amf::{Encoder, Encoding, Object};
    use proptest::prelude::*;

    use super::*;

    fn message(name: &str, values: &[Value]) -> Vec<u8> {
        let mut encoder = Encoder::new(Encoding::Amf0);
        encoder.value(&Value::from(name));
        for value in values {
            encoder.value(value);
        }
        encoder.finish()
    }

    #[test]
    fn a_cue_point_is_what_it_says_as_json() {
        let inner = Object::new().with("a", 1.5).with("b", "x\"y\\z\n\u{7}");
        let point = Object::new()
            .with("name", "goal")
            .with("time", 12.0)
            .with("far", 1e300)
            .with("is", true)
            .with("parameters", inner)
            .with(
                "list",
                Value::StrictArray(vec![Value::Null, f64::NAN.into()]),
            );
        let cue = Cue::of_message(&message("onCuePoint", &[point.into()])).unwrap();
        assert_eq!(cue.kind, CueKind::CuePoint);
        assert_eq!(
            cue.json,
            r#"{"name":"goal","time":12,"far":1e300,"is":true,"parameters":{"a":1.5,"b":"x\"y\\z\u000a\u0007"},"list":[null,null]}"#
        );
        let text = Cue::of_message(&message("onTextData", &["a".into(), "b".into()])).unwrap();
        assert_eq!((text.kind, text.json.as_str()), (CueKind::Text, "\"a\""));
    }

    #[test]
    fn what_is_another_message_or_too_much_is_none() {
        let of = |message: &[u8]| Cue::of_message(message);
        assert_eq!(of(&message("onMetaData", &["x".into()])), None);
        assert_eq!(of(&message("onCuePoint", &[])), None);
        assert_eq!(of(&message("onCuePoint", &["x".into()])[1..]), None);
        assert_eq!(of(&[]), None);
        let long = |count: usize| message("onTextData", &["x".repeat(count).as_str().into()]);
        assert!(of(&long(LONGEST - 2)).is_some());
        assert_eq!(of(&long(LONGEST - 1)), None);
        assert_eq!(of(&long(LONGEST_MESSAGE)), None);
        let deep = |count: usize| {
            (0..count).fold(Value::from(1.0), |inner, _| {
                Value::from(Object::new().with("a", inner))
            })
        };
        assert!(of(&message("onCuePoint", &[deep(DEEPEST)])).is_some());
        assert_eq!(of(&message("onCuePoint", &[deep(DEEPEST + 1)])), None);
    }

    proptest! {
        #[test]
        fn text_is_as_long_in_playlists_as_it_is_said_to_be(json: String) {
            let cue = Cue { kind: CueKind::Text, json };
            let mut out = String::new();
            cue.put_encoded(&mut out);
            prop_assert_eq!(out.len(), cue.encoded_len());
        }

        #[test]
        fn any_bytes_are_short_json_or_nothing(body: Vec<u8>, is_text: bool) {
            let mut bytes = message(CueKind::ALL[usize::from(is_text)].name(), &[]);
            bytes.extend(body);
            if let Some(cue) = Cue::of_message(&bytes) {
                prop_assert!(cue.json.len() <= LONGEST);
                prop_assert!(!cue.json.chars().any(char::is_control));
            }
        }
    }
}
