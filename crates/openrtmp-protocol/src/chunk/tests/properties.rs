use proptest::collection::vec;
use proptest::prelude::*;

use super::compressing_writer::{self, Habits};
use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 200 }))]

    #[test]
    fn whatever_is_written_reads_back_identical(
        messages in vec(message(200_000), 0..6),
        chunk_size in chunk_size(),
        pieces in pieces(),
    ) {
        let mut writer = ChunkWriter::new();
        writer.set_chunk_size(chunk_size);
        let mut output = BytesMut::new();
        for message in &messages {
            write(&writer, message, &mut output);
        }
        let mut reader = ChunkReader::new(&Limits::default());
        reader.set_chunk_size(chunk_size).unwrap();
        let read = read_all(&mut reader, split(&output, &pieces)).unwrap();
        prop_assert!(read == messages);
        prop_assert_eq!(reader.buffered_bytes(), 0);
    }

    #[test]
    fn whatever_a_peer_writes_reads_identical(
        messages in conversation(),
        habits in habits(),
        picks in vec(any::<u8>(), 1..20),
        pieces in pieces(),
    ) {
        let (wire, expected) = wire_of(messages, habits, &picks);
        let mut reader = ChunkReader::new(&Limits::default());
        reader.set_chunk_size(habits.chunk_size as u32).unwrap();
        let read = read_all(&mut reader, split(&wire, &pieces)).unwrap();
        prop_assert!(read == expected);
        prop_assert_eq!(reader.buffered_bytes(), 0);
    }

    #[test]
    fn damaged_input_gives_the_same_however_it_is_split(
        messages in conversation(),
        habits in habits(),
        picks in vec(any::<u8>(), 1..20),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..10),
        pieces in pieces(),
    ) {
        let (mut wire, _) = wire_of(messages, habits, &picks);
        for (at, byte) in damage {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        let limits = Limits::default();
        let whole = outcome(&[&wire], habits, &limits);
        prop_assert!(whole == outcome(&split(&wire, &pieces), habits, &limits));
    }

    #[test]
    fn too_much_is_too_much_at_the_same_byte_however_it_is_split(
        messages in conversation(),
        habits in habits(),
        picks in vec(any::<u8>(), 1..20),
        partial_bytes in 1000..8000usize,
        pieces in pieces(),
    ) {
        let (wire, _) = wire_of(messages, habits, &picks);
        let limits = Limits { partial_bytes, ..Limits::default() };
        let whole = outcome(&[&wire], habits, &limits);
        prop_assert!(whole == outcome(&split(&wire, &pieces), habits, &limits));
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..3000), pieces in pieces()) {
        let limits = Limits { message_bytes: 100_000, partial_bytes: 2000, ..Limits::default() };
        let mut reader = ChunkReader::new(&limits);
        let _ = read_all(&mut reader, split(&bytes, &pieces));
        let headroom = 16 * limits.chunk_streams;
        prop_assert!(reader.buffered_bytes() <= 2000 + bytes.len() + headroom);
    }

    #[test]
    fn slices_from_any_byte_are_the_rest_of_what_is_written(
        message in message(20_000),
        chunk_size in chunk_size(),
        skip in any::<prop::sample::Index>(),
        before in any::<u32>(),
    ) {
        let mut writer = ChunkWriter::new();
        writer.set_chunk_size(chunk_size);
        let mut wire = BytesMut::new();
        write(&writer, &message, &mut wire);
        let headers = ChunkHeaders::new(
            message.chunk_stream,
            message.kind,
            message.stream,
            message.timestamp,
            message.payload.len(),
        );
        let payload = &message.payload[..];
        prop_assert_eq!(headers.wire_len(payload.len(), chunk_size), wire.len());

        let skip = skip.index(wire.len() + 1);
        let slices: Vec<&[u8]> = headers.slices(payload, chunk_size, skip).collect();
        prop_assert!(slices.iter().all(|slice| !slice.is_empty()));
        prop_assert!(slices.concat() == wire[skip..]);

        for own in [message.payload.clone(), Payload::copy_from_slice(payload)] {
            let whole = WireMessage::new(
                message.chunk_stream,
                message.kind,
                message.stream,
                message.timestamp,
                own,
            )
            .expect("memory");
            prop_assert_eq!(whole.payload(), &message.payload[..]);
            prop_assert_eq!(whole.wire_len(chunk_size), wire.len());
            let slices: Vec<&[u8]> = whole.slices(chunk_size, skip).collect();
            prop_assert!(slices.iter().all(|slice| !slice.is_empty()));
            prop_assert!(slices.len() <= 1 || whole.payload().len() > chunk_size as usize);
            prop_assert!(slices.concat() == wire[skip..]);
            if let Some(slice) = whole.as_one_slice(chunk_size, skip) {
                prop_assert!(slices.concat() == slice);
            } else {
                prop_assert!(whole.payload().len() > chunk_size as usize);
            }
            let moved = WireMessage::new(
                message.chunk_stream,
                message.kind,
                message.stream,
                before,
                message.payload.clone(),
            )
            .expect("memory")
            .with_timestamp(message.timestamp);
            prop_assert_eq!(moved.payload(), &message.payload[..]);
            prop_assert_eq!(moved.payload_slice(0..payload.len()), payload);
            prop_assert_eq!(moved.wire_len(chunk_size), wire.len());
            let slices: Vec<&[u8]> = moved.slices(chunk_size, skip).collect();
            prop_assert!(slices.iter().all(|slice| !slice.is_empty()));
            prop_assert!(slices.concat() == wire[skip..]);
            prop_assert!(moved.as_one_slice(chunk_size, skip).is_none());
        }
    }
}

