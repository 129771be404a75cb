use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn name() -> impl Strategy<Value = String> {
    // Few names, so that string and traits references occur.
    prop_oneof![4 => "[a-d]{1,2}", 1 => "\\PC{1,20}"]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        name().prop_map(Value::String),
        Just(text("")),
        Just(Value::Null),
        Just(Value::Undefined),
        any::<f64>().prop_map(|time| Value::Date(time, 0)),
        name().prop_map(Value::XmlDocument),
        // The properties below put every tree inside three arrays.
        (0_usize..3).prop_map(Value::Enclosing),
    ]
}

fn amf3_leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => leaf(),
        1 => (-(1 << 28)..1 << 28).prop_map(Value::Integer),
        1 => name().prop_map(Value::Xml),
        1 => vec(any::<u8>(), 0..40).prop_map(|bytes| Value::ByteArray(bytes.into())),
        1 => (any::<bool>(), vec(any::<i32>(), 0..5))
            .prop_map(|(fixed, items)| Value::IntVector { fixed, items }),
        1 => (any::<bool>(), vec(any::<u32>(), 0..5))
            .prop_map(|(fixed, items)| Value::UintVector { fixed, items }),
        1 => (any::<bool>(), vec(any::<f64>(), 0..5))
            .prop_map(|(fixed, items)| Value::DoubleVector { fixed, items }),
    ]
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<(String, Value)>> {
    vec((name(), value), 1..5)
}

/// The containers that both versions have.
fn container(value: impl Strategy<Value = Value> + Clone) -> impl Strategy<Value = Value> {
    let class = proptest::option::of("[A-C]");
    prop_oneof![
        (class, members(value.clone()))
            .prop_map(|(class, members)| Value::Object(Object { class, members })),
        members(value.clone()).prop_map(|members| {
            Value::EcmaArray(Object {
                class: None,
                members,
            })
        }),
        vec(value, 0..5).prop_map(Value::StrictArray),
    ]
}

fn amf0_tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        9 => leaf(),
        1 => Just(Value::Unsupported),
        1 => (any::<f64>(), any::<i16>()).prop_map(|(time, zone)| Value::Date(time, zone)),
        // Behind a switch.
        1 => vec(any::<u8>(), 0..40).prop_map(|bytes| Value::ByteArray(bytes.into())),
    ];
    leaf.prop_recursive(6, 80, 5, |value| container(value).boxed())
}

fn amf3_tree() -> impl Strategy<Value = Value> {
    amf3_leaf().prop_recursive(6, 80, 5, |value| {
        prop_oneof![
            4 => container(value.clone()),
            1 => (members(value.clone()), vec(value.clone(), 1..4))
                .prop_map(|(members, elements)| Value::MixedArray { members, elements }),
            1 => ("[A-C]?", any::<bool>(), vec(value.clone(), 0..4))
                .prop_map(|(class, fixed, items)| Value::ObjectVector { class, fixed, items }),
            1 => (any::<bool>(), vec((value.clone(), value.clone()), 0..3))
                .prop_map(|(weak_keys, entries)| Value::Dictionary { weak_keys, entries }),
            1 => value.prop_map(|value| {
                Value::Externalizable("flex.messaging.io.ObjectProxy".into(), Box::new(value))
            }),
        ]
        .boxed()
    })
}

fn inside_three(value: Value) -> Value {
    array([array([array([value])])])
}

/// Values in a tree and its greatest depth, counted apart from the decoder.
fn measure(value: &Value) -> (usize, usize) {
    let inside: Vec<&Value> = match value {
        Value::Object(object) | Value::EcmaArray(object) => {
            object.members.iter().map(|(_, value)| value).collect()
        }
        Value::MixedArray { members, elements } => {
            let members = members.iter().map(|(_, value)| value);
            members.chain(elements).collect()
        }
        Value::StrictArray(items) | Value::ObjectVector { items, .. } => items.iter().collect(),
        Value::Dictionary { entries, .. } => entries.iter().flat_map(|(k, v)| [k, v]).collect(),
        Value::Externalizable(_, value) => vec![value],
        Value::IntVector { items, .. } => return (1 + items.len(), 0),
        Value::UintVector { items, .. } => return (1 + items.len(), 0),
        Value::DoubleVector { items, .. } => return (1 + items.len(), 0),
        _ => return (1, 0),
    };
    inside
        .into_iter()
        .map(measure)
        .fold((1, 1), |(count, depth), (inner_count, inner_depth)| {
            (count + inner_count, depth.max(inner_depth + 1))
        })
}

