//! Bare AMF3 values.
//!
//! As [`amf0`](crate::amf0), for the other encoding.

use amf::amf3;
use arbitrary::Unstructured;
use openrtmp_protocol::AmfLimits;
use openrtmp_protocol::amf::{AmfError, AmfErrorKind, Decoder, Encoder, Encoding, Value};

use crate::amf_oracle::{agrees3, generous, limits, may_refuse, memory as allowed, survives};
use crate::input::take;
use crate::memory;

/// Which limits, then the values.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let flags: u8 = take(&mut input);
    let message = input.take_rest();
    let limits = limits(flags);
    let (values, error) = memory::within(allowed(&limits, message), || read(message, &limits));
    let written = write(&values);
    let (again, trouble) = read(&written, &generous());
    assert_eq!(trouble, None, "we read what we write");
    assert_eq!(values.len(), again.len());
    for (value, again) in values.iter().zip(&again) {
        assert!(survives(value, again), "{value:?} became {again:?}");
    }
    assert_eq!(write(&again), written, "written the same again");
    compare(message, &values, error.as_ref());
    compare(&written, &again, None);
}

fn read(message: &[u8], limits: &AmfLimits) -> (Vec<Value>, Option<AmfError>) {
    let mut decoder = Decoder::new(message, limits);
    let mut values = Vec::new();
    while !decoder.is_empty() {
        let before = decoder.position();
        match decoder.amf3_value() {
            Ok(value) => values.push(value),
            Err(error) => {
                assert!(error.offset <= message.len());
                return (values, Some(error));
            }
        }
        assert!(decoder.position() > before, "every value takes bytes");
    }
    (values, None)
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
