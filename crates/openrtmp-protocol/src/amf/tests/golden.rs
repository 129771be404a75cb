//! The vectors of `tests/golden/amf`.

use super::*;

const AMF0_FILE: &str = include_str!("../../../../../tests/golden/amf/amf0.txt");
const AMF3_FILE: &str = include_str!("../../../../../tests/golden/amf/amf3.txt");
pub(crate) const COMMANDS: &str = include_str!("../../../../../tests/golden/amf/commands.txt");

/// The names and bytes of a file: `[name]`, then hex; `#` begins a comment.
pub(crate) fn vectors(file: &str) -> Vec<(&str, Vec<u8>)> {
    let mut vectors: Vec<(&str, Vec<u8>)> = Vec::new();
    for line in file.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[') {
            vectors.push((name.trim_end_matches(']'), Vec::new()));
            continue;
        }
        for byte in line.split_whitespace() {
            let byte = u8::from_str_radix(byte, 16).expect("two hex digits");
            vectors.last_mut().expect("a name first").1.push(byte);
        }
    }
    vectors
}

/// The bytes of one vector.
pub(crate) fn vector(file: &str, name: &str) -> Vec<u8> {
    let found = vectors(file).into_iter().find(|(n, _)| *n == name);
    found.unwrap_or_else(|| panic!("no vector {name}")).1
}

/// Whether our encoder writes a value as the vector has it; where the format
/// leaves a choice it may not.
#[derive(PartialEq)]
enum Form {
    Ours,
    Other,
}
use Form::{Other, Ours};

fn class(name: &str, object: Object) -> Value {
    Value::Object(Object {
        class: Some(name.to_owned()),
        ..object
    })
}

fn integers(name: &str, numbers: &[i32]) -> Object {
    numbers
        .iter()
        .zip(name.chars())
        .fold(Object::new(), |object, (number, name)| {
            object.with(&name.to_string(), Value::Integer(*number))
        })
}

fn golden_amf0() -> Vec<(&'static str, Form, Value)> {
    let truth = || Value::from(Object::new().with("a", true));
    let switched = || Value::from(Object::new().with("a", "b"));
    vec![
        ("number", Ours, Value::Number(1.5)),
        ("boolean_true", Ours, Value::Boolean(true)),
        ("boolean_false", Ours, Value::Boolean(false)),
        ("boolean_other", Other, Value::Boolean(true)),
        ("string", Ours, text("café!")),
        ("string_not_utf8", Other, text("a\u{FFFD}b")),
        (
            "object",
            Ours,
            Object::new()
                .with("app", "live")
                .with("", Value::Null)
                .into(),
        ),
        ("null", Ours, Value::Null),
        ("undefined", Ours, Value::Undefined),
        ("reference", Other, array([truth(), truth(), truth()])),
        (
            "reference_to_enclosing",
            Ours,
            Object::new()
                .with("me", Value::Enclosing(0))
                .with(
                    "inner",
                    Value::EcmaArray(Object::new().with("up", Value::Enclosing(1))),
                )
                .into(),
        ),
        (
            "ecma_array",
            Ours,
            Value::EcmaArray(Object::new().with("width", 1920.0).with("0", true)),
        ),
        (
            "ecma_array_count_wrong",
            Other,
            Value::EcmaArray(Object::new().with("a", Value::Null)),
        ),
        (
            "ecma_array_without_end",
            Other,
            Value::EcmaArray(Object::new().with("a", Value::Null)),
        ),
        (
            "strict_array",
            Ours,
            array([text("av01"), Value::Null, array([])]),
        ),
        ("date", Ours, Value::Date(1_393_490_025_856.0, -60)),
        ("long_string", Other, text("hi")),
        ("unsupported", Ours, Value::Unsupported),
        ("xml_document", Ours, Value::XmlDocument("<a/>".into())),
        (
            "typed_object",
            Ours,
            class("Point", Object::new().with("x", -2.0)),
        ),
        (
            "switch_to_amf3",
            Ours,
            array([Value::ByteArray(Bytes::from_static(&[1, 2])), Value::Null]),
        ),
        (
            "switch_keeps_tables",
            Other,
            array([switched(), text("b"), switched()]),
        ),
    ]
}