fn message(longest: usize) -> impl Strategy<Value = Message> {
    let chunk_stream = prop_oneof![
        4 => prop::sample::select(vec![2, 3, 4, 63, 64, 319, 320, 65599]),
        1 => 2..=65599u32,
    ];
    // Repeated values make short headers possible.
    let kind = prop::sample::select(vec![8, 9, 18, 20]);
    let stream = prop_oneof![4 => Just(1), 1 => any::<u32>()];
    let timestamp = prop_oneof![
        4 => (0..5u32).prop_map(|n| n * 20),
        1 => (0..4u32).prop_map(|n| 0xFF_FFFE + n),
        1 => (0..5u32).prop_map(|n| n * 0x0123_4567),
        1 => any::<u32>(),
    ];
    let length = prop_oneof![
        2 => prop::sample::select(vec![0, 1, 3, 4, 130]),
        2 => 0..300usize,
        1 => 0..=longest,
    ];
    (chunk_stream, kind, stream, timestamp, length, any::<u32>()).prop_map(
        |(chunk_stream, kind, stream, timestamp, length, seed)| Message {
            chunk_stream,
            kind,
            stream,
            timestamp,
            payload: noise(length, seed).into(),
        },
    )
}

/// Messages of which many are like the one before, a constant time after it: what
/// short headers are for.
fn conversation() -> impl Strategy<Value = Vec<Message>> {
    let step = prop::sample::select(vec![0, 20, 0xFF_FFFE, 0xFF_FFFF, 0x0102_0304, u32::MAX]);
    let run = (message(3000), step, 1..5usize).prop_map(|(first, step, count)| {
        let mut next = first;
        let mut run = Vec::new();
        for _ in 0..count {
            run.push(next.clone());
            next.timestamp = next.timestamp.wrapping_add(step);
        }
        run
    });
    vec(run, 1..8).prop_map(|runs| runs.concat())
}

fn chunk_size() -> impl Strategy<Value = u32> {
    prop_oneof![1..8u32, 1..300u32, 1..=70_000u32]
}

fn habits() -> impl Strategy<Value = Habits> {
    (
        prop_oneof![1..8usize, 1..300usize],
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(chunk_size, repeat, shortest)| Habits {
            chunk_size,
            repeat,
            shortest,
        })
}

/// Lengths of the pieces the input comes in, used in turn.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![1]),
        vec(1..8usize, 1..8),
        vec(1..70_000usize, 1..8),
    ]
}

fn split<'a>(mut bytes: &'a [u8], pieces: &[usize]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut pieces = pieces.iter().cycle();
    while !bytes.is_empty() {
        let piece = pieces.next().map_or(bytes.len(), |piece| *piece);
        let (part, rest) = bytes.split_at(piece.min(bytes.len()));
        parts.push(part);
        bytes = rest;
    }
    parts
}

/// One after the other, so that no two bytes in a row tell nothing.
fn noise(length: usize, seed: u32) -> Bytes {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

/// A peer that leaves out the repeated timestamp may seem to be in the middle of
/// one with its last byte, so that one more message has to follow.
fn wire_of(mut messages: Vec<Message>, habits: Habits, picks: &[u8]) -> (Vec<u8>, Vec<Message>) {
    let (mut wire, mut expected) = compressing_writer::write(&messages, habits, picks);
    if !habits.repeat {
        let end = Message {
            chunk_stream: 1000,
            kind: 20,
            stream: 0,
            timestamp: 0,
            payload: noise(5, 0).into(),
        };
        messages = vec![end];
        let (more, end) = compressing_writer::write(&messages, habits, picks);
        wire.extend(more);
        expected.extend(end);
    }
    (wire, expected)
}

fn outcome(
    parts: &[&[u8]],
    habits: Habits,
    limits: &Limits,
) -> (Vec<Message>, Result<(), ChunkError>) {
    let mut reader = ChunkReader::new(limits);
    reader.set_chunk_size(habits.chunk_size as u32).unwrap();
    let mut messages = Vec::new();
    let result = read_into(&mut reader, parts.iter().copied(), &mut messages);
    (messages, result)
}
