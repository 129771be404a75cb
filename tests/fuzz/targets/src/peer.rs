//! The other side of a session: what it sends, and how it reads what it is sent.

use arbitrary::Unstructured;
use bytes::{Bytes, BytesMut};
use openrtmp_protocol::Limits;
use openrtmp_protocol::amf::{Encoding, Object, Value};
use openrtmp_protocol::chunk::{ChunkReader, ChunkWriter, Message, Payload};
use openrtmp_protocol::command::Command;
use openrtmp_protocol::handshake::PACKET_SIZE;
use openrtmp_protocol::message::{Control, kind};

use crate::input::{Cuts, take};

/// What an input of operations begins with: flags and cuts. Then the operations.
pub(crate) fn operations<'a, T>(
    data: &'a [u8],
    operation: impl Fn(&mut Unstructured<'a>) -> T,
) -> (u8, Cuts, Vec<T>) {
    let mut input = Unstructured::new(data);
    let (flags, cuts) = (take(&mut input), take(&mut input));
    let mut operations = Vec::new();
    while !input.is_empty() && operations.len() < 200 {
        operations.push(operation(&mut input));
    }
    (flags, cuts, operations)
}

/// Limits small enough to be reached by an input of a few kilobytes.
pub(crate) fn small_limits() -> Limits {
    let mut limits = Limits::default();
    limits.message_bytes = 20_000;
    limits.partial_bytes = 50_000;
    limits.command_bytes = 10_000;
    limits.chunk_streams = 8;
    limits.message_streams = 3;
    limits.name_bytes = 100;
    limits.pending_requests = 2;
    limits.waiting_messages = 20;
    limits.amf.depth = 8;
    limits.amf.string_bytes = 2000;
    limits.amf.elements = 200;
    limits.amf.decoded_bytes = 30_000;
    limits
}

/// What a session of ours may hold under [`small_limits`]: unfinished and waiting
/// messages, decoded values, its answers and events.
pub(crate) const SMALL_MEMORY: usize = 1024 * 1024;

/// What a call of `handle_input` that used so many bytes may cost: in proportion to
/// them, and not much beyond a turn and the values of one message.
pub(crate) fn allowed_work(used: usize, limits: &Limits) -> u64 {
    let message = 3 * 60 * (2 * limits.amf.elements + limits.amf.decoded_bytes / 32) as u64;
    (4000 * used as u64 + 8000).min(150_000 + message)
}

/// A whole simple handshake of the other side, either one.
pub(crate) fn greeting() -> Vec<u8> {
    let mut bytes = vec![0; 1 + 2 * PACKET_SIZE];
    bytes[0] = 3;
    bytes
}

/// Writes messages at the chunk size that it announced itself.
#[derive(Default)]
pub(crate) struct Sender(ChunkWriter);

impl Sender {
    pub(crate) fn write(&mut self, message: &Message) -> Vec<u8> {
        let Message {
            chunk_stream,
            kind,
            stream,
            timestamp,
            ref payload,
        } = *message;
        let mut wire = BytesMut::new();
        self.0
            .write(chunk_stream, kind, stream, timestamp, payload, &mut wire);
        if let Ok(Control::SetChunkSize(bytes)) = Control::decode(kind, payload) {
            self.0.set_chunk_size(bytes);
        }
        wire.to_vec()
    }
}

/// Reads what a session sent.
///
/// # Panics
/// If it cannot be read: a session writes well whatever it was sent.
pub(crate) struct Receiver {
    /// Bytes of the handshake still to come.
    handshake: usize,
    reader: ChunkReader,
    /// What came, Acknowledgements left out: when they are due depends on how the
    /// bytes were cut.
    pub(crate) messages: Vec<Message>,
}

impl Receiver {
    pub(crate) fn new() -> Receiver {
        Receiver {
            handshake: 1 + 2 * PACKET_SIZE,
            reader: ChunkReader::new(&Limits::default()),
            messages: Vec::new(),
        }
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let skipped = bytes.len().min(self.handshake);
        self.handshake -= skipped;
        let mut rest = &bytes[skipped..];
        while let Some(message) = self.reader.read(&mut rest).expect("chunks") {
            let control = (1..=6).contains(&message.kind);
            if control {
                let control = Control::decode(message.kind, &message.payload);
                if let Control::SetChunkSize(bytes) = control.expect("a control message") {
                    self.reader.set_chunk_size(bytes).expect("above 0");
                }
            }
            if message.kind != kind::ACKNOWLEDGEMENT {
                self.messages.push(message);
            }
        }
    }
}

/// Message types that sessions know.
const KINDS: [u8; 16] = [1, 2, 3, 4, 5, 6, 8, 9, 15, 17, 18, 20, 22, 22, 22, 1];

