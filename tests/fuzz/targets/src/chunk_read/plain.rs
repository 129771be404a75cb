//! A second reader of chunks, as plain as section 5.3.1 reads: all bytes at once, no
//! limits, no thought of memory.

use std::collections::HashMap;

use openrtmp_protocol::chunk::{INITIAL_CHUNK_SIZE, MAX_CHUNK_SIZE, Message, Payload};
use openrtmp_protocol::message::{Control, kind};

use crate::aggregate::parts;

/// A 24-bit timestamp that says that 32 bits follow.
const EXTENDED: u32 = 0xFF_FFFF;

#[derive(Default)]
struct ChunkStream {
    length: usize,
    kind: u8,
    stream: u32,
    timestamp: u32,
    delta: u32,
    extended: bool,
    unfinished: Option<Vec<u8>>,
    /// Messages of the unfinished one, an aggregate, that were found.
    found: usize,
}

/// The messages, and whether all bytes were read: not where it takes guessing whether
/// an extended timestamp is repeated, nor behind a chunk size of zero.
pub(super) fn read(wire: &[u8]) -> (Vec<Message>, bool) {
    let mut messages = Vec::new();
    let whole = read_into(wire, &mut messages).is_some();
    (messages, whole)
}

fn read_into(wire: &[u8], messages: &mut Vec<Message>) -> Option<()> {
    let mut streams: HashMap<u32, ChunkStream> = HashMap::new();
    let mut chunk_size = INITIAL_CHUNK_SIZE as usize;
    let mut rest = Rest(wire);
    while !rest.0.is_empty() {
        // Bytes that do not make a chunk yet are no trouble.
        let Some((format, id)) = basic_header(&mut rest) else {
            return Some(());
        };
        let stream = streams.entry(id).or_default();
        if format < 3 {
            let Some(()) = message_header(format, stream, &mut rest) else {
                return Some(());
            };
        } else if stream.extended {
            let repeated = Rest(rest.0).number::<4>()?;
            (repeated == stream.delta).then(|| rest.number::<4>())?;
        }
        if format == 3 && stream.unfinished.is_none() {
            stream.timestamp = stream.timestamp.wrapping_add(stream.delta);
        }
        let unfinished = stream.unfinished.get_or_insert_default();
        let count = chunk_size.min(stream.length - unfinished.len());
        let aggregate = stream.kind == kind::AGGREGATE;
        // The messages in an aggregate are there before its chunk is.
        let here = match aggregate {
            true => count.min(rest.0.len()),
            false => count,
        };
        let Some(payload) = rest.take(here) else {
            return Some(());
        };
        unfinished.extend_from_slice(payload);
        if aggregate {
            let parts = parts(stream.timestamp, stream.length, unfinished);
            let new = parts.iter().skip(stream.found);
            messages.extend(new.map(|(kind, timestamp, payload)| Message {
                chunk_stream: id,
                kind: *kind,
                stream: stream.stream,
                timestamp: *timestamp,
                payload: Payload::copy_from_slice(payload),
            }));
            stream.found = parts.len();
        }
        if unfinished.len() < stream.length {
            continue;
        }
        stream.found = 0;
        if aggregate {
            stream.unfinished = None;
            continue;
        }
        let message = Message {
            chunk_stream: id,
            kind: stream.kind,
            stream: stream.stream,
            timestamp: stream.timestamp,
            payload: stream.unfinished.take()?.into(),
        };
        let control = Control::decode(message.kind, &message.payload);
        messages.push(message);
        match control {
            Ok(Control::SetChunkSize(0)) => return None,
            Ok(Control::SetChunkSize(bytes)) => chunk_size = bytes.min(MAX_CHUNK_SIZE) as usize,
            Ok(Control::Abort(id)) => {
                if let Some(stream) = streams.get_mut(&id) {
                    stream.unfinished = None;
                    stream.found = 0;
                }
            }
            _ => {}
        }
    }
    Some(())
}

fn basic_header(rest: &mut Rest<'_>) -> Option<(u8, u32)> {
    let first = rest.number::<1>()? as u8;
    let id = match first & 0x3F {
        0 => 64 + rest.number::<1>()?,
        1 => 64 + rest.number::<1>()? + 256 * rest.number::<1>()?,
        id => u32::from(id),
    };
    Some((first >> 6, id))
}

/// What a header of fmt 0, 1 or 2 says; it begins a message.
fn message_header(format: u8, stream: &mut ChunkStream, rest: &mut Rest<'_>) -> Option<()> {
    let time = rest.number::<3>()?;
    let mut says = (stream.length, stream.kind, stream.stream);
    if format < 2 {
        says.0 = rest.number::<3>()? as usize;
        says.1 = rest.number::<1>()? as u8;
    }
    if format == 0 {
        says.2 = rest.number::<4>()?.swap_bytes();
    }
    let extended = time == EXTENDED;
    let time = if extended { rest.number::<4>()? } else { time };
    (stream.length, stream.kind, stream.stream) = says;
    stream.timestamp = match format {
        0 => time,
        _ => stream.timestamp.wrapping_add(time),
    };
    (stream.delta, stream.extended) = (time, extended);
    stream.unfinished = Some(Vec::new());
    stream.found = 0;
    Some(())
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next bytes, most significant first.
    fn number<const N: usize>(&mut self) -> Option<u32> {
        let bytes = self.take(N)?.iter();
        Some(bytes.fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }
}
