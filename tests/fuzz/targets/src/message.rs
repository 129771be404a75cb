//! Bodies of messages: control messages, commands, aggregates.
//!
//! - Control messages and commands survive being written and read.
//! - The parts of an aggregate come out one behind the other, each in memory of its
//!   own.

use arbitrary::Unstructured;
use bytes::BytesMut;
use openrtmp_protocol::Limits;
use openrtmp_protocol::amf::Encoding;
use openrtmp_protocol::chunk::{ChunkReader, ChunkWriter};
use openrtmp_protocol::command::{Command, Status};
use openrtmp_protocol::message::{Control, MessageError, kind};

use crate::aggregate::parts;
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
        kind::AGGREGATE => aggregate(flags, body),
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

fn aggregate(flags: u8, body: &[u8]) {
    let timestamp = u32::from(flags);
    let (mut writer, mut reader) = (ChunkWriter::new(), ChunkReader::new(&Limits::default()));
    writer.set_chunk_size(timestamp + 1);
    reader.set_chunk_size(timestamp + 1).expect("above 0");
    let mut wire = BytesMut::new();
    writer.write(4, kind::AGGREGATE, 1, timestamp, body, &mut wire);
    let mut rest = &wire[..];
    let mut found = Vec::new();
    while let Some(message) = reader.read(&mut rest).expect("chunks") {
        assert!(message.payload.held_bytes() <= message.payload.len() + 16);
        found.push(message);
    }
    assert_eq!(reader.buffered_bytes(), 0);
    let found = found
        .iter()
        .map(|message| (message.kind, message.timestamp, &message.payload[..]));
    assert_eq!(
        found.collect::<Vec<_>>(),
        parts(timestamp, body.len(), body)
    );
}
