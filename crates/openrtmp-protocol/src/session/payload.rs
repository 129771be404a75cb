//! From messages to [`Media`], and the queue that hands events out.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::{Media, MediaKind};
use crate::AmfLimits;
use crate::amf::{Decoder, Encoder, Encoding, Value};
use crate::chunk::{Message, Payload};
use crate::flv;
use crate::message::kind;

/// `@setDataFrame` as AMF0 string and as AMF3 string behind the switch marker; some
/// encoders leave the `@` out.
const SET_DATA_FRAME: [&[u8]; 4] = [
    b"\x02\x00\x0d@setDataFrame",
    b"\x11\x06\x1b@setDataFrame",
    b"\x02\x00\x0csetDataFrame",
    b"\x11\x06\x19setDataFrame",
];

/// The same as decoded.
const SET_DATA_FRAME_NAMES: [&str; 2] = ["@setDataFrame", "setDataFrame"];

/// `onMetaData`, which opens stream metadata, as AMF0 string and as AMF3 string.
const ON_META_DATA: [&[u8]; 2] = [b"\x02\x00\x0aonMetaData", b"\x11\x06\x15onMetaData"];

const SAMPLE_ACCESS: &[u8] = b"\x02\x00\x11|RtmpSampleAccess";

/// AMF0 markers (section 2.1).
mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const SWITCH_TO_AMF3: u8 = 0x11;
}

/// Whether a message type carries audio, video or data.
pub(super) fn is_media(message_kind: u8) -> bool {
    media_kind(message_kind).is_some()
}

/// A message as media of a message stream, and what telling so cost in AMF values;
/// `None` if it is of another type or a data message that no player can read.
pub(super) fn media(
    message: Message,
    stream: u32,
    limits: &AmfLimits,
    cost: &mut usize,
) -> Option<Media> {
    let kind = media_kind(message.kind)?;
    let payload = match kind {
        MediaKind::Audio | MediaKind::Video => message.payload,
        MediaKind::Data => data(
            without_format_byte(message.kind, message.payload),
            limits,
            cost,
        )?,
    };
    Some(Media {
        stream,
        kind,
        timestamp: message.timestamp,
        payload,
    })
}

/// The values of a data message as players read them: AMF0 only, a string first.
/// `@setDataFrame`, which was meant for us, goes; AMF3 values become AMF0. What has
/// no name, or nothing behind a name that could be read, is `None`.
fn data(mut payload: Payload, limits: &AmfLimits, cost: &mut usize) -> Option<Payload> {
    payload.advance(prefix_len(&SET_DATA_FRAME, &payload));
    let named = match *payload.first()? {
        marker::STRING => {
            let length: &[u8; 2] = payload.get(1..)?.first_chunk()?;
            payload.len() >= 3 + usize::from(u16::from_be_bytes(*length))
        }
        _ => false,
    };
    if named && !payload.contains(&marker::SWITCH_TO_AMF3) {
        return Some(payload);
    }
    let mut decoder = Decoder::new(&payload, limits);
    let mut values = Vec::new();
    let mut whole = true;
    while whole && !decoder.is_empty() {
        match decoder.value() {
            Ok(value) => values.push(value),
            Err(_) => whole = false,
        }
    }
    *cost += decoder.cost();
    let switches = decoder.switches_to_amf3();
    if named && !switches {
        return Some(payload);
    }
    // Once more for the values that are made, and once for what is written.
    *cost += 2 * decoder.cost();
    let named = |value: Option<&Value>| value.is_some_and(|value| value.as_str().is_some());
    let framed = values
        .first()
        .and_then(Value::as_str)
        .is_some_and(|name| SET_DATA_FRAME_NAMES.contains(&name));
    let values = &values[usize::from(framed)..];
    if !named(values.first()) || (!whole && values.len() < 2) {
        return None;
    }
    let mut encoder = Encoder::new(Encoding::Amf0);
    for value in values {
        encoder.value(&value.to_amf0());
    }
    Payload::try_copy_from_slice(&encoder.finish())
}

/// Metadata of a live stream: without what describes the file that it comes from (its
/// duration, size, index), which makes players take the stream for that file. All else
/// as it is.
pub(super) fn live(payload: Payload, limits: &AmfLimits, cost: &mut usize) -> Payload {
    if !payload.starts_with(ON_META_DATA[0]) {
        return payload;
    }
    let mut decoder = Decoder::new(&payload, limits);
    let mut values = Vec::new();
    let mut of_file = 0;
    while !decoder.is_empty() {
        let Ok(mut value) = decoder.value() else {
            break;
        };
        if let Value::Object(object) | Value::EcmaArray(object) = &mut value {
            let members = object.members.len();
            object.members.retain(|(name, _)| !flv::is_of_file(name));
            of_file += members - object.members.len();
        }
        values.push(value);
    }
    *cost += decoder.cost();
    if of_file == 0 || !decoder.is_empty() {
        return payload;
    }
    *cost += 2 * decoder.cost();
    let mut encoder = Encoder::new(Encoding::Amf0);
    values.iter().for_each(|value| encoder.value(value));
    Payload::try_copy_from_slice(&encoder.finish()).unwrap_or(payload)
}

/// Whether a data message is `|RtmpSampleAccess`: a server's to its players, which files
/// have kept. Each player gets it from its own server.
pub(super) fn is_sample_access(media: &Media) -> bool {
    media.kind == MediaKind::Data && prefix_len(&[SAMPLE_ACCESS], &media.payload) > 0
}