fn golden_amf3() -> Vec<(&'static str, Form, Value)> {
    let truth = || Value::from(Object::new().with("a", true));
    let bytes = |bytes: &'static [u8]| Value::ByteArray(Bytes::from_static(bytes));
    let int = Value::Integer;
    vec![
        ("undefined", Ours, Value::Undefined),
        ("null", Ours, Value::Null),
        ("false", Ours, Value::Boolean(false)),
        ("true", Ours, Value::Boolean(true)),
        ("integer_0", Ours, int(0)),
        ("integer_7f", Ours, int(0x7F)),
        ("integer_80", Ours, int(0x80)),
        ("integer_3fff", Ours, int(0x3FFF)),
        ("integer_4000", Ours, int(0x4000)),
        ("integer_1fffff", Ours, int(0x1F_FFFF)),
        ("integer_200000", Ours, int(0x20_0000)),
        ("integer_max", Ours, int(0x0FFF_FFFF)),
        ("integer_minus_1", Ours, int(-1)),
        ("integer_min", Ours, int(-0x1000_0000)),
        ("double", Ours, Value::Number(-0.5)),
        ("string", Ours, text("café")),
        ("string_empty", Ours, text("")),
        ("string_long", Ours, text(&"A".repeat(65))),
        (
            "string_references",
            Ours,
            array([text("a"), text(""), text("b"), text("b"), text("a")]),
        ),
        ("xml_document", Ours, Value::XmlDocument("<a/>".into())),
        ("date", Ours, Value::Date(1_393_490_025_856.0, 0)),
        ("array_dense", Ours, array([Value::Boolean(true), int(7)])),
        (
            "array_associative",
            Ours,
            Value::EcmaArray(Object::new().with("a", int(1)).with("b", false)),
        ),
        (
            "array_mixed",
            Ours,
            Value::MixedArray {
                members: vec![("a".into(), int(1))],
                elements: vec![text("a")],
            },
        ),
        ("object_dynamic", Ours, integers("a", &[1]).into()),
        (
            "object_sealed",
            Ours,
            class("Point", integers("xy", &[1, 2])),
        ),
        (
            "object_sealed_and_dynamic",
            Other,
            class("P", integers("xz", &[1, 2])),
        ),
        (
            "object_traits_reference",
            Ours,
            array([1, 2, 3].map(|x| class("P", integers("x", &[x])))),
        ),
        (
            "object_externalizable",
            Ours,
            Value::Externalizable(
                "flex.messaging.io.ArrayCollection".into(),
                Box::new(array([int(5)])),
            ),
        ),
        (
            "object_references",
            Other,
            array([
                truth(),
                truth(),
                bytes(&[1, 2]),
                bytes(&[1, 2]),
                Value::Date(1.0, 0),
            ]),
        ),
        (
            "object_reference_to_enclosing",
            Ours,
            Object::new().with("me", Value::Enclosing(0)).into(),
        ),
        ("xml", Ours, Value::Xml("<a/>".into())),
        ("byte_array", Ours, bytes(&[0, 0xFF, 0x80])),
        (
            "vector_int",
            Ours,
            Value::IntVector {
                fixed: true,
                items: vec![1, -2],
            },
        ),
        (
            "vector_uint",
            Ours,
            Value::UintVector {
                fixed: false,
                items: vec![u32::MAX - 1],
            },
        ),
        (
            "vector_double",
            Ours,
            Value::DoubleVector {
                fixed: false,
                items: vec![1.5],
            },
        ),
        (
            "vector_object",
            Ours,
            Value::ObjectVector {
                class: "P".into(),
                fixed: true,
                items: vec![class("P", integers("x", &[1])), Value::Null],
            },
        ),
        (
            "dictionary",
            Ours,
            Value::Dictionary {
                weak_keys: true,
                entries: vec![(text("a"), int(1)), (Object::new().into(), text("a"))],
            },
        ),
    ]
}

fn check_golden(
    file: &str,
    expected: &[(&str, Form, Value)],
    read: Read,
    write: fn(&Value) -> Vec<u8>,
) {
    let names: Vec<_> = expected.iter().map(|(name, ..)| *name).collect();
    let vectors = vectors(file);
    assert_eq!(
        vectors.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        names
    );
    for ((name, form, value), (_, bytes)) in expected.iter().zip(vectors) {
        let mut decoder = Decoder::new(&bytes, &AmfLimits::default());
        assert_eq!(read(&mut decoder).as_ref(), Ok(value), "reading {name}");
        assert!(decoder.is_empty(), "{name} was read whole");
        assert_eq!(decoder.position(), bytes.len());
        if *form == Ours {
            assert_eq!(write(value), bytes, "writing {name}");
        } else {
            assert_eq!(decode(read, &write(value)).as_ref(), Ok(value), "{name}");
        }
    }
}

#[test]
fn amf0_golden_vectors_read_and_write() {
    check_golden(AMF0_FILE, &golden_amf0(), AMF0, |value| {
        encode(Encoding::Amf0, std::slice::from_ref(value))
    });
}

#[test]
fn amf3_golden_vectors_read_and_write() {
    check_golden(AMF3_FILE, &golden_amf3(), AMF3, encode_bare_amf3);
}

#[test]
fn golden_vectors_hold_every_marker() {
    let first = |file| -> Vec<u8> { vectors(file).iter().map(|(_, bytes)| bytes[0]).collect() };
    let (amf0, amf3) = (first(AMF0_FILE), first(AMF3_FILE));
    // 07, 09 and 11 stand inside other values; 04 and 0E are reserved.
    for marker in [0, 1, 2, 3, 5, 6, 8, 0xA, 0xB, 0xC, 0xD, 0xF, 0x10] {
        assert!(amf0.contains(&marker), "AMF0 {marker:#x}");
    }
    for marker in 0..=0x11 {
        assert!(amf3.contains(&marker), "AMF3 {marker:#x}");
    }
}

#[test]
fn every_truncation_of_a_golden_vector_is_an_error_or_a_tolerated_end() {
    for (file, read) in [(AMF0_FILE, AMF0), (AMF3_FILE, AMF3)] {
        for (name, bytes) in vectors(file) {
            for length in 0..bytes.len() {
                match decode(read, &bytes[..length]) {
                    Err(error) => assert_eq!(error.kind, AmfErrorKind::Truncated, "{name}"),
                    // Only AMF0 members may end with the message.
                    Ok(Value::Object(_) | Value::EcmaArray(_)) if file == AMF0_FILE => {}
                    Ok(value) => panic!("{name} cut to {length} bytes is {value:?}"),
                }
            }
        }
    }
}
