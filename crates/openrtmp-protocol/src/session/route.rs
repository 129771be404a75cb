//! The servers that a stream has come through, so that one which passes it on in a
//! circle is recognised.
//!
//! A relay says them in the command object of `connect`, as `openrtmpVia`: its own id
//! last, each 16 hexadecimal digits, with commas between them. A server that knows this
//! says its id, as `openrtmpId`, in the properties of its answer, and refuses what has
//! come through itself. Others leave the property unread.

use crate::amf::{Object, Value};

const VIA: &str = "openrtmpVia";
const ID: &str = "openrtmpId";

/// Ids that are read; what is longer goes in circles that nobody recognises.
const MOST: usize = 64;

pub(super) fn write_via(object: Object, via: &[u64]) -> Object {
    if via.is_empty() {
        return object;
    }
    let ids: Vec<String> = via.iter().map(|id| format!("{id:016x}")).collect();
    object.with(VIA, ids.join(","))
}

/// Empty if it says none, or none that can be read.
pub(super) fn read_via(object: &Object) -> Vec<u64> {
    let text = object.get(VIA).and_then(Value::as_str).unwrap_or_default();
    let ids = text.split(',').take(MOST).map(id);
    ids.collect::<Option<Vec<u64>>>().unwrap_or_default()
}

pub(super) fn write_id(object: Object, id: u64) -> Object {
    object.with(ID, format!("{id:016x}"))
}

pub(super) fn read_id(object: &Object) -> Option<u64> {
    id(object.get(ID)?.as_str()?)
}

fn id(text: &str) -> Option<u64> {
    let is_id = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| u64::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for via in [vec![], vec![7], vec![0, u64::MAX, 0x0123_4567_89AB_CDEF]] {
            assert_eq!(read_via(&write_via(Object::new(), &via)), via);
        }
        assert_eq!(read_id(&write_id(Object::new(), 42)), Some(42));
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        for text in [
            "",
            "7",
            "000000000000000g",
            "+00000000000000a",
            "0000000000000007;",
        ] {
            let object = Object::new().with(VIA, text).with(ID, text);
            assert_eq!(
                (read_via(&object), read_id(&object)),
                (vec![], None),
                "{text}"
            );
        }
        let long = vec![1; 1000];
        assert_eq!(read_via(&write_via(Object::new(), &long)).len(), MOST);
    }
}