/// Reads anything: no panic, nothing beyond the limits, and what came out can
/// be written and read again.
fn check_hostile(read: Read, bytes: &[u8]) {
    let limits = AmfLimits {
        depth: 8,
        string_bytes: 256,
        elements: 500,
        decoded_bytes: 64 * 1024,
        ..AmfLimits::default()
    };
    let mut decoder = Decoder::new(bytes, &limits);
    let mut values = Vec::new();
    while !decoder.is_empty() {
        match read(&mut decoder) {
            Ok(value) => values.push(value),
            Err(error) => {
                assert!(error.offset <= bytes.len());
                assert!(error.depth <= limits.depth);
                break;
            }
        }
    }
    assert!(decoder.cost() <= 4 * bytes.len() + 64);
    let (count, depth) = measure(&array(values.clone()));
    assert!(count - 1 <= 4 * bytes.len() + 64);
    assert!(count - 1 <= limits.elements && depth <= limits.depth + 1);
    for encoding in [Encoding::Amf0, Encoding::Amf3] {
        let again = |values: &[Value]| {
            let bytes = encode(encoding, values);
            decode_all(&bytes, &AmfLimits::default()).expect("our own bytes are valid")
        };
        // Once, what the encoding lacks is replaced; twice, nothing changes.
        let once = again(&values);
        // As text, where NaN equals itself.
        assert_eq!(format!("{:?}", again(&once)), format!("{once:?}"));
    }
}

/// Bytes that look like AMF: markers, small lengths and references are common.
fn amf_like() -> impl Strategy<Value = Vec<u8>> {
    vec(
        prop_oneof![4 => 0_u8..0x14, 1 => any::<u8>(), 1 => Just(b'a')],
        0..200,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_amf0_tree_round_trips(tree in amf0_tree()) {
        let value = inside_three(tree);
        let bytes = encode(Encoding::Amf0, std::slice::from_ref(&value));
        prop_assert_eq!(decode(AMF0, &bytes), Ok(value));
    }

    #[test]
    fn any_amf3_tree_round_trips_bare_and_behind_the_switch(tree in amf3_tree()) {
        let value = inside_three(tree);
        prop_assert_eq!(decode(AMF3, &encode_bare_amf3(&value)), Ok(value.clone()));
        let values = [Value::Null, value.clone(), value];
        let bytes = encode(Encoding::Amf3, &values);
        prop_assert_eq!(decode_all(&bytes, &AmfLimits::default()), Ok(values.to_vec()));
    }

    #[test]
    fn truncated_trees_are_errors_or_tolerated(tree in amf3_tree(), cut in any::<prop::sample::Index>()) {
        let bytes = encode_bare_amf3(&inside_three(tree));
        let cut = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(kind(decode(AMF3, cut)), AmfErrorKind::Truncated);
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        check_hostile(AMF0, &bytes);
        check_hostile(AMF3, &bytes);
    }

    #[test]
    fn bytes_that_look_like_amf_never_panic(bytes in amf_like()) {
        check_hostile(AMF0, &bytes);
        check_hostile(AMF3, &bytes);
    }

    #[test]
    fn damaged_trees_never_panic(
        amf0 in amf0_tree(),
        amf3 in amf3_tree(),
        damage in vec((any::<prop::sample::Index>(), 0_u8..0x20), 1..8),
    ) {
        let mut bytes = encode(Encoding::Amf0, &[inside_three(amf0), inside_three(amf3)]);
        for (place, byte) in &damage {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        check_hostile(AMF0, &bytes);
        check_hostile(AMF3, &bytes[1..]);
    }
}
