//! Messages written as chunks, and read again.
//!
//! - What our writer writes reads back as it was, however it is cut; so do the
//!   slices that subscribers are sent, from any byte on.
//! - What a peer may write, headers of fmt 1 to 3 and chunk streams in turns, reads
//!   back too.

use arbitrary::Unstructured;
use bytes::{Bytes, BytesMut};
use openrtmp_protocol::Limits;
use openrtmp_protocol::chunk::{ChunkHeaders, ChunkReader, ChunkWriter, Message};
use openrtmp_protocol::message::kind;

use self::compressing_writer::Habits;
use crate::input::{Cuts, Piece, take};

#[path = "../../../../crates/openrtmp-protocol/src/chunk/tests/compressing_writer.rs"]
mod compressing_writer;

/// Cuts, chunk size, habits (bit 0: the shortest headers), a piece that says whose turn it is; then
/// the messages.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let cuts: Cuts = take(&mut input);
    let chunk_size = u32::from(take::<u16>(&mut input)).max(1);
    let habits: u8 = take(&mut input);
    let picks: Piece<'_> = take(&mut input);
    let mut messages = Vec::new();
    let mut bytes = 0;
    while !input.is_empty() && messages.len() < 64 {
        let message = message(&mut input);
        bytes += message.payload.len();
        // Many tiny chunks of large messages take long and show nothing new.
        if bytes > 60_000.min(4000 * chunk_size as usize) {
            break;
        }
        messages.push(message);
    }

    ours(&messages, chunk_size, cuts);
    let habits = Habits {
        chunk_size: chunk_size as usize,
        // A peer that leaves the repeated timestamp out may write what cannot be
        // told from one that does not.
        repeat: true,
        shortest: habits & 1 != 0,
    };
    let (wire, sent) = compressing_writer::write(&messages, habits, picks.0);
    assert_eq!(read(&wire, chunk_size, cuts), sent);
}

/// Chunk stream, type, message stream, timestamp, and a length of payload with its
/// filling.
fn message(input: &mut Unstructured<'_>) -> Message {
    let chunk_stream = match take::<u16>(input) {
        // One byte of basic header, two or three.
        near if near < 0x8000 => u32::from(near % 400),
        far => u32::from(far) + u32::from(far % 64),
    };
    let kind = match take(input) {
        // Aggregates are taken apart: `message` looks at them.
        kind::AGGREGATE => kind::DATA_AMF0,
        kind => kind,
    };
    let stream = u32::from(take::<u8>(input));
    let timestamp = take(input);
    let length = usize::from(take::<u16>(input)) % 20_000;
    let filling: u8 = take(input);
    let payload: Bytes = (0..length)
        .map(|at| (at as u8).wrapping_mul(filling))
        .collect();
    Message {
        chunk_stream: chunk_stream.clamp(2, 65_599),
        kind,
        stream,
        timestamp,
        payload: payload.into(),
    }
}

fn ours(messages: &[Message], chunk_size: u32, cuts: Cuts) {
    let mut writer = ChunkWriter::new();
    writer.set_chunk_size(chunk_size);
    let mut wire = BytesMut::new();
    for message in messages {
        let Message {
            chunk_stream,
            kind,
            stream,
            timestamp,
            ref payload,
        } = *message;
        let before = wire.len();
        writer.write(chunk_stream, kind, stream, timestamp, payload, &mut wire);
        let written = &wire[before..];
        let headers = ChunkHeaders::new(chunk_stream, kind, 0, timestamp, payload.len());
        let headers = headers.with_stream(stream);
        assert_eq!(written.len(), headers.wire_len(payload.len(), chunk_size));
        let skip = timestamp as usize % (written.len() + 1);
        let slices: Vec<&[u8]> = headers.slices(payload, chunk_size, skip).collect();
        assert!(slices.iter().all(|slice| !slice.is_empty()));
        assert_eq!(slices.concat(), written[skip..]);
    }
    assert_eq!(read(&wire, chunk_size, cuts), messages);
}

fn read(wire: &[u8], chunk_size: u32, cuts: Cuts) -> Vec<Message> {
    let mut limits = Limits::default();
    limits.chunk_streams = 1000;
    let mut reader = ChunkReader::new(&limits);
    reader.set_chunk_size(chunk_size).expect("it is above 0");
    let mut messages = Vec::new();
    for piece in cuts.of(wire) {
        let mut rest = piece;
        while let Some(message) = reader.read(&mut rest).expect("it was written well") {
            messages.push(message);
        }
    }
    assert_eq!(reader.buffered_bytes(), 0, "nothing is left");
    messages
}
