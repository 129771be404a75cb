//! Tests of the reader and the writer. What both must agree on with the rest of
//! the world is in the golden vectors, what they must agree on with each other
//! in the property tests.

mod compressing_writer;
mod properties;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::Limits;
use crate::golden::{Vector, vector, vectors};
use crate::message::{Control, kind};

#[test]
#[cfg_attr(miri, ignore = "minutes in an interpreter")]
fn golden_vectors_read_as_the_specification_says() {
    for vector in vectors("chunk") {
        let expected = messages_of(&vector);
        let wire = vector.bytes("wire");
        for piece in [wire.len(), 1, 2, 3, 5] {
            let mut reader = ChunkReader::new(&Limits::default());
            let read = read_all(&mut reader, wire.chunks(piece)).unwrap();
            assert_eq!(read, expected, "{} in pieces of {piece}", vector.name);
            assert_eq!(reader.buffered_bytes(), 0, "{}", vector.name);
        }
    }
}

#[test]
fn writer_writes_the_golden_vectors_made_of_fmt_0() {
    for name in ["continuation_at_128", "extended_timestamp"] {
        let vector = vector("chunk", name);
        let mut writer = ChunkWriter::new();
        let mut output = BytesMut::new();
        for message in messages_of(&vector) {
            write(&writer, &message, &mut output);
            if let Some(size) = new_chunk_size(&message) {
                writer.set_chunk_size(size);
            }
        }
        assert_eq!(output, vector.bytes("wire"), "{name}");
    }
}

#[test]
fn writer_uses_the_shortest_basic_header() {
    // Section 5.3.1.1: the ends of the three ranges, as fmt 0 and as fmt 3.
    let headers: [(u32, &[u8], &[u8]); 6] = [
        (2, &[0x02], &[0xC2]),
        (63, &[0x3F], &[0xFF]),
        (64, &[0x00, 0], &[0xC0, 0]),
        (319, &[0x00, 255], &[0xC0, 255]),
        (320, &[0x01, 0, 1], &[0xC1, 0, 1]),
        (65599, &[0x01, 255, 255], &[0xC1, 255, 255]),
    ];
    for (id, first, next) in headers {
        let written = ChunkHeaders::new(id, 0, 0, 0, 0);
        assert_eq!(&written.first()[..first.len()], first, "{id}");
        assert_eq!(written.first().len(), first.len() + 11, "{id}");
        assert_eq!(written.next(), next, "{id}");
    }
}

#[test]
fn headers_for_another_message_stream_differ_in_its_id_only() {
    for (id, time) in [(4, 0), (100, 0x0100_0000), (65599, 9)] {
        let moved = ChunkHeaders::new(id, 9, 1, time, 300).with_stream(0x0A0B_0C0D);
        let made = ChunkHeaders::new(id, 9, 0x0A0B_0C0D, time, 300);
        assert_eq!(moved.first(), made.first());
        assert_eq!(moved.next(), made.next());
    }
}

#[test]
fn slices_go_on_from_any_byte() {
    let payload = [7; 1000];
    let headers = ChunkHeaders::new(6, 9, 1, 0, payload.len());
    let mut whole = BytesMut::new();
    ChunkWriter::new().write(6, 9, 1, 0, &payload, &mut whole);

    let mut sent = Vec::new();
    while sent.len() < whole.len() {
        let some: Vec<&[u8]> = headers.slices(&payload, 128, sent.len()).take(3).collect();
        assert!(!some.is_empty());
        sent.extend(some.concat());
    }
    assert_eq!(sent, whole);
    assert_eq!(headers.slices(&payload, 128, whole.len()).count(), 0);
}

#[test]
#[cfg_attr(miri, ignore = "minutes in an interpreter")]
#[should_panic(expected = "24-bit length")]
fn message_too_long_for_the_wire_is_the_callers_mistake() {
    ChunkHeaders::new(4, 9, 1, 0, MAX_MESSAGE_LENGTH + 1);
}

#[test]
#[should_panic(expected = "not within 2 to 65599")]
fn reserved_chunk_stream_is_the_callers_mistake() {
    ChunkHeaders::new(1, 9, 1, 0, 0);
}

#[test]
fn chunk_size_zero_is_an_error_and_a_huge_one_is_clamped() {
    let mut reader = ChunkReader::new(&Limits::default());
    assert_eq!(reader.set_chunk_size(0), Err(ChunkError::ZeroChunkSize));
    reader.set_chunk_size(0x7FFF_FFFF).unwrap();
    let mut writer = ChunkWriter::new();
    writer.set_chunk_size(u32::MAX);
    assert_eq!(writer.chunk_size(), 0xFF_FFFF);
    writer.set_chunk_size(0);
    assert_eq!(writer.chunk_size(), 1);
}

