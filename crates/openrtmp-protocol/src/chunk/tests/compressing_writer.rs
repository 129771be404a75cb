//! What [`ChunkWriter`] never does and peers may: headers of fmt 1, 2 and 3, and
//! messages of several chunk streams in turns.

use std::collections::{HashMap, VecDeque};

use super::Message;

/// How a peer writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    pub(super) chunk_size: usize,
    /// Fmt 3 chunks repeat an extended timestamp (section 5.3.1.3).
    pub(super) repeat: bool,
    /// The shortest header that says it; otherwise one that is longer at times.
    pub(super) shortest: bool,
}

/// The bytes of all messages, and the messages in the order in which their last
/// chunk comes. `picks` says whose turn it is, and how long a header is.
pub(super) fn write(messages: &[Message], habits: Habits, picks: &[u8]) -> (Vec<u8>, Vec<Message>) {
    let mut queues: Vec<(u32, VecDeque<&Message>)> = Vec::new();
    for message in messages {
        match queues
            .iter_mut()
            .find(|(id, _)| *id == message.chunk_stream)
        {
            Some((_, queue)) => queue.push_back(message),
            None => queues.push((message.chunk_stream, VecDeque::from([message]))),
        }
    }
    let mut last: HashMap<u32, Last> = HashMap::new();
    let mut sent: HashMap<u32, usize> = HashMap::new();
    let mut wire = Vec::new();
    let mut finished = Vec::new();
    let mut picks = picks.iter().copied().cycle().map(usize::from);
    while !queues.is_empty() {
        let turn = picks.next().unwrap_or(0) % queues.len();
        let (id, queue) = &mut queues[turn];
        let message = queue[0];
        let position = sent.entry(*id).or_insert(0);
        if *position == 0 {
            let longest = match (habits.shortest, picks.next().unwrap_or(0)) {
                (true, _) => 3,
                (false, pick) => pick as u8 % 4,
            };
            let header = begin(message, last.get(id).copied(), longest, habits, &mut wire);
            last.insert(*id, header);
        } else {
            go_on(last[id], habits, &mut wire);
        }
        let end = message.payload.len().min(*position + habits.chunk_size);
        wire.extend_from_slice(&message.payload[*position..end]);
        *position = end;
        if end == message.payload.len() {
            *position = 0;
            finished.push(message.clone());
            queue.pop_front();
            if queue.is_empty() {
                queues.remove(turn);
            }
        }
    }
    (wire, finished)
}

/// The header last written on a chunk stream.
#[derive(Clone, Copy)]
struct Last {
    id: u32,
    kind: u8,
    stream: u32,
    length: usize,
    timestamp: u32,
    delta: u32,
    extended: bool,
}

fn begin(
    message: &Message,
    last: Option<Last>,
    longest: u8,
    habits: Habits,
    wire: &mut Vec<u8>,
) -> Last {
    let mut header = Last {
        id: message.chunk_stream,
        kind: message.kind,
        stream: message.stream,
        length: message.payload.len(),
        timestamp: message.timestamp,
        delta: message.timestamp,
        extended: false,
    };
    let mut format = 0;
    if let Some(last) = last
        && last.stream == header.stream
    {
        let delta = header.timestamp.wrapping_sub(last.timestamp);
        format = 1;
        if last.length == header.length && last.kind == header.kind {
            format = 2;
            // An empty chunk leaves no payload to tell the timestamp from.
            let told_apart = habits.repeat || !last.extended || header.length > 0;
            if last.delta == delta && told_apart {
                format = 3;
            }
        }
        format = format.min(longest);
        if format > 0 {
            header.delta = delta;
        }
        if format == 3 {
            header.extended = last.extended;
            go_on(header, habits, wire);
            return header;
        }
    }
    header.extended = header.delta >= 0xFF_FFFF;
    basic_header(format, header.id, wire);
    let field = header.delta.min(0xFF_FFFF);
    wire.extend_from_slice(&field.to_be_bytes()[1..]);
    if format <= 1 {
        wire.extend_from_slice(&(header.length as u32).to_be_bytes()[1..]);
        wire.push(header.kind);
    }
    if format == 0 {
        wire.extend_from_slice(&header.stream.to_le_bytes());
    }
    if header.extended {
        wire.extend_from_slice(&header.delta.to_be_bytes());
    }
    header
}

fn go_on(header: Last, habits: Habits, wire: &mut Vec<u8>) {
    basic_header(3, header.id, wire);
    if header.extended && habits.repeat {
        wire.extend_from_slice(&header.delta.to_be_bytes());
    }
}

fn basic_header(format: u8, id: u32, wire: &mut Vec<u8>) {
    let format = format << 6;
    if id < 64 {
        wire.push(format | id as u8);
    } else if id < 320 {
        wire.extend([format, (id - 64) as u8]);
    } else {
        let rest = id - 64;
        wire.extend([format | 1, (rest % 256) as u8, (rest / 256) as u8]);
    }
}
