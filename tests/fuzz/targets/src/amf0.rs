//! AMF0 messages.
//!
//! - Memory stays within what the limits allow.
//! - What is read, written and read again is the same, in both encodings.
//! - The `amf` crate reads the same values, from the bytes and from what we write.

use amf::amf0;
use arbitrary::Unstructured;
use openrtmp_protocol::AmfLimits;
use openrtmp_protocol::amf::{AmfError, AmfErrorKind, Decoder, Encoder, Encoding, Value};

use crate::input::take;
use crate::memory;

use crate::amf_oracle::{
    agrees0, generous, is_limit, limits, may_refuse, memory as allowed, survives,
};

/// Which limits, then the message.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let flags: u8 = take(&mut input);
    let message = input.take_rest();
    let limits = limits(flags);
    let (values, error) = memory::within(allowed(&limits, message), || read(message, &limits));
    for encoding in [Encoding::Amf0, Encoding::Amf3] {
        let written = write(&values, encoding);
        let (again, trouble) = read(&written, &generous());
        assert_eq!(trouble, None, "we read what we write");
        assert_eq!(values.len(), again.len());
        for (value, again) in values.iter().zip(&again) {
            assert!(survives(value, again), "{value:?} became {again:?}");
        }
        assert_eq!(write(&again, encoding), written, "written the same again");
    }
    compare(message, &values, error.as_ref());
    let written = write(&values, Encoding::Amf0);
    compare(&written, &read(&written, &generous()).0, None);
}

fn read(message: &[u8], limits: &AmfLimits) -> (Vec<Value>, Option<AmfError>) {
    let mut decoder = Decoder::new(message, limits);
    let mut values = Vec::new();
    while !decoder.is_empty() {
        let before = decoder.position();
        match decoder.value() {
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

fn write(values: &[Value], encoding: Encoding) -> Vec<u8> {
    let mut encoder = Encoder::new(encoding);
    values.iter().for_each(|value| encoder.value(value));
    encoder.finish()
}

/// Reads along with the other reader, up to the first value that it may refuse.
fn compare(message: &[u8], values: &[Value], error: Option<&AmfError>) {
    let mut other = amf0::Decoder::new(message);
    let mut switched = false;
    for value in values {
        match other.decode() {
            Ok(theirs) => {
                assert!(
                    agrees0(value, &theirs),
                    "{value:?} is {theirs:?} to the other"
                );
                // Its AMF3 tables live as long as a value, ours as the message.
                switched |= contains_amf3(&theirs);
            }
            Err(refusal) => {
                let lost = switched || message.contains(&0x11);
                assert!(may_refuse(&refusal) || lost, "{value:?}: {refusal}");
                return;
            }
        }
        if switched {
            return;
        }
    }
    // It has no limits, and would look far behind where we stopped: only errors
    // that it must meet at the same byte are compared.
    if let Some(error) = error
        && !is_limit(error)
        && matches!(
            error.kind,
            AmfErrorKind::Marker(_) | AmfErrorKind::Reference(_)
        )
    {
        let theirs = other.decode();
        assert!(theirs.is_err(), "{error}, but the other reads {theirs:?}");
    }
}

fn contains_amf3(value: &amf0::Value) -> bool {
    match value {
        amf0::Value::AvmPlus(_) => true,
        amf0::Value::Object { entries, .. } | amf0::Value::EcmaArray { entries } => {
            entries.iter().any(|pair| contains_amf3(&pair.value))
        }
        amf0::Value::Array { entries } => entries.iter().any(contains_amf3),
        _ => false,
    }
}
