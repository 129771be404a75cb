//! AMF0 messages.
//!
//! - Memory and the cost of reading stay within what the limits allow.
//! - What is read, written and read again is the same, in both encodings.
//! - The `amf` crate reads the same values, from the bytes and from what we write.

use amf::amf0;
use arbitrary::Unstructured;
use openrtmp_protocol::amf::{AmfError, AmfErrorKind, Decoder, Encoder, Encoding, Value};

use crate::input::take;
use crate::memory;

use crate::amf_oracle::{agrees0, limits, may_refuse, memory as allowed, read, reads_back};

/// Which limits, then the message.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let flags: u8 = take(&mut input);
    let message = input.take_rest();
    let limits = limits(flags);
    let (values, error) = memory::within(allowed(&limits, message), || {
        read(message, &limits, Decoder::value)
    });
    for encoding in [Encoding::Amf0, Encoding::Amf3] {
        let written = write(&values, encoding);
        let again = reads_back(&values, &written, Decoder::value);
        assert_eq!(write(&again, encoding), written, "written the same again");
        if encoding == Encoding::Amf0 {
            compare(&written, &again, None);
        }
    }
    compare(message, &values, error.as_ref());
}

fn write(values: &[Value], encoding: Encoding) -> Vec<u8> {
    let mut encoder = Encoder::new(encoding);
    values.iter().for_each(|value| encoder.value(value));
    encoder.finish()
}

/// Reads along with the other reader, up to the first value that it may refuse.
fn compare(message: &[u8], values: &[Value], error: Option<&AmfError>) {
    let mut other = amf0::Decoder::new(message);
    let mut switches = 0;
    for value in values {
        match other.decode() {
            Ok(theirs) => {
                switches += switches_in(&theirs);
                // Its AMF3 tables live as long as a value, ours as the message.
                if switches > 1 {
                    return;
                }
                assert!(
                    agrees0(value, &theirs),
                    "{value:?} is {theirs:?} to the other"
                );
            }
            Err(refusal) => {
                let lost = message.contains(&SWITCH);
                assert!(may_refuse(&refusal) || lost, "{value:?}: {refusal}");
                return;
            }
        }
    }
    // It has no limits, and would look far behind where we stopped: only errors
    // that it must meet at the same byte are compared.
    let comparable = match error.map(|error| &error.kind) {
        // Deep inside a member without a name it ends that member's object for it.
        Some(AmfErrorKind::Marker(OBJECT_END)) => false,
        Some(AmfErrorKind::Marker(_)) => true,
        Some(AmfErrorKind::Reference(_)) => !message.contains(&SWITCH),
        _ => false,
    };
    if comparable {
        let theirs = other.decode();
        assert!(theirs.is_err(), "{error:?}, but the other reads {theirs:?}");
    }
}

/// Markers of AMF0.
const OBJECT_END: u8 = 0x09;
const SWITCH: u8 = 0x11;

/// How often a value switches to AMF3.
fn switches_in(value: &amf0::Value) -> usize {
    match value {
        amf0::Value::AvmPlus(_) => 1,
        amf0::Value::Object { entries, .. } | amf0::Value::EcmaArray { entries } => {
            entries.iter().map(|pair| switches_in(&pair.value)).sum()
        }
        amf0::Value::Array { entries } => entries.iter().map(switches_in).sum(),
        _ => 0,
    }
}
