//! Two opinions on AMF values: another reader's (the `amf` crate), and our own after
//! writing and reading again.

use std::time::Duration;

use amf::error::DecodeError;
use amf::{Amf0Value, Amf3Value, Pair};
use openrtmp_protocol::AmfLimits;
use openrtmp_protocol::amf::{AmfError, Decoder, Object, Value};

/// The limits of the first reading. Bit 0 of `flags`: small ones.
pub(crate) fn limits(flags: u8) -> AmfLimits {
    let mut limits = AmfLimits::default();
    if flags & 1 != 0 {
        limits.depth = 5;
        limits.string_bytes = 100;
        limits.elements = 50;
        limits.decoded_bytes = 4000;
    }
    limits
}

/// Bytes that reading under these limits may hold at one time: values in vectors
/// that have just doubled, and the tables of references.
pub(crate) fn memory(limits: &AmfLimits, data: &[u8]) -> usize {
    4 * limits.decoded_bytes + 64 * data.len() + 16 * 1024
}

/// Limits for what was written by us: references are written out.
pub(crate) fn generous() -> AmfLimits {
    let mut limits = AmfLimits::default();
    limits.depth = 64;
    limits.string_bytes = usize::MAX;
    limits.elements = usize::MAX;
    limits.decoded_bytes = usize::MAX;
    limits.values_per_byte = usize::MAX;
    limits.values_base = usize::MAX;
    limits
}

/// Reads values to the end of the message, or up to the first that cannot be read.
/// `next` reads one, of either encoding.
pub(crate) fn read<'a>(
    message: &'a [u8],
    limits: &AmfLimits,
    next: impl Fn(&mut Decoder<'a>) -> Result<Value, AmfError>,
) -> (Vec<Value>, Option<AmfError>) {
    let mut decoder = Decoder::new(message, limits);
    let mut values = Vec::new();
    let mut trouble = None;
    while !decoder.is_empty() {
        let before = decoder.position();
        match next(&mut decoder) {
            Ok(value) => values.push(value),
            Err(error) => {
                assert!(error.offset <= message.len());
                trouble = Some(error);
                break;
            }
        }
        assert!(decoder.position() > before, "every value takes bytes");
    }
    let allowed = message.len().saturating_mul(limits.values_per_byte);
    let allowed = allowed.saturating_add(limits.values_base);
    assert!(decoder.cost() <= allowed, "costs more than its bytes allow");
    (values, trouble)
}

/// That what was written from `values` reads as the same; what was read.
pub(crate) fn reads_back<'a>(
    values: &[Value],
    written: &'a [u8],
    next: impl Fn(&mut Decoder<'a>) -> Result<Value, AmfError>,
) -> Vec<Value> {
    let (again, trouble) = read(written, &generous(), next);
    assert_eq!(trouble, None, "we read what we write");
    assert_eq!(values.len(), again.len());
    for (value, again) in values.iter().zip(&again) {
        assert!(survives(value, again), "{value:?} became {again:?}");
    }
    again
}

