//! Bare AMF3 values.
//!
//! As [`amf0`](crate::amf0), for the other encoding.

use amf::amf3;
use arbitrary::Unstructured;
use openrtmp_protocol::amf::{AmfError, AmfErrorKind, Decoder, Encoder, Encoding, Value};

use crate::amf_oracle::{agrees3, limits, may_refuse, memory as allowed, read, reads_back};
use crate::input::take;
use crate::memory;

/// Which limits, then the values.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let flags: u8 = take(&mut input);
    let message = input.take_rest();
    let limits = limits(flags);
    let (values, error) = memory::within(allowed(&limits, message), || {
        read(message, &limits, Decoder::amf3_value)
    });
    let written = write(&values);
    let again = reads_back(&values, &written, Decoder::amf3_value);
    assert_eq!(write(&again), written, "written the same again");
    compare(message, &values, error.as_ref());
    compare(&written, &again, None);
}

fn write(values: &[Value]) -> Vec<u8> {
    let mut encoder = Encoder::new(Encoding::Amf3);
    values.iter().for_each(|value| encoder.amf3_value(value));
    encoder.finish()
}

/// Reads along with the other reader, up to the first value that it may refuse.
fn compare(message: &[u8], values: &[Value], error: Option<&AmfError>) {
    let mut other = amf3::Decoder::new(message);
    for value in values {
        match other.decode() {
            Ok(theirs) => {
                assert!(
                    agrees3(value, &theirs),
                    "{value:?} is {theirs:?} to the other"
                );
            }
            Err(refusal) => {
                assert!(may_refuse(&refusal), "{value:?}: {refusal}");
                return;
            }
        }
    }
    // As for AMF0: only errors that it must meet at the same byte.
    if let Some(error) = error
        && let AmfErrorKind::Marker(_) | AmfErrorKind::Reference(_) = error.kind
    {
        let theirs = other.decode();
        assert!(theirs.is_err(), "{error}, but the other reads {theirs:?}");
    }
}