#[test]
fn abort_forgets_the_unfinished_message() {
    let mut reader = ChunkReader::new(&Limits::default());
    let mut input = &fmt0(4, 300)[..];
    assert_eq!(reader.read(&mut input), Ok(None));
    let mut input = &[1; 128][..];
    assert_eq!(reader.read(&mut input), Ok(None));
    assert!(reader.buffered_bytes() >= 128);
    reader.abort(5);
    assert!(reader.buffered_bytes() >= 128);
    reader.abort(4);
    assert_eq!(reader.buffered_bytes(), 0);

    let next = [&fmt0(4, 2)[..], &[8, 9]].concat();
    let message = reader.read(&mut &next[..]).unwrap().unwrap();
    assert_eq!(message.payload, [8, 9].as_slice());
}

#[test]
fn abort_within_a_chunk_skips_the_rest_of_it() {
    let mut reader = ChunkReader::new(&Limits::default());
    let chunk = [&fmt0(4, 300)[..], &[1; 100]].concat();
    assert_eq!(reader.read(&mut &chunk[..]), Ok(None));
    reader.abort(4);
    let rest = [&[1; 28], &fmt0(4, 1)[..], &[9]].concat();
    let message = reader.read(&mut &rest[..]).unwrap().unwrap();
    assert_eq!(message.payload, [9].as_slice());
}

#[test]
fn message_over_the_limit_is_refused_at_its_header() {
    let limits = Limits {
        message_bytes: 1000,
        ..Limits::default()
    };
    let mut reader = ChunkReader::new(&limits);
    let input = [&fmt0(4, 1)[..], &[0], &fmt0(4, 1001)].concat();
    let mut input = &input[..];
    assert!(reader.read(&mut input).unwrap().is_some());
    let error = ChunkError::MessageTooLong {
        length: 1001,
        limit: 1000,
        offset: 13,
    };
    assert_eq!(reader.read(&mut input), Err(error));
    let mut reader = ChunkReader::new(&limits);
    assert_eq!(reader.read(&mut &fmt0(4, 1000)[..]), Ok(None));
}

#[test]
fn unfinished_messages_together_are_limited() {
    let limits = Limits {
        partial_bytes: 10_000,
        ..Limits::default()
    };
    let mut reader = ChunkReader::new(&limits);
    reader.set_chunk_size(6000).unwrap();
    let half = |id| [&fmt0(id, 12_000)[..], &[0; 6000]].concat();
    // The first counts as 8192 bytes; the second may have what is left.
    let error = ChunkError::TooManyPartialBytes {
        limit: 10_000,
        offset: 2 * 12 + 6000 + 1808,
    };
    assert_eq!(reader.read(&mut &half(4)[..]), Ok(None));
    assert!(reader.buffered_bytes() <= 10_000);
    assert_eq!(reader.read(&mut &half(5)[..]), Err(error.clone()));

    // What was aborted does not count, and what is split ends at the same byte.
    let mut reader = ChunkReader::new(&limits);
    reader.set_chunk_size(6000).unwrap();
    assert_eq!(reader.read(&mut &half(4)[..]), Ok(None));
    reader.abort(4);
    assert_eq!(reader.read(&mut &half(5)[..]), Ok(None));
    let later = half(4);
    let mut parts = later.chunks(100);
    let end = parts.find_map(|part| reader.read(&mut &part[..]).err());
    let ChunkError::TooManyPartialBytes { offset, .. } = error else {
        unreachable!("it was written above");
    };
    let error = ChunkError::TooManyPartialBytes {
        limit: 10_000,
        offset: offset + 6012,
    };
    assert_eq!(end, Some(error));
}

#[test]
fn chunk_streams_are_limited() {
    let limits = Limits {
        chunk_streams: 2,
        ..Limits::default()
    };
    let mut reader = ChunkReader::new(&limits);
    let input = [fmt0(4, 0), fmt0(5, 0), fmt0(4, 0), fmt0(6, 0)].concat();
    let mut input = &input[..];
    for id in [4, 5, 4] {
        assert_eq!(reader.read(&mut input).unwrap().unwrap().chunk_stream, id);
    }
    let error = ChunkError::TooManyChunkStreams {
        limit: 2,
        offset: 36,
    };
    assert_eq!(reader.read(&mut input), Err(error));
}