/// A message of any type, of a known one mostly: chunk stream, type, message stream
/// and timestamp in a byte or two each.
pub(crate) fn message(input: &mut Unstructured<'_>, payload: &[u8]) -> Message {
    Message {
        chunk_stream: 2 + u32::from(take::<u8>(input) % 12),
        kind: match take::<u8>(input) {
            any if any < 64 => any,
            known => KINDS[usize::from(known % 16)],
        },
        stream: u32::from(take::<u8>(input) % 5),
        timestamp: u32::from(take::<u16>(input)) << 9,
        payload: Payload::copy_from_slice(payload),
    }
}

/// Audio, video or data of a length and a filling, on one of a few message streams.
pub(crate) fn media(input: &mut Unstructured<'_>) -> Message {
    let what: u8 = take(input);
    let length = usize::from(take::<u16>(input)) % 30_000;
    let filling: u8 = take(input);
    let kinds = [kind::AUDIO, kind::VIDEO, kind::DATA_AMF0, kind::DATA_AMF3];
    Message {
        chunk_stream: 4 + u32::from(what >> 6),
        kind: kinds[usize::from(what & 3)],
        stream: u32::from(what >> 2 & 3),
        timestamp: u32::from(filling) * 40,
        payload: filled(length, filling).into(),
    }
}

/// Bytes that tell where they are.
pub(crate) fn filled(length: usize, filling: u8) -> Bytes {
    (0..length)
        .map(|at| filling.wrapping_add(at as u8))
        .collect()
}

/// Commands by the number that an input names them with.
const COMMANDS: [&str; 24] = [
    "connect",
    "createStream",
    "publish",
    "play",
    "play2",
    "deleteStream",
    "closeStream",
    "releaseStream",
    "FCPublish",
    "FCUnpublish",
    "FCSubscribe",
    "pause",
    "pauseRaw",
    "seek",
    "receiveAudio",
    "receiveVideo",
    "getStreamLength",
    "_checkbw",
    "_result",
    "_error",
    "onStatus",
    "onBWDone",
    "",
    "nonsense",
];

/// A command message: message stream and encoding, name, transaction, values.
pub(crate) fn command(input: &mut Unstructured<'_>) -> Message {
    let flags: u8 = take(input);
    let name = COMMANDS[usize::from(take::<u8>(input)) % COMMANDS.len()];
    let transaction = f64::from(take::<u8>(input) % 8);
    let count = flags >> 4 & 3;
    let object = value(input, 0);
    let arguments = (0..count).map(|_| value(input, 0)).collect();
    let command = Command {
        name: name.to_owned(),
        transaction,
        object,
        arguments,
    };
    let (kind, encoding) = match flags & 0x80 {
        0 => (kind::COMMAND_AMF0, Encoding::Amf0),
        _ => (kind::COMMAND_AMF3, Encoding::Amf3),
    };
    Message {
        chunk_stream: 3,
        kind,
        stream: u32::from(flags & 3),
        timestamp: 0,
        payload: command.encode(encoding).into(),
    }
}

/// Names of members that sessions look at.
const MEMBERS: [&str; 14] = [
    "app",
    "tcUrl",
    "flashVer",
    "objectEncoding",
    "capsEx",
    "fourCcList",
    "videoFourCcInfoMap",
    "audioFourCcInfoMap",
    "streamName",
    "level",
    "code",
    "description",
    "hvc1",
    "*",
];

/// Texts that sessions look at.
const TEXTS: [&str; 20] = [
    "live",
    "cam",
    "room/cam",
    "?",
    "cam?key=1",
    "",
    "rtmp://host/live?token=a",
    "record",
    "append",
    "status",
    "error",
    "NetStream.Publish.Start",
    "NetStream.Play.Start",
    "NetStream.Play.Reset",
    "NetConnection.Connect.ReconnectRequest",
    "NetConnection.Connect.Success",
    "hvc1",
    "*",
    "\"live\"",
    "/live/",
];

fn value(input: &mut Unstructured<'_>, depth: usize) -> Value {
    let what: u8 = take(input);
    let few = usize::from(what >> 4 & 3);
    match what & 15 {
        0..=2 => Value::Null,
        3..=5 => TEXTS[usize::from(take::<u8>(input)) % TEXTS.len()].into(),
        6 => f64::from(take::<u8>(input) % 8).into(),
        7 => Value::Number(f64::from_bits(take(input))),
        8 => (what >> 4 & 1 == 1).into(),
        9 => Value::Undefined,
        10..=12 if depth < 3 => {
            let members = (0..few).map(|_| {
                let name = MEMBERS[usize::from(take::<u8>(input)) % MEMBERS.len()];
                (name.to_owned(), value(input, depth + 1))
            });
            let object = Object {
                class: None,
                members: members.collect(),
            };
            match what & 15 {
                12 => Value::EcmaArray(object),
                _ => Value::Object(object),
            }
        }
        13 if depth < 3 => Value::StrictArray((0..few).map(|_| value(input, depth + 1)).collect()),
        14 => Value::Integer(i32::from(take::<u16>(input))),
        _ => Value::Date(0.0, 0),
    }
}
