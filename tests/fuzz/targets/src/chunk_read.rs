//! The chunk reader on whatever a peer sends.
//!
//! - Any cutting of the bytes gives the same messages and the same error.
//! - They are those that a second, plain reader finds.
//! - What is held stays below the limit, and does not run ahead of the bytes.

mod plain;

use arbitrary::Unstructured;
use openrtmp_protocol::Limits;
use openrtmp_protocol::chunk::{ChunkError, ChunkReader, Message};
use openrtmp_protocol::message::Control;

use crate::input::{Cuts, take};
use crate::memory;

/// Which limits (bit 0: small ones), the cuts, the bytes after the handshake. Set
/// Chunk Size and Abort are obeyed, as a session does.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let flags: u8 = take(&mut input);
    let cuts: Cuts = take(&mut input);
    let wire = input.take_rest();
    let limits = limits(flags & 1 != 0);

    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    let end = read(&limits, wire, Cuts::NONE, |message| whole.push(message));
    let end_cut = read(&limits, wire, cuts, |message| cut.push(message));
    assert_eq!(whole, cut);
    assert_eq!(end, end_cut);
    let (plainly, all) = plain::read(wire);
    let both = whole.len().min(plainly.len());
    assert_eq!(whole[..both], plainly[..both]);
    assert!(!all || end.is_err() || whole.len() == plainly.len());
    let carried: usize = whole.iter().map(|message| message.payload.len()).sum();
    assert!(carried <= wire.len(), "no byte is made up");

    // The first kilobyte of each chunk stream and room in front, what came of it four times over, and
    // the headers of the chunk streams.
    let allowed = 4 * wire.len() + (1024 + 256) * limits.chunk_streams.min(wire.len()) + 1024;
    memory::within(allowed, || read(&limits, wire, Cuts(1), drop)).ok();
}

fn limits(small: bool) -> Limits {
    let mut limits = Limits::default();
    if small {
        limits.message_bytes = 5000;
        limits.partial_bytes = 8000;
        limits.chunk_streams = 4;
    }
    limits
}

fn read(
    limits: &Limits,
    wire: &[u8],
    cuts: Cuts,
    mut take: impl FnMut(Message),
) -> Result<(), ChunkError> {
    let mut reader = ChunkReader::new(limits);
    let mut fed = 0;
    for piece in cuts.of(wire) {
        fed += piece.len();
        let mut rest = piece;
        loop {
            let message = reader.read(&mut rest)?;
            let buffered = reader.buffered_bytes();
            assert!(buffered <= limits.partial_bytes + fed + 16 * limits.chunk_streams);
            assert!(buffered <= 1040 * limits.chunk_streams + 2 * fed);
            let Some(message) = message else { break };
            assert!(message.payload.len() <= limits.message_bytes);
            match Control::decode(message.kind, &message.payload) {
                Ok(Control::SetChunkSize(bytes)) => reader.set_chunk_size(bytes)?,
                Ok(Control::Abort(chunk_stream)) => reader.abort(chunk_stream),
                _ => {}
            }
            take(message);
        }
        assert!(rest.is_empty(), "without a message all is used");
    }
    Ok(())
}
