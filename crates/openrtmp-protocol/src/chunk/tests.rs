use bytes::BytesMut;

use super::*;
use crate::Limits;

#[test]
fn reads_what_it_wrote() {
    let mut output = BytesMut::new();
    let writer = ChunkWriter::new();
    let payload: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
    for (id, time) in [(2, 0), (64, 0xFF_FFFF), (65599, 0xFFFF_FFFF)] {
        writer.write(id, 9, 1, time, &payload, &mut output);
    }
    for step in [1, 2, 3, 7, 4000] {
        let mut reader = ChunkReader::new(&Limits::default());
        let mut messages = Vec::new();
        for part in output.chunks(step) {
            let mut input = part;
            while let Some(message) = reader.read(&mut input).unwrap() {
                assert_eq!(message.payload, payload);
                messages.push((message.chunk_stream, message.timestamp));
            }
            assert!(input.is_empty());
        }
        assert_eq!(messages, [(2, 0), (64, 0xFF_FFFF), (65599, 0xFFFF_FFFF)]);
        assert_eq!(reader.buffered_bytes(), 0);
    }
}