/// Whether both are the same, save for what no version of AMF can say of the other:
/// `b` was written from `a` and read.
pub(crate) fn survives(a: &Value, b: &Value) -> bool {
    let all = |a: &[Value], b: &[Value]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| survives(a, b))
    };
    match (a, b) {
        // A cycle through both encodings cannot be written.
        (Value::Enclosing(_), Value::Undefined) | (Value::Unsupported, Value::Undefined) => true,
        (Value::Enclosing(a), Value::Enclosing(b)) => a == b,
        (Value::Number(_) | Value::Integer(_), Value::Number(b)) => {
            a.as_f64().is_some_and(|a| a.to_bits() == b.to_bits())
        }
        (Value::Date(a, zone), Value::Date(b, kept)) => {
            a.to_bits() == b.to_bits() && (zone == kept || *kept == 0)
        }
        (Value::XmlDocument(a) | Value::Xml(a), Value::XmlDocument(b) | Value::Xml(b)) => a == b,
        (Value::Object(a), Value::Object(b)) => a.class == b.class && members(&a.members, b, &[]),
        (Value::EcmaArray(a), Value::EcmaArray(b)) => members(&a.members, b, &[]),
        // AMF3 leaves out members without a name, and then nothing may be left.
        (Value::EcmaArray(a), Value::StrictArray(b)) => {
            b.is_empty() && a.members.iter().all(|(name, _)| name.is_empty())
        }
        (Value::StrictArray(a), Value::StrictArray(b)) => all(a, b),
        (
            Value::MixedArray {
                members: named,
                elements,
            },
            Value::EcmaArray(b),
        ) => members(named, b, elements),
        (
            Value::MixedArray { members, elements },
            Value::MixedArray {
                members: b_members,
                elements: b_elements,
            },
        ) => {
            let b = Object {
                class: None,
                members: b_members.clone(),
            };
            self::members(members, &b, &[]) && all(elements, b_elements)
        }
        (
            Value::ObjectVector {
                class,
                fixed,
                items,
            },
            Value::ObjectVector {
                class: b_class,
                fixed: b_fixed,
                items: b_items,
            },
        ) => (class, fixed) == (b_class, b_fixed) && all(items, b_items),
        (Value::DoubleVector { fixed, items }, Value::DoubleVector { fixed: f, items: i }) => {
            fixed == f
                && items.len() == i.len()
                && items.iter().zip(i).all(|(a, b)| a.to_bits() == b.to_bits())
        }
        (
            Value::Dictionary { weak_keys, entries },
            Value::Dictionary {
                weak_keys: b_weak,
                entries: b_entries,
            },
        ) => {
            weak_keys == b_weak
                && entries.len() == b_entries.len()
                && entries
                    .iter()
                    .zip(b_entries)
                    .all(|(a, b)| survives(&a.0, &b.0) && survives(&a.1, &b.1))
        }
        (Value::Externalizable(a, inside), Value::Externalizable(b, b_inside)) => {
            a == b && survives(inside, b_inside)
        }
        _ => a == b,
    }
}

/// Members, and elements as members that are named by their index. Those without a
/// name may be missing (AMF3 arrays).
fn members(a: &[(String, Value)], b: &Object, elements: &[Value]) -> bool {
    let indexed = elements.iter().enumerate();
    let indexed = indexed.map(|(index, value)| (index.to_string(), value));
    let named = a.iter().map(|(name, value)| (name.clone(), value));
    let expected: Vec<(String, &Value)> = named.chain(indexed).collect();
    let same = |expected: &[&(String, &Value)]| {
        expected.len() == b.members.len()
            && expected
                .iter()
                .zip(&b.members)
                .all(|((name, a), (b_name, b))| name == b_name && survives(a, b))
    };
    same(&expected.iter().collect::<Vec<_>>())
        || same(
            &expected
                .iter()
                .filter(|(name, _)| !name.is_empty())
                .collect::<Vec<_>>(),
        )
}

/// Whether another reader's refusal of what we took is one of its own limits.
pub(crate) fn may_refuse(error: &DecodeError) -> bool {
    match error {
        // It takes neither unfinished objects ...
        DecodeError::Io(_) => true,
        // ... nor bytes that are not UTF-8, cycles, "unsupported", times before
        // 1970, and classes that write themselves.
        DecodeError::String(_)
        | DecodeError::CircularReference { .. }
        | DecodeError::Unsupported { .. }
        | DecodeError::InvalidDate { .. }
        | DecodeError::ExternalizableType { .. } => true,
        _ => false,
    }
}

/// Whether an AMF0 value is the same to both.
pub(crate) fn agrees0(ours: &Value, theirs: &Amf0Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Amf0Value::Number(b)) => a.to_bits() == b.to_bits(),
        (Value::Boolean(a), Amf0Value::Boolean(b)) => a == b,
        (Value::String(a), Amf0Value::String(b)) => a == b,
        (Value::Null, Amf0Value::Null) | (Value::Undefined, Amf0Value::Undefined) => true,
        (
            Value::Object(a),
            Amf0Value::Object {
                class_name,
                entries,
            },
        ) => {
            a.class.as_deref().unwrap_or_default() == class_name.as_deref().unwrap_or_default()
                && pairs(&a.members, entries, agrees0)
        }
        (Value::EcmaArray(a), Amf0Value::EcmaArray { entries }) => {
            pairs(&a.members, entries, agrees0)
        }
        (Value::StrictArray(a), Amf0Value::Array { entries }) => list(a, entries, agrees0),
        (
            Value::Date(a, zone),
            Amf0Value::Date {
                unix_time,
                time_zone,
            },
        ) => *unix_time == whole_milliseconds(*a) && zone == time_zone,
        (Value::XmlDocument(a), Amf0Value::XmlDocument(b)) => a == b,
        (a, Amf0Value::AvmPlus(b)) => agrees3(a, b),
        _ => false,
    }
}