#[test]
fn announced_length_costs_no_memory() {
    let mut reader = ChunkReader::new(&Limits::default());
    for id in 2..66 {
        assert_eq!(reader.read(&mut &fmt0(id, 0xFF_FFFF)[..12]), Ok(None));
        assert_eq!(reader.buffered_bytes(), 0);
        let mut rest = &[0; 128][..];
        assert_eq!(reader.read(&mut rest), Ok(None));
        reader.abort(id.into());
    }
    assert!(size_of::<ChunkReader>() <= 144);
}

#[test]
#[cfg_attr(miri, ignore = "minutes in an interpreter")]
fn many_chunk_streams_do_not_each_reserve_the_same_input() {
    let mut reader = ChunkReader::new(&Limits::default());
    reader.set_chunk_size(1).unwrap();
    let input: Vec<u8> = (2..=63)
        .flat_map(|id| [&fmt0(id, 0xFF_FFFF)[..], &[0]].concat())
        .chain([0xC2; 60_000])
        .collect();
    assert_eq!(reader.read(&mut &input[..]), Ok(None));
    // 60,000 bytes of one message, and a first buffer for each of the others.
    assert!(reader.buffered_bytes() < 2 * 60_000 + 62 * 1040);
}

#[test]
#[cfg_attr(miri, ignore = "minutes in an interpreter")]
fn buffer_grows_with_the_bytes_received() {
    let mut reader = ChunkReader::new(&Limits::default());
    reader.set_chunk_size(0xFF_FFFF).unwrap();
    let length = 1_000_000;
    assert_eq!(reader.read(&mut &fmt0(4, length)[..]), Ok(None));
    let mut received = 0;
    for part in [100, 1000, 20_000, 300_000, 600_000] {
        assert_eq!(reader.read(&mut &vec![0; part][..]), Ok(None));
        received += part;
        let bound = 16 + (4 * received).max(1024).min(length as usize);
        assert!(reader.buffered_bytes() <= bound, "after {received}");
    }
    let message = reader.read(&mut &vec![0; 78_900][..]).unwrap().unwrap();
    assert_eq!(message.payload.len(), 1_000_000);
    assert_eq!(reader.buffered_bytes(), 0);
}

#[test]
fn error_comes_again_and_takes_no_input() {
    let limits = Limits {
        message_bytes: 10,
        ..Limits::default()
    };
    let header = fmt0(4, 11);
    for held in [0, 1, 11] {
        let mut reader = ChunkReader::new(&limits);
        let (first, last) = header.split_at(held);
        assert_eq!(reader.read(&mut &first[..]), Ok(None));
        for _ in 0..2 {
            let mut input = last;
            let result = reader.read(&mut input);
            let error = ChunkError::MessageTooLong {
                length: 11,
                limit: 10,
                offset: 0,
            };
            assert_eq!(result, Err(error));
            assert_eq!(input, last);
        }
    }
}

/// A fmt 0 header of type 9, message stream 1, timestamp 0.
fn fmt0(chunk_stream: u8, length: u32) -> Vec<u8> {
    let [_, a, b, c] = length.to_be_bytes();
    match chunk_stream {
        2..=63 => vec![chunk_stream, 0, 0, 0, a, b, c, 9, 1, 0, 0, 0],
        _ => vec![0, chunk_stream - 64, 0, 0, 0, a, b, c, 9, 1, 0, 0, 0],
    }
}

/// The messages a vector lists: `message CHUNK-STREAM TYPE STREAM TIME:`.
fn messages_of(vector: &Vector) -> Vec<Message> {
    vector
        .sections()
        .filter_map(|(name, bytes)| {
            let numbers = name.strip_prefix("message ")?;
            let numbers: Vec<u32> = numbers
                .split(' ')
                .map(|number| number.parse().expect("a number"))
                .collect();
            Some(Message {
                chunk_stream: numbers[0],
                kind: u8::try_from(numbers[1]).expect("a message type"),
                stream: numbers[2],
                timestamp: numbers[3],
                payload: Payload::copy_from_slice(bytes),
            })
        })
        .collect()
}

/// Reads the parts, following Set Chunk Size as a session does.
fn read_all<'a>(
    reader: &mut ChunkReader,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Message>, ChunkError> {
    let mut messages = Vec::new();
    read_into(reader, parts, &mut messages)?;
    Ok(messages)
}

