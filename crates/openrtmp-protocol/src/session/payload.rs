//! From messages to [`Media`], and the queue that hands them out.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Media, MediaKind, SessionError};
use crate::AmfLimits;
use crate::amf::Encoding;
use crate::chunk::{Message, Payload};
use crate::command::Command;
use crate::message::{MessageError, kind, split_aggregate};

/// `@setDataFrame` as AMF0 string and as AMF3 string behind the switch marker.
const SET_DATA_FRAME: [&[u8]; 2] = [b"\x02\x00\x0d@setDataFrame", b"\x11\x06\x1b@setDataFrame"];

/// An AMF0 string value `onMetaData`, which opens stream metadata.
const ON_META_DATA: &[u8] = b"\x02\x00\x0aonMetaData";

/// Whether a message type carries audio, video, data or an aggregate of them.
pub(super) fn is_media(message_kind: u8) -> bool {
    media_kind(message_kind).is_some() || message_kind == kind::AGGREGATE
}

/// One message (not an aggregate) as media; `None` if it is of another type or
/// a data message without a name.
pub(super) fn media(
    message_kind: u8,
    stream: u32,
    timestamp: u32,
    payload: Payload,
) -> Option<Media> {
    let kind = media_kind(message_kind)?;
    let payload = match kind {
        MediaKind::Audio | MediaKind::Video => payload,
        MediaKind::Data => {
            let mut payload = payload;
            payload.advance(format_byte(message_kind, &payload));
            let skip = SET_DATA_FRAME
                .iter()
                .find(|prefix| payload.starts_with(prefix))
                .map_or(0, |prefix| prefix.len());
            payload.advance(skip);
            if payload.is_empty() {
                return None;
            }
            payload
        }
    };
    Some(Media {
        stream,
        kind,
        timestamp,
        payload,
    })
}

/// The payload as a publisher sends it: `@setDataFrame` before stream metadata, so
/// that the server keeps it for those who join later. `None`: as it is.
pub fn published(kind: MediaKind, payload: &[u8]) -> Option<Vec<u8>> {
    (kind == MediaKind::Data && payload.starts_with(ON_META_DATA))
        .then(|| [SET_DATA_FRAME[0], payload].concat())
}

/// Reads a command message of either encoding.
pub(super) fn decode_command(
    message: &Message,
    limits: &AmfLimits,
) -> Result<(Encoding, Command), SessionError> {
    let encoding = match message.kind {
        kind::COMMAND_AMF3 => Encoding::Amf3,
        _ => Encoding::Amf0,
    };
    let skip = format_byte(message.kind, &message.payload);
    Ok((encoding, Command::decode(&message.payload[skip..], limits)?))
}

/// Data that a server tells the player itself, not part of the stream:
/// `|RtmpSampleAccess` and `onStatus`.
pub(super) fn is_player_notice(message: &Message) -> bool {
    const NOTICES: [&[u8]; 2] = [b"\x02\x00\x11|RtmpSampleAccess", b"\x02\x00\x08onStatus"];
    let payload = &message.payload[format_byte(message.kind, &message.payload)..];
    media_kind(message.kind) == Some(MediaKind::Data)
        && NOTICES.iter().any(|notice| payload.starts_with(notice))
}

fn media_kind(message_kind: u8) -> Option<MediaKind> {
    match message_kind {
        kind::AUDIO => Some(MediaKind::Audio),
        kind::VIDEO => Some(MediaKind::Video),
        kind::DATA_AMF0 | kind::DATA_AMF3 => Some(MediaKind::Data),
        _ => None,
    }
}

/// Length of what precedes the values: types 15 and 17 begin with a format byte
/// of 0. Some peers leave it out; a name's marker is never 0, so both can be
/// told apart.
fn format_byte(message_kind: u8, payload: &[u8]) -> usize {
    let amf3 = matches!(message_kind, kind::DATA_AMF3 | kind::COMMAND_AMF3);
    usize::from(amf3 && payload.first() == Some(&0))
}

/// An event type that media can be queued in.
pub(super) trait MediaEvent: Sized {
    fn media(media: Media) -> Self;
    /// The rest of an aggregate cannot be read.
    fn malformed(error: MessageError) -> Option<Self>;
}

/// Events in order. Aggregates stay whole until asked for, so that a large one
/// full of tiny messages does not become as many events at once.
pub(super) struct EventQueue<E> {
    items: VecDeque<Item<E>>,
}

enum Item<E> {
    Event(E),
    Aggregate {
        stream: u32,
        parts: Box<dyn Iterator<Item = Result<(u8, u32, Bytes), MessageError>> + Send>,
    },
}

impl<E: MediaEvent> EventQueue<E> {
    pub(super) fn new() -> EventQueue<E> {
        EventQueue {
            items: VecDeque::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn push(&mut self, event: E) {
        self.items.push_back(Item::Event(event));
    }

    /// Queues the media of a message, as messages of this message stream.
    /// False if a message that is not an aggregate has none.
    pub(super) fn push_media(&mut self, stream: u32, message: Message) -> bool {
        if message.kind == kind::AGGREGATE {
            let parts = Box::new(split_aggregate(
                message.timestamp,
                &message.payload.into_bytes(),
            ));
            self.items.push_back(Item::Aggregate { stream, parts });
            return true;
        }
        let media = media(message.kind, stream, message.timestamp, message.payload);
        let found = media.is_some();
        if let Some(media) = media {
            self.push(E::media(media));
        }
        found
    }

    pub(super) fn pop(&mut self) -> Option<E> {
        loop {
            match self.items.front_mut()? {
                Item::Event(_) => match self.items.pop_front() {
                    Some(Item::Event(event)) => return Some(event),
                    _ => return None,
                },
                Item::Aggregate { stream, parts } => match parts.next() {
                    Some(Ok((kind, timestamp, payload))) => {
                        if let Some(media) = media(kind, *stream, timestamp, payload.into()) {
                            return Some(E::media(media));
                        }
                    }
                    Some(Err(error)) => {
                        self.items.pop_front();
                        if let Some(event) = E::malformed(error) {
                            return Some(event);
                        }
                    }
                    None => {
                        self.items.pop_front();
                    }
                },
            }
        }
    }

    /// Forgets the queued aggregates of a message stream and the events that fit.
    pub(super) fn forget(&mut self, of: u32, fits: impl Fn(&E) -> bool) {
        self.items.retain(|item| match item {
            Item::Event(event) => !fits(event),
            Item::Aggregate { stream, .. } => *stream != of,
        });
    }

    /// Forgets everything and gives the memory back.
    pub(super) fn release(&mut self) {
        self.items = VecDeque::new();
    }
}