/// Whether an AMF3 value is the same to both.
pub(crate) fn agrees3(ours: &Value, theirs: &Amf3Value) -> bool {
    match (ours, theirs) {
        (Value::Undefined, Amf3Value::Undefined) | (Value::Null, Amf3Value::Null) => true,
        (Value::Boolean(a), Amf3Value::Boolean(b)) => a == b,
        (Value::Integer(a), Amf3Value::Integer(b)) => a == b,
        (Value::Number(a), Amf3Value::Double(b)) => a.to_bits() == b.to_bits(),
        (Value::String(a), Amf3Value::String(b))
        | (Value::XmlDocument(a), Amf3Value::XmlDocument(b))
        | (Value::Xml(a), Amf3Value::Xml(b)) => a == b,
        (Value::Date(a, 0), Amf3Value::Date { unix_time }) => *unix_time == whole_milliseconds(*a),
        (
            _,
            Amf3Value::Array {
                assoc_entries,
                dense_entries,
            },
        ) => match ours {
            Value::StrictArray(elements) => {
                assoc_entries.is_empty() && list(elements, dense_entries, agrees3)
            }
            Value::EcmaArray(object) => {
                dense_entries.is_empty() && pairs(&object.members, assoc_entries, agrees3)
            }
            Value::MixedArray { members, elements } => {
                pairs(members, assoc_entries, agrees3) && list(elements, dense_entries, agrees3)
            }
            _ => false,
        },
        (
            Value::Object(a),
            Amf3Value::Object {
                class_name,
                entries,
                ..
            },
        ) => {
            a.class.as_deref().unwrap_or_default() == class_name.as_deref().unwrap_or_default()
                && pairs(&a.members, entries, agrees3)
        }
        (Value::ByteArray(a), Amf3Value::ByteArray(b)) => a == b,
        (Value::IntVector { fixed, items }, Amf3Value::IntVector { is_fixed, entries }) => {
            fixed == is_fixed && items == entries
        }
        (Value::UintVector { fixed, items }, Amf3Value::UintVector { is_fixed, entries }) => {
            fixed == is_fixed && items == entries
        }
        (Value::DoubleVector { fixed, items }, Amf3Value::DoubleVector { is_fixed, entries }) => {
            fixed == is_fixed && list(items, entries, |a, b| a.to_bits() == b.to_bits())
        }
        (
            Value::ObjectVector {
                class,
                fixed,
                items,
            },
            Amf3Value::ObjectVector {
                class_name,
                is_fixed,
                entries,
            },
        ) => {
            class == class_name.as_deref().unwrap_or("*")
                && fixed == is_fixed
                && list(items, entries, agrees3)
        }
        // It takes only 1 for weak; any byte but 0 is meant.
        (Value::Dictionary { entries, .. }, Amf3Value::Dictionary { entries: b, .. }) => {
            list(entries, b, |(key, value), pair| {
                agrees3(key, &pair.key) && agrees3(value, &pair.value)
            })
        }
        _ => false,
    }
}

fn list<A, B>(a: &[A], b: &[B], agrees: impl Fn(&A, &B) -> bool) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agrees(a, b))
}

fn pairs<V>(
    a: &[(String, Value)],
    b: &[Pair<String, V>],
    agrees: impl Fn(&Value, &V) -> bool,
) -> bool {
    list(a, b, |(name, value), pair| {
        *name == pair.key && agrees(value, &pair.value)
    })
}

/// It keeps no fractions of milliseconds.
fn whole_milliseconds(milliseconds: f64) -> Duration {
    Duration::from_millis(milliseconds as u64)
}