fn read_into<'a>(
    reader: &mut ChunkReader,
    parts: impl IntoIterator<Item = &'a [u8]>,
    messages: &mut Vec<Message>,
) -> Result<(), ChunkError> {
    for mut part in parts {
        while let Some(message) = reader.read(&mut part)? {
            if let Some(size) = new_chunk_size(&message) {
                reader.set_chunk_size(size)?;
            }
            messages.push(message);
        }
        assert!(part.is_empty(), "the reader takes all there is");
    }
    Ok(())
}

fn new_chunk_size(message: &Message) -> Option<u32> {
    if message.kind != kind::SET_CHUNK_SIZE {
        return None;
    }
    match Control::decode(message.kind, &message.payload) {
        Ok(Control::SetChunkSize(size)) => Some(size),
        _ => None,
    }
}

fn write(writer: &ChunkWriter, message: &Message, output: &mut BytesMut) {
    writer.write(
        message.chunk_stream,
        message.kind,
        message.stream,
        message.timestamp,
        &message.payload,
        output,
    );
}

/// What an aggregate in chunks reads as: type, time and payload of each message.
fn read_aggregate(timestamp: u32, body: &[u8], chunk_size: u32, piece: usize) -> Vec<Message> {
    let mut writer = ChunkWriter::new();
    writer.set_chunk_size(chunk_size);
    let mut wire = BytesMut::new();
    writer.write(5, kind::AGGREGATE, 1, timestamp, body, &mut wire);
    writer.write(5, kind::AUDIO, 1, 9, b"behind", &mut wire);
    let mut reader = ChunkReader::new(&Limits::default());
    reader.set_chunk_size(chunk_size).unwrap();
    let mut messages = read_all(&mut reader, wire.chunks(piece)).unwrap();
    let behind = messages.pop().expect("the message behind");
    assert_eq!((behind.kind, &behind.payload[..]), (8, &b"behind"[..]));
    assert_eq!(reader.buffered_bytes(), 0);
    messages
}

#[test]
fn an_aggregate_comes_out_as_the_messages_in_it_at_moved_times() {
    let vector = vector("control", "aggregate");
    let expected = vector.sections().skip(1).map(|(name, body)| {
        let (kind, time) = name.split_once(' ').expect("type and time");
        Message {
            chunk_stream: 5,
            kind: kind.parse().unwrap(),
            stream: 1,
            timestamp: time.parse().unwrap(),
            payload: Payload::copy_from_slice(body),
        }
    });
    let expected: Vec<_> = expected.collect();
    for chunk_size in [1, 3, 7, 128, 4096] {
        for piece in [1, 2, 5, 1000] {
            let read = read_aggregate(5000, vector.bytes("aggregate"), chunk_size, piece);
            assert_eq!(read, expected, "chunks of {chunk_size}, pieces of {piece}");
        }
    }
}

#[test]
fn an_aggregate_cut_short_gives_what_is_whole_and_a_message_without_payload() {
    let vector = vector("control", "aggregate");
    let whole = vector.bytes("aggregate");
    // The parts begin, and end without their back pointers, here.
    let (starts, ends) = ([0, 17, 35], [13, 31, 46]);
    for length in 0..=whole.len() {
        for (chunk_size, piece) in [(4096, 1000), (4, 1)] {
            let parts = read_aggregate(0, &whole[..length], chunk_size, piece);
            let good = ends.iter().filter(|end| **end <= length).count();
            // A back pointer may be missing or cut short at the very end.
            let broken = starts
                .iter()
                .zip(ends)
                .any(|(start, end)| (start + 1..end).contains(&length));
            assert_eq!(parts.len(), good + usize::from(broken), "{length}");
            let rests = parts.iter().filter(|part| part.kind == kind::AGGREGATE);
            assert_eq!(rests.count(), usize::from(broken));
            let last = parts.last();
            assert_eq!(
                broken,
                last.is_some_and(|last| last.kind == kind::AGGREGATE)
            );
            assert!(!broken || last.is_some_and(|last| last.payload.is_empty()));
        }
    }
}

/// So that a few bytes at the end of a large one do not keep all of it.
#[test]
fn no_part_of_an_aggregate_keeps_more_than_itself() {
    let part = |kind: u8, body: &[u8]| {
        let size = (body.len() as u32).to_be_bytes();
        [&[kind], &size[1..], &[0; 7], body, &[0; 4]].concat()
    };
    let body = [part(99, &[1; 500_000]), part(18, b"last"), part(8, b"")].concat();
    let messages = read_aggregate(0, &body, 60_000, 4096);
    let lengths: Vec<_> = messages
        .iter()
        .map(|message| (message.kind, message.payload.held_bytes()))
        .collect();
    assert_eq!(lengths, [(18, 16 + 4), (8, 0)], "and nothing of type 99");
}
