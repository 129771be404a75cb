//! Bodies of messages: control messages, commands, aggregates.
//!
//! - Control messages and commands survive being written and read.
//! - The parts of an aggregate lie in it, one behind the other.

use arbitrary::Unstructured;
use bytes::Bytes;
use openrtmp_protocol::amf::Encoding;
use openrtmp_protocol::command::{Command, Status};
use openrtmp_protocol::message::{Control, MessageError, kind, split_aggregate};

use crate::amf_oracle::{generous, limits, memory as allowed, survives};
use crate::input::take;
use crate::memory;

/// Message type, which limits, then the body.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let message_kind: u8 = take(&mut input);
    let flags: u8 = take(&mut input);
    let body = input.take_rest();
    match message_kind {
        kind::COMMAND_AMF0 | kind::COMMAND_AMF3 => command(flags, body),
        kind::AGGREGATE => aggregate(flags, &Bytes::copy_from_slice(body)),
        _ => control(message_kind, body),
    }
}

fn control(message_kind: u8, body: &[u8]) {
    match Control::decode(message_kind, body) {
        Ok(control) => {
            assert_eq!(control.kind(), message_kind);
            let written = control.encode();
            assert!(body.starts_with(&written), "longer bodies are tolerated");
            assert_eq!(Control::decode(message_kind, &written), Ok(control));
        }
        Err(MessageError::NotControl { kind }) => assert_eq!(kind, message_kind),
        Err(MessageError::TooShort { needed, length, .. }) => {
            assert_eq!(length, body.len());
            assert!(length < needed && needed <= 10);
        }
        Err(error) => panic!("{error}"),
    }
}

fn command(flags: u8, body: &[u8]) {
    let limits = limits(flags);
    let read = memory::within(allowed(&limits, body), || Command::decode(body, &limits));
    let Ok(command) = read else { return };
    for encoding in [Encoding::Amf0, Encoding::Amf3] {
        let written = command.encode(encoding);
        let body = match encoding {
            Encoding::Amf0 => &written[..],
            Encoding::Amf3 => written.strip_prefix(&[0]).expect("the format byte"),
        };
        let again = Command::decode(body, &generous()).expect("we read what we write");
        assert_eq!(command.name, again.name);
        assert_eq!(command.transaction.to_bits(), again.transaction.to_bits());
        assert!(survives(&command.object, &again.object));
        assert_eq!(command.arguments.len(), again.arguments.len());
        for (argument, again) in command.arguments.iter().zip(&again.arguments) {
            assert!(survives(argument, again), "{argument:?} became {again:?}");
        }
    }
    for value in command.arguments.iter().chain([&command.object]) {
        let status = Status::from_value(value);
        assert_eq!(Status::from_value(&status.to_object().into()), status);
    }
}

fn aggregate(flags: u8, body: &Bytes) {
    let start = body.as_ptr() as usize;
    let mut position = start;
    let mut ended = false;
    for (number, part) in split_aggregate(u32::from(flags), body).enumerate() {
        assert!(!ended, "nothing follows an error");
        match part {
            Ok((_, timestamp, payload)) => {
                if number == 0 {
                    assert_eq!(timestamp, u32::from(flags), "the aggregate's own time");
                }
                // Empty slices may point anywhere.
                if !payload.is_empty() {
                    let at = payload.as_ptr() as usize;
                    assert!(at >= position + 11, "behind its header");
                    position = at + payload.len();
                    assert!(position <= start + body.len());
                }
            }
            Err(error) => {
                assert!(matches!(error, MessageError::TooShort { .. }), "{error}");
                ended = true;
            }
        }
        assert!(number <= body.len() / 11, "each part has a header");
    }
}