/// The data in a command message that is none: some encoders send `@setDataFrame` or
/// `onMetaData` as a command, with or without a transaction id and a null in front of
/// what belongs to it. `None` if it is a command.
pub(super) fn data_in_command(message: &Message) -> Option<Message> {
    let (_, values) = command_values(message);
    let frame = prefix_len(&SET_DATA_FRAME, values);
    let metadata = prefix_len(&ON_META_DATA, values);
    if frame.max(metadata) == 0 {
        return None;
    }
    let mut payload = without_format_byte(message.kind, message.payload.clone());
    payload.advance(frame.max(metadata));
    let behind_name = payload.len();
    while let Some(skip) = match payload.first() {
        Some(&marker::NUMBER) => Some(9),
        Some(&(marker::NULL | marker::UNDEFINED)) => Some(1),
        _ => None,
    } {
        payload.advance(skip);
    }
    let payload = match (frame, payload.len() == behind_name) {
        (0, true) => without_format_byte(message.kind, message.payload.clone()),
        (0, false) => Payload::try_copy_from_slice(&[ON_META_DATA[0], &payload].concat())?,
        _ => payload,
    };
    Some(Message {
        kind: kind::DATA_AMF0,
        payload,
        ..message.clone()
    })
}

/// The payload as a publisher sends it: `@setDataFrame` before stream metadata, so
/// that the server keeps it for those who join later. Anything else is as it was.
pub fn published(kind: MediaKind, payload: &[u8]) -> Cow<'_, [u8]> {
    match kind == MediaKind::Data && payload.starts_with(ON_META_DATA[0]) {
        true => Cow::Owned([SET_DATA_FRAME[0], payload].concat()),
        false => Cow::Borrowed(payload),
    }
}

/// The encoding of a command message, and where its values begin.
pub(super) fn command_values(message: &Message) -> (Encoding, &[u8]) {
    let encoding = match message.kind {
        kind::COMMAND_AMF3 => Encoding::Amf3,
        _ => Encoding::Amf0,
    };
    let skip = format_byte(message.kind, &message.payload);
    (encoding, &message.payload[skip..])
}

/// Data that a server tells the player itself, not part of the stream:
/// `|RtmpSampleAccess` and `onStatus`.
pub(super) fn is_player_notice(message: &Message) -> bool {
    const NOTICES: [&[u8]; 2] = [SAMPLE_ACCESS, b"\x02\x00\x08onStatus"];
    let payload = &message.payload[format_byte(message.kind, &message.payload)..];
    media_kind(message.kind) == Some(MediaKind::Data) && prefix_len(&NOTICES, payload) > 0
}

fn media_kind(message_kind: u8) -> Option<MediaKind> {
    match message_kind {
        kind::AUDIO => Some(MediaKind::Audio),
        kind::VIDEO => Some(MediaKind::Video),
        kind::DATA_AMF0 | kind::DATA_AMF3 => Some(MediaKind::Data),
        _ => None,
    }
}

fn without_format_byte(message_kind: u8, mut payload: Payload) -> Payload {
    payload.advance(format_byte(message_kind, &payload));
    payload
}

/// Length of what precedes the values: types 15 and 17 begin with a format byte
/// of 0. Some peers leave it out; a name's marker is never 0, so both can be
/// told apart.
fn format_byte(message_kind: u8, payload: &[u8]) -> usize {
    let amf3 = matches!(message_kind, kind::DATA_AMF3 | kind::COMMAND_AMF3);
    usize::from(amf3 && payload.first() == Some(&0))
}

/// Length of the one that a payload begins with, 0 if it begins with none.
fn prefix_len(prefixes: &[&[u8]], payload: &[u8]) -> usize {
    let found = prefixes.iter().find(|prefix| payload.starts_with(prefix));
    found.map_or(0, |prefix| prefix.len())
}

/// An event type that media can be queued in.
pub(super) trait MediaEvent {
    /// The media that it is.
    fn as_media(&self) -> Option<&Media>;
}

/// Events in order, and what they hold.
pub(super) struct EventQueue<E> {
    items: VecDeque<E>,
    held: usize,
}

/// Entries kept at hand for events to come, when none are waiting.
const SPARE_ENTRIES: usize = 16;

impl<E: MediaEvent> EventQueue<E> {
    pub(super) fn new() -> EventQueue<E> {
        EventQueue {
            items: VecDeque::new(),
            held: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes that the events hold: their payloads' buffers, and the entries, of which
    /// a growing queue has up to twice as many as it needs.
    pub(super) fn held_bytes(&self) -> usize {
        self.held + 2 * self.items.len() * size_of::<E>()
    }

    pub(super) fn push(&mut self, event: E) {
        self.held += payload_held(&event);
        self.items.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<E> {
        let event = self.items.pop_front()?;
        self.held -= payload_held(&event);
        if self.items.is_empty() && self.items.capacity() > SPARE_ENTRIES {
            self.items = VecDeque::new();
        }
        Some(event)
    }

    /// Forgets the media of a message stream.
    pub(super) fn forget_media(&mut self, stream: u32) {
        let held = &mut self.held;
        self.items.retain(|event| {
            let forget = event.as_media().is_some_and(|media| media.stream == stream);
            if forget {
                *held -= payload_held(event);
            }
            !forget
        });
    }

    /// Forgets everything and gives the memory back.
    pub(super) fn release(&mut self) {
        *self = EventQueue::new();
    }
}

fn payload_held(event: &impl MediaEvent) -> usize {
    event
        .as_media()
        .map_or(0, |media| media.payload.held_bytes())
}
