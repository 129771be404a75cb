use std::fmt::Debug;

use bytes::Bytes;

use super::*;

pub(crate) mod golden;
mod properties;

type Read = fn(&mut Decoder<'_>) -> Result<Value, AmfError>;

const AMF0: Read = |decoder| decoder.value();
const AMF3: Read = |decoder| decoder.amf3_value();

fn decode(read: Read, bytes: &[u8]) -> Result<Value, AmfError> {
    decode_within(read, bytes, &AmfLimits::default())
}

fn decode_within(read: Read, bytes: &[u8], limits: &AmfLimits) -> Result<Value, AmfError> {
    read(&mut Decoder::new(bytes, limits))
}

/// Every value of a message that may have several.
fn decode_all(bytes: &[u8], limits: &AmfLimits) -> Result<Vec<Value>, AmfError> {
    let mut decoder = Decoder::new(bytes, limits);
    let mut values = Vec::new();
    while !decoder.is_empty() {
        values.push(decoder.value()?);
    }
    Ok(values)
}

fn encode(encoding: Encoding, values: &[Value]) -> Vec<u8> {
    let mut encoder = Encoder::new(encoding);
    values.iter().for_each(|value| encoder.value(value));
    encoder.finish()
}

fn encode_bare_amf3(value: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new(Encoding::Amf3);
    encoder.amf3_value(value);
    encoder.finish()
}

fn kind<T: Debug>(result: Result<T, AmfError>) -> AmfErrorKind {
    result.expect_err("an error").kind
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn array(elements: impl Into<Vec<Value>>) -> Value {
    Value::StrictArray(elements.into())
}

// Errors.

#[test]
fn markers_that_do_not_exist_are_refused() {
    for marker in [0x04, 0x09, 0x0E, 0x12, 0xFF] {
        let error = decode(AMF0, &[marker, 0, 0, 0, 0]).unwrap_err();
        assert_eq!(error.kind, AmfErrorKind::Marker(marker));
    }
    for marker in [0x12, 0xFF] {
        let error = decode(AMF3, &[marker, 1, 1, 1, 1]).unwrap_err();
        assert_eq!(error.kind, AmfErrorKind::Marker(marker));
    }
}

#[test]
fn an_error_says_where_and_how_deep() {
    // {a: [<marker 0x0E>]}
    let bytes = [0x03, 0, 1, b'a', 0x0A, 0, 0, 0, 1, 0x0E];
    let error = decode(AMF0, &bytes).unwrap_err();
    assert_eq!(
        error,
        AmfError {
            kind: AmfErrorKind::Marker(0x0E),
            offset: 9,
            depth: 2
        }
    );
    assert_eq!(
        error.to_string(),
        "marker 0x0e is not known here at byte 9, depth 2"
    );
}

#[test]
fn references_to_nothing_are_refused() {
    assert_eq!(
        kind(decode(AMF0, &[0x07, 0, 0])),
        AmfErrorKind::Reference(0)
    );
    // Later objects are not in the table yet.
    let forward = [0x0A, 0, 0, 0, 2, 0x07, 0, 1, 0x03, 0, 0, 9];
    assert_eq!(kind(decode(AMF0, &forward)), AmfErrorKind::Reference(1));
    for (bytes, index) in [
        ([0x06, 0x00].as_slice(), 0),      // string
        (&[0x0A, 0x04], 2),                // object
        (&[0x0A, 0x05], 1),                // traits
        (&[0x09, 0x01, 0x02], 1),          // name of a member
        (&[0x0A, 0x13, 0x01, 0x06], 3),    // name of a sealed member
        (&[0x10, 0x01, 0x00, 0x02, 1], 1), // class of a vector
    ] {
        let error = kind(decode(AMF3, bytes));
        assert_eq!(error, AmfErrorKind::Reference(index), "{bytes:02x?}");
    }
}

#[test]
fn reference_tables_are_per_message() {
    let (bytes, limits) = ([0x03, 0, 0, 9], AmfLimits::default());
    assert!(decode_all(&bytes, &limits).is_ok());
    assert_eq!(
        kind(decode_all(&[0x07, 0, 0], &limits)),
        AmfErrorKind::Reference(0)
    );
    // Between the values of one message they last.
    let two = [0x03, 0, 0, 9, 0x07, 0, 0];
    assert_eq!(
        decode_all(&two, &limits),
        Ok(vec![Object::new().into(), Object::new().into()])
    );
}

#[test]
fn an_expanded_reference_adds_nothing_to_the_tables() {
    let bytes = [
        0x09, 13, 0x01, // array of 6
        0x0A, 0x13, 3, b'P', 3, b'x', 0x06, 3, b's', // strings P x s, traits 0
        0x0A, 0x02, // that object again
        0x06, 3, b't', // string 3
        0x06, 0x06, // string 3
        0x0A, 0x13, 3, b'Q', 0x02, 0x01, // traits 1: class Q with x
        0x0A, 0x05, 0x01, // traits 1
    ];
    let object = |class: &str, x: Value| {
        Value::Object(Object {
            class: Some(class.to_owned()),
            members: vec![("x".to_owned(), x)],
        })
    };
    let expected = array([
        object("P", text("s")),
        object("P", text("s")),
        text("t"),
        text("t"),
        object("Q", Value::Null),
        object("Q", Value::Null),
    ]);
    assert_eq!(decode(AMF3, &bytes), Ok(expected));
}

#[test]
fn a_cycle_entered_through_its_inner_object_is_unrolled_and_ends() {
    // [A {b: B {a: A}}, B]: the second B holds A, which is written with a B of
    // its own, which holds that A.
    let bytes = [
        0x0A, 0, 0, 0, 2, //
        0x03, 0, 1, b'b', 0x03, 0, 1, b'a', 0x07, 0, 1, 0, 0, 9, 0, 0, 9, //
        0x07, 0, 2,
    ];
    let a = || Object::new().with("b", Object::new().with("a", Value::Enclosing(1)));
    let expected = array([a().into(), Object::new().with("a", a()).into()]);
    assert_eq!(decode(AMF0, &bytes), Ok(expected));
}

#[test]
fn an_empty_class_name_is_no_class() {
    assert_eq!(
        decode(AMF0, &[0x10, 0, 0, 0, 0, 9]),
        Ok(Object::new().into())
    );
}

#[test]
fn externalizable_objects_of_unknown_classes_are_named_in_the_error() {
    assert_eq!(
        kind(decode(AMF3, &[0x0A, 0x07, 0x03, b'X', 1])),
        AmfErrorKind::Externalizable("X".into())
    );
}

// Limits and attacks.

fn repeated(unit: &[u8], times: usize) -> Vec<u8> {
    unit.repeat(times)
}

#[test]
fn nesting_ten_thousand_deep_is_an_error() {
    let too_deep = AmfErrorKind::TooDeep(32);
    for unit in [
        [0x03, 0, 1, b'a'].as_slice(),   // object
        &[0x08, 0, 0, 0, 1, 0, 1, b'a'], // ECMA array
        &[0x0A, 0, 0, 0, 1],             // strict array
        &[0x10, 0, 1, b'A', 0, 1, b'a'], // typed object
        &[0x0A, 0, 0, 0, 1, 0x11, 0x09, 0x01, 0x03, b'a'][..5],
    ] {
        assert_eq!(kind(decode(AMF0, &repeated(unit, 10_000))), too_deep);
    }
    for unit in [
        [0x09, 0x03, 0x01].as_slice(),   // dense array
        &[0x09, 0x01, 0x03, b'a'],       // associative array
        &[0x0A, 0x0B, 0x01, 0x03, b'a'], // dynamic object
        &[0x0A, 0x13, 0x01, 0x03, b'a'], // sealed object
        &[0x10, 0x03, 0x00, 0x01],       // vector of objects
        &[0x11, 0x03, 0x00],             // dictionary, in its key
    ] {
        let bytes = repeated(unit, 10_000);
        assert_eq!(kind(decode(AMF3, &bytes)), too_deep);
        let switched = [&[0x11], bytes.as_slice()].concat();
        assert_eq!(kind(decode(AMF0, &switched)), too_deep);
    }
}

#[test]
fn the_depth_limit_counts_containers() {
    let nested = |depth: usize| {
        let mut bytes = repeated(&[0x0A, 0, 0, 0, 1], depth);
        bytes.push(0x05);
        bytes
    };
    assert!(decode(AMF0, &nested(32)).is_ok());
    let error = decode(AMF0, &nested(33)).unwrap_err();
    assert_eq!(error.kind, AmfErrorKind::TooDeep(32));
    assert_eq!((error.offset, error.depth), (32 * 5, 32));
}

#[test]
fn a_depth_limit_of_the_host_does_not_endanger_its_stack() {
    let limits = AmfLimits {
        depth: usize::MAX,
        ..AmfLimits::default()
    };
    let units: [&[u8]; 4] = [
        &[0x09, 0x03, 0x01],             // dense array
        &[0x0A, 0x0B, 0x01, 0x03, b'a'], // dynamic object
        &[0x0A, 0x13, 0x01, 0x03, b'a'], // sealed object
        &[0x11, 0x03, 0x00],             // dictionary
    ];
    for unit in units {
        let (limits, bytes) = (limits.clone(), unit.repeat(10_000));
        let read = move || {
            let deepest = [unit.repeat(MAX_DEPTH).as_slice(), &[0x01; 2 * MAX_DEPTH]].concat();
            let value = decode_within(AMF3, &deepest, &limits).expect("within the limit");
            assert!(encode_bare_amf3(&value.clone()).len() > 2 * MAX_DEPTH);
            kind(decode_within(AMF3, &bytes, &limits))
        };
        let small = std::thread::Builder::new().stack_size(512 * 1024);
        let error = small.spawn(read).expect("a thread").join();
        assert_eq!(error.expect("no panic"), AmfErrorKind::TooDeep(MAX_DEPTH));
    }
}

#[test]
fn an_announced_count_reserves_nothing() {
    let unlimited = AmfLimits {
        elements: usize::MAX,
        decoded_bytes: usize::MAX,
        ..AmfLimits::default()
    };
    let strict = [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x05];
    assert_eq!(
        kind(decode(AMF0, &strict)),
        AmfErrorKind::TooManyElements(16 * 1024)
    );
    assert_eq!(
        kind(decode_within(AMF0, &strict, &unlimited)),
        AmfErrorKind::Truncated
    );
    // The largest count of AMF3: 2^28 - 1.
    for bytes in [
        [0x09, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0x01].as_slice(),
        &[0x0D, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x01],
        &[0x0E, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x01],
        &[0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x01],
        &[0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x01],
        &[0x11, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x01],
        &[0x0A, 0xFF, 0xFF, 0xFF, 0xF3, 0x01, 0x01], // sealed members
    ] {
        assert_eq!(
            kind(decode(AMF3, bytes)),
            AmfErrorKind::TooManyElements(16 * 1024)
        );
        let error = kind(decode_within(AMF3, bytes, &unlimited));
        assert_eq!(error, AmfErrorKind::Truncated);
    }
}

#[test]
fn a_string_beyond_the_limit_is_told_before_its_bytes_come() {
    let limit = AmfErrorKind::StringTooLong(64 * 1024);
    for marker in [0x0C, 0x0F] {
        let announced = [marker, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(kind(decode(AMF0, &announced)), limit);
        let one_over = [marker, 0, 1, 0, 1];
        assert_eq!(kind(decode(AMF0, &one_over)), limit);
        let exact = [[marker, 0, 1, 0, 0].as_slice(), &[b'a'; 65_536]].concat();
        assert!(decode(AMF0, &exact).is_ok());
    }
    for marker in [0x06, 0x07, 0x0B, 0x0C] {
        let announced = [marker, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(kind(decode(AMF3, &announced)), limit);
    }
    let short = AmfLimits {
        string_bytes: 2,
        ..AmfLimits::default()
    };
    let name = [0x03, 0, 3, b'a', b'b', b'c', 0x05, 0, 0, 9];
    assert_eq!(
        kind(decode_within(AMF0, &name, &short)),
        AmfErrorKind::StringTooLong(2)
    );
}

#[test]
fn values_are_counted_over_the_whole_message() {
    let limits = AmfLimits {
        elements: 10,
        ..AmfLimits::default()
    };
    assert!(decode_all(&[0x05; 10], &limits).is_ok());
    assert_eq!(
        kind(decode_all(&[0x05; 11], &limits)),
        AmfErrorKind::TooManyElements(10)
    );
    let members = [[0x03].as_slice(), &repeated(&[0, 1, b'a', 0x05], 10)].concat();
    assert_eq!(
        kind(decode_all(&members, &limits)),
        AmfErrorKind::TooManyElements(10)
    );
    // Each vector of six has room, both together do not.
    let vector = [&[0x11, 0x0D, 13, 0], [0; 24].as_slice()].concat();
    assert!(decode_all(&vector, &limits).is_ok());
    assert_eq!(
        kind(decode_all(&vector.repeat(2), &limits)),
        AmfErrorKind::TooManyElements(10)
    );
}

#[test]
fn many_short_names_count_with_what_they_take_in_memory() {
    // Values alone stay within the limit, values and names do not.
    let limits = AmfLimits {
        decoded_bytes: 100 * size_of::<Value>() + 1024,
        ..AmfLimits::default()
    };
    let members = [[0x03].as_slice(), &[0, 0, 0x05].repeat(90)].concat();
    assert_eq!(
        kind(decode_within(AMF0, &members, &limits)),
        AmfErrorKind::TooLarge(limits.decoded_bytes)
    );
}

#[test]
fn an_error_leaves_the_nesting_of_the_next_value_alone() {
    let mut decoder = Decoder::new(&[0x0A, 0, 0, 0, 1, 0x0E, 0x0E], &AmfLimits::default());
    assert_eq!(decoder.value().expect_err("reserved").depth, 1);
    assert_eq!(decoder.value().expect_err("reserved").depth, 0);
}

#[test]
#[cfg_attr(miri, ignore = "minutes in an interpreter")]
fn references_that_multiply_run_into_the_limits() {
    // [x, [x; 16], [that; 16], ...]: 16^12 values from 600 bytes.
    let mut bytes = vec![0x0A, 0, 0, 0, 13, 0x03, 0, 0, 9];
    for level in 1..=12 {
        bytes.extend([0x0A, 0, 0, 0, 16]);
        bytes.extend(repeated(&[0x07, 0, level], 16));
    }
    assert_eq!(
        kind(decode(AMF0, &bytes)),
        AmfErrorKind::TooManyReferences(4 * bytes.len() + 64)
    );
    // The same in AMF3, where object references are two bytes.
    let mut bytes = vec![0x09, 27, 0x01, 0x0A, 0x0B, 0x01, 0x01];
    for level in 1..=12 {
        bytes.extend([0x09, 33, 0x01]);
        bytes.extend(repeated(&[0x09, level << 1], 16));
    }
    assert_eq!(
        kind(decode(AMF3, &bytes)),
        AmfErrorKind::TooManyReferences(4 * bytes.len() + 64)
    );
}

/// Messages that refer to their own parts as often as they can, and the most that
/// reading one may cost.
#[test]
fn a_message_costs_in_proportion_to_its_bytes() {
    let limits = AmfLimits::default();
    let (array, members) = ([0x09, 0x85, 0x01, 0x01], [0x00, 0x01].repeat(300));
    let long = |marker: &[u8]| [marker, &[0x87, 0x69], &[b'a'; 500]].concat();
    let traits = [0x0A, 0x87, 0x43, 0x01].as_slice();
    let amf3: [(&str, Vec<u8>); 6] = [
        // 320 elements each, all but the first a reference to it.
        (
            "strings",
            [&array, &long(&[0x06])[..], &[0x06, 0x00].repeat(319)].concat(),
        ),
        (
            "XML",
            [&array, &long(&[0x0B])[..], &[0x0B, 0x02].repeat(319)].concat(),
        ),
        (
            "byte arrays",
            [&array, &long(&[0x0C])[..], &[0x0C, 0x02].repeat(319)].concat(),
        ),
        (
            "names",
            [&[0x0A, 0x0B, 0x01], &long(&[])[..], &[0x01], &members, &[1]].concat(),
        ),
        // An object of 60 sealed members, and others of the same class.
        (
            "traits",
            [
                &array,
                traits,
                &[0x01; 60],
                &[0x01; 60],
                &[&[0x0A, 0x01][..], &[0x01; 60]].concat().repeat(319),
            ]
            .concat(),
        ),
        (
            "dictionaries",
            [
                &array,
                &[0x11, 0x03, 0, 1, 1][..],
                &[0x11, 0x02].repeat(319),
            ]
            .concat(),
        ),
    ];
    for (what, bytes) in &amf3 {
        let mut decoder = Decoder::new(bytes, &limits);
        let result = decoder.amf3_value();
        assert!(decoder.cost() <= 4 * bytes.len() + 64, "{what}");
        assert!(decoder.cost() >= 300, "{what}: {result:?}");
    }
    // A hundred such messages read one after the other cost what one does.
    let nested = |levels: u8| {
        let mut bytes = vec![0x0A, 0, 0, 0, 1, 0x05];
        for level in 0..levels {
            bytes.extend([0x0A, 0, 0, 0, 2, 0x07, 0, level, 0x07, 0, level]);
        }
        bytes
    };
    for levels in 1..40 {
        let bytes = nested(levels);
        let mut decoder = Decoder::new(&bytes, &limits);
        while !decoder.is_empty() && decoder.value().is_ok() {}
        assert!(decoder.cost() <= 4 * bytes.len() + 64, "{levels} levels");
    }
}

#[test]
fn a_few_references_in_a_short_message_are_expanded() {
    // An object of ten members, and nine references to it.
    let members = [0, 1, b'a', 0x05].repeat(10);
    let object = [&[0x03], &members[..], &[0, 0, 9]].concat();
    let bytes = [&object[..], &[0x07, 0, 0].repeat(9)].concat();
    let values = decode_all(&bytes, &AmfLimits::default()).expect("within the limits");
    assert_eq!(values.len(), 10);
}

#[test]
#[cfg_attr(miri, ignore = "minutes in an interpreter")]
fn references_to_one_long_string_run_into_the_limit() {
    let too_large = AmfErrorKind::TooLarge(1024 * 1024);
    let long = |head: &[u8]| [head, [b'a'; 60_000].as_slice()].concat();
    // 60,000 = 0x03A9 * 64 + 0x60; as a U29 header: 120,001.
    let header = [0x87, 0xA9, 0x41];
    for (marker, reference) in [
        (0x06, [0x06, 0x00]), // string
        (0x0C, [0x0C, 0x02]), // byte array, object 1 after the array
        (0x0B, [0x0B, 0x02]), // XML
    ] {
        let value = long(&[&[marker], header.as_slice()].concat());
        let array = [0x09, 0x81, 0x49, 0x01]; // 100 elements
        let bytes = [&array, value.as_slice(), &repeated(&reference, 99)].concat();
        assert_eq!(kind(decode(AMF3, &bytes)), too_large, "marker {marker:#x}");
    }
    // As names of members, and as a class name by way of its traits.
    let members = repeated(&[0x00, 0x01], 99);
    let name = long(&header);
    let bytes = [
        &[0x0A, 0x0B, 0x01],
        name.as_slice(),
        &[0x01],
        &members,
        &[1],
    ]
    .concat();
    assert_eq!(kind(decode(AMF3, &bytes)), too_large);
    let objects = repeated(&[0x0A, 0x01], 99);
    let array = [0x09, 0x81, 0x49, 0x01, 0x0A, 0x03];
    let bytes = [&array, name.as_slice(), &objects].concat();
    assert_eq!(kind(decode(AMF3, &bytes)), too_large);
}

#[test]
fn replaced_bytes_count_with_the_size_they_grow_to() {
    let limits = AmfLimits {
        decoded_bytes: 2 * 1024,
        ..AmfLimits::default()
    };
    let long = |byte: u8| [[0x0C, 0, 0, 4, 0].as_slice(), &[byte; 1024]].concat();
    assert!(decode_within(AMF0, &long(b'a'), &limits).is_ok());
    assert_eq!(
        kind(decode_within(AMF0, &long(0xFF), &limits)),
        AmfErrorKind::TooLarge(2 * 1024)
    );
}

// What the encoder makes of values that an encoding does not have.

#[test]
fn strings_choose_their_length_field() {
    let written = |length: usize| encode(Encoding::Amf0, &[text(&"a".repeat(length))]);
    assert_eq!(written(65_535)[..4], [0x02, 0xFF, 0xFF, b'a']);
    assert_eq!(written(65_536)[..6], [0x0C, 0, 1, 0, 0, b'a']);
}

#[test]
fn names_too_long_for_amf0_are_cut_between_characters() {
    let name = "é".repeat(40_000);
    let bytes = encode(Encoding::Amf0, &[Object::new().with(&name, 1.0).into()]);
    let value = decode(AMF0, &bytes).expect("valid AMF0");
    let expected = "é".repeat(32_767);
    assert_eq!(value, Object::new().with(&expected, 1.0).into());
}

#[test]
fn amf0_has_numbers_for_integers_and_ecma_arrays_for_mixed_ones() {
    let mixed = Value::MixedArray {
        members: vec![("a".into(), Value::Integer(-7))],
        elements: vec![Value::Null],
    };
    let bytes = encode(Encoding::Amf0, &[mixed]);
    let expected = Object::new().with("a", -7.0).with("0", Value::Null);
    assert_eq!(decode(AMF0, &bytes), Ok(Value::EcmaArray(expected)));
}

#[test]
fn integers_beyond_29_bits_become_numbers() {
    for integer in [i32::MAX, i32::MIN, 1 << 28, -(1 << 28) - 1] {
        let bytes = encode_bare_amf3(&Value::Integer(integer));
        assert_eq!(
            decode(AMF3, &bytes),
            Ok(Value::Number(f64::from(integer))),
            "{integer}"
        );
    }
}

#[test]
fn a_member_without_a_name_survives_in_objects_and_is_left_out_of_amf3_arrays() {
    let object = Object::new().with("", 1.0).with("a", 2.0);
    let value = Value::from(object.clone());
    assert_eq!(decode(AMF3, &encode_bare_amf3(&value)), Ok(value));
    let bytes = encode_bare_amf3(&Value::EcmaArray(object));
    let expected = Value::EcmaArray(Object::new().with("a", 2.0));
    assert_eq!(decode(AMF3, &bytes), Ok(expected));
}

#[test]
fn enclosing_values_that_cannot_be_named_are_undefined() {
    for encoding in [Encoding::Amf0, Encoding::Amf3] {
        let bytes = encode(encoding, &[array([Value::Enclosing(1)])]);
        assert_eq!(decode(AMF0, &bytes), Ok(array([Value::Undefined])));
    }
    // An AMF3 value inside an AMF0 one has a table of its own.
    let inside = Value::Dictionary {
        weak_keys: false,
        entries: vec![(Value::Enclosing(1), Value::Enclosing(0))],
    };
    let bytes = encode(Encoding::Amf0, &[array([inside])]);
    let expected = Value::Dictionary {
        weak_keys: false,
        entries: vec![(Value::Undefined, Value::Enclosing(0))],
    };
    assert_eq!(decode(AMF0, &bytes), Ok(array([expected])));
}

#[test]
fn a_value_in_types_of_amf0_says_what_it_can() {
    let number = Value::Number;
    let amf3 = array([
        Value::Integer(-7),
        Value::IntVector {
            fixed: true,
            items: vec![-1],
        },
        Value::UintVector {
            fixed: false,
            items: vec![u32::MAX],
        },
        Value::DoubleVector {
            fixed: false,
            items: vec![0.5],
        },
        Value::ObjectVector {
            class: "A".into(),
            fixed: false,
            items: vec![Value::Integer(1)],
        },
        Value::Dictionary {
            weak_keys: false,
            entries: vec![
                ("a".into(), Value::Integer(2)),
                (Value::Integer(5), Value::Null),
                (Value::Null, Value::Null),
            ],
        },
        Value::MixedArray {
            members: vec![("a".into(), Value::Null)],
            elements: vec![Value::Integer(3)],
        },
        Value::Externalizable("flex".into(), Box::new(Value::Xml("<a/>".into()))),
        Value::ByteArray(Bytes::from_static(b"bytes")),
        Object::new().with("a", Value::Integer(4)).into(),
        Value::EcmaArray(Object::new().with("a", Value::Enclosing(0))),
        text("as it is"),
    ]);
    let expected = array([
        number(-7.0),
        array([number(-1.0)]),
        array([number(f64::from(u32::MAX))]),
        array([number(0.5)]),
        array([number(1.0)]),
        Value::EcmaArray(Object::new().with("a", 2.0).with("5", Value::Null)),
        Value::EcmaArray(Object::new().with("a", Value::Null).with("0", 3.0)),
        Value::XmlDocument("<a/>".into()),
        Value::Undefined,
        Object::new().with("a", 4.0).into(),
        Value::EcmaArray(Object::new().with("a", Value::Undefined)),
        text("as it is"),
    ]);
    assert_eq!(amf3.to_amf0(), expected);
    let written = encode(Encoding::Amf0, &[amf3.to_amf0()]);
    let mut decoder = Decoder::new(&written, &AmfLimits::default());
    assert_eq!(decoder.value(), Ok(expected));
    assert!(!decoder.switches_to_amf3());
}
