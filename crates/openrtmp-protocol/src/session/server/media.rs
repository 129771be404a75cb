//! Media of what a client publishes, and what waits for the host's answer to a
//! request: everything behind a `connect`, media behind a `publish`.

use std::fmt;

use super::streams::Role;
use super::{ServerEvent, ServerSession, SessionLimit};
use crate::Limits;
use crate::chunk::Message;
use crate::session::payload::{is_media, is_sample_access, live, media};
use crate::session::{Media, MediaKind, SessionError, work};

/// Messages that wait for one answer, in order. Each is handled once, when that
/// answer comes: no other event looks at them.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<Message>);

/// What all messages of a session that wait take together.
#[derive(Debug, Default)]
pub(super) struct WaitingTotal {
    messages: usize,
    commands: usize,
    pub(super) bytes: usize,
}

/// A message's buffer, and its entry, of which a growing list has up to twice as many
/// as it needs.
fn cost(message: &Message) -> usize {
    message.payload.held_bytes() + 2 * size_of::<Message>()
}

impl WaitingTotal {
    fn has_room_for(&self, message: &Message, limits: &Limits) -> bool {
        self.limit_for(message, limits).is_none()
    }

    /// The limit beyond which one more message would be.
    fn limit_for(&self, message: &Message, limits: &Limits) -> Option<SessionLimit> {
        if self.messages >= limits.waiting_messages {
            return Some(SessionLimit::WaitingMessages);
        }
        let bytes = self.bytes.saturating_add(cost(message));
        (bytes > limits.partial_bytes).then_some(SessionLimit::PartialBytes)
    }

    fn add(&mut self, message: &Message) {
        self.messages += 1;
        self.commands += usize::from(!is_media(message.kind));
        self.bytes += cost(message);
    }

    fn subtract(&mut self, message: &Message) {
        self.messages -= 1;
        self.commands -= usize::from(!is_media(message.kind));
        self.bytes -= cost(message);
    }
}

impl Waiting {
    /// False if there is no memory for it.
    fn push(&mut self, message: Message, total: &mut WaitingTotal) -> bool {
        let room = self.0.try_reserve(1).is_ok();
        if room {
            total.add(&message);
            self.0.push(message);
        }
        room
    }
}

impl ServerSession {
    /// A command behind a `connect` that is not answered yet.
    pub(super) fn wait_with_command(&mut self, message: Message) -> Result<(), SessionError> {
        let limits = &self.config.limits;
        let total = &mut self.waiting_total;
        if total.commands >= limits.pending_requests || !total.has_room_for(&message, limits) {
            return Err(SessionError::Limit {
                what: "commands waiting for the answer to connect",
                limit: limits.pending_requests,
            });
        }
        match self.waiting.push(message, total) {
            true => Ok(()),
            false => Err(SessionError::OutOfMemory),
        }
    }

    /// Media behind a `connect`, or, with its message stream, behind a `publish`. The
    /// first of it are the sequence headers, which do not come again.
    pub(super) fn wait_with_media(&mut self, stream: Option<u32>, message: Message) {
        let total = &mut self.waiting_total;
        let waiting = match stream {
            Some(id) => self.streams.get_mut(id).map(|stream| &mut stream.waiting),
            None => Some(&mut self.waiting),
        };
        let limit = total.limit_for(&message, &self.config.limits);
        let kept = limit.is_none() && waiting.is_some_and(|waiting| waiting.push(message, total));
        let told = self.dropping;
        if !kept {
            self.drop_media(1, format_args!("more media than may wait for an answer"));
        }
        if let Some(limit) = limit
            && !told
        {
            self.limit_reached(limit);
        }
    }

    /// The `connect` was accepted: handles what waited for that.
    pub(super) fn handle_waiting(&mut self) {
        for message in std::mem::take(&mut self.waiting).0 {
            self.waiting_total.subtract(&message);
            self.link.spend(work::MESSAGE);
            if let Err(error) = self.handle_message(message) {
                self.unreadable(&error);
            }
        }
    }

    /// The publish of a message stream was accepted: its media becomes events.
    pub(super) fn deliver_waiting(&mut self, stream: u32) {
        for message in self.take_waiting(stream) {
            self.link.spend(work::MESSAGE);
            self.publish_media(stream, message);
        }
    }

    /// The publish of a message stream came to nothing, and its media with it.
    pub(super) fn drop_waiting(&mut self, stream: u32) {
        let dropped = self.take_waiting(stream).len() as u64;
        if dropped > 0 {
            self.drop_media(
                dropped,
                format_args!("media on message stream {stream}, where nothing is published"),
            );
        }
    }

    fn take_waiting(&mut self, stream: u32) -> Vec<Message> {
        let Some(stream) = self.streams.get_mut(stream) else {
            return Vec::new();
        };
        let messages = std::mem::take(&mut stream.waiting).0;
        for message in &messages {
            self.waiting_total.subtract(message);
        }
        messages
    }

    /// Media of a message stream that publishes.
    pub(super) fn publish_media(&mut self, stream: u32, message: Message) {
        let mut values = 0;
        let amf = &self.config.limits.amf;
        let media = media(message, stream, amf, &mut values).map(|media| match media.kind {
            MediaKind::Data => Media {
                payload: live(media.payload, amf, &mut values),
                ..media
            },
            MediaKind::Audio | MediaKind::Video => media,
        });
        if values > 0 {
            self.link.spend(values as u64 * work::VALUE);
        }
        match media {
            Some(media) if is_sample_access(&media) => {}
            Some(media) => {
                self.dropping = false;
                self.events.push(ServerEvent::Media(media));
            }
            None => self.drop_media(1, format_args!("a data message that no player can read")),
        }
    }

    pub(super) fn handle_media(&mut self, message: Message) {
        if matches!(self.phase, super::Phase::Pending(_)) {
            self.wait_with_media(None, message);
            return;
        }
        let target = self.media_stream(message.stream);
        let role = target
            .and_then(|id| self.streams.get(id))
            .map(|stream| &stream.role);
        match (target, role) {
            (Some(stream), Some(Role::Publishing(_))) => self.publish_media(stream, message),
            (stream, Some(Role::Pending { .. })) => self.wait_with_media(stream, message),
            _ => self.drop_media(
                1,
                format_args!(
                    "media on message stream {}, where nothing is published",
                    message.stream
                ),
            ),
        }
    }

    /// The message stream that publishes (or will) what arrives on `id`. Some
    /// encoders send on 0 or a wrong one; with a single publish that is no riddle.
    fn media_stream(&self, id: u32) -> Option<u32> {
        match self.streams.get(id).map(|stream| &stream.role) {
            Some(role) if role.is_publish() => Some(id),
            Some(Role::Playing(_) | Role::Pending { .. }) => None,
            _ => self.streams.only(Role::is_publish),
        }
    }

    pub(super) fn drop_media(&mut self, messages: u64, why: fmt::Arguments<'_>) {
        self.dropped_media += messages;
        if !self.dropping {
            self.dropping = true;
            self.tolerate(format!("dropped: {why}"));
        }
    }
}
